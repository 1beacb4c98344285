"""Where the sun stands when Sentinel-2 passes: from the date and the latitude alone.

The satellites keep to the sun: they cross the equator southwards at 10:30 mean local solar time, and any other latitude
at a time that follows from their inclination of 98.62°. So plain arrays that know their place and day know their sun,
to about a degree; a product's own metadata is better and always goes first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.model import View

_NODE: Final = 10.5
"""Mean local solar time of the descending node, hours (Sentinel-2 User Handbook)."""
_INCLINATION: Final = np.radians(98.62)
_LARGEST: Final = 81.0
"""Latitude that the track under the satellites doesn't reach, degrees."""


def sun_at(latitude: float, dates: NDArray[np.datetime64]) -> list[View]:
    """Sun of Sentinel-2 images.

    Declination and equation of time: Spencer (1971), "Fourier series representation of the position of the sun",
    Search 2 (5), 172.

    Parameters
    ----------
    latitude : float
        Degrees north.
    dates : datetime64 array (n,)
        Only the days count.

    Returns
    -------
    list of View
        Zenith and azimuth of the sun, degrees; azimuth clockwise from north.

    Examples
    --------
    >>> [view] = sun_at(52.5, np.array(["2017-02-16"], dtype="datetime64[D]"))
    >>> round(view.sun_zenith), round(view.sun_azimuth)
    (66, 164)
    """
    days = (dates.astype("datetime64[D]") - dates.astype("datetime64[Y]")).astype(np.float64)
    year = 2.0 * np.pi * days / 365.25
    declination = (
        0.006918 - 0.399912 * np.cos(year) + 0.070257 * np.sin(year)
        - 0.006758 * np.cos(2 * year) + 0.000907 * np.sin(2 * year)
        - 0.002697 * np.cos(3 * year) + 0.001480 * np.sin(3 * year)
    )  # fmt: skip
    equation = 229.18 / 60.0 * (
        0.000075 + 0.001868 * np.cos(year) - 0.032077 * np.sin(year)
        - 0.014615 * np.cos(2 * year) - 0.040849 * np.sin(2 * year)
    )  # fmt: skip
    north = np.radians(np.clip(latitude, -_LARGEST, _LARGEST))
    # How far east of its node the satellite is on its way south, as time.
    ahead = np.degrees(np.arcsin(np.clip(-np.tan(north) / np.tan(_INCLINATION), -1.0, 1.0))) / 15.0
    angle = np.radians(15.0 * (_NODE + ahead + equation - 12.0))
    high = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(angle)
    east = -np.cos(declination) * np.sin(angle)
    up = np.cos(north) * np.sin(declination) - np.sin(north) * np.cos(declination) * np.cos(angle)
    zenith = np.degrees(np.arccos(np.clip(high, -1.0, 1.0)))
    azimuth = np.degrees(np.arctan2(east, up)) % 360.0
    return [View(float(z), float(a)) for z, a in zip(zenith, azimuth, strict=True)]
