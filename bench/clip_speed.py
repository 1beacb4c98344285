"""How many clips a second one core simulates: 6 frames of 13 bands of 132 x 132 pixels, with their truth.

    python bench/clip_speed.py [--clips 48] [--profile]

Clips are made as for the training's bank (place, calendar, sky, rendering, instrument, truth), one after the other in
one process, and counted in seconds of processor time, so that a machine that others use too says about the same; but a
shared processor's caches and clock are shared as well, so compare only what ran together. 132 is the next size above
128 that the 60 m grid divides: 6 % more pixels. Tables that are made once in a process are made before.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import time
from pathlib import Path

import numpy as np

from clearsight.simulate.air.atmosphere import coefficients
from clearsight.simulate.air.state import AEROSOLS, PLATFORMS, Air, Geometry
from clearsight.training.bank import Plan, make_clip


def main() -> None:
    """Print processor seconds for each clip, and clips for each of those seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--size", type=int, default=132, help="pixels of a side, a multiple of 6")
    parser.add_argument("--pixels", type=float, nargs="+", default=(10.0,), help="sizes in metres")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    arguments = parser.parse_args()
    plan = Plan(Path(), clips=1, size=arguments.size, pixels=tuple(arguments.pixels))
    for aerosol, platform in itertools.product(AEROSOLS, PLATFORMS):
        coefficients(Air(aerosol=aerosol), Geometry(40.0), platform=platform)
    make_clip(0, plan=plan)
    profile = cProfile.Profile(time.process_time)
    seconds = []
    for number in range(1, arguments.clips + 1):
        start = time.process_time()
        if arguments.profile:
            profile.runcall(make_clip, number, plan=plan)
        else:
            make_clip(number, plan=plan)
        seconds.append(time.process_time() - start)
    mean, spread = float(np.mean(seconds)), float(np.std(seconds)) / np.sqrt(len(seconds))
    print(
        f"{arguments.clips} clips of {plan.frames} x 13 x {plan.size} x {plan.size}: {mean:.3f} ± {spread:.3f} s of "
        f"processor each, {1 / mean:.2f} clips a second"
    )
    if arguments.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats("clearsight", 50)


if __name__ == "__main__":
    main()
