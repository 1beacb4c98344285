"""Small images on disk, as items: a field, a forest and a lake, and a cloud that wanders from date to date."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pystac
import rasterio
from rasterio.transform import from_origin

from clearsight.sources import plain_item

BANDS = ("B02", "B03", "B04", "B08")
SURFACES = np.array([[0.06, 0.09, 0.05, 0.40], [0.03, 0.05, 0.03, 0.25], [0.05, 0.04, 0.02, 0.01]], np.float32)
CLOUD = np.float32(0.6)
SHAPE = (120, 96)
LOSSLESS = {
    "driver": "JP2OpenJPEG", "quality": 100, "reversible": True, "tiled": True, "blockxsize": 64, "blockysize": 64
}  # fmt: skip


def image(number: int, *, shape: tuple[int, int] = SHAPE, cloudy: bool = True) -> np.ndarray:
    """Digital numbers (band, y, x) of date ``number``; the first column of the grid is nodata."""
    rng = np.random.default_rng(number)
    rows, cols = np.indices(shape)
    reflectance = SURFACES[(rows // 24 + cols // 24) % 3].transpose(2, 0, 1).copy()
    if cloudy:
        inside = np.hypot(rows - shape[0] / 2, cols - 10 - 20 * number % shape[1]) < 22
        reflectance[:, inside] = CLOUD
    numbers = np.rint(reflectance * 10_000 + rng.normal(0, 30, reflectance.shape))
    numbers[:, :, 0] = 0
    return np.clip(numbers, 0, None).astype("uint16")


def make_item(
    folder: Path,
    number: int,
    *,
    tile: str = "33UUU",
    level: str = "L1C",
    baseline: str = "05.09",
    numbers: np.ndarray | None = None,
    jpeg2000: bool = False,
) -> pystac.Item:
    """Write date ``number`` and describe it as a product of that level and processing baseline.

    A GeoTIFF of all bands; or, as in products, a JPEG 2000 file of each.
    """
    taken = datetime(2023, 3, 1, 10, 10, 31, tzinfo=UTC) + timedelta(days=10 * number)
    stamp, strip = f"{taken:%Y%m%dT%H%M%S}", f"{taken + timedelta(minutes=2):%Y%m%dT%H%M%S}"
    name = f"S2A_MSI{level}_{stamp}_N{baseline.replace('.', '')}_R022_T{tile}_{strip}"
    pixels = image(number) if numbers is None else numbers
    path = folder / name / f"T{tile}_{stamp}"
    path.parent.mkdir(parents=True)
    if jpeg2000:
        for band, values in zip(BANDS, pixels, strict=True):
            _write(path.with_name(f"{path.name}_{band}.jp2"), values[None], **LOSSLESS)
    else:
        _write(path.with_suffix(".tif"), pixels, descriptions=BANDS, driver="GTiff", nodata=0)
    item = plain_item(path.parent, level=level, offset=0, datetime=taken)
    item.id = name
    del item.properties["clearsight:index"]
    item.properties |= {
        "grid:code": f"MGRS-{tile}",
        "platform": "sentinel-2a",
        "processing:version": baseline,
        "s2:product_uri": f"{name}.SAFE",
        "s2:datatake_id": f"GS2A_{stamp}_040000_N{baseline}",
        "s2:datastrip_id": f"S2A_OPER_MSI_{level}_DS_2APS_{strip}_S{strip}_N{baseline}",
    }
    return item


def _write(path: Path, numbers: np.ndarray, *, descriptions: tuple[str, ...] = (), **profile: object) -> None:
    count, height, width = numbers.shape
    place = {"crs": "EPSG:32633", "transform": from_origin(300_000, 5_800_020, 10, 10)}
    size = {"count": count, "height": height, "width": width, "dtype": "uint16"}
    with rasterio.open(path, "w", **size, **place, **profile) as file:
        file.write(numbers)
        if descriptions:
            file.descriptions = descriptions


def index_of(number: int, *, tile: str = "33UUU") -> str:
    """``system:index`` of date ``number``."""
    taken = datetime(2023, 3, 1, 10, 10, 31, tzinfo=UTC) + timedelta(days=10 * number)
    return f"{taken:%Y%m%dT%H%M%S}_{taken + timedelta(minutes=2):%Y%m%dT%H%M%S}_T{tile}"
