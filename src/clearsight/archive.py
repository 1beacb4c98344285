"""``produce``: items -> an archive of score files, with its catalogue."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pystac
from odc.geo.geobox import GeoBox

from clearsight import ids
from clearsight._dask import Run, runner
from clearsight._histories import Shelf, shelf_of, takings
from clearsight._live import can_tell, plan_live
from clearsight._mirror import Mirror
from clearsight._objects import is_address
from clearsight._periods import MODES, PAST, Frame, Mode, Period, periods, reason_to_score
from clearsight._rows import do_rows, rows_of
from clearsight._subtiles import BrokenItemsError, How, Piece, plan, publish
from clearsight._work import alone, clear_work, sweep
from clearsight.bands import LEVELS, REQUIRED_BANDS, Level
from clearsight.catalog import held_item, product_path, update_collection
from clearsight.coverage import record_missing
from clearsight.errors import ArgumentError, ClearsightError, MissingBandError, OutputError
from clearsight.progress import Progress, silent
from clearsight.scoring import DEFAULT_MODEL, PROJECTION

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
    tile: str | None = None
    """MGRS tile, if it is known."""


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
class Options:
    """How `produce` works."""

    context: bool = True
    """Compare frames with each other."""
    resolution: float = 10
    """Pixel size in metres."""
    mode: Mode = "backfill"
    """``"near-real-time"`` compares a frame only with those before it, at a cost that doesn't grow with their number;
    a backfill later makes such scores anew, with what came after."""
    history: bool | None = None
    """Keep a history of each place (clear reference, scores, frames seen), with which a new scene in near real time is
    compared and ranked: one decoding, whatever was there before. By default near real time begins them (but for the
    projection scorer, which can't use them), and a backfill brings up to date those that are there; True: a backfill
    begins them, too; False: they are left alone. Up to 16 GB per tile."""
    scheduler: str | None = None
    """Address of a Dask scheduler whose workers see the same files; ``"local"`` for a cluster on this machine."""
    wait: float = 0
    """Seconds to wait for another process that works on the same tile; negative = for as long as it takes."""
    staging: str | None = None
    """Folder in which an archive in a bucket is worked on; by default one below the user's cache. Workers of a cluster
    must see it, and a run that was stopped goes on only where its folder still is."""


@dataclass(frozen=True)
class _Job:
    root: Path
    how: How
    options: Options
    overwrite: bool
    progress: Progress
    run: Run


def produce(
    items: Iterable[pystac.Item],
    out: str | os.PathLike[str],
    *,
    tile: str | None = None,
    model: str | None = None,
    level: Level | None = None,
    overwrite: bool = False,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Produced:
    """Score items, and add the scores to an archive: one COG and one STAC Item each.

    Parameters
    ----------
    items : iterable of pystac.Item
        From `clearsight.search`, of any number of tiles; all of one level.
    out : path or address
        The archive: made when it doesn't exist, added to when it does. A folder, or ``s3://bucket/prefix`` (extra
        ``s3``; keys and endpoint in the environment, as for GDAL), where a tile is published when it is done.
    tile : str, optional
        Only this MGRS tile, such as ``"33UUU"``.
    model : str, optional
        As in `clearsight.score`.
    level : {"L1C", "L2A"}, optional
        Score the items of this level only; needed where both are among ``items``.
    overwrite : bool
        Score again what the archive holds already.
    options : Options, optional
        Context, resolution, mode, Dask, waiting, place of unfinished work.
    progress : callable, optional
        Called with (steps done, steps in all, name of the work).

    Returns
    -------
    Produced
        What was written, skipped and failed. A tile's frames are scored together (long series by calendar year); of
        ``items``, those that are already in the archive still serve as context, and in the ranks of ``cs_cdf``.

    Raises
    ------
    OutputError
        ``out`` can't be written to; told before any work is done.
    RemoteError
        A bucket can't be reached; what is published is whole.
    BusyError
        Another process works on the same tile; what was done until then stays.
    ArgumentError
        Items of both levels without ``level``; a tile that no item lies in; another argument that can't be used.

    Notes
    -----
    A COG appears when it is complete, its Item after it, and the link in ``collection.json`` last. A run that was
    stopped at any moment is completed by running it again, with the same bytes; what is complete isn't touched.

    A score is made anew where its source was processed anew (a higher processing version), and where it lacked
    context that exists now: where NO_CONTEXT_FRACTION > 0 and there are more frames to compare with, or where a
    backfill follows a score in near real time. The former score can be read until the new one is complete. Scores
    that had all their context stay as they are when further frames come; ``overwrite`` makes them anew.

    Examples
    --------
    >>> produce(clearsight.search("downloads", level="L1C"), "archive")  # doctest: +SKIP
    """
    wishes = options or Options()
    mirror = Mirror(str(out), wishes.staging) if is_address(out) else None
    root = _writable(mirror.root if mirror else out)
    if wishes.mode not in MODES:
        raise ArgumentError(f"options.mode={wishes.mode!r} is unknown; expected one of {MODES}.")
    chosen, known_level = _of_level(list(items), level)
    how = How(known_level, model or DEFAULT_MODEL, wishes.resolution)
    tiles, done = _by_tile(chosen, root, only=tile)
    with runner(wishes.scheduler) as run:
        job = _Job(root, how, wishes, overwrite, progress or silent, run)
        for name, frames in tiles.items():
            with alone(root, name, wait=wishes.wait):
                unusable = [failure for failure in done.failed if failure.tile == name]
                try:
                    if mirror:
                        mirror.fetch(name)
                    done = _joined(done, _produce_tile(name, frames, unusable, job))
                    if mirror:
                        mirror.publish(name)
                except OSError as error:
                    raise OutputError(
                        f"out={str(root)!r}: {name} can't be written ({error}). Make room, or see to it that you may "
                        "write there, and run again: what is done is kept."
                    ) from error
    return replace(done, written=tuple(map(mirror.item, done.written))) if mirror else done


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


def _by_tile(items: Sequence[pystac.Item], root: Path, *, only: str | None) -> tuple[dict[str, list[Frame]], Produced]:
    """Frames of each tile, sorted; and what can't be a frame."""
    tiles: dict[str, dict[str, Frame]] = defaultdict(dict)
    skipped, failed = [], []
    # The last processing of an image comes first, and keeps its place.
    for item in sorted(items, key=lambda item: (str(item.properties.get("processing:version")), item.id), reverse=True):
        try:
            frame = _frame(item, root)
        except ClearsightError as error:
            failed.append(Failed(item.id, str(error), _tile_of(item)))
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


def _tile_of(item: pystac.Item) -> str | None:
    try:
        return ids.tile(item)
    except ClearsightError:
        return None


def _produce_tile(tile: str, frames: list[Frame], unusable: list[Failed], job: _Job) -> Produced:
    """Score one tile; begin again without the items that turn out to be broken, for scores mustn't depend on them."""
    failed: list[Failed] = []
    written: list[pystac.Item] = []
    while frames:
        try:
            empty = _score_tile(tile, frames, job, written)
        except BrokenItemsError as error:
            failed += [Failed(item_id, reason, tile) for item_id, reason in error.reasons.items()]
            frames = [frame for frame in frames if frame.item.id not in error.reasons]
        else:
            failed += empty
            break
    sweep(job.root, tile)
    new = {item.id for item in written}
    skipped, held = _left_alone([frame for frame in frames if frame.index not in new])
    record_missing(job.root, tile, failed=[*unusable, *failed], scored=[*held, *written])
    if held or written:
        with alone(job.root, "collection", wait=-1):
            update_collection(job.root, [*held, *written])
    return Produced(tuple(written), tuple(skipped), tuple(failed))


def _score_tile(tile: str, frames: Sequence[Frame], job: _Job, written: list[pystac.Item]) -> list[Failed]:
    """Score what is wanted, and keep the histories; what is written is added to ``written``. Returns what is empty."""
    wanted = _wanted(periods(frames, mode=job.options.mode, context=job.options.context), job)
    shelf, is_live = _shelf(frames, job), job.options.mode == "near-real-time"
    in_time = sorted(frames, key=lambda frame: (frame.date, frame.index))
    empty: list[Failed] = []
    if shelf is None or not is_live:
        if wanted:
            empty += _score_together(tile, wanted, plan(wanted, frames, root=job.root, how=job.how), job, written)
    else:
        # One scene after the other, for each is context of the next.
        for period in sorted(wanted, key=lambda period: in_time.index(period.targets[0])):
            (frame,) = period.targets
            number = in_time.index(frame)
            _take_in(shelf, in_time[max(number - PAST, 0) : number], job)
            planned = _live_pieces(shelf, frame, job) or plan([period], frames, root=job.root, how=job.how)
            empty += _score_together(tile, [period], planned, job, written)
            _take_in(shelf, [frame], job, made=[piece.path for piece in planned[0]])
            clear_work(job.root, tile)
    if shelf is not None:
        _take_in(shelf, in_time[-PAST:] if is_live else in_time, job, rebuild=not is_live)
    return empty


def _shelf(frames: Sequence[Frame], job: _Job) -> Shelf | None:
    """The tile's histories, if they are to be kept."""
    options = job.options
    if options.history is False or not options.context:
        return None
    shelf = shelf_of(frames, root=job.root, how=job.how)
    if options.history or shelf.is_begun:
        return shelf
    return shelf if options.mode == "near-real-time" and job.how.model != PROJECTION else None


def _take_in(
    shelf: Shelf, frames: Sequence[Frame], job: _Job, *, made: Sequence[Path] = (), rebuild: bool = False
) -> None:
    tasks = takings(shelf, frames, made=made, rebuild=rebuild)
    for done, _ in enumerate(job.run(tasks), start=1):
        job.progress(done, len(tasks), f"history of {shelf.tile}")


def _live_pieces(shelf: Shelf, frame: Frame, job: _Job) -> tuple[Sequence[Piece], GeoBox] | None:
    """Pieces of a scene that is compared with the histories, which have told what they know; None if they can't."""
    if not can_tell(shelf, frame):
        return None
    tellings, pieces = plan_live(shelf, frame)
    for done, _ in enumerate(job.run(tellings), start=1):
        job.progress(done, len(tellings), f"reference of {shelf.tile}")
    return pieces, shelf.geobox


def _wanted(cut: Sequence[Period], job: _Job) -> list[Period]:
    """The periods in which there is something to score, with only that as targets."""
    wanted = []
    for period in cut:
        targets = tuple(
            frame
            for frame in period.targets
            if reason_to_score(frame, period, level=job.how.level, overwrite=job.overwrite)
        )
        if targets:
            wanted.append(replace(period, targets=targets))
    return wanted


def _score_together(
    tile: str,
    wanted: Sequence[Period],
    planned: tuple[Sequence[Piece], GeoBox],
    job: _Job,
    written: list[pystac.Item],
) -> list[Failed]:
    """Make all pieces, then put them together, image by image."""
    pieces, geobox = planned
    sweep(job.root, tile, keep=pieces[0].path.parent.name)
    rows, what = rows_of(pieces, geobox), f"scoring {tile}"
    work = sum(len(row.decodings) + len(row.pieces) for row in rows)
    steps = work + sum(len(period.targets) for period in wanted)
    job.progress(0, steps, what)
    for done, _ in enumerate(do_rows(rows, job.run), start=1):
        job.progress(done, steps, what)
    made, empty = [], []
    for done, (frame, item) in enumerate(publish(pieces, geobox), start=work + 1):
        job.progress(done, steps, what)
        if item is None:
            empty.append(Failed(frame.item.id, _EMPTY, tile))
        else:
            made.append(item)
    written += sorted(made, key=lambda item: item.id)
    return empty


def _left_alone(frames: Sequence[Frame]) -> tuple[list[Skipped], list[pystac.Item]]:
    """Frames whose score was there already."""
    skipped, held = [], []
    for frame in frames:
        item = held_item(frame.path)
        if item is not None:
            facts = item.properties
            why = f"already there, scored from {facts['SOURCE_ASSET_ID']} with {facts['MODEL_VERSION']}"
            skipped.append(Skipped(frame.item.id, why))
            held.append(item)
    return skipped, held
