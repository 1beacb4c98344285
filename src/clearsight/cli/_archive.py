"""Commands that make archives of scores and tell what is in them: ``score``, ``info``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter
from rich.table import Table

import clearsight
from clearsight.cli._console import BBOX_HELP, DATETIME_HELP, Bbox, note, progress_bars, say, tell
from clearsight.cli._imagery import search

if TYPE_CHECKING:
    import pystac

LEVEL_HELP: Final = "Take only products of this level; where both are there, L1C is scored."
Mode = Literal["backfill", "near-real-time"]
MODE_HELP: Final = "near-real-time compares a scene with the past only; a backfill later makes such scores anew."
SCHEDULER_HELP: Final = "Address of a Dask scheduler whose workers see the same files, or 'local' for all cores here."
HISTORY_HELP: Final = (
    "Keep a history of each place, with which new scenes are compared. By default near real time begins it, "
    "and a backfill brings it up to date."
)
OUT_HELP: Final = (
    "The archive, a folder or s3://BUCKET/PREFIX; made when it doesn't exist, added to when it does. "
    "Keys and endpoint of a bucket are taken from the environment, as by GDAL."
)
STAGING_HELP: Final = "Folder in which an archive in a bucket is worked on; by default one below the user's cache."
OFFSET_HELP: Final = (
    "Radiometric offset of plain band files, which carry no metadata: 0, or -1000 from processing baseline 04.00 on."
)


def score(
    source: Annotated[
        str, Parameter(help="A SAFE folder or zip, a folder of them, a folder of band files, or a STAC catalogue.")
    ],
    /,
    *,
    out: Annotated[str, Parameter(help=OUT_HELP)],
    tile: Annotated[str | None, Parameter(help="Only this MGRS tile, such as 33UUU.")] = None,
    bbox: Annotated[Bbox | None, Parameter(help=BBOX_HELP + " Whole items that touch it are scored.")] = None,
    datetime: Annotated[str | None, Parameter(help=DATETIME_HELP)] = None,
    level: Annotated[Literal["L1C", "L2A"] | None, Parameter(help=LEVEL_HELP)] = None,
    offset: Annotated[float | None, Parameter(help=OFFSET_HELP)] = None,
    acquired: Annotated[
        str | None, Parameter(help="Acquisition time of plain band files whose names hold none: 2018-01-31T15:58:01Z.")
    ] = None,
    model: Annotated[
        str | None,
        Parameter(
            help="clearsight-1 (the default), projection (without learned weights), or the path of an ONNX file."
        ),
    ] = None,
    context: Annotated[bool, Parameter(help="Use the other dates of the same place as a clear reference.")] = True,
    overwrite: Annotated[bool, Parameter(help="Score again what the archive already holds.")] = False,
    mode: Annotated[Mode, Parameter(help=MODE_HELP)] = "backfill",
    history: Annotated[bool | None, Parameter(help=HISTORY_HELP)] = None,
    scheduler: Annotated[str | None, Parameter(help=SCHEDULER_HELP)] = None,
    wait: Annotated[float, Parameter(help="Seconds to wait for another process on the same tile; -1: no limit.")] = 0,
    staging: Annotated[str | None, Parameter(help=STAGING_HELP)] = None,
) -> None:
    """Score products, and add the scores to an archive: one COG and one STAC Item each.

    Example: clearsight score downloads/ --out archive

    Example: clearsight score band-files/ --level L1C --offset 0 --out archive
    """
    from clearsight.archive import Options

    items = clearsight.search(source, bbox=bbox, datetime=datetime, level=level, offset=offset, acquired=acquired)
    chosen = _one_level(items, level)
    with progress_bars() as step:
        done = clearsight.produce(
            chosen,
            out,
            tile=tile,
            model=model,
            overwrite=overwrite,
            options=Options(
                context=context, mode=mode, history=history, scheduler=scheduler, wait=wait, staging=staging
            ),
            progress=step,
        )
    say.print(f"{len(done.written)} scored, {len(done.skipped)} already there, {len(done.failed)} failed: {out}")
    for failure in done.failed:
        tell("failed", f"{failure.item_id}: {failure.reason}")
    if done.failed:
        sys.exit(1)


def info(
    path: Annotated[str, Parameter(help="An archive of scores, or anything `clearsight search` reads.")], /
) -> None:
    """Tell what an archive of scores, or a folder of products, holds.

    Example: clearsight info archive
    """
    from clearsight.coverage import missing, summarise

    if not (path.startswith("s3://") or (Path(path) / "collection.json").exists()):
        search(path)
        return
    table = Table("tile", "month", "scenes", "without context", "past only", "model", title=path)
    for row in summarise(path):
        if row.scenes:
            share, past = f"{100 * row.no_context:.0f} %", str(row.past_only)
            table.add_row(row.tile, row.month, str(row.scenes), share, past, ", ".join(row.models))
        else:
            table.add_row(row.tile, row.month, "gap")
    say.print(table)
    for lack in missing(path):
        say.print(f"missing: {lack.tile} {lack.item_id}: {lack.reason}")


def index(path: Annotated[Path, Parameter(help="An archive of scores.")], /) -> None:
    """Bring an archive's index (stac-geoparquet, one file per tile) up to date; only what has changed is read.

    Example: clearsight index archive
    """
    from clearsight.index import refresh_index

    done = refresh_index(path)
    say.print(f"{done.items} items; {done.read} read, {len(done.tiles)} tiles written: {path / 'index'}")


def _one_level(items: list[pystac.Item], level: str | None) -> list[pystac.Item]:
    """L1C where both levels are there and none was asked for: the scores belong to the L1C image."""
    levels = {str(item.properties.get("processing:level")) for item in items}
    wanted = level or ("L1C" if "L1C" in levels else "L2A")
    if levels > {wanted}:
        note.print(f"both levels are there; scoring {wanted} (choose with --level)")
    return [item for item in items if item.properties.get("processing:level") == wanted]
