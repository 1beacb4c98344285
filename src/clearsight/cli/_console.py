"""What all commands share: the two consoles, progress, and help texts for what means the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

if TYPE_CHECKING:
    from clearsight.progress import Progress as Step

Bbox = tuple[float, float, float, float]

say: Final = Console(highlight=False)
"""Results."""
note: Final = Console(stderr=True, highlight=False)
"""Everything else: progress, warnings, errors."""

BBOX_HELP: Final = "West, south, east, north in degrees (EPSG:4326); four numbers."
DATETIME_HELP: Final = "A date or an interval: 2021-05-01/2021-08-31, 2021-05-01/.."


def tell(kind: str, message: str) -> None:
    """One line on the error stream; the message may hold brackets, and is left whole for copying."""
    note.print(Text.assemble((kind, "bold red"), " ", message), soft_wrap=True)


@contextmanager
def progress_bars() -> Iterator[Step]:
    """Show how far long work is; gives the function to tell it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=note) as bar:
        tasks = {}

        def step(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield step
