"""How like the real world is the simulated one? Five features of simulated L1C pixels against real ones, by class.

    python bench/realism.py --histograms ../shared/data/realism/l1c_class_histograms.npz --places 200

The real side: joint histograms over 3.67 million pixels that people labelled, from about a hundred scenes all over the
world (Hollstein et al. 2016, doi:10.3390/rs8080666). The simulated side: places of every kind, any date, latitude and
sky, through the sensor, each pixel classed by its truth (cirrus over land without snow only: the real labels hold next
to none over water; snow above 0.52 in B03 only, as labelled). Printed for each class:

* coverage: share of the real probability in cells where the simulated density is at least a tenth of the real one. What
  the simulated world lacks, a model can't learn. Real cells are lumpy, since one scene may fill a few of them (a fifth
  of all labelled cirrus lies in a hundred), so three more: "itself", how well every other simulated place covers the
  rest of them (what a perfect world would reach with as many places); "wide", with cells of twice the width along each
  axis; and "pair", in the plane of two features at a time, the worst of the ten;
* overlap: 1 - total variation, of each feature alone;
* accuracy of a classifier (gradient-boosted trees; needs scikit-learn) that tells real from simulated: 0.5 is perfect.
  It's tested on places that it wasn't trained on.

With ``--spectra ../shared/data`` clear spectra are compared too, band by band: see clear_spectra.py.

Run with ``--seed`` other than 0 to see how much of that is chance. ``--save`` keeps the numbers, ``--compare`` prints
them beside the new ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np

from clear_spectra import compare as compare_clear
from clearsight.bands import BANDS
from clearsight.simulate.air.state import Air
from clearsight.simulate.cloud.fields import CloudLayer, make_clouds
from clearsight.simulate.cloud.sky import Sky, draw_sky
from clearsight.simulate.draws import draw_air, draw_date, draw_setting, draw_sun
from clearsight.simulate.imaging.render import Rendered, render
from clearsight.simulate.imaging.sensor import observe, regrid
from clearsight.simulate.places.surfaces import KINDS, Surface, make_surface, surface_reflectance, terrain_light

CLASSES = ("clear", "water", "shadow", "cirrus", "cloud", "snow")
FEATURES = ("B03", "B09-B01", "B10/B02", "B12", "B02/B8A")
B01, B02, B03, B8A, B09, B10, B11, B12 = (
    tuple(BANDS).index(name) for name in ("B01", "B02", "B03", "B8A", "B09", "B10", "B11", "B12")
)
HEADS = ("coverage", "itself", "wide", "pair", *FEATURES, "apart")
CELLS = 26
HIGH = {"thin_cirrus", "thick_cirrus", "contrails", "cirrostratus"}


def features(toa: np.ndarray) -> np.ndarray:
    """(13, n) reflectance to the histogram's (5, n) features."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = [np.nan_to_num((toa[a] - toa[b]) / (toa[a] + toa[b])) for a, b in ((B10, B02), (B02, B8A))]
    return np.stack([toa[B03], toa[B09] - toa[B01], ratio[0], toa[B12], ratio[1]])


def cell_of(values: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Flat index of the cell of each pixel; values below an axis' first edge count as its first cell."""
    index = [np.clip(np.searchsorted(edges[a], values[a], side="right") - 1, 0, CELLS - 1) for a in range(5)]
    return np.ravel_multi_index(index, (CELLS,) * 5).astype(np.uint32)


def classes_of(frame: Rendered, reflectance: np.ndarray, layers: tuple[CloudLayer, ...]) -> dict[str, np.ndarray]:
    """(y, x) mask of each class, from the truth."""
    kinds = {layer.kind for layer in layers}
    depth = frame.optical_depth
    seen = frame.q >= 0.92
    snow = frame.cause == 4
    green, infrared, swir = reflectance[B03], reflectance[B8A], reflectance[B11]
    water = (green > infrared) & (swir < 0.06) & (infrared < 0.15) & ~snow
    veiled = np.isin(frame.cause, (1, 2)) & (depth > 0.2) & (depth < 3)
    cirrus = veiled & ~snow & ~water if kinds and kinds <= HIGH else depth < -1
    return {
        "clear": seen & ~snow & ~water,
        "water": seen & water,
        "snow": seen & snow & (frame.toa[B03] > 0.52),
        "shadow": (frame.cause == 3) & (frame.q < 0.5),
        "cirrus": cirrus,
        "cloud": (frame.cause == 1) & (depth >= 6) & ~cirrus if not kinds <= HIGH else depth < -1,
    }


def some_sky(draw: int, *, number: int, air: Air, elevation: np.ndarray) -> Sky:
    """Clear, cloudy and high cloud alone in turn, so that every class is seen often."""
    shape = (elevation.shape[0], elevation.shape[1])
    if number % 3 < 2:
        return draw_sky(draw, shape=shape, elevation=elevation, air=air, clear=1.0 - number % 3)
    rng = np.random.default_rng([draw, 3])
    kind = str(rng.choice(["thin_cirrus", "thick_cirrus", "contrails", "cirrostratus"], p=[0.45, 0.25, 0.12, 0.18]))
    high = make_clouds(kind, shape=shape, seed=draw, cover=float(rng.uniform(0.3, 1.0)), elevation=elevation)
    return Sky((high,), air, bool(rng.integers(2)))


def draw_frame(
    surface: Surface, lift: float, number: int, *, rng: np.random.Generator
) -> tuple[np.ndarray, Rendered, Sky, np.ndarray]:
    """One observation of a place: reflectance, rendering, sky, and what the sensor delivers."""
    day = draw_date(rng, latitude=surface.latitude)
    sun = draw_sun(rng, latitude=surface.latitude, date=day)
    reflectance = surface_reflectance(surface, date=day)
    elevation = (surface.elevation + np.float32(lift)).clip(-400, 6000)
    light = terrain_light(surface, sun_zenith=sun.sun_zenith, sun_azimuth=sun.sun_azimuth)
    air = draw_air(rng, latitude=surface.latitude, date=day, elevation=float(elevation.mean()) / 1000)
    seed = int(rng.integers(2**31))
    sky = some_sky(seed, number=number, air=air, elevation=elevation)
    frame = render(reflectance, sky=sky, geometry=sun, light=light, elevation=elevation, seed=seed)
    return reflectance, frame, sky, regrid(observe(frame.toa, seed=seed, sun_zenith=sun.sun_zenith))


def simulate(*, places: int, frames: int, size: int, seed: int, edges: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """For each class, a list over places of the cells of its pixels."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    for place in range(places):
        rng = np.random.default_rng([seed, place])
        kind = KINDS[place % len(KINDS)]
        setting = draw_setting(rng, kind=kind)
        surface = make_surface(kind, shape=(size, size), seed=seed * 100_003 + place, latitude=setting.latitude)
        here: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
        for number in range(frames):
            reflectance, frame, sky, toa = draw_frame(surface, setting.lift, number, rng=rng)
            for name, mask in classes_of(frame, reflectance, sky.layers).items():
                here[name].append(cell_of(features(toa[:, mask]), edges))
        for name in CLASSES:
            found[name].append(np.concatenate(here[name]))
    return found


def coverage(real_index: np.ndarray, real_p: np.ndarray, cells: np.ndarray, *, merge: int = 1) -> float:
    """Share of the real probability in cells that are simulated at least a tenth as often; ``merge`` joins cells."""
    if merge > 1:
        real_index, inverse = np.unique(merged(real_index, merge), return_inverse=True)
        real_p, cells = np.bincount(inverse, real_p), merged(cells, merge)
    where, counts = np.unique(cells, return_counts=True)
    place = np.minimum(np.searchsorted(where, real_index), where.size - 1)
    share = np.where(where[place] == real_index, counts[place], 0) / max(cells.size, 1)
    return float(real_p[share >= 0.1 * real_p].sum())


def merged(cells: np.ndarray, merge: int) -> np.ndarray:
    """Indices of ``merge`` times larger cells along every axis."""
    index = [axis // merge for axis in np.unravel_index(cells, (CELLS,) * 5)]
    return np.ravel_multi_index(index, (-(-CELLS // merge),) * 5)


def worst_pair(real_index: np.ndarray, real_p: np.ndarray, cells: np.ndarray) -> float:
    """Coverage in the plane of two features at a time: the smallest of the ten."""
    real, drawn = (np.unravel_index(index, (CELLS,) * 5) for index in (real_index, cells))
    shares = []
    for a, b in itertools.combinations(range(5), 2):
        there = np.bincount(real[a] * CELLS + real[b], real_p, CELLS**2)
        here = np.bincount(drawn[a] * CELLS + drawn[b], minlength=CELLS**2) / max(cells.size, 1)
        shares.append(float(there[here >= 0.1 * there].sum()))
    return min(shares)


def overlaps(real_index: np.ndarray, real_p: np.ndarray, cells: np.ndarray) -> list[float]:
    real, drawn = (np.unravel_index(index, (CELLS,) * 5) for index in (real_index, cells))
    out = []
    for axis in range(5):
        there = np.bincount(real[axis], real_p, CELLS)
        here = np.bincount(drawn[axis], minlength=CELLS) / max(cells.size, 1)
        out.append(float(np.minimum(here, there).sum()))
    return out


def told_apart(real_index: np.ndarray, real_p: np.ndarray, by_place: list[np.ndarray], *, count: int = 40_000) -> float:
    """Accuracy of trees that tell real from simulated cells, on places that they weren't trained on."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(1)
    parts = []
    for half in (0, 1):
        pool = np.concatenate([*by_place[half::2], np.zeros(0, dtype=np.uint32)])
        if pool.size < 200:
            return float("nan")
        real = rng.choice(real_index, count, p=real_p / real_p.sum())
        x = np.stack(np.unravel_index(np.concatenate([real, rng.choice(pool, count)]), (CELLS,) * 5), -1)
        parts.append((x, np.repeat([0, 1], count)))
    trees = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=31).fit(*parts[0])
    return float(trees.score(*parts[1]))


def measured(real_index: np.ndarray, real_p: np.ndarray, by_place: list[np.ndarray]) -> list[float]:
    """One row of the table, in the order of ``HEADS``."""
    halves = [np.concatenate([np.zeros(0, dtype=np.uint32), *by_place[half::2]]) for half in (0, 1)]
    cells = np.concatenate(halves)
    own_index, own_counts = np.unique(halves[0], return_counts=True)
    return [
        coverage(real_index, real_p, cells),
        coverage(own_index, own_counts / max(halves[0].size, 1), halves[1]),
        coverage(real_index, real_p, cells, merge=2),
        worst_pair(real_index, real_p, cells),
        *overlaps(real_index, real_p, cells),
        told_apart(real_index, real_p, by_place),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histograms", type=Path, required=True)
    parser.add_argument("--places", type=int, default=17 * 8)
    parser.add_argument("--frames", type=int, default=6, help="of each place")
    parser.add_argument("--size", type=int, default=96, help="pixels of a frame's side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--spectra", type=Path, help="folder that holds spectra/presto_*")
    arguments = parser.parse_args()

    with np.load(arguments.histograms) as file:
        table = {name: file[name] for name in file}
    edges = [table[f"edges_{axis}"] for axis in range(5)]
    start = time.perf_counter()
    found = simulate(
        places=arguments.places, frames=arguments.frames, size=arguments.size, seed=arguments.seed, edges=edges
    )
    print(f"{arguments.places} places x {arguments.frames} frames in {time.perf_counter() - start:.0f} s")
    before = json.loads(arguments.compare.read_text()) if arguments.compare else {}
    numbers = {name: measured(table[f"{name}_index"], table[f"{name}_p"], found[name]) for name in CLASSES}
    print("".join(f"{head:>{11 if head in ('class', 'pixels') else 9}}" for head in ("class", "pixels", *HEADS)))
    for name in CLASSES:
        size = sum(cells.size for cells in found[name])
        for row, label in ((before.get(name), "before"), (numbers[name], str(size))):
            if row:
                print(f"{name:>11}{label:>11}{''.join(f'{value:9.2f}' for value in row)}")
    if arguments.save:
        arguments.save.write_text(json.dumps(numbers))
    if arguments.spectra:
        compare_clear(arguments.spectra, places=40)


if __name__ == "__main__":
    main()
