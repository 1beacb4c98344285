"""The state of the air, and where sun and satellite stand: what ``atmosphere`` and ``optics`` are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clearsight.errors import ArgumentError
from clearsight.simulate._atmosphere_tables import MAX_AOT

Array = NDArray[np.float32]
Aerosol = Literal["continental", "maritime", "urban", "desert", "smoke"]
Platform = Literal["S2A", "S2B", "S2C"]

AEROSOLS: Final[tuple[Aerosol, ...]] = get_args(Aerosol)
PLATFORMS: Final[tuple[Platform, ...]] = get_args(Platform)

MAX_HEIGHT: Final = 20.0
"""Above it, in km, the air counts as nothing but its last trace."""


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
    vapour_height: float = 2.0
    """Scale height of the vapour in km."""

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


def _check(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise ArgumentError(f"{name}={value!r} is out of range; expected {low:g} … {high:g} {unit}.")
