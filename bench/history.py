"""Cost of the next scene after a long history: flat, because a history has a fixed size.

    python bench/history.py [--side 256] [--bands 12] [--after 10 100 400] [--repeat 5]

One sub-tile of ``side`` x ``side`` pixels of 20 m. For each length of history: processor seconds (wall seconds tell
more of the machine's other work) to open it, form the reference of a new scene, add the scene, rank its scores at 10 m
and save; the least of ``--repeat`` attempts, each from the same saved history, taken in turn. Bytes on disk beside it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from clearsight.history import History, Seen, open_history

DAYS = 37
"""Between scenes: so far apart that ten of them have seen every season, as four hundred have. What ten scenes of one
season leave empty costs nothing, and would make the rest look dear."""
NAMES = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "B10")


def scene(number: int, *, side: int, bands: int) -> Seen:
    """Ground that changes with the season, noise, and a third of it under cloud."""
    rng = np.random.default_rng(number)
    day = np.datetime64("2016-01-01T10:00:00") + np.timedelta64(DAYS * number, "D")
    ground = np.random.default_rng(0).uniform(0.02, 0.4, (bands, side, side))
    season = 1 + 0.3 * np.sin(2 * np.pi * DAYS * number / 365.25)
    values = (ground * season + rng.normal(0, 0.005, ground.shape)).astype(np.float32)
    cloud = np.kron(rng.random((side // 16 + 1,) * 2) < 0.33, np.ones((16, 16), bool))[:side, :side]
    values[:, cloud] = 0.7
    cs = np.where(cloud, 0.05, rng.uniform(0.8, 1.0, (side, side))).astype(np.float32).repeat(2, 0).repeat(2, 1)
    return Seen(f"scene{number:04}", "05.11", day, values, cs)


def next_scene(folder: Path, new: Seen) -> float:
    begun = time.process_time()
    past = open_history(folder)
    past.reference(at=new.date)
    past.add(new)
    past.rank(new.cs)
    past.save()
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--bands", type=int, default=12)
    parser.add_argument("--after", type=int, nargs="+", default=[10, 100, 400])
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        saved: dict[int, Path] = {}
        past = History((args.side, args.side), NAMES[: args.bands])
        for number in range(max(args.after)):
            past.add(scene(number, side=args.side, bands=args.bands))
            if number + 1 in args.after:
                saved[number + 1] = Path(scratch) / f"after{number + 1}"
                past.save(saved[number + 1])
        seconds: dict[int, list[float]] = {length: [] for length in saved}
        # The same season's new scene each time: otherwise one would touch sums that the other leaves alone.
        new = scene(max(args.after) + 3, side=args.side, bands=args.bands)
        for _ in range(args.repeat):
            for length, folder in saved.items():
                copy = shutil.copytree(folder, Path(scratch) / "copy")
                seconds[length].append(next_scene(copy, new))
                shutil.rmtree(copy)
        first = min(seconds[args.after[0]])
        for length, folder in saved.items():
            size = sum(path.stat().st_size for path in folder.iterdir())
            per_place, least = size / args.side**2, min(seconds[length])
            print(
                f"after {length:4} scenes: {least:.3f} s ({least / first:.2f} of the first), "
                f"{per_place:.0f} bytes per place of 20 m, {per_place * 5490**2 / 1e9:.1f} GB per tile"
            )
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
