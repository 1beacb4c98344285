"""Arrays in files that change together: each file is named after its content, and one small file says which hold.

Whoever is stopped while writing leaves files that nothing refers to; the next to write removes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from clearsight.errors import ProductError
from clearsight.whole import whole_file

MANIFEST: Final = "history.json"

_FORMAT: Final = 1
_SUFFIX: Final = ".blosc"
# Most of the bytes of a sum are its high ones, and zero: shuffled, they cost almost nothing. zstd saves a fifth of the
# bytes more, and takes half as long again for the next scene.
_CODEC: Final = {"cname": "lz4", "clevel": 1, "shuffle": Blosc.SHUFFLE}


@dataclass(frozen=True)
class Part:
    """What an array is before anything is in it."""

    shape: tuple[int, ...]
    """As NumPy's."""
    dtype: str
    """Such as ``"<u2"``."""


class Parts(MutableMapping[str, NDArray[Any]]):
    """Named arrays, read from their files when first asked for; those without a file are zero.

    An array that was changed in place has to be told (`touch`), or it isn't written.
    """

    def __init__(self, kinds: dict[str, Part], *, folder: Path | None = None, files: dict[str, str] | None = None):
        self._kinds = kinds
        self._folder = folder
        self._files = dict(files or {})
        self._arrays: dict[str, NDArray[Any]] = {}
        self._changed: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = self._read(name) if name in self._files else self._zeros(name)
        return self._arrays[name]

    def __setitem__(self, name: str, array: NDArray[Any]) -> None:
        self._arrays[name] = array
        self._changed.add(name)

    def touch(self, *names: str) -> None:
        """Say that arrays were changed in place."""
        self._changed.update(names)

    @property
    def held(self) -> set[str]:
        """Names of arrays that aren't zero throughout, as far as is known without reading them."""
        return self._files.keys() | self._arrays.keys()

    def __delitem__(self, name: str) -> None:
        self[name] = self._zeros(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write what changed, then the manifest with ``facts``, then remove what it no longer names."""
        folder.mkdir(parents=True, exist_ok=True)
        here = self._folder == folder
        files = dict(self._files) if here else {}
        for name in self._kinds if not here else sorted(self._changed):
            files.pop(name, None)
            array = self[name]
            # An array that is back to zero has no file, like one that never had a value: same content, same bytes.
            if array.any():
                files[name] = self._write(folder, name, array)
        with whole_file(folder / MANIFEST) as part:
            part.write_text(json.dumps({"format": _FORMAT, **facts, "files": files}, indent=1, sort_keys=True) + "\n")
        for path in left_over(folder):
            path.unlink(missing_ok=True)
        self._folder, self._files, self._changed = folder, files, set()

    def _zeros(self, name: str) -> NDArray[Any]:
        return np.zeros(self._kinds[name].shape, dtype=self._kinds[name].dtype)

    def _read(self, name: str) -> NDArray[Any]:
        path, kind = (self._folder or Path()) / self._files[name], self._kinds[name]
        try:
            stored = path.read_bytes()
            if _digest(stored) != path.name.split(".")[1]:
                raise ProductError(_damaged(path, "its content isn't what its name says"))
            plain = Blosc(**_CODEC).decode(stored)
        except (OSError, RuntimeError) as error:
            raise ProductError(_damaged(path, str(error))) from error
        if len(plain) != prod(kind.shape) * np.dtype(kind.dtype).itemsize:
            raise ProductError(_damaged(path, f"it holds {len(plain)} bytes; expected an array {kind.shape}"))
        array: NDArray[Any] = np.frombuffer(bytearray(plain), dtype=kind.dtype).reshape(kind.shape)
        return array

    @staticmethod
    def _write(folder: Path, name: str, array: NDArray[Any]) -> str:
        stored = Blosc(**_CODEC).encode(np.ascontiguousarray(array))
        path = folder / f"{name}.{_digest(stored)}{_SUFFIX}"
        if not path.exists():
            with whole_file(path) as part:
                part.write_bytes(stored)
        return path.name


def left_over(folder: Path) -> list[Path]:
    """Files that the manifest doesn't name: what is being written, or was when somebody was stopped."""
    named = {MANIFEST, *(read_manifest(folder) or {}).get("files", {}).values()}
    return [path for path in folder.glob("*") if path.name not in named]


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Facts and files of a folder of parts; None where there are none yet.

    Raises
    ------
    ProductError
        The manifest can't be read, or is of another format.
    """
    path = folder / MANIFEST
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ProductError(_damaged(path, str(error))) from error
    if facts.get("format") != _FORMAT:
        raise ProductError(_damaged(path, f"its format is {facts.get('format')!r}; this version knows {_FORMAT}"))
    return facts


def _digest(stored: bytes) -> str:
    return hashlib.sha256(stored).hexdigest()[:24]


def _damaged(path: Path, why: str) -> str:
    return f"{path} can't be used ({why}). Remove the folder {path.parent}; the history is built again from the frames."
