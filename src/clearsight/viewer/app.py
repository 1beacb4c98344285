"""The map's server: an ASGI app that only reads, and only from the library it was given."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio.to_thread
from pyproj import Transformer
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from clearsight.errors import ArgumentError, ClearsightError
from clearsight.mosaic import Recipe, write_mosaic
from clearsight.product import SCORES
from clearsight.viewer.chunks import DEEPEST, TILE, Chunks, MapTile
from clearsight.viewer.drawing import draw, known_bands, legend, png
from clearsight.viewer.guard import BusyError, Gate, Guard
from clearsight.viewer.library import Frame, Library
from clearsight.viewer.looks import DISPLAY, METHODS, Look, area, place, read_look

PAGE: Final = {
    "": ("index.html", "text/html; charset=utf-8"),
    "app.js": ("app.js", "text/javascript; charset=utf-8"),
    "app.css": ("app.css", "text/css; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
"""The page's files, by name; no other name leads to a file."""

LARGEST: Final = 16_777_216
"""Pixels of a download at most: 4096 x 4096."""

_HIDDEN: Final = ("proj:", "raster:", "eo:bands", "bands")
_EXTRA_BAND: Final = "B08"
_T = TypeVar("_T")


def make_app(
    library: Library,
    *,
    hosts: Iterable[str] = (),
    base_path: str = "",
    framed_by: Iterable[str] = (),
    budget: int | None = None,
) -> ASGIApp:
    """Make the ASGI app of a library.

    Parameters
    ----------
    library : Library
        What to show.
    hosts : iterable of str
        Names that a ``Host`` header may hold besides ``localhost``, ``127.0.0.1`` and ``::1``.
    base_path : str
        Prefix of the address under which a proxy shows the app, such as ``/user/me/proxy/8765``.
    framed_by : iterable of str
        Origins whose pages may hold the map in a frame; by default only its own.
    budget : int, optional
        Bytes to keep pixels in; by default a quarter of the machine's memory, 2 GB at most.

    Returns
    -------
    ASGI app
    """
    site = _Site(library, Chunks(library, budget=budget))
    routes = [
        Route("/", site.page),
        Route("/static/{name}", site.page),
        Route("/api/catalogue", site.catalogue),
        Route("/api/properties/{index}", site.properties),
        Route("/api/pixel", site.pixel),
        Route("/api/download", site.download),
        Route("/tiles/{kind}/{z:int}/{x:int}/{y:int}.png", site.tile),
    ]
    handlers: dict[Any, Any] = {ClearsightError: _told, BusyError: _busy, Exception: _broken}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.state.site = site
    return Guard(inner, hosts=hosts, base_path=base_path.rstrip("/"), framed_by=framed_by)


async def _told(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400 if isinstance(error, ArgumentError) else 500)


async def _busy(request: Request, error: Exception) -> Response:
    return JSONResponse(
        {"error": "too many requests wait already; try again in a moment."}, 503, headers={"Retry-After": "2"}
    )


async def _broken(request: Request, error: Exception) -> Response:
    """Say that something went wrong, and nothing of paths or code; the terminal shows the traceback."""
    return JSONResponse({"error": "the server failed; its terminal tells why."}, status_code=500)


class _Site:
    """The answers; owns the pixels in memory and the gates."""

    def __init__(self, library: Library, chunks: Chunks) -> None:
        self.library, self.chunks = library, chunks
        workers = max(2, min(os.cpu_count() or 1, 8))
        self.drawing = Gate(running=workers, waiting=400)
        self.exporting = Gate(running=1, waiting=4)
        self._catalogue = _catalogue(library)

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("name", "")
        if name not in PAGE or (name == "" and request.url.path.endswith("/static/")):
            return JSONResponse({"error": "there is no such file."}, status_code=404)
        file, kind = PAGE[name]
        content = (files("clearsight.viewer") / "static" / file).read_bytes()
        return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})

    async def catalogue(self, request: Request) -> Response:
        return JSONResponse(self._catalogue)

    async def properties(self, request: Request) -> Response:
        index = request.path_params["index"]
        if index not in self.library.scenes:
            raise ArgumentError(f"index={index[:80]!r} is no scene of this archive; see api/catalogue.")
        scene = self.library.scenes[index]
        facts = {**(scene.item.properties if scene.bands else {}), **scene.score.properties}
        shown = {name: value for name, value in sorted(facts.items()) if not name.startswith(_HIDDEN)}
        return JSONResponse({"index": index, "image": scene.item.id if scene.bands else None, "properties": shown})

    async def tile(self, request: Request) -> Response:
        path = request.path_params
        look = read_look(path["kind"], request.query_params, self.library)
        tile = MapTile(path["z"], path["x"], path["y"])

        def work() -> bytes:
            return png(draw(look, tile.geobox(), self.chunks))

        async with self.drawing:
            # Whoever moves a slider asks for many pictures, and wants to see the last.
            if await request.is_disconnected():
                return Response(status_code=499)
            picture = await _in_thread(work)
        headers = {"Cache-Control": "private, max-age=3600"} if "v" in request.query_params else {}
        return Response(picture, media_type="image/png", headers=headers)

    async def pixel(self, request: Request) -> Response:
        lon, lat = place(request.query_params)
        bands = _pixel_bands(request, self.library)
        async with self.drawing:
            rows = await _in_thread(partial(self.chunks.pixel, lon, lat, [*bands, *SCORES]))
        return JSONResponse(
            {"lon": lon, "lat": lat, "bands": bands, "series": [_pixel_row(frame, values) for frame, values in rows]}
        )

    async def download(self, request: Request) -> Response:
        look = read_look("composite", request.query_params, self.library)
        box = area(request.query_params)
        async with self.exporting:
            folder = Path(await _in_thread(partial(tempfile.mkdtemp, prefix="clearsight-")))
            clear = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
            try:
                file = await _in_thread(partial(_write_area, self.library, look, box, folder))
            except BaseException:
                await clear()
                raise
        return FileResponse(file, media_type="image/tiff", filename=_file_name(look), background=clear)


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await anyio.to_thread.run_sync(work)


def _catalogue(library: Library) -> dict[str, Any]:
    """Everything that the page has to know before it asks for pictures."""
    return {
        "title": library.title,
        "version": library.version,
        "bbox": library.bbox,
        "bands": known_bands(library.bands),
        "methods": list(METHODS),
        "display": list(DISPLAY),
        "palette": legend(),
        "tile": TILE,
        "deepest": DEEPEST,
        "notes": list(library.notes),
        "frames": [_frame(frame) for frame in library.frames.values()],
    }


def _frame(frame: Frame) -> dict[str, Any]:
    """A date; its clear share in thousandths at every hundredth of the threshold, so that bars follow the slider."""
    return {
        "id": frame.id,
        "time": f"{frame.time:%Y-%m-%dT%H:%M:%SZ}",
        "scenes": [scene.index for scene in frame.scenes],
        "tiles": sorted({scene.tile for scene in frame.scenes}),
        "imagery": any(scene.bands for scene in frame.scenes),
        "level": next((str(scene.item.properties["processing:level"]) for scene in frame.scenes if scene.bands), None),
        "clear": {by: [_thousandths(frame.clear_share(by, step / 100)) for step in range(101)] for by in SCORES},
    }


def _thousandths(share: float) -> int | None:
    return None if math.isnan(share) else round(1000 * share)


def _pixel_bands(request: Request, library: Library) -> list[str]:
    """The bands on display, and the near infrared, which tells plants from ground."""
    if not library.bands:
        return []
    shown = read_look("composite", request.query_params, library).bands
    return [name for name in library.bands if name in (*shown, _EXTRA_BAND)]


def _pixel_row(frame: Frame, values: dict[str, float]) -> dict[str, Any]:
    numbers = {name: None if math.isnan(value) else round(value, 4) for name, value in values.items()}
    return {"id": frame.id, "time": f"{frame.time:%Y-%m-%dT%H:%M:%SZ}", **numbers}


def _write_area(library: Library, look: Look, box: tuple[float, float, float, float], folder: Path) -> Path:
    """Write the composite of an area, on the native grid of the tile that holds most of it."""
    tile, window = _window(library, box)
    frames = look.frames(library)
    items = [scene.item for frame in frames for scene in frame.scenes if scene.tile == tile and scene.bands]
    if not items:
        raise ArgumentError("no date with imagery is left for this area; choose a longer time.")
    recipe = Recipe(bands=tuple(dict.fromkeys(look.bands)), by=look.by, threshold=look.threshold, method=look.method)
    return write_mosaic(items, folder / "composite.tif", recipe=recipe, geobox=window).path


def _window(library: Library, box: tuple[float, float, float, float]) -> tuple[str, Any]:
    """The MGRS tile that shows most of the area, and the part of its grid to write."""
    best: tuple[int, str, Any] | None = None
    for tile, grid in library.grids.items():
        transformer = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True)
        west, south, east, north = transformer.transform_bounds(*box, densify_pts=21)
        if not all(map(math.isfinite, (west, south, east, north))):
            continue
        back = ~grid.transform
        left, right = (back.c + back.a * side for side in (west, east))
        top, bottom = (back.f + back.e * side for side in (north, south))
        rows = slice(max(math.floor(top), 0), min(math.ceil(bottom), grid.shape.y))
        columns = slice(max(math.floor(left), 0), min(math.ceil(right), grid.shape.x))
        pixels = max(rows.stop - rows.start, 0) * max(columns.stop - columns.start, 0)
        if pixels and (best is None or pixels > best[0]):
            best = pixels, tile, grid[rows, columns]
    if best is None:
        raise ArgumentError("bbox touches no scene of this archive; move the map to the imagery.")
    if best[0] > LARGEST:
        raise ArgumentError(
            f"bbox holds {best[0] / 1e6:.1f} million pixels; at most {LARGEST / 1e6:.1f} are written here. Zoom in, or "
            "use the command clearsight composite."
        )
    return best[1], best[2]


def _file_name(look: Look) -> str:
    """Made of checked values only."""
    days = [f"{day:%Y%m%d}" for day in (look.start, look.end) if day is not None]
    return "_".join(["clearsight", look.method, look.by, f"{round(100 * look.threshold):03d}", *days]) + ".tif"
