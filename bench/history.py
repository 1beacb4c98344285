"""Cost of the next scene after a long history: flat, because a history has a fixed size.

    python bench/history.py [--pixels 512] [--after 10 100 400] [--repeat 5]

A place of ``pixels`` x ``pixels`` pixels of 10 m with all 13 bands of L1C, as plain files. Its history is filled with
so many frames; then `clearsight.produce` scores one new scene in near real time, from decoding it to the history that
has it. Processor seconds of ``produce`` (wall seconds tell more of the machine's other work), the least of ``--repeat``
attempts, each from the same history, taken in turn; and of the history's own part: opening it, forming the reference,
ranking, adding and saving. Bytes on disk beside it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pystac
import rasterio
from rasterio.transform import from_origin

from clearsight import _histories, _subtiles
from clearsight._periods import Frame
from clearsight._shares import Seen
from clearsight.archive import Options, produce
from clearsight.bands import BANDS
from clearsight.history import History, open_history
from clearsight.ids import system_index
from clearsight.scoring import DEFAULT_MODEL
from clearsight.sources import plain_item

DAYS = 37
"""Between scenes: so far apart that ten of them have seen every season, as four hundred have. What ten scenes of one
season leave empty costs nothing, and would make the rest look dear."""
NUMBER = 401
"""Of the new scene; the same after every history, for another season would touch other sums."""


def day(number: int) -> dt.datetime:
    return dt.datetime(2016, 1, 1, 10, 0, 0, tzinfo=dt.UTC) + dt.timedelta(days=DAYS * number % 3000, seconds=number)


def cover(number: int, side: int) -> np.ndarray:
    """A third of the place under cloud."""
    rng = np.random.default_rng(number)
    return np.kron(rng.random((side // 16 + 1,) * 2) < 0.33, np.ones((16, 16), bool))[:side, :side]


def reflectance(number: int, side: int) -> np.ndarray:
    """Ground that changes with the season, noise, cloud."""
    rng = np.random.default_rng(number)
    ground = np.random.default_rng(0).uniform(0.02, 0.4, (len(BANDS), side, side)).astype(np.float32)
    season = np.float32(1 + 0.3 * np.sin(2 * np.pi * day(number).timetuple().tm_yday / 365.25))
    values = ground * season + rng.normal(0, 0.005, ground.shape).astype(np.float32)
    values[:, cover(number, side)] = 0.7
    return values


def seen(number: int, side: int) -> Seen:
    """A frame as a history takes it in; ``side`` in its own places."""
    rng = np.random.default_rng(number)
    cs = np.where(cover(number, side), 0.05, rng.uniform(0.8, 1.0, (side, side))).astype(np.float32)
    at = np.datetime64(day(number).replace(tzinfo=None), "s")
    return Seen(f"{day(number):%Y%m%dT%H%M%S}_T33UUU", "bench", at, reflectance(number, side), cs)


def new_item(folder: Path, side: int) -> pystac.Item:
    numbers = np.rint(reflectance(NUMBER, side) * 10_000).astype("uint16")
    path = folder / f"T33UUU_{day(NUMBER):%Y%m%dT%H%M%S}.tif"
    place = {"crs": "EPSG:32633", "transform": from_origin(300_000, 5_800_020, 10, 10)}
    size = {"count": len(BANDS), "height": side, "width": side, "nodata": 0, "dtype": "uint16"}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as file:
        file.write(numbers)
        file.descriptions = tuple(BANDS)
    item = plain_item(folder, level="L1C", offset=0, datetime=day(NUMBER))
    item.properties |= {"grid:code": "MGRS-33UUU"}
    return item


def fill(root: Path, shelf: _histories.Shelf, lengths: list[int]) -> dict[int, Path]:
    """Archives that hold nothing but histories of these lengths."""
    (unit,) = shelf.units
    past = open_history(unit.folder, shape=unit.shape, bands=shelf.bands)
    saved = {}
    for number in range(max(lengths)):
        past.add(seen(number, unit.shape[0]))
        if number + 1 in lengths:
            past.save()
            saved[number + 1] = shutil.copytree(root, root.with_name(f"after{number + 1}"))
    return saved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--after", type=int, nargs="+", default=[10, 100, 400])
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    if not 64 <= args.pixels <= _histories.SIDE or args.pixels % 2:
        parser.error(f"--pixels is even, at least 64 and at most {_histories.SIDE}")
    own: dict[str, float] = defaultdict(float)

    def clocked(place: object, name: str) -> None:
        function = getattr(place, name)

        def run(*given: object, **named: object) -> object:
            begun = time.process_time()
            try:
                return function(*given, **named)
            finally:
                own["history"] += time.process_time() - begun

        setattr(place, name, run)

    with tempfile.TemporaryDirectory() as scratch:
        folder, root = Path(scratch) / "products", Path(scratch) / "archive"
        folder.mkdir()
        item = new_item(folder, args.pixels)
        frame = Frame(system_index(item), item, root / "x")
        shelf = _histories.shelf_of([frame], root=root, how=_subtiles.How("L1C", DEFAULT_MODEL, 10))
        saved = fill(root, shelf, args.after)
        for name in ("add_all", "reference", "rank", "save"):
            clocked(History, name)
        spent: dict[int, list[tuple[float, float]]] = {length: [] for length in saved}
        for _ in range(args.repeat):
            for length, archive in saved.items():
                copy = shutil.copytree(archive, Path(scratch) / "copy")
                own["history"], begun = 0.0, time.process_time()
                (made,) = produce([item], copy, options=Options(mode="near-real-time")).written
                spent[length].append((time.process_time() - begun, own["history"]))
                assert made.properties["CONTEXT_FRAMES"] == length
                shutil.rmtree(copy)
        report(spent, saved, places=(args.pixels // 2) ** 2)


def report(spent: dict[int, list[tuple[float, float]]], saved: dict[int, Path], *, places: int) -> None:
    """Print the least of the attempts, as multiples of the first length's too."""
    first = min(total for total, _ in next(iter(spent.values())))
    print(f"load {os.getloadavg()[0]:.1f}")
    for length, attempts in spent.items():
        size = sum(path.stat().st_size for path in saved[length].rglob("*.blosc")) / places
        total, part = min(total for total, _ in attempts), min(part for _, part in attempts)
        print(
            f"after {length:4} scenes: {total:.3f} s ({total / first:.2f} of the first), the history's part "
            f"{part:.3f} s ({part / places * 5490**2:.0f} s per tile), {size:.0f} bytes per place of 20 m, "
            f"{size * 5490**2 / 1e9:.1f} GB per tile"
        )
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
