"""``produce`` in a process of its own, to which bad things happen: what ``test_faults`` starts."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from pathlib import Path

import pystac

from clearsight import _histories, _subtiles
from clearsight.archive import Options, produce
from clearsight.errors import ClearsightError

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def run(
    items: list[dict],
    root: str,
    *,
    model: str,
    fault: str = "",
    at: int = -1,
    said: str = "",
    overwrite: bool = False,
    options: dict | None = None,
) -> None:
    """Produce; at change number ``at`` of the archive's files the fault happens. What was told goes to ``said``.

    Faults: "kill", "ENOSPC", "EACCES"; "limit": no file may grow beyond ``at`` bytes, GDAL's own included.
    """
    _subtiles.side_for = lambda frames, **_: 64
    _histories.SIDE = 64
    count = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event not in CHANGES or not str(arguments[0]).startswith(root):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        count += 1
        if count == at:
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif fault in ("ENOSPC", "EACCES"):
                number = getattr(errno, fault)
                raise OSError(number, os.strerror(number), str(arguments[0]))

    sys.addaudithook(watch)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if fault == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    told = ""
    found = [pystac.Item.from_dict(item) for item in items]
    try:
        produce(found, root, model=model, overwrite=overwrite, options=Options(wait=60, **(options or {})))
    except ClearsightError as error:
        told = f"{type(error).__name__}: {error}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    if said:
        Path(said).write_text(f"{count}\n{told}")
