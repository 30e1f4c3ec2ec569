"""MYTHENs behind areaDetector drivers for ophyd-async, over Channel Access, with frames in HDF5 files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky.utils import FailedStatus

core = pytest.importorskip("ophyd_async.core", reason="ophyd-async is not installed")
pytest.importorskip("aioca", reason="aioca is not installed")

from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.devices.async_mythen import AsyncAdMythen, AsyncSlsMythen
from qdsizer_stream.devices.plans import Ending, size_until
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]


@pytest.fixture
def engine() -> RunEngine:
    """Devices connect in the loop of a RunEngine, so there is one before them."""
    return RunEngine({}, call_returns_result=True)


@pytest.fixture
def connect(engine: RunEngine, tmp_path: Path) -> Callable[..., Any]:
    def make(kind: Any, served: Any) -> Any:
        paths = core.StaticPathProvider(core.UUIDFilenameProvider(), tmp_path)
        with core.init_devices(timeout=20):
            mythen = kind(served.prefix, paths, name="mythen")
        return mythen  # noqa: RET504  # found among the local names

    return make


@pytest.fixture
def live_energy(config: LiveConfig, sizer: Sizer) -> Iterator[Callable[[str], LiveSizer]]:
    made: list[LiveSizer] = []

    def make(unit: str) -> LiveSizer:
        source = WavelengthSource(configuration_key="mythen-driver-beam_energy", unit=unit)
        made.append(LiveSizer(config.model_copy(update={"wavelength": source, "workers": 0}), sizer))
        return made[-1]

    yield make
    for one in made:
        one.close(10)


def frames_in(folder: Path) -> np.ndarray:
    (path,) = folder.glob("*.h5")
    with h5py.File(path) as file:
        return file["/entry/data/data"][:]


@pytest.mark.parametrize(
    ("kind", "driver", "unit"),
    [(AsyncSlsMythen, "slsdetector", "eV"), (AsyncAdMythen, "admythen", "keV")],
)
def test_step_scan(
    kind: Any,
    driver: str,
    unit: str,
    request: pytest.FixtureRequest,
    engine: RunEngine,
    connect: Callable[..., Any],
    live_energy: Callable[[str], LiveSizer],
    tmp_path: Path,
) -> None:
    mythen = connect(kind, request.getfixturevalue(driver))
    sizer = live_energy(unit)
    derived: Documents = []
    sizer.subscribe(lambda name, doc: derived.append((name, doc)))
    engine.subscribe(sizer)
    engine(bps.mv(mythen.driver.acquire_time, 5.0))
    engine(count([mythen], 3))
    assert sizer.wait(60)
    resource = next(doc for name, doc in derived if name == "stream_resource")
    assert resource["parameters"]["dataset"] == "/entry/data/data"
    descriptor = next(doc for name, doc in derived if name == "descriptor")
    assert descriptor["data_keys"]["mythen"]["shape"] == [1, 30720]
    assert descriptor["data_keys"]["mythen"]["dtype_numpy"] == "<u4"
    assert descriptor["configuration"]["mythen"]["data"]["mythen-driver-acquire_time"] == 5.0
    frames = frames_in(tmp_path)
    assert frames.shape == (3, 30720)
    assert len({frame.tobytes() for frame in frames}) == 3
    events = [doc["data"] for name, doc in derived if name == "event" and "qdsizer_status" in doc["data"]]
    assert [event["qdsizer_status"] for event in events] == ["sized"] * 3
    # The number mean of small dots with a disordered part comes out smaller.
    assert all(2.3 < event["qdsizer_mass_mean"] < 7.2 for event in events)


def test_fly_scan(slsdetector: Any, engine: RunEngine, connect: Callable[..., Any], tmp_path: Path) -> None:
    mythen = connect(AsyncSlsMythen, slsdetector)

    def fly() -> Iterator[Any]:
        yield from bps.stage(mythen, wait=True)
        yield from bps.open_run()
        yield from bps.prepare(mythen, core.TriggerInfo(number_of_events=5, livetime=1.0), wait=True)
        yield from bps.declare_stream(mythen, name="fly", collect=True)
        yield from bps.kickoff(mythen, wait=True)
        yield from bps.collect_while_completing([mythen], [mythen], flush_period=0.05, stream_name="fly")
        yield from bps.close_run()
        yield from bps.unstage(mythen, wait=True)

    datums: list[Any] = []
    engine(fly(), lambda name, doc: datums.append(doc) if name == "stream_datum" else None)
    assert max(doc["indices"]["stop"] for doc in datums) == 5
    assert frames_in(tmp_path).shape == (5, 30720)


def test_a_synthesis_is_stopped_at_a_size(
    serve: Callable[..., Any],
    engine: RunEngine,
    connect: Callable[..., Any],
    live_energy: Callable[[str], LiveSizer],
) -> None:
    mythen = connect(AsyncSlsMythen, serve("--counts-per-second", "6", "--growth-time-s", "100"))
    sizer = live_energy("eV")
    engine.subscribe(sizer)
    engine(bps.mv(mythen.driver.acquire_time, 10.0))
    outcome = engine(size_until(mythen, sizer, 4.5, 0.1, 60, 120)).plan_result
    assert outcome.ending in (Ending.REACHED, Ending.PASSED)
    # 7.0 - 4.6 exp(-t / 100 s) = 4.5 at 61 s, the middle of frame 7
    assert abs(outcome.n_frames - 7) <= 1


def test_lost_packets_end_the_plan(
    serve: Callable[..., Any], engine: RunEngine, connect: Callable[..., Any]
) -> None:
    mythen = connect(AsyncSlsMythen, serve("--lose-every", "1"))
    with pytest.raises(FailedStatus) as failure:
        engine(count([mythen], 2))
    assert "cam1:ReceiverMissedPackets_RBV is 1: the newest frame is incomplete" in str(
        failure.value.__cause__
    )


def test_the_first_module_alone_is_refused(
    serve: Callable[..., Any], engine: RunEngine, connect: Callable[..., Any]
) -> None:
    mythen = connect(AsyncAdMythen, serve("--driver", "admythen", "--first-module-only", "--modules", "6"))
    with pytest.raises(FailedStatus) as failure:
        engine(count([mythen], 1))
    assert "is 1280, 6 modules have 7680 strips" in str(failure.value.__cause__)
