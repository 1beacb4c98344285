"""How well scores tell usable pixels from unusable ones: metrics of histograms of scores.

Scores are counted in `BINS` bins of 1/200, the steps in which the product stores them, so that any set, however large,
fits in memory and every threshold of the product is exact. "Positive" is *usable* unless a name says otherwise. All
functions take ``usable`` and ``unusable``, the histograms ``(..., BINS)`` of the pixels that are truly so; leading axes
are kept, as bootstrap replicates or groups.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

STEPS: Final = 200
BINS: Final = STEPS + 1
"""Bin ``b`` holds scores from ``b / 200`` up to the next step; the last holds 1."""

THRESHOLDS: Final = (0.50, 0.55, 0.60, 0.65)
_SLACK: Final = 2e-4
"""A score stored as 0.6 may come back a little less (in steps); it counts as 0.6."""


def bin_of(scores: ArrayLike) -> NDArray[np.int64]:
    """Bin of each score in [0, 1]; scores outside count as 0 or 1.

    Examples
    --------
    >>> bin_of(np.float32([0.0, 0.6, 0.6049, 1.0])).tolist()
    [0, 120, 120, 200]
    """
    return np.clip(np.floor(np.asarray(scores, np.float64) * STEPS + _SLACK), 0, STEPS).astype(np.int64)


def histogram(scores: ArrayLike, where: NDArray[np.bool_]) -> Counts:
    """Count the scores of the pixels where ``where`` is true; NaN is left out.

    Examples
    --------
    >>> int(histogram([0.2, 0.9, np.nan], np.array([True, True, True])).sum())
    2
    """
    chosen = np.asarray(scores)[where]
    return np.bincount(bin_of(chosen[np.isfinite(chosen)]), minlength=BINS).astype(np.int64)


def kept(counts: NDArray[np.int64], threshold: float) -> Floats:
    """Share of pixels that score at least ``threshold``; NaN where there are none.

    Parameters
    ----------
    counts : int array (..., BINS)
        Histogram of scores.
    threshold : float
        0 … 1.

    Returns
    -------
    float64 array (...)

    Examples
    --------
    >>> float(kept(histogram([0.2, 0.6, 0.9], np.ones(3, bool)), 0.6).round(3))
    0.667
    """
    return _ratio(counts[..., int(bin_of(threshold)) :].sum(-1), counts.sum(-1))


def balanced_accuracy(usable: Counts, unusable: Counts, threshold: float) -> Floats:
    """Mean of the share of usable pixels kept and of unusable pixels dropped.

    Examples
    --------
    >>> pair = histogram([0.9, 0.8], np.ones(2, bool)), histogram([0.1, 0.7], np.ones(2, bool))
    >>> float(balanced_accuracy(*pair, 0.6))
    0.75
    """
    return 0.5 * (kept(usable, threshold) + 1.0 - kept(unusable, threshold))


def f1_usable(usable: Counts, unusable: Counts, threshold: float) -> Floats:
    """Harmonic mean of precision and recall of keeping usable pixels (van Rijsbergen's F1)."""
    found = _at_least(usable, threshold)
    return _ratio(2 * found, found + _at_least(unusable, threshold) + usable.sum(-1))


def f1_unusable(usable: Counts, unusable: Counts, threshold: float) -> Floats:
    """Harmonic mean of precision and recall of dropping unusable pixels."""
    found = unusable.sum(-1) - _at_least(unusable, threshold)
    dropped = found + usable.sum(-1) - _at_least(usable, threshold)
    return _ratio(2 * found, dropped + unusable.sum(-1))


def precision(usable: Counts, unusable: Counts, threshold: float) -> Floats:
    """Share of the kept pixels that are usable; NaN where none is kept."""
    right = _at_least(usable, threshold)
    return _ratio(right, right + _at_least(unusable, threshold))


def roc(usable: Counts, unusable: Counts) -> tuple[Floats, Floats]:
    """Curve of receiver operating characteristic: (share of unusable kept, share of usable kept), each (..., BINS + 1).

    From "keep nothing" at (0, 0) to "keep all" at (1, 1), one point for each step of the threshold.
    """
    return _shares(unusable), _shares(usable)


def roc_area(usable: Counts, unusable: Counts) -> Floats:
    """Area under the ROC: how often a usable pixel outscores an unusable one, ties count half (Hanley, McNeil 1982).

    Examples
    --------
    >>> pair = histogram([0.9, 0.7], np.ones(2, bool)), histogram([0.1, 0.7], np.ones(2, bool))
    >>> float(roc_area(*pair))
    0.875
    """
    below = np.cumsum(unusable, axis=-1) - unusable
    wins = (usable * (below + 0.5 * unusable)).sum(-1)
    return _ratio(wins, usable.sum(-1).astype(np.float64) * unusable.sum(-1))


def precision_recall(usable: Counts, unusable: Counts) -> tuple[Floats, Floats]:
    """Precision and recall of keeping usable pixels, each (..., BINS), the highest threshold first."""
    right = np.cumsum(usable[..., ::-1], axis=-1)
    wrong = np.cumsum(unusable[..., ::-1], axis=-1)
    return _ratio(right, right + wrong), _ratio(right, usable.sum(-1)[..., None])


def average_precision(usable: Counts, unusable: Counts) -> Floats:
    """Area under precision and recall as the sum of precision times gain in recall: no interpolation.

    To tell how unusable pixels are found, give ``unusable[::-1], usable[::-1]``.

    Examples
    --------
    >>> pair = histogram([0.9, 0.5], np.ones(2, bool)), histogram([0.1, 0.7], np.ones(2, bool))
    >>> float(average_precision(*pair).round(4))
    0.8333
    """
    exact, recall = precision_recall(usable, unusable)
    gain = np.diff(recall, axis=-1, prepend=0.0)
    area = np.where(gain > 0, np.nan_to_num(exact) * gain, 0.0).sum(-1)
    return np.asarray(np.where(usable.sum(-1) > 0, area, np.nan))


def calibration(usable: Counts, unusable: Counts, *, parts: int = 10) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """What share of the pixels of a score is usable.

    Parameters
    ----------
    usable, unusable : int arrays (BINS,)
        Histograms of scores.
    parts : int
        Groups of scores; must divide 200. The score 1 belongs to the last.

    Returns
    -------
    score, share : float64 arrays (parts,)
        Mean score (of the bins' lower edges) and usable share of each group; NaN where it's empty.
    pixels : int64 array (parts,)
    """
    edges = np.arange(0, STEPS, STEPS // parts)
    right, all_of = (np.add.reduceat(counts, edges) for counts in (usable, usable + unusable))
    weight = np.add.reduceat((usable + unusable) * (np.arange(BINS) / STEPS), edges)
    return _ratio(weight, all_of), _ratio(right, all_of), all_of


def _at_least(counts: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    return np.asarray(counts[..., int(bin_of(threshold)) :].sum(-1), dtype=np.int64)


def _shares(counts: NDArray[np.int64]) -> Floats:
    """Share at or above each step, from none to all, (..., BINS + 1)."""
    from_top = np.cumsum(counts[..., ::-1], axis=-1)
    start = np.zeros((*counts.shape[:-1], 1), dtype=np.int64)
    return _ratio(np.concatenate([start, from_top], axis=-1), counts.sum(-1)[..., None])


def _ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.asarray(part, np.float64) / np.asarray(whole, np.float64))
