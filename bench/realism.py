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
  axis; "any", in wide cells that are simulated at all, however seldom; and "pair", in the plane of two features at a
  time, the worst of the ten;
* overlap: 1 - total variation, of each feature alone;
* accuracy of a classifier (gradient-boosted trees; needs scikit-learn) that tells real from simulated: 0.5 is perfect.
  It's tested on places that it wasn't trained on.

With ``--spectra ../shared/data`` clear spectra are compared too, band by band: see clear_spectra.py.

Run with ``--seed`` other than 0 to see how much of that is chance. ``--save`` keeps the numbers, ``--compare`` prints
them beside the new ones.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse

from clear_spectra import compare as compare_clear
from clearsight import simulate
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
HEADS = ("coverage", "itself", "wide", "any", "pair", *FEATURES, "apart")
CELLS = 26
SKIES = ("clear", "cloudy", "high")
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


def some_sky(draw: int, *, kind: str, air: Air, elevation: np.ndarray) -> Sky:
    """Clear, cloudy, or high cloud alone, so that every class is seen often."""
    shape = (elevation.shape[0], elevation.shape[1])
    if kind != "high":
        return draw_sky(draw, shape=shape, elevation=elevation, air=air, clear=float(kind == "clear"))
    rng = np.random.default_rng([draw, 3])
    form = str(rng.choice(["thin_cirrus", "thick_cirrus", "contrails", "cirrostratus"], p=[0.45, 0.25, 0.12, 0.18]))
    high = make_clouds(form, shape=shape, seed=draw, cover=float(rng.uniform(0.3, 1.0)), elevation=elevation)
    return Sky((high,), air, bool(rng.integers(2)))


def draw_frame(
    surface: Surface, lift: float, kind: str, *, rng: np.random.Generator
) -> tuple[np.ndarray, Rendered, Sky, np.ndarray]:
    """One observation of a place: reflectance, rendering, sky, and what the sensor delivers."""
    day = draw_date(rng, latitude=surface.latitude)
    sun = draw_sun(rng, latitude=surface.latitude, date=day)
    reflectance = surface_reflectance(surface, date=day)
    elevation = (surface.elevation + np.float32(lift)).clip(-400, 6000)
    light = terrain_light(surface, sun_zenith=sun.sun_zenith, sun_azimuth=sun.sun_azimuth)
    air = draw_air(rng, latitude=surface.latitude, date=day, elevation=float(elevation.mean()) / 1000)
    seed = int(rng.integers(2**31))
    sky = some_sky(seed, kind=kind, air=air, elevation=elevation)
    frame = render(reflectance, sky=sky, geometry=sun, light=light, elevation=elevation, seed=seed)
    return reflectance, frame, sky, regrid(observe(frame.toa, seed=seed, sun_zenith=sun.sun_zenith))


@dataclass(frozen=True)
class Plan:
    """What is simulated; places can be added to it later."""

    skies: tuple[str, ...]
    size: int
    pixels: int
    seed: int

    def digest(self) -> str:
        """Of the plan and of the simulated world's source and tables: whatever changes the pixels changes it."""
        whole = hashlib.sha256(repr((self, Path(__file__).read_text().split("@dataclass")[0])).encode())
        for path in sorted(Path(simulate.__path__[0]).rglob("*")):
            if path.suffix in (".py", ".npz", ".npy"):
                whole.update(path.read_bytes())
        return whole.hexdigest()


@dataclass(frozen=True)
class Pixels:
    """How many pixels of which place fall into which cell: a row each."""

    place: np.ndarray
    cell: np.ndarray
    count: np.ndarray

    def of(self, chosen: np.ndarray) -> Pixels:
        """Some of the rows."""
        return Pixels(self.place[chosen], self.cell[chosen], self.count[chosen])

    def half(self, which: int) -> Pixels:
        """Those of every other place."""
        return self.of(self.place % 2 == which)

    def density(self) -> tuple[np.ndarray, np.ndarray]:
        """Cells that are filled, and their share of all pixels."""
        where, inverse = np.unique(self.cell, return_inverse=True)
        return where, np.bincount(inverse, self.count) / max(self.count.sum(), 1)


def one_place(place: int, plan: Plan, edges: list[np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each class, the cells that a place fills, and how often."""
    rng = np.random.default_rng([plan.seed, place])
    ground = KINDS[place % len(KINDS)]
    setting = draw_setting(rng, kind=ground)
    seed = plan.seed * 100_003 + place
    surface = make_surface(ground, shape=(plan.size, plan.size), seed=seed, latitude=setting.latitude)
    here: dict[str, list[np.ndarray]] = {name: [np.zeros(0, dtype=np.uint32)] for name in CLASSES}
    for number, kind in enumerate(plan.skies):
        reflectance, frame, sky, toa = draw_frame(surface, setting.lift, kind, rng=rng)
        for name, mask in classes_of(frame, reflectance, sky.layers).items():
            at = np.flatnonzero(mask)
            # Neighbours are alike: a part of them says as much, and no frame may outweigh the others.
            at = np.random.default_rng([plan.seed, place, number]).choice(at, min(at.size, plan.pixels), replace=False)
            here[name].append(cell_of(features(toa.reshape(len(BANDS), -1)[:, at]), edges))
    return {name: np.unique(np.concatenate(rows), return_counts=True) for name, rows in here.items()}


def stored(path: Path | None, digest: str) -> tuple[int, dict[str, Pixels]]:
    """Places simulated so far and their pixels, if they're of this very world."""
    nothing = np.zeros(0, dtype=np.uint32)
    if path is None or not path.exists():
        return 0, {name: Pixels(nothing, nothing, nothing) for name in CLASSES}
    with np.load(path) as file:
        if str(file["digest"]) != digest:
            raise SystemExit(f"{path} was made by another plan or another simulated world; give another name.")
        return int(file["places"]), {name: Pixels(*file[name]) for name in CLASSES}


def simulated(places: int, plan: Plan, *, edges: list[np.ndarray], store: Path | None) -> dict[str, Pixels]:
    """All pixels of so many places; those that the store lacks are added to it, a hundred at a time."""
    digest = plan.digest()
    done, found = stored(store, digest)
    while done < places:
        step = range(done, min(done + 100, places))
        start = time.process_time()
        fresh = [one_place(place, plan, edges) for place in step]
        for name in CLASSES:
            sizes = [len(one[name][0]) for one in fresh]
            rows = (np.repeat(step, sizes), *(np.concatenate([one[name][part] for one in fresh]) for part in (0, 1)))
            known = found[name]
            found[name] = Pixels(
                *(np.concatenate([old, new.astype(np.uint32)])
                  for old, new in zip((known.place, known.cell, known.count), rows, strict=True))
            )  # fmt: skip
        done = step.stop
        seconds = (time.process_time() - start) / len(step)
        print(f"{done} places, {seconds:.2f} s of processor each", file=sys.stderr, flush=True)
        if store is not None:
            unfinished = store.with_name("unfinished-" + store.name)
            columns = {name: np.stack([one.place, one.cell, one.count]) for name, one in found.items()}
            np.savez_compressed(unfinished, digest=digest, places=done, **columns)
            unfinished.replace(store)
    return {name: one.of(one.place < places) for name, one in found.items()}


def is_covered(real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels, *, share: float = 0.1) -> np.ndarray:
    """Whether each real cell is simulated at least a tenth (or another share) as often as it occurs."""
    where, density = drawn.density()
    if where.size == 0:
        return np.zeros(real_index.size, dtype=bool)
    place = np.minimum(np.searchsorted(where, real_index), where.size - 1)
    here = np.where(where[place] == real_index, density[place], 0)
    return (here > 0) & (here >= share * real_p)


def coverage(real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels, *, merge: int = 1, share: float = 0.1) -> float:
    """Part of the real probability in cells that are simulated often enough; ``merge`` joins cells."""
    if merge > 1:
        real_index, inverse = np.unique(merged(real_index, merge), return_inverse=True)
        real_p, drawn = np.bincount(inverse, real_p), replace(drawn, cell=merged(drawn.cell, merge))
    return float(real_p[is_covered(real_index, real_p, drawn, share=share)].sum())


def weighted(real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels, *, merge: int) -> float:
    """Coverage if places were drawn as often as suits the table best: mixture weights by expectation-maximisation."""
    cell = merged(drawn.cell, merge)
    real_index, inverse = np.unique(merged(real_index, merge), return_inverse=True)
    real_p = np.bincount(inverse, real_p)
    places, column = np.unique(drawn.place, return_inverse=True)
    cells, row = np.unique(cell, return_inverse=True)
    counts = sparse.coo_matrix((drawn.count.astype(float), (row, column))).tocsr()
    pixels = np.asarray(counts.sum(axis=0)).ravel()
    at = np.minimum(np.searchsorted(cells, real_index), cells.size - 1)
    there = cells[at] == real_index
    density, wanted = (counts @ sparse.diags(1 / pixels))[at[there]], real_p[there]
    weights = pixels / pixels.sum()
    for _ in range(20):
        weights = weights * (density.T @ (wanted / np.maximum(density @ weights, 1e-12)))
        weights = 0.98 * weights / weights.sum() + 0.02 / places.size
    return float(wanted[density @ weights >= 0.1 * wanted].sum())


def itself(drawn: Pixels, *, merge: int = 1) -> float:
    """How well one half of the places covers the other: what a perfect world would reach with half as many places."""
    where, density = drawn.half(0).density()
    return coverage(where, density, drawn.half(1), merge=merge)


def merged(cells: np.ndarray, merge: int) -> np.ndarray:
    """Indices of ``merge`` times larger cells along every axis."""
    index = [axis // merge for axis in np.unravel_index(cells, (CELLS,) * 5)]
    return np.ravel_multi_index(index, (-(-CELLS // merge),) * 5)


def worst_pair(real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels) -> float:
    """Coverage in the plane of two features at a time: the smallest of the ten."""
    real, mine = (np.unravel_index(index, (CELLS,) * 5) for index in (real_index, drawn.cell))
    shares = []
    for a, b in itertools.combinations(range(5), 2):
        there = np.bincount(real[a] * CELLS + real[b], real_p, CELLS**2)
        here = np.bincount(mine[a] * CELLS + mine[b], drawn.count, CELLS**2) / max(drawn.count.sum(), 1)
        shares.append(float(there[here >= 0.1 * there].sum()))
    return min(shares)


def overlaps(real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels) -> list[float]:
    """1 - total variation of each feature alone."""
    real, mine = (np.unravel_index(index, (CELLS,) * 5) for index in (real_index, drawn.cell))
    out = []
    for axis in range(5):
        there = np.bincount(real[axis], real_p, CELLS)
        here = np.bincount(mine[axis], drawn.count, CELLS) / max(drawn.count.sum(), 1)
        out.append(float(np.minimum(here, there).sum()))
    return out


def told_apart(real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels, *, count: int = 40_000) -> float:
    """Accuracy of trees that tell real from simulated cells, on places that they weren't trained on."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(1)
    parts = []
    for pool in (drawn.half(0), drawn.half(1)):
        if pool.count.sum() < 200:
            return float("nan")
        real = rng.choice(real_index, count, p=real_p / real_p.sum())
        mine = rng.choice(pool.cell, count, p=pool.count / pool.count.sum())
        x = np.stack(np.unravel_index(np.concatenate([real, mine]), (CELLS,) * 5), -1)
        parts.append((x, np.repeat([0, 1], count)))
    trees = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=31).fit(*parts[0])
    return float(trees.score(*parts[1]))


def print_growth(table: dict[str, np.ndarray], found: dict[str, Pixels], places: int) -> None:
    """Coverage, and how well the places cover themselves, with ever more of them: how far chance is the bound."""
    print("\ncoverage (itself) by number of places; right: cells of twice the width")
    steps = [places // 2**k for k in range(6) if places // 2**k >= 100][::-1]
    print(" " * 11 + "".join(f"{step:>13}" for step in steps) + " |" + "".join(f"{step:>13}" for step in steps))
    for name in CLASSES:
        real, row = (table[f"{name}_index"], table[f"{name}_p"]), []
        for merge in (1, 2):
            for step in steps:
                some = found[name].of(found[name].place < step)
                row.append(f"{coverage(*real, some, merge=merge):6.2f} ({itself(some, merge=merge):.2f})")
        print(f"{name:>11}{''.join(row[: len(steps)])} |{''.join(row[len(steps) :])}")


def print_weighted(table: dict[str, np.ndarray], found: dict[str, Pixels]) -> None:
    """What is left of the gap once the simulated places occur as often as suits the table."""
    print("\ncoverage as drawn -> with places as often as suits this table best; right: cells of twice the width")
    for name in CLASSES:
        real, mine = (table[f"{name}_index"], table[f"{name}_p"]), found[name]
        both = [f"{coverage(*real, mine, merge=n):.2f} -> {weighted(*real, mine, merge=n):.2f}" for n in (1, 2)]
        print(f"{name:>11}  {both[0]} | {both[1]}")


def print_lost(name: str, real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels, edges: list[np.ndarray]) -> None:
    """Where the real pixels of a class lie that aren't covered: per mille of all, by feature, beside the simulated."""
    lost = real_p * ~is_covered(real_index, real_p, drawn)
    real, mine = (np.unravel_index(index, (CELLS,) * 5) for index in (real_index, drawn.cell))
    print(f"\n{name}: {lost.sum():.2f} not covered; from | real, simulated, lost in per mille")
    for axis, feature in enumerate(FEATURES):
        rows = (np.bincount(real[axis], real_p, CELLS), np.bincount(mine[axis], drawn.count, CELLS),
                np.bincount(real[axis], lost, CELLS))  # fmt: skip
        shares = [1000 * row / max(full, 1e-9) for row, full in zip(rows, (1, drawn.count.sum(), 1), strict=True)]
        filled = [row for row in zip(edges[axis], *shares, strict=False) if max(row[1], row[2]) >= 1]
        print(f"  {feature:8s} {'  '.join(f'{edge:.3g}|{a:.0f}/{b:.0f}/{c:.0f}' for edge, a, b, c in filled)}")


def measured(real_index: np.ndarray, real_p: np.ndarray, drawn: Pixels) -> list[float]:
    """One row of the table, in the order of ``HEADS``."""
    return [
        coverage(real_index, real_p, drawn),
        itself(drawn),
        coverage(real_index, real_p, drawn, merge=2),
        coverage(real_index, real_p, drawn, merge=2, share=0.0),
        worst_pair(real_index, real_p, drawn),
        *overlaps(real_index, real_p, drawn),
        told_apart(real_index, real_p, drawn),
    ]


def main() -> None:
    """Simulate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histograms", type=Path, required=True, help="l1c_class_histograms.npz")
    parser.add_argument("--places", type=int, default=2000)
    parser.add_argument("--skies", nargs="+", choices=SKIES, default=SKIES, help="of the frames of each place")
    parser.add_argument("--size", type=int, default=96, help="pixels of a frame's side")
    parser.add_argument("--pixels", type=int, default=800, help="of a class in a frame, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", type=Path, help="file that keeps the pixels, so that places can be added")
    parser.add_argument("--weighted", action="store_true", help="print the coverage with places as often as suits best")
    parser.add_argument("--lost", action="store_true", help="print where the real pixels lie that aren't covered")
    parser.add_argument("--save", type=Path, help="JSON for the numbers")
    parser.add_argument("--compare", type=Path, help="such numbers, printed beside the new ones")
    parser.add_argument("--spectra", type=Path, help="folder that holds spectra/presto_*")
    arguments = parser.parse_args()

    with np.load(arguments.histograms) as file:
        table = {name: file[name] for name in file}
    edges = [table[f"edges_{axis}"] for axis in range(5)]
    plan = Plan(tuple(arguments.skies), arguments.size, arguments.pixels, arguments.seed)
    found = simulated(arguments.places, plan, edges=edges, store=arguments.store)
    before = json.loads(arguments.compare.read_text()) if arguments.compare else {}
    numbers = {name: measured(table[f"{name}_index"], table[f"{name}_p"], found[name]) for name in CLASSES}
    print(f"{arguments.places} places, {plan}")
    print("".join(f"{head:>{11 if head in ('class', 'pixels') else 9}}" for head in ("class", "pixels", *HEADS)))
    for name in CLASSES:
        size = int(found[name].count.sum())
        for row, label in ((before.get(name), "before"), (numbers[name], str(size))):
            if row:
                print(f"{name:>11}{label:>11}{''.join(f'{value:9.2f}' for value in row)}")
    print_growth(table, found, arguments.places)
    if arguments.weighted:
        print_weighted(table, found)
    for name in CLASSES if arguments.lost else ():
        print_lost(name, table[f"{name}_index"], table[f"{name}_p"], found[name], edges)
    if arguments.save:
        arguments.save.write_text(json.dumps(numbers))
    if arguments.spectra:
        compare_clear(arguments.spectra, places=40)


if __name__ == "__main__":
    main()
