"""Places by the water: coasts, tidal flats, mangroves, lakes, wetlands and the open sea."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.ground.covers import Cover
from clearsight.simulate.ground.water import draw_pool
from clearsight.simulate.places.layout import Habit, meander, to_canvas
from clearsight.simulate.places.sketch import ROAD, TRACK, Sketch, farmland, lakes, natural, stands, woods
from clearsight.simulate.places.town import town

Array = NDArray[np.float32]


def _towards_sea(sketch: Sketch, *, share: float, rough: float, slope: float = 2.0) -> Array:
    """Metres inland of a ragged shore line, negative out at sea, which takes this share of the scene."""
    rng = sketch.rng
    angle = rng.uniform(0, 2 * np.pi)
    x, y = sketch.x[0::2, 0::2], sketch.y[0::2, 0::2]
    inland = np.cos(angle) * x + np.sin(angle) * y + rough * sketch.noise(slope=slope, metres=3000)
    return np.asarray(inland - np.quantile(inland, share), dtype=np.float32)


def coast(sketch: Sketch) -> None:
    """Sea with surf, a beach or rocks, and the land behind it."""
    rng = sketch.rng
    inland = _towards_sea(sketch, share=rng.uniform(0.3, 0.65), rough=rng.uniform(60, 500), slope=rng.uniform(1.7, 2.3))
    steep = rng.uniform(0.006, 0.05)
    bed = np.where(inland < 0, -2.2 * steep * np.abs(inland) ** 0.9, steep * inland)
    bars = 0.35 * np.sin(inland / rng.uniform(25, 60) + 2 * sketch.noise(slope=2.2, metres=900))
    bed = bed + np.where((inland < 0) & (inland > -250), bars, 0.0)
    sketch.relief = (np.clip(inland, 0, None) * 0.02 + 5 * sketch.noise(slope=2.2, metres=1500)).astype(np.float32)
    farmland(sketch, shares={Cover.CROP: 0.4, Cover.MEADOW: 0.3, Cover.SHRUB: 0.2, Cover.SOIL: 0.1}, habit=Habit(
        50_000, strips=0.3, lines=((1200.0, ROAD, 3.2), (420.0, TRACK, 2.6))))  # fmt: skip
    woods(sketch, share=0.2, conifer=0.5, metres=900)
    spot = sketch.x[0, -1] * rng.random(), sketch.y[-1, 0] * rng.random()
    town(sketch, radius=rng.uniform(250, 600), centre=spot, style=rng.uniform(0, 1))
    far = to_canvas(inland) + 35 * to_canvas(sketch.noise(slope=1.6, metres=500))
    beach = rng.uniform(20, 120)
    sketch.paint(far < 2.4 * beach, Cover.STEPPE, kinds=5)
    # White coral or quartz, black basalt, or the sand of the land behind.
    sand = [Cover.SAND, Cover.CHALK, Cover.LAVA][int(rng.choice(3, p=[0.68, 0.22, 0.1]))]
    sketch.paint(far < beach, sand, kinds=3)
    if rng.random() < 0.3:
        sketch.paint((far < beach) & (to_canvas(sketch.noise(slope=1.6, metres=700)) > 0.2), Cover.ROCK, kinds=4)
    sketch.set_water(bed.astype(np.float32), draw_pool(rng, Cover.SEA, surf=rng.uniform(0.3, 1.0)), where=inland < 400)


def sea(sketch: Sketch) -> None:
    """Open water: blue, green or brown, shoals, at times an island."""
    rng = sketch.rng
    natural(sketch, {Cover.SAND: 1.0, Cover.MUD: 0.5}, metres=2500, kinds=2, sharp=1.5)
    swing = sketch.noise(slope=2.8, metres=6000)
    island = rng.random() < 0.3
    bed = (swing - np.quantile(swing, 0.97 if island else 1.0)) * rng.choice([1.5, 4.0, 6.0, 20.0])
    bed = bed - (0.0 if island else rng.choice([0.8, 3.0, 30.0, 30.0]))
    high = to_canvas(bed.astype(np.float32))
    sketch.relief = np.maximum(bed * 8, 0).astype(np.float32)
    sketch.paint(high > 0.4, Cover.SHRUB if rng.random() < 0.5 else Cover.EVERGREEN, kinds=5)
    sketch.set_water(bed.astype(np.float32), draw_pool(rng, Cover.SEA, surf=0.6))


def lake(sketch: Sketch) -> None:
    """A large lake, and ponds, in farmland, forest or dry open country."""
    rng = sketch.rng
    sketch.relief = (8 * sketch.noise(slope=2.3, metres=2500) + 60).astype(np.float32)
    conifer = float(np.clip((abs(sketch.latitude) - 38) / 26, 0.05, 0.95))
    if rng.random() < 0.3:
        natural(sketch, {Cover.STEPPE: 1.0, Cover.SHRUB: 0.7, Cover.SOIL: 0.6, Cover.ROCK: 0.2}, metres=1200, sharp=2.0)
        woods(sketch, share=rng.uniform(0.01, 0.2), conifer=conifer, metres=900)
    else:
        shares = {Cover.CROP: 0.5, Cover.MEADOW: 0.4, Cover.SHRUB: 0.1}
        pieces = farmland(
            sketch, shares=shares, habit=Habit(40_000, strips=0.3, lines=((1200.0, ROAD, 3.2), (420.0, TRACK, 2.6)))
        )
        woods(sketch, share=rng.uniform(0.2, 0.9), conifer=conifer, metres=1500, pieces=pieces)
    pools = [draw_pool(rng, Cover.LAKE) for _ in range(5)]
    lakes(
        sketch, share=rng.uniform(0.3, 0.6), metres=rng.choice([1500.0, 5000.0]), pools=pools, depth=rng.uniform(3, 15)
    )
    lakes(sketch, share=0.01, metres=350, pools=pools[::-1], depth=3.0)


def _creeks(sketch: Sketch, *, depth: float) -> Array:
    """Branching channels: where random fields of falling size cross zero, each order shallower and narrower."""
    carved = np.zeros(sketch.shape, dtype=np.float32)
    for order, metres in enumerate((1600.0, 700.0)):
        line = np.abs(sketch.noise(slope=2.1, metres=metres))
        carved += np.float32(depth / (1 + order)) * np.exp(-((line / (0.09 - 0.03 * order)) ** 2))
    return carved


def tidal(sketch: Sketch) -> None:
    """Flats of sand and mud that fall dry twice a day, with creeks, mussel beds and marsh."""
    rng = sketch.rng
    inland = _towards_sea(sketch, share=0.6, rough=900.0, slope=2.6)
    scale = float(np.ptp(inland)) or 1.0
    bed = 4.2 * inland / scale + 0.3 * sketch.noise(slope=2.4, metres=1500) + 0.04 * sketch.noise(slope=1.5, metres=200)
    bed = bed - _creeks(sketch, depth=rng.uniform(1.2, 3.0))
    natural(sketch, {Cover.MUD: 1.0, Cover.SAND: 0.9}, metres=2000, kinds=2, sharp=1.2)
    high = to_canvas(bed.astype(np.float32))
    sketch.paint(high > 1.0, Cover.REED, kinds=6)
    sketch.paint(high > 1.35, Cover.MEADOW, kinds=6)
    mussels = to_canvas(sketch.noise(slope=1.2, metres=250))
    sketch.paint((mussels > 2.0) & (high < 0.5), Cover.ROCK, kinds=3)
    sketch.relief = np.maximum(bed, 0).astype(np.float32)
    sketch.set_water(bed.astype(np.float32), draw_pool(rng, Cover.SEA, surf=0.15))


def mangrove(sketch: Sketch) -> None:
    """Mangroves between creeks and mud, shallow turbid sea before them."""
    rng = sketch.rng
    inland = _towards_sea(sketch, share=0.4, rough=700.0, slope=2.5)
    scale = float(np.ptp(inland)) or 1.0
    bed = 3.0 * inland / scale + 0.2 * sketch.noise(slope=2.2, metres=900) - _creeks(sketch, depth=1.2)
    for _ in range(2):
        distance, half = meander(rng, shape=sketch.shape, pixel=sketch.pixel, width=rng.uniform(20, 70))
        bed = np.minimum(bed, np.clip((distance - half) * 0.05, -2.5, 9.0))
    natural(sketch, {Cover.MUD: 1.0, Cover.SAND: 0.2}, metres=1200, kinds=2, sharp=1.2)
    high = to_canvas(bed.astype(np.float32)) + 0.12 * to_canvas(sketch.noise(slope=1.2, metres=200))
    sketch.paint(high > 0.15, Cover.MANGROVE, kinds=12)
    sketch.paint(high > 1.05, Cover.SALT if rng.random() < 0.25 else Cover.STEPPE, kinds=5)
    sketch.paint(high > 1.35, Cover.EVERGREEN, kinds=10)
    sketch.relief = np.maximum(bed, 0).astype(np.float32)
    sketch.set_water(bed.astype(np.float32), draw_pool(rng, Cover.SEA))


def wetland(sketch: Sketch) -> None:
    """Reeds, wet meadows and pools whose level follows the rain."""
    rng = sketch.rng
    bed = 0.55 * sketch.noise(slope=1.8, metres=1200) + rng.uniform(0.05, 0.6)
    bed = bed - _creeks(sketch, depth=1.0)
    natural(sketch, {Cover.REED: 1.0, Cover.MEADOW: 0.9, Cover.SHRUB: 0.3}, metres=1000, kinds=2, sharp=2.5)
    high = to_canvas(bed.astype(np.float32))
    stands(sketch, high > rng.uniform(1.0, 1.6), conifer=0.1)
    sketch.paint(high < -0.15, Cover.MUD, kinds=4)
    sketch.relief = np.maximum(bed, 0).astype(np.float32)
    sketch.set_water(bed.astype(np.float32), draw_pool(rng, Cover.LAKE))
