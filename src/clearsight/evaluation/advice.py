"""Which threshold for which purpose, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from clearsight.evaluation.metrics import Counts, balanced_accuracy, kept, precision
from clearsight.evaluation.tally import Tally

GRID: Final = tuple(round(0.05 * step, 2) for step in range(2, 20))
"""Thresholds to choose from: 0.10, 0.15 … 0.95."""

Rule = Literal["balance", "purity", "reach"]


@dataclass(frozen=True)
class Purpose:
    """What someone wants of the pixels that are kept."""

    name: str
    why: str
    rule: Rule
    """``balance``: the best balanced accuracy. ``purity``: the lowest threshold with at most ``limit`` of the kept
    pixels contaminated. ``reach``: the highest threshold that loses at most ``limit`` of the usable pixels."""
    limit: float = 0.0

    @property
    def goal(self) -> str:
        """The rule in words.

        Examples
        --------
        >>> PURPOSES[1].goal
        'at most 2 % of the kept pixels unusable'
        """
        return {
            "balance": "most right on both sides",
            "purity": f"at most {100 * self.limit:g} % of the kept pixels unusable",
            "reach": f"at most {100 * self.limit:g} % of the usable pixels lost",
        }[self.rule]


PURPOSES: Final = (
    Purpose("composites, land cover", "a median forgives some leaks, and needs dates", "balance"),
    Purpose("change detection", "each leak is a false alarm", "purity", 0.02),
    Purpose("spectra, water quality, time series", "every value counts on its own", "purity", 0.01),
    Purpose("rare clear views: tropics, floods, rapid mapping", "a lost pixel doesn't come back", "reach", 0.02),
)


@dataclass(frozen=True)
class Advice:
    """A threshold for a purpose. Costs are measured on other places than those it was chosen on."""

    purpose: Purpose
    threshold: float
    reached: bool
    """Whether the purpose's limit is kept where the threshold was chosen; otherwise it's the nearest there is."""
    lost: float
    """Share of the usable pixels that are dropped."""
    leaked: float
    """Share of the unusable pixels that are kept."""
    contaminated: float
    """Share of the kept pixels that are unusable; depends on how much cloud there is."""
    cloudy: float
    """Share of all pixels that were unusable where the costs were measured."""


def advise(tally: Tally, *, purposes: Sequence[Purpose] = PURPOSES) -> tuple[Advice, ...]:
    """Choose a threshold for each purpose on every other place, and tell its cost on the rest.

    Parameters
    ----------
    tally : Tally
        Counted images of at least two places.
    purposes : sequence of Purpose
        By default `PURPOSES`.

    Returns
    -------
    tuple of Advice
        One for each purpose; empty with fewer than two places, or where none of one half's pixels are usable or
        unusable.
    """
    places = sorted({row.place for row in tally.rows})
    if len(places) < 2:
        return ()
    chosen_on = set(places[::2])
    here = tally.where(lambda row: row.place in chosen_on)
    there = tally.where(lambda row: row.place not in chosen_on)
    first, second = ((part.usable.sum(0), part.unusable.sum(0)) for part in (here, there))
    if not all(counts.any() for counts in (*first, *second)):
        return ()
    return tuple(_advice(purpose, first, second) for purpose in purposes)


def _advice(purpose: Purpose, chosen_on: tuple[Counts, Counts], told_on: tuple[Counts, Counts]) -> Advice:
    threshold, reached = choose(purpose, *chosen_on)
    usable, unusable = told_on
    return Advice(
        purpose=purpose,
        threshold=threshold,
        reached=reached,
        lost=1.0 - float(kept(usable, threshold)),
        leaked=float(kept(unusable, threshold)),
        contaminated=1.0 - float(precision(usable, unusable, threshold)),
        cloudy=float(unusable.sum() / max(usable.sum() + unusable.sum(), 1)),
    )


def choose(purpose: Purpose, usable: Counts, unusable: Counts) -> tuple[float, bool]:
    """Threshold of `GRID` that serves a purpose best, and whether its limit is kept.

    Examples
    --------
    >>> from clearsight.evaluation.metrics import histogram
    >>> usable, unusable = histogram([0.9, 0.8], np.ones(2, bool)), histogram([0.1, 0.4], np.ones(2, bool))
    >>> choose(PURPOSES[1], usable, unusable)
    (0.45, True)
    """
    if purpose.rule == "balance":
        values = [float(balanced_accuracy(usable, unusable, threshold)) for threshold in GRID]
        # Equally good thresholds: the middle one is the least sensitive to where it's used.
        best = np.flatnonzero(np.isclose(values, np.nanmax(values), atol=1e-9))
        return GRID[int(best[len(best) // 2])], True
    if purpose.rule == "purity":
        # Where nothing is kept, nothing is pure.
        dirt = [1.0 - float(np.nan_to_num(precision(usable, unusable, threshold))) for threshold in GRID]
        good = [i for i, share in enumerate(dirt) if share <= purpose.limit]
        return (GRID[good[0]], True) if good else (GRID[int(np.argmin(dirt))], False)
    lost = [1.0 - float(kept(usable, threshold)) for threshold in GRID]
    good = [i for i, share in enumerate(lost) if share <= purpose.limit]
    return (GRID[good[-1]], True) if good else (GRID[0], False)
