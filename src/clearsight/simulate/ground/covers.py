"""Land covers, and the patches of ground that make up a place: one row of facts per field, stand, roof or meadow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.ground.spectra import library, mixtures, wobble

Array = NDArray[np.float32]
Range = tuple[float, float]


class Cover(IntEnum):
    """Codes of land cover, as in ``Surface.classes``."""

    SOIL = 0
    CROP = 1
    MEADOW = 2
    STEPPE = 3
    DECIDUOUS = 4
    CONIFER = 5
    EVERGREEN = 6
    SHRUB = 7
    SAVANNA = 8
    REED = 9
    MANGROVE = 10
    ORCHARD = 11
    GARDEN = 12
    ROCK = 13
    SAND = 14
    SALT = 15
    MUD = 16
    ICE = 17
    ROAD = 18
    TRACK = 19
    PAVED = 20
    ROOF_RED = 21
    ROOF_DARK = 22
    ROOF_BRIGHT = 23
    RICE = 24
    CLEARCUT = 25
    CONCRETE = 26
    LAKE = 30
    RIVER = 31
    SEA = 32
    TIDAL = 33
    PLASTIC = 34
    PANEL = 35
    HALL = 36
    LAVA = 37
    PEAT = 38
    CHALK = 39
    ERG = 40


@dataclass(frozen=True)
class Facts:
    """What is drawn for a patch of one cover."""

    ground: tuple[str, ...]
    """Materials of the library that the ground is mixed from."""
    bright: Range
    """Factor on the measured spectra: in the field, ground is rougher and darker than in the laboratory."""
    plants: tuple[str, ...] = ()
    """Groups of plants that grow on it."""
    leaf_area: Range = (0.0, 0.0)
    """Largest leaf area index of the year, m2/m2."""
    shade: Range = (0.0, 0.0)
    """Share of light lost between crowns."""
    fine: float = 0.05
    """Standard deviation of brightness from pixel to pixel."""
    coarse: float = 0.2
    """Standard deviation of the logarithm of leaf area inside a patch."""
    local: float = 0.8
    """How much of the ground follows the region, rather than being drawn anew: 0 … 1."""


FACTS: Final[dict[Cover, Facts]] = {
    Cover.SOIL: Facts(("soil",), (0.45, 1.2), ("grass",), (0.0, 0.25), fine=0.035, coarse=0.3),
    Cover.CROP: Facts(("soil",), (0.4, 0.95), ("cereal", "broadleaf"), (2.5, 6.0), fine=0.03, coarse=0.22),
    Cover.MEADOW: Facts(("soil",), (0.35, 0.7), ("grass",), (2.0, 5.0), fine=0.04, coarse=0.22),
    Cover.STEPPE: Facts(("soil",), (0.45, 1.2), ("grass",), (0.15, 2.0), (0.0, 0.25), 0.045, 0.4),
    Cover.DECIDUOUS: Facts(("litter",), (0.3, 0.7), ("deciduous",), (3.0, 6.0), (0.2, 0.55), 0.10, 0.15, 0.3),
    Cover.CONIFER: Facts(("litter",), (0.2, 0.5), ("conifer",), (2.2, 5.5), (0.35, 0.66), 0.10, 0.2, 0.3),
    Cover.EVERGREEN: Facts(
        ("litter",), (0.3, 0.6), ("mangrove", "deciduous"), (4.0, 6.8), (0.25, 0.55), 0.10, 0.12, 0.3
    ),
    Cover.SHRUB: Facts(("soil",), (0.45, 1.2), ("shrub",), (0.1, 1.8), (0.15, 0.55), 0.08, 0.35),
    Cover.SAVANNA: Facts(("soil",), (0.4, 1.05), ("grass", "shrub"), (0.6, 2.8), (0.05, 0.35), 0.06, 0.4),
    Cover.REED: Facts(("soil",), (0.25, 0.5), ("cereal", "grass"), (1.5, 4.5), (0.0, 0.2), 0.06, 0.3),
    Cover.MANGROVE: Facts(("soil",), (0.2, 0.4), ("mangrove",), (3.0, 5.5), (0.1, 0.35), 0.07, 0.15),
    Cover.ORCHARD: Facts(("soil",), (0.4, 0.9), ("deciduous", "shrub"), (0.7, 2.2), (0.05, 0.25), 0.09, 0.2),
    Cover.GARDEN: Facts(("soil", "concrete"), (0.4, 0.8), ("grass", "deciduous"), (0.8, 3.5), (0.0, 0.25), 0.10, 0.3),
    Cover.ROCK: Facts(("soil", "asphalt", "sand"), (0.4, 1.25), ("shrub",), (0.0, 0.3), fine=0.07, coarse=0.4),
    Cover.SAND: Facts(("soil", "soil", "sand"), (0.75, 1.5), ("grass",), (0.0, 0.06), fine=0.03, coarse=0.3),
    Cover.ERG: Facts(("quartz",), (0.75, 1.4), ("grass",), (0.0, 0.03), fine=0.03, coarse=0.3),
    Cover.SALT: Facts(("salt",), (0.8, 1.2), fine=0.025, local=0.8),
    Cover.MUD: Facts(("soil",), (0.3, 0.7), fine=0.04),
    Cover.ICE: Facts(("ice",), (0.7, 1.1), fine=0.05, local=0.7),
    Cover.ROAD: Facts(("asphalt",), (0.6, 1.2), fine=0.05, local=0.3),
    Cover.TRACK: Facts(("soil", "soil", "concrete"), (0.5, 0.85), ("grass",), (0.2, 1.2), fine=0.06, local=0.5),
    Cover.PAVED: Facts(("asphalt", "asphalt", "concrete"), (0.55, 1.0), fine=0.06, local=0.0),
    Cover.ROOF_RED: Facts(("tile",), (0.55, 1.05), fine=0.06, local=0.0),
    Cover.ROOF_DARK: Facts(("shingle", "asphalt", "metal"), (0.5, 1.1), fine=0.06, local=0.0),
    Cover.ROOF_BRIGHT: Facts(("paint", "metal", "concrete", "white"), (0.6, 1.25), fine=0.04, local=0.0),
    Cover.RICE: Facts(("soil",), (0.3, 0.6), ("cereal",), (3.0, 5.5), fine=0.03, coarse=0.15),
    Cover.CONCRETE: Facts(("concrete",), (0.75, 1.25), fine=0.04, local=0.3),
    Cover.PLASTIC: Facts(("plastic",), (0.6, 1.25), ("broadleaf",), (0.0, 0.7), fine=0.05, local=0.5),
    Cover.PANEL: Facts(("panel",), (0.7, 1.3), ("grass",), (0.0, 0.5), fine=0.05, local=0.9),
    Cover.HALL: Facts(("white", "white", "metal", "paint"), (0.7, 1.45), fine=0.03, local=0.2),
    Cover.LAVA: Facts(("lava",), (0.6, 1.4), ("shrub",), (0.0, 0.25), fine=0.09, coarse=0.5, local=0.7),
    Cover.PEAT: Facts(("peat",), (0.7, 1.3), ("grass",), (0.0, 0.2), fine=0.04, local=0.7),
    Cover.CHALK: Facts(("chalk",), (0.65, 1.15), ("grass",), (0.0, 0.08), fine=0.035, local=0.7),
    Cover.CLEARCUT: Facts(("litter", "soil"), (0.5, 0.9), ("shrub", "grass"), (0.3, 2.0), (0.0, 0.15), 0.08, 0.35, 0.4),
}
"""What is known of every cover that a patch can have; water is not a patch but lies over patches."""


_MODELLED: Final[dict[str, tuple[tuple[float, ...], float, float]]] = {
    # White polyethylene takes light away by its own bands at 1.7 and 2.3 micrometres.
    "plastic": ((0.42, 0.48, 0.53, 0.54, 0.55, 0.57, 0.58, 0.58, 0.58, 0.55, 0.42, 0.46, 0.32), 0.2, 0.08),
    "panel": ((0.060, 0.060, 0.052, 0.048, 0.048, 0.052, 0.058, 0.064, 0.07, 0.08, 0.10, 0.13, 0.12), 0.2, 0.1),
    "lava": ((0.035, 0.037, 0.041, 0.046, 0.048, 0.050, 0.052, 0.053, 0.054, 0.056, 0.060, 0.066, 0.065), 0.3, 0.1),
    "peat": ((0.025, 0.028, 0.034, 0.042, 0.050, 0.058, 0.066, 0.073, 0.080, 0.090, 0.12, 0.15, 0.13), 0.2, 0.06),
    # Sand seas, brighter than what the library measured: the deserts over which satellites compare their radiometers
    # (Libya 4, Algeria 3, Sudan 1, Arabia 1: Cosnefroy et al. 1996, Remote Sensing of Environment 58, 101).
    "quartz": ((0.13, 0.165, 0.26, 0.36, 0.385, 0.40, 0.415, 0.43, 0.435, 0.45, 0.49, 0.525, 0.50), 0.15, 0.08),
    "chalk": ((0.53, 0.59, 0.65, 0.69, 0.70, 0.72, 0.73, 0.74, 0.74, 0.74, 0.68, 0.73, 0.60), 0.12, 0.06),
}
"""Materials that the library lacks: middle reflectance, after the shape of published spectra, and how it varies
(brightness and slope of ``wobble``)."""


@dataclass(frozen=True)
class Patches:
    """The patches of a place, one row each."""

    cover: NDArray[np.uint8]
    """Codes of ``Cover``."""
    plant: NDArray[np.intp]
    """Which plant of the library grows there."""
    ground: Array
    """(n, 13) reflectance of the dry ground."""
    litter: Array
    """(n, 13) reflectance of dead plants lying on it."""
    tint: Array
    """(n, 13) factor on the plants' reflectance."""
    leaf_area: Array
    """Largest leaf area index of the year."""
    shade: Array
    """Share of light lost between crowns."""
    fine: Array
    """Standard deviation of brightness from pixel to pixel."""
    coarse: Array
    """Standard deviation of the logarithm of leaf area inside a patch."""
    chance: Array
    """(n, 6) uniform numbers: the patch's own luck with dates and habits."""
    partner: NDArray[np.int32]
    """The patch it is mixed with in a continuous way, or itself."""


def draw_patches(
    rng: np.random.Generator, *, cover: NDArray[np.uint8], partner: NDArray[np.int32], region_soils: int = 4
) -> Patches:
    """Draw the facts of every patch of a place.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    cover : uint8 array (n,)
        Codes of ``Cover``.
    partner : int32 array (n,)
        As in ``Patches``.
    region_soils : int
        How many kinds of soil the region has; the patches are mixtures of them.
    """
    n = cover.size
    plant, ground = np.zeros(n, dtype=np.intp), np.zeros((n, 13), dtype=np.float32)
    scalars = {name: np.zeros(n, dtype=np.float32) for name in ("leaf_area", "shade", "fine", "coarse")}
    for code in np.unique(cover):
        facts, rows = FACTS[Cover(code)], np.flatnonzero(cover == code)
        ground[rows] = _ground(rng, facts, count=rows.size, region=region_soils)
        plant[rows] = _plants(rng, facts, count=rows.size)
        scalars["leaf_area"][rows] = rng.uniform(*facts.leaf_area, rows.size)
        scalars["shade"][rows] = rng.uniform(*facts.shade, rows.size)
        scalars["fine"][rows] = facts.fine * rng.lognormal(0.0, 0.35, rows.size)
        scalars["coarse"][rows] = facts.coarse * rng.lognormal(0.0, 0.3, rows.size)
    return Patches(
        cover=cover,
        plant=plant,
        ground=ground,
        litter=mixtures(rng, material="litter", count=n) * wobble(rng, count=n, brightness=0.15, slope=0.08),
        tint=wobble(rng, count=n, brightness=0.08, slope=0.07),
        chance=rng.random((n, 6), dtype=np.float32),
        partner=partner,
        **scalars,
    )


def _ground(rng: np.random.Generator, facts: Facts, *, count: int, region: int) -> Array:
    """Dry ground of patches: the few soils of the region in varied shares, and some of its own."""
    drawn = rng.choice(facts.ground, region).tolist()
    pool = np.concatenate([_material(rng, name, count=drawn.count(name)) for name in sorted(set(drawn))])
    shares = rng.dirichlet(np.full(region, 0.5), count).astype(np.float32)
    regional = shares @ pool
    names = rng.integers(0, len(facts.ground), count)
    own = np.empty((count, 13), dtype=np.float32)
    for i, name in enumerate(facts.ground):
        own[names == i] = _material(rng, name, count=int((names == i).sum()))
    keep = np.float32(facts.local) * (rng.random((count, 1), dtype=np.float32) * 0.4 + 0.6)
    brightness = rng.uniform(*facts.bright, (count, 1)).astype(np.float32)
    mixed = keep * regional + (1 - keep) * own
    own_colour = wobble(rng, count=count, brightness=0.06, slope=0.04)
    return np.asarray(np.clip(mixed * brightness * own_colour, 0.005, 0.95), dtype=np.float32)


def _material(rng: np.random.Generator, name: str, *, count: int) -> Array:
    """Spectra (count, 13) of a material, measured or, for salt, white paint and old ice, modelled."""
    if name in library().materials:
        return mixtures(rng, material=name, count=count)
    if name in _MODELLED:
        spectrum, brightness, slope = _MODELLED[name]
        coloured = wobble(rng, count=count, brightness=brightness, slope=slope)
        return np.asarray(np.array(spectrum, dtype=np.float32) * coloured, dtype=np.float32)
    if name == "white":
        return np.full((count, 13), 0.6, dtype=np.float32) * wobble(rng, count=count, brightness=0.18, slope=0.12)
    if name == "ice":
        clean = library().snow[0, -2:].mean(axis=0)
        return np.asarray(clean**1.3 * wobble(rng, count=count, brightness=0.12, slope=0.06), dtype=np.float32)
    # Halite is white everywhere; gypsum and the water bound in wet salts take the short-wave infrared away.
    halite = np.array([0.50, 0.55, 0.61, 0.65, 0.66, 0.67, 0.68, 0.68, 0.68, 0.66, 0.56, 0.56, 0.46])
    gypsum = np.array([0.55, 0.60, 0.66, 0.70, 0.71, 0.72, 0.72, 0.72, 0.71, 0.66, 0.48, 0.42, 0.22])
    share = rng.random((count, 1))
    salts = (share * halite + (1 - share) * gypsum) * wobble(rng, count=count, brightness=0.1, slope=0.06)
    soils = mixtures(rng, material="soil", count=count)
    muddy = rng.beta(0.8, 4.0, (count, 1))
    return np.asarray(salts * (1 - muddy) + soils * muddy, dtype=np.float32)


def _plants(rng: np.random.Generator, facts: Facts, *, count: int) -> NDArray[np.intp]:
    """A plant for each patch."""
    books = library()
    groups = [books.plants.index(name) for name in facts.plants] or [0]
    members = books.canopy.shape[1]
    return np.asarray(rng.choice(groups, count) * members + rng.integers(0, members, count), dtype=np.intp)
