"""Plans that act on the size, in a real RunEngine on a simulated synthesis."""

import functools
import operator
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky.utils import FailedStatus, RunEngineInterrupted
from event_model import DocumentNames, schema_validators
from numpy.typing import NDArray
from ophyd import Component, Device, DeviceStatus, Signal

from qdsizer_stream.callbacks import LiveSizer, NumberSource, WavelengthSource
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.devices.plans import (
    Ending,
    PlanOutcome,
    Shutter,
    SteeringFrame,
    choose_exposure,
    count_until_precise,
    follow_synthesis,
    monitor_synthesis,
    size_until,
)
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.reduction import AccumulationConfig
from qdsizer_stream.simulation import GrowingDots
from qdsizer_stream.sizing import Sizer

WAVELENGTH = 0.5637

Documents = list[tuple[str, Any]]


class Beamline:
    """A RunEngine with a live sizer, a shutter and all documents."""

    def __init__(self, live: LiveSizer) -> None:
        self.live = live
        self.engine = RunEngine({}, call_returns_result=True)
        self.engine.subscribe(live)
        self.documents: Documents = []
        self.engine.subscribe(lambda name, doc: self.documents.append((name, doc)))
        self.shutter = RecordedShutter(name="shutter")

    def __call__(self, plan: Any) -> PlanOutcome:
        return self.engine(plan).plan_result

    def events(self, stream: str) -> list[dict[str, Any]]:
        streams = {doc["uid"]: doc["name"] for name, doc in self.documents if name == "descriptor"}
        return [
            doc["data"]
            for name, doc in self.documents
            if name == "event" and streams[doc["descriptor"]] == stream
        ]

    @property
    def stop(self) -> dict[str, Any]:
        return [doc for name, doc in self.documents if name == "stop"][-1]


class RecordedShutter(Device):
    """A shutter that takes a moment, and remembers."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("", **arguments)
        self.moves: list[str] = []

    def set(self, value: str) -> DeviceStatus:
        status = DeviceStatus(self)

        def move() -> None:
            time.sleep(0.01)
            self.moves.append(value)
            status.set_finished()

        threading.Thread(target=move).start()
        return status


@pytest.fixture
def beamline(live: Callable[..., LiveSizer]) -> Beamline:
    return Beamline(live(workers=0))  # in this process: the plans are tested, and quickly


def crossing(dots: GrowingDots, target_nm: float, exposure_s: float) -> int:
    """Frame nearest in number to the moment at which the true size is the target."""
    middles = exposure_s * (np.arange(1, 200) - 0.5)
    truth = np.array([dots.number_mean_nm(float(middle)) for middle in middles])
    return int(np.flatnonzero(truth >= target_nm)[0]) + 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("target_nm", [3.5, 5.0])
def test_stops_within_one_frame_of_the_target(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots, target_nm: float, seed: int
) -> None:
    detector = mythen(exposure_s=10.0, counts_per_second=6.0, seed=seed)
    # The track needs the clock of the synthesis, which is not that of the wall here.
    plan = size_until(detector, beamline.live, target_nm, 0.1, 60, 60, time_key="mythen_elapsed")
    outcome = beamline(plan)
    assert outcome.ending in (Ending.REACHED, Ending.PASSED)
    assert abs(outcome.n_frames - crossing(dots, target_nm, 10.0)) <= 1
    assert len(beamline.events("primary")) == outcome.n_frames
    assert beamline.stop["exit_status"] == "success"
    assert beamline.stop["reason"] == f"{outcome.ending}: {outcome.reason}"
    sizes = beamline.events("size")
    assert sizes[-1]["size_size"] == outcome.last_sized.size_nm
    assert [event["size_frame_seq_num"] for event in sizes] == list(range(1, outcome.n_frames + 1))
    for name, doc in beamline.documents:
        schema_validators[DocumentNames[name]].validate(doc)


def test_the_shutter_is_open_for_the_run_alone(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    shutter = Shutter(beamline.shutter)
    outcome = beamline(size_until(mythen(), beamline.live, 4.0, 0.2, 20, 60, shutter=shutter))
    assert outcome.ending in (Ending.REACHED, Ending.PASSED)
    assert beamline.shutter.moves == ["Open", "Close"]


@pytest.mark.slow
def test_dots_that_shrink_are_followed_downwards(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    def backwards(q: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
        return dots(q, max(300 - elapsed_s, 0.0))

    detector = mythen(scene=backwards, exposure_s=20.0, counts_per_second=3.0)
    outcome = beamline(size_until(detector, beamline.live, 4.5, 0.01, 20, 60, time_key="mythen_elapsed"))
    assert outcome.ending in (Ending.REACHED, Ending.PASSED)
    events = beamline.events("size")
    assert all(event["size_track_size"] > 4.5 for event in events[:-1])
    # It ends with the frame nearest to the target: the next would be further beyond it.
    step_nm = events[-2]["size_track_size"] - events[-1]["size_track_size"]
    assert abs(events[-1]["size_track_size"] - 4.5) < 0.75 * step_nm


def test_frames_without_size_end_the_plan(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    starved = mythen(counts_per_second=1e-4)
    outcome = beamline(
        size_until(starved, beamline.live, 4.0, 0.1, 60, 60, max_unsized=4, shutter=Shutter(beamline.shutter))
    )
    assert (outcome.ending, outcome.n_frames, outcome.last_sized) == (Ending.TRUST_LOST, 4, None)
    assert outcome.reason.startswith("4 successive frames could not be sized; the last: low_counts: ")
    assert beamline.stop["exit_status"] == "fail"
    assert beamline.shutter.moves == ["Open", "Close"]


def test_a_size_between_bad_frames_restores_trust(
    beamline: Beamline, mythen: Callable[..., SimMythen]
) -> None:
    # The beam is off in frames 2, 3, 5 and 6 of 30 s: never three in a row.
    off = {1, 2, 4, 5}
    detector = mythen(beam=lambda elapsed_s: 1e-6 if int(elapsed_s // 30) in off else 1.0)
    outcome = beamline(size_until(detector, beamline.live, 100.0, 0.1, 7, 60))
    statuses = [event["size_status"] for event in beamline.events("size")]
    assert [status == "sized" for status in statuses] == [True, False, False, True, False, False, True]
    assert (outcome.ending, outcome.n_frames) == (Ending.MAX_FRAMES, 7)
    assert outcome.last_sized.number == 7


@pytest.mark.slow
def test_a_detector_that_hangs_ends_in_time(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    slow = mythen(speed=1.0, exposure_s=3.0)  # would take 3 s
    began = time.monotonic()
    outcome = beamline(size_until(slow, beamline.live, 4.0, 0.1, 60, 0.5, shutter=Shutter(beamline.shutter)))
    assert time.monotonic() - began < 2.5
    assert (outcome.ending, outcome.n_frames) == (Ending.TIMEOUT, 0)
    assert outcome.reason == "the allowed time of 0.5 s was over before frame 1 was read out"
    assert beamline.shutter.moves == ["Open", "Close"]


@pytest.mark.slow
def test_time_ends_the_plan_between_frames(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    outcome = beamline(size_until(mythen(speed=300.0), beamline.live, 100.0, 0.1, 10_000, 0.6))
    assert outcome.ending is Ending.TIMEOUT
    assert 1 <= outcome.n_frames <= 6


def test_an_exception_leaves_the_beamline_safe(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    def broken(q: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
        if elapsed_s > 30:
            raise OSError("the detector is gone")
        return np.ones_like(q)

    stopped: list[bool] = []
    detector = mythen(scene=broken)
    detector.stop = lambda *, success=False: stopped.append(True)
    with pytest.raises(FailedStatus):
        beamline(size_until(detector, beamline.live, 4.0, 0.1, 60, 60, shutter=Shutter(beamline.shutter)))
    assert beamline.shutter.moves == ["Open", "Close"]
    assert stopped
    assert beamline.stop["exit_status"] == "fail"
    beamline.engine(count([mythen()], 1))  # staged no more, the RunEngine is ready


def test_a_shutter_that_fails_does_not_keep_the_detector_running(
    beamline: Beamline, mythen: Callable[..., SimMythen]
) -> None:
    class Stuck(RecordedShutter):
        def set(self, value: str) -> DeviceStatus:
            if value == "Open":
                return super().set(value)
            status = DeviceStatus(self)
            status.set_exception(OSError("the shutter is stuck"))
            return status

    stopped: list[bool] = []
    detector = mythen()
    detector.stop = lambda *, success=False: stopped.append(True)
    shutter = Shutter(Stuck(name="stuck"))
    with pytest.raises(FailedStatus):
        beamline(size_until(detector, beamline.live, 3.0, 0.5, 5, 60, shutter=shutter))
    assert stopped
    beamline.engine(count([detector], 1))


def interrupt(beamline: Beamline, plan: Any, after_s: float) -> None:
    timer = threading.Timer(after_s, beamline.engine.request_pause)
    timer.start()
    with pytest.raises(RunEngineInterrupted):
        beamline.engine(plan)
    timer.join()


@pytest.mark.slow
def test_a_pause_closes_the_shutter_until_the_plan_goes_on(
    beamline: Beamline, mythen: Callable[..., SimMythen], capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[bool] = []
    detector = mythen(speed=300.0)  # 0.1 s a frame
    detector.stop = lambda *, success=False: stopped.append(True)
    plan = size_until(detector, beamline.live, 100.0, 0.1, 8, 60, shutter=Shutter(beamline.shutter))
    interrupt(beamline, plan, 0.35)
    assert beamline.shutter.moves == ["Open", "Close"]
    assert stopped == [True]
    outcome = beamline.engine.resume().plan_result
    assert beamline.shutter.moves == ["Open", "Close", "Open", "Close"]
    assert (outcome.ending, outcome.n_frames) == (Ending.MAX_FRAMES, 8)
    # A frame that the pause broke is measured again, under the same number.
    assert sorted({event["size_frame_seq_num"] for event in beamline.events("size")}) == list(range(1, 9))


def test_a_pause_at_the_very_end_does_not_open_the_shutter_again(
    beamline: Beamline, mythen: Callable[..., SimMythen], capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[bool] = []

    class Interrupted(RecordedShutter):
        def set(self, value: str) -> DeviceStatus:
            if value == "Close" and not asked:
                asked.append(True)
                # From another thread, as Ctrl-C does: here the RunEngine waits for the answer.
                threading.Thread(target=beamline.engine.request_pause).start()
                time.sleep(0.05)
            return super().set(value)

    shutter = Interrupted(name="shutter")
    with pytest.raises(RunEngineInterrupted):
        beamline.engine(size_until(mythen(), beamline.live, 3.0, 0.5, 5, 60, shutter=Shutter(shutter)))
    outcome = beamline.engine.resume().plan_result
    assert outcome.ending is Ending.REACHED
    assert shutter.moves[0] == "Open"
    assert set(shutter.moves[1:]) == {"Close"}


@pytest.mark.slow
def test_a_higher_probability_stops_later(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    ended = []
    for probability in (0.05, 0.5, 0.99):
        detector = mythen(exposure_s=3.0, counts_per_second=6.0)
        plan = size_until(
            detector, beamline.live, 5.0, 0.0, 60, 60, probability=probability, time_key="mythen_elapsed"
        )
        outcome = beamline(plan)
        ended.append(outcome.n_frames)
        assert f"required {probability:g}" in outcome.reason
    assert ended[0] < ended[1] < ended[2]


@pytest.mark.parametrize("how", ["abort", "stop"])
def test_abort_and_stop_leave_the_beamline_safe(
    beamline: Beamline, mythen: Callable[..., SimMythen], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = size_until(
        mythen(speed=300.0), beamline.live, 100.0, 0.1, 8, 60, shutter=Shutter(beamline.shutter)
    )
    interrupt(beamline, plan, 0.25)
    getattr(beamline.engine, how)()
    assert beamline.shutter.moves[-1] == "Close"
    assert beamline.engine.state == "idle"
    beamline.engine(count([mythen()], 1))


def test_a_sizer_that_sees_nothing_is_an_error(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"received no document of this run: subscribe it with RE.subscribe"
    ):
        RunEngine({})(size_until(mythen(), live(workers=0), 4.0, 0.1, 5, 60))


def test_the_size_of_an_earlier_run_is_never_taken(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    beamline.engine(count([mythen()], 1))  # leaves an estimate of frame 1, 2.9 nm
    assert beamline.live.wait(60)
    assert beamline.live.newest["qdsizer_frame_seq_num"] == 1
    small = mythen(name="other")
    small.image.put(np.zeros(10, np.uint32))
    small.trigger = lambda: _finished(small)  # frames of ten strips: the sizer makes nothing of them
    outcome = beamline(size_until(small, beamline.live, 2.9, 1.0, 5, 60))
    assert (outcome.ending, outcome.n_frames, outcome.last_sized) == (Ending.TRUST_LOST, 3, None)
    assert "no estimate of this frame arrived" in outcome.reason


def test_the_estimate_of_the_frame_before_is_never_taken(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    # Every frame expires the sum of the one before it: each step brings a new size, of another frame.
    late = AccumulationConfig(mode="reset", min_counts=1e12, max_seconds=1e-6)
    beamline = Beamline(live(workers=0, accumulation=late))
    outcome = beamline(size_until(mythen(), beamline.live, 2.9, 2.0, 4, 60, max_unsized=4))
    events = beamline.events("size")
    assert [event["size_frame_seq_num"] for event in events] == [1, 2, 3]
    assert {event["size_status"] for event in events} == {"sized"}
    assert (outcome.ending, outcome.n_frames, outcome.last_sized) == (Ending.TRUST_LOST, 4, None)
    assert "no estimate of this frame arrived" in outcome.reason


def _finished(device: Device) -> DeviceStatus:
    status = DeviceStatus(device)
    status.set_finished()
    return status


@pytest.mark.slow
def test_a_sizer_that_hangs_costs_trust(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    hangs = threading.Event()
    beamline.live.subscribe(lambda *_: hangs.wait(60), "event")  # a writer whose disk is gone
    shutter = Shutter(beamline.shutter)
    outcome = beamline(size_until(mythen(), beamline.live, 4.0, 0.1, 60, 60, max_unsized=1, shutter=shutter))
    hangs.set()
    assert (outcome.ending, outcome.n_frames) == (Ending.TRUST_LOST, 1)
    assert "no estimate within 10 s" in outcome.reason
    assert beamline.shutter.moves == ["Open", "Close"]
    assert not beamline.events("size")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_nm": -1.0}, r"size_until: target_nm: .*greater than 0 \(found -1.0\)"),
        ({"tolerance": float("nan")}, r"size_until: tolerance: .*finite"),
        ({"probability": 1.0}, r"size_until: probability: .*less than 1 \(found 1.0\)"),
        ({"max_frames": 0}, r"size_until: max_frames: .*greater than or equal to 1 \(found 0\)"),
        ({"timeout": 0.0}, r"size_until: timeout: .*greater than 0"),
        ({"max_unsized": 0}, r"size_until: max_unsized"),
        (
            {"time_key": "nowhere"},
            r"the detectors have no 'nowhere', only mythen_image, mythen_monitor, mythen_elapsed",
        ),
    ],
)
def test_bad_settings_say_what_is_allowed(
    beamline: Beamline, mythen: Callable[..., SimMythen], settings: dict[str, Any], message: str
) -> None:
    given = {"target_nm": 4.0, "tolerance": 0.1, "max_frames": 5, "timeout": 60.0, **settings}
    with pytest.raises(ConfigurationError, match=message):
        beamline(size_until(mythen(), beamline.live, **given))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_monitoring_ends_with_growth(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots, seed: int
) -> None:
    # The synthesis of the fixtures: 7.0 - 4.6 exp(-t / 100 s) nm, so growth is 2.76 exp(-t / 100 s) nm/min.
    exposure_s, window = 20.0, 10
    detector = mythen(exposure_s=exposure_s, counts_per_second=5.0, seed=seed)
    outcome = beamline(monitor_synthesis(detector, beamline.live, 0.2, 60, 60, time_key="mythen_elapsed"))
    assert outcome.ending is Ending.GROWTH_ENDED

    def true_rate(last: int) -> float:
        """Mean growth from the middle of the window's first frame to that of its last, nm/min."""
        ends = [exposure_s * (number - 0.5) for number in (last - window + 1, last)]
        first_nm, last_nm = (dots.number_mean_nm(end) for end in ends)
        return 60 * (last_nm - first_nm) / (ends[1] - ends[0])

    ended = next(last for last in range(window, 61) if true_rate(last) < 0.2)
    # The track knows the rate of the newest frame, not that of the middle of a window; its bound is within
    # 0.1 nm/min, which is four frames.
    assert ended - 6 <= outcome.n_frames <= ended + 3
    growth = 2.76 * np.exp(-(outcome.n_frames - 0.5) * exposure_s / 100)
    assert growth < 0.2
    assert "the dots grow by" in beamline.stop["reason"]


def test_monitoring_goes_on_while_dots_grow(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    detector = mythen(exposure_s=10.0, counts_per_second=5.0)
    outcome = beamline(
        monitor_synthesis(detector, beamline.live, 0.2, 12, 60, window_frames=6, time_key="mythen_elapsed")
    )
    assert outcome.ending is Ending.MAX_FRAMES


@pytest.mark.parametrize(
    ("growth", "growth_sd", "frame_sd", "expected_s"),
    [
        (0.0, 0.0, 0.1, 4.0),  # 0.1 nm at 1 s: 0.05 nm takes 4 s on its own
        (0.0, 0.0, 0.01, 1.0),  # the shortest suffices
        (0.0, 0.0, 10.0, 100.0),  # none does: the longest is best
        (6.0, 0.0, 0.1, 1.0),  # 0.1 nm/s: in 1 s the dots grow by twice the precision
        (60.0, 0.0, 0.1, 1.0),  # faster still: the shortest there is
    ],
)
def test_exposures_are_as_short_as_the_precision_allows(
    growth: float, growth_sd: float, frame_sd: float, expected_s: float
) -> None:
    frame = SteeringFrame(
        number=5,
        elapsed_s=50.0,
        frame_sd_nm=frame_sd,
        track_sd_nm=1e3,  # nothing is known before
        growth_nm_per_min=growth,
        growth_low_nm_per_min=growth - 1.96 * growth_sd,
        growth_high_nm_per_min=growth + 1.96 * growth_sd,
    )
    chosen = choose_exposure(frame, 1.0, 0.05, 1.0, 100.0)
    # 25 exposures between 1 and 100 s: the next above the exact one.
    assert expected_s <= chosen <= expected_s * 1.22


def test_a_track_that_is_known_needs_shorter_exposures_and_an_unknown_growth_longer_ones() -> None:
    def chosen(track_sd: float, growth_sd: float) -> float:
        frame = SteeringFrame(
            number=5, elapsed_s=50.0, frame_sd_nm=0.1, track_sd_nm=track_sd, growth_nm_per_min=0.0,
            growth_low_nm_per_min=-1.96 * growth_sd, growth_high_nm_per_min=1.96 * growth_sd,
        )  # fmt: skip
        return choose_exposure(frame, 1.0, 0.05, 1.0, 100.0)

    assert chosen(0.06, 0.0) < chosen(1.0, 0.0)
    assert chosen(0.06, 0.0) < chosen(0.06, 1.5)
    assert choose_exposure(SteeringFrame(number=1, elapsed_s=0.0), 3.0, 0.05, 1.0, 100.0) == 3.0


@pytest.mark.slow
def test_exposures_grow_as_growth_slows_down(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    detector = mythen(scene=lambda q, t: dots(q, 4 * t), exposure_s=5.0, counts_per_second=1.0)
    plan = follow_synthesis(detector, beamline.live, 0.02, 2.0, 60.0, 64, 60, time_key="mythen_elapsed")
    outcome = beamline(plan)
    assert (outcome.ending, outcome.n_frames) == (Ending.MAX_FRAMES, 64)
    elapsed = np.array([event["mythen_elapsed"] for event in beamline.events("primary")])
    periods = np.diff(elapsed)
    # 11 exp(-t / 25 s) nm/min: the dots grow by 0.04 nm in 0.2 s at first, in 26 s after 120 s.
    np.testing.assert_allclose(periods[2:6], 2.0)
    assert periods[-1] > 2 * 2.0
    # Every exposure is in a descriptor.
    exposures = {
        doc["configuration"]["mythen"]["data"]["mythen_exposure_s"]
        for name, doc in beamline.documents
        if name == "descriptor" and doc["name"] == "primary"
    }
    assert detector.exposure_s.get() in exposures
    assert len(exposures) > 3


def steady(dots: GrowingDots) -> Callable[[NDArray[np.float64], float], NDArray[np.float64]]:
    return lambda q, _: dots(q, 60.0)


@pytest.mark.slow
def test_counting_until_the_interval_is_narrow(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    detector = mythen(scene=steady(dots), exposure_s=2.0)
    outcome = beamline(count_until_precise(detector, beamline.live, 0.8, 60, 60))
    assert outcome.ending is Ending.PRECISE, outcome.reason
    assert 1 < outcome.n_frames < 60
    widths = [event["size_size_high"] - event["size_size_low"] for event in beamline.events("size")]
    assert widths[-1] <= 0.8
    assert all(not width <= 0.8 for width in widths[:-1])
    assert outcome.last_sized.low_nm <= dots.number_mean_nm(60.0) <= outcome.last_sized.high_nm
    assert detector.exposure_s.get() == 2.0


@pytest.mark.slow
def test_the_sum_that_is_precise_holds_every_photon(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen], dots: GrowingDots, sizer: Sizer
) -> None:
    # Whatever the beamline adds up otherwise.
    adding = AccumulationConfig(mode="reset", min_counts=1e9, max_seconds=1e6)
    beamline = Beamline(live(workers=0, accumulation=adding))
    events: list[dict[str, Any]] = []
    beamline.live.subscribe(lambda _, doc: events.append(doc["data"]), "event")
    detector = mythen(scene=steady(dots), exposure_s=2.0)
    outcome = beamline(count_until_precise(detector, beamline.live, 0.8, 60, 60))
    assert outcome.ending is Ending.PRECISE, outcome.reason
    together = [data for data in events if "qdsizer_size" in data]
    assert [data["qdsizer_n_frames"] for data in together] == list(range(1, outcome.n_frames + 1))
    frames = [data["mythen_image"] for data in events if "mythen_image" in data]
    pooled = [sizer.reducer.pool(frame, WAVELENGTH, exposure_s=2.0) for frame in frames]
    whole = sizer.examine_pooled(functools.reduce(operator.add, pooled)).estimate
    assert together[-1]["qdsizer_size"] == whole.size_nm
    assert together[-1]["qdsizer_counts"] == whole.counts


def test_an_interval_that_no_frames_narrow_ends_the_plan(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    detector = mythen(scene=steady(dots), exposure_s=20.0)
    outcome = beamline(count_until_precise(detector, beamline.live, 1e-3, 12, 60))
    assert (outcome.ending, outcome.n_frames) == (Ending.IMPRECISE, 1)
    assert "12 frames would give" in outcome.reason


def test_sums_without_size_end_the_plan(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    starved = mythen(counts_per_second=1e-6)
    outcome = beamline(count_until_precise(starved, beamline.live, 0.1, 20, 60))
    assert (outcome.ending, outcome.n_frames) == (Ending.TRUST_LOST, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width_nm": 0.0}, r"count_until_precise: width_nm: .*greater than 0"),
        ({"max_frames": 0}, r"count_until_precise: max_frames: .*greater than or equal to 1"),
    ],
)
def test_bad_precision_says_what_is_allowed(
    beamline: Beamline, mythen: Callable[..., SimMythen], settings: dict[str, Any], message: str
) -> None:
    given = {"width_nm": 0.5, "max_frames": 5, "timeout": 60.0, **settings}
    with pytest.raises(ConfigurationError, match=message):
        beamline(count_until_precise(mythen(), beamline.live, **given))


def test_a_window_too_short_for_a_rate_is_refused(
    beamline: Beamline, mythen: Callable[..., SimMythen]
) -> None:
    with pytest.raises(ConfigurationError, match=r"window_frames: .*greater than or equal to 4 \(found 3\)"):
        beamline(monitor_synthesis(mythen(), beamline.live, 0.2, 5, 60, window_frames=3))


@pytest.mark.slow
def test_a_sizer_in_a_process_of_its_own(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    beamline = Beamline(live(workers=1))
    detector = mythen(exposure_s=10.0, counts_per_second=6.0)
    outcome = beamline(size_until(detector, beamline.live, 4.0, 0.1, 60, 120))
    assert outcome.ending in (Ending.REACHED, Ending.PASSED)
    assert abs(outcome.n_frames - crossing(dots, 4.0, 10.0)) <= 1


class UnitSignal(Signal):
    """A signal with a unit, such as the energy of a monochromator; counts its triggers."""

    def __init__(self, unit: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._unit = unit
        self.triggered = 0

    def trigger(self) -> Any:
        self.triggered += 1
        return super().trigger()

    def describe(self) -> dict[str, Any]:
        return {self.name: {**super().describe()[self.name], "units": self._unit}}


PLANS = ["size_until", "monitor_synthesis", "count_until_precise", "follow_synthesis"]


def plans(detectors: Any, live: LiveSizer) -> dict[str, Any]:
    """Each plan for three frames."""
    return {
        "size_until": size_until(detectors, live, 100.0, 0.1, 3, 60),
        "monitor_synthesis": monitor_synthesis(detectors, live, 1e-9, 3, 60),
        "count_until_precise": count_until_precise(detectors, live, 0.01, 3, 60),
        "follow_synthesis": follow_synthesis(detectors, live, 0.02, 30.0, 30.0, 3, 60),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["inline", "file"])
@pytest.mark.parametrize("name", ["size_until", "monitor_synthesis", "follow_synthesis"])
def test_what_a_frame_needs_is_read_into_its_event(
    name: str, kind: str, live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen], tmp_path: Path
) -> None:
    beamline = Beamline(live(wavelength=WavelengthSource(data_key="mono_energy")))
    detector = mythen(kind=SimMythenHdf5, directory=tmp_path) if kind == "file" else mythen()
    energy = UnitSignal("keV", name="mono_energy", value=12.398419843 / WAVELENGTH)
    messages: list[Any] = []
    beamline.engine.msg_hook = messages.append
    outcome = beamline(plans([energy, detector], beamline.live)[name])
    assert (outcome.ending, outcome.n_frames) == (Ending.MAX_FRAMES, 3), outcome.reason
    assert [event["mono_energy"] for event in beamline.events("primary")] == [energy.get()] * 3
    assert [event["size_status"] for event in beamline.events("size")] == ["sized"] * 3
    assert energy.triggered == 3
    groups = [one.kwargs["group"] for one in messages if one.command == "trigger" and one.obj is not None]
    assert groups[:2] == ["qdsizer exposed"] * 2  # triggered together, then waited for once
    waits = [one.kwargs["group"] for one in messages if one.command == "wait"]
    assert waits.count("qdsizer exposed") == 3
    (start,) = [doc for kind_, doc in beamline.documents if kind_ == "start"]
    assert start["detectors"] == ["mono_energy", "mythen"]
    # Alone, the detector has no energy in its event.
    alone = beamline(plans(detector, beamline.live)[name])
    assert alone.ending is Ending.TRUST_LOST
    assert "no wavelength: data key mono_energy is missing" in alone.reason


def test_sums_of_frames_have_their_monitor_in_the_event(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    beamline = Beamline(live(monitor=NumberSource(data_key="i0")))
    beam = UnitSignal("A", name="i0", value=2.0)
    outcome = beamline(count_until_precise((mythen(), beam), beamline.live, 1e-4, 2, 60))
    assert outcome.ending is Ending.IMPRECISE
    assert beamline.events("primary")[0]["i0"] == 2.0


def test_a_part_of_a_detector_is_not_read_twice(beamline: Beamline, mythen: Callable[..., SimMythen]) -> None:
    detector = mythen()
    outcome = beamline(size_until([detector, detector.monitor, detector], beamline.live, 100.0, 0.1, 2, 60))
    assert (outcome.ending, outcome.n_frames) == (Ending.MAX_FRAMES, 2)
    (start,) = [doc for name, doc in beamline.documents if name == "start"]
    assert start["detectors"] == ["mythen"]


@pytest.mark.parametrize(
    "name", ["size_until", "monitor_synthesis", "count_until_precise", "follow_synthesis"]
)
@pytest.mark.parametrize(
    ("detectors", "message"),
    [
        ([], "detectors is empty: give the detector of the frames, or a list with it"),
        (["mythen"], "detectors: 'mythen' cannot be read; allowed are devices such as a detector, a monitor"),
        (7, "detectors: 7 cannot be read; allowed are devices such as a detector, a monitor and a motor"),
    ],
)
def test_what_is_no_device_is_an_error(beamline: Beamline, name: str, detectors: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        beamline(plans(detectors, beamline.live)[name])
    assert not beamline.documents


def test_the_exposure_is_that_of_the_detector_that_has_one(
    beamline: Beamline, mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    detector = mythen(scene=lambda q, t: dots(q, 200.0 + t), counts_per_second=1.0)  # hardly grow
    monitor = UnitSignal("A", name="i0", value=1.0)
    plan = follow_synthesis(
        [monitor, detector], beamline.live, 0.02, 2.0, 60.0, 12, 60, time_key="mythen_elapsed"
    )
    assert beamline(plan).ending is Ending.MAX_FRAMES
    exposures = {
        doc["configuration"]["mythen"]["data"]["mythen_exposure_s"]
        for name, doc in beamline.documents
        if name == "descriptor" and doc["name"] == "primary"
    }
    assert len(exposures) > 1
    with pytest.raises(
        ConfigurationError, match="follow_synthesis: none of i0 has an attribute 'exposure_s': give the one"
    ):
        beamline(follow_synthesis([monitor], beamline.live, 0.02, 2.0, 60.0, 3, 60))


class RecordedDevice(Device):
    """Fails where it is told to, and remembers."""

    value = Component(Signal, value=1.0)

    def __init__(self, name: str, calls: list[str], failing: str = "") -> None:
        super().__init__("", name=name)
        self._calls, self._failing = calls, failing

    def _call(self, what: str) -> None:
        self._calls.append(f"{what} {self.name}")
        if what == self._failing:
            raise OSError(f"{self.name} does not {what}")

    def stage(self) -> list[Any]:
        self._call("stage")
        staged: list[Any] = super().stage()
        return staged

    def stop(self, *, success: bool = False) -> None:
        self._call("stop")

    def unstage(self) -> list[Any]:
        self._call("unstage")
        unstaged: list[Any] = super().unstage()
        return unstaged


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ("stop", ["stage one", "stage two", "stop one", "stop two", "unstage two", "unstage one"]),
        ("unstage", ["stage one", "stage two", "stop one", "stop two", "unstage two", "unstage one"]),
        ("stage", ["stage one", "stop one", "stop two", "unstage one"]),
    ],
)
def test_every_detector_is_stopped_and_unstaged_even_if_another_fails(
    beamline: Beamline, mythen: Callable[..., SimMythen], failing: str, expected: list[str]
) -> None:
    calls: list[str] = []
    # `stage` fails in the first, the others in both.
    devices = [RecordedDevice("one", calls, failing), RecordedDevice("two", calls, failing)]
    with pytest.raises(OSError, match=f"does not {failing}"):
        beamline(size_until([*devices, mythen()], beamline.live, 100.0, 0.1, 2, 60))
    assert calls[: len(expected)] == expected  # the RunEngine tries again what failed
    beamline.engine(count([mythen()], 1))  # the RunEngine is ready


@pytest.mark.slow
def test_a_pause_stops_every_detector_even_if_one_fails(
    beamline: Beamline, mythen: Callable[..., SimMythen]
) -> None:
    calls: list[str] = []
    devices = [RecordedDevice("one", calls, "stop"), RecordedDevice("two", calls)]
    plan = size_until([*devices, mythen()], beamline.live, 100.0, 0.1, 1000, 60)
    timer = threading.Timer(0.5, beamline.engine.request_pause)
    timer.start()
    with pytest.raises(OSError, match="one does not stop"):
        beamline.engine(plan)
    timer.join()
    # The RunEngine gives the run up without asking the plan, and stops no detector itself.
    assert calls[:4] == ["stage one", "stage two", "stop one", "stop two"]
