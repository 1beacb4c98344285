"""What an archive holds, by tile and month, and what it lacks, with reasons."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final, Protocol

import pystac

from clearsight import ids
from clearsight._objects import Objects, is_address
from clearsight.catalog import read_items
from clearsight.errors import ProductError
from clearsight.whole import whole_file

MISSING_FILE: Final = "missing.json"


class Failure(Protocol):
    """An item without a score."""

    @property
    def item_id(self) -> str:
        """Of the source item."""

    @property
    def reason(self) -> str:
        """Why."""


@dataclass(frozen=True)
class Month:
    """What an archive holds of one tile and month."""

    tile: str
    """MGRS tile."""
    month: str
    """``2023-01``."""
    scenes: int
    """Number of score Items; 0 in a gap between the first and the last month of the tile."""
    no_context: float
    """Mean NO_CONTEXT_FRACTION, in [0, 1]; 0 in a gap."""
    past_only: int
    """Scenes that were compared with the past only (near real time), and not made anew yet."""
    models: tuple[str, ...]
    """MODEL_VERSION of the Items."""


@dataclass(frozen=True)
class Missing:
    """A score that is not there."""

    tile: str
    """MGRS tile."""
    item_id: str
    """Of the source item."""
    reason: str
    """Why, and the way out."""


def summarise(root: str | os.PathLike[str]) -> list[Month]:
    """Tell what an archive holds, by tile and month, with the gaps.

    Raises
    ------
    ArgumentError
        There is no archive.

    Examples
    --------
    >>> summarise("archive")  # doctest: +SKIP
    [Month(tile='33UUU', month='2017-02', scenes=1, no_context=1.0, past_only=0, models=('projection-0.1.0',))]
    """
    groups: dict[tuple[str, str], list[pystac.Item]] = defaultdict(list)
    for item in read_items(root):
        groups[ids.tile(item), f"{item.datetime:%Y-%m}"].append(item)
    months = defaultdict(list)
    for tile, month in groups:
        months[tile].append(month)
    return [
        _month(tile, month, groups.get((tile, month), []))
        for tile in sorted(months)
        for month in _from_to(min(months[tile]), max(months[tile]))
    ]


def missing(root: str | os.PathLike[str]) -> list[Missing]:
    """Tell which scores an archive lacks: items that `clearsight.produce` was given and could not score.

    Raises
    ------
    ProductError
        The list of a tile can't be read.

    Examples
    --------
    >>> missing("archive")
    []
    """
    lists = (
        _lists_of_bucket(str(root))
        if is_address(root)
        else {path.parent.name: _read(path) for path in Path(root).glob(f"*/{MISSING_FILE}")}
    )
    return [
        Missing(tile, item_id, reason)
        for tile, found in sorted(lists.items())
        for item_id, reason in sorted(found.items())
    ]


def record_missing(root: Path, tile: str, *, failed: Sequence[Failure], scored: Iterable[pystac.Item]) -> None:
    """Add failures to a tile's list, and take off what is scored by now. The caller has the tile's lock."""
    path = root / tile / MISSING_FILE
    before = _read(path) if path.exists() else {}
    now = before | {failure.item_id: failure.reason for failure in failed}
    for item in scored:
        now.pop(item.properties["SOURCE_ASSET_ID"], None)
    if not now:
        path.unlink(missing_ok=True)
    elif now != before:
        with whole_file(path) as part:
            part.write_text(json.dumps(now, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _month(tile: str, month: str, group: Sequence[pystac.Item]) -> Month:
    facts = [item.properties for item in group]
    return Month(
        tile=tile,
        month=month,
        scenes=len(group),
        no_context=fmean(fact["NO_CONTEXT_FRACTION"] for fact in facts) if facts else 0.0,
        past_only=sum(fact.get("CONTEXT") == "past" for fact in facts),
        models=tuple(sorted({fact["MODEL_VERSION"] for fact in facts})),
    )


def _from_to(first: str, last: str) -> list[str]:
    """Months from one to another."""
    (year, month), (last_year, last_month) = (map(int, text.split("-")) for text in (first, last))
    count = 12 * (last_year - year) + last_month - month
    return [f"{year + (month - 1 + n) // 12}-{(month - 1 + n) % 12 + 1:02}" for n in range(count + 1)]


def _lists_of_bucket(address: str) -> dict[str, dict[str, str]]:
    objects = Objects(address)
    keys = [key for key in objects.below("") if key.count("/") == 1 and key.endswith(f"/{MISSING_FILE}")]
    contents = {key.split("/", 1)[0]: objects.read(key) for key in keys}
    return {
        tile: _parsed(content[0], f"{objects.address}/{tile}/{MISSING_FILE}")
        for tile, content in contents.items()
        if content is not None
    }


def _read(path: Path) -> dict[str, str]:
    try:
        return _parsed(path.read_bytes(), str(path))
    except OSError as error:
        raise ProductError(f"{path} can't be read ({error}).") from error


def _parsed(content: bytes, path: str) -> dict[str, str]:
    try:
        found = json.loads(content)
        return {str(item_id): str(reason) for item_id, reason in found.items()}
    except (ValueError, AttributeError) as error:
        raise ProductError(f"{path} can't be read ({error}). Remove it, and run clearsight.produce again.") from error
