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

_DOUBT_KEPT: Final = 0.80
"""Where less of what is usable is kept, the page warns."""
_DOUBT_LEAKED: Final = 0.25
"""Where more of what is unusable is kept, the page warns."""


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
    ours = [name for name in ("clearsight cs_cdf", "clearsight cs") if name in summary["scores"]]
    parts: list[Part] = [
        Heading("Which threshold for which purpose", 2),
        Text(
            f"Chosen on every other place of “{summary['set']}” ({summary['images']} images of {summary['places']} "
            "places), the costs measured on the rest. "
            "Lost: usable pixels that are dropped. Leaked: unusable pixels that are kept. "
            "Contaminated: unusable among those kept; it follows how much cloud there is."
        ),
    ]
    parts += [_advised(name, summary["scores"][name]["advice"]) for name in ours]
    parts.append(Heading("Where not to trust the scores", 2))
    parts.append(_doubts(ours[-1], summary["scores"][ours[-1]]) if ours else Text("Clearsight itself wasn't run."))
    return parts


def _advised(name: str, advice: Sequence[Plain]) -> Table:
    rows = [
        (
            f"{each['purpose']} ({each['why']})",
            f"{each['threshold']:.2f}{'' if each['reached'] else ', and that is not enough'}",
            _percent(each["lost"]),
            _percent(each["leaked"]),
            _percent(each["contaminated"]),
        )
        for each in advice
    ]
    return Table((name.removeprefix("clearsight "), "keep from", "lost", "leaked", "contaminated"), tuple(rows))


def _doubts(name: str, found: Plain) -> Part:
    """Groups on which a score is bad at its threshold, the worst first."""
    rows: list[tuple[float, tuple[str, ...]]] = []
    for cause, each in found["by_cause"].items():
        limit = _DOUBT_KEPT if each["usable"] else 1 - _DOUBT_LEAKED
        if each["right"] < limit:
            what = "are dropped, though the ground is seen" if each["usable"] else "are kept"
            rows.append((1 - each["right"], (cause, f"{_percent(1 - each['right'])} of such pixels {what}")))
    for kind, by in (("over", "by_surface"), ("in", "by_season")):
        for group, each in found[by].items():
            kept, leaked = each["usable_kept"], each["unusable_kept"]
            if kept is not None and kept < _DOUBT_KEPT:
                rows.append((1 - kept, (f"{kind} {group}", f"{_percent(1 - kept)} of the usable pixels are dropped")))
            if leaked is not None and leaked > _DOUBT_LEAKED:
                rows.append((leaked, (f"{kind} {group}", f"{_percent(leaked)} of the unusable pixels are kept")))
    if not rows:
        return Text(f"No cause, surface or season stands out at {found['threshold']:.2f}.")
    table = tuple(row for _, row in sorted(rows, key=lambda entry: -entry[0]))
    return Table((f"{name.removeprefix('clearsight ')} ≥ {found['threshold']:.2f}", "what happens"), table)


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
    parts += [Text(f"Not run: {name}. {why}.") for name, why in summary["left_out"].items()]
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
            )
        )
    head = (
        "score", "ROC area", "cut", "balanced accuracy", "without borders", "F1 usable", "F1 unusable", "usable kept",
        "unusable kept",
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
