"""One scene's files as a provider serves them: a cloud-optimised GeoTIFF and a tiled JPEG 2000."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pystac
import rasterio
from affine import Affine
from numpy.typing import NDArray

from clearsight.sources._normalise import RULE, normalised
from clearsight.sources.presets import PRESETS
from provider_items import Scene, item_of
from safe_fixtures import write_jp2

SIDE: Final = 1024
"""Pixels of a file along a side."""
SCENE: Final = Scene(
    "S2A_MSIL2A_20230625T234621_N0509_R073_T33UUU_20230626T022157",
    "S2A_OPER_MSI_L2A_DS_2APS_20230626T022157_S20230625T234624_N05.09",
    size=SIDE,
)
FILES: Final = {"B02": "B02.tif", "B03": "B03.jp2"}
FAR: Final = {"rows": (700, 760), "columns": (600, 660)}
"""A window that one block of 256 pixels holds, far from the file's beginning."""


def write_files(folder: Path) -> Path:
    """Write random reflectance in both formats; what doesn't compress shows how much of it travels."""
    rng = np.random.default_rng(7)
    for name in FILES.values():
        dn: NDArray[np.uint16] = rng.integers(1200, 6000, (SIDE, SIDE), dtype=np.uint16)
        if name.endswith(".jp2"):
            write_jp2(folder / name, dn, left=SCENE.left, top=SCENE.top, gsd=10, epsg=32633, block=256)
            continue
        with rasterio.open(
            folder / name,
            "w",
            driver="COG",
            width=SIDE,
            height=SIDE,
            count=1,
            dtype="uint16",
            nodata=0,
            crs="EPSG:32633",
            transform=Affine(10, 0, SCENE.left, 0, -10, SCENE.top),
            blocksize=256,
            compress="deflate",
        ) as file:
            file.write(dn, 1)
    return folder


def scene_item(addresses: Mapping[str, str], *, provider: str = "copernicus") -> pystac.Item:
    """The scene in our form, its bands at these addresses; the offset is known, so that no other band is looked at."""
    entry = item_of(provider, SCENE, addresses, flag=False)
    item = normalised(pystac.Item.from_dict(entry), offset=PRESETS[provider].offset, assets=PRESETS[provider].assets)
    item.assets = {band: asset for band, asset in item.assets.items() if band in addresses}
    del item.properties[RULE]
    return item
