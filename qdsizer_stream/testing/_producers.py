"""Simulated MYTHENs that announce their frames in each layout of documents that Bluesky has."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray
from ophyd import DeviceStatus

from ..devices import SimMythen, SimMythenHdf5

__all__ = [
    "FlyingMythen",
    "ListMythen",
    "PageMythen",
    "ResourceDatumMythen",
    "StackMythen",
    "fly",
    "fly_page",
]

DATASET = "/entry/data/data"
"""Where areaDetector's file writer puts frames."""


class ResourceDatumMythen(SimMythen):
    """Writes HDF5 and announces it by resource and datum, as areaDetector's classic ophyd devices do.

    Parameters
    ----------
    directory
        Folder of the files, one for each time the device is staged.
    frames_each
        Frames per event (`frame_per_point`).
    arguments
        As for `SimMythen`.
    """

    def __init__(self, *, directory: str | os.PathLike[str], frames_each: int = 1, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._directory = Path(directory)
        self._frames_each = frames_each

    def stage(self) -> list[Any]:
        """Open a new file for reading while it is written.

        Returns
        -------
        Devices staged.
        """
        self._resource = str(uuid.uuid4())
        self._path = self._directory / f"{self._resource}.h5"
        self._points = 0
        self._documents: list[tuple[str, dict[str, Any]]] = [
            (
                "resource",
                {
                    "uid": self._resource,
                    "spec": "AD_HDF5",
                    "root": str(self._directory),
                    "resource_path": self._path.name,
                    "resource_kwargs": {"frame_per_point": self._frames_each},
                    "path_semantics": "posix",
                    "run_start": "",
                },
            )
        ]
        n_strips = self.image.get().size
        self._file = h5py.File(self._path, "w", libver="latest")
        self._file.create_dataset(DATASET, (0, 1, n_strips), np.uint32, maxshape=(None, 1, n_strips))
        self._file.swmr_mode = True
        staged: list[Any] = super().stage()
        return staged

    def unstage(self) -> list[Any]:
        """Close the file.

        Returns
        -------
        Devices unstaged.
        """
        self._file.close()
        unstaged: list[Any] = super().unstage()
        return unstaged

    def describe(self) -> dict[str, Any]:
        """Describe what an event holds, the image outside it.

        Returns
        -------
        Data keys by name.
        """
        description: dict[str, Any] = super().describe()
        shape = [self._frames_each, 1, self.image.get().size]
        description[self.image.name] |= {"external": "FILESTORE:", "shape": shape}
        return description

    def read(self) -> dict[str, Any]:
        """Read the device; the image is the id of its datum.

        Returns
        -------
        Readings by name.
        """
        reading: dict[str, Any] = super().read()
        reading[self.image.name]["value"] = self._datum
        return reading

    def collect_asset_docs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Announce the file, once, and the new frames.

        Yields
        ------
        Name and document.
        """
        documents, self._documents = self._documents, []
        yield from documents

    def _read_out(self, counts: NDArray[np.uint32]) -> None:
        super()._read_out(counts)
        dataset = self._file[DATASET]
        dataset.resize(len(dataset) + self._frames_each, axis=0)
        dataset[-self._frames_each :] = counts
        dataset.flush()
        self._datum = f"{self._resource}/{self._points}"
        self._documents.append(
            (
                "datum",
                {
                    "datum_id": self._datum,
                    "resource": self._resource,
                    "datum_kwargs": {"point_number": self._points},
                },
            )
        )
        self._points += 1


class FlyingMythen(SimMythenHdf5):
    """Measures by itself between kickoff and complete: no events, many frames in one stream_datum."""

    frames = 5
    """Frames of a flight."""

    def kickoff(self) -> DeviceStatus:
        """Start measuring.

        Returns
        -------
        Status that is done at once.
        """
        self._flight = _start(lambda: [self.trigger().wait() for _ in range(self.frames)])
        return _finished(self)

    def complete(self) -> DeviceStatus:
        """Wait for the last frame.

        Returns
        -------
        Status that is done.
        """
        self._flight.join()
        return _finished(self)

    def describe_collect(self) -> dict[str, Any]:
        """Describe what is collected.

        Returns
        -------
        Data keys by name.
        """
        return self.describe()


class ListMythen(SimMythen):
    """Gives its counts as a plain list, as waveforms of older control systems do."""

    def read(self) -> dict[str, Any]:
        """Read the device; the image is a list.

        Returns
        -------
        Readings by name.
        """
        reading: dict[str, Any] = super().read()
        reading[self.image.name]["value"] = reading[self.image.name]["value"].tolist()
        return reading


class StackMythen(SimMythen):
    """Gives several exposures in one event, one row each."""

    rows = 2
    """Exposures per event."""

    def trigger(self) -> DeviceStatus:
        """Expose the frames of one event.

        Returns
        -------
        Status that is done when the last frame is read out.
        """
        self._stack: list[Any] = []
        status = DeviceStatus(self)

        def expose() -> None:
            for _ in range(self.rows):
                super(StackMythen, self).trigger().wait()
                self._stack.append(self.image.get())
            status.set_finished()

        _start(expose)
        return status

    def describe(self) -> dict[str, Any]:
        """Describe what an event holds.

        Returns
        -------
        Data keys by name; the image has shape (rows, 1, n_strips).
        """
        description: dict[str, Any] = super().describe()
        description[self.image.name]["shape"] = [self.rows, 1, self.image.get().size]
        return description

    def read(self) -> dict[str, Any]:
        """Read the device.

        Returns
        -------
        Readings by name; the image has shape (rows, 1, n_strips).
        """
        reading: dict[str, Any] = super().read()
        reading[self.image.name]["value"] = np.array(self._stack)[:, None, :]
        return reading


class PageMythen(SimMythen):
    """Measures by itself and gives all events at the end: the RunEngine makes an event_page of them."""

    frames = 4
    """Frames of a flight."""

    def kickoff(self) -> DeviceStatus:
        """Start measuring.

        Returns
        -------
        Status that is done at once.
        """
        self._readings: list[dict[str, Any]] = []

        def expose() -> None:
            for _ in range(self.frames):
                self.trigger().wait()
                self._readings.append(self.read())

        self._flight = _start(expose)
        return _finished(self)

    def complete(self) -> DeviceStatus:
        """Wait for the last frame.

        Returns
        -------
        Status that is done.
        """
        self._flight.join()
        return _finished(self)

    def describe_collect(self) -> dict[str, Any]:
        """Describe what is collected.

        Returns
        -------
        Data keys by name, in the stream "fly".
        """
        return {"fly": self.describe()}

    def collect(self) -> Iterator[dict[str, Any]]:
        """Give the events.

        Yields
        ------
        Data, timestamps and time of each.
        """
        for reading in self._readings:
            yield {
                "data": {key: value["value"] for key, value in reading.items()},
                "timestamps": {key: value["timestamp"] for key, value in reading.items()},
                "time": reading[self.image.name]["timestamp"],
            }


def fly(device: FlyingMythen) -> MsgGenerator[None]:
    """Measure a run without events: the frames are announced by stream documents alone.

    Parameters
    ----------
    device
        The detector.

    Yields
    ------
    Messages of the plan.
    """
    yield from bps.stage(device)
    yield from bps.open_run()
    yield from bps.declare_stream(device, name="fly", collect=True)
    yield from bps.kickoff(device, wait=True)
    yield from bps.complete(device, wait=True)
    yield from bps.collect(device, name="fly")
    yield from bps.close_run()
    yield from bps.unstage(device)


def fly_page(device: PageMythen) -> MsgGenerator[None]:
    """Measure a run whose events come in one event_page at its end.

    Parameters
    ----------
    device
        The detector.

    Yields
    ------
    Messages of the plan.
    """
    yield from bps.open_run()
    yield from bps.kickoff(device, wait=True)
    yield from bps.complete(device, wait=True)
    yield from bps.collect(device)
    yield from bps.close_run()


def _start(task: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=task)
    thread.start()
    return thread


def _finished(device: SimMythen) -> DeviceStatus:
    status = DeviceStatus(device)
    status.set_finished()
    return status
