"""Items in the style of each provider, about one and the same scene: what tests of the presets start from.

Properties and names are those that the providers really use; the scenes are real ones (shared/data/safe_metadata).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

COMMON: Final = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
GSD: Final = {"B01": 60, "B09": 60, "B10": 60, "B02": 10, "B03": 10, "B04": 10, "B08": 10}


@dataclass(frozen=True)
class Scene:
    """One real product."""

    product: str
    """Name without ``.SAFE``."""
    datastrip: str
    absolute_orbit: str = "041826"
    sensed: str = "2023-06-25T23:46:21.024000Z"
    left: float = 300_000
    top: float = 5_800_020
    size: int = 60
    """Pixels at 10 m along a side."""

    @property
    def parts(self) -> re.Match[str]:
        found = re.match(
            r"(S2[A-D])_MSI(L1C|L2A)_(\d{8}T\d{6})_N(\d\d)(\d\d)_R(\d{3})_T(\w{5})_(\d{8}T\d{6})", self.product
        )
        assert found is not None
        return found

    @property
    def level(self) -> str:
        return self.parts[2]

    @property
    def baseline(self) -> str:
        return f"{self.parts[4]}.{self.parts[5]}"

    @property
    def tile(self) -> str:
        return self.parts[7]

    @property
    def datatake(self) -> str:
        return f"G{self.parts[1]}_{self.parts[3]}_{self.absolute_orbit}_N{self.baseline}"

    @property
    def index(self) -> str:
        strip = re.search(r"_S(\d{8}T\d{6})", self.datastrip)
        assert strip is not None
        return f"{self.parts[3]}_{strip[1]}_T{self.tile}"

    @property
    def bands(self) -> list[str]:
        return [band for band in COMMON if self.level == "L1C" or band != "B10"]

    def grid(self, band: str) -> dict[str, Any]:
        gsd = GSD.get(band, 20)
        side = self.size * 10 // gsd
        return {"proj:shape": [side, side], "proj:transform": [gsd, 0, self.left, 0, -gsd, self.top]}


WATER: Final = Scene(
    "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157",
    "S2A_OPER_MSI_L2A_DS_2APS_20230626T022157_S20230625T234624_N05.09",
)
EARLY: Final = Scene(
    "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857",
    "S2A_OPER_MSI_L2A_DS_ESRI_20201007T160858_S20190212T192646_N02.12",
    "019029",
    "2019-02-12T19:26:51.024000Z",
)


def item_of(
    provider: str, scene: Scene, files: Mapping[str, str] | None = None, *, flag: bool | None = None
) -> dict[str, Any]:
    """An item as the provider's API sends it; ``files`` are the addresses of the bands, ``flag`` is Earth Search's."""
    properties, name, assets = {
        "earth-search": _earth_search,
        "earth-search-c1": _collection_1,
        "copernicus": _copernicus,
        "planetary-computer": _planetary_computer,
    }[provider](scene, files or {}, flag)
    west, south, east, north = 13.0, 52.3, 13.1, 52.4
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": f"sentinel-2-{scene.level.lower()}",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {"datetime": scene.sensed, "platform": f"sentinel-{scene.parts[1][1:].lower()}"} | properties,
        "assets": assets,
        "links": [],
    }


Parts = tuple[dict[str, Any], str, dict[str, Any]]


def _href(files: Mapping[str, str], band: str) -> str:
    return files.get(band, f"https://example.com/{band}.tif")


def _s2(scene: Scene) -> dict[str, Any]:
    made = scene.parts[8]
    return {
        "s2:processing_baseline": scene.baseline,
        "s2:product_uri": f"{scene.product}.SAFE",
        "s2:datatake_id": scene.datatake,
        "s2:datastrip_id": scene.datastrip,
        "s2:generation_time": f"{made[:4]}-{made[4:6]}-{made[6:8]}T{made[9:11]}:{made[11:13]}:{made[13:]}.000000Z",
        "proj:epsg": 32633,
        "eo:cloud_cover": 12.5,
    }


def _earth_search(scene: Scene, files: Mapping[str, str], flag: bool | None) -> Parts:
    """Version 1: the declared offset is −0.1 whether or not the pixels are shifted; the flag tells."""
    declared = -0.1 if scene.baseline >= "04.00" and scene.level == "L2A" else 0
    raster = {"nodata": 0, "data_type": "uint16", "bits_per_sample": 15, "scale": 0.0001, "offset": declared}
    assets: dict[str, Any] = {}
    for band in scene.bands:
        common = COMMON[band]
        assets[common] = {
            "href": _href(files, band),
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "eo:bands": [{"name": common, "common_name": common.replace("rededge1", "rededge")}],
            "gsd": GSD.get(band, 20),
            "raster:bands": [raster],
            "roles": ["data", "reflectance"],
        } | scene.grid(band)
        assets[f"{common}-jp2"] = assets[common] | {"href": f"s3://sentinel-s2-l2a/tiles/{band}.jp2"}
    visual = [{"name": name} for name in ("red", "green", "blue")]
    assets["visual"] = {"href": "https://example.com/TCI.tif", "eo:bands": visual, "roles": ["visual"]}
    assets["scl"] = {"href": "https://example.com/SCL.tif", "gsd": 20} | scene.grid("SCL")
    assets["thumbnail"] = {"href": "https://example.com/preview.jpg", "roles": ["thumbnail"]}
    if scene.level == "L1C":
        assets = {key: value for key, value in assets.items() if not key.endswith("-jp2") and key != "scl"}
    day = scene.parts[3][:8]
    more = {} if flag is None else {"earthsearch:boa_offset_applied": flag}
    properties = _s2(scene) | more | {"grid:code": f"MGRS-{scene.tile}", "s2:sequence": "0"}
    return properties, f"{scene.parts[1]}_{scene.tile.lstrip('0')}_{day}_0_{scene.level}", assets


def _collection_1(scene: Scene, files: Mapping[str, str], flag: bool | None) -> Parts:
    properties, _, assets = _earth_search(scene, files, False if flag is None else flag)
    strip = re.search(r"_S(\d{8}T\d{6})", scene.datastrip)
    assert strip is not None
    return properties, f"{scene.parts[1]}_T{scene.tile}_{strip[1]}_{scene.level}", assets


def _copernicus(scene: Scene, files: Mapping[str, str], _: bool | None) -> Parts:
    """STAC 1.1: ``bands``, fields without a list; every size of a band is an asset of its own."""
    assets: dict[str, Any] = {}
    for band in scene.bands:
        for size in (10, 20, 60):
            if size < GSD.get(band, 20) or (scene.level == "L1C" and size != GSD.get(band, 20)):
                continue
            key = band if scene.level == "L1C" else f"{band}_{size}m"
            best = size == GSD.get(band, 20)
            assets[key] = {
                "href": _href(files, band) if best else f"s3://eodata/Sentinel-2/{key}.jp2",
                "type": "image/jp2",
                "gsd": size,
                "bands": [{"name": band, "eo:common_name": COMMON[band]}],
                "nodata": 0,
                "data_type": "uint16",
                "raster:scale": 0.0001,
                "raster:offset": -0.1 if scene.baseline >= "04.00" else 0,
                "proj:code": "EPSG:32633",
            } | (scene.grid(band) if best else {})
    properties = {
        "processing:version": scene.baseline,
        "processing:level": scene.level[:2],
        "product:type": f"S2MSI{scene.level[1:]}",
        "eopf:datatake_id": scene.datatake,
        "eopf:datastrip_id": scene.datastrip,
        "grid:code": f"MGRS-{scene.tile}",
    }
    return properties, scene.product, assets


def _planetary_computer(scene: Scene, files: Mapping[str, str], _: bool | None) -> Parts:
    """No raster fields at all, and no baseline in the id."""
    assets: dict[str, Any] = {
        band: {"href": _href(files, band), "gsd": GSD.get(band, 20), "eo:bands": [{"name": band}], "roles": ["data"]}
        | scene.grid(band)
        for band in scene.bands
    }
    assets["SCL"] = {"href": "https://example.com/SCL.tif", "gsd": 20} | scene.grid("SCL")
    assets["preview"] = {"href": "https://example.com/preview.tif", "roles": ["thumbnail"]}
    assets["granule-metadata"] = {"href": "https://example.com/MTD_TL.xml"}
    properties = _s2(scene) | {"s2:mgrs_tile": scene.tile}
    return properties, re.sub(r"_N\d{4}", "", scene.product), assets
