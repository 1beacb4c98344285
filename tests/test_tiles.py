"""Sub-tiles cover a grid exactly once, and give the same as the whole when the halo holds the neighbourhood."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from clearsight.errors import ArgumentError
from clearsight.tiles import LARGEST, side_for, split

sizes = st.integers(1, 40)


@settings(deadline=None, max_examples=50)
@given(shape=st.tuples(sizes, sizes), side=st.integers(4, 40), halo=st.integers(0, 20))
def test_cores_cover_the_grid_exactly_once(shape, side, halo):
    seen = np.zeros(shape, int)
    for piece in split(shape, side=side, halo=halo):
        seen[piece.core] += 1
        grid = np.arange(seen.size).reshape(shape)
        np.testing.assert_array_equal(grid[piece.outer][piece.inner], grid[piece.core])
        for core, outer, length in zip(piece.core, piece.outer, shape, strict=True):
            assert outer.start == max(core.start - halo, 0)
            assert outer.stop == min(core.stop + halo, length)
    assert (seen == 1).all()


def test_halo_of_the_neighbourhood_gives_the_whole():
    values = np.random.default_rng(1).random((97, 61))
    whole = uniform_filter(values, 7, mode="constant")
    parts = np.full_like(whole, np.nan)
    for piece in split(values.shape, side=20, halo=3):
        parts[piece.core] = uniform_filter(values[piece.outer], 7, mode="constant")[piece.inner]
    np.testing.assert_allclose(parts, whole, atol=1e-12)


@given(
    frames=st.integers(0, 5000),
    halo=st.sampled_from([3, 192]),
    weight=st.tuples(st.floats(0, 500), st.floats(1, 200)),
)
def test_side_keeps_memory_bounded(frames, halo, weight):
    side = side_for(frames, halo=halo, bytes_per_pixel=weight)
    assert 64 <= side <= LARGEST
    assert side % 64 == 0
    assert side == 64 or (side + 2 * halo) ** 2 * (weight[0] + weight[1] * frames) <= 2.2e9


def test_wrong_sizes_are_named():
    with pytest.raises(ArgumentError, match="side=0"):
        list(split((3, 3), side=0, halo=1))
