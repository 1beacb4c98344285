"""A report to send: one HTML file with quick-looks, composites at many thresholds, and what each leaves."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from clearsight.availability import availability
from clearsight.errors import ArgumentError
from clearsight.product import SCORES
from clearsight.progress import Progress, silent
from clearsight.viewer.chunks import Chunks
from clearsight.viewer.drawing import Rgba, draw, encoded, legend
from clearsight.viewer.library import Library
from clearsight.viewer.looks import Look, read_look
from clearsight.whole import whole_file

THRESHOLDS: Final = tuple(round(0.30 + 0.05 * step, 2) for step in range(14))
"""Thresholds of the report's slider: 0.30 to 0.95."""

_LARGE: Final = 720
"""Longer side of the composites, pixels."""

_SMALL: Final = 320
"""Longer side of the quick-looks, pixels."""


def write_report(library: Library, path: str | os.PathLike[str], *, progress: Progress | None = None) -> Path:
    """Write a self-contained report of an archive.

    Parameters
    ----------
    library : Library
        From `clearsight.viewer.library.open_library`.
    path : path
        The ``.html`` file to make; it appears when it is complete, or not at all.
    progress : callable, optional
        Called with (pictures done, pictures in all, what).

    Returns
    -------
    Path
        ``path``. The file asks for nothing from outside: it opens offline, and can be sent.

    Raises
    ------
    ArgumentError
        ``path`` doesn't end in ``.html``.
    OutputError
        The folder can't be made or written to.

    Examples
    --------
    >>> write_report(open_library("archive"), "report.html")  # doctest: +SKIP
    PosixPath('report.html')
    """
    out = Path(path)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"path={str(out)!r}; expected a name that ends in .html.")
    chunks = Chunks(library)
    content = {
        "title": library.title,
        "palette": legend(),
        "thresholds": THRESHOLDS,
        "dates": [],
        "composites": {by: [] for by in SCORES},
        "statistics": _statistics(library, chunks),
    }
    tell = progress or silent
    looks = list(_looks(library))
    for number, (where, look, entry) in enumerate(looks):
        tell(number, len(looks), "draw the report")
        picture = _data_url(draw(look, _box(library, _SMALL if where == "dates" else _LARGE), chunks))
        if where == "dates":
            _date_entry(content, look, entry)[look.kind if look.kind == "scene" else look.by] = picture
        else:
            content["composites"][look.by].append(picture)  # type: ignore[index]
    tell(len(looks), len(looks), "draw the report")
    with whole_file(out) as part:
        part.write_text(_page(content), encoding="utf-8")
    return out


def _looks(library: Library) -> Iterator[tuple[str, Look, dict[str, Any]]]:
    """Every picture of the report: where it goes, what it shows, and what is told beside it."""
    for frame in library.frames.values():
        clear = {by: [frame.clear_share(by, threshold) for threshold in THRESHOLDS] for by in SCORES}
        entry = {"id": frame.id, "day": f"{frame.time:%Y-%m-%d}", "clear": _without_nan(clear)}
        if library.bands:
            yield "dates", read_look("scene", {"frame": frame.id}, library), entry
        for by in SCORES:
            yield "dates", Look(kind="score", frame=frame, bands=(), by=by), entry
    if library.bands:
        bands = read_look("composite", {}, library).bands
        for by in SCORES:
            for threshold in THRESHOLDS:
                yield "composites", Look(bands=bands, by=by, threshold=threshold), {}


def _date_entry(content: dict[str, Any], look: Look, entry: dict[str, Any]) -> dict[str, Any]:
    dates: list[dict[str, Any]] = content["dates"]
    if not dates or dates[-1]["id"] != entry["id"]:
        dates.append(entry)
    return dates[-1]


def _box(library: Library, side: int) -> GeoBox:
    """Everything there is, on the map's plane."""
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    west, south, east, north = to_map.transform_bounds(*library.bbox, densify_pts=21)
    # No finer than the pixels are: 10 m on the ground are more on the map's plane, the further from the equator.
    ground = 10 / np.cos(np.radians((library.bbox[1] + library.bbox[3]) / 2))
    resolution = max((east - west) / side, (north - south) / side, ground)
    return GeoBox.from_bbox((west, south, east, north), "EPSG:3857", resolution=float(resolution), tight=True)


def _statistics(library: Library, chunks: Chunks) -> dict[str, list[dict[str, float | None]]]:
    """By score: what each threshold leaves, counted on the report's pixels."""
    box, frames = _box(library, _LARGE), list(library.frames.values())
    told = {}
    for by in SCORES:
        score = xr.DataArray(chunks.stack(box, frames, by), dims=("time", "y", "x"))
        rows = availability(score, thresholds=THRESHOLDS)
        told[by] = [_without_nan({name: asdict(row)[name] for name in ("clear", "expected", "never")}) for row in rows]
    return told


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if value != value else round(value, 4)


def _data_url(rgba: Rgba) -> str:
    # Lossy: these are for looking, and one file has to be small enough to send.
    content = encoded(rgba, driver="WEBP", QUALITY="82")
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


def _page(content: dict[str, Any]) -> str:
    static = files("clearsight.viewer") / "static"
    script, style = ((static / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    # "<" can't end the data block early, whatever a title holds.
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; img-src data:; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(str(content['title']))} · Clearsight</title>\n<style>{style}</style></head>\n"
        f'<body><main id="report"></main>\n<script type="application/json" id="content">{data}</script>\n'
        f"<script>{script}</script></body></html>\n"
    )


def _digest(text: str) -> str:
    """The one script, and the one style, that may run in the report."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
