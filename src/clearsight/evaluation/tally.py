"""Counting: scores and labels of many images -> histograms by image and cause, from which every metric follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.errors import ArgumentError
from clearsight.evaluation.metrics import BINS, Counts, histogram
from clearsight.evaluation.samples import (
    COUNTED,
    UNUSABLE,
    USABLE,
    Cause,
    FloatArray,
    LabelArray,
    Sample,
    is_counted,
    is_usable,
    season_of,
)


@dataclass(frozen=True)
class Row:
    """Where one line of a tally comes from."""

    id: str
    place: str
    """The block that is drawn whole when intervals are estimated."""
    surface: str
    season: str


@dataclass(frozen=True)
class Tally:
    """Scores of many images, counted."""

    rows: tuple[Row, ...]
    counts: Counts
    """(row, cause, bin), causes in the order of ``samples.COUNTED``."""

    @property
    def usable(self) -> Counts:
        """(row, bin)"""
        return self.of(USABLE)

    @property
    def unusable(self) -> Counts:
        """(row, bin)"""
        return self.of(UNUSABLE)

    def of(self, causes: Sequence[Cause]) -> Counts:
        """Histogram (row, bin) of the pixels of some causes."""
        return np.asarray(self.counts[:, [COUNTED.index(cause) for cause in causes]].sum(1), dtype=np.int64)

    def where(self, test: Callable[[Row], bool]) -> Tally:
        """Rows that pass a test."""
        chosen = [i for i, row in enumerate(self.rows) if test(row)]
        return Tally(tuple(self.rows[i] for i in chosen), self.counts[chosen])


def count(sample: Sample, scores: FloatArray, *, border: int = 0) -> tuple[Row, Counts]:
    """Count one image.

    Parameters
    ----------
    sample : Sample
        Image and labels.
    scores : (y, x) array
        0 … 1; NaN isn't counted.
    border : int
        Pixels; what lies this near to a border of usable and unusable isn't counted.

    Returns
    -------
    row : Row
    counts : int64 array (cause, bin)

    Raises
    ------
    ArgumentError
        Scores and labels differ in shape.
    """
    if scores.shape != sample.labels.shape:
        raise ArgumentError(
            f"scores of {sample.id!r} have shape {scores.shape}; expected that of the labels, {sample.labels.shape}."
        )
    labels = without_borders(sample.labels, border)
    row = Row(sample.id, sample.block or sample.place, sample.surface, season_of(sample.date, latitude=sample.latitude))
    return row, np.stack([histogram(scores, labels == cause) for cause in COUNTED])


def join(parts: Sequence[tuple[Row, Counts]]) -> Tally:
    """Make one tally of many counted images."""
    counts = np.zeros((len(parts), len(COUNTED), BINS), dtype=np.int64)
    for i, (_, each) in enumerate(parts):
        counts[i] = each
    return Tally(tuple(row for row, _ in parts), counts)


def concatenated(tallies: Sequence[Tally]) -> Tally:
    """Make one tally of several, their rows one after another."""
    rows = tuple(row for tally in tallies for row in tally.rows)
    return Tally(rows, np.concatenate([tally.counts for tally in tallies]))


def without_borders(labels: LabelArray, width: int) -> LabelArray:
    """Set labels to ``UNKNOWN`` that lie within ``width`` pixels of where usable meets unusable.

    People don't agree to the pixel where a cloud ends; what's left is what they agree on.

    Parameters
    ----------
    labels : uint8 array (y, x)
        Codes of `Cause`.
    width : int
        Pixels, Chebyshev distance; 0 leaves all labels.

    Returns
    -------
    uint8 array (y, x)

    Examples
    --------
    >>> row = np.array([[0, 0, 0, 1, 1, 1]], dtype="uint8")
    >>> without_borders(row, 1).tolist()
    [[0, 0, 255, 255, 1, 1]]
    """
    if width < 0:
        raise ArgumentError(f"width={width}: expected a number of pixels, 0 or more.")
    if width == 0:
        return labels
    usable = is_usable(labels)
    unusable = is_counted(labels) & ~usable
    near = _grown(usable, width) & _grown(unusable, width)
    return np.where(near, np.uint8(Cause.UNKNOWN), labels)


def _grown(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    size = 2 * width + 1
    return np.asarray(ndimage.maximum_filter(mask, size=size, mode="constant", cval=False), dtype=np.bool_)
