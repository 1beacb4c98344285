"""Kinds of places: what each is drawn of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from clearsight.simulate.ground.covers import Cover
from clearsight.simulate.ground.water import Pool, draw_pool
from clearsight.simulate.places.layout import Habit, hashed, to_canvas
from clearsight.simulate.places.shores import coast, lake, mangrove, sea, tidal, wetland
from clearsight.simulate.places.sketch import (
    HEDGE,
    ROAD,
    TRACK,
    Sketch,
    blend,
    farmland,
    lakes,
    natural,
    river,
    stands,
    woods,
)
from clearsight.simulate.places.town import town
from clearsight.simulate.places.works import (
    glacier,
    greenhouses,
    industry,
    lava,
    peat,
    quarry,
    saltworks,
    seaice,
)

_FARM: Final = {
    Cover.CROP: 0.70, Cover.MEADOW: 0.17, Cover.ORCHARD: 0.04, Cover.SHRUB: 0.02, Cover.SOIL: 0.04,
    Cover.DECIDUOUS: 0.03,
}  # fmt: skip


def _habit(rng: np.random.Generator) -> Habit:
    """How a region cuts its land: old strips, large modern fields, a surveyor's grid, or small plots with hedges."""
    lines = ((1300.0, ROAD, 3.2), (420.0, TRACK, 2.6))
    hedged = (*lines, (160.0, HEDGE, 3.4))
    return [
        Habit(45_000, strips=0.45, lines=lines),
        Habit(110_000, strips=0.3, lines=lines),
        Habit(260_000, spread=0.4, strips=0.25, square=0.97, lines=((900.0, ROAD, 3.2), (600.0, TRACK, 2.6))),
        Habit(16_000, strips=0.4, lines=hedged),
        Habit(28_000, strips=0.15, lines=hedged),
    ][int(rng.choice(5, p=[0.35, 0.25, 0.12, 0.13, 0.15]))]


def _conifer(latitude: float) -> float:
    return float(np.clip((abs(latitude) - 38) / 26, 0.05, 0.95))


def _roll(sketch: Sketch, *, height: float, metres: float = 2500.0) -> None:
    sketch.relief = (sketch.relief + height * sketch.noise(slope=2.3, metres=metres) + 120).astype(np.float32)


def mixed(sketch: Sketch) -> None:
    """Fields, woods, a river, a lake, a town, and a pit: a bit of everything."""
    rng = sketch.rng
    _roll(sketch, height=18.0)
    extent = sketch.x[0, -1], sketch.y[-1, 0]
    pieces = farmland(sketch, shares=_FARM, habit=_habit(rng))
    woods(sketch, share=rng.uniform(0.14, 0.3), conifer=_conifer(sketch.latitude), metres=1300, pieces=pieces)
    middle = extent[0] * rng.uniform(0.25, 0.75), extent[1] * rng.uniform(0.25, 0.75)
    town(sketch, radius=min(extent) * rng.uniform(0.13, 0.2), centre=middle, style=rng.uniform(0, 0.8))
    if rng.random() < 0.7:
        far = extent[0] * rng.uniform(0.05, 0.95), extent[1] * rng.uniform(0.05, 0.95)
        town(sketch, radius=min(extent) * 0.07, centre=far, style=rng.uniform(0, 0.4))
    lakes(sketch, share=rng.uniform(0.02, 0.05), metres=900, pools=[draw_pool(rng, Cover.LAKE) for _ in range(3)])
    river(sketch, width=rng.uniform(25, 80), pool=draw_pool(rng, Cover.RIVER))
    pit = to_canvas(sketch.noise(slope=2.0, metres=350))
    sketch.paint(pit > np.quantile(pit[::4, ::4], 0.994), Cover.SAND, kinds=3)


def crops(sketch: Sketch) -> None:
    """Fields and little else."""
    rng = sketch.rng
    _roll(sketch, height=10.0)
    shares = dict(_FARM)
    shares[Cover.CROP] *= rng.uniform(0.8, 2.5)
    if abs(sketch.latitude) < 42 and rng.random() < 0.3:
        shares[Cover.RICE] = rng.uniform(0.2, 0.8)
    pieces = farmland(sketch, shares=shares, habit=_habit(rng))
    woods(sketch, share=rng.uniform(0.02, 0.12), conifer=_conifer(sketch.latitude) * 0.6, metres=900, pieces=pieces)
    if rng.random() < 0.6:
        spot = sketch.x[0, -1] * rng.random(), sketch.y[-1, 0] * rng.random()
        town(sketch, radius=rng.uniform(120, 320), centre=spot, style=rng.uniform(0, 0.6))
    if rng.random() < 0.4:
        river(sketch, width=rng.uniform(15, 40), pool=draw_pool(rng, Cover.RIVER))


def forest(sketch: Sketch) -> None:
    """Stands of trees of all ages, clearings, tracks, a lake."""
    rng = sketch.rng
    tropical = abs(sketch.latitude) < 20
    _roll(sketch, height=45.0)
    everywhere = np.ones(sketch.x.shape, dtype=bool)
    conifer = 0.0 if tropical else _conifer(sketch.latitude)
    stands(sketch, everywhere, conifer=conifer, evergreen=0.95 if tropical else 0.0, area=rng.uniform(3e4, 2e5))
    habit = Habit(rng.uniform(1.2e5, 5e5), strips=0.0, lines=((500.0, TRACK, 2.6),))
    farmland_over(sketch, habit, {Cover.CLEARCUT: 0.6, Cover.MEADOW: 0.3, Cover.SHRUB: 0.1}, share=0.07)
    lakes(sketch, share=rng.uniform(0.0, 0.05) + 1e-4, metres=700, pools=[draw_pool(rng, Cover.LAKE) for _ in range(4)])
    if rng.random() < 0.4:
        river(sketch, width=rng.uniform(12, 60), pool=draw_pool(rng, Cover.RIVER), trees=0.9)


def farmland_over(sketch: Sketch, habit: Habit, shares: dict[Cover, float], *, share: float) -> None:
    """Put some pieces of a farmland, and its tracks, over what is already there."""
    before = sketch.ids.copy()
    pieces = farmland(sketch, shares=shares, habit=habit, bend=140.0)
    open_ = sketch.rng.random(pieces.count) < share
    keep = open_[pieces.piece] | (pieces.line > 0)
    sketch.ids = np.where(keep, sketch.ids, before)
    sketch.streaks = np.where(open_[pieces.piece[0::2, 0::2]], sketch.streaks, 0).astype(np.float32)


def grassland(sketch: Sketch) -> None:
    """Steppe and pasture with gullies, shrubs and bare spots."""
    rng = sketch.rng
    _alps(sketch, base=300.0, steep=rng.uniform(0.03, 0.15))
    natural(
        sketch,
        {Cover.STEPPE: 1.0, Cover.MEADOW: 0.4, Cover.SHRUB: 0.35, Cover.SOIL: 0.25},
        metres=1200,
        kinds=2,
        sharp=2.0,
    )
    _gullies(sketch, Cover.MEADOW, width=0.05)
    farmland_over(
        sketch, Habit(6e5, square=0.9, lines=((700.0, TRACK, 2.6),)), {Cover.STEPPE: 1, Cover.CROP: 0.5}, share=0.3
    )
    lakes(sketch, share=0.006, metres=400, pools=[draw_pool(rng, Cover.LAKE) for _ in range(4)], depth=2.0)


def savanna(sketch: Sketch) -> None:
    """Grass and trees, green after the rains, brown and burnt before them."""
    rng = sketch.rng
    _roll(sketch, height=20.0)
    shares = {Cover.SAVANNA: 1.0, Cover.SHRUB: 0.6, Cover.SOIL: 0.3, Cover.DECIDUOUS: 0.12}
    natural(sketch, shares, metres=800, sharp=2.0)
    _gullies(sketch, Cover.EVERGREEN, width=0.035)
    crowns = hashed((sketch.x / 7).astype(np.int32), (sketch.y / 7).astype(np.int32), np.array(sketch.ids.size))
    dense = 0.06 + 0.07 * to_canvas(sketch.noise(slope=1.8, metres=900))
    sketch.paint(crowns < dense, Cover.DECIDUOUS, kinds=6)
    if rng.random() < 0.6:
        shares = {Cover.CROP: 0.6, Cover.SOIL: 0.4}
        farmland_over(sketch, Habit(12_000, strips=0.2, lines=((900.0, TRACK, 2.6),)), shares, share=0.12)


def _gullies(sketch: Sketch, cover: Cover, *, width: float) -> None:
    """Lines where water runs, drawn where a random field crosses zero."""
    line = np.abs(to_canvas(sketch.noise(slope=2.2, metres=1500)))
    fade = to_canvas(sketch.noise(slope=2.2, metres=1500))
    sketch.paint((line < width) & (fade > -0.3), cover, kinds=5)


def desert(sketch: Sketch) -> None:
    """Bare ground of many colours, rock, wadis; at times circles of irrigated crops."""
    rng = sketch.rng
    _alps(sketch, base=rng.choice([300.0, 1200.0, 4200.0], p=[0.6, 0.25, 0.15]), steep=rng.choice([0.02, 0.08, 0.25]))
    sand = Cover.ERG if rng.random() < 0.35 else Cover.SAND
    shares = {Cover.SOIL: 0.8, Cover.ROCK: 0.6, sand: 1.2}
    natural(sketch, shares, metres=2000, sharp=2.0, along=sketch.relief)
    _gullies(sketch, sand, width=0.05)
    _gullies(sketch, Cover.SHRUB, width=0.012)
    if rng.random() < 0.35:
        _pivots(sketch)
    line = to_canvas(sketch.noise(slope=3.0, metres=4000))
    sketch.paint(np.abs(line) < 0.006, Cover.ROAD, kinds=2)


def _pivots(sketch: Sketch) -> None:
    """Circles that a turning sprinkler waters, side by side."""
    rng, radius = sketch.rng, float(sketch.rng.uniform(250, 420))
    count = max(int(sketch.x[0, -1] / (2.1 * radius)), 1), max(int(sketch.y[-1, 0] / (2.1 * radius)), 1)
    for i in range(count[0]):
        for j in range(count[1]):
            if rng.random() < 0.55:
                dx, dy = sketch.x - (2.1 * i + 1.05) * radius, sketch.y - (2.1 * j + 1.05) * radius
                circle = np.hypot(dx, dy) < radius * rng.choice([1.0, 0.97])
                if rng.random() < 0.3:
                    circle &= np.cos(np.arctan2(dy, dx) - rng.uniform(0, 6.3)) < rng.uniform(-0.2, 0.8)
                sketch.paint(circle, Cover.CROP)


def dunes(sketch: Sketch) -> None:
    """Ridges of sand, steep on the side away from the wind."""
    rng = sketch.rng
    wave, wind = rng.uniform(250, 900), rng.uniform(0, np.pi)
    x, y = sketch.x[0::2, 0::2], sketch.y[0::2, 0::2]
    along = (np.cos(wind) * x + np.sin(wind) * y) / wave + 0.6 * sketch.noise(slope=3.2, metres=4 * wave)
    phase = (along - np.floor(along)).astype(np.float32)
    lee = 0.74
    ridge = np.where(phase < lee, phase / lee, (1 - phase) / (1 - lee))
    crest = np.clip(0.7 + 0.45 * sketch.noise(slope=2.2, metres=2 * wave), 0.05, 2.0)
    height = 0.085 * wave * crest * ridge**1.3
    sketch.relief = (300 + height + 0.4 * sketch.noise(slope=1.0, metres=60)).astype(np.float32)
    # Gypsum makes white dunes, quartz with a coat of rust the bright red and yellow ones of the sand seas.
    sand = [Cover.SAND, Cover.ERG, Cover.CHALK][int(rng.choice(3, p=[0.42, 0.45, 0.13]))]
    first = sketch.add([sand] * 6)
    level = np.clip((to_canvas(sketch.noise(slope=2.4, metres=4000)) * 0.25 + 0.5) * 6, 0, 5.99).astype(np.int32)
    sketch.ids[:] = first + level
    blend(sketch, since=first)
    flat = to_canvas((ridge * crest).astype(np.float32)) + 0.12 * to_canvas(sketch.noise(slope=1.6, metres=500))
    sketch.paint(flat < rng.uniform(-0.2, 0.08), Cover.SOIL, kinds=3)


def salt(sketch: Sketch) -> None:
    """A salt flat with polygons, brine after rain, and its rim."""
    rng = sketch.rng
    _roll(sketch, height=0.2)
    sketch.relief += np.float32(rng.choice([0.0, 1200.0, 2900.0]))
    natural(sketch, {Cover.SALT: 1.0, Cover.MUD: 0.25}, metres=1800, sharp=1.5)
    height = sketch.noise(slope=2.2, metres=4000)
    rim = to_canvas(height)
    level = rng.uniform(0.6, 1.6)
    sketch.paint(rim > level, Cover.SOIL, kinds=5)
    sketch.paint(rim > level + 0.35, Cover.SHRUB, kinds=5)
    bed = (0.10 * height + 0.03 * sketch.noise(slope=1.2, metres=300) + 0.12).astype(np.float32)
    brine = Pool(Cover.LAKE, rng.uniform(0.5, 8), rng.uniform(1, 20), rng.uniform(0.02, 0.3), swing=0.25)
    sketch.set_water(bed, brine, where=height < level)


def town_only(sketch: Sketch) -> None:
    """A city."""
    rng = sketch.rng
    mixed_shares = {Cover.CROP: 0.5, Cover.MEADOW: 0.3, Cover.SOIL: 0.1, Cover.DECIDUOUS: 0.1}
    _roll(sketch, height=8.0)
    farmland(sketch, shares=mixed_shares, habit=_habit(rng))
    extent = float(sketch.x[0, -1]), float(sketch.y[-1, 0])
    middle = extent[0] * rng.uniform(0.35, 0.65), extent[1] * rng.uniform(0.35, 0.65)
    town(sketch, radius=min(extent) * rng.uniform(0.5, 0.8), centre=middle, style=rng.uniform(0, 1))
    if rng.random() < 0.6:
        river(sketch, width=rng.uniform(40, 150), pool=draw_pool(rng, Cover.RIVER), trees=0.15)


def mountain(sketch: Sketch) -> None:
    """Ridges and valleys: woods below, meadows, then rock; snow by the season."""
    treeline = float(np.clip(3900 - 42 * abs(sketch.latitude), 300, 3600))
    _alps(sketch, base=max(treeline + sketch.rng.uniform(-1100, 250), 150.0), steep=sketch.rng.uniform(0.3, 0.95))
    by_height(sketch, treeline=treeline, ice=9e9)
    lakes(sketch, share=0.008, metres=500, pools=[draw_pool(sketch.rng, Cover.LAKE) for _ in range(3)])


def snow(sketch: Sketch) -> None:
    """High or polar ground that is white for most of the year, with glaciers."""
    polar = abs(sketch.latitude) > 60
    base = 500.0 if polar else 2900.0
    _alps(sketch, base=base, steep=sketch.rng.choice([0.04, 0.3, 0.6, 0.9], p=[0.12, 0.23, 0.35, 0.3]))
    by_height(sketch, treeline=base - 800, ice=base + sketch.rng.uniform(-300, 150))


def _alps(sketch: Sketch, *, base: float, steep: float) -> None:
    """Relief with sharp ridges, valleys and spurs, the folds of random fields; ``steep`` is its mean slope."""
    bend = sketch.noise(slope=3.0, metres=3000)
    fold = 1.0 - np.abs(sketch.noise(slope=3.2, metres=2200))
    valleys = np.abs(sketch.noise(slope=3.0, metres=2600))
    spurs = (1.0 - np.abs(sketch.noise(slope=2.6, metres=700))) * (0.6 + 0.3 * bend)
    relief = fold + 0.9 * valleys + 0.5 * bend + 0.4 * spurs + 0.02 * sketch.noise(slope=1.7, metres=200)
    down, right = np.gradient(relief, sketch.pixel)
    sketch.relief = (base + relief * (steep / max(float(np.hypot(down, right).mean()), 1e-9))).astype(np.float32)


def by_height(sketch: Sketch, *, treeline: float, ice: float) -> None:
    """Covers by height and steepness, with ragged borders."""
    height = to_canvas(sketch.relief + 90 * sketch.noise(slope=1.5, metres=500))
    down, right = np.gradient(sketch.relief, sketch.pixel)
    steep = to_canvas(np.hypot(down, right).astype(np.float32) + 0.12 * sketch.noise(slope=1.2, metres=200))
    natural(sketch, {Cover.STEPPE: 1.0, Cover.ROCK: 0.35, Cover.SHRUB: 0.4}, metres=800, kinds=2)
    stands(sketch, height < treeline, conifer=_conifer(sketch.latitude), area=40_000)
    clear = to_canvas(sketch.noise(slope=1.8, metres=900))
    sketch.paint((height < treeline) & (clear > 0.9) & (steep < 0.45), Cover.MEADOW, kinds=8)
    sketch.paint((height > treeline + 450) | (steep > 0.85), Cover.ROCK, kinds=10)
    sketch.paint((height > ice) & (steep < 0.55), Cover.ICE, kinds=4)


PLACES: Final[dict[str, Callable[[Sketch], None]]] = {
    "mixed": mixed, "crops": crops, "forest": forest, "grassland": grassland, "savanna": savanna, "desert": desert,
    "dunes": dunes, "salt": salt, "town": town_only, "coast": coast, "sea": sea, "lake": lake, "tidal": tidal,
    "mangrove": mangrove, "wetland": wetland, "mountain": mountain, "snow": snow, "greenhouses": greenhouses,
    "industry": industry, "quarry": quarry, "saltworks": saltworks, "lava": lava, "peat": peat, "glacier": glacier,
    "seaice": seaice,
}  # fmt: skip
"""How to draw each kind of place."""
