"""STAC APIs: known by name or by address, searched page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pystac
from pystac.errors import STACError
from pystac_client import Client
from pystac_client.exceptions import APIError

from clearsight.bands import Level
from clearsight.errors import ArgumentError, ProductError
from clearsight.sources._http import api_io
from clearsight.sources._items import COLLECTIONS
from clearsight.sources._normalise import normalised, readable
from clearsight.sources.eopf import looked_into
from clearsight.sources.presets import Preset, collections_of

_PAGE: Final = 100
"""Items that are asked for at once."""


def preset_items(
    preset: Preset, *, level: Level | None, bbox: Sequence[float] | None, datetime: str | None
) -> list[pystac.Item]:
    """Search a provider that is known by name, and bring what it finds into our form.

    Raises
    ------
    ArgumentError
        The provider hasn't that collection.
    ProductError
        The server doesn't answer, or answers nonsense.
    """
    levels = {name: known for known, name in preset.collections.items()}
    found = _search(preset.url, collections=collections_of(preset, level), bbox=bbox, datetime=datetime)
    return [
        looked_into(
            normalised(item, offset=preset.offset, assets=preset.assets, level=levels.get(item.collection_id or "")),
            item,
        )
        for item in found
    ]


def address_items(
    url: str, *, collection: str | None, bbox: Sequence[float] | None, datetime: str | None
) -> list[pystac.Item]:
    """Search a STAC API that isn't known; its own names of collections are taken as well as ours.

    Raises
    ------
    ProductError
        The server doesn't answer, or answers nonsense.
    """
    names = [collection] if collection else [name for name in COLLECTIONS if name in _collections(url)]
    if not names:
        raise ArgumentError(
            f"collection=None: {url} has no collection named {' or '.join(COLLECTIONS)}, so it isn't known which of "
            f"its {len(_collections(url))} is wanted. Pass collection; it has {', '.join(_collections(url)[:20])}."
        )
    entries = _search(url, collections=names, bbox=bbox, datetime=datetime)
    return [looked_into(normalised(item), item) for item in entries]


def is_api(url: str) -> bool:
    """Say whether an address is the landing page of a STAC API that can be searched.

    Raises
    ------
    ProductError
        Nothing answers there.
    """
    try:
        facts = api_io().read_json(url)
    except (APIError, STACError, OSError, ValueError) as error:
        raise _failed(url, error) from error
    return any("item-search" in str(name) for name in facts.get("conformsTo", ())) or any(
        link.get("rel") == "search" for link in facts.get("links", ())
    )


def _collections(url: str) -> list[str]:
    try:
        return [collection.id for collection in Client.open(url, stac_io=api_io()).get_collections()]
    except (APIError, STACError, OSError, ValueError, KeyError) as error:
        raise _failed(url, error) from error


def _search(
    url: str, *, collections: Sequence[str], bbox: Sequence[float] | None, datetime: str | None
) -> list[pystac.Item]:
    try:
        found = Client.open(url, stac_io=api_io()).search(
            collections=list(collections), bbox=None if bbox is None else list(bbox), datetime=datetime, limit=_PAGE
        )
        return [_item(entry) for page in found.pages_as_dicts() for entry in page.get("features", [])]
    except (APIError, STACError, OSError, ValueError, KeyError, NotImplementedError) as error:
        raise _failed(url, error) from error


def _item(entry: dict[str, Any]) -> pystac.Item:
    return pystac.Item.from_dict(readable(entry), preserve_dict=False)


def _failed(url: str, error: Exception) -> ProductError:
    return ProductError(
        f"the catalogue {url} couldn't be searched: {type(error).__name__}: {error}. "
        "Nothing of the answer is used; try again later, or check the address."
    )
