"""``score``: a stack of Sentinel-2 frames -> how well the ground can be seen in each, ``cs`` and ``cs_cdf``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import odc.geo.xr  # noqa: F401  (the accessor .odc)
import xarray as xr
from numpy.typing import NDArray

import clearsight
from clearsight import cdf, model, projection
from clearsight.bands import BANDS, LEVELS, NODATA_DN, REQUIRED_BANDS, Level
from clearsight.errors import ArgumentError, MissingBandError
from clearsight.model import CAUSES, View, load_model
from clearsight.passes import Window, place_of, score_place
from clearsight.reference import Dates, FloatArray
from clearsight.sun import sun_at

PROJECTION: Final = "projection"
"""Name of the scorer without learned weights."""
DEFAULT_MODEL: Final = model.SHIPPED
MODELS: Final = (model.SHIPPED, PROJECTION)
"""Names that `score` takes as ``model``, beside the path of an ONNX file."""

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
        Name of shipped weights (default ``"clearsight-1"``), the path of an ONNX file that `clearsight train` has
        exported, or ``"projection"``, the scorer without learned weights.
    context : bool
        Compare each pixel with its clear reference from the other frames.

    Returns
    -------
    xr.Dataset
        ``cs`` and ``cs_cdf``: float32 in [0, 1], dims ``(time, y, x)``, NaN = nodata, which is every pixel that any
        band of the stack lacks at that time. 0.6 and more is worth using for most work. ``no_context`` ``(time,)``:
        share of a frame's valid pixels that had no clear reference; 1 without context, or without a valid pixel.
        ``cause`` (not from the projection scorer): uint8, why a pixel is what it is; ``flag_meanings`` in its
        attributes. Coordinates as in ``stack``. Lazy (dask) where ``stack`` is lazy, with the same values (a learned
        score up to 1/200).

    Notes
    -----
    Coordinates ``sun_azimuth`` and ``sun_elevation`` along time (degrees; `load` sets them) tell a learned model where
    shadows fall; it works without.

    Raises
    ------
    MissingBandError
        B02, B03 or B04 isn't there.
    ModelError
        ``model`` isn't a model.
    ArgumentError
        Any other argument that can't be used; the message says which and why.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> forest = {"B02": 0.075, "B03": 0.065, "B04": 0.04, "B08": 0.25, "B11": 0.12}
    >>> cloud = {"B02": 0.7, "B03": 0.7, "B04": 0.7, "B08": 0.72, "B11": 0.5}
    >>> time = np.array(["2023-07-01", "2023-07-06"], dtype="datetime64[ns]")
    >>> frames = {band: (("time", "y", "x"), np.full((2, 8, 8), value)) for band, value in forest.items()}
    >>> stack = xr.Dataset(frames, coords={"time": time})
    >>> for band, value in cloud.items():
    ...     stack[band][1, :4] = value
    >>> (score(stack).cs[:, [0, -1], 0] >= 0.60).values
    array([[ True,  True],
           [False,  True]])
    """
    names = _checked(stack, level=level)
    how = asked(stack, names, level=level, model=model, context=context)
    if how.model != PROJECTION:
        load_model(how.model)  # a lazy score shouldn't fail late
    bands = {name: _reflectance(stack[name]) for name in names}
    if any(band.chunks is not None for band in bands.values()):
        planes = _lazy(bands, how)
    else:
        planes = _kernel(*(band.data for band in bands.values()), how=how)
    return _labelled(planes, stack, bands[names[0]], with_cause=how.model != PROJECTION)


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of a scorer: all but the pixels. Made by `asked`."""

    model: str
    level: Level
    names: tuple[str, ...]
    """Bands, in the order of the arrays."""
    dates: Dates
    views: Sequence[View | None]
    pixel: float
    """Metres."""
    context: bool


@dataclass(frozen=True, eq=False)
class Planes:
    """Scores of a window of some frames; float32 arrays (time, y, x) with NaN = nodata unless said otherwise."""

    cs: FloatArray
    cs_cdf: FloatArray
    alone: NDArray[np.bool_]
    """Valid pixels that had no clear reference."""
    cause: NDArray[np.uint8]
    """Codes of `clearsight.model.CAUSES`; nodata throughout where the scorer tells none."""


def asked(stack: xr.Dataset, names: Sequence[str], *, level: Level, model: str | None, context: bool) -> Asked:
    """What is asked about the frames of a stack."""
    return Asked(
        model or DEFAULT_MODEL, level, tuple(names), stack["time"].values, _views(stack), _pixel(stack), context
    )


def score_window(bands: Iterable[tuple[str, FloatArray]], how: Asked, *, inner: Window) -> Planes:
    """Score frames, and keep what lies in a window (rows, columns) of them.

    Bands, reflectance (time, y, x), come one after the other in the order of ``how.names``: the learned scorer keeps
    them as digital numbers, an eighth of the memory.
    """
    if how.model == PROJECTION:
        cs, alone = projection.score_frames(dict(bands), level=how.level, dates=how.dates, context=how.context)
        cs, alone = cs[:, *inner], alone[:, *inner]
        cause = np.full(cs.shape, CAUSES.index("nodata"), dtype=np.uint8)
    else:
        place = place_of(bands, names=how.names, level=how.level, dates=how.dates, views=how.views, pixel=how.pixel)
        scored = score_place(load_model(how.model), place, inner=inner, context=how.context)
        cs, alone, cause = scored.cs, scored.alone, scored.cause
    ranked = np.empty_like(cs)
    # A few rows at a time: the histogram has 21 planes.
    rows = max(1, _CDF_PIXELS // cs.shape[2])
    for start in range(0, cs.shape[1], rows):
        strip = cs[:, start : start + rows]
        ranked[:, start : start + rows] = cdf.rank(strip, cdf.histogram(strip))
    return Planes(cs, ranked, alone, cause)


def reach(name: str | None = None) -> int:
    """Pixels around a window that its scores depend on.

    Windows of a learned model must also start at multiples of `clearsight.model.ALIGN`.

    Examples
    --------
    >>> reach("projection")
    3
    """
    return projection.HALO if name == PROJECTION else model.HALO


def appetite(name: str | None = None) -> tuple[float, float]:
    """Bytes per pixel that scoring a window takes: whatever the number of frames, and for each of them.

    Measured as the growth of the largest resident set with the size of the window and with the number of frames.

    Examples
    --------
    >>> appetite("projection")
    (0.0, 125.0)
    """
    # Learned: activations of one window; 13 bands as digital numbers, one of them as reflectance, scores.
    return (0.0, 125.0) if name == PROJECTION else (320.0, 30.0)


def version_of(name: str | None = None) -> str:
    """Name and version of a scorer, as MODEL_VERSION tells them; the projection scorer has the version of the code.

    Examples
    --------
    >>> version_of("projection").startswith("projection-")
    True
    """
    chosen = name or DEFAULT_MODEL
    return f"{PROJECTION}-{clearsight.__version__}" if chosen == PROJECTION else load_model(chosen).version


def _views(stack: xr.Dataset) -> list[View | None]:
    """Where the sun stood: as the stack tells, else as its place and days do."""
    count = stack.sizes["time"]
    angles = [stack.coords.get(name) for name in ("sun_azimuth", "sun_elevation")]
    azimuth, elevation = (np.full(count, np.nan) if angle is None else np.ravel(angle) for angle in angles)
    latitude = _latitude(stack)
    supposed = [None] * count if latitude is None else sun_at(latitude, stack["time"].values)
    return [
        View(90.0 - float(high), float(wide)) if np.isfinite(high + wide) else other
        for high, wide, other in zip(elevation, azimuth, supposed, strict=True)
    ]


def _latitude(stack: xr.Dataset) -> float | None:
    """Of the middle of a stack, degrees north; None where it doesn't know its place."""
    # Of the coordinates alone: the accessor and what it is asked about hold each other, and pixels would stay in memory
    # until the garbage collector comes by.
    geobox = stack.coords.to_dataset().odc.geobox
    if geobox is None or geobox.crs is None:
        return None
    return float(geobox.footprint("EPSG:4326").centroid.coords[0][1])


def _pixel(stack: xr.Dataset) -> float:
    """Size of a pixel in metres, 10 where the stack doesn't tell; degrees count as at the equator."""
    x = stack.coords.get("x")
    if x is None or x.size < 2 or x.dtype.kind != "f":
        return 10.0
    step = abs(float(x[1] - x[0]))
    return float(np.clip(step if step > 0.5 else step * 111_320, 5.0, 120.0))


def _checked(stack: xr.Dataset, *, level: str) -> tuple[str, ...]:
    """Names of the bands to score, in the order of `BANDS`; raises if anything can't be used."""
    if not isinstance(stack, xr.Dataset):
        raise ArgumentError(
            f"stack is a {type(stack).__name__}; expected an xarray.Dataset with one variable per band."
        )
    if level not in LEVELS:
        raise ArgumentError(f"level is {level!r}; expected one of {LEVELS}.")
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


def _kernel(*bands: FloatArray, how: Asked) -> FloatArray:
    """Planes (4, time, y, x): cs, cs_cdf, 1 where a valid pixel had no reference, code of the cause."""
    whole = (slice(0, bands[0].shape[1]), slice(0, bands[0].shape[2]))
    made = score_window(zip(how.names, bands, strict=True), how, inner=whole)
    return np.stack([made.cs, made.cs_cdf, made.alone, made.cause], dtype=np.float32, casting="unsafe")


def _lazy(bands: dict[str, xr.DataArray], how: Asked) -> FloatArray:
    """`_kernel` on dask arrays: all times in one chunk, space in the chunks of the first band, with a halo."""
    import dask.array as da  # a tenth of a second, which only lazy stacks need

    halo = reach(how.model)
    depth = {0: 0, 1: halo, 2: halo}
    arrays = {name: da.asarray(band.data).rechunk({0: -1}) for name, band in bands.items()}  # type: ignore[no-untyped-call]
    space = next(array for name, array in arrays.items() if bands[name].chunks is not None).chunks
    if how.model != PROJECTION:
        space = (space[0], *(_aligned(sizes) for sizes in space[1:]))
    outer = [da.overlap.overlap(array.rechunk(space), depth, "none") for array in arrays.values()]  # type: ignore[no-untyped-call]
    planes = da.map_blocks(  # type: ignore[no-untyped-call]
        _kernel,
        *outer,
        how=how,
        new_axis=0,
        chunks=((4,), *outer[0].chunks),
        meta=np.empty((0, 0, 0, 0), dtype=np.float32),
    )
    trimmed: FloatArray = da.overlap.trim_internal(planes, {axis + 1: size for axis, size in depth.items()}, "none")  # type: ignore[no-untyped-call]
    return trimmed


def _aligned(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks that start where a learned model needs them to, and are no smaller than its reach."""
    total, unit = sum(sizes), model.ALIGN
    side = max(-(-max(sizes) // unit) * unit, 2 * model.HALO)
    ends = [*range(side, total, side), total]
    if len(ends) > 1 and ends[-1] - ends[-2] < model.HALO:
        del ends[-2]
    return tuple(int(size) for size in np.diff([0, *ends]))


def _labelled(planes: FloatArray, stack: xr.Dataset, like: xr.DataArray, *, with_cause: bool) -> xr.Dataset:
    """Scores with the coordinates of the stack."""
    cs = xr.DataArray(planes[0], dims=_DIMS)
    alone = xr.DataArray(planes[2], dims=_DIMS)
    valid = cs.notnull().sum(("y", "x"))
    share = (alone.sum(("y", "x"), dtype="float64") / valid.where(valid > 0)).fillna(1.0)
    cs.attrs = {"long_name": "clear-sky score", "units": "1", "valid_range": [0.0, 1.0]}
    ranked = xr.DataArray(planes[1], dims=_DIMS, attrs={**cs.attrs, "long_name": _CS_CDF_LONG_NAME})
    made = {"cs": cs, "cs_cdf": ranked}
    if with_cause:
        made["cause"] = xr.DataArray(planes[3], dims=_DIMS).astype("uint8")
        made["cause"].attrs = {
            "long_name": "why a pixel is what it is",
            "flag_values": list(range(len(CAUSES))),
            "flag_meanings": " ".join(cause.replace(" ", "_") for cause in CAUSES),
        }
    if "grid_mapping" in like.attrs:
        for variable in made.values():
            variable.attrs["grid_mapping"] = like.attrs["grid_mapping"]
    scores = xr.Dataset({**made, "no_context": share.astype("float32")})
    return scores.assign_coords(stack.coords)
