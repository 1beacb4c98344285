"""Which frames are scored together, with which others as context, and which scores are to be made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import pystac

from clearsight import ids
from clearsight.catalog import held_item

Mode = Literal["backfill", "near-real-time"]
MODES: Final = ("backfill", "near-real-time")

TOGETHER: Final = 100
"""Frames of a tile that are scored together at most; a longer series is cut into calendar years."""
MARGIN_DAYS: Final = 90
"""Frames so near to a year serve it as context."""
PAST: Final = 12
"""Frames before a new one that serve it as context in near real time: what bounds the cost of the next scene."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a tile."""

    index: str
    """``system:index``."""
    item: pystac.Item
    """Source item."""
    path: Path
    """Of the score COG; its Item lies beside it, as ``INDEX.json``."""

    @property
    def date(self) -> datetime:
        """When it was taken."""
        assert self.item.datetime is not None  # `product_path` has refused items without one
        return self.item.datetime

    @property
    def version(self) -> str:
        """Of the product's processing; empty where it isn't known."""
        return str(self.item.properties.get("processing:version", ""))


@dataclass(frozen=True, eq=False)
class Period:
    """Frames that are scored together."""

    frames: tuple[Frame, ...]
    """All of them, sorted."""
    targets: tuple[Frame, ...]
    """Those whose scores are wanted; the others are context."""
    context: Literal["before and after", "past", "history", "none"]
    """Which frames may serve a target as context; "history": those that a history has, some of them later."""
    seen: int = 0
    """How many frames a history has that stands for the others."""

    @property
    def context_frames(self) -> int:
        """How many frames a target is compared with."""
        return 0 if self.context == "none" else self.seen or len(self.frames) - 1


def periods(frames: Sequence[Frame], *, mode: Mode, context: bool) -> list[Period]:
    """Cut the frames of a tile, sorted by index, into periods; each frame is a target of exactly one.

    What serves a frame as context depends on the frames alone, never on what is already scored or where a run was
    stopped.
    """
    if mode == "near-real-time":
        cut = [_of_newest(frame, frames) for frame in frames]
    elif len(frames) <= TOGETHER:
        cut = [Period(tuple(frames), tuple(frames), "before and after")]
    else:
        cut = [_of_year(year, frames) for year in sorted({frame.date.year for frame in frames})]
    return [period if context and len(period.frames) > 1 else replace(period, context="none") for period in cut]


def reason_to_score(frame: Frame, period: Period, *, level: str, overwrite: bool) -> str | None:
    """Why a frame is to be scored, or scored anew; None where its score stays.

    A score that is there stays, unless the source was processed anew (a higher processing version, of the same
    level), or the score lacked context that exists now: it had none in a part of the image, or only the past, and
    there are more frames to compare with, or those after it.
    """
    held = held_item(frame.path)
    if held is None:
        return "new"
    if overwrite:
        return "asked for"
    facts = held.properties
    if facts.get("SOURCE_LEVEL") == level and _number(frame.version) > _number(str(facts.get("SOURCE_VERSION", ""))):
        return f"processed anew: {facts.get('SOURCE_VERSION')} before, {frame.version} now"
    if "CONTEXT_FRAMES" not in facts or period.context == "none":
        return None
    others = len(period.frames) - 1
    past_only = facts["CONTEXT"] in ("past", "history") and period.context == "before and after"
    lacking = facts["NO_CONTEXT_FRACTION"] > 0 and not (
        facts["CONTEXT"] == "before and after" and period.context == "past"
    )
    if past_only or (lacking and others > facts["CONTEXT_FRAMES"]):
        return "there is context now"
    return None


def identity(frame: Frame) -> str:
    """What a frame's pixels are known by: product and processing."""
    return f"{frame.index} {ids.tile(frame.item)} {frame.item.id} {frame.version}"


def _of_newest(frame: Frame, frames: Sequence[Frame]) -> Period:
    before = sorted((other for other in frames if other.date < frame.date), key=lambda other: (other.date, other.index))
    past = before[-PAST:]
    together = tuple(sorted((*past, frame), key=lambda other: other.index))
    return Period(together, (frame,), "past")


def _of_year(year: int, frames: Sequence[Frame]) -> Period:
    targets = tuple(frame for frame in frames if frame.date.year == year)
    first, last = min(frame.date for frame in targets), max(frame.date for frame in targets)
    near = tuple(
        frame
        for frame in frames
        if max((first - frame.date).total_seconds(), (frame.date - last).total_seconds()) <= MARGIN_DAYS * 86_400
    )
    return Period(near, targets, "before and after")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
