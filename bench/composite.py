"""Seconds per Mpx and peak memory of a masked composite: ours beside other packages, in one run.

    python bench/composite.py [--peers OTHER_PYTHON] [--rounds 5] [--dates 30] [--side 1024]

Every contender starts from the same stack, uint16 numbers (time, y, x) of four bands and a score of which half is below
the threshold, and ends with four bands (y, x); what it needs in between (float copies, other orders of axes) counts.
Each runs in a process of its own, two threads, and the contenders take turns, so that a busy machine slows all alike.
The process's own seconds say what it costs; on a busy machine the clock says more about the neighbours.

Peers live in an environment of their own (pip install bottleneck geomad odc-algo xarray): ``--peers`` is its Python.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

BANDS = ("B02", "B03", "B04", "B08")
THRESHOLD = 0.5
THREADS = 2
REPEATS = 3


def make(dates: int, side: int) -> xr.Dataset:
    """Ground that changes a little from date to date, no nodata; half of the scores are below the threshold.

    Iterations such as a geometric median's settle sooner on such numbers than on noise alone.
    """
    rng = np.random.default_rng(20)
    arrays = {name: np.empty((dates, side, side), np.uint16) for name in BANDS}
    score = np.empty((dates, side, side), np.uint8)
    ground = {name: rng.integers(1000, 4000, (side, side), dtype=np.uint16) for name in BANDS}
    for frame in range(dates):
        for name, array in arrays.items():
            array[frame] = ground[name] + rng.integers(0, 400, (side, side), dtype=np.uint16)
        score[frame] = rng.integers(0, 200, (side, side), dtype=np.uint8)
    stack = xr.Dataset({name: (("time", "y", "x"), array, {"nodata": 0}) for name, array in arrays.items()})
    return stack.assign(cs_cdf=(("time", "y", "x"), score)).assign_coords(
        time=np.datetime64("2023-01-01", "ns") + np.arange(dates) * np.timedelta64(5, "D")
    )


def ours(method: str) -> Callable[[xr.Dataset], list[np.ndarray]]:
    from clearsight import composite

    def run(stack: xr.Dataset) -> list[np.ndarray]:
        image = composite(stack, method=method, by="cs_cdf", threshold=THRESHOLD)
        return [image[name].values for name in BANDS]

    return run


def xarray_default() -> Callable[[xr.Dataset], list[np.ndarray]]:
    def run(stack: xr.Dataset) -> list[np.ndarray]:
        image = stack[list(BANDS)].where(stack.cs_cdf >= THRESHOLD * 200).median("time")
        return [image[name].values for name in BANDS]

    return run


def bottleneck() -> Callable[[xr.Dataset], list[np.ndarray]]:
    import bottleneck as bn

    def run(stack: xr.Dataset) -> list[np.ndarray]:
        clear = stack.cs_cdf.values >= THRESHOLD * 200

        def part(job: tuple[str, slice]) -> np.ndarray:
            name, rows = job
            values = np.where(clear[:, rows], stack[name].values[:, rows], np.float32("nan"))
            return bn.nanmedian(values, axis=0)

        rows = [slice(half[0], half[-1] + 1) for half in np.array_split(np.arange(stack.sizes["y"]), THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            halves = list(pool.map(part, [(name, half) for name in BANDS for half in rows]))
        return [np.concatenate(halves[start : start + THREADS]) for start in range(0, len(halves), THREADS)]

    return run


def geomad() -> Callable[[xr.Dataset], list[np.ndarray]]:
    from geomad import nangeomedian_pcm

    def run(stack: xr.Dataset) -> list[np.ndarray]:
        dates, height, width = stack.cs_cdf.shape
        clear = stack.cs_cdf.values >= THRESHOLD * 200
        cube = np.empty((height, width, len(BANDS), dates), np.uint16)
        for number, name in enumerate(BANDS):
            cube[:, :, number] = np.where(clear, stack[name].values, 0).transpose(1, 2, 0)
        image = nangeomedian_pcm(cube, num_threads=THREADS, nodata=0, nocheck=True, scale=1 / 10_000)
        return list(np.moveaxis(image, -1, 0))

    return run


def odc_quantile() -> Callable[[xr.Dataset], list[np.ndarray]]:
    """Rank rounded to a whole one, so not the exact median; and none where fewer than three are clear."""
    import dask
    from odc.algo import xr_quantile

    def run(stack: xr.Dataset) -> list[np.ndarray]:
        lazy = stack.chunk(time=-1, y=256, x=256)
        masked = lazy[list(BANDS)].where(lazy.cs_cdf >= THRESHOLD * 200, np.uint16(0))
        with dask.config.set(scheduler="threads", num_workers=THREADS):
            image = xr_quantile(masked, [0.5], 0).compute()
        return [image[name].values[0] for name in BANDS]

    return run


CONTENDERS: dict[str, Callable[[], Callable[[xr.Dataset], list[np.ndarray]]]] = {
    "clearsight median": lambda: ours("median"),
    "bottleneck nanmedian": bottleneck,
    "odc-algo xr_quantile": odc_quantile,
    "xarray where().median()": xarray_default,
    "geomad geomedian": geomad,
    "clearsight geomedian": lambda: ours("geomedian"),
    "clearsight best": lambda: ours("best"),
}
MEDIANS = ("bottleneck nanmedian", "odc-algo xr_quantile", "xarray where().median()", "geomad geomedian")


def measure(name: str, *, dates: int, side: int, repeats: int) -> dict[str, float | str]:
    """One contender in this process: memory at its first call, seconds at those that follow."""
    try:
        run = CONTENDERS[name]()
    except ImportError as error:
        return {"skipped": f"{error.name or error} is not installed in {sys.executable}"}
    stack = make(dates, side)
    size = sum(stack[band].nbytes for band in (*BANDS, "cs_cdf"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    image = run(stack)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before + size
    clock, own = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        run(stack)
        clock.append(time.perf_counter() - started)
        own.append(time.process_time() - used)
    area = side**2 / 1e6
    return {
        "clock": min(clock) / area,
        "own": min(own) / area,
        "peak": peak / size,
        "mean": float(np.nanmean(image[0])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, help="Python of the environment that holds the peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dates", type=int, default=30)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        repeats = 1 if options.one in ("xarray where().median()", "clearsight geomedian") else REPEATS
        print(json.dumps(measure(options.one, dates=options.dates, side=options.side, repeats=repeats)))
        return
    results: dict[str, list[dict[str, float | str]]] = {name: [] for name in options.only}
    for _ in range(options.rounds):
        for name, rows in results.items():
            if not (rows and "skipped" in rows[0]):
                rows.append(in_own_process(name, options))
    table(results, dates=options.dates, side=options.side)


def in_own_process(name: str, options: argparse.Namespace) -> dict[str, float | str]:
    python = sys.executable if name.startswith("clearsight") else options.peers
    size = ["--dates", str(options.dates), "--side", str(options.side)]
    done = subprocess.run([python, __file__, "--one", name, *size], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"skipped": done.stderr.strip().splitlines()[-1]}
    row: dict[str, float | str] = json.loads(done.stdout)
    return row


def table(results: dict[str, list[dict[str, float | str]]], *, dates: int, side: int) -> None:
    print(f"{dates} dates x {len(BANDS)} bands x {side} x {side} uint16, half masked, {THREADS} threads; medians of")
    print("the rounds, seconds per Mpx (of all bands together); memory as a multiple of the input")
    print(f"{'':26}{'clock s':>9}{'own s':>9}{'memory':>9}")
    found: dict[str, dict[str, float]] = {}
    for name, rows in results.items():
        if "skipped" in rows[0]:
            print(f"{name:26}skipped: {rows[0]['skipped']}")
            continue
        found[name] = {key: statistics.median(float(row[key]) for row in rows) for key in ("clock", "own", "peak")}
        print(f"{name:26}{found[name]['clock']:9.3f}{found[name]['own']:9.3f}{found[name]['peak']:9.2f}")
    first = found.get("clearsight median")
    for name in MEDIANS:
        if first and name in found:
            clock, own = (found[name][key] / first[key] for key in ("clock", "own"))
            print(f"{name}: {clock:.1f} times our median's clock seconds, {own:.1f} times its own seconds")


if __name__ == "__main__":
    main()
