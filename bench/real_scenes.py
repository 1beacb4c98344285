"""Score two real single scenes as `clearsight score` does, and draw them: docs/images/{brandenburg,virginia}.png.

Run: python bench/real_scenes.py   (needs the folder ../shared/data beside the checkout)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import clearsight
from clearsight.pictures import composite_sheet, masked_out, true_colour
from clearsight.product import read_scores

ROOT = Path(__file__).parents[1]
SCENES = ROOT.parent / "shared" / "data" / "l1c_scenes"
PLACES = {
    "brandenburg": (
        "brandenburg_T33UUU_20170216",
        "Brandenburg, 2017-02-16: winter, haze, thin cloud and shadow",
        None,
    ),
    "virginia": ("virginia_coast_18N", "Virginia's coast: clear; surf, marsh, towns, fields", "2018-01-31T15:58:01Z"),
}
"""Folder, title, and a time where the files hold none: it's a placeholder, only the season could matter."""


def measured() -> dict[str, float]:
    """Share of each scene's pixels that are kept; draws the scenes on the way."""
    kept_by_place = {}
    for name, (folder, title, acquired) in PLACES.items():
        items = clearsight.search(SCENES / folder, level="L1C", offset=0, acquired=acquired)
        with tempfile.TemporaryDirectory() as archive:
            (item,) = clearsight.produce(items, archive).written
            scores = read_scores(item.assets["scores"].get_absolute_href())
            share = item.properties["NO_CONTEXT_FRACTION"]
        frame = clearsight.load(items, bands=["B02", "B03", "B04"]).isel(time=0)
        colour = true_colour(frame, display=(0.02, 0.3))
        cs = scores["cs"].values
        panels = {"true colour": colour, "cs": cs, "cs ≥ 0.60": masked_out(colour, cs >= 0.60)}
        composite_sheet(panels, ROOT / "docs" / "images" / f"{name}.png", title=title)
        kept = float((cs[np.isfinite(cs)] >= 0.60).mean())
        print(f"{name}: mean cs {np.nanmean(cs):.3f}, kept at 0.60 {100 * kept:.1f} %, NO_CONTEXT_FRACTION {share}")
        kept_by_place[title] = kept
    return kept_by_place


if __name__ == "__main__":
    measured()
