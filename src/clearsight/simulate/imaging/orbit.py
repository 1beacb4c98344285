"""Where the sun and the satellite stand: passes of one relative orbit, sun position, detectors, viewing angles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from clearsight.errors import ArgumentError

Platform = Literal["S2A", "S2B"]
FloatArray = NDArray[np.float64]

HEADING: Final = 195.0
"""Direction of flight over ground in the middle latitudes, descending, degrees clockwise from north."""

ALTITUDE: Final = 786e3
"""Metres above ground."""

EARTH_RADIUS: Final = 6371e3

SWATH: Final = 290e3
"""Metres across track, seen by twelve detectors side by side."""

DETECTORS: Final = 12

ALONG_TRACK: Final = (1.80, 0.55, 0.83, 1.09, 1.23, 1.38, 1.52, 0.69, 1.66, 1.95, 1.02, 1.35, 1.69)
"""Degrees, B01 … B12, that each band looks ahead (odd detectors) or back (even ones): from the angle grids of a real
product (T31TCJ, 2024-01-20). That is why the bands see a cloud in different places."""

ORBITS_PER_CYCLE: Final = 143
CYCLE: Final = timedelta(days=10)

# One real pass of each satellite over relative orbit 65; all others lie whole cycles of ten days away.
_KNOWN_PASS: Final[dict[Platform, tuple[date, int]]] = {
    "S2A": (date(2024, 1, 21), 44821),
    "S2B": (date(2021, 1, 21), 20254),
}
RELATIVE_ORBIT: Final = 65
_DATATAKE_START: Final = timedelta(hours=10, minutes=20, seconds=21, milliseconds=24)
_DATASTRIP_DELAY: Final = timedelta(minutes=5, seconds=32)
_GRANULE_DELAY: Final = timedelta(minutes=8, seconds=47, microseconds=210_000)


@dataclass(frozen=True)
class Overpass:
    """Facts of one pass of one satellite."""

    platform: Platform
    """``S2A`` or ``S2B``."""
    datatake: datetime
    """Start of the datatake, UTC: the first time in a product's name."""
    datastrip: datetime
    """Start of the datastrip, UTC: the second part of ``system:index``."""
    sensing: datetime
    """When the granule was seen, UTC."""
    relative_orbit: int
    """1 … 143."""
    absolute_orbit: int
    """Counted from launch."""


def overpass(day: date) -> Overpass:
    """Give the pass over relative orbit 65 of one day.

    Parameters
    ----------
    day : date
        A day on which Sentinel-2A or 2B really flies relative orbit 65: every fifth day, in turn.

    Returns
    -------
    Overpass

    Raises
    ------
    ArgumentError
        Neither satellite passes on that day.

    Examples
    --------
    >>> from datetime import date
    >>> overpass(date(2021, 4, 26)).platform
    'S2A'
    """
    for platform, (known, orbit) in _KNOWN_PASS.items():
        cycles, rest = divmod(day - known, CYCLE)
        if not rest:
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            # Real datatakes on one track start within seconds of each other; the orbit number stands in for the cause.
            start = midnight + _DATATAKE_START + timedelta(seconds=(orbit + cycles) % 3 * 10 - 10)
            absolute = orbit + cycles * ORBITS_PER_CYCLE
            return Overpass(platform, start, start + _DATASTRIP_DELAY, start + _GRANULE_DELAY, RELATIVE_ORBIT, absolute)
    raise ArgumentError(
        f"day={day}: neither Sentinel-2A nor 2B flies relative orbit {RELATIVE_ORBIT} then;"
        " expected 2021-04-26 or any day that lies a multiple of five days away."
    )


def sun_position(
    when: datetime, *, latitude: float | FloatArray, longitude: float | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give the sun's zenith and azimuth angle.

    Parameters
    ----------
    when : datetime
        With a time zone.
    latitude, longitude : float or float64 array, degrees
        North and east are positive; arrays broadcast.

    Returns
    -------
    zenith, azimuth : float64 arrays, degrees
        Zenith 0 … 180 without refraction; azimuth 0 … 360 clockwise from north.

    Notes
    -----
    The low-precision formulae of the *Astronomical Almanac* as given by J. J. Michalsky, "The Astronomical Almanac's
    algorithm for approximate solar position (1950–2050)", Solar Energy 40 (1988), 227–235: good to 0.01°.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> zenith, _ = sun_position(datetime(2021, 6, 21, 12, 0, tzinfo=UTC), latitude=52.0, longitude=0.0)
    >>> round(float(zenith), 1)
    28.6
    """
    days = (when - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    mean_longitude = 280.460 + 0.9856474 * days
    anomaly = np.radians(357.528 + 0.9856003 * days)
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))

    sidereal = np.radians((18.697374558 + 24.06570982441908 * days) * 15)
    hour_angle = sidereal + np.radians(longitude) - ascension
    phi = np.radians(latitude)
    up = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(hour_angle)
    return np.degrees(np.arccos(np.clip(up, -1, 1))), np.degrees(np.arctan2(east, north)) % 360


def detector_number(across: FloatArray) -> NDArray[np.uint8]:
    """Give the detector, 1 … 12, that sees ground ``across`` metres from the ground track; 0 outside the swath.

    Examples
    --------
    >>> import numpy as np
    >>> detector_number(np.array([-200e3, -144e3, 1e3, 144e3]))
    array([ 0,  1,  7, 12], dtype=uint8)
    """
    number = np.floor((across + SWATH / 2) / (SWATH / DETECTORS)) + 1
    return np.where((number >= 1) & (number <= DETECTORS), number, 0).astype(np.uint8)


def across_track(east: FloatArray, north: FloatArray) -> FloatArray:
    """Turn metres east and north of a point on the ground track into metres across track, positive to the east.

    Examples
    --------
    >>> import numpy as np
    >>> across_track(np.array([1000.0]), np.array([0.0])).round()
    array([966.])
    """
    axis = np.radians(HEADING - 90)
    across: FloatArray = east * np.sin(axis) + north * np.cos(axis)
    return across


def view_angles(across: FloatArray, *, band: int, detector: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Give the viewing zenith and azimuth angle, from the ground towards the satellite.

    Parameters
    ----------
    across : float64 array, any shape, metres
        Distance from the ground track, positive to the east.
    band : int
        Place in ``bands.BANDS``, 0 … 12.
    detector : uint8 array of the same shape
        1 … 12: odd detectors look ahead, even ones back.

    Returns
    -------
    zenith, azimuth : float64 arrays, degrees

    Examples
    --------
    >>> import numpy as np
    >>> zenith, azimuth = view_angles(np.array([100e3]), band=1, detector=np.array([11], dtype="uint8"))
    >>> zenith.round(1), azimuth.round()
    (array([8.2]), array([281.]))
    """
    look = np.arctan2(across, ALTITUDE)
    # On a round Earth the ray meets the ground at a larger angle than it leaves the satellite.
    incidence = np.arcsin((EARTH_RADIUS + ALTITUDE) / EARTH_RADIUS * np.sin(look))
    to_side = np.tan(incidence)
    ahead = np.where(detector % 2 == 1, 1.0, -1.0) * np.tan(np.radians(ALONG_TRACK[band]))
    zenith = np.degrees(np.arctan(np.hypot(to_side, ahead)))
    azimuth = (HEADING + np.degrees(np.arctan2(to_side, ahead))) % 360
    return zenith, azimuth
