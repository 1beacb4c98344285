"""COGs -> one composite COG, window by window: bounded memory, resumable, and done only once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pystac
import rasterio
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

import clearsight
from clearsight.compositing import FILE_NODATA, Method, as_stored, composite, steps_of
from clearsight.errors import ArgumentError, OutputError
from clearsight.pictures import save_png, true_colour
from clearsight.product import BLOCK, describe_file, write_cog
from clearsight.progress import Progress, silent
from clearsight.stack import load
from clearsight.whole import whole_file

_BUDGET: Final = 512 << 20
"""Bytes that the values of one window may take; loading holds about twice as much for a moment."""

_GDAL_CACHE: Final = 64 << 20
"""Bytes. By default GDAL keeps 5 % of the machine's memory, whatever else is to fit."""

_PREVIEW: Final = 1600
"""Longer side of the preview, pixels."""

_PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_FILE: Final = "https://stac-extensions.github.io/file/v2.1.0/schema.json"


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
class Mosaic:
    """A composite on disk."""

    path: Path
    """The COG; its STAC Item (.json), request (.request.json) and preview (.png) lie beside it."""
    preview: Path | None
    """None when the bands don't hold true colour."""
    frames: int
    """Number of images that went in."""
    made: bool
    """False when the same request had been answered before, and nothing was done."""


def write_mosaic(
    items: Sequence[pystac.Item],
    path: str | os.PathLike[str],
    *,
    recipe: Recipe | None = None,
    bbox: Sequence[float] | None = None,
    geobox: GeoBox | None = None,
    progress: Progress | None = None,
) -> Mosaic:
    """Make a composite of images on disk, and write it as a COG, window by window.

    Parameters
    ----------
    items : sequence of pystac.Item
        With scores: ``matched`` of `clearsight.link`.
    path : path
        GeoTIFF to make, such as ``june.tif``. It appears when it is complete, with its STAC Item ``june.json``, the
        request ``june.request.json`` and a preview ``june.png`` beside it.
    recipe : Recipe, optional
        How; by default the median of B02, B03, B04, B08 where ``cs_cdf`` is at least 0.60.
    bbox, geobox : optional
        Where, as in `clearsight.load`.
    progress : callable, optional
        Called with (windows done, windows in all, what).

    Returns
    -------
    Mosaic
        A request that ``path`` already answers does nothing: same items and score files, grid, recipe and version. What
        was stopped in the middle goes on after its last window when it is asked for again.

    Raises
    ------
    ArgumentError
        An argument can't be used, see `clearsight.load` and `clearsight.composite`.
    OutputError
        The folder can't be made or written to.

    Notes
    -----
    Stored as ``clearsight.compositing.write_composite`` stores it. Memory doesn't grow with the area: a window's values
    take at most 512 MB (a window of 512 x 512 pixels holds 80 frames of five bands).

    Examples
    --------
    >>> linked = clearsight.link(items, "archive")  # doctest: +SKIP
    >>> write_mosaic(linked.matched, "june.tif").path  # doctest: +SKIP
    """
    recipe = recipe or Recipe()
    out, tell = Path(path), progress or silent
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ArgumentError(f"path={str(path)!r}; expected a name that ends in .tif.")
    names = [*dict.fromkeys([*recipe.bands, recipe.by, *_tie_breakers(items, recipe)])]
    # Nothing is read here: it checks the arguments and finds the grid.
    whole = load(items, bands=names, bbox=bbox, geobox=geobox, chunks={"y": -1, "x": -1})
    grid: GeoBox = whole.odc.geobox
    request = _request(items, grid, recipe, names)
    frames = whole.sizes["time"]
    preview = out.with_suffix(".png") if {"B04", "B03", "B02"} <= set(recipe.bands) else None
    if _is_answered(out, request):
        return Mosaic(out, preview, frames, made=False)
    planes = _composite(whole, recipe)
    work = _work_folder(out, request)
    with rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE):
        raw = _begin(work, grid, planes)
        windows = list(_windows(grid, side=_side(len(names) * frames)))
        done = _finished(work)
        for number, window in enumerate(windows):
            tell(number, len(windows), "composite")
            if number not in done:
                stack = load(items, bands=names, geobox=grid[window.toslices()])
                _put(raw, _composite(stack, recipe), window)
                _note_finished(work, number)
        tell(len(windows), len(windows), "composite")
        with whole_file(out) as part:
            write_cog(raw, part, overview_resampling="AVERAGE")
        if preview:
            _write_preview(out, preview)
    _write_json(_item(out, grid, whole, request).to_dict(include_self_link=False), out.with_suffix(".json"))
    _write_json(request, _sidecar(out))
    shutil.rmtree(work, ignore_errors=True)
    return Mosaic(out, preview, frames, made=True)


def _composite(stack: xr.Dataset, recipe: Recipe) -> xr.Dataset:
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


def _tie_breakers(items: Sequence[pystac.Item], recipe: Recipe) -> list[str]:
    """What "best" looks at among equals, as far as every item has it."""
    wanted = ("cs", "B02") if recipe.method == "best" else ()
    return [name for name in wanted if all(name in item.assets for item in items)]


def _request(items: Sequence[pystac.Item], grid: GeoBox, recipe: Recipe, names: list[str]) -> dict[str, Any]:
    """Everything that decides about the result, and a hash of it."""
    asked: dict[str, Any] = {
        "software": f"clearsight {clearsight.__version__}",
        "recipe": asdict(recipe),
        "grid": {"crs": str(grid.crs), "transform": list(grid.affine[:6]), "shape": list(grid.shape)},
        "items": {item.id: [_stamp(item, name) for name in names] for item in items},
        "dates": sorted({f"{item.datetime:%Y-%m-%d}" for item in items if item.datetime}),
    }
    asked["items"] = dict(sorted(asked["items"].items()))
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return {**json.loads(json.dumps(asked)), "hash": digest}


def _stamp(item: pystac.Item, name: str) -> str:
    """File, length and time of change: scores that were made anew have the same name."""
    href = item.assets[name].get_absolute_href() or item.assets[name].href
    with suppress(OSError):
        facts = os.stat(href)
        return f"{name} {href} {facts.st_size} {facts.st_mtime_ns}"
    return f"{name} {href}"


def _sidecar(out: Path) -> Path:
    return out.with_suffix(".request.json")


def _is_answered(out: Path, request: dict[str, Any]) -> bool:
    try:
        return out.exists() and json.loads(_sidecar(out).read_text()) == request
    except (OSError, ValueError):
        return False


def _work_folder(out: Path, request: dict[str, Any]) -> Path:
    """Folder of this request's windows; those of other requests for the same file are of no use any more."""
    mine = out.with_name(f".{out.name}.{request['hash'][:16]}.windows")
    try:
        for other in out.parent.glob(f".{out.name}.*.windows"):
            if other != mine:
                shutil.rmtree(other, ignore_errors=True)
        # What lies there answers another request; from now on it isn't valid as the answer to this one.
        _sidecar(out).unlink(missing_ok=True)
        mine.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be written ({error}); choose a folder you may write to.") from error
    return mine


def _begin(work: Path, grid: GeoBox, planes: xr.Dataset) -> Path:
    """The uncompressed file that windows are put into; as it was left, when it was."""
    raw = work / "raw.tif"
    if raw.exists() and _finished(work):
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


def _put(raw: Path, image: xr.Dataset, window: Window) -> None:
    with rasterio.open(raw, "r+") as file:
        for number, name in enumerate(image.data_vars, start=1):
            file.write(as_stored(image[name]), number, window=window)


def _finished(work: Path) -> set[int]:
    """Numbers of the windows that are in the file; a last line cut short by a kill counts for nothing."""
    try:
        lines = (work / "finished").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return set()
    return {int(line) for line in lines if line.endswith("\n")}


def _note_finished(work: Path, number: int) -> None:
    with (work / "finished").open("a") as file:
        file.write(f"{number}\n")


def _side(arrays: int) -> int:
    """Side of a window: 2048 pixels if memory allows, else less; whole blocks of the file."""
    side = 2048
    while side > BLOCK and arrays * 4 * side**2 > _BUDGET:
        side //= 2
    return side


def _windows(grid: GeoBox, *, side: int) -> Iterator[Window]:
    height, width = grid.shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Window(left, top, min(side, width - left), min(side, height - top))


def _write_preview(path: Path, preview: Path) -> None:
    with rasterio.open(path) as file:
        shrink = max(1, -(-max(file.shape) // _PREVIEW))
        shape = tuple(-(-side // shrink) for side in file.shape)
        planes: dict[str, tuple[tuple[str, str], NDArray[np.float32]]] = {}
        for name in ("B04", "B03", "B02"):
            band = file.descriptions.index(name) + 1
            stored = file.read(band, out_shape=shape, masked=True).astype(np.float32)
            planes[name] = ("y", "x"), stored.filled(np.nan) * np.float32(file.scales[band - 1])
    save_png(true_colour(xr.Dataset(planes)), preview)


def _item(out: Path, grid: GeoBox, whole: xr.Dataset, request: dict[str, Any]) -> pystac.Item:
    footprint = grid.geographic_extent
    times = sorted(whole["time"].values.astype("datetime64[s]").tolist())
    first, last = (moment.replace(tzinfo=UTC) for moment in (times[0], times[-1]))
    item = pystac.Item(
        out.stem,
        geometry=footprint.json,
        bbox=list(footprint.boundingbox.bbox),
        datetime=None,
        start_datetime=first,
        end_datetime=last,
        properties={
            "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "proj:code": str(grid.crs),
            "proj:shape": list(grid.shape),
            "proj:transform": list(grid.affine[:6]),
            "clearsight:recipe": request["recipe"],
            "clearsight:request": request["hash"],
            "clearsight:items": list(request["items"]),
        },
        stac_extensions=[_PROJECTION, _FILE],
    )
    file = describe_file(out)
    item.add_asset(
        "composite",
        pystac.Asset(
            f"./{out.name}",
            media_type=pystac.MediaType.COG,
            roles=["data"],
            extra_fields={"file:size": file.size, "file:checksum": file.checksum},
        ),
    )
    item.add_asset(
        "request", pystac.Asset(f"./{_sidecar(out).name}", media_type="application/json", roles=["metadata"])
    )
    return item


def _write_json(described: dict[str, Any], path: Path) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(described, indent=2) + "\n")
