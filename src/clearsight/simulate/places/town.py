"""Towns: streets, and blocks with houses, gardens, halls, yards and parks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.ground.covers import Cover
from clearsight.simulate.places.layout import Habit, Pieces, cut, hashed, to_canvas
from clearsight.simulate.places.sketch import Sketch

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_AVENUE, _STREET = 1, 2
_PALETTE: Final = 24


@dataclass(frozen=True)
class _Quarter:
    """How a block is built."""

    lot: tuple[float, float]
    """Metres along and across the block."""
    house: tuple[float, float]
    """Share of the lot's sides that the house takes."""
    built: float
    """Share of the lots with a house."""
    roofs: dict[Cover, float]
    open_: dict[Cover, float]


_RED, _DARK, _BRIGHT = Cover.ROOF_RED, Cover.ROOF_DARK, Cover.ROOF_BRIGHT
_QUARTERS: Final = (
    _Quarter(
        (16, 25), (0.9, 0.72), 0.94, {_RED: 0.5, _DARK: 0.45, _BRIGHT: 0.05}, {Cover.PAVED: 0.8, Cover.GARDEN: 0.2}
    ),
    _Quarter(
        (20, 32), (0.6, 0.45), 0.85, {_RED: 0.55, _DARK: 0.42, _BRIGHT: 0.03}, {Cover.GARDEN: 0.85, Cover.PAVED: 0.15}
    ),
    _Quarter((75, 60), (0.72, 0.62), 0.8, {_BRIGHT: 0.4, _DARK: 0.6}, {Cover.PAVED: 0.75, Cover.MEADOW: 0.25}),
    _Quarter((60, 70), (0.0, 0.0), 0.0, {_RED: 1.0}, {Cover.MEADOW: 0.55, Cover.DECIDUOUS: 0.45}),
    _Quarter(
        (45, 80), (0.35, 0.3), 0.8, {_DARK: 0.8, _BRIGHT: 0.2},
        {Cover.MEADOW: 0.5, Cover.PAVED: 0.35, Cover.DECIDUOUS: 0.15},
    ),
)  # fmt: skip
"""Old town, houses with gardens, industry, park, slabs of flats."""


def town(sketch: Sketch, *, radius: float, centre: tuple[float, float], style: float = 0.5) -> Mask:
    """Build a town.

    Parameters
    ----------
    sketch : Sketch
        Changed in place.
    radius : float
        Metres, about.
    centre : (float, float)
        Metres east and south of the upper left corner.
    style : float
        0 grown (winding, red roofs) … 1 planned (straight grid, dark and bright roofs).

    Returns
    -------
    bool array on the canvas
        Where the town is.
    """
    reach = np.hypot(sketch.x - np.float32(centre[0]), sketch.y - np.float32(centre[1])) / np.float32(radius)
    edge = reach + 0.22 * to_canvas(sketch.noise(slope=1.8, metres=max(radius, 300.0)))
    inside = edge < 1.0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size == 0:
        return np.asarray(inside, dtype=np.bool_)
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    blocks = _blocks(sketch, window, style=style)
    quarter = _quarters(sketch, blocks, centre=centre, radius=radius, style=style)
    cells = _lots(sketch, blocks, quarter, window)
    within = inside[window]
    sketch.ids[window] = np.where(within, cells, sketch.ids[window])
    return np.asarray(inside, dtype=np.bool_)


def _blocks(sketch: Sketch, window: tuple[slice, slice], *, style: float) -> Pieces:
    """Blocks between streets, on bent axes unless the town was planned."""
    by = 45.0 * (1 - style)
    x = sketch.x[window] + np.float32(by) * sketch.smooth(metres=600)[window]
    y = sketch.y[window] + np.float32(by) * sketch.smooth(metres=600)[window]
    lines = ((550.0, _AVENUE, 6.0), (60.0, _STREET, 3.2))
    return cut(sketch.rng, x=x, y=y, habit=Habit(8500.0, spread=0.5, strips=0.15, square=style, lines=lines))


def _quarters(
    sketch: Sketch, blocks: Pieces, *, centre: tuple[float, float], radius: float, style: float
) -> NDArray[np.int64]:
    """Which of ``_QUARTERS`` each block belongs to: old towns in the middle, industry at one side."""
    away = np.hypot(blocks.centre[:, 0] - centre[0], blocks.centre[:, 1] - centre[1]) / radius
    side = np.arctan2(blocks.centre[:, 1] - centre[1], blocks.centre[:, 0] - centre[0])
    luck = sketch.rng.random(blocks.count)
    industry = (np.cos(side - sketch.rng.uniform(0, 6.28)) > 0.55) & (away > 0.45) & (luck < 0.8)
    quarter = np.where(away + 0.25 * luck < 0.45 * (1.2 - style), 0, 1)
    quarter = np.where((luck > 0.8) & (away < 0.9), 4, quarter)
    quarter = np.where(industry, 2, quarter)
    return np.where(luck * 7.3 % 1.0 < 0.07, 3, quarter)


def _lots(sketch: Sketch, blocks: Pieces, quarter: NDArray[np.int64], window: tuple[slice, slice]) -> NDArray[np.int32]:
    """Patch of every cell: each block has its own grid of lots, a house on most of them."""
    needed = {code for kind in _QUARTERS for code in (*kind.roofs, *kind.open_)} | {Cover.ROAD}
    palette = {code: sketch.add([code] * _PALETTE) for code in sorted(needed)}
    piece = blocks.piece
    heading, here = blocks.heading[piece], quarter[piece]
    x = sketch.x[window] - blocks.centre[piece, 0]
    y = sketch.y[window] - blocks.centre[piece, 1]
    lot = np.array([kind.lot for kind in _QUARTERS], dtype=np.float32)[here] * (0.85 + 0.4 * hashed(piece))[..., None]
    along = (np.cos(heading) * x + np.sin(heading) * y) / lot[..., 0] + 100
    across = (np.cos(heading) * y - np.sin(heading) * x) / lot[..., 1] + 100
    i, j = along.astype(np.int32), across.astype(np.int32)
    luck, second = hashed(piece, i, j), hashed(j, piece, i, np.array(5))
    house = np.array([kind.house for kind in _QUARTERS], dtype=np.float32)[here]
    built = (along - i < house[..., 0]) & (across - j < house[..., 1])
    built &= hashed(piece, j, i, np.array(9)) < np.array([kind.built for kind in _QUARTERS], dtype=np.float32)[here]
    cells = np.zeros(piece.shape, dtype=np.int32)
    for number, kind in enumerate(_QUARTERS):
        for where, choice in (((here == number) & built, kind.roofs), ((here == number) & ~built, kind.open_)):
            bounds = np.cumsum(list(choice.values()))
            cover = np.searchsorted(bounds / bounds[-1], luck[where], side="right").clip(0, len(choice) - 1)
            start = np.array([palette[code] for code in choice])[cover]
            cells[where] = start + (second[where] * _PALETTE).astype(np.int32)
    street = (second[blocks.line > 0] * 4).astype(np.int32)
    cells[blocks.line > 0] = palette[Cover.ROAD] + street
    return cells
