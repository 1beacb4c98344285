"""A place while it is being drawn: the canvas, and the strokes that all kinds of places share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.simulate.ground.covers import Cover
from clearsight.simulate.ground.terrain import fractal
from clearsight.simulate.ground.water import Pool
from clearsight.simulate.places.layout import FINER, Habit, Pieces, canvas_axes, cut, hashed, meander, to_canvas

Array = NDArray[np.float32]
Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]

ROAD, TRACK, HEDGE = 1, 2, 3
"""Codes of the lines between pieces of land."""

BARE_RIM = 0.6
"""Metres by which a lake's level swings from which on its shore is bare."""

DRY = 1e4
"""Height of the ground over the water in metres where there is no water to speak of."""


@dataclass
class Sketch:
    """What has been drawn so far. Canvas arrays have two by two cells to a pixel, the others are by pixel."""

    rng: np.random.Generator
    shape: tuple[int, int]
    pixel: float
    latitude: float
    x: Array = field(init=False)
    y: Array = field(init=False)
    ids: Ids = field(init=False)
    relief: Array = field(init=False)
    bed: Array = field(init=False)
    """Height of the ground over the mean level of the water near it, in metres."""
    pool: NDArray[np.uint16] = field(init=False)
    """Which of ``pools`` it is, counted from 1; 0 is none."""
    other: Ids = field(init=False)
    """By pixel: the patch that a natural cover passes into, and the share of it in ``part``; -1 where there's none."""
    part: Array = field(init=False)
    variety: Array = field(init=False)
    """Unit random field by pixel that repeats at its borders: where which kind of a cover is."""
    streaks: Array = field(init=False)
    """Traces of work along the fields, unit variance."""
    covers: list[int] = field(default_factory=list)
    partners: list[int] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.x, self.y = canvas_axes(self.shape, pixel=self.pixel)
        self.ids = np.zeros(self.x.shape, dtype=np.int32)
        self.relief = np.zeros(self.shape, dtype=np.float32)
        self.bed = np.full(self.shape, DRY, dtype=np.float32)
        self.pool = np.zeros(self.shape, dtype=np.uint16)
        self.other = np.full(self.shape, -1, dtype=np.int32)
        self.part = np.zeros(self.shape, dtype=np.float32)
        self.variety = fractal(self.rng, shape=self.shape, slope=1.7, largest=400 / self.pixel, periodic=True)
        self.streaks = np.zeros(self.shape, dtype=np.float32)

    def noise(self, *, slope: float = 2.0, metres: float = 800.0) -> Array:
        """Unit random field by pixel whose largest structures have this size."""
        return fractal(self.rng, shape=self.shape, slope=slope, largest=max(metres / self.pixel, 2.0))

    def smooth(self, *, metres: float) -> Array:
        """Unit random field on the canvas without fine detail, to bend things with: made coarse, and stretched."""
        step = 4
        shape = -(-self.shape[0] // step) + 1, -(-self.shape[1] // step) + 1
        coarse = fractal(self.rng, shape=shape, slope=3.2, largest=max(metres / self.pixel / step, 2.0))
        fine = to_canvas(to_canvas(to_canvas(coarse)))
        return fine[: self.x.shape[0], : self.x.shape[1]]

    def add(self, covers: Sequence[int] | NDArray[np.integer]) -> int:
        """Enter new patches; the number of the first."""
        first = len(self.covers)
        self.covers += [int(code) for code in covers]
        self.partners += list(range(first, len(self.covers)))
        return first

    def paint(self, where: Mask, cover: Cover, *, kinds: int = 1) -> None:
        """Cover part of the canvas, in several kinds that pass into each other from place to place."""
        first = self.add([cover] * kinds)
        rows, columns = np.nonzero(where)
        if kinds == 1 or rows.size == 0:
            self.ids[rows, columns] = first
            return
        down, right = self.rng.integers(0, self.variety.shape)
        height, width = self.variety.shape
        level = self.variety[(rows // 2 + down) % height, (columns // 2 + right) % width] * 0.22 + 0.5
        # Between two kinds the cells are a mixture of both, so that no border shows.
        level = level * kinds + 1.2 * (hashed(rows, columns) - 0.5)
        self.ids[rows, columns] = first + np.clip(level, 0, kinds - 0.01).astype(np.int32)

    def bent(self, *, by: float, metres: float) -> tuple[Array, Array]:
        """Axes of the canvas bent by about ``by`` metres over a distance of ``metres``."""
        if by <= 0:
            return self.x, self.y
        return self.x + np.float32(by) * self.smooth(metres=metres), self.y + np.float32(by) * self.smooth(
            metres=metres
        )

    def set_water(self, bed: Array, pool: Pool, *, where: Mask | None = None) -> None:
        """Lay a body of water wherever its bed is lower than what is there."""
        self.pools.append(pool)
        lower = bed < self.bed
        if where is not None:
            lower &= where
        self.bed = np.where(lower, bed, self.bed).astype(np.float32)
        self.pool[lower] = len(self.pools)


def choose(rng: np.random.Generator, shares: Mapping[Cover, float], *, count: int) -> NDArray[np.int64]:
    """Covers drawn by their shares."""
    weights = np.array(list(shares.values()))
    return rng.choice(np.array([int(code) for code in shares]), count, p=weights / weights.sum())


def farmland(sketch: Sketch, *, shares: Mapping[Cover, float], habit: Habit, bend: float = 45.0) -> Pieces:
    """Fields, meadows and what lies between them."""
    x, y = sketch.bent(by=bend * (1 - habit.square), metres=1800.0)
    pieces = cut(sketch.rng, x=x, y=y, habit=habit)
    first = sketch.add(choose(sketch.rng, shares, count=pieces.count))
    sketch.ids[:] = first + pieces.piece
    for code, cover in ((HEDGE, Cover.SHRUB), (TRACK, Cover.TRACK), (ROAD, Cover.ROAD)):
        # A hedge has gaps, and not every field has one.
        there = pieces.line == code
        if code == HEDGE and there.any():
            there &= hashed(pieces.piece, (sketch.x / 90).astype(np.int32)) < 0.6
        sketch.paint(there, cover, kinds=5)
    _streaks(sketch, pieces)
    return pieces


def _streaks(sketch: Sketch, pieces: Pieces) -> None:
    """Work on a field leaves stripes along its long side: sowing, spreading, mowing."""
    piece = pieces.piece[0::2, 0::2]
    heading = pieces.heading[piece]
    across = np.cos(heading) * sketch.y[0::2, 0::2] - np.sin(heading) * sketch.x[0::2, 0::2]
    wide = (hashed(piece, np.array(3)) - 0.5) + (hashed((across / 24).astype(np.int32), piece) - 0.5)
    narrow = hashed((across / 11).astype(np.int32), piece, np.array(7)) - 0.5
    sketch.streaks = ((wide + narrow) * 1.6 * (hashed(piece, np.array(11)) + 0.3)).astype(np.float32)


def natural(
    sketch: Sketch, shares: Mapping[Cover, float], *, metres: float, kinds: int = 3, sharp: float = 3.0,
    along: Array | None = None,
) -> None:  # fmt: skip
    """Covers that nature mixes: each place has a first and a second, by random fields, and one passes into the other.

    ``metres`` is the size of the largest patches, ``kinds`` how many variants each cover has, ``sharp`` how sudden the
    passage is (1 is a veil, 10 an edge), and ``along`` a relief whose heights and slopes the covers follow.
    """
    guides = _guides(sketch, along)
    best = np.full(sketch.shape, -np.inf, dtype=np.float32)
    next_best, ids = best.copy(), np.zeros(sketch.shape, dtype=np.int32)
    for cover, share in shares.items():
        first = sketch.add([cover] * kinds)
        for kind in range(kinds):
            here = sketch.noise(slope=1.9, metres=metres) + np.float32(1.3 * np.log(share))
            here = here + sum((np.float32(sketch.rng.normal()) * guide for guide in guides), np.float32(0))
            won = here > best
            second = np.where(won, best, here)
            sketch.other = np.where(won, ids, np.where(here > next_best, first + kind, sketch.other)).astype(np.int32)
            next_best = np.maximum(next_best, second)
            best, ids = np.maximum(best, here), np.where(won, first + kind, ids).astype(np.int32)
    sketch.part = (1 / (1 + np.exp(np.minimum(sharp * (best - next_best), 30)))).astype(np.float32)
    sketch.ids = np.repeat(np.repeat(ids, 2, axis=0), 2, axis=1)


def _guides(sketch: Sketch, relief: Array | None) -> list[Array]:
    """Unit fields of a relief that covers follow: its hollows and its steepness."""
    if relief is None or float(np.ptp(relief)) < 1e-3:
        return []
    down, right = np.gradient(relief)
    hollow = ndimage.gaussian_filter(relief, 6.0) - relief
    steep = np.hypot(down, right)
    return [np.asarray((g - g.mean()) / max(float(g.std()), 1e-9), dtype=np.float32) for g in (hollow, steep)]


def blend(sketch: Sketch, *, since: int) -> None:
    """Let the patches from a number on mix smoothly, each with another one drawn at random."""
    new = np.arange(since, len(sketch.covers))
    for patch, other in zip(new, sketch.rng.permutation(new), strict=True):
        sketch.partners[int(patch)] = int(other)


def woods(sketch: Sketch, *, share: float, conifer: float, metres: float, pieces: Pieces | None = None) -> Mask:
    """Stands of trees where a random field is high, in part following the borders of the fields."""
    field_ = to_canvas(sketch.noise(slope=2.0, metres=metres))
    if pieces is not None:
        count = np.maximum(np.bincount(pieces.piece.ravel(), minlength=pieces.count), 1)
        mean = np.bincount(pieces.piece.ravel(), weights=field_.ravel(), minlength=pieces.count) / count
        field_ = 0.45 * field_ + 0.55 * mean.astype(np.float32)[pieces.piece]
        field_ = np.where((pieces.line == ROAD) | (pieces.line == TRACK), -9.0, field_)
    where = field_ > np.quantile(field_[::4, ::4], 1 - share)
    stands(sketch, where, conifer=conifer)
    return np.asarray(where, dtype=np.bool_)


def stands(sketch: Sketch, where: Mask, *, conifer: float, area: float = 50_000.0, evergreen: float = 0.0) -> None:
    """Fill a part of the canvas with stands of one age and kind each."""
    if not where.any():
        return
    x, y = sketch.bent(by=60.0, metres=700.0)
    habit = Habit(area, strips=0.1, cell=sketch.pixel)
    pieces = cut(sketch.rng, x=x, y=y, habit=habit)
    kinds = choose(
        sketch.rng,
        {
            Cover.CONIFER: max(conifer, 1e-6),
            Cover.DECIDUOUS: max(1 - conifer - evergreen, 1e-6),
            Cover.EVERGREEN: max(evergreen, 1e-6),
        },
        count=pieces.count,
    )
    first = sketch.add(kinds)
    blend(sketch, since=first)
    sketch.ids = np.where(where, first + pieces.piece, sketch.ids).astype(np.int32)


def river(sketch: Sketch, *, width: float, pool: Pool, trees: float = 0.5) -> Array:
    """A winding river with banks, a plain that floods, and trees along it; distance from its middle in metres."""
    distance, half = meander(sketch.rng, shape=sketch.shape, pixel=sketch.pixel, width=width)
    beyond = distance - half
    bed = np.where(
        beyond < 0, -0.25 * np.sqrt(half) * (1 - (distance / half) ** 2) - 0.15, 0.10 * np.minimum(beyond, 20.0)
    )
    bed = bed + 0.006 * np.maximum(beyond - 20, 0) + np.where(beyond > 10, 0.5 * (sketch.noise(metres=300) + 0.8), 0.0)
    sketch.set_water(bed.astype(np.float32), pool, where=beyond < 30 + 8 * width)
    bank = to_canvas(beyond) - 12 * to_canvas(sketch.noise(slope=1.4, metres=200))
    strip = (bank > 2) & (bank < 6 + 45 * trees) & (to_canvas(sketch.noise(slope=1.6, metres=500)) < 2.2 * trees - 0.9)
    sketch.paint(strip, Cover.DECIDUOUS, kinds=8)
    sketch.paint((to_canvas(beyond) < 1.5) & (to_canvas(beyond) > -width), Cover.MUD, kinds=3)
    sketch.relief = (sketch.relief - 8 * np.exp(-np.maximum(beyond, 0) / (6 * width + 120))).astype(np.float32)
    return distance


def lakes(sketch: Sketch, *, share: float, metres: float, pools: Sequence[Pool], depth: float = 6.0) -> None:
    """Lakes with natural shores, or ponds if ``metres`` is small; each component takes one of the pools."""
    field_ = sketch.noise(slope=2.4, metres=metres)
    level = float(np.quantile(field_, 1 - share))
    bed = ((level - field_) * depth).astype(np.float32)
    labels, count = ndimage.label(bed < 0)
    near = labels if count else np.zeros(sketch.shape, dtype=np.int32)
    grown, before = ndimage.maximum_filter(near, size=7), len(sketch.pools)
    for number in range(min(len(pools), max(count, 1))):
        mine = (grown % len(pools) == number) & (grown > 0) & (bed < 0.8)
        # A reservoir is drawn down to half of its depth at most, in all but the worst years.
        swing = min(pools[number].swing, max(0.35 * float(-bed[mine].min(initial=0.0)), BARE_RIM))
        sketch.set_water(bed, replace(pools[number], swing=swing), where=mine)
    shore = to_canvas(bed)
    sketch.paint((shore < 0.35) & (shore > -1.0), Cover.REED, kinds=4)
    sketch.paint(shore <= -1.0, Cover.MUD, kinds=3)
    # Where the level swings by metres nothing takes root: a bare rim, which the sun bleaches.
    dammed = [
        number for number in range(before + 1, len(sketch.pools) + 1) if sketch.pools[number - 1].swing > BARE_RIM
    ]
    rim = np.isin(sketch.pool, dammed)
    if rim.any():
        cover = [Cover.SOIL, Cover.SAND, Cover.ROCK][int(sketch.rng.choice(3, p=[0.6, 0.25, 0.15]))]
        sketch.paint(np.repeat(np.repeat(rim, FINER, axis=0), FINER, axis=1) & (shore < 0.4), cover, kinds=4)
