"""How much of a place is clear, and how often, before one commits to a threshold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from clearsight._kernels import clear_of
from clearsight.errors import ArgumentError, OptionalDependencyError
from clearsight.progress import Progress, silent
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
    score: xr.DataArray,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    inside: xr.DataArray | NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> tuple[Availability, ...]:
    """Tell how much would be clear at several thresholds.

    Parameters
    ----------
    score : DataArray, dims (time, y, x)
        ``cs_cdf`` or ``cs``, in [0, 1], NaN = nodata; or uint8 as in the files. A lazy one is read chunk by chunk of
        its rows, frame by frame, so that memory grows neither with the dates nor with the area.
    thresholds : sequence of float
        In [0, 1].
    inside : bool array, dims (y, x), optional
        The pixels to look at, such as those of a polygon (`clearsight.selection.inside`); by default all.
    progress : callable, optional
        Called with (frames read, frames in all, what).

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
    ordered, tell = score.transpose("time", "y", "x"), progress or silent
    wanted = np.ones(ordered.shape[1:], bool) if inside is None else np.asarray(_plane(inside), bool)
    if wanted.shape != ordered.shape[1:]:
        raise ArgumentError(f"inside has the shape {wanted.shape}; expected that of the scores, {ordered.shape[1:]}.")
    frames, counted, bands = ordered.sizes["time"], _Counts.none(len(thresholds), ordered.sizes["time"]), _rows(ordered)
    for number, rows in enumerate(bands):
        seen = np.zeros(wanted[rows].shape, np.uint16)
        clear = np.zeros((len(thresholds), *seen.shape), np.uint16)
        for frame in range(frames):
            tell(number * frames + frame, len(bands) * frames, "statistics")
            plane = ordered.isel(time=frame, y=rows).to_numpy()
            valid = wanted[rows] & clear_of(plane, 0.0)
            seen += valid
            counted.observed[frame] += valid.sum()
            for row, threshold in enumerate(thresholds):
                good = valid & clear_of(plane, threshold)
                clear[row] += good
                counted.clear[row, frame] += good.sum()
        counted.never[:] += ((clear == 0) & (seen > 0)).sum(axis=(1, 2))
        counted.pixels[:] += (seen > 0).sum()
    tell(len(bands) * frames, len(bands) * frames, "statistics")
    return tuple(_row(threshold, counted, row) for row, threshold in enumerate(thresholds))


@dataclass(frozen=True)
class _Counts:
    """What is counted so far."""

    observed: NDArray[np.int64]
    """Observations of each frame, (frame,)."""
    clear: NDArray[np.int64]
    """Those that are clear, (threshold, frame)."""
    never: NDArray[np.int64]
    """Pixels that are seen and never clear, (threshold,)."""
    pixels: NDArray[np.int64]
    """Pixels that are seen at all, (1,)."""

    @classmethod
    def none(cls, thresholds: int, frames: int) -> _Counts:
        shapes = (frames,), (thresholds, frames), (thresholds,), (1,)
        return cls(*(np.zeros(shape, np.int64) for shape in shapes))


def _plane(inside: xr.DataArray | NDArray[np.bool_]) -> NDArray[np.bool_]:
    return inside.transpose("y", "x").to_numpy() if isinstance(inside, xr.DataArray) else inside


def _rows(score: xr.DataArray) -> list[slice]:
    """Rows that are read together: the chunks of a lazy array."""
    ends = np.cumsum(score.chunksizes.get("y", (score.sizes["y"],)))
    return [slice(int(start), int(end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _row(threshold: float, counted: _Counts, row: int) -> Availability:
    observations, pixels = int(counted.observed.sum()), int(counted.pixels[0])
    nothing = float("nan")
    clear, observed = counted.clear[row], counted.observed
    shares = [good / seen if seen else nothing for good, seen in zip(clear.tolist(), observed.tolist(), strict=True)]
    return Availability(
        threshold,
        clear=int(clear.sum()) / observations if observations else nothing,
        expected=int(clear.sum()) / pixels if pixels else nothing,
        never=int(counted.never[row]) / pixels if pixels else nothing,
        by_frame=tuple(shares),
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
