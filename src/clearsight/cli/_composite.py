"""The command ``composite``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter
from rich.table import Table

import clearsight
from clearsight.cli._console import BBOX_HELP, DATETIME_HELP, Bbox, progress_bars, say, tell
from clearsight.errors import ArgumentError

if TYPE_CHECKING:
    import pystac
    from odc.geo.geom import Geometry

    from clearsight.linking import Ambiguous, Unmatched

_ROWS: Final = 1024
"""Rows of a frame that are read together for the statistics."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _Which:
    """Which images, and where."""

    level: Annotated[Literal["L1C", "L2A"], Parameter(help="Imagery to composite: surface reflectance is L2A.")] = "L2A"
    bbox: Annotated[Bbox | None, Parameter(help=BBOX_HELP)] = None
    datetime: Annotated[str | None, Parameter(help=DATETIME_HELP)] = None
    area: Annotated[
        Path | None, Parameter(help="GeoJSON file with a polygon; pixels whose centre lies outside become nodata.")
    ] = None
    tile: Annotated[str | None, Parameter(help="Only images of this MGRS tile, such as 33UUU.")] = None
    season: Annotated[
        str | None, Parameter(help="Only these days of any year: 06-01/08-31; 11-15/02-15 runs over New Year.")
    ] = None
    months: Annotated[str | None, Parameter(help="Only these months of any year: 6,7,8.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _How:
    """How they become one; the fields are those of `clearsight.mosaic.Recipe`."""

    bands: Annotated[tuple[str, ...], Parameter(help="Bands to composite.", consume_multiple=True)] = (
        "B02",
        "B03",
        "B04",
        "B08",
    )
    by: Annotated[Literal["cs", "cs_cdf"], Parameter(help="Score to mask by.")] = "cs_cdf"
    threshold: Annotated[float, Parameter(help="Keep pixels that score at least this; 0.50 to 0.65 work well.")] = 0.60
    method: Annotated[
        Literal["median", "mean", "weighted_mean", "percentile", "geomedian", "medoid", "best"],
        Parameter(help="How the clear observations become one."),
    ] = "median"
    percentile: Annotated[float, Parameter(help="0 to 100, for --method percentile.")] = 50.0
    minimum: Annotated[int, Parameter(help="Pixels with fewer clear dates become nodata.")] = 0
    spread: Annotated[bool, Parameter(help="Add each band's median absolute deviation.")] = False
    date: Annotated[bool, Parameter(help="Add the date of the chosen frame, for --method medoid and best.")] = False
    near: Annotated[str | None, Parameter(help="Date wished for; breaks ties of --method best.")] = None


def composite(
    source: Annotated[str, Parameter(help="The imagery: anything `clearsight search` reads.")],
    /,
    *,
    scores: Annotated[Path, Parameter(help="The archive of scores that belongs to it.")],
    out: Annotated[
        Path | None,
        Parameter(help="GeoTIFF (COG) to write, with a PNG preview beside it; --statistics needs none."),
    ] = None,
    which: _Which = _Which(),
    how: _How = _How(),
    statistics: Annotated[
        bool, Parameter(help="Make no composite; tell how much would be clear at 0.50, 0.55, 0.60 and 0.65.")
    ] = False,
    plot: Annotated[Path | None, Parameter(help="With --statistics: PNG to draw them in.")] = None,
    scheduler: Annotated[
        str | None, Parameter(help="Address of a Dask cluster that shall do the work: tcp://10.0.0.1:8786.")
    ] = None,
) -> None:
    """Mask imagery by its scores and make one clear image of it, window by window; asked again, it goes on.

    Example: clearsight composite downloads/ --scores archive --out june.tif --datetime 2021-06-01/2021-06-30

    Example: clearsight composite downloads/ --scores archive --out summer.tif --season 06-01/08-31 --area field.json

    Example: clearsight composite downloads/ --scores archive --statistics --plot clear.png
    """
    from clearsight.mosaic import Recipe, write_mosaic
    from clearsight.selection import read_area

    if out is None and not statistics:
        raise ArgumentError("--out is missing: give a GeoTIFF to write, such as june.tif, or ask for --statistics.")
    if plot and not statistics:
        raise ArgumentError(f"--plot {plot} draws what --statistics tells; give both.")
    place = None if which.area is None else read_area(which.area)
    bbox = place.boundingbox.bbox if place is not None and which.bbox is None else which.bbox
    items = _chosen(source, which, bbox=bbox)
    matched = _linked(items, scores, bands=["cs", "cs_cdf"] if how.method == "best" else [how.by], source=source)
    if out is None or statistics:
        _tell_availability(matched, by=how.by, bbox=bbox, area=place, plot=plot)
        return
    recipe = Recipe(**asdict(how))
    with progress_bars() as step:
        mosaic = write_mosaic(matched, out, recipe=recipe, bbox=bbox, area=place, scheduler=scheduler, progress=step)
    say.print(f"{mosaic.frames} dates -> {mosaic.path}{'' if mosaic.made else ' (already there)'}", soft_wrap=True)
    if mosaic.preview:
        say.print(f"preview -> {mosaic.preview}", soft_wrap=True)


def _chosen(source: str, which: _Which, *, bbox: Bbox | None) -> Sequence[pystac.Item]:
    from clearsight.selection import of_season, of_tile

    collection = f"sentinel-2-{which.level.lower()}"
    items = clearsight.search(source, collection=collection, bbox=bbox, datetime=which.datetime)
    if which.tile is not None:
        items = of_tile(items, which.tile)
    return of_season(items, season=which.season, months=_numbers(which.months))


def _numbers(months: str | None) -> list[int] | None:
    try:
        return None if months is None else [int(month) for month in months.split(",")]
    except ValueError as error:
        raise ArgumentError(
            f"--months {months}: expected numbers from 1 to 12 with commas between, such as 6,7,8."
        ) from error


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


def _tell_availability(
    items: Sequence[pystac.Item], *, by: str, bbox: Bbox | None, area: Geometry | None, plot: Path | None
) -> None:
    from clearsight.availability import availability, availability_chart
    from clearsight.selection import inside

    stack = clearsight.load(items, bands=[by], bbox=bbox, chunks={"time": 1, "x": -1, "y": _ROWS})
    wanted = None if area is None else inside(area, stack.odc.geobox)
    title = f"{len(items)} dates, {by}"
    with progress_bars() as step:
        rows = availability(stack[by], inside=wanted, progress=step)
    table = Table("threshold", "clear", "clear dates per pixel", "never clear", title=title)
    for row in rows:
        table.add_row(
            f"{row.threshold:.2f}", f"{100 * row.clear:.1f} %", f"{row.expected:.1f}", f"{100 * row.never:.1f} %"
        )
    say.print(table)
    if plot:
        say.print(f"plot -> {availability_chart(rows, plot, title=title)}", soft_wrap=True)
