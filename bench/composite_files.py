"""Time and memory of a composite from files to a file, over an area that may be as large as a tile.

    python bench/composite_files.py FOLDER [--side 10980] [--dates 20] [--distinct 2] [--kill]

The input, four bands and a score per date as COGs, is made once and stays in FOLDER: a place of 1098 pixels, laid side
by side. Some dates have pixels of their own, the others refer to the same files, which are read and decoded again: with
two of them a tile takes about 1 GB on disk. Each attempt is a process of its own, whose highest use of memory is told;
making the input isn't part of it. With ``--kill`` the first attempt is killed outright after its first window, and the
second has to go on from there. The last attempt asks for what is there already.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pystac
import rasterio
import rasterio.shutil
from affine import Affine
from scipy.ndimage import zoom

from clearsight.mosaic import write_mosaic

BANDS = ("B02", "B03", "B04", "B08")
PLACE = 1098
TRANSFORM = Affine(10, 0, 300000, 0, -10, 5700000)


def make(folder: Path, *, side: int, dates: int, distinct: int) -> list[pystac.Item]:
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for date in range(dates):
        when = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=5 * date)
        item = pystac.Item(f"date{date:02}", None, None, when, {"proj:code": "EPSG:32633", "grid:code": "MGRS-33UUU"})
        for number, band in enumerate(BANDS):
            path = folder / f"{band}_{date % distinct}.tif"
            if not path.exists():
                ground(path, side=side, seed=10 * (date % distinct) + number)
            add(item, band, path, side=side, meaning={"nodata": 0, "scale": 1e-4, "offset": -0.1})
        path = folder / f"scores_{date % distinct}.tif"
        if not path.exists():
            scores(path, side=side, seed=1000 + date % distinct)
        add(item, "cs_cdf", path, side=side, meaning={"nodata": 255, "scale": 0.005, "offset": 0.0})
        items.append(item)
    return items


def smooth(seed: int, *, coarse: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return zoom(rng.random((PLACE // coarse + 2,) * 2, dtype=np.float32), coarse, order=1)[:PLACE, :PLACE]


def laid(place: np.ndarray, side: int) -> np.ndarray:
    times = -(-side // PLACE)
    return np.tile(place, (times, times))[:side, :side]


def ground(path: Path, *, side: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 64, (PLACE, PLACE), dtype=np.uint16)
    write(path, laid((1100 + 2500 * smooth(seed, coarse=32)).astype(np.uint16) + noise, side))


def scores(path: Path, *, side: int, seed: int) -> None:
    write(path, laid(np.clip(300 * smooth(seed, coarse=200) - 50, 0, 200).astype(np.uint8), side))


def write(path: Path, plane: np.ndarray) -> None:
    part = path.with_suffix(".part")
    profile = {"driver": "GTiff", "height": plane.shape[0], "width": plane.shape[1], "count": 1, "dtype": plane.dtype}
    with rasterio.MemoryFile() as memory:
        with rasterio.open(memory.name, "w", crs="EPSG:32633", transform=TRANSFORM, **profile) as file:
            file.write(plane, 1)
        # No overviews, the quickest level: a composite reads the pixels themselves, and decoding costs the same.
        fast = {"compress": "DEFLATE", "level": 1, "predictor": "YES", "blocksize": 512, "overviews": "NONE"}
        rasterio.shutil.copy(memory.name, part, driver="COG", **fast)
    part.rename(path)


def add(item: pystac.Item, band: str, path: Path, *, side: int, meaning: dict[str, float]) -> None:
    fields = {"raster:bands": [meaning], "proj:shape": [side, side], "proj:transform": list(TRANSFORM[:6]), "gsd": 10}
    item.add_asset(band, pystac.Asset(str(path), media_type=pystac.MediaType.COG, extra_fields=fields))


def run(folder: Path, *, side: int, dates: int, distinct: int) -> None:
    """One attempt, in this process: what it costs, and what it found done."""
    items = make(folder, side=side, dates=dates, distinct=distinct)
    found = finished(folder)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    windows: list[int] = []
    mosaic = write_mosaic(items, folder / "composite.tif", progress=lambda done, total, _: windows.append(total))
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "made": mosaic.made,
                "clock_s": round(time.perf_counter() - started, 1),
                "own_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
                "peak_mb_of_the_process": round(after.ru_maxrss / 1024),
                "windows": windows[-1] if windows else 0,
                "windows_found_done": found,
            }
        )
    )


def finished(folder: Path) -> int:
    return sum(path.read_text().count("\n") for path in folder.glob(".composite.tif.*.windows/finished"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=10980)
    parser.add_argument("--dates", type=int, default=20)
    parser.add_argument("--distinct", type=int, default=2)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run(options.folder, side=options.side, dates=options.dates, distinct=options.distinct)
        return
    started = time.perf_counter()
    make(options.folder, side=options.side, dates=options.dates, distinct=options.distinct)
    size = sum(path.stat().st_size for path in options.folder.glob("*_*.tif")) / 1e6
    print(f"input: {size:.0f} MB on disk, made in {time.perf_counter() - started:.0f} s", flush=True)
    again = [sys.executable, __file__, str(options.folder), "--child"]
    again += ["--side", str(options.side), "--dates", str(options.dates), "--distinct", str(options.distinct)]
    print(
        f"{options.dates} dates x {len(BANDS)} bands x {options.side} x {options.side}, from COGs to a COG", flush=True
    )
    if options.kill:
        # In a process of its own: making the input takes more memory than the composite.
        child = subprocess.Popen(again)
        while child.poll() is None and not finished(options.folder):
            time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        print(f"killed with {finished(options.folder)} windows finished; once more:", flush=True)
    for _ in range(2):
        subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
