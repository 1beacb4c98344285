"""An archive of scores: what is made, what is left alone, and what a fault leaves behind."""

import functools
import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pystac
import pytest

import clearsight
from clearsight import _periods, _subtiles, archive
from clearsight.archive import Options
from clearsight.coverage import missing, summarise
from clearsight.errors import ArgumentError, OutputError
from clearsight.product import decode, encode, read_scores
from clearsight.scoring import DEFAULT_MODEL, PROJECTION, score, version_of
from clearsight.stack import load
from plain_scenes import SHAPE, image, index_of, make_item

produce = functools.partial(archive.produce, model="projection")
"""Quick, and to what is tested here a scorer like any other; `archive.produce` where the learned one matters."""


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[pystac.Item]:
    folder = tmp_path_factory.mktemp("products")
    return [make_item(folder, number) for number in range(5)]


@pytest.fixture(scope="module")
def made(items, tmp_path_factory):
    out = tmp_path_factory.mktemp("archive")
    return out, produce(items, out)


@pytest.fixture(scope="module")
def learned(items, tmp_path_factory):
    """The same with the scorer that is the default."""
    out = tmp_path_factory.mktemp("learned")
    return out, archive.produce(items, out)


def _cogs(root: Path) -> dict[str, str]:
    """Content of the COGs; one that took another's place counts under the other's name."""
    return {name.replace(".b.tif", ".tif"): held for name, held in _files(root).items() if name.endswith(".tif")}


def _files(root: Path) -> dict[str, str]:
    """Content of all files but the dates of production."""
    found = {}
    for path in sorted(root.rglob("*")):
        if ".work" in path.parts:
            assert path.suffix in ("", ".lock"), path
        elif path.suffix == ".json":
            described = json.loads(path.read_text())
            for key in ("created", "DATE_PRODUCT_GENERATED"):
                described.get("properties", {}).pop(key, None)
            found[path.relative_to(root).as_posix()] = json.dumps(described)
        elif path.is_file():
            found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_archive_lies_as_documented(made):
    out, done = made
    expected = {"collection.json"}
    for number in range(5):
        index = index_of(number)
        expected |= {f"33UUU/2023/{index}/{index}.{end}" for end in ("tif", "json")}
    assert set(_files(out)) == expected
    assert [item.id for item in done.written] == [index_of(number) for number in range(5)]
    assert (done.skipped, done.failed) == ((), ())


def test_files_hold_the_scores_of_the_whole_series(learned, items):
    _, done = learned
    scores = score(load(items), level="L1C")
    for number, item in enumerate(done.written):
        back = read_scores(item.assets["scores"].get_absolute_href())
        for name in ("cs", "cs_cdf"):
            np.testing.assert_array_equal(back[name], decode(encode(scores[name].isel(time=number).values)))
    cloud = image(0)[0] > 4000
    cs = read_scores(done.written[0].assets["scores"].get_absolute_href()).cs.values
    assert np.nanmean(cs[cloud]) < 0.3 < 0.7 < np.nanmean(cs[~cloud])
    assert np.isnan(cs[:, 0]).all()


@pytest.mark.parametrize(("whole", "model"), [("made", PROJECTION), ("learned", None)])
def test_sub_tiles_change_nothing(whole, model, items, tmp_path, monkeypatch, request):
    monkeypatch.setattr(_subtiles, "side_for", lambda frames, **_: 64)
    archive.produce(items, tmp_path, model=model)
    assert _cogs(tmp_path) == _cogs(request.getfixturevalue(whole)[0])


def test_properties_are_true(learned, items):
    for item, source in zip(learned[1].written, items, strict=True):
        facts = item.properties
        assert facts["MGRS_TILE"] == "33UUU"
        assert facts["SOURCE_ASSET_ID"] == source.id
        assert facts["SOURCE_PRODUCT_ID"] == source.properties["s2:product_uri"].removesuffix(".SAFE")
        assert facts["PROCESSING_SOFTWARE_VERSION"] == clearsight.__version__
        assert facts["MODEL_VERSION"] == version_of(DEFAULT_MODEL)
        assert facts["NO_CONTEXT_FRACTION"] == 0
        assert facts["DATE_PRODUCT_GENERATED"] == facts["created"]
        assert (item.datetime, item.bbox) == (source.datetime, source.bbox)
        assert item.geometry == json.loads(json.dumps(source.geometry))


def test_no_context_fraction_counts_the_sub_tiles_without(items, tmp_path, monkeypatch):
    assert produce(items[:1], tmp_path / "alone").written[0].properties["NO_CONTEXT_FRACTION"] == 1
    assert (
        produce(items, tmp_path / "off", options=Options(context=False)).written[2].properties["NO_CONTEXT_FRACTION"]
        == 1
    )
    # The second date was seen in the upper half of the grid only: the lower half of the first has no context.
    half = image(1)
    half[:, SHAPE[0] // 2 :] = 0
    monkeypatch.setattr(_subtiles, "side_for", lambda frames, **_: SHAPE[0] // 2)
    first, second = produce([items[0], make_item(tmp_path, 1, numbers=half)], tmp_path / "half").written
    assert first.properties["NO_CONTEXT_FRACTION"] == pytest.approx(0.5)
    assert second.properties["NO_CONTEXT_FRACTION"] == 0


def test_unfinished_work_of_other_weights_is_not_taken_for_this(items, tmp_path, monkeypatch):
    """Two files of weights that tell the same version: the second one's scores are its own."""
    shipped = Path(clearsight.__file__).parent / "models" / f"{DEFAULT_MODEL}.onnx"
    stored = shipped.read_bytes()
    # The calibration lies in the file's facts, scores before and after; the second file's give half of all after.
    calibration = re.search(rb'"calibration": \[\[.*?\], \[(.*?)\]\]', stored)
    halves = re.sub(rb"0\.\d+", lambda found: b"0.5".ljust(len(found[0]), b"0"), calibration[1])
    changed = stored.replace(calibration[1], halves)
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    first.write_bytes(stored)
    second.write_bytes(changed)
    assert version_of(str(first)) == version_of(str(second))

    with monkeypatch.context() as patch:
        patch.setattr(archive, "publish", None)
        with pytest.raises(TypeError):
            archive.produce(items[:1], tmp_path / "archive", model=str(first))
    archive.produce(items[:1], tmp_path / "archive", model=str(second))
    archive.produce(items[:1], tmp_path / "undisturbed", model=str(second))
    archive.produce(items[:1], tmp_path / "former", model=str(first))
    assert _cogs(tmp_path / "archive") == _cogs(tmp_path / "undisturbed") != _cogs(tmp_path / "former")


def test_second_run_is_a_no_op(made, items):
    out, _ = made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = produce(items, out)
    assert again.written == ()
    assert [skipped.item_id for skipped in again.skipped] == [item.id for item in items]
    assert "already there" in again.skipped[0].reason
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_overwrite_scores_again(made, items, tmp_path):
    produce(items[:2], tmp_path)
    again = produce(items[:2], tmp_path, overwrite=True)
    assert len(again.written) == 2
    assert again.skipped == ()


def test_late_item_is_scored_with_the_others_as_context(made, items, tmp_path):
    produce(items[:4], tmp_path)
    late = produce(items, tmp_path)
    assert [item.id for item in late.written] == [index_of(4)]
    assert late.written[0].properties["NO_CONTEXT_FRACTION"] == 0
    name = f"33UUU/2023/{index_of(4)}/{index_of(4)}.tif"
    assert _files(tmp_path)[name] == _files(made[0])[name]


@pytest.mark.parametrize("crash_at", ["score_window", "finish_scores", "write_item"])
def test_crash_leaves_nothing_half_written_and_the_next_run_completes(crash_at, made, items, tmp_path, monkeypatch):
    calls = 0
    real = getattr(_subtiles, crash_at)

    def crashing(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == (1 if crash_at == "score_window" else 3):
            raise RuntimeError("the power is out")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(_subtiles, crash_at, crashing)
        with pytest.raises(RuntimeError, match="power"):
            produce(items, tmp_path)
    names = {path.name for path in tmp_path.rglob("*") if path.is_file() and ".work" not in path.parts}
    assert all(name in {f"{index_of(n)}.{end}" for n in range(5) for end in ("tif", "json")} for name in names)
    for described in tmp_path.glob("33UUU/**/*.json"):
        assert (
            described.with_suffix(".tif").stat().st_size
            == json.loads(described.read_text())["assets"]["scores"]["file:size"]
        )
    produce(items, tmp_path)
    complete, undisturbed = _files(tmp_path), _files(made[0])
    assert complete.keys() == undisturbed.keys()
    assert complete["collection.json"] == undisturbed["collection.json"]
    assert all(complete[name] == undisturbed[name] for name in complete if name.endswith(".tif"))


def test_truncated_file_is_made_again(made, items, tmp_path):
    done = produce(items[:2], tmp_path)
    path = Path(done.written[1].assets["scores"].get_absolute_href())
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    again = produce(items[:2], tmp_path)
    assert [item.id for item in again.written] == [index_of(1)]
    assert path.read_bytes() == whole


def test_unwritable_folder_is_told_before_any_work(items, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(_subtiles, "load", lambda *args, **kwargs: pytest.fail("work was done"))
    with pytest.raises(OutputError, match="out="):
        produce(items, tmp_path / "file" / "archive")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_broken_image_is_told_and_the_others_are_scored_as_if_it_were_not_there(items, tmp_path):
    broken = make_item(tmp_path, 7)
    path = Path(broken.assets["B02"].href)
    path.write_bytes(path.read_bytes()[:300])
    done = produce([*items, broken], tmp_path / "with")
    assert [failed.item_id for failed in done.failed] == [broken.id]
    assert "fetch" in done.failed[0].reason
    produce(items, tmp_path / "without")
    assert _cogs(tmp_path / "with") == _cogs(tmp_path / "without")


def test_image_without_a_pixel_is_told_and_not_published(items, tmp_path):
    empty = make_item(tmp_path, 8, numbers=np.zeros((4, *SHAPE), "uint16"))
    done = produce([items[0], empty], tmp_path / "archive")
    assert [item.id for item in done.written] == [index_of(0)]
    assert [failed.item_id for failed in done.failed] == [empty.id]
    assert not (tmp_path / "archive" / "33UUU" / "2023" / index_of(8)).exists()


def test_items_that_cannot_be_placed_are_told(items, tmp_path):
    undated, blind, escaping = (items[number].clone() for number in range(3))
    undated.datetime = None
    del blind.assets["B03"]
    escaping.properties["clearsight:index"] = "../../outside"
    done = produce([undated, blind, escaping, items[3]], tmp_path / "archive")
    reasons = {failed.item_id: failed.reason for failed in done.failed}
    assert "datetime" in reasons[undated.id]
    assert "B03" in reasons[blind.id]
    assert "outside" in reasons[escaping.id]
    assert len(done.written) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_levels_are_never_mixed(items, tmp_path):
    twin = make_item(tmp_path, 0, level="L2A")
    with pytest.raises(ArgumentError, match="collection='sentinel-2-l1c'"):
        produce([*items, twin], tmp_path / "archive")
    with pytest.raises(ArgumentError, match="level='L1A'"):
        produce(items, tmp_path / "archive", level="L1A")
    done = produce([items[0], twin], tmp_path / "archive", level="L2A")
    assert [item.properties["SOURCE_ASSET_ID"] for item in done.written] == [twin.id]
    assert "L2A" in produce([items[0]], tmp_path / "archive").skipped[0].reason


def test_of_two_processings_the_later_is_scored(items, tmp_path):
    older = make_item(tmp_path, 0, baseline="02.04")
    for order in ([older, items[0]], [items[0], older]):
        done = produce(order, tmp_path / "archive", overwrite=True)
        assert [item.properties["SOURCE_ASSET_ID"] for item in done.written] == [items[0].id]
        assert [skipped.item_id for skipped in done.skipped] == [older.id]


def test_tiles_are_kept_apart(items, tmp_path):
    other = make_item(tmp_path, 1, tile="33UVU")
    done = produce([*items[:2], other], tmp_path / "archive", tile="33UVU")
    assert [item.properties["MGRS_TILE"] for item in done.written] == ["33UVU"]
    assert done.written[0].properties["NO_CONTEXT_FRACTION"] == 1
    assert len(produce([*items[:2], other], tmp_path / "archive").written) == 2
    with pytest.raises(ArgumentError, match="33UUU, 33UVU"):
        produce([*items[:2], other], tmp_path / "archive", tile="11SKB")


def test_band_that_one_item_lacks_is_left_out_for_all(items, tmp_path, caplog):
    poor = items[1].clone()
    del poor.assets["B08"]
    done = produce([items[0], poor], tmp_path)
    assert "B08" in caplog.text
    scores = score(load(items[:2], bands=["B02", "B03", "B04"]), level="L1C", model=PROJECTION)
    back = read_scores(done.written[0].assets["scores"].get_absolute_href())
    np.testing.assert_array_equal(back.cs, decode(encode(scores.cs[0].values)))


def test_progress_counts_up_to_the_end(items, tmp_path):
    steps = []
    produce(items[:2], tmp_path, progress=lambda done, total, what: steps.append((done, total, what)))
    counts = [done for done, _, _ in steps]
    assert counts == sorted(counts)
    assert steps[-1][0] == steps[-1][1] == 3
    assert {what for _, _, what in steps} == {"scoring 33UUU"}


def test_summary_counts_by_tile_and_month(made, learned):
    rows = summarise(made[0])
    assert [(row.tile, row.month, row.scenes, row.no_context) for row in rows] == [
        ("33UUU", "2023-03", 4, 0.0),
        ("33UUU", "2023-04", 1, 0.0),
    ]
    assert rows[0].models == (version_of(PROJECTION),)
    assert summarise(learned[0])[0].models == (version_of(DEFAULT_MODEL),)


def test_resolution_of_the_product(items, tmp_path):
    done = produce(items[:2], tmp_path, options=Options(resolution=20))
    assert done.written[0].properties["proj:shape"] == [60, 48]
    assert done.written[0].properties["gsd"] == 20


def test_nothing_to_do_is_told(tmp_path):
    with pytest.raises(ArgumentError, match="level"):
        produce([], tmp_path)


def _facts(root, number):
    return json.loads((root / "33UUU" / "2023" / index_of(number) / f"{index_of(number)}.json").read_text())[
        "properties"
    ]


def test_near_real_time_knows_the_past_only_and_a_backfill_makes_it_anew(made, items, tmp_path):
    live = Options(mode="near-real-time")
    assert _files(tmp_path) == {}
    for number in range(5):
        produce(items[: number + 1], tmp_path, options=live)
    assert [_facts(tmp_path, n)["CONTEXT"] for n in range(5)] == ["none", "past", "past", "past", "past"]
    assert [_facts(tmp_path, n)["CONTEXT_FRAMES"] for n in range(5)] == [0, 1, 2, 3, 4]
    assert _facts(tmp_path, 0)["NO_CONTEXT_FRACTION"] == 1
    assert [row.past_only for row in summarise(tmp_path)] == [3, 1]
    alone = score(load([items[0]]), level="L1C", model=PROJECTION).cs[0].values
    first = read_scores(tmp_path / "33UUU" / "2023" / index_of(0) / f"{index_of(0)}.tif").cs.values
    np.testing.assert_array_equal(first, decode(encode(alone)))
    past = score(load(items[:3]), level="L1C", model=PROJECTION).cs[2].values
    third = read_scores(tmp_path / "33UUU" / "2023" / index_of(2) / f"{index_of(2)}.tif").cs.values
    np.testing.assert_array_equal(third, decode(encode(past)))
    done = produce(items, tmp_path)
    assert len(done.written) == 5
    assert _cogs(tmp_path) == _cogs(made[0])
    assert produce(items, tmp_path).written == ()
    assert produce(items, tmp_path, options=live).written == ()


def test_cost_of_the_next_scene_in_near_real_time_is_bounded(tmp_path):
    many = [make_item(tmp_path, number, numbers=image(0, shape=(8, 8))) for number in range(30)]
    frames = [_periods.Frame(item.id, item, tmp_path / item.id) for item in many]
    cut = _periods.periods(frames, mode="near-real-time", context=True)
    assert max(len(period.frames) for period in cut) == 1 + _periods.PAST
    assert all(max(frame.date for frame in period.frames) == period.targets[0].date for period in cut)


def test_long_series_are_cut_into_years_and_each_frame_is_scored_once(tmp_path, monkeypatch):
    monkeypatch.setattr(_periods, "TOGETHER", 20)
    many = [make_item(tmp_path, number, numbers=image(0, shape=(8, 8))) for number in range(80)]
    frames = [_periods.Frame(item.id, item, tmp_path / item.id) for item in many]
    cut = _periods.periods(frames, mode="backfill", context=True)
    assert [period.targets[0].date.year for period in cut] == [2023, 2024, 2025]
    assert [frame for period in cut for frame in period.targets] == frames
    second = cut[1]
    assert second.targets[0].date - min(frame.date for frame in second.frames) <= timedelta(days=90)
    assert len(second.frames) > len(second.targets)


def test_late_frame_upgrades_what_lacked_context_and_leaves_the_others(items, tmp_path):
    produce(items[:1], tmp_path)
    before = _files(tmp_path)
    done = produce(items[:3], tmp_path)
    assert [item.id for item in done.written] == [index_of(number) for number in range(3)]
    assert _facts(tmp_path, 0)["NO_CONTEXT_FRACTION"] == 0
    assert before.items() - _files(tmp_path).items()
    after = _files(tmp_path)
    done = produce(items, tmp_path)
    assert [item.id for item in done.written] == [index_of(3), index_of(4)]
    untouched = {name: held for name, held in after.items() if name != "collection.json"}
    assert untouched.items() <= _files(tmp_path).items()


def test_reprocessed_product_takes_the_place_of_its_former_self(items, tmp_path):
    old = make_item(tmp_path / "old", 0, baseline="05.00", numbers=image(0) + np.uint16(300))
    root = tmp_path / "archive"
    produce([old, *items[1:3]], root)
    folder = root / "33UUU" / "2023" / index_of(0)
    assert {path.name for path in folder.iterdir()} == {f"{index_of(0)}.json", f"{index_of(0)}.tif"}
    done = produce([items[0], old, *items[1:3]], root)
    assert [item.properties["SOURCE_ASSET_ID"] for item in done.written] == [items[0].id]
    (item,) = done.written
    assert Path(item.assets["scores"].get_absolute_href()).exists()
    assert len(list(folder.iterdir())) == 2
    assert produce([old, *items[1:3]], root).written == ()


def test_what_is_missing_is_listed_until_it_is_there(items, tmp_path):
    broken = make_item(tmp_path, 9)
    path = Path(broken.assets["B02"].href)
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    blind = items[4].clone()
    del blind.assets["B03"]
    root = tmp_path / "archive"
    produce([*items[:2], blind, broken], root)
    listed = missing(root)
    assert [lack.item_id for lack in listed] == sorted([blind.id, broken.id])
    assert "B03" in {lack.item_id: lack.reason for lack in listed}[blind.id]
    path.write_bytes(whole)
    produce([*items[:2], items[4], broken], root)
    assert missing(root) == []
    assert [(row.month, row.scenes) for row in summarise(root)] == [("2023-03", 2), ("2023-04", 1), ("2023-05", 1)]


def test_gaps_are_told(items, tmp_path):
    far = make_item(tmp_path, 20)
    produce([items[0], far], tmp_path / "archive")
    rows = summarise(tmp_path / "archive")
    assert [row.scenes for row in rows] == [1, 0, 0, 0, 0, 0, 1]
    assert [row.month for row in rows][::6] == ["2023-03", "2023-09"]


def test_unknown_mode_is_told(items, tmp_path):
    with pytest.raises(ArgumentError, match=r"options\.mode='live'"):
        produce(items, tmp_path, options=Options(mode="live"))
