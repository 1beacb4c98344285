"""Areas without texture: what was true of a place is true of the area that shows it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearsight.model import CAUSES
from clearsight.training.even import Frames, draw_area, make_even

SIZE = 32
DATES = 3
THICK = CAUSES.index("thick cloud")


def frames_of(rng: np.random.Generator) -> Frames:
    """Every pixel of 20 m tells its quality, cause and trust by its reflectance; 10 m pixels repeat it."""
    coarse = (SIZE // 2, SIZE // 2)
    steps = rng.integers(0, 5, (DATES, *(side // 4 for side in coarse))).repeat(4, axis=1).repeat(4, axis=2)
    quality = np.array([0, 60, 120, 200, 255], dtype=np.uint8)[steps]
    values = (quality / 255 + np.arange(DATES)[:, None, None]).astype(np.float32)
    cause = np.where(quality == 0, THICK, 0).astype(np.uint8)
    return Frames(
        ten=values.repeat(2, axis=1).repeat(2, axis=2)[:, None] * np.ones((4, 1, 1), np.float32),
        twenty=values[:, None] * np.ones((9, 1, 1), np.float32),
        quality=quality.repeat(2, axis=1).repeat(2, axis=2),
        cause=cause,
        trust=quality.copy(),
    )


@given(st.integers(0, 10_000))
def test_all_arrays_keep_telling_of_the_same_pixels(seed):
    rng = np.random.default_rng(seed)
    frames = frames_of(rng)
    make_even(frames, rng)
    expected = frames.quality / 255 + np.arange(DATES)[:, None, None]
    assert all(np.allclose(frames.ten[:, band], expected) for band in range(4))
    np.testing.assert_array_equal(frames.trust, frames.quality[:, ::2, ::2])
    assert all(np.allclose(frames.twenty[:, band], expected[:, ::2, ::2]) for band in range(9))
    np.testing.assert_array_equal(frames.cause == THICK, frames.quality[:, ::2, ::2] == 0)


def test_places_without_data_or_with_changing_quality_are_never_spread():
    """One even square; all else changes from pixel to pixel or is nodata."""
    spread = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frames = frames_of(rng)
        frames.quality[:] = np.where(np.indices((SIZE, SIZE)).sum(axis=0) % 2, 255, 100)
        frames.quality[:, 8:20, 8:20] = 180
        frames.ten[:] = 0.1
        frames.ten[..., 8:20, 8:20] = 0.5
        before = frames.ten == np.float32(0.5)
        make_even(frames, rng)
        assert set(np.unique(frames.ten)) <= {np.float32(0.1), np.float32(0.5)}
        assert (frames.ten == np.float32(0.5))[before].all()
        spread += int((frames.ten == np.float32(0.5)).sum() > before.sum())
    assert spread > 5


@pytest.mark.parametrize("trusted", [True, False])
def test_without_any_even_place_nothing_is_done(trusted):
    rng = np.random.default_rng(1)
    full = frames_of(rng)
    full.quality[:] = 255
    frames = Frames(full.ten, full.twenty, full.quality, full.cause, full.trust if trusted else None)
    before = frames.ten.copy()
    make_even(frames, rng)
    np.testing.assert_array_equal(frames.ten, before)


def test_areas_are_of_all_sizes():
    rng = np.random.default_rng(0)
    shares = [draw_area(64, rng).mean() for _ in range(200)]
    assert min(shares) < 0.01
    assert max(shares) > 0.8
    assert 0.1 < np.median(shares) < 0.5
