"""Google's public bucket: whole SAFE products over HTTP, in one folder per tile.

``tiles/33/U/UU/S2A_MSIL1C_….SAFE/…`` holds Level-1C, ``L2/tiles/…`` Level-2A. There is no catalogue: the folder of a
tile is listed, products of other times are passed over by their names, the metadata of the rest is read as from a disk.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pystac

from clearsight.bands import Level
from clearsight.errors import ProductError, RemoteError
from clearsight.sources import safe
from clearsight.sources._archive import Server, Tree
from clearsight.sources._http import fetcher
from clearsight.sources.presets import Preset, collections_of

_ELSEWHERE: Final = "STORAGE_EMULATOR_HOST"
"""Variable of the environment by which Google's own clients, too, are sent to another server."""

_SIDE_BY_SIDE: Final = 8
"""Products whose metadata is read at once."""

_TAKEN: Final = re.compile(r"_MSIL(?:1C|2A)_(\d{8}T\d{6})_|_V(\d{8}T\d{6})_")
"""When a product was taken, in the names of both layouts."""

_NEARLY: Final = timedelta(days=1)
"""A name tells the beginning of the datatake, which may lie on the day before."""


@dataclass(frozen=True)
class _Bucket:
    name: str
    host: str
    fetch: Callable[[str], bytes]


def bucket_items(
    preset: Preset, *, tile: str, level: Level | None, between: tuple[datetime, datetime]
) -> list[pystac.Item]:
    """Describe the products of a tile that may have been taken in a time.

    Parameters
    ----------
    preset : Preset
        Of the kind ``"SAFE bucket"``.
    tile : str
        MGRS tile, such as ``"33UUU"``.
    level : {"L1C", "L2A"}, optional
        Both levels by default.
    between : pair of datetime
        First and last moment. By names alone, up to a day on both sides comes along.

    Raises
    ------
    RemoteError
        The server refuses or fails. What was found before isn't taken for the whole.
    ProductError
        All products are broken; among whole ones, one that is broken is left out with a `ProductWarning`.
    """
    host, _, name = preset.url.rpartition("/")
    bucket = _Bucket(name, _elsewhere() or host, fetcher())
    square = f"{tile[:2]}/{tile[2]}/{tile[3:]}"
    places = [f"{folder}/{square}/" for folder in collections_of(preset, level)]
    folders = [found for place in places for found in _folders(bucket, place) if _may_be(found, between)]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as readers:
        results = list(readers.map(lambda folder: _product(bucket, folder), folders))
    items = [item for result in results if not isinstance(result, ProductError) for item in result]
    broken = [result for result in results if isinstance(result, ProductError)]
    return safe.without_broken(items, broken, stacklevel=4)


def _elsewhere() -> str | None:
    host = os.environ.get(_ELSEWHERE, "").rstrip("/")
    return host if not host or "://" in host else f"http://{host}"


def _folders(bucket: _Bucket, place: str) -> list[str]:
    """Folders of products below a tile's folder."""
    pages = _pages(bucket, prefix=place, delimiter="/", fields="prefixes,nextPageToken")
    return [folder for page in pages for folder in page.get("prefixes", ()) if folder.endswith(".SAFE/")]


def _may_be(folder: str, between: tuple[datetime, datetime]) -> bool:
    told = _TAKEN.search(folder)
    if told is None:
        return True
    taken = datetime.strptime(told[1] or told[2], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    start, end = between
    # Not `start - _NEARLY`: the first and the last moment of all have none before and behind them.
    return start - taken <= _NEARLY and taken - end <= _NEARLY


def _product(bucket: _Bucket, folder: str) -> list[pystac.Item] | ProductError:
    """Items of a product; if it is broken, the reason."""
    pages = _pages(bucket, prefix=folder, fields="items(name),nextPageToken")
    names = [entry["name"].removeprefix(folder) for page in pages for entry in page.get("items", ())]
    # Marks of folders, of Hadoop's making, are no files.
    files = tuple(sorted(name for name in names if not name.endswith(("/", "_$folder$"))))
    product = Path(folder).name
    place = folder.rstrip("/").removesuffix(product)
    address = f"{bucket.host}/{bucket.name}/{place}".rstrip("/")
    tree = Tree(
        Path(bucket.name, place),
        tuple(f"{product}/{name}" for name in files),
        server=Server(address, bucket.fetch),
    )
    try:
        items = safe.tree_items(tree)
        if items:
            return items
        raise ProductError(f"{tree.root / product} has no product metadata (MTD_MSI….xml): the product is incomplete.")
    except RemoteError:
        raise
    except ProductError as error:
        return error


def _pages(bucket: _Bucket, **query: str) -> Iterator[dict[str, Any]]:
    """Answer of the bucket's list, page by page (Cloud Storage JSON API, objects: list)."""
    address = f"{bucket.host}/storage/v1/b/{bucket.name}/o"
    token: str | None = None
    while True:
        asked = query | ({} if token is None else {"pageToken": token})
        url = f"{address}?{urllib.parse.urlencode(asked)}"
        try:
            page = json.loads(bucket.fetch(url))
            token = page.get("nextPageToken")
        except (ValueError, AttributeError) as error:
            raise RemoteError(
                f"{url} answers something else than a list of objects: {error}. Nothing of the answer is used; "
                f"try again later, or check {_ELSEWHERE} in the environment."
            ) from error
        yield page
        if token is None:
            return
