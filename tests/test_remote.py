"""Files over HTTP: windows by range, faults that end in success or in one clear error, secrets that stay secret."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import requests
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import clearsight
from clearsight.errors import ProductError, RemoteError
from clearsight.scene import native_geobox
from clearsight.sources import _http, _remote, _secrets, _stores
from remote_scene import FAR, FILES, SIDE, scene_item, write_files
from servers import Answer, Server, file_answer, free_port, serve_answers, serve_files

WHOLE = ("B02", "B03")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("remote"))


@pytest.fixture(scope="session")
def expected(folder: Path) -> dict[str, np.ndarray]:
    """Values of the files on disk."""
    return {band: values(near(folder), band) for band in FILES}


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    # A server's port, and with it the address of a file, is new each time: nothing comes from GDAL's memory.
    with serve_files(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more tries, at once; silence of a second is enough (GDAL counts in whole seconds)."""
    for name, value in {"MAX_RETRY": 2, "RETRY_DELAY": 0.02, "CONNECTTIMEOUT": 2, "LOW_SPEED_TIME": 1}.items():
        monkeypatch.setenv(f"GDAL_HTTP_{name}", f"{value}")


def at(server: Server, query: str = "") -> pystac.Item:
    return scene_item({band: f"{server.url}/{name}{query}" for band, name in FILES.items()})


def near(folder: Path) -> pystac.Item:
    return scene_item({band: str(folder / name) for band, name in FILES.items()})


def far_window(item: pystac.Item) -> GeoBox:
    rows, columns = (slice(*FAR[side]) for side in ("rows", "columns"))
    return native_geobox(item)[rows, columns]


def values(item: pystac.Item, band: str, **grid: Any) -> np.ndarray:
    return clearsight.load([item], bands=[band], **grid)[band].values


@pytest.mark.parametrize("band", WHOLE)
def test_values_over_http_are_those_of_the_file(server: Server, expected: dict[str, np.ndarray], band: str) -> None:
    assert np.isfinite(expected[band]).all()
    np.testing.assert_array_equal(values(at(server), band), expected[band])


@pytest.mark.parametrize("band", WHOLE)
def test_a_window_doesnt_fetch_the_file(server: Server, folder: Path, band: str, report: Callable[[str], None]) -> None:
    window = far_window(near(folder))
    expected = values(near(folder), band, geobox=window)
    np.testing.assert_array_equal(values(at(server), band, geobox=window), expected)
    size = (folder / FILES[band]).stat().st_size
    share = server.sent(FILES[band]) / size
    report(f"a 60 x 60 window of {SIDE} x {SIDE} over HTTP, {FILES[band]}: {len(server.seen)} requests, {share:.0%}")
    assert share < 0.25
    assert all(seen.method == "HEAD" or "range" in seen.headers for seen in server.seen)
    assert not [seen for seen in server.seen if FILES[band] not in seen.path], "companions of a file are searched for"


@pytest.mark.parametrize(("band", "after"), [("B02", 0), ("B03", 1), ("B03", 2)])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
        {"kind": "status", "status": 503},
        {"kind": "truncate"},
        {"kind": "reset"},
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}",
)
def test_a_fault_that_passes_leaves_no_trace(
    server: Server, expected: dict[str, np.ndarray], band: str, after: int, fault: dict[str, Any]
) -> None:
    server.fail(**fault, after=after, times=1)
    np.testing.assert_array_equal(values(at(server), band), expected[band])
    assert server.faults[0].times == 0


@pytest.mark.parametrize("after", [0, 2])
def test_a_server_that_hangs_once_is_asked_again(server: Server, expected: dict[str, np.ndarray], after: int) -> None:
    server.fail("hang", after=after, times=1)
    begin = time.monotonic()
    np.testing.assert_array_equal(values(at(server), "B03"), expected["B03"])
    assert time.monotonic() - begin < 20, "the silence of a second is waited for much longer"


@pytest.mark.parametrize(("band", "after"), [("B02", 0), ("B03", 2)])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 403}, r"403.*credentials"),
        ({"kind": "status", "status": 404}, r"404.*isn't there"),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "0"}}, r"429.*later"),
        ({"kind": "status", "status": 500}, r"500.*later"),
        ({"kind": "truncate", "methods": ("GET",)}, r"truncated|corrupt|broken"),
        ({"kind": "reset"}, r"later"),
    ],
    ids=lambda part: f"{part['kind']}{part.get('status', '')}" if isinstance(part, dict) else "",
)
def test_a_fault_that_stays_is_one_clear_error(
    server: Server, band: str, after: int, fault: dict[str, Any], reason: str
) -> None:
    server.fail(**fault, after=after)
    item = at(server)
    with pytest.raises(RemoteError) as caught:
        values(item, band)
    told = str(caught.value)
    assert item.id in told
    assert f"'{band}'" in told
    assert FILES[band] in told
    assert re.search(reason, told), told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "\n" not in told


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_refused_isnt_asked_for_again(server: Server, status: int) -> None:
    server.fail("status", status=status)
    with pytest.raises(RemoteError, match=f"{status}"):
        values(at(server), "B02")
    assert len(server.seen) == 1


def test_a_server_that_stays_silent_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")
    server.fail("hang")
    begin = time.monotonic()
    with pytest.raises(RemoteError, match=r"B02.*(slow|timed out).*tried 2 times"):
        values(at(server), "B02")
    assert time.monotonic() - begin < 15


def test_no_server_at_all() -> None:
    item = scene_item({"B02": f"http://127.0.0.1:{free_port()}/B02.tif"})
    with pytest.raises(RemoteError, match=r"'B02'.*127\.0\.0\.1.*tried 3 times"):
        values(item, "B02")


def test_retry_after_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL's own tries are over; then the server's wish counts, not our pause."""
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")
    waited: list[float] = []
    monkeypatch.setattr(_remote.time, "sleep", waited.append)
    server.fail("status", status=429, headers={"Retry-After": "17"}, after=1)
    with pytest.raises(RemoteError, match="429"):
        values(at(server), "B02")
    assert waited == [17]


def test_retry_after_of_hours_is_cut(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")
    waited: list[float] = []
    monkeypatch.setattr(_remote.time, "sleep", waited.append)
    server.fail("status", status=503, headers={"Retry-After": "86400"}, after=1)
    with pytest.raises(RemoteError, match="503"):
        values(at(server), "B02")
    assert waited == [120]


def test_the_users_patience_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "9")
    assert _http.patience().retries == 9
    with rasterio.Env(GDAL_HTTP_MAX_RETRY=4, GDAL_HTTP_RETRY_DELAY="0.25"):
        assert dataclasses.astuple(_http.patience())[:2] == (4, 0.25)
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "many")
    assert _http.patience().retries == _http.Patience().retries


def test_a_file_truncated_on_the_server_is_an_error(folder: Path, tmp_path: Path) -> None:
    for name in FILES.values():
        content = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    with serve_files(tmp_path) as server:
        for band in FILES:
            with pytest.raises(RemoteError, match=f"'{band}'"):
                values(at(server), band)


@pytest.mark.parametrize("keep", [0.3, 0.95])
def test_a_truncated_jpeg_2000_on_disk_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: float
) -> None:
    """With threads of its own, GDAL loses the decoder's errors and returns zeros for what is missing."""
    monkeypatch.setenv("GDAL_NUM_THREADS", "4")
    content = (folder / "B03.jp2").read_bytes()
    (tmp_path / "B03.jp2").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ProductError, match="truncated"):
        values(scene_item({"B03": str(tmp_path / "B03.jp2")}), "B03")


def test_settings_of_the_user_win(server: Server, expected: dict[str, np.ndarray]) -> None:
    with rasterio.Env(GDAL_HTTP_HEADERS="Authorization: Bearer user-token-1", GDAL_HTTP_USERAGENT="mine/1"):
        np.testing.assert_array_equal(values(at(server), "B02"), expected["B02"])
    assert {seen.headers["user-agent"] for seen in server.seen} == {"mine/1"}
    assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer user-token-1"}


SIGNED = "?se=2026-01-01&sp=r&sig=SeCrEt%2Bsignature%3D"


@pytest.mark.parametrize(
    ("fault", "after"), [("none", 0), ("truncate", 0), ("truncate", 2), ("reset", 0), ("503", 2), ("403", 0)]
)
def test_a_signature_is_nowhere_to_be_read(
    server: Server,
    fault: str,
    after: int,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if fault.isdigit():
        server.fail("status", status=int(fault), after=after)
    elif fault != "none":
        server.fail(fault, after=after)  # type: ignore[arg-type]
    told = ""
    with caplog.at_level(logging.DEBUG):
        try:
            values(at(server, SIGNED), "B03")
        except RemoteError as error:
            told = str(error)
    assert all(SIGNED in seen.path for seen in server.seen)
    assert (told != "") == (fault != "none")
    streams = capfd.readouterr()
    for text in (told, caplog.text, streams.out, streams.err):
        assert "SeCrEt" not in text
        assert "signature%3D" not in text
    assert not told or "sig=***" in told


def test_keys_of_s3_are_nowhere_to_be_read(
    folder: Path,
    expected: dict[str, np.ndarray],
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The server stands for an S3 that is addressed by path; it doesn't check signatures, GDAL sends them."""
    keys = {
        "AWS_ACCESS_KEY_ID": "AKIDsEcReT",
        "AWS_SECRET_ACCESS_KEY": "wholly+sEcReT/key",
        "AWS_SESSION_TOKEN": "session-sEcReT",
    }
    place = {"AWS_S3_ENDPOINT": server.url.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
    for name, value in (keys | place).items():
        monkeypatch.setenv(name, value)
    item = scene_item({"B02": "s3://bucket/B02.tif"})
    (folder / "bucket").mkdir(exist_ok=True)
    (folder / "bucket" / "B02.tif").write_bytes((folder / "B02.tif").read_bytes())
    with caplog.at_level(logging.DEBUG):
        np.testing.assert_array_equal(values(item, "B02"), expected["B02"])
        assert any("AKIDsEcReT" in seen.headers.get("authorization", "") for seen in server.seen)
        server.fail("status", status=403)
        other = scene_item({"B02": "s3://bucket/other.tif"})
        with pytest.raises(RemoteError, match=r"'B02'.*s3://bucket/other.tif.*credentials") as caught:
            values(other, "B02")
    streams = capfd.readouterr()
    for text in (str(caught.value), caplog.text, streams.out, streams.err):
        assert "sEcReT" not in text


@pytest.fixture
def signer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server in Planetary Computer's place: gives signatures, and files only to those who show one."""
    given: list[str] = []

    def answer(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if path == "/api/sas/v1/token/sentinel2l2a01/sentinel2-l2":
            assert headers["ocp-apim-subscription-key"] == "sub-sEcReT"
            given.append(f"se=2099-01-01&sp=r&sig=sEcReT{len(given)}")
            return Answer(200, {}, json.dumps({"msft:expiry": "2099-01-01T00:00:00Z", "token": given[-1]}).encode())
        name, _, query = path.partition("?")
        if query not in given:
            return Answer(403, {}, b"Signature did not match")
        return file_answer(folder, name.removeprefix("/sentinel2l2a01/sentinel2-l2"), headers)

    with serve_answers(answer) as running:
        place = dataclasses.replace(
            _stores.PLANETARY_COMPUTER,
            addresses=rf"^{running.url}/(?P<account>[a-z0-9]+)/(?P<container>[^/]+)/",
            signing=f"{running.url}/api/sas/v1/token/{{account}}/{{container}}",
        )
        monkeypatch.setattr(_stores, "STORES", (place,))
        monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "sub-sEcReT")
        yield running


def test_planetary_computer_is_read_with_one_signature(
    signer: Server, expected: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    place = f"{signer.url}/sentinel2l2a01/sentinel2-l2"
    item = scene_item({band: f"{place}/{name}" for band, name in FILES.items()}, provider="planetary-computer")
    signer.fail("status", status=429, headers={"Retry-After": "0"}, path="/token/", times=1)
    with caplog.at_level(logging.DEBUG):
        stack = clearsight.load([item], bands=list(FILES))
    for band in FILES:
        np.testing.assert_array_equal(stack[band].values, expected[band])
    assert [seen.status for seen in signer.seen if "/token/" in seen.path] == [429, 200]
    assert all("sig=" in seen.path for seen in signer.seen if "/token/" not in seen.path)
    assert "sEcReT" not in caplog.text + repr(item.to_dict())


def test_a_signature_that_isnt_given_is_told(signer: Server) -> None:
    item = scene_item({"B02": f"{signer.url}/sentinel2l2a01/sentinel2-l2/B02.tif"}, provider="planetary-computer")
    signer.fail("status", status=503, path="/token/")
    with pytest.raises(RemoteError, match=rf"{item.id}.*'B02'.*the signature .*/token/.*503"):
        values(item, "B02")
    signer.faults.clear()
    signer.fail("status", status=403, path="B02")
    with pytest.raises(RemoteError, match=r"403.*fresh signature") as caught:
        values(item, "B02")
    assert "sEcReT" not in str(caught.value)


def test_headers_of_a_catalogue_are_nowhere_to_be_read(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        reader = _http.api_io(headers={"Authorization": "Bearer sEcReT-token", "X-Api-Key": "sEcReT"})
        with pytest.raises(RemoteError, match="404") as caught:
            reader.read_json(f"{server.url}/nothing.json?token=sEcReT&limit=3")
    assert server.seen[0].headers["authorization"] == "Bearer sEcReT-token"
    assert server.seen[0].path == "/nothing.json?token=sEcReT&limit=3"
    assert "sEcReT" not in str(caught.value) + caplog.text
    assert "nothing.json?token=***&limit=3" in str(caught.value)
    assert "nothing.json" in caplog.text


NAMES = st.sampled_from(["sig", "X-Amz-Signature", "X-Goog-Credential", "AWSAccessKeyId", "access_token", "api_key"])
WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789%+/=.-_~", min_size=6, max_size=40).map("Qq".__add__)


@given(NAMES, WORDS, st.sampled_from(["?", "?a=1&", "/x?se=2&"]), st.sampled_from(["", "&b=2", " failed", "' not"]))
def test_no_parameter_that_authorises_survives(name: str, word: str, before: str, behind: str) -> None:
    told = _secrets.redacted(f"https://host/B02.tif{before}{name}={word}{behind}")
    assert word not in told
    assert told == f"https://host/B02.tif{before}{name}=***{behind}"
    assert _secrets.redacted(told) == told


@given(WORDS, WORDS)
def test_no_password_survives(user: str, word: str) -> None:
    told = _secrets.redacted(f"https://{user.replace('/', '')}:{word.replace('/', '')}@host/B02.tif")
    assert told == "https://***@host/B02.tif"


def test_the_local_server_knows_ranges(server: Server, folder: Path) -> None:
    """What the other tests stand on."""
    content = (folder / "B02.tif").read_bytes()
    part = requests.get(f"{server.url}/B02.tif", headers={"Range": "bytes=100-299"}, timeout=5)
    assert (part.status_code, part.content) == (206, content[100:300])
    assert part.headers["Content-Range"] == f"bytes 100-299/{len(content)}"
    beyond = requests.get(f"{server.url}/B02.tif", headers={"Range": f"bytes={len(content)}-"}, timeout=5)
    assert beyond.status_code == 416
    assert requests.get(f"{server.url}/B02.tif", timeout=5).content == content
