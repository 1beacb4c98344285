"""Relief: fractal heights, and how the sun falls on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from clearsight.errors import ArgumentError

Array = NDArray[np.float32]

_PENUMBRA: Final = 0.6
"""Height over which a cast shadow fades, in units of what the ray falls across a pixel."""

_NEARLY_FLAT: Final = 0.995
"""Cosine of the slope up to which slopes throw no light at each other worth reckoning."""

_LEAST_SUN: Final = 0.5
"""Slopes with less sun than this, relative to flat ground, live on skylight, too."""

_KEPT: Final = 1_200_000
"""Cells up to which a spectrum is kept for the next call."""


def fractal(
    rng: np.random.Generator, *, shape: tuple[int, int], slope: float, largest: float, periodic: bool = False
) -> Array:
    """Random field with a power-law spectrum, the texture most natural things share.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    shape : (int, int)
        Rows and columns.
    slope : float
        Amplitude falls as frequency to the power ``-slope``: 1 is rough, 2 is like hills, 3 is smooth.
    largest : float
        Size of the largest structures in pixels; below that frequency the spectrum is flat.
    periodic : bool
        Whether what leaves the field on one side comes back on the other.

    Returns
    -------
    float32 array of ``shape``
        Zero mean, unit standard deviation.

    Examples
    --------
    >>> field = fractal(np.random.default_rng(1), shape=(64, 48), slope=2.0, largest=32)
    >>> field.shape, bool(abs(field.mean()) < 1e-3)
    ((64, 48), True)
    """
    # The field repeats at its borders, so it's made larger than needed, unless that's wanted.
    margin = 0 if periodic else int(min(largest, max(shape)) // 2)
    rows, columns = shape if periodic else (fft.next_fast_len(size + margin, real=True) for size in shape)
    amplitude = (_amplitude if rows * columns < _KEPT else _amplitude.__wrapped__)(rows, columns, slope, largest)
    white = rng.standard_normal((rows, columns), dtype=np.float32)
    field = fft.irfft2(fft.rfft2(white) * amplitude, s=(rows, columns))[: shape[0], : shape[1]]
    field -= field.mean()
    spread = float(field.std())
    return np.asarray(field / (spread if spread > 0 else 1.0), dtype=np.float32)


@lru_cache(maxsize=24)
def _amplitude(rows: int, columns: int, slope: float, largest: float) -> Array:
    """Amplitude of each frequency of a real transform; small ones are kept, for they are asked for again and again."""
    y, x = fft.fftfreq(rows).astype(np.float32)[:, None], fft.rfftfreq(columns).astype(np.float32)[None, :]
    amplitude = (y**2 + x**2 + np.float32(1.0 / largest) ** 2) ** np.float32(-slope / 2)
    amplitude[0, 0] = 0.0
    return np.asarray(amplitude, dtype=np.float32)


@dataclass(frozen=True)
class Slope:
    """How the ground leans; flat float32 arrays, of one value on a plain."""

    sun: Array
    """Cosine of the angle between the ground's normal and the light it lives on, 0.09 … 1: the sun; where the ground is
    turned away from it, the sky."""
    view: Array
    """Cosine of the slope: of the angle between the normal and a satellite in the zenith."""


_SKYLIGHT: Final = 0.65
"""Cosine that stands for light from the whole sky."""


def leaning(elevation: Array, *, pixel: float, sun_zenith: float, sun_azimuth: float) -> Slope:
    """How the ground leans to sun and satellite; arguments and units as for `direct_light`.

    Examples
    --------
    >>> leaning(np.zeros((4, 4), dtype="float32"), pixel=10, sun_zenith=60, sun_azimuth=150).sun
    array([0.5], dtype=float32)
    """
    zenith, azimuth = np.deg2rad(min(sun_zenith, 85.0)), np.deg2rad(sun_azimuth)
    down, right = np.gradient(elevation, np.float32(pixel))
    level = 1.0 / np.sqrt(1.0 + right**2 + down**2)
    if float(level.min()) > _NEARLY_FLAT:
        return Slope(np.array([np.cos(zenith)], dtype=np.float32), np.ones(1, dtype=np.float32))
    east, north = np.sin(zenith) * np.sin(azimuth), np.sin(zenith) * np.cos(azimuth)
    cosine = np.maximum((np.cos(zenith) - np.float32(east) * right + np.float32(north) * down) * level, 0.0)
    away = np.maximum(1.0 - cosine / 0.2, 0.0)
    return Slope((cosine + away * (_SKYLIGHT - cosine)).astype(np.float32).ravel(), level.astype(np.float32).ravel())


def exchange_light(values: Array, *, elevation: Array, pixel: float, sun_zenith: float, sun_azimuth: float) -> None:
    """Light that slopes throw at each other, in place, as a higher reflectance of the slope that gets it.

    A slope sees ``(1 - cos(slope)) / 2`` of ground in place of sky (Dozier and Frew 1990, IEEE TGRS 28, 963). That
    ground is as bright as the place on average: much under snow, next to nothing elsewhere.

    Parameters
    ----------
    values : float32 array (13, pixels)
        Reflectance.
    elevation : float32 array (y, x)
        Metres.
    pixel : float
        Metres.
    sun_zenith, sun_azimuth : float
        Degrees; where the sun stands about: what a slope gets counts in proportion to its own sunlight.
    """
    down, right = np.gradient(elevation, np.float32(pixel))
    level = 1.0 / np.sqrt(1.0 + right**2 + down**2)
    if float(level.min()) > _NEARLY_FLAT:
        return
    zenith, azimuth = np.deg2rad(sun_zenith), np.deg2rad(sun_azimuth)
    tilt = np.float32(np.tan(zenith)) * (-np.float32(np.sin(azimuth)) * right + np.float32(np.cos(azimuth)) * down)
    own = np.maximum((1.0 + tilt) * level, _LEAST_SUN)
    gain = ((0.5 - 0.5 * level) / own).ravel()
    for band in values:
        band *= 1.0 + gain * band.mean()


def direct_light(elevation: Array, *, pixel: float, sun_zenith: float, sun_azimuth: float) -> Array:
    """Direct sunlight on a relief, relative to flat ground: ``cos(i) / cos(sun zenith)``, 0 in cast shadow.

    Parameters
    ----------
    elevation : float32 array (y, x)
        Heights in metres; y runs down, that is to the south.
    pixel : float
        Size of a pixel in metres.
    sun_zenith, sun_azimuth : float
        Degrees; azimuth clockwise from north. Zenith must lie in [0, 90).

    Returns
    -------
    float32 array (y, x)
        0 … about 3 at low sun. 1 everywhere on flat ground.

    Examples
    --------
    >>> flat = np.zeros((4, 4), dtype="float32")
    >>> float(direct_light(flat, pixel=10, sun_zenith=50, sun_azimuth=150).min())
    1.0
    """
    if not 0.0 <= sun_zenith < 90.0:
        raise ArgumentError(f"sun_zenith={sun_zenith} degrees: expected 0 <= sun_zenith < 90, a sun above the horizon.")
    if min(elevation.shape) < 2 or not np.any(elevation != elevation.flat[0]):
        return np.ones(elevation.shape, dtype=np.float32)
    zenith, azimuth = np.deg2rad(sun_zenith), np.deg2rad(sun_azimuth)
    down, right = np.gradient(elevation, np.float32(pixel))
    east, north = np.sin(zenith) * np.sin(azimuth), np.sin(zenith) * np.cos(azimuth)
    # The normal of z(x, y) is (-dz/dx, -dz/dnorth, 1) over its length; north runs up, so dz/dnorth = -down.
    incidence = np.cos(zenith) - np.float32(east) * right + np.float32(north) * down
    incidence /= np.sqrt(1.0 + right**2 + down**2)
    lit = 1.0 - cast_shadow(elevation, pixel=pixel, sun_zenith=sun_zenith, sun_azimuth=sun_azimuth)
    return np.asarray(np.maximum(incidence, 0.0) / np.cos(zenith) * lit, dtype=np.float32)


def cast_shadow(elevation: Array, *, pixel: float, sun_zenith: float, sun_azimuth: float) -> Array:
    """Share of a pixel's direct sun that higher ground takes away: 0 lit, 1 in shadow.

    One sweep away from the sun: the height of the shadow above a row is that of the row before it, or its ground if
    that is higher, less what the ray falls in between. Arguments and units as for `direct_light`.

    Examples
    --------
    >>> wall = np.zeros((3, 8), dtype="float32")
    >>> wall[:, 6] = 30.0
    >>> cast_shadow(wall, pixel=10, sun_zenith=45, sun_azimuth=90)[1].round().astype(int)
    array([0, 0, 0, 0, 1, 1, 0, 0])
    """
    azimuth = np.deg2rad(sun_azimuth)
    east, south = np.sin(azimuth), -np.cos(azimuth)
    # Turn the array so that the sun stands at the top: rows are then swept from the first to the last.
    along_rows = abs(south) >= abs(east)
    ground = elevation if along_rows else elevation.T
    towards, sideways = (south, east) if along_rows else (east, south)
    if towards > 0:
        ground = ground[::-1]
    drift = sideways / abs(towards)  # columns per row, towards the sun
    fall = pixel / abs(towards) / np.tan(np.deg2rad(sun_zenith)) if sun_zenith > 0 else np.inf
    height = np.full(ground.shape, -np.inf, dtype=np.float32)
    columns = np.arange(ground.shape[1], dtype=np.float32)
    for row in range(1, ground.shape[0]):
        before = np.maximum(height[row - 1], ground[row - 1])
        height[row] = np.interp(columns + drift, columns, before) - fall
    shadow = (
        np.clip((height - ground) / max(_PENUMBRA * fall, 1e-3) + 0.5, 0.0, 1.0) if np.isfinite(fall) else height * 0
    )
    if towards > 0:
        shadow = shadow[::-1]
    return np.asarray(shadow if along_rows else shadow.T, dtype=np.float32)
