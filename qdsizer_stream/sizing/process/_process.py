"""The sizing process as seen from the one that asks."""

import logging
import os
import pickle
import select
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from ...errors import QdsizerError
from .. import Sizer
from ._identity import identity
from ._memory import SLOTS, SharedMemory
from ._steps import Begun, Step, load

__all__ = ["SizingProcess", "SizingProcessError"]

logger = logging.getLogger(__name__)

LOAD_TIMEOUT_S = 120.0
"""How long the process may take to start and load its sizer, s: a second, many times that under load."""

ANSWER_TIMEOUT_S = 30.0
"""How long an answer may take, s: thousands of times what it does: only a process that hangs is killed."""

END_TIMEOUT_S = 5.0
"""How long the process may take to end once nobody asks any more, s."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Threads of linear algebra wait for one another by spinning, on the cores of the plan: on two busy ones a
frame cost 50 ms of processor time with two threads, and 3 ms with one."""


class SizingProcessError(QdsizerError, RuntimeError):
    """The sizing process ended or hung over one step; another one is on its way."""


@dataclass(eq=False)
class _Asked:
    """A step that the process is to run."""

    step: Step
    sizer: Sizer
    argument: Any
    number: int = -1
    sent: bool = False
    answered: bool = False
    result: Any = None
    error: Exception | None = None


class SizingProcess:
    """Runs the steps of sizers in one process, started once and kept, with its own interpreter lock.

    The process is a fresh interpreter, never a fork of this one, whose threads and sockets it must not
    share; it runs no script of the session. It ends with this process, however that ends. Requests go
    over a socket and memory that no other program can reach, which is why they may be pickled. Several
    steps may be under way; the process runs them in order.

    Parameters
    ----------
    sizer
        The sizer to load ahead; others are loaded with the first step that asks for them.
    """

    def __init__(self, sizer: Sizer) -> None:
        self._sizer = sizer
        self._folder = Path.cwd()  # relative paths in the settings start here, wherever the session goes
        self._lock = threading.Lock()
        self._asked: deque[_Asked] = deque()  # not answered yet, oldest first
        self._n_sent = 0
        self.restarts = 0
        """Times that the process ended by itself, or hung, and was started anew."""
        self._start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def __call__(self, step: Step, sizer: Sizer, argument: Any) -> Begun:
        """Begin a step in the process.

        Parameters
        ----------
        step
            What to do: a function of `_steps`.
        sizer
            Sizer of this process with whose like to do it.
        argument
            To what; must not be changed until there is an answer.

        Returns
        -------
        Waits for what comes out. Raises what the step raised, or `SizingProcessError` where the process ended
        or hung over it; it is started anew, and the other steps are run there.
        """
        asked = _Asked(step, sizer, argument)
        with self._lock:
            try:
                while len(self._asked) >= SLOTS:
                    self._receive()
                self._send(asked)
                self._asked.append(asked)
            except Exception as error:  # the argument cannot be pickled, or no process be started
                asked.error, asked.answered = error, True
        return partial(self._outcome, asked)

    def close(self) -> None:
        """End the process; call no step afterwards."""
        with self._lock:
            self._connection.close()
            try:
                # One that still loads would look for the end of the connection only then.
                self._process.wait(0.0 if self._loading else END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._kill()

    @property
    def _loading(self) -> bool:
        return bool(self._asked) and self._asked[0].step is load

    def _start(self) -> None:
        """Start a process, give it its sizer and whatever was asked of the last one."""
        here, there = Pipe()
        self._memory, memory = SharedMemory.new()
        try:
            with there:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    # -P: a module of the working folder must not stand in for one of Python's own.
                    [sys.executable, "-P", "-m", f"{__package__}._child", str(there.fileno()), str(memory)],
                    pass_fds=(there.fileno(), memory),
                    stdin=subprocess.DEVNULL,
                    cwd=self._folder,
                    env={
                        **os.environ,
                        **ONE_THREAD,
                        "PYTHONPATH": os.pathsep.join(entry or "." for entry in sys.path),
                    },
                    process_group=0,  # Ctrl-C pauses the plan; it must not end the sizing
                )
        finally:
            os.close(memory)
        self._connection = here
        self._answers = select.poll()  # one for all steps: `Connection.poll` would make one for each
        self._answers.register(here.fileno(), select.POLLIN)
        # Should loading fail, so will the first step, and say why.
        self._asked.appendleft(_Asked(load, self._sizer, None))
        for asked in self._asked:
            self._send(asked)

    def _send(self, asked: _Asked) -> None:
        content = self._memory.write(self._n_sent, (asked.step, identity(asked.sizer), asked.argument))
        asked.number = self._n_sent
        self._n_sent += 1
        try:
            self._connection.send_bytes(pickle.dumps((asked.number, content)))
            asked.sent = True
        except OSError:  # the process has ended: to be noticed when an answer is waited for
            asked.sent = False

    def _outcome(self, asked: _Asked) -> Any:
        with self._lock:
            while not asked.answered:
                self._receive()
        if asked.error is not None:
            raise asked.error
        return asked.result

    def _receive(self) -> None:
        """Wait for the next answers; where there are none to come, for another process."""
        timeout_s = LOAD_TIMEOUT_S if self._loading else ANSWER_TIMEOUT_S
        try:
            if not self._answers.poll(1000 * timeout_s):
                raise SizingProcessError(f"the sizing process gave no answer within {timeout_s:g} s")
            answers = pickle.loads(self._connection.recv_bytes())
        except SizingProcessError as error:
            self._replace(error)
        except (EOFError, OSError):
            self._replace(self._ended())
        except BaseException:
            # Whatever ended the reading half-way: what comes next would be the other half.
            self._replace(SizingProcessError("reading its answer was interrupted"))
            raise
        else:
            for content in answers:
                asked = self._asked.popleft()
                try:
                    asked.result, asked.error = self._memory.read(content)
                except Exception as error:  # some errors can be pickled but not made again
                    asked.error = error
                asked.answered = True

    def _replace(self, fault: SizingProcessError) -> None:
        """Start another process, with the fault as the outcome of the step that was in hand."""
        in_hand = self._memory.in_hand
        self._connection.close()
        self._kill()
        self.restarts += 1
        logger.error("the sizing process ended by itself or hung; starting another")
        if self._loading:
            self._asked.popleft()
        # Each fault costs a step, or they would never end; but none that came after the process had ended.
        sent = [asked for asked in self._asked if asked.sent]
        if sent:
            lost = next((asked for asked in sent if asked.number == in_hand), sent[0])
            self._asked.remove(lost)
            lost.error, lost.answered = fault, True
        self._start()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

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
