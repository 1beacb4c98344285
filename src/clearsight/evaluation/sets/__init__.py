"""Public labelled sets, each read from the files as they are published, and folders of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from clearsight.errors import ArgumentError
from clearsight.evaluation.samples import LabelledSet
from clearsight.evaluation.sets.cloudsen12 import CloudSEN12
from clearsight.evaluation.sets.masks import ALCD, Folder, Francis, KappaSet
from clearsight.evaluation.sets.pixels import Hollstein, PixBox

SETS: Final[dict[str, type[LabelledSet]]] = {
    "cloudsen12": CloudSEN12,
    "pixbox": PixBox,
    "kappaset": KappaSet,
    "francis": Francis,
    "hollstein": Hollstein,
    "alcd": ALCD,
    "folder": Folder,
}
"""By the name the command line takes."""


def open_set(path: str | os.PathLike[str], *, layout: str) -> LabelledSet:
    """Open a labelled set on disk.

    Parameters
    ----------
    path : path
        Where it was unpacked.
    layout : str
        Which set it is, one of `SETS`.

    Raises
    ------
    ArgumentError
        The folder isn't there, or the name is unknown.

    Examples
    --------
    >>> open_set(".", layout="francis").name
    'Sentinel-2 Cloud Mask Catalogue'
    """
    if layout not in SETS:
        raise ArgumentError(f"set={layout!r} is unknown; expected one of {', '.join(SETS)}.")
    root = Path(path)
    if not root.exists():
        raise ArgumentError(f"path={str(path)!r} isn't there; expected the folder or file of {layout}.")
    return SETS[layout](root)  # type: ignore[call-arg]
