"""Score the frames of one tile together, sub-tile by sub-tile, and write them: the inside of `archive.produce`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np
import pystac
import xarray as xr
from odc.geo.geobox import GeoBox

import clearsight
from clearsight import ids, projection
from clearsight._grid import output_grid
from clearsight.bands import LEVEL_BANDS, Level
from clearsight.catalog import Result, score_item, write_item
from clearsight.errors import ClearsightError
from clearsight.product import SCORES, Making, begin_scores, describe_file, encode, finish_scores, put_scores
from clearsight.progress import Progress
from clearsight.scoring import score
from clearsight.stack import load
from clearsight.tiles import SubTile, side_for, split
from clearsight.whole import whole_file

_log = logging.getLogger(__name__)

_HALO: Final = projection.HALO


@dataclass(frozen=True)
class Job:
    """How `produce` was asked to work."""

    root: Path
    """The archive."""
    level: Level
    """Of all items."""
    model: str
    """Name of the scorer."""
    context: bool
    """Compare frames with each other."""
    resolution: float
    """Metres."""
    overwrite: bool
    """Score again what is there."""
    progress: Progress
    """Told of every step."""

    def making(self, index: str) -> Making:
        """What a file says of its making."""
        # The projection scorer has no weights; its version is that of the code.
        return Making(index, f"{self.model}-{clearsight.__version__}", clearsight.__version__)


@dataclass(frozen=True)
class Frame:
    """One image of a tile."""

    index: str
    """``system:index``."""
    item: pystac.Item
    """Source item."""
    path: Path
    """Of the score COG."""


class BrokenItemsError(Exception):
    """Items that can't be read, by id, with the reason: the tile has to be scored without them."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


def write_tile(frames: Sequence[Frame], pending: Sequence[Frame], job: Job) -> tuple[list[pystac.Item], list[Frame]]:
    """Score all frames of a tile together, sub-tile by sub-tile; then write the pending ones.

    Parameters
    ----------
    frames : sequence of Frame
        Every frame of the tile that may serve as context.
    pending : sequence of Frame
        Those of them to write.
    job : Job
        How.

    Returns
    -------
    list of pystac.Item, list of Frame
        Score Items that were written; and frames without a single valid pixel, of which nothing was.

    Raises
    ------
    BrokenItemsError
        Items can't be read. Nothing was written.
    """
    tile = ids.tile(frames[0].item)
    bands = _common_bands(frames, job.level)
    geobox = output_grid([frame.item for frame in frames], bands=bands, resolution=job.resolution)
    pieces = list(split((geobox.shape.y, geobox.shape.x), side=side_for(len(frames)), halo=_HALO))
    steps = len(pieces) + len(pending)
    with tempfile.TemporaryDirectory(dir=job.root, prefix=".scoring-") as scratch:
        raws = {frame.index: Path(scratch) / f"{frame.index}.tif" for frame in pending}
        for raw in raws.values():
            begin_scores(raw, geobox)
        alone: dict[str, list[bool]] = {index: [] for index in raws}
        for number, piece in enumerate(pieces):
            job.progress(number, steps, f"scoring {tile}")
            scores = _score_piece(frames, piece, geobox, bands=bands, job=job)
            _put_piece(scores, piece, raws, alone)
        written, empty = [], []
        for number, frame in enumerate(pending):
            job.progress(len(pieces) + number, steps, f"scoring {tile}")
            if alone[frame.index]:
                fraction = fmean(alone[frame.index])
                written.append(_publish(frame, raws[frame.index], geobox, no_context=fraction, job=job))
            else:
                empty.append(frame)
    job.progress(steps, steps, f"scoring {tile}")
    return written, empty


def _common_bands(frames: Sequence[Frame], level: Level) -> list[str]:
    """Bands that every frame has. Frames are compared with each other, so a band that one lacks helps none."""
    common, dropped = [], []
    for name in LEVEL_BANDS[level]:
        holders = sum(name in frame.item.assets for frame in frames)
        if holders == len(frames):
            common.append(name)
        elif holders:
            dropped.append(name)
    if dropped:
        _log.warning("%s is scored without %s, which some items lack", ids.tile(frames[0].item), ", ".join(dropped))
    return common


def _score_piece(frames: Sequence[Frame], piece: SubTile, geobox: GeoBox, *, bands: list[str], job: Job) -> xr.Dataset:
    items, window = [frame.item for frame in frames], geobox[piece.outer]
    try:
        stack = load(items, bands=bands, geobox=window)
    except ClearsightError:
        reasons = _broken(items, window, bands=bands)
        if not reasons:
            raise
        raise BrokenItemsError(reasons) from None
    return score(stack, level=job.level, model=job.model, context=job.context)


def _broken(items: Sequence[pystac.Item], window: GeoBox, *, bands: list[str]) -> dict[str, str]:
    """Which items can't be loaded, and why: each on its own."""
    reasons = {}
    for item in items:
        try:
            load([item], bands=bands, geobox=window)
        except ClearsightError as error:
            reasons[item.id] = str(error)
    return reasons


def _put_piece(scores: xr.Dataset, piece: SubTile, raws: dict[str, Path], alone: dict[str, list[bool]]) -> None:
    """Put the core of a sub-tile into each frame's file; note for each whether it had no context."""
    rows, cols = piece.inner
    corner = piece.core[0].start, piece.core[1].start
    for number, index in enumerate(scores["id"].values):
        if index not in raws:
            continue
        core = scores.isel(time=number, y=rows, x=cols)
        if not np.isfinite(core["cs"]).any():
            continue
        put_scores(raws[index], np.stack([encode(core[name].to_numpy()) for name in SCORES]), at=corner)
        # Most, not all: the halo may reach into ground that other dates have seen.
        alone[index].append(bool(core["no_context"] > 0.5))


def _publish(frame: Frame, raw: Path, geobox: GeoBox, *, no_context: float, job: Job) -> pystac.Item:
    """Write the COG, then its Item: an Item that exists describes a file that exists."""
    making = job.making(frame.index)
    with whole_file(frame.path) as part:
        finish_scores(raw, part, making=making)
    result = Result(making, describe_file(frame.path), geobox, no_context=no_context, generated=datetime.now(UTC))
    return write_item(score_item(frame.item, result), frame.path.with_suffix(".json"))
