"""What there is to look at: the scenes of an archive, with their imagery, sorted into dates."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pystac
import rasterio
import rasterio.errors
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

import clearsight
from clearsight import ids
from clearsight.bands import BANDS
from clearsight.catalog import ASSET, COLLECTION_FILE, read_items
from clearsight.errors import ArgumentError, ClearsightError, ProductError, ProductWarning
from clearsight.product import NODATA, SCORES, STEPS
from clearsight.progress import Progress, silent
from clearsight.scene import asset_geobox, snapped

_OVERVIEW: Final = 512
"""Longer side of the picture of a scene's scores from which its clear share is counted."""

_PRODUCT: Final = re.compile(r"^(.*?\.(?:SAFE|zip))(?:/|$)")
"""The product within the address of one of its files."""


@dataclass(frozen=True)
class Scene:
    """One scored image."""

    index: str
    """``system:index``."""
    item: pystac.Item
    """Its imagery with the scores as assets ``cs`` and ``cs_cdf``; the scores alone where there is no imagery."""
    score: pystac.Item
    """Its score Item."""
    tile: str
    """MGRS tile."""
    bands: tuple[str, ...]
    """Bands of its imagery; empty without."""


@dataclass(frozen=True)
class Frame:
    """What was seen on one pass: the scenes of one datatake."""

    id: str
    """Start of the datatake, the first part of the scenes' index: ``20210730T102031``."""
    time: datetime
    """When the first of its scenes was taken, UTC."""
    scenes: tuple[Scene, ...]
    """Neighbouring tiles, sorted by index."""
    counts: Mapping[str, NDArray[np.int64]]
    """By score: how many pixels of an overview have each of the 201 stored numbers, shape (201,)."""

    def clear_share(self, by: str, threshold: float) -> float:
        """Tell the share of the measured pixels that score at least ``threshold``, in [0, 1]; NaN without any."""
        counts = self.counts[by]
        lowest = int(np.ceil((threshold - 1e-6) * STEPS))
        return float(counts[lowest:].sum() / counts.sum()) if counts.sum() else float("nan")


@dataclass(frozen=True)
class Library:
    """Everything a map can show. Ids that come from outside are looked up in its tables, and lead nowhere else."""

    title: str
    """Name of the archive."""
    frames: Mapping[str, Frame]
    """By id, in the order of time."""
    scenes: Mapping[str, Scene]
    """By index."""
    grids: Mapping[str, GeoBox]
    """By MGRS tile: the 10 m grid that holds all its scenes."""
    bands: tuple[str, ...]
    """Bands that all scenes with imagery have, in ESA's order; empty without imagery."""
    notes: tuple[str, ...]
    """What is left out, and why."""
    version: str
    """Changes whenever the files do, so that a browser may keep what it was shown."""

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north of everything, in degrees."""
        boxes = np.array([grid.geographic_extent.boundingbox.bbox for grid in self.grids.values()])
        west, south = boxes[:, :2].min(0)
        east, north = boxes[:, 2:].max(0)
        return float(west), float(south), float(east), float(north)


def open_library(
    source: str | os.PathLike[str],
    *,
    imagery: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Library:
    """Find the scores of an archive, the imagery that belongs to them, and how clear each date is.

    Parameters
    ----------
    source : path
        An archive that `clearsight.produce` made, or a static STAC catalogue that holds score Items.
    imagery : path, optional
        Where the imagery is: anything that `clearsight.search` reads. By default the products that the scores were
        made from (their ``derived_from`` links), as far as they are still there. Of L1C and L2A the latter is shown.
    progress : callable, optional
        Called with (steps done, steps in all, what).

    Returns
    -------
    Library
        Scenes without imagery show their scores alone; ``notes`` tells which and why.

    Raises
    ------
    ArgumentError
        ``source`` holds no scores, or ``imagery`` none of their images.
    ProductError
        The catalogue, or a score file, is damaged.

    Examples
    --------
    >>> library = open_library("archive")  # doctest: +SKIP
    >>> len(library.frames)  # doctest: +SKIP
    14
    """
    tell = progress or silent
    scores = _score_items(source)
    found, notes = _imagery(scores, imagery, tell)
    scenes = {item.id: _scene(item, found.get(item.id)) for item in scores}
    _check_imagery(scenes, imagery)
    frames = _frames(scenes.values(), tell)
    shown = [set(scene.bands) for scene in scenes.values() if scene.bands]
    common = set.intersection(*shown) if shown else set()
    return Library(
        title=_title(source),
        frames=frames,
        scenes=scenes,
        grids=_grids(scenes.values()),
        bands=tuple(name for name in BANDS if name in common),
        notes=tuple(notes),
        version=_version(scenes.values()),
    )


def _title(source: str | os.PathLike[str]) -> str:
    path = Path(source).resolve()
    return path.parent.name if path.suffix == ".json" else path.name


def _score_items(source: str | os.PathLike[str]) -> list[pystac.Item]:
    path = Path(source)
    if path.suffix != ".json" and not (path / COLLECTION_FILE).is_file() and (path / "catalog.json").is_file():
        path = path / "catalog.json"
    items = read_items(path) if path.suffix != ".json" else _items_of(path)
    if not items:
        raise ArgumentError(
            f"source={os.fspath(source)!r} holds no scores. Make them with: clearsight score IMAGERY --out ARCHIVE"
        )
    return items


def _items_of(path: Path) -> list[pystac.Item]:
    """Score Items of any static catalogue."""
    if not path.is_file():
        raise ArgumentError(f"source={str(path)!r} doesn't exist; expected an archive, or the JSON of a catalogue.")
    try:
        root = pystac.read_file(str(path.resolve()))
        items = list(root.get_items(recursive=True)) if isinstance(root, pystac.Catalog) else []
    except (OSError, ValueError, KeyError, TypeError, pystac.STACError) as error:
        raise ProductError(f"{path} can't be read as STAC: {type(error).__name__}: {error}.") from error
    return sorted((item for item in items if ASSET in item.assets), key=lambda item: item.id)


def _imagery(
    scores: Sequence[pystac.Item], imagery: str | os.PathLike[str] | None, tell: Progress
) -> tuple[dict[str, pystac.Item], list[str]]:
    """Source items with their scores, by index; and what is left out."""
    if imagery is None:
        items, notes = _sources(scores, tell)
    else:
        items, notes = clearsight.search(os.fspath(imagery)), []
    found: dict[str, pystac.Item] = {}
    # Surface reflectance comes last, and takes the place of the same image at the top of the atmosphere.
    for level in ("L1C", "L2A"):
        chosen = [item for item in items if item.properties.get("processing:level") == level]
        linked = clearsight.link(chosen, scores, bands=SCORES)
        notes += [missing.reason for missing in linked.ambiguous]
        found |= {ids.system_index(item): item for item in linked.matched}
    return found, notes


def _sources(scores: Sequence[pystac.Item], tell: Progress) -> tuple[list[pystac.Item], list[str]]:
    """Items that scores were made from, as far as they still lie where the scores say."""
    items: dict[str, pystac.Item] = {}
    notes: list[str] = []
    for number, score in enumerate(scores):
        tell(number, len(scores), "find the imagery")
        for link in score.get_links(pystac.RelType.DERIVED_FROM):
            href = link.get_absolute_href() or ""
            path = _local_source(href)
            if path is None:
                notes.append(f"{score.id}: its image {href} isn't on this machine; pass imagery.")
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ProductWarning)
                    items |= {item.id: item for item in clearsight.search(path) if item.id == link.title}
            except ClearsightError as error:
                notes.append(f"{score.id}: {error}")
    tell(len(scores), len(scores), "find the imagery")
    return list(items.values()), notes


def _local_source(href: str) -> Path | None:
    """The product, or Item, that a link leads to, if it is a file of this machine."""
    inside = _PRODUCT.match(href.removeprefix("file://").removeprefix("/vsizip/"))
    path = Path(inside.group(1) if inside else href.removeprefix("file://"))
    if not path.exists():
        return None
    # A plain folder of band files: the link leads to one of them.
    return path if inside or path.suffix == ".json" else path.parent


def _scene(score: pystac.Item, image: pystac.Item | None) -> Scene:
    item = image or clearsight.link([score], [score], bands=SCORES).matched[0]
    bands = tuple(name for name in BANDS if name in item.assets) if image is not None else ()
    return Scene(score.id, item, score, ids.tile(score), bands)


def _check_imagery(scenes: Mapping[str, Scene], imagery: str | os.PathLike[str] | None) -> None:
    if imagery is not None and not any(scene.bands for scene in scenes.values()):
        raise ArgumentError(
            f"imagery={os.fspath(imagery)!r} holds none of the {len(scenes)} images that were scored; "
            "leave it out to see the scores alone."
        )


def _frames(scenes: Iterable[Scene], tell: Progress) -> dict[str, Frame]:
    passes: dict[str, list[Scene]] = defaultdict(list)
    for scene in scenes:
        passes[scene.index.split("_")[0]].append(scene)
    frames = []
    for number, (name, group) in enumerate(passes.items()):
        tell(number, len(passes), "how clear each date is")
        counts = sum(_counts(scene) for scene in group)
        assert isinstance(counts, np.ndarray)
        times = [scene.score.datetime for scene in group if scene.score.datetime is not None]
        ordered = tuple(sorted(group, key=lambda scene: scene.index))
        frames.append(Frame(name, min(times), ordered, dict(zip(SCORES, counts, strict=True))))
    tell(len(passes), len(passes), "how clear each date is")
    return {frame.id: frame for frame in sorted(frames, key=lambda frame: (frame.time, frame.id))}


def _counts(scene: Scene) -> NDArray[np.int64]:
    """How often each stored number occurs in an overview of a scene's scores, shape (2, 201)."""
    asset = scene.score.assets[ASSET]
    href = asset.get_absolute_href() or asset.href
    try:
        with rasterio.open(href) as file:
            shrink = max(1, -(-max(file.shape) // _OVERVIEW))
            shape = (file.count, *(-(-side // shrink) for side in file.shape))
            stored = file.read(out_shape=shape)
    except rasterio.errors.RasterioError as error:
        raise ProductError(f"{href} can't be read ({error}). Run clearsight.produce again.") from error
    return np.stack([np.bincount(band[band != NODATA].ravel(), minlength=STEPS + 1) for band in stored])


def _grids(scenes: Iterable[Scene]) -> dict[str, GeoBox]:
    groups: dict[str, list[GeoBox]] = defaultdict(list)
    for scene in scenes:
        grid = asset_geobox(scene.score, ASSET)
        if grid is None:
            raise ProductError(f"score item {scene.index!r} doesn't tell its grid. Run clearsight.produce again.")
        groups[scene.tile].append(grid)
    return {tile: _hull(grids) for tile, grids in sorted(groups.items())}


def _hull(grids: Sequence[GeoBox]) -> GeoBox:
    corners = np.array([grid.boundingbox.bbox for grid in grids])
    bounds = (*corners[:, :2].min(0), *corners[:, 2:].max(0))
    return snapped([float(number) for number in bounds], like=grids[0], resolution=10)


def _version(scenes: Iterable[Scene]) -> str:
    facts: list[Any] = []
    for scene in scenes:
        file = scene.score.assets[ASSET].extra_fields.get("file:checksum")
        facts.append((scene.index, file, scene.item.id, scene.bands))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
