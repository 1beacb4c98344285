"""EOPF's Zarr products (Level-1C and Level-2A): one store, one item.

Layout: reflectance under ``/measurements/reflectance/r{10,20,60}m/bXX`` as uint16 with ``scale_factor`` and
``add_offset``, 0 = nodata; which detector saw a pixel, and L2A's classification, under ``/conditions/mask``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pystac

from clearsight import ids
from clearsight.bands import BANDS
from clearsight.errors import ArgumentError, ProductError
from clearsight.sources._footprint import bbox, footprint
from clearsight.sources._items import Grid, class_asset, declare_extensions
from clearsight.sources._normalise import RULE, normalised, readable
from clearsight.sources._zarr import crs_of, guarded, open_group, transform_of

_SIZES: Final = (10, 20, 60)
_REFLECTANCE: Final = "measurements/reflectance/r{size}m/{band}"
_CLASSES: Final = "conditions/mask/l2a_classification/r20m/scl"
_DETECTORS: Final = "conditions/mask/detector_footprint/r{size}m/{band}"


def stores(folder: Path) -> list[Path]:
    """Zarr stores of a folder, at any depth; or the folder itself."""
    if folder.suffix == ".zarr":
        return [folder]
    return sorted(path for path in folder.rglob("*.zarr") if path.is_dir() and ".zarr/" not in f"{path.parent}/")


def eopf_item(store: str | Path) -> pystac.Item:
    """Describe a product in EOPF's Zarr layout.

    Parameters
    ----------
    store : path or str
        The store (``….zarr``): a folder, or an address.

    Returns
    -------
    pystac.Item
        Its index is ``{datatake}_T{tile}``: the store doesn't tell its datastrip's time.

    Raises
    ------
    OptionalDependencyError
        The extra ``zarr`` isn't installed.
    ProductError
        The store can't be read, or holds no reflectance; its server refuses or fails (`RemoteError`).

    Examples
    --------
    >>> item = eopf_item("S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.zarr")  # doctest: +SKIP
    """
    place = (store.resolve().as_posix() if isinstance(store, Path) else store).rstrip("/")
    return guarded(lambda: _described(place), what=place, href=place)


def looked_into(made: pystac.Item, item: pystac.Item) -> pystac.Item:
    """Of an item that names its store but no band, return what the store tells; any other one as it was made.

    Parameters
    ----------
    made : pystac.Item
        The item in our form.
    item : pystac.Item
        The provider's.
    """
    hrefs = [asset.get_absolute_href() or asset.href for asset in item.assets.values()]
    places = [href for href in hrefs if href.rstrip("/").endswith(".zarr")]
    if not places or any(band in made.assets for band in BANDS):
        return made
    return eopf_item(places[0])


def _described(place: str) -> pystac.Item:
    root = open_group(place)
    arrays = _bands(root)
    if not arrays:
        raise ProductError(f"{place} holds no Sentinel-2 reflectance (measurements/reflectance/r10m/b02, …).")
    item = _item(root, place, arrays)
    for band, (path, size) in arrays.items():
        item.add_asset(band, _asset(root, place, path, size))
    made = normalised(item, offset="declared")
    made.properties.pop(RULE)  # add_offset is the product's own metadata
    _add_classes(made, root, place, arrays)
    try:
        start, tile = ids.prefix(made)
        made.properties.setdefault(ids.INDEX, f"{start}_T{tile}")
    except ArgumentError as error:
        raise ProductError(f"{place} tells neither its datatake nor its tile: {error}") from error
    declare_extensions(made)
    return made


def _bands(root: Any) -> dict[str, tuple[str, int]]:
    """Array and pixel size of each band: the finest there is."""
    found = {}
    for band in BANDS:
        for size in _SIZES:
            path = _REFLECTANCE.format(size=size, band=band.lower())
            if path in root:
                found[band] = (path, size)
                break
    return found


def _item(root: Any, place: str, arrays: dict[str, tuple[str, int]]) -> pystac.Item:
    told = dict(root.attrs).get("stac_discovery", {})
    name = Path(place).name.removesuffix(".zarr")
    path, size = min(arrays.values(), key=lambda found: found[1])
    crs = crs_of(root, path)
    geometry = footprint(None, _grid(root, path, size).bounds, crs=crs)
    facts = {key: value for key, value in told.get("properties", {}).items() if not key.startswith("proj:")}
    entry = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": told.get("geometry") or geometry,
        "bbox": told.get("bbox") or bbox(geometry),
        "properties": {"datetime": None} | facts | {"proj:code": crs},
        "assets": {},
        "links": [],
    }
    return pystac.Item.from_dict(readable(entry))


def _asset(root: Any, place: str, path: str, size: int) -> pystac.Asset:
    array = root[path]
    attributes = dict(array.attrs)
    told = attributes.get("_eopf_attrs", {}) | attributes
    grid = _grid(root, path, size)
    raster: dict[str, Any] = {}
    if array.dtype.kind == "f":  # converted: reflectance itself
        raster = {"nodata": "nan", "data_type": str(array.dtype), "scale": 1.0, "offset": 0.0}
    else:
        names = (("scale", "scale_factor"), ("offset", "add_offset"))
        raster = {name: float(told[key]) for name, key in names if key in told}
    fields = {"gsd": size, "proj:transform": grid.transform, "proj:shape": [grid.rows, grid.columns]}
    return pystac.Asset(
        f"{place}/{path}",
        media_type="application/vnd+zarr",
        roles=["data"],
        extra_fields=fields | {"raster:bands": [raster]},
    )


def _grid(root: Any, path: str, size: int) -> Grid:
    rows, columns = root[path].shape[-2:]
    transform = transform_of(root, path)
    return Grid(int(rows), int(columns), transform.c, transform.f, float(size))


def _add_classes(item: pystac.Item, root: Any, place: str, arrays: dict[str, tuple[str, int]]) -> None:
    wanted = {"SCL": (_CLASSES, 20)} | {
        f"MSK_DETFOO_{band}": (_DETECTORS.format(size=size, band=band.lower()), size)
        for band, (_, size) in arrays.items()
    }
    for key, (path, size) in wanted.items():
        if path in root:
            role = "data" if key == "SCL" else "metadata"
            item.add_asset(key, class_asset(f"{place}/{path}", key, grid=_grid(root, path, size), roles=[role]))
