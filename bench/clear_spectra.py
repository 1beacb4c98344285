"""Clear simulated spectra beside real ones: top-of-atmosphere reflectance in 11 bands, over lakes and over shrubland.

    python bench/clear_spectra.py --data ../shared/data [--places 60]

Real: single pixels of Sentinel-2 L1C, least cloudy of their month: 1122 points at lakes in the USA x 12 months, and
2313 points in shrubland x 3 (Tseng et al. 2023, Presto; MIT). "Least cloudy" isn't clear: months that are brighter in
B02 than their own place's median by 0.06 are left out, unless they look like snow (B11 under a third of B03). What thin
cloud is left makes the real side a little brighter. B01 and B10 aren't given.

Simulated: pixels of places of the same kinds, latitudes and months, under clear air of the real heights, with the
instrument's noise: lakes (half of the pixels from water and its shores, as points at lakes are), and shrub, steppe,
conifers and bare ground.

Printed for each: the 5th, 25th, 50th, 75th and 95th percentile of each band, the overlap (1 - total variation, 24 cells
of like real probability), and joint coverage: the share of the real spectra in cells of (B03, B8A, B11, (B8A - B04) /
(B8A + B04)), eight of like probability along each, that the simulation fills at least a tenth as densely.
"""

from __future__ import annotations

import argparse
import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import BANDS
from clearsight.simulate.air.atmosphere import coefficients, to_toa
from clearsight.simulate.draws import draw_air, draw_sun
from clearsight.simulate.ground.covers import Cover
from clearsight.simulate.imaging.sensor import observe, regrid
from clearsight.simulate.places.surfaces import make_surface, surface_cover, surface_reflectance, terrain_light

Array = NDArray[np.float32]

NAMES = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
USED = [tuple(BANDS).index(name) for name in NAMES]
B02, B03, B04, B8A, B11 = (NAMES.index(name) for name in ("B02", "B03", "B04", "B8A", "B11"))
SIZE, PICKED, DATES = 72, 120, 6


@dataclass(frozen=True)
class Sample:
    """One collection of real spectra, and the places that stand for it."""

    folder: str
    kinds: tuple[str, ...]
    wet: float
    """Share of the pixels taken from water and shores."""
    covers: tuple[Cover, ...] = ()
    """Land covers that the dry pixels are of; all if empty."""


WILD = (Cover.SHRUB, Cover.STEPPE, Cover.SAVANNA, Cover.CONIFER, Cover.SOIL, Cover.ROCK)

SAMPLES = {
    "lakes": Sample("presto_algae_blooms", ("lake", "lake", "mixed", "wetland", "lake"), 0.5),
    "shrubland": Sample("presto_fuel_moisture", ("grassland", "desert", "grassland", "savanna", "forest"), 0.0, WILD),
}


def real(folder: Path) -> tuple[Array, Array, NDArray[np.int64], Array]:
    """Spectra (n, 11), latitudes (n,), months (n,) from 1, and heights in metres (n,) of the clear ones."""
    table = np.load(folder / "s1_s2_era5_srtm.npy")
    spectra = table[..., 2:13] / 1e4
    latitude = np.repeat(np.load(folder / "latlon.npy")[:, :1], table.shape[1], axis=1)
    month = np.load(folder / "month.npy").astype(int) + 1
    usual = np.median(spectra[..., B02], axis=1, keepdims=True)
    snow = spectra[..., B11] < spectra[..., B03] / 3
    clear = (spectra[..., B02] < usual + 0.06) | (snow & (spectra[..., B03] > 0.3))
    clear &= spectra.min(axis=-1) > 0
    return spectra[clear], latitude[clear], month[clear], table[..., 15][clear]


def simulated(sample: Sample, *, places: int, latitude: Array, month: NDArray[np.int64], height: Array) -> Array:
    """Spectra (n, 11) of clear pixels at the latitudes, heights and in the months of the real ones."""
    found = []
    for number in range(places):
        rng = np.random.default_rng([29, number])
        like = int(rng.integers(latitude.size))
        kind = sample.kinds[number % len(sample.kinds)]
        place = make_surface(kind, shape=(SIZE, SIZE), seed=7000 + number, latitude=float(latitude[like]))
        for _ in range(DATES):
            date = datetime.date(2019, int(month[rng.integers(month.size)]), int(rng.integers(1, 29)))
            sun = draw_sun(rng, latitude=place.latitude, date=date)
            air = draw_air(rng, latitude=place.latitude, date=date, elevation=float(height[like]) / 1000)
            light = terrain_light(place, sun_zenith=sun.sun_zenith, sun_azimuth=sun.sun_azimuth)
            toa = to_toa(surface_reflectance(place, date=date), coefficients(air, sun), lit=light)
            seen = regrid(observe(toa, seed=number, sun_zenith=sun.sun_zenith))[USED].reshape(len(USED), -1)
            wet = surface_cover(place, date=date)["water"].ravel() > 0.2
            dry = ~wet & (np.isin(place.classes.ravel(), sample.covers) if sample.covers else True)
            for share, at in ((sample.wet, np.flatnonzero(wet)), (1 - sample.wet, np.flatnonzero(dry))):
                if at.size and share:
                    found.append(seen[:, rng.choice(at, round(PICKED * share))].T)
    return np.concatenate(found)


def cells(values: NDArray[np.floating], like: NDArray[np.floating], *, count: int) -> NDArray[np.intp]:
    """Cells of like probability of ``like``, from 0 to count - 1."""
    edges = np.quantile(like, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(edges, values, side="right")


def coverage(real_spectra: Array, mine: Array) -> float:
    """Share of the real spectra in joint cells that the simulation fills at least a tenth as densely."""

    def axes(spectra: Array) -> list[Array]:
        index = (spectra[:, B8A] - spectra[:, B04]) / np.maximum(spectra[:, B8A] + spectra[:, B04], 1e-3)
        return [spectra[:, B03], spectra[:, B8A], spectra[:, B11], index]

    joint = []
    for side in (real_spectra, mine):
        index = [cells(values, like, count=8) for values, like in zip(axes(side), axes(real_spectra), strict=True)]
        joint.append(np.bincount(np.ravel_multi_index(index, (8,) * 4), minlength=8**4) / side.shape[0])
    return float(joint[0][joint[1] >= 0.1 * joint[0]].sum())


def report(name: str, real_spectra: Array, mine: Array) -> None:
    """Print percentiles, overlap and coverage of one sample."""
    print(f"{name}: {len(real_spectra)} real, {len(mine)} simulated; joint coverage {coverage(real_spectra, mine):.2f}")
    print("  band   real: 5 %   25 %   50 %   75 %   95 %   simulated: 5 %   25 %   50 %   75 %   95 %   overlap")
    for number, band in enumerate(NAMES):
        sides = [np.percentile(side[:, number], (5, 25, 50, 75, 95)) for side in (real_spectra, mine)]
        shares = [
            np.bincount(cells(side[:, number], real_spectra[:, number], count=24), minlength=24) / len(side)
            for side in (real_spectra, mine)
        ]
        numbers = ["".join(f"{value:7.3f}" for value in side) for side in sides]
        print(f"  {band:5s}    {numbers[0]}          {numbers[1]}      {np.minimum(*shares).sum():.2f}")


def compare(data: Path, *, places: int) -> None:
    """Print the comparison of every sample under ``data``/spectra."""
    for name, sample in SAMPLES.items():
        spectra, latitude, month, height = real(data / "spectra" / sample.folder)
        mine = simulated(sample, places=places, latitude=latitude, month=month, height=height)
        report(name, spectra, mine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--places", type=int, default=60)
    arguments = parser.parse_args()
    compare(arguments.data, places=arguments.places)


if __name__ == "__main__":
    main()
