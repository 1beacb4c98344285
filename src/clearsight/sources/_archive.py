"""Folders, zips and a server's folders as one thing: a list of file names that can be read, and addressed for GDAL."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from clearsight.errors import ProductError, UnsafeProductError
from clearsight.sources import _http, _stores
from clearsight.sources._remote import is_remote

_LARGEST_TEXT: Final = 64 * 2**20
"""Bytes of the largest metadata file that is read: thirty times the largest real one."""


@dataclass(frozen=True)
class Server:
    """How the files of a server's folder are reached."""

    address: str
    """Of the folder."""
    fetch: Callable[[str], bytes]
    """Reads a whole file by its address."""


@dataclass(frozen=True)
class Tree:
    """The files of a folder, of a zip, or of a folder on a server."""

    root: Path
    """Absolute path of the folder or zip; the place on the server."""
    names: tuple[str, ...]
    """Paths of the files below the root, with forward slashes, sorted."""
    zipped: bool = False
    server: Server | None = None


def folder(path: Path) -> Tree:
    """List a folder and all below it; hidden files and folders (``.name``) are left out."""
    root = path.resolve()
    names = []
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(parent).relative_to(root)
        names += [(below / name).as_posix() for name in files if not name.startswith(".")]
    return Tree(root, tuple(sorted(names)))


def archive(path: Path) -> Tree:
    """List a zip, without unpacking it.

    Raises
    ------
    UnsafeProductError
        A member's name leads out of the archive.
    ProductError
        The file is no zip, or is truncated.
    """
    root = path.resolve()
    try:
        with zipfile.ZipFile(root) as members:
            names = [member.filename for member in members.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise ProductError(
            f"{root} can't be read as a zip: {error}. It is truncated or corrupt; fetch the product again."
        ) from error
    for name in names:
        _refuse_escape(root, name)
    return Tree(root, tuple(sorted(names)), zipped=True)


def read(tree: Tree, name: str) -> bytes:
    """Read one (small) file of a tree.

    Raises
    ------
    UnsafeProductError
        The file is far larger than any real metadata.
    ProductError
        The file can't be read.
    """
    try:
        if tree.server is not None:
            content = tree.server.fetch(href(tree, name))
        elif tree.zipped:
            with zipfile.ZipFile(tree.root) as members, members.open(name) as file:
                content = file.read(_LARGEST_TEXT + 1)
        else:
            with (tree.root / name).open("rb") as file:
                content = file.read(_LARGEST_TEXT + 1)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
        raise ProductError(
            f"{name} in {tree.root} can't be read: {error}. The product is truncated or corrupt; fetch it again."
        ) from error
    if len(content) > _LARGEST_TEXT:
        raise UnsafeProductError(
            f"{name} in {tree.root} is larger than {_LARGEST_TEXT >> 20} MB, which no real metadata is; "
            "it isn't read. Fetch the product again from a source you trust."
        )
    return content


def href(tree: Tree, name: str) -> str:
    """Address of a file for GDAL and for :func:`clearsight.scene.angles`."""
    if tree.server is not None:
        return f"{tree.server.address}/{name}"
    return f"/vsizip/{tree.root.as_posix()}/{name}" if tree.zipped else (tree.root / name).as_posix()


def read_href(address: str) -> bytes:
    """Read a (small) file by the address that :func:`href` gave, or by that of a provider's metadata."""
    if is_remote(address):
        return _http.fetcher()(_stores.address(address))
    if not address.startswith("/vsizip/"):
        path = Path(address)
        return read(Tree(path.parent, (path.name,)), path.name)
    path = Path(address.removeprefix("/vsizip"))
    for root in path.parents:
        if root.is_file():
            return read(Tree(root, (), zipped=True), path.relative_to(root).as_posix())
    raise ProductError(f"{address} can't be read: there is no such zip any more. Search the folder again.")


def _refuse_escape(root: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise UnsafeProductError(
            f"{root} holds a member named {name!r}, which leads out of the archive; the zip isn't read. "
            "Fetch the product again from a source you trust."
        )
