"""All numbers of an evaluation as plain data: what the report shows, and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from clearsight.evaluation import metrics
from clearsight.evaluation.advice import Advice, advise
from clearsight.evaluation.bootstrap import Estimate, Statistic, estimate
from clearsight.evaluation.metrics import THRESHOLDS
from clearsight.evaluation.run import Evaluation, Outcome
from clearsight.evaluation.samples import CAUSE_NAMES, COUNTED, UNUSABLE, USABLE
from clearsight.evaluation.tally import Row, Tally

Plain = dict[str, Any]
"""Numbers, texts, lists and mappings of them: what JSON holds."""

_DIGITS: Final = 4
_MEASURES: Final[dict[str, Callable[..., metrics.Floats]]] = {
    "balanced_accuracy": metrics.balanced_accuracy,
    "f1_usable": metrics.f1_usable,
    "f1_unusable": metrics.f1_unusable,
}
_CURVE_STEP: Final = 5
_LEAST_PIXELS: Final = 200
"""A group with fewer pixels isn't shown."""


def summarise(evaluation: Evaluation) -> Plain:
    """Every number of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        From `evaluate`.

    Returns
    -------
    dict
        Plain data, rounded to four digits; what isn't defined is None.
    """
    return {
        "set": evaluation.name,
        "licence": evaluation.licence,
        "citation": evaluation.citation,
        "images": evaluation.images,
        "places": evaluation.places,
        "left_out": evaluation.left_out,
        "scores": {outcome.score: _of_score(outcome) for outcome in evaluation.outcomes},
        "worst": [{"id": tile.id, "surface": tile.surface, "wrong": _plain(tile.wrong)} for tile in evaluation.worst],
    }


def _of_score(outcome: Outcome) -> Plain:
    tally = outcome.tally
    cut = outcome.threshold
    usable, unusable = tally.usable.sum(0), tally.unusable.sum(0)
    return {
        "method": outcome.method,
        "threshold": cut,
        "seconds_per_megapixel": _plain(outcome.seconds_per_megapixel),
        "pixels": int(tally.counts.sum()),
        "unusable_share": _plain(unusable.sum() / max(tally.counts.sum(), 1)),
        "roc_area": _estimated(tally, metrics.roc_area),
        "average_precision_usable": _plain(metrics.average_precision(usable, unusable)),
        "average_precision_unusable": _plain(metrics.average_precision(unusable[::-1], usable[::-1])),
        "at": {f"{threshold:.2f}": _at(tally, threshold) for threshold in sorted({*THRESHOLDS, cut})},
        "tolerant": {"roc_area": _estimated(outcome.tolerant, metrics.roc_area), "at_own": _at(outcome.tolerant, cut)},
        "by_cause": _by_cause(tally, cut),
        "by_surface": _by_group(tally, cut, lambda row: row.surface),
        "by_season": _by_group(tally, cut, lambda row: row.season),
        "calibration": _calibration(usable, unusable),
        "curves": _curves(usable, unusable),
        "advice": [_advice(each) for each in advise(tally)],
    }


def _at(tally: Tally, threshold: float) -> Plain:
    """The usual measures at a threshold, the first with its interval."""
    usable, unusable = tally.usable.sum(0), tally.unusable.sum(0)
    found: Plain = {name: _plain(of(usable, unusable, threshold)) for name, of in _MEASURES.items()}
    found["balanced_accuracy"] = _estimated(tally, partial(metrics.balanced_accuracy, threshold=threshold))
    found["usable_kept"] = _plain(metrics.kept(usable, threshold))
    found["unusable_kept"] = _plain(metrics.kept(unusable, threshold))
    return found


def _by_cause(tally: Tally, threshold: float) -> Plain:
    """Share put on the right side, of each cause: usable pixels kept, unusable ones dropped."""
    found: Plain = {}
    for cause in COUNTED:
        counts = tally.of((cause,)).sum(0)
        if counts.sum() >= _LEAST_PIXELS:
            share = float(metrics.kept(counts, threshold))
            right = share if cause in USABLE else 1.0 - share
            found[CAUSE_NAMES[cause]] = {
                "usable": cause not in UNUSABLE,
                "right": _plain(right),
                "pixels": int(counts.sum()),
            }
    return found


def _by_group(tally: Tally, threshold: float, key: Callable[[Row], str]) -> Plain:
    """Balanced accuracy and its two halves, by a fact of the rows."""
    found: Plain = {}
    for name in sorted({key(row) for row in tally.rows}):
        part = tally.where(lambda row, name=name: key(row) == name)  # type: ignore[misc]
        usable, unusable = part.usable.sum(0), part.unusable.sum(0)
        if name and usable.sum() + unusable.sum() >= _LEAST_PIXELS:
            found[name] = {
                "balanced_accuracy": _plain(metrics.balanced_accuracy(usable, unusable, threshold)),
                "usable_kept": _plain(metrics.kept(usable, threshold)),
                "unusable_kept": _plain(metrics.kept(unusable, threshold)),
                "roc_area": _plain(metrics.roc_area(usable, unusable)),
                "images": len({row.id for row in part.rows}),
                "places": len({row.place for row in part.rows}),
            }
    return found


def _calibration(usable: metrics.Counts, unusable: metrics.Counts) -> Plain:
    score, share, pixels = metrics.calibration(usable, unusable)
    return {
        "score": [_plain(value) for value in score],
        "usable": [_plain(value) for value in share],
        "pixels": pixels.tolist(),
    }


def _curves(usable: metrics.Counts, unusable: metrics.Counts) -> Plain:
    """ROC and precision-recall, as many points as it takes to draw them."""
    leaked, kept = metrics.roc(usable, unusable)
    exact, recall = metrics.precision_recall(usable, unusable)

    def drawn(curve: metrics.Floats) -> list[float | None]:
        return [_plain(value) for value in (*curve[:-1:_CURVE_STEP], curve[-1])]

    return {
        "unusable_kept": drawn(leaked),
        "usable_kept": drawn(kept),
        "recall": drawn(recall),
        "precision": drawn(exact),
    }


def _advice(advice: Advice) -> Plain:
    return {
        "purpose": advice.purpose.name,
        "why": advice.purpose.why,
        "goal": advice.purpose.goal,
        "threshold": advice.threshold,
        "reached": advice.reached,
        "lost": _plain(advice.lost),
        "leaked": _plain(advice.leaked),
        "contaminated": _plain(advice.contaminated),
        "cloudy": _plain(advice.cloudy),
    }


def _estimated(tally: Tally, statistic: Statistic) -> Plain:
    found: Estimate = estimate(tally, statistic)
    return {"value": _plain(found.value), "low": _plain(found.low), "high": _plain(found.high)}


def _plain(value: object) -> float | None:
    """A number that JSON can hold."""
    number = float(np.asarray(value, dtype=np.float64))
    return round(number, _DIGITS) if np.isfinite(number) else None
