"""How GDAL reads files over a network: what is tried again, and what an error says.

How patient reading is, and how users tell it, says `clearsight.sources._http`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import rasterio
import requests
from rasterio.errors import RasterioError
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from clearsight.errors import ProductError, RemoteError
from clearsight.sources import _secrets, _stores
from clearsight.sources._http import BUSY, Patience, advice, chosen, patience, pause_before, told_by

Result = TypeVar("Result")

_REMOTE: Final = re.compile(r"(?:^|/)vsi(?:curl|s3|gs|az|adls|oss|swift)/|^(?:https?|ftp|s3|gs|az)://")

_FORCED: Final = {
    # With several threads GDAL decodes the blocks of a JPEG 2000 window beside each other and loses the errors of
    # those threads: a truncated file then reads as zeros. Bands and chunks are read side by side anyway.
    "GDAL_NUM_THREADS": "1",
}

_OWN_AUTHORISATION: Final = (
    "GDAL_HTTP_HEADERS",
    "GDAL_HTTP_HEADER_FILE",
    "GDAL_HTTP_AUTH",
    "GDAL_HTTP_BEARER",
    "GDAL_HTTP_USERPWD",
    "GDAL_HTTP_NETRC_FILE",
)
"""Where these are set, only GDAL knows how to ask."""


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
        address = _signed(href, what)
        try:
            with rasterio.Env(**(_settings(patient) | _stores.settings(href) | forget | _FORCED)):
                return read(address)
        except RasterioError as error:
            failure = _diagnose(error, address, patient)
        if not failure.passes or attempt == patient.retries:
            break
        forget = {"CPL_VSIL_CURL_NON_CACHED": _vsi(address)}
        time.sleep(pause_before(attempt, patient, asked=failure.wait))
    tries = f" (tried {attempt + 1} times)" if attempt else ""
    # Raised outside of the handler: what GDAL says may hold a signature, and must not hang on as context.
    raise RemoteError(f"{what}: {failure.reason}{tries}. {failure.advice} Nothing of it is used.")


def _signed(href: str, what: str) -> str:
    """Address by which GDAL opens a file; the service that signs may fail, too."""
    try:
        return _stores.address(href)
    except ProductError as error:
        raise RemoteError(f"{what}: {error}") from None


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
        return _Failure(text, advice(None), passes=True)
    if re.search(r"AccessDenied|Access Denied|InvalidAccessKey|SignatureDoesNotMatch|InvalidCredentials", text):
        return _status(403, text)
    if re.search(r"NoSuchKey|NoSuchBucket|ObjectNotFound|BucketNotFound", text):
        return _status(404, text)
    if re.match(r"https?://", address) and not any(chosen(name) for name in _OWN_AUTHORISATION):
        return _probe(address, text, patient)
    return _Failure(text, "The file is missing, truncated or corrupt, or its server fails.", passes=True)


def _probe(url: str, text: str, patient: Patience) -> _Failure:
    try:
        with requests.get(
            url, headers={"Range": "bytes=0-0"}, stream=True, timeout=(patient.connecting, patient.silence)
        ) as answer:
            status, asked = answer.status_code, answer.headers.get("Retry-After")
    except requests.RequestException as error:
        return _Failure(f"{text}; {told_by(str(error))}", advice(None), passes=True)
    if status < 400:
        return _Failure(f"{text}; the file is truncated or corrupt, or came so", advice(None), passes=True)
    return _status(status, text, wait=_seconds(asked))


def _status(code: int, text: str, *, wait: float | None = None) -> _Failure:
    told = text if f"{code}" in text else f"HTTP {code}; {text}"
    return _Failure(told, advice(code), passes=code in BUSY, wait=wait)


def _settings(patient: Patience) -> dict[str, str]:
    """GDAL's settings for reading by ranges; what users have set themselves is left to them."""
    ours = {
        # The folder of a file isn't listed, nor searched for companions.
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    }
    return {name: value for name, value in ours.items() if chosen(name) is None} | {
        "GDAL_HTTP_MAX_RETRY": f"{patient.retries}",
        "GDAL_HTTP_RETRY_DELAY": f"{patient.pause}",
        "GDAL_HTTP_CONNECTTIMEOUT": f"{patient.connecting:g}",
        "GDAL_HTTP_LOW_SPEED_TIME": f"{patient.silence:g}",
    }


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
    return told_by("; ".join(told[-2:]) or "reading failed")
