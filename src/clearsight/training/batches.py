"""From clips to batches: crops, levels, band sets and references drawn anew each time a clip comes by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import Level
from clearsight.context import Ground, ground_for, halved, no_ground
from clearsight.errors import ArgumentError
from clearsight.model import TWENTY, View, conditions
from clearsight.training.bank import FACTS, ORDER, decode, shards_of, surface_of
from clearsight.training.crystals import grow_crystals
from clearsight.training.even import Frames, make_even

Array = NDArray[np.float32]

BAND_SETS: Final[dict[str, tuple[str, ...]]] = {
    "all": ORDER,
    "without 60 m": ORDER[:10],
    "six": ("B02", "B03", "B04", "B08", "B11", "B12"),
    "four": ("B02", "B03", "B04", "B08"),
    "three": ("B02", "B03", "B04"),
}
"""Band sets that have to work; level L2A never has B10."""
_SET_SHARE: Final = (0.38, 0.12, 0.14, 0.15, 0.09)
"""How often each is drawn; else bands are dropped at random."""
_L2A_SHARE: Final = 0.45
_AVERAGE_AROUND: Final = 0.6
"""Share of the L2A samples whose processor took the surroundings of every pixel for average ground. In real products
clouds are brighter in B02 than in B8A (by 1.10 in the median of two Belgian series; 0.95 with exact surroundings)."""
_LIMITED: Final = 0.5
"""Share of the L2A samples whose processor limits B09, whose vapour it overrates above clouds."""
_LIMITS: Final = (1.3, 1.8)
"""Reflectance; 1.55 in a real product of baseline 04.00, up to 4 in ours without."""
_B09: Final = TWENTY.index("B09")
_UNKNOWN_SUN: Final = 0.45
_LARGE_CRYSTALS: Final = 0.6
"""Share of the simulated clips whose deep clouds may be darker in the SWIR."""
_EVEN: Final = 0.1
"""Share of the clips that get areas without texture."""
_NOISY: Final = 0.12
"""Share of the clips that get noise in every pixel, as old cameras, strong compression and made-up images have it."""
_NOISE: Final = (0.001, 0.02)
"""Standard deviation, reflectance."""
_NO_REFERENCE: Final = 0.3
_COARSE_REFERENCE: Final = 0.3


@dataclass(frozen=True)
class Draw:
    """How batches are drawn."""

    size: int = 128
    """Pixels of a side; a multiple of 32."""
    clips: int = 12
    """In a batch."""
    targets: int = 2
    """Frames of each clip that are scored."""
    reference: float = 1.0 - _NO_REFERENCE
    """Share of the frames that get their clear reference; 0 trains the look without context alone. Clips of several
    frames need ``trust`` for it (`relabel.add_trust`)."""
    pair: bool = False
    """Instead of a reference, one other frame whatever it shows: for the similarity of two frames."""


def batches(folders: Sequence[Path], draw: Draw, *, seed: int) -> Iterator[dict[str, Array]]:
    """Draw batches without end from all whole shards of some banks; new shards join in as they are made.

    Returns
    -------
    iterator of dict
        The inputs of `network.Network.forward` under their names, and what it should say: ``cs`` (n, y, x), NaN =
        nodata; ``cause`` (n, y/2, x/2), -1 = none; ``prior`` (n, 3, y/4, x/4); ``weight`` (n,).
    """
    rng = np.random.default_rng(seed)
    while True:
        shards = [shard for folder in folders if folder.exists() for shard in shards_of(folder)]
        if not shards:
            raise ArgumentError(f"folders={[str(folder) for folder in folders]} hold no clips; fill a bank first.")
        for _ in range(200):
            samples = []
            for _ in range(draw.clips):
                shard = open_shard(shards[int(rng.integers(len(shards)))])
                _check(shard, draw)
                samples += _samples(shard, int(rng.integers(len(shard.arrays["facts"]))), draw, rng)
            yield {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


@dataclass(frozen=True, eq=False)
class Shard:
    """Arrays of some clips, mapped into memory."""

    arrays: dict[str, NDArray[Any]]
    """As `bank.make_clip` names them; ``trust`` once `relabel.add_trust` has made it."""
    level: Level | None
    """Of real clips; None = both can be had."""
    bands: tuple[str, ...]
    """What the clips have."""
    path: Path


@lru_cache(maxsize=4096)
def open_shard(path: Path) -> Shard:
    """Open a shard of a bank."""
    facts = json.loads((path / "clips.json").read_text())
    arrays = {file.stem: np.load(file, mmap_mode="r") for file in sorted(path.glob("*.npy"))}
    return Shard(arrays, facts.get("level"), tuple(facts.get("bands", ORDER)), path)


def _check(shard: Shard, draw: Draw) -> None:
    """A bank that nobody has weighed would silently train the look without context alone."""
    if draw.reference > 0 and not draw.pair and "trust" not in shard.arrays and shard.arrays["ten"].shape[1] > 1:
        raise ArgumentError(
            f"reference={draw.reference}: {str(shard.path)!r} has no trust.npy, of which references are made; expected "
            "relabel.add_trust to have been run on the bank, or reference=0."
        )


def _samples(shard: Shard, clip: int, draw: Draw, rng: np.random.Generator) -> list[dict[str, Array]]:
    arrays = shard.arrays
    size = int(arrays["ten"].shape[-1])
    top, left = (2 * int(rng.integers((size - draw.size) // 2 + 1)) for _ in range(2))
    fine = np.s_[clip, ..., top : top + draw.size, left : left + draw.size]
    coarse = np.s_[clip, ..., top // 2 : (top + draw.size) // 2, left // 2 : (left + draw.size) // 2]
    facts = {name: arrays["facts"][clip, :, i] for i, name in enumerate(FACTS)}
    level: Level = shard.level or ("L2A" if rng.random() < _L2A_SHARE else "L1C")
    names = tuple(name for name in draw_bands(rng, level=level) if name in shard.bands)
    ten = decode(arrays["ten"][fine])
    twenty = np.concatenate([decode(arrays[name][coarse]) for name in ("twenty", "sixty")], axis=1)
    quality = np.array(arrays["cs"][fine])
    cause = np.array(arrays["cause"][clip, :, top : top + draw.size : 2, left : left + draw.size : 2])
    trust = np.array(arrays["trust"][coarse]) if "trust" in arrays else None
    if shard.level is None and rng.random() < _LARGE_CRYSTALS:
        grow_crystals(ten, twenty, quality=quality, cause=cause, rng=rng)
    if level == "L2A" and shard.level is None:
        around = float(rng.uniform(0.1, 0.4)) if rng.random() < _AVERAGE_AROUND else None
        ten, twenty = (
            np.maximum(surface_of(values, np.asarray(guess), around=around), np.float32(1e-4))
            for values, guess in ((ten, arrays["guess"][clip, :, :4]), (twenty, arrays["guess"][clip, :, 4:]))
        )
        if rng.random() < _LIMITED:
            twenty[:, _B09] = np.minimum(twenty[:, _B09], np.float32(rng.uniform(*_LIMITS)))
    if rng.random() < 0.5:
        twenty = _softened(twenty)
    if rng.random() < _EVEN:
        make_even(Frames(ten, twenty, quality, cause, trust), rng)
    _jitter(ten, twenty, rng)
    absent = [name not in names for name in ORDER]
    ten[:, absent[:4]] = np.nan
    twenty[:, absent[4:]] = np.nan
    dates = np.asarray(facts["day"], dtype="datetime64[D]").astype("datetime64[s]")
    turn = tuple(rng.random(3) < 0.5)
    out = []
    for frame in rng.permutation(len(ten))[: draw.targets]:
        ground, label = no_ground((draw.size, draw.size)), quality[frame].astype(np.float32)
        label[label == 255] = np.nan
        if draw.pair and len(ten) > 1:
            other = int(rng.choice([index for index in range(len(ten)) if index != frame]))
            ground = in_the_place_of_the_reference(ten[other], twenty[other])
            label = np.minimum(label, np.where(quality[other] == 255, np.nan, quality[other]))
        elif trust is not None and rng.random() < draw.reference:
            # From one frame of context to all of them.
            kept = rng.random(len(ten)) < rng.choice([0.4, 0.7, 1.0, 1.0])
            weights = trust.astype(np.float32) / 255
            ground = ground_for(ten, twenty, weights * kept[:, None, None], dates=dates, frame=int(frame))
            if rng.random() < _COARSE_REFERENCE:
                # A history on disk has 20 m.
                ground = replace(ground, ten=halved(ground.ten).repeat(2, axis=-1).repeat(2, axis=-2))
        view = _view(facts, int(frame), turn=turn, known=rng.random() >= _UNKNOWN_SUN)
        sample = {
            "ten": ten[frame], "twenty": twenty[frame], "ground_ten": ground.ten, "ground_twenty": ground.twenty,
            "support": ground.support, "cs": label / 200,
            "cause": np.where(cause[frame] < 5, cause[frame].astype(np.int64), -1),
            "prior": _prior(np.delete(quality, frame, axis=0)),
        }  # fmt: skip
        turned = {name: _turned(value, turn) for name, value in sample.items()}
        turned["conditions"] = conditions(names, level=level, pixel=float(facts["pixel"][frame]), view=view)
        out.append(turned)
    return out


def draw_bands(rng: np.random.Generator, *, level: Level) -> tuple[str, ...]:
    """Names of the bands that a sample has."""
    kind = rng.choice(len(BAND_SETS) + 1, p=[*_SET_SHARE, 1 - sum(_SET_SHARE)])
    if kind < len(BAND_SETS):
        names = list(BAND_SETS.values())[int(kind)]
    else:
        names = tuple(name for name in ORDER if name in BAND_SETS["three"] or rng.random() < 0.6)
    return tuple(name for name in names if name != "B10" or level == "L1C")


def _jitter(ten: Array, twenty: Array, rng: np.random.Generator) -> None:
    """No two instruments, processors and tables of spectra agree to the percent; some are noisy."""
    noise = np.float32(np.exp(rng.uniform(*np.log(_NOISE)))) if rng.random() < _NOISY else None
    for values in (ten, twenty):
        gain = np.exp(0.03 * rng.standard_normal(values.shape[1]) + 0.008 * rng.standard_normal(values.shape[:2]))
        values *= gain.astype(np.float32)[..., None, None]
        if noise is not None:
            values += noise * rng.standard_normal(values.shape, dtype=np.float32)
            np.maximum(values, np.float32(1e-4), out=values)


def _softened(values: Array) -> Array:
    """What loading at 10 m and averaging to 20 m does to a band of 20 m: an eighth of each neighbour."""
    for axis in (-2, -1):
        length = values.shape[axis]
        before, after = (np.clip(np.arange(length) + step, 0, length - 1) for step in (-1, 1))
        near = np.take(values, before, axis) + np.take(values, after, axis)
        values = np.float32(0.75) * values + np.float32(0.125) * near
    return values


def in_the_place_of_the_reference(ten: Array, twenty: Array) -> Ground:
    """Another frame in the place of the reference: no spread, one frame, no age."""
    support = np.full((8, *twenty.shape[1:]), np.nan, dtype=np.float32)
    support[6] = np.where(np.isnan(ten[0, ::2, ::2]), np.nan, 1.0)
    return Ground(ten, twenty, support)


def _view(facts: dict[str, NDArray[np.generic]], frame: int, *, turn: tuple[bool, ...], known: bool) -> View | None:
    if not known or not np.isfinite([float(facts[name][frame]) for name in ("sun_zenith", "sun_azimuth")]).all():
        return None
    azimuth = np.radians(float(facts["sun_azimuth"][frame]))
    right, down = np.sin(azimuth), -np.cos(azimuth)
    if turn[0]:
        down = -down
    if turn[1]:
        right = -right
    if turn[2]:
        right, down = down, right
    return View(
        sun_zenith=float(facts["sun_zenith"][frame]),
        sun_azimuth=float(np.degrees(np.arctan2(right, -down))),
        view_zenith=float(np.nan_to_num(facts["view_zenith"][frame], nan=View.view_zenith)),
    )


def _turned(values: Array, turn: tuple[bool, ...]) -> Array:
    if turn[0]:
        values = values[..., ::-1, :]
    if turn[1]:
        values = values[..., ::-1]
    if turn[2]:
        values = values.swapaxes(-1, -2)
    return np.ascontiguousarray(values)


def _prior(others: NDArray[np.generic]) -> Array:
    """Shares (3, y/4, x/4) of other dates' scores near 0, between, near 1."""
    coarse = np.asarray(others[:, 1::4, 1::4])
    valid = coarse != 255
    count = np.maximum(valid.sum(axis=0), 1)
    low, high = ((coarse < 40).sum(axis=0), ((coarse > 160) & valid).sum(axis=0))
    shares: Array = (np.stack([low, valid.sum(axis=0) - low - high, high]) / count).astype(np.float32)
    return shares
