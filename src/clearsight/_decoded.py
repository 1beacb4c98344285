"""JPEG 2000 images, decoded once for a whole row of sub-tiles instead of once for each that reaches into a block.

Decoding is the dearest step of scoring a tile, and a block of 1024 pixels lies in the halo of up to nine sub-tiles. So
the rows of an image that a row of sub-tiles needs are decoded into a plain file, which takes next to nothing to read;
what the row before it had decoded is copied. Values are the same either way: whatever can't be prepared like this
(another format, reference system or resolution, no room on the disk) is read from the image itself, as are its errors.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pystac
import rasterio
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from rasterio.windows import Window, from_bounds

from clearsight.errors import ClearsightError
from clearsight.scene import DECODED, source
from clearsight.sources._remote import reading
from clearsight.sources._zarr import is_zarr
from clearsight.whole import whole_file

_MARGIN: Final = 4
"""Pixels around a grid that interpolation can ask for."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """Part of a tile's grid as wide as the tile, and the folder of what is decoded for it."""

    folder: Path
    window: GeoBox


@dataclass(frozen=True)
class Decoding:
    """A task: decode the bands of one image for one row of sub-tiles."""

    item: pystac.Item
    index: str
    """Of the item: names its files."""
    bands: tuple[str, ...]
    rows: Rows
    before: Rows | None
    """The row above, if its files are still there."""

    @property
    def key(self) -> str:
        """What a cluster's pages show of the task."""
        return f"decode-{self.rows.folder.parent.name}-{self.rows.folder.name}-{self.index}"

    def do(self) -> None:
        """Make the files that can be made; those that are there stay."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self._band, self.bands))

    def _band(self, name: str) -> None:
        path = file_of(self.rows.folder, self.index, name)
        facts = source(self.item, name)
        if path.exists() or facts.band != 1 or is_zarr(facts.href):
            return
        try:
            made = reading(lambda address: self._image(address, name), href=facts.href, item=self.item.id, asset=name)
            if made is not None:
                # By Python: GDAL can leave blocks out on a full disk without a word, and those would read as nodata.
                with whole_file(path, lasting=False) as part:
                    part.write_bytes(made)
        except ClearsightError as error:
            _log.info("%s, %s isn't decoded beforehand: %s", self.item.id, name, error)

    def _image(self, address: str, name: str) -> bytes | None:
        """The needed rows as a file's content; None if they can't stand for the image."""
        with rasterio.open(address, sharing=False) as image:
            span = _span(image, self.rows.window)
            if span is None:
                return None
            numbers = self._known(image, span, name)
            if len(numbers) < span.height:
                rest = Window(0, span.row_off + len(numbers), image.width, span.height - len(numbers))
                numbers = np.concatenate([numbers, image.read(1, window=rest)])
            profile = {
                "driver": "GTiff", "count": 1, "dtype": numbers.dtype, "width": image.width, "height": span.height,
                "crs": image.crs, "transform": image.window_transform(span), "tiled": True,
                "blockxsize": 256, "blockysize": 256,
            }  # fmt: skip
        with rasterio.MemoryFile() as memory:
            with memory.open(**profile) as file:
                file.write(numbers, 1)
            return bytes(memory.getbuffer())

    def _known(self, image: rasterio.DatasetReader, span: Window, name: str) -> NDArray[Any]:
        """The first rows, from the files of the row above; none, if there is no such file."""
        nothing = np.empty((0, image.width), dtype=image.dtypes[0])
        above = None if self.before is None else _span(image, self.before.window)
        if self.before is None or above is None:
            return nothing
        path = file_of(self.before.folder, self.index, name)
        common = above.row_off + above.height - span.row_off
        if not path.exists() or span.row_off < above.row_off or common <= 0:
            return nothing
        with rasterio.open(path, sharing=False) as file:
            rows: NDArray[Any] = file.read(1, window=Window(0, above.height - common, image.width, common))
            return rows[: span.height]


def _span(image: rasterio.DatasetReader, window: GeoBox) -> Window | None:
    """Whole blocks of rows that a grid needs; None where plain rows of the image can't stand for it."""
    size = image.res[0]
    if not image.driver.startswith("JP2") or CRS(image.crs) != window.crs or image.transform.b or image.transform.d:
        return None
    # From a factor of two on, the reader decodes at reduced resolution: other values, and cheaper than this.
    if abs(float(window.resolution.x)) >= 2 * size:
        return None
    wanted = from_bounds(*window.boundingbox.bbox, transform=image.transform)
    block = image.block_shapes[0][0]
    first = max(math.floor(wanted.row_off) - _MARGIN, 0) // block * block
    last = min(-(-(math.ceil(wanted.row_off + wanted.height) + _MARGIN) // block) * block, image.height)
    return Window(0, first, image.width, last - first) if last > first else None


def is_jpeg2000(item: pystac.Item, bands: Sequence[str]) -> bool:
    """Is any of these bands such an image, by its name?"""
    return any(item.assets[name].href.lower().endswith(".jp2") for name in bands)


def file_of(folder: Path, index: str, band: str) -> Path:
    """Where the rows of a band are, or would be."""
    return folder / f"{index}-{band}.tif"


def decoded_item(item: pystac.Item, *, index: str, bands: Sequence[str], folder: Path) -> pystac.Item:
    """The item, with the files that are there in the place of its images."""
    found = {name: path for name in bands if (path := file_of(folder, index, name)).exists()}
    if not found:
        return item
    copy = item.clone()
    for name, path in found.items():
        copy.assets[name].extra_fields[DECODED] = str(path)
    return copy
