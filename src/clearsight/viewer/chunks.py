"""Pixels for the map: read once in pieces of the native grids, gathered into map tiles, kept in memory."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import clearsight
from clearsight.compositing import FILE_NODATA
from clearsight.errors import ArgumentError
from clearsight.product import NODATA, SCORES, encode
from clearsight.scene import snapped
from clearsight.viewer.library import Frame, Library, Scene

Stored = NDArray[np.int16] | NDArray[np.uint8]

TILE: Final = 512
"""Pixels along a side of a map tile. There is no other size, so that nobody can ask for a huge one."""

DEEPEST: Final = 18
"""Largest zoom: a native pixel is then 32 pixels wide."""

STEPS: Final = 10_000
"""Steps of stored reflectance per unit, as in the source products."""

_CHUNK: Final = 1024
"""Pixels along a side of a piece: a block of the JPEG 2000 files, which can only be decoded whole."""

_MESH: Final = 33
"""Points along a side of a tile that are really projected; between them positions are interpolated."""

_EARTH: Final = 20037508.342789244
"""Half the width of the Web Mercator square in metres (pi times 6378137)."""


@dataclass(frozen=True)
class MapTile:
    """One square of the usual tiling of the Web Mercator plane."""

    z: int
    """Zoom."""
    x: int
    """Column, from the west."""
    y: int
    """Row, from the north."""

    def __post_init__(self) -> None:
        if not 0 <= self.z <= DEEPEST:
            raise ArgumentError(f"z={self.z}; expected a zoom from 0 to {DEEPEST}.")
        if not (0 <= self.x < 1 << self.z and 0 <= self.y < 1 << self.z):
            raise ArgumentError(f"x={self.x}, y={self.y}; expected 0 to {(1 << self.z) - 1} at zoom {self.z}.")

    def geobox(self, pixels: int = TILE) -> GeoBox:
        """Give its pixels in EPSG:3857."""
        side = 2 * _EARTH / (1 << self.z)
        left, top = self.x * side - _EARTH, _EARTH - self.y * side
        return GeoBox.from_bbox((left, top - side, left + side, top), "EPSG:3857", shape=(pixels, pixels))


class Shelf:
    """Arrays that were needed lately, up to a number of bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        self._arrays: OrderedDict[Any, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> NDArray[Any] | None:
        """Find an array, and remember that it was needed."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key: Any, array: NDArray[Any]) -> None:
        """Keep an array; what wasn't needed for longest goes."""
        array.setflags(write=False)
        with self._lock:
            before = self._arrays.pop(key, None)
            self.size += array.nbytes - (0 if before is None else before.nbytes)
            self._arrays[key] = array
            while self.size > self.budget and len(self._arrays) > 1:
                _, oldest = self._arrays.popitem(last=False)
                self.size -= oldest.nbytes


class _Locks:
    """Of two requests for the same pixels the second waits for the first, and finds them on the shelf."""

    def __init__(self, count: int = 64) -> None:
        self._locks = [threading.Lock() for _ in range(count)]

    def of(self, key: Any) -> threading.Lock:
        """Give the lock of a key, which some other keys share."""
        return self._locks[hash(key) % len(self._locks)]


class Chunks:
    """Reads the pixels of a library, and keeps them.

    Two shelves: pieces of the native grids and of their halvings, so that panning and zooming decode none twice; and
    whole stacks of map tiles, so that another threshold costs the composite and nothing else.
    """

    def __init__(self, library: Library, *, budget: int | None = None) -> None:
        memory = _quarter_of_memory() if budget is None else budget
        self.library = library
        self.reads = 0
        self._pieces, self._stacks = Shelf(memory // 2), Shelf(memory // 2)
        # Two sets: whoever holds a lock of the first may wait for one of the second, never the other way round.
        self._stack_locks, self._piece_locks = _Locks(), _Locks()

    def stack(self, box: GeoBox, frames: Sequence[Frame], band: str) -> Stored:
        """Read one band of several frames onto a grid of the map.

        Parameters
        ----------
        box : GeoBox
            Pixels wanted, in EPSG:3857.
        frames : sequence of Frame
            In the order wanted.
        band : str
            Name of a band: int16, steps of 1/10000, nodata -32768; or ``cs``, ``cs_cdf``: uint8 as in the files.

        Returns
        -------
        array (frame, y, x)
            The nearest native pixel of each; far out, the mean of those that a pixel of the map covers. Read-only.
        """
        key = box, tuple(frame.id for frame in frames), band
        known = self._stacks.get(key)
        if known is not None:
            return known
        with self._stack_locks.of((box, band)):
            known = self._stacks.get(key)
            if known is None:
                known = self._gathered(box, frames, band)
                self._stacks.put(key, known)
        return known

    def _gathered(self, box: GeoBox, frames: Sequence[Frame], band: str) -> Stored:
        kind, nodata = _kind(band)
        stack = np.full((len(frames), *box.shape), nodata, kind)
        for tile in {scene.tile for frame in frames for scene in frame.scenes}:
            grid = _level(self.library.grids[tile], box)
            for piece, there, flat in _places(grid, box):
                found = [
                    (number, scene)
                    for number, frame in enumerate(frames)
                    for scene in frame.scenes
                    if scene.tile == tile and (band in scene.bands or band in SCORES)
                ]
                planes = self._read(piece, [scene for _, scene in found], band)
                for (number, _), plane in zip(found, planes, strict=True):
                    values = plane.ravel()[flat]
                    target = stack[number].reshape(-1)
                    # Where tiles or datastrips overlap, the first value stays.
                    target[there] = np.where(target[there] == nodata, values, target[there])
        return stack

    def _read(self, piece: GeoBox, scenes: Sequence[Scene], band: str) -> list[Stored]:
        """Planes of some scenes on a piece of their grid."""
        with self._piece_locks.of((piece, band)):
            keys = [(piece, scene.index, band) for scene in scenes]
            known = {key: self._pieces.get(key) for key in keys}
            missing = [scene for key, scene in zip(keys, scenes, strict=True) if known[key] is None]
            if missing:
                self.reads += len(missing)
                loaded = clearsight.load([scene.item for scene in missing], bands=[band], geobox=piece)
                order = sorted(range(len(missing)), key=lambda number: _load_order(missing[number]))
                for number, values in zip(order, loaded[band].values, strict=True):
                    key = piece, missing[number].index, band
                    known[key] = plane = _stored(values, band)
                    self._pieces.put(key, plane)
            return [plane for plane in (known[key] for key in keys) if plane is not None]

    def pixel(self, lon: float, lat: float, bands: Sequence[str]) -> list[tuple[Frame, dict[str, float]]]:
        """Read the native pixel at a place, of every frame that saw it.

        Parameters
        ----------
        lon, lat : float
            Degrees.
        bands : sequence of str
            Bands and scores.

        Returns
        -------
        list of (Frame, values)
            In the order of time; reflectance and scores as numbers, NaN = nodata.
        """
        series: dict[str, dict[str, float]] = {}
        for tile, whole in self.library.grids.items():
            place = _native_place(whole, lon, lat)
            if place is None:
                continue
            piece, row, column = place
            for band in bands:
                found = [
                    (frame, scene)
                    for frame in self.library.frames.values()
                    for scene in frame.scenes
                    if scene.tile == tile and (band in scene.bands or band in SCORES)
                ]
                planes = self._read(piece, [scene for _, scene in found], band)
                for (frame, _), plane in zip(found, planes, strict=True):
                    values = series.setdefault(frame.id, {})
                    if math.isnan(values.get(band, math.nan)):
                        values[band] = _number(plane[row, column], band)
        rows = [(self.library.frames[name], values) for name, values in series.items()]
        return sorted(
            (row for row in rows if not all(map(math.isnan, row[1].values()))), key=lambda row: (row[0].time, row[0].id)
        )


def _quarter_of_memory() -> int:
    """Bytes to keep pixels in: a quarter of the machine's memory, 2 GB at most."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4 << 30
    return min(pages // 4, 2 << 30)


def _load_order(scene: Scene) -> tuple[bool, Any, str]:
    """The order in which ``load`` returns frames."""
    moment = scene.item.datetime
    return moment is None, moment or 0, scene.item.id


def _kind(band: str) -> tuple[type[np.int16] | type[np.uint8], int]:
    return (np.uint8, NODATA) if band in SCORES else (np.int16, FILE_NODATA)


def _stored(values: NDArray[np.float32], band: str) -> Stored:
    if band in SCORES:
        return encode(np.clip(values, 0, 1))
    limit = np.iinfo(np.int16).max
    steps = np.clip(np.rint(np.nan_to_num(values, nan=0.0) * STEPS), -limit, limit)
    return np.where(np.isnan(values), FILE_NODATA, steps).astype(np.int16)


def _number(stored: Any, band: str) -> float:
    _, nodata = _kind(band)
    if stored == nodata:
        return math.nan
    return float(stored) / (200 if band in SCORES else STEPS)


def _level(whole: GeoBox, box: GeoBox) -> GeoBox:
    """The native grid, or the coarser one of its halvings that is still as fine as the map."""
    latitude = box.geographic_extent.centroid.coords[0][1]
    ground = abs(box.resolution.x) * math.cos(math.radians(latitude))
    level = max(0, math.floor(math.log2(max(ground / 10, 1)) + 0.1))
    return snapped(whole.boundingbox.bbox, like=whole, resolution=10 * 2**level) if level else whole


@lru_cache(maxsize=64)
def _places(grid: GeoBox, box: GeoBox) -> tuple[tuple[GeoBox, NDArray[np.intp], NDArray[np.intp]], ...]:
    """For each piece of the grid that the map box needs: the piece, pixels of the box, and pixels of the piece."""
    rows, columns = _positions(grid, box)
    inside = (rows >= 0) & (rows < grid.shape.y) & (columns >= 0) & (columns < grid.shape.x)
    across = -(-grid.shape.x // _CHUNK)
    piece = np.where(inside, rows // _CHUNK * across + columns // _CHUNK, -1).ravel()
    found = []
    for number in np.unique(piece[piece >= 0]).tolist():
        top, left = number // across * _CHUNK, number % across * _CHUNK
        part = grid[top : min(top + _CHUNK, grid.shape.y), left : min(left + _CHUNK, grid.shape.x)]
        there = np.flatnonzero(piece == number)
        flat = (rows.ravel()[there] - top) * part.shape.x + columns.ravel()[there] - left
        found.append((part, there, flat))
    return tuple(found)


def _positions(grid: GeoBox, box: GeoBox) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column in ``grid`` of every pixel of ``box``, each (y, x)."""
    transformer = Transformer.from_crs("EPSG:3857", str(grid.crs), always_xy=True)
    height, width = box.shape
    at_y, at_x = np.linspace(0, height, _MESH), np.linspace(0, width, _MESH)
    mesh_x, mesh_y = np.meshgrid(at_x, at_y)
    there, back = box.transform, ~grid.transform
    east, north = transformer.transform(there.c + there.a * mesh_x, there.f + there.e * mesh_y)
    columns, rows = back.c + back.a * east, back.f + back.e * north
    to_y, to_x = _weights(height), _weights(width)
    # A point beyond the projection's reach is infinite; what is near it lies outside as well.
    rows, columns = (np.nan_to_num(mesh, nan=-1e9, posinf=-1e9, neginf=-1e9) for mesh in (rows, columns))
    row, column = (np.floor(to_y @ mesh @ to_x.T).astype(np.intp) for mesh in (rows, columns))
    return row, column


def _weights(pixels: int) -> NDArray[np.float64]:
    """Linear interpolation from mesh points to the middles of pixels, shape (pixel, mesh point)."""
    position = (np.arange(pixels) + 0.5) / pixels * (_MESH - 1)
    low = np.minimum(position.astype(int), _MESH - 2)
    weights = np.zeros((pixels, _MESH))
    weights[np.arange(pixels), low] = 1 - (position - low)
    weights[np.arange(pixels), low + 1] = position - low
    return weights


def _native_place(whole: GeoBox, lon: float, lat: float) -> tuple[GeoBox, int, int] | None:
    """Piece of the native grid, row and column of the pixel at a place; None outside."""
    transformer = Transformer.from_crs("EPSG:4326", str(whole.crs), always_xy=True)
    east, north = transformer.transform(lon, lat)
    if not (math.isfinite(east) and math.isfinite(north)):
        return None
    back = ~whole.transform
    column, row = math.floor(back.c + back.a * east), math.floor(back.f + back.e * north)
    if not (0 <= row < whole.shape.y and 0 <= column < whole.shape.x):
        return None
    top, left = row // _CHUNK * _CHUNK, column // _CHUNK * _CHUNK
    part = whole[top : min(top + _CHUNK, whole.shape.y), left : min(left + _CHUNK, whole.shape.x)]
    return part, row - top, column - left
