"""The simulated world as a labelled set: places that no model was trained on, their labels exact.

Every place is drawn from a seed of `FIRST_SEED` or more; training draws its places from seeds below 5 000 000.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from clearsight.bands import BANDS, LEVEL_BANDS, Level
from clearsight.errors import ArgumentError
from clearsight.evaluation.samples import Cause, LabelArray, LabelledSet, Sample
from clearsight.progress import Progress, silent
from clearsight.simulate.air.state import Geometry
from clearsight.simulate.cloud.sky import draw_sky
from clearsight.simulate.draws import Setting, draw_air, draw_date, draw_setting, draw_sun
from clearsight.simulate.imaging.render import Rendered, render
from clearsight.simulate.imaging.sensor import Observation, observe, regrid
from clearsight.simulate.places.surfaces import (
    KINDS,
    Surface,
    make_surface,
    surface_cover,
    surface_reflectance,
    terrain_light,
)

FIRST_SEED: Final = 10_000_000
_HAZE_DEPTH: Final = 0.1
"""Thin cloud of less optical depth than this didn't lower the quality: haze, smoke or dust did."""
_MOSTLY: Final = 0.5
_CLEAR_SHARE: Final = 0.25
"""Share of frames drawn without any cloud, so that places have something clear to be compared with."""


@dataclass(frozen=True)
class World:
    """Held-out simulated places, several dates each: a labelled set."""

    places: int = 30
    frames: int = 6
    size: int = 256
    """Pixels of a frame's side."""
    level: Level = "L1C"
    first: int = FIRST_SEED
    """Seed of place 0; the next have the next."""
    start: int = 0
    """Number of the first place: worlds that differ in it alone are parts of one."""
    progress: Progress = silent

    name: str = "simulated worlds, held out"
    licence: str = "made by Clearsight"
    citation: str = "docs/simulation.md"

    def __post_init__(self) -> None:
        if self.first < FIRST_SEED:
            raise ArgumentError(
                f"first={self.first}: seeds below {FIRST_SEED} may have been trained on; give {FIRST_SEED} or more."
            )

    def samples(self) -> Iterator[Sample]:
        """All frames of all places."""
        for number in range(self.places):
            self.progress(number, self.places, "simulating places")
            yield from make_place(self, self.start + number)
        self.progress(self.places, self.places, "simulating places")


def make_place(world: World, number: int) -> tuple[Sample, ...]:
    """All dates of one place, in the order of time.

    Parameters
    ----------
    world : World
        How many frames, how large, which level.
    number : int
        Which place, from 0; its kind is the next of ``surfaces.KINDS`` each time.

    Returns
    -------
    tuple of Sample

    Examples
    --------
    >>> clip = make_place(World(frames=2, size=32), 0)
    >>> len(clip), clip[0].image.shape, clip[0].date < clip[1].date
    (2, (13, 32, 32), True)
    """
    seed = world.first + number
    rng = np.random.default_rng([seed, 71])
    kind = KINDS[number % len(KINDS)]
    setting = draw_setting(rng, kind=kind)
    surface = make_surface(kind, shape=(world.size, world.size), seed=seed, latitude=setting.latitude)
    frames = [
        _frame(world, surface, setting, date, seed=seed, number=i) for i, date in enumerate(_dates(rng, world, setting))
    ]
    return tuple(replace(frame, place=f"{seed}") for frame in frames)


def _dates(rng: np.random.Generator, world: World, setting: Setting) -> list[datetime.date]:
    """Different dates within a year and a half, in their order."""
    start = draw_date(rng, latitude=setting.latitude)
    dates = {start}
    while len(dates) < world.frames:
        dates.add(draw_date(rng, latitude=setting.latitude, first=start, days=550))
    return sorted(dates)


def _frame(world: World, surface: Surface, setting: Setting, date: datetime.date, *, seed: int, number: int) -> Sample:
    """One date of a place as the satellite delivers it, with its labels."""
    rng = np.random.default_rng([seed, 73, number])
    sun = draw_sun(rng, latitude=surface.latitude, date=date)
    frame, chance = _rendered(surface, setting, date, sun=sun, rng=rng)
    seen = observe(frame.toa, seed=chance, sun_zenith=sun.sun_zenith)
    image = regrid(seen) if world.level == "L1C" else frame.boa
    bands = LEVEL_BANDS[world.level]
    cover = surface_cover(surface, date=date)
    return Sample(
        id=f"{surface.seed}-{date:%Y%m%d}",
        image=np.ascontiguousarray(image[[tuple(BANDS).index(band) for band in bands]], dtype=np.float32),
        bands=bands,
        level=world.level,
        labels=_labels(frame, seen, water=cover["water"]),
        date=date,
        place="",
        surface=surface.kind,
        latitude=surface.latitude,
        layers={"q": frame.q},
    )


def _rendered(
    surface: Surface, setting: Setting, date: datetime.date, *, sun: Geometry, rng: np.random.Generator
) -> tuple[Rendered, int]:
    """The frame before the sensor, and the seed of what's left to chance."""
    elevation = (surface.elevation + np.float32(setting.lift)).clip(-400, 6000)
    air = draw_air(rng, latitude=surface.latitude, date=date, elevation=float(elevation.mean()) / 1000)
    chance = int(rng.integers(2**31))
    shape = (elevation.shape[0], elevation.shape[1])
    sky = draw_sky(chance, shape=shape, elevation=elevation, air=air, clear=_CLEAR_SHARE)
    light = terrain_light(surface, sun_zenith=sun.sun_zenith, sun_azimuth=sun.sun_azimuth)
    ground = surface_reflectance(surface, date=date)
    return render(ground, sky=sky, geometry=sun, light=light, elevation=elevation, seed=chance), chance


def _labels(frame: Rendered, seen: Observation, *, water: np.ndarray) -> LabelArray:
    """Causes from the exact truth; water where it's clear and mostly water."""
    labels = frame.cause.copy()
    labels[(labels == Cause.THIN) & (frame.optical_depth < _HAZE_DEPTH)] = Cause.HAZE
    labels[(labels == Cause.CLEAR) & (water > _MOSTLY)] = Cause.WATER
    labels[~seen.valid] = Cause.NODATA
    return labels


_: type[LabelledSet] = World
