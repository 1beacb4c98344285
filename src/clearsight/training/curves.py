"""Pictures of how trainings went."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np

from clearsight.errors import OptionalDependencyError
from clearsight.whole import whole_file

_SMOOTH: Final = 0.9
_LOSSES: Final = {
    "entropy": "entropy of the score",
    "distance": "mean absolute error",
    "cause": "cause",
    "prior": "prior",
}


def draw_curves(out: Path) -> Path | None:
    """Draw the losses of all trainings in a folder, ``out/*/log.csv``, into ``out/curves.png``.

    Returns
    -------
    Path or None
        The picture; None if nothing has been logged.

    Raises
    ------
    OptionalDependencyError
        matplotlib isn't installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionalDependencyError("curves need matplotlib; pip install 'clearsight[train,plots]'") from error
    logs = {
        path.parent.name: _read(path) for path in sorted(out.glob("*/log.csv"), key=lambda path: path.stat().st_mtime)
    }
    logs = {name: columns for name, columns in logs.items() if len(columns.get("step", ()))}
    if not logs:
        return None
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, _LOSSES.items(), strict=True):
        for number, (training, columns) in enumerate(logs.items()):
            axes.plot(columns["minutes"], columns[name], ".", markersize=2, alpha=0.35, color=f"C{number}")
            axes.plot(columns["minutes"], _smoothed(columns[name]), color=f"C{number}", label=training)
        axes.set(title=title, xlabel="minutes", ylabel="loss", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    with whole_file(out / "curves.png") as part:
        figure.savefig(part, format="png", dpi=110)
    return out / "curves.png"


def _read(path: Path) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else {})}


def _smoothed(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Running mean that forgets slowly, and starts as a plain one."""
    out = np.empty_like(values)
    mean = 0.0
    for index, value in enumerate(values):
        keep = min(_SMOOTH, index / (index + 1))
        mean = keep * mean + (1 - keep) * value
        out[index] = mean
    return out
