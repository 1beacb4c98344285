"""Keep what is clear, and make one image of many."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray

from clearsight._median import median_over_time
from clearsight.errors import ArgumentError
from clearsight.product import SCORES, write_cog
from clearsight.whole import whole_file

Method = Literal["median", "mean"]

_NOT_REFLECTANCE: Final = (*SCORES, "SCL")
"""Variables that say something about pixels, and whose median would say nothing."""

_TOLERANCE: Final = 1e-6
"""Rounding of a stored score: 120 * float32(0.005) is 0.59999996, and means 0.6. A step of the file is 0.005."""

_FILE_STEPS: Final = 10_000
_FILE_NODATA: Final = -32768

_Kernel = Callable[..., tuple[NDArray[Any], ...]]


def keep_clear(stack: xr.Dataset, *, by: str = "cs_cdf", threshold: float = 0.60) -> xr.Dataset:
    """Keep the pixels that score at least ``threshold``; make all others NaN.

    Parameters
    ----------
    stack : Dataset
        Bands with dims (time, y, x), or (y, x) of one frame, and the score ``by`` among the variables.
    by : str
        Variable to judge by, in [0, 1]: ``cs_cdf`` or ``cs``.
    threshold : float
        In [0, 1]; 0.50 to 0.65 work well, more also removes thin cloud and haze. A score that equals it is kept.

    Returns
    -------
    Dataset
        As ``stack``, lazy where it is lazy; every band NaN where ``by`` is lower or NaN. The scores stay as they are.

    Raises
    ------
    ArgumentError
        ``stack`` doesn't hold ``by`` or no band, ``threshold`` lies outside [0, 1], or a band holds undecoded integers.

    Examples
    --------
    >>> import xarray as xr
    >>> stack = xr.Dataset({"B04": (("time", "y", "x"), [[[0.1, 0.5]]]), "cs": (("time", "y", "x"), [[[0.9, 0.2]]])})
    >>> keep_clear(stack, by="cs").B04.values
    array([[[0.1, nan]]])
    """
    if by not in stack:
        raise ArgumentError(
            f"by={by!r} is not in the stack, which holds {list(stack.data_vars)}. "
            f"Load it with the bands, clearsight.load(linked.matched, bands=[…, {by!r}]), or assign clearsight.score's."
        )
    if not 0 <= threshold <= 1:
        raise ArgumentError(f"threshold={threshold!r}; expected a number in [0, 1], such as 0.60.")
    names = [name for name in _bands(stack, dims={"y", "x"}) if name != by]
    if not names:
        raise ArgumentError(f"stack holds {list(stack.data_vars)}: no band with dims y and x, so nothing to mask.")
    clear = stack[by] >= threshold - _TOLERANCE
    return stack.assign({name: stack[name].where(clear) for name in names})


def composite(stack: xr.Dataset, *, method: Method = "median") -> xr.Dataset:
    """Make one image of many: the median or the mean of each band over time, missing values left out.

    Parameters
    ----------
    stack : Dataset
        Bands with dims (time, y, x), float32 or what float32 holds, NaN = not clear or never measured.
    method : {"median", "mean"}
        The median is exact: for an even number of values the mean of the two in the middle.

    Returns
    -------
    Dataset
        Each band with dims (y, x), float32, NaN where it has no value; and ``count`` (y, x), uint16: the number of
        frames in which every band has a value. Scores and scene classes (``cs``, ``cs_cdf``, ``SCL``) are left out:
        a median of them would tell nothing about the composite. Lazy when ``stack`` is; the chunks change no value.

    Raises
    ------
    ArgumentError
        ``method`` is unknown, ``stack`` holds no band with a time, or a band holds undecoded integers.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> stack = xr.Dataset({"B04": (("time", "y", "x"), np.float32([[[0.1]], [[0.3]], [[np.nan]]]))})
    >>> image = composite(stack)
    >>> image.B04.item(), image["count"].item()
    (0.20000000298023224, 2)
    """
    if method not in get_args(Method):
        raise ArgumentError(f"method={method!r} is unknown; one of {', '.join(get_args(Method))}.")
    names = _bands(stack, dims={"time", "y", "x"})
    if not names:
        raise ArgumentError(
            f"stack holds {list(stack.data_vars)}: no band with dims (time, y, x). Pass a loaded stack."
        )
    lazy = any(stack[name].chunks for name in names)
    # A lazy stack is spread over threads by dask already; more threads of ours would only wait for each other.
    kernel = _KERNELS[method] if lazy else partial(_KERNELS[method], workers=os.cpu_count() or 1)
    results = xr.apply_ufunc(
        kernel,
        *(_whole_in_time(stack[name]) for name in names),
        input_core_dims=[["time"]] * len(names),
        output_core_dims=[[]] * (len(names) + 1),
        dask="parallelized",
        output_dtypes=[np.float32] * len(names) + [np.uint16],
        # for the attributes of the coordinates: the georeference is among them
        keep_attrs=True,
    )
    image = xr.Dataset(dict(zip([*names, "count"], results, strict=True)))
    for name in names:
        image[name].attrs = _lasting(stack[name].attrs)
    image["count"].attrs = {"long_name": "frames in which every band has a value", "units": "1"}
    return image.drop_vars([name for name in image.coords if "time" in image[name].dims or name in ("time", "id")])


def write_composite(image: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a composite as one Cloud-Optimised GeoTIFF.

    Parameters
    ----------
    image : Dataset
        What ``composite`` gives: bands (y, x), reflectance, and ``count``; georeferenced.
    path : path
        The file to make. It appears when it is complete, or not at all.

    Returns
    -------
    Path
        ``path``. A lazy image is computed, in one pass.

    Raises
    ------
    ArgumentError
        ``image`` has no georeference.
    OutputError
        The folder can't be made or written to.

    Notes
    -----
    int16, nodata −32768. Bands are stored as ``round(reflectance * 10000)`` with scale 1e-4, the step of the source
    products, so that a display range such as 0–2500 works; reflectance past ±3.2767 is clipped. ``count`` comes last.
    """
    geobox = image.odc.geobox
    if geobox is None or geobox.crs is None:
        raise ArgumentError("image has no georeference (spatial_ref); keep the coordinates that clearsight.load gives.")
    image = image.compute()
    names = [str(name) for name in image.data_vars]
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": geobox.shape.y,
        "width": geobox.shape.x,
        "count": len(names),
        "dtype": "int16",
        "nodata": _FILE_NODATA,
        "crs": str(geobox.crs),
        "transform": geobox.affine,
    }
    with whole_file(path) as part, rasterio.MemoryFile() as memory:
        with rasterio.open(memory.name, "w", **profile) as file:
            file.descriptions = names
            file.scales = [1.0 if name == "count" else 1 / _FILE_STEPS for name in names]
            file.offsets = [0.0] * len(names)
            for number, name in enumerate(names, start=1):
                values = image[name].transpose("y", "x").to_numpy()
                file.write(_as_integers(values, steps=1 if name == "count" else _FILE_STEPS), number)
        write_cog(memory.name, part, overview_resampling="AVERAGE")
    return Path(path)


def _bands(stack: xr.Dataset, *, dims: set[str]) -> list[str]:
    names = [
        str(name)
        for name, variable in stack.data_vars.items()
        if dims <= set(variable.dims) and name not in _NOT_REFLECTANCE
    ]
    integers = [name for name in names if not np.issubdtype(stack[name].dtype, np.floating)]
    if integers:
        # Among integers nodata is a number like any other, and would be taken for a measurement.
        raise ArgumentError(
            f"{integers} hold {stack[integers[0]].dtype}; expected float reflectance with NaN for nodata. "
            "Load with clearsight.load, or decode first: stack.where(stack != 0) * scale + offset."
        )
    return names


def _whole_in_time(band: xr.DataArray) -> xr.DataArray:
    """One chunk over time: a median needs all of a pixel's values at once."""
    return band.chunk({"time": -1}) if band.chunks else band


def _lasting(attrs: dict[str, Any]) -> dict[str, Any]:
    """Attributes that are still true of a composite; scale and offset of stored numbers aren't."""
    return {key: attrs[key] for key in ("units", "long_name", "grid_mapping") if key in attrs}


def _median(*bands: NDArray[Any], workers: int = 1) -> tuple[NDArray[Any], ...]:
    medians, count = median_over_time([_time_first(band) for band in bands], workers=workers)
    return (*medians, count)


def _mean(*bands: NDArray[Any], workers: int = 1) -> tuple[NDArray[Any], ...]:
    """Mean in float64, rounded once. One thread is enough: it is bound by memory."""
    means = []
    seen = np.ones(bands[0].shape, bool)
    for band in bands:
        valid = ~np.isnan(band)
        seen &= valid
        with np.errstate(invalid="ignore"):
            mean = np.sum(band, axis=-1, where=valid, dtype=np.float64) / valid.sum(axis=-1)
        means.append(mean.astype(np.float32))
    return (*means, seen.sum(axis=-1, dtype=np.uint16))


_KERNELS: Final[dict[str, _Kernel]] = {"median": _median, "mean": _mean}


def _time_first(band: NDArray[Any]) -> NDArray[np.float32]:
    """From apply_ufunc's (y, x, time), a view of what was (time, y, x), back to it."""
    return np.moveaxis(band, -1, 0).astype(np.float32, copy=False)


def _as_integers(values: NDArray[Any], *, steps: int) -> NDArray[np.int16]:
    limit = np.iinfo(np.int16).max
    scaled = np.clip(np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0) * steps), -limit, limit)
    stored: NDArray[np.int16] = np.where(np.isnan(values), _FILE_NODATA, scaled).astype(np.int16)
    return stored
