"""A training from its recipe to a model that scores, on clips of 48 pixels."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'clearsight[train]'")
pytest.importorskip("onnx", reason="export needs onnx: pip install 'clearsight[train]'")
pytest.importorskip("matplotlib", reason="curves need matplotlib: pip install 'clearsight[plots]'")

from clearsight.cli import main
from clearsight.errors import ArgumentError
from clearsight.model import load_model
from clearsight.passes import score_frames
from clearsight.training.curves import draw_curves
from clearsight.training.recipe import BankPlan, Machine, Mined, Recipe, Stage
from clearsight.training.stages import follow, steps

SHORT = Stage(minutes=0.005, size=32, clips=1)


@pytest.fixture(scope="module")
def recipe(season, tmp_path_factory):
    return Recipe(
        out=tmp_path_factory.mktemp("training"),
        version="tiny",
        bank=BankPlan(clips=1, frames=2, size=48),
        held_out=BankPlan(clips=2, first=100, frames=2, size=48),
        mined=(Mined(str(season.files["products"]), clips=1, frames=3, size=32, collection="sentinel-2-l1c"),),
        similarity=SHORT,
        alone=SHORT,
        context=dataclasses.replace(SHORT, mined=2),
        again=dataclasses.replace(SHORT, mined=2),
        widths=(4, 6, 8, 8, 8),
        head=4,
        machine=Machine(processes=1, workers=0),
    )


@pytest.fixture(scope="module")
def trained(recipe):
    return follow(recipe)


def test_every_stage_is_told_of_and_the_model_scores(recipe, trained):
    told = {path.stem for path in (recipe.out / "stages").iterdir()}
    assert told == {step.name for step in steps(recipe)}
    record = json.loads((recipe.out / "again" / "record.json").read_text())
    assert set(record["scores"]) == {"without context", "with context"}
    assert record["data"] == {"simulated clips": 1, "mined clips": [1]}
    similar = json.loads((recipe.out / "similarity" / "record.json").read_text())
    assert similar["start"] == "alone"
    rng = np.random.default_rng(0)
    bands = {name: rng.uniform(0, 0.4, (2, 33, 40)).astype(np.float32) for name in ("B02", "B03", "B04")}
    dates = np.array(["2020-07-01", "2020-07-06"], dtype="datetime64[ns]")
    scored = score_frames(load_model(trained), bands, level="L2A", dates=dates)
    assert ((scored.cs >= 0) & (scored.cs <= 1)).all()


def test_what_is_done_isnt_done_again(recipe, trained):
    before = {
        path: path.stat().st_mtime_ns for path in recipe.out.rglob("*") if path.suffix in (".pt", ".onnx", ".npy")
    }
    assert follow(recipe) == trained
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (recipe.out / "stages" / "export.json").unlink()
    follow(recipe)
    changed = {path for path, moment in before.items() if path.stat().st_mtime_ns != moment}
    assert changed == {trained}


def test_a_folder_belongs_to_one_recipe(recipe, trained):
    with pytest.raises(ArgumentError, match="another widths"):
        follow(dataclasses.replace(recipe, widths=(4, 4, 4, 4, 4)))


def test_a_smaller_similarity_network_learns_from_nothing(recipe, trained, tmp_path):
    narrow = dataclasses.replace(SHORT, widths=(4, 4, 4, 4, 4))
    smaller = dataclasses.replace(recipe, out=tmp_path, similarity=narrow)
    (tmp_path / "bank").symlink_to(recipe.out / "bank")
    next(step for step in steps(smaller) if step.name == "similarity").run(lambda *_: None)
    assert json.loads((tmp_path / "similarity" / "record.json").read_text())["start"] is None


def test_stages_without_mined_clips(recipe):
    names = [step.name for step in steps(dataclasses.replace(recipe, mined=()))]
    assert "similarity" not in names
    assert names[-2:] == ["calibrate", "export"]


def test_curves_are_drawn_of_what_was_logged(tmp_path):
    assert draw_curves(tmp_path) is None
    (tmp_path / "alone").mkdir()
    lines = [
        "step,minutes,rate,entropy,distance,cause,prior",
        "50,1.0,0.001,0.7,0.4,1.3,1.0",
        "100,2,0.001,0.5,0.2,1,1",
    ]
    (tmp_path / "alone" / "log.csv").write_text("\n".join(lines) + "\n")
    picture = draw_curves(tmp_path)
    assert picture is not None
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_command_refuses_a_wrong_recipe_in_one_line(tmp_path, capsys):
    (tmp_path / "wrong.toml").write_text('out = "here"\nversoin = "1"\n')
    with pytest.raises(SystemExit) as stop:
        main(["train", str(tmp_path / "wrong.toml")])
    assert stop.value.code == 1
    assert "versoin is no key of a recipe" in " ".join(capsys.readouterr().err.split())
