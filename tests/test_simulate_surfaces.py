"""The simulated ground: reproducible, within range, and changing as real places do."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearsight.errors import ArgumentError
from clearsight.simulate.ground.covers import FACTS, Cover
from clearsight.simulate.ground.phenology import growth
from clearsight.simulate.ground.reflectance import ground_reflectance
from clearsight.simulate.ground.spectra import (
    canopy,
    deep_water,
    library,
    snow,
    snow_absorption,
    snow_geometry,
    sun_glint,
    wetted,
)
from clearsight.simulate.ground.terrain import Slope, cast_shadow, direct_light, exchange_light, fractal, leaning
from clearsight.simulate.ground.weather import Weather, sun_zenith, weather
from clearsight.simulate.ground.winter import lay_snow
from clearsight.simulate.places.layout import Habit, canvas_axes, cut, meander, mixed_pixels, to_canvas
from clearsight.simulate.places.surfaces import (
    KINDS,
    WHITEST,
    class_names,
    make_surface,
    surface_cover,
    surface_from_reflectance,
    surface_reflectance,
    terrain_light,
)

SUMMER, WINTER = datetime.date(2021, 7, 1), datetime.date(2021, 1, 15)
RED, NIR, GREEN, BLUE, SWIR = 3, 7, 2, 1, 11


def ndvi(reflectance: np.ndarray) -> np.ndarray:
    return (reflectance[NIR] - reflectance[RED]) / (reflectance[NIR] + reflectance[RED])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_reflectance_on_any_shape(kind: str) -> None:
    place = make_surface(kind, shape=(40, 56), seed=11, latitude=45)
    for date in (SUMMER, WINTER):
        values = surface_reflectance(place, date=date)
        assert values.shape == (13, 40, 56)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.min() >= 0.0
        assert values.max() <= WHITEST
        assert values.std() > 0.002  # a place isn't one colour
    assert set(np.unique(place.classes)) <= set(class_names())


@settings(max_examples=8, deadline=None)
@given(
    kind=st.sampled_from(KINDS), seed=st.integers(-(2**31), 2**31), rows=st.integers(2, 33), columns=st.integers(2, 33)
)
def test_a_place_depends_on_its_arguments_only(kind: str, seed: int, rows: int, columns: int) -> None:
    first, again = (make_surface(kind, shape=(rows, columns), seed=seed, latitude=-30) for _ in range(2))
    date = datetime.date(2019, 4, 3)
    surface_reflectance(first, date=WINTER)  # what was asked before doesn't matter
    np.testing.assert_array_equal(surface_reflectance(first, date=date), surface_reflectance(again, date=date))
    cover = surface_cover(first, date=date)
    assert ((cover["water"] >= 0) & (cover["water"] <= 1) & (cover["snow"] >= 0) & (cover["snow"] <= 1)).all()


def test_seeds_and_kinds_differ() -> None:
    places = [make_surface(kind, shape=(32, 32), seed=seed) for kind in ("crops", "forest") for seed in (1, 2)]
    images = [surface_reflectance(place, date=SUMMER) for place in places]
    assert all(np.abs(a - b).mean() > 0.003 for i, a in enumerate(images) for b in images[:i])


@pytest.mark.parametrize(("latitude", "green", "brown"), [(50.0, 7, 1), (-40.0, 1, 7)])
def test_vegetation_peaks_in_the_summer_of_its_hemisphere(latitude: float, green: int, brown: int) -> None:
    kinds = ("crops", "forest", "grassland")
    means = {
        month: np.mean(
            [
                np.median(ndvi(surface_reflectance(place, date=datetime.date(2021, month, 10))))
                for kind in kinds
                for place in [make_surface(kind, shape=(64, 64), seed=s, latitude=latitude) for s in (1, 2)]
            ]
        )
        for month in (green, brown)
    }
    assert means[green] > means[brown] + 0.12


def test_fields_change_at_once_and_on_different_days() -> None:
    place = make_surface("crops", shape=(96, 96), seed=3)
    days = [datetime.date(2021, 6, 1) + datetime.timedelta(days=5 * k) for k in range(30)]
    series = np.stack([ndvi(surface_reflectance(place, date=day)) for day in days])
    drop = np.diff(series, axis=0).min(axis=0)  # the deepest fall within five days
    assert (drop < -0.3).mean() > 0.05  # harvests and ploughs
    when = np.diff(series, axis=0).argmin(axis=0)[drop < -0.3]
    assert np.unique(when).size >= 3


def test_tidal_flats_come_and_go_and_do_so_again() -> None:
    place = make_surface("tidal", shape=(64, 64), seed=5, latitude=53.0)
    days = [datetime.date(2021, 6, 1) + datetime.timedelta(days=k) for k in range(30)]
    wet = np.array([surface_cover(place, date=day)["water"].mean() for day in days])
    assert wet.max() - wet.min() > 0.2
    turns = np.diff(np.sign(np.diff(wet)))
    assert (turns != 0).sum() >= 2  # up and down within a month
    assert (place.classes == Cover.TIDAL).mean() > 0.1


def test_rivers_flood_after_rain() -> None:
    place = make_surface("town", shape=(96, 96), seed=2)
    days = [datetime.date(2021, 1, 1) + datetime.timedelta(days=5 * k) for k in range(72)]
    runoff = np.array([weather("town", seed=2, latitude=50.0, date=day).runoff for day in days])
    wet = np.array([surface_cover(place, date=day)["water"].mean() for day in days])
    assert np.corrcoef(runoff, wet)[0, 1] > 0.6


def test_snow_lies_in_winter_and_higher_up() -> None:
    place = make_surface("mountain", shape=(128, 128), seed=2, latitude=47.0)
    winter, summer = (surface_cover(place, date=date)["snow"] for date in (WINTER, SUMMER))
    assert winter.mean() > summer.mean() + 0.2
    spring = surface_cover(place, date=datetime.date(2021, 5, 15))["snow"]
    low, high = np.quantile(place.elevation, [0.2, 0.8])
    assert spring[place.elevation > high].mean() >= spring[place.elevation < low].mean()
    white = surface_reflectance(place, date=WINTER)[:, winter > 0.95].mean(axis=1)
    assert white[GREEN] > 0.7
    assert white[SWIR] < 0.35


def test_water_is_dark_in_the_infrared() -> None:
    place = make_surface("sea", shape=(64, 64), seed=8, latitude=55.0)
    water = surface_cover(place, date=SUMMER)["water"] > 0.99
    values = surface_reflectance(place, date=SUMMER)[:, water]
    assert water.mean() > 0.5
    assert np.median(values[SWIR]) < 0.05
    assert np.median(values[BLUE]) > np.median(values[SWIR])


def test_flat_ground_is_evenly_lit() -> None:
    light = direct_light(np.full((20, 30), 7.0, np.float32), pixel=10, sun_zenith=65, sun_azimuth=140)
    np.testing.assert_allclose(light, 1.0)
    rolling = make_surface("crops", shape=(64, 64), seed=1)
    assert terrain_light(rolling, sun_zenith=45, sun_azimuth=150).mean() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("azimuth", [0.0, 37.0, 90.0, 135.0, 180.0, 222.0, 270.0, 315.0])
def test_a_tower_casts_its_shadow_away_from_the_sun(azimuth: float) -> None:
    ground = np.zeros((81, 81), dtype=np.float32)
    ground[38:43, 38:43] = 100.0
    shadow = cast_shadow(ground, pixel=10.0, sun_zenith=60.0, sun_azimuth=azimuth)
    # The shadow is 100 m * tan(60) = 173 m long, that is 17 pixels, in the direction opposite to the sun.
    for away, expected in ((10, 1.0), (25, 0.0), (-10, 0.0)):
        row = round(40 + away * np.cos(np.deg2rad(azimuth)))
        column = round(40 - away * np.sin(np.deg2rad(azimuth)))
        assert shadow[row, column] == pytest.approx(expected, abs=0.05)
    assert direct_light(ground, pixel=10.0, sun_zenith=60.0, sun_azimuth=azimuth)[shadow > 0.99].max() == 0.0


def test_a_slope_is_lit_by_the_cosine_law() -> None:
    tilt, zenith = np.deg2rad(20.0), np.deg2rad(50.0)
    ramp = (np.arange(40) * 10.0 * np.tan(tilt))[:, None] * np.ones((1, 40))  # rises to the south
    north = direct_light(ramp.astype(np.float32), pixel=10.0, sun_zenith=50.0, sun_azimuth=0.0)
    south = direct_light(ramp.astype(np.float32), pixel=10.0, sun_zenith=50.0, sun_azimuth=180.0)
    assert north[20, 20] == pytest.approx(np.cos(zenith - tilt) / np.cos(zenith), rel=1e-4)
    assert south[20, 20] == pytest.approx(np.cos(zenith + tilt) / np.cos(zenith), rel=1e-3)


def test_sun_stands_where_it_should() -> None:
    equinox = datetime.date(2021, 3, 21)
    # At noon the zenith is the latitude; at half past ten cos(zenith) = cos(latitude) * cos(22.5 degrees).
    assert sun_zenith(equinox, latitude=40.0) == pytest.approx(
        np.rad2deg(np.arccos(np.cos(np.deg2rad(40)) * np.cos(np.deg2rad(22.5)))), abs=0.7
    )
    assert sun_zenith(WINTER, latitude=60.0) > sun_zenith(SUMMER, latitude=60.0)


def test_images_stand_for_the_ground() -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 0.5, (2, 13, 9, 7)).astype(np.float32)
    images[0, 4, 2, 2] = np.nan
    dates = (datetime.date(2020, 1, 1), datetime.date(2020, 1, 11))
    place = surface_from_reflectance(images, dates=dates, pixel=20.0)
    middle = surface_reflectance(place, date=datetime.date(2020, 1, 6))
    first = surface_reflectance(place, date=datetime.date(2019, 1, 1))
    seen = np.isfinite(images[0])
    np.testing.assert_array_equal(first[seen], images[0][seen])
    np.testing.assert_allclose(middle[seen], images.mean(axis=0)[seen], rtol=1e-5)
    assert np.isfinite(first).all()
    assert terrain_light(place, sun_zenith=30, sun_azimuth=10).mean() == 1.0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"kind": "moon"}, "kind='moon'"),
        ({"shape": (1, 9)}, "shape=(1, 9)"),
        ({"latitude": 91.0}, "latitude=91.0"),
        ({"pixel": 0.0}, "pixel=0.0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], name: str) -> None:
    good = {"kind": "crops", "shape": (8, 8), "latitude": 50.0, "pixel": 10.0} | arguments
    with pytest.raises(ArgumentError) as caught:
        make_surface(good.pop("kind"), seed=1, **good)  # type: ignore[arg-type]
    assert name in str(caught.value)


def test_bad_images_are_refused() -> None:
    with pytest.raises(ArgumentError, match="shape"):
        surface_from_reflectance(np.zeros((12, 4, 4), np.float32))
    with pytest.raises(ArgumentError, match="dates"):
        surface_from_reflectance(np.zeros((2, 13, 4, 4), np.float32), dates=[SUMMER])
    with pytest.raises(ArgumentError, match="sun_zenith"):
        direct_light(np.zeros((4, 4), np.float32), pixel=10, sun_zenith=90, sun_azimuth=0)


def test_mixed_pixels_keep_the_shares() -> None:
    canvas = np.random.default_rng(3).integers(0, 2, (40, 60)).astype(np.int32)
    first, second, share = mixed_pixels(canvas)
    value = first * (1 - share) + second * share  # of two patches, worth 0 and 1
    expected = canvas.reshape(20, 2, 30, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(value, expected)


def test_the_canvas_is_linear_between_pixels() -> None:
    ramp = np.arange(6, dtype=np.float32)[:, None] * np.ones((1, 5), np.float32)
    fine = to_canvas(ramp)
    assert fine.shape == (12, 10)
    np.testing.assert_allclose(fine[1:-1, 3], np.arange(0.25, 5, 0.5), atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), strips=st.floats(0, 1), square=st.floats(0, 1))
def test_pieces_fill_the_plane_and_lie_around_their_centres(seed: int, strips: float, square: float) -> None:
    x, y = canvas_axes((50, 60), pixel=10.0)
    pieces = cut(np.random.default_rng(seed), x=x, y=y, habit=Habit(20_000, strips=strips, square=square))
    assert np.array_equal(np.unique(pieces.piece), np.unique(np.clip(pieces.piece, 0, pieces.count - 1)))
    cells = np.bincount(pieces.piece.ravel(), minlength=pieces.count)
    drawn = np.flatnonzero(cells > 60)
    assert drawn.size > 3
    inside = (pieces.centre[:, 0] > 120) & (pieces.centre[:, 0] < 480) & (pieces.centre[:, 1] > 120)
    inside &= pieces.centre[:, 1] < 380
    for number in [n for n in drawn if inside[n]][:5]:
        here = pieces.piece == number
        if x[here].min() > 5 and y[here].min() > 5 and x[here].max() < 595 and y[here].max() < 495:
            assert cells[number] * 25.0 == pytest.approx(pieces.size[number] ** 2, rel=0.15)
            assert x[here].mean() == pytest.approx(pieces.centre[number, 0], abs=12)


def test_a_river_is_as_wide_as_asked_on_average() -> None:
    widths = [
        2 * meander(np.random.default_rng(s), shape=(80, 80), pixel=10.0, width=60.0)[1].mean() for s in range(12)
    ]
    assert np.mean(widths) == pytest.approx(60.0, rel=0.2)


def test_fractals_have_the_slope_asked_for() -> None:
    rough, smooth = (
        fractal(np.random.default_rng(1), shape=(128, 128), slope=slope, largest=64) for slope in (1.0, 2.5)
    )
    for field in (rough, smooth):
        assert field.std() == pytest.approx(1.0, rel=1e-3)
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.4 * np.abs(np.diff(rough, axis=0)).mean()


def test_canopies_close_over_their_ground() -> None:
    plants = np.zeros(3, dtype=np.intp)
    ground = np.full((3, 13), 0.25, dtype=np.float32)
    area = np.array([0.0, 1.0, 6.0], dtype=np.float32)
    seen = canopy(plants, state=np.zeros(3, np.float32), leaf_area=area, ground=ground)
    np.testing.assert_allclose(seen[0], 0.25, atol=0.01)  # no leaves: the ground itself
    assert (np.diff(seen[:, RED]) < 0).all()
    assert (np.diff(seen[:, NIR]) > 0).all()


def test_wet_ground_is_darker_most_of_all_in_the_short_wave_infrared() -> None:
    dry = np.full((1, 13), 0.4, dtype=np.float32)
    wet = wetted(dry, np.ones(1, dtype=np.float32))
    assert (wet < dry).all()
    assert wet[0, 12] < wet[0, RED]


def test_snow_darkens_with_grain_and_soot() -> None:
    grain = np.array([5e-5, 1e-3, 1e-3], dtype=np.float32)
    soot = np.array([0.0, 0.0, 1.0], dtype=np.float32)
    fresh, old, dirty = snow(grain=grain, soot=soot, dust=np.zeros(3, np.float32), sun_zenith=50.0)
    assert fresh[GREEN] > 0.9
    assert fresh[12] > old[12]
    assert fresh[8] > old[8]
    assert old[BLUE] > dirty[BLUE] + 0.1


def test_snow_is_whiter_where_it_faces_a_low_sun_and_darker_where_it_leans_away() -> None:
    """A slope of 30° under a sun 60° from the zenith; the reflectance of level snow is what `snow` says."""
    level, towards, away = (
        snow_geometry(sun=np.array([np.cos(np.deg2rad(a))]), view=np.array([v]), sun_zenith=60.0)
        for a, v in ((60.0, 1.0), (30.0, np.cos(np.deg2rad(30.0))), (84.0, np.cos(np.deg2rad(30.0))))
    )
    assert away[0] < level[0] < towards[0] < 1.1
    assert level[1] < towards[1]  # what absorbs, absorbs more: light goes deeper
    dark = snow_absorption(grain=np.full(1, 1e-4, np.float32), soot=np.zeros(1), dust=np.zeros(1))
    flat = snow(grain=np.full(1, 1e-4, np.float32), soot=np.zeros(1), dust=np.zeros(1), sun_zenith=60.0)
    np.testing.assert_allclose(level[0] * np.exp(level[1] * dark), flat, rtol=1e-5)


def test_ground_that_leans_away_from_the_sun_lives_on_skylight() -> None:
    ridge = np.abs(np.arange(40, dtype=np.float32)[None, :] - 20) * np.ones((8, 1), np.float32) * -10
    slope = leaning(ridge, pixel=10, sun_zenith=60.0, sun_azimuth=90.0)
    sun, view = (values.reshape(ridge.shape) for values in (slope.sun, slope.view))
    np.testing.assert_allclose(view[4, [5, 30]], np.cos(np.deg2rad(45.0)), rtol=1e-5)
    np.testing.assert_allclose(sun[4, 30], np.cos(np.deg2rad(15.0)), rtol=1e-5)
    np.testing.assert_allclose(sun[4, 5], 0.65, rtol=1e-5)


def test_sediment_brightens_water_and_dissolved_matter_darkens_it() -> None:
    one = np.ones(3, dtype=np.float32)
    sediment = np.array([1.0, 80.0, 1.0], dtype=np.float32)
    dissolved = np.array([0.1, 0.1, 6.0], dtype=np.float32)
    (clear, brown, bog), attenuation = deep_water(chlorophyll=one, sediment=sediment, dissolved=dissolved)
    assert brown[RED] > 3 * clear[RED]
    assert bog[BLUE] < clear[BLUE]
    assert (attenuation > 0).all()
    assert clear[11] < 1e-3


def test_glint_falls_as_the_sun_sinks() -> None:
    glint = [sun_glint(sun_zenith=zenith, view_zenith=0.0, wind=4.0) for zenith in (15, 30, 45, 60)]
    assert (np.diff(glint) < 0).all()


def test_the_library_is_small_and_sound() -> None:
    books = library()
    for name, spectra in books.materials.items():
        assert ((spectra > 0) & (spectra < 1)).all(), name
    modelled = {"salt", "ice", "white", "plastic", "panel", "lava", "peat", "chalk", "quartz"}
    assert {material for facts in FACTS.values() for material in facts.ground} <= set(books.materials) | modelled


def test_bright_and_dark_places_are_what_they_are_called() -> None:
    """Medians over places of a band in summer: roofs and chalk shine, lava and cut peat are dark."""

    def share(kind: str, *, brighter: float = 9.0, darker: float = -9.0) -> float:
        places = [make_surface(kind, shape=(64, 64), seed=seed, latitude=36) for seed in range(6)]
        green = np.concatenate([surface_reflectance(place, date=SUMMER)[GREEN].ravel() for place in places])
        return float(((green > brighter) | (green < darker)).mean())

    assert share("greenhouses", brighter=0.3) > 0.15
    assert share("industry", brighter=0.4) > 0.04
    assert share("quarry", brighter=0.35) > 0.04
    assert share("lava", darker=0.09) > 0.3
    assert share("peat", darker=0.07) > 0.2


def test_brine_is_pink_and_silt_the_colour_of_clay() -> None:
    autumn = datetime.date(2021, 10, 20)  # when the sun is too low to glint
    ponds = []
    for seed in range(4):
        place = make_surface("saltworks", shape=(96, 96), seed=seed, latitude=36)
        wet = surface_cover(place, date=autumn)["water"] > 0.9
        ponds.append(surface_reflectance(place, date=autumn)[[RED, GREEN, BLUE]][:, wet])
    red, green, blue = np.concatenate(ponds, axis=1)
    assert (red > 1.3 * green).mean() > 0.05  # the last ponds
    assert (red < green).mean() > 0.1  # the first
    silt = deep_water(
        chlorophyll=np.ones(1, np.float32), sediment=np.full(1, 250, np.float32), dissolved=np.full(1, 0.5, np.float32)
    )[0][0]
    # Gironde and Amazon: red 1.1 to 1.5 times as bright as green, blue more than half of green.
    assert 1.0 < silt[RED] / silt[GREEN] < 1.45
    assert silt[BLUE] / silt[GREEN] > 0.55
    assert blue.min() >= 0


def test_floes_drift_and_count_as_snow() -> None:
    place = make_surface("seaice", shape=(96, 96), seed=1, latitude=75)
    days = [datetime.date(2021, 4, day) for day in (3, 8)]
    one, other = (surface_cover(place, date=day) for day in days)
    assert 0.05 < one["snow"].mean() < 0.95
    assert np.abs(one["snow"] - other["snow"]).mean() > 0.05
    assert (one["snow"] + one["water"] <= 1 + 1e-5).all()
    spring, summer = (surface_reflectance(place, date=day)[GREEN].max() for day in (days[0], SUMMER))
    assert spring > summer  # under snow, then bare and ponded


def test_snow_ages_slower_in_the_cold() -> None:
    """Fine grains stay bright in the short-wave infrared (B11) for weeks where it's cold."""
    frost = [
        weather("snow", seed=seed, latitude=60.0, date=datetime.date(2021, 2, 10) + datetime.timedelta(days=offset))
        for seed in range(4)
        for offset in range(0, 20, 5)
    ]

    def brightness(day: Weather, *, degrees: float) -> float:
        ground = np.full((13, 4), 0.1, dtype=np.float32)
        flat = {name: np.zeros(4, dtype=np.float32) for name in ("texture", "fine")}
        lay_snow(
            ground, elevation=np.full(4, 1500, np.float32), weather=replace(day, temperature=degrees), dirt=(0.1, 0.1),
            cover=(np.ones(4, np.float32), np.full(4, 0.02, np.float32)),
            slope=Slope(np.full(1, 0.5, np.float32), np.ones(1, np.float32)), **flat,
        )  # fmt: skip
        return float(ground[SWIR].mean())

    old = [day for day in frost if day.age[6] > 3 and day.snow[6] > 0.2]
    assert old
    assert all(brightness(day, degrees=-15.0) > brightness(day, degrees=9.0) for day in old)


def test_weather_remembers() -> None:
    days = [datetime.date(2020, 12, 20) + datetime.timedelta(days=k) for k in range(40)]
    series = [weather("mixed", seed=4, latitude=60.0, date=day) for day in days]
    snow_ = np.array([day.snow[0] for day in series])
    age = np.array([day.age[0] for day in series])
    grew = np.diff(snow_) > 0.02
    assert np.abs(np.diff(snow_)).max() < 0.5  # also from one year to the next
    assert (age[1:][grew] <= 1).all()


def test_slopes_under_snow_light_each_other_up_and_dark_or_flat_ground_does_not() -> None:
    rng = np.random.default_rng(2)
    relief = 300 * fractal(rng, shape=(40, 40), slope=2.2, largest=30)
    sun = {"pixel": 10.0, "sun_zenith": 55.0, "sun_azimuth": 150.0}

    def gain(reflectance: float, elevation: np.ndarray) -> np.ndarray:
        values = np.full((13, elevation.size), reflectance, dtype=np.float32)
        exchange_light(values, elevation=elevation, **sun)
        return values / np.float32(reflectance)

    assert np.all(gain(0.9, np.zeros((40, 40), dtype=np.float32)) == 1.0)
    white, dark = gain(0.9, relief), gain(0.03, relief)
    assert white.min() >= 1.0
    assert white.max() < 2.0
    assert white.mean() > 1.03
    assert np.allclose((white - 1.0) / 0.9, (dark - 1.0) / 0.03, atol=2e-3)


def test_a_slope_that_faces_another_gets_what_the_cosine_law_leaves_to_the_ground() -> None:
    """A V-shaped valley along the sun's azimuth: both sides have the same sun, and see (1 - cos) / 2 of ground."""
    x = np.abs(np.arange(40, dtype=np.float32) - 19.5) * 10.0
    valley = np.repeat(x[None], 40, axis=0)
    values = np.full((13, 1600), 0.5, dtype=np.float32)
    exchange_light(values, elevation=valley, pixel=10.0, sun_zenith=30.0, sun_azimuth=180.0)
    slope = values.reshape(13, 40, 40)[:, 20, 5]
    own = np.cos(np.pi / 4)  # of flat ground's sun, per area of slope
    assert np.allclose(slope, 0.5 * (1 + 0.5 * (1 - np.cos(np.pi / 4)) / 2 / own), rtol=1e-3)


def test_reservoirs_are_drawn_down_to_a_bare_rim_but_not_dry() -> None:
    dammed, bare = 0, []
    for seed in range(30):
        place = make_surface("lake", shape=(48, 48), seed=seed, latitude=40)
        deep = [pool.swing > 0.6 for pool in place.pools]
        if not any(deep):
            continue
        dammed += 1
        shares = [surface_cover(place, date=SUMMER + datetime.timedelta(days=61 * m))["water"].mean() for m in range(6)]
        assert max(shares) > 0.02
        bare.append(max(shares) - min(shares))
    assert dammed >= 3
    assert np.median(bare) > 0.01


def test_bushes_are_darker_under_a_low_sun() -> None:
    place = make_surface("grassland", shape=(32, 32), seed=1, latitude=40)
    today = weather("grassland", seed=1, latitude=40.0, date=SUMMER)
    grown = growth(place.patches, seed=1, latitude=40.0, date=SUMMER, weather=today)
    pixels = {"first": place.first.ravel(), "second": place.second.ravel(), "share": place.share.ravel()}
    fields = {"fine": place.fine.ravel(), "coarse": place.coarse.ravel()}
    high, low = (ground_reflectance(place.patches, grown, **pixels, **fields, sun_zenith=z) for z in (20.0, 70.0))
    assert np.all(low <= high * (1 + 1e-5))
    assert low[NIR].mean() < 0.97 * high[NIR].mean()
