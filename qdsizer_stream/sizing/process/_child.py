"""The sizing process: takes steps from a socket, one after another, and sends back what came out.

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

ANSWERS_TOGETHER = 4
"""Answers that may wait for one another while more is asked: each message takes the session's interpreter
from the plan, and half of the slots are always at work."""

NICENESS = 10
"""Where cores are scarce the plan comes first: on two busy ones, at full speed, sizing made its events 121 %
longer with the plan's own priority, 83 % at 5 and 43 % at 10."""


def answer(memory: SharedMemory, number: int, asked: Content) -> Content:
    """Run one step.

    Parameters
    ----------
    memory
        Holds its arrays.
    number
        Of the step.
    asked
        Step, identity of the sizer, and argument.

    Returns
    -------
    The result and the error, one of which is None.
    """
    memory.in_hand = number
    result, raised = None, None
    try:
        step, wanted, argument = memory.read(asked)
        result = step(sizer_of(wanted), argument)
    except Exception as error:
        raised = error
    try:
        return memory.write(number, (result, raised))
    except Exception:  # an error may hold what cannot be sent
        return memory.write(number, (None, RuntimeError(f"{type(raised).__name__}: {raised}")))


def serve(connection: "Connection[Any, Any]", memory: SharedMemory) -> None:
    """Answer until the other end is closed.

    Parameters
    ----------
    connection
        To the process that asks.
    memory
        Shared with it.
    """
    more = select.poll()
    more.register(connection.fileno(), select.POLLIN)
    answers: list[Content] = []
    while True:
        try:
            number, asked = pickle.loads(connection.recv_bytes())
            answers.append(answer(memory, number, asked))
            if len(answers) >= ANSWERS_TOGETHER or not more.poll(0):
                connection.send_bytes(pickle.dumps(answers))
                answers.clear()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    os.nice(NICENESS)
    serve(Connection(int(sys.argv[1])), SharedMemory(int(sys.argv[2])))
