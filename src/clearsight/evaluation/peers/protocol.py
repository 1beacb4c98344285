"""What a method of scoring is, ours or a peer: a stack in, scores of each pixel out, and the time it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from clearsight.bands import Level


@dataclass(frozen=True)
class Answer:
    """What a method says about a stack."""

    scores: Mapping[str, NDArray[np.float32]]
    """By the name that the report gives them: (time, y, x), 0 … 1, more is clearer; NaN where nothing is said. Masks
    are 0 and 1. Most methods have one."""
    seconds: float
    """Spent on scoring: neither reading nor loading the model."""


class Method(Protocol):
    """A way to score a stack."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        ...

    @property
    def threshold(self) -> float:
        """Where its authors cut: pixels that score at least this are usable."""
        ...

    def obstacle(self, stack: xr.Dataset, *, level: Level) -> str | None:
        """Why it can't score this stack, and the way out; None if it can."""
        ...

    def run(self, stack: xr.Dataset, *, level: Level) -> Answer:
        """Score every frame of a stack: variables named as bands, dims ``(time, y, x)``, reflectance, NaN = nodata."""
        ...
