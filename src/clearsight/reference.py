"""The clear reference of a place: what its ground looks like when nothing is in the way.

Per band the weighted mean of the frames of a place, where a frame counts by how clear it was there, how close it is in
time, and how close in season. A frame never vouches for itself (leave one out). Three things keep the mean honest:

- The weights rest on a weighted quantile of a brightness key: whatever is far above it is a cloud or haze that slipped
  through the quality. The quantile lies below the median because contamination brightens more than it darkens.
- A place that looks the same in a good share of all frames looks like that, however bright it is: frames that agree
  are trusted even if their quality says cloud. Clouds don't agree with each other; a white roof does.
- Weights are absolute, not normalised, so their sum says how much evidence there is. No evidence, no reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Dates = NDArray[np.datetime64]

_QUANTILE: Final = 0.35
_BREADTH: Final = 0.05
"""Half width of the window of shares over which a quantile is averaged."""
_FLOOR: Final = 0.02
"""Weight of a frame with quality 0 in the quantile: what decides where no frame is good."""
_AGREEMENT: Final = (0.02, 0.08)
"""Frames agree if their keys differ by less than this: absolute, and relative to the key."""
_PERMANENT: Final = (0.25, 0.45)
"""Share of agreeing frames from which on a look is taken for permanent: not at all, fully."""
_FEWEST_TO_AGREE: Final = 4
_DAYS_NEAR: Final = 40.0
_DAYS_SEASON: Final = 45.0
_SHARE_SEASON: Final = 0.25
_SHARE_ALWAYS: Final = 0.05
_YEAR: Final = 365.2425


@dataclass(frozen=True)
class Reference:
    """Clear reference of each pixel of a place, for one moment."""

    centre: FloatArray
    """(band, y, x) reflectance of the clear ground; NaN without any evidence."""
    spread: FloatArray
    """(band, y, x) weighted standard deviation of the clear frames around ``centre``."""
    recent: FloatArray
    """(band, y, x) reflectance in the nearest frame in time that was clear."""
    age: FloatArray
    """(y, x) days between that frame and the moment; NaN if no frame was clear."""
    count: FloatArray
    """(y, x) evidence: sum of the weights, in whole clear frames close in time or season."""


def trust(key: FloatArray, quality: FloatArray, valid: NDArray[np.bool_]) -> FloatArray:
    """Weigh each frame of each place by how far it can be trusted to show the ground.

    Parameters
    ----------
    key : float32 array (time, ...)
        A brightness that every cloud and haze raises: reflectance in the blue.
    quality : float32 array (time, ...)
        First score in [0, 1], from each frame alone.
    valid : bool array (time, ...)
        ``True`` where measured.

    Returns
    -------
    float32 array (time, ...)
        Weights in [0, 1]; 0 where not measured.
    """
    weight = np.where(valid, np.square(quality), np.float32(0.0))
    middle = weighted_quantile(key, weight + np.float32(_FLOOR) * valid, _QUANTILE)
    width = np.float32(_AGREEMENT[0]) + np.float32(_AGREEMENT[1]) * np.maximum(middle, 0.0)
    distance = (key - middle) / width
    agrees = np.exp(-np.square(distance)) * valid
    frames = valid.sum(axis=0, dtype=np.float32)
    share = agrees.sum(axis=0) / np.maximum(frames, 1.0)
    permanent = np.clip((share - _PERMANENT[0]) / (_PERMANENT[1] - _PERMANENT[0]), 0.0, 1.0)
    permanent = np.where(frames >= _FEWEST_TO_AGREE, permanent, np.float32(0.0))
    weight = np.maximum(weight, permanent * agrees)
    weight *= np.exp(-np.maximum(distance - 1.0, 0.0))
    result: FloatArray = weight.astype(np.float32, copy=False)
    return result


def weighted_quantile(values: FloatArray, weights: FloatArray, share: float) -> FloatArray:
    """Quantile along the first axis, averaged over the shares near the one asked for.

    A plain quantile jumps from one value to the next when the weights change by a rounding error, and with it a score
    would depend on the order of its frames and on the size of its chunks. The mean of the quantiles of
    ``share ± 0.05`` moves steadily.

    Parameters
    ----------
    values, weights : float32 arrays (time, ...)
        Weights ≥ 0; where all are 0 the smallest value is returned.
    share : float
        In [0.05, 0.95].

    Returns
    -------
    float32 array (...)

    Examples
    --------
    >>> import numpy as np
    >>> weighted_quantile(np.float32([3.0, 1.0, 2.0]), np.float32([1.0, 1.0, 0.0]), 0.6)
    np.float32(3.0)
    """
    order = np.argsort(values, axis=0)
    ranked = np.take_along_axis(values, order, axis=0)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    total = reached[-1].copy()
    # What each value covers of the window: its stretch of the cumulative weight, cut to the window's ends.
    np.clip(reached, np.float32(share - _BREADTH) * total, np.float32(share + _BREADTH) * total, out=reached)
    covered = np.diff(reached, axis=0, prepend=np.float32(share - _BREADTH) * total[None])
    window = reached[-1] - np.float32(share - _BREADTH) * total
    with np.errstate(invalid="ignore"):
        quantile = (ranked * covered).sum(axis=0) / window
    result: FloatArray = np.where(window > 0, quantile, ranked[0]).astype(np.float32)
    return result[()]


def closeness(dates: Dates, at: Dates) -> NDArray[np.float64]:
    """How much a frame says about the ground at another moment: 1 on the same day, falling with time and season.

    Parameters
    ----------
    dates, at : datetime64 arrays (n,) and (m,)

    Returns
    -------
    float64 array (m, n)
        In (0, 1]. A frame of the same day of another year counts about a quarter.

    Examples
    --------
    >>> import numpy as np
    >>> days = np.array(["2020-07-01", "2021-07-01", "2021-01-01"], dtype="datetime64[ns]")
    >>> closeness(days, days[:1]).round(2)
    array([[1.  , 0.3 , 0.06]])
    """
    days = _days(dates)[None, :] - _days(at)[:, None]
    close: NDArray[np.float64] = recency(days) + seasonal(days)
    return close


def recency(days: NDArray[np.float64]) -> NDArray[np.float64]:
    """What nearness in time adds to `closeness`: 0.7 on the same day, a third of it after forty days.

    Examples
    --------
    >>> import numpy as np
    >>> recency(np.array([0.0, 40.0])).round(2)
    array([0.7 , 0.26])
    """
    near: NDArray[np.float64] = (1.0 - _SHARE_SEASON - _SHARE_ALWAYS) * np.exp(-np.abs(days) / _DAYS_NEAR)
    return near


def seasonal(days: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the season adds to `closeness`, and what every frame has: 0.3 on the same day of any year.

    Examples
    --------
    >>> import numpy as np
    >>> seasonal(np.array([0.0, 182.6])).round(2)
    array([0.3 , 0.05])
    """
    season = np.abs((days + _YEAR / 2) % _YEAR - _YEAR / 2)
    same: NDArray[np.float64] = _SHARE_SEASON * np.exp(-0.5 * np.square(season / _DAYS_SEASON)) + _SHARE_ALWAYS
    return same


def _days(dates: Dates) -> NDArray[np.float64]:
    return np.asarray(dates).astype("datetime64[s]").astype(np.float64) / 86_400.0


def others(dates: Dates) -> NDArray[np.float64]:
    """Weights (time, time) of every frame for every other one: `closeness`, and 0 for a frame itself."""
    weights = closeness(dates, dates)
    np.fill_diagonal(weights, 0.0)
    return weights


def leave_one_out(values: FloatArray, weight: FloatArray, close: NDArray[np.float64]) -> tuple[FloatArray, FloatArray]:
    """Clear reference of every frame from all the others.

    Parameters
    ----------
    values : float32 array (time, band, ...)
        Reflectance; finite also where not measured (the weight is 0 there).
    weight : float32 array (time, ...)
        From `trust`.
    close : float64 array (time, time)
        From `others`.

    Returns
    -------
    centre : float32 array (time, band, ...)
        Weighted mean of the other frames; 0 where there is no evidence.
    count : float32 array (time, ...)
        Evidence: sum of weights.
    """
    frames = len(weight)
    kernel = close.astype(np.float32)
    count = (kernel @ weight.reshape(frames, -1)).reshape(weight.shape)
    weighted = values * weight[:, None]
    centre = (kernel @ weighted.reshape(frames, -1)).reshape(values.shape)
    centre /= np.maximum(count, np.float32(1e-6))[:, None]
    return centre, count


def clear_reference(values: FloatArray, weight: FloatArray, dates: Dates, *, at: np.datetime64) -> Reference:
    """Clear reference of a place for one moment, from all frames given.

    Parameters
    ----------
    values : float32 array (time, band, y, x)
        Reflectance; finite also where not measured (the weight is 0 there).
    weight : float32 array (time, y, x)
        From `trust`; frames that must not vouch (the one to be scored) have weight 0.
    dates : datetime64 array (time,)
    at : datetime64
        Moment the reference is for.

    Returns
    -------
    Reference

    Examples
    --------
    >>> import numpy as np
    >>> values = np.full((3, 1, 1, 1), 0.1, dtype="float32")
    >>> dates = np.array(["2020-07-01", "2020-07-06", "2020-07-11"], dtype="datetime64[ns]")
    >>> ground = clear_reference(values, np.ones((3, 1, 1), dtype="float32"), dates, at=dates[-1])
    >>> ground.centre.item(), ground.age.item()
    (0.10000000149011612, 0.0)
    """
    close = closeness(dates, np.array([at]))[0].astype(np.float32)
    share = weight * close[:, None, None]
    count = share.sum(axis=0)
    scale = 1.0 / np.where(count > 0, count, np.float32(np.nan))
    centre = (values * share[:, None]).sum(axis=0) * scale
    spread = np.sqrt((np.square(values - centre) * share[:, None]).sum(axis=0) * scale)
    age, recent = _nearest_clear(values, weight, np.abs(_days(dates) - _days(np.array([at]))))
    return Reference(centre=centre, spread=spread, recent=recent, age=age, count=count)


def _nearest_clear(
    values: FloatArray, weight: FloatArray, ages: NDArray[np.float64], clear_from: float = 0.5
) -> tuple[FloatArray, FloatArray]:
    """Age (y, x) and reflectance (band, y, x) of the nearest frame in time with a weight of at least ``clear_from``."""
    age = np.full(weight.shape[1:], np.nan, dtype=np.float32)
    recent = np.full(values.shape[1:], np.nan, dtype=np.float32)
    for index in np.argsort(ages, kind="stable"):
        new = np.isnan(age) & (weight[index] >= clear_from)
        age[new] = ages[index]
        recent[:, new] = values[index][:, new]
    return age, recent
