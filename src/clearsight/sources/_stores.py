"""Where files lie, and what GDAL has to be told to open them: settings, credentials, signatures.

Items keep the plain address of a file. Credentials are added only while a file is opened, so that they are never
written into an item, a message or a log.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from clearsight.errors import ProductError
from clearsight.sources._http import fetcher

_SPARE: Final = timedelta(minutes=2)
"""A signature that ends sooner isn't used any more."""


@dataclass(frozen=True)
class Store:
    """One place of files."""

    addresses: str
    """Regular expression that the addresses of its files match."""
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """GDAL's settings while its files are opened. Credentials aren't here: GDAL takes them from the environment."""
    signing: str | None = None
    """Address that gives a signature for ``{account}`` and ``{container}``, two named groups of ``addresses``."""


COPERNICUS: Final = Store(
    addresses=r"^s3://eodata/|^/vsis3/eodata/",
    settings=MappingProxyType(
        {"AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_HTTPS": "YES"}
    ),
)
"""Copernicus Data Space: S3 with the user's keys in ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``."""

EARTH_SEARCH_JP2: Final = Store(
    addresses=r"^(?:s3://|/vsis3/)sentinel-s2-l(?:1c|2a)/",
    settings=MappingProxyType({"AWS_REQUEST_PAYER": "requester", "AWS_REGION": "eu-central-1"}),
)
"""The buckets behind Earth Search's L1C: who reads pays, so an AWS account's keys have to be in the environment."""

PLANETARY_COMPUTER: Final = Store(
    addresses=r"^https://(?P<account>[a-z0-9]+)\.blob\.core\.windows\.net/(?P<container>[^/]+)/",
    signing="https://planetarycomputer.microsoft.com/api/sas/v1/token/{account}/{container}",
)
"""Planetary Computer: everybody may read, with a signature that anybody gets and that ends within the hour."""

GOOGLE: Final = Store(
    addresses=r"^gs://gcp-public-data-sentinel-2/|^/vsigs/gcp-public-data-sentinel-2/",
    settings=MappingProxyType({"GS_NO_SIGN_REQUEST": "YES"}),
)
"""Google's public bucket: open to everybody."""

STORES: tuple[Store, ...] = (COPERNICUS, EARTH_SEARCH_JP2, PLANETARY_COMPUTER, GOOGLE)

_signatures: Final[dict[str, tuple[datetime, str]]] = {}
_asking: Final = threading.Lock()


def settings(href: str) -> dict[str, str]:
    """GDAL's settings for opening a file."""
    store, _ = _store(href)
    return {} if store is None else dict(store.settings)


def address(href: str) -> str:
    """Address by which GDAL opens a file: in its own spelling, and signed where the place asks for it.

    Raises
    ------
    ProductError
        The service that signs answers nonsense; or refuses, fails or stays silent (`RemoteError`).
    """
    store, match = _store(href)
    if store is not None and match is not None and store.signing is not None and "?" not in href:
        return f"{href}?{_signature(store.signing.format(**match.groupdict()))}"
    for scheme, handler in (("s3://", "/vsis3/"), ("gs://", "/vsigs/"), ("az://", "/vsiaz/")):
        if href.startswith(scheme):
            return handler + href.removeprefix(scheme)
    return href


def _store(href: str) -> tuple[Store | None, re.Match[str] | None]:
    for store in STORES:
        match = re.match(store.addresses, href)
        if match is not None:
            return store, match
    return None, None


def _signature(service: str) -> str:
    """A signature that is still good; asked for once for all threads."""
    with _asking:
        known = _signatures.get(service)
        if known is None or known[0] < datetime.now(UTC) + _SPARE:
            known = _signatures[service] = _ask(service)
        return known[1]


def _ask(service: str) -> tuple[datetime, str]:
    key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY")
    fetch = fetcher(headers={"Ocp-Apim-Subscription-Key": key} if key else {}, what="signature")
    try:
        facts = json.loads(fetch(service))
        return datetime.fromisoformat(facts["msft:expiry"]), str(facts["token"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProductError(
            f"{service} gave no signature to read its files with: {type(error).__name__}: {error}. Try again later."
        ) from error
