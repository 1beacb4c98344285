"""What the air adds to the light of the ground, and takes from it: surface to top-of-atmosphere reflectance, and back.

Scattering and absorption come from 6S (vapour in B09 and B10 from LOWTRAN 7), tabulated once by
``scripts/make_atmosphere_lut.py``; nothing here runs them.
Vapour sits low and molecules reach high, so light scattered by the air is dimmed by the vapour *above* the place where
it is scattered, not by all of it: that keeps B10 dark over moist lowland, and bright over high ground and high cloud.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.simulate.air._tables import gas_transmittance, scattering, vapour_transmittance
from clearsight.simulate.air.state import (
    AEROSOLS,
    MAX_HEIGHT,
    PLATFORMS,
    Aerosol,
    Air,
    Geometry,
    Platform,
    part_above,
    vapour_share,
    veil_reflectance,
)

__all__ = [
    "AEROSOLS",
    "PLATFORMS",
    "Aerosol",
    "Air",
    "Coefficients",
    "Geometry",
    "Platform",
    "above",
    "coefficients",
    "gas_above",
    "to_surface",
    "to_toa",
    "vapour_depth",
]

Array = NDArray[np.float32]

MOLECULE_HEIGHT: Final = 8.0
"""Scale height of the molecules that scatter, in km (as in 6S)."""

_B10: Final = tuple(BANDS).index("B10")
_AOT_NODES: Final = 192
_HEIGHT_NODES: Final = 48


@dataclass(frozen=True)
class Coefficients:
    """What ``to_toa`` needs: float32, dimensionless, each (13,), or (13, y, x) where it varies."""

    path: Array
    """Reflectance of the air alone at the top of the atmosphere, gases already taken off."""
    down: Array
    """Share of sunlight that reaches the ground straight (scattering only)."""
    down_diffuse: Array
    """Share of sunlight that reaches the ground as skylight (scattering only)."""
    up: Array
    """Share of the ground's light that reaches the satellite, straight or scattered (scattering only)."""
    up_diffuse: Array
    """The scattered part of ``up``: it comes from the surroundings (adjacency)."""
    albedo: Array
    """Spherical albedo of the air seen from the ground."""
    gas: Array
    """Transmittance of the gases from the sun to the ground to the satellite."""


def coefficients(air: Air, geometry: Geometry, *, platform: Platform = "S2A") -> Coefficients:
    """Path reflectance, transmittances and spherical albedo of the 13 bands.

    Parameters
    ----------
    air : Air
        With an ``aot`` field, the scattering coefficients are (13, y, x), ``gas`` stays (13,).
    geometry : Geometry
        Sun and view.
    platform : "S2A", "S2B" or "S2C"
        Whose spectral responses.

    Returns
    -------
    Coefficients

    Raises
    ------
    ArgumentError
        ``platform`` is unknown.

    Examples
    --------
    >>> air = Air(aerosol="continental", aot=0.1, water_vapour=2.0)
    >>> blue, cirrus = coefficients(air, Geometry(sun_zenith=40)).path[[1, 10]]
    >>> bool(blue > 0.05), bool(cirrus < 0.002)
    (True, True)

    Notes
    -----
    Vermote et al. (1997), *Second Simulation of the Satellite Signal in the Solar Spectrum*. Scattering is tabulated
    for a view from the zenith; a tilted view changes the single scattering, which is added from the phase functions.
    Towards the zenith the path is within 1.5 % of 6S, at the swath's edge within 3 % (0.01 in thick smoke at low sun).
    """
    _check_platform(platform)
    aot = np.asarray(air.aot, dtype=np.float64)
    if aot.ndim == 0:
        return _each(_at_nodes(air, geometry, platform=platform, aot=aot[None]), lambda node: node[:, 0])
    # Nodes on a square-root axis: most of a plume is thin, and there the coefficients bend most.
    top = max(float(aot.max()), 0.01)
    nodes = _at_nodes(air, geometry, platform=platform, aot=top * np.linspace(0.0, 1.0, _AOT_NODES) ** 2)
    return _spread(nodes, position=np.sqrt(aot / top) * (_AOT_NODES - 1))


def above(air: Air, geometry: Geometry, *, height: float | Array, platform: Platform = "S2A") -> Coefficients:
    """Coefficients of the air above a height: what lies between a cloud's top and the satellite.

    ``to_toa(cloud reflectance, above(...))`` is the cloud as the satellite sees it.

    Parameters
    ----------
    air : Air
        The whole atmosphere. Only one of ``air.aot`` and ``height`` may be a field.
    geometry : Geometry
        Sun and view.
    height : float or (y, x) array
        Above the sea, km; values below ``air.elevation`` count as ``air.elevation``, values above 20 as 20.
    platform : "S2A", "S2B" or "S2C"
        Whose spectral responses.

    Returns
    -------
    Coefficients
        (13,), or (13, y, x) for a field of heights; then ``gas`` too.

    Raises
    ------
    ArgumentError
        Both ``height`` and ``air.aot`` are fields.

    Examples
    --------
    >>> import numpy as np
    >>> tops = np.array([[1.0, 4.0, 11.0]], dtype="float32")
    >>> sky = above(Air(water_vapour=2.0), Geometry(sun_zenith=40), height=tops)
    >>> cirrus = sky.gas[10, 0]
    >>> bool(cirrus[0] < 0.1), bool(cirrus[2] > 0.8)
    (True, True)
    """
    _check_platform(platform)
    tops = np.clip(np.asarray(height, dtype=np.float64), air.elevation, MAX_HEIGHT)
    if tops.ndim == 0:
        return coefficients(part_above(air, float(tops)), geometry, platform=platform)
    if np.ndim(air.aot) > 0:
        raise ArgumentError(
            f"height has shape {tops.shape} and air.aot {np.shape(air.aot)}: only one can be a field. "
            "Give the mean aot: little of it lies above a cloud."
        )
    low, high = float(tops.min()), max(float(tops.max()), float(tops.min()) + 0.01)
    levels = [
        coefficients(part_above(air, float(z)), geometry, platform=platform)
        for z in np.linspace(low, high, _HEIGHT_NODES)
    ]
    nodes = Coefficients(**{name: np.stack([getattr(level, name) for level in levels], axis=1) for name in _NAMES})
    return _spread(nodes, position=(tops - low) / (high - low) * (_HEIGHT_NODES - 1))


def to_toa(
    surface: Array,
    coefficients: Coefficients,
    *,
    lit: Array | None = None,
    sky: Array | None = None,
    surroundings: Array | None = None,
) -> Array:
    """Top-of-atmosphere reflectance of a surface under this air.

    Parameters
    ----------
    surface : (13, y, x) array
        Surface reflectance.
    coefficients : Coefficients
        From ``coefficients`` or ``above``.
    lit : (y, x), (1, y, x) or (13, y, x) array, optional
        Share of the direct sunlight that reaches the ground: 1 = unshadowed, 0 = full shadow (skylight stays); above 1
        on slopes that face the sun.
    sky : array of such a shape, optional
        Share of the skylight that reaches the ground.
    surroundings : (13, y, x) array, optional
        Reflectance of the wider neighbourhood (adjacency); by default each pixel is its own.

    Returns
    -------
    (13, y, x) float32 array
        Reflectance at the top of the atmosphere.

    Examples
    --------
    >>> import numpy as np
    >>> ground = np.full((13, 2, 2), 0.2, dtype="float32")
    >>> air = coefficients(Air(), Geometry(sun_zenith=45))
    >>> shade = to_toa(ground, air, lit=np.zeros((2, 2), dtype="float32"))
    >>> bool(np.all(shade < to_toa(ground, air)))
    True

    Notes
    -----
    ``path + gas · (lit · down + sky · down_diffuse) · up · ρ / (1 − albedo · ρ)``; with surroundings ρₑ,
    ``(up − up_diffuse) · ρ + up_diffuse · ρₑ`` over ``1 − albedo · ρₑ``.
    """
    c = _each(coefficients, _as_planes)
    around = surface if surroundings is None else surroundings
    if surroundings is None:
        light = c.up * surface
    else:
        light = (c.up - c.up_diffuse) * surface
        light += c.up_diffuse * surroundings
    light /= 1.0 - c.albedo * around
    if lit is None and sky is None:
        light *= c.gas * (c.down + c.down_diffuse)
    else:
        direct = c.down if lit is None else c.down * lit
        light *= c.gas * (direct + (c.down_diffuse if sky is None else c.down_diffuse * sky))
    light += c.path
    return light.astype(np.float32, copy=False)


def to_surface(toa: Array, coefficients: Coefficients) -> Array:
    """Surface reflectance under this air, for ground in full light: what an L2A processor computes.

    The exact inverse of ``to_toa`` without ``lit``, ``sky`` and ``surroundings``. In B10 almost nothing of the ground
    is left in the signal, so that the inverse there is noise; an L2A product has no B10.

    Parameters
    ----------
    toa : (13, y, x) array
        Reflectance at the top of the atmosphere.
    coefficients : Coefficients
        Of the same air.

    Returns
    -------
    (13, y, x) float32 array
        Surface reflectance.

    Examples
    --------
    >>> import numpy as np
    >>> ground = np.full((13, 2, 2), 0.2, dtype="float32")
    >>> air = coefficients(Air(), Geometry(sun_zenith=45))
    >>> back = to_surface(to_toa(ground, air), air)
    >>> bool(np.allclose(np.delete(back, 10, axis=0), 0.2, atol=1e-5))
    True
    """
    c = _each(coefficients, _as_planes)
    y = toa - c.path
    y /= c.gas * (c.down + c.down_diffuse) * c.up
    y /= 1.0 + c.albedo * y
    return y.astype(np.float32, copy=False)


def gas_above(height: float, *, air: Air, geometry: Geometry, platform: Platform = "S2A") -> Array:
    """Two-way transmittance (13,) of the gases between a height in km above the sea and space.

    Examples
    --------
    >>> air, sun = Air(water_vapour=3.0), Geometry(sun_zenith=30)
    >>> low, high = (gas_above(z, air=air, geometry=sun)[10] for z in (1.0, 10.0))
    >>> bool(low < 0.1 < high)
    True
    """
    _check_platform(platform)
    lifted, airmass = part_above(replace(air, aot=0.0), max(height, air.elevation)), _airmass(geometry)
    wet = _leaking(_vapour_above(lifted, airmass, climb=np.zeros(1), platform=platform), air)[:, 0]
    return np.asarray(_dry_gases(lifted, airmass, platform=platform) * wet, dtype=np.float32)


def vapour_depth(height: float, *, air: Air, geometry: Geometry, platform: Platform = "S2A") -> Array:
    """Optical depth (13,) of the vapour per km at a height in km above the sea, for ``optics.cloud_optics``.

    It counts only what the vapour above leaves to absorb: where the lines are black already, more vapour adds less.

    Examples
    --------
    >>> depth = vapour_depth(2.0, air=Air(water_vapour=2.0), geometry=Geometry(sun_zenith=40))
    >>> bool(depth[10] > depth[9] > depth[8])
    True
    """
    _check_platform(platform)
    airmass = _airmass(geometry)
    climb = max(height - air.elevation, 0.0) + np.array([0.0, 0.3])
    through = np.log(_vapour_above(air, airmass, climb=climb, platform=platform))
    return np.asarray((through[:, 1] - through[:, 0]) / 0.3 / airmass, dtype=np.float32)


def _at_nodes(air: Air, geometry: Geometry, *, platform: Platform, aot: NDArray[np.float64]) -> Coefficients:
    """Coefficients (13, n) for n optical depths."""
    molecules, mixed = scattering(
        aerosol=air.aerosol,
        aot=aot,
        elevation=air.elevation,
        angles=(geometry.sun_zenith, geometry.view_zenith, geometry.sun_azimuth - geometry.view_azimuth),
        platform=platform,
    )
    airmass = _airmass(geometry)
    dry = _dry_gases(air, airmass, platform=platform)[:, None]
    over_ground, over_molecules, over_aerosol = _vapour_over(air, airmass, platform=platform)
    path = molecules.path * over_molecules + (mixed.path - molecules.path) * over_aerosol
    values = {
        "path": path * dry + veil_reflectance(air.veil, geometry),
        "down": mixed.down_direct,
        "down_diffuse": mixed.down - mixed.down_direct,
        "up": mixed.up,
        "up_diffuse": mixed.up - mixed.up_direct,
        "albedo": mixed.albedo,
        "gas": np.repeat(dry * _leaking(over_ground, air), aot.size, axis=1),
    }
    return Coefficients(**{name: value.astype(np.float32) for name, value in values.items()})


def _airmass(geometry: Geometry) -> float:
    """Way of the light through the air, down and up, over its height."""
    return float(1 / np.cos(np.radians(geometry.sun_zenith)) + 1 / np.cos(np.radians(geometry.view_zenith)))


def _dry_gases(air: Air, airmass: float, *, platform: Platform) -> NDArray[np.float64]:
    """Transmittance (13,) of ozone and of the well-mixed gases."""
    return gas_transmittance(platform=platform, ozone=air.ozone * airmass, airmass=airmass, height=air.elevation)


def _leaking(wet: NDArray[np.float64], air: Air) -> NDArray[np.float64]:
    """Transmittance (13, n) of vapour, with what reaches B10 from outside the band."""
    wet[_B10] += air.cirrus_leak * (1 - wet[_B10])
    return wet


_SHARES: Final = -np.log((np.arange(16) + 0.5) / 16)
"""Heights of sixteen equal shares of what thins out exponentially, the middle of each, in scale heights."""


def _vapour_over(air: Air, airmass: float, *, platform: Platform) -> tuple[NDArray[np.float64], ...]:
    """Transmittance (13, 1) of the vapour above the ground, and its means above the molecules and above the aerosol."""
    climb = np.concatenate([[0.0], MOLECULE_HEIGHT * _SHARES, air.aerosol_height * _SHARES])
    through = _vapour_above(air, airmass, climb=climb, platform=platform)
    molecules, aerosol = through[:, 1:17], through[:, 17:]
    return through[:, :1], molecules.mean(axis=1, keepdims=True), aerosol.mean(axis=1, keepdims=True)


def _vapour_above(air: Air, airmass: float, *, climb: NDArray[np.float64], platform: Platform) -> NDArray[np.float64]:
    """Transmittance (13, n) of the vapour more than ``climb`` km above the ground."""
    slant = air.water_vapour * vapour_share(air, climb) * airmass
    return vapour_transmittance(platform=platform, slant=slant, height=air.elevation + climb)


_NAMES: Final = tuple(field.name for field in fields(Coefficients))


def _each(coefficients: Coefficients, change: Callable[[Array], Array]) -> Coefficients:
    return Coefficients(**{name: change(getattr(coefficients, name)) for name in _NAMES})


def _as_planes(values: Array) -> Array:
    """(13,) to (13, 1, 1), so that it meets (13, y, x)."""
    return values if values.ndim == 3 else values[:, None, None]


def _spread(nodes: Coefficients, *, position: NDArray[np.float64]) -> Coefficients:
    """Interpolate coefficients (13, n) to a (y, x) field of positions 0 … n − 1; what doesn't vary stays (13,)."""
    last = nodes.path.shape[1] - 1
    index = np.clip(position.astype(np.int32), 0, last - 1)
    weight = (position - index).astype(np.float32)

    def field(values: Array) -> Array:
        if np.all(values == values[:, :1]):
            return values[:, 0]
        # Without bounds to check (the index is clipped already) `take` is twice as fast.
        out = np.take(np.diff(values, axis=1), index, axis=1, mode="clip")
        out *= weight
        out += np.take(values, index, axis=1, mode="clip")
        return out

    return _each(nodes, field)


def _check_platform(platform: str) -> None:
    if platform not in PLATFORMS:
        raise ArgumentError(f"platform={platform!r} is unknown; use one of {', '.join(PLATFORMS)}.")
