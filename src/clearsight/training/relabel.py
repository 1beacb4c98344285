"""What a trained network says about whole banks: trust in each frame for references, and labels for mined sequences."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from clearsight.bands import Level
from clearsight.context import Ground, ground_for, halved, no_ground
from clearsight.model import conditions
from clearsight.progress import Progress, silent
from clearsight.reference import trust
from clearsight.training.bank import FACTS, ORDER, decode, shards_of, surface_of
from clearsight.training.batches import Shard, draw_bands, open_shard
from clearsight.training.network import STRIDE, Network

Array = NDArray[np.float32]

_CHUNK: Final = 24
"""Frames in one forward."""


def look(
    network: Network, ten: Array, twenty: Array, *, grounds: Sequence[Ground] | None = None, facts: Array
) -> Array:
    """Scores (frame, y, x) that a network gives to frames (frame, 4, y, x) and (frame, 9, y/2, x/2); NaN = nodata.

    Parameters
    ----------
    network : Network
        In evaluation mode.
    ten, twenty : float32 arrays
        Reflectance, NaN = nodata or absent; sides of any even length.
    grounds : sequence of Ground, optional
        One for each frame; default none.
    facts : float32 array (frame, 20)
        `model.conditions` of each frame.

    Returns
    -------
    float32 array (frame, y, x)
        0 … 1.
    """
    frames, _, rows, columns = ten.shape
    grounds = grounds or [no_ground((rows, columns))] * frames
    images = [ten, twenty, *(np.stack([getattr(g, name) for g in grounds]) for name in ("ten", "twenty", "support"))]
    padded = [_padded(image, step=1 if image.shape[-1] == columns else 2) for image in images]
    out = []
    with torch.inference_mode():
        for start in range(0, frames, _CHUNK):
            part = slice(start, start + _CHUNK)
            tensors = [torch.from_numpy(image[part]).contiguous(memory_format=torch.channels_last) for image in padded]
            score, _, _ = network(*tensors, torch.from_numpy(facts[part]))
            out.append(torch.sigmoid(score)[:, 0, :rows, :columns].numpy())
    scores: Array = np.concatenate(out)
    scores[np.isnan(ten[:, 0])] = np.nan
    return scores


def _padded(image: Array, *, step: int) -> Array:
    """Up to multiples of the network's stride, with nodata."""
    unit = STRIDE // step
    rows, columns = (-size % unit for size in image.shape[-2:])
    if not rows and not columns:
        return image
    return np.pad(image, [(0, 0), (0, 0), (0, rows), (0, columns)], constant_values=np.nan)


def add_trust(network: Network, folder: Path, *, progress: Progress = silent) -> None:
    """Write ``trust.npy`` into every shard of a bank: how far each frame can be trusted to show the ground.

    As in use: the frames are looked at without context at 20 m (of clips at 10 m), and `reference.trust` weighs what
    comes out. Level and bands differ from clip to clip.

    Parameters
    ----------
    network : Network
        In evaluation mode.
    folder : Path
        A bank. Shards are given the weights anew; each file is replaced as a whole.
    progress : callable
        Told of every shard.
    """
    shards = list(shards_of(folder))
    for number, path in enumerate(shards):
        progress(number, len(shards), "trusting frames")
        shard = open_shard(path)
        first = json.loads((path / "clips.json").read_text())["first"]
        clips = range(len(shard.arrays["facts"]))
        weights = np.stack([_trust(network, shard, clip, seed=first + clip) for clip in clips])
        part = path / f".trust.{os.getpid()}"
        with part.open("wb") as file:
            np.save(file, np.rint(255 * weights).astype(np.uint8))
        part.replace(path / "trust.npy")
    # What is open has the weights of before.
    open_shard.cache_clear()
    progress(len(shards), len(shards), "trusting frames")


def _trust(network: Network, shard: Shard, clip: int, *, seed: int) -> Array:
    ten, twenty, facts = first_look_inputs(shard, clip, seed=seed)
    quality = look(network, ten, twenty, facts=facts)
    valid = ~np.isnan(quality)
    return trust(np.nan_to_num(ten[:, 0]), np.nan_to_num(quality), valid)


def first_look_inputs(shard: Shard, clip: int, *, seed: int) -> tuple[Array, Array, Array]:
    """Frames of a clip at half the resolution, with a level and bands drawn for it, and their conditions."""
    rng = np.random.default_rng([991, seed])
    drawn: Level = "L2A" if rng.random() < 0.45 else "L1C"
    level = shard.level or drawn
    names = tuple(name for name in draw_bands(rng, level=level) if name in shard.bands)
    ten, twenty = frames_of(shard.arrays, clip, level=level, names=names, real=shard.level is not None)
    pixel = float(shard.arrays["facts"][clip, 0, FACTS.index("pixel")])
    told = conditions(names, level=level, pixel=2 * pixel, view=None)
    return halved(ten), halved(twenty), np.repeat(told[None], len(ten), axis=0)


def frames_of(
    arrays: Mapping[str, NDArray[Any]], clip: int, *, level: Level, names: Sequence[str], real: bool = False
) -> tuple[Array, Array]:
    """All frames of a clip as reflectance, (frame, 4, y, x) and (frame, 9, y/2, x/2), with the bands asked for.

    Simulated clips are stored as L1C, from which L2A is made; real ones are stored at the level that they have.
    """
    ten = decode(np.asarray(arrays["ten"][clip]))
    twenty = np.concatenate([decode(np.asarray(arrays[name][clip])) for name in ("twenty", "sixty")], axis=1)
    if level == "L2A" and not real:
        guess = np.asarray(arrays["guess"][clip])
        ten = np.maximum(surface_of(ten, guess[:, :4]), np.float32(1e-4))
        twenty = np.maximum(surface_of(twenty, guess[:, 4:]), np.float32(1e-4))
    absent = np.array([name not in names for name in ORDER])
    ten[:, absent[:4]] = np.nan
    twenty[:, absent[4:]] = np.nan
    return ten, twenty


def grounds_of(arrays: Mapping[str, NDArray[Any]], clip: int, ten: Array, twenty: Array) -> list[Ground]:
    """Clear reference of every frame of a clip, by the shard's trust."""
    weight = np.asarray(arrays["trust"][clip], dtype=np.float32) / np.float32(255)
    dates = np.asarray(arrays["facts"][clip, :, 0], dtype="datetime64[D]").astype("datetime64[s]")
    return [ground_for(ten, twenty, weight, dates=dates, frame=frame) for frame in range(len(ten))]
