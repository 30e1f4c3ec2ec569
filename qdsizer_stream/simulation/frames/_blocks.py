"""Blocks of patterns of a library: simulated on a cluster, and kept on disk until all are finished."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import LibraryError
from ._progress import Progress

__all__ = ["KeptBlocks", "blocks_by_dask"]

CONNECT_TIMEOUT_S = 30
"""Time after which a scheduler counts as unreachable."""

WORKERS_TIMEOUT_S = 120.0
"""Time without any worker after which a cluster counts as stopped: a batch system may take a minute to start
another."""

POLL_S = 2.0
"""Interval at which the workers are counted while nothing is finished."""


class KeptBlocks:
    """Finished blocks, in a folder beside the library until it is written.

    Parameters
    ----------
    path
        Library to be built.
    sha256
        Hash of its recipe: blocks of other recipes are ignored.
    shape
        Shape of a block.
    """

    def __init__(self, path: Path, sha256: str, shape: tuple[int, int]) -> None:
        self._folder = path.with_name(f"{path.name}.{sha256[:16]}.parts")
        self._shape = shape

    def load(self, n_blocks: int) -> dict[int, NDArray[np.float32]]:
        """Read the blocks of an interrupted build.

        Parameters
        ----------
        n_blocks
            Number of blocks of the library.

        Returns
        -------
        Complete blocks by index; damaged ones are left out, and so simulated again.
        """
        blocks = {}
        for number in range(n_blocks):
            try:
                block = np.load(self._file(number), allow_pickle=False)
            except (OSError, ValueError, EOFError):
                continue
            if block.shape == self._shape and block.dtype == np.float32:
                blocks[number] = block
        return blocks

    def save(self, number: int, block: NDArray[np.float32]) -> None:
        """Keep a block; it is written completely or not at all.

        Parameters
        ----------
        number
            Its index.
        block
            Its patterns, shape as given.
        """
        self._folder.mkdir(exist_ok=True)
        part = self._folder / "part"
        with part.open("wb") as file:
            np.save(file, block, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._file(number))

    def discard(self) -> None:
        """Remove all blocks."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.npy"


def blocks_by_dask(
    simulate_block: Callable[[str, int], NDArray[np.float32]],
    recipe_json: str,
    numbers: Sequence[int],
    scheduler: str,
    progress: Progress,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Simulate blocks on the workers of a Dask cluster.

    Parameters
    ----------
    simulate_block
        Simulates one block of a recipe; the workers import it from this package.
    recipe_json
        Recipe.
    numbers
        Indices of the blocks.
    scheduler
        Address of the scheduler, such as tcp://host:8786.
    progress
        Called after each block.

    Yields
    ------
    Index and patterns of each block, in the order in which they finish.

    Raises
    ------
    LibraryError
        Dask is not installed, no scheduler answers, or the cluster has had no worker for two minutes.
    """
    try:
        from distributed import Client, KilledWorker, wait
    except ModuleNotFoundError as error:
        raise LibraryError(
            "a scheduler needs Dask: install qdsizer-stream[cluster], here and on the workers"
        ) from error
    try:
        client = Client(scheduler, timeout=CONNECT_TIMEOUT_S)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise LibraryError(
            f"no Dask scheduler answers at {scheduler} ({error}): start one with 'dask scheduler' and "
            "give its address, such as tcp://host:8786"
        ) from error
    with client:
        # Impure: two builds of one recipe must not share results, which may come from an older package.
        futures = {
            client.submit(simulate_block, recipe_json, number, pure=False): number for number in numbers
        }
        progress("simulating on the cluster", 0, len(numbers))
        last_seen = time.monotonic()
        while futures:
            try:
                finished = wait(  # type: ignore[no-untyped-call]
                    list(futures), timeout=POLL_S, return_when="FIRST_COMPLETED"
                )
                done = finished.done
            except TimeoutError:
                done = set()
            if client.scheduler_info()["workers"]:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > WORKERS_TIMEOUT_S:
                raise LibraryError(
                    f"the cluster at {scheduler} has had no worker for {WORKERS_TIMEOUT_S:.0f} s, with "
                    f"{len(futures)} blocks to go: start one with 'dask worker {scheduler}'; the finished "
                    "blocks are kept"
                )
            for future in done:
                number = futures.pop(future)
                try:
                    block = future.result()
                except KilledWorker as error:
                    raise LibraryError(
                        f"block {number} ended the workers that simulated it, as where memory runs out: give "
                        "them more, or run fewer at once; the finished blocks are kept"
                    ) from error
                yield number, block
                progress("simulating on the cluster", len(numbers) - len(futures), len(numbers))
