"""Weather of a place, day by day, from a seed: what wets the soil, feeds rivers, grows grass, and lays and melts snow.

Dates of a place are not drawn one by one: each depends on the days before it, so that wet soil dries, snow ages and
floods fall as they really do, and the same place at the same date is always the same.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

_BEFORE: Final = 430
"""Days followed before the first of January, so that a year starts with the snow of its own past."""

HEIGHTS: Final = np.arange(0.0, 6001.0, 250.0, dtype=np.float32)
"""Heights in metres at which the snow is followed."""

LAPSE: Final = 0.0062
"""Degrees Celsius per metre."""


@dataclass(frozen=True)
class Climate:
    """What the weather is drawn from."""

    chance: float
    """Mean chance of rain on a day."""
    amount: float
    """Mean millimetres on a day with rain."""
    summer: float
    """How much rain prefers summer: -1 all in winter, 0 even, 1 all in summer."""


_TEMPERATE: Final = Climate(0.36, 6.0, 0.1)
_CLIMATES: Final = {
    "desert": Climate(0.015, 7.0, 0.0),
    "dunes": Climate(0.010, 7.0, 0.0),
    "salt": Climate(0.030, 9.0, 0.3),
    "savanna": Climate(0.25, 9.0, 0.95),
    "grassland": Climate(0.22, 6.0, 0.4),
    "mangrove": Climate(0.40, 11.0, 0.7),
    "wetland": Climate(0.36, 8.0, 0.3),
    "mountain": Climate(0.38, 8.0, 0.1),
    "snow": Climate(0.40, 9.0, -0.1),
}


@dataclass(frozen=True)
class Weather:
    """A day, with the memory of the days before it."""

    sun_zenith: float
    """Degrees at half past ten, when Sentinel-2 passes; at most 85."""
    temperature: float
    """Degrees Celsius at sea level."""
    topsoil: float
    """Moisture of the surface, 0 dry … 1 soaked."""
    rootzone: float
    """Moisture that plants live on, 0 … 1."""
    runoff: float
    """Water in the rivers in mm; 15 is usual, 60 a flood."""
    wind: float
    """m/s."""
    snow: Array
    """Depth in metres at each of ``HEIGHTS``."""
    age: Array
    """Days since the last snowfall at each of ``HEIGHTS``."""
    melt: Array
    """Degree-days above 0 of the last week at each of ``HEIGHTS``: wet, coarse snow."""
    frost: Array
    """Degree-days of frost in a lake's ice at each of ``HEIGHTS``."""


def season(date: datetime.date, *, latitude: float) -> float:
    """Day of the year as the north knows it: the south is half a year ahead."""
    day = date.timetuple().tm_yday
    return float(day if latitude >= 0 else (day + 182) % 365.25)


def sun_zenith(date: datetime.date, *, latitude: float) -> float:
    """Zenith angle of the sun in degrees at 10:30 local solar time, at most 85."""
    tilt = np.deg2rad(-23.44) * np.cos(2 * np.pi * (date.timetuple().tm_yday + 10) / 365.25)
    here, hour = np.deg2rad(latitude), np.deg2rad(-22.5)
    cosine = np.sin(here) * np.sin(tilt) + np.cos(here) * np.cos(tilt) * np.cos(hour)
    return float(min(np.rad2deg(np.arccos(cosine)), 85.0))


def sun_azimuth(date: datetime.date, *, latitude: float) -> float:
    """Azimuth of the sun in degrees clockwise from north at 10:30 local solar time."""
    tilt = np.deg2rad(-23.44) * np.cos(2 * np.pi * (date.timetuple().tm_yday + 10) / 365.25)
    here, hour = np.deg2rad(latitude), np.deg2rad(-22.5)
    east = -np.cos(tilt) * np.sin(hour)
    north = np.cos(here) * np.sin(tilt) - np.sin(here) * np.cos(tilt) * np.cos(hour)
    return float(np.rad2deg(np.arctan2(east, north)) % 360)


def weather(kind: str, *, seed: int, latitude: float, date: datetime.date) -> Weather:
    """Weather of a place on a date.

    Parameters
    ----------
    kind : str
        Kind of site; sets how much it rains, and when.
    seed : int
        Of the place.
    latitude : float
        Degrees, north positive.
    date : datetime.date
        Any date.

    Examples
    --------
    >>> day = weather("crops", seed=1, latitude=50.0, date=datetime.date(2023, 1, 15))
    >>> day.snow.shape == HEIGHTS.shape
    True
    """
    year = _year(_CLIMATES.get(kind, _TEMPERATE), seed=seed, latitude=latitude, year=date.year)
    day = date.timetuple().tm_yday - 1
    return Weather(
        sun_zenith=sun_zenith(date, latitude=latitude),
        temperature=float(year.temperature[day]),
        topsoil=float(1 - np.exp(-year.topsoil[day] / 10)),
        rootzone=float(1 - np.exp(-year.rootzone[day] / 55)),
        runoff=float(year.runoff[day]),
        wind=float(year.wind[day]),
        snow=year.snow[day],
        age=year.age[day],
        melt=year.melt[day],
        frost=year.frost[day],
    )


@dataclass(frozen=True)
class _Year:
    """A calendar year: scalars (day,), profiles (day, height)."""

    temperature: Array
    topsoil: Array
    rootzone: Array
    runoff: Array
    wind: Array
    snow: Array
    age: Array
    melt: Array
    frost: Array


@lru_cache(maxsize=64)
def _year(climate: Climate, *, seed: int, latitude: float, year: int) -> _Year:
    """Follow a place from the year before to the end of this one."""
    last = datetime.date(year, 12, 31)
    length = last.timetuple().tm_yday
    days = [last - datetime.timedelta(days=back) for back in range(_BEFORE + length - 1, -1, -1)]
    chance = _chance(days, seed=seed)
    phase = np.cos(2 * np.pi * (np.array([season(day, latitude=latitude) for day in days]) - 200) / 365.25)
    temperature = _temperature(phase, chance[0], latitude=latitude)
    falls = chance[1] < climate.chance * np.clip(1 + climate.summer * phase * 1.6, 0.02, None)
    rain = falls * climate.amount * -np.log(np.clip(chance[2], 1e-6, 1.0))
    snow, age, melt, frost, melted = _snowpack(temperature, rain)
    liquid = np.where(temperature > 0, rain, 0.0) + melted
    series = {
        "temperature": temperature,
        "topsoil": lfilter([1.0], [1.0, -0.78], liquid),
        "rootzone": lfilter([1.0], [1.0, -0.972], liquid),
        "runoff": lfilter([1.0], [1.0, -0.86], liquid),
        "wind": 1.0 + 4.0 * (-np.log(np.clip(chance[3], 1e-3, 1.0))) ** 0.7,
        "snow": snow,
        "age": age,
        "melt": melt,
        "frost": frost,
    }
    return _Year(**{name: values[-length:].astype(np.float32) for name, values in series.items()})


def _chance(days: list[datetime.date], *, seed: int) -> Doubles:
    """Uniform numbers (4, days), drawn year by year so that a day's luck doesn't depend on the date asked for."""
    years = range(days[0].year, days[-1].year + 1)
    drawn = []
    for year in years:
        length = datetime.date(year, 12, 31).timetuple().tm_yday
        drawn.append(np.random.default_rng([abs(seed), 77, year + 10_000]).random((366, 4))[:length].T)
    return np.concatenate(drawn, axis=1)[:, -len(days) :]


def _temperature(phase: Doubles, chance: Doubles, *, latitude: float) -> Doubles:
    """Degrees Celsius at sea level: the climate of the latitude, and spells of weather."""
    mean, swing = 27.0 - 0.0070 * latitude**2, 0.5 + 0.22 * abs(latitude)
    spell = lfilter([1.0], [1.0, -0.82], (chance - 0.5) * 3.46 * 0.57)
    return np.asarray(mean + swing * phase + spell * (1.0 + 0.06 * abs(latitude)), dtype=np.float64)


_THAW: Final = 6.0
"""Degree-days of frost that a degree-day of warmth undoes: 900 of them, 0.9 m of ice, go in about 150 (Ashton 1986)."""


def _snowpack(temperature: Doubles, rain: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles, Doubles]:
    """Follow snow and lake ice day by day at all heights: 3.5 mm melt per degree-day, more falls higher up."""
    days = temperature.size
    here = temperature[:, None] - LAPSE * HEIGHTS
    falls = np.where(here < 0.8, rain[:, None] * (1.0 + HEIGHTS / 3000.0), 0.0)
    could_melt = 3.5 * np.maximum(here + 0.5, 0.0)
    water, frost, melted = (np.zeros((days, HEIGHTS.size)) for _ in range(3))
    pack, ice = np.zeros(HEIGHTS.size), np.zeros(HEIGHTS.size)
    # Ice grows ever slower as it thickens, and thaws from both sides in the sun: a warm day undoes many cold ones.
    freezes = np.where(here > 0.0, -_THAW, -1.0) * here
    for day in range(days):
        np.minimum(pack, could_melt[day], out=melted[day])
        pack += falls[day] - melted[day]
        np.minimum(pack, 1500.0, out=pack)
        ice += freezes[day]
        np.minimum(np.maximum(ice, 0.0, out=ice), 900.0, out=ice)
        water[day], frost[day] = pack, ice
    today = np.arange(days)[:, None]
    age = (today - np.maximum.accumulate(np.where(falls > 2.0, today, -61))).astype(np.float64)
    melt = lfilter([1.0], [1.0, -0.85], np.maximum(here, 0.0), axis=0)
    return water / 300.0, age, melt, frost, melted[:, 0]
