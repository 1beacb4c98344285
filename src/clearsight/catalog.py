"""The static catalogue of scores: one Item per scored image, one Collection for all of them."""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pystac
from odc.geo.geobox import GeoBox
from pystac.provider import ProviderRole
from pystac.utils import datetime_to_str, str_to_datetime

from clearsight import ids
from clearsight._objects import Objects, is_address
from clearsight.errors import ArgumentError, ProductError
from clearsight.product import NODATA, SCALE, SCORES, Making, WrittenFile, score_description
from clearsight.whole import whole_file

COLLECTION: Final = "clearsight-scores"
COLLECTION_FILE: Final = "collection.json"
ASSET: Final = "scores"
"""Key of the one asset of a score Item: the COG with the bands ``cs`` and ``cs_cdf``."""

LICENCE: Final = "CC-BY-4.0"

_EXTENSIONS: Final = {
    "eo": "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "grid": "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.0.0/schema.json",
    "projection": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
}

_SAFE_NAME: Final = re.compile(r"\w[\w.-]*", re.ASCII)
"""What may become the name of a folder: an id from outside must not lead out of the archive."""

_LEVEL: Final = "L2"
"""Processing level: derived from an image, on its grid."""

_ROLES: Final = ["data", "cloud", "quality-mask"]


@dataclass(frozen=True)
class Result:
    """What was made of one image, beside the file itself."""

    making: Making
    """Index, scorer, software."""
    file: WrittenFile
    """The COG."""
    geobox: GeoBox
    """Its grid."""
    no_context: float
    """Share of sub-tiles in [0, 1], of those with valid pixels, where most pixels had no clear reference in time."""
    generated: datetime
    """When."""
    context: str = "none"
    """Which frames it was compared with: ``"before and after"`` it, ``"past"`` (near real time) or ``"none"``."""
    context_frames: int = 0
    """How many."""


def product_path(root: str | os.PathLike[str], item: pystac.Item) -> Path:
    """Where the score COG of a source item lies in an archive: ``TILE/YEAR/INDEX/INDEX.tif``.

    Its Item lies beside it, as ``INDEX.json``.

    Raises
    ------
    ArgumentError
        The item has no date, tells no index or tile, or its index can't be the name of a folder.

    Examples
    --------
    >>> item = pystac.Item("20230101T184751_20230101T185116_T11SKB", None, None, datetime(2023, 1, 1, 18, 51), {})
    >>> product_path("archive", item).as_posix()
    'archive/11SKB/2023/20230101T184751_20230101T185116_T11SKB/20230101T184751_20230101T185116_T11SKB.tif'
    """
    index = ids.system_index(item)
    if not _SAFE_NAME.fullmatch(index):
        raise ArgumentError(
            f"item {item.id!r}: its index {index!r} can't be the name of a folder; letters, digits, '_', '-' and '.' "
            f"can. Correct its property {ids.INDEX!r}."
        )
    if item.datetime is None:
        raise ArgumentError(
            f"item {item.id!r} has no datetime; the season of an image has to be known to score it. "
            "Set item.datetime; for plain band files pass the time of acquisition (--acquired)."
        )
    return Path(root) / ids.tile(item) / f"{item.datetime.year}" / index / f"{index}.tif"


def score_item(source: pystac.Item, result: Result) -> pystac.Item:
    """Make the Item of a score file.

    Parameters
    ----------
    source : pystac.Item
        The image that was scored.
    result : Result
        What was made of it.

    Returns
    -------
    pystac.Item
        Its id is the source's ``system:index``; geometry, bbox and datetime are the source's. One asset ``scores``
        with two bands. Links and hrefs are relative to the place that `product_path` gives.

    Examples
    --------
    >>> read_items("archive")[0].properties["NO_CONTEXT_FRACTION"]  # doctest: +SKIP
    0.0
    """
    made, tile = result.making, ids.tile(source)
    generated = result.generated.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    grid = _grid_fields(result.geobox)
    properties: dict[str, Any] = {
        "title": f"Clear-sky scores of {source.id}",
        "created": generated,
        **{
            key: source.properties[key]
            for key in ("platform", "constellation", "instruments")
            if key in source.properties
        },
        "gsd": float(result.geobox.resolution.x),
        "grid:code": f"MGRS-{tile}",
        "proj:code": str(result.geobox.crs),
        **grid,
        "processing:level": _LEVEL,
        "processing:software": {"clearsight": made.software_version},
        "processing:lineage": f"Scored from {source.id} with {made.model_version}, Clearsight {made.software_version}.",
        "DATE_PRODUCT_GENERATED": generated,
        "CONTEXT": result.context,
        "CONTEXT_FRAMES": result.context_frames,
        "MGRS_TILE": tile,
        "MODEL_VERSION": made.model_version,
        "NO_CONTEXT_FRACTION": result.no_context,
        "PROCESSING_SOFTWARE_VERSION": made.software_version,
        "SOURCE_ASSET_ID": source.id,
        "SOURCE_LEVEL": source.properties.get("processing:level", ""),
        "SOURCE_VERSION": str(source.properties.get("processing:version", "")),
        "SOURCE_PRODUCT_ID": str(source.properties.get("s2:product_uri") or source.id).removesuffix(".SAFE"),
    }
    item = pystac.Item(
        id=made.index,
        geometry=source.geometry,
        bbox=source.bbox,
        datetime=source.datetime,
        properties=properties,
        stac_extensions=sorted(_EXTENSIONS.values()),
        collection=COLLECTION,
    )
    item.add_asset(ASSET, _asset(result, grid))
    for rel in (pystac.RelType.ROOT, pystac.RelType.PARENT, pystac.RelType.COLLECTION):
        item.links.append(pystac.Link(rel, f"../../../{COLLECTION_FILE}", media_type=pystac.MediaType.JSON))
    item.links.append(_derived_from(source))
    return item


def write_item(item: pystac.Item, path: str | os.PathLike[str]) -> pystac.Item:
    """Write a score Item, whole or not at all, and return it as read back from its place."""
    _write_json(item.to_dict(include_self_link=False, transform_hrefs=False), Path(path))
    return pystac.Item.from_file(str(path))


def held_item(path: Path) -> pystac.Item | None:
    """The Item beside the COG ``path``, if its own COG is there and as long as it says; None otherwise.

    A score that took the place of another lies in a file of another name, so that the former was there until the
    Item changed.
    """
    described = path.with_suffix(".json")
    try:
        item = pystac.Item.from_file(str(described))
        asset = item.assets[ASSET]
        whole: bool = (described.parent / asset.href).stat().st_size == asset.extra_fields["file:size"]
    except (OSError, ValueError, KeyError, TypeError, pystac.STACError):
        return None
    return item if whole else None


def update_collection(root: str | os.PathLike[str], items: Iterable[pystac.Item]) -> Path:
    """Make the Collection of an archive, or add Items to it: links, extents, models.

    Parameters
    ----------
    root : path
        The archive.
    items : iterable of pystac.Item
        Score Items in their places, as `write_item` returns them. Items it already has are replaced.

    Returns
    -------
    Path
        ``collection.json``. Written whole or not at all; the order of additions changes nothing.

    Raises
    ------
    ProductError
        There is a ``collection.json`` that isn't a Collection of scores.
    OutputError
        The file can't be written.
    """
    path = Path(root) / COLLECTION_FILE
    before = _checked_collection(path.read_text(), str(path)) if path.exists() else _empty_collection()
    described = deepcopy(before)
    links = {link["href"]: link for link in described["links"] if link["rel"] == pystac.RelType.ITEM}
    for item in items:
        href = f"./{Path(item.self_href).relative_to(Path(root).resolve()).as_posix()}"
        links[href] = {"rel": "item", "href": href, "type": str(pystac.MediaType.GEOJSON), "title": item.id}
        _grow(described["extent"], item)
        models = set(described["summaries"].get("MODEL_VERSION", [])) | {item.properties["MODEL_VERSION"]}
        described["summaries"]["MODEL_VERSION"] = sorted(models)
    others = [link for link in described["links"] if link["rel"] != pystac.RelType.ITEM]
    described["links"] = others + [links[href] for href in sorted(links)]
    if described != before:
        _write_json(described, path)
    return path


def read_items(root: str | os.PathLike[str]) -> list[pystac.Item]:
    """Read the score Items of an archive (or of the ``collection.json`` in it), in a folder or a bucket, sorted by id.

    Raises
    ------
    ArgumentError
        There is no archive.
    ProductError
        The catalogue is damaged.

    Examples
    --------
    >>> read_items("archive")  # doctest: +SKIP
    """
    if is_address(root):
        return _items_of_bucket(str(root))
    path = Path(root)
    path = path if path.suffix == ".json" else path / COLLECTION_FILE
    if not path.is_file():
        raise ArgumentError(
            f"{os.fspath(root)!r} holds no {COLLECTION_FILE}; expected an archive made by clearsight.produce."
        )
    hrefs = [
        link["href"]
        for link in _checked_collection(path.read_text(), str(path))["links"]
        if link["rel"] == pystac.RelType.ITEM
    ]
    try:
        items = [pystac.Item.from_file(str((path.parent / href).resolve())) for href in hrefs]
    except (OSError, ValueError, KeyError, pystac.STACError) as error:
        raise ProductError(
            f"{path} links to an Item that can't be read ({error}). Run clearsight.produce again."
        ) from error
    return sorted(items, key=lambda item: item.id)


def _items_of_bucket(address: str) -> list[pystac.Item]:
    objects = Objects(address.removesuffix(COLLECTION_FILE))
    catalogue = objects.read(COLLECTION_FILE)
    if catalogue is None:
        raise ArgumentError(f"{address} holds no {COLLECTION_FILE}; expected an archive made by clearsight.produce.")
    links = _checked_collection(catalogue[0].decode(), f"{objects.address}/{COLLECTION_FILE}")["links"]
    keys = [posixpath.normpath(link["href"]) for link in links if link["rel"] == pystac.RelType.ITEM]
    found = zip(keys, objects.read_all(keys), strict=True)
    items = [item_at(f"{objects.address}/{key}", content[0] if content else b"") for key, content in found]
    return sorted(items, key=lambda item: item.id)


def item_at(href: str, content: bytes) -> pystac.Item:
    """A score Item as it lies in a bucket, without its root: pystac would follow that link, and reads no buckets."""
    try:
        item = pystac.Item.from_dict(json.loads(content), href=href)
    except (ValueError, KeyError, pystac.STACError) as error:
        raise ProductError(f"{href} is linked, and can't be read ({error}). Run clearsight.produce again.") from error
    item.remove_links(pystac.RelType.ROOT)
    return item


def _asset(result: Result, grid: dict[str, Any]) -> pystac.Asset:
    shape, transform = grid["proj:shape"], grid["proj:transform"]
    return pystac.Asset(
        href=f"./{result.file.path.name}",
        title="Clear-sky scores cs and cs_cdf",
        media_type=pystac.MediaType.COG,
        roles=_ROLES,
        extra_fields={
            **_band_fields(float(result.geobox.resolution.x)),
            "proj:shape": shape,
            "proj:transform": transform,
            "file:size": result.file.size,
            "file:checksum": result.file.checksum,
        },
    )


def _band_fields(resolution: float) -> dict[str, Any]:
    encoding = {"data_type": "uint8", "nodata": NODATA, "scale": SCALE, "offset": 0.0, "unit": "1"}
    named = [{"name": name, "description": score_description(name)} for name in SCORES]
    return {
        "bands": named,
        # What readers from before STAC 1.1 look at, such as odc.stac.load(items, bands=["cs"]).
        "eo:bands": named,
        "raster:bands": [{**encoding, "spatial_resolution": resolution} for _ in SCORES],
    }


def _grid_fields(geobox: GeoBox) -> dict[str, Any]:
    return {
        "proj:shape": [geobox.shape.y, geobox.shape.x],
        "proj:transform": [float(number) for number in geobox.affine[:6]],
        "proj:bbox": [float(number) for number in geobox.boundingbox.bbox],
    }


def _derived_from(source: pystac.Item) -> pystac.Link:
    """Link to the source Item; to the product's metadata, or a band, where the Item itself is nowhere to be read."""
    item_href = source.get_self_href()
    keys = [key for key in ("product_metadata", *source.assets) if key in source.assets]
    href = item_href or (source.assets[keys[0]].get_absolute_href() or source.assets[keys[0]].href)
    media_type = pystac.MediaType.GEOJSON if item_href else source.assets[keys[0]].media_type
    return pystac.Link(pystac.RelType.DERIVED_FROM, href, media_type=media_type, title=source.id)


def _empty_collection() -> dict[str, Any]:
    item_asset = pystac.ItemAssetDefinition.create(
        title="Clear-sky scores cs and cs_cdf",
        description="Two bands, uint8, scale 1/200, nodata 255.",
        media_type=pystac.MediaType.COG,
        roles=_ROLES,
        extra_fields=_band_fields(10.0),
    )
    collection = pystac.Collection(
        id=COLLECTION,
        title="Clear-sky scores of Sentinel-2 images",
        description=(
            "How well can the ground be seen, for every pixel of every image? `cs` compares a pixel with its clear "
            "reference; `cs_cdf` ranks that score among all scores of its place. Each Item has the `system:index` of "
            "the Sentinel-2 image it was made from. Contains modified Copernicus Sentinel data."
        ),
        license=LICENCE,
        keywords=["sentinel-2", "cloud score", "cloud mask", "quality"],
        providers=[
            pystac.Provider(
                "European Union, ESA, Copernicus",
                roles=[ProviderRole.LICENSOR, ProviderRole.PRODUCER],
                url="https://dataspace.copernicus.eu",
            ),
            pystac.Provider("Clearsight", roles=[ProviderRole.PROCESSOR], extra_fields={"processing:level": _LEVEL}),
        ],
        # No Item yet: the first one sets the bounds (`_grow`).
        extent=pystac.Extent(pystac.SpatialExtent([-180.0, -90.0, 180.0, 90.0]), pystac.TemporalExtent([None, None])),
        stac_extensions=sorted(_EXTENSIONS[name] for name in ("eo", "processing", "raster")),
    )
    collection.item_assets = {ASSET: item_asset}
    collection.links = [pystac.Link(pystac.RelType.ROOT, f"./{COLLECTION_FILE}", media_type=pystac.MediaType.JSON)]
    described = collection.to_dict(include_self_link=False, transform_hrefs=False)
    described["summaries"] = {"gsd": [10.0]}
    return described


def _grow(extent: dict[str, Any], item: pystac.Item) -> None:
    """Grow the extents of a Collection to hold an Item; the first one sets them."""
    known = [str_to_datetime(text) for text in extent["temporal"]["interval"][0] if text is not None]
    if item.bbox is not None:
        box, new = extent["spatial"]["bbox"][0], list(item.bbox)
        extent["spatial"]["bbox"] = [[*map(min, box[:2], new[:2]), *map(max, box[2:], new[2:])] if known else new]
    if item.datetime is not None:
        moments = [*known, item.datetime]
        extent["temporal"]["interval"] = [[datetime_to_str(min(moments)), datetime_to_str(max(moments))]]


def _checked_collection(text: str, path: str) -> dict[str, Any]:
    try:
        described: dict[str, Any] = json.loads(text)
        if described["type"] != "Collection" or described["id"] != COLLECTION:
            raise ProductError(
                f"{path} is the {described['type']} {described['id']!r}; expected the Collection {COLLECTION!r}. "
                "Choose another folder for the archive."
            )
    except (ValueError, KeyError, TypeError) as error:
        raise ProductError(
            f"{path} is no STAC Collection ({error}). Move it away, and run clearsight.produce again."
        ) from error
    return described


def _write_json(described: dict[str, Any], path: Path) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
