"""Score the frames of one tile sub-tile by sub-tile, and write them: the inside of `archive.produce`.

The unit of work is a `Piece`: one sub-tile of one period, from files to a file. A piece that is there isn't made
again, so a run that was stopped goes on where it was, whoever made the pieces, in whatever order.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
import pystac
import rasterio
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

import clearsight
from clearsight import ids
from clearsight._decoded import decoded_item
from clearsight._grid import output_grid
from clearsight._periods import Frame, Period, identity
from clearsight._work import WORK
from clearsight.bands import LEVEL_BANDS, Level
from clearsight.catalog import ASSET, Result, held_item, score_item, write_item
from clearsight.errors import ClearsightError
from clearsight.model import SHIPPED
from clearsight.product import (
    Making,
    WrittenFile,
    begin_scores,
    describe_file,
    encode,
    finish_scores,
    put_scores,
)
from clearsight.scoring import PROJECTION, Planes, appetite, asked, reach, score_window, version_of
from clearsight.stack import load
from clearsight.tiles import SubTile, side_for, split
from clearsight.whole import whole_file

_log = logging.getLogger(__name__)

_EMPTY: Final = 0
_WITH_CONTEXT: Final = 1
_WITHOUT: Final = 2
_STATE: Final = ".state"


@dataclass(frozen=True)
class How:
    """How pixels are scored: what a score depends on beside the frames."""

    level: Level
    """Of all items."""
    model: str
    """Name of the scorer."""
    resolution: float
    """Metres."""

    def making(self, index: str) -> Making:
        """What a file says of its making."""
        return Making(index, version_of(self.model), clearsight.__version__)


@dataclass(frozen=True)
class Piece:
    """One sub-tile of one period: a task that needs nothing but its own facts and files."""

    path: Path
    """Where its scores go."""
    period: Period
    """Frames, and which of them are scored."""
    place: SubTile
    """Which part of the tile."""
    window: GeoBox
    """Grid of that part with its halo."""
    bands: tuple[str, ...]
    """Bands that all frames have."""
    how: How

    @property
    def key(self) -> str:
        """Tile and its unfinished work, period, sub-tile: what a cluster's pages show of the task."""
        return f"score-{self.path.parent.parent.name}-{self.path.parent.name}-{self.path.stem}"

    @property
    def decoded(self) -> Path:
        """Folder of what is decoded for all pieces of its row."""
        folder = self.path.parent
        return folder.with_name(f"{folder.name}-decoded") / self.path.stem.rpartition("-")[0]

    @property
    def items(self) -> list[pystac.Item]:
        """Items of all frames, to be read from what is decoded, as far as it is."""
        return [
            decoded_item(frame.item, index=frame.index, bands=self.bands, folder=self.decoded)
            for frame in self.period.frames
        ]

    def do(self) -> None:
        """`make`."""
        make(self)


class BrokenItemsError(Exception):
    """Items that can't be read, by id, with the reason: the tile has to be scored without them."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


def plan(wanted: Sequence[Period], frames: Sequence[Frame], *, root: Path, how: How) -> tuple[list[Piece], GeoBox]:
    """Cut the wanted periods of one tile into pieces; and the tile's grid.

    Bands and grid are those of all frames of the tile, wanted now or not: a run that goes on where another was
    stopped must see what that one saw.
    """
    bands = common_bands(frames, how.level)
    geobox = output_grid([frame.item for frame in frames], bands=bands, resolution=how.resolution)
    folder = root / WORK / ids.tile(frames[0].item) / digest(bands, geobox, how)
    pieces = []
    # Sides and reach are multiples of what the corners of a learned model's windows have to be (`model.ALIGN`).
    halo, weight = reach(how.model), appetite(how.model)
    for period in wanted:
        name = _name(period)
        side = side_for(len(period.frames), halo=halo, bytes_per_pixel=weight)
        for place in split((geobox.shape.y, geobox.shape.x), side=side, halo=halo):
            path = folder / f"{name}-{place.core[0].start}-{place.core[1].start}.npz"
            pieces.append(Piece(path, period, place, geobox[place.outer], tuple(bands), how))
    return pieces, geobox


def make(piece: Piece) -> None:
    """Score a piece and write it, whole or not at all; nothing is done if it is there.

    Raises
    ------
    BrokenItemsError
        Items can't be read. Nothing was written.
    """
    if is_made(piece):
        return
    write_piece(piece, *_score(piece))


def write_piece(piece: Piece, scores: Planes, indices: Sequence[str], *, more: Mapping[str, Any] | None = None) -> None:
    """Write the scores of a piece's core, whole or not at all; ``indices`` are those of the scores' frames."""
    # Arrays by frame: each is read on its own, when its image is put together.
    arrays: dict[str, Any] = dict(more or {})
    for frame in piece.period.targets:
        number = indices.index(frame.index)
        arrays[frame.index] = np.stack([encode(plane[number]) for plane in (scores.cs, scores.cs_cdf)])
        arrays[frame.index + _STATE] = np.array([_state(scores, number)], dtype=np.uint8)
    with whole_file(piece.path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def publish(pieces: Sequence[Piece], geobox: GeoBox) -> Iterator[tuple[Frame, pystac.Item | None]]:
    """Put pieces together, frame by frame, and write each frame's COG and Item.

    Yields
    ------
    Frame, pystac.Item or None
        The score Item in its place; None for a frame without a single valid pixel, of which nothing is written.
    """
    together: dict[Period, list[Piece]] = {}
    for piece in pieces:
        together.setdefault(piece.period, []).append(piece)
    for period, own in together.items():
        for frame in period.targets:
            # In memory (2 bytes per pixel): on a full disk GDAL can leave blocks out without a word, and what was
            # never put reads as nodata.
            with rasterio.MemoryFile() as memory:
                begin_scores(memory.name, geobox)
                without = [state == _WITHOUT for piece in own if (state := _put(frame, piece, memory.name)) != _EMPTY]
                item = _publish(frame, memory.name, geobox, fmean(without), own[0]) if without else None
            yield frame, item


def _put(frame: Frame, piece: Piece, raw: str) -> int:
    """Put a piece of a frame into the whole; returns the piece's state."""
    with np.load(piece.path) as made:
        state = int(made[frame.index + _STATE][0])
        if state != _EMPTY:
            put_scores(raw, made[frame.index], at=(piece.place.core[0].start, piece.place.core[1].start))
    return state


def _state(scores: Planes, number: int) -> int:
    seen = np.isfinite(scores.cs[number])
    if not seen.any():
        return _EMPTY
    return _WITHOUT if scores.alone[number][seen].mean() > 0.5 else _WITH_CONTEXT


def is_made(piece: Piece) -> bool:
    """Is the file of a piece there, with all frames that are wanted now?"""
    if not piece.path.exists():
        return False
    with np.load(piece.path) as made:
        return {frame.index for frame in piece.period.targets} <= set(made.files)


def digest(bands: Sequence[str], geobox: GeoBox, how: How) -> str:
    """A name for what all scores of a run depend on: unfinished work of another kind must not be taken for this."""
    grid = [str(geobox.crs), list(geobox.affine), list(geobox.shape)]
    return hash_of([list(bands), grid, how.level, fingerprint(how.model), clearsight.__version__])


def fingerprint(model: str) -> str:
    """What a scorer is known by beside its version: two files may tell the same version and hold other weights."""
    version = version_of(model)  # says what is wrong with it
    if model == PROJECTION:
        return version
    path = files("clearsight") / "models" / f"{model}.onnx" if model == SHIPPED else Path(model)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _name(period: Period) -> str:
    """A name for the frames that are scored together."""
    return hash_of([[identity(frame) for frame in period.frames], period.context])


def hash_of(facts: list[object]) -> str:
    """Short name for facts, the same on every machine: folders of unfinished work are called by it."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def common_bands(frames: Sequence[Frame], level: Level) -> list[str]:
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


def _score(piece: Piece) -> tuple[Planes, list[str]]:
    """Scores of the core of a piece, and the indices of their frames."""
    items, how = piece.items, piece.how
    try:
        first = load(items, bands=piece.bands[:1], geobox=piece.window)
        wanted = asked(first, piece.bands, level=how.level, model=how.model, context=piece.period.context != "none")
        indices, bands = list(first["id"].values), bands_of(piece, items, first)
        del first  # pixels go as soon as the next band comes
        return score_window(bands, wanted, inner=piece.place.inner), indices
    except ClearsightError:
        reasons = _broken([frame.item for frame in piece.period.frames], piece.window, bands=piece.bands)
        if not reasons:
            raise
        raise BrokenItemsError(reasons) from None


def bands_of(
    piece: Piece, items: Sequence[pystac.Item], stack: xr.Dataset
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Reflectance of the frames, one band after the other: all of them at once would be four times the memory.

    ``stack`` holds the first of them already.
    """
    for name in piece.bands:
        if name not in stack:
            stack = load(items, bands=[name], geobox=piece.window)
        yield name, stack[name].to_numpy()


def _broken(items: Sequence[pystac.Item], window: GeoBox, *, bands: Sequence[str]) -> dict[str, str]:
    """Which items can't be loaded, and why: each on its own."""
    reasons = {}
    for item in items:
        try:
            load([item], bands=bands, geobox=window)
        except ClearsightError as error:
            reasons[item.id] = str(error)
    return reasons


def _publish(frame: Frame, raw: str, geobox: GeoBox, no_context: float, piece: Piece) -> pystac.Item:
    """Write the COG, then its Item: an Item that exists describes a file that exists.

    A score that takes the place of another gets a file of another name, and the Item is what changes hands.
    """
    period = piece.period
    making, part = piece.how.making(frame.index), piece.path.with_name("cog.tif")
    finish_scores(raw, part, making=making)
    before = _held(frame)
    target = _free_name(frame, before, checksum=describe_file(part).checksum)
    with whole_file(target) as whole:
        part.replace(whole)
    result = Result(
        making,
        describe_file(target),
        geobox,
        no_context=no_context,
        generated=datetime.now(UTC),
        context=period.context,
        context_frames=period.context_frames,
    )
    item = write_item(score_item(frame.item, result), frame.path.with_suffix(".json"))
    if before is not None and before.path != target:
        before.path.unlink(missing_ok=True)
    return item


def _held(frame: Frame) -> WrittenFile | None:
    """The COG of the score that is there."""
    held = held_item(frame.path)
    if held is None:
        return None
    asset = held.assets[ASSET]
    facts = asset.extra_fields
    return WrittenFile(frame.path.with_name(Path(asset.href).name), facts["file:size"], facts["file:checksum"])


def _free_name(frame: Frame, before: WrittenFile | None, *, checksum: str) -> Path:
    """Where a new COG goes: never over another one that an Item still describes."""
    if before is None:
        return frame.path
    if before.checksum == checksum:
        return before.path
    return frame.path.with_suffix(".b.tif") if before.path == frame.path else frame.path
