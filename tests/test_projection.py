import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clearsight.bands import BANDS
from clearsight.projection import HALO, score_frames

# Top-of-atmosphere reflectance in the order of BANDS, typical of what the names say.
GROUND = {
    name: np.float32(row)
    for name, row in {
        "forest": [0.105, 0.075, 0.063, 0.037, 0.065, 0.20, 0.26, 0.25, 0.29, 0.09, 0.001, 0.12, 0.05],
        "soil": [0.140, 0.125, 0.135, 0.160, 0.180, 0.20, 0.22, 0.23, 0.25, 0.08, 0.001, 0.32, 0.25],
        "crop": [0.110, 0.080, 0.085, 0.055, 0.100, 0.30, 0.40, 0.40, 0.44, 0.12, 0.001, 0.20, 0.09],
        "sand": [0.220, 0.240, 0.300, 0.380, 0.410, 0.43, 0.45, 0.47, 0.48, 0.20, 0.002, 0.55, 0.48],
        "roof": [0.350, 0.380, 0.400, 0.420, 0.430, 0.44, 0.45, 0.46, 0.46, 0.15, 0.002, 0.45, 0.40],
        "water": [0.125, 0.095, 0.066, 0.035, 0.030, 0.025, 0.022, 0.020, 0.018, 0.01, 0.001, 0.006, 0.004],
        "snow": [0.800, 0.820, 0.800, 0.800, 0.800, 0.80, 0.79, 0.78, 0.77, 0.30, 0.002, 0.10, 0.08],
    }.items()
}
CLOUD = np.float32([0.72, 0.70, 0.67, 0.68, 0.69, 0.70, 0.71, 0.71, 0.72, 0.40, 0.004, 0.50, 0.38])
ICE_CLOUD = np.float32([0.95, 0.95, 0.88, 0.84, 0.85, 0.82, 0.80, 0.84, 0.78, 0.6, 0.002, 0.08, 0.10])
AIR = np.float32([0.095, 0.065, 0.037, 0.022, 0.018, 0.014, 0.011, 0.009, 0.008, 0, 0, 0.001, 0])
RGB = ("B02", "B03", "B04")
SUBSETS = {"3": RGB, "4": (*RGB, "B08"), "6": (*RGB, "B08", "B11", "B12"), "13": tuple(BANDS)}
any_subset = pytest.mark.parametrize("bands", SUBSETS.values(), ids=SUBSETS)
with_infrared = pytest.mark.parametrize("bands", [SUBSETS["4"], SUBSETS["6"], SUBSETS["13"]], ids=["4", "6", "13"])
with_swir = pytest.mark.parametrize("bands", [SUBSETS["6"], SUBSETS["13"]], ids=["6", "13"])


def veiled(ground, share):
    return (1 - share) * ground + share * CLOUD


def shaded(ground, share):
    return np.where(ground > AIR, AIR + (ground - AIR) * (1 - share), ground)


def series(spectra, bands=tuple(BANDS), *, size=9, step=5, seed=0):
    """Frames of one look each, with noise from pixel to pixel and from day to day: bands and dates."""
    rng = np.random.default_rng(seed)
    frames = np.stack(spectra).astype(np.float32)[:, :, None, None] * np.ones((1, 1, size, size), dtype=np.float32)
    frames *= 1 + 0.03 * rng.standard_normal((len(spectra), 1, 1, 1), dtype=np.float32)
    frames += 0.004 * rng.standard_normal(frames.shape, dtype=np.float32)
    dates = np.datetime64("2020-04-01", "ns") + np.arange(len(spectra)) * np.timedelta64(step, "D")
    return {name: frames[:, BANDS[name].index] for name in bands}, dates


def means(spectra, bands=tuple(BANDS), **options):
    frames, dates = series(spectra, bands)
    return score_frames(frames, level="L1C", dates=dates, **options)[0].mean(axis=(1, 2))


def clouds(number, seed=1):
    return list(CLOUD * np.random.default_rng(seed).uniform(0.7, 1.2, (number, 1)))


def mixed_scene(frames=6, size=24, seed=0):
    """Ground of all kinds, clouds, shadows and nodata: bands (time, y, x) and dates."""
    rng = np.random.default_rng(seed)
    kinds = np.stack(list(GROUND.values()))[rng.integers(0, len(GROUND), (size // 4, size // 4))]
    ground = kinds.repeat(4, axis=0).repeat(4, axis=1)
    scene = np.stack([ground * rng.uniform(0.95, 1.05) for _ in range(frames)])
    scene = veiled(scene, np.clip(rng.normal(-0.3, 0.6, (frames, size, size, 1)), 0, 1))
    scene += rng.normal(0, 0.005, scene.shape)
    scene[rng.random((frames, size, size)) < 0.05] = np.nan
    dates = np.datetime64("2021-05-01", "ns") + np.sort(rng.integers(0, 300, frames)) * np.timedelta64(1, "D")
    return {name: scene[..., band.index].astype(np.float32) for name, band in BANDS.items()}, dates


# --- one frame alone


@any_subset
@pytest.mark.parametrize("kind", ["forest", "soil", "crop", "sand", "water"])
def test_clear_ground_alone_is_clear(kind, bands):
    assert means([GROUND[kind]], bands).item() > 0.75


@with_swir
def test_snow_alone_is_clear_where_the_bands_can_tell(bands):
    assert means([GROUND["snow"]], bands).item() > 0.9


@any_subset
@pytest.mark.parametrize("cloud", [CLOUD, 0.7 * CLOUD, ICE_CLOUD], ids=["cloud", "darker", "ice"])
def test_thick_cloud_alone_is_bad(cloud, bands):
    assert means([cloud], bands).item() < 0.1


def test_cirrus_band_lowers_the_score_of_what_the_visible_hides():
    cirrus = GROUND["soil"].copy()
    cirrus[BANDS["B10"].index] = 0.03
    assert means([cirrus]).item() < 0.6 < means([cirrus], SUBSETS["6"]).item()


def test_cirrus_band_is_not_used_at_l2a():
    frame, dates = series([GROUND["soil"]])
    high = dict(frame, B10=np.full_like(frame["B10"], 0.05))
    plain, _ = score_frames(frame, level="L2A", dates=dates)
    np.testing.assert_array_equal(plain, score_frames(high, level="L2A", dates=dates)[0])


# --- with context


@any_subset
def test_white_roof_is_clear_with_context(bands):
    looks = [GROUND["roof"]] * 8 + clouds(4)
    scores = means(looks, bands)
    assert scores[:8].min() > 0.75
    assert scores[8:].max() < 0.1
    assert means(looks, bands, context=False)[:8].max() < 0.5


@any_subset
def test_most_frames_cloudy(bands):
    scores = means([*clouds(5, 1), GROUND["forest"], *clouds(3, 2), GROUND["forest"], *clouds(4, 3)], bands)
    assert scores[[5, 9]].min() > 0.75
    assert np.delete(scores, [5, 9]).max() < 0.1


@any_subset
@pytest.mark.parametrize("others", [clouds(5), [veiled(GROUND["forest"], f) for f in (0.3, 0.35, 0.4, 0.45)]])
def test_the_only_clear_frame_gets_a_fair_score(others, bands):
    frames, dates = series([*others[:2], GROUND["forest"], *others[2:]], bands)
    cs, alone = score_frames(frames, level="L1C", dates=dates)
    assert cs[2].mean() > 0.75
    assert alone[2].all()
    assert np.delete(cs, 2, axis=0).mean(axis=(1, 2)).max() < 0.4


@any_subset
@pytest.mark.parametrize("kind", ["forest", "crop", "soil", "sand", "water"])
def test_score_falls_steadily_with_the_veil(kind, bands):
    clear = [GROUND[kind]] * 5
    scores = [means([*clear, veiled(GROUND[kind], share), *clear], bands)[5] for share in (0, 0.05, 0.1, 0.2, 0.4, 0.8)]
    assert (np.diff(scores) < 0).all()
    assert scores[1] > 0.7
    assert scores[3] < 0.5
    assert scores[5] < 0.01


@with_infrared
@pytest.mark.parametrize("kind", ["forest", "crop", "soil", "sand"])
def test_score_falls_steadily_with_the_shade(kind, bands):
    clear = [GROUND[kind]] * 5
    scores = [means([*clear, shaded(GROUND[kind], share), *clear], bands)[5] for share in (0, 0.2, 0.4, 0.6, 0.8)]
    assert (np.diff(scores) < 0).all()
    assert scores[1] > 0.6
    assert scores[3] < 0.5


@with_infrared
@pytest.mark.parametrize(
    "change", ["crop soil", "soil crop", "forest soil", "crop water", "soil water", "water soil"], ids=lambda c: c
)
def test_change_of_the_surface_is_not_bad_quality(change, bands):
    before, after = (GROUND[kind] for kind in change.split())
    assert means([before] * 6 + [after] * 6, bands).min() > 0.6


@with_swir
@pytest.mark.parametrize("change", ["snow forest", "forest snow", "snow soil"])
def test_snow_that_comes_or_melts_is_not_bad_quality(change, bands):
    before, after = (GROUND[kind] for kind in change.split())
    assert means([before] * 6 + [after] * 6, bands).min() > 0.75


# --- what must always hold


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 7), st.sets(st.sampled_from(sorted(set(BANDS) - set(RGB)))), st.booleans())
def test_any_superset_of_three_bands_gives_scores_between_0_and_1(seed, frames, more, context):
    scene, dates = mixed_scene(frames, seed=seed)
    bands = {name: scene[name] for name in (*RGB, *more)}
    cs, alone = score_frames(bands, level="L1C", dates=dates, context=context)
    valid = np.logical_and.reduce([np.isfinite(band) for band in bands.values()])
    assert (np.isfinite(cs) == valid).all()
    assert ((cs[valid] >= 0) & (cs[valid] <= 1)).all()
    assert not alone[~valid].any()
    if frames == 1 or not context:
        assert (alone == valid).all()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.sampled_from(["L1C", "L2A"]))
def test_extreme_values_never_break_the_range(seed, level):
    rng = np.random.default_rng(seed)
    bands = {name: rng.choice(np.float32([-0.1, 0, 1e-6, 0.1, 1.5, 2.8]), (4, 12, 12)) for name in BANDS}
    cs, _ = score_frames(bands, level=level, dates=np.arange("2020-01", "2020-05", dtype="datetime64[M]"))
    assert ((cs >= 0) & (cs <= 1)).all()


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31))
@example(2772)
@example(350)
def test_order_of_time_is_irrelevant(seed):
    scene, dates = mixed_scene(seed=seed)
    order = np.random.default_rng(seed).permutation(len(dates))
    plain, _ = score_frames(scene, level="L1C", dates=dates)
    mixed, _ = score_frames({name: band[order] for name, band in scene.items()}, level="L1C", dates=dates[order])
    np.testing.assert_allclose(mixed, plain[order], atol=2e-5)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31), st.floats(0.6, 1), st.booleans())
def test_adding_a_white_cloud_never_raises_the_score_under_it(seed, share, context):
    scene, dates = mixed_scene(seed=seed)
    before, _ = score_frames(scene, level="L1C", dates=dates, context=context)
    cloudy = {name: band.copy() for name, band in scene.items()}
    under = (slice(2, 3), slice(6, 18), slice(6, 18))
    for name, band in cloudy.items():
        band[under] = (1 - share) * band[under] + share * CLOUD[BANDS[name].index]
    after, _ = score_frames(cloudy, level="L1C", dates=dates, context=context)
    valid = np.isfinite(before[under])
    assert (after[under][valid] <= before[under][valid] + 0.01).all()


def test_blocks_are_irrelevant(monkeypatch):
    scene, dates = mixed_scene(size=140)
    whole, alone = score_frames(scene, level="L1C", dates=dates)
    monkeypatch.setattr("clearsight.projection._BLOCK_VALUES", 1)
    blocks, alone_in_blocks = score_frames(scene, level="L1C", dates=dates)
    np.testing.assert_allclose(blocks, whole, atol=2e-5)
    np.testing.assert_array_equal(alone_in_blocks, alone)


def test_a_pixel_depends_on_its_halo_only():
    scene, dates = mixed_scene(size=24)
    plain, _ = score_frames(scene, level="L1C", dates=dates)
    for band in scene.values():
        band[:, : 12 - HALO] = 0.9
    changed, _ = score_frames(scene, level="L1C", dates=dates)
    np.testing.assert_allclose(changed[:, 12:], plain[:, 12:], atol=2e-5)
