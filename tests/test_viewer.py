"""The map's server: what it shows agrees with the library, and nobody gets more than that."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.errors
from hypothesis import given
from hypothesis import strategies as st

import clearsight
from clearsight import demo
from clearsight.errors import ArgumentError, ClearsightError
from clearsight.pictures import true_colour
from clearsight.product import decode

pytest.importorskip("starlette", reason="the extra view isn't installed")
pytest.importorskip("rio_tiler", reason="the extra view isn't installed")

from starlette.testclient import TestClient

from clearsight.viewer import Viewer, view
from clearsight.viewer.app import PAGE, make_app
from clearsight.viewer.chunks import Chunks, MapTile, Shelf, _Locks, _positions
from clearsight.viewer.drawing import PALETTE, composed, draw, png
from clearsight.viewer.guard import Gate
from clearsight.viewer.library import Library, open_library
from clearsight.viewer.looks import Look, read_look
from clearsight.viewer.server import Door, address, listen

WEB = Path(__file__).parents[1] / "web"
STATIC = Path(clearsight.__file__).parent / "viewer" / "static"


@pytest.fixture(scope="session")
def library(season: demo.Demo) -> Library:
    return open_library(season.files["scores"].parent, imagery=season.files["products"])


@pytest.fixture(scope="session")
def chunks(library: Library) -> Chunks:
    return Chunks(library)


@pytest.fixture(scope="session")
def client(library: Library) -> TestClient:
    return TestClient(make_app(library), base_url="http://127.0.0.1:8765", raise_server_exceptions=False)


@pytest.fixture
def tile(library: Library) -> MapTile:
    return tile_at(library, 13)


def tile_at(library: Library, z: int) -> MapTile:
    west, south, east, north = library.bbox
    lon, lat = (west + east) / 2, math.radians((south + north) / 2)
    x = int((lon + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(lat)) / math.pi) / 2 * 2**z)
    return MapTile(z, x, y)


def picture(content: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        # A picture has no place on the earth.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(io.BytesIO(content)) as file:
            return np.moveaxis(file.read(), 0, -1)


def path_of(kind: str, tile: MapTile, **query: object) -> str:
    return f"/tiles/{kind}/{tile.z}/{tile.x}/{tile.y}.png?" + "&".join(f"{key}={query[key]}" for key in query)


# What is shown is what the library computes


def test_the_library_prefers_surface_reflectance_and_knows_every_date(library, season):
    assert len(library.frames) == season.dates
    assert {scene.item.properties["processing:level"] for scene in library.scenes.values()} == {"L2A"}
    assert [frame.time for frame in library.frames.values()] == sorted(frame.time for frame in library.frames.values())


def test_without_a_folder_the_images_that_were_scored_are_found(season):
    found = open_library(season.files["scores"].parent)
    assert {scene.item.properties["processing:level"] for scene in found.scenes.values()} == {"L1C"}
    assert found.notes == ()


def test_without_imagery_the_scores_are_shown_alone(season, tmp_path):
    shutil.copytree(season.files["scores"].parent, tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("2*.json"):
        path.write_text(path.read_text().replace(str(season.files["products"]), "/nowhere"))
    alone = open_library(tmp_path / "moved")
    assert alone.bands == ()
    assert len(alone.notes) == len(alone.frames)
    asker = TestClient(make_app(alone), base_url="http://localhost")
    frame = next(iter(alone.frames))
    shown = picture(asker.get(path_of("score", tile_at(alone, 13), frame=frame)).content)
    assert (shown[..., 3] == 255).any()
    refused = asker.get(path_of("composite", tile_at(alone, 13)))
    assert refused.status_code == 400
    assert "--imagery" in refused.json()["error"]
    west, south, east, north = alone.bbox
    pixel = asker.get(f"/api/pixel?lon={(west + east) / 2}&lat={(south + north) / 2}").json()
    assert pixel["bands"] == []
    assert all(row["cs"] is not None for row in pixel["series"])


def test_clear_shares_are_those_of_the_scores(library):
    for frame in library.frames.values():
        with rasterio.open(frame.scenes[0].score.assets["scores"].get_absolute_href()) as file:
            cs, cdf = (decode(band) for band in file.read())
        for name, score in (("cs", cs), ("cs_cdf", cdf)):
            expected = (score[np.isfinite(score)] >= 0.6 - 1e-6).mean()
            assert frame.clear_share(name, 0.6) == pytest.approx(expected)


@pytest.mark.parametrize("z", [11, 13, 16])
def test_a_map_pixel_is_projected_within_a_tenth_of_a_pixel(library, z):
    from pyproj import Transformer

    box = tile_at(library, z).geobox()
    grid = next(iter(library.grids.values()))
    rows, columns = _positions(grid, box)
    for row, column in np.random.default_rng(1).integers(0, 512, (40, 2)):
        there, back = box.transform, ~grid.transform
        x, y = there.c + there.a * (column + 0.5), there.f + there.e * (row + 0.5)
        x, y = Transformer.from_crs("EPSG:3857", str(grid.crs), always_xy=True).transform(x, y)
        exact = back.c + back.a * x, back.f + back.e * y
        assert abs(exact[0] - columns[row, column] - 0.5) <= 0.6
        assert abs(exact[1] - rows[row, column] - 0.5) <= 0.6


def test_the_live_composite_is_the_composite_of_the_native_pixels(library, chunks):
    """At native zoom a map pixel shows a native pixel: the map's composite is the package's, gathered."""
    box = tile_at(library, 14).geobox()
    items = [scene.item for scene in library.scenes.values()]
    stack = clearsight.load(items, bands=["B04", "B03", "B02", "cs_cdf"])
    native = clearsight.composite(clearsight.keep_clear(stack, by="cs_cdf", threshold=0.7))
    image = composed(Look(threshold=0.7), box, chunks)
    rows, columns = _positions(next(iter(library.grids.values())), box)
    inside = (rows >= 0) & (rows < native.sizes["y"]) & (columns >= 0) & (columns < native.sizes["x"])
    assert inside.any()
    for name in ("B04", "B03", "B02"):
        expected = np.full(box.shape, np.nan, np.float32)
        expected[inside] = native[name].values[rows[inside], columns[inside]]
        np.testing.assert_allclose(image[name].values, expected, atol=1.1e-4)


@pytest.mark.parametrize("method", ["median", "mean", "weighted_mean", "percentile", "geomedian", "medoid", "best"])
def test_every_method_can_be_shown(library, chunks, method):
    shown = draw(Look(method=method, by="cs"), MapTile(13, *_xy(library, 13)).geobox(64), chunks)
    assert (shown[..., 3] == 255).any()


def _xy(library: Library, z: int) -> tuple[int, int]:
    tile = tile_at(library, z)
    return tile.x, tile.y


def test_a_score_has_the_palettes_colours(client, library, tile, chunks):
    frame = list(library.frames.values())[3]
    shown = picture(client.get(path_of("score", tile, frame=frame.id, by="cs")).content)
    stored = chunks.stack(tile.geobox(), [frame], "cs")[0]
    seen = stored != 255
    assert seen.any()
    assert (shown[..., 3][~seen] == 0).all()
    index = np.rint(decode(stored)[seen] * 255).astype(int)
    assert (shown[seen] == PALETTE[index]).all()


def test_palette_grows_lighter_in_even_steps():
    light = PALETTE[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > -0.5).all()
    assert light[-1] - light[0] > 150


def test_a_masked_scene_is_the_scene_where_it_scores_well(client, library, tile, chunks):
    frame = list(library.frames.values())[5]
    query = {"frame": frame.id, "by": "cs", "threshold": 0.65}
    whole, masked = (picture(client.get(path_of(kind, tile, **query)).content) for kind in ("scene", "masked"))
    score = decode(chunks.stack(tile.geobox(), [frame], "cs")[0])
    kept = (whole[..., 3] == 255) & (score >= 0.65 - 1e-6)
    assert kept.any()
    assert not kept.all()
    assert (masked[..., 3] == np.where(kept, 255, 0)).all()
    assert (masked[kept] == whole[kept]).all()


def test_a_stretch_and_other_bands_change_the_picture(client, library, tile):
    frame = max(library.frames.values(), key=lambda frame: frame.clear_share("cs", 0.6)).id
    pictures = {
        client.get(path_of("scene", tile, frame=frame, **query)).content
        for query in ({}, {"high": 4000}, {"bands": "B08,B04,B03"}, {"bands": "B11"})
    }
    assert len(pictures) == 4


def test_far_out_and_far_in_there_is_a_picture_and_elsewhere_nothing(client, library):
    for z in (6, 10, 17):
        assert (picture(client.get(path_of("composite", tile_at(library, z))).content)[..., 3] > 0).any(), z
    assert (picture(client.get("/tiles/composite/10/3/3.png").content)[..., 3] == 0).all()


def test_a_higher_threshold_takes_fewer_dates(client, library, tile):
    counts = [
        picture(client.get(path_of("count", tile, threshold=threshold)).content)[..., :3].astype(int).sum()
        for threshold in (0.2, 0.6, 0.95)
    ]
    assert len(set(counts)) == 3


def test_the_dates_of_a_composite_can_be_chosen(library, chunks):
    frames = list(library.frames.values())
    box = tile_at(library, 13).geobox(64)
    look = Look(threshold=0, start=frames[4].time.date(), end=frames[4].time.date())
    scene = draw(Look(kind="scene", frame=frames[4]), box, chunks)
    assert look.frames(library) == [frames[4]]
    assert (draw(look, box, chunks) == scene).all()
    assert draw(replace(look, start=look.end, end=frames[0].time.date()), box, chunks)[..., 3].max() == 0


def test_a_pixels_history_is_what_load_reads(client, library):
    west, south, east, north = library.bbox
    lon, lat = (west + east) / 2 + 0.001, (south + north) / 2
    told = client.get(f"/api/pixel?lon={lon}&lat={lat}").json()
    items = [scene.item for scene in library.scenes.values()]
    stack = clearsight.load(items, bands=["B04", "cs", "cs_cdf"], bbox=(lon - 1e-9, lat - 1e-9, lon + 1e-9, lat + 1e-9))
    assert stack.sizes["x"] == stack.sizes["y"] == 1
    assert len(told["series"]) == len(items)
    for name in ("B04", "cs", "cs_cdf"):
        shown = [math.nan if row[name] is None else row[name] for row in told["series"]]
        np.testing.assert_allclose(shown, stack[name].values.ravel(), atol=1e-4)


def test_a_download_is_the_composite_of_the_area(client, library):
    west, south, east, north = library.bbox
    inside = (
        f"{west * 0.6 + east * 0.4},{south * 0.6 + north * 0.4},{west * 0.4 + east * 0.6},{south * 0.4 + north * 0.6}"
    )
    answer = client.get(f"/api/download?bbox={inside}&threshold=0.55&by=cs&bands=B04,B03,B02")
    assert answer.headers["content-disposition"] == 'attachment; filename="clearsight_median_cs_055.tif"'
    with rasterio.open(io.BytesIO(answer.content)) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.descriptions == ("B04", "B03", "B02", "count")
        red, bounds = file.read(1, masked=True) * file.scales[0], file.bounds
    items = [scene.item for scene in library.scenes.values()]
    stack = clearsight.load(items, bands=["B04", "cs"])
    stack = stack.sel(x=slice(bounds.left, bounds.right), y=slice(bounds.top, bounds.bottom))
    expected = clearsight.composite(stack, by="cs", threshold=0.55).B04.values
    np.testing.assert_allclose(red.filled(np.nan), expected, atol=6e-5)


def test_properties_are_those_of_the_scene(client, library):
    scene = next(iter(library.scenes.values()))
    told = client.get(f"/api/properties/{scene.index}").json()
    assert told["image"] == scene.item.id
    assert told["properties"]["MODEL_VERSION"] == scene.score.properties["MODEL_VERSION"]


def test_the_catalogue_tells_what_the_page_needs(client, library):
    told = client.get("/api/catalogue").json()
    assert [frame["id"] for frame in told["frames"]] == list(library.frames)
    for frame in told["frames"]:
        for shares in frame["clear"].values():
            assert len(shares) == 101
            assert shares == sorted(shares, reverse=True)
            assert shares[0] == 1000


def test_a_picture_keeps_its_values_and_leaves_the_filters_of_warnings_alone(monkeypatch):
    """Tiles are drawn in threads, and `warnings.catch_warnings` changes the whole process: some tiles failed."""
    rgba = np.random.default_rng(3).integers(0, 256, (9, 7, 4), np.uint8)
    monkeypatch.setattr(warnings, "catch_warnings", None)
    content = png(rgba)
    monkeypatch.undo()
    np.testing.assert_array_equal(picture(content), rgba)


# What is kept in memory


def test_another_threshold_reads_nothing_again(library):
    fresh = Chunks(library)
    box = tile_at(library, 13).geobox(128)
    draw(Look(threshold=0.5), box, fresh)
    before = fresh.reads
    draw(Look(threshold=0.8), box, fresh)
    draw(Look(threshold=0.8, method="mean"), box, fresh)
    assert fresh.reads == before > 0


def test_zooming_in_decodes_nothing_again(library):
    # Small pictures keep it quick: with 64 pixels zoom 16 is as fine as a whole tile of 13, in the native grid.
    fresh = Chunks(library)
    draw(Look(), tile_at(library, 16).geobox(64), fresh)
    before = fresh.reads
    draw(Look(), tile_at(library, 17).geobox(64), fresh)
    draw(Look(), tile_at(library, 18).geobox(64), fresh)
    assert fresh.reads == before > 0


def test_from_far_out_each_coarser_grid_is_read_once(library):
    fresh, reads = Chunks(library), []
    for z in (16, 14, 13, 14, 16):
        draw(Look(), tile_at(library, z).geobox(64), fresh)
        reads.append(fresh.reads)
    assert reads == [reads[0], 2 * reads[0], 3 * reads[0], 3 * reads[0], 3 * reads[0]]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60)), max_size=40))
def test_a_shelf_never_holds_more_than_its_budget(puts):
    shelf = Shelf(100)
    for key, size in puts:
        shelf.put(key, np.zeros(size, np.uint8))
        held = shelf.get(key)
        assert held is not None
        assert held.size == size
        assert shelf.size <= 100


def test_a_stack_never_waits_for_itself(library, monkeypatch):
    """A stack's lock and a piece's lock were one and the same whenever their hashes met."""
    monkeypatch.setattr(_Locks, "of", lambda self, key: self._locks[0])
    fresh = Chunks(library)
    done = threading.Event()

    def work() -> None:
        draw(Look(), tile_at(library, 13).geobox(64), fresh)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(60)


# Who may ask for what


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2Fapp.py",
        "/static/%2e%2e/%2e%2e/pyproject.toml",
        "/static//etc/passwd",
        "/static/",
        "/static/sources.json",
        "/../../etc/passwd",
        "/api/properties/..%2F..%2Fcollection.json",
        "/api/properties/%2Fetc%2Fpasswd",
        "/tiles/../../etc/13/0/0.png",
        "/tiles/scene/13/0/0.png?frame=../../collection",
        "/tiles/scene/13/0/0.png?frame=%2Fetc%2Fpasswd",
        "/tiles/scene/13/0/0.png",
        "/api/download?bbox=1,2,3,4&bands=../../x",
    ],
)
def test_no_path_leads_out_of_the_archive(client, path):
    answer = client.get(path)
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
    assert "Traceback" not in answer.text


@given(st.text(min_size=1, max_size=80))
def test_only_known_ids_are_found(library, text):
    if text not in library.frames:
        with pytest.raises(ArgumentError, match="frame="):
            read_look("scene", {"frame": text}, library)


@pytest.mark.parametrize(
    "query",
    [
        {"threshold": "2"},
        {"threshold": "nan"},
        {"threshold": "x" * 900},
        {"by": "rm -rf"},
        {"method": "exec"},
        {"bands": "B04,B03"},
        {"bands": "B99"},
        {"low": "3000", "high": "2000"},
        {"start": "yesterday"},
    ],
)
def test_what_is_asked_is_checked(client, tile, query):
    answer = client.get(path_of("composite", tile, **query))
    assert answer.status_code == 400
    assert len(answer.json()["error"]) < 400


@pytest.mark.parametrize("place", ["19/0/0", "3/8/0", "3/0/8", "99999999999/0/0"])
def test_tiles_are_as_many_as_the_map_has(client, place):
    assert client.get(f"/tiles/composite/{place}.png").status_code == 400


def test_a_tile_is_never_larger_than_its_size(client, tile):
    answer = client.get(path_of("composite", tile, size=100000, tilesize=100000))
    assert picture(answer.content).shape == (512, 512, 4)


def test_a_download_is_bounded(library, monkeypatch):
    monkeypatch.setattr("clearsight.viewer.app.LARGEST", 1000)
    asker = TestClient(make_app(library), base_url="http://localhost")
    answer = asker.get("/api/download?bbox=" + ",".join(map(str, library.bbox)))
    assert answer.status_code == 400
    assert "clearsight composite" in answer.json()["error"]
    assert asker.get("/api/download?bbox=1,1,2,2").status_code == 400
    assert asker.get("/api/download?bbox=1,1").status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""])
def test_a_foreign_name_is_refused(client, host):
    assert client.get("/api/catalogue", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_names_of_this_machine_are_served(client, host):
    assert client.get("/api/catalogue", headers={"host": host}).status_code == 200


def test_other_sites_cannot_make_the_server_work(client):
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/api/catalogue", headers=foreign).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200


def test_only_reading_is_possible(client):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/api/catalogue").status_code == 405
    assert client.get("/api/pixel?" + "x" * 3000).status_code == 414


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/catalogue", "/nowhere", "/tiles/composite/99/0/0.png"])
def test_every_answer_has_its_headers(client, path):
    headers = client.get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_a_failure_tells_nothing_of_the_machine(library, monkeypatch):
    def fail(*unused: object) -> None:
        raise RuntimeError("secret /home/me/key")

    monkeypatch.setattr("clearsight.viewer.app.draw", fail)
    asker = TestClient(make_app(library), base_url="http://localhost", raise_server_exceptions=False)
    answer = asker.get(path_of("composite", tile_at(library, 13)))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_may_run_nothing_inline():
    page = (STATIC / "index.html").read_text()
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script type="module" src=')
    assert 'href="/' not in page
    assert 'src="/' not in page


# How much at once


def test_fifty_tiles_at_once(season):
    with view(season.files["scores"].parent, imagery=season.files["products"]) as viewer:
        import httpx

        catalogue = httpx.get(viewer.url + "api/catalogue").json()
        west, south, east, north = catalogue["bbox"]
        side = 2**14
        x, y = int(((west + east) / 2 + 180) / 360 * side), tile_y((south + north) / 2, side)
        paths = [
            f"tiles/composite/14/{x + i % 2}/{y + i // 2 % 2}.png?threshold={0.3 + i / 100:.2f}" for i in range(50)
        ]
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda path: httpx.get(viewer.url + path, timeout=120), paths))
        assert [answer.status_code for answer in answers] == [200] * 50
        assert httpx.get(viewer.url).status_code == 200


def tile_y(lat: float, side: int) -> int:
    return int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * side)


def test_a_gate_lets_few_in_and_turns_many_away():
    import anyio

    from clearsight.viewer.guard import BusyError

    async def crowd() -> tuple[int, int]:
        gate, refused = Gate(running=2, waiting=5), 0

        async def one() -> None:
            nonlocal refused
            try:
                async with gate:
                    await anyio.sleep(0.01)
            except BusyError:
                refused += 1

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        return gate.most, refused

    most, refused = anyio.run(crowd)
    assert most == 2
    assert refused > 0


def test_too_many_requests_are_told_so(library):
    app = make_app(library)
    app._app.state.site.drawing.waiting = 0
    answer = TestClient(app, base_url="http://localhost").get(path_of("composite", tile_at(library, 13)))
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


# Where it is served


def test_a_prefix_works_whether_a_proxy_takes_it_off_or_not(library):
    app = make_app(library, base_path="/user/me/proxy/8765/", hosts=["hub.example"])
    asker = TestClient(app, base_url="https://hub.example")
    for prefix in ("", "/user/me/proxy/8765"):
        assert asker.get(f"{prefix}/").status_code == 200
        assert asker.get(f"{prefix}/api/catalogue").json()["title"] == library.title
    assert asker.get("/user/other/api/catalogue").status_code == 404


def test_it_listens_to_this_machine_only():
    with listen(Door()) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        assert address(listener).startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_told():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ArgumentError, match="choose another"):
            listen(Door(port=taken.getsockname()[1]))


@pytest.mark.parametrize("wrong", [{"port": 70000}, {"base_path": "x\r\ny"}, {"allowed_hosts": ("a b",)}])
def test_a_door_is_checked(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Door(**wrong)


def test_in_a_notebook_it_shows_itself(season):
    with clearsight.view(season.files["scores"].parent) as viewer:
        assert isinstance(viewer, Viewer)
        assert viewer.url in viewer._repr_html_()
        import httpx

        answer = httpx.get(viewer.url)
        assert answer.status_code == 200
        assert "http://localhost:*" in answer.headers["content-security-policy"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(viewer.url)


def test_what_is_no_archive_is_told(tmp_path, season):
    with pytest.raises(ArgumentError, match=r"collection\.json"):
        open_library(tmp_path)
    empty = tmp_path / "catalog.json"
    empty.write_text('{"type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x", "links": []}')
    with pytest.raises(ArgumentError, match="clearsight score"):
        open_library(tmp_path)
    with pytest.raises(ClearsightError):
        open_library(season.files["scores"].parent, imagery=tmp_path / "nothing")


# The page that is shipped is the page in web/


def test_the_bundle_is_built_from_these_sources():
    if not WEB.is_dir():
        pytest.skip("the page's sources aren't here")
    told = json.loads((STATIC / "sources.json").read_text())
    there = {
        name: hashlib.sha256((WEB / name).read_bytes()).hexdigest()
        for name in [*told, *(f"src/{path.name}" for path in (WEB / "src").iterdir())]
    }
    assert told == there, "run: cd web && npm ci && npm run build"
    for name, _ in PAGE.values():
        assert (STATIC / name).stat().st_size > 0
    assert "BSD 2-Clause" in (STATIC / "LICENCES.txt").read_text()


def test_true_colour_of_the_composite_is_the_tile(client, library, chunks, tile):
    shown = picture(client.get(path_of("composite", tile)).content)
    expected = true_colour(composed(Look(), tile.geobox(), chunks), display=(0.0, 0.25))
    seen = expected[..., 3] > 0
    assert (shown[seen] == expected[seen]).all()
