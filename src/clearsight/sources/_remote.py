"""How files and catalogues are read over a network: patience, what is tried again, what an error says.

How patient reading is, users tell as they tell GDAL, in the environment or in a ``rasterio.Env``:
``GDAL_HTTP_MAX_RETRY``, ``GDAL_HTTP_RETRY_DELAY``, ``GDAL_HTTP_CONNECTTIMEOUT``, ``GDAL_HTTP_LOW_SPEED_TIME``. Here
they hold for catalogues, too.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import rasterio
import rasterio.env
import requests
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from rasterio.errors import RasterioError
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from clearsight.errors import ProductError, RemoteError
from clearsight.sources import _secrets, _stores

Result = TypeVar("Result")

_LONGEST_WAIT: Final = 120.0
"""Seconds; a server that asks for more (``Retry-After``) is asked again after these, and given up in the end."""

_BUSY: Final = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes that may be gone at the next try."""

_REMOTE: Final = re.compile(r"(?:^|/)vsi(?:curl|s3|gs|az|adls|oss|swift)/|^(?:https?|ftp|s3|gs|az)://")

_FORCED: Final = {
    # With several threads GDAL decodes the blocks of a JPEG 2000 window beside each other and loses the errors of
    # those threads: a truncated file then reads as zeros. Bands and chunks are read side by side anyway.
    "GDAL_NUM_THREADS": "1",
}

_NOT_THE_USERS: Final = {("GDAL_HTTP_MAX_RETRY", "10"), ("GDAL_HTTP_RETRY_DELAY", "0.5")}
"""What odc-loader puts into the ``rasterio.Env`` of its threads: eleven tries, minutes for a busy server."""

_OWN_AUTHORISATION: Final = (
    "GDAL_HTTP_HEADERS",
    "GDAL_HTTP_HEADER_FILE",
    "GDAL_HTTP_AUTH",
    "GDAL_HTTP_BEARER",
    "GDAL_HTTP_USERPWD",
    "GDAL_HTTP_NETRC_FILE",
)
"""Where these are set, only GDAL knows how to ask."""


@dataclass(frozen=True)
class Patience:
    """How long and how often a server is asked."""

    retries: int = 3
    """Tries after the first one."""
    pause: float = 0.5
    """Seconds before the second try; each further pause is twice as long."""
    connecting: float = 10
    """Seconds until a connection has to stand."""
    silence: float = 20
    """Seconds without data (below 1 kB/s) after which an answer counts as lost."""


def patience() -> Patience:
    """Return the patience in force: GDAL's own options where users have set them, else ours.

    Examples
    --------
    >>> with rasterio.Env(GDAL_HTTP_MAX_RETRY=7):
    ...     patience().retries
    7
    """
    usual = Patience()
    return Patience(
        retries=int(_number("GDAL_HTTP_MAX_RETRY", usual.retries)),
        pause=_number("GDAL_HTTP_RETRY_DELAY", usual.pause),
        connecting=_number("GDAL_HTTP_CONNECTTIMEOUT", usual.connecting),
        silence=_number("GDAL_HTTP_LOW_SPEED_TIME", usual.silence),
    )


def is_remote(href: str) -> bool:
    """Say whether an address leads over a network.

    Examples
    --------
    >>> is_remote("s3://bucket/B02.jp2"), is_remote("/vsizip//vsicurl/https://host/a.zip/B02.jp2"), is_remote("B02.jp2")
    (True, True, False)
    """
    return _REMOTE.search(href) is not None


def reading(read: Callable[[str], Result], *, href: str, item: str, asset: str) -> Result:
    """Read a file with GDAL, near or far, patiently, and never half of it.

    Parameters
    ----------
    read : callable
        Opens the address that it is given with rasterio, reads, closes; called again after a failure that may pass.
    href : str
        Address of the file, in any form that GDAL opens; signed here where its place asks for it.
    item, asset : str
        For messages.

    Returns
    -------
    object
        What ``read`` returns.

    Raises
    ------
    RemoteError
        The server refuses, fails or stays silent, after as many tries as patience allows.
    ProductError
        A local file is missing, truncated or corrupt.

    Notes
    -----
    GDAL itself repeats single requests that end in 429, 5xx or a broken connection. It remembers ranges that came too
    short and files that it couldn't find, and would serve a second try from that memory; so that one forgets first.
    """
    what = f"item {item!r}: asset {asset!r} can't be read from {_secrets.redacted(href)}"
    if not is_remote(href):
        return _near(read, href, what)
    _secrets.keep_out_of_logs()
    patient = patience()
    forget: dict[str, str] = {}
    for attempt in range(patient.retries + 1):
        address = _stores.address(href)
        try:
            with rasterio.Env(**(_settings(patient) | _stores.settings(href) | forget | _FORCED)):
                return read(address)
        except RasterioError as error:
            failure = _diagnose(error, address, patient)
        if not failure.passes or attempt == patient.retries:
            break
        forget = {"CPL_VSIL_CURL_NON_CACHED": _vsi(address)}
        time.sleep(_pause(attempt, patient, asked=failure.wait))
    tries = f" (tried {attempt + 1} times)" if attempt else ""
    # Raised outside of the handler: what GDAL says may hold a signature, and must not hang on as context.
    raise RemoteError(f"{what}: {failure.reason}{tries}. {failure.advice} Nothing of it is used.")


def api_io(*, headers: Mapping[str, str] | None = None) -> StacApiIO:
    """Return what pystac and pystac-client read catalogues with, patiently.

    Parameters
    ----------
    headers : mapping, optional
        Sent with every request, such as ``Authorization``; they don't appear in logs.

    Returns
    -------
    StacApiIO
        For ``Client.open(url, stac_io=...)`` and ``pystac.read_file(url, stac_io=...)``. Failures are a
        :class:`~clearsight.errors.RemoteError`. ``Retry-After`` is followed, up to two minutes.
    """
    _secrets.keep_out_of_logs()
    return _PatientIO(patience(), headers=dict(headers or {}))


class _Waiting(Retry):
    """Follows ``Retry-After``, but not for hours."""

    def parse_retry_after(self, retry_after: str) -> float:
        return min(super().parse_retry_after(retry_after), _LONGEST_WAIT)


class _PatientIO(StacApiIO):
    def __init__(self, patient: Patience, *, headers: dict[str, str]) -> None:
        waiting = _Waiting(
            total=patient.retries,
            backoff_factor=patient.pause,
            backoff_max=_LONGEST_WAIT,
            status_forcelist=_BUSY,
            # A search changes nothing, also when it is sent by POST.
            allowed_methods=None,
            raise_on_status=False,
        )
        super().__init__(headers=headers, timeout=(patient.connecting, patient.silence), max_retries=None)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=waiting))
        self._patient = patient

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        # The adapter repeats what fails before an answer begins; an answer that breaks off is repeated here.
        for attempt in range(self._patient.retries + 1):
            try:
                text: str = super().request(href, method, headers, parameters)
                return text
            except APIError as error:
                status: int | None = getattr(error, "status_code", None)
                told = str(error)
            broke_off = status is None and "Max retries exceeded" not in told
            if not broke_off or attempt == self._patient.retries:
                break
            time.sleep(_pause(attempt, self._patient, asked=None))
        reason = _told(told) if status is None else f"HTTP {status}: {_told(told)}"
        raise RemoteError(
            f"the catalogue {_secrets.redacted(href)} can't be read: {reason}. {_advice(status)} "
            "Nothing of a search that isn't complete is used."
        )


@dataclass(frozen=True)
class _Failure:
    reason: str
    """Without secrets."""
    advice: str
    passes: bool
    """Another try may succeed."""
    wait: float | None = None
    """Seconds that the server asks for."""


def _near(read: Callable[[str], Result], href: str, what: str) -> Result:
    try:
        with rasterio.Env(**_FORCED):
            return read(href)
    except RasterioError as error:
        raise ProductError(
            f"{what}: {_messages(error)}. The file is missing, truncated or corrupt; fetch the product again."
        ) from error


def _diagnose(error: RasterioError, address: str, patient: Patience) -> _Failure:
    """Say what went wrong; where GDAL doesn't tell, a request for a single byte does."""
    text = _messages(error)
    code = re.search(r"HTTP (?:response|error) code\s*:\s*(\d{3})", text)
    if code is not None:
        return _status(int(code[1]), text)
    if re.search(r"CURL error|timed out|Could not (?:connect|resolve)", text, re.IGNORECASE):
        return _Failure(text, _advice(None), passes=True)
    if re.search(r"AccessDenied|Access Denied|InvalidAccessKey|SignatureDoesNotMatch|InvalidCredentials", text):
        return _status(403, text)
    if re.search(r"NoSuchKey|NoSuchBucket|ObjectNotFound|BucketNotFound", text):
        return _status(404, text)
    if re.match(r"https?://", address) and not any(_chosen(name) for name in _OWN_AUTHORISATION):
        return _probe(address, text, patient)
    return _Failure(text, "The file is missing, truncated or corrupt, or its server fails.", passes=True)


def _probe(url: str, text: str, patient: Patience) -> _Failure:
    try:
        with requests.get(
            url, headers={"Range": "bytes=0-0"}, stream=True, timeout=(patient.connecting, patient.silence)
        ) as answer:
            status, asked = answer.status_code, answer.headers.get("Retry-After")
    except requests.RequestException as error:
        return _Failure(f"{text}; {_told(str(error))}", _advice(None), passes=True)
    if status < 400:
        return _Failure(f"{text}; the file is truncated or corrupt, or came so", _advice(None), passes=True)
    return _status(status, text, wait=_seconds(asked))


def _status(code: int, text: str, *, wait: float | None = None) -> _Failure:
    told = text if f"{code}" in text else f"HTTP {code}; {text}"
    return _Failure(told, _advice(code), passes=code in _BUSY, wait=wait)


def _advice(code: int | None) -> str:
    if code in (401, 403):
        return "The server refuses: check the credentials in the environment, or search again for a fresh signature."
    if code in (404, 410):
        return "It isn't there (any more): check the address, or search again."
    if code == 429:
        return "The server is asked too often: try again later, with fewer readers."
    if code is not None and code < 500:
        return "The server refuses the request: check the address."
    return "Try again later, or with more patience (GDAL_HTTP_MAX_RETRY, GDAL_HTTP_LOW_SPEED_TIME)."


def _settings(patient: Patience) -> dict[str, str]:
    """GDAL's settings for reading by ranges; what users have set themselves is left to them."""
    ours = {
        # The folder of a file isn't listed, nor searched for companions.
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    }
    return {name: value for name, value in ours.items() if _chosen(name) is None} | {
        "GDAL_HTTP_MAX_RETRY": f"{patient.retries}",
        "GDAL_HTTP_RETRY_DELAY": f"{patient.pause}",
        "GDAL_HTTP_CONNECTTIMEOUT": f"{patient.connecting:g}",
        "GDAL_HTTP_LOW_SPEED_TIME": f"{patient.silence:g}",
    }


def _chosen(name: str) -> str | None:
    """Value of an option of GDAL's that the user has set, in a ``rasterio.Env`` or in the environment."""
    options = rasterio.env.getenv() if rasterio.env.hasenv() else {}
    if (name, str(options.get(name))) in _NOT_THE_USERS:
        options = {}
    value = options.get(name, os.environ.get(name))
    return None if value is None else str(value)


def _number(name: str, usual: float) -> float:
    try:
        return max(float(_chosen(name) or usual), 0)
    except ValueError:
        return usual  # GDAL ignores what it can't read, too


def _pause(attempt: int, patient: Patience, *, asked: float | None) -> float:
    return min(patient.pause * 2**attempt if asked is None else asked, _LONGEST_WAIT)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else Retry().parse_retry_after(retry_after)
    except InvalidHeader:
        return None


def _vsi(address: str) -> str:
    """Name under which GDAL remembers a file."""
    inner = re.search(r"/vsi(?!zip|tar|gzip).*", address)
    return inner[0] if inner else f"/vsicurl/{address}"


def _messages(error: BaseException) -> str:
    """What GDAL says, from the error to its cause, without secrets."""
    told: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).strip().rstrip(".")
        if text and text not in told and not text.startswith("Read failed"):
            told.append(text)
        cause = cause.__cause__ or cause.__context__
    return _told("; ".join(told[-2:]) or "reading failed")


def _told(text: str) -> str:
    """One line without secrets."""
    return _secrets.redacted(" ".join(text.split()))[:500].rstrip(".")
