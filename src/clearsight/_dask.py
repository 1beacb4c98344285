"""Where tasks are done: in this process, or by the workers of a Dask cluster. The bytes are the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from clearsight._subtiles import BrokenItemsError
from clearsight.errors import ArgumentError, OptionalDependencyError, ProductError


class Task(Protocol):
    """Something to do that needs nothing but its own facts and files."""

    @property
    def key(self) -> str:
        """Its name: what a cluster's pages show."""

    def do(self) -> None:
        """Do it; nothing if it is done already."""


Run = Callable[[Sequence[Task]], Iterator[Task]]
"""Does tasks, and gives each when it is done, in any order."""

LOCAL: Final = "local"

_RETRIES: Final = 2
_CONNECT_SECONDS: Final = 20

_log = logging.getLogger(__name__)


@contextmanager
def runner(scheduler: str | None) -> Iterator[Run]:
    """Give the means to do tasks.

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


def _here(tasks: Sequence[Task]) -> Iterator[Task]:
    for task in tasks:
        task.do()
        yield task


def _on(client: Any) -> Run:
    def run(tasks: Sequence[Task]) -> Iterator[Task]:
        import distributed

        waiting = {client.submit(_do, task, key=task.key, retries=_RETRIES, pure=False): task for task in tasks}
        broken: dict[str, str] = {}
        failed: list[str] = []
        for future in distributed.as_completed(list(waiting)):
            task = waiting[future]
            if future.status == "finished":
                # Items that can't be read come back as a value: no retry would mend them.
                broken |= future.result()
                yield task
            else:
                reason = f"{task.key}: {future.exception()!r}"
                _log.warning("gave up after %d attempts: %s", 1 + _RETRIES, reason)
                failed.append(reason)
        if broken:
            raise BrokenItemsError(broken)
        if failed:
            raise ProductError(
                f"{len(failed)} of {len(tasks)} tasks failed, {1 + _RETRIES} attempts each: {'; '.join(failed)}. "
                "What is done is kept; run again to do the rest."
            )

    return run


def _do(task: Task) -> dict[str, str]:
    try:
        task.do()
    except BrokenItemsError as error:
        return error.reasons
    return {}
