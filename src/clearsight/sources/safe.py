"""Sentinel-2 products in ESA's SAFE layout and its relatives: folder or zip -> items.

Read are the compact SAFE layout (since December 2016), the older one with many tiles in one product, folders that hold
the files of a product side by side, and the AWS archive's (``metadata.xml`` beside ``tileInfo.json``).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pystac

from clearsight import ids
from clearsight.bands import BANDS, LEVELS, Level
from clearsight.errors import EmptySourceError, MissingOffsetError, ProductError, ProductWarning
from clearsight.sources import _archive, _metadata
from clearsight.sources._archive import Tree
from clearsight.sources._footprint import bbox, footprint
from clearsight.sources._items import Grid, band_asset, class_asset, declare_extensions, images
from clearsight.sources._metadata import Granule, Product, TileInfo

OFFSETS_SINCE: Final = "04.00"
"""First processing baseline with a radiometric offset."""

_PRODUCT: Final = re.compile(
    r"^(MTD_MSIL(1C|2A)|S2\w_(OPER|USER)_MTD_SAF\w+|S2\w_(OPER|USER)_MTD_MSIL\w+|product_metadata)\.xml$", re.IGNORECASE
)
_GRANULE: Final = re.compile(r"^(MTD_TL|S2\w_(OPER|USER)_MTD_L(1C|2A)_TL_\w+|metadata)\.xml$", re.IGNORECASE)
_MASK: Final = re.compile(r"(?:^|_)MSK_([A-Z]{6})_(?:\w+_)?(B\d\d|B8A)(?:_\w+)?\.(jp2|gml)$", re.IGNORECASE)
_PRODUCT_NAME: Final = re.compile(r"^(S2[A-D]_MSIL(?:1C|2A)_\w+?|S2[A-D]_OPER_PRD_\w+?)(?:\.SAFE)?(?:\.zip)?$")
_NAME_BASELINE: Final = re.compile(r"_N(\d\d)\.?(\d\d)(?:_|$)")


@dataclass(frozen=True)
class _Files:
    """The files of one product, or of one granule of it."""

    product: str | None
    """Product metadata, if there is any."""
    granule: str
    """Granule metadata; of a product its folder."""
    tile_info: str | None
    names: tuple[str, ...]
    """All files of it."""
    alone: bool = True
    """The product has no other granule."""


def safe_items(path: str | Path, *, offset: float | None = None) -> list[pystac.Item]:
    """Describe all Sentinel-2 products in a folder or a zip.

    Parameters
    ----------
    path : path
        One product (folder or zip), or a folder with products and zips at any depth.
    offset : float, optional
        Radiometric offset (0 or −1000) of products whose metadata should tell it but doesn't; never overrides one.

    Returns
    -------
    list of pystac.Item
        One item per product and tile, in the order of their names; empty if there is no product.

    Raises
    ------
    ProductError
        The product is truncated or incomplete; the message names it. Among whole products of a folder a broken one is
        left out with a `ProductWarning`.
    UnsafeProductError
        A zip or its metadata tries something it must not.
    MissingOffsetError
        A product of baseline 04.00 or later has no list of offsets, and ``offset`` isn't given.

    Examples
    --------
    >>> items = safe_items("S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE")  # doctest: +SKIP
    """
    source = Path(path)
    if source.is_file():
        tree = _archive.archive(source)
        items = [_item(tree, files, offset) for product in _products(tree) for files in _granules(tree, product)]
        if not items:
            raise EmptySourceError(f"{source} holds no Sentinel-2 product (no MTD_MSIL1C.xml or MTD_MSIL2A.xml).")
        return items
    return _folder_items(_archive.folder(source), offset)


def tree_items(tree: Tree) -> list[pystac.Item]:
    """Describe the products of a tree; one that is broken raises what `safe_items` does."""
    return [_item(tree, files, None) for product in _products(tree) for files in _granules(tree, product)]


def without_broken(items: list[pystac.Item], broken: Sequence[ProductError], *, stacklevel: int) -> list[pystac.Item]:
    """Warn of the products that are broken; if no other is there, the first of them is an error."""
    if broken and not items:
        raise broken[0]
    for reason in broken:
        warnings.warn(f"left out: {reason}", ProductWarning, stacklevel=stacklevel + 1)
    return items


def _folder_items(tree: Tree, offset: float | None) -> list[pystac.Item]:
    """Items of all products of a folder; a broken product costs only itself, unless nothing else is there."""
    items: list[pystac.Item] = []
    broken: list[ProductError] = []

    def add(inside: Tree, product: _Files) -> None:
        try:
            items.extend([_item(inside, files, offset) for files in _granules(inside, product)])
        except ProductError as error:
            broken.append(error)

    for product in _products(tree):
        add(tree, product)
    for name in tree.names:
        if name.lower().endswith(".zip"):
            try:
                zipped = _archive.archive(tree.root / name)
            except ProductError as error:
                broken.append(error)
                continue
            for product in _products(zipped):
                add(zipped, product)
    return without_broken(items, broken, stacklevel=4)


def _products(tree: Tree) -> list[_Files]:
    """Find the products of a tree; each with all of its files, and no granule yet."""
    paths = [PurePosixPath(name) for name in tree.names]
    aws = {path.parent for path in paths if path.name == "tileInfo.json"}
    products = {path.parent: str(path) for path in paths if _PRODUCT.match(path.name)}
    # An AWS folder may lack the product's metadata.
    roots = dict.fromkeys([*products, *(path.parent for path in paths if _is_aws_granule(path, aws))])
    below: dict[PurePosixPath, list[str]] = {root: [] for root in roots}
    for path in paths:
        for parent in path.parents:
            if parent in below:
                below[parent].append(str(path))
    return [_Files(products.get(root), str(root), None, tuple(below[root])) for root in sorted(roots)]


def _granules(tree: Tree, product: _Files) -> list[_Files]:
    """Split a product into its granules."""
    root = PurePosixPath(product.granule)
    paths = [PurePosixPath(name) for name in product.names]
    tile_infos = {path.parent: str(path) for path in paths if path.name == "tileInfo.json"}
    found = [
        path
        for path in paths
        if _GRANULE.match(path.name) and (path.name != "metadata.xml" or path.parent in tile_infos)
    ]
    if not found:
        raise ProductError(
            f"{tree.root / root} has no granule metadata (MTD_TL.xml): the product is incomplete. Fetch it again."
        )
    chosen = [path for path in found if path.parent.parent.name == "GRANULE"]
    chosen = chosen or [path for path in found if path.parent == root] or found
    return [
        replace(
            product,
            granule=str(path),
            tile_info=tile_infos.get(path.parent),
            names=tuple(str(other) for other in paths if path.parent in other.parents),
            alone=len(chosen) == 1,
        )
        for path in chosen
    ]


def _is_aws_granule(path: PurePosixPath, aws: set[PurePosixPath]) -> bool:
    return path.name == "metadata.xml" and path.parent in aws


def _item(tree: Tree, files: _Files, offset: float | None) -> pystac.Item:
    granule = _metadata.granule(_archive.read(tree, files.granule), f"{tree.root}: {files.granule}")
    info = _tile_info(tree, files)
    product = _product(tree, files, granule, info)
    baseline = product.baseline or _baseline(granule.tile_id)
    level = product.level or _level(granule.tile_id, tree)
    offsets = _offsets(product, baseline, offset, where=f"{tree.root}: {product.name}")
    largest = _grid(granule, 10)
    ring, ring_crs = (product.footprint, "EPSG:4326") if product.footprint else (info.footprint, granule.crs)
    geometry = footprint(ring, largest.bounds, crs=granule.crs, ring_crs=ring_crs)
    item = pystac.Item(
        id=product.name if files.alone else f"{product.name}_T{_tile(granule)}",
        geometry=geometry,
        bbox=bbox(geometry),
        datetime=granule.sensing_time,
        properties=_properties(product, granule, level=level, baseline=baseline),
    )
    item.properties[ids.INDEX] = ids.system_index(item)
    _add_images(item, tree, files, product=product, granule=granule, offsets=offsets)
    _add_masks(item, tree, files, granule=granule)
    _add_metadata(item, tree, files)
    declare_extensions(item)
    return item


def _tile_info(tree: Tree, files: _Files) -> TileInfo:
    if files.tile_info is None:
        return TileInfo(product_name=None, footprint=None)
    return _metadata.tile_info(_archive.read(tree, files.tile_info), f"{tree.root}: {files.tile_info}")


def _product(tree: Tree, files: _Files, granule: Granule, info: TileInfo) -> Product:
    """Product metadata, or as much of it as names tell."""
    if files.product is not None:
        product = _metadata.product(_archive.read(tree, files.product), f"{tree.root}: {files.product}")
        if product.name:
            return product
        return replace(product, name=_name(tree, files, info) or granule.tile_id)
    return Product(
        name=_name(tree, files, info) or granule.tile_id,
        level=None,
        baseline=None,
        platform=f"sentinel-{granule.tile_id[1:3].lower()}",
        datatake_id=None,
        generated=None,
        relative_orbit=None,
        orbit_state=None,
        quantification=None,
        offsets=None,
        cloud_cover=None,
        footprint=None,
        images=(),
    )


def _name(tree: Tree, files: _Files, info: TileInfo) -> str | None:
    """Product name from AWS's metadata, else from a folder's or zip's name."""
    inner = PurePosixPath(files.granule).parents
    for name in [info.product_name or "", *(parent.name for parent in inner), tree.root.name]:
        match = _PRODUCT_NAME.match(name)
        if match:
            return match[1]
    return None


def _level(tile_id: str, tree: Tree) -> Level:
    for level in LEVELS:
        if f"_{level}_" in tile_id:
            return level
    raise ProductError(f"{tree.root}: tile {tile_id!r} is neither Level-1C nor Level-2A; only these two are read.")


def _tile(granule: Granule) -> str:
    match = re.search(r"_T(\d\d[A-Z]{3})", granule.tile_id)
    if match is None:
        raise ProductError(f"granule {granule.tile_id!r} doesn't name its tile (_Txxxxx); fetch the product again.")
    return match[1]


def _baseline(tile_id: str) -> str | None:
    match = _NAME_BASELINE.search(tile_id)
    return f"{match[1]}.{match[2]}" if match else None


def _offsets(product: Product, baseline: str | None, offset: float | None, *, where: str) -> dict[str, float]:
    """Radiometric offset of each band: from the metadata; before baseline 04.00 there was none."""
    if product.offsets is not None:
        missing = [band for band in BANDS if band not in product.offsets]
        if missing and offset is None and missing != ["B10"]:
            raise MissingOffsetError(
                f"{where} lists radiometric offsets, but none for {', '.join(missing)}. Pass offset=0 or offset=-1000."
            )
        return dict.fromkeys(missing, offset or 0.0) | product.offsets
    if baseline is not None and baseline < OFFSETS_SINCE:
        return dict.fromkeys(BANDS, 0.0)
    if offset is None:
        raise MissingOffsetError(
            f"{where} is of processing baseline {baseline or 'unknown'}, and no metadata lists its radiometric offsets "
            "(RADIO_ADD_OFFSET or BOA_ADD_OFFSET in the product's XML). Add the product's metadata "
            "(product_metadata.xml, MTD_MSIL1C.xml), or pass offset=-1000 (all genuine products from 04.00 on)."
        )
    return dict.fromkeys(BANDS, float(offset))


def _grid(granule: Granule, resolution: int) -> Grid:
    """Grid at a resolution, derived from the finest one when the metadata leaves it out."""
    finest = min(granule.grids)
    rows, columns, left, top = granule.grids.get(resolution, granule.grids[finest])
    if resolution not in granule.grids:
        rows, columns = (-(-size * finest // resolution) for size in (rows, columns))
    return Grid(rows, columns, left, top, resolution)


def _properties(product: Product, granule: Granule, *, level: Level, baseline: str | None) -> dict[str, Any]:
    cloud = product.cloud_cover if product.cloud_cover is not None else granule.cloud_cover
    facts = {
        "platform": product.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "grid:code": f"MGRS-{_tile(granule)}",
        "processing:level": level,
        "processing:version": baseline,
        "s2:datatake_id": product.datatake_id,
        "s2:datastrip_id": granule.datastrip_id,
        "s2:product_uri": f"{product.name}.SAFE",
        "s2:tile_id": granule.tile_id,
        "s2:generation_time": product.generated,
        "sat:relative_orbit": product.relative_orbit,
        "sat:orbit_state": product.orbit_state,
        "eo:cloud_cover": cloud,
        "view:sun_azimuth": granule.sun_azimuth,
        "view:sun_elevation": None if granule.sun_zenith is None else 90 - granule.sun_zenith,
        "proj:code": granule.crs,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _add_images(
    item: pystac.Item, tree: Tree, files: _Files, *, product: Product, granule: Granule, offsets: dict[str, float]
) -> None:
    """Add the image files there are; of a product that has only its metadata, those that it declares."""
    found = images(files.names)
    addresses = {band: _archive.href(tree, image.name) for band, image in found.items()}
    if not found:
        root = PurePosixPath(files.product or files.granule).parent
        found = images(name for name in product.images if _tile(granule) in name)
        addresses = {band: _archive.href(tree, f"{root / image.name}.jp2") for band, image in found.items()}
    for band, image in found.items():
        grid = _grid(granule, image.resolution)
        if band == "SCL":
            asset = class_asset(addresses[band], "Scene classification", grid=grid, roles=["data"])
        else:
            quantification = product.quantification or 10_000.0
            asset = band_asset(addresses[band], band, grid=grid, quantification=quantification, offset=offsets[band])
        item.add_asset(band, asset)


def _add_masks(item: pystac.Item, tree: Tree, files: _Files, *, granule: Granule) -> None:
    """Add the detector, quality, nodata and saturation masks: ``MSK_DETFOO_B02``."""
    for name in files.names:
        match = _MASK.search(PurePosixPath(name).name)
        if match is None or match[2].upper() not in BANDS:
            continue
        key = f"MSK_{match[1]}_{match[2]}".upper()
        address = _archive.href(tree, name)
        if match[3].lower() == "gml":
            item.add_asset(key, pystac.Asset(address, media_type="application/gml+xml", roles=["metadata"]))
        else:
            grid = _grid(granule, BANDS[match[2].upper()].gsd)
            item.add_asset(key, class_asset(address, key, grid=grid, roles=["metadata"]))


def _add_metadata(item: pystac.Item, tree: Tree, files: _Files) -> None:
    for key, name in (("product_metadata", files.product), ("granule_metadata", files.granule)):
        if name is not None:
            asset = pystac.Asset(_archive.href(tree, name), media_type=pystac.MediaType.XML, roles=["metadata"])
            item.add_asset(key, asset)
