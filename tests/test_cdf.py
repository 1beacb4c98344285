import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearsight.cdf import CLEAR_NODE, NODES, PRIOR, histogram, merge, rank

scores = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.05, 0.6, 0.85, 1.0]), st.just(float("nan")))
histories = st.integers(0, 20).flatmap(lambda n: hnp.arrays(np.float32, (n, 1), elements=scores))
few = settings(deadline=None, max_examples=30)
LADDER = np.linspace(0, 1, 401, dtype=np.float32)[:, None]


@few
@given(histories)
def test_counts_are_shared_out_without_loss(history):
    counts = histogram(history)
    assert counts.shape == (NODES, 1)
    assert (counts >= 0).all()
    assert counts.sum() == pytest.approx(np.isfinite(history).sum(), abs=1e-4)


@few
@given(histories)
def test_counts_keep_the_mean(history):
    valid = history[np.isfinite(history)]
    mean = (histogram(history)[:, 0] * np.linspace(0, 1, NODES)).sum()
    assert mean == pytest.approx(valid.sum(dtype="float64"), abs=1e-4)


@few
@given(histories, histories)
def test_merging_is_counting_together(first, second):
    together = histogram(np.concatenate([first, second]))
    np.testing.assert_allclose(merge(histogram(first), histogram(second)), together, atol=1e-4)


@few
@given(histories)
def test_rank_is_a_distribution_function(history):
    ranked = rank(LADDER, histogram(history))[:, 0]
    assert ranked[0] == 0
    assert (np.diff(ranked) >= 0).all()
    assert (ranked[LADDER[:, 0] >= 0.85 + 1e-6] == 1).all()


@few
@given(histories)
def test_rank_is_continuous_so_right_continuous(history):
    # No history can climb faster than its kernel: 1 per tenth, on a grid of twentieths.
    counts = histogram(history)
    step = np.float32(1e-4)
    below, above = rank(LADDER[:-1], counts), rank(LADDER[:-1] + step, counts)
    assert np.abs(above - below).max() < 25 * step + 1e-5


@few
@given(histories, st.randoms(use_true_random=False))
def test_order_of_frames_is_irrelevant(history, random):
    order = list(range(len(history)))
    random.shuffle(order)
    shuffled = rank(LADDER, histogram(history[order]))
    np.testing.assert_allclose(shuffled, rank(LADDER, histogram(history)), atol=1e-5)


@few
@given(histories)
def test_nodata_stays_nodata(history):
    ranked = rank(history, histogram(history))
    assert (np.isnan(ranked) == np.isnan(history)).all()


def test_without_history_the_prior_decides_and_a_threshold_keeps_its_meaning():
    nodes = np.linspace(0, 1, NODES, dtype=np.float32)[:, None]
    ranked = rank(nodes, np.zeros((NODES, 1), dtype=np.float32))[:, 0]
    np.testing.assert_allclose(ranked, PRIOR, atol=1e-6)
    assert ranked[12] == pytest.approx(0.60, abs=0.02)
    assert PRIOR[CLEAR_NODE] == 1


def test_prior_is_worth_ten_observations():
    score = np.full((1, 1), 0.6, dtype=np.float32)
    # Ten whole observations (weight 1 each) far above 0.6 halve what the prior says.
    counts = histogram(np.ones((10, 1), dtype=np.float32))
    assert rank(score, counts).item() == pytest.approx(PRIOR[12] / 2, abs=1e-5)


def test_clear_desert_is_not_ranked_into_rejection():
    desert = np.random.default_rng(0).uniform(0.85, 1.0, (60, 50)).astype(np.float32)
    assert (rank(desert, histogram(desert)) == 1).all()


def test_ties_within_the_tolerance_count_fully():
    desert = np.full((60, 1), 0.80, dtype=np.float32)
    desert[:30] = 0.75
    assert rank(desert, histogram(desert)).min() > 0.95


def test_opaque_frames_do_not_vouch_for_each_other():
    overcast = np.zeros((100, 1), dtype=np.float32)
    assert (rank(overcast, histogram(overcast)) == 0).all()


@pytest.mark.parametrize("cloudy", [20, 60, 80])
def test_thick_cloud_stays_below_the_threshold_however_common_it_is(cloudy):
    rng = np.random.default_rng(1)
    history = np.concatenate([rng.uniform(0, 0.1, (cloudy, 40)), rng.uniform(0.8, 1, (100 - cloudy, 40))])
    ranked = rank(history.astype(np.float32), histogram(history.astype(np.float32)))
    assert ranked[:cloudy].max() < 0.3
    assert ranked[cloudy:].min() > 0.6


def test_recurring_terrain_shadow_gains_on_its_score():
    shaded = np.full((50, 1), 0.45, dtype=np.float32)
    assert rank(shaded, histogram(shaded)).min() > 0.6


@settings(max_examples=50)
@given(
    past=hnp.arrays(np.float32, (12, 3), elements=st.floats(0, 1, width=32)),
    ladder=st.lists(st.floats(0, 1, width=32), min_size=2, max_size=6),
)
def test_cs_cdf_is_monotone_in_cs_whatever_the_history(past, ladder):
    ordered = np.sort(np.float32(ladder))[:, None].repeat(3, axis=1)
    ranked = rank(ordered, histogram(past))
    assert (np.diff(ranked, axis=0) >= 0).all()
    assert ((ranked >= 0) & (ranked <= 1)).all()


@settings(max_examples=30)
@given(frames=st.integers(1, 200), seed=st.integers(0, 1000))
def test_permanently_clear_desert_saturates_at_one(frames, seed):
    cs = np.random.default_rng(seed).uniform(0.86, 1.0, (frames, 4)).astype(np.float32)
    assert (rank(cs, histogram(cs)) == 1).all()


@settings(max_examples=30)
@given(shaded=st.floats(0.45, 0.6), share=st.floats(0.3, 0.6), seed=st.integers(0, 1000))
def test_recurring_terrain_shadow_ranks_above_its_score_and_a_cloud_shadow_does_not(shaded, share, seed):
    """What returns every winter is as clear as the place gets then; the same score once is a cloud's shadow."""
    rng = np.random.default_rng(seed)
    winter = rng.random(120) < share
    terrain = np.where(winter, shaded + rng.normal(0, 0.02, 120), rng.uniform(0.9, 1, 120)).clip(0, 1)
    open_ground = rng.uniform(0.9, 1, 120)
    history = np.stack([terrain, open_ground], axis=1).astype(np.float32)
    score = np.full((1, 2), shaded, np.float32)
    recurring, once = rank(score, histogram(history))[0]
    prior = rank(score[:, :1], np.zeros((NODES, 1), np.float32)).item()
    assert recurring > once
    # It gains on what the same score is worth at a place of which nothing is known; a single shadow loses.
    assert recurring - once > 0.1
    assert once < prior
