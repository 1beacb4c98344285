"""The main job, end to end, against the exact truth that only a simulation knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rio_cogeo import cog_validate
from scipy.stats import spearmanr

import clearsight
from clearsight.demo import Demo
from clearsight.product import read_scores
from clearsight.simulate.imaging.truth import CAUSES


def truth_of(season: Demo, index: str) -> tuple[np.ndarray, np.ndarray]:
    with rasterio.open(season.files["products"] / "truth" / f"{index}.tif") as file:
        q, cause = file.read()
    return q, cause


@pytest.fixture(scope="module")
def scored(season: Demo) -> list[tuple[pystac.Item, np.ndarray, np.ndarray, np.ndarray]]:
    """Item, cs, exact q and cause of each frame."""
    collection = pystac.Collection.from_file(str(season.files["scores"]))
    rows = []
    for item in collection.get_items(recursive=True):
        path = item.assets["scores"].get_absolute_href()
        assert path is not None
        rows.append((item, read_scores(path)["cs"].values, *truth_of(season, item.id)))
    return rows


def test_scores_follow_the_exact_share_of_light(scored, report: Callable[[str], None]) -> None:
    cs = np.concatenate([row[1].ravel() for row in scored])
    q = np.concatenate([row[2].ravel() for row in scored])
    error, rank = np.abs(cs - q).mean(), spearmanr(cs[::7], q[::7]).statistic
    report(f"cs against the exact q, {len(scored)} simulated dates: mean absolute error {error:.3f}, rank {rank:.3f}")
    assert error < 0.15
    assert rank > 0.8


def test_what_is_clear_is_kept_and_what_is_hidden_is_not(scored, report: Callable[[str], None]) -> None:
    cs = np.concatenate([row[1].ravel() for row in scored])
    q = np.concatenate([row[2].ravel() for row in scored])
    cause = np.concatenate([row[3].ravel() for row in scored])
    clear = float((cs[q >= 0.95] >= 0.60).mean())
    hidden = {
        CAUSES[code]: float((cs[(cause == code) & (q < 0.3)] >= 0.60).mean())
        for code in (1, 2, 3)
        if ((cause == code) & (q < 0.3)).sum() > 1000
    }
    parts = ", ".join(f"{name} {100 * share:.1f} %" for name, share in hidden.items())
    report(f"kept at cs >= 0.60: q >= 0.95: {100 * clear:.1f} %; q < 0.3: {parts}")
    assert clear > 0.9
    assert {"thick cloud", "shadow"} <= set(hidden)
    assert max(hidden.values()) < 0.3


def test_the_masked_composite_comes_three_times_nearer_to_the_truth(
    season: Demo, report: Callable[[str], None]
) -> None:
    ratio = season.unmasked_error / season.masked_error
    report(
        f"composite against the clear truth: error {season.unmasked_error:.4f} unmasked, {season.masked_error:.4f} "
        f"masked, {ratio:.1f} times smaller; {100 * season.covered:.1f} % of the pixels covered"
    )
    assert ratio >= 3
    assert season.covered > 0.99


def test_the_script_of_the_readme_equals_plain_numpy(season: Demo, tmp_path: Path, monkeypatch) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (script,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "demo/archive" in block)
    (tmp_path / "demo").symlink_to(season.files["scores"].parents[1])
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    exec(compile(script, "README.md", "exec"), made)
    image, items = made["image"], made["items"]
    assert 0 < len(items) < season.dates
    assert (tmp_path / "summer.png").stat().st_size > 1000
    for band in ("B02", "B03", "B04"):
        planes = []
        for item in items:
            with rasterio.open(item.assets[band].href) as file:
                dn = file.read(1)
            (raster,) = item.assets[band].extra_fields["raster:bands"]
            path = next(season.files["scores"].parent.rglob(f"{item.properties['clearsight:index']}.tif"))
            with rasterio.open(path) as file:
                stored = file.read(2)
            reflectance = (dn.astype("f4") + np.float32(round(raster["offset"] / raster["scale"]))) / np.float32(10000)
            planes.append(np.ma.masked_array(reflectance, mask=(dn == 0) | (stored < 120) | (stored == 255)))
        expected = np.ma.median(np.ma.stack(planes), axis=0).filled(np.nan).astype("f4")
        np.testing.assert_array_equal(image[band].values, expected)


def test_every_product_is_valid_and_tells_the_truth_about_itself(season: Demo, scored) -> None:
    products = {
        item.properties["clearsight:index"]: item for item in clearsight.search(season.files["products"] / "l1c")
    }
    assert {item.id for item, *_ in scored} == set(products)
    for item, *_ in scored:
        valid, errors, warnings = cog_validate(item.assets["scores"].get_absolute_href(), strict=True)
        assert (valid, errors, warnings) == (True, [], [])
        source = products[item.id]
        assert item.properties["MGRS_TILE"] == "32UQD"
        assert item.properties["SOURCE_PRODUCT_ID"].removesuffix(".SAFE") == source.id
        assert item.properties["NO_CONTEXT_FRACTION"] == 0.0
        assert item.datetime == source.datetime


def test_the_files_it_names_are_there(season: Demo) -> None:
    assert all(Path(path).exists() for path in season.files.values())
    with rasterio.open(season.files["composite"]) as file:
        assert file.descriptions[-1] == "count"
        assert file.read(file.count).max() > 5
