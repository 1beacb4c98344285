"""EOPF's Zarr layout, written and read back through the same doors as everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pystac
import pytest

from clearsight.errors import ProductError, RemoteError
from clearsight.linking import link
from clearsight.scene import detectors
from clearsight.sources import search
from clearsight.stack import load
from servers import serve_files

zarr = pytest.importorskip("zarr", reason="the extra 'zarr' isn't installed")

NAME = "S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347"
PREFIX = "20240305T104819_T31TCJ"
LEFT, TOP, SIDE = 300_000.0, 4_900_020.0, 240
SIZES = {10: ("b02", "b03", "b04", "b08"), 20: ("b05", "b06", "b07", "b8a", "b11", "b12"), 60: ("b01", "b09", "b10")}


def numbers(band: str, size: int) -> Any:
    side = SIDE * 10 // size
    dn = np.random.default_rng(list(band.encode())).integers(900, 6000, (side, side), dtype=np.uint16)
    dn[:, : side // 6] = 0
    return dn


def write(
    folder: Path,
    *,
    level: str = "L1C",
    version: int = 2,
    offset: float | None = -0.1,
    bands: tuple[str, ...] = tuple(band for names in SIZES.values() for band in names),
) -> Path:
    """A store in the layout of the EOPF processors."""
    path = folder / f"{NAME.replace('L1C', level)}.zarr"
    told = {
        "datetime": "null",
        "start_datetime": "2024-03-05T10:55:12.024000Z",
        "end_datetime": "2024-03-05T10:55:12.024000Z",
        "eopf:datatake_id": "GS2B_20240305T104819_036542_N05.10",
        "platform": "sentinel-2b",
        "processing:level": level,
        "product:type": f"S02MSI{level}",
        "eo:cloud_cover": 3.5,
        "sat:relative_orbit": 51,
    }
    root = zarr.create_group(path, zarr_format=version)
    root.attrs.update(
        {
            "stac_discovery": {"type": "Feature", "id": NAME, "properties": told},
            "other_metadata": {"horizontal_CRS_code": "EPSG:32631"},
        }
    )
    scaled = {"scale_factor": 1e-4, "_FillValue": 0} | ({} if offset is None else {"add_offset": offset})
    for size, names in SIZES.items():
        for band in names:
            if band not in bands or (level == "L2A" and band == "b10"):
                continue
            add(root, f"measurements/reflectance/r{size}m", band, numbers(band, size), size, scaled)
            detector = np.full((SIDE * 10 // size,) * 2, 7, np.uint8)
            add(root, f"conditions/mask/detector_footprint/r{size}m", band, detector, size, {})
    if level == "L2A":
        # Coarser copies of a band aren't taken for it.
        add(root, "measurements/reflectance/r20m", "b02", np.ones((SIDE // 2,) * 2, np.uint16), 20, scaled)
        classes = np.full((SIDE // 2,) * 2, 4, np.uint8)
        add(root, "conditions/mask/l2a_classification/r20m", "scl", classes, 20, {})
    return path


def add(root: Any, group: str, name: str, values: Any, size: int, attributes: dict[str, Any]) -> None:
    # As the EOPF processors compress.
    packed: Any = numcodecs.Blosc(cname="zstd", clevel=3, shuffle=numcodecs.Blosc.BITSHUFFLE)
    if root.metadata.zarr_format == 3:
        packed = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    facts = {"shape": values.shape, "chunks": (50, 70), "dtype": values.dtype, "fill_value": 0}
    array = root.create_array(f"{group}/{name}", compressors=packed, **facts)
    array[:] = values
    array.attrs.update(attributes)
    if f"{group}/x" not in root:
        for axis, start, step in (("x", LEFT, size), ("y", TOP, -size)):
            centres = start + (np.arange(values.shape[0]) + 0.5) * step
            root.create_array(f"{group}/{axis}", data=centres)


@pytest.mark.parametrize(("level", "version"), [("L1C", 2), ("L2A", 3)])
def test_item_and_pixels(level: str, version: int, tmp_path: Path) -> None:
    path = write(tmp_path, level=level, version=version)
    for source in (path, str(path), tmp_path):
        (item,) = search(source)
        facts = item.properties
        assert item.id == NAME.replace("L1C", level)
        assert item.datetime is not None
        assert item.datetime.isoformat() == "2024-03-05T10:55:12.024000+00:00"
        assert facts["clearsight:index"] == PREFIX
        assert (facts["processing:level"], facts["processing:version"]) == (level, "05.10")
        assert (facts["grid:code"], facts["proj:code"]) == ("MGRS-31TCJ", "EPSG:32631")
        assert ("B10" in item.assets, "SCL" in item.assets) == (level == "L1C", level == "L2A")
    stack = load([item], bands=["B02", "B12"], resolution=10)
    dn = numbers("b02", 10).astype(float)
    expected = np.where(dn == 0, np.nan, dn * 1e-4 - 0.1)
    np.testing.assert_allclose(stack.B02[0], expected, atol=1e-6)
    fine = load([item], bands=["B12"], resolution=20)
    dn = numbers("b12", 20).astype(float)
    np.testing.assert_allclose(fine.B12[0], np.where(dn == 0, np.nan, dn * 1e-4 - 0.1), atol=1e-6)
    assert np.unique(detectors(item, band="B02")).tolist() == [7]
    if level == "L2A":
        assert np.unique(load([item], bands=["SCL"], resolution=20).SCL).tolist() == [4]


def test_chunks_and_other_grids_change_no_value(tmp_path: Path) -> None:
    (item,) = search(write(tmp_path, bands=("b02", "b05")))
    whole = load([item], bands=["B02", "B05"], resolution=10)
    lazy = load([item], bands=["B02", "B05"], resolution=10, chunks={"y": 64, "x": 100}).compute()
    assert lazy.identical(whole)
    far = load([item], bands=["B02"], crs="EPSG:32632", resolution=20)
    assert (
        load([item], bands=["B02"], crs="EPSG:32632", resolution=20, chunks={"y": 64, "x": 64}).compute().identical(far)
    )
    coarse = load([item], bands=["B02"], resolution=40).B02.values[0]
    mean = np.nanmean(whole.B02.values[0].reshape(SIDE // 4, 4, SIDE // 4, 4)[:, :, 10:], axis=(1, 3))
    np.testing.assert_allclose(coarse[:, 10:], mean, atol=1e-6)


def test_offset_is_that_of_the_store_or_of_the_baseline(tmp_path: Path) -> None:
    for folder, told, expected in (("a", 0.0, 0.0), ("b", None, -0.1), ("c", -0.1, -0.1)):
        (item,) = search(write(tmp_path / folder, offset=told, bands=("b02",)))
        assert item.assets["B02"].extra_fields["raster:bands"][0]["offset"] == expected


def test_scores_are_found_by_datatake_and_tile(tmp_path: Path) -> None:
    (item,) = search(write(tmp_path, level="L2A", bands=("b02",)))
    index = "20240305T104819_20240305T105512_T31TCJ"
    score = pystac.Item(index, None, None, item.datetime, {})
    entry = {"scale": 0.005, "offset": 0, "nodata": 255}
    fields = {"bands": [{"name": "cs"}, {"name": "cs_cdf"}], "raster:bands": [entry, entry]}
    score.add_asset("scores", pystac.Asset("/scores.tif", extra_fields=fields))
    assert [match.assets["cs_cdf"].href for match in link([item], [score]).matched] == ["/scores.tif"]


def test_stores_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ProductError, match=r"empty\.zarr can't be read"):
        search(tmp_path / "empty.zarr")
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(ProductError, match=r"other\.zarr holds no Sentinel-2 reflectance"):
        search(tmp_path / "other.zarr")


def test_broken_chunk_names_item_and_asset(tmp_path: Path) -> None:
    path = write(tmp_path, bands=("b02", "b03"))
    (item,) = search(path)
    chunk = path / "measurements" / "reflectance" / "r10m" / "b03" / "1.1"
    chunk.write_bytes(chunk.read_bytes()[:40])
    assert load([item], bands=["B02"]).B02.notnull().any()
    with pytest.raises(ProductError, match=rf"{item.id}.*'B03'.*can't be read"):
        load([item], bands=["B03"])


def test_an_item_that_names_only_its_store(tmp_path: Path) -> None:
    path = write(tmp_path / "stores", bands=("b02",))
    (expected,) = search(path)
    item = pystac.Item(NAME, None, None, expected.datetime, {})
    item.add_asset("product", pystac.Asset(f"./stores/{path.name}"))
    item.save_object(dest_href=str(tmp_path / "item.json"))
    (found,) = search(tmp_path / "item.json")
    assert found.to_dict() == expected.to_dict()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MAX_RETRY": 2, "RETRY_DELAY": 0.02, "LOW_SPEED_TIME": 5}.items():
        monkeypatch.setenv(f"GDAL_HTTP_{name}", f"{value}")


@pytest.mark.usefixtures("_impatient")
def test_over_http(tmp_path: Path) -> None:
    path = write(tmp_path, bands=("b02", "b05"))
    (near,) = search(path)
    with serve_files(tmp_path) as server:
        server.fail("status", status=503, path="b02", times=1)
        (item,) = search(f"{server.url}/{path.name}")
        assert item.properties == near.properties
        assert item.assets["B02"].href == f"{server.url}/{path.name}/measurements/reflectance/r10m/b02"
        server.fail("truncate", path="b02/1.1", times=1)
        server.fail("status", status=503, path="b05/0.0", times=1)
        assert load([item], bands=["B02", "B05"]).identical(load([near], bands=["B02", "B05"]))
        assert all(fault.times == 0 for fault in server.faults)


@pytest.mark.usefixtures("_impatient")
def test_a_server_that_fails_is_one_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path, bands=("b02",))
    with serve_files(tmp_path) as server:
        (item,) = search(f"{server.url}/{path.name}")
        for status, told in ((403, "credentials"), (503, "tried 3 times")):
            server.faults.clear()
            server.fail("status", status=status, path="r10m/b02/")
            with pytest.raises(RemoteError, match=rf"{item.id}.*'B02'.*127\.0\.0\.1.*{status}.*{told}"):
                load([item], bands=["B02"])
        server.faults.clear()
        with pytest.raises(RemoteError, match=r"nothing\.zarr can't be read.*isn't there"):
            search(f"{server.url}/nothing.zarr")
