"""``score``: a stack of Sentinel-2 frames -> how well the ground can be seen in each, ``cs`` and ``cs_cdf``."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from clearsight import cdf, projection
from clearsight.bands import BANDS, LEVELS, NODATA_DN, REQUIRED_BANDS, Level
from clearsight.errors import ArgumentError, MissingBandError
from clearsight.reference import Dates, FloatArray

DEFAULT_MODEL: Final = "projection"
MODELS: Final = ("projection",)
"""Names that `score` takes as ``model``."""

_CDF_PIXELS: Final = 32_768
_DIMS: Final = ("time", "y", "x")
_CS_CDF_LONG_NAME: Final = "rank of the score among all scores of its place"


def score(stack: xr.Dataset, *, level: Level = "L1C", model: str | None = None, context: bool = True) -> xr.Dataset:
    """Score how well the ground can be seen in every pixel of every frame.

    Parameters
    ----------
    stack : xr.Dataset
        Variables named as Sentinel-2 bands, dims ``(time, y, x)``: at least B02, B03 and B04; every further band helps,
        none is needed, and a missing one is never faked. Either float reflectance, NaN = nodata, or integer digital
        numbers with ``scale_factor`` and ``add_offset`` in their attributes or encoding, nodata = ``_FillValue`` or 0.
        Other variables are ignored. One frame is a valid stack: it has no context.
    level : {"L1C", "L2A"}
        Top-of-atmosphere or surface reflectance.
    model : str, optional
        Default ``"projection"``, the scorer without learned weights.
    context : bool
        Compare each pixel with its clear reference from the other frames.

    Returns
    -------
    xr.Dataset
        ``cs`` and ``cs_cdf``: float32 in [0, 1], dims ``(time, y, x)``, NaN = nodata, which is every pixel that any
        band of the stack lacks at that time. 0.6 and more is worth using for most work. ``no_context`` ``(time,)``:
        share of a frame's valid pixels that had no clear reference; 1 without context, or without a valid pixel.
        Coordinates as in ``stack``. Lazy (dask) where ``stack`` is lazy, with the same values.

    Raises
    ------
    MissingBandError
        B02, B03 or B04 isn't there.
    ArgumentError
        Any other argument that can't be used; the message says which and why.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> forest = {"B02": 0.075, "B03": 0.065, "B04": 0.04, "B08": 0.25}
    >>> time = np.array(["2023-07-01", "2023-07-06"], dtype="datetime64[ns]")
    >>> frames = {band: (("time", "y", "x"), np.full((2, 8, 8), value)) for band, value in forest.items()}
    >>> stack = xr.Dataset(frames, coords={"time": time})
    >>> stack["B02"][1, :4] = stack["B03"][1, :4] = stack["B04"][1, :4] = stack["B08"][1, :4] = 0.7
    >>> scores = score(stack)
    >>> scores.cs[:, [0, -1], 0].values.round(1)
    array([[1., 1.],
           [0., 1.]], dtype=float32)
    """
    names = _checked(stack, level=level, model=model)
    bands = {name: _reflectance(stack[name]) for name in names}
    dates: Dates = stack["time"].values
    if any(band.chunks is not None for band in bands.values()):
        planes = _lazy(bands, level=level, dates=dates, context=context)
    else:
        planes = _kernel(
            *(band.data for band in bands.values()), names=names, level=level, dates=dates, context=context
        )
    return _labelled(planes, stack, bands[names[0]])


def _checked(stack: xr.Dataset, *, level: str, model: str | None) -> tuple[str, ...]:
    """Names of the bands to score, in the order of `BANDS`; raises if anything can't be used."""
    if not isinstance(stack, xr.Dataset):
        raise ArgumentError(
            f"stack is a {type(stack).__name__}; expected an xarray.Dataset with one variable per band."
        )
    if level not in LEVELS:
        raise ArgumentError(f"level is {level!r}; expected one of {LEVELS}.")
    if model is not None and model not in MODELS:
        raise ArgumentError(f"model is {model!r}; expected one of {MODELS}, or None for {DEFAULT_MODEL!r}.")
    missing = [name for name in REQUIRED_BANDS if name not in stack.data_vars]
    if missing:
        raise MissingBandError(
            f"stack lacks {', '.join(missing)}; it holds {sorted(map(str, stack.data_vars))}. "
            f"A score needs at least {', '.join(REQUIRED_BANDS)}: load them too, or rename the variables."
        )
    names = tuple(name for name in BANDS if name in stack.data_vars)
    for name in names:
        if set(stack[name].dims) != set(_DIMS):
            raise ArgumentError(
                f"stack[{name!r}] has the dims {stack[name].dims}; expected {_DIMS}. "
                "For a single frame, use stack.expand_dims(time=[date])."
            )
    if 0 in (stack.sizes[dim] for dim in _DIMS):
        raise ArgumentError(f"stack is empty: its sizes are {dict(stack.sizes)}.")
    time = stack["time"]
    if "time" not in stack.coords or time.dtype.kind != "M" or bool(time.isnull().any()):
        raise ArgumentError(
            "stack has no coordinate `time` of datetime64 without gaps; the season of each frame is needed."
        )
    return names


def _reflectance(band: xr.DataArray) -> xr.DataArray:
    """Float32 reflectance, NaN = nodata, dims (time, y, x)."""
    band = band.transpose(*_DIMS)
    if band.dtype.kind == "f":
        return band.astype(np.float32)
    if band.dtype.kind not in "iu":
        raise ArgumentError(f"stack[{band.name!r}] is of type {band.dtype}; expected reflectance or digital numbers.")
    facts = {**band.encoding, **band.attrs}
    if "scale_factor" not in facts:
        raise ArgumentError(
            f"stack[{band.name!r}] holds integers ({band.dtype}) without scale_factor in its attributes or encoding; "
            "set scale_factor and add_offset from the product's metadata, or give reflectance as float."
        )
    nodata = facts.get("_FillValue", NODATA_DN)
    scale, offset = np.float32(facts["scale_factor"]), np.float32(facts.get("add_offset", 0.0))
    reflectance: xr.DataArray = (band.astype(np.float32) * scale + offset).where(band != nodata)
    return reflectance


def _kernel(*bands: FloatArray, names: tuple[str, ...], level: Level, dates: Dates, context: bool) -> FloatArray:
    """Planes (3, time, y, x): cs, cs_cdf, and 1 where a valid pixel had no reference."""
    cs, alone = projection.score_frames(dict(zip(names, bands, strict=True)), level=level, dates=dates, context=context)
    planes = np.empty((3, *cs.shape), dtype=np.float32)
    planes[0] = cs
    # A few rows at a time: the histogram has 21 planes.
    rows = max(1, _CDF_PIXELS // cs.shape[2])
    for start in range(0, cs.shape[1], rows):
        strip = cs[:, start : start + rows]
        planes[1, :, start : start + rows] = cdf.rank(strip, cdf.histogram(strip))
    planes[2] = alone
    return planes


def _lazy(bands: dict[str, xr.DataArray], *, level: Level, dates: Dates, context: bool) -> FloatArray:
    """`_kernel` on dask arrays: all times in one chunk, space in the chunks of the first band, with a halo."""
    import dask.array as da  # a tenth of a second, which only lazy stacks need

    depth = {0: 0, 1: projection.HALO, 2: projection.HALO}
    arrays = {name: da.asarray(band.data).rechunk({0: -1}) for name, band in bands.items()}  # type: ignore[no-untyped-call]
    space = next(array for name, array in arrays.items() if bands[name].chunks is not None).chunks
    halo = [da.overlap.overlap(array.rechunk(space), depth, "none") for array in arrays.values()]  # type: ignore[no-untyped-call]
    planes = da.map_blocks(  # type: ignore[no-untyped-call]
        _kernel,
        *halo,
        names=tuple(bands),
        level=level,
        dates=dates,
        context=context,
        new_axis=0,
        chunks=((3,), *halo[0].chunks),
        meta=np.empty((0, 0, 0, 0), dtype=np.float32),
    )
    trimmed: FloatArray = da.overlap.trim_internal(planes, {axis + 1: size for axis, size in depth.items()}, "none")  # type: ignore[no-untyped-call]
    return trimmed


def _labelled(planes: FloatArray, stack: xr.Dataset, like: xr.DataArray) -> xr.Dataset:
    """Scores with the coordinates of the stack."""
    cs = xr.DataArray(planes[0], dims=_DIMS)
    alone = xr.DataArray(planes[2], dims=_DIMS)
    valid = cs.notnull().sum(("y", "x"))
    share = (alone.sum(("y", "x"), dtype="float64") / valid.where(valid > 0)).fillna(1.0)
    cs.attrs = {"long_name": "clear-sky score", "units": "1", "valid_range": [0.0, 1.0]}
    ranked = xr.DataArray(planes[1], dims=_DIMS, attrs={**cs.attrs, "long_name": _CS_CDF_LONG_NAME})
    if "grid_mapping" in like.attrs:
        cs.attrs["grid_mapping"] = ranked.attrs["grid_mapping"] = like.attrs["grid_mapping"]
    scores = xr.Dataset({"cs": cs, "cs_cdf": ranked, "no_context": share.astype("float32")})
    return scores.assign_coords(stack.coords)
