"""Readers of labelled sets, on small files in the layouts that the sets are published in."""

from __future__ import annotations

import csv
import datetime
import io
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import clearsight
from clearsight.bands import BANDS
from clearsight.demo import Demo
from clearsight.errors import ArgumentError, EmptySourceError, ProductError, ProductWarning
from clearsight.evaluation.run import evaluate
from clearsight.evaluation.samples import Cause, clips, stack_of
from clearsight.evaluation.sets import SETS, open_set
from clearsight.evaluation.sets.cloudsen12 import CloudSEN12
from clearsight.evaluation.sets.masks import ALCD, Folder, Francis, KappaSet, date_in, tile_in
from clearsight.evaluation.sets.pixels import Hollstein, PixBox

PRODUCT = "S2A_MSIL1C_20180705T105031_N0206_R051_T31TCJ_20180705T130000"
RNG = np.random.default_rng(5)


def write_tif(path: Path | io.BytesIO, values: np.ndarray, **more: object) -> None:
    profile = {"transform": from_origin(3e5, 5e6, 10, 10), "crs": "EPSG:32631", **more}
    with rasterio.open(
        path, "w", driver="GTiff", count=values.shape[0], height=values.shape[1], width=values.shape[2],
        dtype=values.dtype, **profile,
    ) as file:  # fmt: skip
        file.write(values)


def taco_bytes(entries: list[tuple[dict[str, object], bytes]], *, magic: bytes) -> bytes:
    """A TACO (or Tortilla) file of version 1: magic, where the footer is, data, a Parquet table as footer."""
    pa = pytest.importorskip("pyarrow", reason="TACO files hold Parquet; pyarrow isn't installed")
    from pyarrow import parquet

    body, rows = b"", []
    for facts, data in entries:
        rows.append({**facts, "tortilla:offset": 200 + len(body), "tortilla:length": len(data)})
        body += data
    footer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), footer)
    head = magic + (200 + len(body)).to_bytes(8, "little") + len(footer.getvalue()).to_bytes(8, "little")
    return head.ljust(200, b"\0") + body + footer.getvalue()


def tif_bytes(values: np.ndarray, **more: object) -> bytes:
    with rasterio.MemoryFile() as memory:
        write_tif(memory.name, values, **more)  # type: ignore[arg-type]
        return bytes(memory.read())


def inner(layers: dict[str, bytes]) -> bytes:
    return taco_bytes(
        [({"tortilla:id": name, "tortilla:file_format": "GTiff"}, data) for name, data in layers.items()], magic=b"#y"
    )


@pytest.fixture
def cloudsen12(tmp_path: Path) -> Path:
    """Three patches of 12 + 4 pixels: two test patches of one place, one for training."""
    pytest.importorskip("tacoreader.v1", reason="tacoreader isn't installed: pip install 'clearsight[evaluate]'")
    patches, extras = [], []
    for number, (split, roi) in enumerate((("test", "ROI_1"), ("train", "ROI_2"), ("test", "ROI_1"))):
        image = np.zeros((13, 16, 16), np.uint16)
        image[:, :12, 4:] = 1000 + 100 * np.arange(13)[:, None, None]
        image[:, 0, 4] = 99
        target = np.full((1, 16, 16), 99, np.uint8)
        target[0, :12, 4:] = np.arange(12) % 4
        facts = {
            "tortilla:id": f"{roi}__2019061{number}T101031_20190610T101230_T32UNU",
            "tortilla:file_format": "TORTILLA",
            "tortilla:data_split": split,
            "label_type": "high",
            "real_proj_shape": 12,
            "roi_id": roi,
            "s2_id": f"2019061{number}T101031_20190610T101230_T32UNU",
        }
        patches.append((facts, inner({"s2l1c": tif_bytes(image), "target": tif_bytes(target)})))
        cs = np.zeros((1, 16, 16), np.float32)
        cs[0, :12, 4:] = 0.7
        land = np.full((1, 16, 16), 40, np.uint8)
        layers = {"cloudmask_cloudscore_cs_v1": tif_bytes(cs), "cloudmask_cloudscore_cs_cdf_v1": tif_bytes(100 * cs)}
        extras.append(
            ({"tortilla:id": facts["tortilla:id"], "tortilla:file_format": "TORTILLA", "roi_id": roi},
             inner({**layers, "cloudmask_sen2cor": tif_bytes(land), "lc10": tif_bytes(land)}))
        )  # fmt: skip
    (tmp_path / "cloudsen12-l1c.0000.part.taco").write_bytes(taco_bytes(patches, magic=b"WX"))
    (tmp_path / "cloudsen12-extra.0000.part.taco").write_bytes(taco_bytes(extras, magic=b"WX"))
    return tmp_path


def test_cloudsen12(cloudsen12: Path) -> None:
    with pytest.warns(ProductWarning, match="doesn't say their scale"):
        first, second = CloudSEN12(cloudsen12).samples()
    assert first.image.shape == (13, 12, 12)
    assert np.isnan(first.image[:, 0, 0]).all()
    np.testing.assert_allclose(first.image[:, 5, 5], (1000 + 100 * np.arange(13)) / 10_000, rtol=1e-6)
    assert first.labels[3, :4].tolist() == [Cause.CLEAR, Cause.THICK, Cause.THIN, Cause.SHADOW]
    assert (first.place, first.surface, first.date) == ("ROI_1", "crops", datetime.date(2019, 6, 10))
    assert second.date == datetime.date(2019, 6, 12)
    assert set(first.layers) == {"SCL", "cs"}
    assert first.layers["cs"].min() == np.float32(0.7)
    assert [len(clip) for clip in clips([first, second])] == [2]


def test_cloudsen12_refuses_an_extra_of_other_patches(cloudsen12: Path) -> None:
    (cloudsen12 / "cloudsen12-extra.0000.part.taco").write_bytes(
        taco_bytes([({"tortilla:id": "other", "tortilla:file_format": "TORTILLA", "roi_id": "ROI_9"},
                     inner({"lc10": tif_bytes(np.zeros((1, 16, 16), np.uint8))}))], magic=b"WX")
    )  # fmt: skip
    with pytest.raises(ProductError, match="get all their parts"):
        next(CloudSEN12(cloudsen12).samples())


def test_cloudsen12_says_what_is_missing(tmp_path: Path) -> None:
    pytest.importorskip("tacoreader.v1", reason="tacoreader isn't installed: pip install 'clearsight[evaluate]'")
    with pytest.raises(EmptySourceError, match="cloudsen12-l1c"):
        next(CloudSEN12(tmp_path).samples())


def test_francis(tmp_path: Path) -> None:
    image = RNG.random((6, 6, 13)).astype(np.float32)
    mask = np.zeros((6, 6, 3), bool)
    mask[:2, :, 0], mask[2:4, :, 1], mask[4:, :5, 2] = True, True, True
    for kind, values in (("subscenes", image), ("masks", mask)):
        (tmp_path / kind).mkdir()
        np.save(tmp_path / kind / f"{PRODUCT}.npy", values)
    with (tmp_path / "classification_tags.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["index", "scene", "shadows_marked", "forest/jungle", "snow/ice"])
        table.writeheader()
        table.writerow({"index": 0, "scene": PRODUCT, "shadows_marked": 1, "forest/jungle": 1, "snow/ice": 0})
    (sample,) = Francis(tmp_path).samples()
    assert sample.pixel == 20.0
    assert float(np.diff(stack_of((sample,)).x).mean()) == 20.0
    np.testing.assert_array_equal(sample.image, np.moveaxis(image, -1, 0))
    assert sample.labels[:, 0].tolist() == [0, 0, Cause.CLOUD, Cause.CLOUD, Cause.SHADOW, Cause.SHADOW]
    assert sample.labels[5, 5] == Cause.UNKNOWN
    assert (sample.surface, sample.block, sample.date.isoformat()) == ("forest/jungle", "31TCJ", "2018-07-05")


def kappaset_file(path: Path, product: str) -> None:
    """As KappaZeta's cm-vsm writes it: 16 bit as floats of 0 to 1, a resize factor as attribute, labels as bytes."""
    h5py = pytest.importorskip("h5py", reason="h5py isn't installed: pip install 'clearsight[evaluate]'")
    with h5py.File(path, "w") as file:
        file.attrs["product_name"], file.attrs["overlap"] = np.bytes_(product), np.float32(0)
        for number, band in enumerate(BANDS):
            file[band] = np.full((5, 5), 1000 * (number + 1) / 65535, np.float32)
            file[band].attrs["scaling_factor"] = np.float32(6)
        file["B02"][0, 0] = 0
        for colour in "RGB":
            file[f"TCI_{colour}"] = np.zeros((5, 5), np.uint8)
        file["Label"] = np.arange(25).reshape(5, 5).astype(np.uint8) % 6


def test_kappaset(tmp_path: Path) -> None:
    kappaset_file(tmp_path / "T31TCJ_20180705T105031_tile_0_0.nc", PRODUCT)
    (sample,) = KappaSet(tmp_path).samples()
    assert sample.bands == tuple(BANDS)
    np.testing.assert_allclose(sample.image[:, 1, 1], 0.1 * np.arange(1, 14), rtol=1e-6)
    assert np.isnan(sample.image[1, 0, 0])
    expected = [Cause.UNKNOWN, Cause.CLEAR, Cause.SHADOW, Cause.THIN, Cause.THICK, Cause.UNKNOWN]
    assert sample.labels.ravel()[:6].tolist() == expected
    assert (sample.block, sample.date.isoformat()) == ("31TCJ", "2018-07-05")


def test_kappaset_refuses_what_may_have_an_offset(tmp_path: Path) -> None:
    kappaset_file(tmp_path / "a.nc", PRODUCT.replace("20180705", "20220801"))
    with pytest.raises(ProductError, match="1000 too high"):
        next(KappaSet(tmp_path).samples())


def test_hollstein_gives_every_spectrum_its_own_neighbourhood(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py isn't installed: pip install 'clearsight[evaluate]'")
    names = {10: b"clear sky", 20: b"cloud", 30: b"shadow", 40: b"snow", 50: b"cirrus", 60: b"water"}
    classes = np.repeat(list(names), 20)
    spectra = RNG.random((classes.size, 13)).astype(np.float32)
    with h5py.File(tmp_path / "20170710_s2_manual_classification_data.h5", "w") as file:
        file["spectra"], file["classes"] = spectra, classes
        file["class_ids"], file["class_names"] = np.array(list(names)), np.array(list(names.values()))
        file["band"] = np.array([name.removeprefix("B").lstrip("0").encode() for name in BANDS])
        file["granule_id"] = np.array([b"S2A_A", b"S2A_B"])[np.arange(classes.size) % 2]
        file["dates"] = np.full(classes.size, b"2016-03-01")
        file["latitude"] = np.full(classes.size, -20.0)
    first, second = Hollstein(tmp_path, most=5).samples()
    assert first.bands == tuple(BANDS)
    for sample in (first, second):
        known = sample.labels != Cause.UNKNOWN
        assert known.sum() == 6 * 5
        for y, x in np.argwhere(known):
            patch = sample.image[:, y - 3 : y + 4, x - 3 : x + 4]
            assert (patch == sample.image[:, y, x][:, None, None]).all()
            number = int(np.flatnonzero((spectra == sample.image[:, y, x]).all(1))[0])
            told = names[classes[number]].decode()
            assert Cause(sample.labels[y, x]).name.lower() in {
                "clear sky": "clear", "cloud": "thick", "cirrus": "thin"
            }.get(told, told)  # fmt: skip


def test_folder_of_pairs(tmp_path: Path) -> None:
    dn = RNG.integers(1, 9000, (4, 6, 7)).astype(np.uint16)
    dn[:, 0, 0] = 0
    labels = RNG.choice([Cause.CLEAR, Cause.THICK, Cause.UNKNOWN], (1, 6, 7)).astype(np.uint8)
    for day in ("20200105", "20200101"):
        write_tif(tmp_path / f"T31TCJ_{day}.tif", dn)
        with rasterio.open(tmp_path / f"T31TCJ_{day}.tif", "r+") as file:
            file.descriptions = ("B02", "B03", "B04", "B08")
        write_tif(tmp_path / f"T31TCJ_{day}.mask.tif", labels)
    samples = list(Folder(tmp_path).samples())
    assert [sample.date.day for sample in samples] == [1, 5]
    assert samples[0].bands == ("B02", "B03", "B04", "B08")
    np.testing.assert_allclose(samples[0].image[:, 2, 3], dn[:, 2, 3] / 10_000, rtol=1e-5)
    assert np.isnan(samples[0].image[:, 0, 0]).all()
    np.testing.assert_array_equal(samples[0].labels, labels[0])
    found = evaluate(Folder(tmp_path), worst=1)
    assert (found.images, found.places) == (2, 1)


def test_folder_misses_an_image(tmp_path: Path) -> None:
    write_tif(tmp_path / "T31TCJ_20200101.mask.tif", np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(ProductError, match="has no image"):
        next(Folder(tmp_path).samples())


@pytest.fixture
def products(season: Demo, tmp_path: Path) -> tuple[Path, str]:
    """A set's root with real product folders in it, and the name of one product."""
    l1c = season.files["products"] / "l1c"
    (tmp_path / "products").symlink_to(l1c, target_is_directory=True)
    return tmp_path, sorted(item.id for item in clearsight.search(l1c))[0]


def alcd_mask(folder: Path, *, like: object) -> None:
    """``Classification/classification_map.tif`` with all classes."""
    (folder / "Classification").mkdir(parents=True)
    codes = np.resize(np.arange(8, dtype=np.uint8), (1, *like["B01"].shape[1:]))  # type: ignore[index]
    facts = {"transform": like.odc.transform, "crs": like.odc.crs.to_wkt()}  # type: ignore[attr-defined]
    write_tif(folder / "Classification" / "classification_map.tif", codes, **facts)


def test_alcd_reads_the_product_on_the_grid_of_its_mask(products: tuple[Path, str]) -> None:
    root, name = products
    item = next(item for item in clearsight.search(root / "products") if item.id == name)
    whole = clearsight.load([item], bands=["B01"], resolution=60)
    alcd_mask(root / "Reference_dataset" / f"{name}.SAFE", like=whole)
    (sample,) = ALCD(root).samples()
    np.testing.assert_array_equal(sample.image[sample.bands.index("B01")], whole["B01"].values[0])
    expected = [255, 255, Cause.THICK, Cause.THIN, Cause.SHADOW, Cause.CLEAR, Cause.WATER, Cause.SNOW]
    assert sample.labels.ravel()[:8].tolist() == expected
    assert sample.pixel == 60.0


def test_alcd_finds_products_that_have_other_names_today(products: tuple[Path, str]) -> None:
    """Names of 2016 tell neither the tile nor, first, the day; and one scene stands in both of the set's folders."""
    root, name = products
    item = next(item for item in clearsight.search(root / "products") if item.id == name)
    whole = clearsight.load([item], bands=["B01"], resolution=60)
    for folder in ("Reference_dataset", "Hollstein"):
        scene = root / folder / "S2A_OPER_PRD_MSIL1C_PDMC_20160423T225555_R022_V20160423T100120_20160423T100120"
        alcd_mask(scene, like=whole)
        told = {
            "tile": tile_in(name),
            "cloudy_date": date_in(name).strftime("%Y%m%d"),
            "cloudy_product_name": scene.name,
        }
        (scene / "Classification" / "used_parameters.json").write_text(json.dumps(told))
    (sample,) = ALCD(root).samples()
    assert (sample.id, sample.place, sample.date) == (name, tile_in(name), date_in(name))


def test_pixbox_finds_its_pixels_in_the_product(products: tuple[Path, str]) -> None:
    root, name = products
    with (root / "pixbox_sentinel2_cmix_20180425.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["ID", "PRODUCT_ID", "PIXEL_X", "PIXEL_Y", "CLOUD_CHARACTERISTICS_ID", "SHADOW_ID"])
        table.writerows([[1, 5472572, 10, 20, 2, 0], [2, 5472572, 270, 20, 7, 3], [3, 5472572, 270, 21, 12, 0]])
    (root / "pixbox_sentinel2_cmix_20180425_description.txt").write_text(f"5472572\t{name}.SAFE\n")
    left, right = PixBox(root).samples()
    item = next(item for item in clearsight.search(root / "products") if item.id == name)
    whole = clearsight.load([item], bands=["B04"])["B04"].values[0]
    assert left.labels[20, 10] == Cause.THICK
    assert right.labels[20, 270 - 256] == Cause.SHADOW
    assert (left.labels != Cause.UNKNOWN).sum() == 1
    assert (right.labels != Cause.UNKNOWN).sum() == 1
    assert left.image[left.bands.index("B04"), 20, 10] == whole[20, 10]
    assert right.image[right.bands.index("B04"), 20, 270 - 256] == whole[20, 270]
    assert left.block == right.block
    assert left.place != right.place


def test_sets_are_opened_by_name(tmp_path: Path) -> None:
    for name in SETS:
        assert open_set(tmp_path, layout=name).citation
    with pytest.raises(ArgumentError, match="unknown"):
        open_set(tmp_path, layout="nothing")
    with pytest.raises(ArgumentError, match="isn't there"):
        open_set(tmp_path / "nowhere", layout="francis")


@pytest.mark.parametrize("layout", [Francis, KappaSet, ALCD, PixBox, Hollstein, Folder])
def test_an_empty_folder_is_told(tmp_path: Path, layout: type) -> None:
    if layout in (KappaSet, Hollstein):
        pytest.importorskip("h5py", reason="h5py isn't installed: pip install 'clearsight[evaluate]'")
    with pytest.raises(EmptySourceError):
        next(layout(tmp_path).samples())
