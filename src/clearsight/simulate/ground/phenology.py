"""How patches grow, ripen, are cut, ploughed and wetted: their state on a date."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.ground.covers import Cover, Patches
from clearsight.simulate.ground.weather import Weather, season

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]


_BUILT: Final = (
    Cover.ROAD, Cover.TRACK, Cover.PAVED, Cover.ROOF_RED, Cover.ROOF_DARK, Cover.ROOF_BRIGHT, Cover.CONCRETE,
    Cover.PLASTIC, Cover.PANEL, Cover.HALL,
)  # fmt: skip
_BARE: Final = (Cover.SAND, Cover.ERG, Cover.SALT, Cover.MUD, Cover.ICE, Cover.LAVA, Cover.PEAT, Cover.CHALK)
"""Covers on which no dead plants lie."""


@dataclass(frozen=True)
class Growth:
    """State of the patches on a date, each (n,)."""

    leaf_area: Array
    """m2/m2."""
    dead: Array
    """State of the leaves, 0 green … 1 dead."""
    litter: Array
    """Share of the ground under straw, stubble or leaves, 0 … 1."""
    moisture: Array
    """Of the ground's surface, 0 dry … 1 soaked."""
    rough: Array
    """Factor on the ground's brightness: freshly ploughed ground is darker."""
    flower: Array
    """Share of yellow flowers in what is seen of the plants, 0 … 1."""
    flooded: Array
    """Share of the ground under shallow water (rice), 0 … 1."""


@dataclass(frozen=True)
class Crop:
    """Calendar of a crop at 50 degrees north: days of the harvest's year, negative in the year before."""

    sown: int
    winter: float
    """Leaf area it passes the winter with; 0 for summer crops."""
    rise: int
    """Day of the fastest growth."""
    ripe: int
    """Day when half of the leaves have died."""
    harvest: int
    straw: float
    """Share of the ground that the harvest leaves covered."""
    peak: float
    """Factor on the patch's leaf area."""
    flower: int = 0
    """First day of yellow flowers; 0 never."""


CROPS: Final = {
    "wheat": Crop(-80, 0.8, 112, 188, 208, 0.75, 1.0),
    "barley": Crop(-95, 0.9, 104, 172, 190, 0.75, 0.9),
    "rape": Crop(-125, 1.5, 100, 190, 205, 0.6, 0.95, flower=108),
    "spring_barley": Crop(78, 0.0, 128, 196, 214, 0.65, 0.85),
    "maize": Crop(118, 0.0, 172, 262, 272, 0.45, 0.95),
    "beet": Crop(95, 0.0, 155, 330, 295, 0.12, 0.9),
    "potato": Crop(112, 0.0, 160, 238, 262, 0.1, 0.85),
    "sunflower": Crop(108, 0.0, 158, 232, 258, 0.4, 0.7, flower=192),
    "soy": Crop(128, 0.0, 178, 255, 275, 0.4, 0.9),
    "vegetables": Crop(140, 0.0, 170, 400, 215, 0.08, 0.55),
    "clover": Crop(-150, 1.0, 95, 400, 245, 0.3, 0.8),
}
"""Crops of a region are drawn from these."""


def crops_of(seed: int) -> tuple[tuple[str, ...], Doubles]:
    """Crops that a region grows, and their shares."""
    rng = np.random.default_rng([abs(seed), 31])
    names = list(CROPS)
    grown = tuple(names[i] for i in np.sort(rng.permutation(len(names))[: rng.integers(4, 8)]))
    if not any(CROPS[name].winter > 0 for name in grown):
        grown = ("wheat", *grown)
    return grown, rng.dirichlet(np.full(len(grown), 1.5))


def growth(patches: Patches, *, seed: int, latitude: float, date: datetime.date, weather: Weather) -> Growth:
    """State of every patch of a place on a date.

    Parameters
    ----------
    patches : Patches
        Of the place.
    seed, latitude
        Of the place.
    date : datetime.date
        Any date.
    weather : Weather
        Of the place on that date.
    """
    day = season(date, latitude=latitude)
    state = _natural(patches, day=day, latitude=latitude, weather=weather)
    crops = np.flatnonzero(np.isin(patches.cover, (Cover.CROP, Cover.RICE)))
    if crops.size:
        _farm(state, patches, crops, seed=seed, latitude=latitude, date=date)
    # No stand is all green: stalks, old leaves and weeds are always among it.
    state["dead"] = np.maximum(state["dead"], 0.04 + 0.16 * patches.chance[:, 2].astype(np.float64) ** 2)
    drying = 0.75 + 0.5 * patches.chance[:, 5]
    wet = np.clip(weather.topsoil * drying + 0.15 * weather.rootzone, 0.0, 1.0)
    wet = np.where(np.isin(patches.cover, (Cover.MUD, Cover.MANGROVE, Cover.REED)), np.maximum(wet, 0.8), wet)
    wet = np.where(patches.cover == Cover.PEAT, np.maximum(wet, 0.3), wet)
    built = np.isin(patches.cover, _BUILT)
    wet = np.where(built, 0.35 * weather.topsoil**2, wet)
    wet = np.where(patches.cover == Cover.ICE, 0.0, wet)
    return Growth(
        moisture=wet.astype(np.float32), **{name: values.astype(np.float32) for name, values in state.items()}
    )


def _step(day: Doubles | float, middle: Doubles | Array | float, width: Doubles | float) -> Doubles:
    """Smooth step from 0 to 1 around the middle."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(-(day - middle) / width, -40, 40))), dtype=np.float64)


def _natural(patches: Patches, *, day: float, latitude: float, weather: Weather) -> dict[str, Doubles]:
    """Plants that nobody sows: trees by the season, grass by season and water, meadows also by the mower."""
    n, chance, cover = patches.cover.size, patches.chance.astype(np.float64), patches.cover
    cold = np.clip((abs(latitude) - 15) / 20, 0.0, 1.0)  # tropics have no winter
    late = (abs(latitude) - 48) * 2.2
    spring = _step(day, 112 + late + 18 * (chance[:, 0] - 0.5), 6.0)
    autumn = _step(day, 296 - late + 26 * (chance[:, 1] - 0.5), 8.0)
    yellow = _step(day, 280 - late + 26 * (chance[:, 1] - 0.5), 9.0)
    leaves = 1 - cold * (1 - spring * (1 - autumn))
    water = np.clip(weather.rootzone * 1.25 - 0.3 * cold * np.exp(-(((day - 215) / 45) ** 2)) * chance[:, 2], 0.03, 1.0)
    warm = 1 - cold * (1 - np.clip(_step(day, 88 + late, 12.0) * (1 - _step(day, 318 - late, 18.0)), 0.0, 1.0)) * 0.75
    area, dead = patches.leaf_area.astype(np.float64), np.zeros(n)
    litter = np.full(n, 0.25)

    trees = np.isin(cover, (Cover.DECIDUOUS, Cover.ORCHARD))
    area = np.where(trees, area * (0.10 + 0.90 * leaves), area)
    dead = np.where(trees, cold * yellow * 0.75 * spring, dead)
    litter = np.where(trees, 0.6, litter)

    grass = np.isin(cover, (Cover.MEADOW, Cover.STEPPE, Cover.SAVANNA, Cover.GARDEN, Cover.TRACK, Cover.SOIL))
    thirst = np.where(np.isin(cover, (Cover.MEADOW, Cover.GARDEN)), 0.45, 1.0) * (0.7 + 0.6 * chance[:, 4])
    lush = warm * (1 - thirst * (1 - water))
    area = np.where(grass, area * np.clip(lush, 0.22, 1.0), area)
    dead = np.where(grass, np.clip(0.85 * (1 - lush) ** 1.2 * (0.6 + 0.6 * chance[:, 3]), 0.0, 1.0), dead)
    litter = np.where(grass, np.clip(0.3 + 0.5 * (1 - lush), 0, 0.85), litter)

    reed = cover == Cover.REED
    dead = np.where(reed, 1 - leaves * (1 - 0.6 * yellow), dead)
    shrub = np.isin(cover, (Cover.SHRUB, Cover.CLEARCUT, Cover.ROCK))
    area = np.where(shrub, area * (0.65 + 0.35 * warm * water), area)
    # A tenth to a third of what one sees of a bush is wood and dead twigs, whatever the season.
    dead = np.where(shrub, 0.10 + 0.25 * chance[:, 4] + 0.30 * (1 - warm * water), dead)
    area = np.where(cover == Cover.CONIFER, area * (0.9 + 0.1 * warm), area)

    meadow = cover == Cover.MEADOW
    cut, fresh = _mown(day, chance, late=late, cold=cold)
    area = np.where(meadow, area * cut, area)
    litter = np.where(meadow, np.maximum(litter, 0.7 * fresh), litter)
    dead = np.where(meadow, np.maximum(dead, 0.45 * fresh), dead)
    zero = np.zeros(n)
    bare = np.isin(cover, (*_BARE, *_BUILT))
    litter = np.where(bare, 0.0, np.where(cover == Cover.SOIL, litter * 0.35, litter))
    return {
        "leaf_area": area, "dead": dead, "litter": litter, "rough": np.ones(n), "flower": zero, "flooded": zero.copy(),
    }  # fmt: skip


def _mown(day: float, chance: Doubles, *, late: float, cold: float) -> tuple[Doubles, Doubles]:
    """Regrowth since the last cut (0.2 … 1), and how fresh the cut is (1 … 0), for one to four cuts a year."""
    cuts = 1 + np.floor(chance[:, 3] * 4)
    first = 132 + late + 40 * chance[:, 1] * (5 - cuts) / 4
    gap = 150 / cuts
    done = np.floor((day - first) / gap)
    since = np.where((done >= 0) & (done < cuts), day - first - done * gap, 400.0)
    regrown = 0.22 + 0.78 * _step(since, 22.0, 6.0)
    grazed = chance[:, 4] < 0.35  # pasture is kept short all year, and never cut
    return np.where(grazed, 0.45, regrown), np.where(grazed, 0.0, np.exp(-since / 7.0))


def _farm(
    state: dict[str, Doubles],
    patches: Patches,
    rows: NDArray[np.intp],
    *,
    seed: int,
    latitude: float,
    date: datetime.date,
) -> None:
    """Write the state of the fields into ``state``: three harvest years, in order, each taking over when it's sown."""
    days = np.full(rows.size, date.toordinal(), dtype=np.float64)
    if latitude < 0:
        days -= 182
    tropical = abs(latitude) < 18
    # The warmer the place, the earlier the season; without winters every farmer has a calendar of his own.
    shift = (abs(latitude) - 50) * 1.9 if not tropical else -60.0
    now = datetime.date.fromordinal(int(days[0]))
    last_harvest = np.full(rows.size, -1e9)
    fields = {name: state[name][rows] for name in state}
    fields["leaf_area"][:] = 0.05
    grown, shares = crops_of(seed)
    for year in range(now.year - 1, now.year + 2):
        luck = np.random.default_rng([abs(seed), 53, year + 10_000]).random((patches.cover.size, 7))[rows]
        crop = np.searchsorted(np.cumsum(shares), luck[:, 0] * 0.9999)
        table = np.array([_row(CROPS[name]) for name in grown])[crop]
        own = shift + (200.0 if tropical else 0.0) * (patches.chance[rows, 0].astype(np.float64) - 0.5)
        start = datetime.date(year, 1, 1).toordinal() - 1 + own
        rice = patches.cover[rows] == Cover.RICE
        table[rice] = _row(Crop(125, 0.0, 170, 245, 262, 0.6, 1.0))
        last_harvest = _season(
            fields,
            table,
            rice,
            luck,
            days=days,
            start=start,
            last=last_harvest,
            leaf_area=patches.leaf_area[rows].astype(np.float64),
        )
    for name, values in fields.items():
        state[name][rows] = values


def _row(crop: Crop) -> list[float]:
    return [crop.sown, crop.winter, crop.rise, crop.ripe, crop.harvest, crop.straw, crop.peak, crop.flower]


def _season(
    fields: dict[str, Doubles], table: Doubles, rice: NDArray[np.bool_], luck: Doubles, *,
    days: Doubles, start: Doubles, last: Doubles, leaf_area: Doubles,
) -> Doubles:  # fmt: skip
    """One crop from sowing to the ground after it; returns the days of harvest."""
    winter, straw, peak, flower = table[:, 1], table[:, 5], table[:, 6], table[:, 7]
    jitter = luck[:, 1] - 0.5
    sown = np.maximum(start + table[:, 0] + 24 * (luck[:, 2] - 0.5), last + 6)
    rise, ripe = start + table[:, 2] + 18 * jitter, start + table[:, 3] + 16 * jitter
    harvest = start + table[:, 4] + 24 * (luck[:, 3] - 0.5) + 8 * jitter
    height = leaf_area * peak * (0.65 + 0.5 * luck[:, 4])
    seedling = winter * (0.5 + luck[:, 5]) * _step(days, sown + 28, 8.0)
    area = np.maximum(seedling, 0.02) + height * _step(days, rise, 7.5)
    dying = _step(days, ripe, 5.0)
    growing = (days >= sown) & (days < harvest)
    after = days >= harvest
    since = days - harvest
    ploughed = after & (since > 4 + 70 * luck[:, 6] ** 1.5)
    weeds = np.where(after & ~ploughed, 0.7 * luck[:, 5] * _step(since, 30.0, 8.0), 0.0)
    catch = ploughed & (luck[:, 4] > 0.7)  # a green cover sown after the plough
    weeds = np.where(catch, 2.0 * _step(since, 85.0, 10.0), weeds)
    bed = (days >= sown - 30) & (days < sown + 20)

    def put(name: str, where: NDArray[np.bool_], values: Doubles | float) -> None:
        fields[name][...] = np.where(where, values, fields[name])

    put("leaf_area", growing, area * (1 - 0.45 * dying))
    put("dead", growing, dying)
    put("litter", growing, 0.12 + 0.2 * dying)
    put("leaf_area", after, weeds)
    put("dead", after, 0.15)
    put("litter", after, np.where(ploughed, 0.15 * straw, straw))
    put("rough", after | growing, np.where(ploughed & (since < 120), 0.72 + 0.2 * luck[:, 4], 1.0))
    put("litter", bed & ~after, 0.08)
    bloom = (flower > 0) & growing
    opened = _step(days, start + flower + 8 * jitter, 2.5) * (1 - _step(days, start + flower + 26 + 8 * jitter, 3.0))
    put("flower", growing | after, np.where(bloom, 0.75 * opened, 0.0))
    wet = _step(days, sown - 12, 2.0) * (1 - _step(days, harvest - 25, 3.0))
    put("flooded", growing | (rice & (days > sown - 25) & (days < sown)), np.where(rice, wet, 0.0))
    return np.asarray(harvest)
