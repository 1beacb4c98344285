"""``produce``: items -> an archive of score files, with its catalogue."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pystac

from clearsight import ids
from clearsight._subtiles import BrokenItemsError, Frame, Job, write_tile
from clearsight.bands import LEVELS, REQUIRED_BANDS, Level
from clearsight.catalog import is_complete, product_path, read_items, update_collection
from clearsight.errors import ArgumentError, ClearsightError, MissingBandError, OutputError
from clearsight.progress import Progress, silent
from clearsight.scoring import DEFAULT_MODEL

_EMPTY = "it has no pixel with a value in every band; an empty score is never written"


@dataclass(frozen=True)
class Skipped:
    """An item that needed no work."""

    item_id: str
    """Of the source item."""
    reason: str
    """Why."""


@dataclass(frozen=True)
class Failed:
    """An item that has no score now."""

    item_id: str
    """Of the source item."""
    reason: str
    """Why, and the way out."""


@dataclass(frozen=True)
class Produced:
    """What a run of `produce` did with each item."""

    written: tuple[pystac.Item, ...] = ()
    """Score Items that were made, in their places."""
    skipped: tuple[Skipped, ...] = ()
    """Items whose scores were complete, and superseded processings of an image."""
    failed: tuple[Failed, ...] = ()
    """Items that couldn't be scored; nothing of them was written."""


@dataclass(frozen=True)
class Month:
    """What an archive holds of one tile and month."""

    tile: str
    """MGRS tile."""
    month: str
    """``2023-01``."""
    scenes: int
    """Number of score Items."""
    no_context: float
    """Mean NO_CONTEXT_FRACTION, in [0, 1]."""
    models: tuple[str, ...]
    """MODEL_VERSION of the Items."""


def produce(
    items: Iterable[pystac.Item],
    out: str | os.PathLike[str],
    *,
    tile: str | None = None,
    model: str | None = None,
    level: Level | None = None,
    context: bool = True,
    resolution: float = 10,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Produced:
    """Score items, and add the scores to an archive: one COG and one STAC Item each.

    Parameters
    ----------
    items : iterable of pystac.Item
        From `clearsight.search`, of any number of tiles; all of one level.
    out : path
        The archive: made when it doesn't exist, added to when it does.
    tile : str, optional
        Only this MGRS tile, such as ``"33UUU"``.
    model, context : optional
        As in `clearsight.score`.
    level : {"L1C", "L2A"}, optional
        Score the items of this level only; needed where both are among ``items``.
    resolution : float
        Pixel size in metres.
    overwrite : bool
        Score again what the archive holds already.
    progress : callable, optional
        Called with (steps done, steps in all, name of the work).

    Returns
    -------
    Produced
        What was written, skipped and failed. A tile's frames are scored together; what is already in the archive
        still serves as context, and in the ranks of ``cs_cdf``.

    Raises
    ------
    OutputError
        ``out`` can't be written to; told before any work is done.
    ArgumentError
        Items of both levels without ``level``; a tile that no item lies in; another argument that can't be used.

    Notes
    -----
    A COG appears when it is complete, its Item after it, and the link in ``collection.json`` last. A run that was
    stopped at any moment is completed by running it again; what is complete isn't touched.

    Examples
    --------
    >>> produce(clearsight.search("downloads", level="L1C"), "archive")  # doctest: +SKIP
    """
    root = _writable(out)
    chosen, known_level = _of_level(list(items), level)
    job = Job(root, known_level, model or DEFAULT_MODEL, context, resolution, overwrite, progress or silent)
    tiles, done = _by_tile(chosen, job, only=tile)
    for frames in tiles.values():
        done = _joined(done, _produce_tile(frames, job))
    return done


def summarise(root: str | os.PathLike[str]) -> list[Month]:
    """Tell what an archive holds, by tile and month.

    Raises
    ------
    ArgumentError
        There is no archive.

    Examples
    --------
    >>> summarise("archive")  # doctest: +SKIP
    [Month(tile='33UUU', month='2017-02', scenes=1, no_context=1.0, models=('projection-0.1.0',))]
    """
    groups: dict[tuple[str, str], list[pystac.Item]] = defaultdict(list)
    for item in read_items(root):
        groups[ids.tile(item), f"{item.datetime:%Y-%m}"].append(item)
    return [
        Month(
            tile=tile,
            month=month,
            scenes=len(group),
            no_context=fmean(item.properties["NO_CONTEXT_FRACTION"] for item in group),
            models=tuple(sorted({item.properties["MODEL_VERSION"] for item in group})),
        )
        for (tile, month), group in sorted(groups.items())
    ]


def _writable(out: str | os.PathLike[str]) -> Path:
    root = Path(out).resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError as error:
        raise OutputError(
            f"out={os.fspath(out)!r} can't be written to ({error}); choose a folder you may write to."
        ) from error


def _of_level(items: Sequence[pystac.Item], level: Level | None) -> tuple[list[pystac.Item], Level]:
    """The items of one level. L1C and L2A of an image share its index, and a rank among both would mean nothing."""
    if level is not None and level not in LEVELS:
        raise ArgumentError(f"level={level!r} is unknown; expected one of {LEVELS}.")
    found: list[Level] = [known for known in LEVELS if any(_level(item) == known for item in items)]
    if level is None and len(found) != 1:
        held = f"items of {' and '.join(found)}" if found else "no item that tells its level (processing:level)"
        raise ArgumentError(
            f"items holds {held}; expected one level. Pass level='L1C' or level='L2A', "
            "or search with collection='sentinel-2-l1c' or 'sentinel-2-l2a'."
        )
    wanted = level or found[0]
    return [item for item in items if _level(item) == wanted], wanted


def _level(item: pystac.Item) -> str | None:
    return item.properties.get("processing:level")


def _by_tile(items: Sequence[pystac.Item], job: Job, *, only: str | None) -> tuple[dict[str, list[Frame]], Produced]:
    """Frames of each tile, sorted; and what can't be a frame."""
    tiles: dict[str, dict[str, Frame]] = defaultdict(dict)
    skipped, failed = [], []
    # The last processing of an image comes first, and keeps its place.
    for item in sorted(items, key=lambda item: (str(item.properties.get("processing:version")), item.id), reverse=True):
        try:
            frame = _frame(item, job.root)
        except ClearsightError as error:
            failed.append(Failed(item.id, str(error)))
            continue
        first = tiles[ids.tile(item)].setdefault(frame.index, frame)
        if first is not frame:
            skipped.append(Skipped(item.id, f"{first.item.id} is another processing of this image, and is scored"))
    if only is not None and only not in tiles:
        raise ArgumentError(
            f"tile={only!r}: no item lies in it; the items lie in {', '.join(sorted(tiles)) or 'none'}."
        )
    order = {
        name: sorted(frames.values(), key=lambda frame: frame.index)
        for name, frames in sorted(tiles.items())
        if only in (None, name)
    }
    return order, Produced(skipped=tuple(skipped), failed=tuple(failed))


def _frame(item: pystac.Item, root: Path) -> Frame:
    missing = [name for name in REQUIRED_BANDS if name not in item.assets]
    if missing:
        raise MissingBandError(
            f"item {item.id!r} has no {', '.join(missing)}; a score needs {', '.join(REQUIRED_BANDS)}."
        )
    return Frame(ids.system_index(item), item, product_path(root, item))


def _joined(a: Produced, b: Produced) -> Produced:
    return Produced(a.written + b.written, a.skipped + b.skipped, a.failed + b.failed)


def _produce_tile(frames: list[Frame], job: Job) -> Produced:
    """Score one tile; begin again without the items that turn out to be broken, for scores mustn't depend on them."""
    there = [] if job.overwrite else [frame for frame in frames if is_complete(frame.path)]
    held = [pystac.Item.from_file(str(frame.path.with_suffix(".json"))) for frame in there]
    skipped = tuple(
        Skipped(
            frame.item.id,
            f"already there, scored from {item.properties['SOURCE_ASSET_ID']} with {item.properties['MODEL_VERSION']}",
        )
        for frame, item in zip(there, held, strict=True)
    )
    pending = [frame for frame in frames if frame not in there]
    failed: list[Failed] = []
    written: list[pystac.Item] = []
    while pending:
        try:
            written, empty = write_tile(frames, pending, job)
        except BrokenItemsError as broken:
            failed += [Failed(item_id, reason) for item_id, reason in broken.reasons.items()]
            frames = [frame for frame in frames if frame.item.id not in broken.reasons]
            pending = [frame for frame in pending if frame.item.id not in broken.reasons]
        else:
            failed += [Failed(frame.item.id, _EMPTY) for frame in empty]
            break
    if held or written:
        update_collection(job.root, [*held, *written])
    return Produced(tuple(written), skipped, tuple(failed))
