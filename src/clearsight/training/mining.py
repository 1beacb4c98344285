"""Clips of real series, for which nobody has labels: windows at random places of any archive that ``search`` reads.

Whatever ``clearsight.search`` finds serves: a folder, a catalogue, an API. Mined clips lie in a bank like simulated
ones (`clearsight.training.bank`) and are read by the same code; ``clips.json`` says which level and bands they have.
Their ``cs`` is nodata throughout until somebody labels them (`clearsight.training.similarity`).

What is drawn depends on the seed, the number of the shard and the items alone, so that a stopped run, asked again, ends
with what an undisturbed one has.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pystac
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from clearsight.bands import REQUIRED_BANDS, Level
from clearsight.errors import ArgumentError
from clearsight.progress import Progress, silent
from clearsight.scene import native_geobox
from clearsight.stack import load
from clearsight.training.bank import ORDER, TEN, TWENTY

Array = NDArray[np.float32]

_SHARD: Final = 64
_REACH: Final = (15.0, 500.0)
"""Days that a clip spans, at least and at most; drawn evenly in the logarithm."""
_TRIES: Final = 6
"""Windows looked at before the best of them is taken, whatever it shows."""
_ENOUGH: Final = 0.5
"""Share of a window's pixels that have to be valid."""
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Wanted:
    """What a bank of mined clips holds."""

    clips: int
    """How many."""
    frames: int = 8
    """Of each clip, on different dates."""
    size: int = 128
    """Pixels of a side, of 10 m; a multiple of 4."""
    per_place: int = 4
    """Clips drawn from each window, on other dates: reading is the dear part. At most 64."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 4 or self.size % 4:
            raise ArgumentError(f"size={self.size}: expected a multiple of 4, so that the 20 m grid is even.")
        if self.clips < 1 or self.frames < 2:
            raise ArgumentError(f"clips={self.clips}, frames={self.frames}: expected at least 1 clip of 2 frames.")
        if not 1 <= self.per_place <= _SHARD:
            raise ArgumentError(f"per_place={self.per_place}: expected 1 to {_SHARD}.")


@dataclass(frozen=True)
class _Series:
    """Items of one tile that have the same level and bands, by time."""

    items: tuple[pystac.Item, ...]
    level: Level
    bands: tuple[str, ...]
    """In the order of ``ORDER``."""
    classes: bool
    """Whether all have a scene classification."""

    @property
    def kind(self) -> tuple[str, tuple[str, ...], bool]:
        """What all clips of a shard have in common."""
        return self.level, self.bands, self.classes


def mine(items: Sequence[pystac.Item], out: Path, *, wanted: Wanted, progress: Progress = silent) -> list[Path]:
    """Write clips of real series into a bank; shards that are there stay.

    Parameters
    ----------
    items : sequence of pystac.Item
        From `clearsight.search`. Items of one tile, level and set of bands make a series; it needs ``wanted.frames``
        items or more.
    out : Path
        Folder of the bank; made if needed.
    wanted : Wanted
        How many clips, of what size.
    progress : callable
        Told of every clip.

    Returns
    -------
    list of Path
        All shards: folders with ``ten``, ``twenty``, ``sixty``, ``facts``, ``guess``, ``cs``, ``q``, ``cause`` as in
        `bank.make_clip` (no band that the items lack is ever filled: it is nodata) and, if the items have it, ``scl``
        (clip, frame, y/2, x/2), the scene classification.

    Raises
    ------
    ArgumentError
        No series is long enough, or no image large enough.
    ProductError
        A file can't be read.

    Examples
    --------
    >>> mine(search("archive/"), Path("bank"), wanted=Wanted(clips=200))  # doctest: +SKIP
    """
    series = _series(items, wanted)
    out.mkdir(parents=True, exist_ok=True)
    starts = range(0, wanted.clips, _SHARD)
    shards = [out / f"{start:08d}" for start in starts]
    for path, start in zip(shards, starts, strict=True):
        if not path.exists():
            numbers = range(start, min(start + _SHARD, wanted.clips))
            _write_shard(path, numbers, series, wanted=wanted, progress=progress)
    progress(wanted.clips, wanted.clips, "mining clips")
    return shards


def _series(items: Sequence[pystac.Item], wanted: Wanted) -> list[_Series]:
    """Series that are long enough, the longest first."""
    grouped: dict[tuple[Any, ...], list[pystac.Item]] = {}
    for item in items:
        level = item.properties.get("processing:level")
        bands = tuple(name for name in ORDER if name in item.assets)
        if item.datetime is None or level not in ("L1C", "L2A") or not set(REQUIRED_BANDS) <= set(bands):
            continue
        place = (item.properties.get("grid:code"), item.properties.get("proj:code"))
        grouped.setdefault((str(place), level, bands, "SCL" in item.assets), []).append(item)
    found = [
        _Series(tuple(sorted(members, key=lambda item: (_moment(item), item.id))), level, bands, classes)
        for (_, level, bands, classes), members in sorted(grouped.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        if len(members) >= wanted.frames and min(_grid(members[0], bands).shape) >= wanted.size
    ]
    if not found:
        longest = max((len(members) for members in grouped.values()), default=0)
        raise ArgumentError(
            f"items: of the {len(items)} given, at most {longest} dated ones with B02, B03, B04 belong together (same "
            f"tile, level and bands); expected {wanted.frames} or more, at least {wanted.size} pixels wide. Search a "
            "longer time, or ask for fewer frames or a smaller size."
        )
    return found


def _grid(item: pystac.Item, bands: Sequence[str]) -> GeoBox:
    return native_geobox(item, resolution=10, bands=[name for name in TEN if name in bands])


def _moment(item: pystac.Item) -> datetime.datetime:
    assert item.datetime is not None, "items without a date don't get here"
    return item.datetime


def _day(item: pystac.Item) -> int:
    return _moment(item).date().toordinal() - _EPOCH


def _write_shard(path: Path, numbers: range, series: Sequence[_Series], *, wanted: Wanted, progress: Progress) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        rng = np.random.default_rng([7207, wanted.seed, numbers[0]])
        lengths = np.array([len(each.items) for each in series], dtype=np.float64)
        kind = series[int(rng.choice(len(series), p=lengths / lengths.sum()))].kind
        alike = [each for each in series if each.kind == kind]
        clips: list[dict[str, NDArray[Any]]] = []
        for first in range(numbers.start, numbers.stop, wanted.per_place):
            progress(first, wanted.clips, "mining clips")
            count = min(wanted.per_place, numbers.stop - first)
            rng = np.random.default_rng([7208, wanted.seed, first])
            clips += _place(alike, count=count, frames=wanted.frames, size=wanted.size, rng=rng)
        for name in clips[0]:
            np.save(part / f"{name}.npy", np.stack([clip[name] for clip in clips]))
        about = {"first": numbers[0], "clips": len(numbers), "level": kind[0], "bands": kind[1]}
        (part / "clips.json").write_text(json.dumps(about))
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _place(
    series: Sequence[_Series], *, count: int, frames: int, size: int, rng: np.random.Generator
) -> list[dict[str, NDArray[Any]]]:
    """Clips from a window that shows something; of some that don't the fullest."""
    lengths = np.array([len(each.items) for each in series], dtype=np.float64)
    best: list[dict[str, NDArray[Any]]] = []
    fullest = -1.0
    for _ in range(_TRIES):
        one = series[int(rng.choice(len(series), p=lengths / lengths.sum()))]
        days = np.array([_day(item) for item in one.items])
        picked = [draw_dates(days, frames, rng) for _ in range(count)]
        needed = np.unique(np.concatenate(picked))
        read = _read(one, [one.items[index] for index in needed], _window(one, size, rng))
        valid = float((read["ten"][:, TEN.index("B02")] != 0).mean())
        if valid > fullest:
            places = [np.searchsorted(needed, indices) for indices in picked]
            best = [{name: values[place] for name, values in read.items()} for place in places]
            fullest = valid
        if valid >= _ENOUGH:
            break
    return best


def draw_dates(days: NDArray[np.integer[Any]], frames: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw frames of a series, days to months apart.

    Parameters
    ----------
    days : integer array (item,)
        Rising.
    frames : int
        How many; at most all.
    rng : numpy Generator

    Returns
    -------
    int array (frames,)
        Places in ``days``, rising. They span a length of time that is drawn anew each time; where too few lie in it,
        a longer one.

    Examples
    --------
    >>> draw_dates(np.arange(0, 700, 5), 4, np.random.default_rng(1)).shape
    (4,)
    """
    reach = float(np.exp(rng.uniform(*np.log(_REACH))))
    away = np.abs(days - days[int(rng.integers(len(days)))])
    # Nearest first: the first few are taken however far they lie.
    nearest = np.argsort(away, kind="stable")[: max(int((away <= reach / 2).sum()), frames)]
    return np.sort(rng.choice(nearest, size=frames, replace=False))


def _window(series: _Series, size: int, rng: np.random.Generator) -> GeoBox:
    """A window of the series' grid that starts at a pixel of 20 m."""
    grid = _grid(series.items[0], series.bands)
    top, left = (2 * int(rng.integers((side - size) // 2 + 1)) for side in grid.shape)
    return grid[top : top + size, left : left + size]


def _read(series: _Series, items: Sequence[pystac.Item], window: GeoBox) -> dict[str, NDArray[Any]]:
    """Pixels of some items in a window, as the bank stores them."""
    coarse = window.zoom_out(2)
    sharp = [name for name in TEN if name in series.bands]
    others = [name for name in series.bands if name not in TEN]
    fine = load(items, bands=sharp, geobox=window)
    rows, columns = window.shape
    shape = (len(items), rows // 2, columns // 2)
    nothing = np.full(shape, np.nan, dtype=np.float32)
    broad = load(items, bands=others, geobox=coarse) if others else {}
    values = {name: fine[name].to_numpy() for name in sharp} | {name: broad[name].to_numpy() for name in others}
    # As in use, a pixel is nodata where any band is.
    valid = np.ones(shape, dtype=np.bool_)
    for name, band in values.items():
        seen = np.isfinite(band)
        valid &= seen.reshape(*shape[:2], 2, shape[2], 2).all(axis=(2, 4)) if name in TEN else seen
    wide = valid.repeat(2, axis=1).repeat(2, axis=2)
    none = nothing.repeat(2, axis=1).repeat(2, axis=2)
    clip: dict[str, NDArray[Any]] = {
        "ten": np.stack([_stored(values.get(name, none), wide) for name in TEN], axis=1),
        "twenty": np.stack([_stored(values.get(name, nothing), valid) for name in TWENTY], axis=1),
        "sixty": np.stack([_stored(values.get(name, nothing), valid) for name in ORDER[10:]], axis=1),
        "cs": np.full(wide.shape, 255, dtype=np.uint8),
        "q": np.full(wide.shape, 255, dtype=np.uint8),
        "cause": np.full(wide.shape, 5, dtype=np.uint8),
        "facts": np.stack([_facts(item, window) for item in items]),
        "guess": np.zeros((len(items), len(ORDER), 3), dtype=np.float32),
    }
    if series.classes:
        classes = load(items, bands=["SCL"], geobox=coarse)["SCL"].to_numpy()
        clip["scl"] = np.where(valid, np.nan_to_num(classes), 0).astype(np.uint8)
    return clip


def _stored(reflectance: Array, valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Digital numbers with the offset of today's products; 0 = nodata, or a band that isn't there."""
    numbers = np.rint(np.clip(np.nan_to_num(reflectance), -0.0999, 6.4) * 10_000) + 1000
    return np.where(valid & np.isfinite(reflectance), numbers, 0).astype(np.uint16)


def _facts(item: pystac.Item, window: GeoBox) -> NDArray[np.float64]:
    """As `bank.FACTS`; NaN where the item doesn't tell."""
    told = item.properties
    elevation = told.get("view:sun_elevation")
    latitude = window.geographic_extent.centroid.coords[0][1]
    angles = [
        None if elevation is None else 90 - float(elevation),
        told.get("view:sun_azimuth"),
        told.get("view:off_nadir", told.get("view:incidence_angle")),
        told.get("view:azimuth"),
    ]
    known = [np.nan if angle is None else float(angle) for angle in angles]
    return np.array([_day(item), *known, abs(float(window.resolution.x)), latitude])
