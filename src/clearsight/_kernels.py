"""NumPy kernels of every way to make one image of many, on blocks of pixels; they know no xarray and no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from clearsight._median import Bools, Floats, Room, count_of, in_blocks, medians_of, missing_of, percentiles_of

Method = Literal["median", "mean", "weighted_mean", "percentile", "geomedian", "medoid", "best"]

PICKS: Final = ("medoid", "best")
"""Methods that take all bands of a pixel from one frame, so that there is a date."""

SCORED: Final = ("weighted_mean", "best")
"""Methods that need a score."""

_TOLERANCE: Final = 1e-6
"""Rounding of a stored score: 120 * float32(0.005) is 0.59999996, and means 0.6. A step of the file is 0.005."""

_SCORE_STEPS: Final = 200
_SCORE_NODATA: Final = np.uint8(255)

_STEPS: Final = 100
"""Weiszfeld's steps at most; nearly all pixels need fewer than thirty."""

_SETTLED: Final = 1e-5
"""Length of a step, relative to the value, at which the geometric median counts as found: 0.1 of a digital number."""

_WORTH_LEAVING: Final = 0.6
"""Share of pixels that still move, below which the others are left out."""

_TOGETHER: Final = 8192
"""Pixels that are stepped together, measured: with fewer, the last ones to settle make many calls for little work."""


@dataclass(frozen=True)
class Rules:
    """What is asked of a composite, as far as kernels need it."""

    method: Method
    """How the values become one."""
    threshold: float | None
    """Lowest score to take; None: whatever there is."""
    percentile: float
    """0 to 100, of the method of this name."""
    minimum: int
    """Pixels with fewer frames in which every band has a value get NaN."""
    spread: bool
    """Whether the median absolute deviation is wanted too."""
    date: bool
    """Whether the number of the chosen frame is wanted too."""
    nodata: tuple[float | None, ...]
    """Of each band, the number that means "missing"."""
    away: tuple[float, ...] | None
    """Of each frame, how far it is from the date that is wished for."""
    haze: int | None
    """Number of the band that tells haze, B02."""
    extras: tuple[str, ...]
    """Which arrays follow those of the bands: "score", "cs"."""


def clear_of(score: NDArray[Any], threshold: float) -> Bools:
    """Where a score reaches a threshold: float, NaN = nodata; or uint8 as in our files, steps of 1/200, 255 = nodata.

    Parameters
    ----------
    score : array of any shape
        As above.
    threshold : float
        In [0, 1].

    Returns
    -------
    bool array
    """
    if score.dtype == np.uint8:
        return np.asarray((score >= _lowest(threshold)) & (score != _SCORE_NODATA))
    return np.asarray(score >= np.float32(threshold - _TOLERANCE))


def _hidden(score: NDArray[Any], threshold: float, room: Room) -> Bools:
    """Where a score doesn't reach a threshold: the opposite of ``clear_of``, plane by plane in memory used before."""
    hidden = room.array("hidden", score.shape, np.bool_)
    for plane, gone in zip(score, hidden, strict=True):
        if score.dtype == np.uint8:
            # Bytes run on from 0 to 255: less the threshold, all that is too low comes after nodata.
            lowest = _lowest(threshold)
            np.greater_equal(plane - lowest, _SCORE_NODATA - lowest, out=gone)
        else:
            np.logical_not(plane >= np.float32(threshold - _TOLERANCE), out=gone)
    return hidden


def _lowest(threshold: float) -> np.uint8:
    return np.uint8(max(np.ceil((threshold - _TOLERANCE) * _SCORE_STEPS), 0))


def composed(*arrays: NDArray[Any], rules: Rules, workers: int = 1) -> tuple[NDArray[Any], ...]:
    """Make one image of many.

    Parameters
    ----------
    *arrays : arrays, each (y, x, time)
        The bands, float32 with NaN = missing or integers; then what ``rules.extras`` names.
    rules : Rules
        What to do.
    workers : int
        Threads.

    Returns
    -------
    tuple of arrays (y, x)
        Each band, float32; the count, uint16; with ``rules.spread`` each band's spread, float32; with ``rules.date``
        the number of the chosen frame, int16, -1 where there is none.
    """
    *shape, frames = arrays[0].shape
    pixels = math.prod(shape)
    flat = [np.ascontiguousarray(np.moveaxis(array, -1, 0)).reshape(frames, pixels) for array in arrays]
    bands = len(rules.nodata)
    values = [np.full(pixels, np.nan, np.float32) for _ in range(bands * (1 + rules.spread))]
    count, chosen = np.zeros(pixels, np.uint16), np.full(pixels, -1, np.int16)

    def work(part: slice, room: Room) -> None:
        block = _block([array[:, part] for array in flat], rules, room)
        planes, picked = _METHODS[rules.method](block)
        everything = [*planes, *(_spreads(block) if rules.spread else ())]
        count[part] = count_of(block.missing)
        few = np.flatnonzero(count[part] < rules.minimum)
        for whole, plane in zip(values, everything, strict=True):
            whole[part] = plane
            whole[part][few] = np.nan
        if picked is not None:
            chosen[part] = picked
            chosen[part][few] = -1

    # A median holds the bands as they are; other methods also as float64, or more than once.
    at_once = frames * bands if rules.method == "median" and not rules.spread else 4 * frames * bands
    in_blocks(work, pixels=pixels, frames=frames and at_once, workers=workers)
    results: list[NDArray[Any]] = [*values[:bands], count, *values[bands:]]
    return tuple(result.reshape(shape) for result in [*results, *([chosen] if rules.date else [])])


@dataclass(frozen=True)
class _Block:
    """Some pixels, with all that the kernels need of them; arrays (time, pixel)."""

    values: list[NDArray[Any]]
    missing: list[Bools]
    score: Floats | None
    cs: Floats | None
    rules: Rules
    room: Room

    def floats(self) -> list[NDArray[np.float64]]:
        """Values of the bands, NaN where missing."""
        return [np.where(gaps, np.nan, band) for band, gaps in zip(self.values, self.missing, strict=True)]

    def anything_missing(self) -> Bools:
        return np.asarray(np.logical_or.reduce(self.missing))


_Planes = Iterable[NDArray[Any]]
_Kernel = Callable[[_Block], tuple[_Planes, NDArray[np.int16] | None]]


def _block(arrays: Sequence[NDArray[Any]], rules: Rules, room: Room) -> _Block:
    values = list(arrays[: len(rules.nodata)])
    extras = dict(zip(rules.extras, arrays[len(rules.nodata) :], strict=True))
    score = extras.get("score")
    hidden = None if score is None or rules.threshold is None else _hidden(score, rules.threshold, room)
    missing = missing_of(values, hidden, rules.nodata)
    needed = rules.method in SCORED
    return _Block(
        values,
        missing,
        score=_decoded(score) if needed and score is not None else None,
        cs=_decoded(extras["cs"]) if needed and "cs" in extras else None,
        rules=rules,
        room=room,
    )


def _decoded(score: NDArray[Any]) -> Floats:
    if score.dtype == np.uint8:
        decoded = score.astype(np.float32) / np.float32(_SCORE_STEPS)
        return np.where(score == _SCORE_NODATA, np.float32(np.nan), decoded)
    return score.astype(np.float32, copy=False)


def _median(block: _Block) -> tuple[_Planes, None]:
    return medians_of(block.values, block.missing, room=block.room), None


def _percentile(block: _Block) -> tuple[_Planes, None]:
    return percentiles_of(block.values, block.missing, percentile=block.rules.percentile), None


def _mean(block: _Block) -> tuple[_Planes, None]:
    return (_weighted(band, None) for band in block.floats()), None


def _weighted_mean(block: _Block) -> tuple[_Planes, None]:
    assert block.score is not None
    weights = np.nan_to_num(block.score.astype(np.float64), nan=0.0)
    return (_weighted(band, weights) for band in block.floats()), None


def _weighted(band: NDArray[np.float64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Sum frame after frame in float64: the order of a sum, and so its rounding, is the same for every block."""
    total, weight = np.zeros(band.shape[1]), np.zeros(band.shape[1])
    for number, plane in enumerate(band):
        there = ~np.isnan(plane)
        share = there.astype(np.float64) if weights is None else there * weights[number]
        total += np.where(there, plane, 0) * share
        weight += share
    with np.errstate(invalid="ignore"):
        return np.asarray(total / weight)


def _best(block: _Block) -> tuple[_Planes, NDArray[np.int16]]:
    """Take the frame that wins: by score, cs, nearness to the wished date, little haze; the earliest of equals."""
    assert block.score is not None
    rules = block.rules
    lost = block.anything_missing() | np.isnan(block.score)
    # Each key is better when it is larger.
    keys: list[NDArray[Any]] = [block.score]
    if block.cs is not None:
        keys.append(np.nan_to_num(block.cs, nan=-1.0))
    if rules.away is not None:
        keys.append(np.broadcast_to(-np.array(rules.away)[:, None], lost.shape))
    if rules.haze is not None:
        keys.append(-block.values[rules.haze].astype(np.float64))
    winner = np.full(lost.shape[1], -1, np.int16)
    standing = [np.full(lost.shape[1], -np.inf) for _ in keys]
    for frame in range(len(lost)):
        better, equal = np.zeros(lost.shape[1], bool), ~lost[frame]
        for key, held in zip(keys, standing, strict=True):
            better |= equal & (key[frame] > held)
            equal &= key[frame] == held
        winner[better] = frame
        for key, held in zip(keys, standing, strict=True):
            np.copyto(held, key[frame], where=better)
    return _taken(block, winner), winner


def _medoid(block: _Block) -> tuple[_Planes, NDArray[np.int16]]:
    """Take the frame whose summed distance to all others is least; the earliest of equals.

    Flood 2013, doi:10.3390/rs5126481.
    """
    lost = block.anything_missing()
    bands = [np.where(lost, 0.0, band) for band in block.values]
    sums = np.where(lost, np.inf, 0.0)
    for one in range(len(lost)):
        for other in range(one):
            distance = _length([band[one] - band[other] for band in bands])
            distance[lost[one] | lost[other]] = 0
            sums[one] += distance
            sums[other] += distance
    winner = np.where(lost.all(axis=0), -1, sums.argmin(axis=0)).astype(np.int16)
    return _taken(block, winner), winner


def _taken(block: _Block, winner: NDArray[np.int16]) -> _Planes:
    frame = np.maximum(winner, 0)[None].astype(np.intp)
    for band in block.values:
        yield np.where(winner < 0, np.nan, np.take_along_axis(band, frame, axis=0)[0])


def _geomedian(block: _Block) -> tuple[_Planes, None]:
    """Find the point with the least summed distance to all frames that have every band, by Weiszfeld's iteration.

    It starts at each band's median, which lies near. The step of Vardi and Zhang 2000, doi:10.1073/pnas.97.4.1423, goes
    on where an iterate meets an observation.
    """
    lost = block.anything_missing()
    found = np.stack(medians_of(block.values, [lost] * len(block.values), room=block.room))
    count = len(lost) - lost.sum(axis=0)
    # Pixels with as many frames lie side by side: then few places stay empty when the frames are packed.
    order = np.argsort(count, kind="stable")[np.count_nonzero(count == 0) :]
    for start in range(0, len(order), _TOGETHER):
        pixels = order[start : start + _TOGETHER]
        if len(pixels) == 1:
            # A single column would be summed in another order.
            pixels = pixels.repeat(2)
        found[:, pixels] = _settled(*_packed(block.values, ~lost[:, pixels], pixels), found[:, pixels])
    return list(found), None


def _packed(values: Sequence[NDArray[Any]], seen: Bools, pixels: NDArray[np.intp]) -> tuple[list[Floats], Floats]:
    """Each pixel's frames one after the other, without those it misses: (place, pixel) of each band, and their weight.

    A pixel with fewer frames than others repeats its last one, with weight 0.
    """
    count = seen.sum(axis=0)
    pixel, frame = np.nonzero(np.ascontiguousarray(seen.T))
    place = np.arange(count.max())[:, None]
    taken = (frame * len(pixels) + pixel)[np.cumsum(count) - count + np.minimum(place, count - 1)]
    # Twice a take: NumPy's indexing by two arrays at once is several times as slow.
    points = [band.take(pixels, axis=1).take(taken).astype(np.float32, copy=False) for band in values]
    return points, (place < count).astype(np.float32)


def _settled(points: list[Floats], weight: Floats, start: Floats) -> Floats:
    """Step from ``start`` (band, pixel) until every pixel has settled; one that has stays where it is."""
    found, now = start.copy(), start.copy()
    left, moving = np.arange(start.shape[1]), np.ones(start.shape[1], bool)
    for _ in range(_STEPS):
        after = _step(points, weight, now)
        away = np.abs(after - now).max(axis=0) > np.float32(_SETTLED) * np.abs(after).max(axis=0)
        np.copyto(now, after, where=moving)
        moving &= away
        if not moving.any():
            break
        # Leaving out those that have settled at every step would copy more than it saves.
        if 2 <= moving.sum() < _WORTH_LEAVING * moving.size:
            found[:, left] = now
            kept = np.flatnonzero(moving)
            left, moving = left[kept], moving[kept]
            now, weight, *points = (array.take(kept, axis=1) for array in (now, weight, *points))
    found[:, left] = now
    return found


def _step(points: list[Floats], weight: Floats, now: Floats) -> Floats:
    """One step; ``points`` of each band and ``weight`` (place, pixel), ``now`` (band, pixel); two pixels at least.

    Sums run down the columns, place after place, so that zeros at the end, and other pixels, change nothing.
    """
    away, squares = np.empty_like(weight), np.zeros_like(weight)
    for band, middle in zip(points, now, strict=True):
        np.subtract(band, middle, out=away)
        np.multiply(away, away, out=away)
        squares += away
    # Pixels that meet an observation are few; the weight of what is met comes in another way.
    meeting = np.flatnonzero(np.minimum.reduce(squares, axis=0) == 0)
    meets = squares[:, meeting] == 0
    squares[:, meeting] += np.where(meets, np.float32(np.inf), np.float32(0))
    pull = np.divide(weight, np.sqrt(squares, out=squares), out=squares)
    total = np.add.reduce(pull, axis=0)
    drawn = np.stack([np.add.reduce(np.multiply(band, pull, out=away), axis=0) for band in points])
    if not meeting.size:
        return np.asarray(drawn / total, np.float32)
    there: Floats = np.divide(drawn, total, out=now.copy(), where=total > 0)
    force = _length((there - now)[:, meeting] * total[meeting])
    met = (weight[:, meeting] * meets).sum(axis=0)
    hold = np.minimum(np.divide(met, force, out=np.ones_like(force), where=force > 0), 1)
    there[:, meeting] = (1 - hold) * there[:, meeting] + hold * now[:, meeting]
    return there


def _length(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Euclidean length, band after band: NumPy's own sum may change its order with the shape."""
    length: NDArray[Any] = np.sqrt(sum(np.square(part) for part in parts))
    return length


def _spreads(block: _Block) -> _Planes:
    """Median absolute deviation from the median, of each band."""
    medians = medians_of(block.values, block.missing, room=block.room)
    away = [
        np.where(gaps, np.float32(np.nan), np.abs(band.astype(np.float32) - median))
        for band, gaps, median in zip(block.values, block.missing, medians, strict=True)
    ]
    return medians_of(away, block.missing, room=block.room)


_METHODS: Final[dict[Method, _Kernel]] = {
    "median": _median,
    "mean": _mean,
    "weighted_mean": _weighted_mean,
    "percentile": _percentile,
    "geomedian": _geomedian,
    "medoid": _medoid,
    "best": _best,
}
