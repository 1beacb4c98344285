"""Facts of one item that loading needs: its grid, what its numbers mean, its angles, its masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pystac
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr
from rasterio.features import rasterize

from clearsight import _reader
from clearsight._darkness import WITNESSES, Witness
from clearsight._reader import Source
from clearsight.bands import BANDS
from clearsight.errors import ArgumentError, MissingBandError, MissingOffsetError, ProductError
from clearsight.sources._angles import angle_grids, mask_polygons
from clearsight.sources._archive import read_href
from clearsight.sources._metadata import parse_xml
from clearsight.sources._normalise import RULE

_QUALITY_BANDS: Final = {"lost": (1, 3), "degraded": (2, 4), "defective": (5,), "nodata": (6,), "saturated": (8,)}
"""Bands of ``MSK_QUALIT`` (from 1), after the *Sentinel-2 Products Specification Document* 14.9, table 3-8."""

_TILE_STEP: Final = 60
"""Metres: corners of all tiles are multiples of it."""

DECODED: Final = "clearsight:decoded"
"""Field of an asset: a file that holds the needed part of its image, decoded already."""

_GML_MASKS: Final = {"nodata": "MSK_NODATA", "saturated": "MSK_SATURA", "defective": "MSK_DEFECT"}
"""Masks of polygons before processing baseline 04.00."""


def bands_of(item: pystac.Item) -> tuple[str, ...]:
    """Sentinel-2 bands that an item has, in the order of :data:`clearsight.bands.BANDS`."""
    return tuple(name for name in BANDS if name in item.assets)


def source(item: pystac.Item, asset: str) -> Source:
    """Return where the pixels of an asset are, and what their numbers mean.

    Parameters
    ----------
    item : pystac.Item
        Source item, also one with score bands linked to it.
    asset : str
        Key of the asset. Its fields ``raster:bands`` (scale, offset, nodata) say how numbers become values; the field
        ``clearsight:band`` says which band of the file it is (from 1), if it isn't the first.

    Raises
    ------
    MissingBandError
        The item has no such asset.
    MissingOffsetError
        The asset is a Sentinel-2 band, and the item doesn't tell its offset.
    """
    if asset not in item.assets:
        raise MissingBandError(f"item {item.id!r} has no asset {asset!r}; it has {', '.join(sorted(item.assets))}.")
    found = item.assets[asset]
    fields = found.extra_fields
    index = int(fields.get("clearsight:band", 1))
    entries = fields.get("raster:bands") or [{}]
    entry: dict[str, Any] = entries[index - 1] if len(entries) > 1 and index <= len(entries) else entries[0]
    if asset in BANDS and not {"scale", "offset"} <= entry.keys():
        raise MissingOffsetError(
            f"item {item.id!r}: asset {asset!r} has no scale and offset in raster:bands: its reflectance is unknown; "
            "read the product itself with clearsight.search, or add them to the item."
        )
    scale = float(entry.get("scale", 1.0))
    nodata = entry.get("nodata", 0 if asset in BANDS else None)
    return Source(
        item=item.id,
        asset=asset,
        href=fields.get(DECODED) or found.get_absolute_href() or found.href,
        band=index,
        nodata=None if nodata is None else float(nodata),
        # Whole numbers again: 0.0001 stands for 1/10000, and 0.1 has no exact form in binary.
        quantification=round(1 / scale, 9),
        offset=round(float(entry.get("offset", 0.0)) / scale, 6),
        categorical="scale" not in entry,
        witnesses=_witnesses(item) if asset in BANDS else (),
    )


def _witnesses(item: pystac.Item) -> tuple[Witness, ...]:
    """Bands by which the offset can be checked, of items whose offset isn't from the product's own metadata."""
    if RULE not in item.properties:
        return ()
    level = str(item.properties.get("processing:level"))
    groups = WITNESSES.get(level, ())
    found = [next((band for band in group if band in item.assets), None) for group in groups]
    return tuple(_witness(item, band) for band in found if band is not None)


def _witness(item: pystac.Item, band: str) -> Witness:
    asset = item.assets[band]
    entry = (asset.extra_fields.get("raster:bands") or [{}])[0]
    offset = round(float(entry.get("offset", 0.0)) / float(entry.get("scale", 1e-4)), 6)
    href = asset.get_absolute_href() or asset.href
    return Witness(band, href, int(asset.extra_fields.get("clearsight:band", 1)), offset)


def native_geobox(item: pystac.Item, *, resolution: float = 10, bands: Sequence[str] | None = None) -> GeoBox:
    """Return the UTM grid on which an item's pixels lie.

    Parameters
    ----------
    item : pystac.Item
        Source item.
    resolution : float
        Pixel size in metres.
    bands : sequence of str, optional
        Bands to cover; by default all.

    Returns
    -------
    GeoBox
        The grid of the bands of that resolution; where there is none, that of the finest band, grown outwards to whole
        pixels that are aligned with its corner.

    Raises
    ------
    MissingBandError
        The item has none of the bands.
    ProductError
        The item doesn't tell the grid of its bands.

    Examples
    --------
    >>> native_geobox(item, resolution=20).shape  # doctest: +SKIP
    (5490, 5490)
    """
    grids = [asset_geobox(item, name) for name in (bands or bands_of(item))]
    known = [grid for grid in grids if grid is not None]
    if not grids:
        raise MissingBandError(f"item {item.id!r} has no Sentinel-2 band; it has {', '.join(sorted(item.assets))}.")
    if not known:
        raise ProductError(f"item {item.id!r} doesn't tell the grid of its bands (proj:transform and proj:shape).")
    same = [grid for grid in known if abs(grid.resolution.x - resolution) < 1e-6]
    if same:
        return max(same, key=lambda grid: grid.shape.x * grid.shape.y)
    finest = min(known, key=lambda grid: float(grid.resolution.x))
    return snapped(finest.boundingbox.bbox, like=finest, resolution=resolution)


def snapped(bounds: Sequence[float], *, like: GeoBox, resolution: float) -> GeoBox:
    """Grow bounds (in the CRS of ``like``) outwards to whole pixels of the native grid.

    Tiles start at multiples of 60 m, so that the native grids of a zone are multiples of 10, 20 and 60 m, whatever the
    corner of a crop. Other resolutions, and images off these grids, are aligned to the upper left corner of ``like``.
    """
    left, top, pixel = like.transform.c, like.transform.f, abs(float(like.resolution.x))
    on_grid = _divides(resolution, _TILE_STEP) and _divides(pixel, left) and _divides(pixel, top)
    x0, y0 = (0.0, 0.0) if on_grid else (left % resolution, top % resolution)
    west, south, east, north = bounds
    tolerance = 1e-6 * resolution
    first, last = (np.floor((west - x0 + tolerance) / resolution), np.ceil((east - x0 - tolerance) / resolution))
    upper, lower = (np.ceil((north - y0 - tolerance) / resolution), np.floor((south - y0 + tolerance) / resolution))
    transform = Affine(resolution, 0, x0 + first * resolution, 0, -resolution, y0 + upper * resolution)
    return GeoBox((int(max(upper - lower, 1)), int(max(last - first, 1))), transform, like.crs)


def _divides(step: float, length: float) -> bool:
    return abs(length / step - round(length / step)) < 1e-6


def asset_geobox(item: pystac.Item, asset: str) -> GeoBox | None:
    """Grid of one asset as the item tells it; None if it doesn't."""
    if asset not in item.assets:
        return None
    fields = item.properties | item.assets[asset].extra_fields
    code = fields.get("proj:code") or (f"EPSG:{fields['proj:epsg']}" if fields.get("proj:epsg") else None)
    transform, shape = fields.get("proj:transform"), fields.get("proj:shape")
    if code is None or transform is None or shape is None:
        return None
    return GeoBox((int(shape[0]), int(shape[1])), Affine(*transform[:6]), code)


def angles(item: pystac.Item) -> xr.Dataset:
    """Read the sun and view angles of a product from its granule metadata.

    Parameters
    ----------
    item : pystac.Item
        Item with an asset ``granule_metadata``.

    Returns
    -------
    xr.Dataset
        ``sun_zenith``, ``sun_azimuth`` (y, x); ``view_zenith``, ``view_azimuth`` (band, y, x), merged over detectors
        (mean of those that see a node); ``mean_view_zenith``, ``mean_view_azimuth`` (band). float32, degrees; azimuths
        clockwise from north in [0, 360); NaN where no detector looks. ``x`` and ``y`` are the nodes in metres of the
        item's UTM zone, every 5 km from the tile's upper left corner; attributes ``mean_sun_zenith`` and
        ``mean_sun_azimuth``.

    Raises
    ------
    ArgumentError
        The item has no granule metadata (plain band files have none).
    ProductError
        The metadata can't be read or has no angles.

    Examples
    --------
    >>> float(angles(item).sun_zenith.mean())  # doctest: +SKIP
    26.7
    """
    if "granule_metadata" not in item.assets:
        raise ArgumentError(
            f"item {item.id!r} has no asset 'granule_metadata', where the angles are; give an item of a SAFE product."
        )
    href = item.assets["granule_metadata"].href
    return angle_grids(parse_xml(read_href(href), href), href)


def detectors(item: pystac.Item, *, band: str = "B02", geobox: GeoBox | None = None) -> xr.DataArray:
    """Read which of the twelve detectors saw each pixel.

    Parameters
    ----------
    item : pystac.Item
        Item with an asset ``MSK_DETFOO_{band}``: JPEG 2000 from baseline 04.00 on, GML polygons before.
    band : str
        Band whose mask is read.
    geobox : GeoBox, optional
        Pixels wanted; by default the band's own.

    Returns
    -------
    xr.DataArray
        (y, x) uint8: 1 … 12, 0 = seen by none (outside of the swath).

    Raises
    ------
    ArgumentError
        The item has no such mask.
    ProductError
        The mask can't be read.
    """
    key = f"MSK_DETFOO_{band}"
    asset = _mask_asset(item, key)
    grid = geobox or native_geobox(item, resolution=BANDS[band].gsd)
    if _is_gml(asset):
        numbers = _rasterised(asset, grid, numbered=True)
    else:
        numbers = np.nan_to_num(_mask_band(item, key, 1, grid)).astype(np.uint8)
    return _labelled(numbers, grid, name="detector")


def quality(item: pystac.Item, *, band: str = "B02", geobox: GeoBox | None = None) -> xr.Dataset:
    """Read the quality masks of a band.

    Parameters
    ----------
    item : pystac.Item
        Item with an asset ``MSK_QUALIT_{band}`` (baseline 04.00 on) or with ``MSK_NODATA_{band}``,
        ``MSK_SATURA_{band}``, ``MSK_DEFECT_{band}`` (GML, before).
    band : str
        Band whose masks are read.
    geobox : GeoBox, optional
        Pixels wanted; by default the band's own.

    Returns
    -------
    xr.Dataset
        (y, x) bool, True = flagged: ``nodata``, ``saturated``, ``defective``; from 04.00 on also ``lost`` and
        ``degraded`` (packets).

    Raises
    ------
    ArgumentError
        The item has no such masks.
    ProductError
        A mask can't be read.
    """
    grid = geobox or native_geobox(item, resolution=BANDS[band].gsd)
    raster = f"MSK_QUALIT_{band}"
    flags: dict[str, NDArray[np.bool_]] = {}
    if raster in item.assets:
        for name, indices in _QUALITY_BANDS.items():
            flags[name] = np.logical_or.reduce([_mask_band(item, raster, index, grid) == 1 for index in indices])
    else:
        for name, kind in _GML_MASKS.items():
            asset = _mask_asset(item, f"{kind}_{band}")
            flags[name] = _rasterised(asset, grid, numbered=False).astype(bool)
    return xr.Dataset({name: _labelled(values, grid, name=name) for name, values in flags.items()})


def _mask_asset(item: pystac.Item, key: str) -> pystac.Asset:
    if key not in item.assets:
        masks = sorted(name for name in item.assets if name.startswith("MSK_"))
        raise ArgumentError(
            f"item {item.id!r} has no mask {key!r}; it has {', '.join(masks) or 'none'}. "
            "Give an item of a SAFE product."
        )
    return item.assets[key]


def _is_gml(asset: pystac.Asset) -> bool:
    return asset.href.lower().endswith(".gml")


def _mask_band(item: pystac.Item, key: str, index: int, grid: GeoBox) -> NDArray[np.float32]:
    facts = source(item, key)
    one = Source(**{**facts.__dict__, "band": index})
    values = np.full(grid.shape, np.nan, np.float32)
    roi, part = _reader.read(one, grid, resampling="nearest")
    values[roi] = part
    return values


def _rasterised(asset: pystac.Asset, grid: GeoBox, *, numbered: bool) -> NDArray[np.uint8]:
    """Burn the polygons of a GML mask into a grid; they are in the product's own UTM zone."""
    shapes = mask_polygons(parse_xml(read_href(asset.href), asset.href), asset.href)
    if not shapes:
        return np.zeros(grid.shape, np.uint8)
    burnt: NDArray[np.uint8] = rasterize(
        [(polygon, number if numbered else 1) for polygon, number in shapes],
        out_shape=grid.shape,
        transform=grid.transform,
        dtype="uint8",
    )
    return burnt


def _labelled(values: NDArray[Any], grid: GeoBox, *, name: str) -> xr.DataArray:
    array: xr.DataArray = wrap_xr(values, grid)
    return array.rename(name)
