"""Real clear images as ground: which chips are used, that air comes off and goes on again, and the year over them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearsight.errors import ArgumentError, EmptySourceError
from clearsight.simulate.air.atmosphere import coefficients, to_toa
from clearsight.simulate.air.state import Air, Geometry
from clearsight.simulate.places.real import clear_chips, ground_of, real_surfaces
from clearsight.simulate.places.surfaces import surface_from_reflectance, surface_reflectance

CHIPS = Path(__file__).parents[2] / "shared" / "data" / "l1c_chips"
WITH_CHIPS = pytest.mark.skipif(not CHIPS.is_dir(), reason="the real chips aren't at hand")


def field(*, size: int, seed: int = 0) -> np.ndarray:
    """Soil and meadow in stripes, as seen through clean air: (13, size, size)."""
    soil = np.linspace(0.08, 0.35, 13)
    meadow = np.array([0.03, 0.03, 0.07, 0.04, 0.1, 0.3, 0.38, 0.4, 0.42, 0.42, 0.2, 0.2, 0.1])
    share = (np.arange(size) // 8 % 2)[:, None] * np.ones(size)
    ground = soil[:, None, None] + share * (meadow - soil)[:, None, None]
    ground *= np.random.default_rng(seed).uniform(0.9, 1.1, (size, size))
    air = coefficients(Air(aot=0.08, water_vapour=1.2, elevation=0.2), Geometry(sun_zenith=35))
    return to_toa(ground.astype(np.float32), air)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one usable chip among many that aren't."""
    entries = []
    for name, state, pixel, size, hole, date in (
        ("good", "2017 partly cloud per SCL; 2019 clear", 10, 100, False, "20190723"),
        ("cloudy", "2017 partly cloud per SCL; 2019 clear", 10, 100, False, "20170703"),
        ("cirrus", "low sun, thin cirrus in B10", 10, 100, False, None),
        ("coarse", "clear", 20, 100, False, None),
        ("small", "clear", 10, 40, False, None),
        ("hole", "clear", 10, 100, True, None),
    ):
        toa = field(size=size)
        if hole:
            toa[:, 3, 4] = np.nan
        np.savez(tmp_path / f"{name}.npz", toa=toa)
        entries.append({"name": name, "state": state, "pixel_m": pixel, "shape": toa.shape, "date": date,
                        "crs": "EPSG:32756", "bounds": "(300700.4, 7296266.5, 303260.4, 7298826.5)"})  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    return tmp_path


def test_only_clear_whole_chips_are_used(folder: Path) -> None:
    (chip,) = clear_chips(folder)
    assert chip.name == "good"
    assert chip.latitude == pytest.approx(-24.4, abs=0.1)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), latitude=st.floats(-70, 70), brightness=st.floats(0.0, 3.0))
def test_any_image_gives_ground_that_can_be(seed: int, latitude: float, brightness: float) -> None:
    toa = (field(size=16) * brightness).astype(np.float32)
    ground = ground_of(toa, latitude=latitude, rng=np.random.default_rng(seed))
    assert ground.shape == toa.shape
    assert np.isfinite(ground).all()
    assert ground.min() > 0
    assert ground.max() <= 1


def test_the_same_seed_gives_the_same_place_and_another_seed_another(folder: Path) -> None:
    date = datetime.date(2020, 6, 1)
    once, again, other = (
        surface_reflectance(real_surfaces(folder, shape=(64, 48), seed=seed), date=date) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(once, again)
    assert once.shape == (13, 64, 48)
    assert np.abs(once - other).mean() > 0.005


def test_a_chip_that_is_too_small_goes_on_as_in_a_mirror(folder: Path) -> None:
    surface = real_surfaces(folder, shape=(160, 130), seed=1)
    assert surface.images is not None
    image = surface.images[0]
    assert image.shape == (13, 160, 130)
    # The chip is 100 wide: 15 columns on either side mirror what's inside.
    np.testing.assert_array_equal(image[:, :, :15], image[:, :, 15:30][:, :, ::-1])


def test_air_comes_off_plausibly(folder: Path) -> None:
    """What was seen through known clean air comes back near the ground that was put in, in bands that see it well."""
    toa = field(size=64, seed=2)
    truth = np.linspace(0.08, 0.35, 13)
    # Stripes of soil.
    soil = np.arange(64) // 8 % 2 == 0
    errors = []
    for seed in range(20):
        ground = ground_of(toa, latitude=45.0, rng=np.random.default_rng(seed))[:, soil].mean(axis=(1, 2))
        errors.append(np.abs(ground - truth)[[3, 7, 8, 11, 12]])
    assert np.median(errors) < 0.02


def test_images_come_back_every_year(folder: Path) -> None:
    surface = real_surfaces(folder, shape=(32, 32), seed=5)
    first = surface_reflectance(surface, date=surface.dates[2])
    later = surface_reflectance(surface, date=surface.dates[2].replace(year=surface.dates[2].year + 4))
    np.testing.assert_allclose(first, later, atol=0.01)
    over_the_year = [
        surface_reflectance(surface, date=datetime.date(2019, month, 15)).mean(axis=(1, 2)) for month in range(1, 13)
    ]
    assert np.ptp(over_the_year, axis=0).max() > 0.003


def test_images_of_several_years_are_interpolated_between_their_dates_only() -> None:
    images = np.stack([np.full((13, 4, 4), value, dtype=np.float32) for value in (0.1, 0.3, 0.2)])
    dates = [datetime.date(2017, 1, 1), datetime.date(2017, 1, 11), datetime.date(2018, 1, 11)]
    surface = surface_from_reflectance(images, dates=dates)

    def mean(date: datetime.date) -> float:
        return float(surface_reflectance(surface, date=date).mean())

    assert mean(datetime.date(2016, 1, 1)) == pytest.approx(0.1)
    assert mean(datetime.date(2017, 1, 6)) == pytest.approx(0.2)
    assert mean(datetime.date(2017, 1, 11)) == pytest.approx(0.3)
    assert mean(datetime.date(2020, 1, 1)) == pytest.approx(0.2)


def test_a_folder_without_chips_says_so(tmp_path: Path) -> None:
    with pytest.raises(EmptySourceError, match=r"manifest\.json"):
        real_surfaces(tmp_path, shape=(8, 8), seed=0)


def test_a_shape_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="shape"):
        real_surfaces(folder, shape=(1, 8), seed=0)


@pytest.mark.parametrize("shape", [(2, 2), (100, 100), (101, 3), (20, 257)])
def test_any_crop_is_a_place(folder: Path, shape: tuple[int, int]) -> None:
    ground = surface_reflectance(real_surfaces(folder, shape=shape, seed=-7), date=datetime.date(2020, 2, 29))
    assert ground.shape == (13, *shape)
    assert np.isfinite(ground).all()


@WITH_CHIPS
def test_real_chips_give_water_land_and_never_blackness() -> None:
    assert len(clear_chips(CHIPS)) >= 8
    for seed in range(8):
        ground = surface_reflectance(real_surfaces(CHIPS, shape=(96, 96), seed=seed), date=datetime.date(2019, 5, 5))
        assert np.isfinite(ground).all()
        # The darkest ground in green is water or forest, not less; and the air isn't left on: blue land is dark.
        assert 0.003 < np.percentile(ground[2], 1) < 0.2
        assert np.median(ground[1]) < 0.2
