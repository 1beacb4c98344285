"""How a score ranks among all scores of its place: ``cs`` -> ``cs_cdf``.

The history of a place is a soft histogram on 21 nodes, so it's small, can be added to, and doesn't know the order of
the frames. From it comes

    F(s) = [Σ w_i · K(s, s_i) + α · F_prior(s)] / (Σ w_i + α)

with these decisions:

- ``w_i``: an observation counts by the share of ground it shows, ``0.1 + 0.9 · s_i``. Otherwise any thin cloud would
  rank high wherever thick cloud is common.
- ``K``: 1 where ``s_i`` is at most a tolerance of 0.05 above ``s``, falling to 0 over the next 0.10: near-ties count as
  ties, so a permanently clear desert isn't ranked into rejection. Below 0.5 the tolerance shrinks until, at ``s = 0``,
  nothing counts: opaque frames don't vouch for each other.
- Scores from 0.85 up are one tie ("confidently clear"): there F is exactly 1.
- The prior is worth α = 10 whole observations, and is the same everywhere: ``F_prior(s) = min(1, s / 0.85) ** 1.5``.
  It says 0.59 at 0.60, so a threshold of 0.60 means the same on the first frame as it does with a long history.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

NODES: Final = 21
"""Nodes of the histogram: scores 0, 0.05 … 1."""

CLEAR_NODE: Final = 17
"""Node from which on a score is confidently clear: 0.85."""

PRIOR_WEIGHT: Final = 10.0
"""What the prior is worth, in whole observations."""

_TOLERANCE: Final = 0.05
_RAMP: Final = 0.10
_FULL_TOLERANCE_FROM: Final = 0.5

_node_scores = np.linspace(0.0, 1.0, NODES)
_clipped = np.minimum(_node_scores, _node_scores[CLEAR_NODE])
_WEIGHTS: Final[FloatArray] = (0.1 + 0.9 * _node_scores).astype(np.float32)
PRIOR: Final[FloatArray] = ((_clipped / _node_scores[CLEAR_NODE]) ** 1.5).astype(np.float32)
"""Distribution function of scores at a place without history, at the 21 nodes."""


def _kernel() -> FloatArray:
    """(21, 21): how much a past score (column) counts as at or below a score (row), times its weight."""
    rise = np.minimum(_clipped / _FULL_TOLERANCE_FROM, 1.0)
    reach = _clipped + _TOLERANCE * rise - (_RAMP + 1e-9) * (1.0 - rise)
    at_or_below = np.clip(1.0 + (reach[:, None] - _clipped[None, :]) / _RAMP, 0.0, 1.0)
    at_or_below[0] = 0.0
    kernel: FloatArray = (at_or_below * _WEIGHTS).astype(np.float32)
    return kernel


_KERNEL: Final[FloatArray] = _kernel()


def histogram(cs: FloatArray) -> FloatArray:
    """Count the scores of a place: a soft histogram on 21 nodes.

    Each score is shared between its two neighbouring nodes, in proportion to its distance from them.

    Parameters
    ----------
    cs : float32 array (time, ...)
        Scores in [0, 1]; NaN = nodata, which counts nowhere.

    Returns
    -------
    float32 array (21, ...)
        Counts ≥ 0; their sum is the number of valid scores of the place.

    Examples
    --------
    >>> import numpy as np
    >>> counts = histogram(np.array([0.0, 0.525, np.nan], dtype="float32"))
    >>> counts[[0, 10, 11]]
    array([1. , 0.5, 0.5], dtype=float32)
    """
    counts = np.zeros((NODES, *cs.shape[1:]), dtype=np.float32)
    for frame in cs:
        valid = np.isfinite(frame)
        node, share = _place(np.where(valid, frame, np.float32(0.0)))
        _add(counts, node, np.where(valid, 1.0 - share, np.float32(0.0)))
        _add(counts, node + 1, np.where(valid, share, np.float32(0.0)))
    return counts


def merge(a: FloatArray, b: FloatArray) -> FloatArray:
    """Histogram of two histories together: their sum.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = np.float32([[0.2]]), np.float32([[0.9]])
    >>> bool((merge(histogram(first), histogram(second)) == histogram(np.concatenate([first, second]))).all())
    True
    """
    total: FloatArray = np.add(a, b, dtype=np.float32)
    return total


def rank(cs: FloatArray, counts: FloatArray) -> FloatArray:
    """Rank scores among all scores of their place: the distribution function ``F`` of this module's head.

    Parameters
    ----------
    cs : float32 array (time, ...)
        Scores in [0, 1]; NaN = nodata.
    counts : float32 array (21, ...)
        History of each place, from `histogram`; zeros where there is none yet.

    Returns
    -------
    float32 array, shape of ``cs``
        ``cs_cdf`` in [0, 1]; rising with ``cs`` at every place, 0 at 0, exactly 1 from 0.85 up; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> cs = np.float32([0.0, 0.6, 0.9])[:, None]
    >>> rank(cs, np.zeros((21, 1), dtype="float32")).ravel().round(2)
    array([0.  , 0.59, 1.  ], dtype=float32)
    """
    distribution = _distribution(counts)
    ranked = np.empty(cs.shape, dtype=np.float32)
    for frame, out in zip(cs, ranked, strict=True):
        valid = np.isfinite(frame)
        node, share = _place(np.where(valid, frame, np.float32(0.0)))
        below = np.take_along_axis(distribution, node[None], axis=0)[0]
        above = np.take_along_axis(distribution, node[None] + 1, axis=0)[0]
        # Not (1 − share)·below + share·above: that can miss 1 by a rounding where both are 1.
        out[...] = np.where(valid, below + share * (above - below), np.float32(np.nan))
    return ranked


def _place(cs: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Node at or below each score (at most the last but one), and the share that belongs to the node above."""
    position = np.clip(cs, 0.0, 1.0) * np.float32(NODES - 1)
    node = np.minimum(position.astype(np.intp), NODES - 2)
    return node, (position - node).astype(np.float32)


def _add(counts: FloatArray, node: NDArray[np.intp], share: FloatArray) -> None:
    """Add ``share`` to one node of each place, in place."""
    before = np.take_along_axis(counts, node[None], axis=0)
    np.put_along_axis(counts, node[None], before + share[None], axis=0)


def _distribution(counts: FloatArray) -> FloatArray:
    """Distribution function of each place at the 21 nodes, (21, ...)."""
    flat = counts.reshape(NODES, -1)
    weighted = _KERNEL @ flat
    # The last row counts everything: it's Σ w_i, and taking it for that makes F there exactly 1.
    total = weighted[-1] + np.float32(PRIOR_WEIGHT)
    function = (weighted + np.float32(PRIOR_WEIGHT) * PRIOR[:, None]) / total
    function[CLEAR_NODE:] = 1.0
    # Rounding must not break the order of the nodes.
    for below, above in pairwise(function):
        np.maximum(below, above, out=above)
    np.clip(function, 0.0, 1.0, out=function)
    result: FloatArray = function.reshape(counts.shape)
    return result
