"""What the default model makes of real images, none of which it was trained or calibrated on; draws them too.

    python bench/real_model.py [--model NAME|FILE] [--save FILE]      (needs ../shared/data beside the checkout)

Contains modified Copernicus Sentinel data (2015-2022).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import h5py
import numpy as np
import rasterio
import xarray as xr

import clearsight
from clearsight.pictures import composite_sheet, contact_sheet, masked_out, true_colour
from clearsight.scoring import DEFAULT_MODEL

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
IMAGES = ROOT / "docs" / "images"
KEPT = 0.6
"""Threshold."""
SCL = {
    3: "cloud shadow", 4: "vegetation", 5: "bare ground", 6: "water", 8: "likely cloud", 9: "cloud", 10: "thin cirrus",
}  # fmt: skip
"""What the classes are called."""


def stack_of(bands: dict[str, np.ndarray], *, dates: list[str], pixel: float) -> xr.Dataset:
    """(time, y, x) arrays as a stack."""
    size = next(iter(bands.values())).shape
    return xr.Dataset(
        {name: (("time", "y", "x"), np.ascontiguousarray(values, dtype=np.float32)) for name, values in bands.items()},
        coords={
            "time": np.array(dates, dtype="datetime64[ns]"),
            "y": -pixel * np.arange(size[1], dtype=float),
            "x": pixel * np.arange(size[2], dtype=float),
        },
    )


def slovenia(model: str) -> dict[str, float]:
    """L1C series of ten dates: clear, thin and thick cloud, five winter frames of what was once judged valid."""
    with np.load(DATA / "l1c_series" / "slovenia_33T_10dates.npz") as file:
        bands = {str(name): file["bands"][..., i] for i, name in enumerate(file["band_names"])}
        dates = [str(date)[:10] for date in file["dates"]]
    stack = stack_of(bands, dates=dates, pixel=10.0)
    scores = clearsight.score(stack, level="L1C", model=model)
    title = "Slovenia, T33T: scored as one series, 13 bands of L1C"
    contact_sheet(stack.merge(scores[["cs", "cs_cdf"]]), IMAGES / "slovenia.png", title=title)
    mean = scores.cs.mean(("y", "x")).values
    snow = scores.cs.values[dates.index("2017-01-11")]
    return {
        "Slovenia, clear frames, the lowest mean cs": float(min(mean[0], mean[3], mean[4])),
        "Slovenia, thin broken cloud, mean cs": float(mean[1]),
        "Slovenia, thick cloud, mean cs": float(mean[2]),
        "Slovenia, frame with snow, mean cs": float(np.nanmean(snow)),
        "Slovenia, frame with snow, kept": float((snow[np.isfinite(snow)] >= KEPT).mean()),
    }


def alone(stack: xr.Dataset, scores: xr.Dataset, path: Path, *, title: str) -> None:
    """Draw a single frame: true colour, score, what is kept."""
    colour = true_colour(stack.isel(time=0), display=(0.02, 0.3))
    cs = scores.cs.values[0]
    composite_sheet({"true colour": colour, "cs": cs, "cs ≥ 0.60": masked_out(colour, cs >= KEPT)}, path, title=title)


def scene(folder: str, *, acquired: str | None, name: str, title: str, model: str) -> dict[str, float]:
    """A real L1C scene, alone."""
    items = clearsight.search(DATA / "l1c_scenes" / folder, level="L1C", offset=0, acquired=acquired)
    stack = clearsight.load(items)
    scores = clearsight.score(stack, level="L1C", model=model)
    alone(stack, scores, IMAGES / f"{name}.png", title=title)
    cs = scores.cs.values
    return {f"{title}, kept": float((cs[np.isfinite(cs)] >= KEPT).mean())}


def dsen2(model: str) -> dict[str, float]:
    """Two clear chips without B10: fields, and a bright shallow coast."""
    bands = (("im10", 1, "B04 B03 B02 B08"), ("im20", 2, "B05 B06 B07 B8A B11 B12"), ("im60", 6, "B01 B09"))
    found = {}
    for path in sorted((DATA / "l1c_scenes" / "dsen2_chips").glob("*.mat")):
        with h5py.File(path) as file:
            planes = {}
            for key, step, names in bands:
                values = np.array(file[key], dtype=np.float32).transpose(0, 2, 1) / 1e4
                for plane, band in zip(values, names.split(), strict=True):
                    planes[band] = plane.repeat(step, 0).repeat(step, 1)[None]
        stack = stack_of(planes, dates=["2017-10-01"], pixel=10.0)
        cs = clearsight.score(stack, level="L1C", model=model).cs.values
        found[f"dsen2 chip {path.stem}, kept"] = float((cs[np.isfinite(cs)] >= KEPT).mean())
    return found


def ireland(model: str) -> dict[str, float]:
    """A whole L2A tile at 60 m against the confident classes of its scene classification."""
    folder = DATA / "l2a_scenes" / "T29UNU_20221005_60m"
    planes, scl = {}, None
    for path in sorted(folder.glob("T29UNU_*_60m.jp2")):
        band = path.stem.split("_")[2]
        with rasterio.open(path) as file:
            if band == "SCL":
                scl = file.read(1)
            elif band.startswith("B"):
                dn = file.read(1).astype(np.float32)
                planes[band] = np.where(dn > 0, (dn - 1000) / 1e4, np.nan)[None]
    stack = stack_of(planes, dates=["2022-10-05"], pixel=60.0)
    scores = clearsight.score(stack, level="L2A", model=model)
    alone(stack, scores, IMAGES / "ireland.png", title="Ireland, T29UNU, 2022-10-05: L2A at 60 m, scored alone")
    cs = scores.cs.values[0]
    good, bad = np.isin(scl, (4, 5, 6)), np.isin(scl, (3, 8, 9, 10))
    good, bad = good & np.isfinite(cs), bad & np.isfinite(cs)
    kept, refused = float((cs[good] >= KEPT).mean()), float((cs[bad] < KEPT).mean())
    found = {"Ireland at 60 m, balanced agreement with SCL": (kept + refused) / 2}
    for code in (3, 4, 5, 6, 8, 9, 10):
        here = (scl == code) & np.isfinite(cs)
        if here.any():
            found[f"Ireland at 60 m, SCL's {SCL[code]}, kept"] = float((cs[here] >= KEPT).mean())
    return found


def measured(model: str) -> dict[str, float]:
    return {
        **slovenia(model),
        **scene(
            "virginia_coast_18N", acquired="2018-01-31T15:58:01Z", name="virginia", title="Virginia's coast, clear",
            model=model,
        ),
        **dsen2(model),
        **ireland(model),
        **scene(
            "brandenburg_T33UUU_20170216", acquired=None, name="brandenburg",
            title="Brandenburg, 2017-02-16: haze, thin cloud, shadow", model=model,
        ),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    rows = measured(options.model)
    for name, value in rows.items():
        print(f"{value:6.3f}  {name}")
    if options.save:
        options.save.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
