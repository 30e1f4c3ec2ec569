"""The sizing process as seen from the process that submits its tasks."""

import logging
import math
import os
import pickle
import select
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, TypeVar

from ...errors import QdsizerError
from .. import Sizer
from ._executor import Task
from ._identity import identity
from ._memory import SEVERAL, SLOTS, SharedMemory

__all__ = ["SizingProcess", "SizingProcessError"]

logger = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")

LOAD_TIMEOUT_S = 120.0
"""How long the process may take to start and load its sizer, s: a second, many times that under load."""

RESULT_TIMEOUT_S = 30.0
"""How long a result may take, s: thousands of times the usual time, so that only a process that hangs is
killed."""

END_TIMEOUT_S = 5.0
"""How long the process may take to end after its pipe is closed, s."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Threads of linear algebra wait for one another by spinning, on the cores of the plan: on two busy ones a
frame cost 50 ms of processor time with two threads, and 3 ms with one."""


class SizingProcessError(QdsizerError, RuntimeError):
    """The sizing process ended or hung during a task; another process is started."""


@dataclass(eq=False)
class _Request:
    """A task that the process is to run."""

    task: Task[Any, Any]
    sizer: Sizer
    argument: Any
    future: Future[Any] = field(default_factory=Future)
    index: int = -1
    """Count of requests sent before it; -1 before it is sent."""
    sent: bool = False


def _load(sizer: Sizer, _: object) -> None:
    """Prepare the sizer, which the process must have loaded before it runs this task."""
    sizer.prepare()


class SizingProcess:
    """Runs tasks of sizers in one process, started once and kept, with its own interpreter lock.

    An `Executor`. The process is a fresh interpreter, never a fork of this one, whose threads and sockets it
    must not share; it runs no script of the session. It ends with this process, however that ends. Requests
    go through a socket and memory that no other program can reach, which is why they may be pickled. Several
    tasks may be submitted before the first result is read; the process runs them in order.

    Parameters
    ----------
    sizer
        The sizer to load ahead; others are loaded with the first task that needs them.
    """

    def __init__(self, sizer: Sizer) -> None:
        self._sizer = sizer
        self._folder = Path.cwd()  # relative paths in the settings start here, wherever the session goes
        self._lock = threading.Lock()
        self._pending: deque[_Request] = deque()  # without a result, oldest first
        self._n_sent = 0
        self.restarts = 0
        """Times that the process ended by itself, or hung, and another was started."""
        self._start()

    @property
    def pid(self) -> int:
        """Process identifier (PID)."""
        return self._process.pid

    def submit(self, task: Task[A, T], sizer: Sizer, argument: A, /) -> Future[T]:
        """Submit a task to the process, waiting for a free slot if all are taken.

        Parameters
        ----------
        task
            Function to call as ``task(sizer, argument)``, such as `Sizer.examine_frame`; pickled by name.
        sizer
            Sizer of this process; the other process loads one that gives the same numbers.
        argument
            Its argument; must not be changed before the result is there.

        Returns
        -------
        The future. Its `result` reads the pipe in the thread that calls it and raises what the task raised,
        or `SizingProcessError` where the process ended or hung during this task; then another process is
        started, which runs the other pending tasks.
        """
        future: _ProcessFuture[T] = _ProcessFuture(self)
        request = _Request(task, sizer, argument, future)
        with self._lock:
            try:
                while len(self._pending) >= SLOTS:
                    self._receive()
                self._send(request)
                self._pending.append(request)
            except Exception as error:  # the argument cannot be pickled, or no process be started
                future.set_exception(error)
        return future

    def close(self) -> None:
        """End the process; submit no task afterwards."""
        with self._lock:
            self._connection.close()
            try:
                # One that still loads would look for the end of the connection only then.
                self._process.wait(0.0 if self._loading else END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._kill()

    @property
    def _loading(self) -> bool:
        return bool(self._pending) and self._pending[0].task is _load

    def _start(self) -> None:
        """Start a process and send it its sizer and the pending tasks of the last one."""
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
        self._results = select.poll()  # one for all tasks: `Connection.poll` would make one for each
        self._results.register(here.fileno(), select.POLLIN)
        # If loading fails, the first task fails too, with the reason.
        self._pending.appendleft(_Request(_load, self._sizer, None))
        for request in self._pending:
            self._send(request)

    def _send(self, request: _Request) -> None:
        content = self._memory.write(self._n_sent, (request.task, identity(request.sizer), request.argument))
        request.index = self._n_sent
        self._n_sent += 1
        try:
            self._connection.send_bytes(pickle.dumps((request.index, content)))
            request.sent = True
        except OSError:  # the process has ended, which is noticed when a result is waited for
            request.sent = False

    def wait(self, future: Future[Any], timeout_s: float | None = None) -> None:
        """Read results until one is there, or the time is over.

        Parameters
        ----------
        future
            Of `submit`.
        timeout_s
            How long to wait, s; None for as long as the process may take.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        if not future.done():
            with self._lock:
                while not future.done() and (left_s := deadline - time.monotonic()) > 0:
                    self._receive(left_s)

    def _receive(self, at_most_s: float = math.inf) -> None:
        """Wait for the next results; where the process ended or hangs, start another."""
        timeout_s = LOAD_TIMEOUT_S if self._loading else RESULT_TIMEOUT_S
        try:
            if not self._results.poll(1000 * min(timeout_s, at_most_s)):
                if at_most_s < timeout_s:
                    return
                raise SizingProcessError(f"the sizing process gave no result within {timeout_s:g} s")
            contents = pickle.loads(self._connection.recv_bytes())
        except SizingProcessError as error:
            self._replace(error)
        except (EOFError, OSError):
            self._replace(self._ended())
        except BaseException:
            # Reading was interrupted half-way: what comes next would be the other half.
            self._replace(SizingProcessError("reading the result of this frame was interrupted"))
            raise
        else:
            for content in contents:
                future = self._pending.popleft().future
                try:
                    result, raised = self._memory.read(content)
                except Exception as unreadable:  # some errors can be pickled but not unpickled
                    result, raised = None, unreadable
                if raised is None:
                    future.set_result(result)
                else:
                    future.set_exception(raised)

    def _replace(self, fault: SizingProcessError) -> None:
        """Start another process; the fault is the outcome of the task that was running."""
        running = self._memory.running
        self._connection.close()
        self._kill()
        self.restarts += 1
        logger.error("the sizing process ended by itself or hung; starting another")
        if self._loading:
            self._pending.popleft()
        # Each fault costs one task, or restarts would never end; but none that was submitted after the
        # process had ended. Of several tasks at once the one at fault is not known: the next process runs
        # them one by one.
        sent = [request for request in self._pending if request.sent]
        if sent and running != SEVERAL:
            lost = next((request for request in sent if request.index == running), sent[0])
            self._pending.remove(lost)
            lost.future.set_exception(fault)
        self._start()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _ended(self) -> SizingProcessError:
        """Error that states how the process ended, which has closed its end of the socket."""
        try:
            status: object = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = "unknown"
        return SizingProcessError(
            f"the sizing process ended with status {status} while this frame was sized; see its "
            "message on the terminal, or whether memory ran out"
        )


class _ProcessFuture(Future[T]):
    """Result of a task in the process; the thread that asks for it reads it from the pipe."""

    def __init__(self, process: SizingProcess) -> None:
        super().__init__()
        self._process = process

    def result(self, timeout: float | None = None) -> T:
        self._process.wait(self, timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._process.wait(self, timeout)
        return super().exception(0)
