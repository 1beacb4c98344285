"""One array of a Zarr store, seen as the reader sees a file: windows of numbers on a grid.

A chunk that comes truncated over a network is asked for again; one that is truncated on disk is an error, unless Blosc
couldn't compress it (noise, not images): there numcodecs doesn't notice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from clearsight.errors import ClearsightError, OptionalDependencyError, ProductError, RemoteError
from clearsight.sources._http import BUSY, advice, patience, pause_before, told_by
from clearsight.sources._remote import is_remote

Result = TypeVar("Result")

_HREF: Final = re.compile(r"^(?P<store>.+?\.zarr)/(?P<array>.+)$")


def is_zarr(href: str) -> bool:
    """Say whether an address leads into a Zarr store.

    Examples
    --------
    >>> is_zarr("https://host/S2A_MSIL1C.zarr/measurements/reflectance/r10m/b02"), is_zarr("B02.jp2")
    (True, False)
    """
    return _HREF.match(href) is not None


def open_group(store: str) -> Any:
    """Open a store for reading.

    Raises
    ------
    OptionalDependencyError
        The extra ``zarr`` isn't installed.
    Exception
        There is no Zarr store; see `guarded`.
    """
    try:
        import zarr

        if not is_remote(store):
            return zarr.open_group(store, mode="r")
        import aiohttp
    except ImportError as error:
        raise OptionalDependencyError(
            f"{store} is a Zarr store; to read it, pip install 'clearsight[zarr]'."
        ) from error
    patient = patience()
    waiting = aiohttp.ClientTimeout(total=None, sock_connect=patient.connecting, sock_read=patient.silence)
    return zarr.open_group(store, mode="r", storage_options={"client_kwargs": {"timeout": waiting}})


def guarded(read: Callable[[], Result], *, what: str, href: str) -> Result:
    """Run what reads a store; over a network again, if it may succeed then; whatever fails becomes one error.

    Parameters
    ----------
    read : callable
        Reads.
    what : str
        What it reads, for messages.
    href : str
        Where it reads from.

    Raises
    ------
    RemoteError
        The server refuses, fails or stays silent, after as many tries as patience allows.
    ProductError
        The store on disk is missing, incomplete or corrupt.
    """
    far = is_remote(href)
    patient = patience()
    for attempt in range(patient.retries + 1):
        try:
            return read()
        except ClearsightError:
            raise
        except Exception as error:  # stores and codecs are of many makers, with errors of many kinds
            reason = told_by(f"{type(error).__name__}: {error}")
            status: int | None = getattr(error, "status", None)
            gone = isinstance(error, LookupError | FileNotFoundError | TypeError)
        if not far or gone or (status is not None and status not in BUSY) or attempt == patient.retries:
            break
        time.sleep(pause_before(attempt, patient, asked=None))
    if far:
        tries = f" (tried {attempt + 1} times)" if attempt else ""
        raise RemoteError(f"{what} can't be read: {reason}{tries}. {advice(404 if gone else status)}")
    raise ProductError(f"{what} can't be read: {reason}. The store is missing or incomplete; fetch it again.")


class ZarrBand:
    """The part of rasterio's ``DatasetReader`` that our reader uses."""

    count = 1
    driver = "Zarr"
    gcps: tuple[list[Any], Any] = ([], None)
    """No ground control points: the grid is regular."""

    def __init__(self, href: str, *, item: str, asset: str) -> None:
        match = _HREF.match(href)
        if match is None:
            raise ProductError(f"{href} is no array in a Zarr store (….zarr/…).")
        self.name = href
        self._what = f"item {item!r}: asset {asset!r} ({href})"
        self._array, self.transform, self.crs = guarded(
            lambda: _opened(match["store"], match["array"]), what=self._what, href=href
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self._array.shape[-2:]
        return int(rows), int(columns)

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]

    @property
    def block_shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of a chunk."""
        rows, columns = self._array.chunks[-2:]
        return [(int(rows), int(columns))]

    def overviews(self, _: int) -> list[int]:
        """EOPF's products hold none."""
        return []

    def read(self, _: int, *, window: tuple[tuple[int, int], tuple[int, int]]) -> NDArray[Any]:
        """Numbers of a window: (first row, end), (first column, end)."""
        (top, bottom), (left, right) = window
        return np.asarray(guarded(lambda: self._array[..., top:bottom, left:right], what=self._what, href=self.name))


@lru_cache(maxsize=256)
def _opened(store: str, path: str) -> tuple[Any, Affine, str]:
    """An array, its corner, and its reference system; remembered, since every chunk asks."""
    root = open_group(store)
    return root[path], transform_of(root, path), crs_of(root, path)


def transform_of(root: Any, path: str) -> Affine:
    """Corner and pixel size, from the coordinates beside an array: pixel centres."""
    group = path.rpartition("/")[0]
    x, y = (np.asarray(root[f"{group}/{name}"][:2], float) for name in ("x", "y"))
    step, down = x[1] - x[0], y[1] - y[0]
    return Affine(step, 0, x[0] - step / 2, 0, down, y[0] - down / 2)


def crs_of(root: Any, path: str) -> str:
    """Reference system, wherever the store tells it."""
    told: list[Any] = []
    properties = dict(root.attrs).get("stac_discovery", {}).get("properties", {})
    for facts in (dict(root[path].attrs), properties, dict(root.attrs).get("other_metadata", {})):
        told += [facts.get("proj:code"), facts.get("proj:epsg"), facts.get("horizontal_CRS_code")]
    codes = [str(code) for code in told if code]
    if not codes:
        raise ProductError(f"{path} doesn't tell its coordinate reference system (proj:code); fetch the product again.")
    return codes[0] if ":" in codes[0] else f"EPSG:{codes[0]}"
