"""Which pixels to load: from the grid keywords, spelled as in ``odc.stac.load``, to one GeoBox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pystac
import shapely
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from clearsight import ids
from clearsight.errors import ArgumentError, MixedTilesError
from clearsight.scene import native_geobox, snapped

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""

_POINTS_PER_SIDE = 21
"""Points along a side of a box that carry its bulge into another reference system."""


def output_grid(
    items: Sequence[pystac.Item],
    *,
    bands: Sequence[str],
    crs: Any = None,
    resolution: float | None = None,
    geobox: GeoBox | None = None,
    bbox: Sequence[float] | None = None,
    like: Any = None,
) -> GeoBox:
    """Return the grid to load items on; see :func:`clearsight.stack.load` for the keywords.

    Raises
    ------
    ArgumentError
        Keywords contradict each other, are out of range, or meet no item.
    MixedTilesError
        The items lie in several tiles or UTM zones, and the keywords don't say which grid is wanted.
    """
    _check_keywords(crs=crs, resolution=resolution, geobox=geobox, bbox=bbox, like=like)
    if geobox is not None:
        return geobox
    if like is not None:
        return _grid_of(like)
    _check_tiles(items, bands=bands, bbox=bbox, crs=crs, resolution=resolution)
    anchor = native_geobox(items[0], resolution=resolution or 10, bands=bands)
    if crs is not None and CRS(_utm(crs, anchor)) != anchor.crs:
        return _foreign_grid(items, bands=bands, crs=CRS(_utm(crs, anchor)), resolution=resolution, bbox=bbox)
    if bbox is not None:
        bounds = _projected(_lonlat(bbox), "EPSG:4326", str(anchor.crs))
        _check_overlap(items, bounds, bbox=bbox, bands=bands, crs=str(anchor.crs))
        return snapped(bounds, like=anchor, resolution=resolution or 10)
    return _union(items, anchor, bands=bands)


def _check_keywords(*, crs: Any, resolution: float | None, geobox: Any, bbox: Any, like: Any) -> None:
    given = [name for name, value in {"geobox": geobox, "like": like}.items() if value is not None]
    others = {"crs": crs, "resolution": resolution, "bbox": bbox}
    clash = given + [name for name, value in others.items() if value is not None] if given else []
    if len(clash) > 1:
        raise ArgumentError(f"{given[0]}=… is a whole grid; leave out {', '.join(clash[1:])}.")
    if resolution is not None and not (np.isfinite(resolution) and resolution > 0):
        raise ArgumentError(f"resolution={resolution!r}: expected a positive pixel size in units of the grid's CRS.")


def _grid_of(like: Any) -> GeoBox:
    grid = like if isinstance(like, GeoBox) else getattr(getattr(like, "odc", None), "geobox", None)
    if not isinstance(grid, GeoBox):
        raise ArgumentError(
            f"like={type(like).__name__}: expected a GeoBox, or a Dataset or DataArray with x, y and spatial_ref."
        )
    code = None if grid.crs is None else grid.crs.to_epsg()
    return grid if code is None else GeoBox(grid.shape, grid.transform, f"EPSG:{code}")


def _check_tiles(
    items: Sequence[pystac.Item], *, bands: Sequence[str], bbox: Any, crs: Any, resolution: float | None
) -> None:
    """Several tiles need a word on the grid; several zones need one on the CRS."""
    tiles = sorted({ids.tile(item) for item in items})
    if len(tiles) == 1 or (crs is not None and (resolution is not None or bbox is not None)):
        return
    zones = sorted({tile[:2] for tile in tiles})
    if bbox is None:
        raise MixedTilesError(
            f"items lie in {len(tiles)} tiles ({', '.join(tiles[:6])}), and no grid is given. "
            "Pass the items of one tile, or say which grid: bbox, geobox, like, or crs and resolution."
        )
    if len({str(native_geobox(item, bands=bands).crs) for item in items}) > 1:
        raise MixedTilesError(
            f"items lie in several UTM zones ({', '.join(zones)}), so bbox alone leaves the grid open. "
            "Pass crs as well, or geobox, or like."
        )


def _utm(crs: Any, anchor: GeoBox) -> Any:
    """``"utm"`` means the items' own zone."""
    return anchor.crs if isinstance(crs, str) and crs.lower() == "utm" else crs


def _foreign_grid(
    items: Sequence[pystac.Item], *, bands: Sequence[str], crs: CRS, resolution: float | None, bbox: Any
) -> GeoBox:
    """Grid in another reference system than the items': multiples of the resolution."""
    if resolution is None:
        if crs.geographic:
            raise ArgumentError(f"crs={str(crs)!r} is in degrees; pass resolution as well, such as 0.0001.")
        resolution = 10
    if bbox is not None:
        bounds = _projected(_lonlat(bbox), "EPSG:4326", str(crs))
        _check_overlap(items, bounds, bbox=bbox, bands=bands, crs=str(crs))
    else:
        bounds = _hull([_bounds(item, bands, str(crs)) for item in items])
    return GeoBox.from_bbox(bounds, crs=crs, resolution=resolution, anchor="edge")


def _union(items: Sequence[pystac.Item], anchor: GeoBox, *, bands: Sequence[str]) -> GeoBox:
    """Grid of the first item, grown where others (crops of the same tile) reach further."""
    resolution = abs(float(anchor.resolution.x))
    grids = [native_geobox(item, resolution=resolution, bands=bands) for item in items]
    if all(grid == anchor for grid in grids):
        return anchor
    return snapped(_hull([grid.boundingbox.bbox for grid in grids]), like=anchor, resolution=resolution)


def _check_overlap(items: Sequence[pystac.Item], bounds: Bounds, *, bbox: Any, bands: Sequence[str], crs: str) -> None:
    wanted = shapely.box(*bounds)
    if not any(shapely.box(*_bounds(item, bands, crs)).intersects(wanted) for item in items):
        raise ArgumentError(
            f"bbox={tuple(bbox)} touches none of the {len(items)} items; expected west, south, east, north in degrees."
        )


def _bounds(item: pystac.Item, bands: Sequence[str], crs: str) -> Bounds:
    grid = native_geobox(item, bands=bands)
    return _projected(grid.boundingbox.bbox, str(grid.crs), crs)


def _lonlat(bbox: Sequence[float]) -> Bounds:
    if len(bbox) != 4 or not bbox[0] < bbox[2] or not -90 <= bbox[1] < bbox[3] <= 90:
        raise ArgumentError(
            f"bbox={tuple(bbox)}: expected west, south, east, north in degrees, west < east and south < north."
        )
    west, south, east, north = (float(value) for value in bbox)
    return west, south, east, north


def _projected(bounds: Sequence[float], source: str, target: str) -> Bounds:
    """Bounds in another reference system, bulging sides included."""
    if CRS(source) == CRS(target):
        west, south, east, north = bounds
        return west, south, east, north
    transformer = Transformer.from_crs(source, target, always_xy=True)
    left, bottom, right, top = bounds
    west, south, east, north = transformer.transform_bounds(left, bottom, right, top, densify_pts=_POINTS_PER_SIDE)
    return west, south, east, north


def _hull(all_bounds: Sequence[Sequence[float]]) -> Bounds:
    corners = np.array(all_bounds, float)
    low, high = corners.min(0), corners.max(0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])
