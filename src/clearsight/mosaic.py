"""COGs -> one composite COG, window by window: bounded memory, resumable, and done only once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
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
from clearsight._cluster import on_cluster
from clearsight._windows import (
    GDAL_CACHE,
    Job,
    begin,
    finished,
    image_of,
    note_finished,
    planes_of,
    portable,
    put,
    windows_of,
    work_folder,
)
from clearsight._windows import Recipe as Recipe
from clearsight.errors import ArgumentError
from clearsight.pictures import save_png, true_colour
from clearsight.product import describe_file, write_cog
from clearsight.progress import Progress, silent
from clearsight.selection import Area, read_area
from clearsight.stack import load
from clearsight.whole import whole_file

_PREVIEW: Final = 1600
"""Longer side of the preview, pixels."""

_PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_FILE: Final = "https://stac-extensions.github.io/file/v2.1.0/schema.json"


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
    area: Area | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Mosaic:
    """Make a composite of images on disk, and write it as a COG, window by window.

    Parameters
    ----------
    items : sequence of pystac.Item
        With scores: ``matched`` of `clearsight.link`. `clearsight.selection` keeps those of a tile or a season.
    path : path
        GeoTIFF to make, such as ``june.tif``. It appears when it is complete, with its STAC Item ``june.json``, the
        request ``june.request.json`` and a preview ``june.png`` beside it.
    recipe : Recipe, optional
        How; by default the median of B02, B03, B04, B08 where ``cs_cdf`` is at least 0.60.
    bbox, geobox : optional
        Where, as in `clearsight.load`.
    area : path, mapping, or geometry, optional
        Polygon, as in `clearsight.selection.read_area`: pixels whose centre lies outside get nodata, ``count`` too, and
        windows outside aren't read. Without ``bbox`` and ``geobox`` it is also the place.
    scheduler : str, optional
        Address of a Dask cluster, such as ``"tcp://10.0.0.1:8786"``: its workers read and compute the windows, and this
        process writes them. They have to see the files under the same names. Values don't depend on it.
    progress : callable, optional
        Called with (windows done, windows in all, what).

    Returns
    -------
    Mosaic
        A request that ``path`` already answers does nothing: same items and score files, grid, area, recipe and
        version. What was stopped in the middle goes on after its last window when it is asked for again.

    Raises
    ------
    ArgumentError
        An argument can't be used, see `clearsight.load`, `clearsight.composite` and `read_area`; ``area`` holds no
        pixel; ``scheduler`` doesn't answer.
    OutputError
        The folder can't be made or written to, or the cluster lost its workers again and again.
    OptionalDependencyError
        ``scheduler`` is given, and distributed isn't installed.

    Notes
    -----
    Stored as ``clearsight.compositing.write_composite`` stores it. Memory doesn't grow with the area: a window's values
    take at most 512 MB (a window of 512 x 512 pixels holds 80 frames of five bands), also in each worker of a cluster.

    Examples
    --------
    >>> linked = clearsight.link(items, "archive")  # doctest: +SKIP
    >>> write_mosaic(linked.matched, "june.tif").path  # doctest: +SKIP
    """
    recipe = recipe or Recipe()
    out, tell = Path(path), progress or silent
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ArgumentError(f"path={str(path)!r}; expected a name that ends in .tif.")
    place = None if area is None else read_area(area)
    if place is not None and bbox is None and geobox is None:
        bbox = place.boundingbox.bbox
    names = tuple(dict.fromkeys([*recipe.bands, recipe.by, *_tie_breakers(items, recipe)]))
    # Nothing is read here: it checks the arguments and finds the grid.
    whole = load(items, bands=names, bbox=bbox, geobox=geobox, chunks={"y": -1, "x": -1})
    planes = image_of(whole, recipe)
    job = Job(tuple(portable(item, names) for item in items), names, whole.odc.geobox, recipe, place)
    request = _request(job)
    preview = out.with_suffix(".png") if {"B04", "B03", "B02"} <= set(recipe.bands) else None
    if _is_answered(out, request):
        return Mosaic(out, preview, len(items), made=False)
    windows = windows_of(job)
    if not windows:
        raise ArgumentError(
            f"area holds the centre of no pixel of the grid, {job.grid.boundingbox.bbox} in {job.grid.crs}."
        )
    work = work_folder(out, request["hash"])
    # What lies there answers another request; from now on it isn't valid as the answer to this one.
    _sidecar(out).unlink(missing_ok=True)
    # What is kept of files doesn't grow with the area or the machine, whoever computes the windows.
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE):
        raw = begin(work, job.grid, planes)
        _fill(raw, job, windows, work, scheduler=scheduler, tell=tell)
        with whole_file(out) as part:
            write_cog(raw, part, overview_resampling="AVERAGE")
        if preview:
            _write_preview(out, preview)
    _write_json(
        _item(out, job, whole["time"].values, request).to_dict(include_self_link=False), out.with_suffix(".json")
    )
    _write_json(request, _sidecar(out))
    shutil.rmtree(work, ignore_errors=True)
    return Mosaic(out, preview, len(items), made=True)


def _fill(
    raw: Path, job: Job, windows: dict[int, Window], work: Path, *, scheduler: str | None, tell: Progress
) -> None:
    """Compute the windows that aren't there yet, and put each into the file."""
    done = finished(work)
    left = {number: window for number, window in windows.items() if number not in done}
    computed = (
        ((number, planes_of(job, window)) for number, window in left.items())
        if scheduler is None
        else on_cluster(planes_of, job, left, address=scheduler)
    )
    for more, (number, stored) in enumerate(computed):
        put(raw, stored, left[number])
        note_finished(work, number)
        tell(len(windows) - len(left) + more + 1, len(windows), "composite")


def _tie_breakers(items: Sequence[pystac.Item], recipe: Recipe) -> list[str]:
    """What "best" looks at among equals, as far as every item has it."""
    wanted = ("cs", "B02") if recipe.method == "best" else ()
    return [name for name in wanted if all(name in item.assets for item in items)]


def _request(job: Job) -> dict[str, Any]:
    """Everything that decides about the result, and a hash of it."""
    grid = job.grid
    asked: dict[str, Any] = {
        "software": f"clearsight {clearsight.__version__}",
        "recipe": asdict(job.recipe),
        "grid": {"crs": str(grid.crs), "transform": list(grid.affine[:6]), "shape": list(grid.shape)},
        "area": None if job.area is None else job.area.json,
        "items": dict(sorted((item.id, [_stamp(item, name) for name in job.names]) for item in job.items)),
        "dates": sorted({f"{item.datetime:%Y-%m-%d}" for item in job.items if item.datetime}),
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return {**json.loads(json.dumps(asked)), "hash": digest}


def _stamp(item: pystac.Item, name: str) -> str:
    """File, length and time of change: scores that were made anew have the same name."""
    href = item.assets[name].href
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


def _item(out: Path, job: Job, dates: NDArray[np.datetime64], request: dict[str, Any]) -> pystac.Item:
    grid = job.grid
    footprint = grid.geographic_extent if job.area is None else job.area & grid.geographic_extent
    times = sorted(dates.astype("datetime64[s]").tolist())
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
