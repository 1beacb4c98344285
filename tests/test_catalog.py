"""The catalogue: valid STAC, offline, and its links lead somewhere."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import odc.stac
import pystac
import pytest
from odc.geo.geobox import GeoBox
from pystac.validation import JsonSchemaSTACValidator

from clearsight import catalog
from clearsight.archive import produce
from clearsight.catalog import Result, product_path, read_items, score_item, update_collection, write_item
from clearsight.errors import ArgumentError, ProductError
from clearsight.product import Making, WrittenFile, describe_file, read_scores
from plain_scenes import index_of, make_item

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="module")
def validator() -> JsonSchemaSTACValidator:
    """PySTAC's validator, which knows STAC's own schemas, with those of the extensions in ``tests/schemas``."""
    local = JsonSchemaSTACValidator()
    for path in SCHEMAS.glob("*.json"):
        name, version = path.stem.rsplit("-v", 1)
        schema = json.loads(path.read_text())
        local.schema_cache[f"https://stac-extensions.github.io/{name}/v{version}/schema.json"] = schema
    # We write no proj:projjson; one that appears is to fail.
    projjson = "https://proj.org/schemas/v0.7/projjson.schema.json"
    local.schema_cache[projjson] = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": projjson, "not": {}}
    return local


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> list[pystac.Item]:
    folder = tmp_path_factory.mktemp("products")
    return [make_item(folder, number) for number in range(2)]


@pytest.fixture(scope="module")
def archive(sources, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("archive")
    produce(sources, out)
    return out


def test_items_and_collection_are_valid(archive, validator):
    collection = pystac.Collection.from_file(str(archive / "collection.json"))
    items = list(collection.get_items())
    assert len(items) == 2
    for found in (collection, *items):
        # the core, and every extension it declares
        assert len(found.validate(validator)) == 1 + len(found.stac_extensions)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda item: item["properties"].update({"proj:shape": [1]}), "projection"),
        (lambda item: item["properties"].update({"processing:level": 3}), "processing"),
        (lambda item: item["properties"].pop("grid:code"), "grid"),
        (lambda item: item["assets"]["scores"].update({"file:checksum": "not hex"}), "file"),
        (lambda item: item["assets"]["scores"]["raster:bands"][0].update({"data_type": "byte"}), "raster"),
        (lambda item: item.pop("geometry"), "item"),
    ],
)
def test_validation_bites(archive, validator, change, what):
    described = json.loads(next((archive / "33UUU").rglob("*.json")).read_text())
    change(described)
    with pytest.raises(pystac.STACValidationError, match=what):
        pystac.validation.validate_dict(described, validator=validator)


def test_catalogue_can_be_moved(archive, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(archive, moved)
    collection = pystac.Collection.from_file(str(moved / "collection.json"))
    for item in collection.get_items():
        assert item.get_collection().self_href == (moved / "collection.json").as_posix()
        assert item.get_root().id == item.get_parent().id == collection.id
        href = item.assets["scores"].get_absolute_href()
        assert href.startswith(moved.as_posix())
        file = describe_file(href)
        fields = item.assets["scores"].extra_fields
        assert (file.size, file.checksum) == (fields["file:size"], fields["file:checksum"])


def test_items_tell_where_they_come_from(archive, sources):
    for item, source in zip(read_items(archive), sources, strict=True):
        (link,) = item.get_links("derived_from")
        assert link.title == source.id
        assert Path(link.target).exists()


def test_derived_from_prefers_the_source_item(sources, tmp_path):
    source = sources[0].clone()
    source.set_self_href("https://example.com/items/a.json")
    assert _item(source).get_single_link("derived_from").target == "https://example.com/items/a.json"


def test_stock_odc_reads_the_scores(archive):
    items = read_items(archive)
    loaded = odc.stac.load(items, bands=["cs", "cs_cdf"])
    for number, item in enumerate(items):
        scores = read_scores(item.assets["scores"].get_absolute_href())
        for name in ("cs", "cs_cdf"):
            stored = loaded[name].isel(time=number).values
            np.testing.assert_array_equal(stored == 255, np.isnan(scores[name]))
            np.testing.assert_allclose(stored[stored < 255] / 200, scores[name].values[stored < 255], atol=1e-6)


def _item(source: pystac.Item, *, model: str = "m-1") -> pystac.Item:
    index = catalog.ids.system_index(source)
    box = GeoBox.from_bbox((3e5, 56e5, 3e5 + 640, 56e5 + 640), "EPSG:32633", resolution=10)
    file = WrittenFile(Path(f"{index}.tif"), 1, "1220")
    return score_item(source, Result(Making(index, model, "1"), file, box, 0.5, datetime(2024, 1, 1, tzinfo=UTC)))


def test_collection_grows_whatever_the_order(sources, tmp_path):
    late, far = sources[0].clone(), sources[1].clone()
    late.datetime = datetime(2024, 5, 6, 1, 2, 3, 456789, tzinfo=UTC)
    late.properties["clearsight:index"] = "late"
    far.bbox = [-10.0, -5.0, 1.0, 2.0]
    far.properties["clearsight:index"] = "far"
    given = [(sources[0], "m-1"), (late, "m-2"), (far, "m-1")]
    texts = set()
    for number, order in enumerate(([0, 1, 2], [2, 0, 1], [1, 1, 2, 0])):
        root = tmp_path / f"{number}"
        for place in order:
            source, model = given[place]
            path = product_path(root, source).with_suffix(".json")
            update_collection(root, [write_item(_item(source, model=model), path)])
        texts.add((root / "collection.json").read_text())
    assert len(texts) == 1
    collection = pystac.Collection.from_file(str(root / "collection.json"))
    assert {item.id for item in collection.get_items()} == {index_of(0), "late", "far"}
    west, south, east, north = sources[0].bbox
    assert collection.extent.spatial.bboxes == [[-10.0, -5.0, max(east, 1.0), max(north, 2.0)]]
    assert west > -10
    assert south > -5
    assert collection.extent.temporal.intervals == [[sources[0].datetime, late.datetime]]
    assert collection.summaries.to_dict()["MODEL_VERSION"] == ["m-1", "m-2"]


def test_foreign_collection_is_not_touched(sources, tmp_path):
    for text in ('{"type": "Collection", "id": "other"}', "not json", "[]"):
        (tmp_path / "collection.json").write_text(text)
        with pytest.raises(ProductError, match=r"collection\.json"):
            update_collection(tmp_path, [])
        assert (tmp_path / "collection.json").read_text() == text


def test_missing_archive_and_missing_items_are_told(archive, tmp_path):
    with pytest.raises(ArgumentError, match=r"collection\.json"):
        read_items(tmp_path)
    shutil.copytree(archive, tmp_path / "copy")
    next((tmp_path / "copy").rglob("*_T33UUU.json")).unlink()
    with pytest.raises(ProductError, match="can't be read"):
        read_items(tmp_path / "copy")


@pytest.mark.parametrize("index", ["../up", "a/b", "", ".hidden", "a b", "a:b"])
def test_index_never_leads_out_of_the_archive(sources, index):
    item = sources[0].clone()
    item.properties["system:index"] = index
    item.properties["clearsight:index"] = index
    if index:
        with pytest.raises(ArgumentError, match="name of a folder"):
            product_path("archive", item)
    else:
        assert product_path("archive", item).name == f"{index_of(0)}.tif"
