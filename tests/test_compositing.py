"""The composite against NumPy's own masked arrays, and its file against rasterio."""

import pickle
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
from scipy.optimize import minimize

from clearsight._kernels import Rules, composed
from clearsight._median import Room, in_blocks
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


def median_over_time(
    bands: list[np.ndarray],
    *,
    clear: np.ndarray | None = None,
    nodata: list[int | None] | None = None,
    workers: int = 1,
) -> tuple[list[np.ndarray], np.ndarray]:
    """The kernel, without xarray around it."""
    rules = Rules(
        method="median",
        threshold=None if clear is None else 0.5,
        percentile=50,
        minimum=0,
        spread=False,
        date=False,
        nodata=tuple(nodata or [None] * len(bands)),
        away=None,
        haze=None,
        extras=() if clear is None else ("score",),
    )
    scores = [] if clear is None else [clear.astype(np.float32)]
    arrays = [np.moveaxis(array, 0, -1) for array in (*bands, *scores)]
    *medians, count = composed(*arrays, rules=rules, workers=workers)
    return medians, count


def test_bands_of_several_types_each_miss_their_own():
    """Bands of one type are sorted together, also where only one of them has gaps of its own."""
    shape = (9, 6, 7)
    shown = np.random.default_rng(1).random(shape) < 0.7
    kinds = ["uint16", "int16", "uint16", "uint8", "float32"]
    bands = [
        _random(8, shape, 0.3, low=-0.2) if kind == "float32" else _numbers(number, shape, kind, 3)
        for number, kind in enumerate(kinds)
    ]
    nodata = [3, 3, None, 3, None]
    medians, _ = median_over_time(bands, clear=shown, nodata=nodata)
    for median, band, number in zip(medians, bands, nodata, strict=True):
        expected = np.ma.median(_masked(band, shown, number).astype(np.float64), axis=0).filled(np.nan)
        np.testing.assert_array_equal(median, expected.astype(np.float32))


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


def test_what_fails_in_a_thread_is_told():
    def work(part: slice, room: Room) -> None:
        done.append(part)
        if len(done) == 2:
            raise MemoryError

    done: list[slice] = []
    with pytest.raises(MemoryError):
        in_blocks(work, pixels=5000, frames=10**9, workers=2)


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


def _numbers(seed: int, shape: tuple[int, int, int], kind: str, nodata: int | None) -> np.ndarray:
    """Integers over their whole range, its ends, and many ties; nodata here and there."""
    rng = np.random.default_rng(seed)
    span = np.iinfo(kind)
    values = rng.choice([span.min, span.max, 1, 2, 3], shape)
    values = np.where(rng.random(shape) < 0.6, rng.integers(span.min, span.max, shape, endpoint=True), values)
    if nodata is not None:
        values[rng.random(shape) < 0.2] = nodata
    return values.astype(kind)


def _masked(values: np.ndarray, clear: np.ndarray, nodata: int | None) -> np.ma.MaskedArray:
    gone = (
        np.isnan(values) if values.dtype.kind == "f" else np.zeros_like(clear) if nodata is None else values == nodata
    )
    return np.ma.masked_array(values, mask=gone | ~clear)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 999),
    shape=shapes,
    kind=st.sampled_from(["uint8", "uint16", "int16"]),
    nodata=st.sampled_from([None, 0, 3, 255]),
    clear=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_integers_equal_masked_arrays_without_being_decoded(seed, shape, kind, nodata, clear):
    shown = np.random.default_rng(seed).random(shape) < clear
    bands = [_numbers(seed + number, shape, kind, nodata) for number in range(2)]
    medians, count = median_over_time(bands, clear=shown, nodata=[nodata] * 2, workers=2)
    masked = [_masked(band, shown, nodata) for band in bands]
    for median, band in zip(medians, masked, strict=True):
        expected = np.ma.median(band.astype(np.float64), axis=0).filled(np.nan)
        np.testing.assert_array_equal(median, expected.astype(np.float32))
    np.testing.assert_array_equal(count, (~masked[0].mask & ~masked[1].mask).sum(0))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 999),
    shape=shapes,
    kind=st.sampled_from(["float32", "uint16", "int16"]),
    percentile=st.sampled_from([0, 5, 25, 50, 62.5, 99, 100]),
)
def test_percentile_equals_numpy_of_what_is_clear(seed, shape, kind, percentile):
    values = _random(seed, shape, 0.4, low=-0.3) if kind == "float32" else _numbers(seed, shape, kind, 3)
    band = _stack(B04=values)
    band.B04.attrs["nodata"] = 3
    image = composite(band, method="percentile", percentile=percentile)
    masked = _masked(values, np.ones(shape, bool), 3)
    for place in np.ndindex(shape[1:]):
        column = masked[:, *place].compressed().astype(np.float64)
        expected = np.float32(np.percentile(column, percentile)) if column.size else np.float32("nan")
        np.testing.assert_array_equal(image.B04.values[place], expected)


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("kind", ["float32", "uint16"])
@pytest.mark.parametrize("method", ["median", "mean", "percentile", "geomedian", "medoid"])
def test_masking_within_equals_masking_before(method, kind, coded):
    shape = (11, 13, 9)
    stored = np.random.default_rng(4).integers(90, 140, shape).astype(np.uint8)
    stored[np.random.default_rng(5).random(shape) < 0.1] = 255
    numbers = {name: _numbers(number, shape, "uint16", 0) for number, name in enumerate(("B02", "B04"))}
    floats = {name: np.where(band == 0, np.nan, band).astype(np.float32) for name, band in numbers.items()}
    stack = _stack(**(numbers if kind == "uint16" else floats), cs_cdf=stored if coded else decode(stored))
    for name in numbers:
        stack[name].attrs["nodata"] = 0
    within = composite(stack, method=method, by="cs_cdf", spread=True)
    before = composite(keep_clear(_stack(**floats, cs_cdf=decode(stored))), method=method, spread=True)
    for name in ("B02", "B04", "count", "B04_spread"):
        np.testing.assert_array_equal(within[name].values, before[name].values)


def test_spread_is_the_deviation_from_the_median():
    values = _random(3, (12, 6, 5), 0.3)
    image = composite(_stack(B04=values), method="mean", spread=True)
    away = np.abs(values - _oracle(values))
    np.testing.assert_array_equal(image.B04_spread, _oracle(away))


def test_weighted_mean_weighs_by_the_score():
    values, score = _random(3, (12, 6, 5), 0.3), _random(4, (12, 6, 5), 0.1)
    image = composite(_stack(B04=values, cs=score), method="weighted_mean", by="cs", threshold=0.2)
    kept = np.isfinite(values) & (score >= np.float32(0.2))
    weight = np.where(kept, score, 0).astype(float)
    expected = (np.nan_to_num(values.astype(float)) * weight).sum(0) / weight.sum(0)
    np.testing.assert_allclose(image.B04, expected, rtol=1e-6)


def test_geometric_median_is_where_the_summed_distance_is_least():
    bands = [_random(number, (9, 5, 4), 0.2) for number in range(3)]
    image = composite(_stack(B02=bands[0], B03=bands[1], B04=bands[2]), method="geomedian")
    points = np.stack(bands)
    points[:, np.isnan(points).any(axis=0)] = np.nan
    found = np.stack([image[name].values for name in ("B02", "B03", "B04")])

    def cost(place: np.ndarray) -> np.ndarray:
        return np.nansum(np.sqrt(((points - place[:, None]) ** 2).sum(0)), axis=0)

    seen = image["count"].values > 0
    least = cost(found.astype(float))
    for step in np.concatenate([np.eye(3), -np.eye(3)]):
        assert (least <= cost(found + 1e-3 * step[:, None, None]) + 1e-6)[seen].all()


@pytest.mark.parametrize("kind", ["float32", "uint16"])
def test_geometric_median_costs_no_more_than_a_general_minimiser_finds(kind):
    """SciPy's BFGS, in float64, from the mean: another start, another method, its own derivative."""
    shape = (11, 4, 5)
    bands = {f"B0{number + 2}": _random(number, shape, 0.2) for number in range(3)}
    stack = _stack(**bands)
    if kind == "uint16":
        stack = stack.fillna(0).map(lambda band: np.rint(1 + 9999 * band).astype(np.uint16).where(band > 0, 0))
        for band in stack.data_vars.values():
            band.attrs["nodata"] = 0
    points = np.stack([stack[name].values.astype(np.float64) for name in bands])
    seen = (np.isfinite(points) & ((points != 0) | (kind == "float32"))).all(axis=0)
    image = composite(stack, method="geomedian")
    found = np.stack([image[name].values for name in bands]).astype(np.float64)
    assert (image["count"].values > 2).any()
    for place in np.ndindex(shape[1:]):
        observed = points[:, seen[:, *place], *place].T
        if not len(observed):
            assert np.isnan(found[:, *place]).all()
            continue
        size = np.abs(observed).max()

        def cost(at, observed=observed / size):
            return np.sqrt(((observed - at) ** 2).sum(axis=1)).sum()

        least = min(minimize(cost, observed.mean(axis=0) / size).fun, *(cost(point / size) for point in observed))
        assert cost(found[:, *place] / size) <= least * (1 + 1e-5) + 1e-6


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99), shape=shapes, together=st.integers(1, 20))
def test_a_geometric_median_does_not_depend_on_its_neighbours(seed, shape, together):
    """Not on those that are stepped together, nor on when they settle: tiles have to fit without a seam."""
    stack = _stack(B02=_random(seed, shape, 0.3), B04=_random(seed + 1, shape, 0.1))
    whole = composite(stack, method="geomedian")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clearsight._kernels._TOGETHER", together)
        parts = composite(stack, method="geomedian")
    alone = composite(stack.isel(y=slice(1), x=slice(1)), method="geomedian")
    xr.testing.assert_identical(parts, whole)
    xr.testing.assert_identical(alone, whole.isel(y=slice(1), x=slice(1)))


def test_geometric_median_of_equals_is_one_of_them():
    values = np.float32([0.3, 0.3, 0.3, 0.9, 0.1]).reshape(5, 1, 1)
    image = composite(_stack(B02=values, B04=values), method="geomedian")
    assert image.B02.item() == pytest.approx(0.3, abs=1e-4)


def test_medoid_is_a_frame_that_was_seen():
    bands = [_random(number, (8, 4, 5), 0.2) for number in range(2)]
    stack = _stack(B02=bands[0], B04=bands[1])
    image = composite(stack, method="medoid", date=True)
    points = np.where(np.isnan(bands[0]) | np.isnan(bands[1]), np.nan, np.stack(bands)).astype(float)
    sums = np.nansum(np.sqrt(((points[:, :, None] - points[:, None]) ** 2).sum(0)), axis=1)
    sums[np.isnan(points[0])] = np.inf
    for place in np.ndindex(4, 5):
        if np.isinf(sums[:, *place]).all():
            assert np.isnat(image.date.values[place])
            continue
        frame = int(np.flatnonzero(image.date.values[place] == stack.time.values)[0])
        assert sums[frame, *place] <= sums[:, *place].min() + 1e-9
        assert image.B02.values[place] == bands[0][frame, *place]
        assert image.B04.values[place] == bands[1][frame, *place]


def _one_pixel(**bands: list[float]) -> xr.Dataset:
    return _stack(**{name: np.float32(values).reshape(-1, 1, 1) for name, values in bands.items()})


@pytest.mark.parametrize(
    ("more", "near", "frame"),
    [
        ({"cs_cdf": [0.7, 1, 0.9, 1]}, None, 1),
        ({"cs_cdf": [1, 1, 1, 1], "cs": [0.5, 0.6, 0.9, 0.8]}, None, 2),
        ({"cs_cdf": [1, 1, 1, 1], "cs": [0.9, 0.9, 0.2, 0.9]}, "2023-01-20", 3),
        ({"cs_cdf": [1, 1, 1, 1]}, "2023-01-07", 1),
        ({"cs_cdf": [1, 1, 1, 1], "B02": [0.3, 0.2, 0.1, 0.2]}, None, 2),
        ({"cs_cdf": [1, 1, 1, 1], "B02": [0.2, 0.2, 0.2, 0.2]}, None, 0),
        ({"cs_cdf": [1, 1, 0.8, np.nan], "B02": [np.nan, np.nan, 0.4, 0.1]}, None, 2),
    ],
)
def test_best_breaks_ties_in_the_order_it_tells(more, near, frame):
    stack = _one_pixel(B04=[0.1, 0.2, 0.3, 0.4], **more)
    image = composite(stack, method="best", near=near, date=True)
    assert image.date.values.item() == stack.time.values[frame].item()
    assert image.B04.item() == stack.B04.values[frame].item()


@pytest.mark.parametrize("method", ["median", "best"])
def test_too_few_observations_are_none(method):
    stack = _stack(B04=_random(1, (6, 9, 9), 0.6), cs=_random(2, (6, 9, 9), 0.0))
    free, ruled = (composite(stack, method=method, minimum=minimum) for minimum in (0, 3))
    enough = free["count"].values >= 3
    assert 0 < enough.sum() < enough.size
    np.testing.assert_array_equal(ruled.B04, np.where(enough, free.B04, np.nan))
    np.testing.assert_array_equal(ruled["count"], free["count"])


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 99),
    shape=shapes,
    chunks=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5)),
    method=st.sampled_from(["median", "weighted_mean", "percentile", "geomedian", "medoid", "best"]),
)
def test_every_method_is_the_same_lazily(seed, shape, chunks, method):
    bands = {name: _random(seed + number, shape, 0.3) for number, name in enumerate(("B02", "B04", "B08", "cs"))}
    stack = _stack(**bands)
    keywords = {"method": method, "by": "cs", "threshold": 0.3, "spread": True, "date": method in ("medoid", "best")}
    lazy = composite(stack.chunk(dict(zip(("time", "y", "x"), chunks, strict=True))), **keywords)
    assert all(variable.chunks for variable in lazy.data_vars.values())
    xr.testing.assert_identical(lazy.compute(scheduler="synchronous"), composite(stack, **keywords))


def test_what_cannot_be_is_told():
    stack = _stack(B04=_random(1, (2, 2, 2), 0))
    with pytest.raises(ArgumentError, match="'best' needs a score"):
        composite(stack, method="best")
    with pytest.raises(ArgumentError, match="mixes dates"):
        composite(stack, date=True)
    with pytest.raises(ArgumentError, match="percentile=101"):
        composite(stack, method="percentile", percentile=101)
    with pytest.raises(ArgumentError, match="minimum=-1"):
        composite(stack, minimum=-1)
    with pytest.raises(ArgumentError, match="near='someday'"):
        composite(stack.assign(cs=stack.B04), method="best", near="someday")
    with pytest.raises(ArgumentError, match="by='cs'"):
        composite(stack, by="cs")


def test_file_of_numbers_and_dates_keeps_them(tmp_path: Path):
    stack = _stack(B04=_numbers(1, (5, 40, 30), "uint8", 0), cs=_random(2, (5, 40, 30), 0.4))
    stack.B04.attrs["nodata"] = 0
    image = composite(stack, method="best", date=True)
    with rasterio.open(write_composite(image, tmp_path / "image.tif")) as file:
        b04, count, date = file.read(masked=True)
        assert file.scales == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(np.ma.filled(b04.astype(float), np.nan), image.B04)
    np.testing.assert_array_equal(count, image["count"])
    days = np.ma.filled(date.astype("int64"), np.iinfo("int64").min).astype("datetime64[D]")
    np.testing.assert_array_equal(days, image.date.values.astype("datetime64[D]"))


@pytest.mark.parametrize("method", ["median", "mean", "percentile", "geomedian", "medoid", "best"])
@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4)])
def test_nothing_makes_nothing(method, shape):
    whole = np.zeros((3, 3, 4), np.float32)
    stack = _stack(B04=whole, cs=whole).isel(time=slice(shape[0]), y=slice(shape[1]))
    image = composite(stack, method=method)
    assert image.B04.shape == shape[1:]
    assert image.B04.isnull().all()
    assert (image["count"] == 0).all()


@pytest.mark.parametrize("method", ["median", "best"])
def test_the_kernel_travels_to_other_processes(method):
    """As a Dask cluster would have it: pickled, and unpickled elsewhere."""
    stack = _stack(B04=_random(1, (5, 6, 7), 0.3), cs=_random(2, (5, 6, 7), 0.1))
    keywords = {"method": method, "by": "cs", "date": method == "best"}
    lazy = pickle.loads(pickle.dumps(composite(stack.chunk(y=3), **keywords)))
    xr.testing.assert_identical(lazy.compute(scheduler="synchronous"), composite(stack, **keywords))
