"""How good are the scores? Everything that can be measured here, written to docs/evaluation.* and bench/results.

    python bench/evaluate.py [--places 50] [--no-peers] [--data ../shared/data] [--out FOLDER] [--quick]

Simulated places that nothing was trained on (seeds from 10 000 000), at L1C and at L2A, against the exact truth and
beside other people's masks; and real series and images without labels, where the data are there. Peers run in
environments of their own, made on first use. Two processes of one thread each share the work, less than twenty minutes
on two idle cores. What is done is kept in build/bench until all is: a run that was broken off goes on where it stopped.
With --quick everything runs on next to nothing: a trial of this program, whose numbers mean little.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import clearsight
import peers as speed_bench
from clearsight.bands import BANDS, Level
from clearsight.evaluation.document import to_html, to_markdown, write_pictures
from clearsight.evaluation.peers.program import PeerError, Program
from clearsight.evaluation.peers.protocol import Method
from clearsight.evaluation.peers.registry import OURS, PEERS, peers
from clearsight.evaluation.run import Evaluation, evaluate, merged
from clearsight.evaluation.summary import Plain, summarise
from clearsight.evaluation.unlabelled import Survival, survey
from clearsight.evaluation.worlds import World
from clearsight.whole import whole_file
from evaluation_page import ROOT, TITLE, page

DATA = ROOT.parent / "shared" / "data"
TRAINED_ON = ("Belgium",)
"""Beginnings of the names of real series of which clips were mined for the training of the weights that ship."""
PROCESSES = 2
WORST = 20


@dataclass(frozen=True)
class Task:
    """A piece of work whose result is kept."""

    name: str
    work: Callable[[], Any]
    weight: float = 1.0
    """How long it takes, a simulated L1C place being 1."""


@dataclass(frozen=True)
class Size:
    """How much is evaluated."""

    places: int = 50
    """Simulated at L1C, two of each kind; half as many at L2A."""
    frames: int = 6
    side: int = 192
    """Pixels of a simulated frame."""
    dates: int = 1000
    """Of a real series, at most."""
    speed_side: int = 512
    """Pixels of the image on which time is measured."""


QUICK = Size(places=2, frames=2, side=64, dates=12, speed_side=64)


def tasks(size: Size, data: Path, others: Sequence[str]) -> list[Task]:
    """All there is to do; what takes longest comes first, so that no core waits at the end."""
    found = []
    if data.is_dir():
        found = [
            Task("Belgium, 50.8 N 3.0 E, L2A", partial(series, "Belgium 118", size, data, others), 2.0),
            Task("Belgium, 50.7 N 4.1 E, L2A", partial(series, "Belgium 72", size, data, others), 1.3),
            Task("Slovenia, T33T, L1C", partial(series, "Slovenia", size, data, others), 0.5),
            Task("clear images", partial(clear_chips, data / "l1c_chips"), 0.5),
        ]
    l1c, l2a = worlds(size).values()
    found += [Task(f"l1c {i:03}", partial(place, l1c, i, others)) for i in range(l1c.places)]
    return found + [Task(f"l2a {i:03}", partial(place, l2a, i, others), 0.6) for i in range(l2a.places)]


def worlds(size: Size) -> dict[str, World]:
    whole = World(places=size.places, frames=size.frames, size=size.side, name="simulated places, L1C")
    half = replace(whole, places=max(size.places // 2, 2), level="L2A", name="simulated places, L2A", first=20_000_000)
    return {"l1c": whole, "l2a": half}


def place(world: World, number: int, others: Sequence[str]) -> Evaluation:
    """All that is said about one simulated place."""
    return evaluate(replace(world, places=1, start=number), methods=methods(others), worst=WORST)


def methods(others: Sequence[str]) -> tuple[Method, ...]:
    return (*OURS, *peers(others))


def series(which: str, size: Size, data: Path, others: Sequence[str]) -> Plain:
    """A real series, surveyed without labels."""
    level: Level = "L1C" if which == "Slovenia" else "L2A"
    stack = {
        "Belgium 118": partial(belgium, data / "l2a_series" / "belgium_50.8N_3.0E_118dates.npz"),
        "Belgium 72": partial(belgium, data / "l2a_series" / "belgium_50.7N_4.1E_72dates.npz"),
        "Slovenia": partial(slovenia, data / "l1c_series" / "slovenia_33T_10dates.npz"),
    }[which]().isel(time=slice(size.dates))
    return {"dates": stack.sizes["time"], "masks": surveyed(survey(stack, level=level, methods=methods(others)))}


def belgium(path: Path) -> xr.Dataset:
    """A real L2A series at 20 m: 10 m bands averaged, SCL as it came."""
    with np.load(path) as file:
        fine, coarse = file["b10"].astype(np.float32), file["b20"].astype(np.float32)
        frames, rows, columns, _ = coarse.shape
        halved = fine.reshape(frames, rows, 2, columns, 2, 4).mean((2, 4))
        planes = dict(zip(("B02", "B03", "B04", "B08"), np.moveaxis(halved, -1, 0), strict=True))
        planes |= dict(zip((str(name) for name in file["b20_names"]), np.moveaxis(coarse, -1, 0), strict=True))
        bands = {
            name: (("time", "y", "x"), np.where(planes[name] > 0, planes[name] / 10_000, np.nan).astype(np.float32))
            for name in BANDS
            if name in planes
        }
        bands["SCL"] = (("time", "y", "x"), file["scl"].astype(np.float32))
        times = np.array(file["dates"], dtype="datetime64[ns]")
        middles = {"y": -20.0 * (np.arange(rows) + 0.5), "x": 20.0 * (np.arange(columns) + 0.5)}
        return xr.Dataset(bands, coords={"time": times, **middles}).sortby("time")


def slovenia(path: Path) -> xr.Dataset:
    """The real L1C series."""
    with np.load(path) as file:
        bands = {
            str(name): (("time", "y", "x"), np.ascontiguousarray(file["bands"][..., i]))
            for i, name in enumerate(file["band_names"])
        }
        return xr.Dataset(bands, coords={"time": file["dates"].astype("datetime64[ns]")})


def clear_chips(folder: Path) -> dict[str, float]:
    """Real images that are clear by eye: how much of each is kept at 0.60, seen alone and without any context.

    The weights that ship were trained on them, as clear images and as ground under simulated skies.
    """
    found = {}
    for facts in json.loads((folder / "manifest.json").read_text()):
        if not facts["state"].startswith("clear") or "cumulus" in facts["state"]:
            continue
        with np.load(folder / f"{facts['name']}.npz") as file:
            toa = file["toa"]
        bands = {name: (("time", "y", "x"), toa[None, i]) for i, name in enumerate(BANDS)}
        day = str(facts["date"] or "2018-07-01")[:10]
        middles = {"x": facts["pixel_m"] * (np.arange(toa.shape[2]) + 0.5)}
        stack = xr.Dataset(bands, coords={"time": np.array([day], dtype="datetime64[ns]"), **middles})
        cs = clearsight.score(stack).cs.values
        found[f"{facts['name']} ({facts['state']})"] = round(float((cs[np.isfinite(cs)] >= 0.6).mean()), 4)
    return found


def surveyed(found: list[Survival]) -> Plain:
    def rounded(values: dict[str, float]) -> dict[str, float | None]:
        return {band: round(value, 5) if np.isfinite(value) else None for band, value in values.items()}

    return {
        each.score: {
            "threshold": each.threshold,
            "availability": round(each.availability, 4),
            "noise": rounded(each.noise),
            "matched": rounded(each.matched),
            "later": round(each.later, 4) if np.isfinite(each.later) else None,
        }
        for each in found
    }


def installed(names: Sequence[str]) -> list[str]:
    """Peers whose environments are there or can be made; the others are named and left out."""
    found = []
    for name in names:
        peer = PEERS[name]
        if isinstance(peer, Program):
            print(f"environment of {name}: {peer.folder}", flush=True)
            try:
                peer.environment()
            except PeerError as error:
                print(f"{name} is left out: {error}", flush=True)
                continue
        found.append(name)
    return found


def done(work: list[Task], folder: Path) -> dict[str, Any]:
    """Results of all tasks by their names, those of a former run from its files."""
    start, left = time.perf_counter(), {task.name: task for task in work if not file_of(task, folder).exists()}
    print(f"{len(work) - len(left)} of {len(work)} pieces were done before; kept in {folder}", flush=True)
    total = sum(task.weight for task in left.values())
    # One thread each: two processes side by side use two cores better than one with two threads.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(keep, task, file_of(task, folder)): task.name for task in left.values()}
        try:
            for future in as_completed(waiting):
                future.result()
                del left[waiting[future]]
                seconds, missing = time.perf_counter() - start, sum(task.weight for task in left.values())
                ahead = seconds * missing / max(total - missing, 1e-9)
                told = f"{seconds / 60:5.1f} min  {waiting[future]:<28} {len(work) - len(left)}/{len(work)}"
                print(f"{told}, about {ahead / 60:.0f} min to go", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {task.name: pickle.loads(gzip.decompress(file_of(task, folder).read_bytes())) for task in work}


def file_of(task: Task, folder: Path) -> Path:
    return folder / f"{task.name.replace(' ', '_').replace(',', '')}.pickle.gz"


def keep(task: Task, file: Path) -> None:
    """Do a task, in a process of its own; its result is in the file, whole, or it isn't there."""
    result = pickle.dumps(task.work())
    with whole_file(file) as unfinished:
        unfinished.write_bytes(gzip.compress(result, compresslevel=1))


def state(size: Size, data: Path, others: Sequence[str]) -> str:
    """What results depend on: the package with its weights, this program, its settings."""
    digest = hashlib.sha256(f"{size} {data.resolve()} {sorted(others)}".encode())
    package = Path(clearsight.__file__).parent
    for path in (*sorted(package.rglob("*.py")), *sorted(package.rglob("*.onnx")), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def measured(size: Size, data: Path, folder: Path, *, with_peers: bool) -> tuple[Plain, dict[str, Evaluation]]:
    """All numbers, and the evaluations on simulated places, which hold the pictures of the worst."""
    programs = installed(["s2cloudless", "ukis-csmask"]) if with_peers else []
    others = ["projection", "scl", *programs]
    speed = {"side": size.speed_side, "rows": speed_bench.measured(size.speed_side, ["projection", *programs])}
    found = done(tasks(size, data, others), folder / state(size, data, others))
    parts = {
        level: merged([found[f"{level} {i:03}"] for i in range(world.places)], worst=WORST)
        for level, world in worlds(size).items()
    }
    lines = {
        name: {**each, "trained_on": name.startswith(TRAINED_ON)}
        for name, each in found.items()
        if name.startswith(("Belgium", "Slovenia"))
    }
    real = {"series": lines, "clear_images": found["clear images"]} if lines else {}
    return {**{level: summarise(each) for level, each in parts.items()}, "real": real, "speed": speed}, parts


def write(numbers: Plain, parts: dict[str, Evaluation], out: Path) -> None:
    """The page as Markdown and as HTML, its pictures, and the numbers behind them."""
    content = page(numbers, worst={"l1c": parts["l1c"].worst})
    write_pictures(content, out / "docs" / "images")
    for path, text in (
        (out / "bench" / "results" / "evaluation.json", json.dumps(numbers, indent=1) + "\n"),
        (out / "docs" / "evaluation.md", to_markdown(content, images="images")),
        (out / "docs" / "evaluation.html", to_html(content, title=TITLE)),
    ):
        with whole_file(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=Size.places, help="simulated places, two of each kind")
    parser.add_argument("--no-peers", action="store_true", help="leave out the peers that need environments")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real images")
    parser.add_argument("--out", type=Path, default=ROOT, help="folder for docs/ and bench/results/")
    parser.add_argument("--quick", action="store_true", help="next to nothing of everything, to try this program")
    options = parser.parse_args()
    start = time.perf_counter()
    kept = options.out / "build" / "bench"
    size = QUICK if options.quick else Size(places=options.places)
    numbers, parts = measured(size, options.data, kept, with_peers=not options.no_peers)
    write(numbers, parts, options.out)
    shutil.rmtree(kept)
    print(f"{(time.perf_counter() - start) / 60:.1f} min")


if __name__ == "__main__":
    main()
