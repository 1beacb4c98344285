"""Credentials stay out of messages and logs: keys, signatures, tokens, and headers that authorise."""

from __future__ import annotations

import logging
import os
import re
from typing import Final

_HIDDEN: Final = "***"

_PARAMETER: Final = re.compile(
    r"([?&;][\w%.-]*(?:sig|signature|token|credential|key|keyid|accessid|secret|password|policy|auth)=)[^&;#\s'\"<>)]+",
    re.IGNORECASE,
)
"""Parameters of addresses: signatures of Azure, Amazon and Google, and tokens under any name."""

_USER: Final = re.compile(r"(\w://)[^/@\s:]+:[^/@\s]+@")

_HEADER: Final = re.compile(
    r"(['\"]?(?:proxy-)?(?:authorization|cookie|x-api-key|x-amz-security-token|ocp-apim-subscription-key)['\"]?\s*[:=]\s*)"
    r"(?:'[^']*'|\"[^\"]*\"|[^\r\n,}]+)",
    re.IGNORECASE,
)

_BEARER: Final = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}")

_NAMES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "GDAL_HTTP_BEARER",
    "GDAL_HTTP_USERPWD",
    "GS_ACCESS_KEY_ID",
    "GS_SECRET_ACCESS_KEY",
    "PC_SDK_SUBSCRIPTION_KEY",
)
"""Variables of the environment whose values are secret wherever they turn up."""

_LOGGERS: Final = (
    "pystac_client.client",
    "pystac_client.item_search",
    "pystac_client.stac_api_io",
    "rasterio",
    "rasterio._base",
    "rasterio._env",
    "rasterio._err",
    "rasterio._io",
    "rasterio.env",
    "rasterio.session",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
"""Those that write addresses or headers of requests."""


def redacted(text: str) -> str:
    """Return a text without secrets.

    Examples
    --------
    >>> redacted("https://host/B02.tif?se=2026&sig=abc%3D can't be read")
    "https://host/B02.tif?se=2026&sig=*** can't be read"
    >>> redacted("{'Authorization': 'Bearer abcdef', 'Accept': '*/*'}")
    "{'Authorization': ***, 'Accept': '*/*'}"
    """
    for name in _NAMES:
        value = os.environ.get(name, "")
        if len(value) >= 4:
            text = text.replace(value, _HIDDEN)
    text = _PARAMETER.sub(rf"\1{_HIDDEN}", text)
    text = _USER.sub(rf"\1{_HIDDEN}@", text)
    text = _HEADER.sub(rf"\1{_HIDDEN}", text)
    return _BEARER.sub(rf"\1 {_HIDDEN}", text)


def keep_out_of_logs() -> None:
    """Redact what the libraries that talk to servers log; once, and again for nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    try:
        told = record.getMessage()
    except (TypeError, ValueError):
        return True  # logging reports a message that it can't format itself
    safe = redacted(told)
    if safe != told:
        record.msg, record.args = safe, ()
    return True
