"""The images and masks of a SAFE product: JPEG 2000 on the product's grids, GML polygons before baseline 04.00."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from threading import Lock
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.io import MemoryFile

from clearsight.bands import BANDS, NODATA_DN, SATURATED_DN
from clearsight.simulate.product._safe_names import Product
from clearsight.simulate.product._safe_xml import write_xml

Image = NDArray[np.uint8] | NDArray[np.uint16]

TCI_BANDS: Final = ("B04", "B03", "B02")
TCI_WHITE: Final = 0.3558
"""Reflectance that ESA's true-colour image shows as 255."""

PREVIEW_GSD: Final = 320

QUALITY_FLAGS: Final = 8
"""Bands of a MSK_QUALIT image; 6 says nodata, 8 saturated, both counted from 1."""

GML_MASKS: Final[dict[str, tuple[str, str]]] = {
    "DEFECT": ("DEFECTIVE", "defective"),
    "DETFOO": ("DETECTOR_FOOTPRINT", "detector_footprint"),
    "NODATA": ("QT_NODATA_PIXELS", "nodata"),
    "SATURA": ("QT_SATURATED_PIXELS", "saturated"),
    "TECQUA": ("ANC_LOST", "technical"),
}
"""Kinds of per-band masks before baseline 04.00 -> their ``maskType`` and the beginning of each polygon's id."""

_ONE_AT_A_TIME: Final = Lock()
"""`rasterio.features.shapes` silences a warning by `warnings.catch_warnings`, which isn't made for threads: two at once
would let the warning through, or leave it silenced for good."""

CLOUD_KINDS: Final = {1: "OPAQUE", 2: "CIRRUS"}


def write_images(folder: Path, product: Product, *, dn: Mapping[str, Image], layers: Mapping[str, Image]) -> None:
    """Write every image of the product, and its preview, from native bands and layers."""
    pictures = {**dn, **layers, "TCI": true_colour(dn, offset=product.offset)}
    jobs: list[tuple[Path, Image, int]] = []
    for path, (name, gsd) in product.images().items():
        native = _native_gsd(name)
        jobs.append(
            (folder / f"{path}.jp2", resample(pictures[name], factor=(native, gsd), classes=name == "SCL"), gsd)
        )
    step = PREVIEW_GSD // 10
    preview = folder / f"GRANULE/{product.granule}/QI_DATA/{product.image_prefix}_PVI.jp2"
    jobs.append((preview, pictures["TCI"][:, step // 2 :: step, step // 2 :: step], PREVIEW_GSD))
    _write_all(product, jobs)


def write_masks(
    folder: Path, product: Product, *, dn: Mapping[str, Image], layers: Mapping[str, Image]
) -> list[tuple[str, str | None, str]]:
    """Write quality masks as the product's baseline has them; give type, band and path of each."""
    place = f"GRANULE/{product.granule}/QI_DATA"
    masks, jobs = (
        _image_masks(product, dn, layers) if product.modern else _gml_masks(folder / place, product, dn, layers)
    )
    if product.level == "L2A":
        probability = layers["CLDPRB"]
        for kind, values in (("MSK_CLDPRB", probability), ("MSK_SNWPRB", np.zeros_like(probability))):
            for gsd in (20, 60):
                masks.append((kind, None, f"{kind}_{gsd}m.jp2"))
                jobs.append((Path(f"{kind}_{gsd}m.jp2"), resample(values, factor=(20, gsd), classes=False), gsd))
    _write_all(product, [(folder / place / path, image, gsd) for path, image, gsd in jobs])
    return [(kind, band, f"{place}/{name}") for kind, band, name in masks]


def true_colour(dn: Mapping[str, Image], *, offset: int) -> NDArray[np.uint8]:
    """Make ESA's true-colour image: red, green, blue, 1 … 255, 0 = nodata; (3, y, x)."""
    rgb = np.stack([dn[name] for name in TCI_BANDS]).astype(np.float32)
    seen = (rgb != NODATA_DN).all(0)
    shown = np.clip((rgb + offset) / 10_000 / TCI_WHITE * 255, 1, 255)
    return np.where(seen, shown.round(), 0).astype(np.uint8)


def resample(image: Image, *, factor: tuple[int, int], classes: bool) -> Image:
    """Bring an image, (…, y, x), from one ground sampling distance to another, both in metres.

    Coarser by averaging, finer by repeating; classes take the pixel in the middle. A coarse pixel is nodata or
    saturated where any of its parts is.
    """
    from_gsd, to_gsd = factor
    if to_gsd <= from_gsd:
        times = from_gsd // to_gsd
        return image.repeat(times, axis=-2).repeat(times, axis=-1)
    times = to_gsd // from_gsd
    if classes:
        middle: Image = image[..., times // 2 :: times, times // 2 :: times]
        return middle
    rows, columns = image.shape[-2:]
    parts = image.reshape(*image.shape[:-2], rows // times, times, columns // times, times)
    mean: Image = parts.mean(axis=(-3, -1)).round().astype(image.dtype)
    if image.dtype == np.uint16:
        mean[(parts == NODATA_DN).any(axis=(-3, -1))] = NODATA_DN
        mean[(parts == SATURATED_DN).any(axis=(-3, -1))] = SATURATED_DN
    return mean


def _native_gsd(name: str) -> int:
    return BANDS[name].gsd if name in BANDS else 10 if name == "TCI" else 20


def _write_all(product: Product, jobs: list[tuple[Path, Image, int]]) -> None:
    # Most quality masks of a product are the same, band by band: each is compressed once, then copied.
    first: dict[tuple[object, ...], Path] = {}
    copies: list[tuple[Path, Path]] = []
    with ThreadPoolExecutor(2) as pool:
        waiting = []
        for path, image, gsd in jobs:
            path.parent.mkdir(parents=True, exist_ok=True)
            key = (gsd, image.shape, image.dtype.str, sha256(image.tobytes()).digest())
            if key in first:
                copies.append((first[key], path))
            else:
                first[key] = path
                waiting.append(pool.submit(_write_jp2, path, image, product, gsd))
        for job in waiting:
            job.result()
    for source, path in copies:
        copyfile(source, path)


def _write_jp2(path: Path, image: Image, product: Product, gsd: int) -> None:
    planes = image[None] if image.ndim == 2 else image
    count, rows, columns = planes.shape
    grid = {"width": columns, "height": rows, "crs": f"EPSG:{product.epsg}", "transform": product.transform(gsd)}
    # True colour is made for looking, and lossy in ESA's products too; numbers and masks stay what they are.
    numbers = count != len(TCI_BANDS) or path.name.startswith("MSK")
    # By way of memory, since rasterio's copy releases Python's lock while GDAL compresses, and its writer doesn't.
    # No side-car file: what GDAL would note in it, real products don't have either.
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as memory:
        with memory.open(driver="GTiff", count=count, dtype=planes.dtype, **grid) as dataset:
            dataset.write(planes)
        with memory.open() as dataset:
            rasterio.shutil.copy(
                dataset,
                path,
                driver="JP2OpenJPEG",
                QUALITY="100" if numbers else "15",
                REVERSIBLE="YES" if numbers else "NO",
                YCBCR420="NO",
                BLOCKXSIZE=512,
                BLOCKYSIZE=512,
                RESOLUTIONS=min(5, max(1, min(rows, columns).bit_length() - 3)),
            )


def _image_masks(
    product: Product, dn: Mapping[str, Image], layers: Mapping[str, Image]
) -> tuple[list[tuple[str, str | None, str]], list[tuple[Path, Image, int]]]:
    masks: list[tuple[str, str | None, str]] = []
    jobs: list[tuple[Path, Image, int]] = []
    for name, values in dn.items():
        gsd = BANDS[name].gsd
        flags = np.zeros((QUALITY_FLAGS, *values.shape), np.uint8)
        flags[5], flags[7] = values == NODATA_DN, values == SATURATED_DN
        for kind, image in (("MSK_DETFOO", product.detectors(gsd)), ("MSK_QUALIT", flags)):
            masks.append((kind, name, f"{kind}_{name}.jp2"))
            jobs.append((Path(f"{kind}_{name}.jp2"), image, gsd))
    clouds = layers["CLOUDS"]
    snow = np.zeros_like(clouds)
    classes = np.stack([clouds == 1, clouds == 2, snow]).astype(np.uint8)
    masks.append(("MSK_CLASSI", None, "MSK_CLASSI_B00.jp2"))
    jobs.append((Path("MSK_CLASSI_B00.jp2"), classes, 60))
    return masks, jobs


def _gml_masks(
    folder: Path, product: Product, dn: Mapping[str, Image], layers: Mapping[str, Image]
) -> tuple[list[tuple[str, str | None, str]], list[tuple[Path, Image, int]]]:
    folder.mkdir(parents=True, exist_ok=True)
    masks: list[tuple[str, str | None, str]] = []
    footprints = _polygons(product.detectors(60), product.transform(60))
    for name, values in dn.items():
        transform = product.transform(BANDS[name].gsd)
        polygons = {
            "DETFOO": footprints,
            "NODATA": _polygons((values == NODATA_DN).astype(np.uint8), transform),
            "SATURA": _polygons((values == SATURATED_DN).astype(np.uint8), transform),
        }
        for kind in GML_MASKS:
            write_xml(folder / f"MSK_{kind}_{name}.gml", _mask_xml(product, kind, name, polygons.get(kind, [])))
            masks.append((f"MSK_{kind}", name, f"MSK_{kind}_{name}.gml"))
    clouds = _polygons(layers["CLOUDS"], product.transform(60))
    write_xml(folder / "MSK_CLOUDS_B00.gml", _mask_xml(product, "CLOUDS", "B00", clouds))
    masks.append(("MSK_CLOUDS", None, "MSK_CLOUDS_B00.gml"))
    return masks, []


Polygon = tuple[int, list[list[tuple[float, float]]]]


def _polygons(image: Image, transform: Affine) -> list[Polygon]:
    """Value and rings, the outer one first, of every patch of equal pixels that aren't 0."""
    if not image.any():
        return []
    with _ONE_AT_A_TIME:
        found = list(shapes(image, mask=image != 0, transform=transform))
    return [(int(value), geometry["coordinates"]) for geometry, value in found]


def _mask_xml(product: Product, kind: str, band: str, polygons: list[Polygon]) -> ET.Element:
    """One mask as a GML feature collection, as the products before baseline 04.00 have it."""
    root = ET.Element(
        "eop:Mask",
        {
            "xmlns:eop": "http://www.opengis.net/eop/2.0",
            "xmlns:gml": "http://www.opengis.net/gml/3.2",
            "gml:id": f"{product.granule_id}_MSK_{kind}_{band}",
        },
    )
    ET.SubElement(root, "gml:name").text = f"MSK_{kind} pixels mask"
    (rows, columns), (left, top) = product.shape, product.origin
    system = {"srsName": f"urn:ogc:def:crs:EPSG::{product.epsg}"}
    box = ET.SubElement(ET.SubElement(root, "gml:boundedBy"), "gml:Envelope", system)
    ET.SubElement(box, "gml:lowerCorner").text = f"{left:.0f} {top - rows * 10:.0f}"
    ET.SubElement(box, "gml:upperCorner").text = f"{left + columns * 10:.0f} {top:.0f}"
    if not polygons:
        return root
    members = ET.SubElement(root, "eop:maskMembers")
    for number, (value, rings) in enumerate(polygons):
        kind_name, prefix = (CLOUD_KINDS[value], CLOUD_KINDS[value]) if kind == "CLOUDS" else GML_MASKS[kind]
        detector = f"-{value:02d}" if kind == "DETFOO" else ""
        key = f"{prefix}-{band}{detector}-{number}"
        feature = ET.SubElement(members, "eop:MaskFeature", {"gml:id": key})
        ET.SubElement(feature, "eop:maskType", {"codeSpace": "urn:gs2:S2PDGS:maskType"}).text = kind_name
        outline = ET.SubElement(ET.SubElement(feature, "eop:extentOf"), "gml:Polygon", {"gml:id": f"{key}_Polygon"})
        # Detector footprints carry a height of 0 with each point, other masks don't.
        height = " 0" if kind == "DETFOO" else ""
        for side, ring in zip(("exterior", *["interior"] * (len(rings) - 1)), rings, strict=True):
            line = ET.SubElement(ET.SubElement(outline, f"gml:{side}"), "gml:LinearRing")
            points = ET.SubElement(line, "gml:posList", {"srsDimension": "3" if height else "2"})
            points.text = " ".join(f"{x:.0f} {y:.0f}{height}" for x, y in ring)
    return root
