"""Which frame belongs to which event, from real devices: equal frames have equal sizes however they come."""

import logging
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky.preprocessors import SupplementalData
from ophyd import DeviceStatus, Signal

from qdsizer_stream.callbacks import LiveConfig, LiveSizer, NumberSource, WavelengthSource
from qdsizer_stream.callbacks.documents import FrameSource, SizeStream
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.reduction import AccumulationConfig
from qdsizer_stream.sizing import Sizer

from .producers import FlyingMythen, ListMythen, PageMythen, ResourceDatumMythen, fly, fly_page

Documents = list[tuple[str, Any]]
Mythen = Callable[..., Any]
N_FRAMES = 3
WAVELENGTH = 0.5637


class UnitSignal(Signal):
    """A signal with a unit, such as a monochromator's energy."""

    def __init__(self, unit: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._unit = unit

    def describe(self) -> dict[str, Any]:
        return {self.name: {**super().describe()[self.name], "units": self._unit}}


@pytest.fixture(scope="module")
def frames(mythen: Mythen) -> Any:
    documents: Documents = []
    RunEngine({})(count([mythen()], 6), lambda name, doc: documents.append((name, doc)))
    return np.array([doc["data"]["mythen_image"] for name, doc in documents if name == "event"])


@pytest.fixture
def expected(frames: Any, sizer: Sizer) -> list[float]:
    return [sizer.size_frame(frame, WAVELENGTH).size_nm for frame in frames]


def run_live(one: LiveSizer, plan: Any, engine: RunEngine | None = None, also: Any = None) -> Documents:
    """Everything that a live sizer passes on of a plan."""
    out: Documents = []
    if also is not None:
        one.subscribe(also)
    one.subscribe(lambda name, doc: out.append((name, doc)))
    engine = engine or RunEngine({})
    engine.subscribe(one)
    engine(plan)
    assert one.close(60)
    return out


def estimates(documents: Documents) -> list[dict[str, Any]]:
    return [doc["data"] for name, doc in documents if name == "event" and "qdsizer_size" in doc["data"]]


def sizes(documents: Documents) -> list[float]:
    assert [one["qdsizer_reason"] for one in estimates(documents)] == [""] * len(estimates(documents))
    return [one["qdsizer_size"] for one in estimates(documents)]


def times(documents: Documents, key: str) -> list[tuple[int, float]]:
    """Number and time of the events that hold a key."""
    events = [doc for name, doc in documents if name == "event" and key in doc["data"]]
    return [(doc["seq_num"], doc["time"]) for doc in events]


def streams(documents: Documents) -> dict[str, Any]:
    """The account of the frames in the stop."""
    (stop,) = [doc for name, doc in documents if name == "stop"]
    account: dict[str, Any] = stop["qdsizer"]["streams"]
    for one in account.values():
        assert one["announced"] == one["sized"] + sum(one["rejected"].values())
    return account


# Settings that stand in the event of the frame


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["inline", "file"])
def test_energy_in_the_event_of_the_frame(
    kind: str, live: Any, mythen: Mythen, expected: list[float], tmp_path: Path
) -> None:
    detector = mythen(kind=SimMythenHdf5, directory=tmp_path) if kind == "file" else mythen()
    energy = UnitSignal("keV", name="mono_energy", value=12.398419843 / WAVELENGTH)
    out = run_live(
        live(wavelength=WavelengthSource(data_key="mono_energy")), count([detector, energy], N_FRAMES)
    )
    np.testing.assert_allclose(sizes(out), expected[:N_FRAMES], rtol=1e-6)
    events = dict(times(out, "mono_energy"))
    derived = [doc for name, doc in out if name == "event" and "qdsizer_size" in doc["data"]]
    assert [doc["time"] for doc in derived] == [
        events[doc["data"]["qdsizer_frame_seq_num"]] for doc in derived
    ]


def test_each_frame_in_a_file_has_the_reading_of_its_own_event(
    live: Any, mythen: Mythen, frames: Any, sizer: Sizer, tmp_path: Path
) -> None:
    """The energy changes with every point: a frame with its neighbour's would have another size."""
    energy = UnitSignal("angstrom", name="mono", value=0.0)
    wavelengths = [WAVELENGTH, WAVELENGTH * 1.002, WAVELENGTH * 0.998]
    detector = mythen(kind=SimMythenHdf5, directory=tmp_path)

    def plan() -> Iterator[Any]:
        yield from bps.stage(detector)
        yield from bps.open_run()
        for one in wavelengths:
            energy.put(one)
            yield from bps.trigger_and_read([detector, energy])
        yield from bps.close_run()
        yield from bps.unstage(detector)

    out = run_live(live(wavelength=WavelengthSource(data_key="mono")), plan())
    assert sizes(out) == [
        sizer.size_frame(frame, one).size_nm for frame, one in zip(frames, wavelengths, strict=False)
    ]
    assert len(set(sizes(out))) == 3


def test_sequence_numbers_repeat_after_a_pause(
    live: Any, mythen: Mythen, frames: Any, sizer: Sizer, tmp_path: Path
) -> None:
    """Two events with number 2, one frame each, in the order they came."""
    energy = UnitSignal("angstrom", name="mono", value=WAVELENGTH)
    detector = mythen(kind=SimMythenHdf5, directory=tmp_path)
    wavelengths = iter([WAVELENGTH, WAVELENGTH * 1.002, WAVELENGTH * 0.998])

    def point() -> Iterator[Any]:
        energy.put(next(wavelengths))
        yield from bps.trigger_and_read([detector, energy])

    documents: Documents = []

    def plan() -> Iterator[Any]:
        yield from bps.stage(detector)
        yield from bps.open_run()
        yield from point()
        yield from point()
        yield from point()
        yield from bps.close_run()
        yield from bps.unstage(detector)

    RunEngine({})(plan(), lambda name, doc: documents.append((name, doc)))
    again = [
        (name, {**doc, "seq_num": 2})
        if name == "event" and doc["seq_num"] == 3
        else (name, {**doc, "seq_nums": {"start": 2, "stop": 3}})
        if name == "stream_datum" and doc["seq_nums"]["start"] == 3
        else (name, doc)
        for name, doc in documents
    ]
    one = live(wavelength=WavelengthSource(data_key="mono"))
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in again:
        one(name, doc)
    assert one.close(60)
    assert [data["qdsizer_frame_seq_num"] for data in estimates(out)] == [1, 2, 2]
    assert sizes(out) == [
        sizer.size_frame(frame, wavelength).size_nm
        for frame, wavelength in zip(
            frames, [WAVELENGTH, WAVELENGTH * 1.002, WAVELENGTH * 0.998], strict=False
        )
    ]


def test_a_flown_stream_has_no_events_to_read_from(live: Any, mythen: Mythen, tmp_path: Path) -> None:
    device = mythen(kind=FlyingMythen, directory=tmp_path)
    device.frames = N_FRAMES
    out = run_live(live(monitor=NumberSource(data_key="mythen_monitor")), fly(device))
    reason = (
        "no event came with this frame of stream fly, but monitor is read from events (data_key): in flown "
        "streams give configuration_key, start_key or value instead"
    )
    assert [one["qdsizer_reason"] for one in estimates(out)] == [reason] * N_FRAMES
    assert streams(out) == {"fly": {"announced": 3, "sized": 0, "rejected": {"bad_frame": 3}}}


def test_frames_of_a_step_are_dated_by_their_event_and_fly_scans_do_not_wait(
    live: Any, mythen: Mythen, tmp_path: Path
) -> None:
    out = run_live(live(), count([mythen(kind=SimMythenHdf5, directory=tmp_path)], 2))
    measured = dict(times(out, "mythen_elapsed"))
    for name, doc in out:
        if name == "event" and "qdsizer_size" in doc["data"]:
            assert doc["time"] == measured[doc["data"]["qdsizer_frame_seq_num"]]

    one = live(stream="fly")
    device = mythen(kind=FlyingMythen, directory=tmp_path)
    device.frames = 2
    documents: Documents = []
    RunEngine({})(fly(device), lambda name, doc: documents.append((name, doc)))
    for name, doc in documents[:-1]:  # the run has not ended
        one(name, doc)
    deadline = time.monotonic() + 20
    while one.counters.sized < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert one.counters.sized == 2


# Rows of files


class SeveralMythen(SimMythenHdf5):
    """Writes k frames per event, stacked (events, k, strips) or concatenated (events × k, strips)."""

    k = 2
    layout = "stack"

    def stage(self) -> list[Any]:
        staged = super().stage()
        n_strips = self.image.get().size
        path = self._file.filename
        self._file.close()
        self._file = h5py.File(path, "w", libver="latest")
        row = (self.k, n_strips) if self.layout == "stack" else (n_strips,)
        self._file.create_dataset(
            "/entry/data/data", (0, *row), np.uint32, maxshape=(None, *row), chunks=(1, *row)
        )
        self._file.swmr_mode = True
        self._points = 0
        return staged

    def get_index(self) -> int:
        return self._points

    def describe(self) -> dict[str, Any]:
        description: dict[str, Any] = super().describe()
        description[self.image.name]["shape"] = [self.k, self.image.get().size]
        return description

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        for name, doc in super().collect_asset_docs(index):
            if name == "stream_resource":
                doc["parameters"]["join_method"] = self.layout
            yield name, doc

    def trigger(self) -> DeviceStatus:
        status = DeviceStatus(self)

        def expose() -> None:
            self._buffer: list[Any] = []
            for _ in range(self.k):
                SimMythen.trigger(self).wait()
            dataset = self._file["/entry/data/data"]
            rows = np.array(self._buffer)[None] if self.layout == "stack" else np.array(self._buffer)
            dataset.resize(len(dataset) + len(rows), axis=0)
            dataset[-len(rows) :] = rows
            dataset.flush()
            self._points += 1
            status.set_finished()

        threading.Thread(target=expose).start()
        return status

    def _read_out(self, counts: Any) -> None:
        self.image.put(counts)
        self._buffer.append(np.array(counts))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["stack", "concat"])
@pytest.mark.parametrize("k", [2, 3])
def test_several_frames_per_event_in_a_file(
    layout: str, k: int, live: Any, mythen: Mythen, expected: list[float], tmp_path: Path
) -> None:
    device = mythen(kind=type("Kind", (SeveralMythen,), {"k": k, "layout": layout}), directory=tmp_path)
    n_events = 6 // k
    out = run_live(live(), count([device], n_events))
    assert sizes(out) == expected
    numbers = [one["qdsizer_frame_seq_num"] for one in estimates(out)]
    assert numbers == [1 + n // k for n in range(6)]
    assert streams(out) == {"primary": {"announced": 6, "sized": 6, "rejected": {}}}


def test_a_dataset_that_does_not_fit_its_key_is_refused(live: Any, mythen: Mythen, tmp_path: Path) -> None:
    class Wrong(SeveralMythen):
        layout = "concat"

        def describe(self) -> dict[str, Any]:
            description: dict[str, Any] = super().describe()
            description[self.image.name]["shape"] = [self.k, 24, self.image.get().size // 24, 1]
            return description

    out = run_live(live(), count([mythen(kind=Wrong, directory=tmp_path)], 1))
    (one,) = estimates(out)
    assert one["qdsizer_reason"].startswith("a dataset of shape (2, 30720) cannot hold events of shape")
    assert streams(out)["primary"] == {"announced": 2, "sized": 0, "rejected": {"bad_frame": 2}}


def datums(kwargs: Callable[[int], dict[str, Any]]) -> type[ResourceDatumMythen]:
    class Kind(ResourceDatumMythen):
        def collect_asset_docs(self) -> Iterator[tuple[str, Any]]:
            for name, doc in super().collect_asset_docs():
                if name == "datum":
                    doc["datum_kwargs"] = kwargs(doc["datum_kwargs"]["point_number"])
                yield name, doc

    return Kind


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    [
        lambda n: {"point_number": n},
        lambda n: {"frame": n},
        lambda n: {"indices": {"start": n, "stop": n + 1}},
        lambda n: {"indices": [n]},
    ],
    ids=["point_number", "frame", "indices", "list of indices"],
)
def test_a_datum_names_its_rows(
    kwargs: Callable[[int], dict[str, Any]],
    live: Any,
    mythen: Mythen,
    expected: list[float],
    tmp_path: Path,
) -> None:
    out = run_live(live(), count([mythen(kind=datums(kwargs), directory=tmp_path)], N_FRAMES))
    assert sizes(out) == expected[:N_FRAMES]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    [
        lambda n: {},
        lambda n: {"index": n},
        lambda n: {"point_number": n, "channel": 1},
        lambda n: {"point_number": "1"},
        lambda n: {"indices": [n, n + 2]},
        lambda n: {"indices": {"start": n, "stop": n}},
    ],
)
def test_a_datum_that_does_not_name_its_rows_is_refused(
    kwargs: Callable[[int], dict[str, Any]], live: Any, mythen: Mythen, tmp_path: Path
) -> None:
    out = run_live(live(), count([mythen(kind=datums(kwargs), directory=tmp_path)], 2))
    for number, one in enumerate(estimates(out)):
        assert one["qdsizer_reason"] == (
            f"datum_kwargs {kwargs(number)} do not state the rows of the frame: allowed is one of "
            "point_number, frame and indices (start and stop, or successive rows), whole numbers"
        )
    assert len(estimates(out)) == 2


def test_frames_per_point_that_contradict_the_key_are_refused(
    live: Any, mythen: Mythen, tmp_path: Path
) -> None:
    class Kind(ResourceDatumMythen):
        def describe(self) -> dict[str, Any]:
            description: dict[str, Any] = super().describe()
            description[self.image.name]["shape"] = [3, 1, self.image.get().size]
            return description

    out = run_live(live(), count([mythen(kind=Kind, directory=tmp_path)], 1))
    assert estimates(out)[0]["qdsizer_reason"].startswith("frame_per_point is 1, but in a dataset of shape")


# Documents that change, repeat or come late


class ReusedArrayMythen(SimMythen):
    """Reads every frame into the same array, as drivers with a buffer do."""

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = super().read()
        if not hasattr(self, "_buffer"):
            self._buffer = np.zeros_like(reading[self.image.name]["value"])
        self._buffer[:] = reading[self.image.name]["value"]
        reading[self.image.name]["value"] = self._buffer
        return reading


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_detector_that_reuses_its_array(
    workers: int, live: Any, mythen: Mythen, frames: Any, expected: list[float]
) -> None:
    archived: list[Any] = []

    def slow(name: str, doc: Any) -> None:
        time.sleep(0.02)
        if name == "event" and "mythen_image" in doc["data"]:
            archived.append(np.array(doc["data"]["mythen_image"]))

    out = run_live(live(workers=workers), count([mythen(kind=ReusedArrayMythen)], 6), also=slow)
    np.testing.assert_array_equal(archived, frames)
    assert sizes(out) == expected


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_subscriber_that_changes_documents_in_place(
    where: str, live: Any, mythen: Mythen, expected: list[float], tmp_path: Path
) -> None:
    """Behind the sizer, or beside it in the RunEngine: it changes what is written, never what is sized."""

    def change(name: str, doc: Any) -> None:
        if name == "datum":
            doc["datum_kwargs"].pop("point_number", None)
        if name == "resource":
            doc["resource_path"] = "elsewhere.h5"
        if name == "descriptor" and doc["name"] == "primary":
            doc["configuration"]["mythen"]["data"]["mythen_wavelength"] = 0.7
            doc["data_keys"]["mythen_image"]["shape"] = [1]

    one = live()
    engine = RunEngine({})
    plan = count([mythen(kind=ResourceDatumMythen, directory=tmp_path)], N_FRAMES)
    if where == "behind":
        out = run_live(one, plan, engine, also=change)
    else:
        out = []
        one.subscribe(lambda name, doc: out.append((name, doc)))
        engine.subscribe(one)
        engine.subscribe(change)
        engine(plan)
        assert one.close(60)
    assert sizes(out) == expected[:N_FRAMES]


def test_inline_frames_that_a_subscriber_blanks(live: Any, mythen: Mythen, expected: list[float]) -> None:
    def blank(name: str, doc: Any) -> None:
        if name == "event" and "mythen_image" in doc["data"]:
            doc["data"]["mythen_image"][:] = 0

    out = run_live(live(), count([mythen(kind=ReusedArrayMythen)], N_FRAMES), also=blank)
    assert sizes(out) == expected[:N_FRAMES]


@pytest.fixture(scope="module")
def stream_documents(mythen: Mythen, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    documents: Documents = []
    device = mythen(kind=SimMythenHdf5, directory=tmp_path_factory.mktemp("frames"))
    RunEngine({})(count([device], N_FRAMES), lambda name, doc: documents.append((name, doc)))
    return documents


def test_a_stream_datum_that_is_delivered_twice(
    stream_documents: Documents, through: Any, expected: list[float]
) -> None:
    doubled = [
        one
        for name, doc in stream_documents
        for one in [(name, doc)] + [(name, {**doc, "uid": doc["uid"] + "x"})] * (name == "stream_datum")
    ]
    out = through(doubled)
    assert sizes(out) == expected[:N_FRAMES]
    assert streams(out)["primary"] == {"announced": 3, "sized": 3, "rejected": {}}


def with_repeats(documents: Documents, kinds: tuple[str, ...]) -> Documents:
    """Documents of some kinds delivered again: at once, and all of them before the stop."""
    repeated = [(name, doc) for name, doc in documents if name in kinds]
    at_once = [item for item in documents[:-1] for item in ([item, item] if item[0] in kinds else [item])]
    return [*at_once, *repeated, documents[-1]]


@pytest.mark.parametrize("kind", ["inline", "page", "list", "datum", "stream"])
def test_documents_that_are_delivered_again_are_sized_once(
    kind: str, through: Any, live: Any, mythen: Mythen, expected: list[float], tmp_path: Path
) -> None:
    documents: Documents = []
    record = documents.append
    kinds = {"inline": SimMythen, "list": ListMythen, "page": PageMythen}
    if kind == "page":
        device = mythen(kind=type("Three", (PageMythen,), {"frames": N_FRAMES}))
        RunEngine({})(fly_page(device), lambda name, doc: record((name, doc)))
    else:
        more = {} if kind in kinds else {"directory": tmp_path}
        files = {"datum": ResourceDatumMythen, "stream": SimMythenHdf5}
        device = mythen(kind={**kinds, **files}[kind], **more)
        RunEngine({})(count([device], N_FRAMES), lambda name, doc: record((name, doc)))
    again = with_repeats(
        documents,
        ("descriptor", "event", "event_page", "resource", "datum", "stream_resource", "stream_datum"),
    )
    again.insert(1, documents[0])  # the start
    one = live()
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in again:
        one(name, doc)
    assert one.close(60)
    assert sizes(out) == expected[:N_FRAMES]
    (account,) = streams(out).values()
    assert account == {"announced": N_FRAMES, "sized": N_FRAMES, "rejected": {}}
    # Each event or frame came three times, the start twice.
    n_again = 2 * N_FRAMES * (2 if kind == "stream" else 1)
    assert one.counters.repeated == n_again + 1
    assert [doc["qdsizer"]["repeated"] for name, doc in out if name == "stop"] == [n_again]


def test_photons_of_an_event_that_is_delivered_again_are_added_once(through: Any, raw: Documents) -> None:
    settings = {"accumulation": AccumulationConfig(mode="all", min_counts=1, max_seconds=1e9)}
    once, again = (
        estimates(through(documents, **settings)) for documents in (raw, with_repeats(raw, ("event",)))
    )
    assert len(once) == 6
    assert [one["qdsizer_counts"] for one in again] == [one["qdsizer_counts"] for one in once]
    assert [one["qdsizer_n_frames"] for one in again] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.parametrize("slow", ["stream_datum", "event"])
def test_a_slow_writer_does_not_change_the_time_of_a_frame(
    slow: str, live: Any, mythen: Mythen, tmp_path: Path
) -> None:
    """The event of a frame waits in the queue while the writer is busy with its announcement."""

    def writer(name: str, doc: Any) -> None:
        if name == slow:
            time.sleep(0.4)  # twice as long as a frame waits for its event

    out = run_live(live(), count([mythen(kind=SimMythenHdf5, directory=tmp_path)], 2), also=writer)
    measured = dict(times(out, "mythen_elapsed"))
    derived = [doc for name, doc in out if name == "event" and "qdsizer_size" in doc["data"]]
    assert [doc["time"] for doc in derived] == [measured[1], measured[2]]


@pytest.mark.slow
def test_a_late_event_of_a_stream_that_has_had_events_is_waited_for(
    live: Any, mythen: Mythen, tmp_path: Path
) -> None:
    """With another descriptor too: as after a change of configuration."""
    device = mythen(kind=SimMythenHdf5, directory=tmp_path)

    def plan() -> Iterator[Any]:
        yield from bps.stage(device)
        yield from bps.open_run()
        yield from bps.trigger_and_read([device])
        yield from bps.configure(device, {"exposure_s": 29.0})
        yield from bps.trigger_and_read([device])
        yield from bps.close_run()
        yield from bps.unstage(device)

    documents: Documents = []
    RunEngine({})(plan(), lambda name, doc: documents.append((name, doc)))
    assert [name for name, _ in documents].count("descriptor") == 2
    one = live()
    out: Documents = []
    one.subscribe(lambda name, doc: out.append((name, doc)))
    n_events = 0
    for name, doc in documents:
        n_events += name == "event"
        if name == "event" and n_events == 2:
            time.sleep(0.5)
        one(name, doc)
    assert one.close(60)
    measured = dict(times(out, "mythen_elapsed"))
    derived = [doc for name, doc in out if name == "event" and "qdsizer_size" in doc["data"]]
    assert [doc["time"] for doc in derived] == [measured[1], measured[2]]


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.array([WAVELENGTH]), [WAVELENGTH], np.array(WAVELENGTH)])
def test_a_waveform_of_one_element_is_its_number(
    value: Any, through: Any, raw: Documents, expected: list[float]
) -> None:
    """EPICS gives an array of shape (1,) for a record that has room for more."""
    documents = [
        (name, {**doc, "data": {**doc["data"], "mono": value}} if name == "event" else doc)
        for name, doc in raw
    ]
    source = WavelengthSource(data_key="mono", unit="angstrom")
    assert sizes(through(documents, wavelength=source)) == expected
    two = [
        (name, {**doc, "data": {**doc["data"], "mono": np.array([0.5, 0.6])}} if name == "event" else doc)
        for name, doc in raw
    ]
    reasons = [one["qdsizer_reason"] for one in estimates(through(two, wavelength=source))]
    assert all("mono is array([0.5, 0.6]), which is not a number" in reason for reason in reasons)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stream_resource", "stream_datum", "resource", "datum"])
def test_documents_that_come_late(
    kind: str,
    stream_documents: Documents,
    through: Any,
    mythen: Mythen,
    expected: list[float],
    tmp_path: Path,
) -> None:
    """Behind the events that need them, just before the stop."""
    documents = stream_documents
    if not kind.startswith("stream"):
        documents = []
        device = mythen(kind=ResourceDatumMythen, directory=tmp_path)
        RunEngine({})(count([device], N_FRAMES), lambda name, doc: documents.append((name, doc)))
    late = [one for one in documents if one[0] == kind]
    others = [one for one in documents if one[0] != kind]
    out = through([*others[:-1], *late, others[-1]])
    assert sizes(out) == expected[:N_FRAMES]
    missing = through(others)
    assert streams(missing)["primary"] == {"announced": 3, "sized": 0, "rejected": {"bad_frame": 3}}
    reason = "no stream_datum came" if kind == "stream_datum" else "was never announced: the frame"
    assert all(reason in one["qdsizer_reason"] for one in estimates(missing))


def test_an_event_whose_stream_datum_is_lost_is_rejected(
    stream_documents: Documents, through: Any, expected: list[float]
) -> None:
    out = through(
        [one for one in stream_documents if one[0] != "stream_datum" or one[1]["seq_nums"]["start"] != 2]
    )
    by_number = {one["qdsizer_frame_seq_num"]: one for one in estimates(out)}
    assert [by_number[1]["qdsizer_size"], by_number[3]["qdsizer_size"]] == [expected[0], expected[2]]
    assert by_number[2]["qdsizer_reason"] == (
        "no stream_datum came with this event: the frame cannot be found"
    )
    assert streams(out)["primary"] == {"announced": 3, "sized": 2, "rejected": {"bad_frame": 1}}


# Several streams with images


def several(plan: Callable[[], Iterator[Any]], *devices: Any) -> Iterator[Any]:
    for device in devices:
        yield from bps.stage(device)
    yield from bps.open_run()
    yield from plan()
    yield from bps.close_run()
    for device in devices:
        yield from bps.unstage(device)


@pytest.mark.parametrize("kind", ["inline", "file"])
def test_dark_frames_before_primary(
    kind: str, live: Any, mythen: Mythen, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    device = mythen(kind=SimMythenHdf5, directory=tmp_path) if kind == "file" else mythen()

    def plan() -> Iterator[Any]:
        for _ in range(2):
            yield from bps.trigger_and_read([device], name="dark")
        for _ in range(N_FRAMES):
            yield from bps.trigger_and_read([device], name="primary")

    out = run_live(live(), several(plan, device))
    assert len(sizes(out)) == N_FRAMES
    assert streams(out) == {
        "primary": {"announced": 3, "sized": 3, "rejected": {}},
        "dark": {"announced": 2, "sized": 0, "rejected": {"other_stream": 2}},
    }
    assert "frames of stream dark are not sized, those of primary are; to choose, set stream" in caplog.text
    described = [doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"]
    (descriptor,) = described
    assert descriptor["configuration"]["qdsizer"]["data"]["qdsizer_frame_stream"] == "primary"


@pytest.mark.slow
def test_dark_frames_wait_for_the_stream_that_the_hints_name(live: Any, mythen: Mythen) -> None:
    """However long it takes until the shutter opens; without the hints they are sized after two seconds."""
    device = mythen()

    def plan() -> Iterator[Any]:
        yield from bps.stage(device)
        yield from bps.open_run({"hints": {"dimensions": [(["time"], "primary")]}})
        yield from bps.trigger_and_read([device], name="dark")
        yield from bps.sleep(3.0)
        yield from bps.trigger_and_read([device], name="primary")
        yield from bps.close_run()
        yield from bps.unstage(device)

    out = run_live(live(), plan())
    assert streams(out)["primary"] == {"announced": 1, "sized": 1, "rejected": {}}
    assert streams(out)["dark"] == {"announced": 1, "sized": 0, "rejected": {"other_stream": 1}}


def test_a_monitor_and_the_baseline_give_way_to_primary(
    live: Any, mythen: Mythen, expected: list[float]
) -> None:
    device = mythen()

    def plan() -> Iterator[Any]:
        yield from bps.monitor(device.image, name="image_monitor")
        for _ in range(N_FRAMES):
            yield from bps.trigger_and_read([device], name="primary")
        yield from bps.unmonitor(device.image)

    out = run_live(live(), several(plan, device))
    assert sizes(out) == expected[:N_FRAMES]
    assert streams(out)["image_monitor"]["rejected"] == {"other_stream": 1 + N_FRAMES}
    engine = RunEngine({})
    engine.preprocessors.append(SupplementalData(baseline=[device]))
    out = run_live(live(), count([device], N_FRAMES), engine)
    assert len(sizes(out)) == N_FRAMES
    assert streams(out)["baseline"] == {"announced": 2, "sized": 0, "rejected": {"other_stream": 2}}


def test_without_primary_each_stream_is_sized_under_its_own_name(
    live: Any, mythen: Mythen, expected: list[float]
) -> None:
    device = mythen()

    def plan() -> Iterator[Any]:
        for name in ("one", "two", "one"):
            yield from bps.trigger_and_read([device], name=name)

    out = run_live(live(), several(plan, device))
    assert sizes(out) == expected[:3]
    described = {doc["uid"]: doc for name, doc in out if name == "descriptor" and doc["name"] == "qd_size"}
    named = [
        described[doc["descriptor"]]["configuration"]["qdsizer"]["data"]["qdsizer_frame_stream"]
        for name, doc in out
        if name == "event" and "qdsizer_size" in doc["data"]
    ]
    assert named == ["one", "two", "one"]
    assert len(described) == 2
    assert {name: one["sized"] for name, one in streams(out).items()} == {"one": 2, "two": 1}


@pytest.mark.slow
def test_a_live_size_is_not_held_back_for_long(live: Any, mythen: Mythen) -> None:
    """A plan that acts on sizes may use another stream: its frames wait for `primary` only a moment."""
    one = live()
    documents: Documents = []
    device = mythen()

    def plan() -> Iterator[Any]:
        yield from bps.trigger_and_read([device], name="synthesis")

    RunEngine({})(several(plan, device), lambda name, doc: documents.append((name, doc)))
    for name, doc in documents[:-1]:
        one(name, doc)
    assert one.wait(10)
    assert one.counters.sized == 0
    deadline = time.monotonic() + 30
    while one.counters.sized == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert one.counters.sized == 1


def test_a_declared_stream_that_is_never_used_takes_nothing(
    live: Any, mythen: Mythen, expected: list[float]
) -> None:
    device = mythen()
    for unused, used in (("dark", "primary"), ("primary", "synthesis")):

        def plan(unused: str = unused, used: str = used) -> Iterator[Any]:
            yield from bps.declare_stream(device, name=unused)
            yield from bps.trigger_and_read([device], name=used)

        out = run_live(live(), several(plan, device))
        assert len(sizes(out)) == 1
        assert streams(out) == {used: {"announced": 1, "sized": 1, "rejected": {}}}


# Files


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["PbS 50% toluene", "sample#3", "why?", "r%41x", "Rüdiger"])
@pytest.mark.parametrize("quoted", [False, True])
def test_folder_names(
    folder: str, quoted: bool, live: Any, mythen: Mythen, expected: list[float], tmp_path: Path
) -> None:
    class Kind(SimMythenHdf5):
        def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
            for name, doc in super().collect_asset_docs(index):
                if name == "stream_resource":
                    path = Path(self._file.filename)
                    doc["uri"] = path.as_uri() if quoted else f"file://localhost{path}"
                yield name, doc

    device = mythen(kind=Kind, directory=tmp_path / folder)
    assert sizes(run_live(live(file_timeout_s=0.5), count([device], 1))) == expected[:1]


@pytest.mark.slow
@pytest.mark.parametrize("filter_name", ["Bitshuffle", "LZ4", "Blosc", "Zstd"])
def test_compressed_frames(
    filter_name: str, stream_documents: Documents, through: Any, expected: list[float], tmp_path: Path
) -> None:
    (resource,) = [doc for name, doc in stream_documents if name == "stream_resource"]
    path = tmp_path / "compressed.h5"
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as source, h5py.File(path, "w") as file:
        counts = source["/entry/data/data"][:]
        compression = getattr(hdf5plugin, filter_name)()
        file.create_dataset("/entry/data/data", data=counts, chunks=(1, counts.shape[1]), **compression)
    documents = [
        (name, {**doc, "uri": path.as_uri()} if name == "stream_resource" else doc)
        for name, doc in stream_documents
    ]
    assert sizes(through(documents)) == expected[:N_FRAMES]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["late", "missing", "short"])
def test_a_virtual_dataset_whose_second_file_is_not_there(
    fault: str, stream_documents: Documents, through: Any, expected: list[float], tmp_path: Path
) -> None:
    """Strips of a missing file read as zeros; the frame waits for it, or is not sized."""
    (resource,) = [doc for name, doc in stream_documents if name == "stream_resource"]
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as source:
        counts = source["/entry/data/data"][:]
    half = counts.shape[1] // 2
    layout = h5py.VirtualLayout(counts.shape, np.uint32)
    for index in (0, 1):
        part = counts[:, index * half : (index + 1) * half]
        rows = 2 if (fault, index) == ("short", 1) else len(part)
        with h5py.File(tmp_path / f"part{index}.h5", "w") as file:
            file.create_dataset("data", data=part[:rows], maxshape=(None, half), chunks=(1, half))
        layout[:, index * half : (index + 1) * half] = h5py.VirtualSource(
            f"part{index}.h5", "data", shape=part.shape
        )
    with h5py.File(tmp_path / "whole.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("/entry/data/data", layout)
    documents = [
        (name, {**doc, "uri": (tmp_path / "whole.h5").as_uri()} if name == "stream_resource" else doc)
        for name, doc in stream_documents
    ]
    second = tmp_path / "part1.h5"
    if fault != "short":
        second.rename(tmp_path / "hidden")
    if fault == "late":
        threading.Timer(0.5, (tmp_path / "hidden").rename, (second,)).start()
        assert sizes(through(documents)) == expected[:N_FRAMES]
        return
    out = estimates(through(documents, file_timeout_s=0.2))
    good = 2 if fault == "short" else 0
    assert [one["qdsizer_status"] for one in out] == ["sized"] * good + ["bad_frame"] * (3 - good)
    problem = "it has 2 rows" if fault == "short" else "[Errno 2]"
    assert f"{second}: " in out[-1]["qdsizer_reason"]
    assert problem in out[-1]["qdsizer_reason"]


def rewritten(documents: Documents, write: Callable[[Any, Any], dict[str, Any]]) -> Documents:
    """Stream documents with their frames written anew; `write` gives what changes in the resource."""
    (resource,) = [doc for name, doc in documents if name == "stream_resource"]
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as source:
        counts = source["/entry/data/data"][:]
    changed = {**resource, **write(resource, counts)}
    return [(name, changed if name == "stream_resource" else doc) for name, doc in documents]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("slice", "::2", r"slice = '::2' selects rows by '::2': write ':', or from one on, such as '2:'"),
        ("slice", "-1:", r"slice = '-1:' selects rows by '-1:'"),
        ("slice", ":,:,:,:", r"slice = ':,:,:,:' does not fit a dataset of \d axes: correct it"),
        ("slice", [":", "0"], r"slice = \[':', '0'\] is not a text such as ':,0,:'"),
        ("template", "frames.h5", r"template = 'frames.h5' gives every file the same name"),
        ("template", "{:s}{:d}{:d}.h5", r"template = .* does not take the number of a file"),
    ],
)
def test_parameters_that_cannot_be_followed_are_refused(
    name: str, value: Any, reason: str, stream_documents: Documents, through: Any
) -> None:
    def write(resource: Any, counts: Any) -> dict[str, Any]:
        return {"parameters": {**resource["parameters"], name: value}}

    out = estimates(through(rewritten(stream_documents, write), file_timeout_s=0.0))
    assert len(out) == N_FRAMES
    for one in out:
        assert re.match(reason, one["qdsizer_reason"]), one["qdsizer_reason"]


def test_a_stream_resource_of_the_former_form(
    stream_documents: Documents, through: Any, expected: list[float]
) -> None:
    """With spec, root and resource_path, as event-model before 1.21 has it."""
    former = []
    for name, doc in stream_documents:
        if name == "stream_resource":
            path = doc["uri"].removeprefix("file://localhost")
            kept = {key: doc[key] for key in ("uid", "data_key", "run_start")}
            more = {"spec": "AD_HDF5_SWMR_STREAM", "root": "/", "resource_path": path.lstrip("/")}
            doc = {**kept, **more, "resource_kwargs": doc["parameters"]}
        former.append((name, doc))
    assert sizes(through(former)) == expected[:N_FRAMES]


@pytest.mark.parametrize("shape", [[None], [1], [3]])
def test_an_axis_of_unknown_length_in_the_shape(
    shape: list[Any], stream_documents: Documents, through: Any, expected: list[float]
) -> None:
    """event-model allows None; how many rows an event has is not guessed."""
    documents = []
    for name, doc in stream_documents:
        if name == "descriptor":
            key = doc["data_keys"]["mythen_image"]
            described = {**key, "shape": [*shape, key["shape"][-1]]}
            doc = {**doc, "data_keys": {**doc["data_keys"], "mythen_image": described}}
        documents.append((name, doc))
    out = estimates(through(documents, file_timeout_s=0.2))
    if shape == [1]:
        assert [one["qdsizer_size"] for one in out] == expected[:N_FRAMES]
    elif shape == [None]:
        assert len(out) == N_FRAMES
        assert all("(3, 30720) cannot hold events of shape (None, 30720)" in o["qdsizer_reason"] for o in out)
    else:  # one event has all three rows, and the others have none
        assert [one["qdsizer_size"] for one in out][:3] == expected[:N_FRAMES]
        assert {one["qdsizer_status"] for one in out[3:]} == {"bad_frame"}


def test_the_multiplier_of_a_resource_is_its_frames_per_event(
    stream_documents: Documents, through: Any, expected: list[float]
) -> None:
    """The data key then describes one frame; without this, events would get each other's frames."""

    def write(resource: Any, counts: Any) -> dict[str, Any]:
        return {"parameters": {**resource["parameters"], "multiplier": N_FRAMES}}

    out = estimates(through(rewritten(stream_documents, write), file_timeout_s=0.2))
    assert [(one["qdsizer_frame_seq_num"], one["qdsizer_size"]) for one in out][:N_FRAMES] == [
        (1, size) for size in expected[:N_FRAMES]
    ]
    assert {one["qdsizer_status"] for one in out[N_FRAMES:]} == {"bad_frame"}


def test_a_uri_that_may_be_either_of_two_files_is_refused(
    stream_documents: Documents, through: Any, tmp_path: Path
) -> None:
    def write(resource: Any, counts: Any) -> dict[str, Any]:
        for folder, rows in {"r%41x": counts, "rAx": counts[::-1]}.items():
            (tmp_path / folder).mkdir()
            with h5py.File(tmp_path / folder / "f.h5", "w") as file:
                file["/entry/data/data"] = rows
        return {"uri": f"file://localhost{tmp_path}/r%41x/f.h5"}

    out = estimates(through(rewritten(stream_documents, write)))
    assert [one["qdsizer_reason"] for one in out] == [
        f"the frames may be in {tmp_path}/rAx/f.h5 or {tmp_path}/r%41x/f.h5, as the URI may be quoted or "
        "not: rename one of the folders without %, # and ?"
    ] * N_FRAMES


def test_a_filter_that_is_not_installed_is_named(
    stream_documents: Documents, through: Any, tmp_path: Path
) -> None:
    path = tmp_path / "f.h5"

    def write(resource: Any, counts: Any) -> dict[str, Any]:
        with h5py.File(path, "w") as file:
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_chunk((1, counts.shape[1]))
            properties.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, (1,))
            space = h5py.h5s.create_simple(counts.shape)
            dataset = h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT32, space, properties)
            for index, row in enumerate(counts):
                dataset.write_direct_chunk((index, 0), row.tobytes(), 0)
        return {"uri": path.as_uri(), "parameters": {"dataset": "frames"}}

    began = time.monotonic()
    out = estimates(through(rewritten(stream_documents, write), file_timeout_s=60.0))
    assert time.monotonic() - began < 30  # it does not wait for what waiting does not bring
    assert len(out) == N_FRAMES
    assert all(
        one["qdsizer_reason"].startswith(f"{path}:frames is compressed with HDF5 filter 32099")
        and "install its plugin in the folder of HDF5_PLUGIN_PATH" in one["qdsizer_reason"]
        for one in out
    )


@pytest.mark.parametrize("kind", ["interleaved", "unlimited", "same file"])
def test_virtual_datasets_whose_files_are_complete(
    kind: str, stream_documents: Documents, through: Any, expected: list[float], tmp_path: Path
) -> None:
    """Receivers that take turns, a file that grows, and another dataset of the same file."""

    def write(resource: Any, counts: Any) -> dict[str, Any]:
        n_strips = counts.shape[1]
        with h5py.File(tmp_path / "whole.h5", "w", libver="latest") as file:
            layout = h5py.VirtualLayout(counts.shape, counts.dtype, maxshape=(None, n_strips))
            if kind == "same file":
                file["raw"] = counts
                layout[:] = h5py.VirtualSource(".", "raw", shape=counts.shape)
            elif kind == "interleaved":
                for index in (0, 1):
                    part = counts[index::2]
                    with h5py.File(tmp_path / f"part{index}.h5", "w") as other:
                        other["data"] = part
                    source = h5py.VirtualSource(f"part{index}.h5", "data", shape=part.shape)
                    layout[index::2, :] = source
            else:
                maxshape = (None, n_strips)
                with h5py.File(tmp_path / "part.h5", "w") as other:
                    other.create_dataset("data", data=counts, maxshape=maxshape, chunks=(1, n_strips))
                source = h5py.VirtualSource("part.h5", "data", shape=counts.shape, maxshape=maxshape)
                layout[0 : h5py.h5s.UNLIMITED, :] = source[0 : h5py.h5s.UNLIMITED, :]
            file.create_virtual_dataset("frames", layout)
        return {"uri": (tmp_path / "whole.h5").as_uri(), "parameters": {"dataset": "frames"}}

    assert sizes(through(rewritten(stream_documents, write), file_timeout_s=0.5)) == expected[:N_FRAMES]


WRITER = """
import sys, time
import h5py, numpy as np
source, path, chunk_rows, pause_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
counts = np.load(source)
n_strips = counts.shape[1]
with h5py.File(path, "w", libver="latest") as file:
    dataset = file.create_dataset(
        "/entry/data/data", (0, n_strips), np.uint32, maxshape=(None, n_strips), chunks=(chunk_rows, n_strips)
    )
    file.swmr_mode = True
    dataset.resize(1, axis=0)
    dataset[0] = counts[0]
    dataset.resize(len(counts), axis=0)  # longer than what is written
    dataset.flush()
    print("extended", flush=True)
    time.sleep(pause_s)
    dataset[1:] = counts[1:]
    dataset.flush()
    sys.stdin.read()
"""


@contextmanager
def writing(
    documents: Documents, folder: Path, chunk_rows: int, pause_s: float, empty: bool = False
) -> Iterator[Documents]:
    """The frames of stream documents, written by another process to a file that stays open."""
    (resource,) = [doc for name, doc in documents if name == "stream_resource"]
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as source:
        counts = source["/entry/data/data"][:]
    np.save(folder / "counts.npy", np.zeros_like(counts) if empty else counts)
    path = folder / "open.h5"
    command = [sys.executable, "-c", WRITER, folder / "counts.npy", path, str(chunk_rows), str(pause_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "extended\n"
        yield [
            (name, {**doc, "uri": path.as_uri()} if name == "stream_resource" else doc)
            for name, doc in documents
        ]
        writer.communicate("")


@pytest.mark.slow
@pytest.mark.parametrize("chunk_rows", [1, 4])
def test_rows_that_are_not_flushed_yet_are_waited_for(
    chunk_rows: int, stream_documents: Documents, through: Any, expected: list[float], tmp_path: Path
) -> None:
    """A dataset may be longer than what its writer has flushed; the rest reads as zeros, without an error."""
    with writing(stream_documents, tmp_path, chunk_rows, 1.0) as documents:
        assert sizes(through(documents)) == expected[:N_FRAMES]


@pytest.mark.slow
def test_an_event_of_which_only_the_first_row_is_flushed_is_waited_for(
    stream_documents: Documents, through: Any, expected: list[float], tmp_path: Path
) -> None:
    with writing(stream_documents, tmp_path, 4, 1.0) as documents:
        one_event = []
        for name, doc in documents:
            if name == "descriptor":
                key = doc["data_keys"]["mythen_image"]
                described = {**key, "shape": [N_FRAMES, key["shape"][-1]]}
                doc = {**doc, "data_keys": {**doc["data_keys"], "mythen_image": described}}
            if doc.get("seq_num", 1) == 1 and doc.get("seq_nums", {"start": 1})["start"] == 1:
                one_event.append((name, doc))
        assert sizes(through(one_event)) == expected[:N_FRAMES]


@pytest.mark.slow
def test_empty_frames_are_waited_for_once(stream_documents: Documents, through: Any, tmp_path: Path) -> None:
    """A closed shutter gives zeros too."""
    with writing(stream_documents, tmp_path, 4, 0.0, empty=True) as documents:
        began = time.monotonic()
        out = estimates(through(documents, file_timeout_s=2.0))
        assert 2.0 < time.monotonic() - began < 5.9
    assert [one["qdsizer_reason"] for one in out] == ["the mean intensity is 0: it must be above zero"] * 3


def test_announced_frames_without_an_outcome_are_logged(
    stream_documents: Documents, live: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault behind the frames, in composing the documents of the second estimate."""
    compose, calls = SizeStream.documents, iter(range(10))

    def faulty(self: SizeStream, *arguments: Any) -> Any:
        if next(calls) == 1:
            raise MemoryError("no room")
        return compose(self, *arguments)

    one = live()
    stops: list[Any] = []
    one.subscribe(lambda name, doc: stops.append(doc), "stop")
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(SizeStream, "documents", faulty)
        for name, doc in stream_documents:
            one(name, doc)
        assert one.close(60)
    assert one.counters.contained == 1
    assert stops[0]["qdsizer"]["streams"]["primary"] == {"announced": 3, "sized": 2, "rejected": {}}
    assert "frames without an outcome, by stream: {'primary': 1}" in caplog.text


@pytest.mark.slow
def test_frames_of_a_long_flight_leave_nothing_behind(
    config: LiveConfig, stream_documents: Documents
) -> None:
    """Their numbers were kept one by one, which took 8 MB for 100 000 frames."""
    source = FrameSource(config, stream_documents[0][1])
    for name, doc in stream_documents:
        if name in ("descriptor", "stream_resource"):
            source.take(name, doc, 0.0)
    (datum, *_) = [doc for name, doc in stream_documents if name == "stream_datum"]
    flight = {
        **datum,
        "indices": {"start": 0, "stop": 100_000},
        "seq_nums": {"start": 1, "stop": 100_001},
    }
    tracemalloc.start()
    try:
        n_frames = len(source.take("stream_datum", flight, 0.0))
        time.sleep(0.3)
        n_frames += len(source.release())
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_frames == 100_000
    assert left < 1e6
