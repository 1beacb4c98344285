"""The parts of training that need torch: resuming, labels, calibration, export, and the model in use."""

from __future__ import annotations

import csv
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'clearsight[train]'")
pytest.importorskip("onnx", reason="export needs onnx: pip install 'clearsight[train]'")

from clearsight import model as inference  # noqa: E402
from clearsight.context import no_ground  # noqa: E402
from clearsight.errors import ArgumentError  # noqa: E402
from clearsight.passes import score_frames  # noqa: E402
from clearsight.training import loop, teaching  # noqa: E402
from clearsight.training.bank import FACTS, ORDER, Plan, fill_bank, shards_of  # noqa: E402
from clearsight.training.batches import Draw, open_shard  # noqa: E402
from clearsight.training.calibration import Answers, answers, calibrate, error_and_area, real_answers  # noqa: E402
from clearsight.training.export import About, export  # noqa: E402
from clearsight.training.loop import Schedule, load_network, losses_of, train  # noqa: E402
from clearsight.training.network import Network, Widths  # noqa: E402
from clearsight.training.relabel import add_trust, look  # noqa: E402
from clearsight.training.similarity import label_by_similarity, most_alike  # noqa: E402
from clearsight.training.teaching import agreed, relabel_by_teacher  # noqa: E402

TINY = Widths((4, 6, 8, 8, 8), head=4)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    fill_bank(Plan(folder, clips=2, frames=3, size=48))
    return folder


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = Network(TINY)
    with torch.no_grad():
        for values in made.state_dict().values():
            # Statistics of a trained network aren't those of a new one.
            if values.dtype.is_floating_point and values.ndim == 1:
                values += 0.1 * torch.rand_like(values)
    return made.eval()


def mined_bank(folder, *, clips=2, frames=4, size=32, seed=0):
    """Clips in whose B02 the truth is written: reflectance = q."""
    rng = np.random.default_rng(seed)
    q = rng.integers(0, 201, (clips, frames, size, size))
    half = (clips, frames, 9, size // 2, size // 2)
    arrays = {
        "ten": np.repeat((1000 + 50 * q)[:, :, None], 4, axis=2).astype(np.uint16),
        "twenty": np.full(half, 2000, dtype=np.uint16)[:, :, :6],
        "sixty": np.zeros((*half[:2], 3, *half[3:]), dtype=np.uint16),
        "cs": np.full(q.shape, 255, dtype=np.uint8),
        "q": np.full(q.shape, 255, dtype=np.uint8),
        "cause": np.full(q.shape, 5, dtype=np.uint8),
        "facts": np.tile([18000, np.nan, np.nan, np.nan, np.nan, 10, 50.0], (clips, frames, 1)),
        "guess": np.zeros((clips, frames, 13, 3), dtype=np.float32),
        "scl": rng.choice([4, 8, 7], (*half[:2], *half[3:])).astype(np.uint8),
    }
    arrays["facts"][..., FACTS.index("day")] += 10 * np.arange(frames)
    shard = folder / "00000000"
    shard.mkdir(parents=True)
    for name, values in arrays.items():
        np.save(shard / f"{name}.npy", values)
    about = {"first": 0, "clips": clips, "level": "L2A", "bands": list(ORDER[:10])}
    (shard / "clips.json").write_text(json.dumps(about))
    return shard, q


def oracle(ten, _twenty, ground_ten, _ground_twenty, _support, _conditions):
    """Says exactly how alike two frames are, by the truth written in their pixels."""
    score = torch.minimum(ten[:, :1], ground_ten[:, :1]).clamp(1e-6, 1 - 1e-6)
    return torch.logit(torch.nan_to_num(score, 0.5)), None, None


def test_labels_of_an_oracle_are_the_truth_but_for_the_clearest(tmp_path):
    shard, q = mined_bank(tmp_path)
    label_by_similarity(oracle, tmp_path)
    second = np.sort(q, axis=1)[:, -2:-1]
    np.testing.assert_array_equal(np.load(shard / "cs.npy"), np.minimum(q, second))
    assert sorted(path.name for path in shard.iterdir() if path.name.startswith(".")) == []


def test_nodata_has_no_likeness():
    alike = np.full((2, 2, 1, 1), np.nan, dtype=np.float32)
    assert np.isnan(most_alike(alike)).all()


def test_simulated_clips_arent_relabelled(bank):
    with pytest.raises(ArgumentError, match="simulated"):
        label_by_similarity(oracle, bank)


def test_a_teacher_keeps_what_two_agree_on(tmp_path, network):
    shard, _ = mined_bank(tmp_path)
    with pytest.raises(ArgumentError, match=r"asim\.npy"):
        relabel_by_teacher(network, tmp_path)
    label_by_similarity(network, tmp_path)
    add_trust(network, tmp_path)
    share = relabel_by_teacher(network, tmp_path)
    first = np.load(shard / "cs.npy")
    assert share == pytest.approx((first != 255).mean())
    assert relabel_by_teacher(network, tmp_path) == share
    np.testing.assert_array_equal(np.load(shard / "cs.npy"), first)


@pytest.mark.parametrize(("said", "white"), [(0.95, 255), (0.1, 20)])
def test_white_pixels_keep_low_labels_only(said, white, tmp_path, network, monkeypatch):
    """Both opinions agree; two deep ice clouds are alike, too."""
    shard, q = mined_bank(tmp_path)
    label_by_similarity(network, tmp_path)
    add_trust(network, tmp_path)
    np.save(shard / "asim.npy", np.full(q.shape, 200 * said, dtype=np.uint8))
    monkeypatch.setattr(teaching, "opinion", lambda *_: np.full(q.shape[1:], said, dtype=np.float32))
    relabel_by_teacher(network, tmp_path)
    labels = np.load(shard / "cs.npy")
    np.testing.assert_array_equal(labels, np.where(q >= 70, white, 200 * said))


def test_opinions_that_contradict_give_nothing():
    first = np.float32([0.5, 0.05, 0.9, 0.3, np.nan])
    teacher = np.float32([0.6, 0.95, 0.95, 0.7, 0.9])
    np.testing.assert_allclose(agreed(first, teacher), [0.55, np.nan, 0.925, np.nan, np.nan], atol=1e-6)


def test_trust_of_real_frames_is_of_their_own_level(tmp_path, network):
    shard, _ = mined_bank(tmp_path)
    add_trust(network, tmp_path)
    assert np.load(shard / "trust.npy").shape == (2, 4, 16, 16)
    assert "trust" in open_shard(shard).arrays


def test_a_batch_without_labels_or_causes_teaches_nothing_and_breaks_nothing(network):
    shapes = {"ten": (4, 32), "ground_ten": (4, 32), "twenty": (9, 16), "ground_twenty": (9, 16), "support": (8, 16)}
    batch = {name: torch.rand(2, bands, side, side) for name, (bands, side) in shapes.items()}
    batch |= {"conditions": torch.rand(2, 20), "cs": torch.full((2, 32, 32), torch.nan)}
    batch |= {"cause": torch.full((2, 16, 16), -1), "prior": torch.zeros(2, 3, 8, 8)}
    losses = losses_of(network, batch)
    assert {name: float(loss.detach()) for name, loss in losses.items()} == dict.fromkeys(losses, 0.0)


@pytest.fixture
def seconds_tick_by_call(monkeypatch):
    """A clock on which every look takes a second: the number of steps mustn't depend on the machine."""
    ticks = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


@pytest.mark.usefixtures("seconds_tick_by_call")
def test_a_training_goes_on_where_it_stopped(bank, tmp_path):
    source = [([bank], Draw(size=32, clips=2, targets=2, reference=0.0), 1)]
    short = Schedule(minutes=0.2, workers=0, processes=1, threads=1)
    train(tmp_path, source, schedule=short, widths=TINY)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] > 0
    assert state["elapsed"] >= 0.2
    same = train(tmp_path, source, schedule=short, widths=TINY)
    again = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert again["step"] == state["step"]
    for one, other in zip(same.state_dict().values(), load_network(tmp_path).state_dict().values(), strict=True):
        assert torch.equal(one, other)
    train(tmp_path, source, schedule=Schedule(minutes=0.4, workers=0, processes=1, threads=1), widths=TINY)
    longer = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert longer["step"] > state["step"]
    with (tmp_path / "log.csv").open() as log:
        steps = [int(row["step"]) for row in csv.DictReader(log)]
    assert steps == sorted(set(steps))
    assert json.loads((tmp_path / "record.json").read_text())["sources"][0]["size"] == 32


def test_only_cpus_share_a_training():
    with pytest.raises(ArgumentError, match="expected 1"):
        Schedule(minutes=1, device="cuda", processes=2)


def frames(count=3, size=70, seed=1):
    rng = np.random.default_rng(seed)
    smooth = rng.uniform(0, 0.5, (count, len(ORDER), size // 10 + 1, size // 10 + 1)).repeat(10, 2).repeat(10, 3)
    bands = {name: smooth[:, i, :size, :size].astype(np.float32) for i, name in enumerate(ORDER)}
    for band in bands.values():
        band[0, :5, :5] = np.nan
    return bands


def test_the_exported_file_says_what_the_network_says(network, tmp_path):
    knots = ((0.0, 0.4, 1.0), (0.0, 0.6, 1.0))
    path = export(network, tmp_path / "tiny.onnx", about=About("tiny", calibration=knots))
    rng = np.random.default_rng(0)
    ten, twenty = rng.uniform(0, 1, (1, 4, 64, 96)).astype("f4"), rng.uniform(0, 1, (1, 9, 32, 48)).astype("f4")
    ten[..., :7, :9] = np.nan
    told = inference.conditions(ORDER, level="L1C", pixel=10.0, view=None)
    raw = look(network, ten, twenty, facts=told[None])
    seen = inference.load_model(path).look(ten[0], twenty[0], ground=no_ground((64, 96)), facts=told)
    valid = np.isfinite(raw[0])
    # Calibration goes in steps, far finer than the 200 of products.
    assert np.abs(seen.cs - np.interp(raw[0], *knots))[valid].max() <= 1 / 8192
    with pytest.raises(ArgumentError, match="rise"):
        export(network, path, about=About("tiny", calibration=((0.0, 1.0), (0.5, 1.0))))


def test_windows_never_show(network, tmp_path, monkeypatch):
    path = export(network, tmp_path / "tiny.onnx", about=About("tiny"))
    loaded = inference.load_model(path)
    dates = np.array(["2020-07-01", "2020-07-11"], dtype="datetime64[ns]")
    bands = frames(2, size=400)
    whole = score_frames(loaded, bands, level="L1C", dates=dates)
    monkeypatch.setattr(inference, "_WINDOW", 128)
    tiled = score_frames(loaded, bands, level="L1C", dates=dates)
    assert np.nanmax(np.abs(whole.cs - tiled.cs)) <= 1 / 200
    np.testing.assert_array_equal(np.isnan(whole.cs), np.isnan(tiled.cs))


def test_calibration_rises_from_nothing_to_all(bank, network, tmp_path):
    add_trust(network, bank)
    found = [answers(network, bank, context=context, clips=2) for context in (False, True)]
    mined_bank(tmp_path)
    add_trust(network, tmp_path)
    real = real_answers(network, [tmp_path], clips=2)
    assert set(np.unique(real.truth)) == {0.0, 1.0}
    raw, score = calibrate(found, real)
    assert (raw[0], raw[-1], score[0], score[-1]) == (0, 1, 0, 1)
    assert (np.diff(raw) > 0).all()
    assert (np.diff(score) >= 0).all()


def test_calibration_mends_a_score_that_is_known_to_be_bent():
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 1, 20_000).astype(np.float32)
    bent = Answers(np.sqrt(truth), np.clip(truth + rng.normal(0, 0.05, truth.size), 0, 1).astype(np.float32))
    knots = calibrate([bent])
    assert error_and_area(bent, knots)[0] < 0.06 < error_and_area(bent)[0]
    with pytest.raises(ArgumentError, match="no pixels"):
        calibrate([Answers(np.float32([]), np.float32([]))])


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(4)
    truth = rng.choice([0.0, 1.0], 60).astype(np.float32)
    raw = (truth + rng.normal(0, 1, 60)).astype(np.float32)
    good, bad = raw[truth == 1], raw[truth == 0]
    assert error_and_area(Answers(raw, truth))[1] == pytest.approx((good[:, None] > bad[None]).mean(), abs=1e-4)


def test_shards_are_listed_in_order(bank):
    assert [path.name for path in shards_of(bank)] == ["00000000"]
