import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearsight.reference import clear_reference, closeness, leave_one_out, others, trust, weighted_quantile


def days(*numbers):
    return np.datetime64("2020-01-01", "ns") + np.array(numbers) * np.timedelta64(1, "D")


def place(key, quality):
    """Weights of one pixel from its key and quality through time."""
    key, quality = np.float32(key)[:, None], np.float32(quality)[:, None]
    return trust(key, quality, np.ones(key.shape, dtype=bool))[:, 0]


@settings(deadline=None, max_examples=30)
@given(
    hnp.arrays(np.float32, (7, 3), elements=st.floats(-1, 1, width=32)),
    hnp.arrays(np.int64, (7, 3), elements=st.integers(0, 4)),
    st.floats(0.05, 0.95),
)
def test_weighted_quantile_is_the_mean_of_the_quantiles_of_repeated_values(values, times, share):
    found = weighted_quantile(values, times.astype(np.float32), share)
    shares = np.linspace(share - 0.05, share + 0.05, 2001).clip(1e-9, 1)
    for pixel in range(3):
        repeated = np.sort(np.repeat(values[:, pixel], times[:, pixel]))
        if len(repeated):
            places = np.ceil(shares * len(repeated)).astype(int) - 1
            assert abs(found[pixel] - repeated[places].mean()) < 5e-3


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(np.float32, (7, 3), elements=st.floats(-1, 1, width=32)),
    hnp.arrays(np.float32, (7, 3), elements=st.floats(0.015625, 1, width=32)),
    st.integers(0, 2**31),
)
def test_a_rounding_error_in_the_weights_moves_the_quantile_by_little(values, weights, seed):
    nudged = weights * (1 + np.random.default_rng(seed).uniform(-1e-6, 1e-6, weights.shape)).astype(np.float32)
    moved = weighted_quantile(values, weights, 0.35) - weighted_quantile(values, nudged, 0.35)
    assert np.abs(moved).max() < 2e-4


@settings(deadline=None, max_examples=30)
@given(
    hnp.arrays(np.float32, (6, 4), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.float32, (6, 4), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.bool_, (6, 4)),
)
def test_trust_is_a_weight_and_nodata_has_none(key, quality, valid):
    weight = trust(key, quality, valid)
    assert ((weight >= 0) & (weight <= 1 + 1e-6)).all()
    assert (weight[~valid] == 0).all()


def test_closeness_falls_with_time_and_returns_with_the_season():
    near, later, half, year = closeness(days(5, 30, 182, 365), days(0))[0]
    assert 1 > near > later > year > half > 0
    assert closeness(days(3), days(3)).item() == 1


def test_no_frame_vouches_for_itself():
    assert (np.diag(others(days(0, 0, 40))) == 0).all()


def test_leaving_one_out_is_the_reference_without_it():
    rng = np.random.default_rng(0)
    values = rng.random((6, 3, 4, 5), dtype=np.float32)
    weight = rng.random((6, 4, 5), dtype=np.float32)
    dates = days(0, 12, 30, 100, 365, 400)
    centre, count = leave_one_out(values, weight, others(dates))
    for frame in range(6):
        rest = weight.copy()
        rest[frame] = 0
        alone = clear_reference(values, rest, dates, at=dates[frame])
        np.testing.assert_allclose(centre[frame], alone.centre, rtol=1e-4)
        np.testing.assert_allclose(count[frame], alone.count, rtol=1e-4)


def test_reference_tells_spread_age_and_most_recent_clear_value():
    values = np.float32([0.10, 0.14, 0.70]).reshape(3, 1, 1, 1)
    weight = np.float32([1, 1, 0]).reshape(3, 1, 1)
    reference = clear_reference(values, weight, days(0, 10, 12), at=days(12)[0])
    assert 0.12 < reference.centre.item() < 0.14
    assert 0 < reference.spread.item() <= 0.02
    assert (reference.recent.item(), reference.age.item()) == (pytest.approx(0.14), 2)
    assert 1 < reference.count.item() < 2


def test_without_a_clear_frame_there_is_no_reference():
    reference = clear_reference(
        np.full((2, 1, 1, 1), 0.7, dtype=np.float32), np.zeros((2, 1, 1), dtype=np.float32), days(0, 5), at=days(7)[0]
    )
    assert reference.count.item() == 0
    assert np.isnan([reference.centre.item(), reference.recent.item(), reference.age.item()]).all()


def test_nodata_values_have_no_part():
    values = np.float32([0.1, 0.1, 123.0]).reshape(3, 1, 1, 1)
    weight = np.float32([1, 1, 0]).reshape(3, 1, 1)
    assert clear_reference(values, weight, days(0, 5, 6), at=days(6)[0]).centre.item() == pytest.approx(0.1)


def test_a_white_roof_is_what_is_always_there():
    roof, clouds = [0.380, 0.385, 0.375, 0.390, 0.38], [0.55, 0.72, 0.9]
    weight = place(roof + clouds, [0.15] * 5 + [0.0] * 3)
    assert weight[:5].min() > 0.5
    assert weight[5:].max() < 0.02


def test_most_frames_cloudy():
    weight = place([0.6, 0.7, 0.075, 0.8, 0.55, 0.08, 0.9, 0.65], [0, 0, 1, 0, 0, 1, 0, 0])
    assert weight[[2, 5]].min() > 0.9
    assert np.delete(weight, [2, 5]).max() < 0.02


def test_haze_that_slipped_through_counts_less_than_clear_ground():
    weight = place([0.08, 0.08, 0.08, 0.14], [1, 1, 1, 0.9])
    assert weight[3] < 0.3 * weight[0]


def test_clouds_alone_make_no_evidence():
    weight = place([0.5, 0.62, 0.7, 0.78, 0.9, 0.95], [0.0] * 6)
    assert weight.sum() < 0.5
