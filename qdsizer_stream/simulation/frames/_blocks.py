"""Blocks of patterns of a library: simulated on a cluster, and kept on disk until all are finished."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..._dask import finished_tasks
from ...errors import LibraryError
from ._progress import Progress

__all__ = ["KeptBlocks", "blocks_by_dask"]


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
    finished = finished_tasks(
        simulate_block,
        {number: (recipe_json, number) for number in numbers},
        scheduler,
        error_type=LibraryError,
        things="blocks",
        kept="the finished blocks are kept",
    )
    progress("simulating on the cluster", 0, len(numbers))
    for n_finished, (number, result) in enumerate(finished, 1):
        from distributed import KilledWorker

        try:
            block = result()
        except KilledWorker as error:
            raise LibraryError(
                f"block {number} ended the workers that simulated it, as where memory runs out: give "
                "them more, or run fewer at once; the finished blocks are kept"
            ) from error
        yield number, block
        progress("simulating on the cluster", n_finished, len(numbers))
