"""The sky over a frame: its air and its clouds, drawn as often as they occur."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.errors import ArgumentError
from clearsight.simulate.air.state import Air
from clearsight.simulate.cloud.fields import DEFAULT_MARGIN, CloudLayer, make_clouds
from clearsight.simulate.cloud.noise import noise
from clearsight.simulate.draws import draw_air

Array = NDArray[np.float32]

_THICK: Final[dict[str, tuple[float, float, float]]] = {
    "cumulus": (0.42, 0.14, 0.03),
    "congestus": (0.15, 0.15, 0.04),
    "deep": (0.03, 0.07, 0.09),
    "broken_stratus": (0.24, 0.26, 0.13),
    "altocumulus": (0.07, 0.07, 0.02),
    "overcast": (0.02, 0.15, 0.47),
    "fog": (0.03, 0.04, 0.05),
    "thin_stratus": (0.02, 0.06, 0.09),
    "altostratus": (0.02, 0.06, 0.08),
}
"""How often each kind makes thick cloud where it covers less than 40 %, up to 90 %, and more."""

_THIN: Final[dict[str, tuple[float, float, float]]] = {
    "thin_cirrus": (0.40, 0.38, 0.28),
    "thick_cirrus": (0.12, 0.15, 0.10),
    "contrails": (0.18, 0.08, 0.02),
    "haze_veil": (0.10, 0.13, 0.13),
    "fog": (0.02, 0.03, 0.04),
    "altocumulus": (0.10, 0.06, 0.01),
    "broken_stratus": (0.06, 0.04, 0.02),
    "cirrostratus": (0.02, 0.09, 0.25),
    "even_veil": (0.02, 0.07, 0.19),
}
"""The same for thin cloud."""

_SECOND: Final = 0.22
"""How often thick cloud lies in two layers: heaps below altocumulus, scud below a front's sheet."""

_CIRRUS_ABOVE: Final = 0.15
"""How often cirrus lies over thick cloud beyond the thin cloud that people labelled: over white they can't see it."""

_HIGH: Final = frozenset({"thin_cirrus", "thick_cirrus", "contrails", "cirrostratus"})

_THINNER: Final = 0.12
"""Thin altocumulus, stratus and fog have this share of the optical depth of thick ones."""

_PLUME: Final = 0.09
"""How often a plume of smoke or dust crosses the frame."""


@dataclass(frozen=True)
class Sky:
    """Everything between ground and satellite. Without arguments: clear."""

    layers: tuple[CloudLayer, ...] = ()
    """Cloud layers, in any order."""
    air: Air = field(default_factory=Air)
    """With an ``aot`` field (y, x) for plumes of smoke and dust."""
    ahead: bool | NDArray[np.bool_] = True
    """Detectors with odd numbers look ahead, even ones back, which turns the parallax between bands around; (y, x)
    where two detectors meet in the frame: ``sensor.swath(...) % 2 == 1``."""


def draw_sky(
    seed: int,
    *,
    shape: tuple[int, int],
    pixel: float = 10.0,
    margin: int = DEFAULT_MARGIN,
    elevation: Array | None = None,
    air: Air | None = None,
    clear: float | None = None,
) -> Sky:
    """Draw the sky of one moment, with as much cloud as people saw in real scenes.

    Parameters
    ----------
    seed : int
        Any integer.
    shape : (int, int)
        Rows and columns of the frame.
    pixel : float
        Metres.
    margin : int
        See `fields.CloudLayer`.
    elevation : (y, x) array, optional
        Metres above the sea.
    air : Air, optional
        The usual air there; a plume may be added. Default: `draws.draw_air` at any latitude and season.
    clear : float, optional
        Chance of a sky without cloud and plume, 0 … 1; default: that of the shipped statistics (about a fifth).

    Returns
    -------
    Sky

    Raises
    ------
    ArgumentError
        ``clear`` outside [0, 1].

    Examples
    --------
    >>> draw_sky(1, shape=(32, 32), clear=1.0).layers
    ()
    """
    if clear is not None and not 0.0 <= clear <= 1.0:
        raise ArgumentError(f"clear={clear}: expected a chance between 0 and 1.")
    rng = np.random.default_rng([abs(seed), int(seed < 0), 6007])
    if air is None:
        height = 0.0 if elevation is None else float(elevation.mean()) / 1000
        day = datetime.date(2020, 1, 1) + datetime.timedelta(days=int(rng.integers(366)))
        air = draw_air(rng, latitude=float(rng.uniform(-65, 70)), date=day, elevation=height)
    thick, thin = _draw_cover(rng, clear)
    ahead = bool(rng.integers(2))
    wanted = _draw_kinds(rng, thick, thin)
    if any(kind not in _HIGH for kind, _, _ in wanted):
        # Where clouds form the air is moist. Ice forms far above the vapour, over deserts as anywhere.
        air = replace(air, water_vapour=float(min(air.water_vapour * rng.uniform(1.0, 2.0 if thick else 1.5), 7.5)))
    layers = []
    for kind, cover, kinds in wanted:
        layer = make_clouds(
            kind,
            shape=shape,
            seed=int(rng.integers(2**31)),
            cover=cover,
            pixel=pixel,
            margin=margin,
            elevation=elevation,
        )
        layers.append(_thinned(layer, rng) if kinds is _THIN else layer)
    if (thick or thin or clear is None) and rng.random() < _PLUME:
        air = _with_plume(air, rng, shape=shape, pixel=pixel)
    return Sky(tuple(layers), air, ahead)


def _draw_cover(rng: np.random.Generator, clear: float | None) -> tuple[float, float]:
    """Shares of thick and thin cloud, 0 … 1 each."""
    counts, edges = _cover()
    if clear is not None:
        if rng.random() < clear:
            return 0.0, 0.0
        counts = counts.copy()
        counts[0, 0] = 0
    place = np.searchsorted(np.cumsum(counts.ravel()), rng.random() * counts.sum(), side="right")
    classes = np.unravel_index(min(int(place), counts.size - 1), counts.shape)
    thick, thin = (0.0 if c == 0 else float(rng.uniform(edges[c], edges[c + 1])) for c in classes)
    # Nobody labels the last faint pixels of a rim.
    return min(1.06 * thick, 1.0), min(1.06 * thin, 1.0)


_Chances = dict[str, tuple[float, float, float]]


def _draw_kinds(rng: np.random.Generator, thick: float, thin: float) -> list[tuple[str, float, _Chances]]:
    """Kind, cover and table of each layer of a sky."""
    found = []
    if thick > 0:
        first, share = thick, 0.0
        if rng.random() < _SECOND:
            # Two layers that don't know of each other cover 1 - (1 - a)(1 - b).
            first = thick * rng.uniform(0.3, 0.95)
            share = (thick - first) / (1.0 - first) if first < 1.0 else 0.0
        found += [(_draw_kind(rng, _THICK, cover), cover, _THICK) for cover in (first, share) if cover > 0]
    if thin > 0:
        found.append((_draw_kind(rng, _THIN, thin), thin, _THIN))
    elif thick > 0 and rng.random() < _CIRRUS_ABOVE * thick:
        found.append((str(rng.choice(["thin_cirrus", "thick_cirrus", "cirrostratus"])), rng.uniform(0.2, 1.0), _THIN))
    return found


def _draw_kind(rng: np.random.Generator, kinds: dict[str, tuple[float, float, float]], cover: float) -> str:
    column = int(np.digitize(cover, [0.4, 0.9]))
    weights = np.array([row[column] for row in kinds.values()])
    return list(kinds)[int(rng.choice(weights.size, p=weights / weights.sum()))]


def _thinned(layer: CloudLayer, rng: np.random.Generator) -> CloudLayer:
    if layer.kind not in ("altocumulus", "broken_stratus", "fog"):
        return layer
    return replace(layer, optical_depth=layer.optical_depth * np.float32(_THINNER * rng.uniform(0.5, 1.5)))


def _with_plume(air: Air, rng: np.random.Generator, *, shape: tuple[int, int], pixel: float) -> Air:
    """Smoke from a fire, or dust on the wind: streaks of thick haze, a haze that thickens steadily, or a fire's own
    plume from its source to where it's diffuse."""
    form = rng.random()
    if form < 0.5:
        plume, smoke = _streaks(rng, shape=shape, pixel=pixel), rng.random() < 0.6
    elif form < 0.75:
        plume, smoke = _thickening(rng, shape=shape), rng.random() < 0.4
    else:
        plume, smoke = _from_a_source(rng, shape=shape, pixel=pixel), True
    aot = np.clip(np.float32(np.mean(np.asarray(air.aot))) + plume, 0.0, 3.5).astype(np.float32)
    return replace(air, aerosol="smoke" if smoke else "desert", aot=aot)


def _streaks(rng: np.random.Generator, *, shape: tuple[int, int], pixel: float) -> Array:
    """Aerosol optical depth of thick haze drawn out by the wind, in places or everywhere."""
    canvas = (2 * max(shape), 2 * max(shape))
    streaks = noise(
        rng,
        canvas,
        slope=1.9,
        largest=rng.uniform(500, 4000) / pixel,
        stretch=rng.uniform(1.5, 5),
        direction=rng.uniform(0, np.pi),
        smallest=2.0,
    )[: shape[0], : shape[1]]
    strength = np.float32(rng.lognormal(-0.7, 0.6))
    plume = strength * np.exp(np.float32(0.5) * streaks) / (1.0 + np.exp(-np.float32(2.0) * (streaks - rng.normal())))
    return np.asarray(plume, dtype=np.float32)


def _thickening(rng: np.random.Generator, *, shape: tuple[int, int]) -> Array:
    """Aerosol optical depth of haze that thickens from one side of the frame to the other."""
    along, _ = _wind(rng, shape)
    reach = along - along.min()
    soft = noise(rng, (2 * shape[0], 2 * shape[1]), slope=2.2, largest=max(shape), smallest=3.0)
    strength = np.float32(rng.lognormal(-0.5, 0.6))
    ramp = reach / np.float32(max(float(reach.max()), 1.0)) + np.float32(0.05) * soft[: shape[0], : shape[1]]
    return np.asarray(strength * np.clip(ramp, 0.0, None), dtype=np.float32)


def _from_a_source(rng: np.random.Generator, *, shape: tuple[int, int], pixel: float) -> Array:
    """Aerosol optical depth of a fire's smoke: narrow and opaque at its source, wide and thin downwind, in billows."""
    along, across = _wind(rng, shape)
    start = rng.uniform(-0.3, 0.5) * max(shape)
    distance = np.maximum(along - np.float32(start), 0.0)
    billows = noise(rng, (2 * shape[0], 2 * shape[1]), slope=1.8, largest=300 / pixel, smallest=1.0)
    billows = billows[: shape[0], : shape[1]]
    source = np.float32(rng.uniform(30, 120) / pixel)
    width = source + np.float32(rng.uniform(0.08, 0.3)) * distance
    middle = across - np.float32(rng.uniform(-0.3, 0.3) * max(shape)) + np.float32(0.4) * width * billows
    strength = np.float32(rng.uniform(1.5, 4.0)) * (source / width) ** np.float32(rng.uniform(0.4, 0.9))
    rise = -np.expm1(-distance / source)
    plume = strength * rise * np.exp(np.float32(-0.5) * (middle / width) ** 2 + np.float32(0.35) * billows)
    return np.asarray(plume, dtype=np.float32)


def _wind(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Pixels from the frame's middle along a random direction, and across it."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.indices(shape, dtype=np.float32)
    y, x = y - shape[0] / 2, x - shape[1] / 2
    along = np.cos(angle) * x + np.sin(angle) * y
    return along.astype(np.float32), (np.cos(angle) * y - np.sin(angle) * x).astype(np.float32)


@lru_cache(maxsize=1)
def _cover() -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Counts of patches by class of thick and of thin cloud, and the classes' edges."""
    with (files("clearsight.simulate") / "data" / "cover.npz").open("rb") as file, np.load(file) as table:
        return table["counts"].astype(np.float64), table["edges"]
