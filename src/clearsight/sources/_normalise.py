"""Items of other catalogues -> items of our contract (docs/architecture.md, "Source items")."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import pystac

from clearsight import ids
from clearsight.bands import BANDS, NODATA_DN, Level
from clearsight.errors import ArgumentError
from clearsight.sources._items import declare_extensions
from clearsight.sources._offsets import scale_and_offset
from clearsight.sources.presets import OffsetRule

RULE: Final = "clearsight:offset_rule"
"""Property of items whose offset a provider's rule tells: it is checked against the pixels when they are read."""

_BY_COMMON_NAME: Final = {band.common_name: name for name, band in BANDS.items()} | {
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "lwir11": "",
}
_BAND_KEY: Final = re.compile(r"^(B\d\d|B8A|SCL)(?:_(\d\d)m)?$", re.IGNORECASE)
_RENAMED: Final = {
    "s2:processing_baseline": "processing:version",
    "s2:generation_time": "processing:datetime",
    "eopf:datatake_id": "s2:datatake_id",
    "eopf:data_take_id": "s2:datatake_id",
    "eopf:datastrip_id": "s2:datastrip_id",
}
"""Names before version 1.0.0 of the s2 extension, and those of EOPF -> names of the contract."""
_METADATA: Final = {
    "granule_metadata": ("granule_metadata", "granule-metadata"),
    "product_metadata": ("product_metadata", "product-metadata"),
}
_PRODUCT_NAME: Final = re.compile(r"^S2[A-D]_MSIL(?:1C|2A)_\w+$")


def readable(entry: dict[str, Any]) -> dict[str, Any]:
    """Repair what makes an item invalid: a ``datetime`` that is the text "null"."""
    facts = dict(entry.get("properties") or {})
    for key in ("datetime", "start_datetime", "end_datetime"):
        if facts.get(key) in ("null", "None", ""):
            facts[key] = None
    if facts.get("datetime") is None:
        taken = re.search(r"\d{8}T\d{6}", str(facts.get("eopf:datatake_id") or entry.get("id")))
        stamp = None if taken is None else datetime.strptime(taken[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).isoformat()
        facts["datetime"] = facts.get("start_datetime") or stamp
    return entry | {"properties": facts}


def normalised(
    item: pystac.Item,
    *,
    offset: OffsetRule = "declared",
    assets: Mapping[str, Sequence[str]] | None = None,
    level: Level | None = None,
) -> pystac.Item:
    """Return a copy of an item in the form of our contract.

    Parameters
    ----------
    item : pystac.Item
        Item of any provider.
    offset : str
        Where the provider tells the radiometric offset.
    assets : mapping, optional
        Band -> names of its asset, the best first; what isn't named is recognised by name, ``eo:bands``, ``bands``.
    level : {"L1C", "L2A"}, optional
        Level of the collection, for items that don't tell their own.

    Returns
    -------
    pystac.Item
        With one asset per band, ``SCL`` and the metadata where the provider has them.
    """
    made = item.clone()
    made.properties = _properties(item, level)
    made.assets = {}
    made.links = [link for link in item.links if link.rel == "self"]
    for band, asset in _band_assets(item, assets or {}).items():
        made.add_asset(band, _asset(asset, band, item=made, rule=offset))
    for key, names in _METADATA.items():
        known = next((item.assets[name] for name in names if name in item.assets), None)
        if known is not None:
            made.add_asset(key, known.clone())
    made.make_asset_hrefs_absolute()
    made.properties[RULE] = offset
    _set_index(made)
    declare_extensions(made)
    return made


def _properties(item: pystac.Item, level: Level | None) -> dict[str, Any]:
    facts = dict(item.properties)
    for old, new in _RENAMED.items():
        told = facts.pop(old, None)
        if facts.get(new) is None:
            facts[new] = told
    facts["processing:level"] = _level(item) or level
    name = str(item.id).removesuffix(".SAFE")
    if "s2:product_uri" not in facts and _PRODUCT_NAME.match(name) and "_N" in name:
        facts["s2:product_uri"] = f"{name}.SAFE"
    number = facts.pop("proj:epsg", None)
    if number is not None:
        facts.setdefault("proj:code", f"EPSG:{number}")
    with suppress(ArgumentError):  # what needs the tile will say so
        facts["grid:code"] = f"MGRS-{ids.tile(item)}"
    facts["processing:version"] = _baseline(facts)
    return {name: value for name, value in facts.items() if value is not None}


def _baseline(facts: Mapping[str, Any]) -> str | None:
    """Processing baseline ``05.09``, in whatever spelling; else from the product's name."""
    told = re.fullmatch(r"N?0?(\d)\.?(\d\d)", str(facts.get("processing:version", "")))
    named = re.search(r"_N(\d\d)(\d\d)_", str(facts.get("s2:product_uri", "")))
    dated = re.search(r"_N(\d\d)\.(\d\d)$", str(facts.get("s2:datatake_id", "")))
    if told:
        return f"0{told[1]}.{told[2]}"
    found = named or dated
    return f"{found[1]}.{found[2]}" if found else None


def _level(item: pystac.Item) -> Level | None:
    """Processing level: ``L1C`` is told as "L1C", "Level-1C", "S2MSI1C", "S02MSIL1C", or by the product's name."""
    facts = item.properties
    for text in (facts.get("processing:level"), facts.get("s2:product_type"), facts.get("product:type"), item.id):
        if re.search(r"1C", str(text), re.IGNORECASE):
            return "L1C"
        if re.search(r"2A", str(text), re.IGNORECASE):
            return "L2A"
    return None


def _band_assets(item: pystac.Item, names: Mapping[str, Sequence[str]]) -> dict[str, pystac.Asset]:
    """Asset of each band: the one that the provider's description names, else the finest that tells its band."""
    told: dict[str, list[tuple[float, str]]] = {}
    for key, asset in item.assets.items():
        band = _band_of(key, asset)
        if band is not None and _is_image(asset):
            told.setdefault(band, []).append((_size(key, asset), key))
    found = {}
    for band in (*BANDS, "SCL"):
        named = [name for name in names.get(band, ()) if name in item.assets]
        recognised = [key for _, key in sorted(told.get(band, []))]
        if named or recognised:
            found[band] = item.assets[(named or recognised)[0]]
    return found


def _band_of(key: str, asset: pystac.Asset) -> str | None:
    match = _BAND_KEY.match(key)
    if match is not None and (match[1].upper() == "SCL" or match[1].upper() in BANDS):
        return match[1].upper()
    entries = asset.extra_fields.get("eo:bands") or asset.extra_fields.get("bands") or []
    if len(entries) != 1:
        return "SCL" if key.lower() == "scl" else None
    name = str(entries[0].get("name", "")).upper()
    common = str(entries[0].get("common_name") or entries[0].get("eo:common_name") or name.lower())
    return name if name in BANDS else _BY_COMMON_NAME.get(common) or None


def _is_image(asset: pystac.Asset) -> bool:
    return "overview" not in (asset.roles or []) and "thumbnail" not in (asset.roles or [])


def _size(key: str, asset: pystac.Asset) -> float:
    """Metres of a pixel; files in the cloud's own format win over JPEG 2000 of the same size."""
    match = _BAND_KEY.match(key)
    fields = asset.extra_fields
    raster = (fields.get("raster:bands") or [{}])[0]
    told = fields.get("gsd") or raster.get("spatial_resolution") or fields.get("raster:spatial_resolution")
    size = float(told or (match and match[2]) or 0)
    return size + (0.5 if asset.href.lower().endswith(".jp2") else 0)


def _asset(asset: pystac.Asset, band: str, *, item: pystac.Item, rule: OffsetRule) -> pystac.Asset:
    """An asset whose fields say what its numbers mean, where its pixels lie, and how large they are."""
    fields = asset.extra_fields
    made = asset.clone()
    made.extra_fields = {key: fields[key] for key in ("proj:code", "proj:epsg", "clearsight:band") if key in fields}
    gsd = _size(band, pystac.Asset("", extra_fields=fields)) or (BANDS[band].gsd if band in BANDS else 20)
    made.extra_fields |= {"gsd": gsd} | _grid(item.properties | fields, gsd)
    if band not in BANDS:
        made.extra_fields["raster:bands"] = [{"data_type": "uint8", "spatial_resolution": gsd}]
        return made
    entry: dict[str, Any] = {"nodata": NODATA_DN, "data_type": "uint16", "spatial_resolution": gsd}
    meaning = scale_and_offset(item.properties, fields, rule=rule)
    if meaning is not None:
        entry |= {"scale": meaning[0], "offset": meaning[1]}
    facts = BANDS[band]
    made.extra_fields["raster:bands"] = [entry]
    made.extra_fields["eo:bands"] = [{"name": band, "common_name": facts.common_name}]
    return made


def _grid(fields: Mapping[str, Any], gsd: float) -> dict[str, Any]:
    """``proj:transform`` and ``proj:shape``, told or derived from the bounds."""
    transform, shape, bounds = (fields.get(f"proj:{name}") for name in ("transform", "shape", "bbox"))
    if transform and shape and abs(transform[0] - gsd) < 1e-6:
        return {"proj:transform": [float(value) for value in transform[:6]], "proj:shape": [int(n) for n in shape]}
    if not bounds:
        return {}
    west, south, east, north = bounds
    return {
        "proj:transform": [float(gsd), 0.0, float(west), 0.0, -float(gsd), float(north)],
        "proj:shape": [round((north - south) / gsd), round((east - west) / gsd)],
    }


def _set_index(item: pystac.Item) -> None:
    try:
        item.properties[ids.INDEX] = ids.system_index(item)
    except ArgumentError:
        return  # an item of another kind; what needs its index will say so
