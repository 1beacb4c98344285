"""What a request asks to be shown: read from the address, checked, and nothing but numbers and known names after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeVar, get_args

from clearsight.compositing import Method
from clearsight.errors import ArgumentError
from clearsight.pictures import TRUE_COLOUR
from clearsight.product import SCORES
from clearsight.viewer.library import Frame, Library

Kind = Literal["scene", "masked", "score", "composite", "count"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
METHODS: Final[tuple[Method, ...]] = get_args(Method)

DISPLAY: Final = (0, 2500)
"""Reflectance times 10000 that is shown as black and as white."""

_T = TypeVar("_T", bound=str)


@dataclass(frozen=True)
class Look:
    """One way to look at a library."""

    kind: Kind = "composite"
    """A scene, a scene without what scores low, its score, the composite, or how many dates the composite has."""
    frame: Frame | None = None
    """The date, for "scene", "masked" and "score"."""
    bands: tuple[str, ...] = TRUE_COLOUR
    """Shown as red, green and blue; one band: grey."""
    low: int = DISPLAY[0]
    """Reflectance times 10000 that is shown black."""
    high: int = DISPLAY[1]
    """Reflectance times 10000 that is shown white."""
    by: str = "cs_cdf"
    """Score to mask by, or to show."""
    threshold: float = 0.60
    """Lowest score that is kept; 0 keeps whatever was measured."""
    start: date | None = None
    """First day of the composite."""
    end: date | None = None
    """Last day of the composite."""
    method: Method = "median"
    """How the clear values become one."""

    def frames(self, library: Library) -> list[Frame]:
        """Dates that the composite takes, in the order of time."""
        return [
            frame
            for frame in library.frames.values()
            if (self.start is None or frame.time.date() >= self.start)
            and (self.end is None or frame.time.date() <= self.end)
        ]


def read_look(kind: str, query: Mapping[str, str], library: Library) -> Look:
    """Read a request.

    Parameters
    ----------
    kind : str
        See `Look`.
    query : mapping
        ``frame``, ``bands``, ``low``, ``high``, ``by``, ``threshold``, ``start``, ``end``, ``method``; what is absent
        has the default of `Look`.
    library : Library
        Where ids and bands are looked up.

    Returns
    -------
    Look

    Raises
    ------
    ArgumentError
        A value is unknown or out of range.
    """
    kind = one_of("kind", kind, KINDS)
    low = _number(query, "low", DISPLAY[0], -10_000, 32_767)
    high = _number(query, "high", DISPLAY[1], -10_000, 32_767)
    if low >= high:
        raise ArgumentError(f"low={low:g}, high={high:g}: expected low < high, such as {DISPLAY[0]} and {DISPLAY[1]}.")
    by_frame = kind in ("scene", "masked", "score")
    return Look(
        kind=kind,
        frame=frame_of(library, query.get("frame", "")) if by_frame else None,
        bands=() if kind in ("score", "count") else _bands(query, library),
        low=int(low),
        high=int(high),
        by=one_of("by", query.get("by", "cs_cdf"), SCORES),
        threshold=_number(query, "threshold", 0.60, 0, 1),
        start=_day(query, "start"),
        end=_day(query, "end"),
        method=one_of("method", query.get("method", "median"), METHODS),
    )


def frame_of(library: Library, name: str) -> Frame:
    """Look up a date."""
    if name not in library.frames:
        raise ArgumentError(f"frame={name[:80]!r} is no date of this archive; see api/catalogue.")
    return library.frames[name]


def one_of(name: str, value: str, known: Sequence[_T]) -> _T:
    """Check a word."""
    for word in known:
        if word == value:
            return word
    raise ArgumentError(f"{name}={value[:80]!r} is unknown; expected one of {', '.join(known)}.")


def _number(query: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = query.get(name, f"{default}")
    try:
        number = float(text[:40])
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise ArgumentError(f"{name}={text[:80]!r}; expected a number from {least} to {most}.")
    return number


def place(query: Mapping[str, str]) -> tuple[float, float]:
    """Read ``lon`` and ``lat``, degrees."""
    return _number(query, "lon", math.nan, -180, 180), _number(query, "lat", math.nan, -90, 90)


def area(query: Mapping[str, str]) -> tuple[float, float, float, float]:
    """Read ``bbox``: west, south, east, north in degrees."""
    parts = query.get("bbox", "").split(",")[:5]
    names = ("west", "south", "east", "north")
    if len(parts) != len(names):
        raise ArgumentError(f"bbox={query.get('bbox', '')[:80]!r}; expected west,south,east,north in degrees.")
    given = dict(zip(names, parts, strict=True))
    west, east = (_number(given, name, math.nan, -180, 180) for name in ("west", "east"))
    south, north = (_number(given, name, math.nan, -90, 90) for name in ("south", "north"))
    if not (west < east and south < north):
        raise ArgumentError(f"bbox={query['bbox'][:80]!r}; expected west < east and south < north.")
    return west, south, east, north


def _bands(query: Mapping[str, str], library: Library) -> tuple[str, ...]:
    if not library.bands:
        raise ArgumentError("this archive's imagery isn't here, so only its scores can be shown; pass --imagery.")
    wanted = [name for name in TRUE_COLOUR if name in library.bands] or list(library.bands[:1])
    default = wanted if len(wanted) == len(TRUE_COLOUR) else wanted[:1]
    bands = query.get("bands", ",".join(default)).split(",")[:4]
    if len(bands) not in (1, 3):
        raise ArgumentError(f"bands={bands}; expected one band, or three for red, green and blue.")
    return tuple(one_of("bands", band, library.bands) for band in bands)


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text[:40])
    except ValueError as error:
        raise ArgumentError(f"{name}={text[:80]!r}; expected a day such as 2021-06-15.") from error
