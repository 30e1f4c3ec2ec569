"""An ophyd-async detector that writes given frames to a file; needs `ophyd-async`."""

import asyncio
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray
from ophyd_async import core

__all__ = ["FrameFileDetector", "fly_async"]

DATASET = "/entry/data/data"
"""Where areaDetector's file writer puts frames."""

FRAME_PERIOD_S = 0.005
"""Time between frames: short for a test, long enough that a reader meets a file that still grows."""


class _Writer:
    """Writes the frames, one after another, to a file open for SWMR readers."""

    def __init__(self, frames: NDArray[np.uint32]) -> None:
        self.frames = frames
        self.written, self._set_written = core.soft_signal_r_and_setter(int)
        self._file: Any = None
        self.n_frames = 1

    def open(self, path: Path) -> None:
        self._file = h5py.File(path, "w", libver="latest")
        n = self.frames.shape[1]
        self._file.create_dataset(DATASET, (0, n), np.uint32, maxshape=(None, n), chunks=(1, n))
        self._file.swmr_mode = True
        self._set_written(0)

    async def write(self) -> None:
        dataset = self._file[DATASET]
        for _ in range(self.n_frames):
            await asyncio.sleep(FRAME_PERIOD_S)
            n_written = len(dataset)
            dataset.resize(n_written + 1, axis=0)
            dataset[n_written] = self.frames[n_written]
            dataset.flush()
            self._set_written(n_written + 1)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _TriggerLogic(core.DetectorTriggerLogic):
    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        self._writer.n_frames = num

    async def default_trigger_info(self) -> core.TriggerInfo:
        return core.TriggerInfo()


class _AcquireLogic(core.DetectorAcquireLogic):
    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    async def start_acquiring(self) -> None:
        self._task = asyncio.create_task(self._writer.write())

    async def wait_for_idle(self) -> None:
        await self._task

    async def ensure_stopped(self) -> None:
        pass


class _DataLogic(core.DetectorDataLogic):
    def __init__(self, writer: _Writer, directory: str | os.PathLike[str]) -> None:
        self._writer = writer
        self._directory = Path(directory)

    async def prepare_unbounded(self, datakey_name: str) -> core.StreamResourceDataProvider:
        path = self._directory / "frames.h5"
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
                    parameters={"dataset": DATASET},
                )
            ],
            mimetype="application/x-hdf5",
            collections_written_signal=self._writer.written,
        )

    async def stop(self) -> None:
        self._writer.close()

    def get_hinted_fields(self, datakey_name: str) -> list[str]:
        return [datakey_name]


class FrameFileDetector(core.StandardDetector):
    """An ophyd-async detector that writes given frames to HDF5 and announces them by stream documents.

    Parameters
    ----------
    directory
        Folder of the file, `frames.h5`.
    frames
        Counts, shape (n_frames, n_strips), written in this order.
    energy_kev
        Photon energy, keV, a configuration signal.
    name
        Name of the device.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        frames: NDArray[np.uint32],
        energy_kev: float,
        name: str = "mythen",
    ) -> None:
        writer = _Writer(frames)
        self.energy = core.soft_signal_rw(float, energy_kev, units="keV")
        self.add_detector_logics(_TriggerLogic(writer), _AcquireLogic(writer), _DataLogic(writer, directory))
        self.add_config_signals(self.energy)
        super().__init__(name=name)


def fly_async(detector: FrameFileDetector, frames: int) -> MsgGenerator[None]:
    """Measure a run of frames without events.

    Parameters
    ----------
    detector
        The detector.
    frames
        Number of frames.

    Yields
    ------
    Messages of the plan.
    """
    yield from bps.stage(detector)
    yield from bps.open_run()
    yield from bps.prepare(detector, core.TriggerInfo(number_of_events=frames), wait=True)
    yield from bps.declare_stream(detector, name="fly", collect=True)
    yield from bps.kickoff(detector, wait=True)
    yield from bps.collect_while_completing([detector], [detector], flush_period=0.01, stream_name="fly")
    yield from bps.close_run()
    yield from bps.unstage(detector)
