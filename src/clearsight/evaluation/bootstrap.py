"""Confidence intervals that know that neighbouring pixels, and images of one place, tell the same story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearsight.evaluation.metrics import Counts, Floats
from clearsight.evaluation.tally import Tally

Statistic = Callable[[Counts, Counts], Floats]
"""From the histograms ``usable`` and ``unusable``, (..., BINS), to numbers (...)."""


@dataclass(frozen=True)
class Estimate:
    """A number and how sure it is."""

    value: float
    low: float
    high: float
    """Bounds of the 95 % interval; NaN with fewer than two places."""


def estimate(tally: Tally, statistic: Statistic, *, replicates: int = 1000, seed: int = 0) -> Estimate:
    """Estimate a metric with its 95 % interval: whole places are drawn with replacement.

    Percentiles of the block bootstrap (Efron & Tibshirani 1993, chapter 8); a block is a place with all its dates.

    Parameters
    ----------
    tally : Tally
        Counted images.
    statistic : function
        From ``usable`` and ``unusable`` histograms to a number; takes leading axes.
    replicates : int
        Bootstrap samples.
    seed : int
        Same seed, same interval.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> from clearsight.evaluation.metrics import kept
    >>> from clearsight.evaluation.tally import Row, join
    >>> counts = np.zeros((8, 201), dtype=np.int64)
    >>> counts[0, 180] = 5
    >>> row = Row("a", "place", "", "summer")
    >>> estimate(join([(row, counts)]), lambda usable, unusable: kept(usable, 0.6)).value
    1.0
    """
    usable, unusable = by_place(tally)
    value = float(statistic(usable.sum(0), unusable.sum(0)))
    places = len(usable)
    if places < 2 or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).multinomial(places, np.full(places, 1 / places), size=replicates)
    spread = statistic(drawn @ usable, drawn @ unusable)
    spread = spread[np.isfinite(spread)]
    if spread.size == 0:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(spread, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def by_place(tally: Tally) -> tuple[Counts, Counts]:
    """Histograms (place, BINS) of usable and unusable pixels."""
    names = sorted({row.place for row in tally.rows})
    number = {name: i for i, name in enumerate(names)}
    of_row: NDArray[np.int64] = np.array([number[row.place] for row in tally.rows], dtype=np.int64)
    sums = []
    for counts in (tally.usable, tally.unusable):
        out = np.zeros((len(names), counts.shape[1]), dtype=np.int64)
        np.add.at(out, of_row, counts)
        sums.append(out)
    return sums[0], sums[1]
