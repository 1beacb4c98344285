"""Clips of real chips that are known to be clear: one frame each, labelled clear throughout.

The simulated ground is made of spectra and fields; real ground has all that nobody thought of. A few turns of it keep
the network from taking the unknown for cloud.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import BANDS
from clearsight.context import halved
from clearsight.errors import ArgumentError
from clearsight.simulate.places.real import Chip, clear_chips
from clearsight.training.bank import FACTS, ORDER, SIXTY, TEN, TWENTY

_CLEAR: Final = 200


def clear_bank(chips: Path, out: Path, *, clips: int, size: int = 96, seed: int = 0) -> Path:
    """Write a bank of one shard from random windows of clear chips; one that is there stays.

    Parameters
    ----------
    chips : Path
        As `clearsight.simulate.places.real.clear_chips` reads it: L1C, 13 bands, 10 m.
    out : Path
        Folder of the bank.
    clips : int
        How many windows.
    size : int
        Pixels of a side; a multiple of 32, no larger than the smallest chip.
    seed : int

    Returns
    -------
    Path
        The shard. Day and angles are unknown (NaN).

    Raises
    ------
    ArgumentError
        A chip is smaller than ``size``.
    EmptySourceError
        The folder holds no clear chips.

    Examples
    --------
    >>> clear_bank(Path("l1c_chips"), Path("bank_clear"), clips=80)  # doctest: +SKIP
    """
    found = clear_chips(chips)
    smallest = min(min(chip.toa.shape[1:]) for chip in found)
    if size % 32 or not 32 <= size <= smallest:
        raise ArgumentError(f"size={size}: expected a multiple of 32 up to the smallest chip's side, {smallest}.")
    path = out / "00000000"
    if path.exists():
        return path
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([8111, seed])
    made = [_clip(found[number % len(found)], size=size, rng=rng) for number in range(clips)]
    part = out / f".{path.name}.{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name in made[0]:
        np.save(part / f"{name}.npy", np.stack([clip[name] for clip in made]))
    (part / "clips.json").write_text(json.dumps({"first": 0, "clips": clips, "level": "L1C", "bands": ORDER}))
    part.rename(path)
    return path


def _clip(chip: Chip, *, size: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    top, left = (2 * int(rng.integers((side - size) // 2 + 1)) for side in chip.toa.shape[1:])
    window = chip.toa[:, top : top + size, left : left + size]
    bands = dict(zip(BANDS, np.clip(np.rint(window * 10_000 + 1000), 1, 65535).astype(np.float32), strict=True))
    coarse = {name: halved(bands[name]) for name in (*TWENTY, *SIXTY)}
    told = dict.fromkeys(FACTS, np.nan) | {"day": 0.0, "pixel": 10.0, "latitude": chip.latitude}
    return {
        "ten": np.stack([bands[name] for name in TEN]).astype(np.uint16)[None],
        "twenty": np.rint(np.stack([coarse[name] for name in TWENTY])).astype(np.uint16)[None],
        "sixty": np.rint(np.stack([coarse[name] for name in SIXTY])).astype(np.uint16)[None],
        "cs": np.full((1, size, size), _CLEAR, dtype=np.uint8),
        "q": np.full((1, size, size), _CLEAR, dtype=np.uint8),
        "cause": np.full((1, size, size), 5, dtype=np.uint8),
        "facts": np.array([[told[name] for name in FACTS]]),
        "guess": np.zeros((1, len(ORDER), 3), dtype=np.float32),
    }
