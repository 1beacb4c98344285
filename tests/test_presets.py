"""Items of every provider become items of one form."""

from __future__ import annotations

import dataclasses

import pystac
import pytest

from clearsight.errors import ArgumentError
from clearsight.sources._normalise import normalised, readable
from clearsight.sources.presets import PRESETS, collections_of
from provider_items import COMMON, EARLY, GSD, WATER, Scene, item_of

APIS = ("earth-search", "earth-search-c1", "copernicus", "planetary-computer")
L1C = Scene(
    "S2A_MSIL1C_20230625T234621_N0509_R073_T01WCP_20230626T004022",
    "S2A_OPER_MSI_L1C_DS_2APS_20230626T004022_S20230625T234624_N05.09",
)


def made(provider: str, scene: Scene, *, flag: bool | None = None) -> pystac.Item:
    preset = PRESETS[provider]
    entry = item_of(provider, scene, flag=flag)
    return normalised(pystac.Item.from_dict(readable(entry)), offset=preset.offset, assets=preset.assets)


@pytest.mark.parametrize("provider", APIS)
def test_every_provider_gives_the_same_item(provider: str) -> None:
    item = made(provider, WATER, flag=True if provider == "earth-search" else None)
    facts = item.properties
    assert facts["clearsight:index"] == WATER.index == "20230625T234621_20230625T234624_T01WCP"
    assert facts["processing:version"] == "05.09"
    assert facts["processing:level"] == "L2A"
    assert facts["grid:code"] == "MGRS-01WCP"
    assert facts["s2:datatake_id"] == WATER.datatake
    assert facts["s2:datastrip_id"] == WATER.datastrip
    assert (facts | item.assets["B02"].extra_fields)["proj:code"] == "EPSG:32633"
    assert [key for key in item.assets if key in COMMON] == WATER.bands
    for band in WATER.bands:
        fields = item.assets[band].extra_fields
        assert item.assets[band].href == f"https://example.com/{band}.tif"
        assert fields["gsd"] == GSD.get(band, 20)
        assert {key: fields[key] for key in ("proj:shape", "proj:transform")} == WATER.grid(band)
        (raster,) = fields["raster:bands"]
        assert (raster["nodata"], raster["scale"]) == (0, 1e-4)
        assert raster["offset"] == (0 if provider == "earth-search" else -0.1)
    assert pystac.Item.from_dict(item.to_dict()).to_dict() == item.to_dict()


@pytest.mark.parametrize("provider", APIS)
def test_before_04_00_no_provider_has_an_offset(provider: str) -> None:
    item = made(provider, EARLY, flag=False if provider == "earth-search" else None)
    assert {
        asset.extra_fields["raster:bands"][0].get("offset", 0) for asset in item.assets.values() if asset.extra_fields
    } == {0}


@pytest.mark.parametrize("provider", ["earth-search", "copernicus"])
def test_l1c(provider: str) -> None:
    item = made(provider, L1C)
    assert item.properties["processing:level"] == "L1C"
    assert [key for key in item.assets if key in COMMON] == list(COMMON)
    # Earth Search says 0, but passes on ESA's pixels.
    assert {item.assets[band].extra_fields["raster:bands"][0]["offset"] for band in COMMON} == {-0.1}


@pytest.mark.parametrize(("flag", "offset"), [(True, 0.0), (False, -0.1), (None, -0.1)])
def test_earth_search_is_believed_by_its_flag(flag: bool | None, offset: float) -> None:
    item = made("earth-search", WATER, flag=flag)
    assert item.assets["B04"].extra_fields["raster:bands"][0]["offset"] == offset


def test_api_that_nobody_knows() -> None:
    """Found by names, then by bands and their common names; the finest first."""
    entry = item_of("copernicus", WATER)
    entry["assets"]["red"] = entry["assets"].pop("B04_10m")
    entry["assets"]["x"] = entry["assets"].pop("B03_10m") | {"bands": [{"name": "c3", "eo:common_name": "green"}]}
    for key in ("B04_20m", "B04_60m"):
        del entry["assets"][key]
    item = normalised(pystac.Item.from_dict(entry))
    assert [key for key in item.assets if key in COMMON] == WATER.bands
    assert item.assets["B04"].href == "https://example.com/B04.tif"
    assert item.assets["B02"].href == "https://example.com/B02.tif"


def test_date_that_is_the_text_null() -> None:
    entry = item_of("copernicus", WATER)
    entry["properties"] |= {"datetime": "null", "start_datetime": "2023-06-25T23:46:21.024Z", "end_datetime": "null"}
    item = pystac.Item.from_dict(readable(entry))
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2023-06-25T23:46:21.024000+00:00"
    del entry["properties"]["start_datetime"]
    item = pystac.Item.from_dict(readable(entry))
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2023-06-25T23:46:21+00:00"


def test_offset_that_nothing_tells_is_not_guessed() -> None:
    entry = item_of("planetary-computer", WATER)
    for key in ("s2:processing_baseline", "s2:product_uri", "s2:datatake_id"):
        del entry["properties"][key]
    item = normalised(pystac.Item.from_dict(entry), offset="baseline")
    assert "offset" not in item.assets["B02"].extra_fields["raster:bands"][0]


def test_presets_are_frozen_descriptions() -> None:
    assert set(PRESETS) == {*APIS, "eopf", "google"}
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.url.startswith("https://")
        with pytest.raises(dataclasses.FrozenInstanceError):
            preset.url = "x"  # type: ignore[misc]
        with pytest.raises(TypeError):
            preset.collections["L1C"] = "x"  # type: ignore[index]
    with pytest.raises(ArgumentError, match=r"'earth-search-c1' has only 'sentinel-2-l2a'"):
        collections_of(PRESETS["earth-search-c1"], "L1C")
