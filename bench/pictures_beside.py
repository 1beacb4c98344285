"""Contact sheet of simulated clips beside real crops: docs/images/beside.png.

    python bench/pictures_beside.py   (needs the folder ../shared/data beside the checkout)

Each row is one look: a real image cut into crops (left) and simulated places of that kind under that sky and sun
(right), all of one size and one stretch. Contains modified Copernicus Sentinel data (2015-2022).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import rasterio
from numpy.typing import NDArray

from clearsight.simulate.air.state import Geometry
from clearsight.simulate.cloud.fields import make_clouds
from clearsight.simulate.cloud.sky import Sky
from clearsight.simulate.draws import draw_air
from clearsight.simulate.imaging.render import render
from clearsight.simulate.imaging.sensor import observe, regrid
from clearsight.simulate.places.surfaces import make_surface, surface_reflectance, terrain_light

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
ACROSS = 4
Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """What a row shows."""

    title: str
    size: int
    """Pixels of a crop's edge."""
    top: float
    """Reflectance shown as white."""
    kinds: tuple[str, ...]
    """Kinds of simulated places."""
    skies: tuple[tuple[str, float] | None, ...]
    """Kind of cloud and cover, or None."""
    latitude: float
    date: datetime.date
    sun: float
    """Zenith angle."""
    pixel: float = 10.0
    level: str = "L1C"


LOOKS = {
    "brandenburg": Look(
        "Brandenburg, February: haze, thin cloud, shadow (L1C, 10 m)", 252, 0.3, ("mixed", "forest", "lake", "crops"),
        (("thin_cirrus", 0.5), None, ("haze_veil", 0.5), ("haze_veil", 0.3)), 48.0, datetime.date(2023, 3, 25), 66.0,
    ),
    "virginia": Look(
        "Virginia's coast: clear (L1C, 10 m)", 252, 0.3, ("coast", "mixed", "tidal", "forest"), (None,) * 4, 37.7,
        datetime.date(2023, 10, 31), 53.0,
    ),
    "slovenia": Look(
        "Slovenia, summer: clear, thin, thick (L1C, 10 m)", 96, 0.35, ("forest",) * 4,
        (None, ("altocumulus", 0.95), ("haze_veil", 1.0), None), 45.9, datetime.date(2023, 8, 10), 35.0,
    ),
    "ireland": Look(
        "T29UNU, October: half cloud (L2A, 60 m)", 252, 0.35, ("mixed", "grassland", "coast", "crops"),
        (("broken_stratus", 0.5), ("deep", 0.4), ("broken_stratus", 0.6), ("thick_cirrus", 0.5)), 52.5,
        datetime.date(2022, 10, 5), 60.0, 60.0, "L2A",
    ),
}  # fmt: skip


def crops(image: Picture, look: Look, *, at: list[tuple[int, int]]) -> Iterator[Picture]:
    for row, column in at:
        yield image[row : row + look.size, column : column + look.size]


def real(name: str, look: Look) -> list[Picture]:
    """Crops of a real image, red, green and blue, reflectance."""
    if name == "brandenburg":
        files = [
            DATA / f"l1c_scenes/brandenburg_T33UUU_20170216/T33UUU_20170216T102101_{b}.jp2"
            for b in ("B04", "B03", "B02")
        ]
        image = np.stack([rasterio.open(file).read(1) for file in files], -1) / np.float32(1e4)
        return list(crops(image, look, at=[(0, 820), (10, 20), (480, 480), (300, 500)]))
    if name == "virginia":
        image = rasterio.open(DATA / "l1c_scenes/virginia_coast_18N/l1c_10m.tif").read((3, 2, 1)) / np.float32(1e4)
        return list(crops(image.transpose(1, 2, 0), look, at=[(900, 1150), (60, 60), (1100, 820), (850, 450)]))
    if name == "slovenia":
        bands = np.load(DATA / "l1c_series/slovenia_33T_10dates.npz")["bands"]
        return [bands[t, :96, :96][..., [3, 2, 1]] for t in (0, 1, 2, 4)]
    folder = DATA / "l2a_scenes/T29UNU_20221005_60m"
    files = [folder / f"T29UNU_20221005T115411_{b}_60m.jp2" for b in ("B04", "B03", "B02")]
    image = (np.stack([rasterio.open(file).read(1) for file in files], -1).astype("f4") - 1000) / np.float32(1e4)
    return list(crops(image, look, at=[(200, 200), (0, 500), (900, 100), (600, 260)]))


def simulated(look: Look, *, number: int, seed: int) -> Picture:
    """One simulated clip, seen through the sensor."""
    shape = (look.size, look.size)
    place = make_surface(look.kinds[number], shape=shape, seed=seed, latitude=look.latitude, pixel=look.pixel)
    sun = Geometry(sun_zenith=look.sun, sun_azimuth=160.0, view_zenith=5.0, view_azimuth=105.0)
    sky = look.skies[number]
    layers = ()
    if sky is not None:
        layers = (
            make_clouds(sky[0], shape=shape, seed=seed, cover=sky[1], elevation=place.elevation, pixel=look.pixel),
        )
    height = float(place.elevation.mean()) / 1000
    air = draw_air(np.random.default_rng(seed), latitude=look.latitude, date=look.date, elevation=height)
    frame = render(
        surface_reflectance(place, date=look.date),
        sky=Sky(layers, air),
        geometry=sun,
        light=terrain_light(place, sun_zenith=look.sun, sun_azimuth=160.0),
        elevation=place.elevation,
        pixel=look.pixel,
        seed=seed,
    )
    image = frame.toa if look.level == "L1C" else np.nan_to_num(frame.boa)
    return regrid(observe(image, seed=seed, sun_zenith=look.sun))[[3, 2, 1]].transpose(1, 2, 0)


def main() -> None:
    figure, axes = plt.subplots(len(LOOKS), 2 * ACROSS, figsize=(2 * ACROSS * 2.3, len(LOOKS) * 2.5), squeeze=False)
    for row, (name, look) in enumerate(LOOKS.items()):
        pictures = [*real(name, look), *(simulated(look, number=n, seed=100 * row + n + 3) for n in range(ACROSS))]
        for axis, picture in zip(axes[row], pictures, strict=True):
            axis.imshow(np.clip(picture / look.top, 0, 1) ** 0.8, interpolation="nearest")
            axis.set_axis_off()
        axes[row, 0].set_title(f"real: {look.title}", fontsize=8, loc="left", pad=3)
        axes[row, ACROSS].set_title("simulated: " + ", ".join(look.kinds), fontsize=8, loc="left", pad=3)
    figure.subplots_adjust(left=0.002, right=0.998, bottom=0.002, top=0.975, wspace=0.02, hspace=0.09)
    figure.savefig(ROOT / "docs" / "images" / "beside.png", dpi=80)


if __name__ == "__main__":
    main()
