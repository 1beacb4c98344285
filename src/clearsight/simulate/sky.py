"""The sky over a frame: its air and its clouds, drawn as often as they occur."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.atmosphere import AEROSOLS, Air
from clearsight.simulate.clouds import DEFAULT_MARGIN, CloudLayer, make_clouds

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sky:
    """Everything between ground and satellite. Without arguments: clear."""

    layers: tuple[CloudLayer, ...] = ()
    """Cloud layers, in any order."""
    air: Air = field(default_factory=Air)
    """With an ``aot`` field (y, x) for plumes of smoke and dust."""
    ahead: bool = True
    """The detector looks ahead (odd numbers) or back: turns the parallax between bands around."""


def draw_sky(
    seed: int,
    *,
    shape: tuple[int, int],
    clouds: float | None = None,
    pixel: float = 10.0,
    margin: int = DEFAULT_MARGIN,
    elevation: Array | None = None,
    air: Air | None = None,
) -> Sky:
    """Draw the sky of one moment.

    Parameters
    ----------
    seed : int
        Any integer.
    shape : (int, int)
        Rows and columns of the frame.
    clouds : float, optional
        Chance that there are clouds at all; default: as often as in the shipped statistics of real scenes.
    pixel : float
        Metres.
    margin : int
        See `clouds.CloudLayer`.
    elevation : (y, x) array, optional
        Metres above the sea.
    air : Air, optional
        The usual air of place and season; its aerosol is varied, the rest kept. Default: drawn too.

    Returns
    -------
    Sky

    Examples
    --------
    >>> draw_sky(1, shape=(32, 32), clouds=0.0).layers
    ()
    """
    rng = np.random.default_rng([abs(seed), int(seed < 0), 6007])
    height = 0.0 if elevation is None else float(elevation.mean()) / 1000
    if air is None:
        air = Air(
            aerosol=AEROSOLS[rng.integers(5)],
            aot=float(rng.gamma(2.0, 0.07)),
            water_vapour=float(rng.gamma(3.0, 0.6)),
            elevation=height,
        )
    layers = []
    if rng.random() < (0.65 if clouds is None else clouds):
        kind = str(
            rng.choice(
                ["cumulus", "broken_stratus", "overcast", "thin_cirrus", "thick_cirrus", "haze_veil", "congestus"]
            )
        )
        layers.append(
            make_clouds(
                kind,
                shape=shape,
                seed=int(rng.integers(2**31)),
                cover=float(rng.uniform(0.1, 1.0)),
                pixel=pixel,
                margin=margin,
                elevation=elevation,
            )
        )
    return Sky(tuple(layers), air, bool(rng.integers(2)))
