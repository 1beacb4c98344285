"""Searching a real STAC API (stac-fastapi on PostgreSQL) page by page, in each provider's style, and with faults."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import clearsight
from clearsight.bands import Level
from clearsight.errors import RemoteError
from clearsight.sources import _api
from clearsight.sources._api import preset_items
from clearsight.sources.presets import PRESETS, Preset
from provider_items import COMMON, Scene, item_of
from remote_scene import FILES, SCENE, scene_item, write_files
from servers import Server, proxy, serve_files
from stac_server import skip_unless_there, stac_api

METADATA: Final = Path(__file__).parents[2] / "shared" / "data" / "safe_metadata"
STYLES: Final = ("earth-search", "earth-search-c1", "copernicus", "planetary-computer")
PAGE: Final = 2

PRODUCTS: Final = {
    "S2A_MSIL1C_20200717T221941_N0209_R029_T01LAC_20200717T234135": "SGS__20200717T234135_S20200717T221944_N02.09",
    "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248": "VGS4_20210908T070248_S20210908T043714_N03.01",
    "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244": "2APS_20240120T125244_S20240120T105433_N05.10",
    "S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347": "2BPS_20240305T125347_S20240305T105512_N05.10",
    "S2A_MSIL2A_20150826T185436_N0212_R070_T11SLT_20210412T023147": "ESRI_20210412T023148_S20150826T185435_N02.12",
    "S2A_MSIL2A_20180721T053721_N0212_R062_T43MDV_20201011T181419": "ESRI_20201011T181420_S20180721T053717_N02.12",
    "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857": "ESRI_20201007T160858_S20190212T192646_N02.12",
    "S2A_MSIL2A_20220401T083601_N0400_R064_T34LBQ_20220401T110010": "VGS1_20220401T110010_S20220401T090142_N04.00",
    "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157": "2APS_20230626T022157_S20230625T234624_N05.09",
    "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825": "2APS_20230822T021825_S20230821T221944_N05.09",
    "S2B_MSIL2A_20191228T210519_N0212_R071_T01CCV_20201003T104658": "ESRI_20201003T104659_S20191228T210521_N02.12",
    "S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126": "ESRI_20220414T082127_S20220413T150756_N04.00",
}
"""Real products -> the part of their datastrip's id that isn't in the name."""


def scenes(level: str) -> list[Scene]:
    return [scene_of(name, strip) for name, strip in PRODUCTS.items() if f"MSI{level}" in name]


def scene_of(product: str, strip: str) -> Scene:
    taken = re.search(r"_S(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)", strip)
    assert taken is not None
    year, month, day, hour, minute, second = taken.groups()
    satellite, level = product[:3], product[7:10]
    return Scene(
        product,
        f"{satellite}_OPER_MSI_{level}_DS_{strip}",
        sensed=f"{year}-{month}-{day}T{hour}:{minute}:{second}.024000Z",
    )


def levels(style: str) -> tuple[Level, ...]:
    return tuple(PRESETS[style].collections)


def entry(style: str, scene: Scene, files: dict[str, str] | None = None) -> dict[str, Any]:
    """An item of a provider, in a collection of that style's own."""
    return item_of(style, scene, files, flag=False) | {"collection": f"{style}-{scene.level.lower()}"}


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_files(write_files(tmp_path_factory.mktemp("assets"))) as server:
        yield server


@pytest.fixture(scope="module")
def api(assets: Server) -> Iterator[str]:
    skip_unless_there()
    entries = [entry(style, scene) for style in STYLES for level in levels(style) for scene in scenes(level)]
    # One more scene, in a collection of its own, whose files are really there.
    files = {band: f"{assets.url}/{FILES.get(band, f'missing-{band}.tif')}" for band in COMMON}
    entries.append(item_of("copernicus", SCENE, files) | {"collection": "real"})
    with stac_api(entries) as url:
        yield url


@pytest.fixture
def server(api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The API behind a proxy that can fail; pages are small, patience is short."""
    monkeypatch.setattr(_api, "_PAGE", PAGE)
    for name, value in {"MAX_RETRY": 2, "RETRY_DELAY": 0.01, "CONNECTTIMEOUT": 5, "LOW_SPEED_TIME": 5}.items():
        monkeypatch.setenv(f"GDAL_HTTP_{name}", f"{value}")
    with proxy(api) as running:
        yield running


def here(style: str, server: Server) -> Preset:
    collections = {level: f"{style}-{level.lower()}" for level in levels(style)}
    return dataclasses.replace(PRESETS[style], url=server.url, collections=collections)


def search(style: str, server: Server, level: Level = "L2A", **filters: Any) -> list[str]:
    found = preset_items(here(style, server), level=level, bbox=None, datetime=None, **filters)
    return sorted(item.properties["clearsight:index"] for item in found)


def indices(level: Level = "L2A") -> list[str]:
    return sorted(scene.index for scene in scenes(level))


def pages(server: Server) -> int:
    return sum("/search" in seen.path and seen.status == 200 for seen in server.seen)


@pytest.mark.parametrize(("style", "level"), [(style, level) for style in STYLES for level in levels(style)])
def test_every_item_is_found_page_by_page(server: Server, style: str, level: Level) -> None:
    assert search(style, server, level) == indices(level)
    assert pages(server) >= -(-len(indices(level)) // PAGE)


@pytest.mark.parametrize("style", STYLES)
def test_what_is_found_is_in_our_form(server: Server, style: str) -> None:
    found = preset_items(here(style, server), level="L2A", bbox=None, datetime="2023-06-25/2023-06-26")
    (item,) = found
    assert item.properties["clearsight:index"] == "20230625T234621_20230625T234624_T01WCP"
    assert item.properties["processing:version"] == "05.09"
    assert item.assets["B02"].extra_fields["raster:bands"][0]["scale"] == 0.0001
    assert item.assets["B02"].extra_fields["raster:bands"][0]["offset"] == pytest.approx(-0.1)


def test_place_and_time_are_the_servers_work(server: Server) -> None:
    preset = here("copernicus", server)
    assert preset_items(preset, level="L2A", bbox=(100, 0, 101, 1), datetime=None) == []
    inside = preset_items(preset, level="L2A", bbox=(13.05, 52.35, 13.06, 52.36), datetime=None)
    assert len(inside) == len(indices())
    years = preset_items(preset, level="L2A", bbox=None, datetime="2018-01-01/2019-12-31")
    assert sorted(item.properties["clearsight:index"][:4] for item in years) == ["2018", "2019", "2019"]


FAULTS: Final = {
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503},
    "truncate": {"kind": "truncate"},
    "reset": {"kind": "reset"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_mid_paging_that_passes_loses_nothing(server: Server, fault: str) -> None:
    server.fail(**FAULTS[fault], path="/search", after=2, times=1)
    assert search("earth-search", server) == indices()
    assert server.faults[0].times == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_goes_down_in_mid_paging_gives_one_clear_error(server: Server, fault: str) -> None:
    server.fail(**FAULTS[fault], path="/search", after=2)
    with pytest.raises(RemoteError) as caught:
        search("earth-search", server)
    told = str(caught.value)
    assert server.url in told
    assert "Nothing of a search" in told
    assert fault not in ("429", "500", "503") or fault in told
    assert caught.value.__context__ is None
    assert pages(server) >= 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_in_mid_paging_isnt_tried_again(server: Server, status: int) -> None:
    server.fail("status", status=status, path="/search", after=2)
    with pytest.raises(RemoteError, match=f"HTTP {status}"):
        search("copernicus", server)
    assert sum(seen.status == status for seen in server.seen) == 1


def test_retry_after_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    server.fail("status", status=429, headers={"Retry-After": "9"}, path="/search", times=1)
    server.fail("status", status=503, headers={"Retry-After": "86400"}, path="/search", times=1)
    assert search("planetary-computer", server) == indices()
    assert waited == [9, 120]


def test_a_server_that_stays_silent_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "1")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")
    server.fail("hang", path="/search", after=1)
    begin = time.monotonic()
    with pytest.raises(RemoteError, match="timed out"):
        search("earth-search", server)
    assert time.monotonic() - begin < 20, "the silence of a second is waited for much longer"


def test_from_the_catalogue_to_values(server: Server, assets: Server) -> None:
    """Found by the API, read by ranges over HTTP: the values of the files on disk."""
    (item,) = clearsight.search(server.url, collection="real")
    assert item.properties["clearsight:index"] == SCENE.index
    found = clearsight.load([item], bands=list(FILES))
    near = scene_item({band: f"{assets.url}/{name}" for band, name in FILES.items()})
    expected = clearsight.load([near], bands=list(FILES))
    for band in FILES:
        np.testing.assert_array_equal(found[band], expected[band])
        assert float(found[band].min()) == pytest.approx(0.02, abs=1e-6)  # the lowest DN is 1200


def test_the_products_are_real() -> None:
    if not METADATA.exists():
        pytest.skip("no real metadata beside the checkout (../shared/data/safe_metadata)")
    texts = [path.read_text(errors="replace") for path in METADATA.rglob("*.xml")]
    known = {}
    for text in texts:
        name = re.search(r"<PRODUCT_URI>(\w+)\.SAFE<", text)
        strip = re.search(r'datastripIdentifier="S2._OPER_MSI_L.._DS_([^"]+)"', text)
        if name and strip:
            known[name[1]] = strip[1]
    assert PRODUCTS.items() <= known.items()
