"""Processes that train one network together."""

import json
import multiprocessing.connection
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import distributed
from torch.multiprocessing.spawn import start_processes

from .. import errors
from ..errors import ConfigurationError, ModelError, QdsizerError
from ..simulation import Progress, silent

__all__ = ["check_workers", "run_workers"]

FRAMES_MULTIPLE = 64
"""Frames that a worker takes per step are a multiple of this: half of them are new, 32 at a time."""


def check_workers(n_workers: int, batch_size: int) -> None:
    """Check that a number of workers can share the frames of a step.

    Parameters
    ----------
    n_workers
        Number of processes.
    batch_size
        Frames per step.

    Raises
    ------
    ConfigurationError
        The number is below 1, or the frames cannot be shared equally.
    """
    if n_workers < 1:
        raise ConfigurationError(
            f"workers = {n_workers}: give 1 for a training in one process, or the number of processes"
        )
    if batch_size % (FRAMES_MULTIPLE * n_workers):
        possible = [n for n in range(1, batch_size + 1) if batch_size % (FRAMES_MULTIPLE * n) == 0]
        raise ConfigurationError(
            f"workers = {n_workers}: batch_size = {batch_size} cannot be shared equally, because each worker "
            f"takes a multiple of {FRAMES_MULTIPLE} frames: give workers = "
            f"{' or '.join(map(str, possible))}, or a batch_size that is a multiple of "
            f"{FRAMES_MULTIPLE * n_workers}"
        )


def run_workers(
    work: Callable[..., dict[str, Any]],
    n_workers: int,
    arguments: tuple[object, ...] = (),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Call a function in several new processes that are connected by `torch.distributed`, and wait for them.

    The processes share the threads of this one. If one of them ends early, the others are ended too.

    Parameters
    ----------
    work
        Function of a module, called with a progress callback and the arguments. It returns tensors, numbers
        and strings. Its rank is `torch.distributed.get_rank()`.
    n_workers
        Number of processes.
    arguments
        Arguments, which are pickled.
    progress
        Called here with the progress of the first process.

    Returns
    -------
    What the first process returned.

    Raises
    ------
    QdsizerError
        What the function raised, if it is an error of this package.
    ModelError
        A process was killed, or failed in another way.
    """
    n_threads = max(1, torch.get_num_threads() // n_workers)
    with tempfile.TemporaryDirectory(prefix="qdsizer-workers-") as folder:
        receiver, sender = torch.multiprocessing.get_context("spawn").Pipe(duplex=False)
        # Processes that torch starts end with this one, even if it is killed.
        started = start_processes(  # type: ignore[no-untyped-call]
            _work,
            (work, n_workers, n_threads, folder, sender, arguments),
            n_workers,
            join=False,
            start_method="spawn",
        )
        sender.close()
        try:
            _wait(started.processes, receiver, Path(folder), progress)
        finally:
            for process in started.processes:
                process.kill()  # does nothing to those that have ended
                process.join()
            receiver.close()
        result: dict[str, Any] = torch.load(Path(folder) / "result", weights_only=True)
    return result


def _work(
    rank: int,
    work: Callable[..., dict[str, Any]],
    n_workers: int,
    n_threads: int,
    folder: str,
    sender: Connection,
    arguments: tuple[object, ...],
) -> None:
    torch.set_num_threads(n_threads)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are on this machine; nothing listens outside it

    def report(what: str, done: int, total: int) -> None:
        sender.send((what, done, total))

    try:
        distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=n_workers
        )
        with threadpool_limits(1, "blas"):  # as in the command
            result = work(report if rank == 0 else silent, *arguments)
    except Exception as error:
        kind = type(error).__name__ if isinstance(error, QdsizerError) else None
        content = {"kind": kind, "message": str(error) if kind else f"{type(error).__name__}: {error}"}
        (Path(folder) / f"{rank}.error").write_text(json.dumps(content), encoding="utf-8")
        raise
    if rank == 0:
        torch.save(result, Path(folder) / "result")
    distributed.destroy_process_group()


def _wait(processes: list[Any], receiver: Connection, folder: Path, progress: Progress) -> None:
    """Pass progress on until all processes have ended well or one has not."""
    ends: dict[Any, int] = {receiver: -1} | {p.sentinel: rank for rank, p in enumerate(processes)}
    while ends:
        for ready in multiprocessing.connection.wait(list(ends)):
            if ready is receiver:
                try:
                    progress(*receiver.recv())
                except EOFError:  # all processes have ended
                    del ends[receiver]
                continue
            rank = ends.pop(ready)
            processes[rank].join()
            if processes[rank].exitcode:
                raise _error(rank, [process.exitcode for process in processes], folder)


def _error(rank: int, codes: list[int | None], folder: Path) -> QdsizerError:
    """What to raise after a process has ended early."""
    killed = [n for n, code in enumerate(codes) if code is not None and code < 0]
    found = {int(path.stem): json.loads(path.read_text("utf-8")) for path in folder.glob("*.error")}
    # The others lose the connection to a process that has ended, and fail too.
    for content in found.values():
        if content["kind"] and not killed:
            error: QdsizerError = getattr(errors, content["kind"])(content["message"])
            return error
    first = killed[0] if killed else rank
    what = "was killed" if killed else f"failed ({found.get(rank, {}).get('message', 'no message')})"
    return ModelError(
        f"worker {first + 1} of {len(codes)} {what}: if the memory was exhausted, give fewer workers; "
        "otherwise the same command continues from the last checkpoint"
    )
