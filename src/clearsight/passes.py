"""All frames of a place, scored in two passes of the network.

The first pass looks at each frame alone, at half the resolution: four times cheaper, and good enough to say which
frames show the ground. From them every frame gets the clear reference of its place, made of the others
(`clearsight.context`). The second pass looks at frame and reference at full resolution.

Frames stay digital numbers until they are looked at, one by one: what bounds the size of a sub-tile is memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import Level
from clearsight.context import Frames, Ground, decode, encode, grounds_for, halved, no_ground
from clearsight.model import CAUSES, TEN, TWENTY, Model, View, conditions, look_at
from clearsight.reference import Dates, trust

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Window = tuple[slice, slice]

_TOGETHER: Final = 8
_REFERENCE_BYTES: Final = 256_000_000
"""Of the references that are made together: more of them cost less each."""
_TRUST_PIXELS: Final = 1_000_000
"""Pixels of all frames that are weighed at once."""


@dataclass(frozen=True, eq=False)
class Place:
    """Frames of a place, and what is known about them."""

    frames: Frames
    """Even sides."""
    valid: BoolArray
    """(time, y, x) where every band is."""
    names: tuple[str, ...]
    """Bands that are there; at least B02, B03, B04."""
    level: Level
    dates: Dates
    """(time,)."""
    views: Sequence[View | None]
    """Sun and view of each frame, as far as known."""
    pixel: float = 10.0
    """Metres, of the 10 m bands."""


@dataclass(frozen=True)
class Scored:
    """Scores of the frames of one place."""

    cs: FloatArray
    """(time, y, x) 0 … 1, NaN = nodata."""
    alone: BoolArray
    """(time, y, x) valid pixels that had no clear reference."""
    cause: NDArray[np.uint8]
    """(time, y, x) code of ``CAUSES``."""


def score_frames(
    model: Model,
    bands: Mapping[str, FloatArray],
    *,
    level: Level,
    dates: Dates,
    views: Sequence[View | None] | None = None,
    pixel: float = 10.0,
    context: bool = True,
) -> Scored:
    """Score the frames of one place, all bands on one grid.

    Parameters
    ----------
    model : Model
    bands : mapping of band name to float32 array (time, y, x)
        Reflectance, NaN = nodata; at least B02, B03, B04. A pixel is nodata where any band is.
    level : "L1C" or "L2A"
    dates : datetime64 array (time,)
    views : sequence of View or None, optional
        Sun and view of each frame, as far as known.
    pixel : float
        Metres.
    context : bool
        Compare with the clear reference of the place.

    Returns
    -------
    Scored
        A pixel depends on the ``HALO`` pixels around it, and on where its multiples of ``ALIGN`` lie.
    """
    shape = bands["B02"].shape
    views = views or [None] * shape[0]
    place = place_of(bands.items(), names=tuple(bands), level=level, dates=dates, views=views, pixel=pixel)
    return score_place(model, place, inner=(slice(0, shape[1]), slice(0, shape[2])), context=context)


def place_of(
    bands: Iterable[tuple[str, FloatArray]],
    *,
    names: Sequence[str],
    level: Level,
    dates: Dates,
    views: Sequence[View | None],
    pixel: float,
) -> Place:
    """Frames as the network takes them: even sides, half the resolution for all but four bands.

    Bands (time, y, x) come one after the other, so that only one of them needs to be there as reflectance.
    """
    frames, valid = None, np.empty((0, 0, 0), dtype=np.bool_)
    for name, band in bands:
        count, rows, columns = band.shape
        shape = rows + rows % 2, columns + columns % 2
        if frames is None:
            frames = _no_frames(count, shape, names)
            valid = np.zeros((count, *shape), dtype=np.bool_)
            valid[:, :rows, :columns] = True
        full = np.full(shape, np.nan, dtype=np.float32)
        for frame in range(count):
            full[:rows, :columns] = band[frame]
            valid[frame] &= np.isfinite(full)
            if name in TEN:
                frames.ten[frame, TEN.index(name)] = encode(full)
            else:
                frames.twenty[frame, TWENTY.index(name)] = encode(halved(full))
    assert frames is not None  # whoever calls has checked that B02, B03, B04 are there
    for frame, seen in enumerate(valid):
        frames.ten[frame, :, ~seen] = 0
        frames.twenty[frame, :, ~(seen[::2, ::2] & seen[1::2, ::2] & seen[::2, 1::2] & seen[1::2, 1::2])] = 0
    return Place(frames, valid, tuple(names), level, dates, views, pixel)


def _no_frames(count: int, shape: tuple[int, int], names: Sequence[str]) -> Frames:
    lacking = np.array([name not in names for name in (*TEN, *TWENTY)])
    half = shape[0] // 2, shape[1] // 2
    ten, twenty = (np.zeros((count, len(of), *size), np.uint16) for of, size in ((TEN, shape), (TWENTY, half)))
    return Frames(ten, twenty, lacking)


def score_place(model: Model, place: Place, *, inner: Window, context: bool = True) -> Scored:
    """Score the frames of a place, and keep what lies in a window (rows, columns) of it."""
    frames, valid = place.frames, place.valid[:, *inner]
    weight = _trust(model, place) if context and len(valid) > 1 else None
    cs = np.empty(valid.shape, dtype=np.float32)
    cause = np.empty(valid.shape, dtype=np.uint8)
    alone = valid.copy()
    for wanted in _batches(frames):
        for frame, ground in zip(wanted, _grounds(place, weight, wanted), strict=True):
            told = conditions(place.names, level=place.level, pixel=place.pixel, view=place.views[frame])
            ten, twenty = decode(frames.ten[frame]), decode(frames.twenty[frame])
            seen = look_at(model, ten, twenty, ground=ground, facts=told)
            cs[frame], cause[frame] = seen.cs[inner], seen.cause[inner]
            alone[frame] &= np.isnan(ground.ten[0][inner])
    cs[~valid] = np.nan
    cause[~valid] = CAUSES.index("nodata")
    return Scored(cs, alone, cause)


def _batches(frames: Frames) -> list[range]:
    """Frames whose references are made together."""
    count, _, rows, columns = frames.ten.shape
    together = int(np.clip(_REFERENCE_BYTES // (33 * rows * columns), 1, _TOGETHER))
    return [range(start, min(start + together, count)) for start in range(0, count, together)]


def _grounds(place: Place, weight: FloatArray | None, wanted: range) -> list[Ground]:
    if weight is None:
        rows, columns = place.valid.shape[1:]
        return [no_ground((rows, columns))] * len(wanted)
    return grounds_for(place.frames, weight, dates=place.dates, wanted=wanted)


def _trust(model: Model, place: Place) -> FloatArray:
    """Pass one: weights (time, y/2, x/2) of the frames for the reference."""
    frames = place.frames
    count, _, rows, columns = frames.twenty.shape
    shape = rows + rows % 2, columns + columns % 2
    nothing = no_ground(shape)
    quality, blue = (np.empty((count, rows, columns), dtype=np.float32) for _ in range(2))
    for frame in range(count):
        nearby = np.full((len(TEN), *shape), np.nan, dtype=np.float32)
        nearby[:, :rows, :columns] = halved(decode(frames.ten[frame]))
        others = np.full((len(TWENTY), *shape), np.nan, dtype=np.float32)
        others[:, :rows, :columns] = decode(frames.twenty[frame])
        told = conditions(place.names, level=place.level, pixel=2 * place.pixel, view=place.views[frame])
        seen = look_at(model, nearby, halved(others), ground=nothing, facts=told)
        quality[frame], blue[frame] = seen.cs[:rows, :columns], nearby[0, :rows, :columns]
    # Each place for itself, so a few rows at a time; in the place of the scores, which nobody needs any more.
    step = max(1, _TRUST_PIXELS // (count * columns))
    for top in range(0, rows, step):
        key = blue[:, top : top + step]
        strip = quality[:, top : top + step]
        strip[...] = trust(np.nan_to_num(key), strip, np.isfinite(key))
    return quality
