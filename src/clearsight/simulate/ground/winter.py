"""Snow on the ground and ice on lakes: how much of a pixel they hide, and what they look like."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clearsight.simulate.ground.covers import Cover, Patches
from clearsight.simulate.ground.phenology import Growth
from clearsight.simulate.ground.spectra import snow_absorption, snow_geometry
from clearsight.simulate.ground.terrain import Slope, fractal
from clearsight.simulate.ground.weather import HEIGHTS, LAPSE, Weather

Array = NDArray[np.float32]

_STEPS: Final = 48
_LEVELS: Final = 13
_CRUST: Final = 2.0
"""Standard deviations of the state of the snow at one height that are told apart, up and down."""

_FRESH: Final = 45e-6
"""Metres: fresh snow has 73 m²/kg of surface on average (Domine et al. 2007, JGR 112, F02031)."""

_AGEING: Final = 15e-6
_COLD_AGEING: Final = 0.08
"""Metres per day by which the grains of dry snow grow at 0 °C, and by how much less per degree of frost: a fifth at
-20 °C (Flanner and Zender 2006, JGR 111, D12208). High up in winter, snow stays fine for weeks."""

# Share of the snow that crowns and walls hide from above, and metres of snow that vanish between stones and stalks.
_HIDING: Final = {
    Cover.CONIFER: 0.72, Cover.EVERGREEN: 0.8, Cover.MANGROVE: 0.8, Cover.DECIDUOUS: 0.45, Cover.SHRUB: 0.35,
    Cover.ORCHARD: 0.25, Cover.GARDEN: 0.3, Cover.REED: 0.4, Cover.CLEARCUT: 0.15, Cover.ROAD: 0.75, Cover.PAVED: 0.5,
    Cover.TRACK: 0.2, Cover.ROOF_RED: 0.2, Cover.ROOF_DARK: 0.3, Cover.ROOF_BRIGHT: 0.3, Cover.ROCK: 0.12,
    Cover.SAVANNA: 0.25, Cover.HALL: 0.15, Cover.PLASTIC: 0.6, Cover.PANEL: 0.5, Cover.CONCRETE: 0.5,
}  # fmt: skip
_ROUGH: Final = {Cover.ROCK: 0.10, Cover.SHRUB: 0.08, Cover.STEPPE: 0.05, Cover.CLEARCUT: 0.08, Cover.ICE: 0.0}


_WHITE_ICE: Final = np.array(
    [0.86, 0.87, 0.87, 0.85, 0.84, 0.82, 0.80, 0.78, 0.76, 0.70, 0.22, 0.10, 0.09], dtype=np.float32
)
_BARE_ICE: Final = np.array(
    [0.62, 0.64, 0.62, 0.55, 0.51, 0.47, 0.43, 0.39, 0.34, 0.26, 0.05, 0.03, 0.025], dtype=np.float32
)
_GREY_ICE: Final = np.array(
    [0.24, 0.24, 0.22, 0.18, 0.15, 0.12, 0.10, 0.08, 0.06, 0.04, 0.01, 0.01, 0.01], dtype=np.float32
)
_POND: Final = np.array(
    [0.40, 0.42, 0.34, 0.16, 0.11, 0.08, 0.06, 0.05, 0.045, 0.04, 0.02, 0.02, 0.02], dtype=np.float32
)
"""Sea ice under snow, bare, young, and its ponds of melt (shapes after Perovich 1996, CRREL Monograph 96-1)."""


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
    values: Array, *, elevation: Array, texture: Array, fine: Array, cover: tuple[Array, Array], slope: Slope,
    weather: Weather, dirt: tuple[float, float],
) -> Array:  # fmt: skip
    """Whiten the ground, in place.

    Parameters
    ----------
    values : float32 array (13, pixels)
        Reflectance of the ground without snow.
    elevation, texture, fine : float32 arrays (pixels)
        Metres; unit random fields: drifts, and pixel-to-pixel roughness.
    cover : two float32 arrays (pixels)
        Share and depth, as from ``snow_share``.
    slope : Slope
        How the ground leans: snow that faces the sun is whiter than level snow under the same low sun.
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
    most, covered_by = cover
    white = (most * np.clip(depth / (covered_by + 0.012) - 0.25, 0.0, 1.0)).astype(np.float32)
    dark = _darkness(steps, weather=weather, dirt=dirt)
    at = np.flatnonzero(white > 1e-3)
    here = white[at]
    # Wind packs snow here and lays it down loose there; the sun melts a crust on one bank and not on the next.
    crust = (0.75 * texture[at] + 0.45 * fine[at]) * (0.5 * (_LEVELS - 1) / _CRUST) + 0.5 * (_LEVELS - 1)
    where = step[at] * _LEVELS + np.clip(crust + 0.5, 0, _LEVELS - 1).astype(np.int32)
    drift = (1.0 + 0.02 * fine + 0.025 * texture)[at].astype(np.float32)
    level = slope.sun.size == 1
    brightest, escape = snow_geometry(
        sun=slope.sun if level else slope.sun[at], view=slope.view if level else slope.view[at],
        sun_zenith=weather.sun_zenith,
    )  # fmt: skip
    for band in range(13):
        before = values[band][at]
        if level:
            colour = (brightest * np.exp(escape * dark[band]))[where]
        else:
            colour = brightest * np.exp(escape * dark[band][where])
        values[band][at] = before + here * (colour * drift - before)
    return np.asarray(white, dtype=np.float32)


def _darkness(heights: Array, *, weather: Weather, dirt: tuple[float, float]) -> Array:
    """Logarithm of the albedo (13, heights * levels) of snow that coarsens with age and melt, and gets dirty as it
    melts.

    Within a height the levels run from loose, clean snow to crust.
    """
    age, melt = (np.interp(heights, HEIGHTS, profile)[:, None] for profile in (weather.age, weather.melt))
    crust = np.linspace(-_CRUST, _CRUST, _LEVELS)
    frost = np.minimum(weather.temperature - LAPSE * heights[:, None], 0.0)
    aged = _AGEING * np.exp(_COLD_AGEING * frost) * np.minimum(age, 25)
    grain = (_FRESH + aged + 18e-6 * np.minimum(melt, 30)) * np.exp(0.4 * crust)
    old = np.clip(age / 30 + melt / 40, 0.2, 1.0) * np.exp(0.5 * crust)
    soot, dust = (np.clip(amount * old, 0.0, 1.0).astype(np.float32).ravel() for amount in dirt)
    size = np.clip(grain, 2.5e-5, 1.5e-3).astype(np.float32).ravel()
    return np.ascontiguousarray(snow_absorption(grain=size, soot=soot, dust=dust).T)


def drift_ice(
    rng: np.random.Generator, *, shape: tuple[int, int], share: float, metres: float, pixel: float, warmth: float
) -> tuple[Array, Array]:
    """Floes as they lie on a date: polygons with leads between them, some closed, some far apart.

    Parameters
    ----------
    rng : numpy Generator
        Of the date: floes drift, so that no two dates are alike.
    shape : (int, int)
        Rows and columns.
    share : float
        Of the sea under ice, 0 … 1.
    metres, pixel : float
        Size of a floe, and of a pixel.
    warmth : float
        Degrees Celsius; above 0 the snow on the ice melts, and ponds form on it.

    Returns
    -------
    (float32 array (y, x), float32 array (13, y, x))
        Share of the pixel under ice, and reflectance of the ice.
    """
    size = max(metres / pixel, 3.0)
    count = int(np.clip(shape[0] * shape[1] / size**2, 3, 4000)) + 8
    centres = rng.uniform(-0.1, 1.1, (count, 2)) * np.array(shape)
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"), -1)
    bent = fractal(rng, shape=shape, slope=1.6, largest=3 * size)[..., None] * np.float32(0.18 * size)
    distance, nearest = cKDTree(centres).query(grid + bent, k=2)
    kept = rng.random(count) < share**0.5
    # The border of a cell is where the two nearest centres are equally far; what the floe lacks of it is open water.
    lead = (1 - share**0.5) * size * rng.uniform(0.3, 1.0, count)[nearest[..., 0]]
    floe = np.clip(distance[..., 1] - distance[..., 0] - lead, 0.0, 1.0) * kept[nearest[..., 0]]
    brash = np.clip(0.5 * fractal(rng, shape=shape, slope=1.2, largest=size) - 0.6 + share, 0.0, 0.7)
    ice = np.maximum(floe, brash * (floe == 0)).astype(np.float32)
    thick = rng.beta(1.8, 0.9, count).astype(np.float32)[nearest[..., 0]] * np.where(floe > 0, 1.0, 0.5)
    ponds = np.clip(fractal(rng, shape=shape, slope=1.1, largest=max(size / 3, 3)) - 0.5, 0.0, 1.0)
    ponds = ponds * np.clip((warmth + 1) / 5, 0.0, 0.9)
    white = _WHITE_ICE if warmth < 0 else _BARE_ICE
    colour = _GREY_ICE[:, None, None] + thick * (white - _GREY_ICE)[:, None, None]
    colour = colour + ponds * (_POND[:, None, None] - colour)
    return ice, np.asarray(colour * (1 + 0.04 * fractal(rng, shape=shape, slope=1.0, largest=30)), dtype=np.float32)


def lake_ice(*, elevation: float, weather: Weather) -> tuple[float, float]:
    """Share of a lake under ice, and how much of the ice is white with snow, at a height in metres."""
    frost = float(np.interp(elevation, HEIGHTS, weather.frost))
    depth = float(np.interp(elevation, HEIGHTS, weather.snow))
    return float(np.clip((frost - 40) / 60, 0.0, 1.0)), float(np.clip(depth / 0.06, 0.0, 1.0))
