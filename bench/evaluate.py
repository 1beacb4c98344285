"""How good are the scores? Everything that can be measured here, written to docs/evaluation.md and bench/results.

    python bench/evaluate.py [--places 34] [--no-peers] [--data ../shared/data]

Simulated places that nothing was trained on (seeds from 10 000 000), at L1C and at L2A, against the exact truth and
beside other people's masks; and real series and images without labels, where the data are there. Peers run in
environments of their own, made on first use. On two idle cores it takes less than twenty minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import xarray as xr

import clearsight
from clearsight.bands import BANDS
from clearsight.evaluation.document import Heading, Part, Table, Text, to_markdown, write_pictures
from clearsight.evaluation.peers.protocol import Method
from clearsight.evaluation.peers.registry import OURS, peers
from clearsight.evaluation.report import details, first_page
from clearsight.evaluation.run import evaluate
from clearsight.evaluation.summary import Plain, summarise
from clearsight.evaluation.unlabelled import Survival, survey
from clearsight.evaluation.worlds import World
from clearsight.whole import whole_file

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "bench" / "results" / "evaluation.json"
PAGE = ROOT / "docs" / "evaluation.md"
SHOWN = ("B02", "B04", "B08", "B11")
"""Bands whose noise is shown."""


def progress(done: int, total: int, what: str) -> None:
    print(f"\r{what} {done}/{total}   ", end="", flush=True)


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
        stack = xr.Dataset(bands, coords={"time": np.array(file["dates"], dtype="datetime64[ns]")})
    return stack.sortby("time")


def slovenia(path: Path) -> xr.Dataset:
    """The real L1C series."""
    with np.load(path) as file:
        bands = {
            str(name): (("time", "y", "x"), np.ascontiguousarray(file["bands"][..., i]))
            for i, name in enumerate(file["band_names"])
        }
        return xr.Dataset(bands, coords={"time": file["dates"].astype("datetime64[ns]")})


def clear_chips(folder: Path) -> Plain:
    """Real images that are clear by eye: how much of each is kept at 0.60, seen alone and without any context."""
    found = {}
    for facts in json.loads((folder / "manifest.json").read_text()):
        if not facts["state"].startswith("clear") or "cumulus" in facts["state"]:
            continue
        with np.load(folder / f"{facts['name']}.npz") as file:
            toa = file["toa"]
        bands = {name: (("time", "y", "x"), toa[None, i]) for i, name in enumerate(BANDS)}
        day = str(facts["date"] or "2018-07-01")[:10]
        stack = xr.Dataset(bands, coords={"time": np.array([day], dtype="datetime64[ns]")})
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


def series_table(found: Plain) -> Table:
    bands = [band for band in SHOWN if all(band in each["noise"] for each in found.values())]

    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    rows = tuple(
        (
            name,
            f"{100 * each['availability']:.1f} %",
            *(f"{cell(each['noise'][band])} ({cell(each['matched'][band])})" for band in bands),
            "–" if each["later"] is None else f"{each['later']:.3f}",
        )
        for name, each in found.items()
    )
    return Table(("mask", "kept", *(f"noise {band} (ours at as much)" for band in bands), "rank with later"), rows)


def real(data: Path, methods: tuple[Method, ...]) -> tuple[Plain, list[Part]]:
    """What can be said of real images without labels."""
    if not data.is_dir():
        return {}, [Heading("On real series", 2), Text("The real series aren't here; nothing is said about them.")]
    series = {
        "Belgium, 50.8 N 3.0 E, L2A": (belgium(data / "l2a_series" / "belgium_50.8N_3.0E_118dates.npz"), "L2A"),
        "Belgium, 50.7 N 4.1 E, L2A": (belgium(data / "l2a_series" / "belgium_50.7N_4.1E_72dates.npz"), "L2A"),
        "Slovenia, T33T, L1C": (slovenia(data / "l1c_series" / "slovenia_33T_10dates.npz"), "L1C"),
    }
    parts: list[Part] = [
        Heading("On real series, without labels", 2),
        Text(
            "Noise: standard deviation in reflectance of the kept observations about the line between their neighbours "
            "in time, over at most 60 days. A mask that keeps less looks smoother, so in brackets stands our noise "
            "when `cs` is cut where it keeps as much as the mask of that row. “Rank with later”: rank correlation of "
            "the score with the nearness to the clear observations before and after, on which all masks agree."
        ),
    ]
    numbers: Plain = {}
    for name, (stack, level) in series.items():
        found = surveyed(survey(stack, level=level, methods=methods))
        numbers[name] = found
        parts += [Heading(f"{name}, {stack.sizes['time']} dates", 3), series_table(found)]
    chips = clear_chips(data / "l1c_chips")
    rows = tuple((name, f"{100 * kept:.1f} %") for name, kept in sorted(chips.items(), key=lambda entry: entry[1]))
    parts += [
        Heading("On real clear images, one date each", 2),
        Text("What is kept at 0.60 of images that show no cloud: all of it would be right."),
        Table(("image", "kept"), rows),
    ]
    return {"series": numbers, "clear_images": chips}, parts


def simulated(world: World, methods: tuple[Method, ...], *, prefix: str, worst: int) -> tuple[Plain, list[Part]]:
    found = evaluate(world, methods=methods, worst=worst, progress=progress)
    print()
    summary = summarise(found)
    return summary, details(summary, worst=found.worst, prefix=prefix)


def written(places: int, data: Path, *, with_peers: bool) -> None:
    """Measure everything, write the page, its pictures and the numbers."""
    others = peers(["projection", "scl", *(["s2cloudless", "ukis-csmask"] if with_peers else [])])
    methods = (*OURS, *others)
    l1c, about_l1c = simulated(
        World(places=places, name="simulated places, L1C"), methods, prefix="evaluation_l1c", worst=20
    )
    half = World(places=max(places // 2, 2), level="L2A", name="simulated places, L2A", first=20_000_000)
    l2a, about_l2a = simulated(half, methods, prefix="evaluation_l2a", worst=0)
    numbers, about_real = real(data, methods)
    parts: list[Part] = [
        Heading("How good are the scores?", 1),
        Text(
            "Written by `make bench` (bench/evaluate.py); the numbers behind it are in bench/results/evaluation.json. "
            "The simulated places were drawn from seeds that no training uses, but by the same simulator that models "
            "are trained on: real scenes will be harder. Peers were made for real scenes and meet simulated ones here, "
            "which is to their disadvantage. On labelled sets of real images, run `clearsight evaluate PATH --set`."
        ),
        *first_page(l1c),
        *about_l1c,
        *about_l2a,
        *about_real,
        speed(l1c),
    ]
    write_pictures(parts, ROOT / "docs" / "images")
    for path, text in (
        (RESULTS, json.dumps({"l1c": l1c, "l2a": l2a, "real": numbers}, indent=1, sort_keys=True) + "\n"),
        (PAGE, to_markdown(parts, images="images")),
    ):
        with whole_file(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    print(f"{PAGE}\n{RESULTS}")


def speed(summary: Plain) -> Part:
    """Seconds per megapixel, as ratios of one run: times alone would tell more of the machine."""
    scores = summary["scores"]
    first = next(iter(scores.values()))["seconds_per_megapixel"]
    told = [
        f"{name} {each['seconds_per_megapixel'] / first:.1f}"
        for name, each in scores.items()
        if each["seconds_per_megapixel"]
    ]
    return Text(f"Time per pixel in this run, as multiples of our own: {', '.join(told)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=34, help="simulated places of six dates, two of each kind")
    parser.add_argument("--no-peers", action="store_true", help="leave out the peers that need environments")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    start = time.perf_counter()
    written(options.places, options.data, with_peers=not options.no_peers)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
