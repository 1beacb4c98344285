"""Where pieces are made: in this process, or by the workers of a Dask cluster. The bytes are the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from clearsight import _subtiles
from clearsight._subtiles import BrokenItemsError, Piece
from clearsight.errors import ArgumentError, OptionalDependencyError, ProductError

Run = Callable[[Sequence[Piece]], Iterator[Piece]]
"""Makes pieces, and gives each when it is done, in any order."""

LOCAL: Final = "local"

_RETRIES: Final = 2
_CONNECT_SECONDS: Final = 20

_log = logging.getLogger(__name__)


@contextmanager
def runner(scheduler: str | None) -> Iterator[Run]:
    """Give the means to make pieces.

    Parameters
    ----------
    scheduler : str or None
        None: one after the other, here. ``"local"``: a cluster on this machine, one single-threaded worker process
        for each core. Otherwise the address of a scheduler; its workers must see the archive and the products under
        the same paths.

    Raises
    ------
    OptionalDependencyError
        ``distributed`` isn't installed.
    ArgumentError
        There is no scheduler at the address.
    """
    if scheduler is None:
        yield _here
        return
    try:
        import distributed
    except ImportError as error:
        raise OptionalDependencyError(
            f"scheduler={scheduler!r} needs distributed; pip install 'clearsight[cluster]'"
        ) from error
    if scheduler == LOCAL:
        cluster = distributed.LocalCluster(threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster) as client:
            yield _on(client)
        return
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            f"scheduler={scheduler!r} can't be reached ({error}); expected an address such as tcp://10.0.0.1:8786, "
            "or 'local'."
        ) from error
    with client:
        yield _on(client)


def _here(pieces: Sequence[Piece]) -> Iterator[Piece]:
    for piece in pieces:
        _subtiles.make(piece)
        yield piece


def _on(client: Any) -> Run:
    def run(pieces: Sequence[Piece]) -> Iterator[Piece]:
        import distributed

        waiting = {
            client.submit(_make, piece, key=_key(piece), retries=_RETRIES, pure=False): piece for piece in pieces
        }
        broken: dict[str, str] = {}
        failed: list[str] = []
        for future in distributed.as_completed(list(waiting)):
            piece = waiting[future]
            if future.status == "finished":
                # Items that can't be read come back as a value: no retry would mend them.
                broken |= future.result()
                yield piece
            else:
                reason = f"{_key(piece)}: {future.exception()!r}"
                _log.warning("gave up after %d attempts: %s", 1 + _RETRIES, reason)
                failed.append(reason)
        if broken:
            raise BrokenItemsError(broken)
        if failed:
            raise ProductError(
                f"{len(failed)} of {len(pieces)} tasks failed, {1 + _RETRIES} attempts each: {'; '.join(failed)}. "
                "What is done is kept; run again to do the rest."
            )

    return run


def _make(piece: Piece) -> dict[str, str]:
    try:
        _subtiles.make(piece)
    except BrokenItemsError as error:
        return error.reasons
    return {}


def _key(piece: Piece) -> str:
    """Tile and its unfinished work, period, sub-tile: what a cluster's pages show of a task."""
    return f"score-{piece.path.parent.parent.name}-{piece.path.parent.name}-{piece.path.stem}"
