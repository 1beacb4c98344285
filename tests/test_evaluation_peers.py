"""Peers: one adapter each, in environments of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import clearsight
from clearsight.errors import ArgumentError
from clearsight.evaluation.metrics import histogram, roc_area
from clearsight.evaluation.peers import program
from clearsight.evaluation.peers.own import Clearsight
from clearsight.evaluation.peers.program import PeerError, Program
from clearsight.evaluation.peers.registry import PEERS, peers, run_peer
from clearsight.evaluation.peers.workers.run_csmask import clearness
from clearsight.evaluation.samples import Cause, Sample, stack_of
from clearsight.evaluation.worlds import World, make_place

WORKER = """
import sys
import numpy as np
with np.load(sys.argv[1]) as file:
    images, names = file["images"], list(file["bands"])
    assert str(file["level"]) == "L1C"
blue = images[:, names.index("B02")]
np.savez(sys.argv[2], score=(blue < 0.3).astype("float32"), seconds=np.full(len(images), 0.5))
"""


@pytest.fixture
def stack() -> xr.Dataset:
    return stack_of(make_place(World(frames=2, size=24), 1))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that is made already (it's this one), and a worker."""
    workers = tmp_path / "workers"
    workers.mkdir()
    (workers / "run_blue.py").write_text(WORKER)
    (workers / "run_broken.py").write_text("raise SystemExit('the model is gone')")
    monkeypatch.setattr(program, "WORKERS", workers)
    python = tmp_path / "blue-1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "blue-1" / "ready").touch()
    return tmp_path


def blue(home: Path) -> Program:
    return Program("blue", ("blue==1",), "blue", ("B02",), home=home, threshold=0.5)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for an environment is a shell script")
def test_a_program_sees_the_same_pixels_and_its_answer_comes_back(home: Path, stack: xr.Dataset) -> None:
    stack["B02"][0, 0, 0] = np.nan
    answer = blue(home).run(stack, level="L1C")
    said = answer.scores["blue"]
    assert np.isnan(said[0, 0, 0])
    seen = np.isfinite(said)
    np.testing.assert_array_equal(said[seen] == 1, stack["B02"].values[seen] < 0.3)
    assert answer.seconds == 1.0


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for an environment is a shell script")
def test_a_program_that_fails_says_why(home: Path, stack: xr.Dataset) -> None:
    with pytest.raises(PeerError, match="the model is gone"):
        replace(blue(home), worker="broken").run(stack, level="L1C")


def test_an_environment_that_cannot_be_made_is_told_and_not_called_ready(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    peer = Program("nothing", ("nothing==1",), "blue", ("B02",), home=tmp_path / "file")
    with pytest.raises(PeerError, match="nothing failed"):
        peer.environment()
    assert not peer.folder.exists()


def test_obstacles_are_named_before_anything_is_installed(stack: xr.Dataset, tmp_path: Path) -> None:
    cloudless, omni = PEERS["s2cloudless"], PEERS["omnicloudmask"]
    assert cloudless.obstacle(stack, level="L1C") is None
    assert "not for L2A" in str(cloudless.obstacle(stack, level="L2A"))
    assert "B10" in str(cloudless.obstacle(stack.drop_vars("B10"), level="L1C"))
    assert "weights" in str(omni.obstacle(stack, level="L1C"))
    assert "SCL" in str(PEERS["scl"].obstacle(stack, level="L2A"))
    (tmp_path / "omnicloudmask").mkdir()
    (tmp_path / "omnicloudmask" / "model.safetensors").touch()
    (with_weights,) = peers(["omnicloudmask"], weights=tmp_path)
    assert with_weights.obstacle(stack, level="L1C") is None
    with pytest.raises(PeerError, match="weights"):
        run_peer("omnicloudmask", stack=stack)


def test_unknown_peers_are_refused() -> None:
    with pytest.raises(ArgumentError, match="s2cloudless"):
        peers(["fmask"])


def test_ours_are_what_score_gives(stack: xr.Dataset) -> None:
    bands = stack[[name for name in stack.data_vars if str(name).startswith("B")]]
    expected = clearsight.score(bands, level="L1C")
    answer = Clearsight().run(stack, level="L1C")
    np.testing.assert_array_equal(answer.scores["clearsight cs"], expected.cs.values)
    np.testing.assert_array_equal(answer.scores["clearsight cs_cdf"], expected.cs_cdf.values)


def test_the_package_never_imports_a_peer() -> None:
    code = (
        "import sys, clearsight.evaluation.run, clearsight.evaluation.peers.registry, clearsight.evaluation.sets\n"
        "print([name for name in ('s2cloudless', 'ukis_csmask', 'omnicloudmask', 'torch', 'sklearn', 'h5py')"
        " if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def installed(name: str) -> Program:
    """Only where the environment was made already, by ``make bench``: a test installs nothing."""
    peer = PEERS[name]
    assert isinstance(peer, Program)
    if not (peer.folder / "ready").exists():
        pytest.skip(f"the environment of {name} isn't made; run: make bench")
    return peer


def test_s2cloudless_keeps_clear_ground_and_drops_thick_cloud() -> None:
    installed("s2cloudless")
    forest = {"B01": 0.12, "B02": 0.08, "B03": 0.07, "B04": 0.05, "B05": 0.09, "B06": 0.2, "B07": 0.24, "B08": 0.26,
              "B8A": 0.28, "B09": 0.1, "B10": 0.002, "B11": 0.13, "B12": 0.06}  # fmt: skip
    frames = {band: np.full((2, 64, 64), value, np.float32) for band, value in forest.items()}
    for band in forest:
        frames[band][1] = 0.02 if band == "B10" else 0.65
    stack = xr.Dataset({band: (("time", "y", "x"), values) for band, values in frames.items()})
    found = run_peer("s2cloudless", stack=stack, level="L1C")
    clear, cloudy = found.usable.mean(("y", "x")).values
    assert clear > 0.9
    assert cloudy < 0.1
    assert found.seconds_per_megapixel > 0


def test_shares_of_classes_become_a_score_that_cuts_where_the_mask_does() -> None:
    """ukis-csmask takes the class with the largest share; cut at a half, our score of it says the same."""
    shares = np.random.default_rng(5).dirichlet((0.5, 0.5, 0.5), size=(40, 50)).astype(np.float32)
    score = clearness(shares)
    np.testing.assert_array_equal(score >= 0.5, shares.argmax(-1) == 0)
    assert score.min() >= 0
    assert score.max() <= 1
    more = shares.copy()
    more[..., 0] += 0.1
    assert (clearness(more) >= score).all()


def obvious(*, pixels: int) -> list[tuple[Sample, ...]]:
    """Held-out places with so many pixels of clear ground, and of thick cloud."""
    found: list[tuple[Sample, ...]] = []
    seen = dict.fromkeys((Cause.CLEAR, Cause.THICK), 0)
    for number in range(17):
        clip = make_place(World(frames=2, size=128), number)
        counts = {cause: sum(int((sample.labels == cause).sum()) for sample in clip) for cause in seen}
        if min(counts.values()):
            found.append(clip)
            seen = {cause: seen[cause] + counts[cause] for cause in seen}
        if min(seen.values()) >= pixels:
            return found
    raise AssertionError(f"17 places show too little of {seen}")


@pytest.mark.parametrize("name", ["s2cloudless", "ukis-csmask"])
def test_more_is_clearer_on_obvious_clouds(name: str, report: Callable[[str], None]) -> None:
    """Which way round a peer's scores are, by its ROC on held-out places: thick cloud against clear ground alone."""
    installed(name)
    labels, scores = [], []
    for clip in obvious(pixels=10_000):
        answer = run_peer(name, stack=stack_of(clip), level="L1C")
        labels += [sample.labels for sample in clip]
        scores += list(answer.score.values)
        np.testing.assert_array_equal(answer.usable, answer.score >= PEERS[name].threshold)
    told, said = np.stack(labels), np.stack(scores)
    clear, thick = (histogram(said, told == cause) for cause in (Cause.CLEAR, Cause.THICK))
    area = float(roc_area(clear, thick))
    report(f"{name}: area under the ROC of clear ground against thick cloud {area:.3f}")
    assert area > 0.8
