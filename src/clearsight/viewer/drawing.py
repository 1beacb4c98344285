"""From a look and a piece of the map to a picture."""

from __future__ import annotations

from typing import Final

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rio_tiler.colormap import cmap

from clearsight._kernels import SCORED
from clearsight.bands import BANDS
from clearsight.compositing import FILE_NODATA, composite, keep_clear
from clearsight.errors import ArgumentError
from clearsight.pictures import true_colour
from clearsight.product import SCORES, decode
from clearsight.viewer.chunks import STEPS, Chunks
from clearsight.viewer.library import Frame
from clearsight.viewer.looks import Look

Rgba = NDArray[np.uint8]

PALETTE: Final = np.array([cmap.get("viridis")[number] for number in range(256)], np.uint8)
"""Colours of a score from 0 to 1, (256, 4): equal steps look equally large, also to the colour-blind and in grey."""

_MOST: Final = 400
"""Dates of one live composite at most."""


def legend(stops: int = 12) -> list[str]:
    """Give colours of the palette at equal distances, from 0 to 1, as ``#rrggbb``."""
    chosen = PALETTE[np.linspace(0, 255, stops).round().astype(int)]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue, _ in chosen.tolist()]


def draw(look: Look, box: GeoBox, chunks: Chunks) -> Rgba:
    """Draw a piece of the map.

    Parameters
    ----------
    look : Look
        What to show.
    box : GeoBox
        Pixels, in EPSG:3857.
    chunks : Chunks
        Where pixels come from.

    Returns
    -------
    uint8 array (y, x, 4)
        Nodata, and what scores too low, is transparent.

    Raises
    ------
    ArgumentError
        The composite would take more dates than are drawn live.
    """
    if look.kind == "score":
        assert look.frame is not None
        return coloured(decode(chunks.stack(box, [look.frame], look.by)[0]))
    if look.kind == "count":
        return _counted(look, box, chunks)
    image = composed(look, box, chunks) if look.kind == "composite" else _scene(look, box, chunks)
    return _rgba(image, look)


def png(rgba: Rgba) -> bytes:
    """Encode a picture."""
    # Measured on a tile: level 1 takes a fifth of the time of GDAL's usual 6, and 15 % more bytes.
    return encoded(rgba, driver="PNG", ZLEVEL="1")


def encoded(rgba: Rgba, *, driver: str, **options: str) -> bytes:
    """Encode a picture with one of GDAL's drivers and its creation options."""
    height, width, count = rgba.shape
    # A picture needs no georeference, but without one rasterio warns; to silence a warning (as `rio_tiler.utils.render`
    # does) changes the filters of the whole process, which goes wrong when two threads do it at once.
    transform = rasterio.Affine(1, 0, 0, 0, -1, height)
    profile = {"width": width, "height": height, "count": count, "dtype": "uint8", "transform": transform, **options}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver=driver, **profile) as file:
            file.write(np.moveaxis(rgba, -1, 0))
        content: bytes = memory.read()
        return content


def coloured(share: NDArray[np.float32]) -> Rgba:
    """Colour numbers from 0 to 1 with the palette; NaN is transparent."""
    seen = np.isfinite(share)
    rgba: Rgba = PALETTE[np.rint(np.where(seen, np.clip(share, 0, 1), 0) * 255).astype(np.uint8)]
    rgba[~seen] = 0
    return rgba


def composed(look: Look, box: GeoBox, chunks: Chunks) -> xr.Dataset:
    """Make the composite of a piece of the map with the composite engine; reflectance and ``count``, dims (y, x)."""
    frames = look.frames(chunks.library)
    if len(frames) > _MOST:
        raise ArgumentError(f"{len(frames)} dates; at most {_MOST} are composited live. Choose a shorter time.")
    names = [*dict.fromkeys(look.bands)]
    scored = look.threshold > 0 or look.method in SCORED
    wanted = [*names, *(["B02"] if look.method == "best" and "B02" in chunks.library.bands else [])]
    scores = [look.by] * scored + ["cs"] * (look.method == "best" and look.by != "cs")
    stack = _stack([*dict.fromkeys(wanted), *scores], frames, box, chunks)
    image = composite(stack, method=look.method, by=look.by if scored else None, threshold=look.threshold)
    return image.assign({name: image[name] / np.float32(STEPS) for name in names})


def _stack(names: list[str], frames: list[Frame], box: GeoBox, chunks: Chunks) -> xr.Dataset:
    """Stored numbers, as the engine takes them: digital numbers with their nodata, and scores as in the files."""
    variables = {
        name: (
            ("time", "y", "x"),
            chunks.stack(box, frames, name),
            {} if name in SCORES else {"nodata": FILE_NODATA},
        )
        for name in names
    }
    times = np.array([frame.time.replace(tzinfo=None) for frame in frames], "datetime64[ns]")
    return xr.Dataset(variables, coords={"time": times})


def _scene(look: Look, box: GeoBox, chunks: Chunks) -> xr.Dataset:
    assert look.frame is not None
    names = [*dict.fromkeys(look.bands)]
    planes = {name: chunks.stack(box, [look.frame], name)[0] for name in names}
    image = xr.Dataset(
        {
            name: (("y", "x"), np.where(plane == FILE_NODATA, np.float32(np.nan), plane / np.float32(STEPS)))
            for name, plane in planes.items()
        }
    )
    if look.kind == "scene":
        return image
    score = decode(chunks.stack(box, [look.frame], look.by)[0])
    return keep_clear(image.assign({look.by: (("y", "x"), score)}), by=look.by, threshold=look.threshold)


def _rgba(image: xr.Dataset, look: Look) -> Rgba:
    red, green, blue = look.bands if len(look.bands) == 3 else look.bands * 3
    return true_colour(image, bands=(red, green, blue), display=(look.low / STEPS, look.high / STEPS))


def _counted(look: Look, box: GeoBox, chunks: Chunks) -> Rgba:
    """Colour the number of clear dates by its share of all dates."""
    frames = look.frames(chunks.library)
    score = chunks.stack(box, frames, look.by)
    stack = xr.Dataset({"score": (("time", "y", "x"), score, {"nodata": 255}), look.by: (("time", "y", "x"), score)})
    count = composite(stack, by=look.by, threshold=look.threshold)["count"].to_numpy()
    seen = (score != 255).any(axis=0) if len(frames) else np.zeros(box.shape, bool)
    share = np.where(seen, count / np.float32(max(len(frames), 1)), np.float32(np.nan)).astype(np.float32)
    return coloured(share)


def known_bands(bands: tuple[str, ...]) -> list[dict[str, str]]:
    """Tell names of bands, as the page offers them."""
    return [{"name": name, "title": f"{name} · {BANDS[name].common_name}"} for name in bands]
