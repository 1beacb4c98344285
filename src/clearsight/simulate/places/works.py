"""Places brighter or darker than most, which cloud and shadow masks mistake: made by people, by fire and by frost."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from clearsight.simulate.ground.covers import Cover
from clearsight.simulate.ground.water import Pool, draw_pool
from clearsight.simulate.places.layout import Habit, cut, to_canvas
from clearsight.simulate.places.sketch import ROAD, TRACK, Sketch, farmland, lakes, natural, stands
from clearsight.simulate.places.town import town

_COUNTRY = {Cover.CROP: 0.5, Cover.MEADOW: 0.25, Cover.SOIL: 0.15, Cover.SHRUB: 0.1}


def _gentle(sketch: Sketch, *, height: float) -> None:
    sketch.relief = (100 + height * sketch.noise(slope=2.3, metres=2500)).astype(np.float32)


def _over(sketch: Sketch, where: np.ndarray, shares: dict[Cover, float], *, habit: Habit) -> None:
    """Cut part of the canvas into pieces of some covers, with roads between them."""
    before, streaks = sketch.ids.copy(), sketch.streaks
    pieces = farmland(sketch, shares=shares, habit=habit, bend=60.0)
    sketch.ids = np.where(where, sketch.ids, before).astype(np.int32)
    sketch.streaks = np.where(where[0::2, 0::2], 0, streaks).astype(np.float32)
    del pieces


def _blob(sketch: Sketch, *, share: float, metres: float) -> np.ndarray:
    """A random part of the canvas of about this share."""
    field = to_canvas(sketch.noise(slope=2.2, metres=metres))
    return np.asarray(field > np.quantile(field[::4, ::4], 1 - share))


def greenhouses(sketch: Sketch) -> None:
    """A plain under plastic: bright roofs wall to wall, as around Almería, with ponds and fields between."""
    rng = sketch.rng
    _gentle(sketch, height=8.0)
    lines = ((900.0, ROAD, 3.2), (250.0, TRACK, 2.6))
    farmland(sketch, shares={**_COUNTRY, Cover.ORCHARD: 0.3}, habit=Habit(30_000, square=0.5, lines=lines))
    shares = {Cover.PLASTIC: 1.0, Cover.SOIL: 0.1, Cover.GARDEN: 0.06, Cover.CROP: 0.08, Cover.PAVED: 0.03}
    habit = Habit(rng.uniform(4e3, 1.5e4), strips=0.35, square=rng.uniform(0.3, 0.95), lines=lines)
    _over(sketch, _blob(sketch, share=rng.uniform(0.35, 1.0), metres=2500), shares, habit=habit)
    spot = sketch.x[0, -1] * rng.random(), sketch.y[-1, 0] * rng.random()
    town(sketch, radius=rng.uniform(150, 350), centre=spot, style=rng.uniform(0.3, 1))
    lakes(sketch, share=0.004, metres=200, pools=[draw_pool(rng, Cover.LAKE) for _ in range(3)], depth=3.0)


def industry(sketch: Sketch) -> None:
    """Large white halls, yards, solar farms, at times a runway, at the edge of a town."""
    rng = sketch.rng
    _gentle(sketch, height=4.0)
    lines = ((900.0, ROAD, 3.2), (420.0, TRACK, 2.6))
    farmland(sketch, shares=_COUNTRY, habit=Habit(60_000, strips=0.3, lines=lines))
    spot = sketch.x[0, -1] * rng.random(), sketch.y[-1, 0] * rng.random()
    town(sketch, radius=rng.uniform(200, 500), centre=spot, style=rng.uniform(0.4, 1))
    shares = {
        Cover.HALL: 0.36, Cover.PAVED: 0.22, Cover.ROOF_DARK: 0.12, Cover.ROOF_BRIGHT: 0.08, Cover.MEADOW: 0.14,
        Cover.SOIL: 0.08,
    }  # fmt: skip
    halls = Habit(rng.uniform(6e3, 3e4), strips=0.2, square=0.95, lines=((250.0, ROAD, 6.0),))
    _over(sketch, _blob(sketch, share=rng.uniform(0.25, 0.6), metres=2000), shares, habit=halls)
    if rng.random() < 0.6:
        panels = Habit(40_000, strips=0.9, square=0.9, lines=((300.0, TRACK, 3.5),))
        shares = {Cover.PANEL: 0.85, Cover.MEADOW: 0.15}
        _over(sketch, _blob(sketch, share=rng.uniform(0.06, 0.25), metres=1500), shares, habit=panels)
    if rng.random() < 0.5:
        _airport(sketch)


def _airport(sketch: Sketch) -> None:
    """A runway with its taxiway and apron, amid grass."""
    rng = sketch.rng
    turn = rng.uniform(0, np.pi)
    x, y = sketch.x - sketch.x[0, -1] * rng.uniform(0.3, 0.7), sketch.y - sketch.y[-1, 0] * rng.uniform(0.3, 0.7)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    reach = np.abs(along) < rng.uniform(900, 1700)
    sketch.paint(reach & (np.abs(across) < 260), Cover.MEADOW, kinds=3)
    bright = Cover.CONCRETE if rng.random() < 0.6 else Cover.PAVED
    sketch.paint(reach & (np.abs(across) < 28), bright, kinds=2)
    sketch.paint(reach & (np.abs(across - 170) < 12), bright)
    sketch.paint((np.abs(along) < 350) & (across > 190) & (across < 420), Cover.CONCRETE, kinds=3)
    sketch.paint((np.abs(np.abs(along) - 180) < 60) & (across > 430) & (across < 500), Cover.HALL, kinds=2)


def quarry(sketch: Sketch) -> None:
    """Pits of chalk, limestone or white sand, or of coal, in terraces, with a pond and heaps."""
    rng = sketch.rng
    _gentle(sketch, height=20.0)
    lines = ((900.0, ROAD, 3.2), (420.0, TRACK, 2.6))
    farmland(sketch, shares=_COUNTRY, habit=Habit(60_000, strips=0.3, lines=lines))
    dark = rng.random() < 0.3
    for share in rng.uniform(0.05, 0.3, 2):
        field = sketch.noise(slope=2.2, metres=1800)
        depth = np.clip(field - np.quantile(field, 1 - share), 0, None)
        terrace = np.floor(depth * 6) + np.clip((depth * 6 % 1) * 5, 0, 1)
        sketch.relief = (sketch.relief - 9 * terrace).astype(np.float32)
        pit = to_canvas(depth.astype(np.float32))
        sketch.paint(pit > 0, Cover.SOIL, kinds=3)
        sketch.paint(pit > 0.05, Cover.PEAT if dark else Cover.CHALK, kinds=6)
        deepest = float(depth.max())
        water = Pool(Cover.LAKE, rng.uniform(0.2, 2), rng.uniform(2, 30), rng.uniform(0.02, 0.3), swing=0.3)
        sketch.set_water(((0.8 * deepest - depth) * 12).astype(np.float32), water, where=depth > 0.6 * deepest)


def saltworks(sketch: Sketch) -> None:
    """Ponds in which sea water thickens: green, then pink to red with the algae of brine, then white with salt."""
    rng = sketch.rng
    _gentle(sketch, height=0.2)
    natural(sketch, {Cover.MUD: 1.0, Cover.STEPPE: 0.5, Cover.SALT: 0.3}, metres=1200, kinds=2)
    x, y = sketch.bent(by=30.0, metres=1500.0)
    habit = Habit(rng.uniform(8e3, 8e4), strips=0.3, square=rng.uniform(0.6, 0.98), lines=((100.0, TRACK, 3.5),))
    pieces = cut(rng, x=x, y=y, habit=habit)
    stage = np.clip(rng.beta(0.9, 1.1, pieces.count) * 6, 0, 5.99).astype(np.int64)
    # Gypsum and then salt fall out before the last pond does.
    first = sketch.add(np.where(stage >= 3, int(Cover.SALT), int(Cover.MUD)))
    works = _blob(sketch, share=rng.uniform(0.6, 1.0), metres=4000)
    sketch.ids = np.where(works, first + pieces.piece, sketch.ids).astype(np.int32)
    sketch.paint(works & (pieces.line > 0), Cover.TRACK, kinds=3)
    here = np.where(works & (pieces.line == 0), stage[pieces.piece], -1)[0::2, 0::2]
    floor = (0.05 * sketch.noise(slope=1.8, metres=300) - rng.uniform(0.3, 0.9)).astype(np.float32)
    for step in range(5):
        salty = step / 4
        algae = np.exp(rng.uniform(0, 3.5)) * (1 - 0.9 * salty)
        silt = np.exp(rng.uniform(0.5, 2.8)) * (1 + 5 * salty)
        pigment = salty**2 * rng.uniform(0.15, 1.0)
        brine = Pool(Cover.LAKE, float(algae), float(silt), rng.uniform(0.1, 0.8), swing=0.05, pigment=float(pigment))
        sketch.set_water(floor, brine, where=here == step)


def lava(sketch: Sketch) -> None:
    """Black lava and ash with islands of older ground."""
    rng = sketch.rng
    sketch.relief = (rng.choice([100.0, 600.0, 2200.0]) + 60 * sketch.noise(slope=2.4, metres=2500)).astype(np.float32)
    natural(sketch, {Cover.LAVA: 1.0, Cover.STEPPE: 0.25, Cover.SHRUB: 0.25, Cover.SOIL: 0.3}, metres=1800, sharp=3.0)
    flows = to_canvas(sketch.noise(slope=1.9, metres=1500))
    sketch.paint(flows > rng.uniform(-0.6, 0.6), Cover.LAVA, kinds=6)
    if rng.random() < 0.3:
        lakes(sketch, share=0.01, metres=400, pools=[draw_pool(rng, Cover.LAKE) for _ in range(2)])


def peat(sketch: Sketch) -> None:
    """Bogs: cut peat in black strips, dark pools, heath and thin pines."""
    rng = sketch.rng
    _gentle(sketch, height=1.5)
    natural(sketch, {Cover.SHRUB: 0.8, Cover.REED: 0.6, Cover.STEPPE: 0.6, Cover.MEADOW: 0.3}, metres=1200, sharp=2.0)
    stands(sketch, _blob(sketch, share=rng.uniform(0.1, 0.4), metres=1200), conifer=0.8)
    habit = Habit(rng.uniform(3e4, 1.5e5), strips=0.9, square=0.7, lines=((300.0, TRACK, 3.0),))
    shares = {Cover.PEAT: 0.85, Cover.SHRUB: 0.08, Cover.MUD: 0.07}
    _over(sketch, _blob(sketch, share=rng.uniform(0.2, 0.7), metres=2500), shares, habit=habit)
    black = [Pool(Cover.LAKE, rng.uniform(0.5, 4), rng.uniform(0.1, 1), rng.uniform(5, 14), 0.2) for _ in range(3)]
    lakes(sketch, share=rng.uniform(0.01, 0.06), metres=300, pools=black, depth=4.0)


def glacier(sketch: Sketch) -> None:
    """Tongues of bare ice with crevasses, moraines and streams of rubble, milky lakes, rock."""
    rng = sketch.rng
    valley = np.abs(sketch.noise(slope=3.0, metres=3500))
    ridges = valley + 0.25 * np.abs(sketch.noise(slope=2.4, metres=900))
    down, right = np.gradient(ridges, sketch.pixel)
    steep = rng.uniform(0.08, 0.35) / max(float(np.hypot(down, right).mean()), 1e-9)
    # Tongues reach below the line to which snow melts in summer.
    base = max(3900 - 42 * abs(sketch.latitude) - rng.uniform(0, 1100), 20.0)
    sketch.relief = (base + steep * ridges).astype(np.float32)
    natural(sketch, {Cover.ROCK: 1.0, Cover.STEPPE: 0.2, Cover.SOIL: 0.2}, metres=900, kinds=2, along=sketch.relief)
    middle = to_canvas(valley) + 0.05 * to_canvas(sketch.noise(slope=1.6, metres=300))
    width = rng.uniform(0.2, 0.9)
    sketch.paint(middle < width, Cover.ICE, kinds=8)
    rubble = np.abs(middle - width * rng.uniform(0.3, 0.9)) < rng.uniform(0.0, 0.06)
    sketch.paint(rubble | (np.abs(middle - width) < 0.03), Cover.ROCK, kinds=3)
    cracks = to_canvas(np.abs(sketch.noise(slope=1.2, metres=120)))
    sketch.paint((middle < width) & (cracks < 0.05), Cover.MUD)
    milk = [Pool(Cover.LAKE, 0.2, rng.uniform(5, 150), 0.03, 0.3) for _ in range(2)]
    lakes(sketch, share=0.02, metres=500, pools=milk)


def seaice(sketch: Sketch) -> None:
    """Sea with floes that drift, pack ice with leads; in summer, ponds of melt on it. At times a snowy shore."""
    rng = sketch.rng
    natural(sketch, {Cover.ROCK: 1.0, Cover.STEPPE: 0.4}, metres=1500, kinds=2)
    swell = sketch.noise(slope=2.6, metres=5000)
    shore = float(np.quantile(swell, rng.choice([0.75, 0.95, 1.0], p=[0.2, 0.2, 0.6])))
    bed = ((swell - shore) * 30 - 0.5).astype(np.float32)
    sketch.relief = np.maximum(bed * 6, 0).astype(np.float32)
    sea = draw_pool(rng, Cover.SEA)
    size = float(np.exp(rng.uniform(np.log(60), np.log(900))))
    floes = float(rng.beta(1.4, 0.9))
    cold = Pool(
        sea.kind, sea.chlorophyll, min(sea.sediment, 10.0), sea.dissolved, sea.swing, 0.0, floes=floes, floe=size
    )
    sketch.set_water(ndimage.uniform_filter(bed, 3), cold)
