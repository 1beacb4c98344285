"""Objects in a bucket: the few things that an archive needs of object storage, with one clear error.

Where the bucket is and who asks is told in the environment, in GDAL's words, because GDAL reads the scores:
``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``; for a server that isn't Amazon's ``AWS_S3_ENDPOINT``
(``host:port``), ``AWS_HTTPS`` and ``AWS_VIRTUAL_HOSTING``; ``AWS_NO_SIGN_REQUEST`` for a public bucket.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clearsight.errors import ArgumentError, OptionalDependencyError, RemoteError

SCHEME: Final = "s3://"

_SIDE_BY_SIDE: Final = 16
_NO: Final = ("NO", "FALSE", "OFF", "0")


@dataclass(frozen=True)
class Stored:
    """What a list tells of an object."""

    size: int
    """Bytes."""
    tag: str
    """Changes whenever the content does (ETag)."""


class ChangedError(Exception):
    """An object isn't what it was expected to be: somebody else has written it."""


def is_address(place: str | os.PathLike[str]) -> bool:
    """Is a place in object storage? A place that is neither that nor a path is refused.

    Raises
    ------
    ArgumentError
        Another kind of address.

    Examples
    --------
    >>> is_address("s3://bucket/scores"), is_address("scores")
    (True, False)
    """
    text = os.fspath(place)
    if "://" in text and not text.startswith(SCHEME):
        raise ArgumentError(f"{text!r}: an archive lies in a folder, or in a bucket at s3://BUCKET/PREFIX.")
    return text.startswith(SCHEME)


class Objects:
    """The objects below an address.

    Parameters
    ----------
    address : str
        ``s3://bucket/prefix``.

    Raises
    ------
    OptionalDependencyError
        ``obstore`` isn't installed.
    ArgumentError
        The address names no bucket.
    """

    def __init__(self, address: str) -> None:
        try:
            import obstore.store
        except ImportError as error:
            raise OptionalDependencyError(f"{address} needs obstore; pip install 'clearsight[s3]'") from error
        self.address = address.rstrip("/")
        if self.address == SCHEME.rstrip("/"):
            raise ArgumentError(f"{address!r} names no bucket; expected s3://BUCKET/PREFIX.")
        self._store: Any = obstore.store.from_url(self.address, config=_config(), client_options=_client())

    def below(self, prefix: str) -> dict[str, Stored]:
        """All objects below a prefix, by key."""
        with self._told(prefix):
            pages = self._store.list(f"{prefix}/" if prefix else None, chunk_size=1000)
            return {facts["path"]: Stored(facts["size"], facts["e_tag"]) for page in pages for facts in page}

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Content and tag of an object; None if there is none."""
        with self._told(key):
            try:
                answer = self._store.get(key)
                return bytes(answer.bytes()), answer.meta["e_tag"]
            except FileNotFoundError:
                return None

    def read_all(self, keys: Sequence[str]) -> list[tuple[bytes, str] | None]:
        """Read many objects, several at once, in the order of the keys."""
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as readers:
            return list(readers.map(self.read, keys))

    def write(self, key: str, content: bytes | Path) -> str:
        """Write an object, whole or not at all; returns its tag."""
        with self._told(key):
            return str(self._store.put(key, content)["e_tag"])

    def exchange(self, key: str, content: bytes | Path, *, expected: str | None) -> str:
        """Write an object if it still has the tag that is expected (None: if there is none); returns its new tag.

        Raises
        ------
        ChangedError
            It hasn't.
        """
        from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

        with self._told(key):
            try:
                # Conditions hold for whole requests only, never for uploads in parts.
                mode = "create" if expected is None else {"e_tag": expected}
                return str(self._store.put(key, content, mode=mode, use_multipart=False)["e_tag"])
            except (AlreadyExistsError, NotFoundError, PreconditionError, FileExistsError, FileNotFoundError) as error:
                raise ChangedError(f"{self.address}/{key} was written by somebody else") from error

    def delete(self, key: str) -> None:
        """Remove an object."""
        with self._told(key):
            self._store.delete(key)

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            reason = str(error).split("\n", 1)[0]
            raise RemoteError(
                f"{self.address}/{key} can't be reached ({reason}). Check the address, and in the environment "
                "AWS_S3_ENDPOINT, AWS_REGION and the keys; what is published is whole, and running again does the rest."
            ) from error


def _config() -> Any:
    """The environment in obstore's words, beside those that it reads itself."""
    config: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_S3_ENDPOINT")
    if endpoint:
        scheme = "http" if _denied("AWS_HTTPS") else "https"
        config["endpoint"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        config["virtual_hosted_style_request"] = not _denied("AWS_VIRTUAL_HOSTING")
    if os.environ.get("AWS_NO_SIGN_REQUEST", "").upper() in ("YES", "TRUE", "ON", "1"):
        config["skip_signature"] = True
    return config


def _client() -> Any:
    return {"allow_http": _denied("AWS_HTTPS")}


def _denied(name: str) -> bool:
    return os.environ.get(name, "").upper() in _NO
