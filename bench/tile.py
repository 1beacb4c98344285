"""Time and memory of scoring a whole tile, by stage: SAFE products with 13 JPEG 2000 bands -> score COGs.

    python bench/tile.py FOLDER [--size 10980] [--dates 6] [--core 1830]

A site of ``core`` pixels is simulated once and stays in FOLDER; its lossless JPEG 2000 images are mirrored until they
fill the tile, in blocks of 1024 pixels as ESA's are, so their entropy is that of the simulated sensor. ``size`` has to
be a multiple of ``core``, ``core`` of 6. Stages are timed by putting a clock around the functions that do them; what is
left is masks, labels, and pieces of work on disk. Memory is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import rasterio

from clearsight import _subtiles, cdf, projection
from clearsight.archive import produce
from clearsight.simulate.product.site import simulate
from clearsight.sources import search

STAGES: list[tuple[str, ModuleType, str]] = [
    ("decode", _subtiles, "load"),
    ("pass one", projection, "first_look"),
    ("reference", projection, "trust"),
    ("reference", projection, "leave_one_out"),
    ("pass two", projection, "second_look"),
    ("cs_cdf", cdf, "histogram"),
    ("cs_cdf", cdf, "rank"),
    ("encode", _subtiles, "encode"),
    ("encode", _subtiles, "put_scores"),
    ("encode", _subtiles, "finish_scores"),
    ("encode", _subtiles, "describe_file"),
]


def clocked(function: Callable[..., Any], stage: str, seconds: dict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[stage] += time.perf_counter() - begun

    return run


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--dates", type=int, default=6)
    parser.add_argument("--core", type=int, default=1830)
    args = parser.parse_args()
    if args.size % args.core or args.core % 6:
        parser.error("--size has to be a multiple of --core, and --core of 6")
    items = search(products(args.folder, size=args.size, dates=args.dates, core=args.core))
    seconds: dict[str, float] = defaultdict(float)
    for stage, module, name in STAGES:
        setattr(module, name, clocked(getattr(module, name), stage, seconds))
    archive = args.folder / "archive"
    shutil.rmtree(archive, ignore_errors=True)
    before, begun = os.times(), time.perf_counter()
    done = produce(items, archive)
    total, after = time.perf_counter() - begun, os.times()
    images = len(done.written)
    print(f"{images} images of {args.size} x {args.size}, {os.cpu_count()} cores")
    for stage, spent in seconds.items():
        print(f"{stage:10} {spent / images:7.1f} s per image")
    print(f"{'the rest':10} {(total - sum(seconds.values())) / images:7.1f} s per image")
    processor = after.user + after.system - before.user - before.system
    print(f"in all     {total / images:7.1f} s per image; {processor / images:.1f} s of processor")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    print(f"score files {sum(path.stat().st_size for path in archive.rglob('*.tif')) / images / 1e6:.1f} MB per image")
    for failure in done.failed:
        print(f"failed: {failure.item_id}: {failure.reason}")


if __name__ == "__main__":
    main()
