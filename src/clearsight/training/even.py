"""Even areas: ground, snow and cloud without texture, which fields, ice, fog and people's first examples have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from clearsight.model import CAUSES

_AREAS: Final = 4
"""At most so many in a clip."""
_WHOLE: Final = 0.3
"""Share of the first areas that are all of the crop."""
_OPAQUE: Final = 10
"""Of 200. Below it, what is under a thick cloud doesn't matter: it may lie anywhere."""
_THICK: Final = CAUSES.index("thick cloud")
_ALIKE: Final = 20
"""Of 200: how far the quality may differ around a place whose bands of all resolutions are to tell the same."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Arrays of a clip's crop that tell of the same pixels; `make_even` writes into them."""

    ten: NDArray[np.float32]
    """Reflectance (frame, band, y, x) at 10 m."""
    twenty: NDArray[np.float32]
    """(frame, band, y/2, x/2)."""
    quality: NDArray[np.uint8]
    """(frame, y, x), of 200; 255 = nodata."""
    cause: NDArray[np.uint8]
    """(frame, y/2, x/2)."""
    trust: NDArray[Any] | None
    """(frame, y/2, x/2)."""

    def spread(self, frame: int | slice, place: tuple[int, int], area: NDArray[np.bool_]) -> None:
        """Give all pixels of an area (y/2, x/2) the values of one place of 20 m."""
        row, col = place
        fine = area.repeat(2, axis=0).repeat(2, axis=1)
        for values in (self.twenty, self.cause, self.trust):
            if values is not None:
                values[frame][..., area] = values[frame][..., row, col, None].copy()
        for values in (self.ten, self.quality):
            values[frame][..., fine] = values[frame][..., 2 * row, 2 * col, None].copy()


def make_even(frames: Frames, rng: np.random.Generator) -> None:
    """Spread single places over areas, through all dates: what was true of the place is true of the area.

    In single dates opaque cloud is spread, too, since it hides whatever is below.
    """
    size = frames.twenty.shape[-1]
    for number in range(int(rng.integers(1, _AREAS + 1))):
        whole = number == 0 and rng.random() < _WHOLE
        area = np.ones((size, size), dtype=bool) if whole else draw_area(size, rng)
        if rng.random() < 0.5:
            place = _place(np.logical_and.reduce(_alike(frames.quality)), rng)
            if place:
                frames.spread(np.s_[:], place, area)
            continue
        hidden = _alike(frames.quality, below=_OPAQUE) & (frames.cause == _THICK)
        for frame, choice in enumerate(hidden):
            place = _place(choice, rng)
            if place and rng.random() < 0.5:
                frames.spread(frame, place, area)


def draw_area(size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A half plane, a disc or a rectangle within a square of so many pixels, turned anyhow."""
    y, x = np.indices((size, size)) - rng.uniform(0, size, (2, 1, 1))
    angle = rng.uniform(0, 2 * np.pi)
    along, across = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    reach = size * np.exp(rng.uniform(np.log(0.05), np.log(0.6), 2))
    kind = rng.integers(3)
    inside: NDArray[np.bool_] = (
        along > 0 if kind == 0
        else np.hypot(along, across) < reach[0] if kind == 1
        else (np.abs(along) < reach[0]) & (np.abs(across) < reach[1])
    )  # fmt: skip
    return inside


def _alike(quality: NDArray[np.uint8], *, below: int = 201) -> NDArray[np.bool_]:
    """Where (frame, y/2, x/2) the 60 m around have nearly the same quality, all below some value."""
    found = np.zeros((len(quality), quality.shape[1] // 2, quality.shape[2] // 2), dtype=bool)
    around = sliding_window_view(quality, (6, 6), axis=(1, 2))[:, ::2, ::2]
    low, high = around.min(axis=(3, 4)), around.max(axis=(3, 4))
    found[:, 1:-1, 1:-1] = (high < below) & (high - low <= _ALIKE)
    return found


def _place(choice: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int] | None:
    places = np.argwhere(choice)
    if not len(places):
        return None
    row, col = places[int(rng.integers(len(places)))]
    return int(row), int(col)
