"""The state of the air, and where sun and satellite stand: what ``atmosphere`` and ``optics`` are asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clearsight.errors import ArgumentError
from clearsight.simulate.air._tables import MAX_AOT

Array = NDArray[np.float32]
Aerosol = Literal["continental", "maritime", "urban", "desert", "smoke"]
Platform = Literal["S2A", "S2B", "S2C"]

AEROSOLS: Final[tuple[Aerosol, ...]] = get_args(Aerosol)
PLATFORMS: Final[tuple[Platform, ...]] = get_args(Platform)

MAX_HEIGHT: Final = 20.0
"""Above it, in km, the air counts as nothing but its last trace."""

_VEIL_ASYMMETRY: Final = 0.7
"""Of the scattering by droplets in the stratosphere and by the thinnest ice."""

_VAPOUR_BEND: Final = 0.03
_DRY_CLIMB: Final = 12.5
"""Vapour thins out faster the higher, per km, up to the tropopause: within 20 % of the six AFGL model atmospheres."""


@dataclass(frozen=True)
class Geometry:
    """Where the sun and the satellite stand, seen from the ground; degrees."""

    sun_zenith: float
    """0 … 85."""
    sun_azimuth: float = 150.0
    """Clockwise from north."""
    view_zenith: float = 4.0
    """0 … 15; a Sentinel-2 swath reaches about 12."""
    view_azimuth: float = 100.0
    """Clockwise from north, from the ground towards the satellite."""

    def __post_init__(self) -> None:
        _check("sun_zenith", self.sun_zenith, 0.0, 85.0, "degrees")
        _check("view_zenith", self.view_zenith, 0.0, 15.0, "degrees")


@dataclass(frozen=True)
class Air:
    """One state of the atmosphere over ground of one height."""

    aerosol: Aerosol = "continental"
    """Type as in 6S; ``desert`` is dust, ``smoke`` biomass burning."""
    aot: float | Array = 0.12
    """Aerosol optical depth at 550 nm, 0 … 4; a (y, x) field for plumes of smoke and dust."""
    water_vapour: float = 1.5
    """Column above the ground in g/cm², 0 … 8."""
    ozone: float = 0.32
    """Column in cm-atm (1000 Dobson units), 0 … 0.7."""
    elevation: float = 0.0
    """Height of the ground above the sea in km, −0.5 … 20."""
    aerosol_height: float = 2.0
    """Scale height of the aerosol in km."""
    vapour_height: float = 2.2
    """Scale height of the vapour near the ground in km."""
    cirrus_leak: float = 0.002
    """Share of the ground's light that reaches B10 however moist the air, from outside the band, 0 … 0.01.

    Slope of B10 over the ground's reflectance in seven clear real L1C scenes whose B10 is opaque: 0.0011 … 0.0031.
    """
    veil: float = 0.0
    """Optical depth of what floats above all vapour and can't be seen but in B10, 0 … 0.1: droplets in the
    stratosphere, subvisible cirrus. Part of the clear scene."""

    def __post_init__(self) -> None:
        if self.aerosol not in AEROSOLS:
            raise ArgumentError(f"aerosol={self.aerosol!r} is unknown; use one of {', '.join(AEROSOLS)}.")
        aot = np.asarray(self.aot)
        if aot.ndim not in (0, 2) or not (np.all(aot >= 0) and np.all(aot <= MAX_AOT)):
            raise ArgumentError(
                f"aot of shape {aot.shape} and range {aot.min():.3g} … {aot.max():.3g}; expected one number or a "
                f"(y, x) field, 0 … {MAX_AOT:g}. Thicker plumes are opaque: clip them."
            )
        _check("water_vapour", self.water_vapour, 0.0, 8.0, "g/cm²")
        _check("ozone", self.ozone, 0.0, 0.7, "cm-atm")
        _check("elevation", self.elevation, -0.5, MAX_HEIGHT, "km")
        _check("aerosol_height", self.aerosol_height, 0.1, 10.0, "km")
        _check("vapour_height", self.vapour_height, 0.5, 5.0, "km")
        _check("cirrus_leak", self.cirrus_leak, 0.0, 0.01, "of the ground's light")
        _check("veil", self.veil, 0.0, 0.1, "optical depth")


def vapour_share(air: Air, climb: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the vapour, 0 … 1, that lies more than ``climb`` km above the ground.

    Examples
    --------
    >>> round(float(vapour_share(Air(), 2.2)), 2)
    0.34
    """
    z = np.minimum(climb, _DRY_CLIMB)
    return np.asarray(np.exp(-z / air.vapour_height * (1 + _VAPOUR_BEND * z)))


def part_above(air: Air, height: float) -> Air:
    """The part of the air above a height in km above the sea; there the vapour thins out faster.

    Examples
    --------
    >>> high = part_above(Air(water_vapour=2.0, aot=0.2), 5.0)
    >>> high.elevation, high.water_vapour < 0.2, high.aot < 0.02
    (5.0, True, True)
    """
    climb = height - air.elevation
    aot = np.asarray(air.aot) * np.exp(-climb / air.aerosol_height)
    return replace(
        air,
        aot=float(aot) if aot.ndim == 0 else aot.astype(np.float32),
        water_vapour=air.water_vapour * float(vapour_share(air, climb)),
        vapour_height=air.vapour_height / (1 + 2 * _VAPOUR_BEND * min(climb, _DRY_CLIMB)),
        elevation=height,
    )


def veil_reflectance(depth: float, geometry: Geometry) -> float:
    """Reflectance of ``Air.veil``: single scattering (Henyey and Greenstein), with nothing above to dim it.

    Examples
    --------
    >>> veil_reflectance(0.0, Geometry(40)), 0.0003 < veil_reflectance(0.01, Geometry(40)) < 0.002
    (0.0, True)
    """
    sun, view, azimuth = np.radians(
        [geometry.sun_zenith, geometry.view_zenith, geometry.sun_azimuth - geometry.view_azimuth]
    )
    mu, mu_up = np.cos(sun), np.cos(view)
    backward = mu * mu_up + np.sin(sun) * np.sin(view) * np.cos(azimuth)
    g = _VEIL_ASYMMETRY
    phase = (1 - g**2) / (1 + g**2 + 2 * g * backward) ** 1.5
    return float(phase * -np.expm1(-depth * (1 / mu + 1 / mu_up)) / (4 * (mu + mu_up)))


def _check(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise ArgumentError(f"{name}={value!r} is out of range; expected {low:g} … {high:g} {unit}.")
