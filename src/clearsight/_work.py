"""Where an archive is worked on: one process at a time per tile, and nothing left over from those that were killed.

Unfinished work lies in ``ARCHIVE/.work``; no reader looks there. A lock is the operating system's own, so it ends with
its process, however that ends; the lock's file stays and means nothing by itself.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from clearsight.errors import BusyError, OutputError

WORK: Final = ".work"

_log = logging.getLogger(__name__)


@contextmanager
def alone(root: Path, name: str, *, wait: float) -> Iterator[None]:
    """Be the only process that works on ``name``: a tile, or the archive's catalogue.

    Parameters
    ----------
    root : Path
        The archive.
    name : str
        What is worked on.
    wait : float
        Seconds to wait for another process; negative = for as long as it takes.

    Raises
    ------
    BusyError
        Another process still works on it.
    OutputError
        The archive can't be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, alone(Path(folder), "33UUU", wait=0):
    ...     pass
    """
    path = root / WORK / f"{name}.lock"
    lock = FileLock(path, timeout=wait)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"out={str(root)!r}: another process works on {name} (it holds {path}), and {wait:g} s of waiting were not "
            "enough. Run again when it is done, or wait longer (wait=-1: for as long as it takes)."
        ) from None
    except OSError as error:
        raise OutputError(f"{path} can't be locked ({error}); choose a folder you may write to.") from error
    try:
        yield
    finally:
        lock.release()


def sweep(root: Path, tile: str, *, keep: str = "") -> None:
    """Remove what killed processes left of a tile: half-written files, superseded scores, work but that named ``keep``.

    The caller has the tile's lock. Nothing that an Item names is touched.
    """
    for folder in (root / WORK / tile).glob("*"):
        if folder.name != keep:
            _log.info("removing unfinished work %s", folder)
            shutil.rmtree(folder, ignore_errors=True)
    for partial in (root / tile).rglob(".*.partial"):
        partial.unlink(missing_ok=True)
    for path in (root / tile).glob("*/*/*.*.tif"):
        described = path.parent / f"{path.parent.name}.json"
        if described.exists():
            for stale in {file.name for file in path.parent.glob("*.tif")} - _named(described):
                (path.parent / stale).unlink(missing_ok=True)


def clear_work(root: Path, tile: str) -> None:
    """Remove the files of work that is done, when more of the same kind follows. The caller has the tile's lock."""
    for path in (root / WORK / tile).glob("*/*"):
        path.unlink(missing_ok=True)


def _named(described: Path) -> set[str]:
    """Names of the files that an Item describes; every name if the Item can't be read."""
    try:
        return {Path(asset["href"]).name for asset in json.loads(described.read_text())["assets"].values()}
    except (OSError, ValueError, KeyError, TypeError):
        return {path.name for path in described.parent.iterdir()}
