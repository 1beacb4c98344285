"""How much of the real world's clear, water and snow pixels the simulated ground can look like.

    python bench/surface_coverage.py --data ../shared/data [--places 300]

Real: joint histograms of five top-of-atmosphere features over labelled Sentinel-2 L1C pixels (Hollstein et al. 2016).
Coverage is the share of real probability in cells where the simulated density is at least a tenth of the real one.
Overlap is 1 - total variation of each feature on its own: B03, B09-B01, (B10-B02)/(B10+B02), B12, (B02-B8A)/(B02+B8A).
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearsight.simulate.atmosphere import Air, Geometry, coefficients, to_toa
from clearsight.simulate.surfaces import KINDS, make_surface, surface_cover, surface_reflectance, terrain_light
from clearsight.simulate.weather import sun_zenith

CLASSES = ("clear", "water", "snow")
MIX = (*KINDS, "mountain", "snow", "mountain", "snow", "forest", "desert", "sea", "lake")
"""Kinds in the shares in which they are drawn: the labelled scenes prefer relief, snow, deserts and open water."""
WARM = {"desert", "dunes", "salt", "savanna", "mangrove"}
CELLS = 26
AIRS = 16
"""Atmospheres that each ground is seen through."""


def places(count: int) -> Iterator[tuple[str, int, float]]:
    """Kind, seed and latitude of random places."""
    rng = np.random.default_rng(5)
    for number in range(count):
        kind = MIX[number % len(MIX)]
        latitude = rng.uniform(8, 35) if kind in WARM else rng.choice([rng.uniform(20, 72), rng.uniform(40, 62)])
        if kind in ("mountain", "snow", "sea"):
            latitude = rng.uniform(35, 73)
        yield kind, 1000 + number, float(latitude * rng.choice([1, 1, -1]))


def features(toa: NDArray[np.float32]) -> NDArray[np.float64]:
    """The five features (5, n) of pixels (13, n)."""
    ratio = lambda a, b: (a - b) / np.maximum(a + b, 1e-6)  # noqa: E731
    return np.stack([toa[2], toa[9] - toa[0], ratio(toa[10], toa[1]), toa[12], ratio(toa[1], toa[8])]).astype(float)


def random_air(rng: np.random.Generator, *, height: float, latitude: float) -> Air:
    """Air as it is met in clear weather."""
    moist = 5.5 * np.exp(-abs(latitude) / 45) * np.exp(-height / 2200) * rng.lognormal(0, 0.5)
    kind = str(rng.choice(["continental", "maritime", "desert", "urban"], p=[0.6, 0.2, 0.12, 0.08]))
    return Air(
        aerosol=kind,  # type: ignore[arg-type]
        aot=float(np.clip(rng.lognormal(np.log(0.13), 0.75), 0.02, 0.8)),
        water_vapour=float(np.clip(moist, 0.1, 6.5)),
        ozone=float(rng.uniform(0.25, 0.42)),
        elevation=float(np.clip(height / 1000, 0, 6)),
    )


def simulate(count: int, *, size: int, per_scene: int) -> dict[str, list[NDArray[np.float64]]]:
    """Features of pixels of each class, from random places, dates and airs."""
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in CLASSES}
    rng = np.random.default_rng(9)
    for kind, seed, latitude in places(count):
        place = make_surface(kind, shape=(size, size), seed=seed, latitude=latitude)
        for _ in range(4):
            date = datetime.date(2016, 1, 1) + datetime.timedelta(days=int(rng.integers(0, 365 * 3)))
            if kind in ("mountain", "snow", "sea") and rng.random() < 0.6:  # low sun, as over most snow
                date = datetime.date(2017, 1 if latitude > 0 else 7, 1) + datetime.timedelta(
                    days=int(rng.integers(-60, 80))
                )
            zenith = min(sun_zenith(date, latitude=latitude), 82.0)
            azimuth = 155.0 if latitude > 0 else 25.0
            light = terrain_light(place, sun_zenith=zenith, sun_azimuth=azimuth)
            ground = surface_reflectance(place, date=date)
            cover = surface_cover(place, date=date)
            # Whoever drew the labels called sunlit snow snow, and the rest of it shadow.
            snow, water, lit = cover["snow"].ravel() > 0.85, cover["water"].ravel() > 0.95, light.ravel() > 0.4
            snow &= light.ravel() > 0.8
            dry = (cover["snow"].ravel() < 0.05) & (cover["water"].ravel() < 0.3)
            for name, mask in zip(CLASSES, (dry & lit, water, snow), strict=True):
                at = np.flatnonzero(mask)
                if at.size:
                    at = rng.choice(at, min(per_scene, at.size), replace=False)
                    pixels, lights = ground.reshape(13, -1)[:, at], light.ravel()[at]
                    height = float(place.elevation.mean())
                    found[name] += [
                        measured(
                            rng, pixels, lights, Geometry(zenith, azimuth, float(rng.uniform(0, 11)), 100.0), height
                        )
                        for _ in range(AIRS)
                    ]
    return found


def measured(
    rng: np.random.Generator, ground: NDArray[np.float32], light: NDArray[np.float32], geometry: Geometry, height: float
) -> NDArray[np.float64]:
    """Features of pixels (13, n) under some air, with the noise and the steps of the instrument."""
    air = random_air(rng, height=height, latitude=geometry.sun_zenith)
    toa = to_toa(ground[:, :, None], coefficients(air, geometry), lit=light[:, None])[:, :, 0]
    toa = toa + rng.normal(0, 4e-4, toa.shape)
    return features((np.maximum(np.round(toa * 1e4), 1) / 1e4).astype(np.float32))


def histogram(values: NDArray[np.float64], edges: list[NDArray[np.float64]]) -> NDArray[np.int64]:
    """Flat cell of each pixel."""
    flat = np.zeros(values.shape[1], dtype=np.int64)
    for row, edge in zip(values, edges, strict=True):
        flat = flat * CELLS + np.clip(np.searchsorted(edge, row, side="right") - 1, 0, CELLS - 1)
    return flat


def main() -> None:
    """Print coverage and overlap for each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--places", type=int, default=len(MIX) * 8)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--per-scene", type=int, default=500)
    parser.add_argument("--save", type=Path, help="keep the simulated features here (npz)")
    arguments = parser.parse_args()
    table = np.load(arguments.data / "realism" / "l1c_class_histograms.npz")
    edges = [table[f"edges_{axis}"] for axis in range(5)]
    found = {name: np.concatenate(rows, axis=1) for name, rows in simulate(
        arguments.places, size=arguments.size, per_scene=arguments.per_scene).items() if rows}  # fmt: skip
    if arguments.save:
        np.savez_compressed(arguments.save, **{name: rows.astype(np.float32) for name, rows in found.items()})
    for name, rows in found.items():
        cells, counts = np.unique(histogram(rows, edges), return_counts=True)
        simulated = dict(zip(cells.tolist(), (counts / counts.sum()).tolist(), strict=True))
        index, real = table[f"{name}_index"].astype(np.int64), table[f"{name}_p"].astype(float)
        mine = np.array([simulated.get(cell, 0.0) for cell in index.tolist()])
        overlap = []
        for shift in (4, 3, 2, 1, 0):
            ours = np.bincount(cells // CELLS**shift % CELLS, weights=counts / counts.sum(), minlength=CELLS)
            theirs = np.bincount(index // CELLS**shift % CELLS, weights=real, minlength=CELLS)
            overlap.append(1 - 0.5 * np.abs(ours - theirs).sum())
        text = " ".join(f"{value:.2f}" for value in overlap)
        outside = counts[~np.isin(cells, index)].sum() / counts.sum()
        print(
            f"{name:6s} pixels {rows.shape[1]:8d}  coverage {real[mine >= 0.1 * real].sum():.3f}  "
            f"overlap by feature {text}  outside of real cells {outside:.2f}"
        )


if __name__ == "__main__":
    main()
