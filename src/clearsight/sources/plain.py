"""Plain band files: images without a product's metadata, one band per file or many in one.

Names and band descriptions tell which band is which. What no file tells (level, radiometric offset) has to be given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pystac
import rasterio
import rasterio.errors

from clearsight import ids
from clearsight.bands import BANDS, LEVELS, NODATA_DN, REQUIRED_BANDS, Level
from clearsight.errors import ArgumentError, EmptySourceError, MissingBandError, MissingOffsetError, ProductError
from clearsight.sources._footprint import bbox, footprint, mgrs_tile
from clearsight.sources._items import Grid, band_asset, declare_extensions

FIRST_IMAGE: Final = datetime(2015, 6, 23, tzinfo=UTC)
"""Launch of Sentinel-2A: an image without a date is at least not older."""

_FILE: Final = re.compile(r"^(?!.*MSK_).*\.(jp2|tif|tiff)$", re.IGNORECASE)
_NAMED: Final = re.compile(r"(?:^|_)(B\d\d|B8A)(?:_\d\dm)?\.\w+$", re.IGNORECASE)
_TILE: Final = re.compile(r"(?:^|_)T(\d\d[C-X][A-Z]{2})(?:_|$)")
_TIME: Final = re.compile(r"(?:^|_)(\d{8}T\d{6})(?:_|$)")

_DARK_PERCENTILE: Final = 0.1
_SURELY_NO_OFFSET: Final = 950
"""DN: with an offset of −1000 this would be a reflectance of −0.005, below the sensor's noise."""


@dataclass(frozen=True)
class _Band:
    """One band in one file."""

    name: str
    path: Path
    index: int
    """Band within the file, from 1."""
    grid: Grid
    crs: str


def band_files(folder: str | Path) -> list[Path]:
    """List the image files of a folder that may be bands of one scene (those of subfolders are not)."""
    return sorted(path for path in Path(folder).iterdir() if path.is_file() and _FILE.match(path.name))


def plain_item(
    folder: str | Path,
    *,
    level: Level | None,
    offset: float | None,
    datetime: datetime | None = None,
    quantification: float = 10_000.0,
) -> pystac.Item:
    """Describe a folder of plain band files as one item.

    Parameters
    ----------
    folder : path
        Folder with files whose names end with a band (``…_B02.jp2``, ``…_B02_10m.tif``), or whose band descriptions
        are bands (``B02``, ``B03``, …).
    level : {"L1C", "L2A"}
        Processing level: top of atmosphere or surface.
    offset : float
        Radiometric offset in DN: 0 for processing baselines before 04.00, −1000 from then on.
    datetime : datetime, optional
        Sensing time; without a time zone it is UTC. By default the time in the files' names; with neither, the item
        has the whole mission as its time range, and its frame the time NaT.
    quantification : float
        Reflectance = (DN + offset) / quantification.

    Returns
    -------
    pystac.Item
        Its id is the common part of the file names, after the folder's name when the files name no tile. Its
        ``system:index`` is made of what is known, in the usual order and without invention:
        ``{time}_T{tile}``, or ``{id}_T{tile}`` without a time.

    Raises
    ------
    MissingOffsetError
        ``offset`` is None; the message says what the darkest pixels suggest.
    ArgumentError
        ``level`` is neither of the two.
    EmptySourceError
        The folder holds no band files.
    MissingBandError
        One of B02, B03, B04 is absent.
    ProductError
        A file can't be read, or the files are in several coordinate reference systems.

    Examples
    --------
    >>> item = plain_item("brandenburg", level="L1C", offset=0)  # doctest: +SKIP
    """
    root = Path(folder).resolve()
    bands = _bands(root)
    _check(root, bands, level)
    if offset is None:
        raise MissingOffsetError(
            f"offset=None: nothing in {root} tells the radiometric offset of these plain files. Pass offset=0 "
            f"(processing baselines before 04.00) or offset=-1000 (from 04.00 on); on the command line --offset. "
            f"{_suggestion(bands)}"
        )
    name = _name(root, [band.path for band in bands])
    finest = min(bands, key=lambda band: (band.grid.resolution, band.name))
    tile = _tile(name, finest)
    stamp = _TIME.search(name)
    moment = datetime or (_moment(stamp[1]) if stamp else None)
    geometry = footprint(None, finest.grid.bounds, crs=finest.crs)
    item = pystac.Item(
        id=name,
        geometry=geometry,
        bbox=bbox(geometry),
        datetime=_utc(moment),
        properties=_properties(tile, finest, level) | ({} if moment else _whole_mission()),
    )
    item.properties[ids.INDEX] = f"{_utc(moment):%Y%m%dT%H%M%S}_T{tile}" if moment else _with_tile(name, tile)
    for band in bands:
        asset = band_asset(
            band.path.as_posix(),
            band.name,
            grid=band.grid,
            quantification=quantification,
            offset=offset,
            index=band.index,
        )
        item.add_asset(band.name, asset)
    declare_extensions(item)
    return item


def _bands(root: Path) -> list[_Band]:
    """Bands of all files, the finest of each, in the usual order."""
    finest: dict[str, _Band] = {}
    for path in band_files(root):
        for band in _bands_of(path):
            if band.name not in finest or band.grid.resolution < finest[band.name].grid.resolution:
                finest[band.name] = band
    return [finest[name] for name in BANDS if name in finest]


def _bands_of(path: Path) -> list[_Band]:
    named = _NAMED.search(path.name)
    try:
        with rasterio.open(path) as dataset:
            names = [named[1].upper()] if named else [(text or "").upper() for text in dataset.descriptions]
            if not any(name in BANDS for name in names):
                return []
            if dataset.crs is None or dataset.crs.to_epsg() is None:
                raise ProductError(f"{path} has no known coordinate reference system; give georeferenced files in UTM.")
            transform = dataset.transform
            grid = Grid(dataset.height, dataset.width, transform.c, transform.f, transform.a)
            crs = f"EPSG:{dataset.crs.to_epsg()}"
    except rasterio.errors.RasterioError as error:
        raise ProductError(f"{path} can't be read: {error}. It is truncated or corrupt; fetch it again.") from error
    return [_Band(name, path, index, grid, crs) for index, name in enumerate(names, start=1) if name in BANDS]


def _check(root: Path, bands: Sequence[_Band], level: str | None) -> None:
    if not bands:
        raise EmptySourceError(
            f"{root} holds no Sentinel-2 bands: no image file there has a name that ends with a band (…_B02.jp2) or "
            "bands described as B02, B03, …"
        )
    if level not in LEVELS:
        raise ArgumentError(
            f"level={level!r}: plain files don't tell their processing level; pass level='L1C' (top of atmosphere) "
            "or level='L2A' (surface)."
        )
    missing = [name for name in REQUIRED_BANDS if name not in {band.name for band in bands}]
    if missing:
        raise MissingBandError(
            f"{root} has no {', '.join(missing)}; a score needs at least {', '.join(REQUIRED_BANDS)}. "
            "Add the files, with names that end with the band (…_B02.jp2)."
        )
    systems = sorted({band.crs for band in bands})
    if len(systems) > 1:
        raise ProductError(f"{root} mixes files in {', '.join(systems)}; put each scene in a folder of its own.")


def _name(root: Path, paths: Sequence[Path]) -> str:
    """Common part of the file names; after the folder's name, if it names no tile."""
    stems = sorted({_NAMED.sub("", path.name) if _NAMED.search(path.name) else path.stem for path in paths})
    # Sorted, what the first and the last have in common all have in common.
    same = takewhile(lambda pair: pair[0] == pair[1], zip(stems[0], stems[-1], strict=False))
    common = stems[0] if len(stems) == 1 else re.sub(r"[_\-.]*\d*$", "", "".join(letter for letter, _ in same))
    if _TILE.search(common):
        return common
    return f"{root.name}_{common}" if common else root.name


def _tile(name: str, band: _Band) -> str:
    named = _TILE.search(name)
    if named:
        return named[1]
    west, south, east, north = band.grid.bounds
    return mgrs_tile((west + east) / 2, (south + north) / 2, epsg=int(band.crs.removeprefix("EPSG:")))


def _with_tile(name: str, tile: str) -> str:
    return name if _TILE.search(name) else f"{name}_T{tile}"


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _utc(moment: Any) -> Any:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole_mission() -> dict[str, str]:
    return {
        "start_datetime": pystac.utils.datetime_to_str(FIRST_IMAGE),
        "end_datetime": pystac.utils.datetime_to_str(datetime.now(UTC).replace(microsecond=0)),
    }


def _properties(tile: str, band: _Band, level: str | None) -> dict[str, Any]:
    return {
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "grid:code": f"MGRS-{tile}",
        "processing:level": level,
        "proj:code": band.crs,
    }


def _suggestion(bands: Sequence[_Band]) -> str:
    """What the darkest pixels suggest: with an offset of −1000, hardly a DN is below 1000."""
    dark = {band.name: _dark(band) for band in bands}
    name, value = min(dark.items(), key=lambda pair: pair[1])
    if not np.isfinite(value):
        return "All pixels are nodata, so they suggest nothing."
    found = f"The darkest {_DARK_PERCENTILE} % of the pixels of {name} are at DN {value:.0f} or below"
    if value < _SURELY_NO_OFFSET:
        return f"{found}, which suggests offset=0: an offset of -1000 would make them negative."
    return f"{found}, and no band is darker, which suggests offset=-1000 (or a scene without any dark place)."


def _dark(band: _Band) -> float:
    with rasterio.open(band.path) as dataset:
        shape = tuple(min(side, 1024) for side in dataset.shape)
        numbers = dataset.read(band.index, out_shape=shape)
    valid = numbers[numbers != NODATA_DN]
    return float(np.percentile(valid, _DARK_PERCENTILE)) if valid.size else np.nan
