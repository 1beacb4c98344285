"""Real L2A series, published as arrays, as an archive that ``clearsight.search`` reads.

python scripts/belgium_bands.py SERIES FOLDER

SERIES holds ``belgium_*.npz`` (uint16, L2A digital numbers without offset; those with B02, B03, B04, B08 at 10 m are
taken). FOLDER gets a static catalogue: per place and date a GeoTIFF per band, SCL beside them, sun and view angles.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import rasterio
from affine import Affine

from clearsight.sources import plain_item
from clearsight.sources._items import Grid, class_asset


def main() -> None:
    """Write the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    write_archive(sorted(arguments.series.glob("belgium_*.npz")), arguments.folder)


def write_archive(series: list[Path], folder: Path) -> None:
    """Write every date of every series that has 10 m bands, and the catalogue last."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = pystac.Catalog("belgium", "Sentinel-2 L2A of small places, cloudy dates kept")
    for path in series:
        arrays = dict(np.load(path, allow_pickle=False))
        if "b10" not in arrays:
            print(f"{path.name}: no bands at 10 m, left out")
            continue
        for number, date in enumerate(arrays["dates"]):
            catalogue.add_item(write_date(arrays, number, moment=_moment(str(date)), folder=folder))
        print(f"{path.name}: {len(arrays['dates'])} dates")
    catalogue.normalize_and_save(str(folder), catalog_type=pystac.CatalogType.SELF_CONTAINED)


def write_date(arrays: dict[str, np.ndarray], number: int, *, moment: datetime, folder: Path) -> pystac.Item:
    """Write the files of one date, and describe them."""
    tile, crs = str(arrays["tile"]), f"EPSG:{arrays['epsg']}"
    left, _, _, top = json.loads(str(arrays["bounds"]).replace("(", "[").replace(")", "]"))
    name = f"T{tile}_{moment:%Y%m%dT%H%M%S}"
    scene = folder / "images" / name
    scene.mkdir(parents=True, exist_ok=True)
    for key, pixel in (("b10", 10), ("b20", 20)):
        for index, band in enumerate(arrays[f"{key}_names"]):
            _write(scene / f"{name}_{band}_{pixel}m.tif", arrays[key][number, ..., index], crs, left, top, pixel)
    _write(scene / f"{name}_SCL_20m.tif", arrays["scl"][number], crs, left, top, 20)
    item = plain_item(scene, level="L2A", offset=0, datetime=moment)
    rows, columns = arrays["scl"].shape[1:]
    grid = Grid(rows, columns, left, top, 20)
    href = (scene / f"{name}_SCL_20m.tif").resolve().as_posix()
    item.add_asset("SCL", class_asset(href, "Scene classification", grid=grid, roles=["data"]))
    item.properties |= {
        "view:sun_azimuth": float(arrays["sunAzimuthAngles"][number]),
        "view:sun_elevation": 90 - float(arrays["sunZenithAngles"][number]),
        "view:off_nadir": float(arrays["viewZenithMean"][number]),
        "view:azimuth": float(arrays["viewAzimuthMean"][number]),
    }
    return item


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)


def _write(path: Path, values: np.ndarray, crs: str, left: float, top: float, pixel: int) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as part:
        file = Path(part) / path.name
        with rasterio.open(
            file, "w", driver="GTiff", width=values.shape[1], height=values.shape[0], count=1, dtype=values.dtype,
            crs=crs, transform=Affine(pixel, 0, left, 0, -pixel, top), nodata=0,
        ) as out:  # fmt: skip
            out.write(values, 1)
        file.replace(path)


if __name__ == "__main__":
    main()
