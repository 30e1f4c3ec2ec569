"""Tasks on the workers of a Dask cluster."""

import time
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from .errors import QdsizerError

__all__ = ["finished_tasks"]

K = TypeVar("K")

CONNECT_TIMEOUT_S = 30
"""Time after which a scheduler counts as unreachable."""

WORKERS_TIMEOUT_S = 120.0
"""Time without any worker after which a cluster counts as stopped: a batch system may take a minute to start
another."""

POLL_S = 2.0
"""Interval at which the workers are counted while nothing is finished."""


def finished_tasks(
    function: Callable[..., Any],
    arguments: Mapping[K, tuple[Any, ...]],
    scheduler: str,
    *,
    error_type: type[QdsizerError],
    things: str,
    kept: str,
) -> Iterator[tuple[K, Callable[[], Any]]]:
    """Run tasks on the workers of a Dask cluster; a task whose worker ends is run by another one.

    Parameters
    ----------
    function
        Function to call; the workers import it from this package.
    arguments
        Its arguments, by the key of the task.
    scheduler
        Address of the scheduler, such as tcp://host:8786.
    error_type
        Class of the errors.
    things
        What the tasks are, for messages: "blocks".
    kept
        What is not lost where this ends with an error, for messages.

    Yields
    ------
    Key of each task as it is finished, and a function that returns its result or raises its error.

    Raises
    ------
    QdsizerError
        Dask is not installed, no scheduler answers, or the cluster has had no worker for two minutes.
    """
    try:
        from distributed import Client, Future
    except ModuleNotFoundError as error:
        raise error_type(
            "a scheduler needs Dask: install qdsizer-stream[cluster], here and on the workers"
        ) from error
    try:
        # Not the default of this process: it may serve the archive that the workers read, and Tiled's server
        # would send what it computes with Dask to these workers, which wait for it.
        client = Client(  # type: ignore[no-untyped-call]
            scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise error_type(
            f"no Dask scheduler answers at {scheduler} ({error}): start one with 'dask scheduler' and "
            "give its address, such as tcp://host:8786"
        ) from error
    with client:
        finished: SimpleQueue[Future[Any]] = SimpleQueue()
        # Impure: two commands must not share results, which may come from an older package.
        futures = {client.submit(function, *values, pure=False): key for key, values in arguments.items()}
        for future in futures:
            future.add_done_callback(finished.put)  # type: ignore[no-untyped-call]
        last_seen = time.monotonic()
        while futures:
            try:
                future = finished.get(timeout=POLL_S)
            except Empty:
                if client.scheduler_info()["workers"]:
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > WORKERS_TIMEOUT_S:
                    raise error_type(
                        f"the cluster at {scheduler} has had no worker for {WORKERS_TIMEOUT_S:.0f} s, with "
                        f"{len(futures)} {things} to go: start one with 'dask worker {scheduler}'; {kept}"
                    ) from None
            else:
                last_seen = time.monotonic()
                yield futures.pop(future), future.result
