"""What dry land reflects on a date: patches with their plants, mixed at their borders, rough within."""

from __future__ import annotations

import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.ground.covers import Patches
from clearsight.simulate.ground.phenology import Growth
from clearsight.simulate.ground.spectra import canopy, wetted

Array = NDArray[np.float32]
Ids = NDArray[np.int32]

_YELLOW: Final = np.array(
    [0.0, 0.005, 0.07, 0.085, 0.06, 0.03, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01, 0.01], dtype=np.float32
)
"""What a field in full bloom adds: petals take blue away only."""

_PADDY: Final = np.array(
    [0.05, 0.055, 0.07, 0.06, 0.05, 0.03, 0.03, 0.028, 0.025, 0.02, 0.0, 0.006, 0.004], dtype=np.float32
)
"""Shallow water over mud."""


_CROWN_SHADE: Final = np.array([1.1, 1.1, 1.1, 1.1, 1.0, 0.7, 0.62, 0.6, 0.6, 0.65, 0.85, 0.85, 1.0], dtype=np.float32)
"""How deep the shade between crowns is in each band."""


_SHADE_SUN: Final = 40.0
"""Zenith angle in degrees for which the shade of covers is given. Shadows grow with its tangent, and overlap: the root
of it."""

_BURNING: Final = {"savanna": 0.8, "grassland": 0.35, "forest": 0.25}
"""Chance of a fire within a year."""


def ground_reflectance(
    patches: Patches, growth: Growth, *, first: Ids, second: Ids, share: Array, fine: Array, coarse: Array,
    sun_zenith: float = 40.0,
) -> Array:  # fmt: skip
    """Reflectance of every pixel without snow or open water.

    Parameters
    ----------
    patches, growth
        The patches, and their state on the date.
    first, second : int32 arrays (pixels)
        Patches of each pixel.
    share : float32 array (pixels)
        Of the second.
    fine, coarse : float32 arrays (pixels)
        Unit random fields.
    sun_zenith : float
        Degrees: under a low sun crowns shade each other and the ground between them more.

    Returns
    -------
    float32 array (13, pixels)
    """
    # Where plants stand thicker and the soil is darker, coarse is high: the patch between its two extremes.
    longer = float(np.clip(np.tan(np.deg2rad(sun_zenith)) / np.tan(np.deg2rad(_SHADE_SUN)), 0.4, 2.0)) ** 0.5
    thin, thick = (_patch_spectra(patches, growth, bend=bend, longer=longer) for bend in (-1.0, 1.0))
    middle, change = np.ascontiguousarray((0.5 * (thin + thick)).T), np.ascontiguousarray((0.5 * (thick - thin)).T)
    swing = np.clip(coarse, -2.2, 2.2)
    rough = fine * patches.fine[first]
    edge = np.flatnonzero(share > 0)
    other, part, bend = second[edge], share[edge], swing[edge]
    values = np.empty((13, first.size), dtype=np.float32)
    for band in range(13):
        here = values[band]
        np.take(change[band], first, out=here)
        here *= swing
        here += middle[band][first]
        mine = here[edge]
        here[edge] = mine + part * (middle[band][other] + bend * change[band][other] - mine)
    # Rough ground and crowns scatter evenly around their mean; the factor is kept positive.
    values *= np.exp(np.clip(rough, -0.8, 0.8))
    return np.maximum(values, 0.002, out=values)


def _patch_spectra(patches: Patches, growth: Growth, *, bend: float, longer: float) -> Array:
    """Spectra (n, 13) of the patches, ``bend`` standard deviations from their middle, in ``longer`` times as much
    shade as under the usual sun."""
    change = bend * patches.coarse
    dry = patches.ground * (growth.rough * np.exp(-0.22 * change))[:, None]
    soil = wetted(dry, np.clip(growth.moisture * (1 + 0.3 * change), 0, 1).astype(np.float32))
    straw = wetted(patches.litter, (0.6 * growth.moisture).astype(np.float32))
    litter = growth.litter[:, None]
    ground = soil * (1 - litter) + straw * litter
    ground = ground + growth.flooded[:, None] * (_PADDY - ground)
    area = (growth.leaf_area * np.exp(change)).astype(np.float32)
    plants = canopy(patches.plant, state=growth.dead, leaf_area=area, ground=ground.astype(np.float32))
    hidden = (1 - np.exp(-0.6 * area))[:, None]
    plants = plants * (1 + hidden * (patches.tint - 1))
    # Rows, tracks and gaps show the ground even in full leaf.
    gaps = (0.02 + 0.16 * patches.chance[:, 3] ** 2)[:, None]
    plants = plants + gaps * (ground - plants)
    plants = plants + (growth.flower[:, None] * hidden) * _YELLOW
    # Shade between crowns: darkest where leaves let no light through, that is in the visible.
    dark = (np.minimum(longer * patches.shade[:, None], 0.85) * hidden) * _CROWN_SHADE
    return np.asarray(plants * (1 - np.minimum(dark, 0.9)), dtype=np.float32)


def burn(
    values: Array, *, kind: str, seed: int, latitude: float, coarse: Array, fine: Array, date: datetime.date
) -> None:
    """Scars of this year's and last year's fires, in place: black at once, gone in months, or years for a forest.

    Parameters
    ----------
    values : float32 array (13, pixels)
        Reflectance.
    kind, seed, latitude
        Of the place.
    coarse, fine : float32 arrays (y, x)
        Unit random fields that the scars follow.
    date : datetime.date
        Any date.
    """
    chance = _BURNING.get(kind, 0.0)
    for year in (date.year - 1, date.year):
        rng = np.random.default_rng([abs(seed), 23, year + 10_000])
        luck, day, part, row, column = rng.random(5)
        start = 15 + 90 * day if kind == "savanna" else 190 + 70 * day
        since = date.toordinal() - datetime.date(year, 1, 1).toordinal() - start - (182 if latitude < 0 else 0)
        if chance == 0 or luck > chance or since < 0:
            continue
        rows, columns = (int(v * n) for v, n in zip((row, column), coarse.shape, strict=True))
        where = np.roll(coarse, (rows, columns), (0, 1)).ravel() * 0.5 + 0.2 * fine.ravel()
        severity = np.clip((where - 0.75 + 0.9 * part) * 4, 0.0, 0.95)
        severity *= np.exp(-since / (500.0 if kind == "forest" else 55.0))
        char = np.array([0.030, 0.033, 0.038, 0.045, 0.050, 0.056, 0.062, 0.068, 0.073, 0.082, 0.12, 0.15, 0.155])
        values += severity * (char[:, None].astype(np.float32) - values)
