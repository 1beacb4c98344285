"""The index of an archive: its Items as stac-geoparquet, one file per tile, so that a million can be searched unopened.

``ARCHIVE/index/TILE.parquet`` stands beside the static catalogue and says the same; hrefs are relative to the file.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pystac
from pystac.utils import str_to_datetime

from clearsight._work import alone
from clearsight.catalog import COLLECTION_FILE
from clearsight.errors import ArgumentError, OptionalDependencyError, ProductError
from clearsight.whole import whole_file

INDEX: Final = "index"

_SEEN: Final = "seen.json"
"""State of each Item's file when it was read: what makes the next refresh cheap. Without it all are read again."""

State = list[int]
"""Time of the last change (ns) and size of a file."""


@dataclass(frozen=True)
class Refreshed:
    """What `refresh_index` did."""

    tiles: tuple[str, ...]
    """Tiles whose file was written or removed."""
    read: int
    """Items that were opened."""
    items: int
    """Items in the index now."""


def refresh_index(root: str | os.PathLike[str]) -> Refreshed:
    """Bring the index of an archive up to date; only Items that are new or have changed are opened.

    Raises
    ------
    ArgumentError
        There is no archive.
    OptionalDependencyError
        ``rustac`` isn't installed.
    OutputError
        The index can't be written.

    Examples
    --------
    >>> refresh_index("archive")  # doctest: +SKIP
    Refreshed(tiles=('33UUU',), read=11, items=11)
    """
    archive, rustac = Path(root).resolve(), _rustac()
    if not (archive / COLLECTION_FILE).is_file():
        raise ArgumentError(f"{os.fspath(root)!r} holds no {COLLECTION_FILE}; expected an archive made by produce.")
    with alone(archive, INDEX, wait=-1):
        before = _seen(archive / INDEX / _SEEN)
        now = _states(archive)
        changed, read = [], 0
        for tile in sorted(before.keys() | now.keys()):
            path, states = archive / INDEX / f"{tile}.parquet", now.get(tile, {})
            if states == before.get(tile) and path.exists():
                continue
            read += _write_tile(path, states, before.get(tile, {}), rustac)
            changed.append(tile)
        if changed:
            with whole_file(archive / INDEX / _SEEN) as part:
                part.write_text(json.dumps(now, sort_keys=True))
    return Refreshed(tuple(changed), read, sum(map(len, now.values())))


def search_index(
    root: str | os.PathLike[str], *, bbox: tuple[float, float, float, float] | None = None, datetime: str | None = None
) -> list[pystac.Item]:
    """Find score Items by the index alone, sorted by id.

    Parameters
    ----------
    root : path
        An archive with an index.
    bbox : (west, south, east, north), optional
        Degrees; Items that touch it.
    datetime : str, optional
        A moment or an interval: ``2023-01-01T00:00:00Z/2023-03-31T23:59:59Z``.

    Raises
    ------
    ArgumentError
        There is no index.

    Examples
    --------
    >>> search_index("archive", datetime="2023-01-01T00:00:00Z/..")  # doctest: +SKIP
    """
    folder, rustac = Path(root).resolve() / INDEX, _rustac()
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise ArgumentError(f"{os.fspath(root)!r} has no index; make it with clearsight.index.refresh_index.")
    first, last = _interval(datetime)
    found = []
    for path in paths:
        for row in rustac.read_sync(str(path))["features"]:
            if _touches(row["bbox"], bbox) and first <= str_to_datetime(row["properties"]["datetime"]) <= last:
                item = pystac.Item.from_dict(row)
                for asset in item.assets.values():
                    asset.href = os.path.normpath(folder / asset.href)
                found.append(item)
    return sorted(found, key=lambda item: item.id)


# rustac's own search needs DuckDB's spatial extension, which it downloads when first used; an archive must be
# searchable offline. For millions of rows DuckDB or GeoPandas read the same files faster.
def _touches(box: Sequence[float], wanted: Sequence[float] | None) -> bool:
    if wanted is None:
        return True
    return box[0] <= wanted[2] and wanted[0] <= box[2] and box[1] <= wanted[3] and wanted[1] <= box[3]


def _interval(text: str | None) -> tuple[dt.datetime, dt.datetime]:
    """First and last moment of ``a/b``, ``a/..``, ``../b`` or ``a``."""
    always = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
    if text is None:
        return always
    parts = (text if "/" in text else f"{text}/{text}").split("/")
    try:
        first, last = (
            bound if part in ("", "..") else str_to_datetime(part) for part, bound in zip(parts, always, strict=True)
        )
    except ValueError as error:
        raise ArgumentError(
            f"datetime={text!r} is no moment or interval ({error}); expected such as "
            "2023-01-01T00:00:00Z/2023-03-31T23:59:59Z."
        ) from error
    return first, last


def _rustac() -> ModuleType:
    try:
        import rustac
    except ImportError as error:
        raise OptionalDependencyError("the index needs rustac; pip install 'clearsight[index]'") from error
    module: ModuleType = rustac
    return module


def _states(archive: Path) -> dict[str, dict[str, State]]:
    """State of each Item's file, by tile and path."""
    states: dict[str, dict[str, State]] = {}
    for path in sorted(archive.glob("*/*/*/*.json")):
        if path.stem == path.parent.name:
            facts = path.stat()
            relative = path.relative_to(archive)
            states.setdefault(relative.parts[0], {})[relative.as_posix()] = [facts.st_mtime_ns, facts.st_size]
    return states


def _seen(path: Path) -> dict[str, dict[str, State]]:
    try:
        seen: dict[str, dict[str, State]] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return seen


def _write_tile(path: Path, states: Mapping[str, State], before: Mapping[str, State], rustac: ModuleType) -> int:
    """Write the file of one tile; returns how many Items had to be opened."""
    if not states:
        path.unlink(missing_ok=True)
        return 0
    known = {row["id"]: row for row in rustac.read_sync(str(path))["features"]} if path.exists() else {}
    rows, read = [], 0
    for relative, state in states.items():
        row = known.get(Path(relative).stem) if before.get(relative) == state else None
        if row is None:
            row, read = _row(path.parents[1] / relative, relative), read + 1
        rows.append(row)
    with whole_file(path) as part:
        asyncio.run(_write(part, rows, rustac))
    return read


async def _write(path: Path, rows: list[dict[str, Any]], rustac: ModuleType) -> None:
    # The library's own coroutines need a loop from their first moment on.
    await rustac.write(str(path), rows, format="geoparquet")


def _row(path: Path, relative: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(path.read_text())
        row["links"] = []
        for asset in row["assets"].values():
            asset["href"] = (Path("..") / Path(relative).parent / asset["href"]).as_posix()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProductError(f"{path} can't be read ({error!r}). Run clearsight.produce again.") from error
    return row
