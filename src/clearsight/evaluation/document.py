"""A report as a list of parts, written as one HTML page or as Markdown."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearsight.whole import whole_file


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the page's."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A PNG."""

    png: bytes
    says: str
    """What it shows, for those who can't see it."""
    name: str
    """File name without ending, where it's written beside the text."""


Part = Heading | Text | Table | Picture

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}"
    "th,td{padding:.3rem .7rem;border-bottom:1px solid #d5dae1;text-align:left;vertical-align:top}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}th{font-weight:600}"
    "code{font-size:.95em;background:#eef1f4;padding:0 .2em;border-radius:.2em}img{max-width:100%}"
)


def to_html(parts: Sequence[Part], *, title: str) -> str:
    """One page that needs no other file.

    Examples
    --------
    >>> "<td>1 &lt; 2</td>" in to_html([Table(("a",), (("1 < 2",),))], title="t")
    True
    """
    body = "\n".join(_html(part) for part in parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body>\n{body}\n</body></html>\n"
    )


def to_markdown(parts: Sequence[Part], *, images: str) -> str:
    """Markdown; pictures are referred to as ``images/NAME.png``.

    Examples
    --------
    >>> to_markdown([Heading("Scores"), Table(("a", "b"), (("1", "2"),))], images="images").splitlines()[2]
    '| a | b |'
    """
    return "\n\n".join(_markdown(part, images) for part in parts) + "\n"


def write_pictures(parts: Sequence[Part], folder: Path) -> None:
    """Write every picture of a report into a folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if isinstance(part, Picture):
            with whole_file(folder / f"{part.name}.png") as unfinished:
                Path(unfinished).write_bytes(part.png)


def _html(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{html.escape(part.text)}</h{part.level}>"
    if isinstance(part, Text):
        return f"<p>{_marked(part.text)}</p>"
    if isinstance(part, Picture):
        data = base64.b64encode(part.png).decode()
        return f'<p><img alt="{html.escape(part.says)}" src="data:image/png;base64,{data}"></p>'
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in part.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in part.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _marked(text: str) -> str:
    """A paragraph's HTML: what stands between backticks is code."""
    pieces = html.escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def _markdown(part: Part, images: str) -> str:
    if isinstance(part, Heading):
        return f"{'#' * part.level} {part.text}"
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Picture):
        return f"![{part.says}]({images}/{part.name}.png)"
    lines = [part.head, ("---",) * len(part.head), *part.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
