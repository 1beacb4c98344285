"""The instrument: grids, noise, saturation, nodata, baselines."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.simulate.imaging.sensor import observe, regrid, swath

NAMES = tuple(BANDS)


def flat(value: float = 0.2, shape: tuple[int, int] = (60, 72)) -> np.ndarray:
    return np.full((13, *shape), value, dtype=np.float32)


@given(rows=st.integers(6, 90), columns=st.integers(6, 90), seed=st.integers(-5, 5))
@settings(max_examples=20, deadline=None)
def test_every_band_comes_on_its_native_grid(rows: int, columns: int, seed: int) -> None:
    seen = observe(flat(shape=(rows, columns)), seed=seed)
    for band in BANDS.values():
        step = band.gsd // 10
        assert seen.dn[band.name].shape == (-(-rows // step), -(-columns // step))
        assert seen.dn[band.name].dtype == np.uint16
        assert (seen.dn[band.name] > 0).all()
    assert regrid(seen).shape == (13, rows, columns)
    assert seen.valid.all()


@pytest.mark.parametrize(("baseline", "offset"), [("02.12", 0), ("03.01", 0), ("04.00", -1000), ("05.10", -1000)])
def test_the_baseline_sets_the_offset(baseline: str, offset: int) -> None:
    seen = observe(flat(0.2), seed=1, baseline=baseline)
    assert seen.offset == offset
    assert float(seen.dn["B04"].mean()) == pytest.approx(2000 - offset, abs=15)
    assert float(np.mean(regrid(seen)[NAMES.index("B04")])) == pytest.approx(0.2, abs=0.0015)


def test_the_mean_survives_noise_blur_and_rounding() -> None:
    scene = np.random.default_rng(1).uniform(0.05, 0.5, (13, 120, 120)).astype(np.float32)
    back = regrid(observe(scene, seed=2))
    assert np.allclose(back.mean(axis=(1, 2)), scene.mean(axis=(1, 2)), rtol=0.012)


def test_noise_is_that_of_the_instrument() -> None:
    """Signal to noise at a bright meadow: hundreds; worse where the light is weak, and under a low sun."""
    seen = {zenith: regrid(observe(flat(0.1, (240, 240)), seed=3, sun_zenith=zenith)) for zenith in (20.0, 75.0)}

    def ratio(zenith: float, name: str) -> float:
        values = seen[zenith][NAMES.index(name)]
        return float(values.mean() / values.std())

    assert 80 < ratio(20.0, "B02") < 400
    assert 60 < ratio(20.0, "B12") < 400
    assert ratio(75.0, "B04") < 0.7 * ratio(20.0, "B04")


def test_a_point_is_spread_and_its_light_kept() -> None:
    scene = flat(0.0, (61, 61))
    scene[:, 30, 30] = 5.0
    seen = regrid(observe(scene, seed=1, misregistration=0.0, baseline="02.00", sun_zenith=0.0))
    blue = seen[NAMES.index("B02")]
    assert 0.5 < blue[30, 30] < 4.0
    assert 0.02 < blue[30, 31] < 1.5


def test_a_shifted_frame_is_shifted() -> None:
    """The centre of a blob moves by up to half a pixel, and differently from seed to seed."""
    y, x = np.indices((61, 61))
    blob = np.exp(-((y - 30) ** 2 + (x - 30) ** 2) / 50.0).astype(np.float32)
    scene = np.broadcast_to(0.5 * blob, (13, 61, 61)).copy()

    def centre(seed: int, most: float) -> np.ndarray:
        values = regrid(observe(scene, seed=seed, misregistration=most, baseline="02.00"))[NAMES.index("B03")]
        values = np.where(values > 0.05, values, 0)
        return np.array([(values * y).sum(), (values * x).sum()]) / values.sum() - 30

    moves = np.array([centre(seed, 0.5) for seed in range(8)])
    assert np.abs(moves).max() < 0.65
    assert moves.std() > 0.1
    assert np.abs(centre(1, 0.0)).max() < 0.05


def test_bright_cloud_saturates_under_a_high_sun_only() -> None:
    """A band's limit is a radiance: reflectance 1.05 is beyond it with the sun overhead, not with a low sun."""
    assert observe(flat(1.05), seed=1, sun_zenith=5.0).saturated.all()
    assert not observe(flat(1.05), seed=1, sun_zenith=70.0).saturated.any()
    capped = regrid(observe(flat(3.0), seed=1, sun_zenith=5.0))
    assert np.nanmax(capped) < 2.0


@given(share=st.floats(0.05, 0.9), seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_outside_the_swath_is_nodata_in_every_band(share: float, seed: int) -> None:
    detector = swath((60, 72), seed=seed, edge=share)
    assert (detector == 0).mean() == pytest.approx(share, abs=0.03)
    seen = observe(flat(), seed=seed, detector=detector)
    values = regrid(seen)
    assert np.isfinite(values[:, seen.valid]).all()
    assert np.isnan(values[:, ~seen.valid]).any(axis=0).all()
    assert not seen.valid[:, :].all()


def test_the_next_detector_differs_a_little() -> None:
    detector = swath((60, 72), seed=3, boundary=0.5)
    left, right = np.unique(detector)
    assert right == left + 1
    assert left > 0
    values = regrid(observe(flat(0.3), seed=5, detector=detector))[NAMES.index("B04")]
    step = float(values[detector == right].mean() / values[detector == left].mean())
    assert 0.98 < step < 1.02
    assert step != 1.0


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second, third = (observe(flat(), seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first.dn[name], second.dn[name]) for name in BANDS)
    assert not np.array_equal(first.dn["B02"], third.dn["B02"])


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"toa has shape \(3, 4, 4\)"):
        observe(np.zeros((3, 4, 4), dtype=np.float32), seed=1)
    with pytest.raises(ArgumentError, match=r"detector has shape \(2, 2\)"):
        observe(flat(), seed=1, detector=np.ones((2, 2), dtype=np.uint8))


@pytest.mark.slow
def test_observing_is_fast_enough_to_train_on() -> None:
    """13 × 256 × 256 in 60 ms on a quiet core; three times that on one that others share."""
    scene = flat(0.2, (256, 256))
    observe(scene, seed=1)
    start = time.process_time()
    for seed in range(4):
        observe(scene, seed=seed)
    assert (time.process_time() - start) / 4 < 0.18
