"""Loading: rasterio and NumPy are the oracles, eager is the oracle of lazy."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from clearsight import _reader
from clearsight._resample import block_mean, interpolate
from clearsight.errors import ArgumentError, MissingBandError, MixedTilesError, ProductError
from clearsight.scene import native_geobox
from clearsight.sources import search
from clearsight.stack import load
from safe_fixtures import BANDS, GSD, SHARED, Product, numbers, write_jp2, write_safe, zip_folder

needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="real products (shared/data) are not beside the checkout")
UTM = "EPSG:32633"


def item_of(folder: Path, product: Product | None = None) -> pystac.Item:
    (item,) = search(write_safe(folder, product or Product()))
    return item


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory) -> pystac.Item:
    return item_of(tmp_path_factory.mktemp("product"))


def reflectance(product: Product, band: str) -> NDArray[np.float64]:
    dn = numbers(product, band).astype(float)
    return np.where(dn == 0, np.nan, (dn + (product.offset or 0)) / product.quantification)


def mean_of_groups(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    rows, columns = (size // factor for size in values.shape)
    groups = values[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a group without any valid pixel
        return np.nanmean(groups, (1, 3))


class TestValues:
    """What comes out is what rasterio reads, harmonised."""

    @pytest.mark.parametrize("offset", [0, -1000])
    @pytest.mark.parametrize("level", ["L1C", "L2A"])
    def test_own_grids(self, tmp_path: Path, offset: float, level: str) -> None:
        bands = BANDS if level == "L1C" else tuple(band for band in BANDS if band != "B10")
        product = Product(level=level, offset=offset, bands=bands)
        item = item_of(tmp_path, product)
        for resolution in (10, 20, 60):
            here = [band for band in bands if GSD[band] == resolution]
            stack = load([item], bands=here, resolution=resolution)
            for band in here:
                with rasterio.open(item.assets[band].href) as dataset:
                    np.testing.assert_array_equal(dataset.read(1), numbers(product, band))
                assert stack[band].dtype == np.float32
                assert stack[band].dims == ("time", "y", "x")
                np.testing.assert_allclose(stack[band].values[0], reflectance(product, band), rtol=1e-6, atol=1e-7)

    def test_layout(self, item: pystac.Item) -> None:
        stack = load([item])
        assert tuple(stack.data_vars) == BANDS
        assert dict(stack.sizes) == {"time": 1, "y": 60, "x": 60}
        assert stack.time.values[0] == np.datetime64("2023-01-15T10:17:03.123")
        assert stack.id.values[0] == Product().index
        assert stack.odc.geobox == native_geobox(item)
        assert stack.y.values[0] > stack.y.values[-1]
        assert int(stack.spatial_ref) == 32633
        assert stack.B02.chunks is None

    def test_offset_and_quantification_are_each_items_own(self, tmp_path: Path) -> None:
        """The same ground in two baselines gives the same reflectance."""
        dn = numbers(Product(), "B02")
        early = Product(baseline="03.01", offset=None, dn={"B02": np.where(dn > 0, dn - 1000, 0).astype(np.uint16)})
        late = Product(start="20230120T101301", sensed="2023-01-20T10:17:03Z", dn={"B02": dn})
        fine = Product(
            quantification=20_000,
            start="20230125T101301",
            sensed="2023-01-25T10:17:03Z",
            dn={"B02": np.where(dn > 0, 2 * dn - 1000, 0).astype(np.uint16)},
        )
        items = [item_of(tmp_path / str(i), product) for i, product in enumerate((early, late, fine))]
        for chunks in (None, {"y": 20, "x": 60}):
            stack = load(items, bands=["B02"], chunks=chunks)
            np.testing.assert_allclose(stack.B02[0], stack.B02[1], rtol=1e-6)
            np.testing.assert_allclose(stack.B02[0], stack.B02[2], rtol=1e-6)

    def test_saturated_pixels_stay_bright(self, tmp_path: Path) -> None:
        dn = np.full((60, 60), 65535, np.uint16)
        stack = load([item_of(tmp_path, Product(dn={"B02": dn}, bands=("B02",)))], bands=["B02"])
        np.testing.assert_allclose(stack.B02, 6.4535, rtol=1e-6)

    def test_zip_equals_folder(self, tmp_path: Path) -> None:
        root = write_safe(tmp_path, Product())
        packed = zip_folder(root, tmp_path / "a.zip")
        assert load(search(root), resolution=20).identical(load(search(packed), resolution=20))

    def test_classes_take_the_nearest(self, tmp_path: Path) -> None:
        product = Product(level="L2A", bands=("B02",))
        root = write_safe(tmp_path, product)
        scl = np.random.default_rng(0).integers(0, 12, (30, 30), dtype=np.uint8)
        place = next(root.glob("GRANULE/*")) / "IMG_DATA" / "R20m" / "T33UUU_20230115T101301_SCL_20m.jp2"
        write_jp2(place, scl, left=product.left, top=product.top, gsd=20, epsg=product.epsg)
        items = search(root)
        np.testing.assert_array_equal(load(items, bands=["SCL"]).SCL[0], scl.repeat(2, 0).repeat(2, 1))
        coarse = load(items, bands=["SCL"], resolution=60).SCL.values
        assert set(np.unique(coarse)) <= set(np.unique(scl))

    @needs_shared
    def test_real_scene_against_rasterio(self) -> None:
        (real,) = search(SHARED / "l1c_scenes" / "brandenburg_T33UUU_20170216", level="L1C", offset=0)
        box = (12.55, 52.47, 12.60, 52.49)
        stack = load([real], bands=["B04", "B11"], bbox=box)
        fine = stack.odc.geobox
        with rasterio.open(real.assets["B04"].href) as dataset:
            left, bottom, right, top = fine.boundingbox.bbox
            window = rasterio.windows.from_bounds(left, bottom, right, top, dataset.transform)
            expected = dataset.read(1, window=window) / 10_000
        np.testing.assert_allclose(stack.B04[0], expected, rtol=1e-6)
        coarse = load([real], bands=["B04", "B11"], bbox=box, resolution=20)
        with rasterio.open(real.assets["B11"].href) as dataset:
            left, bottom, right, top = coarse.odc.geobox.boundingbox.bbox
            window = rasterio.windows.from_bounds(left, bottom, right, top, dataset.transform)
            expected = dataset.read(1, window=window) / 10_000
        np.testing.assert_allclose(coarse.B11[0], expected, rtol=1e-6)

    @needs_shared
    def test_real_60m_product(self) -> None:
        items = search(SHARED / "l2a_scenes" / "T29UNU_20221005_60m")
        stack = load(items, bands=["B03"], resolution=60)
        with rasterio.open(items[0].assets["B03"].href) as dataset:
            dn = dataset.read(1).astype(float)
        expected = np.where(dn == 0, np.nan, (dn - 1000) / 10_000)
        np.testing.assert_allclose(stack.B03[0], expected, rtol=1e-5, atol=1e-7)


class TestResampling:
    """Finer: bilinear. Coarser: mean of the valid pixels. Nodata never bleeds."""

    def test_finer_is_bilinear(self, item: pystac.Item) -> None:
        stack = load([item], bands=["B05", "B01"])
        for band, factor in (("B05", 2), ("B01", 6)):
            values = reflectance(Product(), band)
            np.testing.assert_allclose(stack[band][0], naive_bilinear(values, factor), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("resolution", [20, 60, 120])
    def test_coarser_is_the_mean_of_valid_pixels(self, item: pystac.Item, resolution: int) -> None:
        stack = load([item], bands=["B02", "B05"], resolution=resolution)
        for band in ("B02", "B05"):
            expected = mean_of_groups(reflectance(Product(), band), resolution // GSD[band])
            np.testing.assert_allclose(stack[band][0], expected, rtol=1e-5, atol=1e-6)

    @given(data=st.data())
    @settings(max_examples=40)
    def test_interpolation_against_the_naive_one(self, data: st.DataObject) -> None:
        factor = data.draw(st.sampled_from([2, 3, 6]))
        rows, columns = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))
        rng = np.random.default_rng(data.draw(st.integers(0, 9999)))
        values = rng.uniform(0, 1, (rows, columns))
        values[rng.uniform(size=values.shape) < data.draw(st.sampled_from([0, 0.2, 0.8]))] = np.nan
        grid = GeoBox((rows * factor, columns * factor), Affine(10, 0, 0, 0, -10, 0), UTM)
        pixel = 10 * factor
        found = interpolate(values.astype(np.float32), Affine(pixel, 0, 0, 0, -pixel, 0), grid)
        np.testing.assert_allclose(found, naive_bilinear(values, factor), rtol=1e-4, atol=1e-5)

    @given(factor=st.integers(1, 6), shift=st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
    def test_mean_over_a_grid_that_begins_elsewhere(self, factor: int, shift: tuple[int, int]) -> None:
        values = np.arange(144, dtype=np.float32).reshape(12, 12)
        grid = GeoBox((3, 3), Affine(10 * factor, 0, 10 * shift[1], 0, -10 * factor, -10 * shift[0]), UTM)
        wide = np.full((60, 60), np.nan)
        wide[20:32, 20:32] = values
        rows, columns = (slice(20 + start, 20 + start + 3 * factor) for start in shift)
        expected = mean_of_groups(wide[rows, columns], factor)
        found = block_mean(values, Affine(10, 0, 0, 0, -10, 0), grid)
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_other_reference_system(self, item: pystac.Item) -> None:
        """Against GDAL's own warp of the whole image."""
        stack = load([item], bands=["B02"], crs="EPSG:4326", resolution=0.0002, resampling="nearest")
        assert stack.B02.dims == ("time", "y", "x")
        grid = stack.odc.geobox
        expected = np.full(grid.shape, np.nan, np.float32)
        with rasterio.open(item.assets["B02"].href) as dataset:
            rasterio.warp.reproject(
                np.where(numbers(Product(), "B02") == 0, np.nan, reflectance(Product(), "B02")).astype(np.float32),
                expected,
                src_transform=dataset.transform,
                src_crs=dataset.crs,
                src_nodata=np.nan,
                dst_transform=grid.transform,
                dst_crs="EPSG:4326",
                dst_nodata=np.nan,
            )
        # GDAL's own approximation of coordinates may pick the neighbour of a pixel on the border.
        assert (abs(stack.B02[0].fillna(0) - np.nan_to_num(expected)) > 1e-6).mean() < 0.01

    def test_resampling_by_band(self, item: pystac.Item) -> None:
        stack = load([item], bands=["B05", "B06"], resampling={"B05": "nearest"})
        nearest = reflectance(Product(), "B05").repeat(2, 0).repeat(2, 1)
        np.testing.assert_allclose(stack.B05[0], nearest, rtol=1e-6)
        np.testing.assert_allclose(stack.B06[0], naive_bilinear(reflectance(Product(), "B06"), 2), rtol=1e-5, atol=1e-6)


def naive_bilinear(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Pixel by pixel, weights of missing neighbours given to the others; nodata where the pixel underneath is."""
    rows, columns = values.shape
    result = np.full((rows * factor, columns * factor), np.nan)
    for i, j in np.ndindex(result.shape):
        y, x = (i + 0.5) / factor - 0.5, (j + 0.5) / factor - 0.5
        if np.isnan(values[i // factor, j // factor]):
            continue
        total = weights = 0.0
        for row, column in np.ndindex(2, 2):
            r, c = int(np.floor(y)) + row, int(np.floor(x)) + column
            weight = (1 - abs(y - r)) * (1 - abs(x - c))
            if 0 <= r < rows and 0 <= c < columns and np.isfinite(values[r, c]):
                total += weight * values[r, c]
                weights += weight
        result[i, j] = total / weights
    return result


class TestReducedDecoding:
    """JPEG 2000 images are decoded as coarse as the grid allows: once, in place, without nodata's shadow."""

    SIZE = 1024

    def source(self, folder: Path, dn: NDArray[np.uint16], *, block: int = 256) -> tuple[_reader.Source, GeoBox]:
        path = folder / "image.jp2"
        write_jp2(path, dn, left=300_000, top=5_800_020, gsd=10, epsg=32633, block=block)
        facts = _reader.Source("item", "B02", str(path), 1, 0, 10_000, 0, categorical=False)
        return facts, GeoBox(dn.shape, Affine(10, 0, 300_000, 0, -10, 5_800_020), UTM)

    def coarse(self, grid: GeoBox, factor: int) -> GeoBox:
        a = grid.transform
        rows, columns = (size // factor for size in grid.shape)
        return GeoBox((rows, columns), Affine(a.a * factor, 0, a.c, 0, a.e * factor, a.f), grid.crs)

    def smooth(self) -> NDArray[np.uint16]:
        y, x = np.mgrid[: self.SIZE, : self.SIZE]
        return (3000 + x + 800 * np.sin(x / 90) * np.cos(y / 70)).astype(np.uint16)

    @pytest.mark.parametrize("factor", [2, 4, 8])
    def test_is_in_place(self, tmp_path: Path, factor: int) -> None:
        """Plain overviews of JPEG 2000 are shifted by up to half a pixel: here that is the larger error by far."""
        dn = self.smooth()
        facts, grid = self.source(tmp_path, dn)
        roi, values = _reader.read(facts, self.coarse(grid, factor))
        expected = mean_of_groups(dn / 10_000, factor)
        assert roi == (slice(0, self.SIZE // factor), slice(0, self.SIZE // factor))
        with rasterio.open(facts.href, overview_level=factor.bit_length() - 2) as overview:
            plain = overview.read(1) / 10_000
        inner = np.s_[1:-1, 1:-1]
        ours, theirs = (abs(found - expected)[inner].mean() for found in (values, plain))
        assert ours < theirs / 5
        assert ours < 2e-4

    @pytest.mark.parametrize("factor", [2, 3, 4, 6, 8])
    def test_nodata_never_bleeds(self, tmp_path: Path, factor: int) -> None:
        """A swath's edge: no valid pixel is darker than its ground, and whole factors lose none and gain none."""
        rng = np.random.default_rng(factor)
        dn = rng.integers(4000, 4100, (self.SIZE, self.SIZE)).astype(np.uint16)
        y, x = np.mgrid[: self.SIZE, : self.SIZE]
        dn[x + 0.2 * y < 555] = 0
        facts, grid = self.source(tmp_path, dn)
        _, values = _reader.read(facts, self.coarse(grid, factor))
        expected = mean_of_groups(np.where(dn == 0, np.nan, dn / 10_000), factor)
        assert np.nanmin(values) >= 0.399
        assert np.nanmax(values) <= 0.411
        if factor in (2, 4, 8):
            np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
        else:  # these are made of reduced pixels that reach over the border of theirs
            differing = np.isnan(values) != np.isnan(expected)
            assert differing.mean() < 2 / (self.SIZE / factor)
            assert not (np.isnan(values) & ~np.isnan(expected)).any()

    def test_plain_overviews_do_bleed(self, tmp_path: Path) -> None:
        """The reason for all this: if GDAL ever does it itself, drop ours."""
        dn = np.full((self.SIZE, self.SIZE), 4000, np.uint16)
        dn[:, :557] = 0
        facts, _ = self.source(tmp_path, dn)
        with rasterio.open(facts.href, overview_level=1) as overview:
            row = overview.read(1)[100]
        assert ((row > 0) & (abs(row.astype(int) - 4000) > 200)).any()

    def test_each_block_is_decoded_once_and_reduced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        facts, grid = self.source(tmp_path, self.smooth())
        reads: list[tuple[int, int]] = []
        honest = _reader._numbers

        def spy(dataset: Any, source: _reader.Source, roi: _reader.Roi) -> Any:
            shrink = round(dataset.transform.a / 10)
            reads.append((shrink, (roi[0].stop - roi[0].start) * (roi[1].stop - roi[1].start) * shrink**2))
            return honest(dataset, source, roi)

        monkeypatch.setattr(_reader, "_numbers", spy)
        for factor, shrink in ((1, 1), (2, 2), (4, 4), (6, 4), (9, 8)):
            reads.clear()
            _reader.read(facts, self.coarse(grid, factor))
            assert reads == [(shrink, self.SIZE**2)]

    def test_only_blocks_on_the_edge_are_decoded_in_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        dn = self.smooth()
        dn[:, :300] = 0  # within the second column of blocks
        facts, grid = self.source(tmp_path, dn)
        full: list[_reader.Roi] = []
        honest = _reader._values
        monkeypatch.setattr(_reader, "_values", lambda *args: (full.append(args[2]), honest(*args))[1])
        _reader.read(facts, self.coarse(grid, 4))
        assert [roi[1] for roi in full] == [slice(256, 512)] * (self.SIZE // 256)

    def test_windows_do_not_change_values(self, tmp_path: Path) -> None:
        dn = self.smooth()
        dn[:, :300] = 0
        facts, grid = self.source(tmp_path, dn)
        for factor in (2, 4, 6):
            coarse = self.coarse(grid, factor)
            whole = np.full(coarse.shape, np.nan, np.float32)
            roi, values = _reader.read(facts, coarse)
            whole[roi] = values
            for rows, columns in ((slice(0, 50), slice(10, 90)), (slice(37, 111), slice(61, 150))):
                part = np.full(coarse[rows, columns].shape, np.nan, np.float32)
                roi, values = _reader.read(facts, coarse[rows, columns])
                part[roi] = values
                np.testing.assert_array_equal(part, whole[rows, columns])

    def test_classes_are_never_reduced(self, tmp_path: Path) -> None:
        path = tmp_path / "classes.jp2"
        classes = np.random.default_rng(0).choice(np.array([1, 9], np.uint8), (512, 512))
        write_jp2(path, classes, left=300_000, top=5_800_020, gsd=10, epsg=32633)
        facts = _reader.Source("item", "SCL", str(path), 1, None, 1, 0, categorical=True)
        grid = GeoBox((512, 512), Affine(10, 0, 300_000, 0, -10, 5_800_020), UTM)
        _, values = _reader.read(facts, self.coarse(grid, 4))
        assert set(np.unique(values)) == {1, 9}


class TestLazy:
    """Chunks never change a value."""

    @given(
        chunks=st.fixed_dictionaries({"y": st.integers(7, 60), "x": st.integers(7, 60)}),
        resolution=st.sampled_from([10, 20, 30]),
    )
    @settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_lazy_equals_eager(self, item: pystac.Item, chunks: dict[str, int], resolution: int) -> None:
        bands = ["B02", "B05", "B09"]
        lazy = load([item], bands=bands, resolution=resolution, chunks=chunks)
        assert lazy.B02.chunks is not None
        xr.testing.assert_identical(lazy.compute(), load([item], bands=bands, resolution=resolution))

    def test_lazy_equals_eager_in_another_reference_system(self, item: pystac.Item) -> None:
        keywords: dict[str, Any] = {"bands": ["B02", "B05"], "crs": "EPSG:3857", "resolution": 17}
        lazy = load([item], chunks={"y": 11, "x": 13}, **keywords)
        # Squares of the grid are the same; GDAL counts source pixels from another window: one bit may differ.
        xr.testing.assert_allclose(lazy.compute(), load([item], **keywords), rtol=1e-6)

    def test_one_file_with_two_offsets_in_one_computation(self, item: pystac.Item) -> None:
        other = item.clone()
        other.assets["B02"].extra_fields["raster:bands"][0]["offset"] = 0.0
        here, there = (load([each], bands=["B02"], chunks={}) for each in (item, other))
        one, two = dask.compute(here, there, scheduler="sync")
        np.testing.assert_allclose(two.B02 - one.B02, np.where(np.isnan(one.B02), np.nan, 0.1), rtol=1e-5)

    def test_travels_to_other_processes(self, item: pystac.Item) -> None:
        lazy = load([item], bands=["B02"], chunks={})
        xr.testing.assert_identical(pickle.loads(pickle.dumps(lazy)).compute(), load([item], bands=["B02"]))


class TestGrid:
    """Grid keywords mean what they mean in odc.stac.load."""

    @given(
        west=st.floats(0.05, 0.6),
        south=st.floats(0.05, 0.6),
        width=st.floats(0.01, 0.3),
        height=st.floats(0.01, 0.3),
        resolution=st.sampled_from([10, 20, 60]),
    )
    @settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_bbox_snaps_outwards_to_native_pixels(
        self, item: pystac.Item, west: float, south: float, width: float, height: float, resolution: int
    ) -> None:
        box = item.bbox or []
        size = box[2] - box[0], box[3] - box[1]
        wanted = (box[0] + west * size[0], box[1] + south * size[1])
        wanted += (wanted[0] + width * size[0], wanted[1] + height * size[1])
        stack = load([item], bands=["B02"], bbox=wanted, resolution=resolution)
        grid, whole = stack.odc.geobox, load([item], bands=["B02"], resolution=resolution)
        assert grid.transform.c % resolution == 0
        assert grid.transform.f % resolution == 0
        assert grid.geographic_extent.buffer(1e-9).contains(box_of(wanted))
        part = whole.reindex(x=stack.x, y=stack.y)
        np.testing.assert_array_equal(stack.B02, part.B02)

    def test_geobox_and_like(self, item: pystac.Item) -> None:
        grid = native_geobox(item, resolution=20)[3:17, 5:25]
        stack = load([item], bands=["B02"], geobox=grid)
        assert stack.odc.geobox == grid
        assert load([item], bands=["B02"], like=stack).identical(stack)
        assert load([item], bands=["B02"], like=stack.B02).identical(stack)
        whole = load([item], bands=["B02"], resolution=20)
        np.testing.assert_array_equal(stack.B02, whole.B02[:, 3:17, 5:25])

    def test_grid_beyond_the_item_is_nodata(self, item: pystac.Item) -> None:
        grid = native_geobox(item).pad(7)
        stack = load([item], bands=["B02"], geobox=grid)
        assert np.isnan(stack.B02[0, :7]).all()
        np.testing.assert_array_equal(stack.B02[:, 7:-7, 7:-7], load([item], bands=["B02"]).B02)

    def test_items_of_several_tiles(self, tmp_path: Path) -> None:
        west = item_of(tmp_path / "a", Product(bands=("B02",)))
        east = item_of(tmp_path / "b", Product(bands=("B02",), tile="33UVU", left=300_600, seed=1))
        with pytest.raises(MixedTilesError, match=r"33UUU, 33UVU.*bbox, geobox, like"):
            load([west, east], bands=["B02"])
        boxes = [west.bbox or [], east.bbox or []]
        bbox = (boxes[0][0], boxes[0][1], boxes[1][2], boxes[1][3])
        stack = load([west, east], bands=["B02"], bbox=bbox)
        assert stack.sizes["time"] == 2
        filled = stack.B02.notnull().sum(("y", "x"))
        assert list(filled.values) == [3200, 3200]
        assert not (stack.B02[0].notnull() & stack.B02[1].notnull()).any()

    def test_items_of_several_zones(self, tmp_path: Path) -> None:
        here = item_of(tmp_path / "a", Product(bands=("B02",)))
        there = item_of(tmp_path / "b", Product(bands=("B02",), tile="32UQD", epsg=32632, left=707_400, top=5_799_000))
        bbox = here.bbox or []
        with pytest.raises(MixedTilesError, match=r"several UTM zones \(32, 33\).*crs"):
            load([here, there], bands=["B02"], bbox=bbox)
        stack = load([here, there], bands=["B02"], bbox=bbox, crs="EPSG:32633")
        assert stack.sizes["time"] == 2
        assert stack.odc.geobox.crs == UTM

    def test_crops_of_one_tile_share_a_grid(self, tmp_path: Path) -> None:
        one = item_of(tmp_path / "a", Product(bands=("B02",)))
        later = Product(bands=("B02",), left=300_300, top=5_800_320, sensed="2023-01-20T10:17:03Z", seed=1)
        other = item_of(tmp_path / "b", later)
        stack = load([one, other], bands=["B02"])
        assert dict(stack.sizes) == {"time": 2, "y": 90, "x": 90}
        np.testing.assert_array_equal(stack.B02[0, 30:, :60], load([one], bands=["B02"]).B02[0])
        np.testing.assert_array_equal(stack.B02[1, :60, 30:], load([other], bands=["B02"]).B02[0])

    @pytest.mark.parametrize(
        ("keywords", "expected"),
        [
            ({"resolution": 0}, r"resolution=0"),
            ({"bbox": (1, 2, 3)}, r"bbox=\(1, 2, 3\)"),
            ({"bbox": (13, 52, 12, 53)}, r"west < east"),
            ({"bbox": (100, 10, 101, 11)}, r"touches none of the 1 items"),
            ({"crs": "EPSG:4326"}, r"pass resolution as well"),
            ({"like": "grid"}, r"like=str: expected a GeoBox"),
            ({"geobox": GeoBox((1, 1), Affine(1, 0, 0, 0, -1, 0), UTM), "resolution": 10}, r"leave out resolution"),
            ({"resampling": "best"}, r"resampling='best' is unknown; choose one of .*bilinear"),
            ({"resampling": {"B99": "nearest"}}, r"'B99', which isn't among the bands"),
            ({"bands": []}, r"bands is empty"),
        ],
    )
    def test_arguments(self, item: pystac.Item, keywords: dict[str, Any], expected: str) -> None:
        with pytest.raises(ArgumentError, match=expected):
            load([item], **({"bands": ["B02"]} | keywords))

    def test_no_items(self) -> None:
        with pytest.raises(ArgumentError, match="items is empty"):
            load([])


def box_of(bounds: tuple[float, ...]) -> Any:
    from odc.geo.geom import box

    return box(*bounds, crs="EPSG:4326")


class TestFrames:
    """One frame per item, in order."""

    def test_sorted_by_time_then_id_whatever_the_order(self, tmp_path: Path) -> None:
        days = ("20230125", "20230115", "20230120")
        items = [
            item_of(
                tmp_path / day,
                Product(
                    bands=("B02",), start=f"{day}T101301", sensed=f"{day[:4]}-{day[4:6]}-{day[6:]}T10:17:03Z", seed=i
                ),
            )
            for i, day in enumerate(days)
        ]
        twin = item_of(tmp_path / "twin", Product(bands=("B02",), strip="20230115T101600", generated="20230115T131313"))
        stack = load([*items, twin], bands=["B02"])
        assert stack.B02.sizes["time"] == 4
        assert list(stack.time.values) == sorted(stack.time.values)
        assert len(set(stack.id.values)) == 4
        assert load([twin, *items[::-1]], bands=["B02"]).identical(stack)

    def test_undated_items_have_no_time(self, tmp_path: Path) -> None:
        for band in ("B02", "B03", "B04"):
            dn = np.full((60, 60), 1000, np.uint16)
            write_jp2(tmp_path / f"coast_{band}.jp2", dn, left=300_000, top=5_800_020, gsd=10, epsg=32633)
        stack = load(search(tmp_path, level="L1C", offset=0))
        assert np.isnat(stack.time.values[0])
        assert stack.id.values[0].endswith("coast_T33UUT")

    def test_bands_by_default_are_those_that_all_items_have(self, tmp_path: Path) -> None:
        one = item_of(tmp_path / "a", Product(bands=("B02", "B03", "B10")))
        two = item_of(tmp_path / "b", Product(bands=("B02", "B03", "B04")))
        assert tuple(load([one, two]).data_vars) == ("B02", "B03")
        with pytest.raises(MissingBandError, match=rf"'B04' is missing in 1 of 2 items: {one.id}.*Leave out"):
            load([one, two], bands=["B02", "B04"])
        with pytest.raises(MissingBandError, match=r"'B12': no item has it\. The items have B02, B03, B04, B10"):
            load([one, two], bands=["B12"])


class TestScores:
    """Scores linked to an item: two bands of one uint8 file."""

    def linked(self, folder: Path, scores: NDArray[np.uint8]) -> pystac.Item:
        item = item_of(folder, Product(bands=("B02",), size=240))
        path = folder / "scores.tif"
        profile: dict[str, Any] = {"width": 240, "height": 240, "count": 2, "dtype": "uint8", "nodata": 255, "crs": UTM}
        with rasterio.open(
            path, "w", driver="GTiff", transform=Affine(10, 0, 300_000, 0, -10, 5_800_020), **profile
        ) as dataset:
            dataset.write(scores)
            dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)
        for index, name in enumerate(("cs", "cs_cdf"), start=1):
            entry = {"nodata": 255, "data_type": "uint8", "scale": 0.005, "offset": 0}
            fields = {"clearsight:band": index, "raster:bands": [entry]}
            item.add_asset(name, pystac.Asset(str(path), extra_fields=fields))
        return item

    def test_own_grid_and_coarser(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(3)
        scores = rng.integers(0, 201, (2, 240, 240), dtype=np.uint8)
        scores[:, 60:100, 30:90] = 255
        item = self.linked(tmp_path, scores)
        expected = np.where(scores == 255, np.nan, scores / 200)
        stack = load([item], bands=["B02", "cs", "cs_cdf"])
        np.testing.assert_allclose(stack.cs[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(stack.cs_cdf[0], expected[1], rtol=1e-6)
        assert stack.cs.values[0][scores[0] == 120].tolist() == [np.float32(0.6)] * int((scores[0] == 120).sum())
        for resolution in (20, 40):
            coarse = load([item], bands=["cs_cdf"], resolution=resolution)
            mean = mean_of_groups(expected[1], resolution // 10)
            np.testing.assert_array_equal(np.isnan(coarse.cs_cdf[0]), np.isnan(mean))
            # The file's overviews are rounded to its steps of 1/200, once per level.
            np.testing.assert_allclose(coarse.cs_cdf[0], mean, atol=2 * 0.0025 + 1e-6)

    def test_score_items_without_any_band(self, tmp_path: Path) -> None:
        scores = np.random.default_rng(4).integers(0, 201, (2, 240, 240), dtype=np.uint8)
        item = self.linked(tmp_path, scores)
        for asset in ("cs", "cs_cdf"):
            fields = {"proj:shape": [240, 240], "proj:transform": [10, 0, 300_000, 0, -10, 5_800_020]}
            item.assets[asset].extra_fields.update(fields)
        del item.assets["B02"]
        np.testing.assert_allclose(load([item], bands=["cs_cdf"]).cs_cdf[0], scores[1] / 200, rtol=1e-6)


class TestBrokenFiles:
    """What can't be read is named."""

    def broken(self, folder: Path) -> pystac.Item:
        item = item_of(folder, Product(bands=("B02", "B03")))
        path = Path(item.assets["B03"].href)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return item

    @pytest.mark.parametrize("resolution", [10, 20])
    def test_truncated_jp2(self, tmp_path: Path, resolution: int) -> None:
        item = self.broken(tmp_path)
        with pytest.raises(ProductError, match=rf"{item.id}.*'B03'.*truncated or corrupt; fetch the product again"):
            load([item], bands=["B02", "B03"], resolution=resolution)

    def test_truncated_jp2_in_a_lazy_stack(self, tmp_path: Path) -> None:
        item = self.broken(tmp_path)
        lazy = load([item], bands=["B02", "B03"], chunks={})
        assert lazy.B02.compute().notnull().any()
        with pytest.raises(ProductError, match=r"'B03'.*truncated or corrupt"):
            lazy.compute()

    def test_missing_file(self, tmp_path: Path) -> None:
        item = item_of(tmp_path, Product(bands=("B02", "B03")))
        Path(item.assets["B03"].href).unlink()
        with pytest.raises(ProductError, match=rf"{item.id}.*'B03'.*missing"):
            load([item], bands=["B03"])

    def test_corrupt_member_of_a_zip(self, tmp_path: Path) -> None:
        packed = zip_folder(write_safe(tmp_path, Product(bands=("B02",))), tmp_path / "a.zip")
        content = bytearray(packed.read_bytes())
        start = content.index(b"\xff\x4f\xff\x51")  # the codestream of the JP2
        content[start + 2 : start + 400] = bytes(398)
        packed.write_bytes(bytes(content))
        with pytest.raises(ProductError, match=r"'B02' can't be read from /vsizip/.*a\.zip"):
            load(search(packed), bands=["B02"])

    def test_band_index_beyond_the_file(self, item: pystac.Item) -> None:
        wrong = item.clone()
        wrong.assets["B02"].extra_fields["clearsight:band"] = 2
        with pytest.raises(ProductError, match=r"'B02' should be band 2 .* has 1.*clearsight:band"):
            load([wrong], bands=["B02"])
