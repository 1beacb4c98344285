"""The MultiSpectral Instrument: from top-of-atmosphere reflectance to the digital numbers of an L1C product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import ndtr

from clearsight.bands import BANDS, NODATA_DN, harmonise
from clearsight.errors import ArgumentError

Array = NDArray[np.float32]

SOLAR_IRRADIANCE: Final = np.array(
    [1884.69, 1959.66, 1823.24, 1512.06, 1424.64, 1287.61, 1162.08, 1041.63, 955.32, 812.92, 367.15, 245.59, 85.25]
)
"""W/m²/µm of each band at one astronomical unit, as in the metadata of Sentinel-2A's products."""

_REFERENCE_RADIANCE: Final = np.array([129, 128, 128, 108, 74.5, 68, 67, 103, 52.5, 9, 6, 4, 1.5])
_REFERENCE_SNR: Final = np.array([1372, 214, 249, 230, 253, 220, 228, 221, 161, 223, 390, 159, 167]) * 0.9
"""Signal to noise at the reference radiance (W/m²/sr/µm), measured in orbit and a tenth worse for age: Gascon et al.
2017, *Copernicus Sentinel-2A Calibration and Products Validation Status*, Remote Sensing 9, 584."""

_LARGEST_RADIANCE: Final = np.array([588, 615.5, 559, 484, 449.5, 413, 387, 308, 308, 233, 45, 70, 24.5])
"""W/m²/sr/µm at which a band saturates."""

_BLUR: Final = np.array([0.33, 0.42, 0.42, 0.44, 0.40, 0.40, 0.40, 0.46, 0.38, 0.36, 0.40, 0.44, 0.42])
"""Standard deviation of each band's optics, smear and resampling, in its own pixels, beside the pixel's own square."""

_STRIPES: Final = np.array([0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.4, 0.5, 0.4, 0.4])
"""Standard deviation of the columns' own offsets along the track, in units of the noise at the reference radiance."""

_TRACK_SLOPE: Final = float(np.tan(np.radians(15.0)))
"""Columns that the ground track moves to the left per row."""

OFFSET_FROM: Final = 4.0
"""Processing baseline from which 1000 is added to every digital number."""


@dataclass(frozen=True)
class Observation:
    """What the instrument delivers for one frame."""

    dn: Mapping[str, NDArray[np.uint16]]
    """Band name → digital numbers (rows, columns) on the band's native 10, 20 or 60 m grid; 0 = nodata. All grids start
    in the frame's upper left corner; the last row and column of a coarse grid may reach past the frame."""
    baseline: str
    """Processing baseline, such as ``05.10``."""
    offset: int
    """``RADIO_ADD_OFFSET``: −1000 or 0; reflectance = (DN + offset) / 10 000."""
    saturated: NDArray[np.bool_]
    """(y, x) at 10 m: one of the bands was at its limit."""
    valid: NDArray[np.bool_]
    """(y, x) at 10 m: seen by every band."""
    detector: NDArray[np.uint8]
    """(y, x) at 10 m: which of the twelve detectors saw it; 0 outside the swath."""


def observe(
    toa: Array,
    *,
    seed: int,
    baseline: str = "05.10",
    sun_zenith: float = 45.0,
    detector: NDArray[np.uint8] | None = None,
    misregistration: float = 0.5,
) -> Observation:
    """Look at a scene with Sentinel-2's instrument.

    Parameters
    ----------
    toa : (13, y, x) float32 array
        Top-of-atmosphere reflectance at 10 m, finite.
    seed : int
        Any integer: noise, misregistration and the detectors' small differences come from it.
    baseline : str
        Processing baseline; from 04.00 on, 1000 is added to every digital number.
    sun_zenith : float
        Degrees: noise and saturation belong to radiance, not to reflectance.
    detector : (y, x) uint8 array, optional
        From `swath`: detector numbers 1 … 12, 0 outside the swath. Default: all of it seen by detector 6.
    misregistration : float
        Largest shift of the frame against the true grid, pixels of 10 m; bands shift by a fifth of it on top.

    Returns
    -------
    Observation

    Raises
    ------
    ArgumentError
        ``toa`` isn't (13, y, x), or ``detector`` doesn't fit.

    Examples
    --------
    >>> scene = np.full((13, 24, 24), 0.2, dtype="float32")
    >>> seen = observe(scene, seed=1)
    >>> seen.dn["B11"].shape, seen.dn["B01"].shape, abs(int(seen.dn["B04"].mean()) - 3000) < 10
    ((12, 12), (4, 4), True)
    """
    shape = _checked_shape(toa, detector)
    rng = np.random.default_rng([abs(seed), int(seed < 0), 4099])
    if detector is None:
        detector = np.full(shape, 6, dtype=np.uint8)
    offset = -1000 if float(baseline) >= OFFSET_FROM else 0
    shift = rng.uniform(-misregistration, misregistration, 2)
    radiance = SOLAR_IRRADIANCE * np.cos(np.radians(sun_zenith)) / np.pi
    gain = 1.0 + 0.003 * rng.standard_normal((13, 13))
    dn: dict[str, NDArray[np.uint16]] = {}
    saturated = np.zeros(shape, dtype=bool)
    valid = np.ones(shape, dtype=bool)
    for i, band in enumerate(BANDS.values()):
        step = band.gsd // 10
        nudge = shift + rng.uniform(-0.2, 0.2, 2) * misregistration
        image = _resampled(toa[i], step=step, blur=float(_BLUR[i]), shift=(float(nudge[0]), float(nudge[1])))
        on_grid = _detector_of(detector, step, later=i)
        image *= gain[i].astype(np.float32)[on_grid]
        image += _noise(rng, image, i, scale=float(radiance[i]))
        limit = np.float32(_LARGEST_RADIANCE[i] / radiance[i])
        _mark(saturated, image >= limit, step)
        _mark(valid, on_grid > 0, step, both=True)
        dn[band.name] = _quantised(np.minimum(image, limit), radiance[i], i, offset=offset, seen=on_grid > 0)
    return Observation(dn, baseline, offset, saturated, valid, detector)


def swath(
    shape: tuple[int, int], *, seed: int, edge: float | None = None, boundary: float | None = None
) -> NDArray[np.uint8]:
    """Draw which detector sees what, along the slanted ground track.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    seed : int
        Any integer.
    edge : float, optional
        Share of the frame outside the swath, 0 … 1; None = none of it.
    boundary : float, optional
        Share of the frame's width, 0 … 1, at which the next detector takes over; None = one detector.

    Returns
    -------
    uint8 array (y, x)
        1 … 12; 0 outside the swath.

    Examples
    --------
    >>> seen = swath((40, 40), seed=1, edge=0.25)
    >>> bool(abs((seen == 0).mean() - 0.25) < 0.05)
    True
    """
    rng = np.random.default_rng([abs(seed), int(seed < 0), 4111])
    rows, columns = np.indices(shape, dtype=np.float32)
    across = columns + np.float32(_TRACK_SLOPE) * rows
    first = int(rng.integers(1, 12))
    number = np.full(shape, first, dtype=np.uint8)
    if boundary is not None:
        number[across > np.quantile(across, boundary)] = first + 1
    if edge is not None and edge > 0:
        left = bool(rng.integers(2))
        level = np.quantile(across, edge if left else 1.0 - edge)
        number[across < level if left else across > level] = 0
    return number


def regrid(observation: Observation) -> Array:
    """Harmonised reflectance of all bands on the 10 m grid, each coarse pixel repeated, NaN where nodata.

    Returns
    -------
    float32 array (13, y, x)

    Examples
    --------
    >>> seen = observe(np.full((13, 12, 12), 0.2, dtype="float32"), seed=1)
    >>> regrid(seen).shape
    (13, 12, 12)
    """
    rows, columns = observation.valid.shape
    out = np.empty((13, rows, columns), dtype=np.float32)
    for i, band in enumerate(BANDS.values()):
        values = harmonise(observation.dn[band.name], offset=observation.offset)
        step = band.gsd // 10
        out[i] = _repeat(values, step, (rows, columns))
    return out


def _checked_shape(toa: Array, detector: NDArray[np.uint8] | None) -> tuple[int, int]:
    if toa.ndim != 3 or toa.shape[0] != len(BANDS):
        raise ArgumentError(f"toa has shape {toa.shape}; expected (13, y, x), bands as in clearsight.bands.BANDS.")
    if detector is not None and detector.shape != toa.shape[1:]:
        raise ArgumentError(f"detector has shape {detector.shape}; expected that of the frame, {toa.shape[1:]}.")
    return int(toa.shape[1]), int(toa.shape[2])


def _resampled(image: Array, *, step: int, blur: float, shift: tuple[float, float]) -> Array:
    """Blur, shift and sample in one go: along each axis that is one narrow matrix."""
    down = _sampling(image.shape[0], step, blur, round(shift[0], 2))
    right = _sampling(image.shape[1], step, blur, round(shift[1], 2))
    return np.ascontiguousarray((right @ (down @ image).T).T, dtype=np.float32)


@lru_cache(maxsize=1024)
def _sampling(size: int, step: int, blur: float, shift: float) -> sparse.csr_array:
    """(n, size) matrix; each row is the point-spread function of a native pixel: a square, blurred."""
    count = -(-size // step)
    sigma, reach = blur * step, int(np.ceil(0.5 * step + 3.0 * blur * step + abs(shift))) + 1
    # All rows are alike but for where they begin.
    first = 0.5 * step - 0.5 + shift
    offsets = round(first) + np.arange(-reach, reach + 1)
    distance = offsets - first
    # How much of a source pixel lies within the native pixel, blurred by sigma; at step 1 the scene's own pixels are
    # that square already, so that only the blur is left.
    half = 0.5 * step if step > 1 else 0.5 * 0.2
    weight = ndtr((distance + half) / sigma) - ndtr((distance - half) / sigma)
    weights = np.tile((weight / weight.sum()).astype(np.float32), count)
    columns = np.clip(np.arange(count)[:, None] * step + offsets, 0, size - 1).ravel()
    # Beyond the border the last pixel stands for what follows: it occurs several times in a row, and counts each time.
    starts = np.arange(count + 1) * offsets.size
    return sparse.csr_array((weights, columns, starts), shape=(count, size))


def _detector_of(detector: NDArray[np.uint8], step: int, *, later: int) -> NDArray[np.uint8]:
    """Detector number on a native grid; each band's swath ends a pixel or so elsewhere, so edges differ a little."""
    moved = np.roll(detector, (later % 3) - 1, axis=1) if (detector == 0).any() else detector
    rows, columns = detector.shape
    middle = step // 2
    at_rows = np.minimum(np.arange(-(-rows // step)) * step + middle, rows - 1)
    at_columns = np.minimum(np.arange(-(-columns // step)) * step + middle, columns - 1)
    return moved[np.ix_(at_rows, at_columns)]


def _noise(rng: np.random.Generator, image: Array, band: int, *, scale: float) -> Array:
    """Read noise, shot noise and stripes along the track, as reflectance."""
    reference = _REFERENCE_RADIANCE[band] / scale
    sigma = np.float32(reference / _REFERENCE_SNR[band])
    spread = np.sqrt(np.float32(0.4) + np.float32(0.6 / reference) * np.maximum(image, 0.0))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * spread
    rows, columns = image.shape
    lean = np.round(np.arange(rows) * _TRACK_SLOPE).astype(int)
    stripes = rng.standard_normal(columns + int(lean[-1]) + 1, dtype=np.float32)
    index = lean[:, None] + np.arange(columns)
    noise += np.float32(_STRIPES[band]) * stripes[index]
    return np.asarray(sigma * noise, dtype=np.float32)


def _quantised(image: Array, radiance: float, band: int, *, offset: int, seen: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Round to the instrument's 12 bits, then to the product's steps of 1/10 000; 0 is kept for nodata."""
    count = np.float32(_LARGEST_RADIANCE[band] / radiance / 4095.0)
    twelve_bits = np.round(image / count) * count
    digital = np.clip(np.round(twelve_bits * 10_000.0) - offset, 1, 65534).astype(np.uint16)
    return np.where(seen, digital, np.uint16(NODATA_DN))


def _repeat(values: Array, step: int, shape: tuple[int, int]) -> Array:
    if step > 1:
        values = np.repeat(np.repeat(values, step, axis=0), step, axis=1)
    return values[: shape[0], : shape[1]]


def _mark(mask: NDArray[np.bool_], here: NDArray[np.bool_], step: int, *, both: bool = False) -> None:
    """Add a native mask to one at 10 m: or, or with ``both`` and."""
    if both:
        if not here.all():
            mask &= np.repeat(np.repeat(here, step, 0), step, 1)[: mask.shape[0], : mask.shape[1]]
    elif here.any():
        mask |= np.repeat(np.repeat(here, step, 0), step, 1)[: mask.shape[0], : mask.shape[1]]
