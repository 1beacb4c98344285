"""The clear reference of a frame, as the network takes it: what the ground looks like, how surely, and since when.

The same few lines make it in training and in use, so that the network meets in use what it has learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.reference import closeness

FloatArray = NDArray[np.float32]

CLEAR_WEIGHT: Final = 0.5
"""Weight from which on a frame counts as having seen the ground: its date is the reference's age."""
_LEAST: Final = 0.02
"""Evidence below which there is no reference."""
SPREAD_TWENTY: Final = (4, 5)
"""B11 and B12 among the bands on the 20 m grid; the spread is told for these and for the four bands at 10 m."""


@dataclass(frozen=True)
class Ground:
    """Clear reference of one frame; NaN where there is none."""

    ten: FloatArray
    """(4, y, x) reflectance of B02, B03, B04, B08."""
    twenty: FloatArray
    """(9, y/2, x/2) reflectance of the other bands."""
    support: FloatArray
    """(8, y/2, x/2): spread of B02, B03, B04, B08, B11, B12, evidence (whole clear frames), days to the nearest."""


def ground_for(
    ten: FloatArray, twenty: FloatArray, weight: FloatArray, *, dates: NDArray[np.datetime64], frame: int
) -> Ground:
    """Clear reference of one frame from all the others.

    Parameters
    ----------
    ten : float32 array (time, 4, y, x)
        Reflectance; finite wherever the weight isn't 0.
    twenty : float32 array (time, 9, y/2, x/2)
        The same for the bands on the coarser grid; a band that isn't there is NaN throughout.
    weight : float32 array (time, y/2, x/2)
        How far each frame can be trusted, from `reference.trust`.
    dates : datetime64 array (time,)
    frame : int
        The one that is looked at; it never vouches for itself.

    Returns
    -------
    Ground

    Examples
    --------
    >>> dates = np.array(["2020-07-01", "2020-07-06"], dtype="datetime64[ns]")
    >>> ten, twenty = np.full((2, 4, 4, 4), 0.1, "float32"), np.full((2, 9, 2, 2), 0.2, "float32")
    >>> ground = ground_for(ten, twenty, np.ones((2, 2, 2), "float32"), dates=dates, frame=0)
    >>> ground.ten[0, 0, 0].round(2), ground.support[6:, 0, 0].round(1)
    (np.float32(0.1), array([0.9, 5. ], dtype=float32))
    """
    close = closeness(dates, dates[frame : frame + 1])[0].astype(np.float32)
    close[frame] = 0.0
    days = np.abs((dates - dates[frame]) / np.timedelta64(1, "D")).astype(np.float32)
    share = weight * close[:, None, None]
    count = share.sum(axis=0)
    known = count >= _LEAST
    scale = np.where(known, 1.0 / np.maximum(count, _LEAST), np.nan).astype(np.float32)
    share *= scale
    seen = np.nonzero(share.any(axis=(1, 2)))[0]
    means = halved(ten)
    centre_ten, centre_twenty = np.zeros_like(ten[0]), np.zeros_like(twenty[0])
    for index in seen:
        centre_ten += _weighed(ten[index], np.repeat(np.repeat(share[index], 2, 0), 2, 1))
        centre_twenty += _weighed(twenty[index], share[index])
    middle = np.concatenate([halved(centre_ten), centre_twenty[list(SPREAD_TWENTY)]])
    spread = np.zeros_like(middle)
    for index in seen:
        values = np.concatenate([means[index], twenty[index][list(SPREAD_TWENTY)]])
        spread += _weighed(np.square(values - middle), share[index])
    age = np.where(weight >= CLEAR_WEIGHT, days[:, None, None], np.float32(np.inf))
    age[frame] = np.inf
    nearest = np.where(known, np.minimum(age.min(axis=0), 1e4), np.nan)
    support = np.concatenate([np.sqrt(spread), np.where(known, count, np.nan)[None], nearest[None]])
    nothing = ~known
    centre_twenty[:, nothing] = np.nan
    centre_ten[:, np.repeat(np.repeat(nothing, 2, 0), 2, 1)] = np.nan
    return Ground(centre_ten, centre_twenty, support.astype(np.float32))


def no_ground(shape: tuple[int, int]) -> Ground:
    """Reference of a frame (y, x) that has none.

    Examples
    --------
    >>> bool(np.isnan(no_ground((4, 4)).support).all())
    True
    """
    rows, columns = shape
    half = (rows // 2, columns // 2)
    return Ground(*(np.full((n, *size), np.nan, dtype=np.float32) for n, size in ((4, shape), (9, half), (8, half))))


def _weighed(values: FloatArray, share: FloatArray) -> FloatArray:
    """Product that is 0 where the share is: nodata there mustn't spread."""
    return np.where(share > 0, values * share, np.float32(0.0))


def halved(values: FloatArray) -> FloatArray:
    """Means of 2 x 2 pixels; the last two axes have even lengths.

    Examples
    --------
    >>> halved(np.float32([[1, 2], [3, 4]]))
    array([[2.5]], dtype=float32)
    """
    half: FloatArray = 0.25 * (
        values[..., ::2, ::2] + values[..., 1::2, ::2] + values[..., ::2, 1::2] + values[..., 1::2, 1::2]
    )
    return half
