"""Which images, and which pixels of them, a composite takes: by tile, by season, by polygon."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from odc.geo.xr import rasterize
from pyproj.exceptions import CRSError

from clearsight import ids
from clearsight.errors import ArgumentError

Area = str | os.PathLike[str] | Mapping[str, Any] | Geometry | Any
"""A GeoJSON file, its content, or anything with ``__geo_interface__`` or a CRS, such as a shapely polygon."""

_DEGREES: Final = "EPSG:4326"
_LEAP: Final = 2000
"""A year that has all days, 29 February among them."""

_SEASON_HELP: Final = "expected two days as MM-DD/MM-DD, such as 06-01/08-31; 11-15/02-15 runs over New Year"


def of_tile(items: Sequence[pystac.Item], tile: str) -> list[pystac.Item]:
    """Keep the images of one MGRS tile.

    Parameters
    ----------
    items : sequence of pystac.Item
        From `clearsight.search`.
    tile : str
        Such as ``"33UUU"``; a leading ``T`` and small letters are taken too.

    Returns
    -------
    list of pystac.Item
        In the order given.

    Raises
    ------
    ArgumentError
        No image is of this tile.

    Examples
    --------
    >>> of_tile(items, "33UUU")  # doctest: +SKIP
    """
    wanted = tile.strip().upper()
    wanted = wanted[1:] if len(wanted) == 6 and wanted.startswith("T") else wanted
    kept = [item for item in items if ids.tile(item) == wanted]
    if not kept:
        there = ", ".join(sorted({ids.tile(item) for item in items})) or "no tile"
        raise ArgumentError(f"tile={tile!r}: none of the {len(items)} images is of it; they are of {there}.")
    return kept


def of_season(
    items: Sequence[pystac.Item], *, season: str | None = None, months: Sequence[int] | None = None
) -> list[pystac.Item]:
    """Keep the images of a season, of whatever year.

    Parameters
    ----------
    items : sequence of pystac.Item
        From `clearsight.search`; their ``datetime`` (UTC) decides, and those without one are left out.
    season : str, optional
        First and last day as ``MM-DD/MM-DD``, both included; the season runs over New Year when the first is later.
    months : sequence of int, optional
        Whole months instead, 1 to 12.

    Returns
    -------
    list of pystac.Item
        In the order given; all of them when neither is given.

    Raises
    ------
    ArgumentError
        ``season`` or ``months`` can't be read, both are given, or no image is of that season.

    Examples
    --------
    >>> from datetime import datetime
    >>> items = [pystac.Item(f"{month}", None, None, datetime(2021, month, 15), {}) for month in range(1, 13)]
    >>> [item.id for item in of_season(items, season="11-15/02-01")]
    ['1', '11', '12']
    >>> [item.id for item in of_season(items, months=[6, 7])]
    ['6', '7']
    """
    if season is not None and months is not None:
        raise ArgumentError(f"season={season!r} and months={list(months)!r} are two ways to say one thing; give one.")
    if season is None and months is None:
        return list(items)
    days = [(item, _day(item)) for item in items]
    if season is not None:
        first, last = _first_and_last(season)
        kept = [item for item, day in days if day and _is_within(day, first, last)]
    else:
        chosen = _months(months or ())
        kept = [item for item, day in days if day and day.month in chosen]
    if not kept:
        there = ", ".join(sorted({f"{day:%m-%d}" for _, day in days if day})) or "no date"
        asked = f"season={season!r}" if season is not None else f"months={list(months or ())!r}"
        raise ArgumentError(f"{asked}: none of the {len(items)} images is of it; they are of {there}.")
    return kept


def _day(item: pystac.Item) -> date | None:
    if item.datetime is None:
        return None
    moment = item.datetime.astimezone(UTC) if item.datetime.tzinfo else item.datetime
    return date(_LEAP, moment.month, moment.day)


def _is_within(day: date, first: date, last: date) -> bool:
    return first <= day <= last if first <= last else day >= first or day <= last


def _first_and_last(season: str) -> tuple[date, date]:
    try:
        first, last = (date.fromisoformat(f"{_LEAP}-{part.strip()}") for part in season.split("/"))
    except ValueError as error:
        raise ArgumentError(f"season={season!r}: {_SEASON_HELP}.") from error
    return first, last


def _months(months: Sequence[int]) -> set[int]:
    chosen = set(months)
    if not chosen or not chosen <= set(range(1, 13)):
        raise ArgumentError(f"months={list(months)!r}; expected numbers from 1 to 12, such as 6, 7, 8.")
    return chosen


def read_area(area: Area) -> Geometry:
    """Read the polygon of a place.

    Parameters
    ----------
    area : path, mapping, or geometry
        A GeoJSON file or its content (a geometry, a Feature, or a FeatureCollection, whose polygons are joined), or
        anything with ``__geo_interface__``. Degrees (EPSG:4326), unless a ``crs`` member tells another system; an
        ``odc.geo`` Geometry tells its own.

    Returns
    -------
    Geometry
        A polygon or several, in degrees.

    Raises
    ------
    ArgumentError
        The file doesn't exist or is no GeoJSON, holds no polygon, or its coordinates are no degrees.

    Examples
    --------
    >>> square = {"type": "Polygon", "coordinates": [[[13, 52], [13.1, 52], [13.1, 52.1], [13, 52.1], [13, 52]]]}
    >>> [round(side, 3) for side in read_area({"type": "Feature", "properties": {}, "geometry": square}).boundingbox]
    [13.0, 52.0, 13.1, 52.1]
    """
    told = f"area={str(area)!r}" if isinstance(area, (str, os.PathLike)) else f"area={type(area).__name__}"
    content = area
    if isinstance(area, (str, os.PathLike)):
        content = _content(Path(area), told)
    elif not isinstance(area, (Mapping, Geometry)):
        content = getattr(area, "__geo_interface__", None)
    if isinstance(content, Geometry):
        parts, crs = [content.geom], str(content.crs or _DEGREES)
    elif isinstance(content, Mapping):
        parts, crs = _shapes(content, told), _crs(content, told)
    else:
        raise ArgumentError(f"{told}; expected a GeoJSON file, its content, or a polygon.")
    polygons = [part for part in parts if part.geom_type in ("Polygon", "MultiPolygon") and not part.is_empty]
    if not polygons:
        raise ArgumentError(f"{told} holds no polygon ({', '.join(part.geom_type for part in parts) or 'nothing'}).")
    # Outlines drawn by hand cross themselves, and mended they leave lines behind.
    mended = shapely.get_parts([shapely.make_valid(shapely.force_2d(polygon)) for polygon in polygons])
    joined = shapely.union_all([part for part in mended if part.geom_type.endswith("Polygon")])
    whole: Geometry = Geometry(joined, crs)
    whole = whole if CRS(crs) == CRS(_DEGREES) else whole.to_crs(_DEGREES)
    west, south, east, north = whole.boundingbox.bbox
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise ArgumentError(
            f"{told} reaches from {west:g}, {south:g} to {east:g}, {north:g}, which are no degrees. "
            "Give EPSG:4326 coordinates, longitude first, or tell the system in a 'crs' member."
        )
    return whole


def _content(path: Path, told: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"{told} can't be read ({error}); expected a GeoJSON file.") from error
    except ValueError as error:
        raise ArgumentError(
            f"{told} is no GeoJSON ({error}). Other formats: ogr2ogr -t_srs EPSG:4326 area.geojson {path.name}"
        ) from error


def _shapes(content: Mapping[str, Any], told: str) -> list[Any]:
    """Geometries of a GeoJSON object."""
    kind = content.get("type")
    if kind == "FeatureCollection":
        return [shape for feature in content.get("features") or [] for shape in _shapes(feature, told)]
    if kind == "Feature":
        return _shapes(content["geometry"], told) if content.get("geometry") else []
    if kind == "GeometryCollection":
        return [shape for part in content.get("geometries") or [] for shape in _shapes(part, told)]
    try:
        return [shapely.geometry.shape(content)]
    except (shapely.errors.ShapelyError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"{told} is no GeoJSON: its type is {kind!r} ({error}).") from error


def _crs(content: Mapping[str, Any], told: str) -> str:
    """System of the coordinates: what GeoJSON of 2008 tells, and what many programs still write."""
    member = content.get("crs") or {}
    try:
        name = str(member.get("properties", {}).get("name", _DEGREES))
        # CRS84 is longitude first, as GeoJSON always is.
        return _DEGREES if name.upper().endswith("CRS84") else str(CRS(name))
    except (CRSError, AttributeError) as error:
        raise ArgumentError(f"{told} tells a crs that isn't known: {member!r}.") from error


def inside(area: Geometry, grid: GeoBox) -> NDArray[np.bool_]:
    """Tell which pixels of a grid have their centre in a polygon.

    Parameters
    ----------
    area : Geometry
        From ``read_area``.
    grid : GeoBox
        The pixels.

    Returns
    -------
    bool array (y, x)

    Examples
    --------
    >>> from odc.geo.geom import box
    >>> grid = GeoBox.from_bbox((13, 52, 13.4, 52.1), crs="EPSG:4326", resolution=0.1)
    >>> inside(box(13, 52, 13.2, 52.1, "EPSG:4326"), grid).tolist()
    [[True, True, False, False]]
    """
    pixels: NDArray[np.bool_] = rasterize(area, grid).to_numpy()
    return pixels
