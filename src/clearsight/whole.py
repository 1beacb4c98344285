"""Files that are whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearsight.errors import OutputError


@contextmanager
def whole_file(path: str | os.PathLike[str], *, lasting: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block ends well, remove it when not.

    Parameters
    ----------
    path : path
        The file to make; its folder is made when it doesn't exist.
    lasting : bool
        Wait until the bytes are on the disk; False for files that nobody needs after a power cut.

    Raises
    ------
    OutputError
        The folder can't be made or written to, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder) / "note.txt") as part:
    ...         _ = part.write_text("all of it")
    ...     (Path(folder) / "note.txt").read_text()
    'all of it'
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if lasting:
            with part.open("rb+") as file:
                # A rename can reach the disk before the bytes do; after a power cut the file would be there, but empty.
                os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise OutputError(f"{target} can't be written ({error}); choose a folder you may write to.") from error
    finally:
        with suppress(OSError):
            part.unlink()
