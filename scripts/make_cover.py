"""Make ``src/clearsight/simulate/data/cover.npz``: how often how much thick and thin cloud covers a piece of land.

    pip install pandas pyarrow
    python scripts/make_cover.py INVENTORY.parquet

The inventory lists, for 10,847 patches of 5 km all over the world, the percentages of pixels that people labelled
clear, thick cloud, thin cloud and cloud shadow (CloudSEN12+, Aybar et al. 2024, doi:10.1016/j.dib.2024.110852; MIT).
What ships is one table of counts: thick cloud by thin cloud, in steps of 5 %, a row and a column apart for "none".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

OUT = Path(__file__).parents[1] / "src" / "clearsight" / "simulate" / "data" / "cover.npz"
EDGES = np.array([0.0, 0.5, *range(5, 101, 5)])
"""Percent; the first class is "none": below half a percent."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inventory", type=Path)
    table = pd.read_parquet(parser.parse_args().inventory)
    table = table[table["clear_pct"] >= 0]
    top = EDGES[-1] - 1e-6
    counts, _, _ = np.histogram2d(
        np.minimum(table["thick_pct"], top), np.minimum(table["thin_pct"], top), bins=[EDGES, EDGES]
    )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUT, counts=counts.astype(np.uint16), edges=(EDGES / 100).astype(np.float32))
    print(f"{OUT}: {OUT.stat().st_size} bytes, {int(counts.sum())} patches")


if __name__ == "__main__":
    main()
