"""What the network is told about a frame beside its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import Level

FloatArray = NDArray[np.float32]

TEN = ("B02", "B03", "B04", "B08")
TWENTY = ("B05", "B06", "B07", "B8A", "B11", "B12", "B01", "B09", "B10")


@dataclass(frozen=True)
class View:
    """Where sun and satellite stand, degrees; azimuth clockwise from the top of the image."""

    sun_zenith: float
    sun_azimuth: float
    view_zenith: float = 5.0


def conditions(names: Sequence[str], *, level: Level, pixel: float, view: View | None) -> FloatArray:
    """Facts (20,) about a frame: bands present, level, pixel size, sun and view.

    Parameters
    ----------
    names : sequence of str
        Bands that are there.
    level : {"L1C", "L2A"}
    pixel : float
        Metres, of the 10 m bands' grid as given.
    view : View or None
        Unknown angles are all 0, a sun on the horizon.

    Examples
    --------
    >>> conditions(["B02", "B03", "B04"], level="L2A", pixel=10.0, view=None).sum()
    np.float32(4.0)
    """
    facts = [float(name in names) for name in (*TEN, *TWENTY)]
    facts += [float(level == "L2A"), float(np.log2(pixel / 10.0)) / 2.6]
    if view is None:
        return np.array([*facts, 0, 0, 0, 0, 0], dtype=np.float32)
    zenith, azimuth = np.radians([view.sun_zenith, view.sun_azimuth])
    slant = min(float(np.tan(zenith)), 6.0) / 3.0
    return np.array(
        [
            *facts,
            np.cos(zenith),
            slant,
            slant * np.sin(azimuth),
            -slant * np.cos(azimuth),
            view.view_zenith / 12.0,
        ],
        dtype=np.float32,
    )
