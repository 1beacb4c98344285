"""The join rule: which image is this? ``system:index``, tile and datatake, from any provider's item.

Every provider names a scene in its own way; what they share is the datatake (one pass over the Earth), the datastrip
(the part of it that one station received) and the tile. This module looks these three up, in the order of its tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pystac

from clearsight.errors import ArgumentError

INDEX: Final = "clearsight:index"
"""Property of our own items that holds their ``system:index``."""

COMPACT_SINCE: Final = "20161206T000000"
"""Since this day products are cut into single tiles and named after their datatake; older ones after their making."""

_STAMP: Final = r"\d{8}T\d{6}"
_TILE: Final = r"\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]"
_FULL_INDEX: Final = re.compile(rf"({_STAMP})_({_STAMP})_T({_TILE})")
_PART_INDEX: Final = re.compile(rf"({_STAMP})_T({_TILE})")

_AFTER_SENSING: Final = timedelta(hours=1)
"""A datatake lasts less; a product is made later."""


@dataclass(frozen=True)
class _Clue:
    """One place where a fact may stand."""

    key: str
    """Property of the item; empty: the item's own id."""
    pattern: str
    """Regular expression; its first group is the fact."""


_INDEX_CLUES: Final = (
    _Clue(INDEX, r"(.+)"),
    _Clue("system:index", r"(.+)"),
    _Clue("", rf"^({_STAMP}_{_STAMP}_T{_TILE})$"),
)
_TILE_CLUES: Final = (
    _Clue("grid:code", r"^MGRS-(\d{1,2}[A-Z]{3})$"),
    _Clue("s2:mgrs_tile", r"^T?(\d{1,2}[A-Z]{3})$"),
    _Clue("MGRS_TILE", r"^T?(\d{1,2}[A-Z]{3})$"),
    _Clue("s2:product_uri", rf"_T({_TILE})(?:_|\.|$)"),
    _Clue("s2:tile_id", rf"_T({_TILE})(?:_|$)"),
    _Clue("s2:granule_id", rf"_T({_TILE})(?:_|$)"),
    _Clue("", rf"(?:^|_)T({_TILE})(?:_|$)"),
)
_DATATAKE_CLUES: Final = (
    _Clue("s2:datatake_id", rf"^GS2[A-D]_({_STAMP})_"),
    _Clue("eopf:datatake_id", rf"^GS2[A-D]_({_STAMP})_"),
    _Clue("s2:product_uri", rf"^S2[A-D]_MSIL(?:1C|2A)_({_STAMP})_"),
    _Clue("", rf"^S2[A-D]_MSIL(?:1C|2A)_({_STAMP})_"),
    _Clue("", rf"^({_STAMP})_{_STAMP}_T{_TILE}$"),
    _Clue(INDEX, rf"^({_STAMP})_(?:{_STAMP}_)?T{_TILE}$"),
)
_DATASTRIP_CLUES: Final = (
    _Clue("s2:datastrip_id", rf"_S({_STAMP})(?:_|$)"),
    _Clue("eopf:datastrip_id", rf"_S({_STAMP})(?:_|$)"),
    # Earth Search's collection 1 and stactools name items after the datastrip.
    _Clue("", rf"^S2[A-D]_T{_TILE}_({_STAMP})_L(?:1C|2A)$"),
)
_GRANULE: Final = re.compile(rf"/GRANULE/L(?:1C|2A)_T{_TILE}_A\d{{6}}_({_STAMP})/")
"""Folder of a compact product's granule, which bears the datastrip's sensing time."""
_GENERATION_CLUES: Final = (
    # A product of the old format bears the time of its making in its name; its metadata may hold a later one.
    _Clue("s2:product_uri", rf"_OPER_PRD_MSIL(?:1C|2A)_[A-Z]{{4}}_({_STAMP})_"),
    _Clue("s2:generation_time", r"(.+)"),
    _Clue("processing:datetime", r"(.+)"),
    _Clue("s2:product_uri", rf"_({_STAMP})(?:\.SAFE)?$"),
    _Clue("s2:datastrip_id", rf"_DS_\w{{4}}_({_STAMP})_S"),
)


def system_index(item: pystac.Item) -> str:
    """Return the ``system:index`` of the image an item describes.

    Parameters
    ----------
    item : pystac.Item
        Source item of any provider, or a score item.

    Returns
    -------
    str
        ``{datatake start}_{datastrip sensing time}_T{tile}``, as in Earth Engine. For a product made before
        6 December 2016 the second part is the time of its making. Items that already carry an index
        (``clearsight:index``, ``system:index``, or an id of this form) keep it.

    Raises
    ------
    ArgumentError
        The item says neither its index nor all of datatake, datastrip and tile.

    Examples
    --------
    >>> from datetime import datetime
    >>> import pystac
    >>> item = pystac.Item("S2B_T11SKB", None, None, datetime(2023, 1, 1), {
    ...     "s2:datatake_id": "GS2A_20230101T184751_039334_N05.09",
    ...     "s2:datastrip_id": "S2A_OPER_MSI_L1C_DS_2APS_20230101T203813_S20230101T185116_N05.09",
    ...     "grid:code": "MGRS-11SKB"})
    >>> system_index(item)
    '20230101T184751_20230101T185116_T11SKB'
    """
    known = _look_up(item, _INDEX_CLUES)
    if known is not None:
        return known
    return f"{datatake(item)}_{_second_part(item)}_T{tile(item)}"


def prefix(item: pystac.Item) -> tuple[str, str]:
    """Return what every item tells of its image: the start of its datatake, and its tile.

    Two datastrips of one datatake can meet in a tile, so that this is not always unique.

    Raises
    ------
    ArgumentError
        The item tells neither its datatake nor an index that begins with it.

    Examples
    --------
    >>> from datetime import datetime
    >>> import pystac
    >>> prefix(pystac.Item("20230101T184751_20230101T185116_T11SKB", None, None, datetime(2023, 1, 1), {}))
    ('20230101T184751', '11SKB')
    """
    known = _look_up(item, _INDEX_CLUES) or item.id
    match = _FULL_INDEX.fullmatch(known) or _PART_INDEX.fullmatch(known)
    if match is not None:
        return match[1], match[match.re.groups]
    return datatake(item), tile(item)


def names_datastrip(index: str) -> bool:
    """Say whether the second part of an index is the datastrip's sensing time.

    It isn't in indices made of less (EOPF, plain files), nor in those of products made before December 2016, where it
    is the time of their making, hours to years after the datatake.

    Examples
    --------
    >>> names_datastrip("20230101T184751_20230101T185116_T11SKB"), names_datastrip("20230101T184751_T11SKB")
    (True, False)
    >>> names_datastrip("20151128T002653_20151128T102149_T56MNN")
    False
    """
    match = _FULL_INDEX.fullmatch(index)
    if match is None:
        return False
    start, second = (datetime.strptime(part, "%Y%m%dT%H%M%S") for part in match.groups()[:2])
    return abs(second - start) < _AFTER_SENSING


def tile(item: pystac.Item) -> str:
    """Return the MGRS tile of an item: five characters such as ``33UUU``.

    Raises
    ------
    ArgumentError
        No property and no name of the item holds a tile.

    Examples
    --------
    >>> from datetime import datetime
    >>> import pystac
    >>> tile(pystac.Item("a", None, None, datetime(2023, 1, 1), {"grid:code": "MGRS-1WCP"}))
    '01WCP'
    """
    found = _look_up(item, _TILE_CLUES) or _tile_of_parts(item.properties)
    if found is None:
        raise _unknown(item, "tile", _TILE_CLUES)
    return found.zfill(5)


def datatake(item: pystac.Item) -> str:
    """Return the start of an item's datatake, to the second: ``20230101T184751``.

    Raises
    ------
    ArgumentError
        No property and no name of the item holds a datatake.

    Examples
    --------
    >>> from datetime import datetime
    >>> import pystac
    >>> name = "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157"
    >>> datatake(pystac.Item(name, None, None, datetime(2023, 6, 25), {}))
    '20230625T234621'
    """
    found = _look_up(item, _DATATAKE_CLUES)
    if found is None:
        raise _unknown(item, "datatake", _DATATAKE_CLUES)
    return found


def _second_part(item: pystac.Item) -> str:
    generation = _look_up(item, _GENERATION_CLUES)
    made = None if generation is None else _stamp(generation)
    if made is not None and made < COMPACT_SINCE:
        return made
    strip = _look_up(item, _DATASTRIP_CLUES) or _strip_of_files(item)
    if strip is None:
        raise _unknown(item, "datastrip", _DATASTRIP_CLUES)
    return strip


def _strip_of_files(item: pystac.Item) -> str | None:
    """Datastrip's sensing time from the folder in which the files of a product lie."""
    found = {match[1] for asset in item.assets.values() for match in [_GRANULE.search(asset.href)] if match}
    return found.pop() if len(found) == 1 else None


def _look_up(item: pystac.Item, clues: tuple[_Clue, ...]) -> str | None:
    for clue in clues:
        value = item.properties.get(clue.key) if clue.key else item.id
        match = re.search(clue.pattern, str(value)) if value is not None else None
        if match:
            return match.group(1)
    return None


def _tile_of_parts(properties: Mapping[str, Any]) -> str | None:
    """Tile in the spelling of STAC's mgrs extension: three properties."""
    parts = [properties.get(f"mgrs:{name}") for name in ("utm_zone", "latitude_band", "grid_square")]
    return None if None in parts else "".join(str(part) for part in parts)


def _stamp(text: str) -> str | None:
    """Bring a time in any of the spellings to ``20161205T120000``; None if it isn't a time."""
    if re.fullmatch(_STAMP, text):
        return text
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time.astimezone(UTC) if time.tzinfo else time).strftime("%Y%m%dT%H%M%S")


def _unknown(item: pystac.Item, what: str, clues: tuple[_Clue, ...]) -> ArgumentError:
    places = ", ".join(dict.fromkeys(clue.key or "id" for clue in clues))
    return ArgumentError(
        f"item {item.id!r} doesn't tell its {what}: looked for it in {places}. "
        f"Set one of these, or the whole index as property {INDEX!r}."
    )
