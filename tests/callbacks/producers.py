"""Detectors that announce their frames in every way that Bluesky knows."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bluesky import plan_stubs as bps
from numpy.typing import NDArray
from ophyd import DeviceStatus
from ophyd_async import core

from qdsizer_stream.devices import SimMythen, SimMythenHdf5

Documents = list[tuple[str, Any]]


class ResourceDatumMythen(SimMythen):
    """Writes HDF5 and announces it as areaDetector's classic ophyd devices do."""

    def __init__(self, *, directory: Path, frames_each: int = 1, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._directory = directory
        self._frames_each = frames_each

    def stage(self) -> list[Any]:
        self._resource = str(uuid.uuid4())
        self._path = self._directory / f"{self._resource}.h5"
        self._points = 0
        self._documents: Documents = [
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
        self._file.create_dataset(
            "/entry/data/data", (0, 1, n_strips), np.uint32, maxshape=(None, 1, n_strips)
        )
        self._file.swmr_mode = True
        return super().stage()

    def unstage(self) -> list[Any]:
        self._file.close()
        return super().unstage()

    def _read_out(self, counts: Any) -> None:
        super()._read_out(counts)
        dataset = self._file["/entry/data/data"]
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

    def describe(self) -> dict[str, Any]:
        description: dict[str, Any] = super().describe()
        shape = [self._frames_each, 1, self.image.get().size]
        description[self.image.name] |= {"external": "FILESTORE:", "shape": shape}
        return description

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = super().read()
        reading[self.image.name]["value"] = self._datum
        return reading

    def collect_asset_docs(self) -> Iterator[tuple[str, Any]]:
        documents, self._documents = self._documents, []
        yield from documents


class FlyingMythen(SimMythenHdf5):
    """Measures by itself between kickoff and complete: no events, many frames a stream_datum."""

    frames = 5

    def kickoff(self) -> DeviceStatus:
        self._flight = threading.Thread(target=lambda: [self.trigger().wait() for _ in range(self.frames)])
        self._flight.start()
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def complete(self) -> DeviceStatus:
        self._flight.join()
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def describe_collect(self) -> dict[str, Any]:
        return self.describe()


def fly(device: FlyingMythen) -> Any:
    yield from bps.stage(device)
    yield from bps.open_run()
    yield from bps.declare_stream(device, name="fly", collect=True)
    yield from bps.kickoff(device, wait=True)
    yield from bps.complete(device, wait=True)
    yield from bps.collect(device, name="fly")
    yield from bps.close_run()
    yield from bps.unstage(device)


class ListMythen(SimMythen):
    """Gives its counts as a plain list, as waveforms of older control systems come."""

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = super().read()
        reading[self.image.name]["value"] = reading[self.image.name]["value"].tolist()
        return reading


class StackMythen(SimMythen):
    """Gives several exposures in one event, one row each."""

    rows = 2

    def trigger(self) -> DeviceStatus:
        self._stack: list[Any] = []
        status = DeviceStatus(self)

        def expose() -> None:
            for _ in range(self.rows):
                super(StackMythen, self).trigger().wait()
                self._stack.append(self.image.get())
            status.set_finished()

        threading.Thread(target=expose).start()
        return status

    def describe(self) -> dict[str, Any]:
        description: dict[str, Any] = super().describe()
        description[self.image.name]["shape"] = [self.rows, 1, self.image.get().size]
        return description

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = super().read()
        reading[self.image.name]["value"] = np.array(self._stack)[:, None, :]
        return reading


class PageMythen(SimMythen):
    """Measures by itself and hands its events over at the end: the RunEngine makes an event page of them."""

    frames = 4

    def kickoff(self) -> DeviceStatus:
        def expose() -> None:
            self._readings = []
            for _ in range(self.frames):
                self.trigger().wait()
                self._readings.append(self.read())

        self._flight = threading.Thread(target=expose)
        self._flight.start()
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def complete(self) -> DeviceStatus:
        self._flight.join()
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def describe_collect(self) -> dict[str, Any]:
        return {"fly": self.describe()}

    def collect(self) -> Iterator[dict[str, Any]]:
        for reading in self._readings:
            yield {
                "data": {key: value["value"] for key, value in reading.items()},
                "timestamps": {key: value["timestamp"] for key, value in reading.items()},
                "time": reading[self.image.name]["timestamp"],
            }


class Writer:
    """Writes the frames, one after another, to a file open for SWMR readers."""

    def __init__(self, frames: NDArray[np.uint32]) -> None:
        self.frames = frames
        self.written, self._set_written = core.soft_signal_r_and_setter(int)
        self._file: Any = None
        self.n_frames = 1

    def open(self, path: Path) -> None:
        self._file = h5py.File(path, "w", libver="latest")
        n = self.frames.shape[1]
        self._file.create_dataset("/entry/data/data", (0, n), np.uint32, maxshape=(None, n), chunks=(1, n))
        self._file.swmr_mode = True
        self._set_written(0)

    async def write(self) -> None:
        dataset = self._file["/entry/data/data"]
        for _ in range(self.n_frames):
            await asyncio.sleep(0.005)
            number = len(dataset)
            dataset.resize(number + 1, axis=0)
            dataset[number] = self.frames[number]
            dataset.flush()
            self._set_written(number + 1)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class TriggerLogic(core.DetectorTriggerLogic):
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        self._writer.n_frames = num

    async def default_trigger_info(self) -> Any:
        return core.TriggerInfo()


class AcquireLogic(core.DetectorAcquireLogic):
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def start_acquiring(self) -> None:
        self._task = asyncio.create_task(self._writer.write())

    async def wait_for_idle(self) -> None:
        await self._task

    async def ensure_stopped(self) -> None:
        pass


class DataLogic(core.DetectorDataLogic):
    def __init__(self, writer: Writer, folder: Path) -> None:
        self._writer = writer
        self._folder = folder

    async def prepare_unbounded(self, datakey_name: str) -> Any:
        path = self._folder / "frames.h5"
        self._writer.open(path)
        n_strips = self._writer.frames.shape[1]
        return core.StreamResourceDataProvider(
            uri=f"file://localhost{path}",
            resources=[
                core.StreamResourceInfo(
                    data_key=datakey_name,
                    shape=(n_strips,),
                    chunk_shape=(1, n_strips),
                    dtype_numpy="<u4",
                    parameters={"dataset": "/entry/data/data"},
                )
            ],
            mimetype="application/x-hdf5",
            collections_written_signal=self._writer.written,
        )

    async def stop(self) -> None:
        self._writer.close()

    def get_hinted_fields(self, datakey_name: str) -> list[str]:
        return [datakey_name]


class Strips(core.StandardDetector):
    """An ophyd-async detector that writes given frames, and announces them by stream documents."""

    def __init__(self, folder: Path, frames: NDArray[np.uint32], energy_kev: float) -> None:
        writer = Writer(frames)
        self.energy = core.soft_signal_rw(float, energy_kev, units="keV")
        self.add_detector_logics(TriggerLogic(writer), AcquireLogic(writer), DataLogic(writer, folder))
        self.add_config_signals(self.energy)
        super().__init__(name="mythen")


def fly_async(detector: Strips, frames: int) -> Iterator[Any]:
    yield from bps.stage(detector)
    yield from bps.open_run()
    yield from bps.prepare(detector, core.TriggerInfo(number_of_events=frames), wait=True)
    yield from bps.declare_stream(detector, name="fly", collect=True)
    yield from bps.kickoff(detector, wait=True)
    yield from bps.collect_while_completing([detector], [detector], flush_period=0.01, stream_name="fly")
    yield from bps.close_run()
    yield from bps.unstage(detector)
