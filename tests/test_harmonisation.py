"""The radiometric offset is applied exactly once, whoever provides the pixels; and if it isn't, somebody says so."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from clearsight._darkness import darkest
from clearsight.errors import HarmonisationWarning
from clearsight.sources._normalise import normalised
from clearsight.sources.presets import PRESETS
from clearsight.stack import load
from provider_items import EARLY, WATER, Scene, item_of

L1C = Scene(
    "S2A_MSIL1C_20230625T234621_N0509_R073_T01WCP_20230626T004022",
    "S2A_OPER_MSI_L1C_DS_2APS_20230626T004022_S20230625T234624_N05.09",
)
EARLY_L1C = Scene(
    "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248",
    "S2A_OPER_MSI_L1C_DS_VGS4_20210908T070248_S20210908T043714_N03.01",
    "032448",
    "2021-09-08T04:27:01.024000Z",
)
# A lake in fields, far enough to find 0.5 % of dark pixels.
LAKE = {"B01": 0.02, "B04": 0.012, "B05": 0.012, "B10": 0.001, "B11": 0.004, "B12": 0.003}


def reflectance(band: str, size: int) -> NDArray[np.float64]:
    """The truth: 0.25, with a lake, and a strip that was never measured."""
    truth = np.full((size, size), 0.25)
    truth[size // 2 :, size // 2 :] = LAKE.get(band, 0.02)
    truth[:, : size // 6] = np.nan
    return truth


def write(folder: Path, scene: Scene, *, shifted: bool, truth: Any = reflectance) -> dict[str, str]:
    """COGs of the bands that are looked at; shifted: the provider has applied the offset, or there never was one."""
    files = {}
    for band in (band for band in scene.bands if band in {"B02", *LAKE}):
        grid = scene.grid(band)
        size = grid["proj:shape"][0]
        values = truth(band, size)
        numbers = np.round(values * 10_000 + (0 if shifted else 1000))
        path = folder / f"{band}.tif"
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "width": size, "height": size, "nodata": 0}
        with rasterio.open(
            path, "w", crs="EPSG:32633", transform=Affine(*grid["proj:transform"]), **profile
        ) as dataset:
            dataset.write(np.nan_to_num(numbers).astype(np.uint16), 1)
        files[band] = path.as_posix()
    return files


def item(provider: str, scene: Scene, files: dict[str, str], flag: bool | None) -> pystac.Item:
    preset = PRESETS[provider]
    entry = item_of(provider, scene, files, flag=flag)
    return normalised(pystac.Item.from_dict(entry), offset=preset.offset, assets=preset.assets)


CASES = [
    # provider, scene, Earth Search's flag, pixels are shifted already (or never had an offset)
    ("earth-search", WATER, True, True),
    ("earth-search", WATER, False, False),
    ("earth-search", EARLY, False, True),
    ("earth-search", L1C, None, False),
    ("earth-search", EARLY_L1C, None, True),
    ("earth-search-c1", WATER, False, False),
    ("earth-search-c1", EARLY, False, True),
    ("copernicus", WATER, None, False),
    ("copernicus", L1C, None, False),
    ("copernicus", EARLY, None, True),
    ("planetary-computer", WATER, None, False),
    ("planetary-computer", EARLY, None, True),
]


def names(case: Any) -> str | None:
    return case.baseline + case.level if isinstance(case, Scene) else None


# Read at once, and one of them lazily, too.
@pytest.mark.parametrize(
    ("provider", "scene", "flag", "shifted", "chunks"),
    [*((*case, None) for case in CASES), ("copernicus", WATER, None, False, {})],
    ids=names,
)
def test_offset_is_applied_exactly_once(
    provider: str, scene: Scene, flag: bool | None, shifted: bool, chunks: Any, tmp_path: Path
) -> None:
    scene = Scene(scene.product, scene.datastrip, scene.absolute_orbit, scene.sensed, size=600)
    one = item(provider, scene, write(tmp_path, scene, shifted=shifted), flag)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HarmonisationWarning)
        stack = load([one], bands=["B02", "B04", "B12"], chunks=chunks).compute()
    for band in ("B02", "B04"):
        np.testing.assert_allclose(stack[band][0], reflectance(band, 600), atol=6e-5)
    np.testing.assert_array_equal(stack.id, [scene.index])


@pytest.mark.parametrize(
    ("provider", "scene", "flag", "shifted", "expected"),
    [
        ("earth-search", WATER, False, True, "applied already"),
        ("earth-search", WATER, True, False, "hold an offset of 1000"),
        ("earth-search-c1", WATER, False, True, "applied already"),
        ("copernicus", WATER, None, True, "applied already"),
        ("copernicus", L1C, None, True, "applied already"),
        ("copernicus", EARLY, None, False, "hold an offset of 1000"),
        ("planetary-computer", WATER, None, True, "applied already"),
        ("planetary-computer", EARLY, None, False, "hold an offset of 1000"),
        ("earth-search", EARLY_L1C, None, False, "hold an offset of 1000"),
    ],
    ids=names,
)
def test_contradiction_is_told_once_and_names_the_item(
    provider: str, scene: Scene, flag: bool | None, shifted: bool, expected: str, tmp_path: Path
) -> None:
    scene = Scene(scene.product, scene.datastrip, scene.absolute_orbit, scene.sensed, size=600)
    one = item(provider, scene, write(tmp_path, scene, shifted=shifted), flag)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", HarmonisationWarning)
        load([one], bands=["B02", "B04"])
    (message,) = [str(warning.message) for warning in told if warning.category is HarmonisationWarning]
    assert f"'{one.id}'" in message
    assert expected in message
    with warnings.catch_warnings():
        warnings.simplefilter("error", HarmonisationWarning)
        load([one], bands=["B02"])


@pytest.mark.parametrize("level", [0.11, 0.3, 0.9], ids=["dry grass", "sand", "snow"])
def test_places_without_anything_dark_are_not_accused(level: float, tmp_path: Path) -> None:
    """Bright and in every band of another brightness; above all no false alarm on correct items."""
    bright = {"B01": 0.7, "B05": 0.9, "B12": 1.6}

    def truth(band: str, size: int) -> NDArray[np.float64]:
        return np.full((size, size), level * bright.get(band, 1.0))

    scene = Scene(WATER.product, WATER.datastrip, size=300)
    one = item("earth-search", scene, write(tmp_path, scene, shifted=True, truth=truth), True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HarmonisationWarning)
        load([one], bands=["B02"])


def test_witness_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    scene = Scene(WATER.product, WATER.datastrip, size=300)
    files = write(tmp_path, scene, shifted=False)
    Path(files["B12"]).unlink()
    stack = load([item("planetary-computer", scene, files, None)], bands=["B04"])
    np.testing.assert_allclose(stack.B04[0], reflectance("B04", 300), atol=6e-5)


def test_darkest_pixels_leave_out_the_edge_of_nodata() -> None:
    numbers = np.full((100, 100), 2000, np.uint16)
    numbers[:, :40] = 0
    numbers[:, 40] = 30  # mixed with nodata by a reduced image
    assert darkest(numbers) == 2000
    numbers[60:, 60:] = 1050
    assert darkest(numbers) == 1050
    assert np.isnan(darkest(np.zeros((100, 100), np.uint16)))
