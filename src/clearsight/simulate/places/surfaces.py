"""Places seen from above, over time: what the ground reflects on any date, and how the sun falls on it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.errors import ArgumentError
from clearsight.simulate.ground.covers import Cover, Patches, draw_patches
from clearsight.simulate.ground.phenology import growth
from clearsight.simulate.ground.reflectance import burn, ground_reflectance
from clearsight.simulate.ground.terrain import Slope, direct_light, exchange_light, fractal, leaning
from clearsight.simulate.ground.water import Pool, Wet, dampen, flood, level, pour, waves
from clearsight.simulate.ground.weather import Weather, season, sun_azimuth, weather
from clearsight.simulate.ground.winter import drift_ice, lake_ice, lay_snow, snow_share
from clearsight.simulate.places.images import image_of
from clearsight.simulate.places.kinds import PLACES
from clearsight.simulate.places.layout import mixed_pixels
from clearsight.simulate.places.sketch import Sketch

Array = NDArray[np.float32]

KINDS: Final[tuple[str, ...]] = tuple(PLACES)
"""Kinds of site."""

WHITEST: Final = 1.15
"""Largest reflectance: under a high sun, fresh snow sends more light upwards than an even white sheet."""


@dataclass(frozen=True)
class Surface:
    """One place. Arrays are (y, x), y running down."""

    kind: str
    """One of ``KINDS``, or ``image`` for a place made of images."""
    seed: int
    """What all its chance is drawn from."""
    latitude: float
    """Degrees, north positive."""
    pixel: float
    """Metres."""
    classes: NDArray[np.uint8]
    """Code of the land cover, see ``class_names``; water and tidal flats where the mean level puts them."""
    elevation: Array
    """Height in metres."""
    patches: Patches
    """The fields, stands, roofs … that the place is made of."""
    first: NDArray[np.int32]
    """Patch of each pixel."""
    second: NDArray[np.int32]
    """Patch that shares the pixel."""
    share: Array
    """Share of the second patch, 0 … 1."""
    fine: Array
    """Unit random field, rough: what differs from pixel to pixel."""
    coarse: Array
    """Unit random field, smooth: what differs across a field or a lake."""
    flow: Array
    """Unit random field that repeats at its borders: what currents carry about."""
    bed: Array
    """Height of the ground over the mean level of the water near it, in metres; large where there's none."""
    softness: Array
    """Height in metres that the ground gains across a pixel at the water."""
    pool: NDArray[np.uint16]
    """Which of ``pools``, from 1; 0 none."""
    pools: tuple[Pool, ...]
    """The bodies of water."""
    images: Array | None = None
    """(date, 13, y, x) reflectance, for a place made of images."""
    dates: tuple[datetime.date, ...] = ()
    """Dates of ``images``, in order."""
    yearly: bool = False
    """Whether ``images``, all of one year, come back every year."""


def class_names() -> dict[int, str]:
    """Name of every code in ``Surface.classes``.

    Examples
    --------
    >>> class_names()[1]
    'crop'
    """
    return {int(cover): cover.name.lower() for cover in Cover}


def make_surface(
    kind: str, *, shape: tuple[int, int], seed: int, latitude: float = 50.0, pixel: float = 10.0
) -> Surface:
    """Make a place, always the same one from the same arguments.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    shape : (int, int)
        Rows and columns, at least 2.
    seed : int
        Any integer.
    latitude : float
        Degrees, north positive, -85 … 85; sets seasons, sun and snow.
    pixel : float
        Size of a pixel in metres.

    Returns
    -------
    Surface

    Raises
    ------
    ArgumentError
        If an argument is out of its range.

    Examples
    --------
    >>> make_surface("mixed", shape=(32, 48), seed=1).classes.shape
    (32, 48)
    """
    _check(kind, shape=shape, latitude=latitude, pixel=pixel)
    rng = np.random.default_rng([abs(seed), int(seed < 0), KINDS.index(kind)])
    sketch = Sketch(rng, shape, pixel, latitude)
    PLACES[kind](sketch)
    first, second, share = mixed_pixels(sketch.ids)
    cover = np.array(sketch.covers, dtype=np.uint8)
    partner = np.array(sketch.partners, dtype=np.int32)
    patches = draw_patches(rng, cover=cover, partner=partner, region_soils=int(rng.integers(2, 6)))
    second, share = _blended(sketch, partner, first=first, second=second, share=share)
    fine = 0.8 * sketch.noise(slope=0.35, metres=60) + 0.6 * sketch.noise(slope=1.3, metres=600)
    farmed = np.isin(cover, (Cover.CROP, Cover.MEADOW, Cover.RICE))[first]
    down, right = np.gradient(np.clip(sketch.bed, -50, 50))
    return Surface(
        kind, seed, latitude, pixel,
        classes=_classes(cover[first], sketch),
        elevation=sketch.relief,
        patches=patches, first=first, second=second.astype(np.int32), share=share,
        fine=np.where(farmed, 0.6 * fine + 0.9 * sketch.streaks, fine).astype(np.float32),
        coarse=sketch.noise(slope=1.7, metres=450),
        flow=fractal(rng, shape=shape, slope=2.4, largest=250, periodic=True),
        bed=sketch.bed, softness=np.maximum(np.abs(down) + np.abs(right), 0.02).astype(np.float32),
        pool=sketch.pool, pools=tuple(sketch.pools),
    )  # fmt: skip


def _blended(
    sketch: Sketch, partner: NDArray[np.int32], *, first: NDArray[np.int32], second: NDArray[np.int32], share: Array
) -> tuple[NDArray[np.int32], Array]:
    """Second patch and its share, with the passages of natural covers where no drawn border is in the pixel."""
    natural = (share == 0) & (sketch.part > 0.01) & (first <= sketch.other.max()) & (partner[first] == first)
    stand = (share == 0) & (partner[first] != first)
    if stand.any():
        flow = np.clip(0.20 + 0.25 * sketch.noise(slope=1.4, metres=500), 0.0, 0.6)
        second, share = np.where(stand, partner[first], second), np.where(stand, flow, share)
    second, share = np.where(natural, sketch.other, second), np.where(natural, sketch.part, share)
    return second.astype(np.int32), share.astype(np.float32)


def _check(kind: str, *, shape: tuple[int, int], latitude: float, pixel: float) -> None:
    """Refuse what no place can be made of."""
    if kind not in KINDS:
        raise ArgumentError(f"kind={kind!r} is unknown; expected one of {', '.join(KINDS)}.")
    if len(shape) != 2 or min(shape) < 2:
        raise ArgumentError(f"shape={shape}: expected two numbers of at least 2, rows and columns.")
    if not -85 <= latitude <= 85:
        raise ArgumentError(f"latitude={latitude} degrees: expected -85 to 85.")
    if not 0 < pixel <= 1000:
        raise ArgumentError(f"pixel={pixel} m: expected a size above 0 and at most 1000.")


def _classes(cover: NDArray[np.uint8], sketch: Sketch) -> NDArray[np.uint8]:
    """Land cover, with water where the mean level of its body puts it, and what a spring tide lays bare or covers."""
    classes = cover.copy()
    for number, pool in enumerate(sketch.pools, start=1):
        mine = sketch.pool == number
        classes[mine & (sketch.bed < 0)] = pool.kind
        if pool.kind == Cover.SEA:
            classes[mine & (np.abs(sketch.bed) < 0.8 * pool.swing)] = Cover.TIDAL
    return classes


def surface_from_reflectance(
    boa: Array, *, dates: Sequence[datetime.date] = (), latitude: float = 50.0, pixel: float = 10.0, seed: int = 0
) -> Surface:
    """Make a place of real clear images, to stand for the ground.

    Parameters
    ----------
    boa : float32 array (13, y, x) or (dates, 13, y, x)
        Surface reflectance, bands in the order of ``bands.BANDS``. NaN is filled with the median of its band.
    dates : sequence of datetime.date
        One for each image, if there are several; between them the ground is interpolated, beyond them it stays.
    latitude, pixel, seed
        As for ``make_surface``.

    Examples
    --------
    >>> place = surface_from_reflectance(np.full((13, 8, 8), 0.2, dtype="float32"))
    >>> round(float(surface_reflectance(place, date=datetime.date(2023, 5, 1)).max()), 3)
    0.2
    """
    images = np.asarray(boa, dtype=np.float32)
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] != 13 or min(images.shape[2:]) < 2:
        raise ArgumentError(f"boa has the shape {np.shape(boa)}; expected (13, y, x) or (dates, 13, y, x).")
    if images.shape[0] > 1 and (len(dates) != images.shape[0] or list(dates) != sorted(dates)):
        raise ArgumentError(f"dates has {len(dates)} entries; expected {images.shape[0]} in order, one for each image.")
    missing = np.isnan(images)
    if missing.any():
        images = np.where(missing, np.nan_to_num(np.nanmedian(images, axis=(2, 3), keepdims=True)), images)
    shape = images.shape[2:]
    nothing = np.zeros(shape, dtype=np.float32)
    none = np.zeros(shape, dtype=np.int32)
    bare = draw_patches(np.random.default_rng(0), cover=np.zeros(1, np.uint8), partner=np.zeros(1, np.int32))
    return Surface(
        "image", seed, latitude, pixel, classes=none.astype(np.uint8), elevation=nothing, patches=bare, first=none,
        second=none, share=nothing, fine=nothing, coarse=nothing, flow=nothing, bed=nothing, softness=nothing + 1,
        pool=none.astype(np.uint16), pools=(), images=np.clip(images, 0.0, 1.0), dates=tuple(dates),
    )  # fmt: skip


def surface_reflectance(surface: Surface, *, date: datetime.date) -> Array:
    """Reflectance of the ground on a date, as if evenly lit.

    Parameters
    ----------
    surface : Surface
        The place.
    date : datetime.date
        Any date; the weather, the crops and the water of a place follow the calendar.

    Returns
    -------
    float32 array (13, y, x)
        Hemispherical-directional reflectance of the surface, 0 … ``WHITEST``, bands in the order of ``bands.BANDS``.

    Examples
    --------
    >>> place = make_surface("crops", shape=(16, 16), seed=1)
    >>> surface_reflectance(place, date=datetime.date(2023, 6, 1)).shape
    (13, 16, 16)
    """
    return _render(surface, date=date)[0]


def surface_cover(surface: Surface, *, date: datetime.date) -> dict[str, Array]:
    """Share of each pixel under ``water`` and under ``snow`` (ice on lakes is snow) on a date, float32 (y, x), 0 … 1.

    Examples
    --------
    >>> place = make_surface("sea", shape=(16, 16), seed=1, latitude=30)
    >>> float(surface_cover(place, date=datetime.date(2023, 7, 1))["water"].mean()) > 0.5
    True
    """
    _, water, snow = _render(surface, date=date)
    return {"water": water, "snow": snow}


def _render(surface: Surface, *, date: datetime.date) -> tuple[Array, Array, Array]:
    """Reflectance, share of water, share of snow."""
    shape = surface.classes.shape
    if surface.images is not None:
        nothing = np.zeros(shape, dtype=np.float32)
        today_image = image_of(surface.images, surface.dates, date=date, yearly=surface.yearly)
        return today_image, nothing, nothing
    today = weather(surface.kind, seed=surface.seed, latitude=surface.latitude, date=date)
    grown = growth(surface.patches, seed=surface.seed, latitude=surface.latitude, date=date, weather=today)
    values = ground_reflectance(
        surface.patches, grown, first=surface.first.ravel(), second=surface.second.ravel(), share=surface.share.ravel(),
        fine=surface.fine.ravel(), coarse=surface.coarse.ravel(), sun_zenith=today.sun_zenith,
    )  # fmt: skip
    burn(
        values, kind=surface.kind, seed=surface.seed, latitude=surface.latitude, coarse=surface.coarse,
        fine=surface.fine, date=date,
    )  # fmt: skip
    levels = [
        level(pool, seed=surface.seed, latitude=surface.latitude, date=date, weather=today) for pool in surface.pools
    ]
    wet = flood(surface.bed, surface.pool, softness=surface.softness, levels=levels)
    bottom = values[:, wet.at]
    zenith, azimuth = today.sun_zenith, sun_azimuth(date, latitude=surface.latitude)
    slope = leaning(surface.elevation, pixel=surface.pixel, sun_zenith=zenith, sun_azimuth=azimuth)
    grown_share = snow_share(surface.patches, grown, weather=today)
    snow = _whiten(values, surface, grown_share=grown_share, slope=slope, wet=wet, today=today)
    water = _cover_with_water(values, surface, wet, bottom=bottom, snow=snow, date=date, today=today)
    exchange_light(values, elevation=surface.elevation, pixel=surface.pixel, sun_zenith=zenith, sun_azimuth=azimuth)
    np.clip(values, 0.0, WHITEST, out=values)
    return values.reshape(13, *shape), water.reshape(shape), snow.reshape(shape)


def _whiten(
    values: Array, surface: Surface, *, grown_share: tuple[Array, Array], slope: Slope, wet: Wet, today: Weather
) -> Array:
    """Snow on the ground, after the tide has wetted the flats; its share, flat."""
    swing = np.array(
        [0.0, *(pool.swing if pool.kind == Cover.SEA else 0.0 for pool in surface.pools)], dtype=np.float32
    )
    reach = swing[surface.pool]
    flats = (np.clip((0.85 * reach - surface.bed) / 0.3, 0.0, 1.0) * (reach > 0)).ravel()
    left = 0.85 * flats
    left[wet.at] *= wet.share < 1
    dampen(values, damp=left.astype(np.float32))
    most, depth = grown_share
    first = surface.first.ravel()
    # From Greenland's 5 ppb of soot and half a ppm of dust to snow downwind of cities and deserts.
    dirt = np.random.default_rng([abs(surface.seed), 17]).beta(0.5, 2.5, 2)
    return lay_snow(
        values, elevation=surface.elevation.ravel(), texture=surface.coarse.ravel(), fine=surface.fine.ravel(),
        cover=((most[first] * (1 - flats)).astype(np.float32), depth[first]), slope=slope, weather=today,
        dirt=(0.005 + 0.35 * float(dirt[0]), 0.01 + 0.9 * float(dirt[1])),
    )  # fmt: skip


def _cover_with_water(
    values: Array, surface: Surface, wet: Wet, *, bottom: Array, snow: Array, date: datetime.date, today: Weather
) -> Array:
    """Water over the ground, its waves, and ice on it; the share of open water, flat. ``snow`` is kept true."""
    water = np.zeros(surface.classes.size, dtype=np.float32)
    if wet.at.size == 0:
        return water
    white = values[:, wet.at]
    pool = surface.pool.ravel()
    phase = np.cos(2 * np.pi * (season(date, latitude=surface.latitude) - 205) / 365.25)
    # Currents carry plumes and blooms about: the field that they follow lies elsewhere every day.
    rng = np.random.default_rng([abs(surface.seed), 41, date.toordinal()])
    plumes = (
        np.roll(surface.flow, rng.integers(0, min(surface.flow.shape), 2), (0, 1))
        if rng.random() < 0.8
        else surface.flow
    )
    pour(
        values, wet, bottom=bottom, pool=pool, pools=surface.pools, texture=plumes.ravel(), season_phase=phase,
        runoff=today.runoff,
    )  # fmt: skip
    waves(
        values, wet, pool=pool, pools=surface.pools, shape=surface.classes.shape, pixel=surface.pixel, weather=today,
        rng=rng,
    )  # fmt: skip
    frozen, covered = lake_ice(elevation=float(surface.elevation.mean()), weather=today)
    still = np.array([0.0, *(float(each.kind == Cover.LAKE) for each in surface.pools)], dtype=np.float32)
    ice = frozen * still[pool[wet.at]] * wet.share
    if frozen > 0:
        grey = np.clip(0.10 + 0.05 * surface.coarse.ravel()[wet.at], 0.03, 0.4)
        bare = np.linspace(1.3, 0.05, 13, dtype=np.float32)[:, None] * grey
        sheet = covered * np.maximum(white, bare) + (1 - covered) * bare
        values[:, wet.at] += ice * (sheet - values[:, wet.at])
    water[wet.at] = wet.share - ice
    snow[wet.at] = snow[wet.at] * (1 - wet.share) + ice * covered
    icy = np.array([0.0, *(pool.floes for pool in surface.pools)], dtype=np.float32)
    if icy.any():
        _lay_floes(values, surface, wet, water=water, snow=snow, today=today, rng=rng)
    return water


def _lay_floes(
    values: Array, surface: Surface, wet: Wet, *, water: Array, snow: Array, today: Weather, rng: np.random.Generator
) -> None:
    """Drifting ice over the open water of the pools that carry some, in place; ice counts as snow."""
    pool = surface.pool.ravel()[wet.at]
    for number, each in enumerate(surface.pools, start=1):
        here = wet.at[pool == number]
        if each.floes == 0 or here.size == 0:
            continue
        ice, colour = drift_ice(
            rng, shape=surface.elevation.shape, share=each.floes, metres=each.floe, pixel=surface.pixel,
            warmth=today.temperature,
        )  # fmt: skip
        part = ice.ravel()[here] * water[here]
        values[:, here] += part * (colour.reshape(13, -1)[:, here] - values[:, here])
        snow[here] += part
        water[here] -= part


def terrain_light(surface: Surface, *, sun_zenith: float, sun_azimuth: float) -> Array:
    """Direct sunlight on the place, relative to flat ground: ``cos(i) / cos(sun zenith)``, 0 in cast shadow.

    Parameters
    ----------
    surface : Surface
        The place.
    sun_zenith, sun_azimuth : float
        Degrees; azimuth clockwise from north. Zenith must lie in [0, 90).

    Returns
    -------
    float32 array (y, x)
        0 … about 3.

    Examples
    --------
    >>> place = make_surface("mountain", shape=(32, 32), seed=1)
    >>> terrain_light(place, sun_zenith=60, sun_azimuth=150).shape
    (32, 32)
    """
    return direct_light(surface.elevation, pixel=surface.pixel, sun_zenith=sun_zenith, sun_azimuth=sun_azimuth)
