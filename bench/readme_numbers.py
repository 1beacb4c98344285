"""Write the README's numbers and picture: the demo against its truth, and the real series and scenes where they are.

Run: python bench/readme_numbers.py [--demo FOLDER]   (a folder that `clearsight demo` filled is used as it is)
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pystac
import rasterio
from scipy.stats import spearmanr

from clearsight import demo
from clearsight.product import read_scores
from real_scenes import measured as measured_scenes
from slovenia import measured as measured_series

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- numbers: written by bench/readme_numbers.py -->", "<!-- /numbers -->"


def simulated(made: demo.Demo) -> list[str]:
    """Rows of the simulated season, whose truth is exact."""
    cs, q = [], []
    for item in pystac.Collection.from_file(str(made.files["scores"])).get_items(recursive=True):
        cs.append(read_scores(item.assets["scores"].get_absolute_href())["cs"].values.ravel())
        with rasterio.open(made.files["products"] / "truth" / f"{item.id}.tif") as file:
            q.append(file.read(1).ravel())
    ours, truth = np.concatenate(cs), np.concatenate(q)
    rank = spearmanr(ours[::11], truth[::11]).statistic
    season = f"simulated season, {made.dates} dates"
    ratio = made.unmasked_error / made.masked_error
    return [
        f"| {season} | mean absolute error of `cs` against the exact share of light from the ground "
        f"| {np.abs(ours - truth).mean():.3f} |",
        f"| | rank correlation of the two | {rank:.3f} |",
        f"| | pixels fully clear (q ≥ 0.95) that are kept at `cs` ≥ 0.60 | {_kept(ours[truth >= 0.95])} |",
        f"| | pixels hidden (q < 0.3) that are kept | {_kept(ours[truth < 0.3])} |",
        f"| | error of the composite against the clear truth, in reflectance: unmasked, masked "
        f"| {made.unmasked_error:.4f}, {made.masked_error:.4f} ({ratio:.1f} times smaller) |",
    ]


def _kept(cs: np.ndarray) -> str:
    return f"{100 * (cs >= 0.60).mean():.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="folder of a former `clearsight demo`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        made = demo.run(options.demo or fresh)
        rows = simulated(made)
        shutil.copyfile(made.files["composite and truth"], ROOT / "docs" / "images" / "demo_composite.png")
        shutil.copyfile(made.files["contact sheet"], ROOT / "docs" / "images" / "demo_contact_sheet.png")
    series = measured_series()
    rows += [f"| real series, Slovenia 2015 | mean `cs` of {what} | {value:.2f} |" for what, value in series.items()]
    rows += [
        f"| real single scene, {place} | kept at `cs` ≥ 0.60 | {100 * kept:.1f} % |"
        for place, kept in measured_scenes().items()
    ]
    table = "\n".join(["| where | what | |", "|---|---|---|", *rows])
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
