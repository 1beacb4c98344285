"""Snow on the ground and ice on lakes: how much of a pixel they hide, and what they look like."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.covers import Cover, Patches
from clearsight.simulate.phenology import Growth
from clearsight.simulate.spectra import snow
from clearsight.simulate.weather import HEIGHTS, Weather

Array = NDArray[np.float32]

_STEPS: Final = 48
_LEVELS: Final = 13
_CRUST: Final = 2.0
"""Standard deviations of the state of the snow at one height that are told apart, up and down."""

# Share of the snow that crowns and walls hide from above, and metres of snow that vanish between stones and stalks.
_HIDING: Final = {
    Cover.CONIFER: 0.72, Cover.EVERGREEN: 0.8, Cover.MANGROVE: 0.8, Cover.DECIDUOUS: 0.45, Cover.SHRUB: 0.35,
    Cover.ORCHARD: 0.25, Cover.GARDEN: 0.3, Cover.REED: 0.4, Cover.CLEARCUT: 0.15, Cover.ROAD: 0.75, Cover.PAVED: 0.5,
    Cover.TRACK: 0.2, Cover.ROOF_RED: 0.2, Cover.ROOF_DARK: 0.3, Cover.ROOF_BRIGHT: 0.3, Cover.ROCK: 0.12,
    Cover.SAVANNA: 0.25,
}  # fmt: skip
_ROUGH: Final = {Cover.ROCK: 0.10, Cover.SHRUB: 0.08, Cover.STEPPE: 0.05, Cover.CLEARCUT: 0.08, Cover.ICE: 0.0}


def snow_share(patches: Patches, growth: Growth, *, weather: Weather) -> tuple[Array, Array]:
    """For each patch: the largest share of it that snow can whiten, and the depth in metres that just covers it."""
    hiding = np.zeros(256, dtype=np.float32)
    rough = np.full(256, 0.025, dtype=np.float32)
    for cover, value in _HIDING.items():
        hiding[cover] = value
    for cover, value in _ROUGH.items():
        rough[cover] = value
    fresh = float(np.exp(-weather.age[0] / 2.0)) if weather.temperature < 0 else 0.0
    own = np.clip(hiding[patches.cover] * (0.7 + 0.6 * patches.chance[:, 2]) * (1 - 0.55 * fresh), 0.0, 0.97)
    return (1.0 - own).astype(np.float32), (rough[patches.cover] + 0.02 * np.minimum(growth.leaf_area, 3.0)).astype(
        np.float32
    )


def lay_snow(
    values: Array, *, elevation: Array, texture: Array, fine: Array, share: Array, covered_by: Array, weather: Weather,
    dirt: tuple[float, float],
) -> Array:  # fmt: skip
    """Whiten the ground, in place.

    Parameters
    ----------
    values : float32 array (13, pixels)
        Reflectance of the ground without snow.
    elevation, texture, fine : float32 arrays (pixels)
        Metres; unit random fields: drifts, and pixel-to-pixel roughness.
    share, covered_by : float32 arrays (pixels)
        As from ``snow_share``.
    weather : Weather
        Of the date.
    dirt : (float, float)
        Soot and dust of the region, 0 … 1.

    Returns
    -------
    float32 array (pixels)
        Share of each pixel that is snow.
    """
    if not weather.snow.any():
        return np.zeros(elevation.shape, dtype=np.float32)
    low, high = float(elevation.min()), float(elevation.max()) + 1.0
    steps = np.linspace(low, high, _STEPS).astype(np.float32)
    depths = np.interp(steps, HEIGHTS, weather.snow)
    if not depths.any():
        return np.zeros(elevation.shape, dtype=np.float32)
    step = ((elevation - low) * ((_STEPS - 1) / (high - low))).astype(np.int32)
    depth = np.interp(elevation, steps, depths) * np.exp(0.55 * texture)
    cover = (share * np.clip(depth / (covered_by + 0.012) - 0.25, 0.0, 1.0)).astype(np.float32)
    colour = _colours(steps, weather=weather, dirt=dirt)
    at = np.flatnonzero(cover > 1e-3)
    here = cover[at]
    # Wind packs snow here and lays it down loose there; the sun melts a crust on one bank and not on the next.
    crust = (0.75 * texture[at] + 0.45 * fine[at]) * (0.5 * (_LEVELS - 1) / _CRUST) + 0.5 * (_LEVELS - 1)
    where = step[at] * _LEVELS + np.clip(crust + 0.5, 0, _LEVELS - 1).astype(np.int32)
    drift = (1.0 + 0.02 * fine + 0.025 * texture)[at].astype(np.float32)
    for band in range(13):
        before = values[band][at]
        values[band][at] = before + here * (colour[band][where] * drift - before)
    return np.asarray(cover, dtype=np.float32)


def _colours(heights: Array, *, weather: Weather, dirt: tuple[float, float]) -> Array:
    """Reflectance (13, heights * levels) of snow that coarsens with age and melt, and gets dirty as it melts.

    Within a height the levels run from loose, clean snow to crust.
    """
    age, melt = (np.interp(heights, HEIGHTS, profile)[:, None] for profile in (weather.age, weather.melt))
    crust = np.linspace(-_CRUST, _CRUST, _LEVELS)
    grain = (32e-6 + 15e-6 * np.minimum(age, 25) + 18e-6 * np.minimum(melt, 30)) * np.exp(0.4 * crust)
    old = np.clip(age / 30 + melt / 40, 0.2, 1.0) * np.exp(0.5 * crust)
    soot, dust = (np.clip(amount * old, 0.0, 1.0).astype(np.float32).ravel() for amount in dirt)
    size = np.clip(grain, 2.5e-5, 1.5e-3).astype(np.float32).ravel()
    return np.ascontiguousarray(snow(grain=size, soot=soot, dust=dust, sun_zenith=weather.sun_zenith).T)


def lake_ice(*, elevation: float, weather: Weather) -> tuple[float, float]:
    """Share of a lake under ice, and how much of the ice is white with snow, at a height in metres."""
    frost = float(np.interp(elevation, HEIGHTS, weather.frost))
    depth = float(np.interp(elevation, HEIGHTS, weather.snow))
    return float(np.clip((frost - 40) / 60, 0.0, 1.0)), float(np.clip(depth / 0.06, 0.0, 1.0))
