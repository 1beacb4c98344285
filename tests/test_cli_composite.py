"""The command ``composite``: where, when, statistics; its other sides are tested with the other commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

import clearsight
from clearsight.cli import main
from clearsight.demo import Demo


@pytest.fixture
def composite(season: Demo) -> list[str]:
    return ["composite", str(season.files["products"]), "--scores", str(season.files["scores"].parent)]


@pytest.fixture
def field(season: Demo, tmp_path: Path) -> Path:
    west, south, east, north = clearsight.search(season.files["products"], collection="sentinel-2-l2a")[0].bbox
    corner = shapely.Polygon([(west, south), ((west + east) / 2, south), (west, (south + north) / 2)])
    path = tmp_path / "field.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(corner)))
    return path


def test_where_and_when_it_takes_images(composite, field, tmp_path, capsys):
    out = tmp_path / "image.tif"
    words = [
        *composite,
        "--out",
        str(out),
        "--area",
        str(field),
        "--tile",
        "32UQD",
        "--months",
        "5,6",
        "--bands",
        "B04",
    ]
    main(words)
    request = json.loads((tmp_path / "image.request.json").read_text())
    assert {date[5:7] for date in request["dates"]} == {"05", "06"}
    assert request["area"]["type"] == "Polygon"
    with rasterio.open(out) as file:
        count = file.read(file.descriptions.index("count") + 1, masked=True)
    assert 0.3 < count.mask.mean() < 0.7
    capsys.readouterr()
    main(words)
    assert "already there" in capsys.readouterr().out
    main([*words, "--threshold", "0.5"])
    assert "already there" not in capsys.readouterr().out


def test_statistics_need_no_file_and_draw_one_on_request(composite, field, tmp_path, capsys):
    main(
        [*composite, "--statistics", "--area", str(field), "--season", "04-15/07-31", "--plot", str(tmp_path / "a.png")]
    )
    told = capsys.readouterr().out
    assert "0.50" in told
    assert "plot ->" in told
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert np.all([path.name in ("a.png", "field.geojson") for path in tmp_path.iterdir()])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--out is missing"),
        (["--out", "a.tif", "--plot", "b.png"], "give both"),
        (["--statistics", "--months", "june"], "6,7,8"),
        (["--statistics", "--months", "0"], "1 to 12"),
        (["--statistics", "--season", "summer"], "MM-DD/MM-DD"),
        (["--statistics", "--tile", "33UUU"], "they are of 32UQD"),
        (["--statistics", "--area", "nowhere.geojson"], "can't be read"),
    ],
)
def test_what_cannot_be_is_one_line(composite, words, told, capsys):
    with pytest.raises(SystemExit):
        main([*composite, *words])
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error ")
    assert told in line
