"""Score the real Slovenian L1C series and draw it: true colour, cs, cs_cdf, and what a threshold of 0.60 keeps.

    python bench/slovenia.py [--data FILE] [--out PICTURE]

Contains modified Copernicus Sentinel data (2015-2017).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from clearsight.pictures import contact_sheet
from clearsight.scoring import score

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "l1c_series" / "slovenia_33T_10dates.npz"


def read(path: Path) -> xr.Dataset:
    """The series as a stack."""
    with np.load(path) as file:
        bands = {
            str(name): (("time", "y", "x"), np.ascontiguousarray(file["bands"][..., i]))
            for i, name in enumerate(file["band_names"])
        }
        dates = file["dates"].astype("datetime64[ns]")
    return xr.Dataset(bands, coords={"time": dates})


def measured(data: Path = DATA) -> dict[str, float]:
    """Mean cs of the frames of 2015, by what the eye sees in them."""
    cs = score(read(data), level="L1C").cs.isel(time=slice(0, 5)).mean(("y", "x")).values
    return {
        "the three clear frames, the lowest": float(min(cs[0], cs[3], cs[4])),
        "07-31, thin broken cloud": float(cs[1]),
        "08-20, thick cloud": float(cs[2]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "slovenia_projection.png")
    options = parser.parse_args()
    stack = read(options.data)
    scores = score(stack, level="L1C")
    contact_sheet(
        stack.merge(scores[["cs", "cs_cdf"]]),
        options.out,
        title="Slovenia, T33T: scored as one series, 13 bands of L1C",
    )
    for t, date in enumerate(stack.time.values):
        frame = scores.isel(time=t)
        print(
            f"{str(date)[:10]}  cs {float(frame.cs.mean()):.3f}  cs_cdf {float(frame.cs_cdf.mean()):.3f}  "
            f"no context {float(frame.no_context):.2f}"
        )


if __name__ == "__main__":
    main()
