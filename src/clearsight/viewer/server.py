"""Serving the map: in the foreground for the command line, in a thread for a notebook."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from clearsight.errors import ArgumentError, ClearsightError, OptionalDependencyError
from clearsight.progress import Progress
from clearsight.viewer.library import Library, open_library

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

LOOPBACK: Final = "127.0.0.1"

_NOTEBOOKS: Final = ("http://localhost:*", "http://127.0.0.1:*", "https://localhost:*", "vscode-webview:")
"""Pages of this machine that may hold the map in a frame."""

_BASE_PATH: Final = re.compile(r"(/[\w.~@%-]+)*/?", re.ASCII)
_NAME: Final = re.compile(r"[\w.:-]+", re.ASCII)


@dataclass(frozen=True)
class Door:
    """Where the map is served, and to whom."""

    port: int = 0
    """Port of this machine; 0: any free one."""
    host: str = LOOPBACK
    """Address to listen at; by default only programs of this machine can reach it."""
    base_path: str = ""
    """Prefix under which a proxy shows it, such as ``/user/me/proxy/8765``."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, besides this machine's own, by which browsers may call it: the proxy's."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ArgumentError(f"port={self.port}; expected 0 (any free one) to 65535.")
        if not _BASE_PATH.fullmatch(self.base_path):
            raise ArgumentError(f"base_path={self.base_path!r}; expected a path such as /user/me/proxy/8765.")
        for name in self.allowed_hosts:
            if not _NAME.fullmatch(name):
                raise ArgumentError(f"allowed_hosts holds {name!r}; expected names such as hub.example.org.")


class Viewer:
    """A map that is being served by a thread of this process; shows itself in a notebook."""

    def __init__(self, server: uvicorn.Server, thread: threading.Thread, url: str) -> None:
        self._server, self._thread = server, thread
        self.url = url
        """Address of the page."""

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(timeout=10)

    def __enter__(self) -> Viewer:
        """Serve for the length of a block."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Stop serving."""
        self.close()

    def __repr__(self) -> str:
        """Tell where it is."""
        return f"<clearsight map at {self.url}>"

    def _repr_html_(self) -> str:
        """Show the map in a frame of the notebook."""
        return (
            f'<iframe src="{escape(self.url)}" title="Clearsight map" width="100%" height="640" '
            'style="border:0;border-radius:8px" allow="clipboard-write"></iframe>'
        )


def view(
    source: str | os.PathLike[str],
    *,
    imagery: str | os.PathLike[str] | None = None,
    port: int = 0,
    base_path: str = "",
    allowed_hosts: Iterable[str] = (),
    progress: Progress | None = None,
) -> Viewer:
    """Show an archive of scores, and the composites it makes, on a live map.

    Parameters
    ----------
    source : path
        An archive that `clearsight.produce` made, or a static STAC catalogue that holds score Items.
    imagery : path, optional
        Where the imagery is: anything that `clearsight.search` reads. By default the products that the scores were
        made from, as far as they are still there.
    port : int
        Port on this machine; 0: any free one.
    base_path : str
        Prefix under which a remote notebook's proxy shows the map, such as ``/user/me/proxy/8765``. The object then
        shows that path of the notebook's own server.
    allowed_hosts : iterable of str
        The proxy's host names; only needed with a proxy.
    progress : callable, optional
        Called with (steps done, steps in all, what).

    Returns
    -------
    Viewer
        Shows itself in a notebook; elsewhere open its ``url``. Served by a thread, to this machine only, until
        ``close()`` or the end of the process.

    Raises
    ------
    ArgumentError
        ``source`` holds no scores, ``imagery`` none of their images, or another argument can't be used.
    OptionalDependencyError
        The extra ``view`` isn't installed.

    Examples
    --------
    >>> view("archive")  # doctest: +SKIP
    <clearsight map at http://127.0.0.1:41235/>
    """
    door = Door(port=port, base_path=base_path, allowed_hosts=tuple(allowed_hosts))
    app = _app(open_library(source, imagery=imagery, progress=progress), door, framed_by=_NOTEBOOKS)
    listener = listen(door)
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="clearsight-map", daemon=True)
    thread.start()
    _wait_for(server, thread)
    url = f"{base_path.rstrip('/')}/" if base_path else address(listener)
    return Viewer(server, thread, url)


def serve(library: Library, *, door: Door | None = None, ready: Callable[[str], None] | None = None) -> None:
    """Serve the map until the process is interrupted.

    Parameters
    ----------
    library : Library
        From `clearsight.viewer.library.open_library`.
    door : Door, optional
        Where.
    ready : callable, optional
        Called with the page's address when the port is open.

    Raises
    ------
    ArgumentError
        The port is taken.
    OptionalDependencyError
        The extra ``view`` isn't installed.
    """
    door = door or Door()
    app = _app(library, door, framed_by=())
    listener = listen(door)
    if ready:
        ready(address(listener, door.base_path))
    with suppress(KeyboardInterrupt):
        _server(app).run(sockets=[listener])


def listen(door: Door) -> socket.socket:
    """Open the port: before any page is told, so that nobody else can have it."""
    family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((door.host, door.port))
    except OSError as error:
        listener.close()
        raise ArgumentError(
            f"port={door.port} of {door.host} can't be opened ({error.strerror}); choose another, or 0 for any."
        ) from error
    return listener


def address(listener: socket.socket, base_path: str = "") -> str:
    """Address of the page."""
    host, port = listener.getsockname()[:2]
    named = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{named}:{port}{base_path.rstrip('/')}/"


def _app(library: Library, door: Door, *, framed_by: Iterable[str]) -> ASGIApp:
    try:
        import uvicorn  # noqa: F401

        from clearsight.viewer.app import make_app
    except ImportError as error:
        raise OptionalDependencyError(f"The map needs {error.name}: pip install 'clearsight[view]'") from error
    # Who opens the door to a network calls this machine by its address there.
    names = {*door.allowed_hosts, *({door.host} if door.host != LOOPBACK else ())}
    return make_app(library, hosts=names, base_path=door.base_path, framed_by=framed_by)


def _server(app: ASGIApp) -> uvicorn.Server:
    import uvicorn

    # No access log: the addresses hold where somebody looks. Dates, server names: nobody's business either.
    return uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off", backlog=512)
    )


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    for _ in range(1000):
        if server.started:
            return
        if not thread.is_alive():
            break
        time.sleep(0.01)
    raise ClearsightError("the map's server didn't start; its log tells why.")
