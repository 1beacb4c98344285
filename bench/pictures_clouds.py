"""Contact sheet of simulated skies: every kind of cloud, under a high and a low sun, over four kinds of ground.

    python bench/pictures_clouds.py --out docs/images/clouds.png

Six panels each, seen through the sensor: true colour (reflectance 0 … 1, and 0 … 0.3), B12 B8A B04 (0 … 0.7), B10, and
the truth: ``q`` (black 0, white 1) and its cause.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from clearsight.simulate.air.atmosphere import Geometry
from clearsight.simulate.cloud.fields import KINDS, make_clouds
from clearsight.simulate.cloud.sky import Sky
from clearsight.simulate.draws import draw_air
from clearsight.simulate.imaging.render import render
from clearsight.simulate.imaging.sensor import observe, regrid
from clearsight.simulate.imaging.truth import CAUSES
from clearsight.simulate.places.surfaces import make_surface, surface_reflectance, terrain_light

mpl.use("Agg")
from matplotlib import pyplot as plt

SUNS = (32.0, 62.0)
"""Zenith angles."""
GROUNDS = ("crops", "coast", "mountain", "town")
COVERS = {
    "overcast": (0.93, 0.85), "haze_veil": (0.8, 0.9), "thin_cirrus": (0.7, 0.8), "thick_cirrus": (0.6, 0.7),
    "thin_stratus": (0.75, 1.0), "altostratus": (0.6, 0.8), "cirrostratus": (1.0, 0.7), "even_veil": (1.0, 0.8),
}  # fmt: skip
COLOURS = np.array([[240, 240, 235], [90, 130, 200], [170, 205, 240], [60, 60, 75], [150, 240, 240], [255, 0, 0]]) / 255


def composite(toa: NDArray[np.float32], bands: tuple[int, int, int], top: float) -> NDArray[np.float32]:
    return np.clip(np.nan_to_num(toa[list(bands)].transpose(1, 2, 0)) / top, 0, 1) ** 0.75


def draw(axes: list[Axes], kind: str, *, place: str, zenith: float, cover: float, size: int, seed: int) -> None:
    """One frame in six panels."""
    surface = make_surface(place, shape=(size, size), seed=seed, latitude=47.0)
    day = datetime.date(2023, 6, 25) if zenith < 50 else datetime.date(2023, 10, 20)
    sun = Geometry(sun_zenith=zenith, sun_azimuth=155.0, view_zenith=5.0, view_azimuth=105.0)
    light = terrain_light(surface, sun_zenith=zenith, sun_azimuth=155.0)
    layer = make_clouds(kind, shape=(size, size), seed=seed, cover=cover, elevation=surface.elevation)
    height = float(surface.elevation.mean()) / 1000
    air = draw_air(np.random.default_rng(seed), latitude=47.0, date=day, elevation=height)
    frame = render(
        surface_reflectance(surface, date=day),
        sky=Sky((layer,), air), geometry=sun, light=light, elevation=surface.elevation,
    )  # fmt: skip
    toa = regrid(observe(frame.toa, seed=seed, sun_zenith=zenith))
    cirrus = np.clip(toa[10] / max(0.01, float(np.percentile(toa[10], 99.5))), 0, 1)
    panels = (
        composite(toa, (3, 2, 1), 1.0),
        composite(toa, (3, 2, 1), 0.3),
        composite(toa, (12, 8, 3), 0.7),
        np.repeat(cirrus[..., None], 3, axis=2),
        np.repeat(frame.q[..., None], 3, axis=2),
        COLOURS[frame.cause],
    )
    for axis, panel in zip(axes, panels, strict=True):
        axis.imshow(panel, interpolation="nearest")
    axes[0].set_title(f"{kind}, {place}, sun {90 - zenith:.0f}° high", fontsize=7, pad=2, loc="left")
    axes[3].set_title(f"B10 to {max(0.01, float(np.percentile(toa[10], 99.5))):.2f}", fontsize=7, pad=2, loc="left")


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/clouds.png"))
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--dpi", type=int, default=100)
    arguments = parser.parse_args()
    rows = len(arguments.kinds)
    figure, axes = plt.subplots(rows, 12, figsize=(12 * 1.55, rows * 1.68 + 0.3), squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for row, kind in enumerate(arguments.kinds):
        for half, zenith in enumerate(SUNS):
            draw(
                list(axes[row, 6 * half : 6 * half + 6]),
                kind,
                place=GROUNDS[(row + 2 * half) % len(GROUNDS)],
                zenith=zenith,
                cover=COVERS.get(kind, (0.35, 0.5))[half],
                size=arguments.size,
                seed=arguments.seed + row + 50 * half,
            )
    names = ", ".join(f"{code} {name}" for code, name in CAUSES.items())
    figure.text(0.002, 0.002, f"causes, from white over blue and grey to red: {names}", fontsize=7)
    figure.subplots_adjust(left=0.002, right=0.998, bottom=0.012, top=0.985, wspace=0.02, hspace=0.1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, dpi=arguments.dpi)


if __name__ == "__main__":
    main()
