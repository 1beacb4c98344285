"""Light in clouds: conservation of energy, asymptotic theory, and real thick clouds."""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.simulate.air.atmosphere import above, to_toa, vapour_depth
from clearsight.simulate.air.state import Air, Geometry
from clearsight.simulate.cloud.optics import (
    MAX_OPTICAL_DEPTH,
    PHASES,
    RADIUS_RANGE,
    CloudOptics,
    cloud_optics,
    extinction,
    over_surface,
)

REAL = Path(__file__).parents[2] / "shared" / "data"
NAMES = list(BANDS)
B02, B03, B04, B8A, B09, B10, B11, B12 = (
    NAMES.index(name) for name in ("B02", "B03", "B04", "B8A", "B09", "B10", "B11", "B12")
)
DEPTHS = np.concatenate([[0.0], np.geomspace(0.01, 250.0, 80)]).astype(np.float32)

phases = st.sampled_from(PHASES)
suns = st.floats(0.0, 80.0)


def layer(depth: np.ndarray | float, phase: str = "water", radius: float = 10.0, sun: float = 40.0) -> CloudOptics:
    return cloud_optics(
        np.atleast_1d(np.asarray(depth, dtype=np.float32)),
        phase=phase,  # type: ignore[arg-type]
        effective_radius=radius,
        geometry=Geometry(sun, 150.0, 3.0, 100.0),
    )


def radius_of(phase: str, share: float) -> float:
    low, high = RADIUS_RANGE[phase]  # type: ignore[index]
    return low + share * (high - low)


@settings(max_examples=40, deadline=None)
@given(phases, st.floats(0.0, 1.0), suns)
def test_energy_is_conserved(phase, share, sun):
    cloud = layer(DEPTHS, phase, radius_of(phase, share), sun)
    total = cloud.albedo + cloud.transmittance + cloud.transmittance_diffuse
    assert total.max() <= 1 + 2e-3
    # Neither water nor ice absorbs blue and green light.
    np.testing.assert_allclose(total[:3], 1.0, atol=4e-3)
    assert total[B12].min() < 0.8


@settings(max_examples=40, deadline=None)
@given(phases, st.floats(0.0, 1.0), suns)
def test_thicker_is_brighter_from_above_and_darker_from_below(phase, share, sun):
    cloud = layer(DEPTHS, phase, radius_of(phase, share), sun)
    assert np.diff(cloud.albedo, axis=1).min() > -2e-3
    assert np.diff(cloud.reflectance, axis=1).min() > -4e-3
    assert np.diff(cloud.up, axis=1).max() < 1e-3
    assert np.diff(cloud.transmittance, axis=1).max() <= 0
    assert np.diff(cloud.spherical_albedo, axis=1).min() > -2e-3


@settings(max_examples=40, deadline=None)
@given(phases, st.floats(0.0, 1.0), suns, st.floats(0.0, 12.0), st.floats(0.0, 360.0), st.floats(0.0, 400.0))
def test_values_are_shares_of_light(phase, share, sun, view, azimuth, depth):
    cloud = cloud_optics(
        np.array([[0.0, depth]], dtype=np.float32),
        phase=phase,
        effective_radius=radius_of(phase, share),
        geometry=Geometry(sun, 150.0, view, azimuth),
    )
    for name in CloudOptics.__dataclass_fields__:
        values = getattr(cloud, name)
        assert values.shape == (13, 1, 2), name
        assert values.dtype == np.float32
        assert values.min() >= 0, name
        assert values.max() <= (1.6 if name == "reflectance" else 1 + 1e-5), name
    assert cloud.reflectance[:, 0, 0].max() == 0
    np.testing.assert_allclose(cloud.up[:, 0, 0], 1, atol=1e-6)
    assert np.all(cloud.up_direct <= cloud.up + 1e-6)


@pytest.mark.parametrize(("phase", "radius", "asymmetry"), [("water", 9.0, 0.862), ("ice", 30.0, 0.75)])
def test_thick_clouds_follow_asymptotic_theory(phase, radius, asymmetry):
    """Global transmittance of a thick cloud that absorbs nothing is 1 / (1.07 + 0.75 τ (1 − g)) (King 1987)."""
    depth = np.array([12.0, 20.0, 40.0, 240.0], dtype=np.float32)
    cloud = layer(depth, phase, radius)
    expected = 1 / (1.07 + 0.75 * depth * (1 - asymmetry))
    np.testing.assert_allclose(1 - cloud.spherical_albedo[B03], expected, rtol=0.03)
    # Escape function of the sun's direction: 3/7 (1 + 2 cos θ) (Kokhanovsky 2006, within a few per cent).
    through = cloud.transmittance + cloud.transmittance_diffuse
    escape = 3 / 7 * (1 + 2 * np.cos(np.radians(40.0)))
    np.testing.assert_allclose(through[B03], expected * escape, rtol=0.05)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 15.0), st.floats(0.0, 15.0), st.floats(0.05, 200.0))
def test_sun_and_satellite_may_change_places(share, sun, view, depth):
    """Helmholtz: the light's way may be reversed. Ice only: so near the zenith droplets show their glory, whose rings
    are finer than the tables; Sentinel-2 never sees the sun that high over cloud but at noon in the tropics."""
    there, back = (
        cloud_optics(
            np.array([depth], dtype=np.float32),
            phase="ice",
            effective_radius=radius_of("ice", share),
            geometry=Geometry(one, 150.0, other, 40.0),
        ).reflectance
        for one, other in ((sun, view), (view, sun))
    )
    np.testing.assert_allclose(there, back, rtol=0.08, atol=1e-4)


def test_thin_clouds_scatter_once():
    """A veil of crystals: reflectance is phase function × τ / (4 cos θ cos θ'), Henyey-Greenstein with g = 0.75."""
    sun, depth = np.cos(np.radians(40.0)), 0.02
    cloud = cloud_optics(
        np.array([depth]), phase="ice", effective_radius=30.0, geometry=Geometry(40.0, view_zenith=0.0)
    )
    phase = (1 - 0.75**2) / (1 + 0.75**2 + 2 * 0.75 * sun) ** 1.5
    assert cloud.reflectance[B03, 0] == pytest.approx(phase * depth / (4 * sun), rel=0.06)
    assert cloud.transmittance[B03, 0] == pytest.approx(np.exp(-depth / sun), rel=1e-4)


def test_ice_is_darker_than_water_in_the_short_wave_infrared():
    drops, crystals = layer(30.0, "water", 10.0), layer(30.0, "ice", 30.0)
    assert 0.3 < drops.reflectance[B11, 0] < 0.7
    assert 0.1 < crystals.reflectance[B11, 0] < 0.35
    assert abs(drops.reflectance[B03, 0] - crystals.reflectance[B03, 0]) < 0.2
    assert drops.reflectance[B11, 0] > drops.reflectance[B12, 0]


def test_bigger_particles_absorb_more():
    for phase in PHASES:
        radii = np.linspace(*RADIUS_RANGE[phase], 5)
        swir = np.array([layer(60.0, phase, float(r)).albedo[[B11, B12], 0] for r in radii])
        assert np.all(np.diff(swir, axis=0) < 0), phase


def test_low_sun_makes_thin_cloud_brighter():
    albedo = [float(layer(1.0, "ice", 30.0, sun).albedo[B03, 0]) for sun in (20.0, 50.0, 70.0, 80.0)]
    assert np.all(np.diff(albedo) > 0.02)


def test_glory_is_brighter_than_its_surroundings():
    sun = 8.0
    towards, away = (
        cloud_optics(
            np.array([5.0]), phase="water", effective_radius=10.0, geometry=Geometry(sun, 150.0, sun, azimuth)
        ).reflectance[B03, 0]
        for azimuth in (150.0, 330.0)
    )
    assert towards > 1.05 * away


def test_vapour_in_the_cloud_dims_b09_and_b10_only():
    depth = np.array([[10.0, 40.0]])
    vapour = np.zeros(13, dtype=np.float32)
    vapour[[B09, B10]] = 0.01, 0.1
    geometry = Geometry(40.0)
    dry, none, wet = (
        cloud_optics(depth, phase="water", effective_radius=10.0, geometry=geometry, vapour=v)
        for v in (None, np.zeros(13, dtype=np.float32), vapour)
    )
    np.testing.assert_allclose(none.reflectance, dry.reflectance, atol=1e-3)
    others = [band for band in range(13) if band not in (B09, B10)]
    np.testing.assert_array_equal(wet.reflectance[others], dry.reflectance[others])
    loss = 1 - wet.reflectance / dry.reflectance
    assert loss[B10].min() > loss[B09].min() > 0.03
    assert loss[B09, 0, 1] > loss[B09, 0, 0]


@settings(max_examples=30, deadline=None)
@given(phases, st.floats(0.0, 50.0), st.floats(0.0, 0.9), st.floats(0.0, 0.1))
def test_over_surface_grows_with_the_surface(phase, depth, reflectance, more):
    cloud = layer(depth, phase, radius_of(phase, 0.5))
    dark, bright = (
        over_surface(cloud, np.full((13, 1), r, dtype=np.float32)) for r in (reflectance, reflectance + more)
    )
    assert np.all(bright >= dark - 1e-6)
    assert np.all(dark >= cloud.reflectance - 1e-6)


def test_over_surface_without_cloud_is_the_surface():
    surface = np.linspace(0, 1, 13, dtype=np.float32)[:, None]
    np.testing.assert_allclose(over_surface(layer(0.0), surface), surface, atol=1e-6)


def test_extinction_hardly_depends_on_the_band():
    for phase in PHASES:
        ratio = extinction(phase, radius_of(phase, 0.4))
        assert ratio[B03] == pytest.approx(1.0)
        assert 0.95 < ratio.min() <= ratio.max() < 1.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optical_depth": np.array([-1.0])}, "optical_depth"),
        ({"optical_depth": np.array([np.nan])}, "optical_depth"),
        ({"phase": "slush"}, "water, ice"),
        ({"effective_radius": 200.0}, "4 … 25"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, message):
    good = {
        "optical_depth": np.array([1.0]),
        "phase": "water",
        "effective_radius": 10.0,
        "geometry": Geometry(30.0),
    } | arguments
    with pytest.raises(ArgumentError) as error:
        cloud_optics(good.pop("optical_depth"), **good)
    assert message in str(error.value)


def test_deeper_than_the_table_is_as_deep_as_the_table():
    top, beyond = layer(MAX_OPTICAL_DEPTH), layer(10 * MAX_OPTICAL_DEPTH)
    np.testing.assert_allclose(top.reflectance, beyond.reflectance, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(phases, st.floats(0.0, 1.0), st.floats(0.0, 84.0))
def test_dense_grids_follow_the_curves_through_the_tables(phase, share, sun):
    """Curves through the shipped tables, worked out here from the start, against the grids that are looked up."""
    with (files("clearsight.simulate") / "data" / "cloud_optics.npz").open("rb") as file, np.load(file) as lut:
        radii, cosines, tau = (
            np.log(lut[f"{phase}_radius"]),
            np.cos(np.radians(lut["sun"])),
            np.log1p(lut["tau"] / 0.05),
        )
        tables = {name: lut[f"{phase}_{name}"].astype(float) for name in ("albedo", "transmittance", "nadir")}
    radius = radius_of(phase, share)
    found = cloud_optics(DEPTHS, phase=phase, effective_radius=radius, geometry=Geometry(sun, view_zenith=0.0))
    low = min(int(np.searchsorted(radii, np.log(radius), side="right")) - 1, radii.size - 2)
    weight = (np.log(radius) - radii[low]) / (radii[low + 1] - radii[low])

    def curve(table):
        at_radius = (1 - weight) * table[:, low] + weight * table[:, low + 1]
        at_sun = PchipInterpolator(cosines[::-1], at_radius[..., ::-1], axis=2)(np.cos(np.radians(sun)))
        return PchipInterpolator(tau, at_sun, axis=1)(np.log1p(DEPTHS / 0.05))

    np.testing.assert_allclose(found.albedo, curve(tables["albedo"]), atol=1e-3)
    through = found.transmittance + found.transmittance_diffuse
    np.testing.assert_allclose(through, curve(tables["transmittance"]), atol=1e-3)
    np.testing.assert_allclose(found.reflectance, curve(tables["nadir"]), atol=2e-3)


def test_empty_field():
    assert layer(np.zeros((0,), dtype=np.float32)).reflectance.shape == (13, 0)


@pytest.mark.skipif(not REAL.exists(), reason="needs the real chips in ../shared/data")
def test_real_thick_clouds_over_the_saint_lawrence():
    """Thick cloud at some height between 2 and 6 km matches real pixels in all bands; the vapour bands together."""
    with np.load(REAL / "l1c_chips" / "riotiler_T19UDP_20170729_160m.npz") as chip:
        toa = chip["toa"].reshape(13, -1)
    order = np.argsort(np.where(np.isfinite(toa[B03]), toa[B03], -1))
    seen = order[-int(np.isfinite(toa[B03]).sum() * 0.05) :][:200]
    real = np.median(toa[:, seen], axis=1)
    air, sun = Air(water_vapour=2.0, aot=0.1), Geometry(38.0, 150.0, 5.0, 100.0)
    forest = np.array([3, 4, 7, 5, 10, 25, 32, 34, 36, 36, 30, 20, 10], dtype=np.float32)[:, None] / 100
    errors = []
    for height in np.arange(2.0, 6.1, 0.5):
        vapour = vapour_depth(float(height), air=air, geometry=sun) / 30.0
        sky = above(air, sun, height=float(height))
        for radius in (8.0, 10.0, 12.0, 15.0):
            depths = np.geomspace(8, 120, 24)
            cloud = cloud_optics(depths, phase="water", effective_radius=radius, geometry=sun, vapour=vapour)
            simulated = to_toa(over_surface(cloud, forest)[:, None], sky)[:, 0]
            errors += list(np.abs(np.log(simulated / real[:, None])).T)
    usual = np.array([band for band in range(13) if band != B10])
    errors = np.array(errors)
    close = errors[np.argmin(errors[:, usual].max(axis=1))]
    assert close[usual].max() < 0.12
    assert close[B10] < np.log(2.0)


def test_speed():
    depth = np.random.default_rng(0).random((512, 512), dtype=np.float32) * 20
    times = []
    for _ in range(3):
        start = time.process_time()
        cloud_optics(depth, phase="water", effective_radius=10.0, geometry=Geometry(40.0))
        times.append(time.process_time() - start)
    assert min(times) < 1.0
