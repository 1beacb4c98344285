"""Scores made elsewhere: Cloud Score+ GeoTIFFs that somebody exported from Earth Engine."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pystac
import rasterio
import rasterio.errors

from clearsight.errors import ArgumentError, EmptySourceError, ProductError
from clearsight.sources._footprint import bbox, footprint

ASSET: Final = "scores"
"""Key of the one asset, as in our own score Items."""
BANDS: Final = ("cs", "cs_cdf")
"""Bands, and their order in files that don't describe them."""

_INDEX: Final = re.compile(r"\d{8}T\d{6}_\d{8}T\d{6}_T\d{2}[A-Z]{3}")


def search_scores(folder: str | Path, *, scale: float | None = None) -> list[pystac.Item]:
    """Find scores that were exported from Earth Engine, as Items that `clearsight.link` takes.

    Parameters
    ----------
    folder : path
        Folder with GeoTIFFs at any depth, whose names hold the image's ``system:index``
        (``20230101T184751_20230101T185116_T11SKB.tif``), with the bands ``cs``, ``cs_cdf``: named so in the band
        descriptions, or both in this order.
    scale : float, optional
        Score = number * scale, for files of whole numbers, which don't tell it: 1/255, 1/200, 0.01. Files of floats
        hold scores from 0 to 1 and need none.

    Returns
    -------
    list of pystac.Item
        One per file, in the order of their names; ids are the ``system:index``.

    Raises
    ------
    EmptySourceError
        No file's name holds an index.
    ArgumentError
        A file holds whole numbers, and neither it nor ``scale`` says what they mean.
    ProductError
        A file can't be read or has other bands.

    Examples
    --------
    >>> linked = link(items, search_scores("exported/"), bands=["cs", "cs_cdf"])  # doctest: +SKIP
    """
    root = Path(folder)
    found = [path for path in sorted(root.rglob("*.tif*")) if _INDEX.search(path.name)]
    if not found:
        raise EmptySourceError(
            f"folder={str(folder)!r} holds no exported scores: no GeoTIFF there is named by an image's system:index, "
            "such as 20230101T184751_20230101T185116_T11SKB.tif."
        )
    return [_item(path.resolve(), scale) for path in found]


def _item(path: Path, scale: float | None) -> pystac.Item:
    try:
        with rasterio.open(path) as dataset:
            names = _names(path, dataset.descriptions)
            entries = [_entry(path, dataset, number, scale) for number in range(1, dataset.count + 1)]
            crs = f"EPSG:{dataset.crs.to_epsg()}" if dataset.crs else None
            bounds, transform, shape = tuple(dataset.bounds), list(dataset.transform)[:6], list(dataset.shape)
    except rasterio.errors.RasterioError as error:
        raise ProductError(f"{path} can't be read: {error}. It is truncated or corrupt; export it again.") from error
    if crs is None:
        raise ProductError(f"{path} has no coordinate reference system; export it again with one.")
    match = _INDEX.search(path.name)
    index = match[0] if match else path.stem
    geometry = footprint(None, bounds, crs=crs)
    item = pystac.Item(
        index,
        geometry,
        bbox(geometry),
        datetime.strptime(index[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC),
        {"proj:code": crs, "grid:code": f"MGRS-{index[-5:]}"},
    )
    fields: dict[str, Any] = {
        "bands": [{"name": name} for name in names],
        "raster:bands": entries,
        "proj:transform": transform,
        "proj:shape": shape,
    }
    asset = pystac.Asset(path.as_posix(), media_type=pystac.MediaType.GEOTIFF, roles=["data"], extra_fields=fields)
    item.add_asset(ASSET, asset)
    return item


def _names(path: Path, descriptions: tuple[str | None, ...]) -> list[str]:
    described = [(text or "").lower() for text in descriptions]
    if set(described) & set(BANDS):
        return described
    if len(described) == len(BANDS) and not any(described):
        return list(BANDS)
    raise ProductError(
        f"{path} has the bands {', '.join(text or '(no name)' for text in descriptions)}; expected cs and cs_cdf, "
        "named in the band descriptions, or both in this order."
    )


def _entry(path: Path, dataset: Any, number: int, scale: float | None) -> dict[str, Any]:
    """What a band's numbers mean; outside of the image Earth Engine writes NaN, or whatever the file declares."""
    kind, declared = dataset.dtypes[number - 1], dataset.scales[number - 1]
    whole = not kind.startswith("float")
    if whole and scale is None and declared == 1:
        raise ArgumentError(
            f"scale=None: {path} holds whole numbers ({kind}) and doesn't tell their scale. Pass scale, such as 1/255, "
            "1/200 or 0.01: score = number * scale."
        )
    factor = (scale or declared) if whole else declared
    entry = {"data_type": kind, "scale": float(factor), "offset": float(dataset.offsets[number - 1])}
    nodata = dataset.nodatavals[number - 1]
    return entry if nodata is None else entry | {"nodata": nodata if nodata == nodata else "nan"}
