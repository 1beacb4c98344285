"""The bank of simulated clips, and batches drawn from it: deterministic, and never half."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import clearsight.training.batches as batch_module
from clearsight.context import ground_for
from clearsight.errors import ArgumentError
from clearsight.model import View, conditions
from clearsight.training.bank import ORDER, Plan, decode, fill_bank, shards_of, surface_of
from clearsight.training.batches import Draw, batches
from clearsight.training.clear import clear_bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    fill_bank(Plan(folder, clips=2, frames=2, size=48))
    return folder


def test_a_bank_is_the_same_whatever_the_number_of_workers(bank, tmp_path):
    fill_bank(Plan(tmp_path, clips=2, frames=2, size=48), workers=2)
    for one, other in zip(shards_of(bank), shards_of(tmp_path), strict=True):
        for path in one.iterdir():
            assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_a_half_written_shard_is_never_seen(bank, tmp_path):
    half = tmp_path / ".00000000.123"
    half.mkdir()
    (half / "ten.npy").write_bytes(b"half")
    assert list(shards_of(tmp_path)) == []
    with pytest.raises(ArgumentError, match="hold no clips"):
        next(batches([tmp_path], Draw(size=32), seed=0))


def test_references_want_clips_that_were_weighed(bank):
    with pytest.raises(ArgumentError, match=r"has no trust\.npy"):
        next(batches([bank], Draw(size=32, clips=1), seed=0))


def test_batches_are_the_same_for_a_seed_and_differ_between_seeds(bank):
    draw = Draw(size=32, clips=3, reference=0.0)
    one, again, other = (next(batches([bank], draw, seed=seed)) for seed in (4, 4, 5))
    for name, values in one.items():
        np.testing.assert_array_equal(values, again[name])
    assert not np.array_equal(one["ten"], other["ten"], equal_nan=True)
    assert one["ten"].shape == (6, 4, 32, 32)
    seen = one["cs"][np.isfinite(one["cs"])]
    assert ((seen >= 0) & (seen <= 1)).all()


def test_bands_that_a_batch_lacks_are_nodata_and_told(bank):
    for seed in range(6):
        batch = next(batches([bank], Draw(size=32, clips=2, reference=0.0), seed=seed))
        for sample in range(len(batch["ten"])):
            images = [*batch["ten"][sample], *batch["twenty"][sample]]
            for index in range(len(ORDER)):
                if batch["conditions"][sample, index] == 0:
                    assert np.isnan(images[index]).all()


def test_a_pair_is_as_clear_as_the_worse_of_the_two(bank):
    batch = next(batches([bank], Draw(size=32, clips=8, pair=True), seed=0))
    (shard,) = shards_of(bank)
    cs = np.load(shard / "cs.npy")
    # Two frames a clip: both of a pair have the same label, turned alike or not.
    assert batch["cs"].shape == (16, 32, 32)
    assert np.nanmax(batch["cs"]) <= cs[cs != 255].max() / 200 + 1e-6
    for first, second in zip(batch["cs"][::2], batch["cs"][1::2], strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_plan_that_cant_be_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="multiple of 6"):
        Plan(tmp_path, clips=1, size=50)
    with pytest.raises(ArgumentError, match="at least 1 clip"):
        Plan(tmp_path, clips=0)


def test_the_ground_comes_back_under_the_right_guess_of_the_air():
    rng = np.random.default_rng(0)
    ground = rng.uniform(0, 0.8, (3, 5, 5)).astype(np.float32)
    guess = np.stack([rng.uniform(0.01, 0.1, 3), rng.uniform(0.5, 0.9, 3), rng.uniform(0.05, 0.2, 3)], -1)
    path, scale, albedo = (guess[:, i, None, None] for i in range(3))
    toa = path + scale * ground / (1 - albedo * ground)
    np.testing.assert_allclose(surface_of(toa.astype(np.float32), guess.astype(np.float32)), ground, atol=1e-5)


def test_average_surroundings_make_clouds_brighter_and_bluer_and_nothing_of_their_own_kind():
    toa, guess = (
        np.full((2, 1, 1), 0.8, np.float32),
        np.float32([[0.1, 0.7, 0.2], [0.01, 0.95, 0.02]]),
    )  # blue, infrared
    exact = surface_of(toa, guess)
    average = surface_of(toa, guess, around=0.15)
    assert (average > exact).all()
    assert average[0] / average[1] > 1.1 * exact[0] / exact[1]
    for band in range(2):
        same = surface_of(toa[band : band + 1], guess[band : band + 1], around=float(exact[band, 0, 0]))
        np.testing.assert_allclose(same, exact[band : band + 1], rtol=1e-6)


def test_stored_numbers_mean_what_products_mean():
    np.testing.assert_allclose(decode(np.uint16([[1000, 11000, 0]])), [[0, 1, np.nan]], atol=1e-6)


@pytest.mark.parametrize("frame", range(4))
def test_a_frame_never_counts_for_its_own_reference(frame):
    rng = np.random.default_rng(frame)
    ten = rng.uniform(0, 1, (4, 4, 8, 8)).astype(np.float32)
    twenty = rng.uniform(0, 1, (4, 9, 4, 4)).astype(np.float32)
    weight = rng.uniform(0, 1, (4, 4, 4)).astype(np.float32)
    dates = np.array(["2020-01-01", "2020-01-11", "2020-02-11", "2021-01-01"], dtype="datetime64[s]")
    before = ground_for(ten, twenty, weight, dates=dates, frame=frame)
    ten[frame], twenty[frame], weight[frame] = 7.0, 7.0, 1.0
    after = ground_for(ten, twenty, weight, dates=dates, frame=frame)
    for name in ("ten", "twenty", "support"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    ten[frame - 1] += 1.0
    assert not np.array_equal(ground_for(ten, twenty, weight, dates=dates, frame=frame).ten, before.ten)


def test_conditions_tell_bands_level_pixel_and_sun():
    told = conditions(["B02", "B12"], level="L2A", pixel=20.0, view=View(45.0, 90.0, 12.0))
    assert told[:13].sum() == 2
    assert told[13] == 1
    assert told[14] == pytest.approx(1 / 2.6)
    # The sun in the east: shadows fall along x, not along y.
    np.testing.assert_allclose(told[15:], [np.cos(np.pi / 4), 1 / 3, 1 / 3, 0, 1], atol=1e-6)
    assert not conditions(["B02"], level="L1C", pixel=10.0, view=None)[13:].any()


def test_half_of_the_processors_limit_the_vapour_band(bank, tmp_path):
    copy = shutil.copytree(bank, tmp_path / "bright")
    for shard in shards_of(copy):
        sixty = np.load(shard / "sixty.npy")
        sixty[:, :, ORDER.index("B09") - len(ORDER)] = 41_000
        np.save(shard / "sixty.npy", sixty)
    peaks: dict[float, list[float]] = {0.0: [], 1.0: []}
    for seed in range(12):
        batch = next(batches([copy], Draw(size=32, clips=8, targets=1, reference=0.0), seed=seed))
        for image, told in zip(batch["twenty"][:, ORDER.index("B09") - 4], batch["conditions"], strict=True):
            if told[ORDER.index("B09")] and np.isfinite(image).any():
                peaks[told[13]].append(float(np.nanmax(image)))
    assert min(peaks[0.0]) > 3
    limited = np.array(peaks[1.0]) < 2.1
    assert 0.2 < limited.mean() < 0.8
    # What isn't limited is far above: vapour was taken for what lies above a cloud, too.
    assert (np.array(peaks[1.0])[~limited] > 3).all()


def test_windows_of_clear_chips_are_clear_clips(tmp_path):
    rng = np.random.default_rng(1)
    toa = rng.uniform(0, 0.5, (13, 100, 110)).astype(np.float32)
    chips = tmp_path / "chips"
    chips.mkdir()
    np.savez(chips / "one.npz", toa=toa)
    entry = {"name": "one", "state": "clear", "pixel_m": 10, "shape": [13, 100, 110], "date": None}
    (chips / "manifest.json").write_text(json.dumps([entry]))
    shard = clear_bank(chips, tmp_path / "bank", clips=2, size=64)
    ten = decode(np.load(shard / "ten.npy"))[0, 0]
    windows = np.lib.stride_tricks.sliding_window_view(toa[[1, 2, 3, 7]], (64, 64), axis=(1, 2))[:, ::2, ::2]
    assert np.isclose(windows, ten[:, None, None], atol=6e-5).all(axis=(0, 3, 4)).sum() == 1
    batch = next(batches([tmp_path / "bank"], Draw(size=64, clips=2, targets=1, reference=0.0), seed=0))
    assert (batch["cs"] == 1).all()
    assert np.isfinite(batch["conditions"]).all()
    with pytest.raises(ArgumentError, match="smallest chip's side, 100"):
        clear_bank(chips, tmp_path / "other", clips=2, size=128)


def test_some_clips_get_noise_in_every_pixel(monkeypatch):
    rng = np.random.default_rng(0)
    seen = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(batch_module, "_NOISY", share)
        for _ in range(20):
            values = [np.full((2, count, 16, 16), 0.3, dtype=np.float32) for count in (4, 9)]
            batch_module._jitter(*values, rng)
            seen.append([array.std(axis=(2, 3)) for array in values])
    for ten, twenty in seen[:20]:
        assert max(ten.max(), twenty.max()) < 1e-6
    for ten, twenty in seen[20:]:
        assert min(ten.min(), twenty.min()) > 0.0008
        assert max(ten.max(), twenty.max()) < 0.025


def test_some_clips_get_areas_without_texture(bank, monkeypatch):
    def even(share):
        monkeypatch.setattr(batch_module, "_EVEN", share)
        draw = Draw(size=48, clips=24, targets=1, reference=0.0)
        ten = next(batches([bank], draw, seed=3))["ten"]
        return [(np.diff(image[0]) == 0).mean() for image in ten]

    monkeypatch.setattr(batch_module, "_NOISY", 0.0)
    assert np.median(even(0.0)) < 0.02 < 0.2 < np.mean(even(1.0))
