"""A season over one site: which satellite passes when, how its products were processed, and what the sky does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.air.atmosphere import Air
from clearsight.simulate.cloud.fields import CloudLayer, make_clouds
from clearsight.simulate.cloud.noise import noise
from clearsight.simulate.cloud.sky import Sky
from clearsight.simulate.imaging.orbit import Overpass, overpass

Array = NDArray[np.float32]

START: Final = date(2021, 4, 26)
"""First pass of the season: before baseline 04.00, so that reprocessed and first-hand products can lie side by side."""

REPROCESSED: Final = "05.00"
_BASELINES: Final = ((date(2021, 3, 30), "03.00"), (date(2021, 6, 30), "03.01"))
"""Processing baseline of the products made on the day itself, from a date on."""

# Haze has no layer: it is in the air.
SKIES: Final[dict[str, tuple[tuple[str, float, float | None], ...]]] = {
    "clear": (),
    "nearly clear": (("cumulus", 0.04, None),),
    "broken cumulus": (("cumulus", 0.35, None),),
    "overcast": (("overcast", 1.0, None),),
    "thin cirrus": (("thin_cirrus", 0.9, 0.3),),
    "haze": (),
    "broken stratus": (("broken_stratus", 0.6, None),),
    "towering cumulus": (("congestus", 0.3, None), ("cumulus", 0.15, None)),
    "altocumulus": (("altocumulus", 0.6, None),),
    "cumulus under cirrus": (("cumulus", 0.2, None), ("thick_cirrus", 0.6, None)),
    "scattered cumulus": (("cumulus", 0.15, None),),
    "veil": (("haze_veil", 0.9, 0.4),),
}
"""What the sky can do: layers of cloud, each a kind, the share of sky it covers, and the mean optical depth where it
is, if that must not be left to chance."""

_SEASON: Final = (
    "clear", "broken cumulus", "overcast", "nearly clear", "thin cirrus", "haze", "broken stratus", "clear",
    "towering cumulus", "overcast", "cumulus under cirrus", "altocumulus", "scattered cumulus", "overcast",
)  # fmt: skip
"""Skies of a season of 14 passes; each seed puts them into another order. They hide about half of the ground, as the
skies of the middle latitudes do, so that a median without a mask goes wrong."""


@dataclass(frozen=True)
class Day:
    """One pass over the site."""

    number: int
    """0 for the first pass of the season."""
    overpass: Overpass
    """Satellite, times and orbit."""
    sky: str
    """One of ``SKIES``."""
    baseline: str
    """Processing baseline of both products."""
    generated: datetime
    """When the L1C product was made, UTC; the L2A product comes an hour later."""

    @property
    def date(self) -> date:
        """Day of the pass."""
        return self.overpass.datatake.date()


def plan_season(seed: int, *, dates: int) -> list[Day]:
    """Plan the passes of a season, always the same ones from the same arguments.

    Parameters
    ----------
    seed : int
        Any integer.
    dates : int
        How many passes, five or ten days apart. Every second one, by chance, was reprocessed with baseline 05.00, so
        its digital numbers carry the offset −1000 though it was seen before 2022.

    Examples
    --------
    >>> days = plan_season(7, dates=14)
    >>> sum(day.baseline == "05.00" for day in days), sum(day.sky == "clear" for day in days)
    (7, 2)
    """
    rng = _chance(seed, 1)
    gaps = rng.choice([5, 10], size=max(dates - 1, 0), p=[0.6, 0.4])
    days = START + np.concatenate([[0], np.cumsum(gaps)]) * timedelta(days=1)
    first = min(dates, len(_SEASON))
    order = [*rng.permutation(first), *range(first, dates)]
    again = set(rng.permutation(dates)[: dates // 2].tolist())
    return [
        _day(number, days[number], _SEASON[order[number] % len(_SEASON)], again=number in again, rng=rng)
        for number in range(dates)
    ]


def _day(number: int, day: date, sky: str, *, again: bool, rng: np.random.Generator) -> Day:
    pass_ = overpass(day)
    later = timedelta(seconds=int(rng.integers(3 * 3600, 9 * 3600)))
    if not again:
        baseline = max((since, name) for since, name in _BASELINES if since <= day)[1]
        return Day(number, pass_, sky, baseline, (pass_.sensing + later).replace(microsecond=0))
    reprocessed = datetime(2023, 2, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(60))) + later
    return Day(number, pass_, sky, REPROCESSED, reprocessed)


def make_sky(day: Day, *, seed: int, elevation: Array) -> Sky:
    """Make the sky of one pass.

    Parameters
    ----------
    day : Day
    seed : int
        The site's.
    elevation : float32 array (y, x)
        Metres above the sea.

    Examples
    --------
    >>> day = plan_season(7, dates=14)[0]
    >>> sky = make_sky(day, seed=7, elevation=np.zeros((60, 60), dtype="float32"))
    >>> len(sky.layers) == len(SKIES[day.sky])
    True
    """
    rng = _chance(seed, 2, day.number)
    layers: list[CloudLayer] = []
    for kind, cover, mean in SKIES[day.sky]:
        key = int(rng.integers(2**31))
        layer = make_clouds(kind, shape=elevation.shape, seed=key, cover=cover, elevation=elevation)
        layers.append(layer if mean is None else _thinned(layer, mean=mean))
    # Water vapour follows the warmth of the season; aerosol is what the usual day in the middle latitudes has.
    warmth = np.cos(2 * np.pi * (day.date.timetuple().tm_yday - 205) / 365.25)
    vapour = float(np.clip(1.7 + 0.9 * warmth + 0.3 * rng.standard_normal(), 0.4, 4.0))
    aot: float | Array = float(np.clip(rng.gamma(6.0, 0.018), 0.03, 0.18))
    if day.sky == "haze":
        plume = noise(rng, elevation.shape, slope=2.2, largest=400)
        aot = np.clip(np.float32(0.6) + np.float32(0.15) * plume, 0.25, 1.2)
    air = Air(aot=aot, water_vapour=vapour, ozone=0.34, elevation=float(elevation.mean()) / 1000)
    return Sky(tuple(layers), air, bool(rng.integers(2)))


def _thinned(layer: CloudLayer, *, mean: float) -> CloudLayer:
    depth = layer.optical_depth
    return replace(layer, optical_depth=depth * np.float32(mean / max(float(depth[depth > 0].mean()), 1e-6)))


def _chance(seed: int, *keys: int) -> np.random.Generator:
    return np.random.default_rng([abs(seed), int(seed < 0), *keys])
