"""The stages of a training, in order; each is done once, and a stopped training goes on where it was.

bank -> alone -> similarity -> mine -> label -> trust -> context -> relabel -> again -> calibrate -> export
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clearsight.errors import ArgumentError
from clearsight.progress import Progress, silent
from clearsight.sources import search
from clearsight.training.bank import Plan, fill_bank, shards_of
from clearsight.training.batches import Draw
from clearsight.training.calibration import Answers, Knots, answers, calibrate, error_and_area, real_answers
from clearsight.training.clear import clear_bank
from clearsight.training.curves import draw_curves
from clearsight.training.export import About, export
from clearsight.training.loop import Schedule, load_network, train
from clearsight.training.mining import Wanted, mine
from clearsight.training.network import Widths
from clearsight.training.recipe import BankPlan, Clear, Mined, Recipe, Stage, described
from clearsight.training.relabel import add_trust
from clearsight.training.similarity import label_by_similarity
from clearsight.training.teaching import relabel_by_teacher
from clearsight.whole import whole_file

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One stage."""

    name: str
    run: Callable[[Progress], dict[str, Any]]
    """Does it, and tells what came out."""


def follow(recipe: Recipe, *, progress: Progress = silent) -> Path:
    """Follow a recipe from its first stage that isn't done to the exported model.

    Parameters
    ----------
    recipe : Recipe
        From `recipe.read_recipe`.
    progress : callable
        Told how far each stage is.

    Returns
    -------
    Path
        The model: ``out/VERSION.onnx``. Beside it ``recipe.json``, ``curves.png``, ``stages/NAME.json`` with what each
        stage has found, and a folder for each training with checkpoint, log and record.

    Raises
    ------
    ArgumentError
        ``out`` holds a training after another recipe, or an archive to mine has too little.
    EmptySourceError
        An archive to mine holds nothing.
    """
    _claim(recipe)
    for step in steps(recipe):
        told = recipe.out / "stages" / f"{step.name}.json"
        if told.exists():
            _LOG.info("%s: done before", step.name)
            continue
        found = step.run(progress)
        with whole_file(told) as part:
            part.write_text(json.dumps(found, indent=2) + "\n")
        _LOG.info("%s: %s", step.name, found)
    draw_curves(recipe.out)
    return recipe.out / f"{recipe.version}.onnx"


def steps(recipe: Recipe) -> list[Step]:
    """Stages of a recipe, in order; those that need mined clips only if there are any."""
    out = recipe.out
    simulated, held_out = out / "bank", out / "held_out"
    mined = [out / f"mined_{number}" for number in range(len(recipe.mined))]

    def trained(name: str, stage: Stage, *, start: str | None = None, **draw: Any) -> Step:
        return Step(
            name, lambda progress: _train(recipe, name, stage, mined, start=start, draw=draw, progress=progress)
        )

    def trust(name: str, teacher: str) -> Step:
        return Step(name, lambda progress: _trust(out / teacher, [simulated, held_out, *mined], progress))

    first = [
        Step("bank", lambda progress: _fill(simulated, recipe.bank, progress)),
        Step("held_out", lambda progress: _fill(held_out, recipe.held_out, progress)),
    ]
    if recipe.clear is not None:
        chips = recipe.clear
        first.append(Step("clear", lambda _: _clear(out / "clear", chips)))
    first.append(trained("alone", recipe.alone, reference=0.0))
    labels = [
        # What a cloud looks like it needn't learn again; a smaller network can't start from a larger one.
        trained("similarity", recipe.similarity, start=None if recipe.similarity.widths else "alone", pair=True),
        Step("mine", lambda progress: _mine(mined, recipe.mined, progress)),
        Step("label", lambda progress: _label(out / "similarity", mined, progress)),
    ]
    looks = [trust("trust", "alone"), trained("context", recipe.context, start="alone")]
    teach = [Step("relabel", lambda progress: _relabel(out / "context", mined, progress))]
    last = [
        trust("trust_again", "context"),
        trained("again", recipe.again, start="context"),
        Step("calibrate", lambda progress: _calibrate(out / "again", held_out, mined, progress)),
        Step("export", lambda _: _export(recipe)),
    ]
    return [*first, *(labels if mined else []), *looks, *(teach if mined else []), *last]


def _claim(recipe: Recipe) -> None:
    """Stages that are done were done after this very recipe."""
    told = recipe.out / "recipe.json"
    now = json.loads(json.dumps(described(recipe)))
    if told.exists():
        before = json.loads(told.read_text())
        other = sorted(name for name in now if before.get(name) != now[name])
        if other:
            raise ArgumentError(
                f"out={str(recipe.out)!r} holds a training after another recipe (another {other[0]}); name another "
                "folder, or remove that one."
            )
    with whole_file(told) as part:
        part.write_text(json.dumps(now, indent=2) + "\n")


def _fill(folder: Path, plan: BankPlan, progress: Progress) -> dict[str, Any]:
    whole = Plan(folder, plan.clips, first=plan.first, frames=plan.frames, size=plan.size, real=plan.real)
    return {"shards": len(fill_bank(whole, workers=plan.workers, progress=progress)), "clips": plan.clips}


def _clear(folder: Path, wanted: Clear) -> dict[str, Any]:
    clear_bank(wanted.chips, folder, clips=wanted.clips, size=wanted.size, seed=wanted.seed)
    return {"clips": wanted.clips}


def _mine(folders: Sequence[Path], wanted: Sequence[Mined], progress: Progress) -> dict[str, Any]:
    found = {}
    for folder, one in zip(folders, wanted, strict=True):
        items = search(
            one.source, collection=one.collection, bbox=one.bbox, datetime=one.datetime,
            level=one.level, offset=one.offset,  # type: ignore[arg-type]
        )  # fmt: skip
        what = Wanted(one.clips, frames=one.frames, size=one.size, per_place=one.per_place, seed=one.seed)
        mine(items, folder, wanted=what, progress=progress)
        found[folder.name] = {"source": one.source, "items": len(items), "clips": one.clips}
    return found


def _label(network: Path, folders: Sequence[Path], progress: Progress) -> dict[str, Any]:
    for folder in folders:
        label_by_similarity(load_network(network), folder, progress=progress)
    return {"labelled": [folder.name for folder in folders]}


def _trust(network: Path, folders: Sequence[Path], progress: Progress) -> dict[str, Any]:
    for folder in folders:
        add_trust(load_network(network), folder, progress=progress)
    return {"weighed": [folder.name for folder in folders]}


def _relabel(network: Path, folders: Sequence[Path], progress: Progress) -> dict[str, Any]:
    teacher = load_network(network)
    return {
        f"{folder.name} kept": round(relabel_by_teacher(teacher, folder, progress=progress), 4) for folder in folders
    }


def _train(
    recipe: Recipe, name: str, stage: Stage, mined: Sequence[Path], *, start: str | None, draw: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Train a network on simulated clips, and on mined ones if the stage wants them; score it on what it never saw."""
    out, held_out = recipe.out / name, recipe.out / "held_out"
    sources = _sources(recipe, stage, mined, draw)
    machine = recipe.machine
    schedule = Schedule(
        stage.minutes, rate=stage.rate, seed=stage.seed, last_rate=stage.last_rate, workers=machine.workers,
        processes=machine.processes, threads=machine.threads, device=machine.device,
    )  # fmt: skip
    widths = Widths(stage.widths or recipe.widths, head=recipe.head)
    before = recipe.out / start / "checkpoint.pt" if start else None
    network = train(out, sources, schedule=schedule, widths=widths, start=before, progress=progress)
    if draw.get("pair"):
        return {"weights": sum(weight.numel() for weight in network.parameters())}
    modes = {"without context": False} | ({"with context": True} if start else {})
    scores = {mode: _score(answers(network, held_out, context=context)) for mode, context in modes.items()}
    data = {
        "simulated clips": recipe.bank.clips,
        "mined clips": [one.clips for one in recipe.mined] if stage.mined else [],
    }
    record = json.loads((out / "record.json").read_text())
    with whole_file(out / "record.json") as part:
        part.write_text(json.dumps(record | {"data": data, "scores": scores}, indent=2) + "\n")
    return scores


def _sources(
    recipe: Recipe, stage: Stage, mined: Sequence[Path], draw: dict[str, Any]
) -> list[tuple[Sequence[Path], Draw, int]]:
    """Banks that a stage learns from; batches of smaller clips have as many pixels as the others."""
    wanted = [(recipe.out / "bank", stage.size, stage.simulated, 2)]
    wanted += [(folder, one.size, stage.mined, 2) for folder, one in zip(mined, recipe.mined, strict=True)]
    if recipe.clear is not None:
        wanted.append((recipe.out / "clear", recipe.clear.size, stage.clear, 1))
    found: list[tuple[Sequence[Path], Draw, int]] = []
    for folder, largest, turns, targets in wanted:
        size = min(stage.size, largest)
        clips = max(round(stage.clips * (stage.size / size) ** 2), 1)
        if turns:
            found.append(([folder], Draw(size=size, clips=clips, targets=targets, **draw), turns))
    return found


def _score(found: Answers, knots: Knots = ((0.0, 1.0), (0.0, 1.0))) -> dict[str, float]:
    error, area = error_and_area(found, knots)
    return {"mean absolute error": error, "area under the ROC": area}


def _calibrate(network: Path, held_out: Path, mined: Sequence[Path], progress: Progress) -> dict[str, Any]:
    """One half of the held-out clips for the fit, the other for what is said of it."""
    last = load_network(network)
    found = {
        mode: answers(last, held_out, context=context, progress=progress)
        for mode, context in (("without context", False), ("with context", True))
    }
    classified = [folder for folder in mined if all((shard / "scl.npy").exists() for shard in shards_of(folder))]
    real = real_answers(last, classified, progress=progress) if classified else None
    knots = calibrate([one.half(0) for one in found.values()], real)
    scores = {mode: _score(one.half(1), knots) for mode, one in found.items()}
    told = {
        "real pixels": 0 if real is None else len(real.raw),
        "simulated pixels": sum(len(x.raw) for x in found.values()),
    }
    return {"knots": knots, "calibrated": scores, **told}


def _export(recipe: Recipe) -> dict[str, Any]:
    raw, score = json.loads((recipe.out / "stages" / "calibrate.json").read_text())["knots"]
    mined = sum(one.clips for one in recipe.mined)
    about = About(
        version=recipe.version,
        calibration=(tuple(raw), tuple(score)),
        training=f"{recipe.bank.clips} simulated clips, {mined} mined ones",
    )
    path = export(load_network(recipe.out / "again"), recipe.out / f"{recipe.version}.onnx", about=about)
    return {"model": path.name, "bytes": path.stat().st_size}
