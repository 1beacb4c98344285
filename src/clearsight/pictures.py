"""Pictures for people: true colour, score maps, and contact sheets of a season."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray

from clearsight.compositing import keep_clear
from clearsight.errors import ArgumentError, OptionalDependencyError
from clearsight.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUE_COLOUR = ("B04", "B03", "B02")
"""Red, green and blue, as people see them."""

DISPLAY = (0.0, 0.25)
"""Reflectance shown as black and as white: 0–2500 in digital numbers, the usual stretch for surface reflectance."""

_NODATA_GREY = "0.85"


def true_colour(
    image: xr.Dataset, *, bands: tuple[str, str, str] = TRUE_COLOUR, display: tuple[float, float] = DISPLAY
) -> NDArray[np.uint8]:
    """Render one frame or composite as RGBA; nodata is transparent.

    Parameters
    ----------
    image : Dataset, dims (y, x)
        Reflectance, dimensionless.
    bands : three band names
        Shown as red, green and blue.
    display : (low, high)
        Reflectance shown as 0 and as 255; linear between, clipped outside.

    Returns
    -------
    uint8 array (y, x, 4)

    Raises
    ------
    ArgumentError
        A band is absent, or ``display`` is not increasing.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> pixel = xr.DataArray(np.array([[0.125]], "float32"), dims=("y", "x"))
    >>> true_colour(xr.Dataset({"B04": pixel, "B03": pixel, "B02": pixel})).tolist()
    [[[128, 128, 128, 255]]]
    """
    absent = [band for band in bands if band not in image]
    if absent:
        raise ArgumentError(
            f"bands={bands!r}: the image has no {', '.join(absent)}; it has {', '.join(map(str, image.data_vars))}."
        )
    low, high = display
    if not low < high:
        raise ArgumentError(
            f"display={display!r}: expected (low, high) with low < high, in reflectance, such as {DISPLAY}."
        )
    values = np.stack([np.asarray(image[band].values, np.float32) for band in bands], axis=-1)
    seen = np.asarray(np.isfinite(values).all(axis=-1))
    scaled = np.clip((np.where(seen[..., None], values, low) - low) / (high - low), 0, 1)
    rgb = np.rint(scaled * 255).astype(np.uint8)
    return np.dstack([rgb, np.where(seen, 255, 0).astype(np.uint8)])


def masked_out(colour: NDArray[np.uint8], kept: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Paint the measured pixels white that aren't kept; nodata stays transparent.

    Parameters
    ----------
    colour : uint8 array (y, x, 4)
        From `true_colour`.
    kept : bool array (y, x)
        True where the pixel is used.

    Returns
    -------
    uint8 array (y, x, 4)

    Examples
    --------
    >>> masked_out(np.zeros((1, 2, 4), "uint8") + np.uint8(9), np.array([[True, False]])).tolist()
    [[[9, 9, 9, 9], [255, 255, 255, 9]]]
    """
    painted = colour.copy()
    painted[~kept, :3] = 255
    return painted


def save_png(rgba: NDArray[np.uint8], path: str | os.PathLike[str]) -> Path:
    """Write an RGBA array (y, x, 4) as PNG; written whole or not at all."""
    height, width, count = rgba.shape
    # A picture needs no georeference; pixel coordinates keep rasterio from warning that there is none.
    profile = {"width": width, "height": height, "count": count, "dtype": "uint8"}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="PNG", transform=rasterio.Affine(1, 0, 0, 0, -1, height), **profile) as file:
            file.write(np.moveaxis(rgba, -1, 0))
        with whole_file(path) as part:
            part.write_bytes(memory.read())
    return Path(path)


def contact_sheet(
    stack: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    title: str,
    threshold: float = 0.6,
    by: str = "cs_cdf",
    display: tuple[float, float] = DISPLAY,
) -> Path:
    """Draw a season: one column a date; true colour, ``cs``, ``cs_cdf`` and the masked scene beneath each other.

    Parameters
    ----------
    stack : Dataset, dims (time, y, x)
        Reflectance of B04, B03, B02 and the scores ``cs`` and ``cs_cdf``.
    path : path
        PNG to write.
    title : str
        Line above the sheet.
    threshold, by
        What the masked row keeps: pixels whose score ``by`` is at least ``threshold``.
    display : (low, high)
        Reflectance shown as black and white.

    Raises
    ------
    OptionalDependencyError
        matplotlib isn't installed.
    """
    figure = _figure(columns=stack.sizes["time"], rows=4, aspect=stack.sizes["y"] / stack.sizes["x"], title=title)
    axes = figure.subplots(4, stack.sizes["time"], squeeze=False)
    for column in range(stack.sizes["time"]):
        frame = stack.isel(time=column)
        colour = true_colour(frame, display=display)
        kept = (
            keep_clear(frame, by=by, threshold=threshold)[list(TRUE_COLOUR)].notnull().to_array().all("variable").values
        )
        panels: list[NDArray[Any]] = [colour, frame["cs"].values, frame["cs_cdf"].values, masked_out(colour, kept)]
        for axis, panel in zip(axes[:, column], panels, strict=True):
            _show(axis, panel)
        axes[0, column].set_title(str(frame["time"].dt.strftime("%Y-%m-%d").item()), fontsize=8)
        for row, name in ((1, "cs"), (2, "cs_cdf")):
            axes[row, column].set_xlabel(f"mean {np.nanmean(frame[name].values):.2f}", fontsize=7, labelpad=1)
        seen = np.isfinite(frame[by].values)
        axes[3, column].set_xlabel(
            f"kept {100 * kept[seen].mean():.0f} %" if seen.any() else "no data", fontsize=7, labelpad=1
        )
    for axis, name in zip(axes[:, 0], ("true colour", "cs", "cs_cdf", f"{by} ≥ {threshold:.2f}"), strict=True):
        axis.set_ylabel(name, fontsize=9)
    return _save(figure, path)


def composite_sheet(panels: dict[str, NDArray[Any]], path: str | os.PathLike[str], *, title: str) -> Path:
    """Draw named panels side by side: RGBA arrays as they are, (y, x) scores or counts with the score palette."""
    first = next(iter(panels.values()))
    figure = _figure(columns=len(panels), rows=1, aspect=first.shape[0] / first.shape[1], title=title, width=3.6)
    for axis, (name, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _show(axis, panel, limit=1.0 if panel.dtype.kind == "f" else float(panel.max(initial=1)))
        axis.set_title(name, fontsize=9)
    return _save(figure, path)


def _figure(*, columns: int, rows: int, aspect: float, title: str, width: float = 1.5) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionalDependencyError("Contact sheets need matplotlib: pip install 'clearsight[plots]'") from error
    size = (columns * width + 0.4, rows * (width * aspect + 0.18) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def _show(axis: Axes, panel: NDArray[Any], *, limit: float = 1.0) -> None:
    axis.set_facecolor(_NODATA_GREY)
    axis.set_xticks([])
    axis.set_yticks([])
    if panel.ndim == 3:
        axis.imshow(panel, interpolation="antialiased")
    else:
        axis.imshow(panel, cmap="viridis", vmin=0, vmax=limit, interpolation="nearest")


def _save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)
    return Path(path)
