"""What the truth is: the quality ``q`` of a pixel, and the cause of its loss.

**Definition.** ``q`` is the share of the true, directly lit surface in what was measured: the factor that stands before
the ground's own signal when a measurement is written as ``q · ground + (1 − q) · something else``.

    q = exp(−½ · (τ_sun + τ_view)) · exp(−½ · Δa · m) · (1 − s)

* ``τ_sun``: optical depth at 550 nm of all cloud along the sunbeam that should light the pixel, on its slant. A
  *shadow* is a large ``τ_sun`` with a small ``τ_view``; skylight in a shadow doesn't count, since it shows another
  ground: bluer, flatter, noisier.
* ``τ_view``: the same along the line of sight. Over a wide thin cloud both are alike, and light is lost twice.
* ``½``: half of the extinction by droplets and crystals is diffraction, which bends light by a degree or two only; that
  half still makes a sharp shadow and a sharp image (`shadows.STRAIGHT`).
* ``Δa``: aerosol optical depth at 550 nm above ``REFERENCE_AOT``, over the two-way path ``m = 1/cos(sun zenith) +
  1/cos(view zenith)``. So *haze, smoke and dust* lower ``q`` as a thin cloud does. Up to the reference, air is the
  usual air that every atmospheric correction removes: ``q = 1``.
* ``s``: share of stray light of bright cloud nearby: scattered by the air into the line of sight (adjacency), or thrown
  onto the ground by sunlit cloud sides.

The bands of an image see a cloud in slightly different places, the higher it is the more (a kilometre up: 24 m between
B02 and B09). ``q`` is given for where the 10 m bands see it, on average.

What follows: ``q`` lies in [0, 1]; without cloud, shadow and haze it is 1; more optical depth anywhere never raises it;
where it is 1 the surface can be computed from the measurement by the true atmosphere. *Terrain shadow* belongs to the
place, it comes back every year on the same days: it does not lower ``q``. Neither does any change of the surface itself
(snow, flood, harvest, fire scar, sun glint).

Numbers to hold on to, sun at 45°: cloud of optical depth 0.1 gives q = 0.89, 0.42 gives 0.6, 1 gives 0.3, 3 gives 0.03.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.imaging.shadows import STRAIGHT

Array = NDArray[np.float32]

REFERENCE_AOT: Final = 0.2
"""Aerosol optical depth at 550 nm up to which air counts as clear."""

CAUSES: Final[dict[int, str]] = {
    0: "clear",
    1: "thick cloud",
    2: "thin cloud or haze",
    3: "shadow",
    4: "snow or ice",
    5: "nodata or saturated",
}
"""Why a pixel is what it is. 4 is clear sight of ground that looks like cloud; 5 is set by the sensor."""

CLEAR_FROM: Final = 0.8
"""From this ``q`` on, a pixel's cause is "clear" (or "snow or ice")."""

THICK_FROM: Final = 3.0
"""From this optical depth along the line of sight on, the ground can't be seen: "thick cloud"."""


_VEIL_FROM: Final = 0.2
"""Optical depth of a wide veil that takes ``q`` down to ``CLEAR_FROM``."""


def quality(*, sun_depth: Array, view_depth: Array, haze: Array | float, airmass: float, stray: Array | float) -> Array:
    """Compute ``q`` as this module defines it.

    Parameters
    ----------
    sun_depth, view_depth : (y, x) arrays
        Optical depth of cloud along the sunbeam and along the line of sight, ≥ 0.
    haze : (y, x) array or float
        Aerosol optical depth at 550 nm, all of it.
    airmass : float
        ``1/cos(sun zenith) + 1/cos(view zenith)``.
    stray : (y, x) array or float
        Share of stray light, 0 … 1.

    Returns
    -------
    float32 array (y, x)
        0 … 1.

    Examples
    --------
    >>> none, cloud = np.zeros((1, 2), dtype="float32"), np.array([[0.0, 1.0]], dtype="float32")
    >>> quality(sun_depth=1.41 * cloud, view_depth=cloud, haze=0.1, airmass=2.4, stray=none).round(2)
    array([[1. , 0.3]], dtype=float32)
    """
    excess = np.maximum(np.asarray(haze, dtype=np.float32) - np.float32(REFERENCE_AOT), 0.0)
    blocking = np.float32(1.0 - STRAIGHT) * (sun_depth + view_depth + np.float32(airmass) * excess)
    return np.asarray(np.exp(-blocking) * (1.0 - np.asarray(stray, dtype=np.float32)), dtype=np.float32)


def cause_of(
    q: Array, *, sun_depth: Array, view_depth: Array, haze: Array, snowlike: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Name what lowers ``q`` most, as a code of ``CAUSES``.

    Parameters
    ----------
    q, sun_depth, view_depth : (y, x) arrays
        As in `quality`.
    haze : (y, x) array
        Aerosol above the reference along the line of sight.
    snowlike : (y, x) bool array
        Ground that reflects as snow and ice do.

    Returns
    -------
    uint8 array (y, x)

    Examples
    --------
    >>> q, sun, view = (np.array([v], dtype="float32") for v in ([1, 0.1, 0.4, 0.1], [0, 4, 1, 4], [0, 4, 0.8, 0]))
    >>> cause_of(q, sun_depth=sun, view_depth=view, haze=0 * q, snowlike=q > 2)
    array([[0, 1, 2, 3]], dtype=uint8)
    """
    veil = view_depth + haze
    # A veil that would spoil the pixel on its own names it, even where a thicker part of it shades the ground.
    cause = np.where((sun_depth > 2.5 * veil) & (veil < _VEIL_FROM), np.uint8(3), np.uint8(2))
    cause = np.where(view_depth >= THICK_FROM, np.uint8(1), cause)
    clear = np.where(snowlike, np.uint8(4), np.uint8(0))
    return np.where(q >= CLEAR_FROM, clear, cause)
