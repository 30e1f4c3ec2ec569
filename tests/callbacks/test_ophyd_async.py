"""Frames that an ophyd-async StandardDetector writes to HDF5 while they are read."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count

core = pytest.importorskip("ophyd_async.core", reason="ophyd-async is not installed")

from qdsizer_stream.callbacks import LiveConfig, WavelengthSource  # noqa: E402
from qdsizer_stream.callbacks._frame import Frame  # noqa: E402
from qdsizer_stream.callbacks._source import FrameSource  # noqa: E402
from qdsizer_stream.reduction import ReductionConfig, nominal_detector  # noqa: E402
from qdsizer_stream.sizing import SizingConfig  # noqa: E402

N_STRIPS = 2560
FRAMES = np.random.default_rng(2).poisson(50, (6, N_STRIPS)).astype(np.uint32)
CONFIG = LiveConfig(
    sizing=SizingConfig(reduction=ReductionConfig(detector=nominal_detector(2, -1.0), arm_deg=0.0)),
    wavelength=WavelengthSource(configuration_key="mythen-energy"),
)


class Writer:
    """Writes the frames, one after another, to a file open for SWMR readers."""

    def __init__(self) -> None:
        self.written, self._set_written = core.soft_signal_r_and_setter(int)
        self._file: Any = None
        self.n_frames = 1

    def open(self, path: Path) -> None:
        self._file = h5py.File(path, "w", libver="latest")
        self._file.create_dataset(
            "/entry/data/data", (0, N_STRIPS), np.uint32, maxshape=(None, N_STRIPS), chunks=(1, N_STRIPS)
        )
        self._file.swmr_mode = True
        self._set_written(0)

    async def write(self) -> None:
        dataset = self._file["/entry/data/data"]
        for _ in range(self.n_frames):
            await asyncio.sleep(0.005)
            number = len(dataset)
            dataset.resize(number + 1, axis=0)
            dataset[number] = FRAMES[number]
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
        return core.StreamResourceDataProvider(
            uri=f"file://localhost{path}",
            resources=[
                core.StreamResourceInfo(
                    data_key=datakey_name,
                    shape=(N_STRIPS,),
                    chunk_shape=(1, N_STRIPS),
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
    def __init__(self, folder: Path) -> None:
        writer = Writer()
        self.energy = core.soft_signal_rw(float, 22.0, units="keV")
        self.add_detector_logics(TriggerLogic(writer), AcquireLogic(writer), DataLogic(writer, folder))
        self.add_config_signals(self.energy)
        super().__init__(name="mythen")


def fly(detector: Strips) -> Iterator[Any]:
    yield from bps.stage(detector)
    yield from bps.open_run()
    yield from bps.prepare(detector, core.TriggerInfo(number_of_events=len(FRAMES)), wait=True)
    yield from bps.declare_stream(detector, name="fly", collect=True)
    yield from bps.kickoff(detector, wait=True)
    yield from bps.collect_while_completing([detector], [detector], flush_period=0.01, stream_name="fly")
    yield from bps.close_run()
    yield from bps.unstage(detector)


@pytest.mark.parametrize("kind", ["step", "fly"])
def test_frames_of_a_standard_detector(kind: str, tmp_path: Path) -> None:
    frames: list[Frame] = []
    names: list[str] = []
    sources: list[FrameSource] = []

    def live(name: str, doc: Any) -> None:
        names.append(name)
        if name == "start":
            sources.append(FrameSource(CONFIG, doc))
        frames.extend(sources[0].frames(name, doc, 1.0e9))  # the writer still has the file open

    engine = RunEngine({})
    with core.init_devices():
        detector = Strips(tmp_path)
    engine(count([detector], len(FRAMES)) if kind == "step" else fly(detector), live)
    sources[0].close()
    assert ("event" in names) == (kind == "step")
    assert [frame.reason for frame in frames] == [""] * len(FRAMES)
    assert [frame.seq_num for frame in frames] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal([frame.counts for frame in frames], FRAMES)
    # 22 keV in the descriptor, hc/E by hand
    assert frames[0].wavelength_angstrom == pytest.approx(12.398419843 / 22.0)
