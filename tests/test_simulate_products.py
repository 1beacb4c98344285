"""SAFE products as others read them: GDAL's own driver, real metadata, our reader, and plain arithmetic."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize
from rasterio.warp import transform as reproject

import clearsight
from clearsight.bands import BANDS, LEVEL_BANDS, harmonise
from clearsight.errors import ArgumentError, OutputError
from clearsight.simulate.imaging.orbit import across_track, detector_number, overpass, sun_position, view_angles
from clearsight.simulate.product import products
from clearsight.simulate.product.products import Product, digital_numbers, write_product

REAL = Path(__file__).parents[2] / "shared" / "data" / "safe_metadata"
SHAPE = (144, 192)
KINDS = [("L1C", "05.00"), ("L1C", "03.00"), ("L2A", "05.00"), ("L2A", "03.01")]


def make_product(level: str = "L1C", baseline: str = "05.00", **changes: Any) -> Product:
    facts = Product(
        level=level,  # type: ignore[arg-type]
        baseline=baseline,
        overpass=overpass(date(2021, 4, 26)),
        tile="32UQD",
        generated=datetime(2023, 3, 1, 4, 5, 6, tzinfo=UTC),
        epsg=32632,
        origin=(742_320.0, 5_853_360.0),
        shape=SHAPE,
        nadir_offset=47_800.0,
        cloud_cover=12.5,
    )
    return replace(facts, **changes)


def make_arrays(product: Product) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(5)
    dn = {}
    for name in product.bands:
        rows, columns = product.size(BANDS[name].gsd)
        patches = rng.integers(900, 9000, (rows // 4, columns // 4)).repeat(4, 0).repeat(4, 1)
        dn[name] = (patches + rng.integers(0, 50, (rows, columns))).astype(np.uint16)
        dn[name][:2, :3] = 0
        dn[name][-1, -1] = 65535
    clouds = np.zeros(product.size(60), np.uint8)
    clouds[3:9, 4:12] = 1
    clouds[5, 6] = 0
    clouds[15:, 20:25] = 2
    coarse = product.size(20)
    layers = {
        "CLOUDS": clouds,
        "SCL": rng.integers(0, 12, coarse).astype(np.uint8),
        "AOT": np.full(coarse, 120, np.uint16),
        "WVP": np.full(coarse, 1800, np.uint16),
        "CLDPRB": rng.integers(0, 101, coarse).astype(np.uint8),
    }
    return dn, layers


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str], tuple[Path, Product, dict[str, Any], Any]]:
    folder, done = tmp_path_factory.mktemp("safe"), {}

    def get(level: str, baseline: str) -> tuple[Path, Product, dict[str, Any], Any]:
        if (level, baseline) not in done:
            product = make_product(level, baseline)
            dn, layers = make_arrays(product)
            path = write_product(folder / f"{level}{baseline}", product=product, dn=dn, layers=layers)
            done[level, baseline] = (path, product, dn, layers)
        return done[level, baseline]

    return get


@pytest.mark.parametrize(("level", "baseline"), KINDS)
def test_gdals_own_driver_opens_the_product_and_reads_what_was_written(written: Any, level: str, baseline: str) -> None:
    path, product, dn, _ = written(level, baseline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path / f"MTD_MSI{level}.xml") as container:
            assert container.driver == "SENTINEL2"
            names = container.subdatasets
    assert [name.split(":")[-2] for name in names] == ["10m", "20m", "60m", "TCI"]
    for name in names[:3]:
        with rasterio.open(name) as dataset:
            gsd = int(name.split(":")[-2][:-1])
            assert dataset.crs.to_epsg() == 32632
            assert dataset.transform == product.transform(gsd)
            seen = {dataset.tags(i)["BANDNAME"]: i for i in dataset.indexes if "BANDNAME" in dataset.tags(i)}
            for band in (b for b in product.bands if BANDS[b].gsd == gsd):
                index = seen[re.sub("B0", "B", band)]
                np.testing.assert_array_equal(dataset.read(index), dn[band])
                offset = dataset.tags(index).get("RADIO_ADD_OFFSET" if level == "L1C" else "BOA_ADD_OFFSET")
                assert offset == ("-1000" if product.modern else None)


@pytest.mark.parametrize(("level", "baseline"), KINDS)
def test_search_and_load_give_back_what_was_written(written: Any, level: str, baseline: str) -> None:
    path, product, dn, _ = written(level, baseline)
    (item,) = clearsight.search(path.parent)
    assert item.id == product.name.removesuffix(".SAFE")
    assert item.properties["clearsight:index"] == product.index
    assert item.properties["processing:version"] == baseline
    assert item.properties["processing:level"] == level
    assert item.properties["grid:code"] == "MGRS-32UQD"
    assert item.properties["eo:cloud_cover"] == pytest.approx(12.5)
    assert item.properties["view:sun_elevation"] == pytest.approx(90 - product.mean_sun()[0], abs=1e-6)
    assert item.properties["s2:datatake_id"] == product.datatake_id
    offset = -1000 if baseline == "05.00" else 0
    for gsd in (10, 20, 60):
        native = [band for band in product.bands if BANDS[band].gsd == gsd]
        stack = clearsight.load([item], bands=native, resolution=gsd)
        assert stack.odc.geobox.transform == product.transform(gsd)
        for band in native:
            expected = harmonise(dn[band], offset=offset)
            np.testing.assert_allclose(stack[band].isel(time=0).to_numpy(), expected, atol=1e-5)


def test_reduced_resolution_decoding_works(written: Any) -> None:
    path, _, dn, _ = written("L1C", "05.00")
    (image,) = path.glob("GRANULE/*/IMG_DATA/*_B04.jp2")
    with rasterio.open(image) as dataset:
        small = dataset.read(1, out_shape=(SHAPE[0] // 4, SHAPE[1] // 4))
    means = dn["B04"].reshape(SHAPE[0] // 4, 4, SHAPE[1] // 4, 4).mean(axis=(1, 3))[2:-2, 2:-2]
    assert np.corrcoef(small[2:-2, 2:-2].ravel(), means.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(("level", "baseline"), KINDS)
def test_the_manifest_lists_every_file_with_its_true_size_and_checksum(written: Any, level: str, baseline: str) -> None:
    path, product, _, _ = written(level, baseline)
    manifest = ET.parse(path / "manifest.safe").getroot()
    listed = set()
    for stream in manifest.iter("byteStream"):
        file = path / stream.find("fileLocation").attrib["href"]  # type: ignore[union-attr]
        checksum = stream.find("checksum")
        assert checksum is not None
        digest = hashlib.sha3_256 if product.modern else hashlib.md5
        assert checksum.attrib["checksumName"] == ("SHA3-256" if product.modern else "MD5")
        assert checksum.text == digest(file.read_bytes()).hexdigest().upper()
        assert stream.attrib["size"] == str(file.stat().st_size)
        listed.add(file.resolve())
    assert listed == {f.resolve() for f in path.rglob("*") if f.is_file() and f.name != "manifest.safe"}


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_masks_are_images_from_baseline_four_on_and_polygons_before(written: Any, level: str) -> None:
    for baseline, ending in (("05.00", "jp2"), ("03.00" if level == "L1C" else "03.01", "gml")):
        path, product, dn, layers = written(level, baseline)
        metadata = ET.parse(next(path.glob("GRANULE/*/MTD_TL.xml"))).getroot()
        names = {(n.attrib["type"], n.attrib.get("bandId")): n.text for n in metadata.iter("MASK_FILENAME")}
        assert all((path / str(name)).exists() for name in names.values())
        footprint = path / str(names["MSK_DETFOO", "3"])
        assert footprint.suffix == f".{ending}"
        if ending == "jp2":
            with rasterio.open(footprint) as dataset:
                np.testing.assert_array_equal(dataset.read(1), product.detectors(10))
            with rasterio.open(path / str(names["MSK_QUALIT", "3"])) as dataset:
                flags = dataset.read()
            np.testing.assert_array_equal(flags[5], dn["B04"] == 0)
            np.testing.assert_array_equal(flags[7], dn["B04"] == 65535)
            with rasterio.open(path / str(names["MSK_CLASSI", None])) as dataset:
                np.testing.assert_array_equal(dataset.read(1), layers["CLOUDS"] == 1)
                np.testing.assert_array_equal(dataset.read(2), layers["CLOUDS"] == 2)
        else:
            detectors = burn(footprint, product, value=lambda key: int(key.split("-")[2]))
            np.testing.assert_array_equal(detectors, product.detectors(60))
            clouds = burn(
                path / str(names["MSK_CLOUDS", None]), product, value=lambda key: {"OPAQUE": 1, "CIRRUS": 2}[key[:6]]
            )
            np.testing.assert_array_equal(clouds, layers["CLOUDS"])


def burn(path: Path, product: Product, *, value: Callable[[str], int]) -> Any:
    """Rasterise a GML mask at 60 m, with GDAL as the oracle."""
    gml = "{http://www.opengis.net/gml/3.2}"
    shapes = []
    for feature in ET.parse(path).getroot().iter("{http://www.opengis.net/eop/2.0}MaskFeature"):
        rings = []
        for line in feature.iter(f"{gml}posList"):
            numbers = [float(number) for number in str(line.text).split()]
            step = int(line.attrib["srsDimension"])
            rings.append(list(zip(numbers[::step], numbers[1::step], strict=True)))
        shapes.append(({"type": "Polygon", "coordinates": rings}, value(feature.attrib[f"{gml}id"])))
    return rasterize(shapes, out_shape=product.size(60), transform=product.transform(60), dtype="uint8")


def test_angle_grids_tell_sun_and_each_detectors_view(written: Any) -> None:
    path, product, _, _ = written("L1C", "05.00")
    root = ET.parse(next(path.glob("GRANULE/*/MTD_TL.xml"))).getroot()
    sun = grid(root.find(".//Sun_Angles_Grid/Zenith"))
    assert sun.shape == (23, 23)
    assert np.isfinite(sun).all()
    x, y = reproject("EPSG:32632", "EPSG:4326", [742_320.0 + 110_000], [5_853_360.0 - 55_000])
    zenith, _ = sun_position(product.overpass.sensing, latitude=y[0], longitude=x[0])
    assert sun[11, 22] == pytest.approx(float(zenith), abs=1e-3)

    detectors = {int(value) for value in np.unique(product.detectors(60))}
    assert len(detectors) == 2, "the test's product must lie on a seam between detectors"
    for band in range(13):
        grids = [g for g in root.iter("Viewing_Incidence_Angles_Grids") if g.attrib["bandId"] == str(band)]
        assert {int(g.attrib["detectorId"]) for g in grids} == detectors
        seen = [np.isfinite(grid(g.find("Zenith"))) for g in grids]
        assert not (seen[0] & seen[1]).any()
        merged = np.nansum([grid(g.find("Zenith")) for g in grids], axis=0)[:1, :1]
        assert 0 < merged < 12


def grid(element: ET.Element | None) -> Any:
    assert element is not None
    return np.array([[float(value) for value in str(row.text).split()] for row in element.iter("VALUES")])


def real(pattern: str) -> list[Path]:
    if not REAL.is_dir():
        pytest.skip("real metadata isn't here: ../shared/data/safe_metadata")
    found = sorted(REAL.glob(pattern))
    assert found, f"{REAL} holds nothing like {pattern}"
    return found


def element_paths(path: Path) -> set[str]:
    def walk(element: ET.Element, above: str) -> set[str]:
        here = f"{above}/{element.tag.split('}')[-1]}"
        return {here}.union(*(walk(child, here) for child in element))

    return walk(ET.parse(path).getroot(), "")


@pytest.mark.parametrize(
    ("kind", "name", "pattern"),
    [
        (("L1C", "05.00"), "MTD_MSIL1C.xml", "l1c_trees_N0510/*/*/MTD_MSIL1C.xml"),
        (("L1C", "05.00"), "GRANULE/*/MTD_TL.xml", "l1c_trees_N0510/*/*/GRANULE/*/MTD_TL.xml"),
        (("L1C", "03.00"), "MTD_MSIL1C.xml", "stactools/S2A_MSIL1C_20210908*/MTD_MSIL1C.xml"),
        (("L1C", "03.00"), "GRANULE/*/MTD_TL.xml", "stactools/S2A_MSIL1C_20210908*/GRANULE/*/MTD_TL.xml"),
        (("L2A", "05.00"), "MTD_MSIL2A.xml", "stactools/S2?_MSIL2A_2022*_N0400*/MTD_MSIL2A.xml"),
        (("L2A", "03.01"), "MTD_MSIL2A.xml", "stactools/esa_S2B_MSIL2A_20210122*_N0214*/MTD_MSIL2A.xml"),
        (("L2A", "05.00"), "GRANULE/*/MTD_TL.xml", "stactools/S2?_MSIL2A_2022*_N0400*/GRANULE/*/MTD_TL.xml"),
    ],
)
def test_metadata_have_no_element_that_real_products_lack(
    written: Any, kind: tuple[str, str], name: str, pattern: str
) -> None:
    path = written(*kind)[0]
    ours = element_paths(next(path.glob(name)))
    theirs = set.union(*(element_paths(example) for example in real(pattern)))
    assert ours <= theirs


def test_every_file_of_an_l1c_product_lies_where_a_real_one_has_it(written: Any) -> None:
    def shape_of(root: Path) -> set[str]:
        names = (f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file())
        return {re.sub(r"\d{8}T\d{6}|T\d\d[A-Z]{3}|A\d{6}|(?<=DS_)\w{4}(?=_)", "#", name) for name in names}

    path = written("L1C", "05.00")[0]
    example = real("l1c_trees_N0510/*/*.SAFE")[0]
    # The real trees here came without their (very long) datastrip metadata.
    assert shape_of(path) - {"DATASTRIP/DS_#_#_S#/MTD_DS.xml"} <= shape_of(example)
    images = {name for name in shape_of(example) if "IMG_DATA" in name}
    assert images <= shape_of(path)


def test_every_image_of_an_l2a_product_is_one_that_a_real_manifest_lists(written: Any) -> None:
    path = written("L2A", "03.01")[0]
    manifest = real("stactools/esa_S2B_MSIL2A_20210122*/manifest.safe")[0].read_text()
    listed = {re.sub(r"T22HBD_\d{8}T\d{6}_", "", name) for name in re.findall(r"IMG_DATA/([^\"]+)\"", manifest)}
    ours = {re.sub(r"T32UQD_\d{8}T\d{6}_", "", f.as_posix().split("IMG_DATA/")[1]) for f in path.rglob("IMG_DATA/*/*")}
    assert ours == listed


def test_names_follow_from_the_facts() -> None:
    product = make_product()
    assert product.name == "S2A_MSIL1C_20210426T102011_N0500_R065_T32UQD_20230301T040506.SAFE"
    assert product.index == "20210426T102011_20210426T102543_T32UQD"
    assert product.granule == "L1C_T32UQD_A030521_20210426T102543"
    assert make_product("L2A").index == product.index
    assert (product.offset, make_product(baseline="03.01").offset) == (-1000, 0)
    assert make_product(baseline="04.00").modern


@given(
    reflectance=st.lists(st.floats(-0.0625, 1.75, width=32) | st.just(float("nan")), min_size=1, max_size=20),
    offset=st.sampled_from([-1000, 0]),
)
def test_digital_numbers_are_the_inverse_of_harmonise(reflectance: list[float], offset: int) -> None:
    values = np.array(reflectance, np.float32)
    if offset == 0:
        values = np.abs(values) + np.float32(1e-4)
    back = harmonise(digital_numbers(values, offset=offset), offset=offset)
    np.testing.assert_allclose(back, values, atol=6e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda dn, layers: dn.pop("B11"), "dn has no 'B11'"),
        (lambda dn, layers: layers.pop("CLOUDS"), "layers has no 'CLOUDS'"),
        (lambda dn, layers: dn.update(B02=dn["B02"][:-6]), r"dn\['B02'\] has shape \(138, 192\)"),
        (lambda dn, layers: dn.update(B02=dn["B02"].astype("float32")), "is float32; expected uint16"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path: Path, change: Callable[[Any, Any], object], message: str
) -> None:
    product = make_product()
    dn, layers = make_arrays(product)
    change(dn, layers)
    with pytest.raises(ArgumentError, match=message):
        write_product(tmp_path / "out", product=product, dn=dn, layers=layers)
    assert not (tmp_path / "out").exists()


def test_a_shape_that_sixty_metre_pixels_do_not_fill_is_refused(tmp_path: Path) -> None:
    product = make_product(shape=(100, 100))
    with pytest.raises(ArgumentError, match="multiples of 6"):
        write_product(tmp_path, product=product, dn={}, layers={})


def test_a_place_that_cannot_be_written_to_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    product = make_product()
    dn, layers = make_arrays(product)
    with pytest.raises(OutputError, match="Can't write"):
        write_product(tmp_path / "file" / "out", product=product, dn=dn, layers=layers)


def test_an_existing_product_is_left_alone(tmp_path: Path) -> None:
    product = make_product()
    (tmp_path / product.name).mkdir()
    dn, layers = make_arrays(product)
    with pytest.raises(OutputError, match="there already"):
        write_product(tmp_path, product=product, dn=dn, layers=layers)
    assert not list((tmp_path / product.name).iterdir())


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        assert list(tmp_path.rglob("*_B04.jp2")), "the test must fail after the images are written"
        raise error

    monkeypatch.setattr(products, "manifest_xml", fail)
    product = make_product()
    dn, layers = make_arrays(product)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_product(tmp_path, product=product, dn=dn, layers=layers)
    assert not list(tmp_path.iterdir())


# Tile centre, sensing time and mean sun angles, as real products' MTD_TL.xml give them (full tiles only).
SUN = [
    ("2024-01-20T10:58:50.500", 43.74492, 1.19791, 65.755, 162.689),
    ("2024-03-05T10:58:54.168", 43.74492, 1.19791, 51.817, 158.397),
    ("2021-09-08T04:40:48.758", 27.52871, 93.55576, 26.493, 142.988),
    ("2021-01-22T13:42:49.838", -37.50834, -53.77319, 32.371, 64.950),
    ("2022-04-13T15:08:07.846", 79.66190, 17.74032, 76.529, 246.540),
    ("2020-07-17T22:20:29.740", -15.84895, 179.77800, 45.183, 36.196),
]


@pytest.mark.parametrize(("when", "latitude", "longitude", "zenith", "azimuth"), SUN)
def test_the_sun_stands_where_real_products_say(
    when: str, latitude: float, longitude: float, zenith: float, azimuth: float
) -> None:
    moment = datetime.fromisoformat(when).replace(tzinfo=UTC)
    ours = sun_position(moment, latitude=latitude, longitude=longitude)
    assert float(ours[0]) == pytest.approx(zenith, abs=0.03)
    assert float(ours[1]) == pytest.approx(azimuth, abs=0.05)


@given(st.integers(-200, 300))
def test_both_satellites_keep_to_their_orbit(five_days: int) -> None:
    day = date(2021, 4, 26) + timedelta(days=5 * five_days)
    found = overpass(day)
    assert found.platform == ("S2A" if five_days % 2 == 0 else "S2B")
    # How the relative orbit follows from the absolute one, counted differently for each satellite.
    shift = 2 if found.platform == "S2A" else -27
    assert (found.absolute_orbit + shift) % 143 + 1 == found.relative_orbit == 65
    assert found.datatake.date() == day
    assert found.datatake < found.datastrip < found.sensing


def test_a_day_without_a_pass_is_refused() -> None:
    with pytest.raises(ArgumentError, match="2021-04-27"):
        overpass(date(2021, 4, 27))


def test_view_angles_look_back_along_the_ray() -> None:
    across = np.array([-140e3, 0.0, 140e3])
    zenith, azimuth = view_angles(across, band=1, detector=detector_number(across))
    assert np.allclose(zenith[[0, 2]], 11.4, atol=0.3), "the edges of Sentinel-2's swath are seen at about 11 to 12°"
    assert zenith[1] == pytest.approx(0.55)
    assert azimuth[0] == pytest.approx(105, abs=5)
    assert azimuth[2] == pytest.approx(285, abs=5)


def test_bands_look_ahead_by_different_angles_so_that_high_clouds_part() -> None:
    across = np.array([10e3])
    detector = detector_number(across)
    zeniths = {band: view_angles(across, band=band, detector=detector)[0][0] for band in (1, 2, 3, 9)}
    assert zeniths[1] < zeniths[2] < zeniths[3] < zeniths[9]


def test_detectors_lie_side_by_side_and_end_with_the_swath() -> None:
    across = np.linspace(-150e3, 150e3, 3001)
    numbers = detector_number(across)
    assert set(numbers.tolist()) == set(range(13))
    inside = numbers[np.abs(across) < 145e3].astype(int)
    assert (np.diff(inside) >= 0).all()
    assert across_track(np.array([0.0]), np.array([1e3]))[0] < 0 < across_track(np.array([1e3]), np.array([0.0]))[0]


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_every_band_of_the_level_is_there_and_no_other(written: Any, level: str) -> None:
    path = written(level, "05.00")[0]
    names = {re.search(r"_(B\w\w)(_\d\dm)?$", f.stem) for f in path.glob("GRANULE/*/IMG_DATA/**/*.jp2")}
    assert {found[1] for found in names if found} == set(LEVEL_BANDS[level])  # type: ignore[index]
