"""Settings, suns and airs as they are drawn: against astronomy, and against what is known of the air."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearsight.simulate.air.atmosphere import coefficients, to_toa
from clearsight.simulate.draws import LOWEST_SUN, Setting, draw_air, draw_date, draw_setting, draw_sun
from clearsight.simulate.ground.weather import season, sun_zenith
from clearsight.simulate.places.surfaces import KINDS


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 10**6), st.floats(-78, 78), st.sampled_from(KINDS))
def test_what_is_drawn_is_a_valid_scene_and_always_the_same(seed: int, latitude: float, kind: str) -> None:
    def draw() -> tuple[object, ...]:
        rng = rng_of(seed)
        date = draw_date(rng, latitude=latitude)
        sun = draw_sun(rng, latitude=latitude, date=date)
        air = draw_air(rng, latitude=latitude, date=date, elevation=rng.uniform(0, 5))
        return draw_setting(rng, kind=kind), date, sun, air

    assert draw() == draw()
    setting = draw()[0]
    assert isinstance(setting, Setting)
    assert abs(setting.latitude) <= 78
    assert 0 <= setting.lift <= 4500


@pytest.mark.parametrize("latitude", [-60, -35, 0, 35, 60])
@pytest.mark.parametrize("month", [3, 6, 9])
def test_the_sun_is_where_astronomy_puts_it_in_mid_morning(latitude: float, month: int) -> None:
    date = datetime.date(2020, month, 21)
    drawn = [draw_sun(rng_of(seed), latitude=latitude, date=date) for seed in range(60)]
    zenith = np.array([sun.sun_zenith for sun in drawn])
    noon = min(abs(latitude - 23.44 * {3: 0, 6: 1, 9: 0}[month]), LOWEST_SUN)
    assert zenith.min() > noon - 1.5  # never higher than at noon
    assert abs(np.median(zenith) - min(sun_zenith(date, latitude=latitude), LOWEST_SUN)) < 10
    azimuth = np.array([sun.sun_azimuth for sun in drawn])
    assert (azimuth < 185).mean() > 0.9  # in the east before noon


def test_winters_with_a_sun_below_the_horizon_are_not_drawn() -> None:
    for seed in range(40):
        date = draw_date(rng_of(seed), latitude=72)
        assert 60 < season(date, latitude=72) < 300


def test_air_is_moist_where_it_is_warm_and_dry_where_it_is_high_or_cold() -> None:
    def median(latitude: float, month: int, elevation: float) -> float:
        date = datetime.date(2020, month, 15)
        airs = [draw_air(rng_of(s), latitude=latitude, date=date, elevation=elevation) for s in range(150)]
        return float(np.median([air.water_vapour for air in airs]))

    assert 3.0 < median(5, 7, 0) < 6.0  # g/cm2, tropical lowland
    assert 0.2 < median(55, 1, 0) < 1.0  # continental winter
    assert median(45, 7, 0) > 2 * median(45, 1, 0)
    assert median(30, 7, 4.5) < 0.15 * median(30, 7, 0)


def test_settings_lie_where_their_kind_does() -> None:
    seas = [draw_setting(rng_of(seed), kind="sea") for seed in range(50)]
    deserts = [draw_setting(rng_of(seed), kind="desert") for seed in range(80)]
    assert {sea.lift for sea in seas} == {0.0}
    assert max(abs(desert.latitude) for desert in deserts) <= 52
    assert max(desert.lift for desert in deserts) > 2000


def test_air_below_the_subtropical_highs_is_often_dry() -> None:
    """Over the deserts at 25° less than 1.5 g/cm² is usual, near the equator next to unknown (at sea level)."""
    date = datetime.date(2020, 4, 15)

    def dry(latitude: float) -> float:
        airs = [draw_air(rng_of(s), latitude=latitude, date=date, elevation=0.0) for s in range(300)]
        return float(np.mean([air.water_vapour < 1.5 for air in airs]))

    assert dry(25.0) > 0.2 > 0.1 > dry(2.0)


def test_b10_differs_from_scene_to_scene_as_in_real_ones() -> None:
    airs = [draw_air(rng_of(s), latitude=40.0, date=datetime.date(2020, 6, 1), elevation=0.3) for s in range(300)]
    leak, veil = (np.array([getattr(air, name) for air in airs]) for name in ("cirrus_leak", "veil"))
    # Seven real scenes: 0.0011 ... 0.0031.
    assert leak.min() < 0.0012
    assert leak.max() > 0.003
    assert 0.0005 < np.median(veil) < 0.003
    assert 0.05 < (veil > 0.01).mean() < 0.4


def test_b10_over_dark_water_is_at_the_floor_of_real_images() -> None:
    """Six clear real images of water under moist air: medians of 0.0007 ... 0.0010."""
    dark, found = np.full((13, 1, 1), 0.02, dtype=np.float32), []
    for seed in range(400):
        rng = rng_of(seed)
        sun = draw_sun(rng, latitude=40.0, date=datetime.date(2020, 6, 1))
        air = draw_air(rng, latitude=40.0, date=datetime.date(2020, 6, 1), elevation=0.1)
        if air.water_vapour > 1.5:
            found.append(float(to_toa(dark, coefficients(air, sun))[10, 0, 0]))
    low, middle, high = np.quantile(found, [0.05, 0.5, 0.9])
    assert low < 0.0006 < middle < 0.0011 < high < 0.01


def test_some_deserts_have_cold_winters_and_dry_air() -> None:
    settings = [draw_setting(rng_of(seed), kind="desert") for seed in range(400)]
    assert 0.1 < np.mean([abs(setting.latitude) > 40 for setting in settings]) < 0.35
    assert np.mean([abs(setting.latitude) < 32 for setting in settings]) > 0.4


def test_haze_is_where_dust_and_smoke_are() -> None:
    """Medians by place, as sun photometers have them: clean in the south and high up, thick in the dust belt."""

    def depths(latitude: float, month: int = 7, elevation: float = 0.0) -> np.ndarray:
        date = datetime.date(2020, month, 15)
        airs = [draw_air(rng_of(s), latitude=latitude, date=date, elevation=elevation) for s in range(400)]
        return np.array([air.aot for air in airs])

    europe, belt, south = depths(50), depths(18), depths(-45)
    assert 0.08 < np.median(europe) < 0.16
    assert np.median(belt) > 1.3 * np.median(europe) > 1.7 * np.median(south)
    assert np.median(depths(42, 7)) > 1.2 * np.median(depths(42, 1))
    assert np.median(depths(18, elevation=4.0)) < 0.4 * np.median(belt)
    assert 0.02 < (europe > 0.4).mean() < 0.2
    assert min(europe.min(), belt.min(), south.min()) >= 0.005
