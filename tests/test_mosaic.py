"""The composite written window by window, against the one made in memory; stopped, resumed, and asked for again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from odc.geo.geom import Geometry
from pystac.validation import validate_dict
from rio_cogeo import cog_validate

import clearsight
from clearsight import _windows
from clearsight.compositing import FILE_NODATA, write_composite
from clearsight.demo import Demo
from clearsight.errors import ArgumentError, OutputError
from clearsight.mosaic import Recipe, write_mosaic
from clearsight.product import write_cog

BBOX_SHARE = 0.6


@pytest.fixture(scope="module")
def items(season: Demo) -> list[pystac.Item]:
    found = clearsight.search(season.files["products"], collection="sentinel-2-l2a", datetime="2021-05/2021-06")
    return list(clearsight.link(found, season.files["scores"].parent, bands=["cs", "cs_cdf"]).matched)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_windows, "window_side", lambda arrays: 128)


def planes(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as file:
        return dict(zip(file.descriptions, file.read(), strict=True))


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(bands=("B04", "B11"), minimum=2, spread=True),
        Recipe(bands=("B02", "B03", "B04"), method="best", near="2021-05-20", date=True, threshold=0.5),
    ],
)
def test_windows_give_what_the_whole_gives(items, recipe, tmp_path: Path):
    made = write_mosaic(items, tmp_path / "windows.tif", recipe=recipe)
    bands = [*recipe.bands, "cs_cdf", *(["cs"] if recipe.method == "best" else [])]
    keywords = {
        name: getattr(recipe, name) for name in ("method", "by", "threshold", "minimum", "spread", "date", "near")
    }
    image = clearsight.composite(clearsight.load(items, bands=bands), **keywords)
    whole = planes(write_composite(image, tmp_path / "whole.tif"))
    windowed = planes(made.path)
    assert list(windowed) == list(whole)
    for name, plane in whole.items():
        np.testing.assert_array_equal(windowed[name], plane)
    assert (whole["count"] > 0).any()
    assert cog_validate(made.path, strict=True) == (True, [], [])


def test_beside_it_lie_item_request_and_preview(items, tmp_path: Path):
    made = write_mosaic(items, tmp_path / "may.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["may.json", "may.png", "may.request.json", "may.tif"]
    request = json.loads((tmp_path / "may.request.json").read_text())
    assert set(request["items"]) == {item.id for item in items}
    assert request["recipe"]["threshold"] == 0.6
    item = pystac.Item.from_file(str(tmp_path / "may.json"))
    # The schemas of extensions lie on the network, that of STAC itself comes with pystac.
    assert validate_dict({**item.to_dict(), "stac_extensions": []})
    assert item.properties["clearsight:request"] == request["hash"]
    assert item.assets["composite"].extra_fields["file:size"] == made.path.stat().st_size
    assert made.frames == len(items)


def test_asked_again_nothing_is_done(items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = write_mosaic(items, tmp_path / "may.tif")
    facts = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = write_mosaic(list(reversed(items)), tmp_path / "may.tif")
    assert (first.made, again.made) == (True, False)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == facts
    other = write_mosaic(items, tmp_path / "may.tif", recipe=Recipe(threshold=0.5))
    assert other.made
    assert (planes(other.path)["count"] > 0).any()


def test_new_scores_of_the_same_name_are_another_request(items, tmp_path: Path):
    write_mosaic(items, tmp_path / "may.tif")
    href = Path(items[0].assets["cs_cdf"].href)
    before = href.stat()
    try:
        os.utime(href, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
        assert write_mosaic(items, tmp_path / "may.tif").made
    finally:
        os.utime(href, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.usefixtures("small_windows")
def test_stopped_in_the_middle_it_goes_on_from_there(items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = planes(write_mosaic(items, tmp_path / "whole.tif").path)
    out = tmp_path / "stopped.tif"

    def stop(done: int, total: int, what: str) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mosaic(items, out, progress=stop)
    assert not out.exists()
    read = []
    load = _windows.load
    monkeypatch.setattr(_windows, "load", lambda items, **more: read.append(more["geobox"]) or load(items, **more))
    resumed = planes(write_mosaic(items, out).path)
    # 300 x 300 pixels are nine windows; four were there.
    assert len(read) == 5
    for name, plane in whole.items():
        np.testing.assert_array_equal(resumed[name], plane)
    assert not list(tmp_path.glob(".*"))


def test_what_gdal_keeps_of_files_is_bounded_to_the_end(items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its own limit grows with the machine; the last step reads and writes the whole area."""
    held = {}

    def noted(raw, path, **more):
        held.update(rasterio.env.getenv())
        write_cog(raw, path, **more)

    monkeypatch.setattr("clearsight.mosaic.write_cog", noted)
    write_mosaic(items, tmp_path / "image.tif", recipe=Recipe(bands=("B04",)))
    assert held["GDAL_CACHEMAX"] == _windows.GDAL_CACHE


def test_where_is_as_in_load(items, tmp_path: Path):
    west, south, east, north = items[0].bbox
    bbox = [west, south, west + BBOX_SHARE * (east - west), south + BBOX_SHARE * (north - south)]
    made = write_mosaic(items, tmp_path / "part.tif", bbox=bbox)
    stack = clearsight.load(items, bands=["B04"], bbox=bbox, chunks={})
    with rasterio.open(made.path) as file:
        assert file.shape == stack.odc.geobox.shape
        assert file.transform == stack.odc.geobox.affine


@pytest.fixture(scope="module")
def triangle(items) -> shapely.Polygon:
    """It leaves out some windows of 128 pixels as a whole, and cuts others."""
    west, south, east, north = items[0].bbox
    width, height = east - west, north - south
    return shapely.Polygon([(west, south), (west + 0.7 * width, south), (west, south + 0.35 * height)])


@pytest.mark.usefixtures("small_windows")
def test_outside_the_area_is_nodata_and_within_nothing_changes(items, triangle, tmp_path, monkeypatch):
    grid = clearsight.load(items, bands=["B04"], chunks={}).odc.geobox
    recipe = Recipe(bands=("B04", "B08"))
    whole = planes(write_mosaic(items, tmp_path / "whole.tif", recipe=recipe).path)
    read = []
    load = _windows.load
    monkeypatch.setattr(_windows, "load", lambda items, **more: read.append(more["geobox"]) or load(items, **more))
    cut = planes(write_mosaic(items, tmp_path / "cut.tif", recipe=recipe, geobox=grid, area=triangle).path)
    assert 0 < len(read) < 9
    east, north = np.meshgrid(*(grid.coords[name].values for name in ("x", "y")))
    within = shapely.contains_xy(Geometry(triangle, "EPSG:4326").to_crs(grid.crs).geom, east, north)
    assert 0.05 < within.mean() < 0.3
    for name, plane in whole.items():
        np.testing.assert_array_equal(cut[name], np.where(within, plane, FILE_NODATA))


def test_an_area_is_a_place_of_its_own_and_another_request(items, triangle, tmp_path):
    path = tmp_path / "field.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(triangle)))
    first = write_mosaic(items, tmp_path / "cut.tif", area=path)
    with rasterio.open(first.path) as file:
        assert file.shape == clearsight.load(items, bbox=triangle.bounds, chunks={}).odc.geobox.shape
    footprint = shapely.geometry.shape(json.loads((tmp_path / "cut.json").read_text())["geometry"])
    assert footprint.symmetric_difference(triangle).area < 1e-3 * triangle.area
    assert not write_mosaic(items, tmp_path / "cut.tif", area=triangle).made
    assert write_mosaic(items, tmp_path / "cut.tif", area=triangle.buffer(-1e-3)).made
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with pytest.raises(ArgumentError, match="no pixel"):
        write_mosaic(items, tmp_path / "cut.tif", area=triangle.representative_point().buffer(1e-6))
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == made


def test_what_cannot_be_is_told_before_any_work(items, tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"ends in \.tif"):
        write_mosaic(items, tmp_path / "image.png")
    with pytest.raises(ArgumentError, match="mixes dates"):
        write_mosaic(items, tmp_path / "image.tif", recipe=Recipe(date=True))
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="can't be written"):
        write_mosaic(items, tmp_path / "file" / "image.tif")
