"""A report on disk: one page, Markdown with its pictures, and the numbers behind both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from clearsight.evaluation.document import Part, to_html, to_markdown, write_pictures
from clearsight.evaluation.summary import Plain
from clearsight.whole import whole_file


def write_report(parts: Sequence[Part], folder: Path, *, data: Plain, title: str) -> Path:
    """Write ``report.html``, ``report.md`` with ``images/``, and ``evaluation.json``.

    Parameters
    ----------
    parts : sequence of Part
        From `clearsight.evaluation.report`.
    folder : path
        Made if it isn't there.
    data : dict
        The numbers, plain.
    title : str
        Of the page.

    Returns
    -------
    path
        ``report.html``.

    Raises
    ------
    OutputError
        The folder can't be written to.
    """
    write_pictures(parts, folder / "images")
    for name, text in (
        ("evaluation.json", json.dumps(data, indent=1, sort_keys=True) + "\n"),
        ("report.md", to_markdown(parts, images="images")),
        ("report.html", to_html(parts, title=title)),
    ):
        with whole_file(folder / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return folder / "report.html"
