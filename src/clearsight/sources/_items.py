"""Items and assets as every source makes them (docs/architecture.md, "Source items")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import pystac

from clearsight.bands import BANDS, NODATA_DN, Level

_EXTENSIONS: Final = {
    prefix: f"https://stac-extensions.github.io/{name}/schema.json"
    for prefix, name in {
        "eo": "eo/v1.1.0",
        "grid": "grid/v1.1.0",
        "processing": "processing/v1.2.0",
        "proj": "projection/v2.0.0",
        "raster": "raster/v1.1.0",
        "sat": "sat/v1.0.0",
        "view": "view/v1.0.0",
    }.items()
}
"""Prefix of a field -> the extension that defines it."""

COLLECTIONS: Final[dict[str, Level]] = {"sentinel-2-l1c": "L1C", "sentinel-2-l2a": "L2A"}
"""Names of the collections that ``search`` filters by."""

_MEDIA_TYPES: Final = {"jp2": pystac.MediaType.JPEG2000, "tif": pystac.MediaType.GEOTIFF}
_IMAGE: Final = re.compile(r"(?:^|_)(B\d\d|B8A|SCL)(?:_(10|20|60)m)?(?:\.(jp2|tif|tiff))?$", re.IGNORECASE)
_FOLDER: Final = re.compile(r"^R(10|20|60)m$")


@dataclass(frozen=True)
class Image:
    """One image file and what its name says."""

    name: str
    band: str
    """``B02``, or ``SCL``."""
    resolution: int
    """Metres: from the name or its folder, else the band's own."""


@dataclass(frozen=True)
class Grid:
    """Pixels of an image on the ground."""

    rows: int
    columns: int
    left: float
    top: float
    resolution: float
    """Metres."""

    @property
    def transform(self) -> list[float]:
        """``proj:transform``."""
        return [self.resolution, 0.0, self.left, 0.0, -self.resolution, self.top]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        right, bottom = self.left + self.columns * self.resolution, self.top - self.rows * self.resolution
        return self.left, bottom, right, self.top


def declare_extensions(item: pystac.Item) -> None:
    """Name the STAC extensions whose fields an item uses."""
    fields = [*item.properties, *(name for asset in item.assets.values() for name in asset.extra_fields)]
    used = {name.partition(":")[0] for name in fields}
    item.stac_extensions = [uri for prefix, uri in _EXTENSIONS.items() if prefix in used]


def images(names: Iterable[str]) -> dict[str, Image]:
    """Find the image of each band (and SCL) among file names: the finest, where there are several."""
    finest: dict[str, Image] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        match = _IMAGE.search(path.name)
        if match is None or "MSK_" in path.name or (match[1].upper() != "SCL" and match[1].upper() not in BANDS):
            continue
        band = match[1].upper()
        folder = _FOLDER.match(path.parent.name)
        known = match[2] or (folder and folder[1])
        resolution = int(known) if known else BANDS[band].gsd if band in BANDS else 20
        if band not in finest or resolution < finest[band].resolution:
            finest[band] = Image(name, band, resolution)
    order = [*BANDS, "SCL"]
    return {band: finest[band] for band in order if band in finest}


def band_asset(
    href: str, band: str, *, grid: Grid, quantification: float, offset: float, index: int = 1
) -> pystac.Asset:
    """Make the asset of a band.

    Parameters
    ----------
    href : str
        The file.
    band : str
        Name of the band.
    grid : Grid
        Its pixels.
    quantification, offset : float
        Reflectance = (DN + offset) / quantification.
    index : int
        Band within the file, from 1.
    """
    facts = BANDS[band]
    fields: dict[str, Any] = _grid_fields(grid) | {
        "eo:bands": [
            {
                "name": band,
                "common_name": facts.common_name,
                "center_wavelength": facts.wavelength,
                "full_width_half_max": facts.width,
            }
        ],
        "raster:bands": [
            {
                "nodata": NODATA_DN,
                "data_type": "uint16",
                "scale": 1 / quantification,
                "offset": offset / quantification,
                "spatial_resolution": grid.resolution,
            }
        ],
    }
    if index != 1:
        fields["clearsight:band"] = index
    title = f"{band} reflectance"
    return pystac.Asset(href, title=title, media_type=media_type(href), roles=["data"], extra_fields=fields)


def class_asset(href: str, title: str, *, grid: Grid, roles: list[str]) -> pystac.Asset:
    """Make the asset of a raster of classes or flags: no scale, so that nothing ever averages it."""
    fields = _grid_fields(grid) | {"raster:bands": [{"data_type": "uint8", "spatial_resolution": grid.resolution}]}
    return pystac.Asset(href, title=title, media_type=media_type(href), roles=roles, extra_fields=fields)


def media_type(href: str) -> str | None:
    """Media type by the file's extension."""
    return _MEDIA_TYPES.get(href.rpartition(".")[2].lower()[:3])


def _grid_fields(grid: Grid) -> dict[str, Any]:
    return {
        "gsd": grid.resolution,
        "proj:transform": grid.transform,
        "proj:shape": [grid.rows, grid.columns],
    }
