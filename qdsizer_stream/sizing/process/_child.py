"""The sizing process: reads tasks from a socket, runs them in order, and sends back their results.

Started as ``python -m qdsizer_stream.sizing.process._child SOCKET MEMORY``, two file descriptors.
"""

import os
import pickle
import select
import sys
from multiprocessing.connection import Connection
from typing import Any

from ._executor import Outcome, run_tasks
from ._identity import sizer_of
from ._memory import SEVERAL, SLOTS, Content, SharedMemory

__all__: list[str] = []

TASKS_TOGETHER = 4
"""Tasks that are run at once, and results sent in one message, while more are waiting: each message takes the
session's interpreter from the plan, and half of the slots are always at work."""

NICENESS = 10
"""Where cores are scarce the plan comes first: on two busy ones, at full speed, sizing made its events 121 %
longer with the plan's own priority, 83 % at 5 and 43 % at 10."""


def run(memory: SharedMemory, requests: list[tuple[int, Content]]) -> list[Content]:
    """Run tasks, frames for one sizer at once.

    Parameters
    ----------
    memory
        Holds their arrays.
    requests
        Index of each, and its task, identity of the sizer, and argument.

    Returns
    -------
    Result and error of each, one of which is None.
    """
    outcomes: dict[int, Outcome] = {}
    readable, tasks = [], []
    for index, request in requests:
        memory.running = index
        try:
            task, wanted, argument = memory.read(request)
            tasks.append((task, sizer_of(wanted), argument))
            readable.append(index)
        except Exception as caught:
            outcomes[index] = None, caught

    def begin(first: int, n_tasks: int) -> None:
        memory.running = readable[first] if n_tasks == 1 else SEVERAL

    outcomes.update(zip(readable, run_tasks(tasks, begin), strict=True))
    return [_written(memory, index, *outcomes[index]) for index, _ in requests]


def _written(memory: SharedMemory, index: int, result: Any, error: Exception | None) -> Content:
    try:
        return memory.write(index, (result, error))
    except Exception:  # an error may hold what cannot be pickled
        return memory.write(index, (None, RuntimeError(f"{type(error).__name__}: {error}")))


def serve(connection: "Connection[Any, Any]", memory: SharedMemory) -> None:
    """Run tasks until the other end is closed.

    Parameters
    ----------
    connection
        To the process that submits tasks.
    memory
        Shared with it.
    """
    more = select.poll()
    more.register(connection.fileno(), select.POLLIN)
    results: list[Content] = []
    n_run = 0
    while True:
        try:
            requests = [pickle.loads(connection.recv_bytes())]
            # The first ones alone: one of them may have ended the process before this one.
            while n_run > SLOTS and len(requests) < TASKS_TOGETHER and more.poll(0):
                requests.append(pickle.loads(connection.recv_bytes()))
            results.extend(run(memory, requests))
            n_run += len(requests)
            if len(results) >= TASKS_TOGETHER or not more.poll(0):
                connection.send_bytes(pickle.dumps(results))
                results.clear()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    os.nice(NICENESS)
    serve(Connection(int(sys.argv[1])), SharedMemory(int(sys.argv[2])))
