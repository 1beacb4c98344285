"""The composite against NumPy's own masked arrays, and its file against rasterio."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rio_cogeo import cog_validate

from clearsight._median import median_over_time
from clearsight.compositing import composite, keep_clear, write_composite
from clearsight.errors import ArgumentError, OutputError
from clearsight.product import decode


def _random(seed: int, shape: tuple[int, int, int], missing: float, *, low: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # few distinct values, so that ties are common
    values = np.where(rng.random(shape) < 0.5, rng.integers(0, 8, shape) / 7, rng.uniform(low, 1, shape))
    values[rng.random(shape) < missing] = np.nan
    return values.astype(np.float32)


def _oracle(values: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(values.shape[1:], np.nan, np.float32)
    median = np.ma.median(np.ma.masked_invalid(values), axis=0)
    return np.ma.filled(np.ma.asarray(median, dtype=np.float32), np.nan)


def _stack(**bands: np.ndarray) -> xr.Dataset:
    shape = next(iter(bands.values())).shape
    box = GeoBox.from_bbox((3e5, 56e5, 3e5 + 10 * shape[2], 56e5 + 10 * shape[1]), "EPSG:32633", resolution=10)
    coords = {
        **xr_coords(box),
        "time": np.datetime64("2023-01-01", "ns") + np.arange(shape[0]) * np.timedelta64(5, "D"),
    }
    coords["id"] = ("time", [f"frame{number}" for number in range(shape[0])])
    return xr.Dataset({name: (("time", "y", "x"), values) for name, values in bands.items()}, coords=coords)


shapes = st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 999),
    shape=shapes,
    missing=st.sampled_from([0.0, 0.05, 0.5, 0.9, 1.0]),
    low=st.sampled_from([0.0, -0.2]),
)
def test_median_equals_that_of_masked_arrays(seed, shape, missing, low):
    values = _random(seed, shape, missing, low=low)
    (median,), count = median_over_time([values], workers=2)
    np.testing.assert_array_equal(median, _oracle(values))
    np.testing.assert_array_equal(count, np.isfinite(values).sum(0))


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 8, 31, 64, 100, 257])
def test_every_network_sorts_its_middle(frames):
    """Zeros and ones are enough: a network that sorts all of them sorts everything (Knuth, 5.3.4, theorem Z)."""
    rng = np.random.default_rng(frames)
    ones = np.arange(frames + 1)
    values = (rng.random((frames, 40, frames + 1)).argsort(axis=0) < ones).astype(np.float32)
    (median,), _ = median_over_time([values])
    np.testing.assert_array_equal(median, np.median(values, axis=0).astype(np.float32))


def test_nan_of_either_sign_and_infinity_are_kept_apart():
    minus_nan = np.copysign(np.float32("nan"), np.float32(-1))
    values = np.array([minus_nan, -0.5, np.inf, 0.25, np.nan], np.float32).reshape(5, 1, 1)
    (median,), count = median_over_time([values])
    assert median.item() == 0.25
    assert count.item() == 3


def test_blocks_and_threads_change_nothing():
    values = _random(3, (9, 500, 700), 0.4)
    (one,), _ = median_over_time([values])
    (two,), _ = median_over_time([values], workers=3)
    np.testing.assert_array_equal(one, _oracle(values))
    np.testing.assert_array_equal(one, two)


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 99),
    shape=shapes,
    chunks=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5)),
    method=st.sampled_from(["median", "mean"]),
)
def test_lazy_equals_eager_whatever_the_chunks(seed, shape, chunks, method):
    stack = _stack(B04=_random(seed, shape, 0.4), B08=_random(seed + 1, shape, 0.4), cs=_random(seed + 2, shape, 0.1))
    eager = composite(keep_clear(stack, by="cs"), method=method)
    lazy = composite(
        keep_clear(stack.chunk(dict(zip(("time", "y", "x"), chunks, strict=True))), by="cs"), method=method
    )
    assert all(variable.chunks for variable in lazy.data_vars.values())
    xr.testing.assert_identical(lazy.compute(scheduler="synchronous"), eager)


def test_mean_is_that_of_masked_arrays():
    values = _random(5, (13, 6, 7), 0.5)
    expected = np.ma.filled(np.ma.masked_invalid(values.astype(float)).mean(axis=0), np.nan)
    np.testing.assert_allclose(composite(_stack(B04=values), method="mean").B04, expected, rtol=1e-6)


def test_count_wants_every_band_and_the_median_only_its_own():
    b04 = np.array([0.1, 0.2, np.nan], np.float32).reshape(3, 1, 1)
    b08 = np.array([0.5, np.nan, np.nan], np.float32).reshape(3, 1, 1)
    image = composite(_stack(B04=b04, B08=b08))
    assert image["count"].item() == 1
    assert image["count"].dtype == np.uint16
    assert image.B04.item() == pytest.approx(0.15)
    assert image.B08.item() == 0.5


def test_scores_stay_through_masking_and_leave_at_the_composite():
    stack = _stack(B04=_random(1, (4, 3, 3), 0), cs=_random(2, (4, 3, 3), 0), cs_cdf=_random(3, (4, 3, 3), 0.2))
    clear = keep_clear(stack, threshold=0.5)
    xr.testing.assert_identical(clear[["cs", "cs_cdf"]], stack[["cs", "cs_cdf"]])
    np.testing.assert_array_equal(np.isfinite(clear.B04), stack.cs_cdf >= 0.5)
    image = composite(clear)
    assert set(image.data_vars) == {"B04", "count"}
    assert not {"time", "id"} & set(image.coords)
    assert image.odc.geobox == stack.odc.geobox


@pytest.mark.parametrize("stored", [100, 110, 120, 130])
@pytest.mark.parametrize("read", [decode, lambda stored: stored.astype("float32") * np.float32(0.005)])
def test_a_score_that_equals_the_threshold_is_kept_however_it_was_read(stored, read):
    score = read(np.array([stored - 1, stored], np.uint8)).reshape(2, 1, 1)
    clear = keep_clear(_stack(B04=np.ones((2, 1, 1), np.float32), cs=score), by="cs", threshold=stored / 200)
    assert np.isfinite(clear.B04).values.ravel().tolist() == [False, True]


def test_one_frame_is_masked_as_it_is_in_its_stack():
    stack = _stack(B04=_random(1, (3, 5, 4), 0.1), cs=_random(2, (3, 5, 4), 0.0))
    alone = keep_clear(stack.isel(time=1), by="cs", threshold=0.6)
    xr.testing.assert_identical(alone, keep_clear(stack, by="cs", threshold=0.6).isel(time=1))
    assert alone.B04.isnull().sum() > stack.B04[1].isnull().sum()


def test_a_stack_with_nothing_to_mask_is_told():
    with pytest.raises(ArgumentError, match="nothing to mask"):
        keep_clear(_stack(cs=_random(2, (3, 5, 4), 0.0)), by="cs")


def test_wrong_arguments_are_named():
    stack = _stack(B04=_random(1, (2, 2, 2), 0), cs=_random(2, (2, 2, 2), 0))
    with pytest.raises(ArgumentError, match="by='cs_cdf'"):
        keep_clear(stack)
    with pytest.raises(ArgumentError, match="threshold=60"):
        keep_clear(stack, by="cs", threshold=60)
    with pytest.raises(ArgumentError, match="method='mode'"):
        composite(stack, method="mode")
    with pytest.raises(ArgumentError, match="no band"):
        composite(stack[["cs"]])
    with pytest.raises(ArgumentError, match="uint16"):
        composite(_stack(B04=np.zeros((2, 2, 2), np.uint16)))


def test_file_holds_the_composite(tmp_path: Path):
    stack = _stack(B04=_random(1, (5, 700, 600), 0.3, low=-0.1), B08=_random(2, (5, 700, 600), 0.3))
    image = composite(stack)
    path = write_composite(image, tmp_path / "deep" / "image.tif")
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as file:
        assert file.descriptions == ("B04", "B08", "count")
        assert file.crs.to_epsg() == 32633
        assert file.transform == stack.odc.geobox.affine
        stored, scales = file.read(masked=True), file.scales
    for plane, scale, name in zip(stored, scales, ("B04", "B08", "count"), strict=True):
        np.testing.assert_allclose(np.ma.filled(plane * scale, np.nan), image[name], atol=0.5001e-4)


def test_unwritable_folder_is_told_and_nothing_is_left(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    image = composite(_stack(B04=_random(1, (2, 4, 4), 0)))
    with pytest.raises(OutputError, match="can't be written"):
        write_composite(image, tmp_path / "file" / "image.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
