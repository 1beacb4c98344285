"""The command line: a thin command per public function, with the same names and the same defaults."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import clearsight
from clearsight.errors import ArgumentError, ClearsightError, ClearsightWarning

if TYPE_CHECKING:
    import pystac

    from clearsight.linking import Ambiguous, Unmatched
    from clearsight.progress import Progress as Step

Bbox = tuple[float, float, float, float]

app = cyclopts.App(
    name="clearsight",
    help="How well can the ground be seen? Scores for every pixel of every Sentinel-2 image.",
    version=clearsight.__version__,
    default_parameter=Parameter(negative_iterable=()),
)

_say = Console(highlight=False)
_note = Console(stderr=True, highlight=False)

_BBOX_HELP = "West, south, east, north in degrees (EPSG:4326); four numbers."
_DATETIME_HELP = "A date or an interval: 2021-05-01/2021-08-31, 2021-05-01/.."
_LEVEL_HELP = "Take only products of this level; where both are there, L1C is scored."
_OFFSET_HELP = (
    "Radiometric offset of plain band files, which carry no metadata: 0, or -1000 from processing baseline 04.00 on."
)


@app.command
def demo(*, out: Annotated[Path, Parameter(help="Folder to write to.")] = Path("clearsight-demo")) -> None:
    """Simulate a season, score it, link it, mask it, make a composite, and draw it. Takes a minute or two.

    Example: clearsight demo --out demo
    """
    from clearsight.demo import run

    with _progress() as step:
        made = run(out, progress=step)
    ratio = made.unmasked_error / made.masked_error
    _say.print(
        f"{made.dates} dates; mean error against the truth: {made.unmasked_error:.4f} unmasked, "
        f"{made.masked_error:.4f} masked ({ratio:.1f} times smaller); {100 * made.covered:.1f} % of the pixels covered"
    )
    width = max(map(len, made.files))
    for what, path in made.files.items():
        _say.print(f"{what:>{width}}  {path}", soft_wrap=True)


@app.command
def simulate(
    *,
    out: Annotated[Path, Parameter(help="Folder to write to; must not exist or be empty.")],
    dates: Annotated[int, Parameter(help="Number of dates over the season.")] = 14,
    size: Annotated[int, Parameter(help="Edge of the site in 10 m pixels; a multiple of 6.")] = 600,
    seed: Annotated[int, Parameter(help="Another seed gives another place and other weather.")] = 7,
) -> None:
    """Write a small simulated archive: SAFE products (L1C and L2A), with the exact truth beside them.

    Example: clearsight simulate --out archive-in --dates 14
    """
    from clearsight.simulate import simulate as run

    with _progress() as step:
        result = run(out, dates=dates, shape=(size, size), seed=seed, progress=step)
    _say.print(
        f"{len(result.l1c)} L1C and {len(result.l2a)} L2A products under {out}; the truth is under {out / 'truth'}"
    )


@app.command
def search(
    source: Annotated[
        str, Parameter(help="A SAFE folder or zip, a folder of them, a folder of band files, or a STAC catalogue.")
    ],
    /,
    *,
    collection: Annotated[str | None, Parameter(help="sentinel-2-l1c or sentinel-2-l2a.")] = None,
    bbox: Annotated[Bbox | None, Parameter(help=_BBOX_HELP)] = None,
    datetime: Annotated[str | None, Parameter(help=_DATETIME_HELP)] = None,
) -> None:
    """List the Sentinel-2 items of a folder or a catalogue.

    Example: clearsight search archive-in --datetime 2021-06-01/2021-06-30
    """
    items = clearsight.search(source, collection=collection, bbox=bbox, datetime=datetime)
    table = Table("time", "level", "tile", "baseline", "system:index", "id")
    for item in items:
        facts = item.properties
        table.add_row(
            f"{item.datetime:%Y-%m-%d %H:%M}",
            str(facts.get("processing:level")),
            str(facts.get("grid:code", "")).removeprefix("MGRS-"),
            str(facts.get("processing:version", "")),
            str(facts.get("clearsight:index", "")),
            item.id,
        )
    _say.print(table)


@app.command
def score(
    source: Annotated[
        str, Parameter(help="A SAFE folder or zip, a folder of them, a folder of band files, or a STAC catalogue.")
    ],
    /,
    *,
    out: Annotated[Path, Parameter(help="The archive to write to; made when it doesn't exist, added to when it does.")],
    tile: Annotated[str | None, Parameter(help="Only this MGRS tile, such as 33UUU.")] = None,
    bbox: Annotated[Bbox | None, Parameter(help=_BBOX_HELP + " Whole items that touch it are scored.")] = None,
    datetime: Annotated[str | None, Parameter(help=_DATETIME_HELP)] = None,
    level: Annotated[Literal["L1C", "L2A"] | None, Parameter(help=_LEVEL_HELP)] = None,
    offset: Annotated[float | None, Parameter(help=_OFFSET_HELP)] = None,
    acquired: Annotated[
        str | None, Parameter(help="Acquisition time of plain band files whose names hold none: 2018-01-31T15:58:01Z.")
    ] = None,
    model: Annotated[
        str | None, Parameter(help="Name of the scorer; there is one so far, projection, which needs no weights.")
    ] = None,
    context: Annotated[bool, Parameter(help="Use the other dates of the same place as a clear reference.")] = True,
    overwrite: Annotated[bool, Parameter(help="Score again what the archive already holds.")] = False,
) -> None:
    """Score products, and add the scores to an archive: one COG and one STAC Item each.

    Example: clearsight score downloads/ --out archive

    Example: clearsight score band-files/ --level L1C --offset 0 --out archive
    """
    items = clearsight.search(source, bbox=bbox, datetime=datetime, level=level, offset=offset, acquired=acquired)
    chosen = _one_level(items, level)
    with _progress() as step:
        done = clearsight.produce(
            chosen, out, tile=tile, model=model, context=context, overwrite=overwrite, progress=step
        )
    _say.print(f"{len(done.written)} scored, {len(done.skipped)} already there, {len(done.failed)} failed: {out}")
    for failure in done.failed:
        _tell("failed", f"{failure.item_id}: {failure.reason}")
    if done.failed:
        sys.exit(1)


@app.command
def composite(
    source: Annotated[str, Parameter(help="The imagery: anything `clearsight search` reads.")],
    /,
    *,
    scores: Annotated[Path, Parameter(help="The archive of scores that belongs to it.")],
    out: Annotated[Path, Parameter(help="GeoTIFF (COG) to write; a PNG preview is written beside it.")],
    bands: Annotated[tuple[str, ...], Parameter(help="Bands to composite.", consume_multiple=True)] = (
        "B02",
        "B03",
        "B04",
        "B08",
    ),
    level: Annotated[
        Literal["L1C", "L2A"], Parameter(help="Imagery to composite: surface reflectance is L2A.")
    ] = "L2A",
    bbox: Annotated[Bbox | None, Parameter(help=_BBOX_HELP)] = None,
    datetime: Annotated[str | None, Parameter(help=_DATETIME_HELP)] = None,
    by: Annotated[Literal["cs", "cs_cdf"], Parameter(help="Score to mask by.")] = "cs_cdf",
    threshold: Annotated[float, Parameter(help="Keep pixels that score at least this; 0.50 to 0.65 work well.")] = 0.60,
    method: Annotated[
        Literal["median", "mean", "weighted_mean", "percentile", "geomedian", "medoid", "best"],
        Parameter(help="How the clear observations become one."),
    ] = "median",
    percentile: Annotated[float, Parameter(help="0 to 100, for --method percentile.")] = 50.0,
    minimum: Annotated[int, Parameter(help="Pixels with fewer clear dates become nodata.")] = 0,
    spread: Annotated[bool, Parameter(help="Add each band's median absolute deviation.")] = False,
    date: Annotated[bool, Parameter(help="Add the date of the chosen frame, for --method medoid and best.")] = False,
    near: Annotated[str | None, Parameter(help="Date wished for; breaks ties of --method best.")] = None,
    statistics: Annotated[
        bool, Parameter(help="Write nothing; tell how much would be clear at 0.50, 0.55, 0.60 and 0.65.")
    ] = False,
) -> None:
    """Mask imagery by its scores and make one clear image of it, window by window; asked again, it goes on.

    Example: clearsight composite downloads/ --scores archive --out june.tif --datetime 2021-06-01/2021-06-30

    Example: clearsight composite downloads/ --scores archive --out june.tif --statistics
    """
    from clearsight.mosaic import Recipe, write_mosaic

    items = clearsight.search(source, collection=f"sentinel-2-{level.lower()}", bbox=bbox, datetime=datetime)
    matched = _linked(items, scores, bands=["cs", "cs_cdf"] if method == "best" else [by], source=source)
    if statistics:
        _tell_availability(matched, by=by, bbox=bbox)
        return
    recipe = Recipe(
        bands=bands,
        by=by,
        threshold=threshold,
        method=method,
        percentile=percentile,
        minimum=minimum,
        spread=spread,
        date=date,
        near=near,
    )
    with _progress() as step:
        mosaic = write_mosaic(matched, out, recipe=recipe, bbox=bbox, progress=step)
    _say.print(f"{mosaic.frames} dates -> {mosaic.path}{'' if mosaic.made else ' (already there)'}", soft_wrap=True)
    if mosaic.preview:
        _say.print(f"preview -> {mosaic.preview}", soft_wrap=True)


@app.command
def info(
    path: Annotated[Path, Parameter(help="An archive of scores, or anything `clearsight search` reads.")], /
) -> None:
    """Tell what an archive of scores, or a folder of products, holds.

    Example: clearsight info archive
    """
    from clearsight.archive import summarise

    if not (path / "collection.json").exists():
        search(str(path))
        return
    table = Table("tile", "month", "scenes", "without context", "model", title=str(path))
    for row in summarise(path):
        table.add_row(row.tile, row.month, str(row.scenes), f"{100 * row.no_context:.0f} %", ", ".join(row.models))
    _say.print(table)


def _linked(
    items: Sequence[pystac.Item], scores: Path, *, bands: Sequence[str], source: str
) -> tuple[pystac.Item, ...]:
    """Items with their scores; tells which ones are left out and why."""
    linked = clearsight.link(items, str(scores), bands=bands)
    left_out: list[Unmatched | Ambiguous] = [*linked.unmatched, *linked.ambiguous]
    for missing in left_out:
        _tell("left out", f"{missing.item.id}: {missing.reason}")
    if not linked.matched:
        raise ArgumentError(
            f"scores={str(scores)!r} holds no score for any of the {len(items)} items. "
            f"Make them with: clearsight score {source} --out {scores}"
        )
    return linked.matched


def _tell_availability(items: Sequence[pystac.Item], *, by: str, bbox: Bbox | None) -> None:
    from clearsight.availability import availability

    stack = clearsight.load(items, bands=[by], bbox=bbox, chunks={"time": 1, "x": -1, "y": -1})
    table = Table("threshold", "clear", "clear dates per pixel", "never clear", title=f"{len(items)} dates, {by}")
    for row in availability(stack[by]):
        table.add_row(
            f"{row.threshold:.2f}", f"{100 * row.clear:.1f} %", f"{row.expected:.1f}", f"{100 * row.never:.1f} %"
        )
    _say.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors that have a way out are told in one line, without a traceback.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``clearsight``; by default the process's own.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    warnings.showwarning = _show_warning
    try:
        app(arguments, result_action="return_value")
    except ClearsightError as error:
        _tell("error", str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        _note.print("stopped; what is written is whole, and the same command goes on from there")
        sys.exit(130)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Tell our own warnings in one line; what libraries warn of is for developers."""
    if issubclass(category, ClearsightWarning):
        _tell("warning", str(message))


def _tell(kind: str, message: str) -> None:
    """One line on the error stream; the message may hold brackets, and is left whole for copying."""
    _note.print(Text.assemble((kind, "bold red"), " ", message), soft_wrap=True)


def _one_level(items: list[pystac.Item], level: str | None) -> list[pystac.Item]:
    """L1C where both levels are there and none was asked for: the scores belong to the L1C image."""
    levels = {str(item.properties.get("processing:level")) for item in items}
    wanted = level or ("L1C" if "L1C" in levels else "L2A")
    if levels > {wanted}:
        _note.print(f"both levels are there; scoring {wanted} (choose with --level)")
    return [item for item in items if item.properties.get("processing:level") == wanted]


@contextmanager
def _progress() -> Iterator[Step]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_note) as bar:
        tasks = {}

        def step(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield step
