"""Google's public bucket of SAFE products: a server with the same two doors, a list in pages and files by range."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest

import clearsight
from clearsight.errors import ArgumentError, EmptySourceError, ProductWarning, RemoteError
from clearsight.scene import angles
from safe_fixtures import Product, write_safe
from servers import Answer, Server, file_answer, serve_answers

BUCKET: Final = "gcp-public-data-sentinel-2"
BANDS: Final = ("B02", "B04")
PAGE: Final = 3
"""Names in one answer; Google sends up to a thousand."""
L1C: Final = tuple(
    Product(start=f"202301{day}T101301", strip=f"202301{day}T101555", sensed=f"2023-01-{day}T10:17:03Z", bands=BANDS)
    for day in ("05", "15", "25", "31")
)
L2A: Final = Product(level="L2A", bands=BANDS)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bucket")
    for product in L1C:
        write_safe(root / "tiles" / "33" / "U" / "UU", product)
    write_safe(root / "L2" / "tiles" / "33" / "U" / "UU", L2A)
    # What Hadoop left behind in the bucket: marks of folders.
    (root / "tiles" / "33" / "U" / "UU" / f"{L1C[0].name}.SAFE_$folder$").touch()
    (root / "tiles" / "33" / "U" / "UU" / f"{L1C[0].name}.SAFE" / "GRANULE_$folder$").touch()
    return root


def listed(root: Path, query: Mapping[str, str]) -> bytes:
    """Cloud Storage's JSON API, objects: list; as far as it concerns prefix, delimiter, pageToken."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    found: dict[str, str] = {}
    for name in names:
        if name.startswith(query["prefix"]):
            head, mark, _ = name.removeprefix(query["prefix"]).partition(query.get("delimiter", "\0"))
            found[query["prefix"] + head + mark] = "prefixes" if mark else "items"
    start = int(query.get("pageToken", 0))
    page = list(found.items())[start : start + PAGE]
    answer: dict[str, object] = {
        "prefixes": [name for name, kind in page if kind == "prefixes"],
        "items": [{"name": name} for name, kind in page if kind == "items"],
    }
    if start + PAGE < len(found):
        answer["nextPageToken"] = f"{start + PAGE}"
    return json.dumps({key: value for key, value in answer.items() if value}).encode()


@pytest.fixture
def server(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    def answer(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        place, _, query = path.partition("?")
        if place == f"/storage/v1/b/{BUCKET}/o":
            return Answer(
                200, {"Content-Type": "application/json"}, listed(bucket, dict(urllib.parse.parse_qsl(query)))
            )
        return file_answer(bucket, place.removeprefix(f"/{BUCKET}"), headers)

    for name, value in {"MAX_RETRY": 2, "RETRY_DELAY": 0.01}.items():
        monkeypatch.setenv(f"GDAL_HTTP_{name}", f"{value}")
    with serve_answers(answer) as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


def test_products_of_a_tile_are_those_on_disk(server: Server, bucket: Path) -> None:
    found = clearsight.search("google", tile="33UUU")
    near = clearsight.search(bucket)
    assert [item.id for item in found] == [item.id for item in near]
    for far, here in zip(found, near, strict=True):
        assert far.properties == here.properties
        assert far.geometry == here.geometry
        assert far.assets.keys() == here.assets.keys()
    assert [item.id for item in clearsight.search("google", tile="T33uuu", collection="sentinel-2-l2a")] == [L2A.name]


def test_only_products_of_the_time_are_looked_into(server: Server) -> None:
    (item,) = clearsight.search("google", tile="33UUU", collection="sentinel-2-l1c", datetime="2023-01-15")
    assert item.properties["clearsight:index"] == L1C[1].index
    assert item.assets["B02"].href.startswith(f"{server.url}/{BUCKET}/tiles/33/U/UU/{L1C[1].name}.SAFE/GRANULE/")
    assert not [seen for seen in server.seen if L1C[0].name in seen.path]
    with pytest.raises(EmptySourceError, match=r"no image passes datetime='2022', tile='33UUU'"):
        clearsight.search("google", tile="33UUU", datetime="2022")


def test_values_and_angles(server: Server, bucket: Path) -> None:
    (far,) = clearsight.search("google", tile="33UUU", datetime="2023-01-25")
    (near,) = clearsight.search(bucket, datetime="2023-01-25")
    assert clearsight.load([far]).identical(clearsight.load([near]))
    for name, values in angles(near).data_vars.items():
        np.testing.assert_array_equal(angles(far)[name], values)


def test_what_doesnt_answer_once_is_asked_again(server: Server) -> None:
    server.fail("status", status=503, path="pageToken", times=1)
    server.fail("truncate", path=r"MTD_TL\.xml", times=1)
    assert len(clearsight.search("google", tile="33UUU", collection="sentinel-2-l1c")) == len(L1C)


@pytest.mark.parametrize("path", ["pageToken", r"MTD_TL\.xml"])
def test_a_search_that_isnt_whole_is_none(server: Server, path: str) -> None:
    server.fail("status", status=503, path=path, after=1)
    with pytest.raises(RemoteError, match="503"):
        clearsight.search("google", tile="33UUU")


def test_a_server_of_another_kind(server: Server) -> None:
    with serve_answers(lambda *_: Answer(200, {}, b"<html>")) as other, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", other.url)
        with pytest.raises(RemoteError, match=r"something else than a list.*STORAGE_EMULATOR_HOST"):
            clearsight.search("google", tile="33UUU")


def test_a_broken_product_costs_only_itself(server: Server, bucket: Path) -> None:
    (metadata,) = (bucket / "tiles" / "33" / "U" / "UU" / f"{L1C[3].name}.SAFE").rglob("MTD_TL.xml")
    content = metadata.read_bytes()
    metadata.write_bytes(content[:200])
    try:
        with pytest.warns(ProductWarning, match=L1C[3].name):
            found = clearsight.search("google", tile="33UUU", collection="sentinel-2-l1c")
    finally:
        metadata.write_bytes(content)
    assert len(found) == len(L1C) - 1


def test_the_tile_is_needed_and_checked() -> None:
    with pytest.raises(ArgumentError, match=r"tile=None.*folder per tile"):
        clearsight.search("google", datetime="2023")
    with pytest.raises(ArgumentError, match=r"tile='33IUU': expected an MGRS tile"):
        clearsight.search("google", tile="33IUU")
    with pytest.raises(ArgumentError, match=r"tile='33UUU': a STAC API is searched by place"):
        clearsight.search("earth-search", tile="33UUU")


def test_a_tile_of_a_folder(bucket: Path) -> None:
    assert len(clearsight.search(bucket, tile="33UUU")) == len(L1C) + 1
    with pytest.raises(EmptySourceError, match="tile='31TCJ'"):
        clearsight.search(bucket, tile="31TCJ")
