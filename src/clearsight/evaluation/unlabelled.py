"""How good a mask is without any label: what survives it should be smooth in time, and there should be much of it.

Ground changes slowly; clouds and shadows don't. So the noise of the values that a mask keeps tells what it let through.
A mask that drops more looks smoother: noise is only comparable at the same availability, which is given too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import spearmanr

from clearsight.bands import BANDS, Level
from clearsight.errors import ArgumentError
from clearsight.evaluation.peers.protocol import Method
from clearsight.evaluation.samples import BoolArray, FloatArray

LONGEST_GAP: Final = 60.0
"""Days from the first to the last of three observations; over more, the ground itself changes."""
_LEAST_TRIPLES: Final = 50
_LEAST_PIXELS: Final = 100
_DARKEST: Final = 0.02
"""Reflectance of the darkest ground that distances are relative to."""


@dataclass(frozen=True)
class Survival:
    """What a mask leaves of a series."""

    score: str
    threshold: float
    availability: float
    """Share of the valid observations that it keeps."""
    noise: dict[str, float]
    """By band: reflectance; NaN where too little is kept to tell."""
    matched: dict[str, float]
    """The same when the first method's score is cut where it keeps just as much as this one: by band."""
    later: float
    """Rank correlation of the score and minus the distance from what the place looks like, as known later."""


def survey(stack: xr.Dataset, *, level: Level, methods: Sequence[Method]) -> list[Survival]:
    """Compare masks on a series of one place, without labels.

    Parameters
    ----------
    stack : xr.Dataset
        Series in time, cloudy frames included.
    level : {"L1C", "L2A"}
        What the reflectance is.
    methods : sequence of Method
        The first is ours; those that can't run here are left out.

    Returns
    -------
    list of Survival
        First "no mask", then one for each score.

    Raises
    ------
    ArgumentError
        The series has fewer than three frames.
    """
    if stack.sizes["time"] < 3:
        raise ArgumentError(f"stack has {stack.sizes['time']} frames; expected at least three, in time.")
    bands = [name for name in BANDS if name in stack]
    values = np.stack([stack[name].transpose("time", "y", "x").values for name in bands], axis=1)
    values = values.reshape(*values.shape[:2], -1).astype(np.float32)
    days = (stack.time.values - stack.time.values[0]) / np.timedelta64(1, "D")
    valid = np.isfinite(values).all(axis=1)
    scores, cuts = {"no mask": np.where(valid, np.float32(1), np.nan)}, {"no mask": 0.0}
    for method in methods:
        if method.obstacle(stack, level=level) is None:
            for name, planes in method.run(stack, level=level).scores.items():
                scores[name] = np.where(valid, planes.reshape(valid.shape), np.nan)
                cuts[name] = method.threshold
    kept = {name: np.nan_to_num(score, nan=-1.0) >= cuts[name] for name, score in scores.items()}
    distance = _later_distance(values, np.logical_and.reduce(list(kept.values())), days)
    ours = list(scores)[1] if len(scores) > 1 else "no mask"
    return [
        Survival(
            score=name,
            threshold=cuts[name],
            availability=float(kept[name].sum() / valid.sum()),
            noise=_by_band(values, kept[name], days, bands),
            matched=_by_band(values, _as_much(scores[ours], int(kept[name].sum())), days, bands),
            later=_agreement(scores[name], distance),
        )
        for name in scores
    ]


def noise(values: FloatArray, kept: BoolArray, days: NDArray[np.float64]) -> float:
    """Noise of a series: how far the middle of three kept observations lies from the line between its neighbours.

    Root mean square over all such triples of a pixel's kept observations, divided by what pure noise of unit variance
    gives, so that it is the standard deviation of the noise (after Vermote, Justice & Bréon 2009,
    doi:10.1109/TGRS.2008.2005977).

    Parameters
    ----------
    values : float32 array (time, pixel)
        Reflectance in the order of time.
    kept : bool array (time, pixel)
        ``True`` = used.
    days : float64 array (time,)
        Time in days, increasing.

    Returns
    -------
    float
        Reflectance; NaN with fewer than 50 triples.

    Examples
    --------
    >>> line = np.linspace(0, 1, 60, dtype="float32")[:, None] * np.ones(3, "float32")
    >>> noise(line, np.ones((60, 3), bool), np.arange(60.0)) < 1e-6
    True
    """
    line, share, near = _between(values[:, None], kept, days)
    near &= kept
    if near.sum() < _LEAST_TRIPLES:
        return float("nan")
    off = (values - line[:, 0])[near] ** 2 / (1 + share**2 + (1 - share) ** 2)[near]
    return float(np.sqrt(off.mean()))


def _between(
    values: FloatArray, kept: BoolArray, days: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], BoolArray]:
    """Values (time, band, pixel) on the line between the kept observations before and after each, itself left out.

    Also the place on that line, 0 … 1, and where both neighbours exist within `LONGEST_GAP`, (time, pixel).
    """
    moments = len(days)
    number = np.arange(moments)[:, None]
    before = np.full(kept.shape, -1)
    before[1:] = np.maximum.accumulate(np.where(kept, number, -1), axis=0)[:-1]
    after = np.full(kept.shape, moments)
    after[:-1] = np.minimum.accumulate(np.where(kept, number, moments)[::-1], axis=0)[::-1][1:]
    there = (before >= 0) & (after < moments)
    before, after = np.where(there, before, 0), np.where(there, after, 0)
    span = days[after] - days[before]
    near = np.asarray(there & (span > 0) & (span <= LONGEST_GAP))
    share = (days[:, None] - days[before]) / np.where(near, span, 1.0)
    ends = [np.take_along_axis(values, at[:, None], axis=0) for at in (before, after)]
    return ends[0] * (1 - share[:, None]) + ends[1] * share[:, None], share, near


def _by_band(values: FloatArray, kept: BoolArray, days: NDArray[np.float64], bands: list[str]) -> dict[str, float]:
    return {name: noise(values[:, i], kept, days) for i, name in enumerate(bands)}


def _as_much(scores: NDArray[np.floating[Any]], many: int) -> BoolArray:
    """The ``many`` observations with the highest scores; ties at the cut are all kept."""
    flat = np.sort(scores[np.isfinite(scores)])
    cut = flat[max(flat.size - many, 0)] if many and flat.size else np.inf
    return np.asarray(np.nan_to_num(scores, nan=-1.0) >= cut)


def _later_distance(values: FloatArray, agreed: BoolArray, days: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each observation lies from the line between the clear ones before and after it, (time, pixel).

    Clear is what all methods agree on, so that none is its own judge; relative to the brightness of the ground, over
    all bands; NaN where there's no clear observation on both sides within `LONGEST_GAP`.
    """
    line, _, near = _between(values, agreed, days)
    off = np.sqrt(np.mean((values - line) ** 2, axis=1)) / np.maximum(line.mean(axis=1), _DARKEST)
    return np.where(near, off, np.nan)


def _agreement(scores: NDArray[np.floating[Any]], distance: NDArray[np.float64]) -> float:
    known = np.isfinite(distance) & np.isfinite(scores)
    if known.sum() < _LEAST_PIXELS or np.ptp(scores[known]) == 0:
        return float("nan")
    return float(spearmanr(scores[known], -distance[known]).statistic)
