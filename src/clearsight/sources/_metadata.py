"""Facts from the XML and JSON beside the images: product metadata, granule metadata, AWS's ``tileInfo.json``.

Elements are found by their local name, whatever the namespace: that name is what stayed the same across a decade of
product specifications (PSD 12 to 15). The tables below hold what did change.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml.ElementTree import fromstring

from clearsight.bands import BANDS, LEVELS, Level
from clearsight.errors import ProductError, UnsafeProductError

Ring = tuple[tuple[float, float], ...]
"""Longitude and latitude (or easting and northing) of a polygon's corners, closed."""

_QUANTIFICATION: Final = (
    "BOA_QUANTIFICATION_VALUE",
    "L2A_BOA_QUANTIFICATION_VALUE",
    "QUANTIFICATION_VALUE",
    "L1C_QUANTIFICATION_VALUE",
)
_OFFSET: Final = ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")
_PRODUCT_NAME: Final = ("PRODUCT_URI", "PRODUCT_URI_2A", "PRODUCT_URI_1C")
_TILE_ID: Final = ("TILE_ID", "TILE_ID_2A")
_DATASTRIP_ID: Final = ("DATASTRIP_ID", "DATASTRIP_ID_2A")
_IMAGE_FILE: Final = ("IMAGE_FILE", "IMAGE_FILE_2A", "IMAGE_ID", "IMAGE_ID_2A")

_BAND_NAMES: Final = tuple(BANDS)


@dataclass(frozen=True)
class Product:
    """What a product's own metadata says; None = it doesn't."""

    name: str
    """Product name without ``.SAFE``."""
    level: Level | None
    baseline: str | None
    """Processing baseline, ``05.10``."""
    platform: str | None
    """``sentinel-2a``."""
    datatake_id: str | None
    generated: str | None
    """Time of its making, ISO 8601."""
    relative_orbit: int | None
    orbit_state: str | None
    quantification: float | None
    offsets: dict[str, float] | None
    """Band name -> number to add; None = the metadata has no such list."""
    cloud_cover: float | None
    footprint: Ring | None
    """Longitudes and latitudes."""
    images: tuple[str, ...]
    """Image files it declares, without extension."""


@dataclass(frozen=True)
class Granule:
    """What a granule's (tile's) metadata says."""

    tile_id: str
    datastrip_id: str | None
    sensing_time: datetime
    crs: str
    """``EPSG:32633``."""
    grids: dict[int, tuple[int, int, float, float]]
    """Pixel size in metres -> rows, columns, easting and northing of the upper left corner."""
    sun_zenith: float | None
    sun_azimuth: float | None
    """Degrees, mean over the tile."""
    cloud_cover: float | None


@dataclass(frozen=True)
class TileInfo:
    """What ``tileInfo.json`` of the AWS archive says."""

    product_name: str | None
    footprint: Ring | None
    """Eastings and northings."""


def parse_xml(content: bytes, where: str) -> Element:
    """Parse metadata from outside, which may be an attack.

    Raises
    ------
    UnsafeProductError
        It holds a document type, entities, or references to elsewhere: no genuine metadata does.
    ProductError
        It isn't well-formed.
    """
    try:
        root: Element = fromstring(content, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except defusedxml.DefusedXmlException as error:
        raise UnsafeProductError(
            f"{where} declares a document type or XML entities ({type(error).__name__}), which genuine metadata never "
            "does; it isn't read. Fetch the product again from a source you trust."
        ) from error
    except ParseError as error:
        raise ProductError(f"{where} is no well-formed XML: {error}. Fetch the product again.") from error
    return root


def product(content: bytes, where: str) -> Product:
    """Read a product's metadata (``MTD_MSIL1C.xml``, ``MTD_MSIL2A.xml`` and their older names)."""
    root = parse_xml(content, where)
    level = (text_of(root, "PROCESSING_LEVEL") or "").removeprefix("Level-").replace("p", "")[:3]
    spacecraft = text_of(root, "SPACECRAFT_NAME")
    datatake = next(elements(root, "Datatake"), None)
    orbit = text_of(root, "SENSING_ORBIT_NUMBER")
    state = text_of(root, "SENSING_ORBIT_DIRECTION")
    return Product(
        name=(text_of(root, *_PRODUCT_NAME) or "").removesuffix(".SAFE"),
        level=next((known for known in LEVELS if known.removeprefix("L") == level.removeprefix("L")), None),
        baseline=text_of(root, "PROCESSING_BASELINE"),
        platform=spacecraft.lower() if spacecraft else None,
        datatake_id=datatake.get("datatakeIdentifier") if datatake is not None else None,
        generated=text_of(root, "GENERATION_TIME"),
        relative_orbit=int(orbit) if orbit else None,
        orbit_state=state.lower() if state else None,
        quantification=number(text_of(root, *_QUANTIFICATION)),
        offsets=_offsets(root, where),
        cloud_cover=number(text_of(root, "Cloud_Coverage_Assessment")),
        footprint=_footprint(root),
        images=tuple(element.text.strip() for element in elements(root, *_IMAGE_FILE) if element.text),
    )


def granule(content: bytes, where: str) -> Granule:
    """Read a granule's metadata (``MTD_TL.xml`` and its older names).

    Raises
    ------
    ProductError
        It lacks the tile, the time, or the grid.
    """
    root = parse_xml(content, where)
    need = {
        name: text_of(root, *names)
        for name, names in {
            "TILE_ID": _TILE_ID,
            "SENSING_TIME": ("SENSING_TIME",),
            "HORIZONTAL_CS_CODE": ("HORIZONTAL_CS_CODE",),
        }.items()
    }
    grids = _grids(root)
    missing = [name for name, value in need.items() if not value] + ([] if grids else ["Tile_Geocoding"])
    if missing:
        raise ProductError(
            f"{where} lacks {', '.join(missing)}: it is no complete granule metadata. Fetch the product again."
        )
    sun = next(elements(root, "Mean_Sun_Angle"), None)
    return Granule(
        tile_id=str(need["TILE_ID"]),
        datastrip_id=text_of(root, *_DATASTRIP_ID),
        sensing_time=time(str(need["SENSING_TIME"]), where),
        crs=str(need["HORIZONTAL_CS_CODE"]).upper(),
        grids=grids,
        sun_zenith=None if sun is None else number(text_of(sun, "ZENITH_ANGLE")),
        sun_azimuth=None if sun is None else number(text_of(sun, "AZIMUTH_ANGLE")),
        cloud_cover=number(text_of(root, "CLOUDY_PIXEL_PERCENTAGE")),
    )


def tile_info(content: bytes, where: str) -> TileInfo:
    """Read ``tileInfo.json``."""
    try:
        facts: dict[str, Any] = json.loads(content)
        rings = (facts.get("tileDataGeometry") or {}).get("coordinates") or [[]]
        ring = tuple((float(x), float(y)) for x, y in rings[0])
        name = facts.get("productName")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ProductError(f"{where} is no tileInfo.json of the AWS archive: {error}. Fetch it again.") from error
    return TileInfo(str(name) if name else None, ring if len(ring) >= 4 else None)


def time(text: str, where: str) -> datetime:
    """Parse a time of the metadata; times there are UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ProductError(f"{where}: {text!r} is no time in ISO 8601. Fetch the product again.") from error
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def local_name(element: Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def elements(root: Element, *names: str) -> Iterator[Element]:
    """Elements below a root by local name."""
    return (element for element in root.iter() if local_name(element) in names)


def text_of(root: Element, *names: str) -> str | None:
    """Text of the first element there is, in the order of the names."""
    for name in names:
        for element in elements(root, name):
            if element.text and element.text.strip():
                return element.text.strip()
    return None


def number(text: str | None) -> float | None:
    """A finite number, or None: metadata holds ``NaN`` where a value couldn't be computed."""
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _offsets(root: Element, where: str) -> dict[str, float] | None:
    offsets = {}
    for element in elements(root, *_OFFSET):
        index, value = element.get("band_id", element.get("bandId", "")), number(element.text)
        if not index.isdigit() or int(index) >= len(_BAND_NAMES) or value is None:
            raise ProductError(f"{where}: {local_name(element)} of band {index!r} is {element.text!r}, no number.")
        offsets[_BAND_NAMES[int(index)]] = value
    return offsets or None


def _footprint(root: Element) -> Ring | None:
    values = [number(part) or 0.0 for part in (text_of(root, "EXT_POS_LIST") or "").split()]
    # Some processors write latitude, longitude and a height of 0.
    step = 3 if len(values) % 3 == 0 and len(values) >= 12 and not any(values[2::3]) else 2
    ring = tuple(zip(values[1::step], values[0::step], strict=False))
    return ring if len(ring) >= 4 else None


def _grids(root: Element) -> dict[int, tuple[int, int, float, float]]:
    sizes = {element.get("resolution"): element for element in elements(root, "Size")}
    grids = {}
    for place in elements(root, "Geoposition"):
        resolution = place.get("resolution")
        size = sizes.get(resolution)
        facts = [
            number(text_of(element, name))
            for element, name in ((size, "NROWS"), (size, "NCOLS"), (place, "ULX"), (place, "ULY"))
            if element is not None
        ]
        if resolution and re.fullmatch(r"\d+", resolution) and len(facts) == 4 and None not in facts:
            rows, columns, left, top = (float(fact or 0) for fact in facts)
            grids[int(resolution)] = (int(rows), int(columns), left, top)
    return grids
