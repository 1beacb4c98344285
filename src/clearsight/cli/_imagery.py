"""Commands that make and find imagery: ``demo``, ``simulate``, ``search``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from rich.table import Table

import clearsight
from clearsight.cli._console import BBOX_HELP, DATETIME_HELP, Bbox, progress_bars, say

PLACES_HELP: Final = (
    "A SAFE folder or zip, an EOPF Zarr store, a folder of them, a folder of band files, a STAC catalogue or API, or a "
    "provider: earth-search, earth-search-c1, copernicus (its S3 keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), "
    "planetary-computer, eopf, google (with --tile)."
)


def demo(*, out: Annotated[Path, Parameter(help="Folder to write to.")] = Path("clearsight-demo")) -> None:
    """Simulate a season, score it, link it, mask it, make a composite, and draw it. Takes a minute or two.

    Example: clearsight demo --out demo
    """
    from clearsight.demo import run

    with progress_bars() as step:
        made = run(out, progress=step)
    ratio = made.unmasked_error / made.masked_error
    say.print(
        f"{made.dates} dates; mean error against the truth: {made.unmasked_error:.4f} unmasked, "
        f"{made.masked_error:.4f} masked ({ratio:.1f} times smaller); {100 * made.covered:.1f} % of the pixels covered"
    )
    width = max(map(len, made.files))
    for what, path in made.files.items():
        say.print(f"{what:>{width}}  {path}", soft_wrap=True)


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

    with progress_bars() as step:
        result = run(out, dates=dates, shape=(size, size), seed=seed, progress=step)
    say.print(
        f"{len(result.l1c)} L1C and {len(result.l2a)} L2A products under {out}; the truth is under {out / 'truth'}"
    )


def search(
    source: Annotated[str, Parameter(help=PLACES_HELP)],
    /,
    *,
    collection: Annotated[str | None, Parameter(help="sentinel-2-l1c or sentinel-2-l2a.")] = None,
    bbox: Annotated[Bbox | None, Parameter(help=BBOX_HELP)] = None,
    datetime: Annotated[str | None, Parameter(help=DATETIME_HELP)] = None,
    tile: Annotated[str | None, Parameter(help="Only images of this MGRS tile, such as 33UUU.")] = None,
) -> None:
    """List the Sentinel-2 items of a folder, a catalogue or a provider.

    Example: clearsight search archive-in --datetime 2021-06-01/2021-06-30

    Example: clearsight search earth-search --collection sentinel-2-l2a --bbox 13.0 52.3 13.2 52.4 --datetime 2023-06

    Example: clearsight search google --tile 33UUU --collection sentinel-2-l1c --datetime 2023-06

    Example: clearsight search https://host/stac/v1 --collection sentinel-2-l1c --datetime 2023-06
    """
    items = clearsight.search(source, collection=collection, bbox=bbox, datetime=datetime, tile=tile)
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
    say.print(table)
