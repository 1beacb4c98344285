"""``evaluate``: a labelled set and methods -> counts, from which every metric follows, and the worst images."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count as counter
from typing import Final

import numpy as np

from clearsight.errors import ArgumentError
from clearsight.evaluation.metrics import Counts
from clearsight.evaluation.peers.protocol import Method
from clearsight.evaluation.peers.registry import OURS
from clearsight.evaluation.samples import (
    FloatArray,
    LabelArray,
    LabelledSet,
    Sample,
    clips,
    is_counted,
    is_usable,
    stack_of,
)
from clearsight.evaluation.tally import Row, Tally, concatenated, count, join
from clearsight.progress import Progress, silent

BORDER: Final = 2
"""Pixels around a border of usable and unusable that the border-tolerant tally leaves out."""
_TILE_SIDE: Final = 128
"""Pixels of the largest picture of a tile."""


@dataclass(frozen=True)
class Outcome:
    """How one score did on a set."""

    score: str
    """Its name, such as ``clearsight cs``."""
    method: str
    threshold: float
    """Where its authors cut."""
    tally: Tally
    tolerant: Tally
    """Without pixels near borders of the labels."""
    seconds_per_megapixel: float


@dataclass(frozen=True)
class Tile:
    """An image that went wrong."""

    id: str
    surface: str
    wrong: float
    """Share of its labelled pixels on the wrong side of the threshold."""
    colour: FloatArray
    """(y, x, 3) B04, B03, B02 as reflectance."""
    labels: LabelArray
    scores: dict[str, FloatArray]
    thresholds: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What came out of a set."""

    name: str
    licence: str
    citation: str
    images: int
    places: int
    outcomes: tuple[Outcome, ...]
    """The first is the one that the worst images are chosen by."""
    left_out: dict[str, str]
    """Methods that couldn't run on some or all of the images, and why."""
    worst: tuple[Tile, ...]


@dataclass
class _Counted:
    """Counts of one score while they come in."""

    method: Method
    whole: list[tuple[Row, Counts]] = field(default_factory=list)
    tolerant: list[tuple[Row, Counts]] = field(default_factory=list)
    seconds: float = 0.0
    pixels: int = 0


class _Worst:
    """The worst images so far, and no more than asked for in memory; of equals those that came first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.heap: list[tuple[float, int, Tile]] = []
        self.order = counter(0, -1)

    def offer(self, tile: Tile) -> None:
        """Keep a tile if it's among the worst."""
        entry = (tile.wrong, next(self.order), tile)
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        elif self.size and entry[0] > self.heap[0][0]:
            heapq.heapreplace(self.heap, entry)

    def tiles(self) -> tuple[Tile, ...]:
        """The worst first."""
        return tuple(tile for _, _, tile in sorted(self.heap, key=lambda entry: entry[:2], reverse=True))


def evaluate(
    labelled: LabelledSet,
    *,
    methods: Sequence[Method] = OURS,
    worst: int = 20,
    border: int = BORDER,
    progress: Progress = silent,
) -> Evaluation:
    """Score a labelled set by several methods, on the same pixels, and count what they say.

    Parameters
    ----------
    labelled : LabelledSet
        From `clearsight.evaluation.sets`, or simulated: `clearsight.evaluation.worlds.World`.
    methods : sequence of Method
        Ours and peers; the first names the worst images.
    worst : int
        How many of the worst images to keep as pictures.
    border : int
        Pixels around borders of the labels that the tolerant counts leave out.
    progress : function, optional
        Told after each place.

    Returns
    -------
    Evaluation

    Raises
    ------
    ArgumentError
        The set holds no image, or no method is given.

    Examples
    --------
    >>> from clearsight.evaluation.worlds import World
    >>> found = evaluate(World(places=1, frames=2, size=32), worst=1)
    >>> found.images, [outcome.score for outcome in found.outcomes][:2]
    (2, ['clearsight cs', 'clearsight cs_cdf'])
    """
    if not methods:
        raise ArgumentError("methods is empty; expected at least one way to score.")
    counted: dict[str, _Counted] = {}
    left_out: dict[str, str] = {}
    tiles = _Worst(worst)
    images = 0
    for done, clip in enumerate(clips(labelled.samples()), start=1):
        scores = _scored(clip, methods, counted, left_out)
        for number, sample in enumerate(clip):
            frames = {name: values[number] for name, values in scores.items()}
            for name, values in frames.items():
                counted[name].whole.append(count(sample, values))
                counted[name].tolerant.append(count(sample, values, border=border))
            tiles.offer(_tile(sample, frames, {name: counted[name].method.threshold for name in frames}))
        images += len(clip)
        progress(done, done, "scoring places")
    if not images:
        raise ArgumentError(f"the set {labelled.name!r} holds no image; check its path and layout.")
    outcomes = tuple(_outcome(name, found) for name, found in counted.items())
    places = len({row.place for row in outcomes[0].tally.rows}) if outcomes else 0
    return Evaluation(
        labelled.name, labelled.licence, labelled.citation, images, places, outcomes, left_out, tiles.tiles()
    )


def merged(parts: Sequence[Evaluation], *, worst: int = 20) -> Evaluation:
    """Make one evaluation of several, such as of places that were scored in processes of their own.

    Parameters
    ----------
    parts : sequence of Evaluation
        Of one set, by the same methods, no image in two of them.
    worst : int
        How many of the worst images to keep, of those that the parts kept.

    Returns
    -------
    Evaluation
        As if all images had been scored at once; images in the order of the parts.

    Raises
    ------
    ArgumentError
        ``parts`` is empty.

    Examples
    --------
    >>> from clearsight.evaluation.worlds import World
    >>> halves = [evaluate(World(places=1, frames=2, size=32, start=i), worst=1) for i in range(2)]
    >>> merged(halves).images, merged(halves).places, len(merged(halves).worst)
    (4, 2, 2)
    """
    if not parts:
        raise ArgumentError("parts is empty; expected at least one evaluation.")
    found: dict[str, list[Outcome]] = {}
    for part in parts:
        for outcome in part.outcomes:
            found.setdefault(outcome.score, []).append(outcome)
    outcomes = tuple(_joined(same) for same in found.values())
    tiles = sorted((tile for part in parts for tile in part.worst), key=lambda tile: -tile.wrong)
    return replace(
        parts[0],
        images=sum(part.images for part in parts),
        places=len({row.place for row in outcomes[0].tally.rows}) if outcomes else 0,
        outcomes=outcomes,
        left_out={name: why for part in parts for name, why in part.left_out.items()},
        worst=tuple(tiles[:worst]),
    )


def _joined(same: Sequence[Outcome]) -> Outcome:
    """One outcome of several of the same score; its time is weighted by the pixels."""
    pixels = np.array([max(int(each.tally.counts.sum()), 1) for each in same])
    seconds = np.array([each.seconds_per_megapixel for each in same])
    return replace(
        same[0],
        tally=concatenated([each.tally for each in same]),
        tolerant=concatenated([each.tolerant for each in same]),
        seconds_per_megapixel=float((pixels * seconds).sum() / pixels.sum()),
    )


def _scored(
    clip: tuple[Sample, ...], methods: Sequence[Method], counted: dict[str, _Counted], left_out: dict[str, str]
) -> dict[str, FloatArray]:
    """Scores (time, y, x) of one clip by name; notes time, and who couldn't and why."""
    stack, level = stack_of(clip), clip[0].level
    scores: dict[str, FloatArray] = {}
    for method in methods:
        obstacle = method.obstacle(stack, level=level)
        if obstacle:
            left_out[method.name] = obstacle
            continue
        answer = method.run(stack, level=level)
        for name, values in answer.scores.items():
            scores[name] = values
            into = counted.setdefault(name, _Counted(method))
            into.seconds += answer.seconds
            into.pixels += values.size
    return scores


def _tile(sample: Sample, scores: dict[str, FloatArray], thresholds: dict[str, float]) -> Tile:
    """What a picture of an image needs, thinned to a size for looking."""
    name = next(iter(scores))
    said = np.isfinite(scores[name]) & is_counted(sample.labels)
    wrong = said & ((scores[name] >= thresholds[name]) != is_usable(sample.labels))
    step = max(1, -(-max(sample.labels.shape) // _TILE_SIDE))
    colour = np.stack([sample.image[sample.bands.index(band), ::step, ::step] for band in ("B04", "B03", "B02")], -1)
    return Tile(
        id=sample.id,
        surface=sample.surface,
        wrong=float(wrong.sum() / max(said.sum(), 1)),
        colour=colour,
        labels=sample.labels[::step, ::step].copy(),
        scores={key: values[::step, ::step].copy() for key, values in scores.items()},
        thresholds=thresholds,
    )


def _outcome(name: str, found: _Counted) -> Outcome:
    return Outcome(
        score=name,
        method=found.method.name,
        threshold=found.method.threshold,
        tally=join(found.whole),
        tolerant=join(found.tolerant),
        seconds_per_megapixel=found.seconds / max(found.pixels / 1e6, 1e-9),
    )
