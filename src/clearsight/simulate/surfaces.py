"""Places seen from above, over time: what the ground reflects on any date, and how the sun falls on it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.errors import ArgumentError
from clearsight.simulate.terrain import Array, direct_light, fractal

KINDS: Final[tuple[str, ...]] = (
    "mixed", "crops", "forest", "grassland", "savanna", "desert", "dunes", "salt", "town", "coast", "sea", "lake",
    "tidal", "mangrove", "wetland", "mountain", "snow",
)  # fmt: skip
"""Kinds of site."""

_NAMES: Final = {0: "bare", 1: "crop", 2: "forest", 3: "grass", 4: "built", 5: "water", 6: "sand", 7: "salt", 8: "snow"}

_SPECTRA: Final = np.array(
    [
        [0.08, 0.09, 0.12, 0.16, 0.18, 0.19, 0.21, 0.22, 0.24, 0.26, 0.28, 0.33, 0.29],
        [0.02, 0.03, 0.06, 0.04, 0.09, 0.27, 0.36, 0.38, 0.40, 0.41, 0.25, 0.20, 0.11],
        [0.015, 0.02, 0.04, 0.03, 0.06, 0.18, 0.24, 0.25, 0.27, 0.28, 0.16, 0.13, 0.06],
        [0.03, 0.04, 0.08, 0.06, 0.12, 0.25, 0.31, 0.33, 0.35, 0.36, 0.27, 0.24, 0.14],
        [0.12, 0.14, 0.16, 0.18, 0.19, 0.20, 0.21, 0.22, 0.23, 0.24, 0.24, 0.26, 0.24],
        [0.04, 0.04, 0.04, 0.02, 0.015, 0.01, 0.008, 0.007, 0.005, 0.003, 0.0, 0.001, 0.001],
        [0.15, 0.18, 0.26, 0.34, 0.37, 0.39, 0.41, 0.43, 0.45, 0.47, 0.48, 0.56, 0.53],
        [0.38, 0.42, 0.47, 0.51, 0.52, 0.53, 0.54, 0.55, 0.55, 0.54, 0.45, 0.40, 0.30],
        [0.90, 0.90, 0.89, 0.88, 0.87, 0.86, 0.84, 0.82, 0.80, 0.72, 0.35, 0.10, 0.08],
    ],
    dtype=np.float32,
)


@dataclass(frozen=True)
class Surface:
    """One place. Arrays are (y, x), y running down."""

    kind: str
    """One of ``KINDS``."""
    seed: int
    """What all its chance is drawn from."""
    latitude: float
    """Degrees, north positive."""
    pixel: float
    """Metres."""
    classes: NDArray[np.uint8]
    """Code of the land cover, see ``class_names``."""
    elevation: Array
    """Height in metres."""
    texture: Array
    """Relative brightness of each pixel, about 1."""


def class_names() -> dict[int, str]:
    """Name of every code in ``Surface.classes``."""
    return dict(_NAMES)


def make_surface(
    kind: str, *, shape: tuple[int, int], seed: int, latitude: float = 50.0, pixel: float = 10.0
) -> Surface:
    """Make a place, always the same one from the same arguments.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    shape : (int, int)
        Rows and columns.
    seed : int
        Any integer.
    latitude : float
        Degrees, north positive; sets the seasons.
    pixel : float
        Size of a pixel in metres.

    Examples
    --------
    >>> make_surface("mixed", shape=(32, 48), seed=1).classes.shape
    (32, 48)
    """
    if kind not in KINDS:
        raise ArgumentError(f"kind={kind!r} is unknown; expected one of {', '.join(KINDS)}.")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    relief = fractal(rng, shape=shape, slope=2.2, largest=200)
    choices = {
        "forest": [2, 2, 3], "desert": [0, 6], "dunes": [6], "salt": [7, 0], "town": [4, 3, 4], "sea": [5],
        "lake": [5, 5, 1, 2], "coast": [5, 5, 6, 1], "snow": [8], "mountain": [2, 3, 0, 8],
    }.get(kind, [5, 1, 3, 0, 2, 1, 4])  # fmt: skip
    patches = fractal(rng, shape=shape, slope=2.0, largest=60)
    rank = np.digitize(patches, np.quantile(patches, np.linspace(0, 1, len(choices) + 1)[1:-1]))
    classes = np.array(choices, dtype=np.uint8)[rank]
    height = 400.0 if kind in ("mountain", "snow") else 15.0
    texture = np.float32(1.0) + np.float32(0.08) * fractal(rng, shape=shape, slope=0.8, largest=30)
    return Surface(kind, seed, latitude, pixel, classes, (relief * np.float32(height)).astype(np.float32), texture)


def surface_reflectance(surface: Surface, *, date: datetime.date) -> Array:
    """Reflectance of the ground on a date, as if evenly lit.

    Returns
    -------
    float32 array (13, y, x)
        0 … 1, bands in the order of ``bands.BANDS``.

    Examples
    --------
    >>> place = make_surface("crops", shape=(16, 16), seed=1)
    >>> surface_reflectance(place, date=datetime.date(2023, 6, 1)).shape
    (13, 16, 16)
    """
    phase = 2 * np.pi * (date.timetuple().tm_yday - 190) / 365.25
    green = np.float32(0.5 + 0.5 * np.cos(phase) * np.sign(surface.latitude or 1.0))
    spectra = _SPECTRA.copy()
    spectra[1] = green * spectra[1] + (1 - green) * spectra[0]
    values = spectra.T[:, surface.classes] * surface.texture
    return np.clip(values, 0.0, 1.0).astype(np.float32)


def terrain_light(surface: Surface, *, sun_zenith: float, sun_azimuth: float) -> Array:
    """Direct sunlight on the place, relative to flat ground: ``cos(i) / cos(sun zenith)``, 0 in cast shadow.

    Returns
    -------
    float32 array (y, x)
        0 … about 3.

    Examples
    --------
    >>> place = make_surface("mountain", shape=(32, 32), seed=1)
    >>> terrain_light(place, sun_zenith=60, sun_azimuth=150).shape
    (32, 32)
    """
    return direct_light(surface.elevation, pixel=surface.pixel, sun_zenith=sun_zenith, sun_azimuth=sun_azimuth)
