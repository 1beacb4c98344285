"""How much of the real world's clear, water and snow pixels the simulated ground can look like.

    python bench/surface_coverage.py --data ../shared/data [--places 264] [--workers 2]

Real: joint histograms of five top-of-atmosphere features over labelled Sentinel-2 L1C pixels (Hollstein et al. 2016):
B03, B09-B01, (B10-B02)/(B10+B02), B12, (B02-B8A)/(B02+B8A). Simulated: places of every kind on several dates, each
ground seen under many suns and airs (``simulate.draws``), B01, B09 and B10 at 60 m, with the instrument's noise and
steps. Real labels call snow only what is brighter than 0.52 in B03, so the same is asked of simulated snow.

* coverage: share of the real probability in cells where the simulated density is at least a tenth of the real one;
  "twice", "three" times as large: the same with cells of that width along each axis;
* smoothed: coverage with the simulated counts blurred by half a cell; what it adds is mostly chance;
* itself: coverage of the simulated pixels of every other place by those of the rest: what a perfect world would reach
  with as many places, were its cells as unevenly filled;
* real, blurred: coverage of the real pixels by themselves, blurred by one and by two cells. The labels stem from some
  hundred scenes, each a lump in few cells; this is what a world loses that holds such scenes, but not these very ones;
* overlap: 1 - total variation of each feature alone;
* told apart: accuracy of boosted trees (needs scikit-learn) on places that they weren't trained on; 0.5 is perfect.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from clearsight.bands import BANDS
from clearsight.simulate.air.atmosphere import Coefficients, Geometry, coefficients, to_toa
from clearsight.simulate.draws import draw_air, draw_date, draw_setting, draw_sun
from clearsight.simulate.places.surfaces import KINDS, make_surface, surface_cover, surface_reflectance, terrain_light

CLASSES = ("clear", "water", "snow")
MIX = (*KINDS, *("mountain", "snow") * 4, "grassland", "desert", "sea", "lake", "desert", "coast", "sea", "dunes")
"""Kinds in the shares in which they are drawn: the labelled scenes prefer relief, snow, deserts and open water."""
CELLS = 26
SHAPE = (CELLS,) * 5
NAMES = ("B03", "B09-B01", "B10/B02", "B12", "B02/B8A")
USED = tuple(tuple(BANDS).index(name) for name in ("B01", "B09", "B10", "B02", "B03", "B8A", "B12"))
COARSE = 3
"""The first so many of ``USED`` are measured at 60 m."""
DARKEST_SNOW = 0.52
SIZE = 96


@dataclass(frozen=True)
class Task:
    """A place to simulate."""

    number: int
    dates: int
    airs: int
    pixels: int
    edges: tuple[NDArray[np.float64], ...]


def features(toa: NDArray[np.float32]) -> NDArray[np.float32]:
    """The five features (5, n) of pixels (bands of ``USED``, n)."""
    b01, b09, b10, b02, b03, b8a, b12 = toa
    return np.stack([b03, b09 - b01, (b10 - b02) / (b10 + b02), b12, (b02 - b8a) / (b02 + b8a)])


def cells_of(values: NDArray[np.float32], edges: tuple[NDArray[np.float64], ...]) -> NDArray[np.int64]:
    """Flat cell of each pixel."""
    index = [
        np.clip(np.searchsorted(edge, row, side="right") - 1, 0, CELLS - 1)
        for row, edge in zip(values, edges, strict=True)
    ]
    return np.ravel_multi_index(index, SHAPE)


def coarsened(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fields (…, y, x) as pixels of 60 m show them, on the grid of 10 m."""
    *more, rows, columns = values.shape
    means = values.reshape(*more, rows // 6, 6, columns // 6, 6).mean(axis=(-3, -1))
    return means.repeat(6, axis=-2).repeat(6, axis=-1)


def classes(place: object, *, date: object) -> dict[str, NDArray[np.intp]]:
    """Flat pixels of each class on a date."""
    cover = {name: share.ravel() for name, share in surface_cover(place, date=date).items()}  # type: ignore[arg-type]
    return {
        "clear": np.flatnonzero((cover["snow"] < 0.15) & (cover["water"] < 0.3)),
        "water": np.flatnonzero(cover["water"] > 0.97),
        "snow": np.flatnonzero(cover["snow"] > 0.5),
    }


def seen(
    ground: NDArray[np.float32], light: NDArray[np.float32], air: Coefficients, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Measured reflectance (bands, y, x): noise and steps of the instrument included."""
    fine = np.broadcast_to(light, (len(USED) - COARSE, *light.shape))
    lit_ground = coarsened(ground[:COARSE] * light)
    smooth = coarsened(ground[:COARSE])
    ground = np.concatenate([smooth, ground[COARSE:]])
    toa = to_toa(ground, air, lit=np.concatenate([lit_ground / np.maximum(smooth, 1e-4), fine]))
    floor = np.array([1e-4] * COARSE + [3e-4] * (len(USED) - COARSE), dtype=np.float32)[:, None, None]
    toa += rng.standard_normal(toa.shape, dtype=np.float32) * (floor + np.float32(0.003) * toa)
    return np.maximum(np.round(toa * 1e4), 1) / np.float32(1e4)


def simulate(task: Task) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each class, the cells that a place fills, and how often."""
    rng = np.random.default_rng([11, task.number])
    kind = MIX[task.number % len(MIX)]
    setting = draw_setting(rng, kind=kind)
    place = make_surface(kind, shape=(SIZE, SIZE), seed=1000 + task.number, latitude=setting.latitude)
    found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in CLASSES}
    for _ in range(task.dates):
        date = draw_date(rng, latitude=setting.latitude)
        ground = surface_reflectance(place, date=date)[list(USED)]
        wanted = classes(place, date=date)
        for _ in range(task.airs):
            sun = draw_sun(rng, latitude=setting.latitude, date=date)
            height = float(rng.choice(place.elevation.ravel())) + setting.lift
            air = coefficients(draw_air(rng, latitude=setting.latitude, date=date, elevation=height / 1000), sun)
            light = light_on(place, sun)
            toa = seen(ground, light, only_used(air), rng).reshape(len(USED), -1)
            for name, at in wanted.items():
                # Within half a kilometre of the height that the air was drawn for.
                near = np.abs(place.elevation.ravel()[at] + setting.lift - height) < 500
                lit = (light.ravel()[at] > 0.4) if name != "snow" else (toa[4, at] > DARKEST_SNOW)
                at = at[near & lit]
                if at.size:
                    picked = at[rng.integers(0, at.size, min(task.pixels, at.size))]
                    found[name].append(cells_of(features(toa[:, picked]), task.edges))
    empty = np.zeros(0, dtype=np.int64)
    return {name: np.unique(np.concatenate([empty, *rows]), return_counts=True) for name, rows in found.items()}


def light_on(place: object, sun: Geometry) -> NDArray[np.float32]:
    return terrain_light(place, sun_zenith=sun.sun_zenith, sun_azimuth=sun.sun_azimuth)  # type: ignore[arg-type]


def only_used(air: Coefficients) -> Coefficients:
    """Coefficients of the bands that the features need."""
    return Coefficients(**{name: value[list(USED)] for name, value in vars(air).items()})


def every_place(tasks: list[Task], *, workers: int) -> Iterator[dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]]:
    if workers == 1:
        yield from map(simulate, tasks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(simulate, tasks, chunksize=4)


def covered(real: NDArray[np.float64], mine: NDArray[np.float64]) -> float:
    """Share of ``real`` where ``mine`` is at least a tenth of it; both sum to one."""
    return float(real[mine >= 0.1 * real].sum())


def merged(density: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """The same density in cells that are so many times wider along each axis."""
    for axis in range(5):
        density = np.add.reduceat(density, np.arange(0, CELLS, times), axis=axis)
    return density


def blurred(density: NDArray[np.float64], cells: float = 0.5) -> NDArray[np.float64]:
    for axis in range(5):
        density = gaussian_filter1d(density, cells, axis=axis, mode="nearest", truncate=2.5)
    return density


def told_apart(real: NDArray[np.float64], halves: NDArray[np.int64], *, count: int = 40_000) -> float:
    """Accuracy of trees that tell real from simulated cells; trained on one half of the places, tested on the other."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(1)
    parts = []
    for half in halves:
        drawn = [np.searchsorted(np.cumsum(weights), rng.random(count) * weights.sum(), side="right") for weights in
                 (real.ravel(), half.astype(float))]  # fmt: skip
        index = np.minimum(np.concatenate(drawn), CELLS**5 - 1)
        parts.append((np.stack(np.unravel_index(index, SHAPE), -1), np.repeat([0, 1], count)))
    trees = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=31).fit(*parts[0])
    return float(trees.score(*parts[1]))


def report(name: str, real: NDArray[np.float64], halves: NDArray[np.int64], *, pairs: bool) -> None:
    """Print the numbers of one class."""
    counts = halves.sum(axis=0)
    mine = (counts / counts.sum()).reshape(SHAPE)
    one, other = (half / max(half.sum(), 1) for half in halves)
    margins = [tuple(axis for axis in range(5) if axis != kept) for kept in range(5)]
    overlap = " ".join(f"{np.minimum(mine.sum(drop), real.sum(drop)).sum():.2f}" for drop in margins)
    print(
        f"{name:6s} {counts.sum() / 1e6:5.1f} M  coverage {covered(real, mine):.3f}  twice "
        f"{covered(merged(real, 2), merged(mine, 2)):.3f}  three {covered(merged(real, 3), merged(mine, 3)):.3f}  "
        f"smoothed {covered(real, blurred(mine)):.3f}  itself {covered(one, other):.3f}  real, blurred "
        f"{covered(real, blurred(real, 1.0)):.2f} {covered(real, blurred(real, 2.0)):.2f}  overlap {overlap}  "
        f"told apart {told_apart(real, halves):.2f}",
        flush=True,
    )
    for size in (2, 3, 4) if pairs else ():
        for kept in itertools.combinations(range(5), size):
            drop = tuple(axis for axis in range(5) if axis not in kept)
            print(f"    {covered(real.sum(drop), mine.sum(drop)):.3f}  {' x '.join(NAMES[axis] for axis in kept)}")
    if pairs:
        lost = np.where(mine >= 0.1 * real, 0.0, real)
        for drop, label in zip(margins, NAMES, strict=True):
            rows = zip(real.sum(drop), mine.sum(drop), lost.sum(drop), strict=True)
            print(f"    {label:8s} real|sim|lost %", " ".join("|".join(f"{100 * v:.0f}" for v in row) for row in rows))


def main() -> None:
    """Print coverage, overlap and how easily the simulated pixels are told from real ones, for each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--places", type=int, default=len(MIX) * 8)
    parser.add_argument("--dates", type=int, default=4, help="of each place")
    parser.add_argument("--airs", type=int, default=24, help="suns and airs of each date")
    parser.add_argument("--pixels", type=int, default=1500, help="of a class under each air, at most")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", action="store_true", help="print which features miss what")
    arguments = parser.parse_args()
    with np.load(arguments.data / "realism" / "l1c_class_histograms.npz") as file:
        table = dict(file)
    edges = tuple(table[f"edges_{axis}"] for axis in range(5))
    start = time.perf_counter()
    counts = {name: np.zeros((2, CELLS**5), dtype=np.int64) for name in CLASSES}
    tasks = [
        Task(number, arguments.dates, arguments.airs, arguments.pixels, edges) for number in range(arguments.places)
    ]
    for number, found in enumerate(every_place(tasks, workers=arguments.workers)):
        for name, (index, times) in found.items():
            # Kinds come in turn: every other round of them is a half.
            counts[name][number // len(MIX) % 2, index] += times
    print(f"{arguments.places} places in {time.perf_counter() - start:.0f} s")
    for name in CLASSES:
        real = np.zeros(CELLS**5)
        real[table[f"{name}_index"].astype(np.int64)] = table[f"{name}_p"]
        report(name, (real / real.sum()).reshape(SHAPE), counts[name], pairs=arguments.pairs)


if __name__ == "__main__":
    main()
