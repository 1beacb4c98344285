"""The history of a place, of a fixed size however many frames it has seen: clear reference, scores, frames.

Everything is a sum of whole numbers, or a largest of several, so the order of the frames changes nothing, not even a
bit, and two histories merge into the one of all their frames. Per place, on a grid of 20 m:

========== ======================= ======= ========================================================================
array      shape                   dtype   what it is
========== ======================= ======= ========================================================================
weight0…5  (y, x)                  uint16  Σ w of the frames of one season; w = round(4 · cs²), 0 to 4
sum0…5     (band, y, x)            uint32  Σ w·v of them; v = round(1000 · reflectance) + 100, cut to 0 … 2100
square     (band, y, x)            uint64  Σ w·v² of all seasons
when       (2, y, x)               int64   the two latest clear frames (w ≥ 2): 2²⁰ · seconds since 2015 + hash of id
recent     (2, band, y, x)         uint16  v in them, the latest first
scores     (21, y, x)              uint16  histogram of ``cs`` at the nodes of `cdf`, in tenths of a frame
========== ======================= ======= ========================================================================

A season is a sixth of a year. The scatter within the seasons follows from ``square`` and the seasons' own sums. With
12 bands that is 490 bytes per place, of which a frame touches 240: its own season's sums and what has no season.

Why 20 m: most bands have no more, and every scene reads and writes it. A tile's state would be four times as large at
10 m, and would cost more time than the scoring. Why two latest frames: leaving one out must leave the latest other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from clearsight import cdf
from clearsight._parts import Parts, read_manifest
from clearsight._shares import (
    CLEAR,
    FULL,
    HASH_BITS,
    STEPS,
    TENTHS,
    Seen,
    Share,
    Whole,
    add_score,
    checked,
    days,
    finer_by,
    key_of,
    kinds_of,
    reflectance_of,
    season_closeness,
    share_of,
)
from clearsight.errors import ArgumentError, ProductError
from clearsight.reference import FloatArray, Reference, recency

RESOLUTION: Final = 20
"""Metres."""
_PLACES: Final = 16_384
"""Places that are worked on at once: few enough for the caches, enough to outweigh the calls."""
MOST_FRAMES: Final = 6553
"""Frames that the histogram of scores can count: 45 years of every pass of two satellites."""


class History:
    """Accumulated facts of one sub-tile. Make one with `open_history`.

    Parameters
    ----------
    shape : (rows, columns)
        On the 20 m grid.
    bands : sequence of str
        Bands of the clear reference, in this order.

    Examples
    --------
    >>> import numpy as np
    >>> past = History((1, 1), ("B02", "B04"))
    >>> for day, blue in (("2023-07-01", 0.08), ("2023-07-11", 0.10)):
    ...     values, cs = np.full((2, 1, 1), blue, "float32"), np.ones((1, 1), "float32")
    ...     _ = past.add(Seen(day, "05.09", np.datetime64(day), values, cs))
    >>> ground = past.reference(at=np.datetime64("2023-07-13"))
    >>> ground.recent[0].item(), ground.age.item()
    (0.10000000149011612, 2.0)
    """

    def __init__(
        self, shape: tuple[int, int], bands: Sequence[str], *, folder: Path | None = None, facts: object = None
    ) -> None:
        known = facts if isinstance(facts, dict) else {}
        self.shape = shape
        self.bands = tuple(bands)
        self.frames: dict[str, dict[str, str]] = dict(known.get("frames", {}))
        self.folder = folder
        self._parts = Parts(
            kinds_of(shape, len(self.bands)), folder=folder if known else None, files=known.get("files")
        )

    def version(self, index: str) -> str | None:
        """Which processing of an image has been seen; None if none has."""
        frame = self.frames.get(index)
        return None if frame is None else frame["version"]

    def add(self, frame: Seen) -> bool:
        """Take in a frame. One that has been seen already changes nothing, and gives False.

        Raises
        ------
        ArgumentError
            Another processing of the image has been seen (`remove` it first); wrong shapes; a date before 2015.
        """
        return self.add_all([frame]) == 1

    def add_all(self, frames: Sequence[Seen]) -> int:
        """Take in many frames, in one pass over the arrays; gives how many hadn't been seen.

        Raises
        ------
        ArgumentError
            As `add`. Nothing was taken in.
        """
        new: dict[str, tuple[Seen, int]] = {}
        keys = {key_of(index, np.datetime64(facts["date"])) for index, facts in self.frames.items()}
        for frame in frames:
            if self._is_new(frame, new):
                factor, key = checked(frame, shape=self.shape, bands=self.bands), key_of(frame.index, frame.date)
                if key in keys:
                    raise ArgumentError(
                        f"frame {frame.index!r} can't be told from another of the same second; leave one out."
                    )
                keys.add(key)
                new[frame.index] = (frame, factor)
        if len(self.frames) + len(new) > MOST_FRAMES:
            raise ArgumentError(f"the history holds {MOST_FRAMES} frames, which is all it can count; start another.")
        for rows in self._strips():
            for frame, factor in new.values():
                share = share_of(frame.rows(rows, factor=factor), factor=factor)
                self._count(share, rows, +1)
                self._push(rows, np.where(share.weight >= CLEAR, share.key, 0), share.values)
        for frame, _ in new.values():
            self.frames[frame.index] = {"version": frame.version, "date": _text(frame.date)}
        return len(new)

    def _is_new(self, frame: Seen, new: dict[str, tuple[Seen, int]]) -> bool:
        known = new[frame.index][0].version if frame.index in new else self.version(frame.index)
        if known not in (None, frame.version):
            raise ArgumentError(
                f"frame {frame.index!r} has been seen in version {known!r}, and is now {frame.version!r}; "
                "remove() the former first, or build the history again."
            )
        return known is None

    def remove(self, frame: Seen) -> bool:
        """Take a frame out again: the very values and scores that were added. False if it hasn't been seen.

        All sums are then what they would be without it. Where it was one of the two latest clear frames, one is left:
        `reference` is exact, but for ``without`` of that one, until another clear frame comes.
        """
        if self.version(frame.index) != frame.version:
            return False
        factor = checked(frame, shape=self.shape, bands=self.bands)
        for rows in self._strips():
            share = share_of(frame.rows(rows, factor=factor), factor=factor)
            self._count(share, rows, -1)
            when, recent = self._parts["when"][:, rows], self._parts["recent"][:, :, rows]
            first, second = when[0] == share.key, when[1] == share.key
            for kept in (when, np.moveaxis(recent, 1, 0)):
                np.copyto(kept[..., 0, :, :], kept[..., 1, :, :], where=first)
                np.copyto(kept[..., 1, :, :], 0, where=first | second)
        self._parts.touch("when", "recent")
        del self.frames[frame.index]
        return True

    def merge(self, other: History) -> None:
        """Take in all that another history has seen.

        Raises
        ------
        ArgumentError
            Other shape or bands; or both have seen the same frame, which would count twice.
        """
        if (other.shape, other.bands) != (self.shape, self.bands):
            raise ArgumentError(f"other is {other.shape} of {other.bands}; expected {self.shape} of {self.bands}.")
        twice = sorted(self.frames.keys() & other.frames.keys())
        if twice:
            raise ArgumentError(
                f"both histories have seen {', '.join(twice)}; only histories of different frames add up."
            )
        for name in self._parts:
            if name not in ("when", "recent"):
                self._parts[name] = self._parts[name] + other._parts[name]
        for key, values in zip(other._parts["when"], other._parts["recent"], strict=True):
            self._push(slice(0, self.shape[0]), key, values)
        self.frames |= other.frames

    def reference(self, *, at: np.datetime64, without: Seen | None = None) -> Reference:
        """Clear reference for one moment, weighed by season and, for the latest clear frame, by nearness in time.

        Parameters
        ----------
        at : datetime64
            The moment.
        without : Seen, optional
            A frame that must not vouch for itself: the very one that was added. The result is what it would be had
            it never been seen. One that hasn't been seen changes nothing.

        Returns
        -------
        clearsight.reference.Reference
            On the history's grid; ``recent`` and ``age`` are of the latest clear frame, before or after ``at``.
        """
        own = without if without is not None and self.version(without.index) == without.version else None
        factor = checked(own, shape=self.shape, bands=self.bands) if own else 1
        strips = []
        for rows in self._strips():
            share = share_of(own.rows(rows, factor=factor), factor=factor) if own else None
            strips.append(self._strip(rows, at, share))
        return Reference(
            centre=np.concatenate([strip.centre for strip in strips], axis=1),
            spread=np.concatenate([strip.spread for strip in strips], axis=1),
            recent=np.concatenate([strip.recent for strip in strips], axis=1),
            age=np.concatenate([strip.age for strip in strips]),
            count=np.concatenate([strip.count for strip in strips]),
        )

    def _strips(self) -> list[slice]:
        """Rows that are worked on at once: few enough that the processor's cache holds them."""
        step = max(1, _PLACES // self.shape[1])
        return [slice(row, min(row + step, self.shape[0])) for row in range(0, self.shape[0], step)]

    def _strip(self, rows: slice, at: np.datetime64, own: Share | None) -> Reference:
        """`reference` of some rows. Single precision: whole numbers become floating ones after all is added up."""
        when, recent = self._latest(rows, own)
        total, evidence = np.zeros(when.shape, np.float32), np.zeros(when.shape, np.float32)
        mean, explained = np.zeros(recent.shape, np.float32), np.zeros(recent.shape, np.float32)
        for season, close in enumerate(season_closeness(at)):
            if f"weight{season}" not in self._parts.held:
                continue
            count, added = self._parts[f"weight{season}"][rows], self._parts[f"sum{season}"][:, rows]
            if own is not None and own.season == season:
                count, added = count - own.weight, added - own.weight * own.values
            weight, summed = count.astype(np.float32), added.astype(np.float32)
            total += weight
            evidence += close * weight
            mean += close * summed
            summed *= summed
            summed *= 1.0 / np.maximum(weight, np.float32(1.0))
            explained += summed
        age = np.where(when > 0, np.abs(days(at) - (when >> HASH_BITS) / 86_400.0), np.nan)
        near = (np.where(when > 0, recency(np.nan_to_num(age)), 0.0) * FULL).astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean += near * recent
            mean *= np.where(evidence + near > 0, 1.0 / (evidence + near), np.float32(np.nan))
            square = self._parts["square"][:, rows]
            if own is not None:
                square = square - own.weight.astype(np.uint64) * np.square(own.values, dtype=np.uint64)
            spread = np.subtract(square, explained, dtype=np.float32, casting="unsafe")
            np.maximum(spread, 0.0, out=spread)
            spread *= np.where(total > 0, 1.0 / total, np.float32(np.nan))
            np.sqrt(spread, out=spread)
            spread *= np.float32(1.0 / STEPS)
        return Reference(
            centre=reflectance_of(mean),
            spread=spread,
            recent=reflectance_of(np.where(when > 0, recent, np.float32(np.nan))),
            age=age.astype(np.float32),
            count=(evidence + near) * np.float32(1.0 / FULL),
        )

    def rank(self, cs: FloatArray, *, new: Seen | None = None) -> FloatArray:
        """Rank scores among all that the history has seen: ``cs_cdf``.

        Parameters
        ----------
        cs : float32 array (y, x)
            In [0, 1], NaN = nodata; on the history's grid, or on one two times finer, whose pixels rank in their cell.
        new : Seen, optional
            A frame that counts as well; for a frame counts itself, and may not have been added yet.

        Returns
        -------
        float32 array, shape of ``cs``
        """
        factor = finer_by(cs.shape, self.shape)
        padded = np.pad(cs, [(0, -size % factor) for size in cs.shape], constant_values=np.nan)
        # The pixels of a cell are looks at one place: its distribution is formed once for all of them.
        looks = padded.reshape(self.shape[0], factor, self.shape[1], factor).transpose(1, 3, 0, 2)
        ranked = np.empty(looks.shape, dtype=np.float32)
        finer = checked(new, shape=self.shape, bands=self.bands) if new else 1
        for rows in self._strips():
            counts = self._parts["scores"][:, rows]
            if new is not None and self.version(new.index) is None:
                counts = counts.copy()
                add_score(counts, share_of(new.rows(rows, factor=finer), factor=finer), +1)
            strip = looks[:, :, rows]
            flat = np.ascontiguousarray(strip).reshape(factor * factor, *strip.shape[2:])
            tenths = counts.astype(np.float32) / np.float32(TENTHS)
            ranked[:, :, rows] = cdf.rank(flat, tenths).reshape(strip.shape)
        whole: FloatArray = ranked.transpose(2, 0, 3, 1).reshape(padded.shape)
        return np.ascontiguousarray(whole[: cs.shape[0], : cs.shape[1]])

    def save(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Write to a folder, by default the one it was opened from: all of it, or nothing.

        Raises
        ------
        OutputError
            It can't be written; what was there before is there still.
        """
        target = Path(folder) if folder is not None else self.folder
        if target is None:
            raise ArgumentError("the history was never in a folder; pass save(folder).")
        self._parts.save(target, {"shape": list(self.shape), "bands": list(self.bands), "frames": self.frames})
        self.folder = target

    def _count(self, share: Share, rows: slice, sign: int) -> None:
        """Add a frame's share to all sums of some rows, or take it off."""
        add_score(self._parts["scores"][:, rows], share, sign)
        self._parts.touch("scores")
        if not share.weight.any():
            return
        weighted = share.weight * share.values
        changes: dict[str, Whole] = {
            f"weight{share.season}": share.weight,
            f"sum{share.season}": weighted,
            "square": weighted * share.values,
        }
        for name, change in changes.items():
            # Unsigned numbers wrap around, both ways: what is taken off is exactly what was added.
            part = self._parts[name][..., rows, :]
            (np.add if sign > 0 else np.subtract)(part, change, out=part, casting="unsafe")
            self._parts.touch(name)

    def _push(self, rows: slice, key: Whole, values: Whole) -> None:
        """Keep the two latest clear frames of each place; ``key`` is 0 where there is nothing new."""
        if not key.any():
            return
        when, recent = self._parts["when"][:, rows], self._parts["recent"][:, :, rows]
        latest = key > when[0]
        second = ~latest & (key > when[1])
        for kept, new in ((when, key), (recent, values)):
            np.copyto(kept[1], kept[0], where=latest)
            np.copyto(kept[1], new, where=second, casting="unsafe")
            np.copyto(kept[0], new, where=latest, casting="unsafe")
        self._parts.touch("when", "recent")

    def _latest(self, rows: slice, own: Share | None) -> tuple[Whole, FloatArray]:
        when, recent = self._parts["when"][:, rows], self._parts["recent"][:, :, rows]
        if own is None:
            return when[0], recent[0].astype(np.float32)
        is_own = when[0] == own.key
        return np.where(is_own, when[1], when[0]), np.where(is_own, recent[1], recent[0]).astype(np.float32)


def open_history(
    folder: str | os.PathLike[str], *, shape: tuple[int, int] | None = None, bands: Sequence[str] | None = None
) -> History:
    """Open the history in a folder; an empty one of this shape and these bands, if there is none.

    Raises
    ------
    ProductError
        What is there is damaged.
    ArgumentError
        What is there has another shape or other bands; or nothing is there, and shape or bands aren't given.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open_history(folder, shape=(2, 2), bands=["B02"]).save()
    ...     open_history(folder).bands
    ('B02',)
    """
    place = Path(folder)
    facts = read_manifest(place)
    if facts is None:
        if shape is None or bands is None:
            raise ArgumentError(f"{os.fspath(folder)!r} holds no history; pass shape and bands to begin one.")
        return History(shape, bands, folder=place)
    try:
        found, names = (int(facts["shape"][0]), int(facts["shape"][1])), tuple(facts["bands"])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ProductError(f"{place} holds no usable history ({error!r}); remove the folder.") from error
    if (shape or found, tuple(bands or names)) != (found, names):
        raise ArgumentError(
            f"{os.fspath(folder)!r} holds a history of shape {found} and bands {names}; asked for {shape} and {bands}. "
            "Remove it to begin another."
        )
    return History(found, names, folder=place, facts=facts)


def _text(date: np.datetime64) -> str:
    return str(date.astype("datetime64[s]"))
