"""Contact sheet of the simulated ground: every kind of place on four dates, in true colour.

    python bench/pictures_surfaces.py --out docs/images/surfaces.png
    python bench/pictures_surfaces.py --out docs/images/bright_and_dark.png \\
        --kinds greenhouses industry quarry saltworks lava peat glacier seaice

Sunlit at half past ten of the date (direct light with its shadows, and a tenth of diffuse light), no atmosphere.
"""

from __future__ import annotations

import argparse
import datetime
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clearsight.simulate.ground.weather import sun_zenith
from clearsight.simulate.places.surfaces import KINDS, make_surface, surface_reflectance, terrain_light

mpl.use("Agg")
from matplotlib import pyplot as plt

LATITUDES = {
    "desert": 26.0, "dunes": 24.0, "salt": -22.0, "savanna": 11.0, "mangrove": -8.0, "sea": 35.0, "mountain": 46.0,
    "snow": 46.0, "grassland": 44.0, "tidal": 53.5, "greenhouses": 36.8, "saltworks": 36.5, "lava": 19.5,
    "seaice": 74.0, "peat": 54.0, "glacier": 61.0,
}  # fmt: skip
BRIGHT = {
    "snow": 1.0,
    "salt": 0.8,
    "dunes": 0.6,
    "desert": 0.5,
    "mountain": 0.4,
    "sea": 0.2,
    "savanna": 0.3,
    "glacier": 0.8,
    "seaice": 1.0,
    "greenhouses": 0.5,
    "saltworks": 0.5,
    "quarry": 0.5,
    "industry": 0.4,
}


def true_colour(reflectance: NDArray[np.float32], *, top: float) -> NDArray[np.float32]:
    """Red, green, blue (y, x, 3), 0 … 1, with a mild gamma as map services use."""
    return np.clip(reflectance[[3, 2, 1]].transpose(1, 2, 0) / top, 0, 1) ** 0.8


def panel(kind: str, *, size: int, seed: int, date: datetime.date, top: float | None = None) -> NDArray[np.float32]:
    """A place on a date."""
    latitude = LATITUDES.get(kind, 50.0)
    place = make_surface(kind, shape=(size, size), seed=seed, latitude=latitude)
    zenith = sun_zenith(date, latitude=latitude)
    light = terrain_light(place, sun_zenith=zenith, sun_azimuth=155.0 if latitude > 0 else 25.0)
    lit = surface_reflectance(place, date=date) * (0.9 * light + 0.1)
    # Under snow a picture as bright as the summer's would be a white sheet.
    return true_colour(lit, top=top or max(BRIGHT.get(kind, 0.25), min(1.3 * float(np.median(lit[2])), 1.3)))


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/surfaces.png"))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--dates", nargs="*", default=["2023-01-22", "2023-05-14", "2023-07-30", "2023-10-12"])
    arguments = parser.parse_args()
    dates = [datetime.date.fromisoformat(text) for text in arguments.dates]
    across = 2 if len(arguments.kinds) > 6 else 1
    rows = -(-len(arguments.kinds) // across)
    figure, axes = plt.subplots(
        rows, across * len(dates), figsize=(across * len(dates) * 2.1, rows * 2.2), squeeze=False
    )
    for axis in axes.ravel():
        axis.set_axis_off()
    for number, kind in enumerate(arguments.kinds):
        for column, date in enumerate(dates):
            axis = axes[number % rows, number // rows * len(dates) + column]
            axis.imshow(panel(kind, size=arguments.size, seed=arguments.seed, date=date), interpolation="nearest")
            axis.set_title(f"{kind}  {date:%d %b}" if column == 0 else f"{date:%d %b}", fontsize=8, pad=2)
    figure.subplots_adjust(left=0.002, right=0.998, bottom=0.002, top=0.985, wspace=0.02, hspace=0.1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet = io.BytesIO()
    figure.savefig(sheet, dpi=84)
    Image.open(sheet).convert("RGB").quantize(256).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
