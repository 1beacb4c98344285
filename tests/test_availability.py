"""How much a threshold leaves, against plain counting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from clearsight.availability import THRESHOLDS, availability, availability_chart
from clearsight.errors import ArgumentError
from clearsight.product import decode


def scores(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    stored = rng.integers(80, 150, shape).astype(np.uint8)
    stored[rng.random(shape) < 0.2] = 255
    return stored


@given(
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    coded=st.booleans(),
    lazy=st.booleans(),
)
def test_shares_and_counts_are_those_of_plain_counting(seed, shape, coded, lazy):
    stored = scores(seed, shape)
    values = xr.DataArray(stored if coded else decode(stored), dims=("time", "y", "x"))
    inside = np.random.default_rng(seed).random(shape[1:]) < 0.7
    rows = availability(values.chunk(time=1, y=2) if lazy else values, inside=xr.DataArray(inside, dims=("y", "x")))
    observed = (stored != 255) & inside
    for row, threshold in zip(rows, THRESHOLDS, strict=True):
        clear = observed & (stored >= round(200 * threshold))
        places = observed.any(axis=0)
        if not places.any():
            assert np.isnan([row.clear, row.expected, row.never]).all()
            continue
        assert row.clear == pytest.approx(clear.sum() / observed.sum())
        assert row.expected == pytest.approx(clear.sum(axis=0)[places].mean())
        assert row.never == pytest.approx(1 - clear.any(axis=0)[places].mean())
        for share, good, seen in zip(row.by_frame, clear, observed, strict=True):
            assert np.isnan(share) if not seen.any() else share == good.sum() / seen.sum()


def test_a_higher_threshold_leaves_less():
    rows = availability(xr.DataArray(decode(scores(1, (9, 30, 30))), dims=("time", "y", "x")))
    assert [row.clear for row in rows] == sorted((row.clear for row in rows), reverse=True)
    assert rows[0].clear > rows[-1].clear


def test_what_cannot_be_is_told():
    score = xr.DataArray(np.zeros((2, 2, 2), np.float32), dims=("time", "y", "x"))
    with pytest.raises(ArgumentError, match="dims"):
        availability(score[0])
    with pytest.raises(ArgumentError, match="thresholds"):
        availability(score, thresholds=[60])
    with pytest.raises(ArgumentError, match=r"inside has the shape \(2, 3\)"):
        availability(score, inside=np.ones((2, 3), bool))


def test_progress_counts_the_frames_of_all_rows():
    told = []
    score = xr.DataArray(np.zeros((3, 4, 2), np.float32), dims=("time", "y", "x")).chunk(y=2)
    availability(score, progress=lambda done, total, what: told.append((done, total)))
    assert told == [(done, 6) for done in range(7)]


def test_the_chart_is_a_picture(tmp_path: Path):
    rows = availability(xr.DataArray(decode(scores(1, (9, 30, 30))), dims=("time", "y", "x")))
    path = availability_chart(rows, tmp_path / "chart.png", title="A place, 9 dates")
    assert path.read_bytes().startswith(b"\x89PNG")
