"""Mined clips: what a bank holds of an archive is what loading gives, whole, and the same every time."""

from __future__ import annotations

import json

import numpy as np
import pytest

import clearsight
from clearsight.errors import ArgumentError
from clearsight.training.bank import FACTS, ORDER, decode, shards_of
from clearsight.training.batches import Draw, batches
from clearsight.training.mining import Wanted, draw_dates, mine

WANTED = Wanted(clips=3, frames=3, size=64, per_place=2, seed=5)


@pytest.fixture(scope="module")
def items(season):
    return clearsight.search(season.files["products"], collection="sentinel-2-l1c")


@pytest.fixture(scope="module")
def bank(items, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mined")
    mine(items, folder, wanted=WANTED)
    return folder


def arrays_of(folder):
    (shard,) = shards_of(folder)
    return {path.name: path.read_bytes() for path in sorted(shard.iterdir())}


def test_a_mined_shard_says_what_it_holds(bank, items):
    (shard,) = shards_of(bank)
    about = json.loads((shard / "clips.json").read_text())
    assert about == {"first": 0, "clips": 3, "level": "L1C", "bands": list(ORDER)}
    ten, cs, facts = (np.load(shard / f"{name}.npy") for name in ("ten", "cs", "facts"))
    assert ten.shape == (3, 3, 4, 64, 64)
    assert (cs == 255).all()
    days = facts[..., FACTS.index("day")]
    assert (np.diff(days, axis=1) >= 0).all()
    known = {item.datetime.date().toordinal() - 719163 for item in items}
    assert set(days.ravel()) <= known
    elevations = {round(item.properties["view:sun_elevation"], 6) for item in items}
    assert {round(90 - zenith, 6) for zenith in facts[..., FACTS.index("sun_zenith")].ravel()} <= elevations


def test_mined_pixels_are_those_that_loading_gives(bank, items):
    (shard,) = shards_of(bank)
    stack = clearsight.load(items, bands=["B02", "B8A"])
    blue = decode(np.load(shard / "ten.npy")[0, 0, 0])
    day = int(np.load(shard / "facts.npy")[0, 0, FACTS.index("day")])
    frame = [item.datetime.date().toordinal() - 719163 for item in items].index(day)
    whole = stack.B02.to_numpy()[frame]
    places = [
        (top, left)
        for top in range(0, whole.shape[0] - 63, 2)
        for left in range(0, whole.shape[1] - 63, 2)
        if np.allclose(blue, whole[top : top + 64, left : left + 64], atol=6e-5, equal_nan=True)
    ]
    assert len(places) == 1


def test_mining_is_the_same_every_time_and_goes_on_where_it_stopped(bank, items, tmp_path):
    mine(items[::-1], tmp_path, wanted=WANTED)
    assert arrays_of(tmp_path) == arrays_of(bank)
    before = [path.stat().st_mtime_ns for path in shards_of(tmp_path)]
    mine(items, tmp_path, wanted=WANTED)
    assert [path.stat().st_mtime_ns for path in shards_of(tmp_path)] == before


def test_a_shard_that_fails_halfway_leaves_nothing(items, tmp_path, monkeypatch):
    def broken(*_args, **_more):
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", broken)
    with pytest.raises(OSError, match="no space"):
        mine(items, tmp_path, wanted=WANTED)
    assert list(tmp_path.iterdir()) == []


def test_too_few_dates_are_refused(items, tmp_path):
    with pytest.raises(ArgumentError, match="expected 99 or more"):
        mine(items, tmp_path, wanted=Wanted(clips=1, frames=99, size=64))
    with pytest.raises(ArgumentError, match="6400 pixels"):
        mine(items, tmp_path, wanted=Wanted(clips=1, frames=3, size=6400))
    with pytest.raises(ArgumentError, match="multiple of 4"):
        Wanted(clips=1, size=62)
    with pytest.raises(ArgumentError, match="per_place"):
        Wanted(clips=1, per_place=65)


def test_unlabelled_clips_give_batches_without_labels(bank):
    batch = next(batches([bank], Draw(size=64, clips=2, targets=2, reference=0.0), seed=1))
    assert np.isnan(batch["cs"]).all()
    assert (batch["cause"] == -1).all()
    assert np.isfinite(batch["conditions"]).all()


@pytest.mark.parametrize("seed", range(20))
def test_dates_are_different_frames_in_order(seed):
    days = np.cumsum(np.random.default_rng(seed).integers(0, 30, 40))
    drawn = draw_dates(days, 8, np.random.default_rng(seed))
    assert (np.diff(drawn) > 0).all()
    assert days[drawn[-1]] - days[drawn[0]] <= max(500, days[-1] - days[0])
