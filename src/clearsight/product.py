"""The score file: encode, write and read the two-band COG, whole or not at all."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import odc.geo.xr  # noqa: F401  gives every xarray object its .odc accessor
import rasterio
import rasterio.shutil
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from clearsight.errors import ArgumentError, ProductError
from clearsight.whole import whole_file

SCORES: Final = ("cs", "cs_cdf")
"""The scores, in the order of the file's bands."""

STEPS: Final = 200
"""Steps from 0 to 1: the smallest count that holds the usual thresholds 0.50, 0.55, 0.60 and 0.65 exactly."""

SCALE: Final = 1 / STEPS
NODATA: Final = 255
BLOCK: Final = 512

_COG: Final = {
    "driver": "COG",
    "blocksize": BLOCK,
    "compress": "DEFLATE",
    # Measured: the horizontal predictor saves 4 % on scores of real scenes; level 9 saves 4 % more, in triple the time.
    "level": 6,
    "predictor": "YES",
    "bigtiff": "IF_SAFER",
    # One thread: several would write the same bytes, but the archive works on several files at once.
    "num_threads": 1,
}


@dataclass(frozen=True)
class Making:
    """What a score file says of its own making."""

    index: str
    """``system:index`` of the image that was scored."""
    model_version: str
    """Name and version of the scorer."""
    software_version: str
    """Version of Clearsight."""


@dataclass(frozen=True)
class WrittenFile:
    """A file that is complete, with what a STAC asset says of it."""

    path: Path
    """Where it lies."""
    size: int
    """Bytes (``file:size``)."""
    checksum: str
    """SHA-256 as a multihash in hexadecimal (``file:checksum``)."""


def encode(scores: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Turn scores into the numbers that the file stores: ``round(200 * score)``, nodata 255.

    Parameters
    ----------
    scores : float array, any shape
        Scores in [0, 1]; NaN = nodata.

    Returns
    -------
    uint8 array of the same shape
        0 … 200, and 255 = nodata.

    Raises
    ------
    ArgumentError
        A score lies outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> encode(np.array([0.5, 0.55, 0.6, 0.65, 1.0, np.nan]))
    array([100, 110, 120, 130, 200, 255], dtype=uint8)
    """
    seen = ~np.isnan(scores)
    filled = np.where(seen, scores, 0)
    if filled.size and (filled.min() < 0 or filled.max() > 1):
        raise ArgumentError(
            f"scores reach from {filled.min():.4g} to {filled.max():.4g}; a score lies in [0, 1], NaN is nodata. "
            "Scale them before they are written."
        )
    stored: NDArray[np.uint8] = np.where(seen, np.rint(filled * STEPS), NODATA).astype(np.uint8)
    return stored


def decode(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn the stored numbers back into scores.

    Parameters
    ----------
    stored : uint8 array, any shape
        0 … 200; 255 = nodata.

    Returns
    -------
    float32 array of the same shape
        Scores in [0, 1]; NaN = nodata.

    Examples
    --------
    >>> import numpy as np
    >>> decode(np.array([0, 120, 200, 255], dtype="uint8"))
    array([0. , 0.6, 1. , nan], dtype=float32)
    """
    # Divided, not multiplied by 0.005: 120 * float32(0.005) is 0.59999996 and would miss a threshold of 0.6.
    scores = stored.astype(np.float32) / np.float32(STEPS)
    scores[stored == NODATA] = np.nan
    return scores


def write_scores(scores: xr.Dataset, path: str | os.PathLike[str], *, making: Making) -> WrittenFile:
    """Write ``cs`` and ``cs_cdf`` of one image as a Cloud-Optimised GeoTIFF.

    Parameters
    ----------
    scores : Dataset
        Variables ``cs`` and ``cs_cdf``, float, dims (y, x), in [0, 1], NaN = nodata; georeferenced.
    path : path
        The file to make. It appears when it is complete, or not at all.
    making : Making
        Goes into the file's tags. No time of making does: the same scores give the same bytes.

    Returns
    -------
    WrittenFile
        Path, size and checksum.

    Raises
    ------
    ArgumentError
        A score is missing, lies outside [0, 1] or has no georeference.
    OutputError
        The folder can't be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, xarray as xr
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_coords
    >>> box = GeoBox.from_bbox((300000, 5600000, 300640, 5600640), "EPSG:32633", resolution=10)
    >>> half = xr.DataArray(np.full((64, 64), 0.5, "float32"), dims=("y", "x"), coords=xr_coords(box))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_scores(half.to_dataset(name="cs").assign(cs_cdf=half), f"{folder}/a.tif",
    ...                         making=Making("a", "projection", "0.1"))
    ...     float(read_scores(file.path).cs.mean())
    0.5
    """
    geobox = _geobox(scores)
    stored = np.stack([encode(scores[name].transpose("y", "x").to_numpy()) for name in SCORES])
    with whole_file(path) as part, rasterio.MemoryFile() as memory:
        begin_scores(memory.name, geobox)
        put_scores(memory.name, stored, at=(0, 0))
        finish_scores(memory.name, part, making=making)
    return describe_file(path)


def begin_scores(raw: str | os.PathLike[str], geobox: GeoBox) -> None:
    """Make an empty, uncompressed score file at ``raw``, full of nodata, to be filled part by part."""
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": geobox.shape.y,
        "width": geobox.shape.x,
        "count": len(SCORES),
        "dtype": "uint8",
        "nodata": NODATA,
        "crs": str(geobox.crs),
        "transform": geobox.affine,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        # Blocks that were never put are nodata without being stored.
        "sparse_ok": True,
        "bigtiff": "IF_SAFER",
    }
    with rasterio.open(raw, "w", **profile) as file:
        file.descriptions = SCORES
        file.scales = (SCALE,) * len(SCORES)
        file.offsets = (0.0,) * len(SCORES)


def put_scores(raw: str | os.PathLike[str], stored: NDArray[np.uint8], *, at: tuple[int, int]) -> None:
    """Put encoded scores, shape (2, y, x), into the file of ``begin_scores``, their corner ``at`` (row, column)."""
    with rasterio.open(raw, "r+") as file:
        file.write(stored, window=Window(at[1], at[0], stored.shape[2], stored.shape[1]))


def finish_scores(raw: str | os.PathLike[str], path: str | os.PathLike[str], *, making: Making) -> None:
    """Turn the file of ``begin_scores`` into a COG at ``path``; the caller makes that atomic (``whole_file``).

    GDAL works in memory (as much as the COG and its overviews, up to 400 MB for a tile), and Python writes the bytes:
    it tells of every byte that a full disk refuses, and GDAL doesn't (`write_cog`).
    """
    with rasterio.open(raw, "r+") as file:
        file.update_tags(
            ID=making.index, MODEL_VERSION=making.model_version, PROCESSING_SOFTWARE_VERSION=making.software_version
        )
    with rasterio.MemoryFile() as memory:
        _copy(raw, memory.name, overview_resampling="AVERAGE")
        with Path(path).open("wb") as file:
            file.write(memory.getbuffer())


def write_cog(raw: str | os.PathLike[str], path: str | os.PathLike[str], *, overview_resampling: str) -> None:
    """Copy a GeoTIFF into a Cloud-Optimised GeoTIFF with 512-pixel blocks, DEFLATE and overviews, of any size.

    ``overview_resampling`` is GDAL's name of the rule, such as AVERAGE; nodata stays out of the averages.

    Raises
    ------
    OSError
        It can't be written. On a full disk GDAL can finish a truncated file without a word, or with an error that
        isn't one of files; so what was written is read again and compared.
    """
    try:
        _copy(raw, path, overview_resampling=overview_resampling)
        with rasterio.open(raw) as source, rasterio.open(path) as made:
            levels = len(made.overviews(1))
            differ = [band for band in source.indexes if source.checksum(band) != made.checksum(band)]
        for level in range(levels):
            with rasterio.open(path, overview_level=level) as overview:
                for _, window in overview.block_windows(1):
                    overview.read(window=window)
    except (RasterioError, CPLE_BaseError, SystemError) as error:
        raise OSError(f"{os.fspath(path)}: {error}") from error
    if differ:
        raise OSError(f"{os.fspath(path)}: what was written reads otherwise; is the disk full?")


def _copy(raw: str | os.PathLike[str], path: str | os.PathLike[str], *, overview_resampling: str) -> None:
    rasterio.shutil.copy(raw, path, overview_resampling=overview_resampling, **_COG)


def read_scores(
    path: str | os.PathLike[str], *, geobox: GeoBox | None = None, resampling: str = "nearest"
) -> xr.Dataset:
    """Read a score file back.

    Parameters
    ----------
    path : path
        A file that ``write_scores`` or ``produce`` made.
    geobox : GeoBox, optional
        Grid to read on; the file's own without. What lies outside the file is nodata.
    resampling : str
        Rule for a grid that isn't the file's own: ``nearest``, ``average``, ``bilinear`` …

    Returns
    -------
    Dataset
        ``cs`` and ``cs_cdf``, float32, dims (y, x), in [0, 1], NaN = nodata.

    Raises
    ------
    ProductError
        The file can't be read, or isn't a score file.

    Examples
    --------
    See ``write_scores``.
    """
    try:
        with rasterio.open(path) as file:
            if file.descriptions != SCORES or file.nodata != NODATA:
                raise ProductError(
                    f"path={os.fspath(path)!r} has the bands {file.descriptions}; a score file has {SCORES}. "
                    "Give a file that clearsight.produce made."
                )
            if geobox is None:
                grid, stored = GeoBox.from_rio(file), file.read()
            else:
                grid, stored = geobox, _read_on(file, geobox, resampling)
    except rasterio.RasterioIOError as error:
        raise ProductError(
            f"path={os.fspath(path)!r} can't be read ({error}). Make it anew: produce(…, overwrite=True)."
        ) from error
    coords = xr_coords(grid)
    return xr.Dataset(
        {
            name: xr.DataArray(
                decode(plane),
                dims=grid.dimensions,
                coords=coords,
                attrs={"long_name": score_description(name), "units": "1"},
            )
            for name, plane in zip(SCORES, stored, strict=True)
        }
    )


def describe_file(path: str | os.PathLike[str]) -> WrittenFile:
    """Size and checksum of a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     describe_file(file.name).checksum[:12]
    '1220e3b0c442'
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    # https://github.com/multiformats/multihash: 0x12 = SHA-256, 0x20 = 32 bytes.
    return WrittenFile(Path(path), Path(path).stat().st_size, "1220" + digest.hexdigest())


def score_description(name: str) -> str:
    """Say in words what a score is.

    Examples
    --------
    >>> score_description("cs")
    'How well the ground can be seen: 0 occluded, 1 clear'
    """
    words = {
        "cs": "How well the ground can be seen: 0 occluded, 1 clear",
        "cs_cdf": "Rank of cs among the possible scores of this place: 0 lowest, 1 highest",
    }
    return words[name]


def _geobox(scores: xr.Dataset) -> GeoBox:
    missing = [name for name in SCORES if name not in scores]
    if missing:
        raise ArgumentError(
            f"scores has {list(scores.data_vars)}; {missing} is missing. Pass what clearsight.score gives."
        )
    if set(scores[SCORES[0]].dims) != {"y", "x"}:
        raise ArgumentError(
            f"scores has dims {scores[SCORES[0]].dims}; one file holds one image. Take scores.isel(time=0)."
        )
    geobox: GeoBox | None = scores.odc.geobox
    if geobox is None or geobox.crs is None:
        raise ArgumentError(
            "scores has no georeference (spatial_ref); keep the coordinates that clearsight.load gives."
        )
    return geobox


def _read_on(file: Any, geobox: GeoBox, resampling: str) -> NDArray[np.uint8]:
    if resampling not in Resampling.__members__:
        raise ArgumentError(f"resampling={resampling!r} is unknown; one of {', '.join(Resampling.__members__)}.")
    with WarpedVRT(
        file,
        crs=str(geobox.crs),
        transform=geobox.affine,
        height=geobox.shape.y,
        width=geobox.shape.x,
        resampling=Resampling[resampling],
        nodata=NODATA,
    ) as view:
        stored: NDArray[np.uint8] = view.read()
    return stored
