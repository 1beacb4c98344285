"""How fast the map follows the threshold: a 512 x 512 tile of 30 dates, composited anew, and the picture of it.

    python bench/view.py [ARCHIVE --imagery FOLDER]

Without an archive the pixels are random digital numbers, as they lie in memory once they are read: the time to
composite doesn't depend on what they show, nor on the files. Prints the median of several moves of the threshold.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import numpy as np
from odc.geo.geobox import GeoBox

from clearsight.viewer.chunks import TILE, Chunks, MapTile
from clearsight.viewer.drawing import draw, png
from clearsight.viewer.library import Frame, Library, open_library
from clearsight.viewer.looks import Look

DATES = 30
GOAL = 0.2


class Remembered(Chunks):
    """Pixels that are already in memory."""

    def stack(self, box: GeoBox, frames: Sequence[Frame], band: str) -> np.ndarray:
        random = np.random.default_rng(sum(map(ord, band)))
        key = box, tuple(frame.id for frame in frames), band
        known = self._stacks.get(key)
        if known is None:
            shape = len(frames), *box.shape
            scores = band in ("cs", "cs_cdf")
            known = random.integers(0, 201, shape, np.uint8) if scores else random.integers(1, 9000, shape, np.int16)
            self._stacks.put(key, known)
        return known


def invented() -> Library:
    begin = datetime(2021, 4, 1, tzinfo=UTC)
    frames = {f"{day:03}": Frame(f"{day:03}", begin + timedelta(days=5 * day), (), {}) for day in range(DATES)}
    grids = {"32UQD": GeoBox.from_bbox((700000, 5800000, 705120, 5805120), "EPSG:32632", resolution=10)}
    return Library("bench", MappingProxyType(frames), {}, grids, ("B02", "B03", "B04"), (), "0")


def middle(library: Library, z: int) -> MapTile:
    west, south, east, north = library.bbox
    lat = np.radians((south + north) / 2)
    return MapTile(
        z,
        int(((west + east) / 2 + 180) / 360 * 2**z),
        int((1 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * 2**z),
    )


def measure(library: Library, chunks: Chunks, *, z: int, moves: int = 9) -> None:
    box = middle(library, z).geobox()
    began = time.perf_counter()
    draw(Look(), box, chunks)
    first = time.perf_counter() - began
    walls, busy = [], []
    for move in range(moves):
        began, used = time.perf_counter(), time.process_time()
        rgba = draw(Look(threshold=0.4 + 0.03 * move), box, chunks)
        content = png(rgba)
        walls.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    seen = (rgba[..., 3] > 0).mean()
    print(
        f"{TILE} x {TILE}, {len(library.frames)} dates, zoom {z}, {100 * seen:.0f} % seen: first {first:.2f} s; "
        f"another threshold, with PNG ({len(content) // 1000} kB), {statistics.median(walls):.3f} s "
        f"(best {min(walls):.3f}; goal {GOAL}), processor time {statistics.median(busy):.3f} s over all threads; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("archive", nargs="?")
    arguments.add_argument("--imagery")
    given = arguments.parse_args()
    if given.archive:
        library = open_library(given.archive, imagery=given.imagery)
        chunks = Chunks(library)
        for z in (11, 13, 14):
            measure(library, chunks, z=z)
    else:
        library = invented()
        measure(library, Remembered(library), z=14)


if __name__ == "__main__":
    main()
