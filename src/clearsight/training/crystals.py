"""Larger crystals in deep clouds: how dark their tops may be in the SWIR, up to that of snow."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clearsight.context import halved
from clearsight.model import CAUSES, TWENTY

_GROWTH: Final = (1.0, 4.0)
"""Times the effective radius; the simulated clouds have 15 to 45 micrometres. Whole frames of two real series have B11
at 0.08 to 0.35 of B02, simulated ones at 0.25 to 0.45, so that everything darker would be snow."""
_HIGH: Final = (0.01, 0.05)
"""B10 of clouds that may hold crystals: none below, surely from the second on."""
_B10, _B11, _B12 = (TWENTY.index(name) for name in ("B10", "B11", "B12"))
_THICK: Final = CAUSES.index("thick cloud")


def grow_crystals(
    ten: NDArray[np.float32],
    twenty: NDArray[np.float32],
    *,
    quality: NDArray[np.uint8],
    cause: NDArray[Any],
    rng: np.random.Generator,
) -> None:
    """Darken B11 and B12 of thick high cloud in place, each frame by a growth of its own.

    What a deep cloud absorbs goes with the root of its particles' size (Twomey & Bohren 1980, J. Atmos. Sci. 37,
    2086-2094), and so does the logarithm of a band's ratio to B02, which ice doesn't absorb: within a tenth of what
    `simulate.cloud.optics` gives for 10 to 60 micrometres.

    Parameters
    ----------
    ten, twenty : float32 arrays (frame, 4, y, x), (frame, 9, y/2, x/2)
        Reflectance of L1C, all bands there.
    quality : uint8 array (frame, y, x)
        Of 200; 255 = nodata.
    cause : integer array (frame, y/2, x/2)
        Codes of `model.CAUSES`.
    rng : numpy.random.Generator
        Draws the growth.
    """
    blue = np.maximum(halved(ten[:, 0]), np.float32(1e-3))
    clear = np.minimum(halved(quality.astype(np.float32)) / 200, 1)
    low, high = _HIGH
    frozen = (cause == _THICK) * (1 - clear) ** 2 * np.clip((twenty[:, _B10] - low) / (high - low), 0, 1)
    least, most = np.log(_GROWTH)
    growth = np.exp(rng.uniform(least, most, len(ten)))
    power = frozen * (np.sqrt(growth) - 1)[:, None, None]
    for band in (_B11, _B12):
        twenty[:, band] *= (np.clip(twenty[:, band] / blue, 1e-3, 1) ** power).astype(np.float32)
