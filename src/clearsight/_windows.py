"""Windows of a composite: what one of them holds, and the uncompressed file they are put into, as far as it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import pystac
import rasterio
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.windows import Window

from clearsight.compositing import FILE_NODATA, Method, as_stored, composite, steps_of
from clearsight.errors import OutputError
from clearsight.product import BLOCK
from clearsight.selection import inside
from clearsight.stack import load

_BUDGET: Final = 512 << 20
"""Bytes that the values of one window may take; loading holds about twice as much for a moment."""

GDAL_CACHE: Final = 64 << 20
"""Bytes. By default GDAL keeps 5 % of the machine's memory, whatever else is to fit."""

_ONE_AT_A_TIME: Final = Lock()
"""A cluster's worker may have several threads; each window takes all the memory it may, and threads of its own."""


@dataclass(frozen=True)
class Recipe:
    """How a composite is made; the fields mean what they mean in `clearsight.composite`."""

    bands: tuple[str, ...] = ("B02", "B03", "B04", "B08")
    """Bands of the result."""
    by: str = "cs_cdf"
    """Score to mask by; the items have to be linked to it."""
    threshold: float = 0.60
    """Values that score at least this are taken."""
    method: Method = "median"
    """How they become one."""
    percentile: float = 50.0
    """0 to 100, for the method of this name."""
    minimum: int = 0
    """Pixels with fewer clear frames become nodata."""
    spread: bool = False
    """Whether each band's median absolute deviation is added."""
    date: bool = False
    """Whether the date of the chosen frame is added, for "medoid" and "best"."""
    near: str | None = None
    """The date wished for, for "best"."""


@dataclass(frozen=True)
class Job:
    """All that the values of a window depend on; it travels to other processes."""

    items: tuple[pystac.Item, ...]
    """Images, with their scores."""
    names: tuple[str, ...]
    """Assets to load."""
    grid: GeoBox
    """The whole."""
    recipe: Recipe
    """How."""
    area: Geometry | None
    """Pixels outside get nodata."""


def portable(item: pystac.Item, names: Sequence[str]) -> pystac.Item:
    """Copy an item with the assets named only, and without its links: they would take a whole catalogue along.

    Parameters
    ----------
    item : pystac.Item
        Source item.
    names : sequence of str
        Assets to keep; where each lies is told in full.

    Returns
    -------
    pystac.Item
    """
    alone = item.clone()
    for name, asset in item.assets.items():
        if name in names:
            alone.assets[name].href = asset.get_absolute_href() or asset.href
        else:
            del alone.assets[name]
    alone.clear_links()
    return alone


def image_of(stack: xr.Dataset, recipe: Recipe) -> xr.Dataset:
    """Make the composite of a stack, with the planes that the file is to hold.

    Parameters
    ----------
    stack : Dataset
        Bands and scores, dims (time, y, x).
    recipe : Recipe
        How.

    Returns
    -------
    Dataset
    """
    image = composite(
        stack,
        method=recipe.method,
        by=recipe.by,
        threshold=recipe.threshold,
        percentile=recipe.percentile,
        minimum=recipe.minimum,
        spread=recipe.spread,
        date=recipe.date,
        near=recipe.near,
    )
    hidden = [
        name for name in image.data_vars if str(name).removesuffix("_spread") not in (*recipe.bands, "count", "date")
    ]
    return image.drop_vars(hidden)


def planes_of(job: Job, window: Window) -> NDArray[np.int16]:
    """Read and compute one window.

    Parameters
    ----------
    job : Job
        What to do.
    window : Window
        Which pixels of its grid.

    Returns
    -------
    int16 array (plane, y, x)
        As stored in the file.
    """
    grid = job.grid[window.toslices()]
    with _ONE_AT_A_TIME, rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE):
        image = image_of(load(job.items, bands=job.names, geobox=grid), job.recipe)
    stored = np.stack([as_stored(plane) for plane in image.data_vars.values()])
    if job.area is not None:
        stored[:, ~inside(job.area, grid)] = FILE_NODATA
    return stored


def windows_of(job: Job) -> dict[int, Window]:
    """Cut the grid into windows, as large as memory allows.

    Parameters
    ----------
    job : Job
        What to do.

    Returns
    -------
    dict of int to Window
        Those that hold a pixel of the area, by their numbers.
    """
    side = window_side(len(job.names) * len(job.items))
    height, width = job.grid.shape
    corners = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
    windows = {
        number: Window(left, top, min(side, width - left), min(side, height - top))
        for number, (top, left) in enumerate(corners)
    }
    if job.area is None:
        return windows
    return {number: place for number, place in windows.items() if inside(job.area, job.grid[place.toslices()]).any()}


def window_side(arrays: int) -> int:
    """Side of a window: 2048 pixels if memory allows, else less; whole blocks of the file.

    Parameters
    ----------
    arrays : int
        Planes to load.

    Returns
    -------
    int

    Examples
    --------
    >>> window_side(5 * 20), window_side(5 * 80), window_side(5 * 800)
    (1024, 512, 512)
    """
    side = 2048
    while side > BLOCK and arrays * 4 * side**2 > _BUDGET:
        side //= 2
    return side


def begin(work: Path, grid: GeoBox, planes: xr.Dataset) -> Path:
    """Make the uncompressed file that windows are put into; or take it as it was left.

    Parameters
    ----------
    work : Path
        Folder of this request.
    grid : GeoBox
        The whole.
    planes : Dataset
        Names, types and units of what the file is to hold.

    Returns
    -------
    Path
    """
    raw = work / "raw.tif"
    if raw.exists() and finished(work):
        return raw
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": grid.shape.y,
        "width": grid.shape.x,
        "count": len(planes),
        "dtype": "int16",
        "nodata": FILE_NODATA,
        "crs": str(grid.crs),
        "transform": grid.affine,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "bigtiff": "IF_SAFER",
        # Every block gets its place now: a kill while a window is written can't harm the table of places.
        "sparse_ok": False,
    }
    with rasterio.open(raw, "w", **profile) as file:
        file.descriptions = [str(name) for name in planes.data_vars]
        file.scales = [1 / steps_of(plane) for plane in planes.data_vars.values()]
        file.offsets = [0.0] * len(planes)
    return raw


def put(raw: Path, planes: NDArray[np.int16], window: Window) -> None:
    """Write one window.

    Parameters
    ----------
    raw : Path
        From ``begin``.
    planes : int16 array (plane, y, x)
        From ``planes_of``.
    window : Window
        Its place.
    """
    with rasterio.open(raw, "r+") as file:
        file.write(planes, window=window)


def work_folder(out: Path, digest: str) -> Path:
    """Make the folder of a request's windows; those of other requests for the same file are of no use any more.

    Parameters
    ----------
    out : Path
        The file to be.
    digest : str
        The request's hash.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        The folder can't be made.
    """
    mine = out.with_name(f".{out.name}.{digest[:16]}.windows")
    try:
        for other in out.parent.glob(f".{out.name}.*.windows"):
            if other != mine:
                shutil.rmtree(other, ignore_errors=True)
        mine.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be written ({error}); choose a folder you may write to.") from error
    return mine


def finished(work: Path) -> set[int]:
    """Numbers of the windows that are in the file; a last line cut short by a kill counts for nothing."""
    try:
        lines = (work / "finished").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return set()
    return {int(line) for line in lines if line.endswith("\n")}


def note_finished(work: Path, number: int) -> None:
    """Tell that a window is in the file."""
    with (work / "finished").open("a") as file:
        file.write(f"{number}\n")
