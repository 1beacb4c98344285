"""The clear reference of a frame, as the network takes it: what the ground looks like, how surely, and since when.

The same few lines make it in training and in use, so that the network meets in use what it has learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.reference import closeness

FloatArray = NDArray[np.float32]

CLEAR_WEIGHT: Final = 0.5
"""Weight from which on a frame counts as having seen the ground: its date is the reference's age."""
_LEAST: Final = 0.02
"""Evidence below which there is no reference."""
_OFFSET: Final = 1000.0
_STRIP: Final = 50_000
"""Pixels of 20 m, of all frames together, that are worked on at once: what fits into the caches."""
SPREAD_TWENTY: Final = (4, 5)
"""B11 and B12 among the bands on the 20 m grid; the spread is told for these and for the four bands at 10 m."""


@dataclass(frozen=True)
class Ground:
    """Clear reference of one frame; NaN where there is none."""

    ten: FloatArray
    """(4, y, x) reflectance of B02, B03, B04, B08."""
    twenty: FloatArray
    """(9, y/2, x/2) reflectance of the other bands."""
    support: FloatArray
    """(8, y/2, x/2): spread of B02, B03, B04, B08, B11, B12, evidence (whole clear frames), days to the nearest."""


@dataclass(frozen=True, eq=False)
class Frames:
    """All frames of a place, as small as the products have them: 12.5 bytes per pixel of 10 m and frame."""

    ten: NDArray[np.uint16]
    """(time, 4, y, x) B02, B03, B04, B08 as digital numbers, from `encode`; 0 = nodata or absent."""
    twenty: NDArray[np.uint16]
    """(time, 9, y/2, x/2) the other bands."""
    lacking: NDArray[np.bool_]
    """(13,) bands that aren't there, the four first."""


def encode(reflectance: FloatArray) -> NDArray[np.uint16]:
    """Digital numbers of reflectance as in products of today: ``10 000 ρ + 1000``, 0 = nodata.

    Examples
    --------
    >>> encode(np.float32([0.25, np.nan, -3.0]))
    array([3500,    0,    1], dtype=uint16)
    """
    numbers = np.rint(reflectance * np.float32(1e4)) + np.float32(_OFFSET)
    return np.where(np.isnan(numbers), np.float32(0.0), np.clip(numbers, 1.0, 65535.0)).astype(np.uint16)


def decode(numbers: NDArray[np.uint16]) -> FloatArray:
    """Reflectance of digital numbers from `encode`, NaN = nodata.

    Examples
    --------
    >>> decode(np.uint16([3500, 0]))
    array([0.25,  nan], dtype=float32)
    """
    values = _plain(numbers)
    values[numbers == 0] = np.nan
    return values


def _plain(numbers: NDArray[np.uint16]) -> FloatArray:
    """Reflectance where nodata doesn't matter."""
    values = numbers.astype(np.float32)
    values -= np.float32(_OFFSET)
    values *= np.float32(1e-4)
    return values


def ground_for(
    ten: FloatArray, twenty: FloatArray, weight: FloatArray, *, dates: NDArray[np.datetime64], frame: int
) -> Ground:
    """`grounds_for` of one frame, from reflectance.

    Parameters
    ----------
    ten : float32 array (time, 4, y, x)
        Reflectance; finite wherever the weight isn't 0.
    twenty : float32 array (time, 9, y/2, x/2)
        The same for the bands on the coarser grid; a band that isn't there is NaN throughout.
    weight, dates
        As for `grounds_for`.
    frame : int
        The one that is looked at.

    Examples
    --------
    >>> dates = np.array(["2020-07-01", "2020-07-06"], dtype="datetime64[ns]")
    >>> ten, twenty = np.full((2, 4, 4, 4), 0.1, "float32"), np.full((2, 9, 2, 2), 0.2, "float32")
    >>> ground = ground_for(ten, twenty, np.ones((2, 2, 2), "float32"), dates=dates, frame=0)
    >>> ground.ten[0, 0, 0].round(2), ground.support[6:, 0, 0].round(1)
    (np.float32(0.1), array([0.9, 5. ], dtype=float32))
    """
    lacking = np.concatenate([np.isnan(values).all(axis=(0, 2, 3)) for values in (ten, twenty)])
    others = weight.copy()
    others[frame] = 0.0
    maker = _Maker(others, dates, np.array([frame]), lacking)
    whole = maker.strip(np.nan_to_num(ten, nan=0.0), np.nan_to_num(twenty, nan=0.0), slice(None))
    return maker.grounds(*whole)[0]


def grounds_for(
    frames: Frames, weight: FloatArray, *, dates: NDArray[np.datetime64], wanted: Sequence[int]
) -> list[Ground]:
    """Clear references of some frames, each from all frames but itself.

    Parameters
    ----------
    frames : Frames
    weight : float32 array (time, y/2, x/2)
        How far each frame can be trusted, from `reference.trust`; 0 where it is nodata.
    dates : datetime64 array (time,)
    wanted : sequence of int
        Frames that are looked at; none vouches for itself.

    Returns
    -------
    list of Ground
        One for each of ``wanted``.
    """
    maker = _Maker(weight, dates, np.asarray(wanted), frames.lacking)
    rows, columns = weight.shape[1:]
    count = len(maker.wanted)
    out = [
        np.empty((count, bands, rows * fine, columns * fine), dtype=np.float32)
        for bands, fine in ((len(frames.ten[0]), 2), (len(frames.twenty[0]), 1), (7, 1))
    ]
    step = max(1, _STRIP // (len(weight) * columns))
    for top in range(0, rows, step):
        run, fine = slice(top, top + step), slice(2 * top, 2 * (top + step))
        strip = maker.strip(_plain(frames.ten[:, :, fine]), _plain(frames.twenty[:, :, run]), run)
        for whole, part, place in zip(out, strip, (fine, run, run), strict=True):
            whole[:, :, place] = part
    return maker.grounds(*out)


@dataclass(frozen=True, eq=False)
class _Maker:
    """Makes references of some frames at once.

    What a frame counts is a place's trust in it times its closeness in time, and the latter is the same everywhere. So
    sums over the frames are products of matrices.
    """

    weight: FloatArray
    dates: NDArray[np.datetime64]
    wanted: NDArray[np.intp]
    lacking: NDArray[np.bool_]

    def strip(self, ten: FloatArray, twenty: FloatArray, rows: slice) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Means and spreads in some rows: (frame, 4, y, x), (frame, 9, y/2, x/2), (frame, 7, y/2, x/2) of support."""
        weight = self.weight[:, rows]
        close = closeness(self.dates, self.dates[self.wanted]).astype(np.float32)
        close[np.arange(len(close)), self.wanted] = 0.0
        total = np.tensordot(close, weight, 1)
        known = total >= _LEAST
        scale = np.where(known, 1.0 / np.maximum(total, _LEAST), np.nan).astype(np.float32)[:, None]
        sharp = np.tensordot(close, ten * _doubled(weight)[:, None], 1) * _doubled(scale)
        centre = np.tensordot(close, twenty * weight[:, None], 1) * scale
        # Around the mean of all frames, so that the difference of two large squares isn't what is left.
        values = np.concatenate([halved(ten), twenty[:, list(SPREAD_TWENTY)]], axis=1)
        everything = np.maximum(weight.sum(axis=0), np.float32(_LEAST))
        values -= (values * weight[:, None]).sum(axis=0) / everything
        weighed = values * weight[:, None]
        mean = np.tensordot(close, weighed, 1) * scale
        weighed *= values
        square = np.tensordot(close, weighed, 1) * scale
        spread = np.sqrt(np.maximum(square - np.square(mean), np.float32(0.0)))
        evidence = np.where(known, total, np.float32(np.nan))
        return sharp, centre, np.concatenate([spread, evidence[:, None]], axis=1)

    def grounds(self, ten: FloatArray, twenty: FloatArray, support: FloatArray) -> list[Ground]:
        """References, with the age of each and without bands that aren't there."""
        for values, lacking in ((ten, self.lacking[: ten.shape[1]]), (twenty, self.lacking[ten.shape[1] :])):
            values[:, lacking] = np.nan
        spread_of = [*range(ten.shape[1]), *(ten.shape[1] + band for band in SPREAD_TWENTY)]
        support[:, :6][:, self.lacking[spread_of]] = np.nan
        made = []
        for number, frame in enumerate(self.wanted):
            age = self._age(int(frame))
            age[np.isnan(support[number, 6])] = np.nan
            made.append(Ground(ten[number], twenty[number], np.concatenate([support[number], age[None]])))
        return made

    def _age(self, frame: int) -> FloatArray:
        """Days (y/2, x/2) to the nearest other frame that has seen the ground."""
        days = np.abs((self.dates - self.dates[frame]) / np.timedelta64(1, "D")).astype(np.float32)
        age = np.full(self.weight.shape[1:], 1e4, dtype=np.float32)
        waiting = np.ones(age.shape, dtype=np.bool_)
        for other in np.argsort(days, kind="stable"):
            if other == frame:
                continue
            seen = waiting & (self.weight[other] >= CLEAR_WEIGHT)
            age[seen] = days[other]
            waiting &= ~seen
            if not waiting.any():
                break
        return age


def no_ground(shape: tuple[int, int]) -> Ground:
    """Reference of a frame (y, x) that has none.

    Examples
    --------
    >>> bool(np.isnan(no_ground((4, 4)).support).all())
    True
    """
    rows, columns = shape
    half = (rows // 2, columns // 2)
    return Ground(*(np.full((n, *size), np.nan, dtype=np.float32) for n, size in ((4, shape), (9, half), (8, half))))


def _doubled(values: FloatArray) -> FloatArray:
    """Each pixel as 2 x 2 pixels."""
    return values.repeat(2, axis=-1).repeat(2, axis=-2)


def halved(values: FloatArray) -> FloatArray:
    """Means of 2 x 2 pixels; the last two axes have even lengths.

    Examples
    --------
    >>> halved(np.float32([[1, 2], [3, 4]]))
    array([[2.5]], dtype=float32)
    """
    pairs = values[..., ::2, :] + values[..., 1::2, :]
    half: FloatArray = np.float32(0.25) * (pairs[..., ::2] + pairs[..., 1::2])
    return half
