"""The sizing process as seen from the one that asks."""

import logging
import os
import pickle
import select
import subprocess
import sys
import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from ..errors import QdsizerError
from ..sizing import Sizer
from ._identity import identity
from ._steps import Step, load

__all__ = ["SizingProcess", "SizingProcessError"]

logger = logging.getLogger(__name__)

LOAD_TIMEOUT_S = 120.0
"""How long the process may take to start and load its sizer, s: a second, many times that under load."""

ANSWER_TIMEOUT_S = 30.0
"""How long a step may take, s: ten thousand times what it does: only a process that hangs is killed."""

END_TIMEOUT_S = 5.0
"""How long the process may take to end once nobody asks any more, s."""


class SizingProcessError(QdsizerError, RuntimeError):
    """The sizing process ended or hung over one step; another one is on its way."""


class SizingProcess:
    """Runs the steps of sizers in one process, started once and kept, with its own interpreter lock.

    The process is a fresh interpreter, never a fork of this one, whose threads and sockets it must not
    share; it runs no script of the session. It ends with this process, however that ends. Requests go
    over a socket that no other program can reach, which is why they may be pickled.

    Parameters
    ----------
    sizer
        The sizer to load ahead; others are loaded with the first step that asks for them.
    """

    def __init__(self, sizer: Sizer) -> None:
        self._sizer = sizer
        self._folder = Path.cwd()  # relative paths in the settings start here, wherever the session goes
        self._lock = threading.Lock()
        self.restarts = 0
        """Times that the process ended by itself, or hung, and was started anew."""
        self._start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def __call__(self, step: Step, sizer: Sizer, argument: Any) -> Any:
        """Run a step in the process.

        Parameters
        ----------
        step
            What to do: a function of `_steps`.
        sizer
            Sizer of this process with whose like to do it.
        argument
            To what.

        Returns
        -------
        What comes out.

        Raises
        ------
        SizingProcessError
            The process ended or hung meanwhile; it is started anew.
        Exception
            What the step raised.
        """
        request = _request(step, sizer, argument)
        with self._lock:
            try:
                self._wait_until_loaded()
                try:
                    self._connection.send_bytes(request)
                except OSError:  # it ended while nobody asked: this frame is not to blame
                    self._restart()
                    self._wait_until_loaded()
                    self._connection.send_bytes(request)
                result, error = self._receive(ANSWER_TIMEOUT_S)
            except BaseException:
                # Whatever ended the exchange half-way: the next answer would be that of this request.
                self._restart()
                raise
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the process; call no step afterwards."""
        with self._lock:
            self._connection.close()
            try:
                # One that still loads would look for the end of the connection only then.
                self._process.wait(0.0 if self._loading else END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._kill()

    def _start(self) -> None:
        here, there = Pipe()
        with there:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                # -P: a module of the working folder must not stand in for one of Python's own.
                [sys.executable, "-P", "-m", f"{__package__}._child", str(there.fileno())],
                pass_fds=(there.fileno(),),
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or "." for entry in sys.path)},
                process_group=0,  # Ctrl-C pauses the plan; it must not end the sizing
            )
        self._connection = here
        self._answered = select.poll()  # one for all steps: `Connection.poll` would make one for each
        self._answered.register(here.fileno(), select.POLLIN)
        self._loading: bool = True
        here.send_bytes(_request(load, self._sizer, None))

    def _wait_until_loaded(self) -> None:
        if self._loading:
            self._receive(LOAD_TIMEOUT_S)  # should it have failed, so will the step, and say why
            self._loading = False

    def _restart(self) -> None:
        self._connection.close()
        self._kill()
        self.restarts += 1
        logger.error("the sizing process ended by itself or hung; starting another")
        self._start()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _receive(self, timeout_s: float) -> tuple[Any, Exception | None]:
        try:
            if not self._answered.poll(1000 * timeout_s):
                raise SizingProcessError(f"the sizing process gave no answer within {timeout_s:g} s")
            result, error = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._ended() from error
        return result, error

    def _ended(self) -> SizingProcessError:
        """Say how the process ended, which has closed its end of the socket."""
        try:
            status: object = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = "unknown"
        return SizingProcessError(
            f"the sizing process ended with status {status} while this frame was sized; see its "
            "message on the terminal, or whether memory ran out"
        )


def _request(step: Step, sizer: Sizer, argument: Any) -> bytes:
    return pickle.dumps((step, identity(sizer), argument), protocol=pickle.HIGHEST_PROTOCOL)
