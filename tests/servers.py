"""Servers for tests, all on loopback: files over HTTP with Range, a proxy, and faults on demand in front of both."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal


@dataclass(frozen=True)
class Seen:
    """A request that came in, and what went out."""

    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    status: int
    sent: int
    """Bytes of the body that went out."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Fault:
    """What goes wrong with the next requests that it concerns."""

    kind: Literal["status", "truncate", "reset", "hang"]
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1_000_000
    """How many requests it spoils."""
    after: int = 0
    """How many requests it concerns but lets pass before."""
    path: str = ""
    """Regular expression that the path and its query must match."""
    methods: tuple[str, ...] = ("GET", "HEAD", "POST")


Content = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Answers to method, path with query, headers, body."""

_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)$")


@dataclass
class Server:
    """A server that runs; ``seen`` grows with each request, ``faults`` may be changed at any time."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    """Ends every fault that hangs."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, kind: Literal["status", "truncate", "reset", "hang"], **facts: Any) -> None:
        self.faults.append(Fault(kind, **facts))

    def sent(self, path: str = "") -> int:
        """Bytes of all bodies sent for a path."""
        return sum(one.sent for one in self.seen if path in one.path)

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if method in fault.methods and re.search(fault.path, path):
                    if fault.after > 0:
                        fault.after -= 1
                    elif fault.times > 0:
                        fault.times -= 1
                        return fault
        return None

    def note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


@contextlib.contextmanager
def serve_files(root: Path) -> Iterator[Server]:
    """Serve the files below a folder."""
    with _serve(lambda method, path, headers, body: file_answer(root, path, headers)) as server:
        yield server


@contextlib.contextmanager
def proxy(upstream: str) -> Iterator[Server]:
    """Pass everything on to another server, which is told the proxy's name so that its links lead here."""
    netloc = urllib.parse.urlsplit(upstream).netloc

    def forward(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection(netloc, timeout=30)
        kept = {name: value for name, value in headers.items() if name not in ("connection", "accept-encoding")}
        connection.request(method, path, body=body or None, headers=kept)
        reply = connection.getresponse()
        answer = Answer(reply.status, {"Content-Type": reply.headers["Content-Type"]}, reply.read())
        connection.close()
        return answer

    with _serve(forward) as server:
        yield server


@contextlib.contextmanager
def serve_answers(content: Content) -> Iterator[Server]:
    """Serve what a function answers."""
    with _serve(content) as server:
        yield server


def free_port() -> int:
    """Port of the loopback that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _serve(content: Content) -> Iterator[Server]:
    handler = type("Handler", (_Handler,), {"content": staticmethod(content)})
    listener = _Listener(("127.0.0.1", 0), handler)
    server = Server(f"http://127.0.0.1:{listener.server_address[1]}")
    listener.state = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        listener.shutdown()
        thread.join()
        # Without waiting for idle connections that clients keep.
        listener.socket.close()


def file_answer(root: Path, path: str, headers: Mapping[str, str]) -> Answer:
    """Answer with a file, whole or by range (RFC 9110, section 14)."""
    file = root / urllib.parse.unquote(urllib.parse.urlsplit(path).path).lstrip("/")
    if not file.is_file():
        return Answer(404, {}, b"no such file")
    content = file.read_bytes()
    match = _RANGE.match(headers.get("range", ""))
    if match is None:
        return Answer(200, {"Accept-Ranges": "bytes"}, content)
    first, last = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
    if first > last:
        return Answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
    return Answer(206, {"Content-Range": f"bytes {first}-{last}/{len(content)}"}, content[first : last + 1])


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing on standard error: connections break on purpose here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content: Content
    timeout = 60

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Say nothing on standard error."""

    def _answer(self) -> None:
        state: Server = self.server.state  # type: ignore[attr-defined]
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        fault = state.take(self.command, self.path)
        if fault is not None and fault.kind == "hang":
            state.released.wait(30)
            fault = Fault("reset")
        if fault is not None and fault.kind == "reset":
            state.note(Seen(self.command, self.path, headers, 0, 0))
            self._reset()
            return
        if fault is not None and fault.kind == "status":
            answer = Answer(fault.status, fault.headers, b"no")
        else:
            answer = self.content(self.command, self.path, headers, body)
        cut = fault is not None and fault.kind == "truncate"
        sent = b"" if self.command == "HEAD" else answer.body[: len(answer.body) // 2 if cut else None]
        state.note(Seen(self.command, self.path, headers, answer.status, len(sent)))
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(sent)
        if cut:
            self.close_connection = True

    def _reset(self) -> None:
        """Close the connection with RST, as a server does that dies."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
