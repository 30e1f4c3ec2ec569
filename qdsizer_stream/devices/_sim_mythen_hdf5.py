"""A simulated MYTHEN that writes its frames to a file."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Kind

from ._sim_mythen import SimMythen
from ._unit_signal import UnitSignal

__all__ = ["SimMythenHdf5"]

DATASET = "/entry/data/data"
"""Path of the frames in the files of areaDetector."""


class SimMythenHdf5(SimMythen):
    """A simulated MYTHEN that writes HDF5 in SWMR mode and announces frames by stream documents.

    Parameters
    ----------
    prefix
        Unused; devices have one.
    directory
        Folder of the files; a new file is written every time the device is staged.
    arguments
        As for `SimMythen`.
    """

    image = Component(UnitSignal, value=np.zeros(0, np.uint32), unit="counts", kind=Kind.omitted)
    """Counts of the newest frame; they are not in the events."""

    def __init__(self, prefix: str = "", *, directory: str | os.PathLike[str], **arguments: Any) -> None:
        super().__init__(prefix, **arguments)
        self._directory = Path(directory)
        self._file: Any = None
        self._resource_uid: str | None = None
        self._announced = 0

    def stage(self) -> list[Any]:
        """Open a new file that can be read while it is written.

        Returns
        -------
        Devices staged.
        """
        self._resource_uid = None
        self._announced = 0
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._directory / f"{uuid.uuid4()}.h5", "w", libver="latest")
        n_strips = self.image.get().size
        self._file.create_dataset(
            DATASET, (0, n_strips), np.uint32, maxshape=(None, n_strips), chunks=(1, n_strips)
        )
        self._file.swmr_mode = True
        staged: list[Any] = super().stage()
        return staged

    def unstage(self) -> list[Any]:
        """Close the file.

        Returns
        -------
        Devices unstaged.
        """
        if self._file is not None:
            self._file.close()
            self._file = None
        unstaged: list[Any] = super().unstage()
        return unstaged

    def describe(self) -> dict[str, Any]:
        """Describe the data in the events and in the file.

        Returns
        -------
        Data keys; the one of the frames is external.
        """
        description: dict[str, Any] = super().describe()
        description[self.image.name] = self.image.describe()[self.image.name] | {
            "shape": [1, self.image.get().size],
            "external": "STREAM:",
        }
        return description

    def get_index(self) -> int:
        """Count the frames in the file.

        Returns
        -------
        Number of frames.
        """
        return len(self._file[DATASET])

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Announce the file once, then each new frame.

        Parameters
        ----------
        index
            Maximum number of frames to announce; None for all.

        Returns
        -------
        Name and document.
        """
        last = self.get_index() if index is None else min(index, self.get_index())
        if last <= self._announced:
            return
        if self._resource_uid is None:
            self._resource_uid = str(uuid.uuid4())
            yield (
                "stream_resource",
                {
                    "uid": self._resource_uid,
                    "data_key": self.image.name,
                    "mimetype": "application/x-hdf5",
                    "uri": f"file://localhost{Path(self._file.filename).resolve()}",
                    "parameters": {
                        "dataset": DATASET,
                        "swmr": True,
                        "chunk_shape": (1, self.image.get().size),
                    },
                },
            )
        yield (
            "stream_datum",
            {
                "uid": f"{self._resource_uid}/{self._announced}",
                "stream_resource": self._resource_uid,
                "descriptor": "",
                "indices": {"start": self._announced, "stop": last},
                "seq_nums": {"start": 0, "stop": 0},
            },
        )
        self._announced = last

    def _read_out(self, counts: NDArray[np.uint32]) -> None:
        super()._read_out(counts)
        dataset = self._file[DATASET]
        dataset.resize(len(dataset) + 1, axis=0)
        dataset[-1] = counts
        dataset.flush()
