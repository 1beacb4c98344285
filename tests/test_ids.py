"""The join rule, on the ids of real products and in every provider's spelling."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearsight.errors import ArgumentError
from clearsight.ids import datatake, system_index, tile
from safe_fixtures import SHARED

INDEX = "20230101T184751_20230101T185116_T11SKB"
DATATAKE = "GS2A_20230101T184751_039334_N05.09"
DATASTRIP = "S2A_OPER_MSI_L1C_DS_2APS_20230101T203813_S20230101T185116_N05.09"


def item(properties: dict[str, Any], name: str = "scene") -> pystac.Item:
    return pystac.Item(name, None, None, datetime(2023, 1, 1, 18, 57, tzinfo=UTC), properties)


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"grid:code": "MGRS-11SKB"}, "S2B_11SKB_20230101_0_L2A"),
        ({"s2:mgrs_tile": "11SKB", "s2:generation_time": "2023-01-01T20:38:13.000000Z"}, "S2A_T11SKB"),
        ({"s2:mgrs_tile": "T11SKB", "processing:datetime": "2023-01-01T21:38:13+01:00"}, "scene"),
        ({"mgrs:utm_zone": 11, "mgrs:latitude_band": "S", "mgrs:grid_square": "KB"}, "scene"),
        ({}, "S2A_MSIL1C_20230101T184751_N0509_R070_T11SKB_20230101T203813"),
        ({"s2:product_uri": "S2A_MSIL1C_20230101T184751_N0509_R070_T11SKB_20230101T203813.SAFE"}, "x"),
    ],
    ids=["grid:code", "s2:mgrs_tile", "v1 renames", "mgrs:", "name", "product_uri"],
)
def test_every_spelling_gives_the_same_index(properties: dict[str, Any], name: str) -> None:
    full = item({"s2:datatake_id": DATATAKE, "s2:datastrip_id": DATASTRIP} | properties, name)
    assert system_index(full) == INDEX
    assert tile(full) == "11SKB"
    assert datatake(full) == "20230101T184751"


def test_score_items_and_our_own_items_keep_their_index() -> None:
    assert system_index(item({}, INDEX)) == INDEX
    assert system_index(item({"clearsight:index": "20170216T102101_T33UUU"})) == "20170216T102101_T33UUU"
    assert datatake(item({}, INDEX)) == "20230101T184751"
    assert tile(item({}, INDEX)) == "11SKB"


@pytest.mark.parametrize(
    ("made", "second"),
    [("2016-10-03T20:11:04Z", "20161003T201104"), ("2016-12-06T00:00:00Z", "20151128T002707")],
    ids=["old format", "compact format"],
)
def test_products_made_before_december_2016_are_named_after_their_making(made: str, second: str) -> None:
    old = item(
        {
            "s2:datatake_id": "GS2A_20151128T002653_002257_N02.04",
            "s2:datastrip_id": "S2A_OPER_MSI_L1C_DS_EPA__20161003T201104_S20151128T002707_N02.04",
            "s2:generation_time": made,
            "grid:code": "MGRS-56MNN",
        }
    )
    assert system_index(old) == f"20151128T002653_{second}_T56MNN"


def test_old_product_names_tell_the_time_of_their_making() -> None:
    name = "S2A_OPER_PRD_MSIL1C_PDMC_20151128T102149_R116_V20151128T002653_20151128T002653.SAFE"
    old = item(
        {"s2:product_uri": name, "s2:datatake_id": "GS2A_20151128T002653_002257_N02.00", "grid:code": "MGRS-56MNN"}
    )
    assert system_index(old) == "20151128T002653_20151128T102149_T56MNN"


@pytest.mark.parametrize("lost", ["s2:datatake_id", "s2:datastrip_id", "grid:code"])
def test_a_missing_part_is_named_with_the_way_out(lost: str) -> None:
    properties = {"s2:datatake_id": DATATAKE, "s2:datastrip_id": DATASTRIP, "grid:code": "MGRS-11SKB"}
    del properties[lost]
    with pytest.raises(ArgumentError, match=rf"'scene'.*{lost}.*clearsight:index"):
        system_index(item(properties))


@given(
    zone=st.integers(1, 60),
    rest=st.from_regex(r"[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]", fullmatch=True),
    seconds=st.integers(0, 10**9),
)
def test_index_splits_back_into_its_parts(zone: int, rest: str, seconds: int) -> None:
    stamp = datetime.fromtimestamp(1_500_000_000 + seconds, UTC).strftime("%Y%m%dT%H%M%S")
    made = item(
        {
            "s2:datatake_id": f"GS2C_{stamp}_000001_N05.11",
            "s2:datastrip_id": f"S2C_OPER_MSI_L1C_DS_2CPS_{stamp}_S{stamp}_N05.11",
            "grid:code": f"MGRS-{zone}{rest}",
        }
    )
    index = system_index(made)
    assert index == f"{stamp}_{stamp}_T{zone:02d}{rest}"
    assert system_index(item({}, index)) == index
    assert tile(item({}, index)) == tile(made)


@pytest.mark.skipif(not SHARED.exists(), reason="real metadata (shared/data) is not beside the checkout")
def test_real_stac_items_of_another_tool() -> None:
    """The ids there follow stactools: {satellite}_T{tile}_{datastrip sensing time}_{level}."""
    checked = 0
    for path in sorted((SHARED / "safe_metadata" / "stactools").glob("*/expected_output.json")):
        made = pystac.Item.from_dict(json.loads(path.read_text()))
        if "s2:datatake_id" not in made.properties:
            with pytest.raises(ArgumentError, match="datatake"):
                system_index(made)
            continue
        index = system_index(made)
        _, tile_name, strip, _ = made.id.split("_")
        assert index == f"{made.properties['s2:datatake_id'].split('_')[1]}_{strip}_{tile_name}"
        checked += 1
    assert checked >= 9
