"""Sizes as records for the control room, over Channel Access."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count

pytest.importorskip("caproto", reason="caproto is not installed")

from ophyd import EpicsSignalRO

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.devices.ioc import SizePublisher

INVALID = 3
"""Severity of a record whose value means nothing."""


@pytest.fixture(scope="module")
def publisher(ca_ports: Iterator[int]) -> Iterator[SizePublisher]:
    one = SizePublisher("QD:", port=next(ca_ports))
    yield one
    one.close()


def record(name: str) -> EpicsSignalRO:
    signal = EpicsSignalRO(f"QD:{name}_RBV", name=name, auto_monitor=True)
    signal.wait_for_connection(timeout=20)
    return signal


def until(signal: EpicsSignalRO, value: Any) -> Any:
    """Value of a record once it is another one, at most five seconds later."""
    deadline = time.monotonic() + 5
    while signal.get() != value and time.monotonic() < deadline:
        time.sleep(0.01)
    return signal.get()


def severity(signal: EpicsSignalRO, value: int) -> int:
    """Severity of a record once it is another one, at most five seconds later."""
    deadline = time.monotonic() + 5
    while signal.alarm_severity != value and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(signal.alarm_severity)


@pytest.mark.slow
def test_the_newest_estimate_is_shown(
    publisher: SizePublisher, live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    size, number, run = record("Size"), record("FrameSeqNum"), record("RunUid")
    assert severity(size, INVALID) == INVALID
    assert math.isnan(size.get())
    assert size.describe()["Size"]["units"] == "nm"
    sizer = live(workers=0)
    sizer.subscribe(publisher)
    engine = RunEngine({})
    engine.subscribe(sizer)
    (uid,) = engine(count([mythen(counts_per_second=6.0)], 3))
    assert sizer.wait(60)
    assert until(number, 3) == 3
    newest = sizer.newest
    assert newest["qdsizer_status"] == "sized"
    assert until(size, newest["qdsizer_size"]) == newest["qdsizer_size"]
    assert severity(size, 0) == 0
    assert run.get() == uid
    for name, key in {
        "SizeLow": "size_low",
        "SizeHigh": "size_high",
        "MassMean": "mass_mean",
        "Dispersion": "dispersion",
        "LatticeParameter": "lattice_parameter",
        "Residual": "residual",
        "Counts": "counts",
        "Latency": "latency",
    }.items():
        assert until(record(name), newest[f"qdsizer_{key}"]) == newest[f"qdsizer_{key}"], name


@pytest.mark.slow
def test_a_frame_without_size_is_in_alarm(
    publisher: SizePublisher, live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    size = record("Size")
    status = EpicsSignalRO("QD:Status_RBV", name="status", string=True)
    reason = EpicsSignalRO("QD:Reason_RBV", name="reason", string=True)
    sizer = live(workers=0)
    sizer.subscribe(publisher)
    engine = RunEngine({})
    engine.subscribe(sizer)
    engine(count([mythen(counts_per_second=1e-4)], 1))
    assert sizer.wait(60)
    assert until(status, "low_counts") == "low_counts"
    assert reason.get() == sizer.newest["qdsizer_reason"]
    assert severity(size, INVALID) == INVALID
    assert math.isnan(size.get())


def test_a_thousand_estimates_do_not_wait_for_the_server(publisher: SizePublisher) -> None:
    numbers = "size_low size_high mass_mean dispersion lattice_parameter residual counts latency"
    data = {f"qdsizer_{name}": 1.0 for name in numbers.split()}
    data |= {"qdsizer_status": "sized", "qdsizer_reason": ""}
    publisher("start", {"uid": "a run"})
    publisher("descriptor", {"uid": "d", "name": "qd_size"})
    for number in range(1, 1001):
        publisher(
            "event",
            {
                "descriptor": "d",
                "data": {**data, "qdsizer_size": 0.01 * number, "qdsizer_frame_seq_num": number},
            },
        )
    # What was passed over is lost to the control room; the last one never is.
    assert until(record("FrameSeqNum"), 1000) == 1000
    assert until(record("Size"), 10.0) == 10.0


def test_a_long_reason_is_cut_between_characters(publisher: SizePublisher) -> None:
    reason = EpicsSignalRO("QD:Reason_RBV", name="reason")  # as bytes
    reason.wait_for_connection(timeout=20)
    publisher("start", {"uid": "another run"})
    publisher("descriptor", {"uid": "e", "name": "qd_size"})
    numbers = "size size_low size_high mass_mean dispersion lattice_parameter residual counts latency"
    data = {f"qdsizer_{name}": math.nan for name in numbers.split()}
    data |= {"qdsizer_status": "bad_frame", "qdsizer_reason": "Å" * 200, "qdsizer_frame_seq_num": 1}
    publisher("event", {"descriptor": "e", "data": data})
    expected = list(("Å" * 127).encode())  # two bytes each, 255 at most
    deadline = time.monotonic() + 5
    while list(reason.get())[: len(expected)] != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [byte for byte in reason.get() if byte] == expected


def test_an_address_of_another_computer_is_an_error() -> None:
    with pytest.raises(
        OSError, match=r"cannot serve at 203\.0\.113\.7:5064: .* give an address of this computer"
    ):
        SizePublisher("ELSEWHERE:", interface="203.0.113.7")  # reserved for documentation
    assert "records ELSEWHERE:" not in [thread.name for thread in threading.enumerate()]
