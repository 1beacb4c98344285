"""What one frame adds to a `history`, in whole numbers: quantised once, so that sums know no order."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clearsight import cdf
from clearsight._parts import Part
from clearsight.errors import ArgumentError
from clearsight.reference import FloatArray, seasonal

SEASONS: Final = 6
FULL: Final = 4
"""Weight of a wholly clear pixel."""
CLEAR: Final = 2
"""Weight from which on a pixel is clear enough to be the latest look of its place."""
STEPS: Final = 1000
"""Steps of reflectance from 0 to 1."""
ZERO: Final = 100
"""Value of reflectance 0: below it there is room for what atmospheric correction overdoes."""
TENTHS: Final = 10
"""What an observation is worth in the histogram of scores."""
HASH_BITS: Final = 20
NODATA: Final = 65535
YEAR: Final = 365.2425

_HIGHEST: Final = 2100
_CS_STEPS: Final = 200
_EPOCH: Final = np.datetime64("2015-01-01", "s")

Whole = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Seen:
    """One frame over a sub-tile, as a history takes it in."""

    index: str
    """``system:index``."""
    version: str
    """Which processing of the image: its processing version, or the product's id."""
    date: np.datetime64
    """When it was taken, from 2015 on."""
    values: FloatArray | NDArray[np.uint16]
    """(band, y, x) in the order of the history's bands, on its grid: reflectance, NaN = nodata; or from `quantise`."""
    cs: FloatArray
    """(y, x) scores in [0, 1], NaN = nodata; on the history's grid or on one two times finer, of which means count."""

    def rows(self, run: slice, *, factor: int) -> Seen:
        """Some rows of the history's grid; ``factor`` is how many times finer the scores are."""
        fine = slice(run.start * factor, run.stop * factor)
        return Seen(self.index, self.version, self.date, self.values[:, run], self.cs[fine])


@dataclass(frozen=True)
class Share:
    """What one frame adds."""

    season: int
    key: int
    weight: Whole
    """(y, x)"""
    values: Whole
    """(band, y, x)"""
    node: Whole
    """(y, x) node of the histogram, of which the next one has ``above`` tenths."""
    above: Whole
    """(y, x)"""
    below: Whole
    """(y, x) tenths of ``node``; both are 0 where the frame has no score."""


def quantise(reflectance: NDArray[Any]) -> NDArray[np.uint16]:
    """Reflectance in a history's steps; a quarter of a frame's memory.

    Examples
    --------
    >>> quantise(np.float32([0.1, -0.2, 5.0, np.nan]))
    array([  200,     0,  2100, 65535], dtype=uint16)
    """
    # In place, and no number wider than it must be: a scene's time goes by the bytes that are touched.
    values = reflectance * np.float32(STEPS)
    missing = np.isnan(values)
    np.rint(values, out=values)
    values += np.float32(ZERO)
    np.clip(values, 0, _HIGHEST, out=values)
    values[missing] = NODATA
    return values.astype(np.uint16)


def checked(frame: Seen, *, shape: tuple[int, int], bands: tuple[str, ...]) -> int:
    """How many times finer than the history's grid the frame's scores are.

    Raises
    ------
    ArgumentError
        Values or scores have another shape than the history; the frame is from before 2015.
    """
    expected = (len(bands), *shape)
    if frame.values.shape != expected:
        raise ArgumentError(f"frame.values has the shape {frame.values.shape}; expected {expected}, the bands {bands}.")
    key_of(frame.index, frame.date)
    return finer_by(frame.cs.shape, shape)


def share_of(frame: Seen, *, factor: int) -> Share:
    """Quantise a frame. A pixel takes part where it has a score and every band has a value."""
    score = _pooled(frame.cs, factor)
    values = quantise(frame.values) if frame.values.dtype.kind == "f" else frame.values
    scored = (score >= 0) & (values != NODATA).all(axis=0)
    score = np.where(scored, score, 0)
    steps = _CS_STEPS // (cdf.NODES - 1)
    node = np.minimum(score // steps, cdf.NODES - 2)
    above = (score - node * steps) * TENTHS // steps
    return Share(
        season=int(days(frame.date) % YEAR / YEAR * SEASONS),
        key=key_of(frame.index, frame.date),
        weight=((FULL * score**2 + _CS_STEPS**2 // 2) // _CS_STEPS**2).astype(np.uint32),
        values=np.where(scored, values, np.uint16(0)),
        node=node,
        above=np.where(scored, above, 0),
        below=np.where(scored, TENTHS - above, 0),
    )


def finer_by(fine: tuple[int, ...], shape: tuple[int, int]) -> int:
    """How many times finer a grid is than the history's: 1 or 2."""
    for factor in (1, 2):
        if tuple(ceil(size / factor) for size in fine) == shape:
            return factor
    raise ArgumentError(f"cs has the shape {fine}; expected {shape}, or twice as fine.")


def days(date: np.datetime64) -> float:
    """Days since the beginning of 2015."""
    return float((date.astype("datetime64[s]") - _EPOCH).astype(np.int64)) / 86_400.0


def key_of(index: str, date: np.datetime64) -> int:
    """A number that grows with the date, and differs between frames of the same second."""
    seconds = int((date.astype("datetime64[s]") - _EPOCH).astype(np.int64))
    if seconds <= 0:
        raise ArgumentError(f"frame {index!r} is of {date}; Sentinel-2 has flown since 2015. Correct its date.")
    return (seconds << HASH_BITS) | (zlib.crc32(index.encode()) & (2**HASH_BITS - 1))


def add_score(counts: Whole, share: Share, sign: int) -> None:
    """Add a frame to a histogram of scores (21, y, x), or take it off, in place."""
    for node, tenths in ((share.node, share.below), (share.node + 1, share.above)):
        before = np.take_along_axis(counts, node[None], axis=0)
        np.put_along_axis(counts, node[None], before + (sign * tenths).astype(counts.dtype)[None], axis=0)


def kinds_of(shape: tuple[int, int], bands: int) -> dict[str, Part]:
    """The arrays of a history."""
    kinds = {
        "square": Part((bands, *shape), "<u8"),
        "when": Part((2, *shape), "<i8"),
        "recent": Part((2, bands, *shape), "<u2"),
        "scores": Part((cdf.NODES, *shape), "<u2"),
    }
    for season in range(SEASONS):
        kinds[f"weight{season}"] = Part(shape, "<u2")
        kinds[f"sum{season}"] = Part((bands, *shape), "<u4")
    return kinds


def reflectance_of(values: FloatArray) -> FloatArray:
    """Reflectance of values in a history's steps."""
    scaled: FloatArray = values - np.float32(ZERO)
    scaled *= np.float32(1.0 / STEPS)
    return scaled


def season_closeness(at: np.datetime64) -> NDArray[np.float64]:
    """What a frame of each season counts at a moment, taken at the season's middle."""
    middles = (np.arange(SEASONS) + 0.5) * YEAR / SEASONS
    return seasonal(middles - days(at))


def _pooled(cs: FloatArray, factor: int) -> Whole:
    """Scores in steps of 1/200, means of ``factor`` by ``factor`` valid pixels; −1 = nodata."""
    padded = np.pad(cs, [(0, -size % factor) for size in cs.shape], constant_values=np.nan)
    valid = np.isfinite(padded)
    steps = np.rint(np.where(valid, padded, np.float32(0.0)) * np.float32(_CS_STEPS)).astype(np.int32)
    corners = [(row, col) for row in range(factor) for col in range(factor)]
    total = sum(steps[row::factor, col::factor] for row, col in corners)
    count = sum(valid[row::factor, col::factor].astype(np.int32) for row, col in corners)
    mean: Whole = np.where(count > 0, (2 * total + count) // np.maximum(2 * count, 1), -1)
    return mean
