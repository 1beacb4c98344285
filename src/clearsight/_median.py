"""NumPy kernel: exact order statistics over time, missing values left out, block by block.

Three ideas make it fast without a compiler. First, all is done on unsigned integers that order like the values: digital
numbers as they are, float32 by its bits; integer minima and maxima are the cheapest instruction there is, and no float
copy is made. Second, a sorting network (Batcher 1968, odd-even merge sort, doi:10.1145/1468075.1468121) compares whole
planes of pixels in a fixed order, so that no decision depends on the data; comparators whose outcome can't reach the
ranks that are needed are left out. Third, a pixel's missing values go to the top and to the bottom in turn, so that the
middle of what is there lies in the middle of the planes, whatever the number that is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Keys = NDArray[np.unsignedinteger[Any]]
_Number = TypeVar("_Number", bound=np.generic)

_WORKSPACE: Final = 1 << 21
"""Values per block, measured: smaller blocks fit a nearer cache, but two threads then wait for each other's calls."""

_SHORTEST: Final = 1024
"""Pixels per block at least; below, calling NumPy costs more than computing."""

_MAGNITUDE: Final = np.uint32(0x7FFFFFFF)

_KEYS: Final[dict[str, type[np.unsignedinteger[Any]]]] = {
    "float32": np.uint32,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "int16": np.uint16,
}
"""Types of values that float32 holds exactly, with the unsigned integers that their bits fit."""

KINDS: Final = tuple(_KEYS)
"""Names of the types that can be ordered here."""


class Room:
    """Memory that a thread uses again for every block: fresh memory costs a page fault every 4 KiB."""

    def __init__(self) -> None:
        self._bytes: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], kind: type[_Number]) -> NDArray[_Number]:
        """Give an array whose content is left over from before; it is the same memory for the same name.

        Parameters
        ----------
        name : str
            What it is for.
        shape : tuple of int
            Its shape.
        kind : type
            Its NumPy type.

        Returns
        -------
        array
        """
        size = math.prod(shape) * np.dtype(kind).itemsize
        if name not in self._bytes or self._bytes[name].size < size:
            self._bytes[name] = np.empty(size, np.uint8)
        return self._bytes[name][:size].view(kind).reshape(shape)


def in_blocks(work: Callable[[slice, Room], None], *, pixels: int, frames: int, workers: int) -> None:
    """Do ``work`` for every block of ``pixels``, in ``workers`` threads; nothing where there is no frame.

    Parameters
    ----------
    work : callable
        Takes the slice of pixels, and the thread's memory.
    pixels, frames : int
        Size of the whole, which decides how long a block is.
    workers : int
        Threads.
    """
    blocks = list(_blocks(pixels, frames)) if frames else []

    def several(mine: list[slice]) -> None:
        room = Room()
        for block in mine:
            work(block, room)

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        # list: an exception of a worker has to come out here
        list(pool.map(several, [blocks[first::workers] for first in range(min(workers, len(blocks)))]))


def missing_of(values: Sequence[NDArray[Any]], hidden: Bools | None, nodata: Sequence[float | None]) -> list[Bools]:
    """Where each band has no value, (time, pixel); one and the same array for bands that miss nothing of their own.

    Parameters
    ----------
    values : sequence of arrays, each (time, pixel)
        float32 with NaN = missing, or integers.
    hidden : bool array (time, pixel), optional
        Values to leave out besides.
    nodata : sequence of numbers or None
        Each band's number that means "missing".

    Returns
    -------
    list of bool arrays (time, pixel)
    """
    if hidden is None:
        hidden = np.zeros(values[0].shape, bool)
    missing: list[Bools] = []
    for band, number in zip(values, nodata, strict=True):
        if not _may_miss(band, number):
            missing.append(hidden)
            continue
        own = np.isnan(band) if band.dtype.kind == "f" else band == number
        own |= hidden
        missing.append(next((same for same in (hidden, *missing) if np.array_equal(same, own)), own))
    return missing


def _may_miss(band: NDArray[Any], number: float | None) -> bool:
    """False when no value can be missing: finding the smallest and the largest is quicker than comparing them all."""
    if band.dtype.kind == "f":
        return True
    return number is not None and bool(band.size) and bool(band.min() <= number <= band.max())


def count_of(missing: Sequence[Bools]) -> NDArray[np.uint16]:
    """Frames in which every band has a value, per pixel."""
    kinds = list({id(gaps): gaps for gaps in missing}.values())
    gaps = kinds[0] if len(kinds) == 1 else np.logical_or.reduce(kinds)
    # Adding bytes is several times as fast as counting bools; it overflows from 256 on.
    narrow = np.uint8 if len(gaps) < 256 else np.uint16
    lost = np.add.reduce(gaps.view(np.uint8), axis=0, dtype=narrow)
    count: NDArray[np.uint16] = np.uint16(len(gaps)) - lost
    return count


def medians_of(values: Sequence[NDArray[Any]], missing: Sequence[Bools], *, room: Room) -> Iterator[Floats]:
    """Median of each band, one after the other.

    Parameters
    ----------
    values, missing : sequences of arrays, each (time, pixel)
        See ``missing_of``.
    room : Room
        Memory to work in.

    Yields
    ------
    float32 array (pixel,)
        NaN without any value; for an even number the mean of the two in the middle, in float32.
    """
    of, fence = None, None
    for band, gaps in zip(values, missing, strict=True):
        kind = _KEYS[band.dtype.name]
        if fence is None or of != (id(gaps), kind):
            of, fence = (id(gaps), kind), _fence(gaps, kind, room)
        yield _median(band, fence, room)


def percentiles_of(
    values: Sequence[NDArray[Any]], missing: Sequence[Bools], *, percentile: float
) -> Iterator[NDArray[np.float64]]:
    """Percentile of each band: between two values in proportion, as NumPy's "linear".

    Parameters
    ----------
    values, missing : sequences of arrays, each (time, pixel)
        See ``missing_of``.
    percentile : float
        0 to 100.

    Yields
    ------
    float64 array (pixel,)
        NaN without any value.
    """
    for band, gaps in zip(values, missing, strict=True):
        frames, pixels = band.shape
        keys = np.empty((frames + 1, pixels), _KEYS[band.dtype.name])
        signed = _has_sign(band)
        np.bitwise_or(_to_keys(band, keys.dtype, signed=signed), -gaps.astype(keys.dtype), out=keys[:-1])
        plane = _sort(keys, _network(frames, needed=frozenset(range(frames))))
        count = frames - gaps.sum(axis=0)
        rank = np.maximum(count - 1, 0) * (percentile / 100)
        low = np.floor(rank).astype(np.intp)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        pixel = np.arange(pixels)
        below, above = (
            _to_values(keys[plane[ranks], pixel], band.dtype, signed=signed).astype(np.float64) for ranks in (low, high)
        )
        yield np.where(count == 0, np.nan, _between(below, above, rank - low))


def _between(below: NDArray[np.float64], above: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """From both ends, like NumPy: the ends themselves come out exactly, and rounding is the same."""
    step = above - below
    return np.where(share < 0.5, below + step * share, above - step * (1 - share))


@dataclass(frozen=True)
class _Fence:
    """What takes the place of missing values: of a pixel's first the top, of its second the bottom, and so on."""

    there: NDArray[np.intp]
    """Frames of which anything is there, (frame,)."""
    keep: Keys
    """Bits of these frames' values to keep: all, or none, (frame, pixel)."""
    fill: Keys
    """Bits to put in their place, (frame, pixel)."""
    even: Keys
    """All bits where the number of values is even, none where it is odd, (pixel,)."""
    none: Bools
    """Pixels without any, (pixel,)."""


def _fence(gaps: Bools, kind: type[np.unsignedinteger[Any]], room: Room) -> _Fence:
    there = np.flatnonzero(~gaps.all(axis=1))
    shape = len(there), gaps.shape[1]
    keep, fill = room.array("keep", shape, kind), room.array("fill", shape, kind)
    # Bytes of all bits or none, widened by their sign: half the memory, and no slower step between the two types.
    wide = np.dtype(f"i{keep.itemsize}")
    odd, none = np.zeros(shape[1], np.int8), np.full(shape[1], -1, np.int8)
    lost, bits = np.empty_like(odd), np.empty_like(odd)
    # Plane by plane, so that a plane is still in the nearest cache when it is needed next.
    for frame, kept, filled in zip(there, keep.view(wide), fill.view(wide), strict=True):
        np.negative(gaps[frame].view(np.int8), out=lost)
        np.bitwise_xor(odd, lost, out=odd)
        np.bitwise_and(none, lost, out=none)
        np.bitwise_and(odd, lost, out=bits)
        np.copyto(filled, bits)
        np.invert(lost, out=lost)
        np.copyto(kept, lost)
    parity: Keys = odd.astype(wide).view(kind)
    return _Fence(there, keep, fill, parity if len(there) % 2 else ~parity, none != 0)


def _median(values: NDArray[Any], fence: _Fence, room: Room) -> Floats:
    frames, pixels = fence.keep.shape
    if not frames:
        return np.full(pixels, np.nan, np.float32)
    keys = room.array("keys", (frames + 1, pixels), fence.keep.dtype.type)
    signed = _has_sign(values)
    for key, frame, keep, fill in zip(keys, fence.there, fence.keep, fence.fill, strict=False):
        np.bitwise_and(_to_keys(values[frame], keys.dtype, signed=signed), keep, out=key)
        np.bitwise_or(key, fill, out=key)
    # Of an odd number of frames, an even number of values leaves one missing more at the top than at the bottom.
    lower, upper = max(frames // 2 - 1, 0), frames // 2
    plane = _sort(keys, _network(frames, needed=frozenset((lower, upper))))
    low, high = keys[plane[lower]], keys[plane[upper]]
    single = low if frames % 2 == 0 else high
    low, high = (single ^ ((single ^ end) & fence.even) for end in (low, high))
    middle = _to_values(low, values.dtype, signed=signed) + _to_values(high, values.dtype, signed=signed)
    middle *= np.float32(0.5)
    np.copyto(middle, np.float32(np.nan), where=fence.none)
    return middle


def _blocks(pixels: int, frames: int) -> Iterator[slice]:
    step = max(_WORKSPACE // frames, _SHORTEST)
    for start in range(0, pixels, step):
        yield slice(start, min(start + step, pixels))


def _has_sign(values: NDArray[Any]) -> bool:
    """Whether there are float32 with a sign bit; without, their bits order as they are."""
    return values.dtype == np.float32 and bool(values.view(np.int32).min(initial=0) < 0)


def _to_keys(values: NDArray[Any], kind: np.dtype[Any], *, signed: bool) -> Keys:
    """Give unsigned integers that order like ``values``: their bits, where that is enough. NaN gets any key."""
    keys: Keys = values.view(kind)
    if values.dtype == np.int16:
        keys = keys ^ np.uint16(0x8000)
    if signed:
        # Negative values order the wrong way round, and below all others.
        keys = keys ^ ((values.view(np.int32) >> 31).view(np.uint32) | ~_MAGNITUDE)
    return keys


def _to_values(keys: Keys, kind: np.dtype[Any], *, signed: bool) -> Floats:
    if kind == np.float32:
        bits = keys.view(np.uint32)
        return (bits ^ (((bits >> 31) - np.uint32(1)) | ~_MAGNITUDE) if signed else bits).view(np.float32)
    return (keys ^ np.uint16(0x8000) if kind == np.int16 else keys).view(kind).astype(np.float32)


def _sort(keys: Keys, network: tuple[tuple[int, int, bool, bool], ...]) -> NDArray[np.intp]:
    """Run the network over all planes of ``keys`` but the last, in place; return the plane of each rank.

    The last plane is room to work in: a minimum is written there, and the plane it came from is the room next, which
    saves the copy that an exchange would need.
    """
    planes = list(keys)
    place = list(range(len(planes)))
    spare = place.pop()
    for low, high, keep_low, keep_high in network:
        a, b = planes[place[low]], planes[place[high]]
        if keep_low and keep_high:
            np.minimum(a, b, out=planes[spare])
            np.maximum(a, b, out=b)
            place[low], spare = spare, place[low]
        elif keep_low:
            np.minimum(a, b, out=a)
        else:
            np.maximum(a, b, out=b)
    return np.array(place)


@lru_cache(maxsize=256)
def _network(frames: int, *, needed: frozenset[int]) -> tuple[tuple[int, int, bool, bool], ...]:
    """Comparators (low, high, keep the minimum, keep the maximum) that bring the ranks needed into their places."""
    wanted, kept = set(needed), []
    for low, high in reversed(list(_odd_even_merge_sort(frames))):
        if low in wanted or high in wanted:
            kept.append((low, high, low in wanted, high in wanted))
            wanted |= {low, high}
    return tuple(reversed(kept))


def _odd_even_merge_sort(count: int) -> Iterator[tuple[int, int]]:
    """Pairs to compare and exchange, in order; any ``count``, not only powers of two."""
    run = 1
    while run < count:
        gap = run
        while gap >= 1:
            for start in range(gap % run, count - gap, 2 * gap):
                for low in range(start, start + min(gap, count - start - gap)):
                    if low // (2 * run) == (low + gap) // (2 * run):
                        yield low, low + gap
            gap //= 2
        run *= 2
