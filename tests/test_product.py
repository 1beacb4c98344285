"""The score file: numbers, file, and faults."""

import hashlib
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rasterio.transform import from_origin
from rio_cogeo import cog_validate

from clearsight import product
from clearsight.errors import ArgumentError, OutputError, ProductError
from clearsight.product import Making, decode, encode, read_scores, write_scores
from clearsight.whole import whole_file

MAKING = Making("20230101T184751_20230101T185116_T11SKB", "projection-1", "1.0")


def _scores(shape=(700, 900), seed=0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    values = rng.random((2, *shape), np.float32)
    values[:, :100, :130] = np.nan
    box = GeoBox.from_bbox((3e5, 56e5 - 10 * shape[0], 3e5 + 10 * shape[1], 56e5), "EPSG:32611", resolution=10)
    coords = xr_coords(box)
    return xr.Dataset(
        {
            name: xr.DataArray(plane, dims=("y", "x"), coords=coords)
            for name, plane in zip(("cs", "cs_cdf"), values, strict=True)
        }
    )


@settings(deadline=None, max_examples=50)
@given(
    arrays(np.float32, st.integers(0, 30), elements=st.one_of(st.floats(0, 1, width=32), st.just(np.float32("nan"))))
)
def test_numbers_come_back_within_half_a_step(scores):
    back = decode(encode(scores))
    np.testing.assert_array_equal(np.isnan(back), np.isnan(scores))
    seen = ~np.isnan(scores)
    assert (np.abs(back[seen] - scores[seen]) <= 0.5 / 200 + 1e-6).all()


@pytest.mark.parametrize(("score", "stored"), [(0.5, 100), (0.55, 110), (0.6, 120), (0.65, 130), (0, 0), (1, 200)])
def test_thresholds_are_held_exactly(score, stored):
    assert encode(np.array([score], np.float32)) == stored
    assert decode(np.array([stored], np.uint8)) == np.float32(score)


@pytest.mark.parametrize("bad", [-0.01, 1.01, np.inf])
def test_scores_out_of_range_are_refused(bad):
    with pytest.raises(ArgumentError, match=r"\[0, 1\]"):
        encode(np.array([0.5, bad]))


def test_file_is_a_valid_cog_that_says_what_it_is(tmp_path: Path):
    scores = _scores()
    file = write_scores(scores, tmp_path / "a.tif", making=MAKING)
    assert cog_validate(file.path, strict=True) == (True, [], [])
    assert file.size == file.path.stat().st_size
    assert file.checksum == "1220" + hashlib.sha256(file.path.read_bytes()).hexdigest()
    with rasterio.open(file.path) as dataset:
        assert dataset.descriptions == ("cs", "cs_cdf")
        assert dataset.dtypes == ("uint8", "uint8")
        assert dataset.nodatavals == (255, 255)
        assert dataset.scales == (0.005, 0.005)
        assert dataset.offsets == (0, 0)
        assert dataset.block_shapes == [(512, 512)] * 2
        assert dataset.compression.value == "DEFLATE"
        assert dataset.overviews(1) == [2]
        assert dataset.crs.to_epsg() == 32611
        assert dataset.transform == scores.odc.geobox.affine
        assert dataset.tags()["ID"] == MAKING.index
        assert dataset.tags()["MODEL_VERSION"] == "projection-1"
        assert dataset.tags()["PROCESSING_SOFTWARE_VERSION"] == "1.0"
        np.testing.assert_array_equal(dataset.read(1), encode(scores.cs.values))


def test_overviews_are_averages_without_nodata(tmp_path: Path):
    file = write_scores(_scores(shape=(1024, 1024)), tmp_path / "a.tif", making=MAKING)
    with rasterio.open(file.path) as dataset:
        full = dataset.read(2).astype(float).reshape(512, 2, 512, 2)
    with rasterio.open(file.path, overview_level=0) as overview:
        reduced = overview.read(2)
    full[full == 255] = np.nan
    mean = np.nanmean(np.where(np.isnan(full).all(axis=(1, 3), keepdims=True), 255, full), axis=(1, 3))
    assert (reduced == 255).any()
    np.testing.assert_array_equal(reduced == 255, mean == 255)
    assert np.abs(reduced - mean).max() <= 0.5


def test_same_scores_give_the_same_bytes(tmp_path: Path):
    checksums = {write_scores(_scores(), tmp_path / f"{n}.tif", making=MAKING).checksum for n in range(2)}
    assert len(checksums) == 1


def test_read_gives_what_was_written(tmp_path: Path):
    scores = _scores()
    file = write_scores(scores, tmp_path / "a.tif", making=MAKING)
    back = read_scores(file.path)
    assert back.odc.geobox == scores.odc.geobox
    for name in ("cs", "cs_cdf"):
        np.testing.assert_array_equal(back[name], decode(encode(scores[name].values)))
        assert back[name].dtype == np.float32


def test_read_on_a_window_and_past_the_edge(tmp_path: Path):
    file = write_scores(_scores(), tmp_path / "a.tif", making=MAKING)
    whole = read_scores(file.path)
    window = read_scores(file.path, geobox=whole.odc.geobox[600:650, 850:900])
    np.testing.assert_array_equal(window.cs, whole.cs[600:650, 850:900])
    beyond = read_scores(file.path, geobox=whole.odc.geobox.pad(10))
    assert np.isnan(beyond.cs[:10]).all()
    np.testing.assert_array_equal(beyond.cs_cdf[10:-10, 10:-10], whole.cs_cdf)


def test_read_refuses_what_is_no_score_file(tmp_path: Path):
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint8", "crs": "EPSG:32611"}
    with rasterio.open(tmp_path / "b.tif", "w", transform=from_origin(3e5, 56e5, 10, 10), **profile) as other:
        other.write(np.ones((1, 64, 64), "uint8"))
    with pytest.raises(ProductError, match="a score file has"):
        read_scores(tmp_path / "b.tif")
    (tmp_path / "c.tif").write_bytes(b"II*\0 not a tiff")
    with pytest.raises(ProductError, match="can't be read"):
        read_scores(tmp_path / "c.tif")
    file = write_scores(_scores((64, 64)), tmp_path / "a.tif", making=MAKING)
    with pytest.raises(ArgumentError, match="resampling='best'"):
        read_scores(file.path, geobox=read_scores(file.path).odc.geobox.zoom_out(2), resampling="best")


def test_wrong_datasets_are_refused_and_leave_nothing(tmp_path: Path):
    scores = _scores((64, 64))
    with pytest.raises(ArgumentError, match="cs_cdf"):
        write_scores(scores[["cs"]], tmp_path / "a.tif", making=MAKING)
    with pytest.raises(ArgumentError, match="one image"):
        write_scores(scores.expand_dims(time=2), tmp_path / "a.tif", making=MAKING)
    with pytest.raises(ArgumentError, match="georeference"):
        write_scores(scores.drop_vars(["spatial_ref", "x", "y"]), tmp_path / "a.tif", making=MAKING)
    assert not list(tmp_path.iterdir())


def test_fault_in_the_middle_leaves_the_former_file(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.tif"
    before = write_scores(_scores((64, 64)), path, making=MAKING)

    def half_written(raw, part, *, making):
        Path(part).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(product, "finish_scores", half_written)
    with pytest.raises(OutputError, match="No space left"):
        write_scores(_scores((64, 64), seed=1), path, making=MAKING)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]
    assert product.describe_file(path) == before


@contextmanager
def files_no_longer_than(size: int):
    """What a full disk is to a single file; it holds for GDAL's own writing, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("lacking", [1, 2, 100, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("write", ["write_scores", "write_cog"])
def test_disk_that_is_full_is_told_and_leaves_nothing(lacking, write, tmp_path: Path):
    scores = _scores()
    size = write_scores(scores, tmp_path / "a.tif", making=MAKING).size
    short = int(size * (1 - lacking)) if lacking < 1 else size - lacking
    with files_no_longer_than(short), pytest.raises(OutputError):
        if write == "write_scores":
            write_scores(scores, tmp_path / "b.tif", making=MAKING)
        else:
            with whole_file(tmp_path / "b.tif") as part:
                product.write_cog(tmp_path / "a.tif", part, overview_resampling="AVERAGE")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    with files_no_longer_than(size):
        assert write_scores(scores, tmp_path / "c.tif", making=MAKING).size == size


def test_unwritable_folder_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose a folder"):
        write_scores(_scores((64, 64)), tmp_path / "file" / "a.tif", making=MAKING)
