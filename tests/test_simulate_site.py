"""The embedded archive: a true season, twins, exact truth, and an archive that is whole or can be completed."""

from __future__ import annotations

import itertools
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

import clearsight
from clearsight.bands import BANDS
from clearsight.errors import ArgumentError, OutputError
from clearsight.simulate import Simulated, simulate
from clearsight.simulate.imaging.truth import CAUSES
from clearsight.simulate.product.season import SKIES, make_sky, plan_season
from clearsight.simulate.product.site import CLEAR_BANDS, CLEAR_SCALE

SHAPE = (120, 132)
DATES = 12


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("site"), seed=3, shape=SHAPE, dates=DATES)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        values = dataset.read().astype(np.float64)
        return values * np.array(dataset.scales)[:, None, None]


def test_every_date_has_two_real_products_and_its_truth(site: Simulated) -> None:
    assert len(site.frames) == len(site.l1c) == len(site.l2a) == DATES
    items = {item.id: item for item in clearsight.search(site.folder)}
    assert len(items) == 2 * DATES
    for frame in site.frames:
        l1c, l2a = (items[path.name.removesuffix(".SAFE")] for path in (frame.l1c, frame.l2a))
        assert l1c.properties["processing:level"] == "L1C"
        assert l2a.properties["processing:level"] == "L2A"
        for item in (l1c, l2a):
            assert item.properties["clearsight:index"] == frame.index
            assert item.properties["processing:version"] == frame.baseline
        with rasterio.open(frame.truth) as truth:
            assert (truth.height, truth.width) == SHAPE
            assert list(truth.transform)[:6] == l1c.assets["B02"].extra_fields["proj:transform"][:6]
            assert truth.crs.to_epsg() == 32632
        assert all(path.exists() for path in frame.files)


def test_the_tile_id_fits_the_coordinates(site: Simulated) -> None:
    # The column and row letters of a 100 km square, counted as the MGRS defines them.
    with rasterio.open(site.frames[0].truth) as truth:
        easting, northing = truth.bounds.left, truth.bounds.top
    zone = 32
    column = "ABCDEFGHJKLMNPQRSTUVWXYZ"[(zone - 1) % 3 * 8 + int(easting // 100_000) - 1]
    row = "ABCDEFGHJKLMNPQRSTUV"[(int(northing // 100_000) + (5 if zone % 2 == 0 else 0)) % 20]
    band = "CDEFGHJKLMNPQRSTUVWX"[int((52.75 + 80) // 8)]
    assert f"_T{zone}{band}{column}{row}_" in site.l1c[0].name


def test_half_of_the_season_carries_the_offset_though_all_of_it_was_seen_before_2022(site: Simulated) -> None:
    modern = [frame for frame in site.frames if frame.baseline >= "04.00"]
    assert len(modern) == DATES // 2
    assert all(frame.date < date(2022, 1, 25) for frame in site.frames)
    for frame in site.frames:
        text = (frame.l1c / "MTD_MSIL1C.xml").read_text(encoding="utf-8")
        assert ("RADIO_ADD_OFFSET" in text) == (frame in modern)
    generated = {frame.baseline >= "04.00": int(frame.l1c.name[-20:-16]) for frame in site.frames}
    assert generated == {True: 2023, False: 2021}


def test_loading_harmonises_both_halves_onto_the_clear_truth(site: Simulated) -> None:
    """Where q is 1 and no cloud near, a product shows what the truth beside it says, offset or not."""
    compared = set()
    for folder, truth, levels in (("l1c", "clear_toa", 2e-4), ("l2a", "clear", None)):
        stack = clearsight.load(clearsight.search(site.folder / folder), bands=["B03", "B08"])
        for number, frame in enumerate(site.frames):
            if frame.sky != "clear":
                continue
            image = read(getattr(frame, truth))
            for band in ("B03", "B08"):
                loaded = stack[band].isel(time=number).to_numpy()
                expected = image[CLEAR_BANDS.index(band)]
                if levels is None:  # the L2A processor knows the air only roughly
                    assert np.corrcoef(loaded.ravel(), expected.ravel())[0, 1] > 0.99
                    assert np.abs(loaded - expected).mean() < 0.03
                else:
                    np.testing.assert_allclose(loaded, expected, atol=levels)
            compared.add(frame.baseline >= "04.00")
    assert compared, "the season must have clear dates"


def test_truth_is_exact_where_it_must_be(site: Simulated) -> None:
    for frame in site.frames:
        q, cause = read(frame.truth)
        assert ((q >= 0) & (q <= 1)).all()
        assert set(np.unique(cause)) <= set(CAUSES)
        if frame.sky == "clear":
            assert (q == 1).all()
        if frame.sky == "overcast":
            assert q.max() < 0.2
        if frame.sky in {"thin cirrus", "haze", "veil"}:
            assert 0.3 < q.mean() < 0.97


def test_low_q_is_where_the_image_departs_from_the_clear_truth(site: Simulated) -> None:
    stack = clearsight.load(clearsight.search(site.folder / "l1c"), bands=["B08"])
    clear = np.stack([read(frame.clear_toa)[CLEAR_BANDS.index("B08")] for frame in site.frames])
    q = np.stack([read(frame.truth)[0] for frame in site.frames])
    change = np.abs(stack["B08"].to_numpy() - clear)
    assert change[q < 0.3].mean() > 10 * change[q > 0.98].mean()


def test_clear_truth_has_sane_reflectance_and_scale(site: Simulated) -> None:
    values = read(site.frames[0].clear)
    with rasterio.open(site.frames[0].clear) as dataset:
        assert dataset.scales == (CLEAR_SCALE,) * len(CLEAR_BANDS)
        assert dataset.descriptions == CLEAR_BANDS
    assert 0.0 < np.median(values[CLEAR_BANDS.index("B02")]) < 0.15
    assert values[CLEAR_BANDS.index("B08")].mean() > values[CLEAR_BANDS.index("B04")].mean()


def test_both_products_of_a_pass_lie_alike_on_the_ground(site: Simulated) -> None:
    frame = next(frame for frame in site.frames if frame.sky == "clear")
    toa, boa = (
        clearsight.load(clearsight.search(path), bands=["B08"])["B08"][0].to_numpy() for path in frame.files[:2]
    )
    rows, columns = SHAPE
    inner = toa[6:-6, 6:-6].ravel()
    best = max(
        (np.corrcoef(inner, boa[6 + dy : rows - 6 + dy, 6 + dx : columns - 6 + dx].ravel())[0, 1], dy, dx)
         for dy in (-1, 0, 1) for dx in (-1, 0, 1)
    )  # fmt: skip
    assert best[1:] == (0, 0)
    assert best[0] > 0.99


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(-5, 10_000), dates=st.integers(12, 30))
def test_every_season_has_what_a_test_of_scores_needs(seed: int, dates: int) -> None:
    days = plan_season(seed, dates=dates)
    skies = [day.sky for day in days]
    assert len(days) == dates
    assert sum(sky in {"clear", "nearly clear"} for sky in skies) >= 3
    assert {"overcast", "broken cumulus", "thin cirrus", "haze"} <= set(skies) <= set(SKIES)
    gaps = {(later.date - day.date).days for day, later in itertools.pairwise(days)}
    assert gaps <= {5, 10}
    assert {day.overpass.platform for day in days} == {"S2A", "S2B"}
    assert sum(day.baseline >= "04.00" for day in days) == dates // 2
    assert all(day.generated > day.overpass.sensing for day in days)
    assert plan_season(seed, dates=dates) == days


def test_clouds_move_from_pass_to_pass() -> None:
    ground = np.zeros((60, 60), np.float32)
    days = [day for day in plan_season(7, dates=30) if day.sky == "broken cumulus"]
    fields = [make_sky(day, seed=7, elevation=ground).layers[0].optical_depth for day in days]
    assert len(fields) >= 2
    assert not np.array_equal(fields[0], fields[1])


def test_the_same_call_again_changes_nothing_and_completes_what_is_missing(site: Simulated) -> None:
    frame = site.frames[2]
    image = next(frame.l2a.glob("GRANULE/*/IMG_DATA/R10m/*_B02_10m.jp2"))
    before = {path: path.stat().st_mtime_ns for path in site.folder.rglob("*.jp2") if path.is_relative_to(frame.l2a)}
    content, truth = image.read_bytes(), frame.truth.read_bytes()
    steps: list[tuple[int, int, str]] = []

    def note(done: int, total: int, what: str) -> None:
        steps.append((done, total, what))

    assert simulate(site.folder, seed=3, shape=SHAPE, dates=DATES, progress=note) == site
    assert not steps
    assert {path: path.stat().st_mtime_ns for path in before} == before

    frame.l2a.rename(frame.l2a.with_name("moved"))
    frame.truth.unlink()
    simulate(site.folder, seed=3, shape=SHAPE, dates=DATES, progress=note)
    assert [step[:2] for step in steps] == [(0, 1), (1, 1)]
    assert image.read_bytes() == content
    assert frame.truth.read_bytes() == truth
    for path in sorted(frame.l2a.with_name("moved").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    frame.l2a.with_name("moved").rmdir()


def test_nothing_is_left_beside_the_archive(site: Simulated) -> None:
    names = {path.name for path in site.folder.iterdir()}
    assert names == {"l1c", "l2a", "truth", "README.txt", "simulated.json"}
    assert not [path for path in site.folder.rglob("*") if re.search(r"writing|partial|aux", path.name)]
    readme = (site.folder / "README.txt").read_text(encoding="utf-8")
    assert "No satellite saw any of this" in readme
    assert all(frame.index in readme for frame in site.frames)


def test_another_request_or_a_used_folder_is_refused(site: Simulated, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="another simulated archive"):
        simulate(site.folder, seed=4, shape=SHAPE, dates=DATES)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="isn't empty"):
        simulate(tmp_path, shape=(60, 60), dates=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_place_that_cannot_be_written_to_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="file"):
            simulate(out, shape=(60, 60), dates=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (100, 100)}, r"shape=\(100, 100\)"),
        ({"shape": (54, 60)}, "60 …"),
        ({"shape": (6000, 6000)}, "4000"),
        ({"dates": 0}, "dates=0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        simulate(tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_native_bands_have_their_native_grids(site: Simulated) -> None:
    for name, band in BANDS.items():
        (path,) = site.l1c[0].glob(f"GRANULE/*/IMG_DATA/*_{name}.jp2")
        with rasterio.open(path) as dataset:
            assert dataset.shape == (SHAPE[0] * 10 // band.gsd, SHAPE[1] * 10 // band.gsd)
            assert dataset.transform.a == band.gsd
