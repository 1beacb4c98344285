"""NumPy kernel: exact median over time, missing values left out, block by block.

Two ideas make it fast without a compiler. First, a float32 that is not negative orders like the integer with the same
bits, and NaN comes after everything; integer minima and maxima are the cheapest instruction there is. Second, a
sorting network (Batcher 1968, odd-even merge sort, doi:10.1145/1468075.1468121) compares whole planes of pixels in a
fixed order, so that no decision depends on the data; comparators whose outcome can't reach the middle are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Keys = NDArray[np.int32]

_WORKSPACE: Final = 1 << 20
"""Values per block, measured: smaller blocks fit a nearer cache, but two threads then wait for each other's calls."""

_SHORTEST: Final = 1024
"""Pixels per block at least; below, calling NumPy costs more than computing."""

_INF: Final = 0x7F800000
"""Bits of +inf; every NaN with a positive sign lies above."""

_MAGNITUDE: Final = np.int32(0x7FFFFFFF)


def median_over_time(bands: Sequence[Floats], *, workers: int = 1) -> tuple[list[Floats], NDArray[np.uint16]]:
    """Median of each band over time, and the number of frames in which every band has a value.

    Parameters
    ----------
    bands : sequence of float32 arrays, each (time, y, x)
        NaN = missing. Each band's median leaves out that band's own missing values.
    workers : int
        Threads.

    Returns
    -------
    list of float32 arrays (y, x), and uint16 array (y, x)
        Medians, NaN where a band has no value; for an even number the mean of the two in the middle. Then the count.

    Examples
    --------
    >>> import numpy as np
    >>> band = np.array([[[1.0]], [[np.nan]], [[3.0]]], dtype="float32")
    >>> median_over_time([band])
    ([array([[2.]], dtype=float32)], array([[2]], dtype=uint16))
    """
    frames, *shape = bands[0].shape
    flat = [np.ascontiguousarray(band, dtype=np.float32).reshape(frames, -1) for band in bands]
    pixels = flat[0].shape[1]
    medians = [np.full(pixels, np.nan, np.float32) for _ in flat]
    count = np.zeros(pixels, np.uint16)

    def work(block: slice) -> None:
        seen = np.ones((frames, block.stop - block.start), bool)
        for band, median in zip(flat, medians, strict=True):
            median[block] = _block_median(band[:, block], seen)
        count[block] = seen.sum(axis=0, dtype=np.uint16)

    if frames:
        with ThreadPoolExecutor(workers) as pool:
            # list: an exception of a worker has to come out here
            list(pool.map(work, _blocks(pixels, frames)))
    return [median.reshape(shape) for median in medians], count.reshape(shape)


def _blocks(pixels: int, frames: int) -> Iterator[slice]:
    step = max(_WORKSPACE // frames, _SHORTEST)
    for start in range(0, pixels, step):
        yield slice(start, min(start + step, pixels))


def _block_median(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Median of ``values`` (time, pixel) over time; ``seen`` keeps its True only where ``values`` has a value."""
    frames, pixels = values.shape
    keys = np.empty((frames + 1, pixels), np.int32)
    signed = _to_keys(values, out=keys[:frames])
    present = keys[:frames] <= _INF
    seen &= present
    count = present.sum(axis=0, dtype=np.intp)
    if (count == frames).all():
        order = _sort(keys, _network(frames, middle_only=True))
        low, high = keys[order[(frames - 1) // 2]], keys[order[frames // 2]]
    else:
        order = _sort(keys, _network(frames, middle_only=False))
        pixel = np.arange(pixels)
        low = keys[order[np.maximum(count - 1, 0) // 2], pixel]
        high = keys[order[count // 2], pixel]
    # Without any value both keys are those of NaN, and so is the mean.
    return (_to_values(low, signed=signed) + _to_values(high, signed=signed)) / np.float32(2)


def _to_keys(values: Floats, *, out: Keys) -> bool:
    """Write integers that order like ``values``, NaN last; return whether negative values had to be turned."""
    out[...] = values.view(np.int32)
    signed = bool(out.min(initial=0) < 0)
    if signed:
        # A sign bit: negative values order the wrong way round, and NaN may bear a sign too.
        out[np.isnan(values)] = _MAGNITUDE
        _turn_negatives(out)
    return signed


def _to_values(keys: Keys, *, signed: bool) -> Floats:
    if signed:
        keys = keys.copy()
        _turn_negatives(keys)
    return keys.view(np.float32)


def _turn_negatives(keys: Keys) -> None:
    """Flip all bits but the sign of negative numbers, in place; its own inverse."""
    keys ^= (keys >> 31) & _MAGNITUDE


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
def _network(frames: int, *, middle_only: bool) -> tuple[tuple[int, int, bool, bool], ...]:
    """Comparators (low, high, keep the minimum, keep the maximum) that bring the ranks needed into their places.

    With values missing, a pixel's middle lies anywhere in the lower half of the ranks; else in their middle.
    """
    middle = frames // 2
    needed = {(frames - 1) // 2, middle} if middle_only else set(range(middle + 1))
    kept = []
    for low, high in reversed(list(_odd_even_merge_sort(frames))):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
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
