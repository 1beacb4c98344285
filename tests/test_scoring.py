import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from clearsight import scoring
from clearsight.bands import BANDS
from clearsight.errors import ArgumentError, MissingBandError, ModelError

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real scenes aren't here: no folder {DATA}")
SUBSETS = {
    "3": ("B02", "B03", "B04"),
    "4": ("B02", "B03", "B04", "B08"),
    "6": ("B02", "B03", "B04", "B08", "B11", "B12"),
    "all": tuple(BANDS),
}


def score(stack, **options):
    """What `score` does around any scorer is tested with the fast one; tests/test_model.py has the learned one."""
    return scoring.score(stack, **{"model": "projection", **options})


def stack_of(bands, dates):
    return xr.Dataset({name: (("time", "y", "x"), band) for name, band in bands.items()}, coords={"time": dates})


@pytest.fixture(scope="module")
def scene():
    """Six frames of patchy ground under patchy cloud, with nodata; coordinates as `load` gives them."""
    rng = np.random.default_rng(3)
    size, frames = 20, 6
    ground = rng.uniform(0.6, 1.4, (1, size, size)) * np.ones((frames, 1, 1))
    cloud = np.clip(rng.normal(-0.3, 0.6, (frames, size, size)), 0, 1)
    missing = rng.random((frames, size, size)) < 0.05
    typical = {"B02": 0.08, "B03": 0.08, "B04": 0.06, "B08": 0.28, "B11": 0.18, "B10": 0.001}
    bands = {}
    for name, value in typical.items():
        band = (1 - cloud) * ground * value + cloud * 0.7 + rng.normal(0, 0.004, cloud.shape)
        bands[name] = np.where(missing, np.nan, np.maximum(band, 0.001)).astype(np.float32)
    dates = np.datetime64("2022-06-01", "ns") + np.arange(frames) * np.timedelta64(5, "D")
    stack = stack_of(bands, dates)
    return stack.assign_coords(
        y=500_000 - 10.0 * np.arange(size),
        x=300_000 + 10.0 * np.arange(size),
        id=("time", [f"frame-{i}" for i in range(frames)]),
        spatial_ref=32633,
    )


def digital_numbers(stack, *, offset, in_encoding):
    """The same stack as integers, nodata 0."""
    integers = stack.copy()
    for name, band in stack.data_vars.items():
        dn = np.round(band.values * 10_000 - offset)
        integers[name] = (band.dims, np.where(np.isnan(dn), 0, dn).astype(np.uint16))
        where = integers[name].encoding if in_encoding else integers[name].attrs
        where.update(scale_factor=1e-4, add_offset=offset * 1e-4)
    return integers


def test_result_is_what_the_contract_says(scene):
    scores = score(scene)
    assert set(scores.data_vars) == {"cs", "cs_cdf", "no_context"}
    for name in ("cs", "cs_cdf"):
        assert scores[name].dims == ("time", "y", "x")
        assert scores[name].dtype == np.float32
        valid = scene.B02.notnull()
        assert (scores[name].notnull() == valid).all()
        assert (scores[name].where(valid, 0.5) >= 0).all()
        assert (scores[name].where(valid, 0.5) <= 1).all()
    assert scores.no_context.dims == ("time",)
    for name in ("time", "y", "x", "id", "spatial_ref"):
        xr.testing.assert_equal(scores[name], scene[name])


def test_no_context_tells_what_had_no_reference(scene):
    assert (score(scene).no_context < 0.1).all()
    assert (score(scene, context=False).no_context == 1).all()
    assert (score(scene.isel(time=[0])).no_context == 1).all()


def test_empty_frame_has_no_context_and_no_score(scene):
    empty = scene.where(scene.time != scene.time[2])
    scores = score(empty)
    assert scores.no_context[2] == 1
    assert scores.cs[2].isnull().all()


def test_input_is_left_as_it_was(scene):
    before = scene.copy(deep=True)
    score(scene)
    xr.testing.assert_identical(scene, before)


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 6))
def test_chunks_are_irrelevant_and_lazy_stays_lazy(scene, y, x, time):
    lazy = score(scene.chunk(y=y, x=x, time=time))
    assert all(dask.is_dask_collection(lazy[name].data) for name in lazy.data_vars)
    xr.testing.assert_allclose(lazy.compute(scheduler="synchronous"), score(scene), rtol=0, atol=2e-5)


def test_one_lazy_band_makes_the_result_lazy(scene):
    mixed = scene.assign(B04=scene.B04.chunk(y=7))
    lazy = score(mixed)
    assert dask.is_dask_collection(lazy.cs.data)
    xr.testing.assert_allclose(lazy.compute(scheduler="synchronous"), score(scene), rtol=0, atol=2e-5)


@pytest.mark.parametrize("in_encoding", [True, False])
@pytest.mark.parametrize("offset", [0, -1000])
def test_integers_with_scale_equal_reflectance(scene, offset, in_encoding):
    rounded = scene.map(lambda band: (band * 10_000).round() / 10_000)
    integers = digital_numbers(scene, offset=offset, in_encoding=in_encoding)
    xr.testing.assert_allclose(score(integers), score(rounded), rtol=0, atol=1e-4)
    lazy = score(integers.chunk(y=7, x=7)).compute(scheduler="synchronous")
    xr.testing.assert_allclose(lazy, score(rounded), rtol=0, atol=1e-4)


def test_fill_value_of_a_band_is_its_nodata(scene):
    integers = digital_numbers(scene, offset=0, in_encoding=False)
    for band in integers.data_vars.values():
        band.values[band.values == 0] = 9
        band.attrs["_FillValue"] = 9
    assert (score(integers).cs.isnull() == scene.B02.isnull()).all()


def test_order_of_dims_and_further_variables_are_irrelevant(scene):
    other = scene.transpose("x", "time", "y").assign(SCL=scene.B02 * np.nan)
    xr.testing.assert_allclose(score(other), score(scene), rtol=0, atol=1e-6)


def test_nodata_in_one_band_is_nodata(scene):
    holed = scene.copy(deep=True)
    holed.B11[1, 3, 4] = np.nan
    assert np.isnan(score(holed).cs[1, 3, 4])


@pytest.mark.parametrize("missing", ["B02", "B03", "B04"])
def test_missing_band_is_named(scene, missing):
    with pytest.raises(MissingBandError, match=rf"lacks {missing}; .*B08"):
        score(scene.drop_vars(missing))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda stack: stack.B02, {}, "stack is a DataArray"),
        (lambda stack: stack, {"level": "L1"}, "level is 'L1'"),
        (lambda stack: stack.isel(time=0), {}, r"has the dims \('y', 'x'\).*expand_dims"),
        (lambda stack: stack.isel(x=slice(0)), {}, "stack is empty"),
        (lambda stack: stack.assign_coords(time=np.arange(6)), {}, "datetime64"),
        (lambda stack: stack.drop_vars("time"), {}, "datetime64"),
        (lambda stack: stack.astype(np.uint16), {}, "without scale_factor"),
        (lambda stack: stack.astype(bool), {}, "of type bool"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_bad_arguments_are_named(scene, change, options, message):
    with pytest.raises(ArgumentError, match=message):
        score(change(scene), **options)


# --- real scenes: what's measured is written to the terminal


def tell(capsys, line):
    with capsys.disabled():
        sys.stdout.write(f"\n    {line}")


def clear_cloud_shadow(scores, classes):
    """Shares: of clear pixels kept at 0.6, of cloud and of shadow removed, by SCL's confident classes."""
    kept = scores.cs.values >= 0.6
    return tuple(
        float(np.mean(right[np.isin(classes, labels)]))
        for right, labels in ((kept, (4, 5)), (~kept, (8, 9)), (~kept, (3,)))
    )


def test_an_unknown_model_is_named(scene):
    with pytest.raises(ModelError, match=r"'magic'.*clearsight-1.*projection"):
        score(scene, model="magic")


@needs_data
@pytest.mark.parametrize("bands", SUBSETS.values(), ids=SUBSETS)
def test_slovenian_series(capsys, bands):
    with np.load(DATA / "l1c_series" / "slovenia_33T_10dates.npz") as file:
        frames = {str(name): file["bands"][..., i] for i, name in enumerate(file["band_names"])}
        stack = stack_of({name: frames[name] for name in bands}, file["dates"].astype("datetime64[ns]"))
    scores = score(stack)
    means = {str(date)[:10]: float(frame.mean()) for date, frame in zip(stack.time.values, scores.cs, strict=True)}
    tell(capsys, f"Slovenia, {len(bands)} bands, mean cs: " + ", ".join(f"{d} {m:.2f}" for d, m in means.items()))
    clear = [means["2015-07-11"], means["2015-08-30"], means["2015-09-09"]]
    assert min(clear) >= 0.75
    assert means["2015-08-20"] <= 0.3
    assert means["2015-08-20"] < means["2015-07-31"] < min(clear)


@needs_data
@pytest.mark.parametrize("context", [True, False], ids=["context", "alone"])
@pytest.mark.parametrize("bands", SUBSETS.values(), ids=SUBSETS)
@pytest.mark.parametrize("place", ["50.7N_4.1E_72dates", "50.8N_3.0E_118dates"])
def test_belgian_videos_against_the_scene_classification(capsys, place, bands, context):
    with np.load(DATA / "l2a_series" / f"belgium_{place}.npz") as file:
        fine = dict(zip(file["b10_names"].tolist(), np.moveaxis(file["b10"], -1, 0), strict=True))
        coarse = np.moveaxis(file["b20"].repeat(2, axis=1).repeat(2, axis=2), -1, 0)
        frames = fine | dict(zip(file["b20_names"].tolist(), coarse, strict=True))
        classes = file["scl"].repeat(2, axis=1).repeat(2, axis=2)
        dates = file["dates"].astype("datetime64[ns]")
    chosen = {name: np.where(dn == 0, np.nan, dn * np.float32(1e-4)) for name, dn in frames.items() if name in bands}
    scores = score(stack_of(chosen, dates), level="L2A", context=context)
    clear, cloud, shadow = clear_cloud_shadow(scores, classes)
    with_context = "with" if context else "no"
    line = f"clear kept {clear:.3f}, cloud removed {cloud:.3f}, shadow removed {shadow:.3f}"
    tell(capsys, f"Belgium {place}, {len(chosen)} bands, {with_context} context: {line}")
    # The labels are a machine's and visibly wrong in places (clear under haze, cloud over clear ground).
    assert clear >= 0.9
    assert cloud >= 0.95
    if context:
        assert shadow >= (0.7 if len(bands) == 3 else 0.9)


@needs_data
@pytest.mark.parametrize("bands", [SUBSETS["3"], SUBSETS["all"]], ids=["3", "all"])
def test_real_chips_alone(capsys, bands):
    means = {}
    for path in sorted((DATA / "l1c_chips").glob("*.npz")):
        with np.load(path) as file:
            toa = file["toa"][:, None]
        chip = {name: toa[band.index] for name, band in BANDS.items() if name in bands}
        seen = {name: frame for name, frame in chip.items() if np.isfinite(frame).any()}
        scores = score(stack_of(seen, np.array(["2020-06-01"], dtype="datetime64[ns]")))
        means[path.stem] = float(scores.cs.mean())
        if "T19UDP" in path.stem:
            thick = toa[BANDS["B03"].index] > 0.4
            assert scores.cs.values[thick].mean() < 0.1
    tell(capsys, f"Chips, {len(bands)} bands, mean cs: " + ", ".join(f"{k[:28]} {m:.2f}" for k, m in means.items()))
    # Not clear, or not all of it: thick clouds; thin cirrus under low sun; a dam with cloud.
    partly = ("riotiler_T19UDP", "sen12ms_cloudy", "sen2r_Barbellino_20170703")
    assert min(mean for name, mean in means.items() if not name.startswith(partly)) > 0.7


@pytest.mark.xfail(strict=True, reason="the weights since November 23 keep it; those before refused it (0.41)")
def test_a_flat_white_patch_of_four_bands_is_refused():
    """A small area without texture or SWIR: the scorer's example, before it was given another band."""
    forest = {"B02": 0.075, "B03": 0.065, "B04": 0.04, "B08": 0.25}
    time = np.array(["2023-07-01", "2023-07-06"], dtype="datetime64[ns]")
    stack = xr.Dataset({n: (("time", "y", "x"), np.full((2, 8, 8), v)) for n, v in forest.items()}, {"time": time})
    for name in forest:
        stack[name][1, :4] = 0.7
    assert (scoring.score(stack).cs[1, 0] < 0.60).all()
