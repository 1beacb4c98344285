"""Methods that need no environment of their own: Clearsight itself, and layers that came with the images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import xarray as xr

from clearsight.bands import BANDS, Level
from clearsight.evaluation.peers.protocol import Answer, Method
from clearsight.scoring import score

SCL_USABLE: Final = (4, 5, 6, 7, 11)
"""Classes of Sen2Cor's scene classification that show the ground: vegetation, soil, water, unclassified, snow."""


@dataclass(frozen=True)
class Clearsight:
    """Clearsight's own scores."""

    name: str = "clearsight"
    bands: tuple[Literal["cs", "cs_cdf"], ...] = ("cs", "cs_cdf")
    """Which of the scores are reported."""
    model: str | None = None
    """As for `clearsight.score`: None is the default model."""
    context: bool = True
    threshold: float = 0.6

    def obstacle(self, stack: xr.Dataset, *, level: Level) -> str | None:
        """Say nothing: B02, B03 and B04 are in every set."""
        return None

    def run(self, stack: xr.Dataset, *, level: Level) -> Answer:
        """Score the stack, all its frames at once."""
        bands = stack[[name for name in stack.data_vars if name in BANDS]]
        start = time.perf_counter()
        scores = score(bands, level=level, model=self.model, context=self.context)
        values = {f"{self.name} {band}": np.asarray(scores[band].values, np.float32) for band in self.bands}
        return Answer(values, time.perf_counter() - start)


@dataclass(frozen=True)
class Layer:
    """A score that came with the images, as Cloud Score+ does in CloudSEN12+; or classes of which some are usable."""

    name: str
    layer: str
    """Variable of the stack."""
    usable: tuple[int, ...] = ()
    """Classes that count as usable; none: the layer holds scores."""
    threshold: float = 0.6

    def obstacle(self, stack: xr.Dataset, *, level: Level) -> str | None:
        """Say if the layer isn't there."""
        return None if self.layer in stack else f"the set has no layer {self.layer}"

    def run(self, stack: xr.Dataset, *, level: Level) -> Answer:
        """Take the layer as it is."""
        values = stack[self.layer].values
        if self.usable:
            return Answer({self.name: np.isin(values, self.usable).astype(np.float32)}, 0.0)
        return Answer({self.name: values.astype(np.float32)}, 0.0)


_: tuple[type[Method], ...] = (Clearsight, Layer)
