"""MYTHENs behind areaDetector drivers, over Channel Access."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky.utils import FailedStatus
from event_model import DocumentNames, schema_validators

from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.devices import AdMythen, SlsMythen
from qdsizer_stream.devices.plans import Ending, size_until
from qdsizer_stream.reduction import NOTHING_APPLIED, AppliedCorrections
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]


@pytest.fixture
def sls(slsdetector: Any) -> SlsMythen:
    device = SlsMythen(slsdetector.prefix, name="mythen")
    device.wait_for_connection(timeout=20)
    return device


@pytest.fixture
def dectris(admythen: Any) -> AdMythen:
    device = AdMythen(admythen.prefix, name="mythen")
    device.wait_for_connection(timeout=20)
    return device


@pytest.fixture
def live_ev(config: LiveConfig, sizer: Sizer) -> Iterator[Callable[[str], LiveSizer]]:
    """Live sizers that take the wavelength from what the detector was told."""
    made: list[LiveSizer] = []

    def make(unit: str) -> LiveSizer:
        source = WavelengthSource(configuration_key="mythen_beam_energy", unit=unit)
        made.append(LiveSizer(config.model_copy(update={"wavelength": source, "workers": 0}), sizer))
        return made[-1]

    yield make
    for one in made:
        one.close(10)


def run(device: Any, frames: int) -> Documents:
    documents: Documents = []
    RunEngine({})(count([device], frames), lambda name, doc: documents.append((name, doc)))
    return documents


def events(documents: Documents) -> list[dict[str, Any]]:
    return [doc["data"] for name, doc in documents if name == "event"]


@pytest.mark.parametrize("which", ["sls", "dectris"])
def test_frames_come_whole_and_new(which: str, request: pytest.FixtureRequest) -> None:
    device = request.getfixturevalue(which)
    device.exposure_s.set(2.0).wait(10)
    documents = run(device, 4)
    for name, doc in documents:
        schema_validators[DocumentNames[name]].validate(doc)
    descriptor = next(doc for name, doc in documents if name == "descriptor")
    key = descriptor["data_keys"]["mythen_image"]
    assert (key["shape"], key["dtype_numpy"], key["units"]) == ([30720], "<f8", "counts")
    assert key["source"] == f"PV:{device.prefix}image1:ArrayData"
    configuration = descriptor["configuration"]["mythen"]
    assert configuration["data"]["mythen_exposure_s"] == 2.0
    assert configuration["data_keys"]["mythen_beam_energy"]["units"] == ("eV" if which == "sls" else "keV")
    frames = np.stack([event["mythen_image"] for event in events(documents)])
    # 6 counts a second for 2 s on 30 720 strips in pure solvent, and dots beside it: photons, none twice.
    assert all(3e5 < frame.sum() < 6e5 for frame in frames)
    assert all(np.array_equal(frame, np.round(frame)) for frame in frames)
    assert len({frame.tobytes() for frame in frames}) == 4


@pytest.mark.parametrize(("which", "unit"), [("sls", "eV"), ("dectris", "keV")])
def test_frames_are_sized(
    which: str, unit: str, request: pytest.FixtureRequest, live_ev: Callable[[str], LiveSizer]
) -> None:
    device = request.getfixturevalue(which)
    device.exposure_s.set(15.0).wait(10)
    sizer = live_ev(unit)
    sizes: list[float] = []
    sizer.subscribe(
        lambda _, doc: sizes.append(doc["data"]["qdsizer_size"]) if "qdsizer_size" in doc["data"] else None,
        "event",
    )
    engine = RunEngine({})
    engine.subscribe(sizer)
    engine(count([device], 3))
    assert sizer.wait(60)
    # The synthesis begins at 2.4 nm and tends to 7.
    assert len(sizes) == 3
    assert all(2.3 < size < 7.2 for size in sizes), sizes


def test_a_synthesis_behind_epics_is_stopped_at_a_size(
    serve: Callable[..., Any], live_ev: Callable[[str], LiveSizer]
) -> None:
    served = serve("--counts-per-second", "6", "--growth-time-s", "100")
    device = SlsMythen(served.prefix, name="mythen")
    device.wait_for_connection(timeout=20)
    device.exposure_s.set(10.0).wait(10)
    sizer = live_ev("eV")
    engine = RunEngine({}, call_returns_result=True)
    engine.subscribe(sizer)
    outcome = engine(size_until(device, sizer, 4.5, 0.1, 60, 120)).plan_result
    assert outcome.ending in (Ending.REACHED, Ending.PASSED)
    # 7.0 - 4.6 exp(-t / 100 s) = 4.5 at 61 s, the middle of frame 7
    assert abs(outcome.n_frames - 7) <= 1


def test_settings_are_put_back(sls: SlsMythen) -> None:
    sls.image_mode.set(2).wait(10)
    sls.image_enabled.set(0).wait(10)
    run(sls, 1)
    assert (sls.image_mode.get(), sls.image_enabled.get()) == (2, 0)


def test_a_frame_with_lost_packets_is_never_sized(
    serve: Callable[..., Any], live_ev: Callable[[str], LiveSizer]
) -> None:
    served = serve("--counts-per-second", "30", "--lose-every", "2")
    device = SlsMythen(served.prefix, name="mythen")
    device.wait_for_connection(timeout=20)
    sizer = live_ev("eV")
    said: list[tuple[str, str]] = []
    sizer.subscribe(
        lambda _, doc: (
            said.append((doc["data"]["qdsizer_status"], doc["data"]["qdsizer_reason"]))
            if "qdsizer_status" in doc["data"]
            else None
        ),
        "event",
    )
    engine = RunEngine({})
    engine.subscribe(sizer)
    documents: Documents = []
    engine(count([device], 4), lambda name, doc: documents.append((name, doc)))
    assert sizer.wait(60)
    missed = [event["mythen_missed_packets"] for event in events(documents)]
    assert sorted(missed) == [0, 0, 1, 1]
    lost = [np.isnan(event["mythen_image"]).all() for event in events(documents)]
    assert lost == [bool(number) for number in missed]
    assert [status == "bad_frame" for status, _ in said] == lost


def test_counters_of_a_strip_stand_side_by_side(sls: SlsMythen) -> None:
    mask = sls.prefix + "cam1:CounterMask"
    from ophyd import EpicsSignal

    setpoint = EpicsSignal(mask, name="mask", put_complete=True)
    setpoint.wait_for_connection(timeout=10)
    setpoint.set(7).wait(10)
    try:
        documents = run(sls, 1)
    finally:
        setpoint.set(1).wait(10)
    frame = events(documents)[0]["mythen_image"]
    assert frame.shape == (30720, 3)
    # Thresholds of 11, 15 and 30 keV under 22 keV: the third counter sees nothing.
    np.testing.assert_array_equal(frame[:, 0], frame[:, 1])
    assert frame[:, 0].sum() > 1e4
    assert not frame[:, 2].any()


@pytest.mark.parametrize("record", ["ReadMode", "Readout"])
def test_the_mode_is_read_as_text(admythen: Any, record: str) -> None:
    device = AdMythen(admythen.prefix, name="mythen", read_mode_record=record)
    device.wait_for_connection(timeout=20)
    # 0 in one version of the driver and 1 in the other
    assert device.read_configuration()["mythen_read_mode"]["value"] == "Raw"
    keys = {key.split("_", 1)[1]: reading["value"] for key, reading in device.read_configuration().items()}
    readings = {
        "ReadMode_RBV": keys["read_mode"],
        "UseFlatField_RBV": keys["use_flat_field"],
        "UseCountRate_RBV": keys["use_count_rate"],
        "UseBadChanIntrpl_RBV": keys["use_bad_channel_interpolation"],
    }
    assert AppliedCorrections.from_readings(readings) == NOTHING_APPLIED


def test_the_first_module_alone_is_refused(serve: Callable[..., Any]) -> None:
    served = serve("--driver", "admythen", "--first-module-only", "--modules", "6")
    device = AdMythen(served.prefix, name="mythen")
    device.wait_for_connection(timeout=20)
    with pytest.raises(FailedStatus) as failure:
        run(device, 1)
    assert "has 1280 strips, 6 modules have 7680" in str(failure.value.__cause__)


def test_a_driver_that_hands_out_nothing_is_told(sls: SlsMythen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qdsizer_stream.devices._epics_mythen.READOUT_S", 0.5)
    sls.stage_sigs[sls.image_enabled] = 0
    sls.image_enabled.set(0).wait(10)
    with pytest.raises(FailedStatus) as failure:
        run(sls, 1)
    assert "check that cam1:ArrayCallbacks and image1:EnableCallbacks are on" in str(failure.value.__cause__)


def test_an_address_of_another_computer_is_an_error() -> None:
    pytest.importorskip("caproto", reason="caproto is not installed")
    command = [str(Path(sys.executable).parent / "qdsizer-stream"), "ioc", "--modules", "1"]
    ended = subprocess.run(
        [*command, "--interface", "203.0.113.7"],  # reserved for documentation
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "cannot serve at 203.0.113.7:5064" in ended.stderr
    assert "give an address of this computer" in ended.stderr
    assert "Traceback" not in ended.stderr
