"""Cloud Score+ as users export it from Earth Engine, linked like our own scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

from clearsight.errors import ArgumentError, EmptySourceError, ProductError
from clearsight.linking import link
from clearsight.sources import search, search_scores
from clearsight.stack import load
from safe_fixtures import Product, write_safe

PRODUCT = Product(bands=("B02", "B03", "B04"))
SCORES = np.random.default_rng(5).random((2, 60, 60))


def write(path: Path, values: Any, names: tuple[str, ...] = ("cs", "cs_cdf"), **profile: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = Affine(10, 0, PRODUCT.left, 0, -10, PRODUCT.top)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(values),
        height=60,
        width=60,
        dtype=values.dtype,
        crs="EPSG:32633",
        transform=transform,
        **profile,
    ) as dataset:
        dataset.write(values)
        for number, name in enumerate(names, start=1):
            dataset.set_band_description(number, name)
    return path


@pytest.fixture
def item(tmp_path: Path) -> pystac.Item:
    (found,) = search(write_safe(tmp_path / "safe", PRODUCT))
    return found


def test_floats(item: pystac.Item, tmp_path: Path) -> None:
    values = SCORES.astype(np.float32)
    values[:, :9] = np.nan
    write(tmp_path / "out" / f"{PRODUCT.index}.tif", values)
    linked = link([item], search_scores(tmp_path / "out"), bands=["cs", "cs_cdf"])
    stack = load(linked.matched, bands=["B02", "cs", "cs_cdf"])
    np.testing.assert_allclose(stack.cs[0], values[0], atol=1e-6)
    np.testing.assert_allclose(stack.cs_cdf[0], values[1], atol=1e-6)


@pytest.mark.parametrize("names", [("cs", "cs_cdf"), ()], ids=["named", "in order"])
def test_whole_numbers_need_a_scale(names: tuple[str, ...], item: pystac.Item, tmp_path: Path) -> None:
    values = np.round(SCORES * 250).astype(np.uint8)
    values[:, :9] = 255
    write(tmp_path / "out" / f"export_{PRODUCT.index}_0.tif", values, names, nodata=255)
    with pytest.raises(ArgumentError, match=r"scale=None: .*uint8.*Pass scale, such as 1/255"):
        search_scores(tmp_path / "out")
    linked = link([item], search_scores(tmp_path / "out", scale=1 / 250))
    expected = np.where(values[1] == 255, np.nan, values[1] / 250)
    np.testing.assert_allclose(load(linked.matched, bands=["cs_cdf"]).cs_cdf[0], expected, atol=1e-6)


def test_one_band_in_another_order(item: pystac.Item, tmp_path: Path) -> None:
    values = SCORES.astype(np.float32)
    write(tmp_path / "out" / f"{PRODUCT.index}.tif", values, ("cs_cdf", "cs"))
    linked = link([item], search_scores(tmp_path / "out"), bands=["cs"])
    np.testing.assert_allclose(load(linked.matched, bands=["cs"]).cs[0], values[1], atol=1e-6)


def test_what_is_no_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmptySourceError, match="named by an image's system:index"):
        search_scores(tmp_path)
    write(tmp_path / f"{PRODUCT.index}.tif", SCORES.astype(np.float32), ("B4", "B3"))
    with pytest.raises(ProductError, match=r"has the bands B4, B3; expected cs and cs_cdf"):
        search_scores(tmp_path)
    path = tmp_path / f"{PRODUCT.index}.tif"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ProductError, match="can't be read"):
        search_scores(tmp_path)
