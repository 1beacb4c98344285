"""The new scene, compared with the histories of its place: one decoding, whatever has been seen before.

Two rounds, for a sub-tile's score depends on the reference around it: first every history tells its clear reference for
the moment of the scene, into a file; then each sub-tile is looked at. The histories take the scene in when its score is
published (`clearsight._histories`), so they never have one that is being scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clearsight._histories import VALUES, Shelf, Unit, coarse, label, moment
from clearsight._periods import Frame, Period, identity
from clearsight._shares import Seen
from clearsight._subtiles import BrokenItemsError, Piece, bands_of, digest, hash_of, is_made, write_piece
from clearsight._work import WORK
from clearsight.context import SPREAD_TWENTY, Ground
from clearsight.context import decode as reflectance
from clearsight.errors import ClearsightError
from clearsight.history import open_history
from clearsight.model import CAUSES, TEN, TWENTY, conditions, load_model, look_at
from clearsight.passes import place_of
from clearsight.product import decode, encode
from clearsight.reference import Reference
from clearsight.scoring import PROJECTION, Planes, asked
from clearsight.stack import load
from clearsight.tiles import Window
from clearsight.whole import whole_file

_LEAST: Final = 0.02
"""Evidence below which there is no reference, as in `context`."""
_SPREADS: Final = (*TEN, *(TWENTY[number] for number in SPREAD_TWENTY))


@dataclass(frozen=True, eq=False)
class Telling:
    """A task: one history tells its clear reference for the moment of a scene."""

    unit: Unit
    frame: Frame
    path: Path
    """Where it goes: float16 (band + spread + 2, y, x)."""

    @property
    def key(self) -> str:
        """What a cluster's pages show of the task."""
        return f"reference-{self.path.parent.parent.name}-{self.path.parent.name}-{self.path.stem}"

    def do(self) -> None:
        """Write it, whole or not at all; nothing is done if it is there."""
        if self.path.exists():
            return
        past = open_history(self.unit.folder)
        planes = _planes(past.reference(at=moment(self.frame)), past.bands)
        with whole_file(self.path) as part, part.open("wb") as file:
            np.save(file, planes)


@dataclass(frozen=True)
class Live(Piece):
    """A task: one sub-tile of a scene, compared with what the histories tell."""

    frame: Frame
    unit: Unit
    told: tuple[Telling, ...]
    """Of all sub-tiles that its halo reaches into."""

    def do(self) -> None:
        """Score it and write it, whole or not at all; nothing is done if it is there."""
        if is_made(self):
            return
        try:
            scores, values = _look(self)
        except ClearsightError as error:
            raise BrokenItemsError({self.frame.item.id: str(error)}) from None
        write_piece(self, scores, [self.frame.index], more={self.frame.index + VALUES: values})


def can_tell(shelf: Shelf, frame: Frame) -> bool:
    """Can the histories stand for the frames before a scene? They must have some, and not the scene itself."""
    known = [unit.known() for unit in shelf.units]
    return shelf.how.model != PROJECTION and all(known) and not any(frame.index in frames for frames in known)


def plan_live(shelf: Shelf, frame: Frame) -> tuple[list[Telling], list[Live]]:
    """The two rounds of one scene."""
    known = [unit.known() for unit in shelf.units]
    # Indices begin with the time of sensing.
    is_past = all(index < frame.index for frames in known for index in frames)
    period = Period((frame,), (frame,), "past" if is_past else "history", seen=min(map(len, known)))
    # What the histories have is part of a piece's name: a reference that has changed since makes another piece.
    state = hash_of([identity(frame), *[sorted(frames.items()) for frames in known]])
    folder = shelf.root / WORK / shelf.tile / digest(shelf.bands, shelf.geobox, shelf.how)
    tellings = {
        unit.folder.name: Telling(unit, frame, folder / f"{state}-ground-{unit.folder.name}.npy")
        for unit in shelf.units
    }
    pieces = []
    for unit in shelf.units:
        near = tuple(told for told in tellings.values() if _meet(told.unit.place.core, unit.place.outer))
        pieces.append(
            Live(
                folder / f"{state}-{unit.folder.name}.npz",
                period,
                unit.place,
                unit.window,
                shelf.bands,
                shelf.how,
                frame=frame,
                unit=unit,
                told=near,
            )
        )
    return list(tellings.values()), pieces


def _meet(a: Window, b: Window) -> bool:
    return all(one.start < other.stop and other.start < one.stop for one, other in zip(a, b, strict=True))


def _look(piece: Live) -> tuple[Planes, NDArray[np.uint16]]:
    """Scores of the core (time, y, x) of one frame, and what its history will see of it."""
    how, inner = piece.how, piece.place.inner
    items = piece.items
    first = load(items, bands=piece.bands[:1], geobox=piece.window)
    wanted = asked(first, piece.bands, level=how.level, model=how.model, context=True)
    seen: list[NDArray[np.uint16]] = []

    def bands() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for name, band in bands_of(piece, items, first):
            seen.append(coarse(band[0][inner]))
            yield name, band

    place = place_of(
        bands(), names=wanted.names, level=how.level, dates=wanted.dates, views=wanted.views, pixel=wanted.pixel
    )
    ground = _ground(piece, (place.valid.shape[1], place.valid.shape[2]))
    facts = conditions(place.names, level=how.level, pixel=place.pixel, view=place.views[0])
    ten, twenty = (reflectance(numbers[0]) for numbers in (place.frames.ten, place.frames.twenty))
    look = look_at(load_model(how.model), ten, twenty, ground=ground, facts=facts)
    valid = place.valid[0][inner]
    # As they are published: what the history is told now must be what it will take in.
    cs = decode(encode(np.where(valid, look.cs[inner], np.float32(np.nan))))
    values = np.stack(seen)
    new = Seen(piece.frame.index, label(piece.frame), moment(piece.frame), values, cs)
    ranked = open_history(piece.unit.folder).rank(cs, new=new)
    alone = valid & np.isnan(ground.ten[0][inner])
    cause = np.where(valid, look.cause[inner], np.uint8(CAUSES.index("nodata")))
    return Planes(cs[None], ranked[None], alone[None], cause[None]), values


def _planes(told: Reference, bands: Sequence[str]) -> NDArray[np.float16]:
    """What the network needs of a reference: means, six spreads, evidence, days; NaN where there is none."""
    known = told.count >= _LEAST
    spread = [
        told.spread[bands.index(name)] if name in bands else np.full_like(told.count, np.nan) for name in _SPREADS
    ]
    age = np.minimum(np.nan_to_num(told.age, nan=1e4), 1e4)
    planes = np.stack([*told.centre, *spread, told.count, age])
    planes[:, ~known] = np.nan
    return planes.astype(np.float16)


def _ground(piece: Live, shape: tuple[int, int]) -> Ground:
    """The reference over a piece and its halo, put together from the sub-tiles around."""
    rows, cols = piece.place.outer
    top, left, half = rows.start // 2, cols.start // 2, (shape[0] // 2, shape[1] // 2)
    whole = np.full((len(piece.bands) + len(_SPREADS) + 2, *half), np.nan, dtype=np.float32)
    for told in piece.told:
        planes: Any = np.load(told.path, mmap_mode="r")
        row, col = (core.start // 2 for core in told.unit.place.core)
        to = [
            slice(max(start - begin, 0), max(min(start - begin + size, length), 0))
            for start, begin, size, length in zip((row, col), (top, left), planes.shape[1:], half, strict=True)
        ]
        source = [
            slice(run.start + begin - start, run.stop + begin - start)
            for run, begin, start in zip(to, (top, left), (row, col), strict=True)
        ]
        whole[:, to[0], to[1]] = planes[:, source[0], source[1]]
    centre = dict(zip(piece.bands, whole, strict=False))
    nothing = np.full(half, np.nan, dtype=np.float32)
    ten = np.stack([centre.get(name, nothing) for name in TEN])
    twenty = np.stack([centre.get(name, nothing) for name in TWENTY])
    return Ground(ten.repeat(2, axis=1).repeat(2, axis=2), twenty, whole[len(piece.bands) :])
