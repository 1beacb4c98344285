"""The command line: each command on real files, its messages, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from clearsight.cli import app, main
from clearsight.demo import Demo
from safe_fixtures import SHARED


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failing command tells."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("error ")
    assert "Traceback" not in told
    return told


def test_search_lists_every_product(season: Demo, capsys) -> None:
    main(["search", str(season.files["products"]), "--collection", "sentinel-2-l2a"])
    told = capsys.readouterr().out
    assert told.count("L2A") >= 14
    assert "32UQD" in told


def test_score_leaves_alone_what_is_there_and_info_tells_it(season: Demo, capsys) -> None:
    archive = season.files["scores"].parent
    main(["score", str(season.files["products"]), "--out", str(archive)])
    assert "0 scored, 14 already there, 0 failed" in capsys.readouterr().out
    main(["info", str(archive)])
    told = capsys.readouterr().out
    assert "2021-05" in told
    assert "clearsight-1" in told


def test_composite_writes_a_cog_and_a_preview(season: Demo, tmp_path: Path, capsys) -> None:
    products, scores = str(season.files["products"]), str(season.files["scores"].parent)
    out = tmp_path / "may.tif"
    main(["composite", products, "--scores", scores, "--out", str(out), "--datetime", "2021-05", "--threshold", "0.5"])
    assert "->" in capsys.readouterr().out
    with rasterio.open(out) as file:
        assert file.descriptions == ("B02", "B03", "B04", "B08", "count")
    made = ["may.json", "may.png", "may.request.json", "may.tif"]
    assert sorted(path.name for path in tmp_path.iterdir()) == made


def test_composite_tells_what_each_threshold_would_leave(season: Demo, tmp_path: Path, capsys) -> None:
    products, scores = str(season.files["products"]), str(season.files["scores"].parent)
    main(["composite", products, "--scores", scores, "--out", str(tmp_path / "may.tif"), "--statistics"])
    told = capsys.readouterr().out
    assert all(threshold in told for threshold in ("0.50", "0.55", "0.60", "0.65"))
    assert not list(tmp_path.iterdir())


def test_composite_without_scores_says_how_to_make_them(season: Demo, tmp_path: Path, capsys) -> None:
    others = tmp_path / "archive"
    main(["score", str(next((season.files["products"] / "l1c").iterdir())), "--out", str(others)])
    capsys.readouterr()
    arguments = ["composite", str(season.files["products"]), "--scores", str(others), "--datetime", "2021-07"]
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path / "image.tif")])
    told = capsys.readouterr().err
    assert told.count("left out S2") >= 3
    assert "clearsight score" in told
    assert not (tmp_path / "image.tif").exists()


def test_errors_are_one_line_with_a_way_out(tmp_path: Path, capsys) -> None:
    assert "holds no Sentinel-2 image" in fails(["score", str(tmp_path), "--out", str(tmp_path / "out")], capsys)
    assert not (tmp_path / "out").exists()


def test_an_archive_that_cannot_be_written_is_told_before_any_work(season: Demo, tmp_path: Path, capsys) -> None:
    (tmp_path / "taken").write_text("a file")
    told = fails(["score", str(season.files["products"]), "--out", str(tmp_path / "taken")], capsys)
    assert "can't be written" in told
    assert (tmp_path / "taken").read_text() == "a file"


@pytest.mark.skipif(not SHARED.exists(), reason="the real scenes lie in ../shared/data, which isn't here")
@pytest.mark.parametrize(
    ("folder", "more", "index"),
    [
        ("brandenburg_T33UUU_20170216", [], "20170216T102101_T33UUU"),
        ("virginia_coast_18N", ["--acquired", "2018-01-31T15:58:01Z"], "20180131T155801_T18SVG"),
    ],
)
def test_real_scenes_without_metadata(folder: str, more: list[str], index: str, tmp_path: Path, capsys) -> None:
    scene = str(SHARED / "l1c_scenes" / folder)
    main(["score", scene, "--level", "L1C", "--offset", "0", *more, "--out", str(tmp_path)])
    assert "1 scored" in capsys.readouterr().out
    (path,) = tmp_path.rglob("*.tif")
    assert path.stem == index
    with rasterio.open(path) as file:
        stored = file.read(1)
    assert 60 < stored[stored != 255].mean() <= 200


@pytest.mark.parametrize("command", ["demo", "simulate", "search", "score", "composite", "info"])
def test_every_help_text_has_an_example(command: str, capsys) -> None:
    app([command, "--help"], result_action="return_value")
    assert f"clearsight {command}" in capsys.readouterr().out


def test_scores_are_compared_with_those_exported_from_earth_engine(season: Demo, tmp_path: Path, capsys) -> None:
    archive, exported = season.files["scores"].parent, tmp_path / "exported"
    exported.mkdir()
    for path in archive.rglob("*_T32UQD.tif"):
        with rasterio.open(path) as file:
            shares = np.where(file.read() == 255, np.nan, file.read() / np.float32(200)).astype(np.float32)
            profile = {"crs": file.crs, "transform": file.transform, "height": file.height, "width": file.width}
        with rasterio.open(exported / path.name, "w", driver="GTiff", count=2, dtype="float32", **profile) as file:
            file.write(np.stack([shares[0], 1 - shares[1]]))
            file.descriptions = ("cs", "cs_cdf")
    main(["evaluate", str(archive), "--against", str(exported), "--out", str(tmp_path / "report")])
    told = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    rows = (tmp_path / "report" / "report.md").read_text().splitlines()
    first = {band: next(row for row in rows if row.startswith(f"| {band} |")) for band in ("cs", "cs_cdf")}
    assert told
    assert float(first["cs"].split("|")[3]) == 1.0
    assert float(first["cs_cdf"].split("|")[3]) == -1.0
