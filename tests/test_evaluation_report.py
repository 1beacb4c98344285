"""From scores to the report: worlds, series without labels, agreement with Cloud Score+, pages, the command."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin
from scipy.stats import pearsonr, spearmanr

from clearsight.errors import ArgumentError, ProductError
from clearsight.evaluation.against import compare, joint_histograms
from clearsight.evaluation.document import Text, to_html, to_markdown
from clearsight.evaluation.metrics import BINS
from clearsight.evaluation.peers.own import Layer
from clearsight.evaluation.report import details, first_page
from clearsight.evaluation.run import Evaluation, Tile, _Worst, evaluate, merged
from clearsight.evaluation.samples import Cause
from clearsight.evaluation.summary import summarise
from clearsight.evaluation.unlabelled import noise, survey
from clearsight.evaluation.worlds import FIRST_SEED, World, make_place
from clearsight.evaluation.writing import write_report

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(World(places=2, frames=2, size=48), worst=3)


def test_worlds_are_held_out_and_always_the_same() -> None:
    with pytest.raises(ArgumentError, match="trained"):
        World(first=FIRST_SEED - 1)
    one, again = (make_place(World(frames=2, size=24), 3) for _ in range(2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.labels, b.labels)
    assert one[0].place == one[1].place


def test_labels_of_worlds_follow_the_exact_truth() -> None:
    for sample in make_place(World(frames=3, size=48), 0):
        clear = np.isin(sample.labels, (Cause.CLEAR, Cause.WATER, Cause.SNOW))
        seen = sample.labels != Cause.NODATA
        np.testing.assert_array_equal(clear[seen], sample.layers["q"][seen] >= 0.8)


def test_a_perfect_score_is_perfect() -> None:
    """The exact quality, cut where its labels are cut, makes no mistake: nothing is lost on the way to the report."""
    perfect = Layer("truth", "q", threshold=0.8)
    summary = summarise(evaluate(World(places=2, frames=3, size=32), methods=[perfect]))
    told = summary["scores"]["truth"]
    assert told["roc_area"]["value"] == pytest.approx(1.0, abs=1e-3)
    assert told["at"]["0.80"]["balanced_accuracy"]["value"] == pytest.approx(1.0, abs=1e-3)
    assert summary["worst"][0]["wrong"] == pytest.approx(0.0, abs=1e-3)


def test_every_labelled_pixel_is_counted(found: Evaluation) -> None:
    for outcome in found.outcomes:
        assert outcome.tally.counts.sum() == 2 * 2 * 48 * 48
        assert outcome.tolerant.counts.sum() <= outcome.tally.counts.sum()
    wrong = [tile.wrong for tile in found.worst]
    assert wrong == sorted(wrong, reverse=True)
    assert len(wrong) == 3


def test_the_report_is_written_whole(found: Evaluation, tmp_path: Path) -> None:
    summary = summarise(found)
    parts = [*first_page(summary), *details(summary, worst=found.worst)]
    page = write_report(parts, tmp_path, data=summary, title="T")
    text = page.read_text()
    assert "Which threshold for which purpose" in text
    assert "Where not to trust the scores" in text
    assert text.count("data:image/png;base64,") == 2
    markdown = (tmp_path / "report.md").read_text()
    for name in re.findall(r"\]\((images/[^)]+)\)", markdown):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "evaluation.json").read_text()) == json.loads(json.dumps(summary))
    area = summary["scores"]["clearsight cs"]["roc_area"]["value"]
    assert f"{area:.3f}" in to_markdown(parts, images="i")
    assert f"{area:.3f}" in to_html(parts, title="T")


def test_noise_is_the_standard_deviation_of_noise() -> None:
    rng = np.random.default_rng(3)
    days = np.arange(80.0) * 5
    slow = 0.2 + 0.1 * np.sin(days / 120)[:, None]
    series = (slow + 0.01 * rng.standard_normal((80, 300))).astype(np.float32)
    kept = rng.random(series.shape) < 0.7
    assert noise(series, kept, days) == pytest.approx(0.01, rel=0.05)
    assert np.isnan(noise(series, np.zeros_like(kept), days))
    assert np.isnan(noise(series, kept, days * 100))


def test_a_mask_of_the_clouds_is_smoother_and_agrees_with_what_is_known_later() -> None:
    rng = np.random.default_rng(4)
    cloudy = rng.random((40, 6, 6)) < 0.3
    ground = 0.1 + 0.002 * rng.standard_normal(cloudy.shape)
    blue = np.where(cloudy, ground + rng.uniform(0.2, 0.6, cloudy.shape), ground).astype(np.float32)
    time = np.datetime64("2020-01-01", "ns") + np.arange(40) * np.timedelta64(5, "D")
    dims = ("time", "y", "x")
    stack = xr.Dataset(
        {"B02": (dims, blue), "right": (dims, 1 - np.float32(cloudy)), "random": (dims, rng.random(cloudy.shape))},
        coords={"time": time},
    )
    told = {
        each.score: each for each in survey(stack, level="L1C", methods=[Layer("a", "right"), Layer("b", "random")])
    }
    assert told["no mask"].availability == 1.0
    assert told["a"].availability == pytest.approx(1 - cloudy.mean())
    assert told["a"].noise["B02"] < 0.004 < 0.05 < told["no mask"].noise["B02"]
    assert told["a"].later > 0.6 > 0.2 > abs(told["b"].later)
    assert told["b"].matched["B02"] <= told["b"].noise["B02"]


def test_agreement_is_that_of_the_pixels_themselves() -> None:
    rng = np.random.default_rng(1)
    ours = rng.integers(0, BINS, 4000)
    theirs = np.clip(ours + rng.integers(-40, 40, 4000), 0, BINS - 1)
    joint = np.zeros((BINS, BINS), np.int64)
    np.add.at(joint, (ours, theirs), 1)
    told = compare(joint)
    assert told.pearson == pytest.approx(pearsonr(ours, theirs).statistic)
    assert told.spearman == pytest.approx(spearmanr(ours, theirs).statistic)
    assert told.distance == pytest.approx(np.abs(ours - theirs).mean() / 200)
    assert told.at["0.60"]["agreement"] == pytest.approx(((ours >= 120) == (theirs >= 120)).mean())


def test_exports_are_compared_on_their_own_grid(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    stored = rng.integers(0, 201, (2, 40, 50)).astype(np.uint8)
    stored[:, :5] = 255
    grid = {"crs": "EPSG:32631", "driver": "GTiff"}
    with rasterio.open(
        tmp_path / "ours.tif", "w", count=2, height=40, width=50, dtype="uint8", nodata=255,
        transform=from_origin(3e5, 5e6, 10, 10), **grid,
    ) as file:  # fmt: skip
        file.write(stored)
    scores = (stored[:, 10:, 20:] / 200).astype(np.float32)
    scores[0, 0, 0] = np.nan
    with rasterio.open(
        tmp_path / "theirs.tif", "w", count=2, height=30, width=30, dtype="float32", nodata=np.nan,
        transform=from_origin(3e5 + 200, 5e6 - 100, 10, 10), **grid,
    ) as file:  # fmt: skip
        file.write(scores)
        file.descriptions = ("cs", "cs_cdf")
    joint = joint_histograms(str(tmp_path / "ours.tif"), tmp_path / "theirs.tif")
    assert joint["cs"].sum() == 30 * 30 - 1
    assert np.trace(joint["cs"]) == 30 * 30 - 1
    with rasterio.open(tmp_path / "theirs.tif", "r+") as file:
        file.write(scores * 100)
    with pytest.raises(ProductError, match="without a factor"):
        joint_histograms(str(tmp_path / "ours.tif"), tmp_path / "theirs.tif")


def test_dates_make_a_clip_in_their_order() -> None:
    dates = [sample.date for sample in make_place(World(frames=3, size=16), 5)]
    assert dates == sorted(dates)
    assert isinstance(dates[0], datetime.date)


def test_places_scored_apart_make_the_same_report() -> None:
    """`make bench` scores places in processes of their own and can be broken off: nothing may depend on that."""
    world = World(places=3, frames=2, size=32)
    whole = evaluate(world, worst=4)
    together = merged([evaluate(replace(world, places=1, start=i), worst=4) for i in range(3)], worst=4)
    told = [summarise(each) for each in (whole, together)]
    for each in told:
        for score in each["scores"].values():
            del score["seconds_per_megapixel"]
    assert told[0] == told[1]
    with pytest.raises(ArgumentError, match="parts is empty"):
        merged([])


@given(wrong=st.lists(st.sampled_from([0.0, 0.1, 0.2]), min_size=1, max_size=14), size=st.integers(0, 5))
def test_of_equally_wrong_images_the_first_ones_stay(wrong: list[float], size: int) -> None:
    tiles = [SimpleNamespace(wrong=share, number=number) for number, share in enumerate(wrong)]
    kept = _Worst(size)
    for tile in tiles:
        kept.offer(cast(Tile, tile))
    assert list(kept.tiles()) == sorted(tiles, key=lambda tile: -tile.wrong)[:size]


def test_the_first_page_says_what_not_to_trust_and_nothing_else(found: Evaluation) -> None:
    summary = summarise(found)
    score = summary["scores"]["clearsight cs"]
    score["by_cause"] = {
        "thick cloud": {"usable": False, "right": 0.2, "pixels": 1000},
        "thin cloud": {"usable": False, "right": 0.8, "pixels": 1000},
        "clear": {"usable": True, "right": 0.95, "pixels": 1000},
    }
    groups = {"roc_area": 0.9, "balanced_accuracy": 0.9, "images": 6, "places": 2}
    score["by_surface"] = {
        "salt": {**groups, "usable_kept": 0.5, "unusable_kept": 0.0},
        "lake": {**groups, "usable_kept": None, "unusable_kept": 0.05},
    }
    score["by_season"] = {"winter": {**groups, "usable_kept": 0.97, "unusable_kept": 0.4}}
    text = to_markdown(first_page(summary), images="images")
    assert "Don't trust `cs` ≥ 0.60 on: thick cloud (20.0 % right); over salt (50.0 % right); in winter (60.0 %" in text
    for line in (
        "| thick cloud | dropped | 20.0 % | no |",
        "| thin cloud | dropped | 80.0 % | with care |",
        "| clear | kept | 95.0 % | good |",
        "| salt | 50.0 % | 100.0 % | 6 (2) | no |",
        "| lake | – | 95.0 % | 6 (2) | good |",
        "| winter | 97.0 % | 60.0 % | 6 (2) | no |",
    ):
        assert line in text
    own = score["at"]["0.60"]
    assert f"that keeps {100 * own['usable_kept']:.1f} % of the usable pixels" in text


def test_code_in_paragraphs_is_marked_and_safe() -> None:
    assert "<p>keep <code>cs</code> &gt; <code>&lt;1&gt;</code></p>" in to_html([Text("keep `cs` > `<1>`")], title="t")
