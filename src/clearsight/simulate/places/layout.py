"""Shapes on the ground: fields cut by tracks and hedges, winding rivers, streets with houses; and their mixed pixels.

Shapes are drawn on a canvas with two by two cells to a pixel, in metres, x to the east and y to the south.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Ids = NDArray[np.int32]
Point = tuple[float, float]

FINER: Final = 2
"""Cells of the canvas along a side of a pixel."""

_DEEPEST: Final = 40


@dataclass(frozen=True)
class Habit:
    """How people of a region cut up their land."""

    area: float
    """Typical area of a piece in square metres."""
    spread: float = 0.6
    """Standard deviation of the logarithm of the area."""
    strips: float = 0.3
    """Chance that a piece is cut into parallel strips."""
    square: float = 0.0
    """0 cuts at any angle, 1 all cuts along one grid."""
    cell: float = 0.0
    """Coarsest drawing in metres; 0 draws as fine as the canvas."""
    lines: tuple[tuple[float, int, float], ...] = ()
    """(length of the cut piece in metres at least, code of the line, half of its width in metres), longest first."""


@dataclass(frozen=True)
class Pieces:
    """A plane cut into pieces; arrays on the canvas."""

    piece: Ids
    """Number of the piece, 0 … count - 1."""
    line: NDArray[np.uint8]
    """Code of the line that runs there, 0 for none."""
    count: int
    centre: Array
    """(count, 2) x and y in metres."""
    heading: Array
    """Direction of the long side in radians, (count,)."""
    size: Array
    """Square root of the area in metres, (count,)."""


def canvas_axes(shape: tuple[int, int], *, pixel: float) -> tuple[Array, Array]:
    """Metres east (y, x) and south of the upper left corner, on the canvas of an image of ``shape``."""
    rows = (np.arange(shape[0] * FINER, dtype=np.float32) + 0.5) * np.float32(pixel / FINER)
    columns = (np.arange(shape[1] * FINER, dtype=np.float32) + 0.5) * np.float32(pixel / FINER)
    x = np.broadcast_to(columns, (rows.size, columns.size))
    y = np.broadcast_to(rows[:, None], (rows.size, columns.size))
    return x, y


def to_canvas(field: Array) -> Array:
    """A smooth field of pixels on the canvas, linear in between."""
    tall = np.empty((field.shape[0] * 2, field.shape[1]), dtype=np.float32)
    _between(field, out=tall)
    wide = np.empty((tall.shape[0], tall.shape[1] * 2), dtype=np.float32)
    _between(tall.T, out=wide.T)
    return wide


def _between(field: Array, *, out: Array) -> None:
    """Rows twice as dense, at a quarter and three quarters of each, linear in between; written into ``out``."""
    quarter = field * np.float32(0.25)
    near = field - quarter
    out[0::2], out[1::2] = near, near
    out[2::2] += quarter[:-1]
    out[1:-1:2] += quarter[1:]
    out[0] += quarter[0]
    out[-1] += quarter[-1]


def mixed_pixels(canvas: Ids) -> tuple[Ids, Ids, Array]:
    """Which two patches share a pixel, and the share of the second.

    Examples
    --------
    >>> first, second, share = mixed_pixels(np.array([[1, 1, 1, 2], [1, 1, 2, 2]], dtype="int32"))
    >>> first, second, share
    (array([[1, 2]], dtype=int32), array([[1, 1]], dtype=int32), array([[0.  , 0.25]], dtype=float32))
    """
    a, b, c, d = canvas[0::2, 0::2], canvas[0::2, 1::2], canvas[1::2, 0::2], canvas[1::2, 1::2]
    # The most frequent of four: one that occurs at least twice; failing that, any.
    first = np.where((a == b) | (a == c) | (a == d), a, np.where((b == c) | (b == d), b, np.where(c == d, c, a)))
    second = np.where(a != first, a, np.where(b != first, b, np.where(c != first, c, d)))
    other = sum(((cell != first).astype(np.float32) for cell in (a, b, c, d)), np.zeros(first.shape, np.float32))
    return first.astype(np.int32), second.astype(np.int32), other * np.float32(0.25)


def cut(rng: np.random.Generator, *, x: Array, y: Array, habit: Habit) -> Pieces:
    """Cut the land into pieces, again and again, until each is as small as the region's custom.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    x, y : float32 arrays
        Place of each cell in metres. Bend them beforehand and the cuts follow the bends.
    habit : Habit
        Sizes, shapes, and what runs along the cuts.
    """
    cell = float(x[0, 1] - x[0, 0]) if x.shape[1] > 1 else 5.0
    cell = max(abs(cell), habit.cell)
    west, north, east, south = (float(v) for v in (x.min(), y.min(), x.max(), y.max()))
    leaves, cuts = _grow(rng, box=(west, north, east, south), habit=habit)
    shape = int((south - north) / cell) + 2, int((east - west) / cell) + 2
    piece, line = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.uint8)
    origin = (west, north)
    _fill(piece, [leaf.polygon for leaf in leaves], values=np.arange(len(leaves)), origin=origin, cell=cell)
    ribbons = [(code, _ribbon(ends, half=half)) for code, half, ends in reversed(cuts) if code]
    _fill(line, [polygon for _, polygon in ribbons], values=np.array([c for c, _ in ribbons]), origin=origin, cell=cell)
    # Pieces are drawn straight and looked up through the bent coordinates.
    columns, rows = ((x - west) / cell).astype(np.int32), ((y - north) / cell).astype(np.int32)
    return Pieces(
        piece=piece[rows, columns],
        line=line[rows, columns],
        count=len(leaves),
        centre=np.array([leaf.centre for leaf in leaves], dtype=np.float32),
        heading=np.array([leaf.heading for leaf in leaves], dtype=np.float32),
        size=np.sqrt(np.array([leaf.area for leaf in leaves], dtype=np.float32)),
    )


@dataclass(frozen=True)
class _Leaf:
    """A finished piece."""

    polygon: list[Point]
    centre: Point
    heading: float
    area: float


Cut = tuple[int, float, list[Point]]


def _grow(
    rng: np.random.Generator, *, box: tuple[float, float, float, float], habit: Habit
) -> tuple[list[_Leaf], list[Cut]]:
    """Cut a rectangle until all is small enough: the pieces, and code, half width and ends of each cut."""
    west, north, east, south = box
    grid = float(rng.uniform(0, np.pi)) if rng.random() < 0.5 else 0.0
    leaves: list[_Leaf] = []
    cuts: list[tuple[float, Cut]] = []
    start = [(west - 60, north - 60), (east + 60, north - 60), (east + 60, south + 60), (west - 60, south + 60)]
    todo: list[tuple[list[Point], float, float, int]] = [(start, habit.area, np.nan, 0)]
    while todo:
        polygon, goal, strip, depth = todo.pop()
        area, centre, heading, length, width = _measure(polygon)
        if depth in (2, 4, 6):
            goal *= float(np.exp(habit.spread * 0.6 * rng.standard_normal()))
        in_strips = np.isfinite(strip)
        if depth >= _DEEPEST or (width < 0.8 * np.sqrt(goal) if in_strips else area < 1.45 * goal):
            leaves.append(_Leaf(polygon, centre, heading, area))
            continue
        normal = strip if in_strips else _direction(rng, heading, grid=grid, habit=habit)
        if not in_strips and area < 9 * goal and rng.random() < habit.strips:
            strip = normal = heading + np.pi / 2 if rng.random() < 0.9 else heading
        parts, ends = _split(
            polygon, normal=normal, at=rng.uniform(0.44, 0.56) if in_strips else rng.uniform(0.38, 0.62)
        )
        code, half = next(((c, h) for least, c, h in habit.lines if length > least), (0, 0.0))
        cuts.append((length, (code, half, ends)))
        todo += [(part, goal, strip, depth + 1) for part in parts]
    return leaves, [each for _, each in sorted(cuts, key=lambda item: -item[0])]


def _direction(rng: np.random.Generator, heading: float, *, grid: float, habit: Habit) -> float:
    """Direction of a cut's normal: along the long side of the piece, a little askew, or on the region's grid."""
    normal = heading + float(rng.normal(0.0, 0.09))
    snapped = grid + np.round((normal - grid) / (np.pi / 2)) * (np.pi / 2)
    return float(snapped if rng.random() < habit.square else normal)


def _measure(polygon: list[Point]) -> tuple[float, Point, float, float, float]:
    """Area, centre, direction of the long axis, length and width of a convex polygon."""
    area = cx = cy = 0.0
    longest, heading = -1.0, 0.0
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        cross = x0 * y1 - x1 * y0
        area, cx, cy = area + cross / 2, cx + (x0 + x1) * cross / 6, cy + (y0 + y1) * cross / 6
        edge = (x1 - x0) ** 2 + (y1 - y0) ** 2
        if edge > longest:
            longest, heading = edge, math.atan2(y1 - y0, x1 - x0)
        x0, y0 = x1, y1
    cosine, sine = math.cos(heading), math.sin(heading)
    along = [cosine * x + sine * y for x, y in polygon]
    across = [cosine * y - sine * x for x, y in polygon]
    length, width = max(along) - min(along), max(across) - min(across)
    if width > length:
        length, width, heading = width, length, heading + math.pi / 2
    area = area if abs(area) > 1e-3 else 1e-3
    return abs(area), (cx / area, cy / area), heading, length, width


def _split(polygon: list[Point], *, normal: float, at: float) -> tuple[tuple[list[Point], list[Point]], list[Point]]:
    """Both sides of a convex polygon cut across a direction, and the two ends of the cut."""
    cosine, sine = math.cos(normal), math.sin(normal)
    span = [cosine * x + sine * y for x, y in polygon]
    offset = min(span) + at * (max(span) - min(span))
    below: list[Point] = []
    above: list[Point] = []
    ends: list[Point] = []
    (x0, y0), before = polygon[-1], span[-1] - offset
    for (x1, y1), value in zip(polygon, span, strict=True):
        here = value - offset
        if (before >= 0) != (here >= 0):
            t = before / (before - here)
            point = (x0 + t * (x1 - x0), y0 + t * (y1 - y0))
            below.append(point)
            above.append(point)
            ends.append(point)
        (above if here >= 0 else below).append((x1, y1))
        (x0, y0), before = (x1, y1), here
    return (below, above), ends


def _ribbon(ends: list[Point], *, half: float) -> list[Point]:
    """The rectangle of a line of some width."""
    (x0, y0), (x1, y1) = ends
    length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
    u, v = (x1 - x0) / length * half, (y1 - y0) / length * half
    return [(x0 - u + v, y0 - v - u), (x1 + u + v, y1 + v - u), (x1 + u - v, y1 + v + u), (x0 - u - v, y0 - v + u)]


def _fill(
    raster: NDArray[np.int32] | NDArray[np.uint8],
    polygons: list[list[Point]],
    *,
    values: NDArray[np.integer],
    origin: Point,
    cell: float,
) -> None:
    """Write a value into the cells whose centre lies in each convex polygon, later ones over earlier ones.

    Along a row, a convex polygon is one run of cells: from the last of its left edges to the first of its right ones.
    The runs of all polygons are found together, then the cells of all runs are written at once.
    """
    if not polygons:
        return
    most = max(len(polygon) for polygon in polygons)
    corners = np.array([polygon + [polygon[-1]] * (most - len(polygon)) for polygon in polygons])
    xs, ys = (corners[..., 0] - origin[0]) / cell - 0.5, (corners[..., 1] - origin[1]) / cell - 0.5
    top = np.clip(np.ceil(ys.min(axis=1)), 0, raster.shape[0]).astype(np.int64)
    bottom = np.clip(np.floor(ys.max(axis=1)) + 1, 0, raster.shape[0]).astype(np.int64)
    owner, row = _runs(top, bottom)
    first, last = np.zeros(row.size), np.full(row.size, raster.shape[1] - 1.0)
    ahead_x, ahead_y = np.roll(xs, -1, axis=1), np.roll(ys, -1, axis=1)
    turns_right = (xs * ahead_y - ahead_x * ys).sum(axis=1) > 0
    for corner in range(most):
        x0, y0, x1, y1 = (array[owner, corner] for array in (xs, ys, ahead_x, ahead_y))
        level = np.abs(y1 - y0) < 1e-9
        crossing = x0 + (row - y0) * (x1 - x0) / np.where(level, 1.0, y1 - y0)
        right = (y1 > y0) == turns_right[owner]
        last = np.where(right & ~level, np.minimum(last, crossing), last)
        first = np.where(~right & ~level, np.maximum(first, crossing), first)
    start, stop = np.ceil(first).astype(np.int64), np.floor(last).astype(np.int64) + 1
    run, column = _runs(start, np.maximum(stop, start))
    raster[row[run], column] = values[owner[run]]


def _runs(start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All whole numbers from each start to before each stop, and which run each belongs to."""
    length = np.maximum(stop - start, 0)
    run = np.repeat(np.arange(start.size), length)
    return run, np.arange(run.size) - (np.cumsum(length) - length)[run] + start[run]


def meander(rng: np.random.Generator, *, shape: tuple[int, int], pixel: float, width: float) -> tuple[Array, Array]:
    """Distance in metres of every pixel from the middle of a winding river, and the river's half width there.

    The course is a sine-generated curve (Langbein and Leopold 1966) whose wavelength follows from the width, with a
    wandering amplitude; ``width`` in metres.
    """
    step = min(pixel, 10.0) / 2
    reach = float(max(shape)) * pixel
    count = int(5 * reach / step)
    s = np.arange(count) * step
    wave = 11 * width * rng.uniform(0.8, 1.3)
    slow = np.cumsum(rng.standard_normal(count)) * np.sqrt(step / (25 * wave))
    swing = np.clip(0.9 + 0.5 * np.sin(s / (4.3 * wave) + rng.uniform(0, 6)), 0.2, 1.5)
    drift = np.cumsum(rng.standard_normal(count)) * np.sqrt(step / (6 * wave))
    angle = rng.uniform(-0.35, 0.35) + swing * np.sin(2 * np.pi * s / wave + 1.2 * slow + drift) + 0.45 * np.sin(slow)
    px = np.cumsum(np.cos(angle)) * step - 0.25 * reach
    py = np.cumsum(np.sin(angle)) * step
    inside = (px > 0) & (px < shape[1] * pixel)
    middle = py[inside].mean() if inside.any() else 0.0
    py += shape[0] * pixel * rng.uniform(0.3, 0.7) - middle
    if rng.random() < 0.5:
        px, py = py * shape[1] / shape[0], px * shape[0] / shape[1]
    half = 0.5 * width * np.exp(0.25 * np.sin(s / (2.2 * wave) + rng.uniform(0, 6)))
    return _distance(px, py, half, shape=shape, pixel=pixel)


def _distance(
    px: NDArray[np.float64],
    py: NDArray[np.float64],
    value: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    pixel: float,
) -> tuple[Array, Array]:
    """Distance to the nearest of many points, and its value; points off the image count within a margin."""
    margin = 16
    rows, columns = np.floor(py / pixel).astype(int) + margin, np.floor(px / pixel).astype(int) + margin
    keep = (rows >= 0) & (columns >= 0) & (rows < shape[0] + 2 * margin) & (columns < shape[1] + 2 * margin)
    index = np.full((shape[0] + 2 * margin, shape[1] + 2 * margin), -1, dtype=np.int64)
    index[rows[keep], columns[keep]] = np.flatnonzero(keep)
    if not keep.any():
        return np.full(shape, 1e6, dtype=np.float32), np.ones(shape, dtype=np.float32)
    nearest = ndimage.distance_transform_edt(index < 0, return_distances=False, return_indices=True)
    which = index[nearest[0], nearest[1]][margin:-margin, margin:-margin]
    y = (np.arange(shape[0]) + 0.5)[:, None] * pixel - py[which]
    x = (np.arange(shape[1]) + 0.5)[None, :] * pixel - px[which]
    return np.hypot(x, y).astype(np.float32), value[which].astype(np.float32)


def hashed(*keys: NDArray[np.integer]) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1) from whole numbers, the same for the same keys."""
    mixed: NDArray[np.uint32] = np.array(2166136261, dtype=np.uint32)
    for key in keys:
        mixed = (np.asarray(key).astype(np.uint32) ^ mixed) * np.uint32(2654435761)
        mixed = mixed ^ (mixed >> np.uint32(15))
    return np.asarray((mixed >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24), dtype=np.float32)
