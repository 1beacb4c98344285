"""How much of a place is clear, and how often, before one commits to a threshold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from clearsight._kernels import clear_of
from clearsight.errors import ArgumentError, OptionalDependencyError
from clearsight.whole import whole_file

THRESHOLDS: Final = (0.50, 0.55, 0.60, 0.65)


@dataclass(frozen=True)
class Availability:
    """What a threshold leaves of a place."""

    threshold: float
    """Lowest score that counts as clear."""
    clear: float
    """Share of the observations that are clear, 0 … 1; NaN without any observation."""
    expected: float
    """Clear frames per pixel, in the mean over the pixels that were observed at all."""
    never: float
    """Share of the pixels observed at all that are clear in no frame, 0 … 1."""
    by_frame: tuple[float, ...]
    """Share of each frame's observations that are clear, in the order of time; NaN where it has none."""


def availability(
    score: xr.DataArray, *, thresholds: Sequence[float] = THRESHOLDS, inside: xr.DataArray | None = None
) -> tuple[Availability, ...]:
    """Tell how much would be clear at several thresholds.

    Parameters
    ----------
    score : DataArray, dims (time, y, x)
        ``cs_cdf`` or ``cs``, in [0, 1], NaN = nodata; or uint8 as in the files. A lazy one is read frame by frame.
    thresholds : sequence of float
        In [0, 1].
    inside : bool DataArray, dims (y, x), optional
        The pixels to look at, such as those of a polygon (``odc.geo.xr.rasterize``); by default all.

    Returns
    -------
    tuple of Availability
        One per threshold, in the order given.

    Raises
    ------
    ArgumentError
        ``score`` has no frames of pixels, or a threshold lies outside [0, 1].

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> score = xr.DataArray(np.float32([[[0.9, 0.58]], [[0.2, np.nan]]]), dims=("time", "y", "x"))
    >>> row = availability(score, thresholds=[0.55])[0]
    >>> round(row.clear, 3), row.expected, row.never
    (0.667, 1.0, 0.0)
    """
    if set(score.dims) != {"time", "y", "x"}:
        raise ArgumentError(f"score has dims {score.dims}; expected time, y and x, such as stack['cs_cdf'].")
    outside = [number for number in thresholds if not 0 <= number <= 1]
    if outside:
        raise ArgumentError(f"thresholds={list(thresholds)!r}; expected numbers in [0, 1], such as {THRESHOLDS}.")
    wanted = np.ones((score.sizes["y"], score.sizes["x"]), bool)
    if inside is not None:
        wanted = inside.transpose("y", "x").to_numpy().astype(bool)
    seen = np.zeros(wanted.shape, np.uint16)
    clear = np.zeros((len(thresholds), *wanted.shape), np.uint16)
    shares = np.full((len(thresholds), score.sizes["time"]), np.nan)
    for number in range(score.sizes["time"]):
        # Frame after frame, so that memory doesn't grow with their number.
        frame = score.isel(time=number).transpose("y", "x").to_numpy()
        valid = wanted & clear_of(frame, 0.0)
        seen += valid
        for row, threshold in enumerate(thresholds):
            good = valid & clear_of(frame, threshold)
            clear[row] += good
            if valid.any():
                shares[row, number] = good.sum() / valid.sum()
    return tuple(
        _row(threshold, counts, seen, by_frame)
        for threshold, counts, by_frame in zip(thresholds, clear, shares, strict=True)
    )


def _row(
    threshold: float,
    counts: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    seen: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    by_frame: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> Availability:
    pixels, observations = int((seen > 0).sum()), int(seen.sum(dtype=np.int64))
    total = int(counts.sum(dtype=np.int64))
    nothing = float("nan")
    return Availability(
        threshold,
        clear=total / observations if observations else nothing,
        expected=total / pixels if pixels else nothing,
        never=int(((counts == 0) & (seen > 0)).sum()) / pixels if pixels else nothing,
        by_frame=tuple(by_frame.tolist()),
    )


def availability_chart(rows: Sequence[Availability], path: str | os.PathLike[str], *, title: str) -> Path:
    """Draw what each threshold leaves: per frame, and in all.

    Parameters
    ----------
    rows : sequence of Availability
        From ``availability``.
    path : path
        PNG to write.
    title : str
        What place, what time.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    OptionalDependencyError
        matplotlib isn't installed.
    OutputError
        The folder can't be written to.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionalDependencyError("A chart needs matplotlib: pip install 'clearsight[plots]'") from error
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    frames, overall = figure.subplots(1, 2, width_ratios=[2, 1])
    shades = [str(shade) for shade in np.linspace(0.75, 0.1, len(rows))]
    for row, shade in zip(rows, shades, strict=True):
        sorted_shares = sorted(np.array(row.by_frame)[np.isfinite(row.by_frame)], reverse=True)
        frames.step(
            range(1, len(sorted_shares) + 1), sorted_shares, where="mid", color=shade, label=f"{row.threshold:.2f}"
        )
    frames.set(xlabel="dates, the clearest first", ylabel="clear share of the place", ylim=(0, 1.02))
    frames.legend(title="score at least", frameon=False)
    names = [f"{row.threshold:.2f}" for row in rows]
    bars = overall.bar(names, [row.expected for row in rows], color=shades)
    overall.bar_label(bars, [f"{row.expected:.1f}" for row in rows])
    overall.set(xlabel="score at least", ylabel="clear dates per pixel")
    for axis in (frames, overall):
        axis.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)
    return Path(path)
