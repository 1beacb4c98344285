"""Score the real Slovenian L1C series and draw it: true colour, cs, cs_cdf, and what a threshold of 0.60 keeps.

    python bench/slovenia.py [--data FOLDER] [--out PICTURE]

Contains modified Copernicus Sentinel data (2015-2017).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from clearsight.scoring import score

ROOT = Path(__file__).parents[1]
THRESHOLD = 0.60


def read(path: Path) -> xr.Dataset:
    """The series as a stack."""
    with np.load(path) as file:
        bands = {
            str(name): (("time", "y", "x"), np.ascontiguousarray(file["bands"][..., i]))
            for i, name in enumerate(file["band_names"])
        }
        dates = file["dates"].astype("datetime64[ns]")
    return xr.Dataset(bands, coords={"time": dates})


def true_colour(frame: xr.Dataset) -> np.ndarray:
    rgb = np.stack([frame[name].values for name in ("B04", "B03", "B02")], axis=-1)
    return np.where(np.isfinite(rgb), np.clip(rgb / 0.25, 0, 1), 0.85)


def draw(stack: xr.Dataset, scores: xr.Dataset, out: Path) -> None:
    frames = stack.sizes["time"]
    figure, axes = plt.subplots(4, frames, figsize=(1.7 * frames, 7.4), layout="compressed")
    for row, label in enumerate(("true colour", "cs", "cs_cdf", f"cs_cdf ≥ {THRESHOLD:.2f}")):
        axes[row, 0].set_ylabel(label)
    colours = plt.get_cmap("viridis").with_extremes(bad="0.85")
    for t in range(frames):
        frame, frame_scores = stack.isel(time=t), scores.isel(time=t)
        rgb, keep = true_colour(frame), frame_scores.cs_cdf.values >= THRESHOLD
        axes[0, t].imshow(rgb)
        axes[0, t].set_title(str(frame.time.values)[:10], fontsize=9)
        for row, name in ((1, "cs"), (2, "cs_cdf")):
            image = axes[row, t].imshow(frame_scores[name], vmin=0, vmax=1, cmap=colours)
            axes[row, t].set_xlabel(f"mean {float(frame_scores[name].mean()):.2f}", fontsize=8)
        axes[3, t].imshow(np.where(keep[..., None], rgb, 1.0))
        axes[3, t].set_xlabel(f"{keep.sum() / np.isfinite(frame_scores.cs.values).sum():.0%} kept", fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.colorbar(image, ax=axes[1:3, :], shrink=0.8, pad=0.01, label="score")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "slovenia_projection.png")
    options = parser.parse_args()
    stack = read(options.data / "l1c_series" / "slovenia_33T_10dates.npz")
    scores = score(stack, level="L1C")
    draw(stack, scores, options.out)
    for t, date in enumerate(stack.time.values):
        frame = scores.isel(time=t)
        print(
            f"{str(date)[:10]}  cs {float(frame.cs.mean()):.3f}  cs_cdf {float(frame.cs_cdf.mean()):.3f}  "
            f"no context {float(frame.no_context):.2f}"
        )


if __name__ == "__main__":
    main()
