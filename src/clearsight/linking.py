"""``link``: source items <-> score Items, by the one index they share."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pystac

from clearsight import ids
from clearsight.catalog import ASSET, read_items
from clearsight.errors import ArgumentError, ProductError
from clearsight.product import SCORES, score_description

Scores = str | os.PathLike[str] | pystac.Catalog | Iterable[pystac.Item]
"""An archive (its folder, or the ``collection.json`` in it), a STAC Collection or Catalog, or score Items."""

Prefix = tuple[str, str]
"""Start of the datatake, and tile: `clearsight.ids.prefix`."""


@dataclass(frozen=True)
class Unmatched:
    """A source item without a score, or one that a newer processing of the same image supersedes."""

    item: pystac.Item
    """The source item, as it was given."""
    reason: str
    """Why there is none, and the way out."""


@dataclass(frozen=True)
class Ambiguous:
    """A source item for which a choice would have to be guessed."""

    item: pystac.Item
    """The source item, as it was given."""
    candidates: tuple[pystac.Item, ...]
    """The Items among which somebody has to choose: scores of one image, or processings of one image."""
    reason: str
    """What is ambiguous, and the way out."""


@dataclass(frozen=True)
class Linked:
    """Source items sorted by what is known of their scores; every item is in one of the three."""

    matched: tuple[pystac.Item, ...]
    """Copies of the source items with the scores added as assets, to be loaded like bands."""
    unmatched: tuple[Unmatched, ...]
    """Items without a score."""
    ambiguous: tuple[Ambiguous, ...]
    """Items with more than one score, or that are in the list more than once."""


def link(items: Iterable[pystac.Item], score_items: Scores, *, bands: Sequence[str] = ("cs_cdf",)) -> Linked:
    """Find the score of each item, and add it to a copy of the item as one asset per score band.

    Parameters
    ----------
    items : iterable of pystac.Item
        L1C or L2A items of any provider.
    score_items : path, Catalog, Collection or iterable of pystac.Item
        The archive that `clearsight.produce` made, or Items of it.
    bands : sequence of str
        Scores to add: ``cs``, ``cs_cdf``.

    Returns
    -------
    Linked
        ``matched``, ``unmatched`` and ``ambiguous``. The join is by ``system:index`` (`clearsight.ids.system_index`),
        which an L1C item, its L2A twin and their score share. Where one side doesn't tell its datastrip (EOPF, products
        made before December 2016), datatake and tile have to do, if only one score has them. Of several processings
        of one image the newest is matched. Nothing is guessed: an item without a score is told, never masked away.

    Raises
    ------
    ArgumentError
        ``bands`` names something else, or ``score_items`` is no archive.
    ProductError
        A score Item doesn't describe a score file.

    Examples
    --------
    >>> linked = link(items, "archive")  # doctest: +SKIP
    >>> stack = clearsight.load(linked.matched, bands=["B04", "cs_cdf"])  # doctest: +SKIP
    """
    chosen = [bands] if isinstance(bands, str) else list(bands)
    if not chosen or not set(chosen) <= set(SCORES):
        raise ArgumentError(f"bands={chosen!r}; expected one or more of {list(SCORES)}.")
    scores = _scores(score_items)
    sources = list(items)
    twins = _twins(sources)
    matched: list[pystac.Item] = []
    unmatched: list[Unmatched] = []
    ambiguous: list[Ambiguous] = []
    for item in sources:
        found = _unclear(item, twins) or _find(item, scores)
        if isinstance(found, pystac.Item):
            matched.append(_with_scores(item, found, chosen))
        elif isinstance(found, Unmatched):
            unmatched.append(found)
        else:
            ambiguous.append(found)
    return Linked(tuple(matched), tuple(unmatched), tuple(ambiguous))


@dataclass(frozen=True)
class _Scores:
    """Score Items by what can be compared."""

    by_index: dict[str, list[pystac.Item]]
    by_prefix: dict[Prefix, list[pystac.Item]]


def _scores(score_items: Scores) -> _Scores:
    if isinstance(score_items, (str, os.PathLike)):
        found: Iterable[pystac.Item] = read_items(score_items)
    elif isinstance(score_items, pystac.Catalog):
        found = score_items.get_items(recursive=True)
    else:
        found = score_items
    by_index: dict[str, list[pystac.Item]] = defaultdict(list)
    by_prefix: dict[Prefix, list[pystac.Item]] = defaultdict(list)
    for item in found:
        if item in by_index[item.id]:
            continue
        by_index[item.id].append(item)
        with suppress(ArgumentError):  # an archive of plain files has indices of another form
            by_prefix[ids.prefix(item)].append(item)
    return _Scores(by_index, by_prefix)


def _twins(items: Sequence[pystac.Item]) -> dict[tuple[str, str], list[pystac.Item]]:
    """Items of one image and level: processings of it, or the same item twice."""
    groups: dict[tuple[str, str], list[pystac.Item]] = defaultdict(list)
    for item in items:
        index = _index(item)
        if index is not None:
            groups[index, _level(item)].append(item)
    return groups


def _unclear(item: pystac.Item, twins: dict[tuple[str, str], list[pystac.Item]]) -> Unmatched | Ambiguous | None:
    """Of several items of one image only the newest processing goes on, if there is one newest."""
    index = _index(item)
    same = [] if index is None else twins[index, _level(item)]
    if len(same) < 2:
        return None
    newest = max(_age(twin) for twin in same)
    kept = [twin for twin in same if _age(twin) == newest]
    named = ", ".join(_processing(twin) for twin in same)
    if index is not None and not _tells_datastrip(index):
        return Ambiguous(
            item,
            tuple(same),
            f"{len(same)} items begin with {index} and don't tell their datastrip: {named}. They may be processings of "
            "one image, or two images that meet in the tile; keep one of them.",
        )
    if len(kept) > 1 and item in kept:
        return Ambiguous(item, tuple(same), f"{len(same)} items are the image {index}: {named}. Keep one of them.")
    if item in kept:
        return None
    return Unmatched(item, f"superseded by a newer processing of the image {index}: {_processing(kept[0])}.")


def _tells_datastrip(index: str) -> bool:
    return index.count("_") != 1


def _find(item: pystac.Item, scores: _Scores) -> pystac.Item | Unmatched | Ambiguous:
    index = _index(item)
    exact = scores.by_index.get(index, []) if index else []
    candidates = exact or _of_prefix(item, index, scores)
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        models = ", ".join(f"{one.id} (MODEL_VERSION {one.properties.get('MODEL_VERSION')})" for one in candidates)
        why = f"have the id {index}" if exact else "begin as it does, and it doesn't tell its datastrip's time"
        return Ambiguous(
            item,
            tuple(candidates),
            f"{len(candidates)} scores {why}: {models}. Pass the scores of one archive, or keep one of them.",
        )
    try:
        start, tile = ids.prefix(item)
        asked = index if index and _tells_datastrip(index) else f"{start}_*_T{tile}"
    except ArgumentError as error:
        if index is None:
            return Unmatched(item, str(error))
        asked = index
    return Unmatched(
        item, f"no score has the id {asked}. Make it with clearsight.produce, or leave the item out on purpose."
    )


def _of_prefix(item: pystac.Item, index: str | None, scores: _Scores) -> list[pystac.Item]:
    """Scores of the same datatake and tile, where that is all that can be compared: one side tells no datastrip."""
    try:
        candidates = scores.by_prefix.get(ids.prefix(item), [])
    except ArgumentError:
        return []
    if index is None or not ids.names_datastrip(index):
        return candidates
    return [candidate for candidate in candidates if not ids.names_datastrip(candidate.id)]


def _index(item: pystac.Item) -> str | None:
    """``system:index``, or as much of it as the item tells."""
    try:
        return ids.system_index(item)
    except ArgumentError:
        pass
    try:
        start, tile = ids.prefix(item)
    except ArgumentError:
        return None
    return f"{start}_T{tile}"


def _level(item: pystac.Item) -> str:
    return str(item.properties.get("processing:level"))


def _age(item: pystac.Item) -> tuple[str, str]:
    """What sorts processings of an image: baseline, and time of making."""
    made = re.search(r"_(\d{8}T\d{6})(?:\.SAFE)?$", str(item.properties.get("s2:product_uri") or item.id))
    told = item.properties.get("processing:datetime") or item.properties.get("s2:generation_time") or ""
    return str(item.properties.get("processing:version", "")), made[1] if made else re.sub(r"[-:]", "", str(told))[:15]


def _processing(item: pystac.Item) -> str:
    return f"{item.id} (baseline {item.properties.get('processing:version', 'unknown')})"


def _with_scores(item: pystac.Item, scores: pystac.Item, bands: Sequence[str]) -> pystac.Item:
    linked = item.clone()
    for band in bands:
        linked.add_asset(band, _asset(scores, band))
    return linked


def _asset(scores: pystac.Item, band: str) -> pystac.Asset:
    """Asset of one score band: the file, and which of its bands."""
    file = scores.assets.get(ASSET)
    fields: dict[str, Any] = {} if file is None else file.extra_fields
    names = [entry.get("name") for entry in fields.get("bands", [])]
    if file is None or band not in names or len(fields.get("raster:bands", [])) != len(names):
        raise ProductError(
            f"score item {scores.id!r} has no asset {ASSET!r} that describes the band {band!r}. "
            "Pass Items that clearsight.produce made."
        )
    number = names.index(band)
    href = file.get_absolute_href()
    if href is None:
        raise ArgumentError(
            f"score item {scores.id!r} doesn't tell where it lies, so its file {file.href!r} can't be found. "
            "Read it with pystac.Item.from_file, or pass the archive's folder."
        )
    return pystac.Asset(
        href,
        title=score_description(band),
        media_type=file.media_type,
        roles=file.roles,
        extra_fields={
            "clearsight:band": number + 1,
            "raster:bands": [fields["raster:bands"][number]],
            **{key: fields[key] for key in ("proj:transform", "proj:shape") if key in fields},
        },
    )
