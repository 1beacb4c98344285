"""An archive in a bucket: worked on in a folder of this machine, published in an order that never shows half a score.

The folder (the mirror) holds the Items of the bucket as they were last seen, unfinished work, and what isn't published
yet. In place of a published COG lies an empty file of its length that takes no space. A tile is published COG by COG:
first the COG, then its Item; then ``missing.json``; then ``collection.json``; then former COGs that no Item names any
more are removed. Whoever is stopped in between leaves an archive that is whole; the next run publishes the rest.

Who may write: one machine per tile at a time, by convention. The operating system's lock keeps processes on one
machine apart; across machines a lock object would outlive its owner, and need a clock that all agree on. Instead an
Item is only written over the one that was last seen (If-Match, If-None-Match), so that a second writer is told
(`BusyError`); and a COG is only put where none is, so that it has harmed nothing by then. ``collection.json``, which
the writers of all tiles share, is read, grown and exchanged until nobody came in between.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Final

import pystac

from clearsight._objects import ChangedError, Objects, Stored
from clearsight._work import WORK, alone
from clearsight.catalog import ASSET, COLLECTION_FILE, held_item, item_at, update_collection
from clearsight.coverage import MISSING_FILE
from clearsight.errors import BusyError, ProductError, RemoteError
from clearsight.product import describe_file
from clearsight.whole import whole_file

_ATTEMPTS: Final = 50
"""Writers of other tiles that may come in between before the collection is given up."""


class Mirror:
    """A bucket's archive, and the folder in which it is worked on.

    Parameters
    ----------
    address : str
        ``s3://bucket/prefix``.
    folder : path, optional
        By default one below the user's cache, the same for the same address.
    """

    def __init__(self, address: str, folder: str | os.PathLike[str] | None = None) -> None:
        self.objects = Objects(address)
        name = hashlib.sha256(self.objects.address.encode()).hexdigest()[:16]
        self.root = (Path(folder) if folder else _cache() / "archives" / name).resolve()

    def fetch(self, tile: str) -> None:
        """Bring the Items of a tile up to date. What isn't published yet stays, unless the bucket has another one.

        The caller has the tile's lock.
        """
        there, seen = self.objects.below(tile), self._seen(tile)
        for key in _items_in(there):
            if seen.get(key) == there[key].tag and (self.root / key).exists():
                continue
            found = self.objects.read(key)
            if found is not None:
                content, seen[key] = found
                self._keep(key, content)
        for path in self._items(tile):
            key = path.relative_to(self.root).as_posix()
            if key in there:
                self._stand_in(path, there)
            elif key in seen or not _is_whole(path):
                _cog(path).unlink(missing_ok=True)
                path.unlink()
        missing = f"{tile}/{MISSING_FILE}"
        found = self.objects.read(missing) if missing in there else None
        if found is not None:
            self._keep(missing, found[0])
        self._note(tile, {key: tag for key, tag in seen.items() if key in there})

    def publish(self, tile: str) -> None:
        """Bring the bucket up to date with what was made. The caller has the tile's lock."""
        there, seen = self.objects.below(tile), self._seen(tile)
        items = {path.relative_to(self.root).as_posix(): path for path in self._items(tile)}
        for key, path in items.items():
            if _is_here(_cog(path)):
                seen[key] = self._publish(key, path, expected=seen.get(key))
                self._note(tile, seen)
        missing = self.root / tile / MISSING_FILE
        key = missing.relative_to(self.root).as_posix()
        if missing.exists():
            self.objects.write(key, missing.read_bytes())
        elif key in there:
            self.objects.delete(key)
        if items:
            self._publish_collection(list(items.values()))
        self._sweep(items, there)

    def item(self, item: pystac.Item) -> pystac.Item:
        """A score Item of the mirror, as it is read from the bucket."""
        path = Path(str(item.self_href))
        # Read again: its COG may have been given another name since.
        return item_at(f"{self.objects.address}/{path.relative_to(self.root).as_posix()}", path.read_bytes())

    def _publish(self, key: str, path: Path, *, expected: str | None) -> str:
        """COG, then Item; returns the Item's tag."""
        if not _is_whole(path):
            raise ProductError(f"{_cog(path)} isn't what its Item says; remove {path}, and run again.")
        name, is_new = self._put_cog(path)
        try:
            tag = self.objects.exchange(key, path.read_bytes(), expected=expected)
        except ChangedError as error:
            if is_new:
                self._withdraw(name, key)
            raise BusyError(
                f"{error} while this run scored the tile; one writer per tile. Run again when the other is done."
            ) from error
        cog = _cog(path)
        _put_stand_in(cog, cog.stat().st_size)
        return tag

    def _put_cog(self, path: Path) -> tuple[str, bool]:
        """Put an Item's COG where there is none, never over another, which may be somebody's whose Item comes next.

        Where its name is taken, it gets one that its content has alone, here as well.

        Returns
        -------
        str, bool
            Key of the COG; whether it was put just now, and not found there.
        """
        cog = _cog(path)
        checksum = describe_file(cog).checksum
        for target in (cog, cog.with_name(f"{path.stem}.{checksum[-16:]}.tif")):
            name = target.relative_to(self.root).as_posix()
            try:
                self.objects.exchange(name, cog, expected=None)
            except ChangedError:
                found = self.objects.read(name)
                if found is None or _checksum(found[0]) != checksum:
                    continue
                is_new = False
            else:
                is_new = True
                stored = self.objects.below(Path(name).parent.as_posix()).get(name)
                if stored is None or stored.size != cog.stat().st_size:
                    raise RemoteError(f"{self.objects.address}/{name} wasn't stored whole ({stored}). Run again.")
            _move_cog(path, target)
            return name, is_new
        raise RemoteError(f"{self.objects.address}/{name} holds something else; remove it, and run again.")

    def _withdraw(self, name: str, key: str) -> None:
        """Take a COG back that this run has put; not if the other writer has made the same, and names it."""
        found = self.objects.read(key)
        if found is None or _name_in(found[0]) != Path(name).name:
            self.objects.delete(name)

    def _publish_collection(self, paths: list[Path]) -> None:
        with alone(self.root, "collection", wait=-1):
            for _ in range(_ATTEMPTS):
                path = self.root / COLLECTION_FILE
                found = self.objects.read(COLLECTION_FILE)
                if found is None:
                    path.unlink(missing_ok=True)
                else:
                    self._keep(COLLECTION_FILE, found[0])
                update_collection(self.root, [pystac.Item.from_file(str(item)) for item in paths])
                if found is not None and path.read_bytes() == found[0]:
                    return
                try:
                    self.objects.exchange(COLLECTION_FILE, path.read_bytes(), expected=found and found[1])
                except ChangedError:
                    continue
                return
        raise BusyError(f"{self.objects.address}/{COLLECTION_FILE} is written by others all the time. Run again.")

    def _sweep(self, items: dict[str, Path], there: dict[str, Stored]) -> None:
        """Remove former COGs, of which no Item tells any more."""
        for key, path in items.items():
            folder = Path(key).parent.as_posix()
            stale = [name for name in there if name.endswith(".tif") and Path(name).parent.as_posix() == folder]
            stale = [name for name in stale if Path(name).name != _cog(path).name]
            if stale:
                # What counts is the Item that is there by now.
                found = self.objects.read(key)
                for name in stale:
                    if found is not None and _name_in(found[0]) != Path(name).name:
                        self.objects.delete(name)

    def _stand_in(self, path: Path, there: dict[str, Stored]) -> None:
        """Let a published COG be known by its length; one that isn't there whole isn't known."""
        cog, size = _cog(path), json.loads(path.read_text())["assets"][ASSET]["file:size"]
        if _is_here(cog) and _is_whole(path):
            return  # not published yet
        found = there.get(cog.relative_to(self.root).as_posix())
        if found is None or found.size != size:
            cog.unlink(missing_ok=True)
        elif held_item(path.with_suffix(".tif")) is None or _is_here(cog):
            _put_stand_in(cog, size)

    def _items(self, tile: str) -> list[Path]:
        return sorted(path for path in (self.root / tile).glob("*/*/*.json") if path.stem == path.parent.name)

    def _keep(self, key: str, content: bytes) -> None:
        target = self.root / key
        if target.exists() and target.read_bytes() == content:
            return
        with whole_file(target) as part:
            part.write_bytes(content)

    def _seen(self, tile: str) -> dict[str, str]:
        """Tags of the Items when they were last seen, by key; without them all are read again."""
        try:
            tags: dict[str, str] = json.loads((self.root / WORK / f"{tile}.seen.json").read_text())
        except (OSError, ValueError):
            return {}
        return tags

    def _note(self, tile: str, seen: dict[str, str]) -> None:
        with whole_file(self.root / WORK / f"{tile}.seen.json") as part:
            part.write_text(json.dumps(seen, sort_keys=True))


def _items_in(there: dict[str, Stored]) -> list[str]:
    return [key for key in there if key.endswith(".json") and Path(key).stem == Path(key).parent.name]


def _cog(path: Path) -> Path:
    """The COG of an Item."""
    return path.parent / _name_in(path.read_bytes())


def _name_in(item: bytes) -> str:
    """Name of the COG that an Item tells of."""
    return Path(json.loads(item)["assets"][ASSET]["href"]).name


def _checksum(content: bytes) -> str:
    """As `describe_file` tells it."""
    return "1220" + hashlib.sha256(content).hexdigest()


def _move_cog(path: Path, target: Path) -> None:
    """Give an Item's COG another name: a copy, the Item, then the former goes; so the Item always has its COG."""
    cog = _cog(path)
    if cog == target:
        return
    with whole_file(target) as part:
        shutil.copyfile(cog, part)
    described = json.loads(path.read_text())
    described["assets"][ASSET]["href"] = f"./{target.name}"
    with whole_file(path) as part:
        part.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    cog.unlink()


def _is_whole(path: Path) -> bool:
    """Is the COG that an Item tells of here, with all its bytes?"""
    try:
        expected = json.loads(path.read_text())["assets"][ASSET]["file:checksum"]
        return bool(describe_file(_cog(path)).checksum == expected)
    except (OSError, ValueError, KeyError):
        return False


def _put_stand_in(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def _is_here(path: Path) -> bool:
    """Is a COG here, and not only its length? It begins with the letters of its byte order."""
    try:
        with path.open("rb") as file:
            return file.read(2) != b"\0\0"
    except FileNotFoundError:
        return False


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "clearsight"
