"""Cloud fields and where their shadows fall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from clearsight.errors import ArgumentError
from clearsight.simulate.cloud.fields import KINDS, CloudLayer, make_clouds
from clearsight.simulate.cloud.noise import noise
from clearsight.simulate.cloud.sky import _draw_cover, draw_sky
from clearsight.simulate.imaging.shadows import STRAIGHT, displacement, seen_from, slant_depth, slices, window

SHAPE = (48, 56)


def block(*, height: float = 1000.0, thickness: float = 50.0, margin: int = 64, half: int = 4) -> CloudLayer:
    """A slab of optical depth 20, 8 by 8 pixels (or twice ``half``), in the middle of a canvas of 160 by 160."""
    field = np.zeros((160, 160), dtype=np.float32)
    field[80 - half : 80 + half, 80 - half : 80 + half] = 20.0
    return CloudLayer(
        kind="cumulus",
        optical_depth=field,
        top_height=np.full(field.shape, height + thickness, dtype=np.float32),
        base_height=height,
        phase="water",
        effective_radius=8.0,
        margin=margin,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_whole_and_reproducible(kind: str) -> None:
    layer = make_clouds(kind, shape=SHAPE, seed=3, cover=0.5)
    again = make_clouds(kind, shape=SHAPE, seed=3, cover=0.5)
    other = make_clouds(kind, shape=SHAPE, seed=4, cover=0.5)
    assert np.array_equal(layer.optical_depth, again.optical_depth)
    assert not np.array_equal(layer.optical_depth, other.optical_depth)
    assert layer.optical_depth.dtype == layer.top_height.dtype == np.float32
    assert np.isfinite(layer.optical_depth).all()
    assert layer.optical_depth.min() >= 0
    assert 0 < layer.optical_depth.max() < 400
    assert layer.top_height.min() >= layer.base_height
    assert all(size >= wanted + 2 * layer.margin for size, wanted in zip(layer.optical_depth.shape, SHAPE, strict=True))


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "contrails"])
@pytest.mark.parametrize("cover", [0.0, 0.2, 0.7, 1.0])
def test_cover_is_what_was_asked_for(kind: str, cover: float) -> None:
    layer = make_clouds(kind, shape=SHAPE, seed=1, cover=cover)
    assert abs(float((layer.optical_depth > 0).mean()) - cover) < 0.002


def test_no_cover_is_no_cloud() -> None:
    for kind in KINDS:
        assert not make_clouds(kind, shape=SHAPE, seed=1, cover=0.0).optical_depth.any()


def test_fields_go_on_across_the_canvas_edge() -> None:
    for kind in ("cumulus", "broken_stratus", "thin_cirrus", "overcast"):
        field = make_clouds(kind, shape=(96, 96), seed=5, cover=0.6).optical_depth
        within = np.abs(np.diff(field, axis=0)).mean()
        across = np.abs(field[0] - field[-1]).mean()
        assert across < 4 * within + 1e-6, kind


def test_cumulus_has_a_steep_rim_and_a_thick_core_without_lace() -> None:
    cores = []
    for seed in range(12):
        depth = make_clouds("cumulus", shape=(256, 256), seed=seed, cover=0.3).optical_depth
        cloudy = depth > 0.3
        label, count = ndimage.label(~cloudy)
        holes = np.bincount(label.ravel(), minlength=count + 1)[1:]
        assert holes[holes <= 6].sum() < 0.005 * cloudy.sum()
        # Steep: 100 m inside the rim it is much thicker than at the rim.
        rim = ndimage.distance_transform_edt(cloudy)
        if rim.max() < 15:  # fair-weather puffs have no core
            continue
        assert np.median(depth[(rim > 9) & (rim < 11)]) > 2 * np.median(depth[(rim > 0) & (rim < 3)])
        cores.append(np.percentile(depth[cloudy], 90))
    assert len(cores) > 3
    assert np.mean(cores) > 15


@pytest.mark.parametrize("kind", ["thin_stratus", "even_veil", "cirrostratus"])
def test_a_sheet_over_the_whole_frame_is_even_and_its_edge_is_soft(kind: str) -> None:
    for seed in range(4):
        whole = make_clouds(kind, shape=(128, 128), seed=seed, cover=1.0).optical_depth
        assert whole.std() < 0.45 * whole.mean()
        part = make_clouds(kind, shape=(128, 128), seed=seed, cover=0.5).optical_depth
        steepest = max(float(np.abs(np.diff(part, axis=axis)).max()) for axis in (0, 1))
        # From nothing to the middle of the sheet takes dozens of pixels.
        assert steepest < 0.16 * part.max()


def test_fair_weather_puffs_are_flat_and_thin() -> None:
    layers = [make_clouds("cumulus", shape=(128, 128), seed=seed, cover=0.1) for seed in range(40)]
    deep = np.array([float((layer.top_height - layer.base_height).max()) for layer in layers])
    thick = np.array([float(layer.optical_depth.max()) for layer in layers])
    assert (deep < 150).any()
    assert (deep > 600).any()
    assert thick[deep < 150].mean() < 0.6 * thick[deep > 600].mean()


def test_cloud_sizes_follow_a_falling_law() -> None:
    sizes: list[int] = []
    for seed in range(6):
        label, count = ndimage.label(make_clouds("cumulus", shape=(256, 256), seed=seed, cover=0.25).optical_depth > 1)
        sizes += np.bincount(label.ravel(), minlength=count + 1)[1:].tolist()
    small, middle, large = (sum(low <= s < 8 * low for s in sizes) for low in (8, 64, 512))
    assert small > middle > large > 0


def test_fog_lies_in_the_valley() -> None:
    slope = np.tile(np.linspace(0, 300, 96, dtype=np.float32), (96, 1))
    layer = make_clouds("fog", shape=(96, 96), seed=2, cover=0.4, elevation=slope)
    depth = layer.optical_depth[layer.margin : layer.margin + 96, layer.margin : layer.margin + 96]
    assert depth[:, :32].mean() > 5 * depth[:, -32:].mean()


def test_bad_arguments_say_what_was_expected() -> None:
    with pytest.raises(ArgumentError, match=r"kind='mist' is unknown; expected one of cumulus"):
        make_clouds("mist", shape=SHAPE, seed=1, cover=0.5)
    with pytest.raises(ArgumentError, match=r"cover=1\.5: expected a share"):
        make_clouds("cumulus", shape=SHAPE, seed=1, cover=1.5)
    with pytest.raises(ArgumentError, match=r"clear=-1"):
        draw_sky(1, shape=SHAPE, clear=-1)


def test_noise_is_longer_along_its_direction() -> None:
    field = noise(np.random.default_rng(1), (256, 256), slope=1.8, largest=30, stretch=6, direction=0.0)
    assert np.abs(np.diff(field, axis=0)).mean() > 2 * np.abs(np.diff(field, axis=1)).mean()


@given(rows=st.floats(-400, 400), columns=st.floats(-400, 400))
@settings(max_examples=25, deadline=None)
def test_window_of_a_wave_is_the_shifted_wave(rows: float, columns: float) -> None:
    y, x = np.indices((64, 128), dtype=np.float64)
    wave = lambda a, b: np.sin(2 * np.pi * a / 64) + np.cos(2 * np.pi * b / 128)  # noqa: E731
    cut = window(wave(y, x).astype(np.float32), origin=(rows, columns), shape=(20, 30))
    assert np.allclose(cut, wave(y[:20, :30] + rows, x[:20, :30] + columns), atol=4e-3)


@pytest.mark.parametrize(
    ("azimuth", "row", "column"), [(180.0, -100, 0), (90.0, 0, -100), (0.0, 100, 0), (270.0, 0, 100)]
)
def test_shadow_falls_away_from_the_sun(azimuth: float, row: int, column: int) -> None:
    """Sun at 45°: a cloud 1000 m up throws its shadow 1000 m, 100 pixels; the canvas of 160 comes round."""
    layer = block(thickness=1.0, margin=0)
    depth = slant_depth(layer, zenith=45.0, azimuth=azimuth, shape=(160, 160))
    y, x = np.nonzero(depth > 14)
    assert (round(y.mean() - 79.5 - row) % 160, round(x.mean() - 79.5 - column) % 160) == (0, 0)
    assert depth.max() == pytest.approx(20 * np.sqrt(2), rel=0.02)


def test_shadow_climbs_a_mountain() -> None:
    """On ground 500 m high the shadow of a cloud at 1000 m lies half as far off."""
    layer = block(thickness=1.0, margin=0)
    high = slant_depth(layer, zenith=45.0, azimuth=90.0, shape=(160, 160), ground=500.0)
    rough = np.full((160, 160), 500.0, dtype=np.float32)
    rough[:8] = 0.0
    assert np.nonzero(high.max(axis=0) > 14)[0].mean() == pytest.approx(79.5 - 50, abs=1)
    on_cliff = slant_depth(layer, zenith=45.0, azimuth=90.0, shape=(160, 160), ground=rough)
    taken, expected = (1.0 - np.exp(-STRAIGHT * depth[40:]) for depth in (on_cliff, high))
    assert taken.sum() == pytest.approx(expected.sum(), rel=0.03)
    for axis in np.indices(taken.shape):
        assert np.average(axis, weights=taken) == pytest.approx(np.average(axis, weights=expected), abs=0.1)


def test_a_slope_bends_a_shadow_as_ray_by_ray() -> None:
    """On a slope, each pixel against its own ray through a smooth cloud."""
    y, x = np.indices((160, 160), dtype=np.float32)
    smooth = np.exp(-((y - 80) ** 2 + (x - 90) ** 2) / 300).astype(np.float32) * 5
    layer = replace(block(thickness=1.0, margin=0), optical_depth=smooth)
    slope = (3.0 * x + 50 * np.sin(y / 9)).astype(np.float32)
    found = slant_depth(layer, zenith=45.0, azimuth=90.0, shape=(160, 160), ground=slope)
    at = (x + (1000.5 - slope) / 10) % 160
    ray = ndimage.map_coordinates(smooth, [y, at], order=1, mode="grid-wrap") * np.sqrt(2)
    # The sun's disc blurs by less than a pixel.
    assert np.abs(found - ray).max() < 0.12


def test_high_clouds_throw_softer_shadows() -> None:
    def softness(height: float) -> float:
        depth = slant_depth(block(height=height, margin=0, half=30), zenith=30.0, azimuth=180.0, shape=(160, 160))
        light = np.exp(-STRAIGHT * depth)
        return float(((light > 0.2) & (light < 0.8)).mean())

    assert softness(9000.0) > 2 * softness(800.0)


def test_towers_throw_longer_shadows_than_pancakes() -> None:
    def length(thickness: float) -> int:
        depth = slant_depth(block(thickness=thickness, margin=0), zenith=60.0, azimuth=90.0, shape=(160, 160))
        return int((depth.max(axis=0) > 1).sum())

    assert length(400.0) > length(10.0) + 40


def test_slices_add_up() -> None:
    layer = make_clouds("congestus", shape=SHAPE, seed=1, cover=0.5)
    parts = slices(layer, reach=displacement(60.0, 90.0)[1] * -1)
    assert len(parts) > 1
    assert np.allclose(sum(depth for _, depth in parts), layer.optical_depth, rtol=1e-3, atol=1e-3)
    assert [height for height, _ in parts] == sorted(height for height, _ in parts)


def test_a_coarse_field_is_seen_in_the_same_place() -> None:
    layer = block(margin=64)
    y, x = np.indices((160, 160), dtype=np.float32)
    smooth = np.sin(2 * np.pi * y / 160) + np.cos(2 * np.pi * x / 160)
    coarse = smooth.reshape(40, 4, 40, 4).mean(axis=(1, 3)).astype(np.float32)
    where = {"layer": layer, "height": 1000.0, "shift": (0.031, -0.017), "shape": (32, 32)}
    assert np.allclose(seen_from(smooth, **where), seen_from(coarse, coarse=4, **where), atol=6e-3)


def test_skies_are_as_cloudy_as_real_ones() -> None:
    """The inventory's means: 26 % thick, 10 % thin cloud, a fifth of the patches without any."""
    covers = np.array([_draw_cover(np.random.default_rng(seed), None) for seed in range(4000)])
    assert 0.24 < covers[:, 0].mean() < 0.31
    assert 0.08 < covers[:, 1].mean() < 0.12
    assert 0.13 < (covers.sum(axis=1) == 0).mean() < 0.30


def test_a_sky_is_the_same_from_the_same_seed() -> None:
    first, second = (draw_sky(5, shape=SHAPE, clear=0.0) for _ in range(2))
    assert first.air == second.air or np.array_equal(np.asarray(first.air.aot), np.asarray(second.air.aot))
    assert [layer.kind for layer in first.layers] == [layer.kind for layer in second.layers]
    assert first.layers
    assert draw_sky(5, shape=SHAPE, clear=1.0).layers == ()
