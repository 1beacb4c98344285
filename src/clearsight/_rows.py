"""The pieces of a tile in the order in which they are best made: row by row, each image decoded once for its row."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from odc.geo.geobox import GeoBox

from clearsight._dask import Run, Task
from clearsight._decoded import Decoding, Rows, is_jpeg2000
from clearsight._subtiles import Piece, is_made


@dataclass(frozen=True)
class Row:
    """A row of sub-tiles of one period."""

    rows: Rows
    pieces: tuple[Piece, ...]
    decodings: tuple[Decoding, ...]
    """What has to be decoded first; nothing where all pieces are made, or no image is JPEG 2000."""


def rows_of(pieces: Sequence[Piece], geobox: GeoBox) -> list[Row]:
    """Sort pieces of one tile by period and row."""
    together: dict[Path, list[Piece]] = {}
    for piece in pieces:
        together.setdefault(piece.decoded, []).append(piece)
    found: list[Row] = []
    for folder, own in together.items():
        rows = Rows(folder, geobox[own[0].place.outer[0], :])
        above = found[-1] if found and found[-1].pieces[0].period == own[0].period else None
        bands, before = own[0].bands, above.rows if above else None
        decodings = tuple(
            Decoding(frame.item, frame.index, bands, rows, before)
            for frame in (() if all(map(is_made, own)) else own[0].period.frames)
            if is_jpeg2000(frame.item, bands)
        )
        found.append(Row(rows, tuple(own), decodings))
    return found


def do_rows(found: Sequence[Row], run: Run) -> Iterator[Task]:
    """Do what rows ask for, and leave no decoded image behind; gives each task when it is done."""
    before: Row | None = None
    try:
        for row in found:
            yield from run(row.decodings)
            if before is not None:
                _remove(before)
            before = row
            yield from run(row.pieces)
    finally:
        for row in found:
            _remove(row)


def _remove(row: Row) -> None:
    shutil.rmtree(row.rows.folder, ignore_errors=True)
