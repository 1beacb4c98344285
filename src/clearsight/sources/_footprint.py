"""Where an image lies: footprints in longitude and latitude, and the tile of a place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import shapely
import shapely.affinity
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Polygon, mapping

from clearsight.errors import ArgumentError
from clearsight.sources._metadata import Ring

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""

_LATITUDE_BANDS: Final = "CDEFGHJKLMNPQRSTUVWX"
_ROW_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUV"
_COLUMN_LETTERS: Final = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")


def footprint(ring: Ring | None, bounds: Bounds, *, crs: str, ring_crs: str = "EPSG:4326") -> dict[str, Any]:
    """Return the GeoJSON geometry of an image: its ring within its grid, or its grid where there is no (sound) ring.

    Parameters
    ----------
    ring : tuple of (x, y), optional
        Outline of the valid pixels.
    bounds : (west, south, east, north)
        Outline of the grid, in ``crs``.
    crs, ring_crs : str
        Coordinate reference systems of ``bounds`` and ``ring``.

    Returns
    -------
    dict
        Polygon, or MultiPolygon on both sides of the antimeridian (RFC 7946, section 3.1.9).
    """
    grid = shapely.segmentize(shapely.box(*bounds), (bounds[2] - bounds[0]) / 4)
    shape = _in_lonlat(grid.exterior.coords, crs)
    if ring is not None:
        outline = _in_lonlat(ring, ring_crs)
        # A product of many tiles has one outline for all of them.
        within = _polygons(_same_side(outline, shape).intersection(shape))
        shape = shape if within.is_empty else within
    return dict(mapping(_split(shape)))


def bbox(geometry: dict[str, Any]) -> list[float]:
    """Bounding box of a geometry; west is larger than east across the antimeridian (RFC 7946, section 5.2)."""
    shape = shapely.geometry.shape(geometry)
    west, south, east, north = shape.bounds
    if east - west > 180 and isinstance(shape, MultiPolygon):
        parts = [part.bounds for part in shape.geoms]
        west = min(part[0] for part in parts if part[0] >= 0)
        east = max(part[2] for part in parts if part[2] <= 0)
    return [round(float(value), 6) for value in (west, south, east, north)]


def mgrs_tile(easting: float, northing: float, *, epsg: int) -> str:
    """Return the tile (zone, latitude band, 100 km square) that a UTM coordinate lies in: ``33UUU``.

    Parameters
    ----------
    easting, northing : float
        Metres.
    epsg : int
        UTM on WGS 84: 326xx north, 327xx south.

    Notes
    -----
    Letters after NGA.STND.0037, *Universal Grids and Grid Reference Systems*, section 3.2: columns repeat every three
    zones; rows every 2000 km, shifted by five letters in even zones. Both leave out I and O.
    """
    hemisphere, zone = divmod(epsg, 100)
    if hemisphere not in (326, 327) or not 1 <= zone <= 60:
        raise ArgumentError(f"EPSG:{epsg} is no UTM zone on WGS 84 (EPSG:326xx or 327xx); give files in UTM.")
    _, latitude = _to_lonlat(f"EPSG:{epsg}").transform(easting, northing)
    band = _LATITUDE_BANDS[min(max(int((latitude + 80) // 8), 0), len(_LATITUDE_BANDS) - 1)]
    column = _COLUMN_LETTERS[(zone - 1) % 3][int(easting // 100_000) - 1]
    row = _ROW_LETTERS[(int(northing // 100_000) + (5 if zone % 2 == 0 else 0)) % 20]
    return f"{zone:02d}{band}{column}{row}"


def _to_lonlat(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _in_lonlat(corners: Iterable[Sequence[float]], crs: str) -> Polygon:
    """Polygon in degrees; across the antimeridian its eastern part has longitudes above 180."""
    to_lonlat = _to_lonlat(crs)
    points = [to_lonlat.transform(corner[0], corner[1]) for corner in corners]
    longitudes = [longitude for longitude, _ in points]
    if max(longitudes) - min(longitudes) > 180:
        points = [(longitude + 360 if longitude < 0 else longitude, latitude) for longitude, latitude in points]
    polygon = Polygon(points)
    return polygon if polygon.is_valid else _polygons(polygon.buffer(0))


def _same_side(shape: Polygon, other: Polygon) -> Polygon:
    """Move a polygon by a full turn if that brings it to the side of another one."""
    turn = round((other.centroid.x - shape.centroid.x) / 360) * 360 if not shape.is_empty else 0
    return shapely.affinity.translate(shape, xoff=turn) if turn else shape


def _polygons(shape: Any) -> Any:
    """Drop the lines and points that an intersection may leave behind."""
    parts = [part for part in getattr(shape, "geoms", [shape]) if isinstance(part, Polygon) and not part.is_empty]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _split(shape: Any) -> Any:
    """Cut what reaches beyond 180 degrees at the antimeridian."""
    if shape.bounds[2] <= 180:
        return shape
    near = _polygons(shape.intersection(shapely.box(-180, -90, 180, 90)))
    far = _polygons(shape.intersection(shapely.box(180, -90, 540, 90)))
    moved = shapely.affinity.translate(far, xoff=-360)
    parts = [part for side in (near, moved) for part in getattr(side, "geoms", [side])]
    return MultiPolygon(parts)
