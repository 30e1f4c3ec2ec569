"""The sizing process: takes steps from a socket, one after another, and sends back what came out.

Started as ``python -m qdsizer_stream.sizing_process._child FILE_DESCRIPTOR``.
"""

import pickle
import sys
from multiprocessing.connection import Connection
from typing import Any

from ._identity import sizer_of

__all__: list[str] = []


def answer(request: bytes) -> bytes:
    """Run one step.

    Parameters
    ----------
    request
        Pickled step, identity of the sizer, and argument.

    Returns
    -------
    Pickled result and error, one of which is None.
    """
    result, raised = None, None
    try:
        step, wanted, argument = pickle.loads(request)
        result = step(sizer_of(wanted), argument)
    except Exception as error:
        raised = error
    try:
        return pickle.dumps((result, raised), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:  # an error may hold what cannot be sent
        return pickle.dumps((None, RuntimeError(f"{type(raised).__name__}: {raised}")))


def serve(connection: "Connection[Any, Any]") -> None:
    """Answer until the other end is closed.

    Parameters
    ----------
    connection
        To the process that asks.
    """
    while True:
        try:
            request = connection.recv_bytes()
            connection.send_bytes(answer(request))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
