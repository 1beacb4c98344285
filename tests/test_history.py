"""The history of a place: order-free, mergeable, of a fixed size, and true to what it was told."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearsight import cdf
from clearsight.errors import ArgumentError, OutputError, ProductError
from clearsight.history import History, Seen, open_history

BANDS = ("B02", "B04", "B08")
SHAPE = (3, 4)


def seen(number: int, *, version: str = "05.09", finer: int = 1, ground: float | None = None) -> Seen:
    """A frame that is a function of its number; its date lies anywhere in eight years."""
    rng = np.random.default_rng(number)
    cs = rng.random([size * finer for size in SHAPE], dtype=np.float32)
    cs[rng.random(cs.shape) < 0.4] = 1.0
    values = rng.uniform(-0.05, 0.9, (len(BANDS), *SHAPE)).astype(np.float32)
    values[:, rng.random(SHAPE) < 0.1] = np.nan
    if ground is not None:
        values[:], cs[:] = ground, 1.0
    date = np.datetime64("2016-01-01T10:20:30") + np.timedelta64(int(rng.integers(0, 3000)), "D")
    return Seen(f"frame{number}", version, date, values, cs)


def history_of(numbers, **kwargs) -> History:
    past = History(SHAPE, BANDS)
    for number in numbers:
        assert past.add(seen(number, **kwargs))
    return past


def content(past: History, folder: Path) -> dict[str, bytes]:
    past.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


numbers = st.lists(st.integers(0, 60), unique=True, max_size=12)


@settings(max_examples=30)
@given(order=numbers, data=st.data())
def test_order_of_arrival_changes_no_byte(order, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    shuffled = data.draw(st.permutations(order))
    assert content(history_of(order), folder / "a") == content(history_of(shuffled), folder / "b")


@settings(max_examples=30)
@given(order=numbers, cut=st.integers(0, 12))
def test_merging_two_histories_equals_one_history(order, cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    merged = history_of(order[:cut])
    merged.merge(history_of(order[cut:]))
    assert content(merged, folder / "merged") == content(history_of(order), folder / "one")


@settings(max_examples=30)
@given(order=numbers, extra=st.integers(61, 99), day=st.integers(0, 4000))
def test_reference_without_a_frame_is_that_of_a_history_which_never_saw_it(order, extra, day):
    at = np.datetime64("2015-06-01") + np.timedelta64(day, "D")
    full, own = history_of([*order, extra]), seen(extra)
    left = full.reference(at=at, without=own)
    expected = history_of(order).reference(at=at)
    full.remove(own)
    for found in (left, full.reference(at=at)):
        for name in ("centre", "spread", "recent", "age", "count"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert sorted(full.frames) == sorted(f"frame{number}" for number in order)


def test_removing_restores_the_bytes_where_the_frame_was_none_of_the_latest(tmp_path):
    order = sorted(range(12), key=lambda number: seen(number).date)
    past = history_of(order, ground=0.2)
    assert past.remove(seen(order[0], ground=0.2))
    assert content(past, tmp_path / "a") == content(history_of(order[1:], ground=0.2), tmp_path / "b")


def test_reference_is_the_weighted_mean_that_it_says():
    past = History((1, 1), ("B02",))
    facts = [("2020-01-31", 0.10, 1.0), ("2021-01-31", 0.12, 1.0), ("2020-08-01", 0.30, 0.75), ("2021-02-10", 0.9, 0.1)]
    for day, value, cs in facts:
        past.add(Seen(day, "1", np.datetime64(day), np.full((1, 1, 1), value, "f4"), np.full((1, 1), cs, "f4")))
    at = np.datetime64("2021-02-20")
    ground = past.reference(at=at)
    # The middles of the first and the fourth sixth of a year, since the beginning of 2015.
    year = 365.2425
    away = (np.datetime64(at, "s") - np.datetime64("2015-01-01", "s")).astype(float) / 86_400 - np.array(
        [year / 12, 7 * year / 12]
    )
    away = np.abs((away + year / 2) % year - year / 2)
    winter, summer = 0.25 * np.exp(-0.5 * (away / 45) ** 2) + 0.05
    near = 0.7 * np.exp(-20 / 40)
    weights = np.array([winter, winter, 0.5 * summer, near])
    expected = weights @ [0.10, 0.12, 0.30, 0.12] / weights.sum()
    assert ground.centre.item() == pytest.approx(expected, abs=1e-5)
    assert ground.count.item() == pytest.approx(weights.sum(), rel=1e-5)
    assert (ground.recent.item(), ground.age.item()) == (pytest.approx(0.12), 20)
    assert ground.spread.item() == pytest.approx(np.sqrt((4 * 0.01**2 * 2) / 10), rel=1e-3)


def test_nothing_seen_is_no_reference_and_the_prior_alone():
    ground = history_of([]).reference(at=np.datetime64("2020-01-01"))
    assert np.isnan(ground.centre).all()
    assert np.isnan(ground.age).all()
    assert (ground.count == 0).all()
    cs = np.linspace(0, 1, 12, dtype="f4").reshape(SHAPE)
    np.testing.assert_array_equal(history_of([]).rank(cs), cdf.rank(cs[None], np.zeros((21, *SHAPE), "f4"))[0])


@pytest.mark.parametrize("finer", [1, 2])
def test_rank_is_that_of_all_scores_seen(finer):
    frames = [seen(number, finer=finer) for number in range(20)]
    past = History(SHAPE, BANDS)
    for frame in frames:
        past.add(frame)
    pooled = []
    for frame in frames:
        cells = frame.cs.reshape(SHAPE[0], finer, SHAPE[1], finer).transpose(0, 2, 1, 3).reshape(*SHAPE, -1)
        steps = np.rint(cells * np.float32(200)).astype(int).sum(-1)
        mean = np.floor(steps / finer**2 + 0.5) / 200
        pooled.append(np.where(np.isfinite(frame.values).all(axis=0), mean, np.nan).astype("f4"))
    counts = cdf.histogram(np.stack(pooled)).repeat(finer, axis=1).repeat(finer, axis=2)
    np.testing.assert_allclose(past.rank(frames[3].cs), cdf.rank(frames[3].cs[None], counts)[0], atol=2e-6)


def test_saved_is_opened_again_and_only_what_changed_is_written(tmp_path):
    past = history_of(range(5))
    past.save(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    again = open_history(tmp_path)
    assert again.frames == past.frames
    late = seen(77)
    assert again.add(late)
    again.save()
    season_files = {name for name in before if name.startswith(("weight", "sum"))}
    kept = {path.name for path in tmp_path.iterdir()} & season_files
    assert len(season_files - kept) <= 2
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == content(history_of([*range(5), 77]), tmp_path / "b")


def test_state_does_not_grow_with_the_frames(tmp_path):
    sizes = []
    for count in (10, 40, 160):
        past = History(SHAPE, BANDS)
        for number in range(count):
            past.add(seen(number))
        sizes.append(sum(past._parts[name].nbytes for name in past._parts))
    assert len(set(sizes)) == 1


def test_a_frame_counts_once_and_a_new_processing_takes_the_place_of_the_former(tmp_path):
    past = history_of([1, 2])
    assert not past.add(seen(1))
    with pytest.raises(ArgumentError, match="frame1"):
        past.add(seen(1, version="05.10"))
    assert not past.remove(seen(1, version="05.10"))
    assert past.version("frame1") == "05.09"
    past.remove(seen(1))
    past.add(seen(1, version="05.10"))
    assert past.version("frame1") == "05.10"
    with pytest.raises(ArgumentError, match="frame2"):
        past.merge(history_of([2]))


def test_what_cannot_be_used_is_told(tmp_path):
    past = history_of([1])
    with pytest.raises(ArgumentError, match=r"frame\.values"):
        past.add(Seen("a", "1", np.datetime64("2020-01-01"), np.zeros((1, *SHAPE), "f4"), np.zeros(SHAPE, "f4")))
    with pytest.raises(ArgumentError, match="cs has the shape"):
        past.rank(np.zeros((9, 9), "f4"))
    with pytest.raises(ArgumentError, match="2015"):
        past.add(Seen("a", "1", np.datetime64("2014-01-01"), np.zeros((3, *SHAPE), "f4"), np.zeros(SHAPE, "f4")))
    with pytest.raises(ArgumentError, match="other is"):
        past.merge(History((1, 1), BANDS))
    with pytest.raises(ArgumentError, match="no history"):
        open_history(tmp_path)
    with pytest.raises(ArgumentError, match="save"):
        past.save()
    past.save(tmp_path)
    with pytest.raises(ArgumentError, match="asked for"):
        open_history(tmp_path, shape=(9, 9), bands=BANDS)
    damaged = next(tmp_path.glob("square.*"))
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(ProductError, match="square"):
        open_history(tmp_path).reference(at=np.datetime64("2020-01-01"))
    (tmp_path / "history.json").write_text("{")
    with pytest.raises(ProductError, match="Remove the folder"):
        open_history(tmp_path)


def test_full_disk_leaves_the_former_history(tmp_path, monkeypatch):
    history_of(range(3)).save(tmp_path)
    before = open_history(tmp_path)
    after = open_history(tmp_path)
    after.add(seen(50))
    real, calls = Path.write_bytes, []

    def full(path, data):
        calls.append(path)
        if len(calls) == 3:
            real(path, data[:10])
            raise OSError(28, "No space left on device")
        return real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space"):
            after.save()
    held = open_history(tmp_path)
    assert held.frames == before.frames
    at = np.datetime64("2020-01-01")
    np.testing.assert_array_equal(held.reference(at=at).centre, before.reference(at=at).centre)
    after.save()
    assert content(open_history(tmp_path), tmp_path / "x") == content(history_of([0, 1, 2, 50]), tmp_path / "y")
