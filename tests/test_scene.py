"""Facts of one item: grids, what numbers mean, angles, masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from clearsight.errors import (
    ArgumentError,
    MissingBandError,
    MissingOffsetError,
    ProductError,
    UnsafeProductError,
)
from clearsight.scene import angles, bands_of, detectors, native_geobox, quality, source
from clearsight.sources import search
from safe_fixtures import SHARED, Product, write_jp2, write_safe, zip_folder

needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="real products (shared/data) are not beside the checkout")


def item_of(tmp_path: Path, product: Product | None = None) -> pystac.Item:
    (item,) = search(write_safe(tmp_path, product or Product()))
    return item


class TestSource:
    """What the numbers of a band mean."""

    @pytest.mark.parametrize(("offset", "quantification"), [(-1000, 10_000), (0, 10_000), (-500, 20_000)])
    def test_whole_numbers_come_back(self, tmp_path: Path, offset: float, quantification: float) -> None:
        facts = source(item_of(tmp_path, Product(offset=offset, quantification=quantification)), "B8A")
        assert facts.offset == offset
        assert facts.quantification == quantification
        assert facts.nodata == 0
        assert not facts.categorical

    def test_a_band_within_a_score_file(self, tmp_path: Path) -> None:
        item = item_of(tmp_path)
        entry = {"nodata": 255, "data_type": "uint8", "scale": 0.005, "offset": 0}
        fields = {"clearsight:band": 2, "raster:bands": [entry]}
        item.add_asset("cs_cdf", pystac.Asset("scores.tif", extra_fields=fields))
        facts = source(item, "cs_cdf")
        assert (facts.band, facts.nodata, facts.quantification, facts.offset) == (2, 255, 200, 0)

    def test_without_raster_bands_reflectance_is_unknown(self, tmp_path: Path) -> None:
        item = item_of(tmp_path)
        del item.assets["B03"].extra_fields["raster:bands"]
        with pytest.raises(MissingOffsetError, match=rf"{item.id}.*'B03'.*raster:bands"):
            source(item, "B03")

    def test_missing_asset(self, tmp_path: Path) -> None:
        item = item_of(tmp_path, Product(bands=("B02", "B03")))
        assert bands_of(item) == ("B02", "B03")
        with pytest.raises(MissingBandError, match=rf"{item.id}.*'B04'.*B02, B03"):
            source(item, "B04")


class TestNativeGeobox:
    """The grid of the images themselves."""

    @pytest.mark.parametrize("resolution", [10, 20, 60])
    def test_is_the_grid_of_the_files(self, tmp_path: Path, resolution: int) -> None:
        item = item_of(tmp_path)
        band = {10: "B02", 20: "B05", 60: "B01"}[resolution]
        with rasterio.open(item.assets[band].href) as dataset:
            expected = GeoBox(dataset.shape, dataset.transform, dataset.crs)
        assert native_geobox(item, resolution=resolution) == expected

    @pytest.mark.parametrize("resolution", [30, 40, 120, 240])
    def test_other_resolutions_start_at_the_corner(self, tmp_path: Path, resolution: int) -> None:
        item = item_of(tmp_path, Product(left=300_060, top=5_800_080))
        grid = native_geobox(item, resolution=resolution)
        fine = native_geobox(item)
        assert grid.transform.c == fine.transform.c
        assert grid.transform.f == fine.transform.f
        assert grid.extent.contains(fine.extent)

    def test_crops_off_the_60_m_grid_get_the_grid_of_the_products(self, tmp_path: Path) -> None:
        item = item_of(tmp_path, Product(left=300_010, top=5_800_030, bands=("B02",)))
        grid = native_geobox(item, resolution=20)
        assert (grid.transform.c, grid.transform.f) == (300_000, 5_800_040)
        assert grid.extent.contains(native_geobox(item).extent)

    def test_no_bands(self) -> None:
        with pytest.raises(MissingBandError, match="'empty' has no Sentinel-2 band"):
            native_geobox(pystac.Item("empty", None, None, pystac.utils.str_to_datetime("2023-01-01T00:00:00Z"), {}))

    def test_bands_without_a_grid(self, tmp_path: Path) -> None:
        item = item_of(tmp_path, Product(bands=("B02",)))
        del item.assets["B02"].extra_fields["proj:shape"]
        with pytest.raises(ProductError, match=r"proj:transform and proj:shape"):
            native_geobox(item)


class TestAngles:
    """Sun and view directions."""

    def test_merges_detectors_as_directions(self, tmp_path: Path) -> None:
        """Detector 1 looks to 350°, detector 2 to 20°; columns 10 to 12 see both: 5°, not 185°."""
        found = angles(item_of(tmp_path, Product(bands=("B02",))))
        assert dict(found.sizes) == {"y": 23, "x": 23, "band": 1}
        assert all(variable.dtype == np.float32 for variable in found.data_vars.values())
        row = found.view_azimuth.sel(band="B02").values[7]
        np.testing.assert_allclose(row[:10], 350)
        np.testing.assert_allclose(row[10:13], 5, atol=1e-4)
        np.testing.assert_allclose(row[13:22], 20)
        assert np.isnan(row[22])
        np.testing.assert_allclose(found.view_zenith.values[0, 0, :22], [2] * 10 + [3] * 3 + [4] * 9)
        assert np.isnan(found.view_zenith.values[0, :, 22]).all()
        np.testing.assert_allclose(found.sun_zenith, 60)
        assert float(found.mean_view_zenith[0]) == 3
        assert found.attrs == {"mean_sun_zenith": 60, "mean_sun_azimuth": 165}
        assert list(found.x.values[:2]) == [300_000, 305_000]
        assert list(found.y.values[:2]) == [5_800_020, 5_795_020]

    def test_from_a_zip(self, tmp_path: Path) -> None:
        root = write_safe(tmp_path, Product(bands=("B02",)))
        (folder,), (packed,) = search(root), search(zip_folder(root, tmp_path / "a.zip"))
        assert angles(packed).identical(angles(folder))

    @needs_shared
    def test_real_grids_agree_with_their_means(self) -> None:
        """The mean angles of the metadata are computed from pixels, ours from nodes: they agree within 0.1°."""
        checked = 0
        for name in ("S2A_MSIL1C_20210908*", "S2A_MSIL2A_20150826*", "S2B_MSIL2A_20220413*"):
            (folder,) = (SHARED / "safe_metadata" / "stactools").glob(name)
            (item,) = search(folder)
            found = angles(item)
            assert dict(found.sizes) == {"y": 23, "x": 23, "band": 13}
            assert float(found.sun_zenith.mean()) == pytest.approx(found.attrs["mean_sun_zenith"], abs=0.1)
            assert np.isfinite(found.sun_azimuth).all()
            assert (found.view_zenith.max() < 13) & (found.view_zenith.min() >= 0)
            difference = found.view_zenith.mean(("y", "x")) - found.mean_view_zenith
            assert float(abs(difference).max()) < 0.5
            checked += 1
        assert checked == 3

    def test_plain_items_have_none(self) -> None:
        with pytest.raises(ArgumentError, match=r"no asset 'granule_metadata'"):
            angles(pystac.Item("plain", None, None, pystac.utils.str_to_datetime("2023-01-01T00:00:00Z"), {}))

    @pytest.mark.parametrize(
        ("old", "new", "error"),
        [
            ("Sun_Angles_Grid", "Moon_Angles_Grid", "has no angles"),
            ("<VALUES>60", "<VALUES>sixty", "broken grid of angles"),
            ("<VALUES>60 60", "<VALUES>60", "broken grid of angles"),
        ],
    )
    def test_broken_metadata(self, tmp_path: Path, old: str, new: str, error: str) -> None:
        item = item_of(tmp_path, Product(bands=("B02",)))
        path = Path(item.assets["granule_metadata"].href)
        path.write_text(path.read_text().replace(old, new, 1 if old.startswith("<") else -1))
        with pytest.raises(ProductError, match=rf"MTD_TL\.xml.*{error}"):
            angles(item)

    def test_metadata_changed_into_an_attack(self, tmp_path: Path) -> None:
        item = item_of(tmp_path, Product(bands=("B02",)))
        path = Path(item.assets["granule_metadata"].href)
        path.write_text(path.read_text().replace("?>", '?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', 1))
        with pytest.raises(UnsafeProductError, match="genuine metadata never does"):
            angles(item)


GML = """<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="mask">
  <eop:maskMembers>{members}</eop:maskMembers>
</eop:Mask>"""
FEATURE = """<eop:MaskFeature gml:id="{name}"><eop:extentOf><gml:Polygon gml:id="{name}_Polygon"><gml:exterior>
<gml:LinearRing><gml:posList srsDimension="3">{ring}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>
</eop:extentOf></eop:MaskFeature>"""


def rectangle(left: float, bottom: float, right: float, top: float) -> str:
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return " ".join(f"{x:g} {y:.0f} 0" for x, y in corners)


class TestMasks:
    """Detector footprints and quality, before and after baseline 04.00."""

    def test_jpeg_2000_masks(self, tmp_path: Path) -> None:
        product = Product(bands=("B02",))
        root = write_safe(tmp_path, product)
        folder = next(root.glob("GRANULE/*")) / "QI_DATA"
        feet = np.zeros((60, 60), np.uint8)
        feet[:, 10:40], feet[:, 40:] = 5, 6
        flags = np.zeros((8, 60, 60), np.uint8)
        flags[5, :, :10], flags[7, 3, 4], flags[0, 0, 0], flags[2, 0, 1], flags[4, 9, 9] = 1, 1, 1, 1, 1
        place = {"left": product.left, "top": product.top, "gsd": 10, "epsg": product.epsg}
        write_jp2(folder / "MSK_DETFOO_B02.jp2", feet, **place)
        write_jp2(folder / "MSK_QUALIT_B02.jp2", flags, **place)
        (item,) = search(root)
        seen = detectors(item)
        assert seen.dtype == np.uint8
        np.testing.assert_array_equal(seen, feet)
        found = quality(item)
        np.testing.assert_array_equal(found.nodata, flags[5] == 1)
        np.testing.assert_array_equal(found.saturated, flags[7] == 1)
        np.testing.assert_array_equal(found.lost, (flags[0] | flags[2]) == 1)
        np.testing.assert_array_equal(found.defective, flags[4] == 1)
        window = native_geobox(item)[5:20, 30:50]
        np.testing.assert_array_equal(detectors(item, geobox=window), feet[5:20, 30:50])

    def test_gml_masks(self, tmp_path: Path) -> None:
        product = Product(bands=("B02",), baseline="03.01", offset=None)
        root = write_safe(tmp_path, product)
        folder = next(root.glob("GRANULE/*")) / "QI_DATA"
        folder.mkdir()
        left, top = product.left, product.top
        feet = [
            FEATURE.format(name=f"detector_footprint-B02-{number}-0", ring=rectangle(west, top - 600, east, top))
            for number, west, east in (("05", left, left + 300), ("06", left + 300, left + 550))
        ]
        nodata = FEATURE.format(name="QT_NODATA_PIXELS-0", ring=rectangle(left + 550, top - 600, left + 600, top))
        (folder / "MSK_DETFOO_B02.gml").write_text(GML.format(members="".join(feet)))
        (folder / "MSK_NODATA_B02.gml").write_text(GML.format(members=nodata))
        for kind in ("SATURA", "DEFECT"):
            (folder / f"MSK_{kind}_B02.gml").write_text(GML.format(members=""))
        (item,) = search(root)
        expected = np.zeros((60, 60), np.uint8)
        expected[:, :30], expected[:, 30:55] = 5, 6
        np.testing.assert_array_equal(detectors(item), expected)
        found = quality(item)
        np.testing.assert_array_equal(found.nodata, expected == 0)
        assert not found.saturated.any()
        assert not found.defective.any()

    @needs_shared
    def test_real_masks(self) -> None:
        """Every pixel of a whole tile in the middle of the swath is seen by a detector and has data."""
        item = search(SHARED / "safe_metadata" / "l1c_trees_N0510", datetime="2024-01")[0]
        grid = native_geobox(item, resolution=60)
        with rasterio.open(item.assets["MSK_DETFOO_B09"].href) as dataset:
            expected = dataset.read(1)
        seen = detectors(item, band="B09", geobox=grid)
        np.testing.assert_array_equal(seen, expected)
        assert set(np.unique(seen)) <= set(range(13))
        assert not quality(item, band="B09", geobox=grid).nodata.where(seen > 0, False).any()

    def test_missing_mask(self, tmp_path: Path) -> None:
        item = item_of(tmp_path, Product(bands=("B02",)))
        with pytest.raises(ArgumentError, match=r"no mask 'MSK_DETFOO_B02'; it has none"):
            detectors(item)
        with pytest.raises(ArgumentError, match=r"no mask 'MSK_NODATA_B02'"):
            quality(item)
