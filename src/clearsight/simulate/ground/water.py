"""Water over the ground: what bodies of water there are, how high they stand, and what they look like on a date."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.ground.covers import Cover
from clearsight.simulate.ground.spectra import deep_water, sun_glint, wetted, wobble
from clearsight.simulate.ground.terrain import fractal
from clearsight.simulate.ground.weather import Weather, season

Array = NDArray[np.float32]
Range = tuple[float, float]

# Ranges of chlorophyll (mg/m3), sediment (g/m3) and dissolved matter (1/m), and how often such water is met.
_WATERS: Final[dict[Cover, tuple[tuple[float, Range, Range, Range], ...]]] = {
    # Half of the world's lakes are rich in algae, and shallow ones and reservoirs are stirred to the ground.
    Cover.LAKE: (
        (0.20, (0.4, 3.0), (0.1, 1.5), (0.05, 0.5)),
        (0.18, (2.0, 12.0), (0.6, 8.0), (0.2, 1.5)),
        (0.18, (8.0, 60.0), (3.0, 25.0), (0.3, 2.5)),
        (0.09, (40.0, 300.0), (6.0, 60.0), (0.4, 4.0)),
        (0.16, (2.0, 20.0), (15.0, 300.0), (0.2, 1.5)),
        (0.12, (0.5, 8.0), (0.1, 3.0), (1.5, 14.0)),
        (0.07, (0.2, 1.0), (3.0, 20.0), (0.02, 0.1)),
    ),
    Cover.RIVER: (
        (0.4, (0.5, 5.0), (1.0, 8.0), (0.2, 2.5)),
        (0.4, (2.0, 20.0), (8.0, 50.0), (0.4, 2.0)),
        (0.2, (1.0, 8.0), (50.0, 400.0), (0.4, 1.5)),
    ),
    Cover.SEA: (
        (0.35, (0.04, 0.5), (0.05, 0.6), (0.005, 0.05)),
        (0.45, (0.6, 6.0), (0.2, 4.0), (0.05, 0.5)),
        (0.20, (1.5, 12.0), (8.0, 200.0), (0.2, 1.0)),
        (0.10, (0.1, 0.5), (2.0, 10.0), (0.01, 0.05)),
    ),
}

_SWING: Final[dict[Cover, Range]] = {Cover.LAKE: (0.05, 0.5), Cover.RIVER: (0.6, 2.8), Cover.SEA: (0.4, 2.2)}

_RESERVOIRS: Final = 0.2
_DRAWN_DOWN: Final = (0.8, 5.0)
"""How often a lake is a reservoir, and metres by which its level swings over the year."""

_LEVELS: Final = 24
"""Steps of turbidity within a body of water."""


_SOAKED: Final = np.float32(0.55)
"""What ground under water reflects, as a share of what it reflects when dry."""

_FEW: Final = 0.03
"""Share of an image under water below which waves aren't drawn one by one."""


@dataclass(frozen=True)
class Pool:
    """A body of water."""

    kind: Cover
    """``LAKE``, ``RIVER`` or ``SEA``."""
    chlorophyll: float
    """mg/m3, mean over the year."""
    sediment: float
    """g/m3."""
    dissolved: float
    """1/m at 440 nm."""
    swing: float
    """Metres by which its level goes up and down: half the spring tide, a flood, or a lake's year."""
    surf: float = 0.0
    """How open to the swell its shore is, 0 … 1."""
    pigment: float = 0.0
    """Carotenoids of the life in brine, optical depth at 490 nm of what is seen: pink from 0.3, red from 1."""
    floes: float = 0.0
    """Share under drifting sea ice, 0 … 1."""
    floe: float = 300.0
    """Size of a floe in metres."""


@dataclass(frozen=True)
class Wet:
    """Water on a date; the arrays hold one value for each of the flat pixels ``at``."""

    at: NDArray[np.intp]
    share: Array
    """Of the pixel under water, 0 … 1."""
    depth: Array
    """Metres."""


def draw_pool(rng: np.random.Generator, kind: Cover, *, surf: float = 0.0) -> Pool:
    """A body of water of some kind (``LAKE``, ``RIVER`` or ``SEA``), its shore open to the swell from 0 to 1."""
    waters = _WATERS[kind]
    chances = np.array([row[0] for row in waters])
    _, *ranges = waters[int(rng.choice(len(waters), p=chances / chances.sum()))]
    chlorophyll, sediment, dissolved = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in ranges)
    dammed = kind == Cover.LAKE and rng.random() < _RESERVOIRS
    swing = float(rng.uniform(*(_DRAWN_DOWN if dammed else _SWING[kind])))
    return Pool(kind, chlorophyll, sediment, dissolved, swing=swing, surf=surf)


def level(pool: Pool, *, seed: int, latitude: float, date: datetime.date, weather: Weather) -> float:
    """Height of a body of water over its mean, in metres.

    The satellite passes at the same hour, so it meets the tide at another phase each day: the moon's half-day tide
    comes round in 14.77 days. Rivers follow the run-off, lakes the season.
    """
    if pool.kind == Cover.SEA:
        day, start = date.toordinal(), (abs(seed) % 997) / 997 * 14.77
        moon = np.cos(2 * np.pi * (day - start) / 14.765) * (0.8 + 0.3 * np.cos(2 * np.pi * day / 27.55))
        return float(pool.swing * moon + 0.03 * (weather.wind - 4))
    if pool.kind == Cover.RIVER:
        return float(pool.swing * np.clip((weather.runoff - 14) / 40, -0.25, 1.6))
    year = np.cos(2 * np.pi * (season(date, latitude=latitude) - 100) / 365.25)
    return float(pool.swing * (0.6 * year + 1.2 * (weather.rootzone - 0.7)))


def flood(bed: Array, pool: NDArray[np.uint16], *, softness: Array, levels: Sequence[float]) -> Wet:
    """Which pixels are under water when the bodies of water stand at these levels.

    Parameters
    ----------
    bed : float32 array (y, x)
        Height of the ground over the mean level of its body of water in metres.
    pool : uint16 array (y, x)
        Which body, from 1; 0 none.
    softness : float32 array (y, x)
        Height that the ground gains across a pixel: within it, part of the pixel is wet.
    levels : sequence of float
        Of each body in metres.
    """
    heights = np.array([-1e6, *levels], dtype=np.float32)
    depth = heights[pool] - bed
    share = np.clip(depth / softness + 0.5, 0.0, 1.0)
    at = np.flatnonzero(share > 1e-3)
    return Wet(at, share.ravel()[at].astype(np.float32), np.maximum(depth.ravel()[at], 0.0).astype(np.float32))


def dampen(values: Array, *, damp: Array) -> None:
    """Darken ground that the water has left not long ago, in place; ``damp`` (pixels) is 0 dry … 1 soaked."""
    at = np.flatnonzero(damp > 0.01)
    if at.size:
        values[:, at] = wetted(values[:, at].T, damp[at]).T


def pour(
    values: Array, wet: Wet, *, bottom: Array, pool: NDArray[np.uint16], pools: Sequence[Pool], texture: Array,
    season_phase: float, runoff: float,
) -> None:  # fmt: skip
    """Lay water over the ground, in place.

    Parameters
    ----------
    values : float32 array (13, pixels)
        Reflectance of the ground, changed where it's wet.
    wet : Wet
        Where the water is.
    bottom : float32 array (13, wet pixels)
        Reflectance of the dry ground under the water.
    pool : uint16 array (pixels)
        As in ``flood``, flat.
    pools : sequence of Pool
        The bodies of water.
    texture : float32 array (pixels)
        Unit random field: plumes, blooms and currents.
    season_phase : float
        -1 in deep winter … 1 in high summer: algae grow.
    runoff : float
        mm; floods are brown.
    """
    reflectance, attenuation = _tables(pools, season_phase=season_phase, runoff=runoff)
    place = np.clip((texture[wet.at] * 0.2 + 0.5) * (_LEVELS - 1), 0, _LEVELS - 1.001)
    step = place.astype(np.intp)
    between = (place - step).astype(np.float32)
    row = (pool[wet.at].astype(np.intp) - 1) * _LEVELS + step
    for band in range(13):
        deep = reflectance[band][row] + between * (reflectance[band][row + 1] - reflectance[band][row])
        through = np.exp(-attenuation[band][row] * wet.depth)
        seen = deep * (1 - through) + _SOAKED * bottom[band] * through
        dry = values[band][wet.at]
        values[band][wet.at] = dry + wet.share * (seen - dry)


def _tables(pools: Sequence[Pool], *, season_phase: float, runoff: float) -> tuple[Array, Array]:
    """Reflectance and attenuation (13, pools * levels) from the clearest to the most turbid part of each body."""
    spread = np.exp(np.linspace(-1.6, 1.6, _LEVELS))
    bloom = np.exp(0.7 * season_phase)
    mud = [1 + max(runoff - 25, 0.0) / 8 if pool.kind == Cover.RIVER else 1.0 for pool in pools]
    chlorophyll = np.concatenate([pool.chlorophyll * bloom * spread**0.6 for pool in pools]).astype(np.float32)
    sediment = np.concatenate([pool.sediment * more * spread**0.7 for pool, more in zip(pools, mud, strict=True)])
    dissolved = np.repeat([pool.dissolved for pool in pools], _LEVELS).astype(np.float32)
    sediment = np.minimum(sediment, 900.0).astype(np.float32)
    reflectance, attenuation = deep_water(chlorophyll=chlorophyll, sediment=sediment, dissolved=dissolved)
    # Dense blooms float: a scum has the red edge of a leaf.
    scum = np.clip((chlorophyll - 120) / 500, 0.0, 0.6)[:, None]
    leaf = np.array([0.02, 0.03, 0.07, 0.04, 0.12, 0.25, 0.28, 0.28, 0.28, 0.24, 0.10, 0.07, 0.03], dtype=np.float32)
    reflectance = (reflectance * (1 - scum) + leaf * scum).astype(np.float32)
    # Carotenoids take blue and green away, and leave red.
    carotene = np.array([0.9, 1.0, 0.7, 0.03, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.float32)
    pigment = np.repeat([pool.pigment for pool in pools], _LEVELS).astype(np.float32)[:, None]
    reflectance *= np.exp(-pigment * carotene)
    attenuation += 2.5 * pigment * carotene
    colours = [
        wobble(np.random.default_rng(int(1e6 * pool.swing)), count=1, brightness=0.12, slope=0.08) for pool in pools
    ]
    reflectance *= np.repeat(np.concatenate(colours), _LEVELS, axis=0)
    return np.ascontiguousarray(reflectance.T, dtype=np.float32), np.ascontiguousarray(attenuation.T, dtype=np.float32)


def waves(
    values: Array, wet: Wet, *, pool: NDArray[np.uint16], pools: Sequence[Pool], shape: tuple[int, int], pixel: float,
    weather: Weather, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add what the surface of the water mirrors, and foam, in place; arguments as for ``pour``.

    Lakes and rivers are sheltered from the wind. Mirrored light is the same in every band; foam is white, and darker in
    the short-wave infrared (Koepke 1984, Applied Optics 23, 1816).
    """
    exposed = np.array([0.0, *(1.0 if each.kind == Cover.SEA else 0.25 for each in pools)], dtype=np.float32)
    surf = np.array([0.0, *(each.surf for each in pools)], dtype=np.float32)
    which = pool[wet.at]
    exposed, surf = exposed[which], surf[which]
    wind = weather.wind * (0.35 + 0.65 * exposed)
    view = rng.uniform(-9.0, 9.0)
    grid = np.linspace(0.3, 16.0, 24)
    mirror = np.array([sun_glint(sun_zenith=weather.sun_zenith, view_zenith=view, wind=w) for w in grid])
    glint = np.minimum(np.interp(wind, grid, mirror), 0.35) + 0.008 * rng.random() ** 2
    foam = 2.5e-6 * np.maximum(wind - 1.5, 0) ** 3.2
    if wet.at.size > _FEW * values.shape[1]:
        swell = _swell(rng, shape=shape, pixel=pixel).ravel()[wet.at]
        glint = glint * (1 + 0.10 * swell * exposed) * _calm(rng, shape=shape, pixel=pixel).ravel()[wet.at]
        foam = foam * np.exp(0.8 * swell) + surf * _breakers(wet.depth, swell=swell, wind=weather.wind)
    glint = (glint * wet.share).astype(np.float32)
    foam = (np.minimum(foam, 1.0) * wet.share * 0.55).astype(np.float32)
    white = np.array([1, 1, 1, 1, 0.97, 0.95, 0.92, 0.88, 0.86, 0.8, 0.6, 0.5, 0.3], dtype=np.float32)
    for band in range(13):
        values[band][wet.at] += glint + foam * (white[band] - values[band][wet.at])


def _breakers(depth: Array, *, swell: Array, wind: float) -> Array:
    """Share of foam where waves break: in rows along the shore, farther out in wind."""
    near = np.clip((depth - 0.1) / 0.2, 0, 1) * np.exp(-((depth / (0.4 + 0.12 * wind)) ** 2))
    rows = np.sin(depth * 6.5 + 1.2 * swell)
    return np.asarray(near * np.clip(0.8 * rows + 0.35 * swell + 0.08 * wind - 0.25, 0.0, 1.0), dtype=np.float32)


def _calm(rng: np.random.Generator, *, shape: tuple[int, int], pixel: float) -> Array:
    """Factor on the mirrored light, about 1: gusts, and slicks, which are dark threads of smooth water."""
    gusts = fractal(rng, shape=shape, slope=2.6, largest=3000 / pixel, periodic=True)
    threads = fractal(rng, shape=shape, slope=2.4, largest=1500 / pixel, periodic=True)
    slicks = np.exp(-((threads / 0.05) ** 2)) * np.clip(gusts, 0.0, 1.0)
    return np.asarray(np.exp(0.12 * gusts) * (1 - 0.4 * slicks), dtype=np.float32)


def _swell(rng: np.random.Generator, *, shape: tuple[int, int], pixel: float) -> Array:
    """Wave trains that come and go: long crests in one direction, of unit variance."""
    length, heading = rng.uniform(45, 190), rng.uniform(0, np.pi)
    rows, columns = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None, :]
    along = (np.cos(heading) * columns + np.sin(heading) * rows) * np.float32(pixel / length * 2 * np.pi)
    bend = fractal(rng, shape=shape, slope=1.7, largest=60, periodic=True)
    rough = fractal(rng, shape=shape, slope=0.6, largest=12, periodic=True)
    return np.asarray(0.8 * np.sin(along + 1.6 * bend) * (0.7 + 0.5 * bend) + 0.7 * rough, dtype=np.float32)
