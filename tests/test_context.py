"""References of several frames at once, from digital numbers, against those of one frame, written down plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearsight.context import CLEAR_WEIGHT, Frames, Ground, decode, encode, ground_for, grounds_for, halved
from clearsight.reference import closeness

LACKING = 6


def some_frames(seed: int, *, count: int, side: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Reflectance of ten and twenty with a hole and a band that isn't there, weights, dates."""
    rng = np.random.default_rng(seed)
    ten = rng.uniform(0, 1.2, (count, 4, side, side)).astype(np.float32)
    twenty = rng.uniform(0, 1.2, (count, 9, side // 2, side // 2)).astype(np.float32)
    twenty[:, LACKING] = np.nan
    weight = np.clip(rng.uniform(-0.5, 1, (count, side // 2, side // 2)), 0, 1).astype(np.float32)
    ten[0, :, :4, :6], twenty[0, :, :2, :3], weight[0, :2, :3] = np.nan, np.nan, 0.0
    days = np.sort(rng.integers(0, 500, count)).astype("timedelta64[D]")
    return ten, twenty, weight, (np.datetime64("2020-01-01") + days).astype("datetime64[ns]")


def plainly(ten: np.ndarray, twenty: np.ndarray, weight: np.ndarray, dates: np.ndarray, frame: int) -> Ground:
    """The definition, pixel by pixel."""
    close = closeness(dates, dates[frame : frame + 1])[0]
    close[frame] = 0.0
    share = weight * close[:, None, None]
    means = np.concatenate([halved(ten), twenty[:, 4:6]], axis=1)
    ground = Ground(
        np.full(ten.shape[1:], np.nan), np.full(twenty.shape[1:], np.nan), np.full((8, *weight.shape[1:]), np.nan)
    )
    for y, x in np.ndindex(weight.shape[1:]):
        total = share[:, y, x].sum()
        if total < 0.02:
            continue
        seen = share[:, y, x] > 0
        part = share[seen, y, x] / total
        for values, out, fine in ((ten, ground.ten, 2), (twenty, ground.twenty, 1)):
            box = np.s_[:, fine * y : fine * y + fine, fine * x : fine * x + fine]
            out[box] = np.einsum("t,tbyx->byx", part, values[(seen, *box)])
        middle = part @ means[seen, :, y, x]
        ground.support[:6, y, x] = np.sqrt(part @ np.square(means[seen, :, y, x] - middle))
        ground.support[6, y, x] = total
        clear = (weight[:, y, x] >= CLEAR_WEIGHT) & (np.arange(len(dates)) != frame)
        days = np.abs((dates - dates[frame]) / np.timedelta64(1, "D"))
        ground.support[7, y, x] = days[clear].min() if clear.any() else 1e4
    return ground


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 9))
def test_a_reference_is_what_it_is_defined_to_be(seed, count):
    ten, twenty, weight, dates = some_frames(seed, count=count)
    frame = seed % count
    made = ground_for(ten, twenty, weight, dates=dates, frame=frame)
    wanted = plainly(ten, twenty, weight, dates, frame)
    for name in ("ten", "twenty", "support"):
        np.testing.assert_allclose(getattr(made, name), getattr(wanted, name), atol=1e-3, rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 9))
def test_many_at_once_from_digital_numbers_are_those_of_one_after_the_other(seed, count):
    ten, twenty, weight, dates = some_frames(seed, count=count)
    ten, twenty = decode(encode(ten)), decode(encode(twenty))
    lacking = np.zeros(13, dtype=bool)
    lacking[4 + LACKING] = True
    together = grounds_for(Frames(encode(ten), encode(twenty), lacking), weight, dates=dates, wanted=range(count))
    for frame, made in enumerate(together):
        alone = ground_for(ten, twenty, weight, dates=dates, frame=frame)
        for name in ("ten", "twenty", "support"):
            np.testing.assert_allclose(getattr(made, name), getattr(alone, name), atol=1e-3, rtol=1e-4)


def test_strips_do_not_show(monkeypatch):
    ten, twenty, weight, dates = some_frames(5, count=6, side=20)
    frames = Frames(encode(ten), encode(twenty), np.zeros(13, dtype=bool))
    whole = grounds_for(frames, weight, dates=dates, wanted=[1, 4])
    monkeypatch.setattr("clearsight.context._STRIP", 100)
    for a, b in zip(whole, grounds_for(frames, weight, dates=dates, wanted=[1, 4]), strict=True):
        for name in ("ten", "twenty", "support"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-4)


@pytest.mark.parametrize("value", [-0.09, 0.0, 0.12345, 1.0, 6.4])
def test_digital_numbers_are_as_fine_as_products(value):
    assert decode(encode(np.float32([value]))) == pytest.approx(value, abs=5.1e-5)
