"""The sizing process: reads tasks from a socket, runs them in order, and sends back their results.

Started as ``python -m qdsizer_stream.sizing.process._child SOCKET MEMORY``, two file descriptors.
"""

import os
import pickle
import select
import sys
from multiprocessing.connection import Connection
from typing import Any

from ._identity import sizer_of
from ._memory import Content, SharedMemory

__all__: list[str] = []

RESULTS_TOGETHER = 4
"""Results sent in one message while more tasks are waiting: each message takes the session's interpreter from
the plan, and half of the slots are always at work."""

NICENESS = 10
"""Where cores are scarce the plan comes first: on two busy ones, at full speed, sizing made its events 121 %
longer with the plan's own priority, 83 % at 5 and 43 % at 10."""


def run(memory: SharedMemory, index: int, request: Content) -> Content:
    """Run one task.

    Parameters
    ----------
    memory
        Holds its arrays.
    index
        Of the task.
    request
        Task, identity of the sizer, and argument.

    Returns
    -------
    The result and the error, one of which is None.
    """
    memory.running = index
    result, error = None, None
    try:
        task, wanted, argument = memory.read(request)
        result = task(sizer_of(wanted), argument)
    except Exception as caught:
        error = caught
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
    while True:
        try:
            index, request = pickle.loads(connection.recv_bytes())
            results.append(run(memory, index, request))
            if len(results) >= RESULTS_TOGETHER or not more.poll(0):
                connection.send_bytes(pickle.dumps(results))
                results.clear()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    os.nice(NICENESS)
    serve(Connection(int(sys.argv[1])), SharedMemory(int(sys.argv[2])))
