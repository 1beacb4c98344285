"""Sub-tiles: a large grid in pieces that fit into memory, each with the neighbourhood its pixels depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from clearsight.errors import ArgumentError

Window = tuple[slice, slice]
"""Rows and columns."""

LARGEST: Final = 1600
"""Pixels along a side of a sub-tile at most: a tile of 10980 is seven of them wide, without a sliver at its end."""

_STEP: Final = 64
_BYTES: Final = 2_200_000_000
"""What the arrays of a sub-tile may take, with its halo."""


@dataclass(frozen=True)
class SubTile:
    """One piece of a grid."""

    core: Window
    """Its own pixels, in the grid; the cores of all sub-tiles cover the grid, without overlap."""
    outer: Window
    """Core and halo, in the grid; the halo ends at the grid's edge."""

    @property
    def inner(self) -> Window:
        """The core within ``outer``."""
        rows, cols = (
            slice(core.start - outer.start, core.stop - outer.start)
            for core, outer in zip(self.core, self.outer, strict=True)
        )
        return rows, cols


def side_for(frames: int, *, halo: int, bytes_per_pixel: tuple[float, float]) -> int:
    """Side of a sub-tile, in pixels, so that so many frames of it fit into memory with its halo.

    Parameters
    ----------
    frames : int
    halo : int
        Pixels around a sub-tile.
    bytes_per_pixel : (float, float)
        Whatever the number of frames, and for each of them.

    Examples
    --------
    >>> [side_for(frames, halo=192, bytes_per_pixel=(320, 30)) for frames in (6, 30, 100)]
    [1600, 896, 384]
    """
    fixed, each = bytes_per_pixel
    side = int((_BYTES / (fixed + each * max(frames, 1))) ** 0.5 - 2 * halo) // _STEP * _STEP
    return min(max(side, _STEP), LARGEST)


def split(shape: tuple[int, int], *, side: int, halo: int) -> Iterator[SubTile]:
    """Cut a grid into sub-tiles, row by row.

    Parameters
    ----------
    shape : (rows, columns)
        Of the grid.
    side : int
        Pixels along a side of a core; the last ones of a row or column may be smaller.
    halo : int
        Pixels added around a core. When it holds all that a pixel's value depends on, the cores put together equal
        the result for the whole grid exactly, and nothing needs to be blended.

    Yields
    ------
    SubTile

    Raises
    ------
    ArgumentError
        ``side`` isn't positive, or ``halo`` is negative.

    Examples
    --------
    >>> [piece.core for piece in split((3, 4), side=3, halo=1)]
    [(slice(0, 3, None), slice(0, 3, None)), (slice(0, 3, None), slice(3, 4, None))]
    """
    if side < 1 or halo < 0:
        raise ArgumentError(f"side={side}, halo={halo}; expected a side of at least 1 and a halo of at least 0 pixels.")
    for rows in _runs(shape[0], side):
        for cols in _runs(shape[1], side):
            outer = _grown(rows, halo, shape[0]), _grown(cols, halo, shape[1])
            yield SubTile(core=(rows, cols), outer=outer)


def _runs(length: int, side: int) -> list[slice]:
    return [slice(start, min(start + side, length)) for start in range(0, length, side)]


def _grown(run: slice, halo: int, length: int) -> slice:
    return slice(max(run.start - halo, 0), min(run.stop + halo, length))
