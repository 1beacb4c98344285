import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from clearsight.errors import ArgumentError, OutputError
from clearsight.pictures import composite_sheet, contact_sheet, masked_out, save_png, true_colour


def read_png(path: Path) -> np.ndarray:
    warning = rasterio.errors.NotGeoreferencedWarning
    with warnings.catch_warnings(category=warning, action="ignore"), rasterio.open(path) as file:
        return np.moveaxis(file.read(), 0, -1)


@pytest.fixture
def season() -> xr.Dataset:
    rng = np.random.default_rng(1)
    bands = {
        name: (("time", "y", "x"), rng.uniform(0, 0.3, (3, 20, 30)).astype("float32"))
        for name in ("B02", "B03", "B04", "cs", "cs_cdf")
    }
    times = np.array(["2021-05-01", "2021-05-06", "2021-05-11"], "datetime64[ns]")
    return xr.Dataset(bands, coords={"time": times})


def test_true_colour_stretches_linearly_and_shows_nodata_transparent(season):
    frame = season.isel(time=0).copy(deep=True)
    frame["B04"][0, 0] = np.nan
    frame["B04"][0, 1], frame["B03"][0, 1], frame["B02"][0, 1] = -0.1, 0.125, 0.9
    rgba = true_colour(frame, display=(0.0, 0.25))
    assert rgba.shape == (20, 30, 4)
    assert rgba[0, 0, 3] == 0
    assert rgba[0, 1].tolist() == [0, 128, 255, 255]


def test_true_colour_names_the_band_that_is_absent(season):
    with pytest.raises(ArgumentError, match="no B08"):
        true_colour(season.isel(time=0), bands=("B08", "B04", "B03"))


def test_true_colour_refuses_an_empty_stretch(season):
    with pytest.raises(ArgumentError, match="low < high"):
        true_colour(season.isel(time=0), display=(0.3, 0.3))


def test_a_png_reads_back_as_written(tmp_path, season):
    rgba = true_colour(season.isel(time=1))
    np.testing.assert_array_equal(read_png(save_png(rgba, tmp_path / "new" / "scene.png")), rgba)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scene.png"]


def test_an_unwritable_place_is_told_and_leaves_nothing(tmp_path, season):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="taken"):
        save_png(true_colour(season.isel(time=0)), tmp_path / "taken" / "scene.png")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_sheets_are_pictures_of_a_sensible_size(tmp_path, season):
    sheet = contact_sheet(season, tmp_path / "sheet.png", title="A season")
    panels = composite_sheet(
        {"scene": true_colour(season.isel(time=0)), "cs": season["cs"].values[0]}, tmp_path / "panels.png", title="Two"
    )
    for path in (sheet, panels):
        picture = read_png(path)
        assert picture.shape[1] > 300
        assert picture[..., 0].std() > 10


def test_masked_out_pixels_are_white_and_nodata_stays_transparent(season):
    colour = true_colour(season.isel(time=0))
    colour[0, 0, 3] = 0
    kept = np.ones((20, 30), bool)
    kept[0, :2] = False
    painted = masked_out(colour, kept)
    assert painted[0, 0, 3] == 0
    assert painted[0, 1].tolist() == [255, 255, 255, 255]
    np.testing.assert_array_equal(painted[1:], colour[1:])
