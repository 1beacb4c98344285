"""Work spread over a Dask cluster, a few steps ahead of what is taken: bounded memory, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from clearsight.errors import ArgumentError, OptionalDependencyError, OutputError

if TYPE_CHECKING:
    from distributed import Future

_Shared = TypeVar("_Shared")
_Step = TypeVar("_Step")
_Result = TypeVar("_Result")

_PATIENCE: Final = 30
"""Seconds to wait for the cluster, and for a worker of it."""

_AHEAD: Final = 2
"""Steps per worker that are asked for at once: one is computed while the other waits or travels."""


def on_cluster(
    work: Callable[[_Shared, _Step], _Result], shared: _Shared, steps: Mapping[int, _Step], *, address: str
) -> Iterator[tuple[int, _Result]]:
    """Do steps on the workers of a cluster; give what comes, as it comes.

    A step whose worker is lost is done again by another; that is the scheduler's work, and what a step needs travels
    with it, so that nothing is lost with a worker.

    Parameters
    ----------
    work : callable
        Takes ``shared`` and one step; has to be importable by the workers.
    shared : object
        What all steps need.
    steps : mapping of int to object
        The steps by their numbers.
    address : str
        Of the cluster's scheduler.

    Yields
    ------
    tuple of int and object
        A step's number and its result, in any order.

    Raises
    ------
    ArgumentError
        Nothing answers at ``address``, or no worker comes.
    OutputError
        Workers were lost again and again at the same step.
    OptionalDependencyError
        distributed isn't installed.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise OptionalDependencyError("scheduler=… needs distributed: pip install 'clearsight[cluster]'") from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            f"scheduler={address!r} doesn't answer ({error}); expected the address of a Dask scheduler, such as "
            "tcp://10.0.0.1:8786."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise ArgumentError(f"scheduler={address!r} has no workers; start some: dask worker {address}") from error
        numbers: dict[object, int] = {}
        waiting = iter(steps.items())

        def asked(count: int) -> list[Future[_Result]]:
            futures: list[Future[_Result]] = []
            for number, step in islice(waiting, count):
                future = client.submit(work, shared, step, pure=False)
                numbers[future.key] = number
                futures.append(future)
            return futures

        coming = as_completed(asked(_AHEAD * len(client.nthreads())), with_results=True, loop=client.loop)
        try:
            for future, result in coming:
                number = numbers.pop(future.key)
                future.release()
                coming.update(asked(1))
                yield number, result
        except KilledWorker as error:
            raise OutputError(
                f"scheduler={address!r}: workers were lost again and again ({error}); a worker needs about 1.5 GB."
            ) from error
