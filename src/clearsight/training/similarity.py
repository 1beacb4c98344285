"""Labels for mined clips: what frames have in common says which of them are clear.

The atmospheric similarity of two frames of a place is ``min(q_i, q_j)``: two clear frames are alike but for their
ground, and nothing is like a cloud. So ``max over j of min(q_i, q_j) = q_i`` for every frame but the clearest of its
pixel: a network that has learned the similarity of pairs on simulated clips (`batches.Draw` with ``pair``) labels a
series that nobody has labelled (Pasquarella et al. 2023, doi:10.1109/CVPRW59228.2023.00206).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import Level
from clearsight.context import Ground
from clearsight.errors import ArgumentError
from clearsight.model import View, conditions
from clearsight.progress import Progress, silent
from clearsight.training.bank import FACTS, shards_of
from clearsight.training.batches import Shard, in_the_place_of_the_reference, open_shard
from clearsight.training.network import Network
from clearsight.training.relabel import frames_of, look

Array = NDArray[np.float32]

NODATA: Final = 255


def label_by_similarity(network: Network, folder: Path, *, progress: Progress = silent) -> None:
    """Write ``cs.npy`` into every shard of a bank of mined clips: the score of each frame, from its likeness to others.

    Parameters
    ----------
    network : Network
        Trained on pairs; in evaluation mode.
    folder : Path
        A bank from `mining.mine`. Labels of a shard are replaced as a whole: uint8, 200 = 1, 255 = nodata. They are
        kept in ``asim.npy``, too, as the first of the opinions that `teaching.relabel_by_teacher` weighs.
    progress : callable
        Told of every clip.

    Raises
    ------
    ArgumentError
        The bank's clips are simulated, and have better labels.
    """
    shards = list(shards_of(folder))
    for number, path in enumerate(shards):
        shard = open_shard(path)
        clips = len(shard.arrays["facts"])
        labels = []
        for clip in range(clips):
            progress(number * clips + clip, len(shards) * clips, "labelling by similarity")
            labels.append(encode(most_alike(similarities(network, shard, clip))))
        for name in ("asim", "cs"):
            write_array(path / f"{name}.npy", np.stack(labels))
    # What is mapped into memory is the labels of before.
    open_shard.cache_clear()
    progress(1, 1, "labelling by similarity")


def similarities(network: Network, shard: Shard, clip: int) -> Array:
    """Similarity (frame, other, y, x) of each frame of a clip with every other; NaN on the diagonal and at nodata."""
    ten, twenty = frames_of(shard.arrays, clip, level=level_of(shard), names=shard.bands, real=True)
    told = conditions_of(shard, clip, level=level_of(shard), names=shard.bands)
    others = [in_the_place_of_the_reference(ten[j], twenty[j]) for j in range(len(ten))]
    alike = np.full((len(ten), len(ten), *ten.shape[2:]), np.nan, dtype=np.float32)
    for i in range(len(ten)):
        rest = [j for j in range(len(ten)) if j != i]
        grounds: list[Ground] = [others[j] for j in rest]
        pair_ten, pair_twenty = (np.repeat(values[i : i + 1], len(rest), axis=0) for values in (ten, twenty))
        found = look(
            network, pair_ten, pair_twenty, grounds=grounds, facts=np.repeat(told[i : i + 1], len(rest), axis=0)
        )
        alike[i, rest] = np.where(np.isnan(ten[rest, 0]), np.nan, found)
    return alike


def most_alike(alike: Array) -> Array:
    """Score of each frame: its similarity with the frame that it is most like.

    Parameters
    ----------
    alike : float32 array (frame, other, y, x)
        Similarity of pairs; NaN = a frame with itself, and where either is nodata.

    Returns
    -------
    float32 array (frame, y, x)
        NaN where there is nobody to compare with.

    Examples
    --------
    >>> q = np.float32([0.9, 0.2, 1.0])
    >>> alike = np.minimum(q[:, None], q[None])
    >>> np.fill_diagonal(alike, np.nan)
    >>> most_alike(alike[..., None, None])[:, 0, 0]
    array([0.9, 0.2, 0.9], dtype=float32)
    """
    best: Array = np.fmax.reduce(alike, axis=1)
    return best


def conditions_of(shard: Shard, clip: int, *, level: Level, names: Sequence[str]) -> Array:
    """What the network is told of each frame (frame, 20) of a clip that is looked at with these bands."""
    out = []
    for frame in range(len(shard.arrays["facts"][clip])):
        facts = dict(zip(FACTS, np.asarray(shard.arrays["facts"][clip, frame], dtype=np.float64), strict=True))
        out.append(conditions(names, level=level, pixel=float(facts["pixel"]), view=view_of(facts)))
    return np.stack(out)


def level_of(shard: Shard) -> Level:
    """Level of a mined bank's shard."""
    if shard.level is None:
        raise ArgumentError("these clips are simulated, and their truth is known; give a bank of mined clips.")
    return shard.level


def view_of(facts: dict[str, Any]) -> View | None:
    """Where sun and satellite stood, as far as known."""
    sun = (float(facts["sun_zenith"]), float(facts["sun_azimuth"]))
    if not np.isfinite(sun).all():
        return None
    return View(*sun, view_zenith=float(np.nan_to_num(facts["view_zenith"], nan=View.view_zenith)))


def encode(score: Array) -> NDArray[np.uint8]:
    """Scores as stored, 200 = 1; NaN becomes 255."""
    whole = np.rint(np.clip(np.nan_to_num(score), 0, 1) * 200)
    return np.where(np.isnan(score), NODATA, whole).astype(np.uint8)


def write_array(path: Path, values: NDArray[Any]) -> None:
    """Write a ``.npy`` file that is whole or not there."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        np.save(file, values)
    part.replace(path)
