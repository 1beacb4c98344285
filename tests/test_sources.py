"""Reading products: what items say, for every layout, and what bad input gets."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from clearsight import ids
from clearsight.errors import (
    ArgumentError,
    EmptySourceError,
    MissingBandError,
    MissingOffsetError,
    ProductError,
    ProductWarning,
    UnsafeProductError,
)
from clearsight.sources import plain_item, safe_items, search
from clearsight.sources._footprint import bbox as bounding_box
from clearsight.sources._footprint import footprint, mgrs_tile
from safe_fixtures import (
    BANDS,
    GSD,
    SHARED,
    Product,
    granule_xml,
    numbers,
    product_xml,
    write_jp2,
    write_safe,
    zip_folder,
)

needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="real products (shared/data) are not beside the checkout")
METADATA = SHARED / "safe_metadata" / "stactools"

# system:index, baseline, level, offset in DN, folder; the offset -7000 is what that file really says.
REAL = [
    ("20200717T221941_20200717T221944_T01LAC", "02.09", "L1C", 0, "S2A_MSIL1C_20200717*"),
    ("20210908T042701_20210908T043714_T46RER", "03.01", "L1C", 0, "S2A_MSIL1C_20210908*"),
    ("20150826T185436_20150826T185435_T11SLT", "02.12", "L2A", 0, "S2A_MSIL2A_20150826*"),
    ("20190212T192651_20190212T192646_T07HFE", "02.12", "L2A", 0, "S2A_MSIL2A_20190212*"),
    ("20230625T234621_20230625T234624_T01WCP", "05.09", "L2A", -1000, "S2A_MSIL2A_20230625*T01WCP*57.SAFE"),
    ("20230625T234621_20230625T234624_T01WCP", "05.09", "L2A", -1000, "S2A_MSIL2A_20230625*T01WCP*58.SAFE"),
    ("20230625T234621_20230625T234624_T01WCS", "05.09", "L2A", -1000, "S2A_MSIL2A_20230625*T01WCS*"),
    ("20230821T221941_20230821T221944_T01KAB", "05.09", "L2A", -1000, "S2A_MSIL2A_20230821*"),
    ("20220401T083601_20220401T090142_T34LBQ", "04.00", "L2A", -7000, "S2A_OPER_MSI_L2A_TL_VGS1*T34LBQ"),
    ("20220401T083601_20220401T090142_T34LBQ", "04.00", "L2A", -7000, "S2A_OPER*T34LBQ-no-tileDataGeometry"),
    ("20191228T210519_20191228T210521_T01CCV", "02.12", "L2A", 0, "S2B_MSIL2A_20191228*"),
    ("20220413T150759_20220413T150756_T33XWJ", "04.00", "L2A", -1000, "S2B_MSIL2A_20220413*"),
    ("20210122T133229_20210122T133224_T22HBD", "02.14", "L2A", 0, "esa_S2B_MSIL2A_20210122*"),
]


def real(pattern: str) -> Path:
    (folder,) = METADATA.glob(pattern)
    return folder


# AWS folders without the product's metadata: before 04.00 all is known, later ones lack their offset.
REAL_BARE = {
    "S2A_OPER_MSI_L1C_TL_SGS__20181231T203637_A018414_T10SDG": "20181231T185801_20181231T190045_T10SDG",
    "S2A_OPER_MSI_L2A_TL_SGS__20181231T210250_A018414_T10SDG": "20181231T185801_20181231T190045_T10SDG",
    "S2B_OPER_MSI_L2A_DS_VGS1_20201101T095401_S20201101T074429-no-data": "20201101T073049_20201101T074429_T37MGS",
}
REAL_WITHOUT_OFFSET = {
    "S2A_OPER_MSI_L2A_DS_2APS_20230105T201055_S20230105T163809": "20230105T163811_20230105T163809_T01CDL",
    "S2A_OPER_MSI_L2A_TL_2APS_20240108T121951_A044635_T34VEL": "20240108T101401_20240108T101404_T34VEL",
    "S2A_OPER_MSI_L2A_TL_VGS1_20220401T110010_A035382_T34LBP": "20220401T083601_20220401T090142_T34LBP",
    "S2A_T60CWS_20240109T203651_L2A": "20240109T184751_20240109T184746_T60CWS",
    "S2B_MSIL2A_20200914T231559_N0500_R087_T01VCG_20230315T224658": "20200914T231559_20200914T231554_T01VCG",
}


@needs_shared
@pytest.mark.parametrize(("index", "baseline", "level", "offset", "folder"), REAL)
def test_real_products_of_every_baseline(index: str, baseline: str, level: str, offset: int, folder: str) -> None:
    (item,) = search(real(folder))
    assert item.properties["clearsight:index"] == index
    assert item.properties["processing:version"] == baseline
    assert item.properties["processing:level"] == level
    assert item.properties["grid:code"] == f"MGRS-{index[-5:]}"
    assert item.id == item.properties["s2:product_uri"].removesuffix(".SAFE")
    expected = [band for band in BANDS if level == "L1C" or band != "B10"]
    assert [band for band in BANDS if band in item.assets] == expected
    for band in set(expected) & set(item.assets):
        (raster,) = item.assets[band].extra_fields["raster:bands"]
        assert raster["scale"] == pytest.approx(1e-4)
        assert raster["offset"] == pytest.approx(offset / 10_000)
        assert raster["nodata"] == 0
    assert shapely.geometry.shape(item.geometry).is_valid


@needs_shared
@pytest.mark.parametrize(("folder", "index"), REAL_BARE.items())
def test_real_granules_without_product_metadata(folder: str, index: str) -> None:
    (item,) = search(METADATA / folder)
    assert item.properties["clearsight:index"] == index
    assert item.properties["platform"] in ("sentinel-2a", "sentinel-2b")


@needs_shared
@pytest.mark.parametrize(("folder", "index"), REAL_WITHOUT_OFFSET.items())
def test_real_granules_whose_offset_is_lost(folder: str, index: str) -> None:
    with pytest.raises(MissingOffsetError, match=r"baseline 0[45].*pass offset=-1000"):
        search(METADATA / folder)
    (item,) = search(METADATA / folder, offset=-1000)
    assert item.properties["clearsight:index"] == index


@needs_shared
def test_real_product_without_granule_metadata() -> None:
    with pytest.raises(ProductError, match=r"T43MDV.*no granule metadata"):
        search(METADATA / "S2A_MSIL2A_20180721T053721_N0212_R062_T43MDV_20201011T181419.SAFE")


@needs_shared
def test_real_trees_have_all_images_and_masks() -> None:
    items = search(SHARED / "safe_metadata" / "l1c_trees_N0510")
    assert [item.properties["clearsight:index"] for item in items] == [
        "20240120T105341_20240120T105433_T31TCJ",
        "20240305T104819_20240305T105512_T31TCJ",
    ]
    for item in items:
        assert set(BANDS) <= set(item.assets)
        assert {f"MSK_{kind}_{band}" for band in BANDS for kind in ("DETFOO", "QUALIT")} <= set(item.assets)
        assert all(Path(asset.href).exists() for asset in item.assets.values())


@needs_shared
def test_real_l2a_folder_with_60m_bands_side_by_side() -> None:
    (item,) = search(SHARED / "l2a_scenes" / "T29UNU_20221005_60m")
    assert item.properties["clearsight:index"] == "20221005T115411_20221005T115407_T29UNU"
    with rasterio.open(item.assets["B02"].href) as dataset:
        assert list(dataset.transform)[:6] == item.assets["B02"].extra_fields["proj:transform"]
        assert list(dataset.shape) == item.assets["B02"].extra_fields["proj:shape"]
    assert "B08" not in item.assets
    assert "SCL" in item.assets


def test_folder_and_zip_say_the_same(tmp_path: Path) -> None:
    root = write_safe(tmp_path / "folder", Product())
    packed = zip_folder(root, tmp_path / "product.zip")
    (item,), (zipped,) = search(root), search(packed)
    assert item.id == zipped.id == Product().name
    assert item.properties == zipped.properties
    assert item.geometry == zipped.geometry
    assert list(item.assets) == list(zipped.assets)
    assert zipped.assets["B02"].href.startswith(f"/vsizip/{packed}/{root.name}/GRANULE/")
    for one, other in zip(item.assets.values(), zipped.assets.values(), strict=True):
        assert one.extra_fields == other.extra_fields
    with rasterio.open(zipped.assets["B02"].href) as dataset:
        np.testing.assert_array_equal(dataset.read(1), numbers(Product(), "B02"))


def test_item_follows_the_contract(tmp_path: Path) -> None:
    product = Product()
    (item,) = search(write_safe(tmp_path, product))
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2023-01-15T10:17:03.123000+00:00"
    expected = {
        "platform": "sentinel-2a",
        "grid:code": "MGRS-33UUU",
        "processing:level": "L1C",
        "processing:version": "05.10",
        "s2:datatake_id": "GS2A_20230115T101301_012345_N05.10",
        "s2:datastrip_id": "S2A_OPER_MSI_L1C_DS_2APS_20230115T121212_S20230115T101555_N05.10",
        "s2:product_uri": f"{product.name}.SAFE",
        "sat:relative_orbit": 22,
        "eo:cloud_cover": 12.5,
        "view:sun_azimuth": 165.0,
        "view:sun_elevation": 30.0,
        "clearsight:index": product.index,
        "proj:code": "EPSG:32633",
    }
    assert expected.items() <= item.properties.items()
    assert [name for name in item.assets if name in BANDS] == list(BANDS)
    for band in BANDS:
        fields = item.assets[band].extra_fields
        size = product.size * 10 // GSD[band]
        assert fields["gsd"] == GSD[band]
        assert fields["proj:shape"] == [size, size]
        assert fields["proj:transform"] == [GSD[band], 0, product.left, 0, -GSD[band], product.top]
    assert {"product_metadata", "granule_metadata"} <= set(item.assets)
    # STAC's own structure survives a round trip through JSON.
    assert pystac.Item.from_dict(item.to_dict()).to_dict() == item.to_dict()


def test_offsets_are_read_per_band_and_quantification_from_the_metadata(tmp_path: Path) -> None:
    root = write_safe(tmp_path, Product(quantification=20_000, offset=-1000))
    path = root / "MTD_MSIL1C.xml"
    path.write_text(path.read_text().replace('band_id="8">-1000', 'band_id="8">-500'))
    (item,) = search(root)
    raster = {band: item.assets[band].extra_fields["raster:bands"][0] for band in BANDS}
    assert raster["B02"]["scale"] == pytest.approx(1 / 20_000)
    assert raster["B02"]["offset"] == pytest.approx(-1000 / 20_000)
    assert raster["B8A"]["offset"] == pytest.approx(-500 / 20_000)


def test_reprocessed_product_of_an_early_scene_has_its_offset(tmp_path: Path) -> None:
    """The offset follows the metadata, never the date."""
    early = Product(baseline="05.00", start="20170216T102101", sensed="2017-02-16T10:21:01Z", strip="20170216T102204")
    (item,) = search(write_safe(tmp_path, early))
    assert item.assets["B02"].extra_fields["raster:bands"][0]["offset"] == pytest.approx(-0.1)


def test_before_04_00_there_is_no_offset(tmp_path: Path) -> None:
    (item,) = search(write_safe(tmp_path, Product(baseline="03.01", offset=None)))
    assert item.assets["B02"].extra_fields["raster:bands"][0]["offset"] == 0


def test_missing_offset_is_never_guessed(tmp_path: Path) -> None:
    root = write_safe(tmp_path, Product(baseline="04.00", offset=None))
    with pytest.raises(MissingOffsetError, match=rf"{Product(baseline='04.00').name}.*04\.00.*pass offset=-1000"):
        search(root)
    (item,) = search(root, offset=-1000)
    assert item.assets["B02"].extra_fields["raster:bands"][0]["offset"] == pytest.approx(-0.1)


def test_l2a_takes_the_finest_image_of_each_band(tmp_path: Path) -> None:
    product = Product(level="L2A", bands=tuple(band for band in BANDS if band != "B10"))
    root = write_safe(tmp_path, product)
    images = next(root.glob("GRANULE/*")) / "IMG_DATA"
    for gsd in (20, 60):
        dn = np.full((product.size * 10 // gsd,) * 2, 1500, np.uint16)
        name = f"R{gsd}m/T{product.tile}_{product.start}_B02_{gsd}m.jp2"
        write_jp2(images / name, dn, left=product.left, top=product.top, gsd=gsd, epsg=product.epsg)
    write_jp2(
        images / f"R20m/T{product.tile}_{product.start}_SCL_20m.jp2",
        np.full((30, 30), 4, np.uint8),
        left=product.left,
        top=product.top,
        gsd=20,
        epsg=product.epsg,
    )
    (item,) = search(root, collection="sentinel-2-l2a")
    assert item.assets["B02"].href.endswith("_B02_10m.jp2")
    assert item.assets["B02"].extra_fields["gsd"] == 10
    assert "scale" not in item.assets["SCL"].extra_fields["raster:bands"][0]


def test_flattened_folder_and_aws_folder(tmp_path: Path) -> None:
    product = Product()
    root = write_safe(tmp_path / "safe", product)
    flat, aws = tmp_path / "flat", tmp_path / "aws"
    for target in (flat, aws):
        target.mkdir()
        for path in root.rglob("*.jp2"):
            shutil.copy(path, target / (path.name if target == flat else path.name.rpartition("_")[2]))
    (flat / "MTD_MSIL1C.xml").write_text(product_xml(product))
    (flat / "MTD_TL.xml").write_text(granule_xml(product))
    (aws / "product_metadata.xml").write_text(product_xml(product))
    (aws / "metadata.xml").write_text(granule_xml(product))
    (aws / "tileInfo.json").write_text("{}")
    for folder in (flat, aws):
        (item,) = search(folder)
        assert item.id == product.name
        assert [name for name in item.assets if name in BANDS] == list(BANDS)
        assert Path(item.assets["B8A"].href).parent == folder


def test_old_product_with_many_tiles(tmp_path: Path) -> None:
    """Before December 2016: one product, many granules, other names, the index after the product's making."""
    made = "20160909T151515"
    name = f"S2A_OPER_PRD_MSIL1C_PDMC_{made}_R022_V20160908T100032_20160908T100032"
    root = tmp_path / f"{name}.SAFE"
    for tile, left in (("33UUU", 300_000.0), ("33UVU", 399_960.0)):
        product = Product(tile=tile, left=left, baseline="02.04", offset=None, start="20160908T100032", generated=made)
        granule = root / "GRANULE" / f"S2A_OPER_MSI_L1C_TL_SGS__20160908T151111_A006348_T{tile}_N02.04"
        stem = f"S2A_OPER_MSI_L1C_TL_SGS__20160908T151111_A006348_T{tile}"
        for band in BANDS:
            dn = numbers(product, band)
            place = granule / "IMG_DATA" / f"{stem}_{band}.jp2"
            write_jp2(place, dn, left=left, top=product.top, gsd=GSD[band], epsg=32633)
        (granule / f"S2A_OPER_MTD_L1C_TL_SGS__20160908T151111_A006348_T{tile}.xml").write_text(granule_xml(product))
        main = product_xml(product).replace(product.name, name).replace("2016-09-09T15:15:15", "2016-09-09T15:20:00")
        (root / f"S2A_OPER_MTD_SAFL1C_PDMC_{made}_R022_V20160908T100032_20160908T100032.xml").write_text(main)
    items = search(root)
    assert [item.properties["clearsight:index"] for item in items] == [
        f"20160908T100032_{made}_T33UUU",
        f"20160908T100032_{made}_T33UVU",
    ]
    assert [item.id for item in items] == [f"{name}_T33UUU", f"{name}_T33UVU"]
    assert all(f"_T{ids.tile(item)}_B02.jp2" in item.assets["B02"].href for item in items)


def test_search_is_recursive_filtered_and_sorted(tmp_path: Path) -> None:
    first = Product(start="20230110T101301", sensed="2023-01-10T10:17:03Z", bands=("B02",))
    second = Product(start="20230115T101301", sensed="2023-01-15T10:17:03Z", bands=("B02",))
    third = Product(start="20230215T101301", sensed="2023-02-15T10:17:03Z", bands=("B02",), level="L2A")
    write_safe(tmp_path / "a", third)
    write_safe(tmp_path / "b" / "deep", first)
    zip_folder(write_safe(tmp_path / "c", second), tmp_path / "packed.zip")
    shutil.rmtree(tmp_path / "c")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("readme.txt", "not a product")

    def found(**filters: Any) -> list[str]:
        return [item.id for item in search(tmp_path, **filters)]

    assert found() == [first.name, second.name, third.name]
    assert found(collection="sentinel-2-l1c") == [first.name, second.name]
    assert found(datetime="2023-01") == [first.name, second.name]
    assert found(datetime="2023-01-15") == [second.name]
    assert found(datetime="2023-01-11/..") == [second.name, third.name]
    assert found(datetime="../2023-01-10") == [first.name]
    assert found(datetime="2023-01-15T10:00:00Z/2023-01-15T11:00:00Z") == [second.name]
    west, south, east, north = search(tmp_path)[0].bbox or []
    assert found(bbox=(west, south, east, north)) == found()
    with pytest.raises(EmptySourceError, match=r"none of its 3 images passes bbox"):
        found(bbox=(east + 1, south, east + 2, north))


def test_static_catalogue(tmp_path: Path) -> None:
    product = Product(bands=("B02", "B03", "B04"))
    (item,) = search(write_safe(tmp_path / "data", product))
    del item.properties["clearsight:index"]
    catalogue = pystac.Catalog("archive", "products")
    catalogue.add_item(item)
    catalogue.normalize_and_save(str(tmp_path / "stac"), pystac.CatalogType.SELF_CONTAINED)
    for source in (tmp_path / "stac" / "catalog.json", tmp_path / "stac"):
        (found,) = search(source)
        assert found.properties["clearsight:index"] == product.index
        assert Path(found.assets["B02"].href).exists()
    with pytest.raises(ProductError, match="can't be read as STAC"):
        (tmp_path / "broken.json").write_text("{")
        search(tmp_path / "broken.json")


class TestPlainFiles:
    """Bands without metadata."""

    def write(self, folder: Path, bands: tuple[str, ...] = BANDS, low: int = 50) -> Path:
        folder.mkdir()
        rng = np.random.default_rng(1)
        for band in bands:
            size = 600 // GSD[band]
            dn = rng.integers(low, 3000, (size, size), dtype=np.uint16)
            place = folder / f"T33UUU_20170216T102101_{band}.jp2"
            write_jp2(place, dn, left=330_000, top=5_822_040, gsd=GSD[band], epsg=32633)
        return folder

    def test_item(self, tmp_path: Path) -> None:
        (item,) = search(self.write(tmp_path / "scene"), level="L1C", offset=0)
        assert item.id == "T33UUU_20170216T102101"
        assert item.properties["clearsight:index"] == "20170216T102101_T33UUU"
        assert item.datetime is not None
        assert item.datetime.isoformat() == "2017-02-16T10:21:01+00:00"
        assert item.properties["processing:level"] == "L1C"
        assert item.assets["B09"].extra_fields["gsd"] == 60

    def test_many_bands_in_one_file(self, tmp_path: Path) -> None:
        """Names tell neither tile nor time: the tile comes from the coordinates, the time stays open."""
        folder = tmp_path / "coast"
        folder.mkdir()
        for stem, bands, gsd in (("x_10m", ("B02", "B03", "B04"), 10), ("x_20m", ("B05", "B11"), 20)):
            with rasterio.open(
                folder / f"{stem}.tif",
                "w",
                driver="GTiff",
                width=60,
                height=60,
                count=len(bands),
                dtype="uint16",
                crs="EPSG:32618",
                transform=Affine(gsd, 0, 435_720, 0, -gsd, 4_179_480),
            ) as dataset:
                dataset.write(np.full((len(bands), 60, 60), 700, np.uint16))
                dataset.descriptions = bands
        item = plain_item(folder, level="L1C", offset=0)
        assert item.id == "coast_x"
        assert item.properties["clearsight:index"] == "coast_x_T18SVG"
        assert item.datetime is None
        assert item.properties["start_datetime"].startswith("2015-06-23")
        assert item.assets["B04"].extra_fields["clearsight:band"] == 3
        assert item.assets["B11"].extra_fields["clearsight:band"] == 2
        assert search(folder, level="L1C", offset=0, datetime="2020-01")[0].id == item.id

    @pytest.mark.parametrize(("low", "hint"), [(50, "suggests offset=0"), (1005, "suggests offset=-1000")])
    def test_missing_offset_says_what_the_dark_pixels_suggest(self, tmp_path: Path, low: int, hint: str) -> None:
        folder = self.write(tmp_path / "scene", low=low)
        with pytest.raises(MissingOffsetError, match=rf"Pass offset=0 .*--offset.*{hint}"):
            search(folder, level="L1C")

    def test_missing_level(self, tmp_path: Path) -> None:
        with pytest.raises(ArgumentError, match=r"level=None.*level='L1C'"):
            search(self.write(tmp_path / "scene"), offset=0)

    def test_missing_band(self, tmp_path: Path) -> None:
        with pytest.raises(MissingBandError, match=r"scene has no B03.*_B02\.jp2"):
            search(self.write(tmp_path / "scene", bands=("B02", "B04", "B08")), level="L1C", offset=0)

    def test_truncated_file(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path / "scene")
        path = folder / "T33UUU_20170216T102101_B03.jp2"
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(ProductError, match=r"_B03\.jp2 can't be read.*truncated"):
            search(folder, level="L1C", offset=0)


class TestBadInput:
    """Each gets a clear error that names the thing and the way out."""

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(EmptySourceError, match=r"holds no Sentinel-2 image; expected a SAFE folder"):
            search(tmp_path)

    def test_providers_have_the_levels_they_have(self) -> None:
        with pytest.raises(ArgumentError, match=r"sentinel-2-l1c.*'planetary-computer' has only 'sentinel-2-l2a'"):
            search("planetary-computer", collection="sentinel-2-l1c")

    def test_names_of_no_provider(self) -> None:
        with pytest.raises(ArgumentError, match=r"'earthsearch' doesn't exist.*earth-search, earth-search-c1"):
            search("earthsearch")

    @pytest.mark.parametrize("name", ["../evil.jp2", "/etc/evil.jp2", "a/../../evil.jp2", "..\\evil.jp2", "C:evil.jp2"])
    def test_path_traversal(self, tmp_path: Path, name: str) -> None:
        packed = zip_folder(write_safe(tmp_path, Product(bands=("B02",))), tmp_path / "evil.zip")
        with zipfile.ZipFile(packed, "a") as archive:
            archive.writestr(name, b"x")
        with pytest.raises(UnsafeProductError, match=r"evil\.zip.*leads out of the archive.*source you trust"):
            search(packed)
        assert not list(tmp_path.parent.glob("**/evil.jp2"))

    @pytest.mark.parametrize(
        "attack",
        [
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE a [<!ENTITY x "aaaa"><!ENTITY y "&x;&x;&x;">]>',
            '<!DOCTYPE a SYSTEM "http://localhost/evil.dtd">',
        ],
        ids=["external entity", "entity bomb", "external document type"],
    )
    @pytest.mark.parametrize("file", ["MTD_MSIL1C.xml", "MTD_TL.xml"])
    def test_xml_entities(self, tmp_path: Path, attack: str, file: str) -> None:
        root = write_safe(tmp_path, Product(bands=("B02",)))
        path = next(root.rglob(file))
        path.write_text(path.read_text().replace("?>", f"?>{attack}", 1))
        with pytest.raises(UnsafeProductError, match=rf"{file}.*source you trust"):
            search(root)

    def test_truncated_zip(self, tmp_path: Path) -> None:
        packed = zip_folder(write_safe(tmp_path, Product(bands=("B02",))), tmp_path / "half.zip")
        packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
        with pytest.raises(ProductError, match=r"half\.zip.*truncated or corrupt; fetch"):
            search(packed)

    def test_a_broken_product_costs_only_itself(self, tmp_path: Path) -> None:
        whole = write_safe(tmp_path, Product(bands=("B02",)))
        packed = zip_folder(
            write_safe(tmp_path / "other", Product(bands=("B02",), tile="33UVU")), tmp_path / "half.zip"
        )
        packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
        shutil.rmtree(tmp_path / "other")
        with pytest.warns(ProductWarning, match=r"left out: .*half\.zip.*truncated"):
            items = search(tmp_path)
        assert [item.id for item in items] == [whole.name.removesuffix(".SAFE")]

    def test_zip_of_something_else(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
            other.writestr("readme.txt", "x")
        with pytest.raises(EmptySourceError, match=r"other\.zip holds no Sentinel-2 product"):
            search(tmp_path / "other.zip")

    def test_broken_xml(self, tmp_path: Path) -> None:
        root = write_safe(tmp_path, Product(bands=("B02",)))
        path = next(root.rglob("MTD_TL.xml"))
        path.write_text(path.read_text()[:500])
        with pytest.raises(ProductError, match=r"MTD_TL\.xml is no well-formed XML"):
            search(root)

    def test_granule_metadata_without_grid(self, tmp_path: Path) -> None:
        root = write_safe(tmp_path, Product(bands=("B02",)))
        path = next(root.rglob("MTD_TL.xml"))
        path.write_text(path.read_text().replace("Geoposition", "Elsewhere"))
        with pytest.raises(ProductError, match=r"lacks Tile_Geocoding"):
            search(root)

    @pytest.mark.parametrize(
        ("argument", "expected"),
        [
            ({"collection": "landsat"}, r"collection='landsat'.*sentinel-2-l1c"),
            ({"datetime": "yesterday"}, r"datetime='yesterday'.*2023-01-15"),
            ({"datetime": "2023-02-01/2023-01-01"}, r"the earlier one first"),
            ({"datetime": "2023-13"}, r"datetime='2023-13'"),
            ({"bbox": (1, 2, 3)}, r"bbox=\(1, 2, 3\).*west, south"),
            ({"bbox": (10, 60, 11, 50)}, r"south is above north"),
        ],
    )
    def test_arguments(self, tmp_path: Path, argument: dict[str, Any], expected: str) -> None:
        with pytest.raises(ArgumentError, match=expected):
            search(tmp_path, **argument)


class TestFootprints:
    """Where images lie."""

    def test_ring_is_cut_to_the_grid(self) -> None:
        bounds = (300_000.0, 5_700_000.0, 409_800.0, 5_809_800.0)
        ring = ((300_000.0, 5_700_000.0), (600_000.0, 5_700_000.0), (300_000.0, 5_809_800.0), (300_000.0, 5_700_000.0))
        geometry = footprint(ring, bounds, crs="EPSG:32633", ring_crs="EPSG:32633")
        whole = shapely.geometry.shape(footprint(None, bounds, crs="EPSG:32633"))
        shape = shapely.geometry.shape(geometry)
        assert shape.is_valid
        assert 0.5 < shape.area / whole.area < 0.95
        assert whole.buffer(1e-3).contains(shape)

    def test_antimeridian(self) -> None:
        bounds = (300_000.0, 7_280_000.0, 409_800.0, 7_389_800.0)
        geometry = footprint(None, bounds, crs="EPSG:32601")
        west, _, east, _ = bounding_box(geometry)
        assert geometry["type"] == "MultiPolygon"
        assert 172 < west < 180
        assert -180 < east < -172

    @pytest.mark.parametrize(
        ("lon", "lat", "expected"),
        [
            (13.4, 52.5, "33UUU"),
            (-75.62, 37.67, "18SVG"),
            (1.4, 43.6, "31TCJ"),
            (-70.1, -33.0, "19HCD"),
            (9.5, 60.0, "32VNM"),
        ],
    )
    def test_tile_of_known_places(self, lon: float, lat: float, expected: str) -> None:
        epsg = (32600 if lat > 0 else 32700) + int(expected[:2])
        easting, northing = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
        assert mgrs_tile(easting, northing, epsg=epsg) == expected

    @needs_shared
    def test_tile_of_real_products(self) -> None:
        """The centre of a tile lies in the 100 km square after which it is named."""
        # Of T34LBQ this collection holds the metadata of the tile to its south under another name.
        for folder in (row[-1] for row in REAL if "T34LBQ" not in row[0]):
            (item,) = search(real(folder))
            _, _, left, _, _, top = item.assets["B02"].extra_fields["proj:transform"]
            epsg = int(item.properties["proj:code"].removeprefix("EPSG:"))
            assert mgrs_tile(left + 50_000, top - 50_000, epsg=epsg) == ids.tile(item)

    @given(easting=st.floats(200_000, 799_000), northing=st.floats(1_000_000, 9_300_000), zone=st.integers(1, 60))
    def test_neighbouring_squares_have_other_letters(self, easting: float, northing: float, zone: int) -> None:
        here = mgrs_tile(easting, northing, epsg=32600 + zone)
        east = mgrs_tile(easting + 100_000, northing, epsg=32600 + zone)
        north = mgrs_tile(easting, northing - 100_000, epsg=32600 + zone)
        assert here[3] != east[3]
        assert here[4] == east[4]
        assert here[4] != north[4]

    def test_other_systems_are_refused(self) -> None:
        with pytest.raises(ArgumentError, match=r"EPSG:3857 is no UTM zone"):
            mgrs_tile(0, 0, epsg=3857)


def test_safe_items_of_a_folder_without_products_is_empty(tmp_path: Path) -> None:
    assert safe_items(tmp_path) == []
