"""What stands before the map's server: who may ask, how much at once, and what browsers may do with the answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BASEMAP: Final = "https://tile.openstreetmap.org"
"""The only foreign host that the page may ask for anything, and only when its user switches the basemap on."""

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_LONGEST_QUERY: Final = 2000


class Guard:
    """ASGI middleware: checks the asker, and sets headers."""

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str] = (), base_path: str = "", framed_by: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._hosts = {*_LOOPBACK, *(host.lower() for host in hosts)}
        self._base = base_path
        self._headers = _headers(framed_by)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        app = self._app if refusal is None else JSONResponse({"error": refusal[1]}, status_code=refusal[0])

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(self._without_base(scope), receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        # A foreign page can point a name of its own at 127.0.0.1, and would then count as the same origin (DNS
        # rebinding); but its browser still sends that name.
        if _name_of(headers.get("host", "")) not in self._hosts:
            return 421, "this host name isn't served; start the viewer with --allow-host NAME if it should be."
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "only GET and HEAD are answered."
        if len(scope.get("query_string", b"")) > _LONGEST_QUERY:
            return 414, f"the query is longer than {_LONGEST_QUERY} characters."
        # Other sites may link to the page or frame it (where allowed), but not make the server work.
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return 403, "requests of other sites aren't answered."
        return None

    def _without_base(self, scope: Scope) -> Scope:
        """Some proxies pass their prefix on, others take it off: both ways lead to the same page."""
        path: str = scope["path"]
        if self._base and (path == self._base or path.startswith(f"{self._base}/")):
            return {**scope, "path": path.removeprefix(self._base) or "/", "root_path": ""}
        return scope


def _headers(framed_by: Iterable[str]) -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' data: blob: {BASEMAP}",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": " ".join(["'self'", *framed_by]),
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        # The basemap's rules ask for the page's origin; nobody is told more.
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
        "Cache-Control": "no-store",
    }


def _name_of(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


class BusyError(Exception):
    """More work waits than makes sense to wait for."""


class Gate:
    """Lets a few pieces of work run at once, a number wait, and turns the rest away."""

    def __init__(self, *, running: int, waiting: int) -> None:
        self.running, self.waiting = running, waiting
        self.most = 0
        self._inside = 0
        self._waits = 0
        self._free: anyio.Semaphore | None = None

    async def __aenter__(self) -> None:
        """Wait for a place."""
        # Made here: a semaphore belongs to the event loop that is running.
        self._free = self._free or anyio.Semaphore(self.running)
        if self._waits >= self.waiting:
            raise BusyError
        self._waits += 1
        try:
            await self._free.acquire()
        finally:
            self._waits -= 1
        self._inside += 1
        self.most = max(self.most, self._inside)

    async def __aexit__(self, *unused: object) -> None:
        """Give the place back."""
        assert self._free is not None
        self._inside -= 1
        self._free.release()
