"""Tiny genuine SAFE products for tests: real JP2 files around metadata in the real layout."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Real data beside the checkout; tests that need it are skipped where it is absent."""

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
GSD = dict(zip(BANDS, (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 60, 20, 20), strict=True))


@dataclass(frozen=True)
class Product:
    """What a tiny product should be like."""

    level: str = "L1C"
    baseline: str = "05.10"
    offset: float | None = -1000
    """None: the metadata has no list of offsets."""
    quantification: float = 10_000
    tile: str = "33UUU"
    start: str = "20230115T101301"
    strip: str = "20230115T101555"
    generated: str = "20230115T121212"
    sensed: str = "2023-01-15T10:17:03.123Z"
    size: int = 60
    """Rows and columns at 10 m; a multiple of 6."""
    left: float = 300_000
    top: float = 5_800_020
    epsg: int = 32633
    bands: tuple[str, ...] = BANDS
    seed: int = 0
    dn: Mapping[str, NDArray[np.uint16]] = field(default_factory=dict)
    """Pixels of bands; the others are random."""

    @property
    def name(self) -> str:
        kind = f"MSI{self.level}"
        return f"S2A_{kind}_{self.start}_N{self.baseline.replace('.', '')}_R022_T{self.tile}_{self.generated}"

    @property
    def index(self) -> str:
        return f"{self.start}_{self.strip}_T{self.tile}"


def numbers(product: Product, band: str) -> NDArray[np.uint16]:
    """Pixels of a band: given, or random with a corner of nodata."""
    if band in product.dn:
        return product.dn[band]
    size = product.size * 10 // GSD[band]
    rng = np.random.default_rng([product.seed, BANDS.index(band)])
    dn = rng.integers(1001, 6000, (size, size), dtype=np.uint16)
    dn[: size // 3, : size // 3] = 0
    return dn


def write_jp2(
    path: Path, dn: NDArray[np.generic], *, left: float, top: float, gsd: float, epsg: int, block: int = 1024
) -> None:
    """Write a lossless JP2 as ESA does: reversible wavelet, tiles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = dn if dn.ndim == 3 else dn[None]
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        width=layers.shape[2],
        height=layers.shape[1],
        count=layers.shape[0],
        dtype=layers.dtype,
        crs=f"EPSG:{epsg}",
        transform=Affine(gsd, 0, left, 0, -gsd, top),
        QUALITY="100",
        REVERSIBLE="YES",
        RESOLUTIONS="5",
        tiled=True,
        blockxsize=block,
        blockysize=block,
    ) as dataset:
        dataset.write(layers)


def write_safe(folder: Path, product: Product | None = None) -> Path:
    """Write a product as a SAFE folder below ``folder`` and return its path."""
    product = product or Product()
    root = folder / f"{product.name}.SAFE"
    granule = root / "GRANULE" / f"{product.level}_T{product.tile}_A012345_{product.strip}"
    granule.mkdir(parents=True)
    (root / f"MTD_MSI{product.level}.xml").write_text(product_xml(product))
    (granule / "MTD_TL.xml").write_text(granule_xml(product))
    for band in product.bands:
        stem = f"T{product.tile}_{product.start}_{band}"
        place = f"R{GSD[band]}m/{stem}_{GSD[band]}m.jp2" if product.level == "L2A" else f"{stem}.jp2"
        write_jp2(
            granule / "IMG_DATA" / place,
            numbers(product, band),
            left=product.left,
            top=product.top,
            gsd=GSD[band],
            epsg=product.epsg,
        )
    return root


def zip_folder(root: Path, target: Path) -> Path:
    """Zip a SAFE folder as ESA delivers it: without compression of the images."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(root.parent).as_posix())
    return target


def product_xml(product: Product) -> str:
    l2a = product.level == "L2A"
    quantification, offset = (
        ("BOA_QUANTIFICATION_VALUE", "BOA_ADD_OFFSET")
        if l2a
        else (
            "QUANTIFICATION_VALUE",
            "RADIO_ADD_OFFSET",
        )
    )
    offsets = (
        "".join(f'<{offset} band_id="{i}">{product.offset:.0f}</{offset}>' for i in range(13))
        if (product.offset is not None)
        else ""
    )
    level = product.level.removeprefix("L")
    made = product.generated
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_URI>{product.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{product.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{made[:4]}-{made[4:6]}-{made[6:8]}T{made[9:11]}:{made[11:13]}:{made[13:]}.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="GS2A_{product.start}_012345_N{product.baseline}">
        <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
        <SENSING_ORBIT_NUMBER>22</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
    </Product_Info>
    <Product_Image_Characteristics>
      <{quantification} unit="none">{product.quantification:g}</{quantification}>
      <Offsets>{offsets}</Offsets>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info>
</n1:Level-{level}_User_Product>
"""


def granule_xml(product: Product) -> str:
    level = product.level.removeprefix("L")
    size, place = "", ""
    for gsd in (10, 20, 60):
        side = product.size * 10 // gsd
        size += f'<Size resolution="{gsd}"><NROWS>{side}</NROWS><NCOLS>{side}</NCOLS></Size>'
        place += (
            f'<Geoposition resolution="{gsd}"><ULX>{product.left:.0f}</ULX><ULY>{product.top:.0f}</ULY></Geoposition>'
        )
    common = f"S2A_OPER_MSI_{product.level}"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-{level}_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{level}_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID>{common}_TL_2APS_{product.generated}_A012345_T{product.tile}_N{product.baseline}</TILE_ID>
    <DATASTRIP_ID>{common}_DS_2APS_{product.generated}_S{product.strip}_N{product.baseline}</DATASTRIP_ID>
    <SENSING_TIME>{product.sensed}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:{product.epsg}</HORIZONTAL_CS_CODE>{size}{place}</Tile_Geocoding>
    <Tile_Angles>
      <Sun_Angles_Grid>{_angle_grid(np.full((23, 23), 60.0), np.full((23, 23), 165.0))}</Sun_Angles_Grid>
      <Mean_Sun_Angle><ZENITH_ANGLE>60</ZENITH_ANGLE><AZIMUTH_ANGLE>165</AZIMUTH_ANGLE></Mean_Sun_Angle>
      {_detector_grids()}
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:Level-{level}_Tile_ID>
"""


def _detector_grids() -> str:
    """Two detectors of B02 that overlap in columns 10 to 12 and look to both sides of north; none sees column 22."""
    text = ""
    for detector, columns, azimuth in ((1, slice(0, 13), 350.0), (2, slice(10, 22), 20.0)):
        zenith = np.full((23, 23), np.nan)
        zenith[:, columns] = 2.0 * detector
        directions = np.where(np.isnan(zenith), np.nan, azimuth)
        grid = _angle_grid(zenith, directions)
        text += f'<Viewing_Incidence_Angles_Grids bandId="1" detectorId="{detector}">{grid}'
        text += "</Viewing_Incidence_Angles_Grids>"
    return text + (
        '<Mean_Viewing_Incidence_Angle_List><Mean_Viewing_Incidence_Angle bandId="1"><ZENITH_ANGLE>3</ZENITH_ANGLE>'
        "<AZIMUTH_ANGLE>5</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle></Mean_Viewing_Incidence_Angle_List>"
    )


def _angle_grid(zenith: NDArray[np.float64], azimuth: NDArray[np.float64]) -> str:
    parts = ""
    for name, grid in (("Zenith", zenith), ("Azimuth", azimuth)):
        rows = "".join(f"<VALUES>{' '.join(f'{value:g}' for value in row)}</VALUES>" for row in grid)
        parts += f"<{name}><COL_STEP>5000</COL_STEP><ROW_STEP>5000</ROW_STEP><Values_List>{rows}</Values_List></{name}>"
    return parts.replace("nan", "NaN")
