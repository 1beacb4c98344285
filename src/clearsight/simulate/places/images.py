"""Ground made of images: which one a date shows."""

from __future__ import annotations

import datetime

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def image_of(images: Array, dates: tuple[datetime.date, ...], *, date: datetime.date, yearly: bool) -> Array:
    """The image of a date, linear between the nearest two; before the first and after the last it stays.

    Parameters
    ----------
    images : float32 array (dates, 13, y, x)
        Reflectance.
    dates : tuple of datetime.date
        In order; may be empty for a single image.
    date : datetime.date
        Any date.
    yearly : bool
        Whether the images, all of one year, come back every year.

    Returns
    -------
    float32 array (13, y, x)

    Examples
    --------
    >>> images = np.stack([np.full((13, 2, 2), value, dtype="float32") for value in (0.1, 0.3)])
    >>> days = datetime.date(2020, 1, 1), datetime.date(2020, 1, 11)
    >>> round(float(image_of(images, days, date=datetime.date(2020, 1, 6), yearly=False).mean()), 3)
    0.2
    """
    if len(images) == 1:
        return np.array(images[0], dtype=np.float32)
    days = np.array([d.toordinal() for d in dates], dtype=np.float64)
    numbers, today = np.arange(days.size), float(date.toordinal())
    if yearly:
        # After the last image of a year comes the first of the next.
        days, numbers = np.append(days, days[0] + 365.25), np.append(numbers, 0)
        today = days[0] + (today - days[0]) % 365.25
    at = int(np.clip(np.searchsorted(days, today, side="right") - 1, 0, days.size - 2))
    part = np.float32(np.clip((today - days[at]) / max(days[at + 1] - days[at], 1.0), 0.0, 1.0))
    low, high = images[numbers[at]], images[numbers[at + 1]]
    return np.asarray(low + part * (high - low), dtype=np.float32)
