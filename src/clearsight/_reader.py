"""Read one band of one image into a grid: decoded at the resolution needed, harmonised, NaN = nodata.

Two properties of reduced JPEG 2000 decoding have to be undone, or they end up in the scores. The reduced image is the
wavelet's low-pass band: (1) it mixes nodata (0) into the pixels beside it, which darkens the swath's edge; and (2) its
samples sit on the *first* pixel of each group instead of in its middle, a shift of 15 m at a fourfold reduction.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo import xy_
from odc.geo.converters import rio_geobox
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.overlap import ReprojectInfo, compute_reproject_roi
from odc.geo.roi import roi_is_empty
from rasterio.enums import Resampling
from rasterio.warp import reproject

from clearsight._darkness import Witness
from clearsight._resample import block_mean, group_mean, interpolate, is_whole
from clearsight.bands import NODATA_DN, harmonise
from clearsight.errors import ProductError
from clearsight.sources._remote import reading
from clearsight.sources._zarr import ZarrBand, is_zarr

Float = NDArray[np.float32]
Numbers = NDArray[np.integer]
Roi = tuple[slice, slice]

AUTO: Final = "auto"
"""Resampling by circumstance: none on the same grid, bilinear to finer pixels, average to coarser ones."""

_COARSER: Final = 1.25
"""Pixels of an image per pixel of the grid from which on they are averaged, no longer interpolated."""

_SQUARE: Final = 256
"""Pixels along a side of the squares in which other reference systems are computed."""

_WARPING: Final = threading.Lock()

_NOTHING: Final[Roi] = (slice(0, 0), slice(0, 0))


@dataclass(frozen=True)
class Source:
    """Where the pixels of one band of one item are, and what their numbers mean."""

    item: str
    """Id of the item, for messages."""
    asset: str
    """Key of the asset, for messages."""
    href: str
    """File, in any form that GDAL opens."""
    band: int
    """Band within the file, from 1."""
    nodata: float | None
    """Number that means "never measured"."""
    quantification: float
    """Value = (number + offset) / quantification."""
    offset: float
    """See ``quantification``."""
    categorical: bool
    """The numbers are classes or flags: never averaged, never decoded at reduced resolution."""
    witnesses: tuple[Witness, ...] = ()
    """Bands whose darkest pixels tell whether the offset is right; none, if the product itself tells the offset."""


def read(source: Source, grid: GeoBox, *, resampling: str = AUTO) -> tuple[Roi, Float]:
    """Read a source into that part of a grid which it covers.

    Parameters
    ----------
    source : Source
        What to read.
    grid : GeoBox
        Pixels wanted.
    resampling : str
        ``"auto"`` or a name of GDAL's.

    Returns
    -------
    roi : pair of slices
        Rows and columns of ``grid`` that the source covers.
    values : (y, x) float32
        Values there; NaN = nodata.

    Raises
    ------
    ProductError
        The file is missing, truncated or corrupt; a server refuses or fails (`RemoteError`).
    """

    if is_zarr(source.href):
        return _read(ZarrBand(source.href, item=source.item, asset=source.asset), source, grid, resampling)

    def read_it(address: str) -> tuple[Roi, Float]:
        with rasterio.open(address, sharing=False) as dataset:
            return _read(dataset, source, grid, resampling)

    return reading(read_it, href=source.href, item=source.item, asset=source.asset)


def _read(dataset: rasterio.DatasetReader, source: Source, grid: GeoBox, resampling: str) -> tuple[Roi, Float]:
    _check(dataset, source)
    if grid.crs != CRS(dataset.crs):
        return _read_foreign(dataset, source, grid, resampling)
    overlap = compute_reproject_roi(rio_geobox(dataset), grid, ttol=0.01)
    roi = _plain(overlap.roi_dst)
    if roi_is_empty(roi) or roi_is_empty(overlap.roi_src):
        return _NOTHING, np.empty((0, 0), np.float32)
    if overlap.paste_ok and overlap.read_shrink == 1:
        return roi, _values(dataset, source, _plain(overlap.roi_src))
    scale = _scale(dataset, overlap)
    method = _method(resampling, scale, source)
    pixels, transform, level = _pixels(dataset, source, overlap, scale=scale, method=method)
    part = grid[roi]
    if method == Resampling.average and is_whole(pixels, transform, part):
        return roi, block_mean(pixels, transform, part)
    if method == Resampling.bilinear and scale < _COARSER:
        return roi, interpolate(pixels, transform, part)
    return roi, _warp(pixels, transform, part, crs=dataset.crs, method=method, scale=scale / (1 << level))


def _read_foreign(dataset: rasterio.DatasetReader, source: Source, grid: GeoBox, resampling: str) -> tuple[Roi, Float]:
    """Read into a grid of another reference system.

    GDAL interpolates coordinates between the ends of a window's rows, so what it returns depends on the window. Fixed
    squares of the grid, whatever the window, make values independent of the chunks.
    """
    area, crop = _whole_squares(grid)
    overlap = compute_reproject_roi(rio_geobox(dataset), area)
    if roi_is_empty(overlap.roi_dst) or roi_is_empty(overlap.roi_src):
        return _NOTHING, np.empty((0, 0), np.float32)
    scale = _scale(dataset, overlap)
    method = _method(resampling, scale, source)
    pixels, transform, level = _pixels(dataset, source, overlap, scale=scale, method=method)
    values = np.full(area.shape, np.nan, np.float32)
    for top, left in product(range(0, area.shape.y, _SQUARE), range(0, area.shape.x, _SQUARE)):
        square = slice(top, top + _SQUARE), slice(left, left + _SQUARE)
        values[square] = _warp(
            pixels, transform, area[square], crs=dataset.crs, method=method, scale=scale / (1 << level)
        )
    return (slice(0, grid.shape.y), slice(0, grid.shape.x)), values[crop]


def _whole_squares(grid: GeoBox) -> tuple[GeoBox, Roi]:
    """Grow a grid to whole squares, counted from the origin of its reference system; and where it lies in there."""
    pixel = grid.transform
    top, left = round(pixel.f / pixel.e) % _SQUARE, round(pixel.c / pixel.a) % _SQUARE
    rows, columns = grid.shape
    height, width = (-(-size // _SQUARE) * _SQUARE for size in (top + rows, left + columns))
    corner = _window_transform(pixel, (slice(-top, 0), slice(-left, 0)))
    return GeoBox((height, width), corner, grid.crs), (slice(top, top + rows), slice(left, left + columns))


def _warp(pixels: Float, transform: Affine, grid: GeoBox, *, crs: Any, method: Resampling, scale: float) -> Float:
    values = np.full(grid.shape, np.nan, np.float32)
    # Left to itself, GDAL derives the width of its kernels from the window.
    density = min(1.0, 1 / scale)
    # rasterio silences a warning of its own here, in a way that fails when two threads do it at once.
    with _WARPING:
        reproject(
            pixels,
            values,
            src_transform=transform,
            src_crs=crs,
            src_nodata=np.nan,
            dst_transform=grid.transform,
            dst_crs=str(grid.crs),
            dst_nodata=np.nan,
            resampling=method,
            XSCALE=density,
            YSCALE=density,
        )
    return values


def _scale(dataset: rasterio.DatasetReader, overlap: ReprojectInfo) -> float:
    """Pixels of the image per pixel of the grid, at the image's centre: the same for every window of the grid."""
    column, row = dataset.width / 2, dataset.height / 2
    centre, right, below = overlap.transform([xy_(column, row), xy_(column + 1, row), xy_(column, row + 1)])
    steps = [math.hypot(point.x - centre.x, point.y - centre.y) for point in (right, below)]
    return round(1 / max(*steps, 1e-9), 6)


def _check(dataset: rasterio.DatasetReader, source: Source) -> None:
    if dataset.crs is None:
        raise ProductError(
            f"item {source.item!r}: asset {source.asset!r} ({source.href}) has no coordinate reference system; "
            "pass a file that is georeferenced."
        )
    if source.band > dataset.count:
        raise ProductError(
            f"item {source.item!r}: asset {source.asset!r} should be band {source.band} of {source.href}, "
            f"which has {dataset.count}; correct the item's 'clearsight:band'."
        )


def _method(resampling: str, scale: float, source: Source) -> Resampling:
    if resampling != AUTO:
        return Resampling[resampling]
    if source.categorical:
        return Resampling.nearest
    return Resampling.average if scale >= _COARSER else Resampling.bilinear


def _pixels(
    dataset: rasterio.DatasetReader, source: Source, overlap: ReprojectInfo, *, scale: float, method: Resampling
) -> tuple[Float, Affine, int]:
    """Source pixels for a resampling, their transform, and how often they were halved: as far as the grid allows."""
    level = 0 if source.categorical or method == Resampling.nearest else _level(dataset, source.band, int(scale))
    # Two pixels (of the level that is read) on every side feed the widest kernel in use.
    roi = _padded(_plain(overlap.roi_src), dataset.shape, by=2 << level)
    if level == 0:
        return _values(dataset, source, roi), _window_transform(dataset.transform, roi), level
    read_level = _reduced if dataset.driver.startswith("JP2") else _overview
    return *read_level(dataset, source, roi, level), level


def _level(dataset: rasterio.DatasetReader, band: int, shrink: int) -> int:
    """How many times the image can be halved before it is read."""
    overviews = dataset.overviews(band)
    block = dataset.block_shapes[band - 1]
    level = 0
    while 2 << level <= shrink and 2 << level in overviews and all(side % (2 << level) == 0 for side in block):
        level += 1
    return level


def _overview(dataset: rasterio.DatasetReader, source: Source, roi: Roi, level: int) -> tuple[Float, Affine]:
    """Read an averaged overview, as cloud-optimised GeoTIFFs have them."""
    shrink = 1 << level
    with rasterio.open(
        dataset.name, sharing=False, overview_level=dataset.overviews(source.band).index(shrink)
    ) as overview:
        rows, cols = (
            slice(side.start // shrink, min(-(-side.stop // shrink), size))
            for side, size in zip(roi, overview.shape, strict=True)
        )
        values = _values(overview, source, (rows, cols))
    area = (slice(rows.start * shrink, 0), slice(cols.start * shrink, 0))
    return values, _window_transform(dataset.transform, area, shrink=shrink)


def _reduced(dataset: rasterio.DatasetReader, source: Source, roi: Roi, level: int) -> tuple[Float, Affine]:
    """Decode a JPEG 2000 image at reduced resolution, without bleeding nodata and without its shift.

    Blocks that hold both nodata and data (those on the swath's edge) are decoded in full and averaged over their valid
    pixels. A hole of nodata that is smaller than a reduced pixel leaves no trace in the reduced image and isn't seen.
    """
    shrink = 1 << level
    sides = dataset.block_shapes[source.band - 1]
    # Whole blocks: they are decoded whole anyway, and whether one is mixed mustn't depend on the window.
    area = _snapped(roi, dataset.shape, sides, margin=shrink)
    overviews = dataset.overviews(source.band)
    with rasterio.open(dataset.name, sharing=False, overview_level=overviews.index(shrink)) as overview:
        numbers = _numbers(overview, source, _shrunk(area, shrink))
    values = _decode(numbers, source)
    mixed = [block for block in _blocks(area, sides) if _is_mixed(values[_within(block, area, shrink)])]
    for block in mixed:
        values[_within(block, area, shrink)] = np.nan
    values = _centred(values, level)
    for block in mixed:
        values[_within(block, area, shrink)] = group_mean(_values(dataset, source, block), shrink)
    return values, _window_transform(dataset.transform, area, shrink=shrink)


def _centred(values: Float, level: int) -> Float:
    """Move the samples of a reduced image from the first pixel of their group to its middle.

    After ``level`` halvings a sample stands for full pixel ``k * 2**level``, its group's middle lies
    ``(2**level - 1) / 2`` further on (JPEG 2000 part 1, annex F: the low-pass band keeps the even samples).
    """
    share = np.float32(0.5 - 0.5 ** (level + 1))
    for axis in (0, 1):
        following = np.roll(values, -1, axis)
        last = [slice(None), slice(None)]
        last[axis] = slice(-1, None)
        following[tuple(last)] = np.nan
        moved = values + share * (following - values)
        values = np.where(np.isnan(following), values, moved)
    return values


def _values(dataset: rasterio.DatasetReader, source: Source, roi: Roi) -> Float:
    return _decode(_numbers(dataset, source, roi), source)


def _numbers(dataset: rasterio.DatasetReader, source: Source, roi: Roi) -> Numbers:
    numbers: Numbers = dataset.read(source.band, window=tuple((side.start, side.stop) for side in roi))
    return numbers


def _decode(numbers: Numbers, source: Source) -> Float:
    """Turn stored numbers into values."""
    if source.nodata == NODATA_DN:
        return harmonise(numbers, offset=source.offset, quantification=source.quantification)
    values = (numbers.astype(np.float32) + np.float32(source.offset)) / np.float32(source.quantification)
    if source.nodata is not None:
        values[numbers == source.nodata] = np.nan
    return values


def _is_mixed(values: Float) -> bool:
    missing = np.isnan(values)
    return bool(missing.any() and not missing.all())


def _window_transform(transform: Affine, roi: Roi, *, shrink: int = 1) -> Affine:
    rows, cols = roi
    left, top = transform.c + cols.start * transform.a, transform.f + rows.start * transform.e
    return Affine(transform.a * shrink, 0, left, 0, transform.e * shrink, top)


def _plain(roi: Any) -> Roi:
    """A window as plain slices (odc-geo has its own kind)."""
    rows, cols = roi
    return slice(rows.start, rows.stop), slice(cols.start, cols.stop)


def _blocks(area: Roi, sides: tuple[int, int]) -> Iterator[Roi]:
    rows, cols = area
    for top in range(rows.start // sides[0] * sides[0], rows.stop, sides[0]):
        for left in range(cols.start // sides[1] * sides[1], cols.stop, sides[1]):
            yield (
                slice(max(top, rows.start), min(top + sides[0], rows.stop)),
                slice(max(left, cols.start), min(left + sides[1], cols.stop)),
            )


def _within(block: Roi, area: Roi, shrink: int) -> Roi:
    """Place of a block (in full pixels) within the reduced array of its area."""
    rows, cols = (
        slice((side.start - origin.start) // shrink, -(-(side.stop - origin.start) // shrink))
        for side, origin in zip(block, area, strict=True)
    )
    return rows, cols


def _shrunk(roi: Roi, shrink: int) -> Roi:
    rows, cols = (slice(side.start // shrink, -(-side.stop // shrink)) for side in roi)
    return rows, cols


def _padded(roi: Roi, shape: tuple[int, int], *, by: int) -> Roi:
    rows, cols = (
        slice(max(side.start - by, 0), min(side.stop + by, size)) for side, size in zip(roi, shape, strict=True)
    )
    return rows, cols


def _snapped(roi: Roi, shape: tuple[int, int], sides: tuple[int, int], *, margin: int) -> Roi:
    """Grow a window to whole blocks, after a margin at its far sides for the samples that follow."""
    rows, cols = (
        slice(side.start // step * step, min(-(-(side.stop + margin) // step) * step, size))
        for side, size, step in zip(roi, shape, sides, strict=True)
    )
    return rows, cols
