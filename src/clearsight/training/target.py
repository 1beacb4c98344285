"""What the network is taught to say: the score ``cs`` of a simulated pixel, from the exact truth about it.

**Definition.** 0.60 is where a careful person would begin to keep the pixel for most work.

    cs = (1 − R)^5 · T² · exp(−½ · Δa · m) · (1 − s)

* ``R = γτ / (1 + γτ)``, ``γ = 0.15``: what a plane cloud of optical depth ``τ`` along the line of sight reflects
  (two-stream, γ ≈ (1 − g)·√3/2 with g ≈ 0.83 between droplets and crystals; Coakley and Chylek 1975,
  doi:10.1175/1520-0469(1975)032<0409:TTSAIR>2.0.CO;2). It is the part of the signal that the cloud has put in.
* ``T``: sunlight that reaches the ground past all cloud, straight or scattered, relative to the open: what a shadow
  really takes away. Under thin cloud most of it arrives, scattered by a few degrees.
* ``Δa · m``: aerosol above the usual, on the two-way path; ``s``: stray light of bright cloud nearby. Both as in ``q``
  (`clearsight.simulate.imaging.truth`).

Why not ``q`` itself: ``q`` counts all light that doesn't come straight, so that the shadow of a cloud of optical depth
1 has q = 0.5, though the ground in it is a tenth darker, and nobody would throw it away. Over cloud the two agree: a
wide veil of optical depth 0.42 with the sun at 45° has q = 0.6 and cs = 0.63.
The powers are those of a first trial: with a plain share people cut at 0.9, with these near 0.6.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.imaging.render import Rendered
from clearsight.simulate.imaging.shadows import STRAIGHT

Array = NDArray[np.float32]

GAMMA: Final = 0.15
VEIL_POWER: Final = 5.0

_TINY: Final = np.float32(1e-20)


def clear_score(frame: Rendered) -> Array:
    """Compute ``cs`` of a simulated frame as this module defines it.

    Parameters
    ----------
    frame : Rendered
        From `clearsight.simulate.imaging.render.render`.

    Returns
    -------
    float32 array (y, x)
        0 … 1.

    Examples
    --------
    >>> from clearsight.simulate.imaging.render import render
    >>> from clearsight.simulate.air.state import Geometry
    >>> from clearsight.simulate.cloud.sky import Sky
    >>> ground = np.full((13, 16, 16), 0.2, dtype="float32")
    >>> float(clear_score(render(ground, sky=Sky(), geometry=Geometry(sun_zenith=40))).min())
    1.0
    """
    depth = frame.optical_depth
    veil = np.float32(1.0) / (np.float32(1.0) + np.float32(GAMMA) * depth)
    lit = np.square(np.minimum(frame.light, np.float32(1.0)))
    # What q loses beyond both beams through cloud is lost to haze and stray light.
    beams = np.exp(np.float32(STRAIGHT - 1.0) * depth) * np.power(frame.shadow, np.float32((1.0 - STRAIGHT) / STRAIGHT))
    air = np.where(beams > _TINY, np.minimum(frame.q / np.maximum(beams, _TINY), 1.0), np.float32(1.0))
    return np.asarray(veil ** np.float32(VEIL_POWER) * lit * air, dtype=np.float32)
