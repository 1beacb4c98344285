"""The metadata files of a SAFE product, with every element that readers use.

Element names and structure: Copernicus, *Sentinel-2 Products Specification Document*, version 14.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import BANDS, NODATA_DN, SATURATED_DN
from clearsight.simulate.product._safe_names import ANGLE_STEP, CENTRE, Product

SOLAR_IRRADIANCE: Final = (
    1884.69, 1959.66, 1823.24, 1512.06, 1424.64, 1287.61, 1162.08, 1041.63, 955.32, 812.92, 367.15, 245.59, 85.25,
)  # fmt: skip
"""W/m²/µm of each band of Sentinel-2A, as its products say."""

SCL_CLASSES: Final = (
    "NODATA", "SATURATED_DEFECTIVE", "DARK_FEATURE_SHADOW", "CLOUD_SHADOW", "VEGETATION", "NOT_VEGETATED", "WATER",
    "UNCLASSIFIED", "CLOUD_MEDIUM_PROBA", "CLOUD_HIGH_PROBA", "THIN_CIRRUS", "SNOW_ICE",
)  # fmt: skip

_SCL_SHARES: Final = (
    "NODATA_PIXEL", "SATURATED_DEFECTIVE_PIXEL", "DARK_FEATURES", "CLOUD_SHADOW", "VEGETATION", "NOT_VEGETATED",
    "WATER", "UNCLASSIFIED", "MEDIUM_PROBA_CLOUDS", "HIGH_PROBA_CLOUDS", "THIN_CIRRUS", "SNOW_ICE",
)  # fmt: skip

Masks = Iterable[tuple[str, str | None, str]]
"""Type, band and path inside the product of each mask."""


def product_xml(product: Product, *, scl: NDArray[np.uint8] | None) -> ET.Element:
    """Build ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``; ``scl`` gives an L2A product its shares of classes."""
    root = _root(f"Level-{product.level[1:]}_User_Product", "User_Product_Level-" + product.level[1:])
    general = _add(root, "n1:General_Info")
    _product_info(_add(general, "Product_Info"), product)
    _image_characteristics(_add(general, "Product_Image_Characteristics"), product)

    geometric = _add(root, "n1:Geometric_Info")
    outline = _add(geometric, "Product_Footprint")
    _add(_add(_add(outline, "Product_Footprint"), "Global_Footprint"), "EXT_POS_LIST", _positions(product))
    _add(outline, "RASTER_CS_TYPE", "POINT")
    _add(outline, "PIXEL_ORIGIN", "1")
    system = _add(geometric, "Coordinate_Reference_System")
    _add(system, "GEO_TABLES", "EPSG", {"version": "1"})
    _add(system, "HORIZONTAL_CS_TYPE", "GEOGRAPHIC")

    quality = _add(root, "n1:Quality_Indicators_Info")
    _add(quality, "Cloud_Coverage_Assessment", f"{product.cloud_cover:.6f}")
    technical = _add(quality, "Technical_Quality_Assessment")
    _add(technical, "DEGRADED_ANC_DATA_PERCENTAGE", "0.0")
    _add(technical, "DEGRADED_MSI_DATA_PERCENTAGE", "0")
    if scl is not None:
        _class_shares(_add(quality, "Image_Content_QI"), scl)
    return root


def granule_xml(product: Product, *, masks: Masks, scl: NDArray[np.uint8] | None) -> ET.Element:
    """Build ``MTD_TL.xml``: geocoding, angle grids, masks."""
    level = product.level[1:]
    root = _root(f"Level-{level}_Tile_ID", f"S2_PDI_Level-{level}_Tile_Metadata")
    general = _add(root, "n1:General_Info")
    _add(general, "TILE_ID", product.granule_id, {"metadataLevel": "Brief"})
    _add(general, "DATASTRIP_ID", product.datastrip_id, {"metadataLevel": "Standard"})
    _add(general, "DOWNLINK_PRIORITY", "NOMINAL", {"metadataLevel": "Standard"})
    _add(general, "SENSING_TIME", _time(product.overpass.sensing, "microseconds"), {"metadataLevel": "Standard"})
    archiving = _add(general, "Archiving_Info", None, {"metadataLevel": "Expertise"})
    _add(archiving, "ARCHIVING_CENTRE", CENTRE)
    _add(archiving, "ARCHIVING_TIME", _time(product.generated, "microseconds"))

    geometric = _add(root, "n1:Geometric_Info")
    _geocoding(_add(geometric, "Tile_Geocoding", None, {"metadataLevel": "Brief"}), product)
    _angles(_add(geometric, "Tile_Angles", None, {"metadataLevel": "Standard"}), product)

    quality = _add(root, "n1:Quality_Indicators_Info", None, {"metadataLevel": "Standard"})
    content = _add(quality, "Image_Content_QI")
    _add(content, "CLOUDY_PIXEL_PERCENTAGE", f"{product.cloud_cover:.6f}")
    _add(content, "DEGRADED_MSI_DATA_PERCENTAGE", "0")
    if scl is not None:
        _class_shares(content, scl)
    pixels = _add(quality, "Pixel_Level_QI", None, {"geometry": "FULL_RESOLUTION"})
    for kind, band, path in masks:
        where = {"bandId": str(BANDS[band].index)} if band else {}
        _add(pixels, "MASK_FILENAME", path, {**where, "type": kind})
    _add(quality, "PVI_FILENAME", f"GRANULE/{product.granule}/QI_DATA/{product.image_prefix}_PVI.jp2")
    return root


def datastrip_xml(product: Product) -> ET.Element:
    """Build ``MTD_DS.xml``: who saw the strip, when, and what processed it."""
    level = product.level[1:]
    root = _root(f"Level-{level}_DataStrip_ID", f"S2_PDI_Level-{level}_Datastrip_Metadata")
    general = _add(root, "n1:General_Info")
    _datatake(_add(general, "Datatake_Info", None, {"datatakeIdentifier": product.datatake_id}), product)
    times = _add(general, "Datastrip_Time_Info", None, {"metadataLevel": "Standard"})
    _add(times, "DATASTRIP_SENSING_START", _time(product.overpass.datastrip))
    _add(times, "DATASTRIP_SENSING_STOP", _time(product.overpass.sensing + timedelta(minutes=5)))
    processing = _add(general, "Processing_Info", None, {"metadataLevel": "Standard"})
    _add(processing, "PROCESSING_BASELINE", product.baseline)
    _add(processing, "UTC_DATE_TIME", _time(product.generated))
    _add(processing, "PROCESSING_CENTER", CENTRE)
    return root


def manifest_xml(product: Product, *, folder: Path) -> ET.Element:
    """Build ``manifest.safe`` for the files that lie in ``folder``, with their sizes and checksums."""
    root = ET.Element(
        "xfdu:XFDU",
        {
            "xmlns:gml": "http://www.opengis.net/gml",
            "xmlns:safe": "http://www.esa.int/safe/sentinel/1.1",
            "xmlns:xfdu": "urn:ccsds:schema:xfdu:1",
            "version": f"esa/safe/sentinel/1.1/sentinel-2/msi/archive_{product.level.lower()}_user_product",
        },
    )
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    keys = {path: names[path].replace("/", "_") for path in paths}
    unit = _add(
        _add(root, "informationPackageMap"),
        "xfdu:contentUnit",
        None,
        {"unitType": f"Product_Level-{product.level[1:]}", "textInfo": "SENTINEL-2 MSI User Product, simulated"},
    )
    for path in paths:
        _add(_add(unit, "xfdu:contentUnit", None, {"ID": f"{keys[path]}_Unit"}), "dataObjectPointer", None,
             {"dataObjectID": keys[path]})  # fmt: skip
    _manifest_facts(_add(root, "metadataSection"), product)
    objects = _add(root, "dataObjectSection")
    for path in paths:
        kind = "text/xml" if path.suffix in {".xml", ".gml"} else "application/octet-stream"
        stream = _add(_add(objects, "dataObject", None, {"ID": keys[path]}), "byteStream", None,
                      {"mimeType": kind, "size": str(path.stat().st_size)})  # fmt: skip
        _add(stream, "fileLocation", None, {"href": f"./{names[path]}", "locatorType": "URL"})
        algorithm = "SHA3-256" if product.modern else "MD5"
        digest = hashlib.new(algorithm.replace("-", "_").lower(), path.read_bytes()).hexdigest()
        _add(stream, "checksum", digest.upper(), {"checksumName": algorithm})
    return root


def write_xml(path: Path, root: ET.Element) -> None:
    """Write one metadata file."""
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def _product_info(info: ET.Element, product: Product) -> None:
    start = _time(product.overpass.datatake)
    _add(info, "PRODUCT_START_TIME", start)
    _add(info, "PRODUCT_STOP_TIME", start)
    _add(info, "PRODUCT_URI", product.name)
    _add(info, "PROCESSING_LEVEL", f"Level-{product.level[1:]}")
    _add(info, "PRODUCT_TYPE", f"S2MSI{product.level[1:]}")
    _add(info, "PROCESSING_BASELINE", product.baseline)
    if product.modern:
        _add(info, "PRODUCT_DOI", "Not applicable")
    _add(info, "GENERATION_TIME", _time(product.generated, "microseconds"))
    _add(info, "PREVIEW_IMAGE_URL", "Not applicable")
    _add(info, "PREVIEW_GEO_INFO", "Not applicable")
    _datatake(_add(info, "Datatake", None, {"datatakeIdentifier": product.datatake_id}), product)
    options = _add(info, "Query_Options", None, {"completeSingleTile": "true"})
    _add(options, "PRODUCT_FORMAT", "SAFE_COMPACT")
    granule = _add(
        _add(_add(info, "Product_Organisation"), "Granule_List"),
        "Granule",
        None,
        {
            "datastripIdentifier": product.datastrip_id,
            "granuleIdentifier": product.granule_id,
            "imageFormat": "JPEG2000",
        },
    )
    for path in product.images():
        _add(granule, "IMAGE_FILE", path)


def _datatake(parent: ET.Element, product: Product) -> None:
    pass_ = product.overpass
    _add(parent, "SPACECRAFT_NAME", f"Sentinel-{pass_.platform[1:]}")
    _add(parent, "DATATAKE_TYPE", "INS-NOBS")
    _add(parent, "DATATAKE_SENSING_START", _time(pass_.datatake))
    _add(parent, "SENSING_ORBIT_NUMBER", str(pass_.relative_orbit))
    _add(parent, "SENSING_ORBIT_DIRECTION", "DESCENDING")


def _image_characteristics(info: ET.Element, product: Product) -> None:
    for text, index in (("NODATA", NODATA_DN), ("SATURATED", SATURATED_DN)):
        special = _add(info, "Special_Values")
        _add(special, "SPECIAL_VALUE_TEXT", text)
        _add(special, "SPECIAL_VALUE_INDEX", str(index))
    display = _add(info, "Image_Display_Order")
    for channel, shown in (("RED", "B04"), ("GREEN", "B03"), ("BLUE", "B02")):
        _add(display, f"{channel}_CHANNEL", str(BANDS[shown].index))
    _scaling(info, product)
    conversion = _add(info, "Reflectance_Conversion")
    _add(conversion, "U", f"{_sun_distance_factor(product.overpass.sensing):.6f}")
    irradiance = _add(conversion, "Solar_Irradiance_List")
    for index, value in enumerate(SOLAR_IRRADIANCE):
        _add(irradiance, "SOLAR_IRRADIANCE", str(value), {"bandId": str(index), "unit": "W/m²/µm"})
    spectra = _add(info, "Spectral_Information_List")
    for band in BANDS.values():
        physical = f"B{band.name[1:].lstrip('0')}"
        about = _add(spectra, "Spectral_Information", None, {"bandId": str(band.index), "physicalBand": physical})
        _add(about, "RESOLUTION", str(band.gsd))
        wavelength = _add(about, "Wavelength")
        for name, value in (("MIN", -0.5), ("MAX", 0.5), ("CENTRAL", 0.0)):
            _add(wavelength, name, f"{(band.wavelength + value * band.width) * 1000:.1f}", {"unit": "nm"})
    if product.level == "L2A":
        classes = _add(info, "Scene_Classification_List")
        for index, name in enumerate(SCL_CLASSES):
            entry = _add(classes, "Scene_Classification_ID")
            _add(entry, "SCENE_CLASSIFICATION_TEXT", f"SC_{name}")
            _add(entry, "SCENE_CLASSIFICATION_INDEX", str(index))


def _scaling(info: ET.Element, product: Product) -> None:
    if product.level == "L1C":
        _add(info, "QUANTIFICATION_VALUE", "10000", {"unit": "none"})
        names = ("Radiometric_Offset_List", "RADIO_ADD_OFFSET")
    else:
        values = _add(info, "QUANTIFICATION_VALUES_LIST")
        _add(values, "BOA_QUANTIFICATION_VALUE", "10000", {"unit": "none"})
        _add(values, "AOT_QUANTIFICATION_VALUE", "1000.0", {"unit": "none"})
        _add(values, "WVP_QUANTIFICATION_VALUE", "1000.0", {"unit": "cm"})
        names = ("BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET")
    if product.modern:
        offsets = _add(info, names[0])
        for index in range(len(BANDS)):
            _add(offsets, names[1], str(product.offset), {"band_id": str(index)})


def _geocoding(info: ET.Element, product: Product) -> None:
    zone, north = product.epsg % 100, product.epsg // 100 == 326
    _add(info, "HORIZONTAL_CS_NAME", f"WGS84 / UTM zone {zone}{'N' if north else 'S'}")
    _add(info, "HORIZONTAL_CS_CODE", f"EPSG:{product.epsg}")
    for gsd in (10, 20, 60):
        size = _add(info, "Size", None, {"resolution": str(gsd)})
        for name, count in zip(("NROWS", "NCOLS"), product.size(gsd), strict=True):
            _add(size, name, str(count))
    for gsd in (10, 20, 60):
        place = _add(info, "Geoposition", None, {"resolution": str(gsd)})
        corner = {"ULX": product.origin[0], "ULY": product.origin[1], "XDIM": gsd, "YDIM": -gsd}
        for name, value in corner.items():
            _add(place, name, f"{value:.0f}")


def _angles(info: ET.Element, product: Product) -> None:
    _grids(_add(info, "Sun_Angles_Grid"), product.sun_grids())
    _mean(_add(info, "Mean_Sun_Angle"), product.mean_sun())
    for band in range(len(BANDS)):
        for detector, grids in product.view_grids(band).items():
            where = {"bandId": str(band), "detectorId": str(detector)}
            _grids(_add(info, "Viewing_Incidence_Angles_Grids", None, where), grids)
    means = _add(info, "Mean_Viewing_Incidence_Angle_List")
    for band in range(len(BANDS)):
        _mean(_add(means, "Mean_Viewing_Incidence_Angle", None, {"bandId": str(band)}), product.mean_view(band))


def _grids(parent: ET.Element, grids: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    for name, grid in zip(("Zenith", "Azimuth"), grids, strict=True):
        angle = _add(parent, name)
        _add(angle, "COL_STEP", str(ANGLE_STEP), {"unit": "m"})
        _add(angle, "ROW_STEP", str(ANGLE_STEP), {"unit": "m"})
        values = _add(angle, "Values_List")
        for row in grid:
            _add(values, "VALUES", " ".join("NaN" if value != value else f"{value:.6g}" for value in row.tolist()))


def _mean(parent: ET.Element, angles: tuple[float, float]) -> None:
    for name, value in zip(("ZENITH_ANGLE", "AZIMUTH_ANGLE"), angles, strict=True):
        _add(parent, name, f"{value:.9f}", {"unit": "deg"})


def _class_shares(content: ET.Element, scl: NDArray[np.uint8]) -> None:
    counts = np.bincount(scl.ravel(), minlength=len(SCL_CLASSES)).astype(float)
    # ESA counts nodata against all pixels, and every other class against the pixels with data.
    shares = 100 * counts / max(counts[1:].sum(), 1)
    shares[0] = 100 * counts[0] / scl.size
    for name, share in zip(_SCL_SHARES, shares, strict=True):
        _add(content, f"{name}_PERCENTAGE", f"{share:.6f}")


def _manifest_facts(section: ET.Element, product: Product) -> None:
    pass_ = product.overpass
    period = _add(_wrapped(section, "acquisitionPeriod"), "safe:acquisitionPeriod")
    _add(period, "safe:startTime", _time(pass_.datatake))
    orbit = _add(_wrapped(section, "measurementOrbitReference"), "safe:orbitReference")
    _add(orbit, "safe:orbitNumber", f"{pass_.absolute_orbit:06d}",
         {"groundTrackDirection": "descending", "type": "start"})  # fmt: skip
    _add(orbit, "safe:relativeOrbitNumber", f"{pass_.relative_orbit:03d}", {"type": "start"})
    platform = _add(_wrapped(section, "platform"), "safe:platform")
    _add(platform, "safe:nssdcIdentifier", "2015-028A" if pass_.platform == "S2A" else "2017-013A")
    _add(platform, "safe:familyName", "SENTINEL")
    _add(platform, "safe:number", pass_.platform[1:])
    instrument = _add(platform, "safe:instrument")
    _add(instrument, "safe:familyName", "Multi-Spectral Instrument", {"abbreviation": "MSI"})
    outline = _add(_wrapped(section, "measurementFrameSet"), "safe:frameSet")
    place = _add(outline, "safe:footPrint", None, {"srsName": "http://www.opengis.net/gml/srs/epsg.xml#4326"})
    _add(place, "gml:coordinates", _positions(product))


def _wrapped(section: ET.Element, key: str) -> ET.Element:
    entry = _add(section, "metadataObject", None, {"ID": key, "category": "DMD", "classification": "DESCRIPTION"})
    wrap = _add(entry, "metadataWrap", None, {"mimeType": "text/xml", "vocabularyName": "Sentinel-SAFE"})
    return _add(wrap, "xmlData")


def _root(tag: str, schema: str) -> ET.Element:
    return ET.Element(f"n1:{tag}", {"xmlns:n1": f"https://psd-14.sentinel2.eo.esa.int/PSD/{schema}.xsd"})


def _add(
    parent: ET.Element, tag: str, text: str | None = None, attributes: Mapping[str, str] | None = None
) -> ET.Element:
    element = ET.SubElement(parent, tag, dict(attributes or {}))
    element.text = text
    return element


def _positions(product: Product) -> str:
    return " ".join(f"{latitude:.12f} {longitude:.12f}" for longitude, latitude in product.footprint())


def _time(when: datetime, precision: str = "milliseconds") -> str:
    return when.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _sun_distance_factor(when: datetime) -> float:
    """Inverse square of the distance to the sun, in astronomical units (Spencer 1971, two leading terms)."""
    turn = 2 * np.pi * (when.timetuple().tm_yday - 1) / 365
    return float(1.000110 + 0.034221 * np.cos(turn) + 0.001280 * np.sin(turn))
