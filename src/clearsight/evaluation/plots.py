"""Pictures of a report: curves, and the worst images beside their truth."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clearsight.errors import OptionalDependencyError
from clearsight.evaluation.run import Tile
from clearsight.evaluation.samples import CAUSE_NAMES, Cause, LabelArray
from clearsight.evaluation.summary import Plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final[dict[Cause, str]] = {
    Cause.CLEAR: "#7fbf7b",
    Cause.WATER: "#4a90c2",
    Cause.SNOW: "#bfe6f2",
    Cause.THICK: "#f5f5f5",
    Cause.CLOUD: "#f5f5f5",
    Cause.THIN: "#d9b3ff",
    Cause.HAZE: "#e6c36a",
    Cause.SHADOW: "#3b3b52",
    Cause.NODATA: "#ffffff",
    Cause.UNKNOWN: "#ffffff",
}
"""Of the causes in pictures of truths."""

_TITLE: Final = 16
"""Letters of a title over a picture, before it goes on in the next line."""
_BRIGHTEST: Final = 98.0
"""Percentile of a picture that is shown white: dark winters and bright snow are both seen."""


def curves(scores: Mapping[str, Plain]) -> bytes:
    """ROC, precision-recall and calibration of all scores, side by side.

    Parameters
    ----------
    scores : mapping
        ``summary["scores"]``.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    OptionalDependencyError
        matplotlib isn't installed.
    """
    figure = _figure(12.0, 4.6)
    left, middle, right = figure.subplots(1, 3)
    for name, found in scores.items():
        drawn, steps = found["curves"], found["calibration"]
        style: dict[str, Any] = {"lw": 1.8, "label": f"{name} ({_short(found['roc_area']['value'])})"}
        left.plot(_numbers(drawn["unusable_kept"]), _numbers(drawn["usable_kept"]), **style)
        middle.plot(_numbers(drawn["recall"]), _numbers(drawn["precision"]), lw=1.8)
        right.plot(_numbers(steps["score"]), _numbers(steps["usable"]), marker="o", ms=3, lw=1.4)
    for axis in (left, right):
        axis.plot([0, 1], [0, 1], color="0.8", lw=1, zorder=0)
    _named(left, "ROC (area)", "unusable pixels kept", "usable pixels kept")
    _named(middle, "precision and recall of usable", "recall", "precision")
    _named(right, "calibration", "score", "share of pixels that are usable")
    right.axvline(0.6, color="0.6", lw=1, ls=":")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return _png(figure)


def worst_sheet(tiles: Sequence[Tile], *, start: int = 1) -> bytes:
    """Some of the worst images, one in a row: true colour, truth, and what each score says.

    Parameters
    ----------
    tiles : sequence of Tile
        At least one.
    start : int
        Number of the first.

    Returns
    -------
    bytes
        PNG.
    """
    names = list(tiles[0].scores)
    figure = _figure(1.45 * (len(names) + 2), 1.38 * len(tiles) + 0.7)
    grid = figure.subplots(len(tiles), len(names) + 2, squeeze=False)
    for number, (tile, axes) in enumerate(zip(tiles, grid, strict=True), start=start):
        axes[0].imshow(_stretched(tile.colour))
        axes[0].set_ylabel(f"{number}. {tile.surface or tile.id}\n{100 * tile.wrong:.0f} % wrong", fontsize=7)
        axes[1].imshow(_painted(tile.labels), interpolation="nearest")
        for axis, name in zip(axes[2:], names, strict=True):
            if name in tile.scores:
                axis.imshow(tile.scores[name], vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        for axis in axes:
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, name in zip(grid[0], ["true colour", "truth", *names], strict=True):
        axis.set_title(textwrap.fill(name, _TITLE), fontsize=8)
    _legend(figure, {int(cause) for tile in tiles for cause in np.unique(tile.labels)})
    return _png(figure, dpi=72)


def _legend(figure: Figure, present: set[int]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=COLOURS[cause], edgecolor="0.6", label=CAUSE_NAMES[cause])
        for cause in COLOURS
        if cause in CAUSE_NAMES and cause in present
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=7, frameon=False)


def _painted(labels: LabelArray) -> np.ndarray:
    out = np.ones((*labels.shape, 3))
    for cause, colour in COLOURS.items():
        out[labels == cause] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return out


def _stretched(colour: np.ndarray) -> np.ndarray:
    """Reflectance to what an eye likes: from 0 to the brightest, at least the usual 0.25, square root."""
    seen = np.isfinite(colour).all(-1)
    top = max(float(np.percentile(colour[seen], _BRIGHTEST)), 0.25) if seen.any() else 1.0
    return np.asarray(np.where(seen[..., None], np.clip(np.nan_to_num(colour) / top, 0, 1) ** 0.7, 1.0))


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _named(axis: Axes, title: str, across: str, up: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(across, fontsize=9)
    axis.set_ylabel(up, fontsize=9)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.02)
    axis.grid(color="0.92")


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionalDependencyError("A report's pictures need matplotlib: pip install 'clearsight[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure, *, dpi: int = 90) -> bytes:
    into = io.BytesIO()
    figure.savefig(into, format="png", dpi=dpi)
    return into.getvalue()
