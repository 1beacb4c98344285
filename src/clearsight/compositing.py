"""Keep what is clear, and make one image of many."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray

from clearsight._kernels import PICKS, SCORED, Rules, clear_of, composed
from clearsight._kernels import Method as Method
from clearsight._median import KINDS
from clearsight.errors import ArgumentError
from clearsight.product import SCORES, write_cog
from clearsight.whole import whole_file

_NOT_REFLECTANCE: Final = (*SCORES, "SCL")
"""Variables that say something about pixels, and whose median would say nothing."""

_FILE_STEPS: Final = 10_000
FILE_NODATA: Final = -32768
"""What stands for "no value" in a file."""

_NUMBERS: Final = "digital number"
"""Unit of a composite of undecoded integers."""

_SCORE_HINT: Final = (
    "Load it with the bands, clearsight.load(linked.matched, bands=[…, 'cs_cdf']), or assign clearsight.score's."
)


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
        raise ArgumentError(f"by={by!r} is not in the stack, which holds {list(stack.data_vars)}. {_SCORE_HINT}")
    _check_numbers(threshold=threshold)
    names = [name for name in _bands(stack, dims={"y", "x"}) if name != by]
    if not names:
        raise ArgumentError(f"stack holds {list(stack.data_vars)}: no band with dims y and x, so nothing to mask.")
    clear = xr.apply_ufunc(
        clear_of, stack[by], kwargs={"threshold": threshold}, dask="parallelized", output_dtypes=[bool]
    )
    return stack.assign({name: stack[name].where(clear) for name in names})


def composite(
    stack: xr.Dataset,
    *,
    method: Method = "median",
    by: str | None = None,
    threshold: float = 0.60,
    percentile: float = 50.0,
    minimum: int = 0,
    spread: bool = False,
    date: bool = False,
    near: str | np.datetime64 | None = None,
) -> xr.Dataset:
    """Make one image of many, missing values left out.

    Parameters
    ----------
    stack : Dataset
        Bands with dims (time, y, x): float32 or what float32 holds, NaN = not clear or never measured; or uint8, uint16
        or int16 digital numbers that tell their nodata in ``attrs["nodata"]``. No float copy of integers is made.
    method : {"median", "mean", "weighted_mean", "percentile", "geomedian", "medoid", "best"}
        The first four treat each band alone; the others take only frames in which every band has a value.

        - "median" is exact: for an even number of values the mean of the two in the middle;
        - "weighted_mean" weighs by the score;
        - "percentile" is NumPy's "linear";
        - "geomedian" is the point with the least summed distance to all frames (Weiszfeld's iteration);
        - "medoid" is the frame with the least summed distance to all others, the earliest of equals;
        - "best" is the frame with the highest score. ``cs_cdf`` is exactly 1 over clear ground, so equals are common:
          among them the highest ``cs`` wins if the stack holds it, then the nearest to ``near``, then the lowest B02
          (haze brightens blue), then the earliest.
    by : str, optional
        Score to mask by, in the stack: float in [0, 1], or uint8 as in the files. Equals ``keep_clear`` before, without
        its copy. Without it nothing is masked here, and methods that need a score take ``cs_cdf``, else ``cs``.
    threshold : float
        With ``by``: take values that score at least this.
    percentile : float
        0 to 100, for the method of this name.
    minimum : int
        Pixels with fewer frames in which every band has a value become NaN.
    spread : bool
        Add ``{band}_spread``: the median absolute deviation from the median, whatever the method.
    date : bool
        Add ``date``: the time of the chosen frame; for "medoid" and "best".
    near : date, optional
        The date wished for, for "best".

    Returns
    -------
    Dataset
        Each band with dims (y, x), float32, NaN where it has no value; and ``count`` (y, x), uint16: the number of
        frames in which every band has a value. Scores and scene classes (``cs``, ``cs_cdf``, ``SCL``) are left out:
        a median of them would tell nothing about the composite. Lazy when ``stack`` is; the chunks change no value.

    Raises
    ------
    ArgumentError
        ``method`` is unknown, ``stack`` holds no band with a time, integers don't tell their nodata, a score is needed
        and not there, or a number is out of range.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> stack = xr.Dataset({"B04": (("time", "y", "x"), np.float32([[[0.1]], [[0.3]], [[np.nan]]]))})
    >>> image = composite(stack)
    >>> image.B04.item(), image["count"].item()
    (0.20000000298023224, 2)
    """
    _check_numbers(threshold=threshold, percentile=percentile, minimum=minimum)
    if method not in get_args(Method):
        raise ArgumentError(f"method={method!r} is unknown; one of {', '.join(get_args(Method))}.")
    if date and method not in PICKS:
        raise ArgumentError(f"date=True with method={method!r}, which mixes dates; use one of {', '.join(PICKS)}.")
    names = [name for name in _bands(stack, dims={"time", "y", "x"}, integers=True) if name != by]
    if not names:
        raise ArgumentError(
            f"stack holds {list(stack.data_vars)}: no band with dims (time, y, x). Pass a loaded stack."
        )
    scores = _scores(stack, by=by, method=method)
    rules = Rules(
        method=method,
        threshold=None if by is None else threshold,
        percentile=percentile,
        minimum=minimum,
        spread=spread,
        date=date,
        nodata=tuple(_nodata(stack[name]) for name in names),
        away=None if near is None else _away(stack, near),
        haze=names.index("B02") if "B02" in names else None,
        extras=tuple(scores),
    )
    image = _composed(stack, names, list(scores.values()), rules)
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
    products, so that a display range such as 0–2500 works; reflectance past ±3.2767 is clipped. Composites of digital
    numbers, and ``count``, are stored as they are, ``date`` as days since 1970-01-01.
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
        "nodata": FILE_NODATA,
        "crs": str(geobox.crs),
        "transform": geobox.affine,
    }
    with whole_file(path) as part, rasterio.MemoryFile() as memory:
        with rasterio.open(memory.name, "w", **profile) as file:
            file.descriptions = names
            file.scales = [1 / steps_of(image[name]) for name in names]
            file.offsets = [0.0] * len(names)
            for number, name in enumerate(names, start=1):
                file.write(as_stored(image[name].transpose("y", "x")), number)
        write_cog(memory.name, part, overview_resampling="AVERAGE")
    return Path(path)


def _bands(stack: xr.Dataset, *, dims: set[str], integers: bool = False) -> list[str]:
    names = [
        str(name)
        for name, variable in stack.data_vars.items()
        if dims <= set(variable.dims) and name not in _NOT_REFLECTANCE
    ]
    for name in names:
        band = stack[name]
        if np.issubdtype(band.dtype, np.floating) or (integers and band.dtype in KINDS and _nodata(band) is not None):
            continue
        # Among integers nodata is a number like any other, and would be taken for a measurement.
        more = f", or one of {', '.join(KINDS[1:])} whose attrs tell their 'nodata'" if integers else ""
        raise ArgumentError(
            f"{name} holds {band.dtype}; expected float reflectance with NaN for nodata{more}. "
            "Load with clearsight.load, or decode first: stack.where(stack != 0) * scale + offset."
        )
    return names


def _check_numbers(*, threshold: float, percentile: float = 50.0, minimum: int = 0) -> None:
    if not 0 <= threshold <= 1:
        raise ArgumentError(f"threshold={threshold!r}; expected a number in [0, 1], such as 0.60.")
    if not 0 <= percentile <= 100:
        raise ArgumentError(f"percentile={percentile!r}; expected a number from 0 to 100.")
    if minimum < 0:
        raise ArgumentError(f"minimum={minimum!r}; expected a number of frames, 0 for no rule.")


def _nodata(band: xr.DataArray) -> float | None:
    number = band.attrs.get("nodata", band.attrs.get("_FillValue"))
    return None if number is None else float(number)


def _scores(stack: xr.Dataset, *, by: str | None, method: Method) -> dict[str, xr.DataArray]:
    """Arrays that the kernel needs besides the bands."""
    if by is not None and by not in stack:
        raise ArgumentError(f"by={by!r} is not in the stack, which holds {list(stack.data_vars)}. {_SCORE_HINT}")
    name = by or next((known for known in ("cs_cdf", "cs") if known in stack), None)
    if method in SCORED and name is None:
        raise ArgumentError(f"method={method!r} needs a score; the stack holds {list(stack.data_vars)}. {_SCORE_HINT}")
    if name is None or (by is None and method not in SCORED):
        return {}
    ties = {"cs": stack["cs"]} if method == "best" and "cs" in stack and name != "cs" else {}
    return {"score": stack[name], **ties}


def _away(stack: xr.Dataset, near: str | np.datetime64) -> tuple[float, ...]:
    """How many days each frame is from a date."""
    try:
        wished = np.datetime64(near).astype("datetime64[ns]")
    except ValueError as error:
        raise ArgumentError(f"near={near!r} is no date; expected one such as 2021-06-15.") from error
    return tuple(np.abs((stack["time"].values - wished) / np.timedelta64(1, "D")).tolist())


def _composed(stack: xr.Dataset, names: list[str], scores: list[xr.DataArray], rules: Rules) -> xr.Dataset:
    """Call the kernel, and name what it gives."""
    arrays = [_whole_in_time(array) for array in (*(_single(stack[name]) for name in names), *scores)]
    lazy = any(array.chunks for array in arrays)
    spreads = [f"{name}_spread" for name in names] if rules.spread else []
    dtypes = [*[np.float32] * len(names), np.uint16, *[np.float32] * len(spreads), *[np.int16] * rules.date]
    results = xr.apply_ufunc(
        # A lazy stack is spread over threads by dask already; more threads of ours would only wait for each other.
        partial(composed, rules=rules, workers=1 if lazy else os.cpu_count() or 1),
        *arrays,
        input_core_dims=[["time"]] * len(arrays),
        output_core_dims=[[]] * len(dtypes),
        dask="parallelized",
        output_dtypes=dtypes,
        # for the attributes of the coordinates: the georeference is among them
        keep_attrs=True,
    )
    image = xr.Dataset(dict(zip([*names, "count", *spreads, *["date"] * rules.date], results, strict=True)))
    for name in names:
        image[name].attrs = _lasting(stack[name])
    for name, spread in zip(names, spreads, strict=False):
        image[spread].attrs = _lasting(stack[name]) | {"long_name": f"median absolute deviation of {name}"}
    image["count"].attrs = {"long_name": "frames in which every band has a value", "units": "1"}
    if rules.date:
        image["date"] = _dates(image["date"], stack["time"].values)
    return image


def _dates(chosen: xr.DataArray, times: NDArray[Any]) -> xr.DataArray:
    known = np.append(times.astype("datetime64[ns]"), np.datetime64("NaT", "ns"))
    dates: xr.DataArray = xr.apply_ufunc(
        known.take, chosen, dask="parallelized", output_dtypes=[known.dtype], keep_attrs=False
    )
    return dates.assign_attrs(long_name="time of the chosen frame")


def _single(band: xr.DataArray) -> xr.DataArray:
    return band.astype(np.float32, copy=False) if np.issubdtype(band.dtype, np.floating) else band


def _whole_in_time(band: xr.DataArray) -> xr.DataArray:
    """One chunk over time: a median needs all of a pixel's values at once."""
    return band.chunk({"time": -1}) if band.chunks else band


def _lasting(band: xr.DataArray) -> dict[str, Any]:
    """Attributes that are still true of a composite; scale and offset of stored numbers aren't."""
    lasting = {key: band.attrs[key] for key in ("units", "long_name", "grid_mapping") if key in band.attrs}
    return lasting | ({} if np.issubdtype(band.dtype, np.floating) else {"units": _NUMBERS})


def steps_of(plane: xr.DataArray) -> int:
    """Give the steps of the file per unit: 10000 for reflectance; 1 for counts, days and digital numbers."""
    whole = plane.dtype.kind in "uM" or plane.attrs.get("units") == _NUMBERS
    return 1 if whole else _FILE_STEPS


def as_stored(plane: xr.DataArray) -> NDArray[np.int16]:
    """Turn one plane of a composite into the numbers of its file, see ``write_composite``.

    Parameters
    ----------
    plane : DataArray, dims (y, x)
        A band, its spread, ``count`` or ``date``.

    Returns
    -------
    int16 array (y, x)
    """
    values = plane.to_numpy()
    if values.dtype.kind == "M":
        days = values.astype("datetime64[D]").astype(np.float64)
        values = np.where(np.isnat(values), np.nan, days)
    limit = np.iinfo(np.int16).max
    scaled = np.clip(np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0) * steps_of(plane)), -limit, limit)
    stored: NDArray[np.int16] = np.where(np.isnan(values), FILE_NODATA, scaled).astype(np.int16)
    return stored
