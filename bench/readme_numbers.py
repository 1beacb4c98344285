"""Write the README's numbers and pictures from what the benches have measured: none is typed in.

    python bench/readme_numbers.py [--demo FOLDER]     # measures the demo's season too, into bench/results/season.json
    python bench/readme_numbers.py --only-write        # from bench/results as they are

The other results come from bench/model.py, bench/real_model.py and bench/peers.py (see bench/model_card.py).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pystac
import rasterio
from scipy.stats import spearmanr

from clearsight import demo
from clearsight.product import read_scores

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
BEGIN, END = "<!-- numbers: written by bench/readme_numbers.py -->", "<!-- /numbers -->"


def season(made: demo.Demo) -> dict[str, float]:
    """The simulated season of the demo, whose truth is exact."""
    cs, q = [], []
    for item in pystac.Collection.from_file(str(made.files["scores"])).get_items(recursive=True):
        cs.append(read_scores(item.assets["scores"].get_absolute_href())["cs"].values.ravel())
        with rasterio.open(made.files["products"] / "truth" / f"{item.id}.tif") as file:
            q.append(file.read(1).ravel())
    ours, truth = np.concatenate(cs), np.concatenate(q)
    return {
        "dates": made.dates,
        "error": float(np.abs(ours - truth).mean()),
        "rank": float(spearmanr(ours[::11], truth[::11]).statistic),
        "clear kept": float((ours[truth >= 0.95] >= 0.60).mean()),
        "hidden kept": float((ours[truth < 0.3] >= 0.60).mean()),
        "unmasked": made.unmasked_error,
        "masked": made.masked_error,
    }


def rows(results: Path = RESULTS) -> list[str]:
    """The README's table."""
    this, model, real, speed = (
        json.loads((results / f"{name}.json").read_text()) for name in ("season", "model", "real", "speed")
    )
    best, plain = model["rows"]["L1C, 13 bands"], model["rows"]["L2A, 4 bands"]
    places = f"{model['clips']} simulated places never trained on, six dates each"
    ratio = this["unmasked"] / this["masked"]
    table = [
        "| where | what | |",
        "|---|---|---|",
        f"| {places} | area under the ROC for q < 0.6, L1C with 13 bands: with other dates, alone "
        f"| {best['area with context']:.3f}, {best['area without']:.3f} |",
        f"| | the same, L2A with B02, B03, B04, B08 | {plain['area with context']:.3f}, {plain['area without']:.3f} |",
        f"| | mean absolute error of `cs`, 13 bands: with other dates, alone "
        f"| {best['error with context']:.3f}, {best['error without']:.3f} |",
        f"| the demo's season, {this['dates']} dates | fully clear pixels (q ≥ 0.95) that are kept at 0.60 "
        f"| {100 * this['clear kept']:.1f} % |",
        f"| | hidden pixels (q < 0.3) that are kept | {100 * this['hidden kept']:.1f} % |",
        f"| | error of the median composite against the clear truth, in reflectance: unmasked, masked "
        f"| {this['unmasked']:.4f}, {this['masked']:.4f} ({ratio:.1f} times smaller) |",
    ]
    table += [f"| real | {name} | {value:.2f} |" for name, value in real.items() if "cloud shadow" not in name]
    ours = speed["rows"]["clearsight, network alone"]
    table += [
        f"| two cores, one run | seconds per Mpx: our network; {name} | {ours:.2f}; {value:.2f} |"
        for name, value in speed["rows"].items()
        if "csmask" in name or "s2cloudless" in name
    ]
    return table


def written(text: str, results: Path = RESULTS) -> str:
    """The README with today's table."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return "\n".join([before + BEGIN, *rows(results), END]) + after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, help="folder of a former `clearsight demo`")
    parser.add_argument("--only-write", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.only_write:
        with tempfile.TemporaryDirectory() as fresh:
            made = demo.run(options.demo or fresh)
            (RESULTS / "season.json").write_text(json.dumps(season(made), indent=2) + "\n")
            for what, name in (("composite and truth", "demo_composite"), ("contact sheet", "demo_contact_sheet")):
                shutil.copyfile(made.files[what], ROOT / "docs" / "images" / f"{name}.png")
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text()))


if __name__ == "__main__":
    main()
