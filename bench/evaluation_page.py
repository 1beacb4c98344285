"""The page docs/evaluation.md, made of the numbers in bench/results/evaluation.json and nothing else but pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clearsight.evaluation.document import Heading, Part, Table, Text
from clearsight.evaluation.report import details, first_page
from clearsight.evaluation.run import Tile

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results" / "evaluation.json"
TITLE = "How good are the scores?"
SHOWN = ("B02", "B04", "B08", "B11")
"""Bands whose noise is shown."""
KEPT_OF_CLEAR = 0.9
"""Clear images of which less is kept are named on the first page."""

Numbers = Mapping[str, Any]


def page(numbers: Numbers, *, worst: Mapping[str, Sequence[Tile]] | None = None) -> list[Part]:
    """The whole page; without ``worst``, the worst images by level, the pictures of them are missing."""
    worst = worst or {}
    parts: list[Part] = [
        Heading(TITLE, 1),
        Text(
            "Written by `make bench`; the numbers behind it are in `bench/results/evaluation.json`. The simulated "
            "places were drawn from seeds that no training uses, but by the simulator that the model was trained on: "
            "real scenes will be harder. The peers were made for real scenes and meet simulated ones here, which is "
            "to their disadvantage. For an answer from labelled real images, download a labelled set and run "
            "`clearsight evaluate PATH --set NAME` (docs/evaluation_sets.md)."
        ),
        *first_page(numbers["l1c"]),
        *on_clear_images(numbers["real"]),
        *details(numbers["l1c"], worst=worst.get("l1c", ()), prefix="evaluation_l1c"),
        *details(numbers["l2a"], worst=worst.get("l2a", ()), prefix="evaluation_l2a"),
        *real_parts(numbers["real"]),
        *speed_parts(numbers["speed"]),
    ]
    return parts


def on_clear_images(real: Numbers) -> list[Part]:
    """In a sentence: which real clear images lose too much."""
    if not real:
        return []
    clear: Mapping[str, float] = real["clear_images"]
    poor = sorted((kept, name) for name, kept in clear.items() if kept < KEPT_OF_CLEAR)
    begin = f"Of {len(clear)} real images without a cloud, each scored alone, {len(clear) - len(poor)} keep at least "
    begin += f"{100 * KEPT_OF_CLEAR:.0f} % of their pixels at 0.60. The weights were trained on these images, too."
    if poor:
        begin += f" Less: {'; '.join(f'{name}, {100 * kept:.1f} %' for kept, name in poor)}."
    return [Text(begin)]


def real_parts(real: Numbers) -> list[Part]:
    """What can be said of real images without labels."""
    if not real:
        return [Heading("On real series", 2), Text("The real series aren't here; nothing is said about them.")]
    parts: list[Part] = [
        Heading("On real series, without labels", 2),
        Text(
            "Noise: standard deviation in reflectance of the kept observations about the line between their neighbours "
            "in time, over at most 60 days. A mask that keeps less looks smoother, so in brackets stands our noise "
            "when `cs` is cut where it keeps as much as the mask of that row. “Rank with later”: rank correlation of "
            "the score with the nearness to the clear observations before and after, on which all masks agree. Clips "
            "of the series called *mined* took part in training, with labels that no person drew: they show what "
            "slips in, not how it is at places never seen."
        ),
    ]
    for name, each in real["series"].items():
        title = f"{name}, {each['dates']} dates" + (", mined" if each["trained_on"] else "")
        parts += [Heading(title, 3), series_table(each["masks"])]
    clear = sorted(real["clear_images"].items(), key=lambda entry: entry[1])
    return [
        *parts,
        Heading("On real clear images, one date each", 2),
        Text("What is kept at 0.60 of images that show no cloud: all of it would be right. All took part in training."),
        Table(("image", "kept"), tuple((name, f"{100 * kept:.1f} %") for name, kept in clear)),
    ]


def series_table(masks: Numbers) -> Table:
    bands = [band for band in SHOWN if all(band in each["noise"] for each in masks.values())]

    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    rows = tuple(
        (
            name,
            f"{100 * each['availability']:.1f} %",
            *(f"{cell(each['noise'][band])} ({cell(each['matched'][band])})" for band in bands),
            "–" if each["later"] is None else f"{each['later']:.3f}",
        )
        for name, each in masks.items()
    )
    return Table(("mask", "kept", *(f"noise {band} (ours at as much)" for band in bands), "rank with later"), rows)


def speed_parts(speed: Numbers) -> list[Part]:
    rows = tuple((name, f"{value:.2f}") for name, value in speed["rows"].items())
    return [
        Heading("Time", 2),
        Text(
            f"Seconds per Mpx, each alone on the machine, one image of {speed['side']} × {speed['side']} pixels and 13 "
            "bands; scoring alone, neither reading nor loading models. In the tables above each had one core, and the "
            "other was busy too."
        ),
        Table(("what", "s per Mpx"), rows),
    ]


def load(results: Path = RESULTS) -> Any:
    return json.loads(results.read_text(encoding="utf-8"))
