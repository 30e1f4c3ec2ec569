"""The live sizer: documents in, documents out, and nothing that goes wrong reaches the plan."""

import copy
import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.callbacks import LiveTable
from bluesky.plans import count
from bluesky.preprocessors import run_decorator
from bluesky.utils import RunEngineInterrupted
from event_model import DocumentNames, schema_validators

import qdsizer_stream.models
from qdsizer_stream import __version__
from qdsizer_stream.callbacks import (
    Destination,
    LiveConfig,
    LiveSizer,
    QueuePolicy,
    WavelengthSource,
    with_smoothed,
)
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ModelError
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots
from qdsizer_stream.sizing import Sizer, SizingConfig

Documents = list[tuple[str, Any]]
Through = Callable[..., Documents]


def size_events(documents: Documents) -> list[Any]:
    descriptors = {
        doc["uid"] for name, doc in documents if name == "descriptor" and doc.get("name") == "qd_size"
    }
    return [doc for name, doc in documents if name == "event" and doc.get("descriptor") in descriptors]


def size_data(documents: Documents, key: str) -> list[Any]:
    return [event["data"][f"qdsizer_{key}"] for event in size_events(documents)]


DECIMALS: list[tuple[str, str | None, int | None]] = [
    # The first pattern that fits: a standard deviation has a digit more than its value.
    (r"evidence_(size|mass_mean).*", "nm", 4),
    (r"evidence_(lower|upper)_factor", None, 4),
    (r"track_size_sd", "nm", 4),
    (r"track_(size|mass_mean).*", "nm", 3),
    (r"track_change", None, None),
    (r"growth.*|forecast_rate.*", "nm/min", 4),
    (r"(size|mass_mean)_(frame|shared)_sd", "nm", 3),
    (r"(size|mass_mean)(_low|_high)?|class", "nm", 2),
    (r"dispersion.*|class_probability", None, 3),
    (r"residual", None, 4),
    (r"lattice_parameter", "angstrom", 4),
    (r"resolution", "angstrom^-1", 4),
    (r"two_theta_shift", "deg", 3),
    (r"counts", "counts", 0),
    (r"latency", "s", 4),
    (r"track_time|evidence_age", "s", 3),
]
"""Units and decimals of the numbers by their names: 0.01 nm is what a size is known to, and a tenth of it for
what is averaged or subtracted."""


def test_a_run_in_a_run_engine(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen], dots: GrowingDots
) -> None:
    sizer = live()
    out: Documents = []
    straight: Documents = []
    before: list[Any] = []
    engine = RunEngine({})
    engine.subscribe(lambda name, doc: before.append(copy.deepcopy(doc)))
    engine.subscribe(sizer)
    engine.subscribe(lambda name, doc: straight.append((name, doc)))
    sizer.subscribe(lambda name, doc: out.append((name, doc)))
    engine(count([mythen()], 6))
    assert sizer.wait(60)

    for name, doc in out:
        schema_validators[DocumentNames[name]].validate(doc)
    raw_out = [
        (name, doc) for name, doc in out if doc.get("name") != "qd_size" and doc not in size_events(out)
    ]
    # Raw documents: the same objects, in the same order, equal to what they were at first.
    assert [doc["uid"] for _, doc in raw_out] == [doc["uid"] for _, doc in straight]
    assert all(a is b for (name, a), (_, b) in zip(raw_out, straight, strict=True) if name != "stop")
    np.testing.assert_equal([doc for _, doc in straight], before)

    kinds = [
        ("size " if doc.get("name") == "qd_size" or doc in size_events(out) else "") + name
        for name, doc in out
    ]
    assert kinds == [
        *["start", "descriptor", "event", "size descriptor", "size event"],
        *["event", "size event"] * 5,
        "stop",
    ]
    raw_events = [doc for name, doc in straight if name == "event"]
    for number, (event, raw_event) in enumerate(zip(size_events(out), raw_events, strict=True), start=1):
        assert event["seq_num"] == event["data"]["qdsizer_frame_seq_num"] == raw_event["seq_num"] == number
        assert event["time"] == raw_event["time"] <= min(event["timestamps"].values())
        assert 0 < event["data"]["qdsizer_latency"] < 30
    assert out[-1][1]["num_events"] == {"primary": 6, "qd_size": 6}
    assert straight[-1][1]["num_events"] == {"primary": 6}
    assert "qdsizer" not in straight[-1][1]
    assert size_data(out, "status") == ["sized"] * 6
    truth = [dots.number_mean_nm(event["data"]["mythen_elapsed"]) for event in raw_events]
    np.testing.assert_allclose(size_data(out, "size"), truth, atol=0.5)
    assert sizer.counters.frames == sizer.counters.sized == 6
    assert sizer.counters.documents == 9
    assert sizer.newest == size_events(out)[-1]["data"]


def test_the_descriptor_says_how_the_sizes_were_got(
    raw: Documents, through: Through, config: LiveConfig, sizer: Sizer
) -> None:
    out = through(raw)
    (descriptor,) = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    assert descriptor["hints"] == {"qdsizer": {"fields": ["qdsizer_size"]}}
    assert descriptor["object_keys"]["qdsizer"] == list(descriptor["data_keys"])
    assert descriptor["data_keys"]["qdsizer_size"] | {} == {
        "dtype": "number",
        "dtype_numpy": "<f8",
        "shape": [],
        "units": "nm",
        "precision": 2,
        "limits": {"control": {"low": 0.0, "high": None}},
        "source": "qdsizer_stream:pbs",
        "object_name": "qdsizer",
    }
    assert all(key["shape"] == [] for key in descriptor["data_keys"].values())
    for name, key in descriptor["data_keys"].items():
        if name.startswith("qdsizer_") and key["dtype"] == "number":
            shown = next(shown for pattern, *shown in DECIMALS if re.fullmatch(pattern, name[8:]))
            assert [key["units"], key["precision"]] == shown, name
    said = descriptor["configuration"]["qdsizer"]["data"]
    assert said["qdsizer_model"] == "pbs"
    assert said["qdsizer_model_sha256"] == sizer.model.sha256
    assert said["qdsizer_version"] == __version__
    assert LiveConfig.model_validate_json(said["qdsizer_config"]) == config
    assert said["qdsizer_wavelength"] == 0.5637
    assert said["qdsizer_wavelength_source"] == "configuration key mythen_wavelength"
    assert said["qdsizer_frame_data_key"] == "mythen_image"
    assert said["qdsizer_frame_stream"] == "primary"


def test_live_sizes_are_those_of_the_sizer(raw: Documents, through: Through, sizer: Sizer) -> None:
    frames = [doc["data"]["mythen_image"] for name, doc in raw if name == "event"]
    assert size_data(through(raw), "size") == [sizer.size_frame(f, 0.5637).size_nm for f in frames]


def test_live_table_shows_the_size_unasked(raw: Documents, live: Callable[..., LiveSizer]) -> None:
    sizer = live()
    lines: list[str] = []
    sizer.subscribe(LiveTable(["qdsizer_size"], stream_name="qd_size", out=lines.append))
    for name, doc in raw:
        sizer(name, doc)
    assert sizer.wait(60)
    assert sizer.counters.contained == 0
    assert any("qdsizer_size" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"wavelength": None}, "no wavelength: set [wavelength] in the configuration to one of value, "),
        (
            {"wavelength": WavelengthSource(configuration_key="mono_energy", unit="keV")},
            "no wavelength: configuration key mono_energy is missing",
        ),
        (
            {
                "data_key": "mythen_image",
                "sizing": SizingConfig(
                    model="pbs", reduction=ReductionConfig(detector=nominal_detector(18, 0.0), arm_deg=0.0)
                ),
            },
            "the frame has 30720 values",
        ),
    ],
)
def test_what_is_missing_stands_in_every_event(
    raw: Documents, through: Through, settings: dict, reason: str
) -> None:
    out = through(raw, **settings)
    assert size_data(out, "status") == ["bad_frame"] * 6
    assert all(reason in found for found in size_data(out, "reason"))
    assert np.all(np.isnan(size_data(out, "size")))
    for name, doc in out:
        schema_validators[DocumentNames[name]].validate(doc)


def overriding(raw: Documents, overrides: Any) -> Documents:
    return [("start", {**raw[0][1], "qdsizer": overrides}), *raw[1:]]


def test_a_run_may_override_settings(raw: Documents, through: Through) -> None:
    documents = overriding(raw, {"wavelength": {"value": 0.6, "unit": "angstrom"}})
    out = through(documents)
    (descriptor,) = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    assert descriptor["configuration"]["qdsizer"]["data"]["qdsizer_wavelength"] == 0.6


@pytest.mark.slow
def test_a_run_may_declare_the_width_of_its_instrument(raw: Documents, through: Through) -> None:
    declared = {"sizing": {"instrument": {"fwhm_inv_angstrom": 0.02, "bandwidth": 0.001}}}
    out = through(overriding(raw, declared))
    (descriptor,) = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    stated = descriptor["configuration"]["qdsizer"]["data"]["qdsizer_instrument"]
    assert json.loads(stated) == {"fwhm_inv_angstrom": 0.02, "bandwidth": 0.001}
    # √(0.02² + (0.001 Q)²), averaged over Q from 1 to 15 Å⁻¹.
    assert size_data(out, "resolution") == pytest.approx([0.02172] * 6, abs=3e-4)


def test_without_a_declared_width_none_is_stated(raw: Documents, through: Through) -> None:
    out = through(raw)
    (descriptor,) = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    assert descriptor["configuration"]["qdsizer"]["data"]["qdsizer_instrument"] == "{}"
    assert np.isnan(size_data(out, "resolution")).all()


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            {"wavelenght": 0.6},
            "start document, key 'qdsizer': there is no key 'wavelenght': did you mean 'wavelength'?",
        ),
        ({"sizing": {"model": "no-such-model"}}, "no-such-model"),
        (5, "start document, key 'qdsizer': found 5, allowed is a table as in the TOML file"),
    ],
)
def test_a_wrong_override_is_the_reason_of_every_frame(
    raw: Documents, through: Through, overrides: Any, reason: str
) -> None:
    out = through(overriding(raw, overrides))
    assert size_data(out, "status") == ["bad_frame"] * 6
    assert all(reason in found for found in size_data(out, "reason"))


def test_an_unknown_model_is_an_error_at_once(config: LiveConfig) -> None:
    with pytest.raises(ModelError, match="no-such-model"):
        LiveSizer(config.model_copy(update={"sizing": SizingConfig(model="no-such-model")}))


SHIPPED = Path(qdsizer_stream.models.__file__).parent / "shipped"


@pytest.mark.slow
def test_a_run_may_name_a_model_file_in_the_folder_of_the_settings(
    raw: Documents, through: Through, tmp_path: Path
) -> None:
    shutil.copy(SHIPPED / "pbs-paper.onnx", tmp_path / "mine.onnx")
    overrides = {"sizing": {"model": "mine.onnx"}}
    named = through(overriding(raw, overrides), model_folder=tmp_path)
    shipped = through(overriding(raw, {"sizing": {"model": "pbs-paper"}}))
    assert [*map(str, size_data(named, "size"))] == [*map(str, size_data(shipped, "size"))]  # NaN among them
    assert "sized" in size_data(named, "status")


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["{outside}/other.onnx", "../outside/other.onnx", "gone.onnx", "pipe.onnx", "."]
)
def test_a_run_may_name_no_other_file(model: str, raw: Documents, through: Through, tmp_path: Path) -> None:
    folder, outside = tmp_path / "models", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    shutil.copy(SHIPPED / "pbs-paper.onnx", outside / "other.onnx")
    os.mkfifo(folder / "pipe.onnx")  # opening it would hang
    given = model.format(outside=outside)
    documents = overriding(raw, {"sizing": {"model": given}})
    (reason,) = set(size_data(through(documents, model_folder=folder), "reason"))
    assert reason == (
        f"start document, key 'qdsizer': found the file {given!r} as model, allowed are names of "
        f"`qdsizer-stream models list`, and regular files in {folder}"
    )
    (reason,) = set(size_data(through(documents), "reason"))
    assert reason.endswith("and files in model_folder, which the settings of the beamline do not give")


def test_a_run_without_frames_passes_and_is_told(
    raw: Documents, through: Through, caplog: pytest.LogCaptureFixture
) -> None:
    out = through(raw, data_key="pilatus_image")
    assert [doc for _, doc in out] == [doc for _, doc in raw]
    assert "no frames: looked for pilatus_image" in caplog.text


def test_the_sizes_of_a_sizer_before_it_are_replaced(
    raw: Documents, live: Callable[..., LiveSizer], through: Through, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = live(), live()
    out: Documents = []
    second.subscribe(lambda name, doc: out.append((name, doc)))
    first.subscribe(second)
    for name, doc in raw:
        first(name, doc)
    assert first.wait(60)
    assert second.wait(60)
    (description,) = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    events = size_events(out)
    assert [event["seq_num"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert {event["descriptor"] for event in events} == {description["uid"]}
    assert [event["data"]["qdsizer_size"] for event in events] == size_data(through(raw), "size")
    assert out[-1][1]["num_events"]["qd_size"] == 6
    assert len([name for name, _ in out if name in ("start", "stop")]) == 2
    assert caplog.text.count("has a stream qd_size of another sizer, which that of this one replaces") == 1


def test_a_smoothed_track_of_the_replaced_sizes_is_left_out(raw: Documents, through: Through) -> None:
    smoothed = list(with_smoothed(through(raw)))
    assert smoothed[-1][1]["num_events"] == {"primary": 6, "qd_size": 6, "qd_size_smoothed": 6}
    out = through(smoothed)
    assert "qd_size_smoothed" not in [doc["name"] for name, doc in out if name == "descriptor"]
    assert len([name for name, _ in out if name == "event"]) == 12
    assert out[-1][1]["num_events"] == {"primary": 6, "qd_size": 6}


def test_a_linked_run_keeps_the_sizes_of_a_sizer_before_it(raw: Documents, through: Through) -> None:
    sized = through(raw)
    out = through(sized, destination=Destination.LINKED_RUN)
    uids = [doc["uid"] for _, doc in sized]
    assert [doc["uid"] for _, doc in out if doc["uid"] in uids] == uids
    assert len(size_events(out)) == 12


def test_estimates_in_a_linked_run(raw: Documents, through: Through, sizer: Sizer) -> None:
    out = through(raw, destination=Destination.LINKED_RUN)
    same = through(raw)
    for name, doc in out:
        schema_validators[DocumentNames[name]].validate(doc)
    starts = [doc for name, doc in out if name == "start"]
    stops = [doc for name, doc in out if name == "stop"]
    assert starts[1]["original_run_uid"] == starts[0]["uid"]
    assert starts[1]["qdsizer_model_sha256"] == sizer.model.sha256
    assert stops[0] is raw[-1][1]
    assert (stops[1]["run_start"], stops[1]["num_events"]) == (starts[1]["uid"], {"qd_size": 6})
    (descriptor,) = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    assert descriptor["run_start"] == starts[1]["uid"]
    assert size_data(out, "size") == size_data(same, "size")


def test_runs_whose_end_is_lost_do_not_gather(
    raw: Documents, live: Callable[..., LiveSizer], caplog: pytest.LogCaptureFixture
) -> None:
    one = live()
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    for n in range(66):  # producers that die: two after two frames, the others at once
        for name, doc in raw[: 4 if n < 2 else 1]:
            named = {key: f"{n}-{doc[key]}" for key in ("uid", "run_start", "descriptor") if key in doc}
            one(name, {**doc, **named})
    for name, doc in raw:
        one(name, doc)
    assert one.wait(60)
    assert [event["data"]["qdsizer_status"] for event in size_events(out)] == ["sized"] * 10
    uid = raw[0][1]["uid"]
    reason = "it has no stop document, and 64 runs started after it"
    assert [record.message for record in caplog.records if "given up" in record.message] == [
        f"run {n}-{uid} is given up: {reason}" for n in range(3)
    ]
    assert (one.counters.contained, one.counters.orphans) == (0, 0)


def test_a_plan_that_pauses_and_goes_back(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    device = mythen()

    @run_decorator()
    def plan() -> Iterator[Any]:
        yield from bps.trigger_and_read([device])
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([device])
        if not engine.md.get("paused"):
            engine.md["paused"] = True
            yield from bps.pause()
        yield from bps.trigger_and_read([device])

    sizer = live()
    out: Documents = []
    straight: Documents = []
    engine = RunEngine({})
    engine.subscribe(sizer)
    engine.subscribe(lambda name, doc: straight.append((name, doc)))
    sizer.subscribe(lambda name, doc: out.append((name, doc)))
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    engine.resume()
    assert sizer.wait(60)
    taken = [doc["seq_num"] for name, doc in straight if name == "event"]
    assert taken == [1, 2, 2, 3]  # the second frame was measured again
    assert size_data(out, "frame_seq_num") == taken
    assert [event["seq_num"] for event in size_events(out)] == [1, 2, 3, 4]
    assert out[-1][1]["num_events"]["qd_size"] == 4


def test_a_plan_that_fails(live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]) -> None:
    @run_decorator()
    def plan() -> Iterator[Any]:
        yield from bps.trigger_and_read([device])
        raise RuntimeError("the pump broke")

    device = mythen()
    sizer = live()
    out: Documents = []
    engine = RunEngine({})
    engine.subscribe(sizer)
    sizer.subscribe(lambda name, doc: out.append((name, doc)))
    with pytest.raises(RuntimeError, match="the pump broke"):
        engine(plan())
    assert sizer.wait(60)
    stop = out[-1][1]
    assert (stop["exit_status"], stop["reason"]) == ("fail", "the pump broke")
    assert stop["num_events"] == {"primary": 1, "qd_size": 1}


@pytest.mark.slow
def test_interleaved_runs_keep_apart(
    raw: Documents, through: Through, mythen: Callable[..., SimMythen]
) -> None:
    other: Documents = []
    RunEngine({})(count([mythen(seed=9)], 6), lambda name, doc: other.append((name, doc)))
    mixed = [document for pair in zip(raw, other, strict=True) for document in pair]
    out = through(mixed)
    alone = {doc[0][1]["uid"]: size_data(through(doc), "size") for doc in (raw, other)}
    for run, sizes in alone.items():
        own = {doc["uid"] for name, doc in out if name == "descriptor" and doc["run_start"] == run}
        mine = [doc for name, doc in out if name == "event" and doc["descriptor"] in own]
        assert [doc["data"]["qdsizer_size"] for doc in mine if "qdsizer_size" in doc["data"]] == sizes
        (stop,) = [doc for name, doc in out if name == "stop" and doc["run_start"] == run]
        assert stop["num_events"] == {"primary": 6, "qd_size": 6}


def test_subscription_in_mid_run_passes_documents_on(raw: Documents, live: Callable[..., LiveSizer]) -> None:
    sizer = live()
    out: Documents = []
    sizer.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in raw[3:]:
        sizer(name, doc)
    assert sizer.wait(60)
    assert out == raw[3:]
    assert sizer.counters.orphans == len(raw[3:])
    assert sizer.counters.contained == 0


def test_a_downstream_callback_that_raises_is_contained(
    raw: Documents, live: Callable[..., LiveSizer], caplog: pytest.LogCaptureFixture
) -> None:
    sizer = live()
    out: Documents = []

    def broken(name: str, doc: Any) -> None:
        raise ConnectionError("the archive is gone")

    sizer.subscribe(broken)
    sizer.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in raw:
        sizer(name, doc)
    assert sizer.wait(60)
    assert size_data(out, "status") == ["sized"] * 6
    assert sizer.counters.contained == len(out)
    assert caplog.text.count("Traceback") == 1  # one for a row of failures, not one for each


def test_bound_methods_are_kept(raw: Documents, live: Callable[..., LiveSizer]) -> None:
    class Listener:
        heard = 0

        def hear(self, name: str, doc: Any) -> None:
            Listener.heard += 1

    sizer = live()
    token = sizer.subscribe(Listener().hear)
    sizer(*raw[0])
    assert sizer.wait(60)
    assert Listener.heard == 1
    sizer.unsubscribe(token)
    sizer(*raw[1])
    assert sizer.wait(60)
    assert Listener.heard == 1


def test_a_frame_that_raises_is_one_bad_frame(
    raw: Documents, live: Callable[..., LiveSizer], sizer: Sizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_at(sizer, monkeypatch, 3, FloatingPointError("underflow"))
    one = live()
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in raw:
        one(name, doc)
    assert one.wait(60)
    assert size_data(out, "status") == ["sized", "sized", "bad_frame", "sized", "sized", "sized"]
    assert size_data(out, "reason")[2] == "sizing failed: FloatingPointError: underflow"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception in thread qdsizer")
def test_a_thread_that_ends_is_replaced(
    raw: Documents, live: Callable[..., LiveSizer], sizer: Sizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_at(sizer, monkeypatch, 3, SystemExit())  # ends a thread, silently
    one = live()
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in raw:
        one(name, doc)
    assert one.wait(60)
    assert size_data(out, "status") == ["sized", "sized", "bad_frame", "sized", "sized", "sized"]
    assert size_data(out, "reason")[2] == "the sizing thread ended while this frame was sized"
    assert size_data(out, "frame_seq_num") == [1, 2, 3, 4, 5, 6]
    assert [doc["uid"] for _, doc in out if doc in [d for _, d in raw]] == [doc["uid"] for _, doc in raw[:-1]]
    assert one.counters.restarts == 1


def fault_at(sizer: Sizer, monkeypatch: pytest.MonkeyPatch, frame: int, fault: BaseException) -> None:
    """Have the real sizer raise at one frame."""
    seen = 0
    pool = sizer.pool

    def faulty(*arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == frame:
            raise fault
        return pool(*arguments)

    monkeypatch.setattr(sizer, "pool", faulty)


@pytest.fixture
def held(sizer: Sizer, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Holds the real sizer up until the event is set."""
    go = threading.Event()
    pool = sizer.pool

    def slow(*arguments: Any) -> Any:
        assert go.wait(60)
        return pool(*arguments)

    monkeypatch.setattr(sizer, "pool", slow)
    return go


def test_a_full_queue_marks_frames(
    raw: Documents, live: Callable[..., LiveSizer], held: threading.Event
) -> None:
    one = live(queue_frames=2, queue_policy=QueuePolicy.MARK)
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    one(*raw[0])
    one(*raw[1])
    assert one.wait(60)  # start and descriptor do not count
    for name, doc in raw[2:]:
        one(name, doc)  # returns although nothing is sized
    assert one.counters.marked == 4
    held.set()
    assert one.wait(60)
    assert size_data(out, "status") == ["sized"] * 2 + ["bad_frame"] * 4
    reason = "not sized: the queue was full; raise queue_frames, or set queue_policy to wait"
    assert size_data(out, "reason")[2:] == [reason] * 4
    assert one.counters.refused == {"bad_frame": 4}
    # Raw documents are never dropped, and stay in order.
    own = {id(doc) for _, doc in raw}
    assert [doc["uid"] for _, doc in out if id(doc) in own] == [doc["uid"] for _, doc in raw[:-1]]


def test_the_newest_frame_may_win(
    raw: Documents, live: Callable[..., LiveSizer], held: threading.Event
) -> None:
    one = live(queue_frames=2, queue_policy=QueuePolicy.NEWEST)
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    one(*raw[0])
    one(*raw[1])
    assert one.wait(60)
    for name, doc in raw[2:]:
        one(name, doc)
    held.set()
    assert one.wait(60)
    # The first was in hand already, the last has just come; those between had waited longest.
    assert size_data(out, "status") == ["sized"] + ["bad_frame"] * 4 + ["sized"]
    assert size_data(out, "frame_seq_num") == [1, 2, 3, 4, 5, 6]
    assert one.counters.marked == 4
    own = {id(doc) for _, doc in raw}
    assert [doc["uid"] for _, doc in out if id(doc) in own] == [doc["uid"] for _, doc in raw[:-1]]


@pytest.mark.slow
@pytest.mark.parametrize("policy", QueuePolicy)
def test_a_burst_of_ten_times_the_queue(
    policy: QueuePolicy, raw: Documents, live: Callable[..., LiveSizer], config: LiveConfig
) -> None:
    one = live(queue_frames=5, queue_policy=policy)
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    burst = [("event", {**raw[2 + n % 6][1], "seq_num": n + 1, "uid": f"event {n}"}) for n in range(50)]
    for name, doc in [*raw[:2], *burst, raw[-1]]:
        one(name, doc)
    assert one.wait(60)
    own = {id(doc) for _, doc in burst}
    assert [doc["seq_num"] for _, doc in out if id(doc) in own] == list(range(1, 51))
    assert size_data(out, "frame_seq_num") == list(range(1, 51))
    sized, marked = one.counters.sized, one.counters.marked
    assert sized + marked == 50
    assert marked == 0 or policy is not QueuePolicy.WAIT
    told = out[-1][1]["qdsizer"]
    assert (told["frames"], told["sized"], told["marked"]) == (50, sized, marked)
    assert told["refused"] == ({"bad_frame": marked} if marked else {})


def test_the_stop_and_the_log_say_what_became_of_the_frames(
    raw: Documents, live: Callable[..., LiveSizer], sizer: Sizer, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    fault_at(sizer, monkeypatch, 3, FloatingPointError("underflow"))
    one = live()
    stops: list[Any] = []
    one.subscribe(lambda name, doc: stops.append(doc), "stop")
    with caplog.at_level(logging.INFO, "qdsizer_stream"):
        for name, doc in raw:
            one(name, doc)
        assert one.wait(60)
    told = stops[0]["qdsizer"]
    assert told.pop("longest_lag_s") > 0
    assert 0 <= told.pop("longest_queue") <= len(raw)
    assert told == {
        "frames": 6,
        "sized": 5,
        "refused": {"bad_frame": 1},
        "marked": 0,
        "streams": {"primary": {"announced": 6, "sized": 5, "rejected": {"bad_frame": 1}}},
    }
    assert f"run {raw[0][1]['uid']}: {{'frames': 6, 'sized': 5" in caplog.text
    schema_validators[DocumentNames.stop].validate(stops[0])


def test_a_slow_display_sees_the_newest_and_holds_nobody_up(
    raw: Documents, live: Callable[..., LiveSizer]
) -> None:
    one = live()
    go = threading.Event()
    shown: Documents = []

    def slow(name: str, doc: Any) -> None:
        shown.append((name, doc))
        assert go.wait(60)

    token = one.subscribe(slow, newest=True)
    for name, doc in raw:
        one(name, doc)
    assert one.wait(60)  # although the display has not even finished with the start
    assert one.counters.sized == 6
    assert one.counters.skipped == 10  # five raw and five derived events
    go.set()
    one.unsubscribe(token)
    for thread in threading.enumerate():
        if thread.name == "qdsizer-display":
            thread.join(60)
    kinds = ["start", "descriptor", "descriptor", "event", "event", "stop"]
    assert [name for name, _ in shown] == kinds
    assert [doc["seq_num"] for name, doc in shown if name == "event"] == [6, 6]


def test_a_display_that_raises_is_contained(raw: Documents, live: Callable[..., LiveSizer]) -> None:
    one = live()
    seen = threading.Event()

    def broken(name: str, doc: Any) -> None:
        if name == "stop":
            seen.set()
        raise RuntimeError("no screen")

    one.subscribe(broken, newest=True)
    for name, doc in raw:
        one(name, doc)
    assert one.wait(60)
    assert seen.wait(60)
    assert one.counters.sized == 6
    assert one.counters.contained > 0


def test_a_full_queue_may_make_the_plan_wait(
    raw: Documents, live: Callable[..., LiveSizer], held: threading.Event
) -> None:
    one = live(queue_frames=2, queue_policy=QueuePolicy.WAIT)
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    plan = threading.Thread(target=lambda: [one(name, doc) for name, doc in raw])
    plan.start()
    plan.join(0.3)
    assert plan.is_alive()
    assert one.counters.queued == 2
    held.set()
    plan.join(60)
    assert one.wait(60)
    assert size_data(out, "status") == ["sized"] * 6


def test_wait_gives_up_in_time_and_lag_is_seen(
    raw: Documents, live: Callable[..., LiveSizer], held: threading.Event
) -> None:
    one = live()
    for name, doc in raw[:3]:
        one(name, doc)
    assert not one.wait(0.2)
    assert one.counters.lag_s > 0.1
    held.set()
    assert one.wait(60)
    assert one.counters.lag_s == 0


def test_after_close_documents_are_refused_without_raising(
    raw: Documents, live: Callable[..., LiveSizer], caplog: pytest.LogCaptureFixture
) -> None:
    one = live()
    assert one.close(10)
    with caplog.at_level(logging.ERROR):
        one(*raw[0])
    assert "the queue is closed" in caplog.text
    assert one.counters.contained == 1


def test_a_clock_that_steps_back(raw: Documents, through: Through) -> None:
    ahead = [(name, {**doc, "time": doc["time"] + 3600} if name == "event" else doc) for name, doc in raw]
    events = size_events(through(ahead))
    assert [event["data"]["qdsizer_latency"] for event in events] == [0.0] * 6
    assert all(min(event["timestamps"].values()) >= event["time"] for event in events)


def test_a_descriptor_that_changes_in_mid_run(raw: Documents, through: Through) -> None:
    changed = copy.deepcopy(raw[1][1])
    changed["uid"] = "second"
    changed["configuration"]["mythen"]["data"]["mythen_wavelength"] = 0.6
    second_half = [("event", {**doc, "descriptor": "second"}) for _, doc in raw[5:8]]
    out = through([*raw[:5], ("descriptor", changed), *second_half, raw[8]])
    described = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    wavelengths = [doc["configuration"]["qdsizer"]["data"]["qdsizer_wavelength"] for doc in described]
    assert wavelengths == [0.5637, 0.6]
    assert [event["seq_num"] for event in size_events(out)] == [1, 2, 3, 4, 5, 6]
    assert out[-1][1]["num_events"]["qd_size"] == 6
