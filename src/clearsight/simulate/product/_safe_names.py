"""Facts of one SAFE product to be written, and the names that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform

from clearsight.bands import BANDS, LEVEL_BANDS, Level
from clearsight.simulate.imaging.orbit import Overpass, across_track, detector_number, sun_position, view_angles

FloatArray = NDArray[np.float64]

CENTRE: Final = "CSIM"
"""Stands where real names have the processing centre (``2APS``, ``SGS_`` …): nobody shall take this for ESA's."""

ANGLE_STEP: Final = 5000
ANGLE_NODES: Final = 23

L2A_IMAGES: Final[dict[int, tuple[str, ...]]] = {
    10: ("B02", "B03", "B04", "B08", "TCI", "AOT", "WVP"),
    20: ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12", "TCI", "AOT", "WVP", "SCL"),
    60: ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B09", "B11", "B12", "TCI", "AOT", "WVP", "SCL"),
}
"""What each resolution folder of an L2A product holds; B01 at 20 m came with baseline 04.00."""


@dataclass(frozen=True)
class Product:
    """Facts of one product: all of its metadata follow from these."""

    level: Level
    """``L1C`` or ``L2A``."""
    baseline: str
    """Processing baseline such as ``05.09``; from ``04.00`` on, digital numbers carry the offset −1000."""
    overpass: Overpass
    """Satellite, times and orbit."""
    generated: datetime
    """When the product was made, UTC."""
    tile: str
    """MGRS tile without the ``T``, such as ``32UQD``."""
    epsg: int
    """The tile's UTM zone, such as 32632."""
    origin: tuple[float, float]
    """Easting and northing of the upper left corner, metres, multiples of 60."""
    shape: tuple[int, int]
    """Rows and columns at 10 m, multiples of 6."""
    nadir_offset: float
    """Metres across track from the ground track to the upper left corner, positive to the east."""
    cloud_cover: float = 0.0
    """Percent, 0 … 100."""

    @property
    def modern(self) -> bool:
        """Whether the baseline is 04.00 or later: offset −1000, masks as images."""
        return self.baseline >= "04.00"

    @property
    def offset(self) -> int:
        """Add this to a digital number, then divide by 10 000, to get reflectance."""
        return -1000 if self.modern else 0

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that the product holds."""
        return LEVEL_BANDS[self.level]

    @property
    def name(self) -> str:
        """Name of the product's folder."""
        pass_ = self.overpass
        return (
            f"{pass_.platform}_MSI{self.level}_{_stamp(pass_.datatake)}_N{self.baseline.replace('.', '')}"
            f"_R{pass_.relative_orbit:03d}_T{self.tile}_{_stamp(self.generated)}.SAFE"
        )

    @property
    def index(self) -> str:
        """``system:index``, the same for L1C and L2A."""
        return f"{_stamp(self.overpass.datatake)}_{_stamp(self.overpass.datastrip)}_T{self.tile}"

    @property
    def granule(self) -> str:
        """Name of the granule's folder."""
        return f"{self.level}_T{self.tile}_A{self.overpass.absolute_orbit:06d}_{_stamp(self.overpass.datastrip)}"

    @property
    def granule_id(self) -> str:
        """``TILE_ID`` of the metadata."""
        return f"{self._long_name('TL')}_A{self.overpass.absolute_orbit:06d}_T{self.tile}_N{self.baseline}"

    @property
    def datastrip(self) -> str:
        """Name of the datastrip's folder."""
        return f"DS_{CENTRE}_{_stamp(self.generated)}_S{_stamp(self.overpass.datastrip)}"

    @property
    def datastrip_id(self) -> str:
        """``DATASTRIP_ID`` of the metadata."""
        return f"{self._long_name('DS')}_S{_stamp(self.overpass.datastrip)}_N{self.baseline}"

    @property
    def datatake_id(self) -> str:
        """``datatakeIdentifier`` of the metadata."""
        pass_ = self.overpass
        return f"G{pass_.platform}_{_stamp(pass_.datatake)}_{pass_.absolute_orbit:06d}_N{self.baseline}"

    @property
    def image_prefix(self) -> str:
        """Beginning of every image's file name."""
        return f"T{self.tile}_{_stamp(self.overpass.datatake)}"

    def _long_name(self, kind: str) -> str:
        return f"{self.overpass.platform}_OPER_MSI_{self.level}_{kind}_{CENTRE}_{_stamp(self.generated)}"

    def images(self) -> dict[str, tuple[str, int]]:
        """Path of every image inside the product, without ``.jp2`` -> what it shows, and its metres per pixel."""
        folder = f"GRANULE/{self.granule}/IMG_DATA"
        if self.level == "L1C":
            paths = {f"{folder}/{self.image_prefix}_{name}": (name, BANDS[name].gsd) for name in BANDS}
            return paths | {f"{folder}/{self.image_prefix}_TCI": ("TCI", 10)}
        return {
            f"{folder}/R{gsd}m/{self.image_prefix}_{name}_{gsd}m": (name, gsd)
            for gsd, names in L2A_IMAGES.items()
            for name in names
            if self.modern or (name, gsd) != ("B01", 20)
        }

    def size(self, gsd: int) -> tuple[int, int]:
        """Rows and columns at ``gsd`` metres."""
        rows, columns = self.shape
        return rows * 10 // gsd, columns * 10 // gsd

    def transform(self, gsd: int) -> Affine:
        """Affine transform of the grid of ``gsd`` metres."""
        return Affine(gsd, 0, self.origin[0], 0, -gsd, self.origin[1])

    def footprint(self) -> list[tuple[float, float]]:
        """Longitude and latitude of the raster's corners: a closed ring, clockwise from the upper left."""
        (left, top), (rows, columns) = self.origin, self.shape
        right, bottom = left + columns * 10, top - rows * 10
        ring = ([left, right, right, left, left], [top, top, bottom, bottom, top])
        longitude, latitude = transform(f"EPSG:{self.epsg}", "EPSG:4326", *ring)
        return list(zip(longitude, latitude, strict=True))

    def detectors(self, gsd: int) -> NDArray[np.uint8]:
        """Detector that sees each pixel, (y, x)."""
        return detector_number(self._across(*self._pixels(gsd)))

    def mean_sun(self) -> tuple[float, float]:
        """Zenith and azimuth of the sun at the raster's centre, degrees."""
        rows, columns = self.shape
        zenith, azimuth = self._sun(np.array([columns * 5.0]), np.array([rows * -5.0]))
        return zenith.item(), azimuth.item()

    def sun_grids(self) -> tuple[FloatArray, FloatArray]:
        """Zenith and azimuth of the sun, 23 × 23 nodes 5 km apart, degrees."""
        return self._sun(*_nodes())

    def mean_view(self, band: int) -> tuple[float, float]:
        """Mean viewing zenith and azimuth of one band over the raster, degrees; azimuths averaged as directions."""
        zenith, azimuth = self._view(*self._pixels(60), band)
        turn = np.radians(azimuth)
        mean = np.degrees(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean())) % 360
        return float(zenith.mean()), float(mean)

    def view_grids(self, band: int) -> dict[int, tuple[FloatArray, FloatArray]]:
        """Detector -> viewing zenith and azimuth, 23 × 23 nodes 5 km apart, NaN where the detector doesn't look."""
        east, north = _nodes()
        zenith, azimuth = self._view(east, north, band)
        owner = detector_number(self._across(east, north))
        return {
            int(number): (np.where(owner == number, zenith, np.nan), np.where(owner == number, azimuth, np.nan))
            for number in np.unique(self.detectors(60))
            if number
        }

    def _across(self, east: FloatArray, north: FloatArray) -> FloatArray:
        return self.nadir_offset + across_track(east, north)

    def _view(self, east: FloatArray, north: FloatArray, band: int) -> tuple[FloatArray, FloatArray]:
        across = self._across(east, north)
        return view_angles(across, band=band, detector=detector_number(across))

    def _sun(self, east: FloatArray, north: FloatArray) -> tuple[FloatArray, FloatArray]:
        x, y = (self.origin[0] + east).ravel(), (self.origin[1] + north).ravel()
        longitude, latitude = transform(f"EPSG:{self.epsg}", "EPSG:4326", x, y)
        return sun_position(
            self.overpass.sensing,
            latitude=np.reshape(latitude, east.shape),
            longitude=np.reshape(longitude, east.shape),
        )

    def _pixels(self, gsd: int) -> tuple[FloatArray, FloatArray]:
        rows, columns = self.size(gsd)
        east, north = np.meshgrid((np.arange(columns) + 0.5) * gsd, (np.arange(rows) + 0.5) * -gsd)
        return east, north


def _nodes() -> tuple[FloatArray, FloatArray]:
    steps = np.arange(ANGLE_NODES) * float(ANGLE_STEP)
    east, north = np.meshgrid(steps, -steps)
    return east, north


def _stamp(when: datetime) -> str:
    return f"{when:%Y%m%dT%H%M%S}"
