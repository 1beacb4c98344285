"""Metrics against scikit-learn, borders, intervals, advice."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearsight.errors import ArgumentError
from clearsight.evaluation import metrics
from clearsight.evaluation.advice import GRID, PURPOSES, advise, choose
from clearsight.evaluation.bootstrap import by_place, estimate
from clearsight.evaluation.samples import COUNTED, UNUSABLE, USABLE, Cause, Sample, is_counted, is_usable, season_of
from clearsight.evaluation.tally import Row, Tally, count, join, without_borders

SOME_DAY = datetime.date(2020, 6, 1)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores in steps of 1/200, and truths with both kinds."""
    size = draw(st.integers(2, 60))
    steps = draw(hnp.arrays(np.int64, size, elements=st.integers(0, metrics.STEPS)))
    truth = draw(hnp.arrays(np.bool_, size))
    truth[0], truth[-1] = True, False
    return steps / metrics.STEPS, truth


def pair(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return metrics.histogram(scores, truth), metrics.histogram(scores, ~truth)


@given(scored(), st.sampled_from([0.0, 0.3, 0.5, 0.55, 0.6, 0.65, 1.0]))
@settings(deadline=None)
def test_metrics_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    learn = pytest.importorskip("sklearn.metrics", reason="scikit-learn, the oracle, isn't installed")
    scores, truth = case
    usable, unusable = pair(scores, truth)
    said = scores >= threshold - 1e-9
    assert metrics.balanced_accuracy(usable, unusable, threshold) == pytest.approx(
        learn.balanced_accuracy_score(truth, said)
    )
    assert np.nan_to_num(metrics.f1_usable(usable, unusable, threshold)) == pytest.approx(learn.f1_score(truth, said))
    assert np.nan_to_num(metrics.f1_unusable(usable, unusable, threshold)) == pytest.approx(
        learn.f1_score(~truth, ~said, zero_division=0)
    )
    assert metrics.roc_area(usable, unusable) == pytest.approx(learn.roc_auc_score(truth, scores))
    assert metrics.average_precision(usable, unusable) == pytest.approx(learn.average_precision_score(truth, scores))
    assert metrics.average_precision(unusable[::-1], usable[::-1]) == pytest.approx(
        learn.average_precision_score(~truth, -scores)
    )
    if said.any():
        assert metrics.precision(usable, unusable, threshold) == pytest.approx(learn.precision_score(truth, said))


@given(scored())
@settings(deadline=None)
def test_curves_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    learn = pytest.importorskip("sklearn.metrics", reason="scikit-learn, the oracle, isn't installed")
    scores, truth = case
    leaked, kept = metrics.roc(*pair(scores, truth))
    theirs = learn.roc_curve(truth, scores, drop_intermediate=False)
    mine = {(round(x, 9), round(y, 9)) for x, y in zip(leaked, kept, strict=True)}
    assert mine == {(round(x, 9), round(y, 9)) for x, y in zip(theirs[0], theirs[1], strict=True)}
    assert np.trapezoid(kept, leaked) == pytest.approx(float(metrics.roc_area(*pair(scores, truth))))
    exact, recall = metrics.precision_recall(*pair(scores, truth))
    their_precision, their_recall, _ = learn.precision_recall_curve(truth, scores)
    reached = np.isfinite(exact)
    mine = {(round(x, 9), round(y, 9)) for x, y in zip(exact[reached], recall[reached], strict=True)}
    assert mine == {(round(x, 9), round(y, 9)) for x, y in zip(their_precision[:-1], their_recall[:-1], strict=True)}


@given(scored())
@settings(deadline=None)
def test_calibration_holds_every_pixel_and_its_truth(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = case
    score, share, pixels = metrics.calibration(*pair(scores, truth))
    assert pixels.sum() == truth.size
    assert np.nansum(share * pixels) == pytest.approx(truth.sum())
    assert np.nansum(score * pixels) == pytest.approx(scores.sum())


def test_thresholds_of_the_product_are_exact_also_after_float32() -> None:
    stored = np.arange(metrics.BINS, dtype=np.uint8) * np.float32(0.005)
    assert metrics.bin_of(stored).tolist() == list(range(metrics.BINS))


def test_leading_axes_are_kept() -> None:
    rng = np.random.default_rng(0)
    usable, unusable = rng.integers(0, 9, (2, 4, metrics.BINS))
    for of in (metrics.roc_area, metrics.average_precision):
        assert of(usable, unusable).tolist() == pytest.approx([float(of(usable[i], unusable[i])) for i in range(4)])


def test_what_is_not_there_is_not_a_number() -> None:
    none, some = np.zeros(metrics.BINS, np.int64), metrics.histogram([0.5], np.array([True]))
    assert np.isnan(metrics.roc_area(none, some))
    assert np.isnan(metrics.average_precision(none, some))
    assert np.isnan(metrics.kept(none, 0.5))


labels = hnp.arrays(np.uint8, (9, 11), elements=st.sampled_from([*COUNTED, Cause.NODATA, Cause.UNKNOWN]))


@given(labels, st.integers(0, 3))
def test_borders_are_left_out_and_nothing_else(grid: np.ndarray, width: int) -> None:
    left = without_borders(grid, width)
    usable, unusable = is_usable(grid), is_counted(grid) & ~is_usable(grid)
    for (y, x), value in np.ndenumerate(grid):
        around = np.s_[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
        near = bool(usable[around].any() and unusable[around].any())
        assert left[y, x] == (Cause.UNKNOWN if near and width else value)


def test_every_cause_is_usable_or_unusable_or_not_counted() -> None:
    assert set(USABLE) | set(UNUSABLE) == set(COUNTED)
    assert not set(USABLE) & set(UNUSABLE)
    assert set(Cause) - set(COUNTED) == {Cause.NODATA, Cause.UNKNOWN}


def sample(name: str, place: str, grid: np.ndarray) -> Sample:
    image = np.zeros((3, *grid.shape), np.float32)
    return Sample(name, image, ("B02", "B03", "B04"), "L1C", grid.astype(np.uint8), SOME_DAY, place)


def test_counts_are_by_cause_and_leave_nodata_out() -> None:
    grid = np.array([[Cause.CLEAR, Cause.SHADOW, Cause.NODATA, Cause.CLEAR]])
    row, counts = count(sample("a", "p", grid), np.float32([[0.9, 0.1, 0.5, np.nan]]))
    tally = join([(row, counts)])
    assert tally.counts.sum() == 2
    assert tally.of((Cause.SHADOW,))[0, 20] == 1
    assert tally.usable[0, 180] == 1
    assert row.season == "summer"


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ArgumentError, match="expected that of the labels"):
        count(sample("a", "p", np.zeros((2, 2))), np.zeros((3, 2), np.float32))


def test_seasons_turn_at_the_equator() -> None:
    assert season_of(datetime.date(2020, 7, 1), latitude=-1.0) == "winter"
    assert season_of(datetime.date(2020, 12, 1)) == "winter"
    assert season_of(datetime.date(2020, 11, 30), latitude=50.0) == "autumn"


def tally_of(places: int, *, seed: int = 0) -> Tally:
    """Places that differ in how well they go."""
    rng = np.random.default_rng(seed)
    parts = []
    for place in range(places):
        grid = rng.choice([Cause.CLEAR, Cause.THICK], (40, 40))
        skill = rng.uniform(0.05, 0.45)
        scores = np.clip(
            0.5 + np.where(grid == Cause.CLEAR, skill, -skill) + 0.25 * rng.standard_normal((40, 40)), 0, 1
        )
        parts.append(count(sample(f"{place}", f"{place}", grid), scores.astype(np.float32)))
    return join(parts)


def test_intervals_hold_the_value_are_repeatable_and_narrow_with_places() -> None:
    few, many = (estimate(tally_of(places), metrics.roc_area, replicates=300) for places in (6, 60))
    for found in (few, many):
        assert found.low <= found.value <= found.high
    assert many.high - many.low < few.high - few.low
    assert estimate(tally_of(6), metrics.roc_area, replicates=300) == few


def test_an_interval_is_of_places_not_of_pixels() -> None:
    """One place over and over is one place: there's no interval."""
    tally = tally_of(1)
    copies = Tally(tally.rows * 5, np.repeat(tally.counts, 5, axis=0))
    assert np.isnan(estimate(copies, metrics.roc_area).low)
    assert by_place(copies)[0].sum() == 5 * tally.usable.sum()


@pytest.mark.parametrize("purpose", PURPOSES, ids=lambda purpose: purpose.rule)
def test_advice_keeps_its_limit_where_it_was_chosen(purpose: object) -> None:
    tally = tally_of(20)
    usable, unusable = tally.usable.sum(0), tally.unusable.sum(0)
    threshold, reached = choose(purpose, usable, unusable)  # type: ignore[arg-type]
    rule, limit = purpose.rule, purpose.limit  # type: ignore[attr-defined]
    if rule == "balance":
        values = [float(metrics.balanced_accuracy(usable, unusable, each)) for each in GRID]
        assert float(metrics.balanced_accuracy(usable, unusable, threshold)) == max(values)
    elif rule == "purity":
        ok = [each for each in GRID if 1 - float(metrics.precision(usable, unusable, each)) <= limit]
        assert (threshold, reached) == ((ok[0], True) if ok else (threshold, False))
    else:
        ok = [each for each in GRID if 1 - float(metrics.kept(usable, each)) <= limit]
        assert (threshold, reached) == ((ok[-1], True) if ok else (GRID[0], False))


def test_costs_are_told_of_other_places_than_the_choice_was_made_on() -> None:
    tally = tally_of(10)
    advice = advise(tally)
    rest = {str(place) for place in range(10)} - set(sorted(str(place) for place in range(10))[::2])
    told = tally.where(lambda row: row.place in rest)
    for each in advice:
        assert each.lost == pytest.approx(1 - float(metrics.kept(told.usable.sum(0), each.threshold)))
        assert each.leaked == pytest.approx(float(metrics.kept(told.unusable.sum(0), each.threshold)))
    assert advise(tally_of(1)) == ()


def test_rows_can_be_chosen() -> None:
    tally = tally_of(4)
    part = tally.where(lambda row: row.place != "2")
    assert [row.id for row in part.rows] == ["0", "1", "3"]
    assert part.counts.sum() == tally.counts[[0, 1, 3]].sum()
    assert tally.where(lambda row: False).counts.shape == (0, len(COUNTED), metrics.BINS)


@pytest.mark.parametrize("seen", [(Cause.CLEAR,), (Cause.THICK,), (Cause.CLEAR, Cause.THICK)])
@pytest.mark.parametrize("score", [0.0, 0.05, 1.0])
def test_advice_survives_places_that_are_all_alike(seen: tuple[Cause, ...], score: float) -> None:
    """All cloud, all clear, everything dropped, everything kept: nothing to advise, or the nearest there is."""
    parts = []
    for place in "abcd":
        labels = np.resize(np.array(seen, np.uint8), (4, 4))
        row = Row(place, place, "", "summer")
        parts.append((row, np.stack([metrics.histogram(np.full((4, 4), score), labels == cause) for cause in COUNTED])))
    found = advise(join(parts))
    assert bool(found) == (len(seen) == 2)
    for each in found:
        assert each.threshold in GRID
        if each.purpose.rule == "purity":
            assert not each.reached
