"""The learned scorer as it is shipped: what must hold for any weights, and what these weights must be able to do."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import xarray as xr

from clearsight import model, score
from clearsight.bands import BANDS
from clearsight.errors import ModelError
from clearsight.model import CAUSES, View, conditions, load_model
from clearsight.passes import score_frames
from clearsight.simulate.air.state import Air, Geometry
from clearsight.simulate.cloud.fields import make_clouds
from clearsight.simulate.cloud.sky import Sky
from clearsight.simulate.imaging.render import Rendered, render
from clearsight.simulate.imaging.sensor import observe, regrid
from clearsight.simulate.places.surfaces import make_surface, surface_reflectance

SERIES = Path(__file__).parents[2] / "shared" / "data" / "l1c_series" / "slovenia_33T_10dates.npz"
SHIPPED_FILE = Path(model.__file__).parent / "models" / f"{model.SHIPPED}.onnx"
SIZE = 192
DAYS = ["2021-06-05", "2021-06-15", "2021-06-25", "2021-07-05"]


def frame(cover: float, *, seed: int) -> Rendered:
    day = np.datetime64(DAYS[0]).astype("datetime64[D]").item()
    surface = make_surface("crops", shape=(SIZE, SIZE), seed=77_000_001, latitude=48.0)
    layers = ()
    if cover:
        layers = (make_clouds("cumulus", shape=(SIZE, SIZE), seed=seed, cover=cover),)
    sky = Sky(layers, Air(aot=0.1))
    return render(surface_reflectance(surface, date=day), sky=sky, geometry=Geometry(sun_zenith=35.0), seed=seed)


@pytest.fixture(scope="module")
def seen() -> tuple[xr.Dataset, np.ndarray]:
    """Four dates of a simulated place, clear but for the last, and q of that one."""
    frames = [frame(cover, seed=seed) for seed, cover in enumerate((0.0, 0.0, 0.0, 0.45))]
    toa = np.stack([regrid(observe(f.toa, seed=i, sun_zenith=35.0)) for i, f in enumerate(frames)])
    bands = {name: (("time", "y", "x"), toa[:, i]) for i, name in enumerate(BANDS)}
    coords = {
        "time": np.array(DAYS, dtype="datetime64[ns]"),
        "sun_azimuth": ("time", np.full(4, 150.0)),
        "sun_elevation": ("time", np.full(4, 55.0)),
        "y": -10.0 * np.arange(SIZE),
        "x": 10.0 * np.arange(SIZE),
    }
    return xr.Dataset(bands, coords=coords), frames[-1].q


def test_clear_frames_are_kept_and_cloud_is_not(seen, report):
    stack, q = seen
    scores = score(stack, level="L1C")
    clear = float((scores.cs[:3] >= 0.6).mean())
    last = scores.cs.values[3]
    report(f"learned model, small place: clear kept {clear:.3f}, cloud kept {(last[q < 0.1] >= 0.6).mean():.3f}")
    assert clear > 0.95
    assert (last[q < 0.1] >= 0.6).mean() < 0.1
    assert (last[q > 0.85] >= 0.6).mean() > 0.8


def test_context_is_used_where_it_is_there(seen):
    stack, _ = seen
    scores = score(stack, level="L1C")
    assert float(scores.no_context.max()) < 0.1
    assert float(score(stack.isel(time=[3]), level="L1C").no_context[0]) == 1.0
    assert float(score(stack, level="L1C", context=False).no_context.min()) == 1.0


@pytest.mark.parametrize(
    "names",
    [
        ("B02", "B03", "B04"),
        ("B02", "B03", "B04", "B08"),
        ("B02", "B03", "B04", "B08", "B11", "B12"),
        tuple(name for name in BANDS if name != "B10"),
    ],
)
@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_any_bands_will_do(seen, names, level):
    stack, q = seen
    if level == "L2A":
        # Roughly what an L2A processor takes off; the test is of bands, not of the air.
        air = {"B01": 0.1, "B02": 0.07, "B03": 0.04, "B04": 0.02, "B05": 0.015}
        stack = stack.assign({name: (stack[name] - path).clip(1e-4) for name, path in air.items()})
    cs = score(stack[list(names)], level=level).cs.values
    assert np.isfinite(cs).all()
    assert (cs >= 0).all()
    assert (cs <= 1).all()
    assert cs[3][q < 0.1].mean() < cs[3][q > 0.85].mean() - 0.4


def test_nodata_is_nodata_and_nothing_else_is(seen):
    stack, _ = seen
    holes = stack.copy(deep=True)
    holes["B11"][1, 40:60, 50:80] = np.nan
    scores = score(holes, level="L1C")
    expected = np.zeros(scores.cs.shape, dtype=bool)
    expected[1, 40:60, 50:80] = True
    np.testing.assert_array_equal(np.isnan(scores.cs.values), expected)
    np.testing.assert_array_equal(np.isnan(scores.cs_cdf.values), expected)
    np.testing.assert_array_equal(scores.cause.values == CAUSES.index("nodata"), expected)


def test_a_frame_is_not_its_own_context(seen):
    """Two equal cloudy frames must not clear each other by way of the reference of either."""
    stack, q = seen
    alone = score(stack.isel(time=[3]), level="L1C").cs.values[0]
    assert alone[q < 0.1].mean() < 0.3


def test_order_of_the_frames_does_not_matter(seen):
    stack, _ = seen
    order = [2, 0, 3, 1]
    straight = score(stack, level="L1C").isel(time=order)
    turned = score(stack.isel(time=order), level="L1C")
    np.testing.assert_allclose(turned.cs.values, straight.cs.values, atol=1e-3)


def test_odd_sizes(seen):
    stack, _ = seen
    cut = stack.isel(y=slice(0, 101), x=slice(0, 67))
    assert score(cut, level="L1C").cs.shape == (4, 101, 67)


def test_lazy_equals_eager(seen):
    stack, _ = seen
    wide = xr.concat([stack, stack.isel(x=slice(None, None, -1)), stack], dim="x")
    wide = wide.assign_coords(x=10.0 * np.arange(wide.sizes["x"]))
    eager = score(wide, level="L1C")
    lazy = score(wide.chunk({"time": 1, "x": 200, "y": 100}), level="L1C")
    assert lazy.cs.chunks is not None
    assert float(np.abs(lazy.cs.compute() - eager.cs).max()) <= 1 / 200


def test_windows_do_not_show(seen, monkeypatch):
    stack, _ = seen
    bands = {name: np.tile(stack[name].values[2:], (1, 4, 4)) for name in stack.data_vars}
    dates = stack.time.values[2:]
    whole = score_frames(load_model(), bands, level="L1C", dates=dates)
    monkeypatch.setattr(model, "_WINDOW", 256)
    windowed = score_frames(load_model(), bands, level="L1C", dates=dates)
    assert float(np.abs(whole.cs - windowed.cs).max()) <= 1 / 200


@pytest.mark.parametrize("shape", [(224, 320), (160, 224), (96, 352)])
def test_scores_do_not_depend_on_the_number_of_threads(shape):
    """An archive has the same bytes whoever makes it: one process, or workers of one thread each."""
    rng = np.random.default_rng(0)
    found = []
    inputs = None
    for threads in (1, 2, 3):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(SHIPPED_FILE, options, providers=["CPUExecutionProvider"])
        if inputs is None:
            sizes = {each.name: each.shape[1:] for each in session.get_inputs()}
            inputs = {
                name: rng.random((1, bands, *(side if name.endswith("ten") else side // 2 for side in shape)))
                if sides
                else rng.random((1, bands))
                for name, (bands, *sides) in sizes.items()
            }
            inputs = {name: values.astype(np.float32) for name, values in inputs.items()}
        found.append(session.run(None, inputs))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_conditions_tell_what_is_there():
    names = ("B02", "B03", "B04", "B8A")
    told = conditions(names, level="L1C", pixel=20.0, view=View(45.0, 180.0))
    assert told.shape == (model.CONDITIONS,)
    assert told[: len(model.TEN) + len(model.TWENTY)].sum() == len(names)
    south = conditions(names, level="L1C", pixel=20.0, view=View(45.0, 180.0))
    north = conditions(names, level="L1C", pixel=20.0, view=View(45.0, 0.0))
    assert np.abs(south - north).max() > 0.5


def test_models_that_are_none(tmp_path):
    (tmp_path / "text.onnx").write_text("not a model")
    for path, message in (
        (tmp_path / "gone.onnx", "isn't there"),
        (tmp_path / "text.onnx", "isn't a Clearsight model"),
    ):
        with pytest.raises(ModelError, match=message):
            load_model(path)


def test_the_shipped_file_is_small_and_says_what_it_is():
    shipped = load_model()
    assert shipped.version
    assert shipped.licence == "Apache-2.0"
    steps = shipped.calibrated
    assert (steps[0], steps[-1]) == (0.0, 1.0)
    assert (np.diff(steps) >= 0).all()
    assert np.diff(steps).max() < 1 / 400


@pytest.mark.skipif(not SERIES.exists(), reason=f"the real Slovenian series isn't here: {SERIES}")
def test_the_real_series_of_slovenia(report):
    with np.load(SERIES) as file:
        bands = {str(name): (("time", "y", "x"), file["bands"][..., i]) for i, name in enumerate(file["band_names"])}
        dates = file["dates"].astype("datetime64[ns]")
    cs = score(xr.Dataset(bands, coords={"time": dates}), level="L1C").cs.mean(("y", "x"))
    means = {str(date)[:10]: float(mean) for date, mean in zip(dates, cs, strict=True)}
    report("Slovenia, learned model, mean cs: " + ", ".join(f"{date} {mean:.2f}" for date, mean in means.items()))
    assert min(means[date] for date in ("2015-07-11", "2015-08-30", "2015-09-09")) >= 0.85
    assert means["2015-08-20"] <= 0.15
    assert means["2017-01-11"] >= 0.6
