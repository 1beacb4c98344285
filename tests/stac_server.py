"""A real STAC API for tests: stac-fastapi on a PostgreSQL of its own, both on loopback, both gone in the end."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from servers import free_port

PLACE: Final = Path(
    os.environ.get("CLEARSIGHT_STAC_SERVER", Path(__file__).parents[1] / ".venv" / "stac-server")
).absolute()
"""Environment that tests/stac-server.txt is installed in."""

_PREFIX: Final = "clearsight-pg-"
_QUICK: Final = tuple(
    part
    for setting in ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=127.0.0.1")
    for part in ("-c", setting)
)
_START: Final = 120.0
"""Seconds, on a busy machine."""


def skip_unless_there() -> None:
    """Skip the test where the server or its database isn't installed."""
    if not (PLACE / "bin" / "uvicorn").exists():
        pytest.skip(f"no STAC server in {PLACE}; `.ci/run` installs it (tests/stac-server.txt)")
    if _postgres() is None:
        pytest.skip("no PostgreSQL with PostGIS; `.ci/run` installs Debian's")
    if os.getuid() == 0 and _other_user() is None:
        pytest.skip("PostgreSQL doesn't run as root, and there is no user 'postgres'")


@contextlib.contextmanager
def stac_api(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Run a STAC API with these items (their collections are made from their names); yields its address."""
    with _database() as variables:
        run = {"env": os.environ | variables, "check": True, "capture_output": True}
        loader = str(PLACE / "bin" / "pypgstac")
        subprocess.run([loader, "migrate"], **run)  # type: ignore[call-overload]
        with tempfile.TemporaryDirectory() as folder:
            entries = list(items)
            names = sorted({entry["collection"] for entry in entries})
            for kind, lines in (("collections", [_collection(name) for name in names]), ("items", entries)):
                file = Path(folder, f"{kind}.ndjson")
                file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
                subprocess.run([loader, "load", kind, str(file)], **run)  # type: ignore[call-overload]
        with _web(variables) as url:
            yield url


@contextlib.contextmanager
def _database() -> Iterator[dict[str, str]]:
    binaries = _postgres()
    assert binaries is not None
    _sweep()
    # PostgreSQL refuses to run as root, and pytest's folders are closed to others.
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    user = _other_user() if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    as_user: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if user is not None:
        as_user |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    port, data = f"{free_port()}", f"{folder / 'data'}"
    try:
        initialise = [binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
        subprocess.run(initialise, check=True, **as_user)
        with _running([binaries / "postgres", "-D", data, "-p", port, "-k", folder, *_QUICK], as_user) as server:
            asking = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
            _wait(lambda: subprocess.run(asking, check=False).returncode == 0, "PostgreSQL", server)
            yield {
                "PGHOST": "127.0.0.1",
                "PGPORT": port,
                "PGUSER": "postgres",
                "PGDATABASE": "postgres",
                "PGPASSWORD": "any",
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _web(variables: Mapping[str, str]) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        command = [PLACE / "bin" / "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app", "--port", f"{port}"]
        facts = {"env": os.environ | variables, "stdout": log, "stderr": log}
        with _running(command, facts) as server:
            try:
                _wait(lambda: _answers(f"{url}/_mgmt/ping"), url, server)
            except TimeoutError as error:
                log.seek(0)
                raise TimeoutError(f"{error}: {log.read().decode()[-2000:]}") from error
            yield url


@contextlib.contextmanager
def _running(command: Sequence[str | Path], facts: Mapping[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that ends with us, even if we are killed."""
    with_us = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
    server = subprocess.Popen([*with_us, *command], **facts)
    try:
        yield server
    finally:
        # PostgreSQL takes this for "at once"; uvicorn ends by it like any program.
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            # What a shell has started in the background ignores this signal, and so does what that starts.
            server.kill()
            server.wait()


def _sweep() -> None:
    """Remove the data of databases whose tests were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def _wait(ready: Callable[[], bool], what: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START
    while not ready():
        if time.monotonic() > end or server.poll() is not None:
            raise TimeoutError(f"{what} doesn't come up")
        time.sleep(0.1)


def _collection(name: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": name,
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-23T00:00:00Z", None]]},
        },
        "links": [],
    }


def _postgres() -> Path | None:
    """Folder of the newest PostgreSQL's programs that has PostGIS."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    with_gis = [
        path.parent
        for path in found
        if Path("/usr/share/postgresql", path.parts[-3], "extension", "postgis.control").exists()
    ]
    return with_gis[-1] if with_gis else None


def _other_user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None
