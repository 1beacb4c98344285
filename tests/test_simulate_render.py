"""The rendered frame and its truth."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.simulate.air.atmosphere import AEROSOLS, Aerosol, Air, Geometry, coefficients, to_surface
from clearsight.simulate.cloud.fields import KINDS, CloudLayer, make_clouds
from clearsight.simulate.cloud.sky import Sky, draw_sky
from clearsight.simulate.imaging.render import render
from clearsight.simulate.imaging.sensor import observe, regrid
from clearsight.simulate.imaging.shadows import window
from clearsight.simulate.imaging.truth import CAUSES, quality

SHAPE = (64, 64)
NAMES = tuple(BANDS)
B02, B03, B04, B8A, B09, B10, B11, B12 = (
    NAMES.index(name) for name in ("B02", "B03", "B04", "B8A", "B09", "B10", "B11", "B12")
)
SUN = Geometry(sun_zenith=40.0, sun_azimuth=150.0, view_zenith=4.0, view_azimuth=100.0)
MEADOW = np.array([0.02, 0.03, 0.06, 0.04, 0.09, 0.27, 0.36, 0.38, 0.40, 0.41, 0.25, 0.20, 0.11], dtype=np.float32)
WITHOUT_B10 = np.arange(13) != B10


def ground(shape: tuple[int, int] = SHAPE, *, seed: int = 1) -> np.ndarray:
    """Fields: meadow, brighter and darker in places."""
    patches = np.random.default_rng(seed).uniform(0.5, 1.6, (8, 8)).astype(np.float32)
    return MEADOW[:, None, None] * np.kron(patches, np.ones((shape[0] // 8, shape[1] // 8), dtype=np.float32))


def slab(depth: float, *, base: float = 1500.0, top: float = 2000.0, **changes: object) -> CloudLayer:
    """A wide, even cloud."""
    size = (192, 192)
    layer = CloudLayer(
        kind="overcast",
        optical_depth=np.full(size, depth, dtype=np.float32),
        top_height=np.full(size, top, dtype=np.float32),
        base_height=base,
        phase="water",
        effective_radius=8.0,
        margin=64,
    )
    return replace(layer, **changes)  # type: ignore[arg-type]


@given(seed=st.integers(0, 10_000), zenith=st.floats(5, 78), kind=st.sampled_from(KINDS), cover=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_truth_stays_in_its_range(seed: int, zenith: float, kind: str, cover: float) -> None:
    layer = make_clouds(kind, shape=SHAPE, seed=seed, cover=cover)
    frame = render(ground(), sky=Sky((layer,)), geometry=replace(SUN, sun_zenith=zenith), seed=seed)
    assert frame.q.dtype == frame.toa.dtype == np.float32
    assert frame.q.min() >= 0.0
    assert frame.q.max() <= 1.0
    assert 0.0 <= frame.shadow.min() <= frame.shadow.max() <= 1.0
    assert np.isfinite(frame.toa).all()
    assert frame.toa.min() > -0.02
    assert frame.toa.max() < 3.0
    assert set(np.unique(frame.cause)) <= set(CAUSES)
    assert np.isnan(frame.boa[B10]).all()
    assert np.isfinite(frame.boa[WITHOUT_B10]).all()


def test_a_clear_sky_is_all_quality_and_its_own_clear_scene() -> None:
    frame = render(ground(), sky=Sky(air=Air(aot=0.15)), geometry=SUN)
    assert (frame.q == 1.0).all()
    assert not frame.cause.any()
    assert np.array_equal(frame.toa, frame.clear_toa)
    assert np.allclose(frame.clear_boa[WITHOUT_B10], ground()[WITHOUT_B10], atol=1e-5)


@given(
    seed=st.integers(0, 10_000),
    zenith=st.floats(5, 82),
    view=st.floats(0, 12),
    haze=st.floats(0, 1.5),
    aerosol=st.sampled_from(AEROSOLS),
)
@settings(max_examples=40, deadline=None)
def test_without_cloud_and_shadow_quality_is_one_up_to_haze(
    seed: int, zenith: float, view: float, haze: float, aerosol: Aerosol
) -> None:
    """And what haze beyond the reference takes is what the definition says, whatever the ground."""
    sun = replace(SUN, sun_zenith=zenith, view_zenith=view)
    frame = render(ground(seed=seed), sky=Sky(air=Air(aerosol=aerosol, aot=haze)), geometry=sun)
    airmass = 1 / np.cos(np.radians(zenith)) + 1 / np.cos(np.radians(view))
    np.testing.assert_allclose(frame.q, np.exp(-0.5 * max(haze - 0.2, 0.0) * airmass), rtol=1e-4, atol=1e-7)
    assert (frame.shadow == 1.0).all()
    assert set(np.unique(frame.cause)) <= {0, 2}
    if haze <= 0.2:
        assert (frame.q == 1.0).all()
        assert np.array_equal(frame.toa, frame.clear_toa)


@given(
    level=st.floats(0.02, 0.7),
    zenith=st.floats(10, 70),
    haze=st.floats(0, 0.2),
    vapour=st.floats(0.1, 4.0),
    seed=st.integers(0, 10_000),
    baseline=st.sampled_from(["02.14", "05.10"]),
)
@settings(max_examples=40, deadline=None)
def test_an_l1c_image_gives_the_surface_back_within_noise(
    level: float, zenith: float, haze: float, vapour: float, seed: int, baseline: str
) -> None:
    """Through the instrument: gain, noise, twelve bits, digital numbers; then the inverse of the true atmosphere."""
    air, sun = Air(aot=haze, water_vapour=vapour), replace(SUN, sun_zenith=zenith)
    frame = render(np.full((13, 48, 48), level, np.float32), sky=Sky(air=air), geometry=sun)
    assert (frame.q == 1.0).all()
    toa = regrid(observe(frame.toa, seed=seed, sun_zenith=zenith, baseline=baseline))
    c = coefficients(air, sun)
    error = np.abs(to_surface(toa, c) - level)
    signal = (c.gas * (c.down + c.down_diffuse) * c.up)[:, None, None]
    # 0.3 % of gain, four standard deviations of noise at most; what the air dims is divided by its transmittance.
    tolerance = (0.012 * toa + 0.004 / np.cos(np.radians(zenith))) * 1.3 / signal
    usable = (signal[:, 0, 0] > 0.02) & WITHOUT_B10
    assert usable.sum() >= 11
    assert (error[usable] <= tolerance[usable]).mean() > 0.995


def test_an_empty_cloud_layer_changes_nothing() -> None:
    empty = slab(0.0)
    with_layer = render(ground(), sky=Sky((empty, replace(empty, base_height=8000.0))), geometry=SUN)
    assert np.allclose(with_layer.toa, render(ground(), sky=Sky(), geometry=SUN).toa, atol=1e-6)
    assert (with_layer.q == 1.0).all()


def test_haze_lowers_quality_beyond_the_reference_only() -> None:
    values = [float(render(ground(), sky=Sky(air=Air(aot=a)), geometry=SUN).q.mean()) for a in (0.0, 0.2, 0.4, 0.8)]
    assert values[0] == values[1] == 1.0
    assert 1.0 > values[2] > values[3] > 0.2


def test_a_plume_of_smoke_lowers_quality_where_it_lies() -> None:
    aot = np.full(SHAPE, 0.1, dtype=np.float32)
    aot[:, 32:] = 1.2
    frame = render(ground(), sky=Sky(air=Air(aerosol="smoke", aot=aot)), geometry=SUN)
    assert (frame.q[:, :32] == 1.0).all()
    assert frame.q[:, 32:].max() < 0.6
    assert (frame.cause[:, 32:] == 2).all()
    gain = (frame.toa - frame.clear_toa)[:, :, 32:].mean(axis=(1, 2))
    assert gain[B02] > gain[B11] + 0.02


@given(
    seed=st.integers(0, 1000),
    zenith=st.floats(10, 75),
    kind=st.sampled_from(KINDS),
    factor=st.floats(1.0, 5.0),
    extra=st.floats(0.0, 2.0),
)
@settings(max_examples=25, deadline=None)
def test_more_optical_depth_never_raises_quality(
    seed: int, zenith: float, kind: str, factor: float, extra: float
) -> None:
    """More of the same cloud, another layer, and more haze: none may help anywhere."""
    sun = replace(SUN, sun_zenith=zenith)
    layer = make_clouds(kind, shape=SHAPE, seed=seed, cover=0.4)
    thicker = replace(layer, optical_depth=layer.optical_depth * np.float32(factor))
    before = render(ground(), sky=Sky((layer,)), geometry=sun)
    for sky in (
        Sky((thicker,)),
        Sky((layer, make_clouds("thick_cirrus", shape=SHAPE, seed=seed, cover=0.5))),
        Sky((layer,), Air(aot=0.12 + extra)),
    ):
        assert (render(ground(), sky=sky, geometry=sun).q <= before.q + 1e-5).all()


@given(seed=st.integers(0, 1000), zenith=st.floats(15, 65))
@settings(max_examples=15, deadline=None)
def test_where_quality_is_full_the_surface_comes_back(seed: int, zenith: float) -> None:
    """Invert L1C by the true atmosphere: where nothing disturbed the measurement, the ground is returned."""
    air, sun = Air(aot=0.1), replace(SUN, sun_zenith=zenith)
    layer = make_clouds("cumulus", shape=SHAPE, seed=seed, cover=0.05)
    frame = render(ground(), sky=Sky((layer,), air), geometry=sun)
    # Beside a cloud other bands than those of 10 m may see it already.
    clear = (frame.q > 0.995) & ~ndimage.binary_dilation(frame.optical_depth > 0, iterations=6)
    back = to_surface(frame.toa, coefficients(air, sun))
    worst = np.abs(back - ground())[WITHOUT_B10][:, clear]
    # Skylight that clouds take or add is left: a few thousandths of reflectance, most of it on bright ground.
    assert worst.size == 0 or np.percentile(worst, 99) < 0.01


def test_shadow_is_dark_bluish_and_named() -> None:
    """In the shadow of a compact cloud, about a quarter of the near infrared and most of the blue is left."""
    field = np.zeros((384, 384), dtype=np.float32)
    field[150:210, 150:210] = 60.0
    cloud = slab(0.0, base=1200.0, top=1800.0, optical_depth=field, top_height=np.full(field.shape, 1800, np.float32))
    frame = render(ground((256, 256)), sky=Sky((cloud,)), geometry=SUN)
    dark = (frame.shadow < 0.02) & (frame.optical_depth == 0)
    assert dark.sum() > 1000
    share = [float(np.median((frame.toa[b] / frame.clear_toa[b])[dark])) for b in (B02, B03, B8A, B11)]
    assert share == sorted(share, reverse=True)
    assert 0.65 < share[0] < 0.95
    assert 0.12 < share[2] < 0.40
    assert (frame.cause[dark] == 3).all()
    assert frame.q[dark].max() < 0.05


def test_thick_cloud_is_bright_white_and_hides_the_ground() -> None:
    reflectance = ground()
    frame = render(reflectance, sky=Sky((slab(40.0),)), geometry=SUN)
    visible = frame.toa[[B02, B03, B04, B8A]]
    assert (visible > 0.55).all()
    assert (np.ptp(visible, axis=0) < 0.15).all()
    assert (frame.cause == 1).all()
    assert frame.q.max() < 1e-6
    assert float(frame.toa[B11].mean()) < float(frame.toa[B8A].mean())


def test_height_shows_in_the_vapour_bands() -> None:
    """The higher the cloud, the less vapour above it: B09 and B10 brighten, B03 hardly changes."""
    tops = (1000.0, 4000.0, 10000.0)
    seen = [
        render(ground(), sky=Sky((slab(30.0, base=t - 300.0, top=t),), Air(water_vapour=2.5)), geometry=SUN).toa
        for t in tops
    ]
    cirrus, vapour, green = ([float(toa[band].mean()) for toa in seen] for band in (B10, B09, B03))
    assert cirrus[0] < 0.01 < cirrus[1] < 0.3 < cirrus[2]
    assert vapour[0] < vapour[1] < vapour[2]
    assert max(green) - min(green) < 0.06


def test_ice_is_darker_than_water_in_the_swir() -> None:
    water, ice = (
        render(ground(), sky=Sky((slab(20.0, phase=p, effective_radius=r),)), geometry=SUN).toa
        for p, r in (("water", 8.0), ("ice", 30.0))
    )
    assert float(ice[B11].mean()) < 0.75 * float(water[B11].mean())


def test_high_cloud_shades_low_cloud() -> None:
    low = slab(30.0)
    spot = np.zeros((192, 192), dtype=np.float32)
    spot[:96] = 30.0
    high = slab(0.0, base=2500.0, top=2600.0, optical_depth=spot, phase="ice", effective_radius=30.0)
    alone, both = (render(ground(), sky=Sky(layers), geometry=SUN).toa[B03] for layers in ((low,), (low, high)))
    assert (both - alone).min() < -0.25


def test_bands_see_a_high_cloud_in_different_places() -> None:
    """B02 and B09 look 1.4° apart along the track: 10 km up, 240 m; the other parity of detectors turns it around."""
    spot = np.zeros((256, 256), dtype=np.float32)
    spot[118:138, 118:138] = 20.0
    cloud = slab(
        0.0, base=9990.0, top=10000.0, optical_depth=spot, top_height=np.full((256, 256), 10_000.0, np.float32)
    )

    def rows_apart(ahead: bool) -> float:
        nadir = replace(SUN, view_zenith=0.0)
        toa = render(np.zeros((13, 128, 128), np.float32), sky=Sky((cloud,), ahead=ahead), geometry=nadir).toa
        first, last = (float(np.nonzero(toa[band] > 0.3)[0].mean()) for band in (B02, B09))
        return last - first

    assert abs(rows_apart(True)) == pytest.approx(23.5, abs=1.0)
    assert rows_apart(True) == pytest.approx(-rows_apart(False), abs=0.5)


def test_two_detectors_see_a_high_cloud_with_a_step_between_them() -> None:
    sky = Sky((make_clouds("deep", shape=SHAPE, seed=2, cover=0.5),))
    ahead, back = (render(ground(), sky=replace(sky, ahead=way), geometry=SUN) for way in (True, False))
    left = np.broadcast_to(np.arange(SHAPE[1]) < 30, SHAPE)
    both = render(ground(), sky=replace(sky, ahead=left), geometry=SUN)
    assert np.array_equal(both.toa, np.where(left, ahead.toa, back.toa))
    assert not np.array_equal(ahead.toa, back.toa)
    assert np.array_equal(both.q, ahead.q)


def test_air_brightens_next_to_cloud() -> None:
    spot = np.zeros((256, 256), dtype=np.float32)
    spot[64:100] = 60.0
    cloud = slab(0.0, base=500.0, top=900.0, optical_depth=spot, top_height=np.full((256, 256), 900.0, np.float32))
    frame = render(np.full((13, 128, 128), 0.02, np.float32), sky=Sky((cloud,)), geometry=SUN)
    lit = (frame.shadow > 0.999) & ~ndimage.binary_dilation(frame.optical_depth > 0, iterations=4)
    gain = frame.toa - frame.clear_toa
    assert 0.001 < float(gain[B02][lit].max()) < 0.05
    assert float(gain[B02][lit].max()) > float(gain[B8A][lit].max())
    assert frame.q[lit].min() < 1.0


def test_terrain_shadow_belongs_to_the_place() -> None:
    light = np.ones(SHAPE, dtype=np.float32)
    light[:, :32] = 0.0
    frame = render(ground(), sky=Sky(), geometry=SUN, light=light)
    assert (frame.q == 1.0).all()
    assert float(frame.toa[B8A][:, :32].mean()) < 0.5 * float(frame.toa[B8A][:, 32:].mean())
    assert float(frame.clear_boa[B8A][:, :32].mean()) < 0.5 * float(frame.clear_boa[B8A][:, 32:].mean())


def test_the_l2a_rendering_is_near_the_ground_under_a_clear_sky() -> None:
    frames = [render(ground(), sky=Sky(air=Air(aot=0.12)), geometry=SUN, seed=s) for s in range(6)]
    errors = [float(np.abs(f.boa[B8A] - ground()[B8A]).mean()) for f in frames]
    assert 0.0 < max(errors) < 0.03
    assert len({round(e, 6) for e in errors}) > 3


def test_snow_is_clear_sight_of_something_like_cloud() -> None:
    snow = np.array([0.9, 0.9, 0.89, 0.88, 0.87, 0.86, 0.84, 0.82, 0.80, 0.72, 0.35, 0.10, 0.08], dtype=np.float32)
    frame = render(np.broadcast_to(snow[:, None, None], (13, *SHAPE)).copy(), sky=Sky(), geometry=SUN)
    assert (frame.cause == 4).all()
    assert (frame.q == 1.0).all()


def test_the_same_arguments_give_the_same_frame() -> None:
    sky = draw_sky(3, shape=SHAPE, clear=0.0)
    first, second = (render(ground(), sky=sky, geometry=SUN, seed=9) for _ in range(2))
    assert np.array_equal(first.toa, second.toa)
    assert np.array_equal(first.boa, second.boa, equal_nan=True)
    assert np.array_equal(first.q, second.q)


def test_the_definition_of_quality_in_numbers() -> None:
    """The numbers in `truth`'s docstring, sun at 45°, view from the zenith."""
    depth = np.array([0.1, 0.42, 1.0, 3.0], dtype=np.float32)
    q = quality(sun_depth=depth * np.sqrt(2), view_depth=depth, haze=0.0, airmass=2.41, stray=0.0)
    assert np.allclose(q, [0.89, 0.60, 0.30, 0.03], atol=0.006)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"reflectance has shape \(4, 8, 8\); expected \(13, y, x\)"):
        render(np.zeros((4, 8, 8), dtype=np.float32), sky=Sky(), geometry=SUN)


@given(
    origin=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    step=st.sampled_from([1.0, 0.25, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_a_window_is_what_scipy_finds_between_the_pixels(
    origin: tuple[float, float], shape: tuple[int, int], step: float
) -> None:
    field = np.random.default_rng(0).random((40, 56), dtype=np.float32)
    before = field.copy()
    cut = window(field, origin=origin, shape=shape, step=step)
    at = [start + step * np.arange(count) for start, count in zip(origin, shape, strict=True)]
    expected = ndimage.map_coordinates(field, np.meshgrid(*at, indexing="ij"), order=1, mode="grid-wrap")
    np.testing.assert_allclose(cut, expected, atol=2e-3)
    cut += 1.0
    assert np.array_equal(field, before), "a window must not lend its field's memory"


@pytest.mark.slow
def test_rendering_is_fast_enough_to_train_on() -> None:
    """13 × 256 × 256 in 120 ms on a quiet core; three times that on one that others share."""
    reflectance = ground((256, 256))
    layers = [
        make_clouds(kind, shape=(256, 256), seed=1, cover=0.4) for kind in ("cumulus", "thick_cirrus", "overcast")
    ]
    render(reflectance, sky=Sky((layers[0],)), geometry=SUN)
    start = time.process_time()
    for number, layer in enumerate(layers):
        render(reflectance, sky=Sky((layer,)), geometry=replace(SUN, sun_zenith=30.0 + number))
    assert (time.process_time() - start) / 3 < 0.36
