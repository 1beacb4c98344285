"""The report: numbers of an evaluation -> parts of a document.

The first page is for users: which threshold for which purpose, and where not to trust the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from clearsight.evaluation.document import Heading, Part, Picture, Table, Text
from clearsight.evaluation.metrics import THRESHOLDS
from clearsight.evaluation.plots import curves, worst_sheet
from clearsight.evaluation.run import Tile
from clearsight.evaluation.summary import Plain

ON_A_SHEET: Final = 10
"""Worst images on one picture."""

_GOOD: Final = 0.90
_WITH_CARE: Final = 0.75
"""Shares put on the right side from which a group of pixels counts as good, or to be used with care."""

_MEANING: Final = {
    "clearsight cs": "`cs`: how well the ground is seen, on its own scale",
    "clearsight cs_cdf": "`cs_cdf`: how that ranks among the dates of the place that were scored together",
}
"""Our scores, in the order in which they are advised on; what is doubtful is told of the first."""


def first_page(summary: Plain) -> list[Part]:
    """What to do with the scores: thresholds by purpose, and where not to trust them.

    Parameters
    ----------
    summary : dict
        From `summarise`.

    Returns
    -------
    list of Part
    """
    ours = [name for name in _MEANING if name in summary["scores"]]
    if not ours:
        return [Text("Clearsight itself wasn't run: nothing is advised.")]
    parts: list[Part] = [
        Heading("Which threshold for which purpose", 2),
        *(_in_doubt(name, summary["scores"][name]) for name in ours[:1]),
        Text(
            f"Chosen on every other place of “{summary['set']}” ({summary['images']} images of {summary['places']} "
            "places), and the cost told as it is on the places that took no part in the choice. How many of the kept "
            "pixels are unusable follows how cloudy it is: here "
            f"{_percent(summary['scores'][ours[0]]['unusable_share'])} of all pixels are unusable."
        ),
    ]
    for name in ours:
        advice = summary["scores"][name]["advice"]
        parts.append(Text(f"{_MEANING[name]}."))
        parts.append(_advised(name, advice) if advice else Text("Too few places, or too much alike, to advise on."))
    return [*parts, Heading("Where not to trust the scores", 2), *_doubts(ours[0], summary["scores"][ours[0]])]


def _in_doubt(name: str, found: Plain) -> Part:
    own = found["at"][f"{found['threshold']:.2f}"]
    return Text(
        f"If in doubt, keep the pixels with {_code(name)} ≥ {found['threshold']:.2f}: "
        f"that keeps {_percent(own['usable_kept'])} of the usable pixels, "
        f"and {_percent(own['unusable_kept'])} of the unusable ones slip in."
    )


def _advised(name: str, advice: Sequence[Plain]) -> Table:
    rows = [
        (
            f"{each['purpose']} ({each['why']})",
            each["goal"],
            f"{each['threshold']:.2f}{'' if each['reached'] else ' (the nearest; misses the goal)'}",
            _percent(each["lost"]),
            _percent(each["leaked"]),
            _percent(each["contaminated"]),
        )
        for each in advice
    ]
    head = (
        "what for", "goal", f"keep {name.removeprefix('clearsight ')} from", "of the usable pixels are lost",
        "of the unusable pixels slip in", "of the kept pixels are unusable",
    )  # fmt: skip
    return Table(head, tuple(rows))


def _doubts(name: str, found: Plain) -> list[Part]:
    """What is right and wrong at a score's threshold: by cause, surface and season, the worst first."""
    causes = [(cause, each["right"]) for cause, each in found["by_cause"].items()]
    groups = {
        kind: [(group, _worse_side(each)) for group, each in found[f"by_{kind}"].items()]
        for kind in ("surface", "season")
    }
    told = [("", causes), ("over ", groups["surface"]), ("in ", groups["season"])]
    doubtful = [(right, f"{how}{group} ({_percent(right)} right)") for how, each in told for group, right in each]
    names = [text for right, text in sorted(doubtful) if right < _WITH_CARE]
    cut = f"{_code(name)} ≥ {found['threshold']:.2f}"
    parts: list[Part] = [
        Text(
            f"Don't trust {cut} on: {'; '.join(names)}."
            if names
            else f"No cause, surface or season falls below {_percent(_WITH_CARE)} right at {cut}."
        ),
        Text(
            f"Right: usable pixels that are kept, unusable ones that are dropped; the worse of the two counts. "
            f"Good: {_percent(_GOOD)} or more. With care: {_percent(_WITH_CARE)} or more. All at {cut}. "
            "Where a line stands on few places, it is a hint, no more."
        ),
        _causes_trusted(found["by_cause"]),
    ]
    return parts + [_groups_trusted(kind, found[f"by_{kind}"]) for kind in groups if groups[kind]]


def _causes_trusted(by_cause: Mapping[str, Plain]) -> Table:
    rows = tuple(
        (cause, "kept" if each["usable"] else "dropped", _percent(each["right"]), _trust(each["right"]))
        for cause, each in sorted(by_cause.items(), key=lambda entry: entry[1]["right"])
    )
    return Table(("what a pixel is", "should be", "is", "trust"), rows)


def _groups_trusted(kind: str, groups: Mapping[str, Plain]) -> Table:
    rows = tuple(
        (
            group,
            _percent(each["usable_kept"]),
            _percent(None if each["unusable_kept"] is None else 1 - each["unusable_kept"]),
            f"{each['images']} ({each['places']})",
            _trust(_worse_side(each)),
        )
        for group, each in sorted(groups.items(), key=lambda entry: _worse_side(entry[1]))
    )
    return Table((kind, "usable pixels kept", "unusable pixels dropped", "images (places)", "trust"), rows)


def _worse_side(group: Plain) -> float:
    """Share of the usable pixels kept or of the unusable dropped, whichever is less; a side without pixels is not."""
    kept, leaked = group["usable_kept"], group["unusable_kept"]
    return min(1.0 if kept is None else kept, 1.0 if leaked is None else 1 - leaked)


def _trust(right: float) -> str:
    return "good" if right >= _GOOD else "with care" if right >= _WITH_CARE else "no"


def _code(name: str) -> str:
    return f"`{name.removeprefix('clearsight ')}`"


def details(summary: Plain, *, worst: Sequence[Tile] = (), prefix: str = "evaluation") -> list[Part]:
    """Everything else: all scores and peers, by threshold, cause, surface and season; curves; the worst images.

    Parameters
    ----------
    summary : dict
        From `summarise`.
    worst : sequence of Tile
        ``evaluation.worst``.
    prefix : str
        Of the pictures' names.

    Returns
    -------
    list of Part
    """
    scores: Mapping[str, Plain] = summary["scores"]
    parts: list[Part] = [
        Heading(f"On {summary['set']}", 2),
        Text(
            f"{summary['images']} images of {summary['places']} places. Licence: {summary['licence']}. "
            f"Cite: {summary['citation']}. In brackets 95 % intervals, whole places drawn with replacement."
        ),
        _overall(scores),
    ]
    parts += [Text(f"{name} wasn't run: {why}.") for name, why in summary["left_out"].items()]
    parts += [
        Picture(curves(scores), "ROC, precision and recall, calibration", f"{prefix}_curves"),
        Heading("By threshold", 3),
        _by_threshold(scores),
        Heading("By cause", 3),
        Text("Share put on the right side, each score cut where its authors cut."),
        _by_cause(scores),
    ]
    for title, key in (("By surface", "by_surface"), ("By season", "by_season")):
        if any(found[key] for found in scores.values()):
            parts += [Heading(title, 3), Text("Balanced accuracy."), _by_group(scores, key)]
    if worst:
        parts += [
            Heading(f"The {len(worst)} worst images", 3),
            Text("By the share of pixels that the first score gets wrong."),
        ]
        for page, start in enumerate(range(0, len(worst), ON_A_SHEET), start=1):
            sheet = worst_sheet(worst[start : start + ON_A_SHEET], start=start + 1)
            parts.append(Picture(sheet, f"Worst images, page {page}", f"{prefix}_worst_{page}"))
    return parts


def _overall(scores: Mapping[str, Plain]) -> Table:
    rows = []
    for name, found in scores.items():
        own = found["at"][f"{found['threshold']:.2f}"]
        rows.append(
            (
                name,
                _interval(found["roc_area"]),
                f"{found['threshold']:.2f}",
                _interval(own["balanced_accuracy"]),
                _number(found["tolerant"]["at_own"]["balanced_accuracy"]["value"]),
                _number(own["f1_usable"]),
                _number(own["f1_unusable"]),
                _percent(own["usable_kept"]),
                _percent(own["unusable_kept"]),
                f"{found['seconds_per_megapixel']:.2f}" if found["seconds_per_megapixel"] else "–",
            )
        )
    head = (
        "score", "ROC area", "cut", "balanced accuracy", "without borders", "F1 usable", "F1 unusable", "usable kept",
        "unusable kept", "s per Mpx",
    )  # fmt: skip
    return Table(head, tuple(rows))


def _by_threshold(scores: Mapping[str, Plain]) -> Table:
    rows = []
    for name, found in scores.items():
        for threshold in THRESHOLDS:
            each = found["at"][f"{threshold:.2f}"]
            cells = (_interval(each["balanced_accuracy"]), _number(each["f1_usable"]), _number(each["f1_unusable"]))
            rows.append((name, f"{threshold:.2f}", *cells))
    return Table(("score", "threshold", "balanced accuracy", "F1 usable", "F1 unusable"), tuple(rows))


def _by_cause(scores: Mapping[str, Plain]) -> Table:
    causes = list(next(iter(scores.values()))["by_cause"])
    rows = [
        (name, *(_number(found["by_cause"].get(cause, {}).get("right")) for cause in causes))
        for name, found in scores.items()
    ]
    return Table(("score", *causes), tuple(rows))


def _by_group(scores: Mapping[str, Plain], key: str) -> Table:
    groups = sorted({group for found in scores.values() for group in found[key]})
    rows = [
        (group, *(_number(found[key].get(group, {}).get("balanced_accuracy")) for found in scores.values()))
        for group in groups
        if any(found[key].get(group, {}).get("balanced_accuracy") is not None for found in scores.values())
    ]
    return Table((key.removeprefix("by_"), *scores), tuple(rows))


def _interval(estimate: Plain) -> str:
    if estimate["low"] is None:
        return _number(estimate["value"])
    return f"{_number(estimate['value'])} ({_number(estimate['low'])}–{_number(estimate['high'])})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
