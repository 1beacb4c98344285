"""One round of teaching: a context network looks again at mined clips, and what it is sure of trains its successor.

Two opinions are weighed: the similarity of pairs (`similarity`) and the teacher, who knows the clear reference. What is
kept of a pixel:

* both say nearly the same: their mean;
* the teacher is sure (below 0.1 or above 0.9), and the other doesn't say the opposite: what the teacher says;
* else nothing: 255, which the loss leaves out;
* of white pixels only what is low: two deep ice clouds look like each other, and like snow, to both.

The teacher's mistakes that the pairs contradict go no further, and neither do those of the pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.errors import ArgumentError
from clearsight.progress import Progress, silent
from clearsight.training.bank import decode, shards_of
from clearsight.training.batches import Shard, open_shard
from clearsight.training.network import Network
from clearsight.training.relabel import frames_of, grounds_of, look
from clearsight.training.similarity import NODATA, conditions_of, encode, level_of, write_array

Array = NDArray[np.float32]

_NEAR: Final = 0.25
"""Opinions that differ by no more than this agree."""
_SURE: Final = 0.4
"""Distance from 0.5 from which on the teacher is sure."""
_OPPOSITE: Final = 0.5
"""Opinions that differ by more than this contradict each other, however sure one of them is."""
_WHITE: Final = 0.35
"""Reflectance in B02 from which on snow and deep cloud may be taken for each other."""
_LOW: Final = 0.4
"""Label above which nothing is kept of white pixels."""


def relabel_by_teacher(network: Network, folder: Path, *, progress: Progress = silent) -> float:
    """Replace ``cs.npy`` in every shard of a bank of mined clips by what teacher and similarity agree on.

    Parameters
    ----------
    network : Network
        Trained with context; in evaluation mode.
    folder : Path
        A bank that `similarity.label_by_similarity` has labelled and `relabel.add_trust` has weighed. Asked again, the
        outcome is the same: the opinion of the similarity stays in ``asim.npy``.
    progress : callable
        Told of every clip.

    Returns
    -------
    float
        Share of the valid pixels that have kept a label.

    Raises
    ------
    ArgumentError
        Labels or trust are missing.
    """
    kept = valid = 0
    shards = list(shards_of(folder))
    for number, path in enumerate(shards):
        shard = open_shard(path)
        missing = [name for name in ("asim", "trust") if name not in shard.arrays]
        if missing:
            raise ArgumentError(f"folder={str(folder)!r}: {path.name} has no {missing[0]}.npy; label the bank first.")
        clips = len(shard.arrays["facts"])
        labels = []
        for clip in range(clips):
            progress(number * clips + clip, len(shards) * clips, "teaching")
            first = np.asarray(shard.arrays["asim"][clip])
            blue = decode(np.asarray(shard.arrays["ten"][clip, :, 0]))
            labels.append(encode(without_white(agreed(_decoded(first), opinion(network, shard, clip)), blue)))
            kept += int((labels[-1] != NODATA).sum())
            valid += int((first != NODATA).sum())
        write_array(path / "cs.npy", np.stack(labels))
    open_shard.cache_clear()
    progress(1, 1, "teaching")
    return kept / max(valid, 1)


def opinion(network: Network, shard: Shard, clip: int) -> Array:
    """Scores (frame, y, x) of a mined clip, each frame beside the clear reference that the others make."""
    level = level_of(shard)
    ten, twenty = frames_of(shard.arrays, clip, level=level, names=shard.bands, real=True)
    grounds = grounds_of(shard.arrays, clip, ten, twenty)
    told = conditions_of(shard, clip, level=level, names=shard.bands)
    return look(network, ten, twenty, grounds=grounds, facts=told)


def agreed(first: Array, teacher: Array) -> Array:
    """Weigh two opinions about each pixel.

    Parameters
    ----------
    first, teacher : float32 arrays of one shape
        Scores, NaN = none.

    Returns
    -------
    float32 array
        The label; NaN where they don't agree, or either is missing.

    Examples
    --------
    >>> agreed(np.float32([0.6, 0.7, 0.2, 0.6]), np.float32([0.7, 0.99, 0.99, np.nan])).round(2)
    array([0.65, 0.99,  nan,  nan], dtype=float32)
    """
    apart = np.abs(first - teacher)
    sure = (np.abs(teacher - 0.5) >= _SURE) & (apart <= _OPPOSITE)
    with np.errstate(invalid="ignore"):
        label = np.where(apart <= _NEAR, (first + teacher) / 2, np.where(sure, teacher, np.nan))
    return np.asarray(label, dtype=np.float32)


def without_white(label: Array, blue: Array) -> Array:
    """Leave out what is said to be clear and is as white as snow.

    Parameters
    ----------
    label, blue : float32 arrays of one shape
        Scores, NaN = none; reflectance in B02.

    Returns
    -------
    float32 array
        The label; NaN where it is left out.

    Examples
    --------
    >>> without_white(np.float32([0.9, 0.9, 0.1]), np.float32([0.1, 0.6, 0.6]))
    array([0.9, nan, 0.1], dtype=float32)
    """
    with np.errstate(invalid="ignore"):
        return np.where((blue >= _WHITE) & (label > _LOW), np.float32(np.nan), label)


def _decoded(stored: NDArray[np.uint8]) -> Array:
    return np.where(stored == NODATA, np.nan, stored / np.float32(200)).astype(np.float32)
