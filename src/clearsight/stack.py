"""``load``: items -> one Dataset of harmonised reflectance, dims (time, y, x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import odc.stac
import pystac
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.loader import RioDriver
from odc.loader.types import BandKey, RasterBandMetadata, RasterGroupMetadata, RasterLoadParams, RasterSource
from rasterio.enums import Resampling

from clearsight import _darkness, _reader, ids
from clearsight._grid import output_grid
from clearsight._reader import AUTO, Roi, Source
from clearsight.bands import BANDS
from clearsight.errors import ArgumentError, MissingBandError
from clearsight.scene import bands_of, native_geobox, source

_PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MARGIN: Final = 1000.0
"""Metres around an item's grid within which it is looked for, so that no chunk misses a bulging edge."""


def load(
    items: Sequence[pystac.Item],
    *,
    bands: Sequence[str] | None = None,
    crs: Any = None,
    resolution: float | None = None,
    geobox: GeoBox | None = None,
    bbox: Sequence[float] | None = None,
    like: Any = None,
    chunks: Mapping[str, int] | None = None,
    resampling: str | Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Load harmonised reflectance (and scores linked to the items).

    Parameters
    ----------
    items : sequence of pystac.Item
        From :func:`clearsight.search`, or with score bands from :func:`clearsight.link`. One frame per item.
    bands : sequence of str, optional
        Assets to load: band names, ``cs``, ``cs_cdf``, ``SCL``. By default all Sentinel-2 bands that every item has.
    crs, resolution, geobox, bbox, like : optional
        The grid, as in ``odc.stac.load``. By default the items' own UTM grid at 10 m; ``bbox`` (west, south, east,
        north in degrees) cuts out a window, grown outwards to whole native pixels.
    chunks : mapping, optional
        Chunk sizes along ``time``, ``y``, ``x`` for a lazy result; by default everything is read now. The sizes never
        change a value.
    resampling : str or mapping of band to str, optional
        A name of GDAL's (``nearest``, ``bilinear``, ``cubic``, ``average``, …). By default nothing is resampled on a
        band's own grid, finer pixels are interpolated bilinearly, coarser ones averaged over valid pixels; classes
        (``SCL``) always take the nearest.

    Returns
    -------
    xr.Dataset
        One float32 variable per band, dims ``(time, y, x)``, y running down; NaN = nodata. Reflectance is
        ``DN * scale + offset`` of each item and band, saturated pixels keep theirs (above 6). Coordinates: ``time``
        (UTC; NaT for items without a date), ``id`` (``system:index``, or the item's id where it tells none),
        ``spatial_ref``. Frames are sorted by time, then id.

    Raises
    ------
    ArgumentError
        No items, or an argument can't be used.
    MissingBandError
        A band is missing in an item.
    MixedTilesError
        The items lie in several tiles, or zones, and no grid is given.
    ProductError
        A file can't be read; with ``chunks``, this is raised when values are computed.

    Warns
    -----
    HarmonisationWarning
        The darkest pixels of an item contradict what its provider says of the radiometric offset; once per item.

    Examples
    --------
    >>> stack = load(items, bands=["B02", "B03", "B04"], resolution=20)  # doctest: +SKIP
    """
    frames = sorted(items, key=lambda item: (item.datetime is None, _moment(item), item.id))
    if not frames:
        raise ArgumentError("items is empty; pass at least one item, such as those that clearsight.search finds.")
    names = _bands(frames, bands)
    how = _resampling(resampling, names)
    native = [name for name in names if name in BANDS] or list(bands_of(frames[0])) or names
    grid = output_grid(frames, bands=native, crs=crs, resolution=resolution, geobox=geobox, bbox=bbox, like=like)
    stack = odc.stac.load(
        [_request(index, item, names) for index, item in enumerate(frames)],
        bands=names,
        geobox=grid,
        groupby="id",
        resampling=how,
        # Everything at once is one chunk per frame and band, so that each file is decoded once.
        chunks={"y": -1, "x": -1} if chunks is None else dict(chunks),
        driver=_Driver(),
    )
    labelled = _label(stack, frames)
    # Threads, whatever the user's scheduler: the arrays stay here, and GDAL releases the lock while it decodes.
    return labelled.compute(scheduler="threads") if chunks is None else labelled


def _moment(item: pystac.Item) -> datetime:
    moment = item.datetime or _UNDATED
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bands(items: Sequence[pystac.Item], bands: Sequence[str] | None) -> list[str]:
    """Bands to load; those asked for must be in every item."""
    if bands is None:
        common = [name for name in BANDS if all(name in item.assets for item in items)]
        if not common:
            raise MissingBandError("the items have no Sentinel-2 band in common; pass bands, or items of one kind.")
        return common
    names = [bands] if isinstance(bands, str) else list(dict.fromkeys(bands))
    if not names:
        raise ArgumentError("bands is empty; name at least one, or leave it out for all.")
    for name in names:
        without = [item.id for item in items if name not in item.assets]
        if len(without) == len(items):
            known = sorted({asset for item in items for asset in item.assets if _is_raster(item.assets[asset])})
            raise MissingBandError(f"bands={name!r}: no item has it. The items have {', '.join(known) or 'no bands'}.")
        if without:
            listed = ", ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
            raise MissingBandError(
                f"bands={name!r} is missing in {len(without)} of {len(items)} items: {listed}. "
                "Leave out these items, or this band."
            )
    return names


def _is_raster(asset: pystac.Asset) -> bool:
    return "raster:bands" in asset.extra_fields


def _resampling(resampling: str | Mapping[str, str] | None, names: Sequence[str]) -> dict[str, str]:
    chosen = dict.fromkeys(names, resampling) if isinstance(resampling, str) else dict(resampling or {})
    known = sorted(method.name for method in Resampling if method != Resampling.gauss)
    for name, method in chosen.items():
        if name not in (*names, "*"):
            raise ArgumentError(f"resampling names {name!r}, which isn't among the bands {', '.join(names)}.")
        if method not in (*known, AUTO):
            raise ArgumentError(f"resampling={method!r} is unknown; choose one of {', '.join(known)}.")
    return {"*": AUTO} | chosen


def _request(index: int, item: pystac.Item, names: Sequence[str]) -> pystac.Item:
    """Reduce an item to what odc-stac needs: the assets to load, and one outline that covers them all.

    What odc-stac would otherwise derive per collection (band structure, grids, nodata) differs here from item to item.
    """
    grid = native_geobox(item, bands=bands_of(item) or names)
    west, south, east, north = grid.boundingbox.bbox
    width, height = (int(np.ceil((side + 2 * _MARGIN) / _MARGIN)) for side in (east - west, north - south))
    fields = {
        "proj:transform": [_MARGIN, 0, west - _MARGIN, 0, -_MARGIN, north + _MARGIN],
        "proj:shape": [height, width],
    }
    request = pystac.Item(
        id=f"{index}",
        geometry=None,
        bbox=None,
        datetime=_moment(item),
        properties={"proj:code": str(grid.crs), _SOURCES: {name: source(item, name) for name in names}},
        stac_extensions=[_PROJECTION],
    )
    for name in names:
        href = request.properties[_SOURCES][name].href
        request.add_asset(name, pystac.Asset(href, media_type="image/tiff", extra_fields=dict(fields)))
    return request


_SOURCES: Final = "clearsight:sources"


def _label(stack: xr.Dataset, items: Sequence[pystac.Item]) -> xr.Dataset:
    """Name dims and coordinates as docs/architecture.md says, whatever the CRS."""
    spatial = {old: new for old, new in (("latitude", "y"), ("longitude", "x")) if old in stack.dims}
    times = [np.datetime64("NaT", "ns") if item.datetime is None else _numpy(_moment(item)) for item in items]
    labelled = stack.rename(spatial).assign_coords(
        time=("time", np.array(times, "datetime64[ns]")),
        id=("time", np.array([_index(item) for item in items], str)),
        sun_azimuth=("time", _angles(items, "view:sun_azimuth"), {"units": "degree"}),
        sun_elevation=("time", _angles(items, "view:sun_elevation"), {"units": "degree"}),
    )
    for variable in labelled.data_vars.values():
        variable.attrs = {"units": "1"}
    return labelled


def _angles(items: Sequence[pystac.Item], name: str) -> NDArray[np.float32]:
    """A property of the items in degrees; NaN where they don't tell it."""
    values = [item.properties.get(name) for item in items]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float32)


def _numpy(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "ns")


def _index(item: pystac.Item) -> str:
    try:
        return ids.system_index(item)
    except ArgumentError:
        return item.id


class _Parser:
    """Tells odc-stac what the assets of a request are (its ``MDParser`` protocol)."""

    def extract(self, md: pystac.Item) -> RasterGroupMetadata:
        return RasterGroupMetadata({(name, 1): RasterBandMetadata("float32", np.nan) for name in md.assets})

    def driver_data(self, md: pystac.Item, band_key: BandKey) -> dict[str, Any]:
        facts: Source = md.properties[_SOURCES][band_key[0]]
        # odc-loader names Dask's tasks after file, band and subdataset: two readings of one file with other offsets
        # must not share a name.
        return {"source": facts, "subdataset": repr(astuple(facts))}


class _Reader:
    """Reads one source (odc-loader's ``RasterReader`` protocol)."""

    def __init__(self, facts: Source) -> None:
        self._facts = facts

    def read(
        self,
        cfg: RasterLoadParams,
        dst_geobox: GeoBox,
        *,
        dst: NDArray[np.float32] | None = None,
        selection: Any = None,
    ) -> tuple[Roi, NDArray[np.float32]]:
        _darkness.check(self._facts.item, self._facts.witnesses)
        roi, values = _reader.read(self._facts, dst_geobox, resampling=cfg.resampling)
        if dst is not None:
            dst[roi] = values
        return roi, values


class _Driver:
    """Our reading within odc-stac's loading (odc-loader's ``ReaderDriver`` protocol); GDAL's set-up stays theirs."""

    aux_reader = None
    dask_reader = None

    def __init__(self) -> None:
        self._rio = RioDriver()

    @property
    def md_parser(self) -> _Parser:
        return _Parser()

    def new_load(self, geobox: GeoBox, *, chunks: dict[str, int] | None = None) -> Any:
        return self._rio.new_load(geobox, chunks=chunks)

    def finalise_load(self, load_state: Any) -> Any:
        return self._rio.finalise_load(load_state)

    def capture_env(self) -> dict[str, Any]:
        return self._rio.capture_env()

    def restore_env(self, env: dict[str, Any], load_state: Any) -> AbstractContextManager[Any]:
        return self._rio.restore_env(env, load_state)

    def open(self, src: RasterSource, ctx: Any) -> _Reader:
        return _Reader(src.driver_data["source"])
