"""Catalogues and other small files over HTTP: how patient we are, what is tried again, what an error says.

How patient reading is, users tell as they tell GDAL, in the environment or in a ``rasterio.Env``:
``GDAL_HTTP_MAX_RETRY``, ``GDAL_HTTP_RETRY_DELAY``, ``GDAL_HTTP_CONNECTTIMEOUT``, ``GDAL_HTTP_LOW_SPEED_TIME``. Here
they hold for catalogues, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import rasterio
import rasterio.env
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from clearsight.errors import ProductError, RemoteError
from clearsight.sources import _secrets

LONGEST_WAIT: Final = 120.0
"""Seconds; a server that asks for more (``Retry-After``) is asked again after these, and given up in the end."""

BUSY: Final = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes that may be gone at the next try."""

_NOT_THE_USERS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "10",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
}
"""What odc-loader puts into the ``rasterio.Env`` of its threads where users haven't spoken: eleven tries, minutes for a
busy server."""


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
    return _PatientIO(patience(), headers=dict(headers or {}), what="catalogue")


def fetcher(*, headers: Mapping[str, str] | None = None, what: str = "file") -> Callable[[str], bytes]:
    """Return what reads whole (small) text files such as metadata, patiently; for any number of threads.

    Parameters
    ----------
    headers : mapping, optional
        Sent with every request; they don't appear in logs.
    what : str
        What is read, for messages.

    Raises
    ------
    RemoteError
        The server refuses, fails or stays silent, after as many tries as patience allows.
    """
    _secrets.keep_out_of_logs()
    reader = _PatientIO(patience(), headers=dict(headers or {}), what=what)

    def fetch(address: str) -> bytes:
        if not address.startswith(("http://", "https://")):
            raise ProductError(
                f"{_secrets.redacted(address)} can't be read: metadata is read over HTTP and from disk only. "
                "Copy the product to disk, or search a provider that serves it over HTTP."
            )
        return reader.request(address).encode()

    return fetch


class _Waiting(Retry):
    """Follows ``Retry-After``, but not for hours."""

    def parse_retry_after(self, retry_after: str) -> float:
        return min(super().parse_retry_after(retry_after), LONGEST_WAIT)


class _PatientIO(StacApiIO):
    def __init__(self, patient: Patience, *, headers: dict[str, str], what: str) -> None:
        waiting = _Waiting(
            total=patient.retries,
            backoff_factor=patient.pause,
            backoff_max=LONGEST_WAIT,
            status_forcelist=BUSY,
            # A search changes nothing, also when it is sent by POST.
            allowed_methods=None,
            raise_on_status=False,
        )
        super().__init__(headers=headers, max_retries=None)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=waiting))
        self._patient = patient
        self._what = what

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        # `Client.open` takes the time-out away from a reader that it is given.
        self.timeout = (self._patient.connecting, self._patient.silence)
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
            time.sleep(pause_before(attempt, self._patient, asked=None))
        reason = told_by(told) if status is None else f"HTTP {status}: {told_by(told)}"
        raise RemoteError(
            f"the {self._what} {_secrets.redacted(href)} can't be read: {reason}. {advice(status)} "
            "Nothing of a search that isn't complete is used."
        )


def advice(code: int | None) -> str:
    """Say what to do about an HTTP status; None: no answer at all."""
    if code in (401, 403):
        return "The server refuses: check the credentials in the environment, or search again for a fresh signature."
    if code in (404, 410):
        return "It isn't there (any more): check the address, or search again."
    if code == 429:
        return "The server is asked too often: try again later, with fewer readers."
    if code is not None and code < 500:
        return "The server refuses the request: check the address."
    return "Try again later, or with more patience (GDAL_HTTP_MAX_RETRY, GDAL_HTTP_LOW_SPEED_TIME)."


def chosen(name: str) -> str | None:
    """Value of an option of GDAL's that the user has set, in a ``rasterio.Env`` or in the environment."""
    options = rasterio.env.getenv() if rasterio.env.hasenv() else {}
    if name in _NOT_THE_USERS and all(str(options.get(key)) == value for key, value in _NOT_THE_USERS.items()):
        options = {}
    value = options.get(name, os.environ.get(name))
    return None if value is None else str(value)


def _number(name: str, usual: float) -> float:
    try:
        return max(float(chosen(name) or usual), 0)
    except ValueError:
        return usual  # GDAL ignores what it can't read, too


def pause_before(attempt: int, patient: Patience, *, asked: float | None) -> float:
    """Seconds to wait before another try, the first being 0; a server's own wish counts, but not for hours."""
    return min(patient.pause * 2**attempt if asked is None else asked, LONGEST_WAIT)


def told_by(text: str) -> str:
    """One line without secrets."""
    return _secrets.redacted(" ".join(text.split()))[:500].rstrip(".")
