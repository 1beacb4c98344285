"""The command ``composite``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

import clearsight
from clearsight.cli._console import BBOX_HELP, DATETIME_HELP, Bbox, progress_bars, say, tell
from clearsight.errors import ArgumentError

if TYPE_CHECKING:
    import pystac

    from clearsight.linking import Ambiguous, Unmatched


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
    bbox: Annotated[Bbox | None, Parameter(help=BBOX_HELP)] = None,
    datetime: Annotated[str | None, Parameter(help=DATETIME_HELP)] = None,
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
    with progress_bars() as step:
        mosaic = write_mosaic(matched, out, recipe=recipe, bbox=bbox, progress=step)
    say.print(f"{mosaic.frames} dates -> {mosaic.path}{'' if mosaic.made else ' (already there)'}", soft_wrap=True)
    if mosaic.preview:
        say.print(f"preview -> {mosaic.preview}", soft_wrap=True)


def _linked(
    items: Sequence[pystac.Item], scores: Path, *, bands: Sequence[str], source: str
) -> tuple[pystac.Item, ...]:
    """Items with their scores; tells which ones are left out and why."""
    linked = clearsight.link(items, str(scores), bands=bands)
    left_out: list[Unmatched | Ambiguous] = [*linked.unmatched, *linked.ambiguous]
    for missing in left_out:
        tell("left out", f"{missing.item.id}: {missing.reason}")
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
    say.print(table)
