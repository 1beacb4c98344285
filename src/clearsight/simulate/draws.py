"""Where a place lies, and which sun and air it is seen through: drawn together, as they go together on Earth.

Vapour follows warmth, that is latitude, season and height; the sun follows latitude and date; dry air over high ground
opens the cirrus band. Every value has wide tails on purpose: what the simulated world lacks can't be learned from it.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np

from clearsight.simulate.air.state import Aerosol, Air, Geometry
from clearsight.simulate.ground.weather import season

__all__ = ["Setting", "draw_air", "draw_date", "draw_setting", "draw_sun"]

LOWEST_SUN: Final = 82.0
"""Zenith angle in degrees beyond which Sentinel-2 takes no images of land."""

_WARM: Final = {"desert", "dunes", "salt", "saltworks", "savanna", "mangrove"}
_ARID: Final = {"desert", "dunes", "salt"}
_COLD_ARID: Final = 0.38
"""Share of the deserts and steppes of this world whose winters are cold: Gobi, Great Basin, Iran, Patagonia (Köppen's
BWk and BSk in Peel et al. 2007, Hydrology and Earth System Sciences 11, 1633). Their air holds next to no vapour."""
_COLD: Final = {"mountain", "snow", "glacier", "seaice"}
_AT_SEA: Final = {"coast", "sea", "seaice", "saltworks", "tidal", "mangrove", "wetland"}
_PLATEAU: Final = {"desert": 0.25, "salt": 0.4, "grassland": 0.15, "snow": 0.15, "mountain": 0.1, "dunes": 0.1}
"""Share of the places of a kind that lie on a plateau: Altiplano, Tibet, Iran, the Rocky Mountains, East Antarctica."""

_AEROSOLS: Final[dict[Aerosol, float]] = {
    "continental": 0.55, "maritime": 0.2, "urban": 0.08, "desert": 0.1, "smoke": 0.07,
}  # fmt: skip

_THICKER: Final[dict[Aerosol, float]] = {
    "continental": 1.0, "maritime": 0.75, "urban": 1.3, "desert": 1.4, "smoke": 1.4,
}  # fmt: skip
"""Sea salt is thin nearly always; dust, smoke and the air of cities are what thick haze is made of."""


@dataclass(frozen=True)
class Setting:
    """Where on Earth a place lies."""

    latitude: float
    """Degrees, north positive."""
    lift: float
    """Metres that its ground lies above where places of its kind are made."""


def draw_setting(rng: np.random.Generator, *, kind: str) -> Setting:
    """Latitude and height of a place.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    kind : str
        One of ``surfaces.KINDS``.

    Examples
    --------
    >>> draw_setting(np.random.default_rng(1), kind="sea").lift
    0.0
    """
    tropical = kind in _WARM or (kind not in _COLD and rng.random() < 0.14)
    low, high = (2.0, 38.0) if tropical else (28.0, 72.0)
    if kind in _ARID and rng.random() < _COLD_ARID:
        low, high = 32.0, 52.0
    if kind in _COLD and rng.random() < 0.35:
        low, high = 55.0, 78.0
    latitude = float(rng.uniform(low, high) * rng.choice([1, 1, -1]))
    if kind in _AT_SEA:
        return Setting(latitude, 0.0)
    plateau = rng.random() < _PLATEAU.get(kind, 0.05)
    lift = rng.uniform(800.0, 4300.0) if plateau else rng.exponential(200.0)
    return Setting(latitude, float(min(lift, 4500.0)))


def draw_date(
    rng: np.random.Generator, *, latitude: float, first: datetime.date = datetime.date(2017, 1, 1), days: int = 1825
) -> datetime.date:
    """A date on which the sun is up when the satellite passes.

    Three dates in five are drawn so that all heights of the sun that a year offers are alike: what lies under a very
    low sun is short-lived, and looks like nothing else.

    Examples
    --------
    >>> draw_date(np.random.default_rng(1), latitude=50).year
    2018
    """
    dates = [first + datetime.timedelta(days=int(day)) for day in rng.integers(days, size=40)]
    zenith = np.array([_sun(date, latitude=latitude, hours=-1.2)[0] for date in dates])
    up = np.flatnonzero(zenith < LOWEST_SUN)
    if up.size == 0:
        return dates[int(zenith.argmin())]
    if rng.random() < 0.4:
        return dates[int(up[0])]
    target = rng.uniform(zenith[up].min(), zenith[up].max())
    return dates[int(up[np.abs(zenith[up] - target).argmin()])]


def draw_sun(rng: np.random.Generator, *, latitude: float, date: datetime.date) -> Geometry:
    """Sun and view: Sentinel-2 crosses the equator at 10:30, and is up to an hour off elsewhere in its swath.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    latitude : float
        Degrees, north positive.
    date : datetime.date
        Any date; a sun below the lowest that is imaged counts as the lowest.

    Examples
    --------
    >>> sun = draw_sun(np.random.default_rng(1), latitude=50, date=datetime.date(2020, 6, 21))
    >>> 25 < sun.sun_zenith < 45 and 90 < sun.sun_azimuth < 180
    True
    """
    # The satellite flies from north-east to south-west: the farther north, the later the local hour. Swaths are wide
    # and at high latitudes they overlap.
    later = 0.9 * np.tan(np.deg2rad(np.clip(latitude, -72, 72))) / np.tan(np.deg2rad(72)) - 0.15
    hours = -1.5 + later + rng.normal(0.0, 0.35)
    zenith, azimuth = _sun(date, latitude=latitude, hours=hours)
    return Geometry(
        sun_zenith=float(np.clip(zenith, 1.0, LOWEST_SUN)),
        sun_azimuth=azimuth,
        view_zenith=float(rng.uniform(0.5, 11.5)),
        view_azimuth=float(rng.choice([105.0, 285.0]) + rng.normal(0.0, 8.0)),
    )


def draw_air(rng: np.random.Generator, *, latitude: float, date: datetime.date, elevation: float) -> Air:
    """Air of a day: vapour as warmth and height allow, aerosol from the cleanest to thick haze.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    latitude : float
        Degrees, north positive.
    date : datetime.date
        Sets how warm it is.
    elevation : float
        Of the ground in km above the sea.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> summer = datetime.date(2020, 7, 15)
    >>> moist = [draw_air(rng, latitude=10, date=summer, elevation=0).water_vapour for _ in range(50)]
    >>> dry = [draw_air(rng, latitude=10, date=summer, elevation=4).water_vapour for _ in range(50)]
    >>> bool(np.median(moist) > 4 * np.median(dry))
    True
    """
    phase = np.cos(2 * np.pi * (season(date, latitude=latitude) - 200) / 365.25)
    warmth = 28.0 - 0.0070 * latitude**2 + (0.4 + 0.22 * abs(latitude)) * phase
    # Clausius and Clapeyron: saturated air holds 7 % more vapour per degree. One day in six the air is far drier: it
    # comes from the continent, or down from above, as it does over half the land below the subtropical highs, where the
    # deserts are: 1 … 2 g/cm² over the Sahara, not the 4 that its warmth would hold.
    dry = 1 / 6 + 0.35 * np.exp(-(((abs(latitude) - 25.0) / 8.0) ** 2))
    humidity = rng.lognormal(-0.9, 0.6) if rng.random() < dry else rng.lognormal(0.12, 0.36)
    vapour = 1.05 * np.exp(0.058 * (warmth - 5.0)) * humidity * np.exp(-elevation / 1.9)
    aerosol = list(_AEROSOLS)[int(rng.choice(len(_AEROSOLS), p=list(_AEROSOLS.values())))]
    # Every sixth day is drawn evenly on a logarithmic scale, from the air over Antarctica to thick haze.
    usual = _usual_haze(latitude, phase=float(phase)) * _THICKER[aerosol] * rng.lognormal(0.0, 0.7)
    aot = (usual if rng.random() < 5 / 6 else np.exp(rng.uniform(np.log(0.02), np.log(1.2)))) * np.exp(-elevation / 3.0)
    ozone = 0.27 + 0.0011 * abs(latitude) + 0.025 * rng.standard_normal()
    return Air(
        aerosol=aerosol,
        aot=float(np.clip(aot, 0.005, 1.5)),
        water_vapour=float(np.clip(vapour, 0.02, 7.0)),
        ozone=float(np.clip(ozone, 0.2, 0.55)),
        elevation=float(np.clip(elevation, -0.4, 8.0)),
        aerosol_height=float(rng.uniform(0.7, 3.5)),
        vapour_height=float(rng.uniform(1.4, 2.6)),
        cirrus_leak=float(np.exp(rng.uniform(np.log(0.001), np.log(0.0033)))),
        veil=_draw_veil(rng, latitude=latitude),
    )


def _usual_haze(latitude: float, *, phase: float) -> float:
    """Median optical depth over land at sea level; ``phase`` is -1 in deep winter … 1 in high summer.

    After what sun photometers and MODIS agree on: 0.06 in the far south, 0.1 … 0.15 in the northern middle latitudes
    with a summer maximum, 0.2 in the belt of dust and burning; the days of a place are spread lognormally about it
    (O'Neill et al. 2000, Geophysical Research Letters 27, 3285).
    """
    north = 0.05 * np.exp(-(((latitude - 42.0) / 14.0) ** 2)) * (1 + 0.5 * phase)
    belt = 0.10 * np.exp(-(((latitude - 18.0) / 16.0) ** 2)) + 0.03 * np.exp(-(((latitude + 10.0) / 12.0) ** 2))
    return float(0.065 + north + belt)


def _draw_veil(rng: np.random.Generator, *, latitude: float) -> float:
    """The stratosphere's own droplets; in the tropics every third day, elsewhere every eighth, ice too thin to see.

    Those droplets are a fifth of a micrometre small: of the 0.005 that they have in the green next to nothing is left
    at 1.38 µm; limb sounders see 0.001 … 0.002 at 1.02 µm in quiet years, several times that after an eruption (Kremser
    et al. 2016, Reviews of Geophysics 54, 278).
    """
    stratosphere = 0.001 * rng.lognormal(0.0, 0.8)
    ice = rng.uniform(0.0, 0.03) if rng.random() < (1 / 3 if abs(latitude) < 25 else 1 / 8) else 0.0
    return float(min(stratosphere + ice, 0.06))


def _sun(date: datetime.date, *, latitude: float, hours: float) -> tuple[float, float]:
    """Zenith and azimuth of the sun in degrees, ``hours`` after true noon."""
    tilt = np.deg2rad(-23.44) * np.cos(2 * np.pi * (date.timetuple().tm_yday + 10) / 365.25)
    here, hour = np.deg2rad(latitude), np.deg2rad(15.0 * hours)
    up = np.sin(here) * np.sin(tilt) + np.cos(here) * np.cos(tilt) * np.cos(hour)
    east = -np.cos(tilt) * np.sin(hour)
    north = np.cos(here) * np.sin(tilt) - np.sin(here) * np.cos(tilt) * np.cos(hour)
    return float(np.rad2deg(np.arccos(np.clip(up, -1, 1)))), float(np.rad2deg(np.arctan2(east, north)) % 360)
