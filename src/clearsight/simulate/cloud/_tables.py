"""The shipped cloud tables, read once and refined to dense grids; used by ``optics`` only.

Curves go through the tables' points once for each phase; after that a cloud costs a few weighted sums: straight lines
between radii, between cosines and between vapours, and one product with a basis of cubic pieces along optical depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

MAX_OPTICAL_DEPTH: Final = 256.0

_BEND: Final = 0.05
"""Curves run over log(1 + τ/τ₀): even steps in thin cirrus and in thunderclouds."""
_NODES: Final = 512
_STEP: Final = float(np.log1p(MAX_OPTICAL_DEPTH / _BEND)) / (_NODES - 1)

TAU: Final[Floats] = _BEND * np.expm1(_STEP * np.arange(_NODES))
"""Optical depths of a curve's points."""

_COSINE: Final = np.linspace(np.cos(np.radians(86.0)), 1.0, 96)
_ANGLE: Final = np.linspace(75.0, 180.0, 421)
_WETNESS_BEND: Final = 0.003
_WETNESS: Final = np.linspace(0.0, np.log1p(3.0 / _WETNESS_BEND), 40)


@dataclass(frozen=True)
class _Dense:
    """One phase. ``2 n`` stands for the values at the tables' optical depths, then the slopes there."""

    bands: Array
    """Reflectance towards the zenith, plane albedo and transmittance: (radius, cosine, 3, 13, 2 n)."""
    wet: Array
    """Reflectance of B09 and B10 with vapour in the cloud: (radius, cosine, vapour, 2, 2 n)."""
    spherical_albedo: Array
    """(radius, 13, 2 n)."""
    phase: Array
    """Phase function in backward directions: (radius, 13, angle)."""


@dataclass(frozen=True)
class Curves:
    """A cloud of one kind of particle over ``TAU``; each (13, n)."""

    nadir: Floats
    """Reflectance towards the zenith."""
    albedo: Floats
    down: Floats
    """Transmittance of sunlight, straight and scattered."""
    up: Floats
    """The same along the line of sight."""
    spherical_albedo: Floats


def curves(
    phase: str, radius: float, *, cosines: tuple[float, float], vapour: tuple[float, float] | None = None
) -> Curves:
    """What a cloud does to light, over its optical depth.

    Parameters
    ----------
    phase : str
        ``water`` or ``ice``.
    radius : float
        Effective, micrometres.
    cosines : (float, float)
        Of the zenith angles of sun and view.
    vapour : (float, float), optional
        Optical depth of the vapour inside the cloud per optical depth of the cloud, in B09 and B10.
    """
    dense = _dense(phase)
    at = _place(np.log(_tables()[f"{phase}_radius"]), float(np.log(radius)))
    sun, view = (_place(_COSINE, cosine) for cosine in cosines)
    plane = _at(dense.bands, at, sun)
    nadir, albedo, down = _curve(plane)
    if vapour is not None:
        wet = _at(dense.wet, at, sun)
        drops = [_lerp(wet[:, band], _place(_WETNESS, _wetness(vapour[band]))) for band in (0, 1)]
        nadir[[9, 10]] = _curve(np.stack(drops))
    up = _curve(_at(dense.bands[:, :, 2:], at, view))[0]
    return Curves(nadir, albedo, down, up, _curve(_lerp(dense.spherical_albedo, at)))


def position(depth: Array) -> Array:
    """Where optical depths lie on the axis ``TAU``, in steps."""
    # `log` in single precision is several times faster than `log1p`.
    out = np.log(np.float32(1.0) + np.minimum(depth, np.float32(MAX_OPTICAL_DEPTH)) * np.float32(1 / _BEND))
    out *= np.float32(1 / _STEP)
    return np.asarray(out, dtype=np.float32)


def scattered_back(phase: str, radius: float, angle: float) -> Floats:
    """Phase function (13,) at a scattering angle of 75 … 180 degrees."""
    at = _place(np.log(_tables()[f"{phase}_radius"]), float(np.log(radius)))
    low, weight = _place(_ANGLE, angle)
    table = _dense(phase).phase[:, :, low : low + 2]
    return _lerp(table[:, :, 0] + np.float32(weight) * (table[:, :, 1] - table[:, :, 0]), at).astype(np.float64)


def particle(phase: str, radius: float, name: str) -> Floats:
    """``extinction``, ``single`` or ``forward`` (13,), straight in the logarithm of the radius."""
    table = _tables()[f"{phase}_{name}"].swapaxes(0, 1)
    return _lerp(table, _place(np.log(_tables()[f"{phase}_radius"]), float(np.log(radius))))


def _curve(pieces: Floats) -> Floats:
    """Values and slopes (…, 2 n) to curves over ``TAU``; row by row, since a product this small gains nothing from the
    threads that a larger one would start."""
    return np.asarray(np.matmul(pieces[..., None, :], _basis())[..., 0, :])


def _wetness(vapour: float) -> float:
    return float(np.log1p(max(vapour, 0.0) / _WETNESS_BEND))


def _place(nodes: Floats, at: float) -> tuple[int, float]:
    """Node below, and share of the way to the next."""
    low = int(np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, nodes.size - 2))
    return low, float(np.clip((at - nodes[low]) / (nodes[low + 1] - nodes[low]), 0.0, 1.0))


def _lerp(table: NDArray[np.floating], place: tuple[int, float]) -> Floats:
    """Straight line along the first axis."""
    low, weight = place
    return np.asarray((1.0 - weight) * table[low] + weight * table[low + 1], dtype=np.float64)


def _at(table: Array, radius: tuple[int, float], cosine: tuple[int, float]) -> Floats:
    """A table (radius, cosine, …) between two radii and two cosines."""
    corner = table[radius[0] : radius[0] + 2, cosine[0] : cosine[0] + 2]
    return _lerp(_lerp(corner, (0, radius[1])), (0, cosine[1]))


@lru_cache(maxsize=1)
def _basis() -> Floats:
    """Cubic pieces (2 n, nodes) that turn values and slopes at the tables' optical depths into a curve over ``TAU``."""
    nodes = np.log1p(_tables()["tau"] / _BEND)
    one, none = np.eye(nodes.size), np.zeros((nodes.size, nodes.size))
    at = np.log1p(TAU / _BEND).clip(0.0, nodes[-1])
    return np.concatenate([CubicHermiteSpline(nodes, *pair)(at) for pair in ((one, none), (none, one))], axis=1).T


def _with_slopes(table: Floats) -> Array:
    """Values (…, n) and the slopes of a curve that doesn't overshoot: (…, 2 n)."""
    nodes = np.log1p(_tables()["tau"] / _BEND)
    slopes = PchipInterpolator(nodes, table, axis=-1).derivative()(nodes)
    return np.concatenate([table, slopes], axis=-1).astype(np.float32)


@lru_cache(maxsize=2)
def _dense(phase: str) -> _Dense:
    lut = _tables()
    cosine = np.cos(np.radians(lut["sun"]))[::-1]

    def over_cosines(name: str) -> Floats:
        """(…, tau, sun) to (…, tau, cosine)."""
        return np.asarray(PchipInterpolator(cosine, lut[f"{phase}_{name}"][..., ::-1], axis=-1)(_COSINE))

    # (name, band, radius, tau, cosine) to (radius, cosine, name, band, tau).
    bands = np.stack([over_cosines(name) for name in ("nadir", "albedo", "transmittance")])
    wet = PchipInterpolator(np.log1p(lut["vapour"] / _WETNESS_BEND), over_cosines("wet"), axis=2)(_WETNESS)
    spherical = lut[f"{phase}_spherical_albedo"].swapaxes(0, 1)
    return _Dense(
        bands=_with_slopes(bands.transpose(2, 4, 0, 1, 3)),
        wet=_with_slopes(wet.transpose(1, 4, 2, 0, 3)),
        spherical_albedo=_with_slopes(spherical),
        phase=PchipInterpolator(lut["backward"], lut[f"{phase}_phase"].swapaxes(0, 1), axis=-1)(_ANGLE).astype("f4"),
    )


@lru_cache(maxsize=1)
def _tables() -> dict[str, Floats]:
    with (files("clearsight.simulate") / "data" / "cloud_optics.npz").open("rb") as file, np.load(file) as lut:
        return {name: lut[name].astype(np.float64) for name in lut}
