"""NumPy kernel: exact order statistics over time, missing values left out, block by block.

Three ideas make it fast without a compiler. First, all is done on unsigned integers that order like the values: digital
numbers as they are, float32 by its bits; integer minima and maxima are the cheapest instruction there is, and no float
copy is made. Second, a sorting network compares whole planes of pixels in a fixed order, so that no decision depends on
the data; comparators whose outcome can't reach the ranks that are needed are left out, and the pairwise network
(Parberry 1992, Parallel Processing Letters 2, 205-211) leaves few. Third, a pixel's missing values go to the bottom and
to the top in turn, so that the middle of what is there lies in the middle of the planes, however many are missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Keys = NDArray[np.unsignedinteger[Any]]
_Number = TypeVar("_Number", bound=np.generic)

_WORKSPACE: Final = 6 << 20
"""Values per block, measured: smaller blocks fit a nearer cache, but two threads then wait for each other's calls."""

_SHORTEST: Final = 1024
"""Pixels per block at least; below, calling NumPy costs more than computing."""

_TRIES: Final = 16
"""Networks to choose from, about."""

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
    # One iterator for all: a thread whose core is busy with something else takes fewer blocks.
    left = iter(blocks)

    def several() -> None:
        room = Room()
        for block in left:
            work(block, room)

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        tasks = [pool.submit(several) for _ in range(min(workers, len(blocks)))]
    for task in tasks:
        # an exception of a worker has to come out here
        task.result()


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


def medians_of(values: Sequence[NDArray[Any]], missing: Sequence[Bools], *, room: Room) -> list[Floats]:
    """Median of each band.

    Parameters
    ----------
    values, missing : sequences of arrays, each (time, pixel)
        See ``missing_of``.
    room : Room
        Memory to work in.

    Returns
    -------
    list of float32 arrays (pixel,)
        NaN without any value; for an even number the mean of the two in the middle, in float32.
    """
    medians: dict[int, Floats] = {}
    for kind in dict.fromkeys(band.dtype for band in values):
        alike = [number for number, band in enumerate(values) if band.dtype == kind]
        planes = _medians([values[number] for number in alike], [missing[number] for number in alike], room)
        medians.update(zip(alike, planes, strict=True))
    return [medians[number] for number in range(len(values))]


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


def _medians(values: Sequence[NDArray[Any]], missing: Sequence[Bools], room: Room) -> Floats:
    """Medians of bands of one type, (band, pixel)."""
    signed = any(_has_sign(band) for band in values)
    keys, even, none = _spread_out(values, missing, signed=signed, room=room)
    frames, bands, pixels = len(keys) - 1, len(values), values[0].shape[1]
    if not frames:
        return np.full((bands, pixels), np.nan, np.float32)
    # An odd number of values has its middle at one rank, whatever is missing; an even number also needs the one beside.
    middle = frames // 2
    beside = min(middle + 1, frames - 1) if frames % 2 else middle - 1
    plane = _sort(keys.reshape(frames + 1, -1), _network(frames, needed=frozenset((middle, beside))))
    one, other = keys[plane[middle]], keys[plane[beside]]
    other = one ^ ((one ^ other) & even)
    medians = np.add(*(_to_values(rank, values[0].dtype, signed=signed) for rank in (one, other)))
    medians *= np.float32(0.5)
    np.copyto(medians, np.float32(np.nan), where=none)
    return medians


def _spread_out(
    values: Sequence[NDArray[Any]], missing: Sequence[Bools], *, signed: bool, room: Room
) -> tuple[Keys, Keys, Bools]:
    """Give keys in which a pixel's first missing value is at the bottom, its second at the top, and so on.

    Frame by frame, so that what is missing is still in the nearest cache when each band needs it.

    Returns
    -------
    unsigned array (frame + 1, band, pixel)
        Without frames in which nothing is there; the last plane is room for ``_sort``.
    unsigned array (band or 1, pixel)
        All bits where the number of values is even, none where it is odd.
    bool array (band or 1, pixel)
        Where there is no value.
    """
    kinds = list({id(gaps): gaps for gaps in missing}.values())
    kind_of = [next(number for number, kind in enumerate(kinds) if kind is gaps) for gaps in missing]
    there = np.flatnonzero(~np.logical_and.reduce([kind.all(axis=1) for kind in kinds]))
    shape = len(kinds), values[0].shape[1]
    keys = room.array("keys", (len(there) + 1, len(values), shape[1]), _KEYS[values[0].dtype.name])
    # Bytes of all bits or none, widened by their sign: no slower step between the two types.
    wide = np.dtype(f"i{keys.itemsize}")
    odd, none = np.zeros(shape, np.int8), np.full(shape, -1, np.int8)
    narrow = np.empty((2, *shape), np.int8)
    lost, sunk = both = room.array("lost", (2, *shape), wide.type)
    for frame, planes in zip(there, keys, strict=False):
        for number, kind in enumerate(kinds):
            np.negative(kind[frame].view(np.int8), out=narrow[0, number])
        np.bitwise_xor(odd, narrow[0], out=odd)
        np.bitwise_and(odd, narrow[0], out=narrow[1])
        np.bitwise_and(none, narrow[0], out=none)
        np.copyto(both, narrow)
        for plane, band, number in zip(planes, values, kind_of, strict=True):
            np.bitwise_or(_to_keys(band[frame], keys.dtype, signed=signed), lost[number].view(keys.dtype), out=plane)
        planes ^= (sunk if len(kinds) == 1 else sunk[kind_of]).view(keys.dtype)
    even = (odd if len(there) % 2 else ~odd).astype(wide).view(keys.dtype)
    if len(kinds) == 1:
        return keys, even, none != 0
    return keys, even[kind_of], none[kind_of] != 0


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
    """Comparators (low, high, keep the minimum, keep the maximum) that bring the ranks needed into their places.

    A network is for a power of two. Lines that are left out hold, as it were, the lowest and the highest values, and
    stay where they are; how many lie below decides how much can be pruned, so that several numbers are tried.
    """
    lines = 1 << (frames - 1).bit_length()
    whole = list(_pairwise(range(lines)))
    spare = lines - frames
    return min(
        (
            _pruned([(low - below, high - below) for low, high in whole], frames, needed)
            for below in range(0, spare + 1, max(spare // _TRIES, 1))
        ),
        key=lambda network: sum(keep_low + keep_high for _, _, keep_low, keep_high in network),
    )


def _pruned(
    pairs: list[tuple[int, int]], frames: int, needed: frozenset[int]
) -> tuple[tuple[int, int, bool, bool], ...]:
    wanted, kept = set(needed), []
    for low, high in reversed(pairs):
        if low >= 0 and high < frames and (low in wanted or high in wanted):
            kept.append((low, high, low in wanted, high in wanted))
            wanted |= {low, high}
    return tuple(reversed(kept))


def _pairwise(lines: range) -> Iterator[tuple[int, int]]:
    """Pairs to compare and exchange, in order, for a number of lines that is a power of two."""
    if len(lines) < 2:
        return
    low, high = lines[::2], lines[1::2]
    yield from zip(low, high, strict=True)
    yield from _pairwise(low)
    yield from _pairwise(high)
    gap = len(low) // 2
    while gap:
        yield from zip(high[:-gap], low[gap:], strict=True)
        gap //= 2
