"""Every item is matched, unmatched or ambiguous; none is lost, and none is masked away."""

from pathlib import Path

import numpy as np
import pystac
import pytest

from clearsight.archive import produce
from clearsight.catalog import read_items
from clearsight.compositing import composite, keep_clear
from clearsight.errors import ArgumentError, ProductError
from clearsight.linking import link
from clearsight.product import read_scores
from clearsight.stack import load
from plain_scenes import index_of, make_item


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("products")


@pytest.fixture(scope="module")
def l1c(folder) -> list[pystac.Item]:
    return [make_item(folder, number) for number in range(3)]


@pytest.fixture(scope="module")
def l2a(folder) -> list[pystac.Item]:
    return [make_item(folder, number, level="L2A") for number in range(3)]


@pytest.fixture(scope="module")
def archive(l1c, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("archive")
    # How scores are linked is tested here, not which: the fast scorer makes them.
    produce(l1c, out, model="projection")
    return out


@pytest.mark.parametrize("kind", ["folder", "text", "file", "collection", "items"])
def test_twins_of_another_level_are_matched_by_index(kind, archive, l2a):
    given = {
        "folder": archive,
        "text": str(archive),
        "file": archive / "collection.json",
        "collection": pystac.Collection.from_file(str(archive / "collection.json")),
        "items": read_items(archive),
    }[kind]
    linked = link(l2a, given)
    assert [item.id for item in linked.matched] == [item.id for item in l2a]
    assert (linked.unmatched, linked.ambiguous) == ((), ())
    for number, item in enumerate(linked.matched):
        asset = item.assets["cs_cdf"]
        assert asset.href == (archive / "33UUU" / "2023" / index_of(number) / f"{index_of(number)}.tif").as_posix()
        assert asset.extra_fields["clearsight:band"] == 2
        (band,) = asset.extra_fields["raster:bands"]
        assert (band["nodata"], band["data_type"], band["scale"], band["offset"]) == (255, "uint8", 0.005, 0)
        assert asset.extra_fields["proj:shape"] == [120, 96]
        assert "cs" not in item.assets


def test_sources_are_not_changed(archive, l2a):
    link(l2a, archive, bands=["cs", "cs_cdf"])
    assert not any({"cs", "cs_cdf"} & set(item.assets) for item in l2a)


def test_scores_load_like_bands_and_mask_the_cloud(archive, l2a):
    linked = link(l2a, archive, bands=["cs", "cs_cdf"])
    stack = load(linked.matched, bands=["B02", "B04", "cs", "cs_cdf"])
    for number, item in enumerate(linked.matched):
        scores = read_scores(item.assets["cs"].href)
        for name in ("cs", "cs_cdf"):
            np.testing.assert_array_equal(stack[name].isel(time=number), scores[name])
    unmasked = composite(stack)
    clear = composite(keep_clear(stack, by="cs", threshold=0.6))
    assert set(clear.data_vars) == {"B02", "B04", "count"}
    cloudy = (stack.B02 > 0.4).sum("time") >= 2
    assert cloudy.any()
    assert float(unmasked.B02.where(cloudy).mean()) > 0.4
    assert not (clear.B02 > 0.4).any()
    assert (clear["count"] <= unmasked["count"]).all()


def test_item_without_a_score_is_told(archive, folder, l2a):
    late = make_item(folder, 9, level="L2A")
    linked = link([late, *l2a], archive)
    (missing,) = linked.unmatched
    assert missing.item is late
    assert index_of(9) in missing.reason
    assert len(linked.matched) == 3


def test_item_that_tells_no_index_is_told(archive, l2a):
    nameless = l2a[0].clone()
    nameless.id = "IMG_0001"
    nameless.properties = {"grid:code": "MGRS-33UUU", "datetime": None}
    linked = link([nameless], archive)
    assert linked.unmatched[0].item is nameless
    assert "datatake" in linked.unmatched[0].reason


def test_two_scores_of_one_image_are_ambiguous(archive, l1c, l2a, tmp_path):
    produce(l1c[:1], tmp_path)
    both = [*read_items(archive), *read_items(tmp_path)]
    linked = link(l2a, both)
    assert [item.id for item in linked.matched] == [item.id for item in l2a[1:]]
    (unclear,) = linked.ambiguous
    assert unclear.item is l2a[0]
    assert [candidate.id for candidate in unclear.candidates] == [index_of(0)] * 2
    assert "2 scores" in unclear.reason


def test_of_two_processings_the_newer_is_kept_and_levels_are_no_processings(archive, folder, l1c, l2a):
    older = make_item(folder, 1, level="L2A", baseline="02.14")
    linked = link([*l1c, *l2a, older], archive)
    assert [item.id for item in linked.matched] == [item.id for item in (*l1c, *l2a)]
    (left,) = linked.unmatched
    assert left.item is older
    assert linked.ambiguous == ()


def test_every_item_is_in_exactly_one_place(archive, folder, l1c, l2a):
    items = [*l1c, *l2a, l2a[0], make_item(folder, 11)]
    linked = link(items, archive)
    assert len(linked.matched) + len(linked.unmatched) + len(linked.ambiguous) == len(items)
    assert link([], archive).matched == ()


def test_wrong_arguments_are_named(archive, l2a, tmp_path):
    with pytest.raises(ArgumentError, match="'cloud'"):
        link(l2a, archive, bands=["cloud"])
    with pytest.raises(ArgumentError, match=r"bands=\[\]"):
        link(l2a, archive, bands=[])
    with pytest.raises(ArgumentError, match=r"holds no collection\.json"):
        link(l2a, tmp_path)
    foreign = pystac.Item(index_of(0), None, None, l2a[0].datetime, {})
    with pytest.raises(ProductError, match="no asset 'scores'"):
        link(l2a, [foreign])
    placeless = read_items(archive)[0].clone()
    placeless.remove_links("self")
    with pytest.raises(ArgumentError, match="where it lies"):
        link(l2a, [placeless])
