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
from clearsight.simulate.air import Air
from clearsight.simulate.clouds import DEFAULT_MARGIN, CloudLayer, make_clouds
from clearsight.simulate.draws import draw_air
from clearsight.simulate.noise import noise

Array = NDArray[np.float32]

_THICK: Final[dict[str, tuple[float, float, float]]] = {
    "cumulus": (0.42, 0.15, 0.03),
    "congestus": (0.17, 0.17, 0.04),
    "deep": (0.03, 0.08, 0.10),
    "broken_stratus": (0.26, 0.31, 0.16),
    "altocumulus": (0.07, 0.07, 0.02),
    "overcast": (0.02, 0.18, 0.60),
    "fog": (0.03, 0.04, 0.05),
}
"""How often each kind makes thick cloud where it covers less than 40 %, up to 90 %, and more."""

_THIN: Final[dict[str, tuple[float, float, float]]] = {
    "thin_cirrus": (0.40, 0.45, 0.55),
    "thick_cirrus": (0.12, 0.18, 0.18),
    "contrails": (0.18, 0.08, 0.02),
    "haze_veil": (0.12, 0.17, 0.20),
    "altocumulus": (0.10, 0.06, 0.01),
    "broken_stratus": (0.08, 0.06, 0.04),
}
"""The same for thin cloud."""

_THINNER: Final = 0.12
"""Thin altocumulus and stratus have this share of the optical depth of thick ones."""

_PLUME: Final = 0.05
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
        See `clouds.CloudLayer`.
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
    if thick or thin:
        # Where clouds form the air is moist.
        air = replace(air, water_vapour=float(min(air.water_vapour * rng.uniform(1.0, 2.0 if thick else 1.5), 7.5)))
    layers = []
    for cover, kinds in ((thick, _THICK), (thin, _THIN)):
        if cover > 0:
            kind = _draw_kind(rng, kinds, cover)
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


def _draw_kind(rng: np.random.Generator, kinds: dict[str, tuple[float, float, float]], cover: float) -> str:
    column = int(np.digitize(cover, [0.4, 0.9]))
    weights = np.array([row[column] for row in kinds.values()])
    return list(kinds)[int(rng.choice(weights.size, p=weights / weights.sum()))]


def _thinned(layer: CloudLayer, rng: np.random.Generator) -> CloudLayer:
    if layer.kind not in ("altocumulus", "broken_stratus"):
        return layer
    return replace(layer, optical_depth=layer.optical_depth * np.float32(_THINNER * rng.uniform(0.5, 1.5)))


def _with_plume(air: Air, rng: np.random.Generator, *, shape: tuple[int, int], pixel: float) -> Air:
    """Smoke from a fire, or dust on the wind: streaks of thick haze, in places or everywhere."""
    size = max(shape)
    canvas = (2 * size, 2 * size)
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
    aot = np.clip(np.float32(np.mean(np.asarray(air.aot))) + plume, 0.0, 3.5).astype(np.float32)
    return replace(air, aerosol="smoke" if rng.random() < 0.6 else "desert", aot=aot)


@lru_cache(maxsize=1)
def _cover() -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Counts of patches by class of thick and of thin cloud, and the classes' edges."""
    with (files("clearsight.simulate") / "data" / "cover.npz").open("rb") as file, np.load(file) as table:
        return table["counts"].astype(np.float64), table["edges"]
