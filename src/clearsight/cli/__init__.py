"""The command line: a thin command per public function, with the same names and the same defaults.

One module for each group of commands; this one knows them all.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Final, TextIO

import cyclopts
from cyclopts import Parameter

import clearsight
from clearsight.cli._archive import index, info, score
from clearsight.cli._composite import composite
from clearsight.cli._console import note, tell
from clearsight.cli._evaluate import evaluate
from clearsight.cli._imagery import demo, search, simulate
from clearsight.cli._train import train
from clearsight.cli._view import view
from clearsight.errors import ClearsightError, ClearsightWarning

app: Final = cyclopts.App(
    name="clearsight",
    help="How well can the ground be seen? Scores for every pixel of every Sentinel-2 image.",
    version=clearsight.__version__,
    default_parameter=Parameter(negative_iterable=()),
)
for command in (demo, simulate, search, score, composite, info, index, view, evaluate, train):
    app.command(command)


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
        tell("error", str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        note.print("stopped; what is written is whole, and the same command goes on from there")
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
        tell("warning", str(message))
