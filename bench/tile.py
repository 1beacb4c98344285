"""Time and memory of scoring a whole tile, by stage: SAFE products with 13 JPEG 2000 bands -> score COGs.

    python bench/tile.py FOLDER [--size 10980] [--dates 6] [--core 1830] [--next] [--model clearsight-1]

A site of ``core`` pixels is simulated once and stays in FOLDER; its lossless JPEG 2000 images are mirrored until they
fill the tile, in blocks of 1024 pixels as ESA's are, so their entropy is that of the simulated sensor. ``size`` has to
be a multiple of ``core``, ``core`` of 6. All dates are scored together; with ``--next`` the last one comes later, in
near real time, compared with the histories that the others have left. Stages are timed by putting a clock around the
functions that do them (what is called within a stage and is a stage itself, counts there); what is left is masks,
labels, and pieces of work on disk. Memory is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio

from clearsight import _decoded, _histories, _live, _subtiles, cdf, passes, projection, scoring
from clearsight.archive import Options, produce
from clearsight.simulate import simulate
from clearsight.sources import search

STAGES: list[tuple[str, Any, str]] = [
    ("decode", _decoded.Decoding, "do"),
    *(("read", module, "load") for module in (_subtiles, _live, _histories)),
    *(("digital numbers", module, "place_of") for module in (scoring, _live)),
    ("pass one", passes, "_trust"),
    ("pass one", projection, "first_look"),
    ("reference", passes, "trust"),
    ("reference", passes, "grounds_for"),
    ("reference", projection, "trust"),
    ("reference", projection, "leave_one_out"),
    ("reference", _live.Telling, "do"),
    ("reference", _live, "_ground"),
    *(("pass two", module, "look_at") for module in (passes, _live)),
    ("pass two", projection, "second_look"),
    ("cs_cdf", cdf, "histogram"),
    ("cs_cdf", cdf, "rank"),
    ("history", _histories.Taking, "do"),
    ("history", _live, "coarse"),
    *(("encode", module, "encode") for module in (_subtiles, _live)),
    ("encode", _subtiles, "put_scores"),
    ("encode", _subtiles, "finish_scores"),
    ("encode", _subtiles, "describe_file"),
]


class Clock:
    """Seconds by stage; time within an inner stage isn't the outer one's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._within: list[str] = []
        self._since = 0.0

    def around(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            if "pass one" in self._within and stage == "pass two":  # both look by the same function
                return function(*args, **kwargs)
            self._turn()
            self._within.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._within.pop()

        return run

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._within:
            self.seconds[self._within[-1]] += now - self._since
        self._since = now


def enlarge(product: Path, times: int) -> None:
    """Mirror all images of a product ``times`` times in each direction, and tell its metadata."""
    for path in product.rglob("*.jp2"):
        with rasterio.open(path) as file:
            profile, values = file.profile, file.read()
        wide = np.concatenate([values if n % 2 == 0 else values[:, :, ::-1] for n in range(times)], axis=2)
        whole = np.concatenate([wide if n % 2 == 0 else wide[:, ::-1] for n in range(times)], axis=1)
        profile |= {"height": whole.shape[1], "width": whole.shape[2]}
        profile |= {"driver": "JP2OpenJPEG", "quality": 100, "reversible": True}
        profile |= {"blockxsize": 1024, "blockysize": 1024, "tiled": True}
        profile.pop("interleave", None)
        part = path.with_name("part.jp2")
        with rasterio.open(part, "w", **profile) as file:
            file.write(whole)
        part.replace(path)
    metadata = next(product.glob("GRANULE/*/MTD_TL.xml"))
    text = metadata.read_text()
    larger = re.sub(r"<(NROWS|NCOLS)>(\d+)<", lambda found: f"<{found[1]}>{int(found[2]) * times}<", text)
    metadata.write_text(larger)


def products(folder: Path, *, size: int, dates: int, core: int) -> Path:
    """Folder of enlarged L1C products; made product by product, so that a stopped run goes on."""
    ready = folder / f"tile{size}x{dates}"
    site = simulate(folder / f"site{core}x{dates}", shape=(core, core), dates=dates)
    ready.mkdir(exist_ok=True)
    for source in sorted((site.folder / "l1c").glob("*.SAFE")):
        if not (ready / source.name).exists():
            part = folder / "part.SAFE"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(source, part)
            enlarge(part, size // core)
            part.rename(ready / source.name)
    return ready


def measure(what: str, items: Sequence[pystac.Item], archive: Path, clock: Clock, **how: Any) -> None:
    """Produce, and print what it took per image."""
    clock.seconds.clear()
    before, begun = os.times(), time.perf_counter()
    done = produce(items, archive, model=how.pop("model"), options=Options(**how))
    total, after = time.perf_counter() - begun, os.times()
    images = len(done.written)
    for failure in done.failed:
        print(f"failed: {failure.item_id}: {failure.reason}")
    print(f"{what}: {images} images")
    for stage in dict.fromkeys(stage for stage, _, _ in STAGES):
        print(f"  {stage:16} {clock.seconds[stage] / images:7.1f} s per image")
    print(f"  {'the rest':16} {(total - sum(clock.seconds.values())) / images:7.1f} s per image")
    processor = after.user + after.system - before.user - before.system
    print(f"  {'in all':16} {total / images:7.1f} s per image; {processor / images:.1f} s of processor")
    print(f"  most memory until here {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", flush=True)


def size_of(paths: Sequence[Path]) -> float:
    """Megabytes."""
    return sum(path.stat().st_size for path in paths) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--dates", type=int, default=6)
    parser.add_argument("--core", type=int, default=1830)
    parser.add_argument("--next", action="store_true", help="the last date comes later, in near real time")
    parser.add_argument("--model", help="as of clearsight.score")
    args = parser.parse_args()
    if args.size % args.core or args.core % 6:
        parser.error("--size has to be a multiple of --core, and --core of 6")
    found = search(products(args.folder, size=args.size, dates=args.dates, core=args.core))
    items = sorted(found, key=lambda item: item.id.split("_")[2])
    clock = Clock()
    for stage, place, name in STAGES:
        setattr(place, name, clock.around(getattr(place, name), stage))
    archive = args.folder / "archive"
    shutil.rmtree(archive, ignore_errors=True)
    print(f"{args.size} x {args.size} pixels, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    first = items[:-1] if args.next else items
    measure("scored together", first, archive, clock, model=args.model, history=True if args.next else None)
    if args.next:
        measure("the next scene", items[-1:], archive, clock, model=args.model, mode="near-real-time")
        kept = size_of([path for path in archive.glob(".history/*/*/*/*") if path.is_file()])
        print(f"histories {kept:.0f} MB per tile")
    scores = list(archive.rglob("*.tif"))
    print(f"score files {size_of(scores) / len(scores):.1f} MB per image")


if __name__ == "__main__":
    main()
