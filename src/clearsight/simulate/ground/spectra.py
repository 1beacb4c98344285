"""Spectra of the simulated ground: measured materials, canopies, water and snow, in the 13 bands.

The library is made by ``scripts/make_spectra.py``. Every array here ends in a band axis in the
order of ``bands.BANDS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import BANDS

Array = NDArray[np.float32]
FloatArray = NDArray[np.floating]
Indices = NDArray[np.intp]

WAVELENGTHS: Final = np.array([band.wavelength for band in BANDS.values()], dtype=np.float32)
"""Centres of the bands in micrometres."""

# Share of its reflectance that bare ground loses when it is soaked: films of water trap light at every wavelength,
# and water's own absorption adds in the short-wave infrared (Lobell and Asner 2002, SSSA Journal 66, 722).
_SOAKED: Final = np.array(
    [0.52, 0.52, 0.52, 0.51, 0.51, 0.50, 0.50, 0.50, 0.50, 0.55, 0.80, 0.66, 0.76], dtype=np.float32
)

# Absorption by phytoplankton is a * chl**b (Bricaud et al. 1995, JGR 100, 13321), here at the centres of the bands.
_PIGMENT: Final = np.array([0.0403, 0.0270, 0.0065, 0.0150, 0.0030, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.float32)
_PIGMENT_POWER: Final = np.array([0.668, 0.64, 0.85, 0.86, 0.9, 1, 1, 1, 1, 1, 1, 1, 1], dtype=np.float32)


@dataclass(frozen=True)
class Library:
    """The shipped spectra; reflectance is dimensionless."""

    materials: dict[str, Array]
    """Measured spectra by material, each (n, 13)."""
    plants: tuple[str, ...]
    """Groups of plants, the first axis of ``canopy``."""
    canopy: Array
    """(group, plant, state, leaf area, 3, 13): what the canopy reflects over black ground, passes, and throws back."""
    states: Array
    """Grid of leaf states, 0 green … 1 dead."""
    leaf_areas: Array
    """Grid of leaf area indices, m2/m2."""
    snow: Array
    """(clean/sooty/dusty, grain radius, 13) spherical albedo."""
    grains: Array
    """Grid of grain radii in metres."""
    absorption: Array
    """Pure water in 1/m, (13,)."""


@lru_cache(maxsize=1)
def library() -> Library:
    """Read the shipped library, once.

    Examples
    --------
    >>> library().materials["soil"].shape[1]
    13
    """
    with (
        resources.as_file(resources.files("clearsight.simulate") / "data" / "spectra.npz") as path,
        np.load(path) as npz,
    ):
        arrays = {name: npz[name] for name in npz.files}
    modelled = {"leaf_area", "state", "plants", "snow", "snow_grain", "water_absorption"}
    return Library(
        materials={
            name: values.astype(np.float32)
            for name, values in arrays.items()
            if name not in modelled and not name.startswith("canopy_")
        },
        plants=tuple(str(name) for name in arrays["plants"]),
        canopy=np.stack([arrays[f"canopy_{term}"] for term in ("black", "through", "back")], axis=-2).astype(
            np.float32
        ),
        states=arrays["state"].astype(np.float32),
        leaf_areas=arrays["leaf_area"].astype(np.float32),
        snow=arrays["snow"].astype(np.float32),
        grains=arrays["snow_grain"].astype(np.float32),
        absorption=arrays["water_absorption"].astype(np.float32),
    )


def wobble(rng: np.random.Generator, *, count: int, brightness: float, slope: float) -> Array:
    """Random smooth spectral factors, so that no two things of a kind have the same colour.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    count : int
        How many.
    brightness, slope : float
        Standard deviation of the logarithm of the overall brightness, and of its change from one end to the other.

    Returns
    -------
    float32 array (count, 13)
        Positive factors, about 1.
    """
    place = (np.log(WAVELENGTHS) - np.log(WAVELENGTHS).mean()) / (np.log(WAVELENGTHS).max() - np.log(WAVELENGTHS).min())
    shapes = np.stack([np.ones(13), place * 2, np.cos(place * 2 * np.pi) * 0.5, np.sin(place * 3 * np.pi) * 0.4])
    scale = np.array([brightness, slope, slope, slope])
    exponent = np.clip(rng.standard_normal((count, 4)), -2.2, 2.2) * scale @ shapes
    return np.asarray(np.exp(exponent), dtype=np.float32)


def mixtures(rng: np.random.Generator, *, material: str, count: int, of: int = 3) -> Array:
    """Random mixtures of the measured spectra of one material, (count, 13)."""
    spectra = library().materials[material]
    chosen = spectra[rng.integers(0, len(spectra), (count, of))]
    shares = rng.dirichlet(np.full(of, 0.7), count).astype(np.float32)
    return np.asarray(np.einsum("no,nob->nb", shares, chosen), dtype=np.float32)


def wetted(ground: Array, moisture: Array) -> Array:
    """Ground (n, 13) with surface moisture (n,) between 0 (dry) and 1 (soaked)."""
    return np.asarray(ground * (1.0 - moisture[:, None] * _SOAKED), dtype=np.float32)


def canopy(plant: Indices, *, state: Array, leaf_area: Array, ground: Array) -> Array:
    """Reflectance of plants over their ground.

    Parameters
    ----------
    plant : integer array (n,)
        Place in the flattened list of all plants: ``group * plants per group + member``.
    state : float32 array (n,)
        0 green … 1 dead.
    leaf_area : float32 array (n,)
        m2/m2, 0 … 7.
    ground : float32 array (n, 13)
        Reflectance of what lies under the plants.

    Returns
    -------
    float32 array (n, 13)
        Reflectance: the PROSAIL terms of the library, linear in between, with multiple scattering against the ground.
    """
    books = library()
    table = books.canopy.reshape(-1, *books.canopy.shape[2:])
    s, ds = _cell(books.states, state)
    a, da = _cell(books.leaf_areas, leaf_area)
    ds, da = ds[:, None, None], da[:, None, None]
    low = table[plant, s, a] * (1 - da) + table[plant, s, a + 1] * da
    high = table[plant, s + 1, a] * (1 - da) + table[plant, s + 1, a + 1] * da
    terms = low * (1 - ds) + high * ds
    return np.asarray(terms[:, 0] + terms[:, 1] * ground / (1.0 - terms[:, 2] * ground), dtype=np.float32)


def _cell(grid: Array, values: Array) -> tuple[Indices, Array]:
    """Cell of each value in an increasing grid, and its place in the cell, 0 … 1."""
    inside = np.clip(values, grid[0], grid[-1])
    cell = np.clip(np.searchsorted(grid, inside, side="right") - 1, 0, grid.size - 2)
    return cell, ((inside - grid[cell]) / (grid[cell + 1] - grid[cell])).astype(np.float32)


def snow(*, grain: Array, soot: Array, dust: Array, sun_zenith: float) -> Array:
    """Reflectance of deep snow seen from above.

    Parameters
    ----------
    grain : float32 array (n,)
        Grain radius in metres: 5e-5 fresh, 1e-3 melting, 5e-3 ice.
    soot, dust : float32 arrays (n,)
        0 clean … 1 dark (soot about 1 ppm, dust about 50 ppm).
    sun_zenith : float
        Degrees.

    Returns
    -------
    float32 array (n, 13)
        ``R0 * albedo ** (K(sun) K(nadir) / R0)`` (Kokhanovsky and Zege 2004, Applied Optics 43, 1589).
    """
    sun = np.cos(np.deg2rad(min(sun_zenith, 85.0)))
    white, escape = snow_geometry(sun=np.array([sun]), view=np.ones(1), sun_zenith=sun_zenith)
    dark = snow_absorption(grain=grain, soot=soot, dust=dust)
    return np.asarray(white * np.exp(escape * dark), dtype=np.float32)


def snow_absorption(*, grain: Array, soot: Array, dust: Array) -> Array:
    """Logarithm of the spherical albedo of deep snow, (n, 13); arguments as for `snow`."""
    books = library()
    g, dg = _cell(np.log(books.grains), np.log(grain))
    albedo = books.snow[:, g] * (1 - dg[:, None]) + books.snow[:, g + 1] * dg[:, None]
    logs = np.log(np.maximum(albedo, 1e-4))
    dark = logs[0] + soot[:, None] * (logs[1] - logs[0]) + dust[:, None] * (logs[2] - logs[0])
    return np.asarray(dark, dtype=np.float32)


def snow_geometry(*, sun: FloatArray, view: FloatArray, sun_zenith: float) -> tuple[Array, Array]:
    """Reflectance of snow that absorbs nothing, and the power of the albedo that absorption takes it down by.

    Parameters
    ----------
    sun, view : float arrays (n,)
        Cosines of the angles between the snow's own normal and the sun, and the satellite above.
    sun_zenith : float
        Degrees; the angle between sun and satellite, which no slope changes.

    Notes
    -----
    Kokhanovsky 2005, IEEE Geoscience and Remote Sensing Letters 2, 307.
    """
    angle = 180.0 - min(sun_zenith, 85.0)
    phase = 11.1 * np.exp(-0.087 * angle) + 1.1 * np.exp(-0.014 * angle)
    white = (1.247 + 1.186 * (view + sun) + 5.157 * sun * view + phase) / (4 * (view + sun))
    escape = (3 / 7 * (1 + 2 * sun)) * (3 / 7 * (1 + 2 * view)) / white
    return white.astype(np.float32), escape.astype(np.float32)


def deep_water(*, chlorophyll: Array, sediment: Array, dissolved: Array) -> tuple[Array, Array]:
    """Deep water, just above the surface, without any reflection from the surface itself.

    Parameters
    ----------
    chlorophyll : float32 array (n,)
        mg/m3: 0.05 blue ocean, 5 coast, 100 bloom.
    sediment : float32 array (n,)
        g/m3: 0.1 ocean, 10 turbid lake, 300 river in flood.
    dissolved : float32 array (n,)
        Absorption by coloured dissolved matter at 440 nm in 1/m: 0.01 ocean, 1 lake, 8 bog.

    Returns
    -------
    (float32 array (n, 13), float32 array (n, 13))
        Reflectance, and diffuse attenuation in 1/m for light on its way down and up.

    Notes
    -----
    Gordon's ratio of backscattering to absorption with the factors of Lee et al. (1999), Applied Optics 38, 3831.
    """
    nanometres = WAVELENGTHS * 1000
    chl, spm, cdom = chlorophyll[:, None], sediment[:, None], dissolved[:, None]
    absorbed = library().absorption + _PIGMENT * chl**_PIGMENT_POWER
    absorbed = absorbed + cdom * np.exp(-0.0145 * (nanometres - 440))
    # Without what mineral grains take from every colour alike, thick silt would be brick red, not the colour of clay.
    absorbed = absorbed + spm * (0.033 * np.exp(-0.0100 * (nanometres - 440)) + 0.004)
    scattered = 0.00144 * (nanometres / 500) ** -4.32
    scattered = scattered + 0.0026 * chl**0.62 * (550 / nanometres) + 0.0078 * spm * (550 / nanometres) ** 0.6
    ratio = scattered / (absorbed + scattered)
    below = ratio * (0.0895 + 0.1247 * ratio)
    above = np.pi * 0.52 * below / (1 - 1.7 * below)
    return above.astype(np.float32), (2.1 * (absorbed + scattered)).astype(np.float32)


def sun_glint(*, sun_zenith: float, view_zenith: float, wind: float) -> float:
    """Sunlight mirrored by the waves into a near-nadir view, the same in every band.

    Cox and Munk's isotropic slopes: ``rho = pi * F * P(slope) / (4 cos(sun) cos(view) cos(tilt)**4)``. Zenith angles in
    degrees, a negative view lies towards the sun; wind in m/s.

    Examples
    --------
    >>> sun_glint(sun_zenith=20, view_zenith=0, wind=5) > sun_glint(sun_zenith=50, view_zenith=0, wind=5)
    True
    """
    sun, view = np.deg2rad(sun_zenith), np.deg2rad(view_zenith)
    tilt = abs(sun + view) / 2
    spread = 0.003 + 0.00512 * wind
    chance = np.exp(-(np.tan(tilt) ** 2) / spread) / (np.pi * spread)
    return float(np.pi * 0.021 * chance / (4 * np.cos(sun) * np.cos(view) * np.cos(tilt) ** 4))
