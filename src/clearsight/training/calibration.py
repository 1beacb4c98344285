"""What a raw score means: a rising curve from what the network says to ``cs``, fitted on clips it wasn't trained on.

Two kinds of material:

* simulated clips, where the truth is known: raw score and ``cs``;
* mined real clips, where a scene classification is confident (vegetation, soil, water: usable; shadow, cloud of medium
  or high probability: not). A class has no score of its own; it gets the median ``cs`` that usable and unusable
  simulated pixels have, and both sides of it weigh the same. All of them weigh a quarter of the simulated ones: a
  confident classification leaves out what is hard, which simulation doesn't.

Isotonic regression (Barlow et al. 1972) through the medians of narrow ranges of raw scores; straight lines between. So
the truth lies above a calibrated score as often as below it, which is also what keeps the absolute error small. Means
would draw sure scores towards the middle, since what is wrong about a sure score is wrong on one side only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from clearsight.bands import Level
from clearsight.context import no_ground
from clearsight.errors import ArgumentError
from clearsight.progress import Progress, silent
from clearsight.training.bank import shards_of
from clearsight.training.batches import Shard, draw_bands, open_shard
from clearsight.training.network import Network
from clearsight.training.relabel import frames_of, grounds_of, look
from clearsight.training.similarity import conditions_of

Array = NDArray[np.float32]
Knots = tuple[tuple[float, ...], tuple[float, ...]]

USABLE: Final = (4, 5, 6)
UNUSABLE: Final = (3, 8, 9)
_MEANING: Final = 0.6
"""Score from which on a pixel is usable."""
_REAL_WEIGHT: Final = 0.25
_RANGES: Final = 24
_EVERY: Final = 3
"""Pixels between those that are taken: neighbours say the same."""


@dataclass(frozen=True)
class Answers:
    """What a network says about pixels, and what is true."""

    raw: Array
    """(n,) 0 … 1."""
    truth: Array
    """(n,) ``cs``, 0 … 1; of real pixels 1 = usable, 0 = not."""

    def half(self, which: int) -> Answers:
        """One of two halves, first pixels or last: clips follow one another, so they share hardly a place."""
        middle = len(self.raw) // 2
        part = slice(middle) if which == 0 else slice(middle, None)
        return Answers(self.raw[part], self.truth[part])


def answers(network: Network, folder: Path, *, context: bool, clips: int = 64, progress: Progress = silent) -> Answers:
    """Ask a network about simulated clips, each with a level and bands drawn for it.

    Parameters
    ----------
    network : Network
        In evaluation mode.
    folder : Path
        A bank of simulated clips; with trust if ``context``.
    context : bool
        Give every frame the clear reference of its clip.
    clips : int
        At most so many, the first ones.
    progress : callable
        Told of every clip.
    """
    found: list[tuple[Array, Array]] = []
    for number, (shard, clip) in enumerate(_clips([folder], clips)):
        progress(number, clips, "asking about simulated clips")
        rng = np.random.default_rng([313, number])
        level: Level = "L2A" if rng.random() < 0.45 else "L1C"
        names = draw_bands(rng, level=level)
        ten, twenty = frames_of(shard.arrays, clip, level=level, names=names)
        told = conditions_of(shard, clip, level=level, names=names)
        grounds = grounds_of(shard.arrays, clip, ten, twenty) if context else None
        raw = look(network, ten, twenty, grounds=grounds, facts=told)
        stored = np.asarray(shard.arrays["cs"][clip])
        found.append(_sampled(raw, stored.astype(np.float32) / np.float32(200), known=stored != 255))
    progress(clips, clips, "asking about simulated clips")
    return _joined(found, folder)


def real_answers(network: Network, folders: Sequence[Path], *, clips: int = 96, progress: Progress = silent) -> Answers:
    """Ask a network about mined clips whose scene classification is confident; half of them without context."""
    found: list[tuple[Array, Array]] = []
    for number, (shard, clip) in enumerate(_clips(folders, clips)):
        progress(number, clips, "asking about real clips")
        if "scl" not in shard.arrays or shard.level is None:
            continue
        ten, twenty = frames_of(shard.arrays, clip, level=shard.level, names=shard.bands, real=True)
        grounds = grounds_of(shard.arrays, clip, ten, twenty)
        if number % 2:
            grounds = [no_ground((ten.shape[2], ten.shape[3]))] * len(ten)
        told = conditions_of(shard, clip, level=shard.level, names=shard.bands)
        raw = look(network, ten, twenty, grounds=grounds, facts=told)
        classes = np.asarray(shard.arrays["scl"][clip]).repeat(2, axis=1).repeat(2, axis=2)
        usable = np.isin(classes, USABLE)
        found.append(_sampled(raw, usable.astype(np.float32), known=usable | np.isin(classes, UNUSABLE)))
    progress(clips, clips, "asking about real clips")
    return _joined(found, *folders)


def calibrate(simulated: Sequence[Answers], real: Answers | None = None) -> Knots:
    """Fit the curve from raw score to ``cs``.

    Parameters
    ----------
    simulated : sequence of Answers
        From `answers`, with and without context.
    real : Answers, optional
        From `real_answers`.

    Returns
    -------
    (raw, score) : two tuples of float
        Both rise from 0 to 1; straight lines between.

    Raises
    ------
    ArgumentError
        Nothing was asked.

    Examples
    --------
    >>> raw = np.linspace(0, 1, 1001, dtype="float32")
    >>> knots = calibrate([Answers(raw, np.square(raw))])
    >>> bool(abs(np.interp(0.5, *knots) - 0.25) < 0.01)
    True
    """
    raw = np.concatenate([one.raw for one in simulated]).astype(np.float64)
    truth = np.concatenate([one.truth for one in simulated]).astype(np.float64)
    weight = np.full(len(raw), 1 / max(len(raw), 1))
    good = truth >= _MEANING
    if real is not None and good.any() and not good.all() and 0 < real.truth.mean() < 1:
        side = real.truth > 0.5
        raw = np.concatenate([raw, real.raw])
        truth = np.concatenate([truth, np.where(side, np.median(truth[good]), np.median(truth[~good]))])
        weight = np.concatenate([weight, _REAL_WEIGHT / 2 / np.where(side, side.sum(), (~side).sum())])
    if not len(raw):
        raise ArgumentError("simulated holds no pixels; ask the network about a bank first.")
    # Most scores lie at either end: ranges of the same width there, and of the same number of pixels between.
    edges = np.unique(np.concatenate([np.quantile(raw, np.linspace(0, 1, _RANGES)), np.linspace(0, 1, _RANGES)]))
    place = np.clip(np.searchsorted(edges, raw, side="right") - 1, 0, len(edges) - 2)
    total = np.bincount(place, weight, minlength=len(edges) - 1)
    seen = total > 0
    at = np.bincount(place, weight * raw, minlength=len(total))[seen] / total[seen]
    rising = isotonic_regression(_medians(place, truth, weight), weights=total[seen]).x
    inside = (at > 1e-3) & (at < 1 - 1e-3)
    knots = [(0.0, 0.0), *zip(at[inside].tolist(), np.clip(rising[inside], 0, 1).tolist(), strict=True), (1.0, 1.0)]
    return tuple(round(x, 5) for x, _ in knots), tuple(round(y, 5) for _, y in knots)


def _medians(place: NDArray[np.intp], values: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted median of the values at each place that has any."""
    order = np.lexsort((values, place))
    place, values, weight = place[order], values[order], weight[order]
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    parts = zip(np.split(values, starts[1:]), np.split(weight, starts[1:]), strict=True)
    return np.array([part[np.searchsorted(np.cumsum(heavy), heavy.sum() / 2)] for part, heavy in parts])


def error_and_area(found: Answers, knots: Knots = ((0.0, 1.0), (0.0, 1.0))) -> tuple[float, float]:
    """Mean absolute error of the score, and the area under the ROC for ``cs`` of 0.6 or more.

    Examples
    --------
    >>> error_and_area(Answers(np.float32([0.1, 0.9]), np.float32([0.0, 1.0])))
    (0.1, 1.0)
    """
    score = np.interp(found.raw, *knots)
    good = found.truth >= _MEANING
    order = np.argsort(found.raw, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    pairs = float(good.sum()) * float((~good).sum())
    area = (rank[good].sum() - good.sum() * (good.sum() + 1) / 2) / pairs if pairs else np.nan
    return round(float(np.abs(score - found.truth).mean()), 4), round(float(area), 4)


def _clips(folders: Sequence[Path], limit: int) -> list[tuple[Shard, int]]:
    """The first clips of each shard in turn, so that no place has them all."""
    shards = [open_shard(path) for folder in folders for path in shards_of(folder)]
    longest = max((len(shard.arrays["facts"]) for shard in shards), default=0)
    turns = [(shard, clip) for clip in range(longest) for shard in shards if clip < len(shard.arrays["facts"])]
    return turns[:limit]


def _sampled(raw: Array, truth: Array, *, known: NDArray[np.bool_]) -> tuple[Array, Array]:
    step = np.s_[:, ::_EVERY, ::_EVERY]
    taken = known[step] & np.isfinite(raw[step])
    return raw[step][taken], truth[step][taken]


def _joined(found: Sequence[tuple[Array, Array]], *folders: Path) -> Answers:
    if not found:
        raise ArgumentError(
            f"folders={[str(folder) for folder in folders]} hold nothing to ask about; fill them first."
        )
    raw, truth = (np.concatenate([pair[i] for pair in found]).astype(np.float32) for i in range(2))
    return Answers(raw, truth)
