"""Images decoded once for a row of sub-tiles: the same values as from the images themselves, and nothing left over."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import clearsight
from clearsight import _decoded, _rows, _subtiles, archive, scene
from clearsight._decoded import Decoding, Rows, decoded_item, file_of
from clearsight.errors import OutputError
from clearsight.stack import load

BANDS = ("B02", "B04", "B03", "B05", "B11", "B01")
produce = functools.partial(archive.produce, model="projection")


@pytest.fixture(scope="module")
def products(season, tmp_path_factory) -> Path:
    """Two products, their images in blocks that rows of sub-tiles cut."""
    folder = tmp_path_factory.mktemp("blocks")
    for product in sorted((season.files["products"] / "l1c").glob("*.SAFE"))[:2]:
        copy = shutil.copytree(product, folder / product.name)
        for path in copy.rglob("IMG_DATA/*_B*.jp2"):
            with rasterio.open(path) as file:
                profile, values = file.profile, file.read()
            profile.update(driver="JP2OpenJPEG", quality=100, reversible=True, tiled=True, blockxsize=64, blockysize=64)
            profile.pop("interleave", None)
            with rasterio.open(path, "w", **profile) as file:
                file.write(values)
    return folder


@pytest.fixture(scope="module")
def items(products) -> list[pystac.Item]:
    return clearsight.search(products)


@pytest.fixture(scope="module")
def grid(items) -> GeoBox:
    return scene.native_geobox(items[0])


def _decode(item: pystac.Item, grid: GeoBox, rows: slice, folder: Path, before: Rows | None = None) -> Rows:
    done = Rows(folder, grid[rows, :])
    Decoding(item, "i", BANDS, done, before).do()
    return done


@given(first=st.integers(0, 280), height=st.integers(1, 120), left=st.integers(0, 250), width=st.integers(1, 300))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_are_those_of_the_images(items, grid, tmp_path_factory, first, height, left, width):
    folder = tmp_path_factory.mktemp("rows")
    rows = slice(first, min(first + height, grid.shape.y))
    _decode(items[0], grid, rows, folder)
    window = grid[rows, left : min(left + width, grid.shape.x)]
    prepared = decoded_item(items[0], index="i", bands=BANDS, folder=folder)
    assert all(scene.source(prepared, name).href == str(file_of(folder, "i", name)) for name in BANDS)
    from_rows, from_images = (load([item], bands=BANDS, geobox=window) for item in (prepared, items[0]))
    for name in BANDS:
        np.testing.assert_array_equal(from_rows[name], from_images[name])


def test_what_the_row_above_has_is_not_decoded_again(items, grid, tmp_path, monkeypatch):
    asked = []
    open_image = rasterio.open

    class Watched:
        def __init__(self, image):
            self.image = image

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.image.close()

        def __getattr__(self, name):
            return getattr(self.image, name)

        def read(self, band, *, window):
            if self.image.driver.startswith("JP2"):
                asked.append((Path(self.image.name).name, window.row_off, window.height))
            return self.image.read(band, window=window)

    monkeypatch.setattr(_decoded.rasterio, "open", lambda *args, **how: Watched(open_image(*args, **how)))
    before = None
    for number, rows in enumerate([slice(0, 130), slice(70, 200), slice(140, 300)]):
        before = _decode(items[0], grid, rows, tmp_path / str(number), before)
    for name in ("B02", "B11"):
        read = sorted((top, height) for file, top, height in asked if file.endswith(f"_{name}.jp2"))
        assert sum(height for _, height in read) == read[-1][0] + read[-1][1]  # every row once
    window = grid[140:300, :]
    prepared = decoded_item(items[0], index="i", bands=BANDS, folder=tmp_path / "2")
    monkeypatch.undo()
    for name in BANDS:
        np.testing.assert_array_equal(
            load([prepared], bands=[name], geobox=window)[name], load([items[0]], bands=[name], geobox=window)[name]
        )


def test_no_file_in_memory_is_left_open(items, grid, tmp_path, monkeypatch):
    made = []

    class Watched(rasterio.MemoryFile):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(_decoded.rasterio, "MemoryFile", Watched)
    _decode(items[0], grid, slice(0, 100), tmp_path)
    assert len(made) == len(BANDS)
    assert all(memory.closed for memory in made)


def test_other_resolutions_and_reference_systems_are_read_from_the_image(items, grid, tmp_path):
    for number, other in enumerate((grid.zoom_out(2), grid.to_crs("EPSG:4326"))):
        Decoding(items[0], "i", ("B02",), Rows(tmp_path / str(number), other), None).do()
        assert not file_of(tmp_path / str(number), "i", "B02").exists()


@pytest.fixture(scope="module")
def plain(items, tmp_path_factory) -> archive.Produced:
    """An archive of which each sub-tile has read the images itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_subtiles, "side_for", lambda frames, **_: 128)
        patch.setattr(_rows, "is_jpeg2000", lambda item, bands: False)
        return produce(items, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("full", [False, True])
def test_an_archive_is_the_same_with_and_without(full, plain, items, tmp_path, monkeypatch):
    used = []
    real = _subtiles.load

    def watched(found, **how):
        used.append(all(scene.DECODED in item.assets[name].extra_fields for item in found for name in how["bands"]))
        return real(found, **how)

    def no_room(path, *, lasting):
        raise OutputError(f"{path} can't be written (no space left on device)")

    monkeypatch.setattr(_subtiles, "side_for", lambda frames, **_: 128)
    monkeypatch.setattr(_subtiles, "load", watched)
    if full:
        monkeypatch.setattr(_decoded, "whole_file", no_room)
    made = produce(items, tmp_path)
    assert set(used) == {not full}
    assert not list(tmp_path.rglob("*-decoded"))
    assert len(made.written) == len(items)
    for one, other in zip(made.written, plain.written, strict=True):
        paths = [Path(item.assets["scores"].get_absolute_href()) for item in (one, other)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_broken_image_is_told_and_leaves_nothing(products, items, tmp_path):
    broken = shutil.copytree(products, tmp_path / "products")
    path = next(broken.rglob("*_B8A.jp2"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = produce(clearsight.search(broken), tmp_path / "archive")
    assert len(done.failed) == 1
    assert "B8A" in done.failed[0].reason
    assert len(done.written) == len(items) - 1
    assert not list((tmp_path / "archive").rglob("*-decoded"))
