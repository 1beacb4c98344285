"""The index says what the catalogue says, and a refresh opens only what has changed."""

import json
import shutil
from pathlib import Path

import pytest

from clearsight.archive import produce
from clearsight.catalog import read_items
from clearsight.errors import ArgumentError
from plain_scenes import index_of, make_item

pytest.importorskip("rustac", reason="the extra 'index' isn't installed")
from clearsight.index import refresh_index, search_index


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    return [*(make_item(folder, number) for number in range(3)), make_item(folder, 1, tile="33UVU")]


@pytest.fixture
def archive(items, tmp_path) -> Path:
    produce(items[:2], tmp_path / "archive")
    return tmp_path / "archive"


def test_index_says_what_the_catalogue_says(archive):
    assert refresh_index(archive).read == 2
    found = search_index(archive)
    for row, item in zip(found, read_items(archive), strict=True):
        assert (row.id, row.datetime, row.bbox) == (item.id, item.datetime, pytest.approx(item.bbox))
        assert row.assets["scores"].href == item.assets["scores"].get_absolute_href()
        assert row.assets["scores"].extra_fields["file:checksum"] == item.assets["scores"].extra_fields["file:checksum"]
        for key in ("NO_CONTEXT_FRACTION", "SOURCE_ASSET_ID", "proj:code", "MGRS_TILE"):
            assert row.properties[key] == item.properties[key]


def test_refresh_opens_only_what_changed(archive, items):
    refresh_index(archive)
    assert refresh_index(archive).tiles == ()
    produce(items, archive)
    done = refresh_index(archive)
    assert (done.tiles, done.read, done.items) == (("33UUU", "33UVU"), 2, 4)
    assert [item.id for item in search_index(archive)] == [item.id for item in read_items(archive)]
    shutil.rmtree(archive / "33UVU")
    assert refresh_index(archive).tiles == ("33UVU",)
    assert len(search_index(archive)) == 3


def test_a_changed_item_is_read_again(archive):
    refresh_index(archive)
    path = next(archive.glob("33UUU/*/*/*.json"))
    described = json.loads(path.read_text())
    described["properties"]["MODEL_VERSION"] = "another-model-2.0"
    path.write_text(json.dumps(described))
    assert refresh_index(archive).read == 1
    assert "another-model-2.0" in {item.properties["MODEL_VERSION"] for item in search_index(archive)}


def test_search_by_place_and_time(archive, items):
    produce(items, archive)
    refresh_index(archive)
    found = search_index(archive, datetime="2023-03-05T00:00:00Z/2023-03-15T00:00:00Z")
    assert {item.id for item in found} == {index_of(1), index_of(1, tile="33UVU")}
    west, south, east, north = items[0].bbox
    assert len(search_index(archive, bbox=(west, south, east, north))) == 4
    assert search_index(archive, bbox=(west + 40, south, east + 40, north)) == []


def test_what_is_not_there_is_told(tmp_path, archive):
    with pytest.raises(ArgumentError, match="collection"):
        refresh_index(tmp_path)
    with pytest.raises(ArgumentError, match="refresh_index"):
        search_index(archive)
    refresh_index(archive)
    with pytest.raises(ArgumentError, match="datetime='spring'"):
        search_index(archive, datetime="spring")
    assert len(search_index(archive, datetime="2023-03-05T00:00:00Z/..")) == 1
