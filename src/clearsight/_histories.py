"""The histories of an archive: one for each sub-tile of a tile, brought up to date from what is published.

They lie in ``ARCHIVE/.history/TILE/KIND/ROW-COLUMN/``, where KIND stands for bands, grid, level and weights: scores of
different scorers never meet. A history takes a frame in when its score is published, and says which frames it has, so
whoever is stopped in between leaves nothing lost and nothing counted twice: the next run takes in what lacks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pystac
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from clearsight import ids
from clearsight._grid import output_grid
from clearsight._parts import left_over, read_manifest
from clearsight._periods import Frame
from clearsight._shares import Seen, quantise
from clearsight._subtiles import How, common_bands, fingerprint, hash_of
from clearsight._work import alone
from clearsight.catalog import ASSET, held_item
from clearsight.context import halved
from clearsight.errors import ClearsightError
from clearsight.history import History, open_history
from clearsight.product import decode
from clearsight.scoring import reach, version_of
from clearsight.stack import load
from clearsight.tiles import SubTile, split

FOLDER: Final = ".history"
SIDE: Final = 1024
"""Pixels along a side of a history's sub-tile: 130 MB in memory."""

_TOGETHER: Final = 8
"""Frames that are read at once to be taken in."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Unit:
    """The history of one sub-tile, and which part of the tile it is."""

    folder: Path
    place: SubTile
    window: GeoBox
    """Grid of the part with its halo."""

    @property
    def core(self) -> GeoBox:
        """Grid of the part alone."""
        return self.window[self.place.inner]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the history: half as many as of the scores."""
        rows, cols = self.place.core
        return -(-(rows.stop - rows.start) // 2), -(-(cols.stop - cols.start) // 2)

    def known(self) -> dict[str, str]:
        """Versions of the frames that the history has, by index."""
        facts = read_manifest(self.folder) or {}
        return {index: frame["version"] for index, frame in facts.get("frames", {}).items()}


@dataclass(frozen=True, eq=False)
class Shelf:
    """All histories of one tile, of one kind."""

    root: Path
    """The archive."""
    tile: str
    folder: Path
    geobox: GeoBox
    """Grid of the tile's scores."""
    bands: tuple[str, ...]
    how: How
    units: tuple[Unit, ...]

    @property
    def is_begun(self) -> bool:
        """Has any history of this kind been kept?"""
        return self.folder.is_dir()


@dataclass(frozen=True, eq=False)
class Taking:
    """A task: one history takes in frames whose scores are published; those that it has change nothing."""

    shelf: Shelf
    unit: Unit
    frames: tuple[Frame, ...]
    made: tuple[Path, ...] = ()
    """Pieces that hold what was seen of a frame already, so that it needn't be decoded again."""
    anew: bool = False
    """Begin from nothing."""

    @property
    def key(self) -> str:
        """What a cluster's pages show of the task."""
        return f"history-{self.shelf.tile}-{self.unit.folder.name}-{hash_of([frame.index for frame in self.frames])}"

    def do(self) -> None:
        """Take the frames in: all of them, or none."""
        with _alone(self.shelf, self.unit):
            past = (
                History(self.unit.shape, self.shelf.bands, folder=self.unit.folder)
                if self.anew
                else open_history(self.unit.folder, shape=self.unit.shape, bands=self.shelf.bands)
            )
            lacking = [frame for frame in self.frames if past.version(frame.index) is None]
            taken = 0
            for start in range(0, len(lacking), _TOGETHER):
                taken += past.add_all(list(self._seen(lacking[start : start + _TOGETHER])))
            if taken or self.anew:
                past.save()

    def _seen(self, frames: Sequence[Frame]) -> Iterator[Seen]:
        for frame in frames:
            cs = scores_of(frame, self.unit.place)
            values = next((found for path in self.made if (found := values_in(path, frame)) is not None), None)
            if cs is None:
                continue
            if values is None:
                try:
                    values = values_of(frame.item, self.shelf.bands, self.unit.core)
                except ClearsightError as error:
                    _log.warning("%s isn't taken into the history: %s", frame.item.id, error)
                    continue
            yield Seen(frame.index, label(frame), moment(frame), values, cs)


def shelf_of(frames: Sequence[Frame], *, root: Path, how: How) -> Shelf:
    """The histories of a tile, kept or not; bands and grid are those of all frames given."""
    bands = common_bands(frames, how.level)
    geobox = output_grid([frame.item for frame in frames], bands=bands, resolution=how.resolution)
    tile = ids.tile(frames[0].item)
    grid: list[object] = [str(geobox.crs), list(geobox.affine), list(geobox.shape)]
    folder = root / FOLDER / tile / hash_of([list(bands), grid, how.level, fingerprint(how.model), SIDE])
    units = tuple(
        Unit(folder / f"{place.core[0].start}-{place.core[1].start}", place, geobox[place.outer])
        for place in split((geobox.shape.y, geobox.shape.x), side=SIDE, halo=reach(how.model))
    )
    return Shelf(root, tile, folder, geobox, tuple(bands), how, units)


def takings(shelf: Shelf, frames: Sequence[Frame], *, made: Sequence[Path] = (), rebuild: bool = False) -> list[Taking]:
    """What has to be done so that all histories have the frames of which there are scores.

    A frame of which a history has another processing stays in it as it was, for to take it out its former pixels would
    be needed; ``rebuild`` begins such a history from nothing, if all that it has is among the frames given.
    """
    scored = [frame for frame in frames if _is_scored(frame, shelf.how)]
    tasks = []
    for unit in shelf.units:
        if left_over(unit.folder):
            with _alone(shelf, unit):
                for path in left_over(unit.folder):
                    path.unlink(missing_ok=True)
        known = unit.known()
        whole = known.keys() <= {frame.index for frame in scored}
        stale = rebuild and whole and any(known.get(frame.index, label(frame)) != label(frame) for frame in scored)
        lacking = tuple(scored if stale else (frame for frame in scored if frame.index not in known))
        if lacking:
            own = tuple(path for path in made if path.stem.endswith(f"-{unit.folder.name}"))
            tasks.append(Taking(shelf, unit, lacking, own, anew=stale))
    return tasks


def label(frame: Frame) -> str:
    """Which processing of an image a frame is."""
    return f"{frame.item.id} {frame.version}".strip()


def moment(frame: Frame) -> np.datetime64:
    """When it was taken, as NumPy tells it."""
    return np.datetime64(frame.date.replace(tzinfo=None), "s")


def values_of(item: pystac.Item, bands: Sequence[str], core: GeoBox) -> NDArray[np.uint16]:
    """What a history sees of an image: (band, y, x), means of 2 x 2 pixels, in a history's steps."""
    return np.stack([coarse(load([item], bands=[name], geobox=core)[name].to_numpy()[0]) for name in bands])


def coarse(band: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Means of 2 x 2 pixels, in a history's steps; nodata where any of them is."""
    odd = [(0, size % 2) for size in band.shape]
    return quantise(halved(np.pad(band, odd, constant_values=np.nan)))


VALUES: Final = ".values"
"""Ending of the array's name, in the file of a piece, that holds what a history sees of a frame."""


def values_in(path: Path, frame: Frame) -> NDArray[np.uint16] | None:
    """The same, if the file of a piece holds it."""
    if not path.exists():
        return None
    with np.load(path) as made:
        if frame.index + VALUES not in made.files:
            return None
        values: NDArray[np.uint16] = made[frame.index + VALUES]
        return values


def scores_of(frame: Frame, place: SubTile) -> NDArray[np.float32] | None:
    """Published ``cs`` of a sub-tile; None where the file isn't on this machine."""
    held = held_item(frame.path)
    if held is None:
        return None
    rows, cols = place.core
    try:
        with rasterio.open(frame.path.with_name(Path(held.assets[ASSET].href).name)) as file:
            return decode(file.read(1, window=Window.from_slices(rows, cols)))
    except rasterio.RasterioIOError as error:
        _log.warning("%s isn't taken into the history: its scores can't be read (%s)", frame.index, error)
        return None


def _alone(shelf: Shelf, unit: Unit) -> AbstractContextManager[None]:
    """Whoever writes a history is alone: a worker that a cluster takes for lost may still be at it."""
    return alone(shelf.root, f"{shelf.tile}-history-{unit.folder.name}", wait=-1)


def _is_scored(frame: Frame, how: How) -> bool:
    """Is there a score of this very processing, by this scorer?"""
    held = held_item(frame.path)
    if held is None:
        return False
    facts = held.properties
    return bool(facts["SOURCE_ASSET_ID"] == frame.item.id and facts["MODEL_VERSION"] == version_of(how.model))
