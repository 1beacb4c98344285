"""Seconds per megapixel of ours and of every peer that runs here, on one and the same image, in one run.

    python bench/peers.py [--side 1024] [--peers s2cloudless ukis-csmask] [--repeat 1] [--save FILE]

The image is simulated: 13 L1C bands at 10 m. Peers run in environments of their own (made on first use in the user's
cache, about half a gigabyte each). Times are of scoring alone. On a busy machine only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import xarray as xr

from clearsight.bands import BANDS
from clearsight.context import halved, no_ground
from clearsight.evaluation.peers.registry import OURS, PEERS, peers
from clearsight.evaluation.samples import stack_of
from clearsight.evaluation.worlds import World, make_place
from clearsight.model import TEN, TWENTY, conditions, load_model


def scene(side: int, *, frames: int = 1) -> xr.Dataset:
    """A simulated stack, mirrored from a smaller one: what it shows doesn't matter for the time."""
    small = stack_of(make_place(World(places=1, frames=frames, size=256), 0))
    times = -(-side // 256)
    tiled = {
        name: (("time", "y", "x"), np.tile(band.values, (1, times, times))[:, :side, :side])
        for name, band in small.items()
        if name in BANDS
    }
    return xr.Dataset(tiled, coords={"time": small.time})


def forward(stack: xr.Dataset) -> float:
    """Seconds of one run of our network over a frame of 13 bands, at full resolution."""
    model = load_model()
    ten = np.stack([stack[name].values[0] for name in TEN])
    twenty = np.stack([halved(stack[name].values[0]) for name in TWENTY])
    facts = conditions([*TEN, *TWENTY], level="L1C", pixel=10.0, view=None)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        model.look(ten, twenty, ground=no_ground(ten.shape[1:]), facts=facts)
        times.append(time.perf_counter() - start)
    return min(times)


def measured(side: int, names: list[str], *, repeat: int = 1) -> dict[str, float]:
    """Seconds per megapixel, the fastest of some runs."""
    stack = scene(side)
    rates = {"clearsight, network alone": forward(stack) / (side * side / 1e6)}
    print(f"{'network alone':>24}: {rates['clearsight, network alone']:.2f} s/Mpx", flush=True)
    for method in (*OURS[:1], *peers(names)):
        obstacle = method.obstacle(stack, level="L1C")
        if obstacle:
            print(f"{method.name:>24}: not run: {obstacle}")
            continue
        seconds = min(method.run(stack, level="L1C").seconds for _ in range(repeat))
        rates[method.name] = seconds / (side * side / 1e6)
        print(f"{method.name:>24}: {rates[method.name]:.2f} s/Mpx", flush=True)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024, help="pixels")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    rates = measured(options.side, options.peers, repeat=options.repeat)
    if options.save:
        options.save.write_text(json.dumps({"side": options.side, "rows": rates}, indent=2) + "\n")


if __name__ == "__main__":
    main()
