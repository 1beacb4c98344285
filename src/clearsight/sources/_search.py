"""``search``: one door to every source."""

from __future__ import annotations

import calendar
import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pystac
import shapely
from pystac.errors import STACError
from pystac_client.warnings import FallbackToPystac

from clearsight import ids
from clearsight.bands import BANDS, Level
from clearsight.errors import ArgumentError, EmptySourceError, ProductError
from clearsight.sources import eopf
from clearsight.sources._api import address_items, is_api, preset_items
from clearsight.sources._bucket import bucket_items
from clearsight.sources._http import api_io
from clearsight.sources._items import COLLECTIONS
from clearsight.sources._normalise import normalised
from clearsight.sources.plain import band_files, plain_item
from clearsight.sources.presets import PRESETS
from clearsight.sources.safe import safe_items

_EVER: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_CATALOGUES: Final = ("catalog.json", "collection.json")
_READ_TODAY: Final = (
    "a SAFE folder, a SAFE zip, an EOPF Zarr store, a folder of these, a folder of plain band files, a static STAC "
    f"catalogue, collection or item (.json), the address of a STAC API, or a provider ({', '.join(PRESETS)})"
)


def search(
    source: str | Path,
    *,
    collection: str | None = None,
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    tile: str | None = None,
    level: Level | None = None,
    offset: float | None = None,
    acquired: str | None = None,
) -> list[pystac.Item]:
    """Find the Sentinel-2 images of a source.

    Parameters
    ----------
    source : path or str
        A SAFE folder, a SAFE zip, an EOPF Zarr store (extra ``zarr``; also its address), a folder that holds many of
        them at any depth, a folder of plain band files; a static STAC catalogue, collection or item (path or address
        of the JSON); the address of a STAC API; or a provider: ``earth-search``, ``earth-search-c1``, ``copernicus``,
        ``planetary-computer``, ``eopf``, ``google``.
    collection : {"sentinel-2-l1c", "sentinel-2-l2a"}, optional
        Keep the images of one processing level. Of a STAC API that isn't known by name also its own collections.
    bbox : (west, south, east, north), optional
        Keep the images that touch this box, in degrees (EPSG:4326); west > east crosses the antimeridian.
    datetime : str, optional
        Keep the images of a time: ``"2023-01-15"``, ``"2023-01"``, ``"2023-01-01/2023-02-01"``, ``"2023-01-01/.."``;
        UTC, both ends included.
    tile : str, optional
        Keep the images of one MGRS tile, such as ``"33UUU"``. ``google`` needs it: its folders are those of tiles.
    level, offset : optional
        For plain band files, which tell neither; ``offset`` also for products whose metadata has lost its offsets.
        Metadata that is there is never overridden.
    acquired : str, optional
        For plain band files whose names hold no time: when they were taken, such as ``"2018-01-31T15:58:01Z"``; UTC.

    Returns
    -------
    list of pystac.Item
        Sorted by time, then id.

    Raises
    ------
    EmptySourceError
        Nothing is there, or nothing is left by the filters.
    ArgumentError
        The source doesn't exist or is of a kind that isn't read, or another argument is wrong.
    ProductError, UnsafeProductError, MissingOffsetError, MissingBandError
        The product is broken, unsafe, or incomplete; the message names it. Among whole products of a folder a broken
        one is left out with a `ProductWarning`. A server that doesn't answer is a `ProductError`, too: what it sent
        before isn't taken for the whole.

    Examples
    --------
    >>> items = search("archive/", collection="sentinel-2-l1c", datetime="2023-01/2023-02")  # doctest: +SKIP
    >>> items = search("google", tile="33UUU", collection="sentinel-2-l1c", datetime="2023-06")  # doctest: +SKIP
    >>> items = search(
    ...     "earth-search", collection="sentinel-2-l2a", bbox=(13.0, 52.3, 13.2, 52.4), datetime="2023-06"
    ... )  # doctest: +SKIP
    """
    area = None if bbox is None else _area(bbox)
    start, end = _interval(datetime)
    square = None if tile is None else _square(tile)
    if _is_remote(source):
        wanted = COLLECTIONS.get(collection or "")
        found = _remote_items(str(source), collection=collection, bbox=bbox, datetime=datetime, tile=square)
    else:
        wanted = _level(collection)
        found = _items(_existing(source), level=level, offset=offset, acquired=_moment(acquired))
    kept = [
        item
        for item in found
        if (wanted is None or item.properties.get("processing:level") == wanted)
        and (area is None or _touches(item, area))
        and (square is None or _tile(item) == square)
        and _start(item) <= end
        and _end(item) >= start
    ]
    if not kept:
        asked = {"collection": collection, "bbox": bbox, "datetime": datetime, "tile": tile}
        filters = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value is not None)
        if found or (filters and _is_remote(source)):
            none = f"none of its {len(found)} images" if found else "no image"
            raise EmptySourceError(f"source={str(source)!r}: {none} passes {filters}. Widen the filters.")
        raise EmptySourceError(f"source={str(source)!r} holds no Sentinel-2 image; expected {_READ_TODAY}.")
    return sorted(kept, key=lambda item: (_start(item), item.id))


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if path.exists():
        return path
    raise ArgumentError(f"source={str(source)!r} doesn't exist. Give {_READ_TODAY}.")


def _is_remote(source: str | Path) -> bool:
    """A provider's name (unless a folder bears it), or an address."""
    if isinstance(source, Path):
        return False
    return re.match(r"^https?://", source) is not None or (source in PRESETS and not Path(source).exists())


def _remote_items(
    source: str, *, collection: str | None, bbox: Sequence[float] | None, datetime: str | None, tile: str | None
) -> list[pystac.Item]:
    preset = PRESETS.get(source)
    if preset is not None and preset.kind == "SAFE bucket":
        if tile is None:
            raise ArgumentError(f"tile=None: {source!r} has a folder per tile and no catalogue. Pass tile='33UUU'.")
        return bucket_items(preset, tile=tile, level=_level(collection), between=_interval(datetime))
    if source.rstrip("/").endswith(".zarr"):
        return [eopf.eopf_item(source)]
    if preset is None and not is_api(source):
        return _static_items(source)
    if tile is not None and bbox is None:
        raise ArgumentError(f"tile={tile!r}: a STAC API is searched by place. Pass a bbox within the tile, too.")
    if preset is None:
        return address_items(source, collection=collection, bbox=bbox, datetime=datetime)
    return preset_items(preset, level=_level(collection), bbox=bbox, datetime=datetime)


def _items(path: Path, *, level: Level | None, offset: float | None, acquired: datetime | None) -> list[pystac.Item]:
    if path.is_file() and path.suffix == ".json":
        return _static_items(path)
    if path.is_file() and path.suffix != ".zip":
        raise ArgumentError(f"source={str(path)!r} is a file of another kind; give {_READ_TODAY}.")
    zarrs = eopf.stores(path) if path.is_dir() else []
    if path in zarrs:
        return [eopf.eopf_item(path)]
    items = safe_items(path, offset=offset) + [eopf.eopf_item(store) for store in zarrs]
    if items or path.is_file():
        return items
    for name in _CATALOGUES:
        if (path / name).exists():
            return _static_items(path / name)
    return [plain_item(path, level=level, offset=offset, datetime=acquired)] if band_files(path) else []


def _static_items(address: str | Path) -> list[pystac.Item]:
    """Items of a static catalogue, in the form of our contract, with absolute addresses."""
    place = address if isinstance(address, str) else str(address.resolve())
    reader = api_io() if isinstance(address, str) else None
    try:
        with warnings.catch_warnings():
            # pystac-client tells that this is no API; that is why we are here.
            warnings.simplefilter("ignore", FallbackToPystac)
            root = pystac.read_file(place, stac_io=reader)
            items = [root] if isinstance(root, pystac.Item) else _walk(root)
    except (STACError, ValueError, KeyError, TypeError, OSError) as error:
        raise ProductError(f"{address} can't be read as STAC: {type(error).__name__}: {error}.") from error
    return [_in_our_form(item) if _is_ours(item) else eopf.looked_into(normalised(item), item) for item in items]


def _walk(root: Any) -> list[pystac.Item]:
    if isinstance(root, pystac.Catalog):
        return list(root.get_items(recursive=True))
    raise TypeError(f"a {type(root).__name__}, neither catalogue nor item")


def _is_ours(item: pystac.Item) -> bool:
    """An item that ``search`` has made before: its assets bear the names of bands and say what their numbers mean."""
    known = [item.assets[band].extra_fields.get("raster:bands", [{}])[0] for band in BANDS if band in item.assets]
    return bool(known) and all({"scale", "offset"} <= entry.keys() for entry in known)


def _in_our_form(item: pystac.Item) -> pystac.Item:
    item.make_asset_hrefs_absolute()
    if ids.INDEX not in item.properties:
        try:
            item.properties[ids.INDEX] = ids.system_index(item)
        except ArgumentError:
            return item  # what needs its index will say so
    return item


def _level(collection: str | None) -> Level | None:
    if collection is None:
        return None
    if collection not in COLLECTIONS:
        raise ArgumentError(f"collection={collection!r} is unknown; choose one of {', '.join(COLLECTIONS)}.")
    return COLLECTIONS[collection]


def _area(bbox: Sequence[float]) -> Any:
    if len(bbox) != 4 or not all(-180 <= bbox[i] <= 180 and -90 <= bbox[i + 1] <= 90 for i in (0, 2)):
        raise ArgumentError(f"bbox={tuple(bbox)}: expected west, south, east, north in degrees.")
    west, south, east, north = bbox
    if south > north:
        raise ArgumentError(f"bbox={tuple(bbox)}: south is above north; expected west, south, east, north in degrees.")
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))


def _square(tile: str) -> str:
    """An MGRS tile in one spelling: ``33UUU``."""
    known = re.fullmatch(r"T?(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z]{2})", tile.strip().upper())
    if known is None:
        raise ArgumentError(f"tile={tile!r}: expected an MGRS tile such as '33UUU'.")
    return known[1].zfill(5)


def _tile(item: pystac.Item) -> str | None:
    try:
        return ids.tile(item)
    except ArgumentError:
        return None


def _touches(item: pystac.Item, area: Any) -> bool:
    return item.geometry is None or bool(shapely.geometry.shape(item.geometry).intersects(area))


def _start(item: pystac.Item) -> datetime:
    return _aware(item.datetime or item.common_metadata.start_datetime or _EVER[0])


def _end(item: pystac.Item) -> datetime:
    return _aware(item.datetime or item.common_metadata.end_datetime or _EVER[1])


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return _aware(datetime.fromisoformat(text))
    except ValueError as error:
        raise ArgumentError(f"acquired={text!r}; expected a date and time such as '2018-01-31T15:58:01Z'.") from error


def _interval(text: str | None) -> tuple[datetime, datetime]:
    """First and last moment of a STAC time: a date, a month, a moment, or two of them with a slash."""
    if text is None:
        return _EVER
    parts = text.split("/")
    if len(parts) > 2:
        raise _bad_time(text)
    first, last = parts[0], parts[-1]
    start = _EVER[0] if first in ("", "..") else _period(first, text)[0]
    end = _EVER[1] if last in ("", "..") else _period(last, text)[1]
    if start > end or text.strip("/.") == "":
        raise _bad_time(text)
    return start, end


def _period(part: str, text: str) -> tuple[datetime, datetime]:
    match = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", part)
    try:
        if match is None:
            moment = _aware(datetime.fromisoformat(part))
            return moment, moment
        year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
        start = datetime(year, month, day, tzinfo=UTC)
        last_month = month if match[2] else 12
        last_day = day if match[3] else calendar.monthrange(year, last_month)[1]
        end = datetime(year, last_month, last_day, tzinfo=UTC) + timedelta(days=1) - timedelta(microseconds=1)
    except ValueError as error:
        raise _bad_time(text) from error
    return start, end


def _bad_time(text: str) -> ArgumentError:
    return ArgumentError(
        f"datetime={text!r}: expected a time such as '2023-01-15', '2023-01', or two with a slash, the earlier one "
        "first: '2023-01-01/2023-02-01', '2023-01-01/..'."
    )
