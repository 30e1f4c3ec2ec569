"""Documents of older producers and unusual files: the replayed sizes are the live ones."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from ophyd import Signal

from qdsizer_stream.archive import replay
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, NumberSource, WavelengthSource
from qdsizer_stream.sizing import Sizer

from ..callbacks.producers import ResourceDatumMythen

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]
Estimates = list[dict[str, Any]]
N_FRAMES = 3
WAVELENGTH = 0.5637


def recorded(plan: Any) -> Documents:
    documents: Documents = []
    RunEngine({})(plan, lambda name, doc: documents.append((name, doc)))
    return documents


def estimates(documents: Documents) -> Estimates:
    return [
        {key: doc["data"][f"qdsizer_{key}"] for key in ("frame_seq_num", "size", "status", "reason")}
        for name, doc in documents
        if name == "event" and "qdsizer_size" in doc["data"]
    ]


def account(documents: Documents) -> dict[str, Any]:
    (stop,) = [doc for name, doc in documents if name == "stop"]
    streams: dict[str, Any] = stop["qdsizer"]["streams"]
    for one in streams.values():
        assert one["announced"] == one["sized"] + sum(one["rejected"].values())
    return streams


@pytest.fixture(scope="module")
def frames(mythen: Any) -> list[Any]:
    """Frames that the detector of these tests takes, in order."""
    documents = recorded(count([mythen()], 2 * N_FRAMES))
    return [doc["data"]["mythen_image"] for name, doc in documents if name == "event"]


@pytest.fixture(scope="module")
def expected(frames: list[Any], sizer: Sizer) -> list[float]:
    """Their sizes, without any document."""
    return [sizer.size_frame(frame, WAVELENGTH).size_nm for frame in frames]


def sizes(documents: Documents) -> list[float]:
    assert {one["reason"] for one in estimates(documents)} <= {""}
    return [one["size"] for one in estimates(documents)]


@pytest.fixture
def both(archive: Any, config: LiveConfig, sizer: Sizer) -> Callable[..., tuple[Documents, Documents]]:
    """Documents of a run, sized live and, from the archive, replayed."""

    def play(documents: Documents, **settings: Any) -> tuple[Documents, Documents]:
        changed = config.model_copy(update=settings)
        live = LiveSizer(changed, sizer)
        out: Documents = []
        live.subscribe(lambda name, doc: out.append((name, doc)))
        live.subscribe(TiledWriter(archive))
        for name, doc in documents:
            live(name, doc)
        assert live.close(60)
        assert live.counters.contained == 0
        return out, list(replay(archive[documents[0][1]["uid"]], changed, sizer))

    return play


def bulk(documents: Documents) -> Documents:
    """Events and datums in the documents of 2018, just before the stop."""
    events = [doc for name, doc in documents if name == "event"]
    datums = [doc for name, doc in documents if name == "datum"]
    of_events = ("bulk_events", {events[0]["descriptor"]: events})
    of_datums = {
        "resource": datums[0]["resource"] if datums else "",
        "datum_ids": [doc["datum_id"] for doc in datums],
        "datum_kwarg_list": [doc["datum_kwargs"] for doc in datums],
    }
    rest = [(name, doc) for name, doc in documents if name not in ("event", "datum")]
    return [*rest[:-1], *([("bulk_datum", of_datums)] if datums else []), of_events, rest[-1]]


@pytest.mark.filterwarnings("ignore:The document type 'bulk_")  # of event-model, on the way to Tiled
@pytest.mark.parametrize("kind", ["inline", "file"])
def test_bulk_events_and_bulk_datum(
    kind: str, both: Any, mythen: Any, files: Path, expected: list[float]
) -> None:
    device = mythen(kind=ResourceDatumMythen, directory=files) if kind == "file" else mythen()
    live, again = both(bulk(recorded(count([device], N_FRAMES))))
    assert sizes(live) == expected[:N_FRAMES]
    assert estimates(again) == estimates(live)
    assert account(live) == {"primary": {"announced": 3, "sized": 3, "rejected": {}}}
    assert account(again) == account(live)


def monitored(mythen: Any, *signals: tuple[str, float]) -> Any:
    return count([mythen(), *(Signal(name=name, value=value) for name, value in signals)], 2)


@pytest.mark.parametrize("key", ["time", "seq_num", "time_", "ts_time", "ts_monitor", "ts_ts_time"])
def test_a_data_key_with_a_name_that_tables_use(key: str, both: Any, mythen: Any, frames: list[Any]) -> None:
    """The value of the key is 1.5, the time of the event and the number are not."""
    documents = recorded(monitored(mythen, (key, 1.5), ("other", 2.0)))
    live, again = both(documents, monitor=NumberSource(data_key=key))
    assert [one["status"] for one in estimates(live)] == ["sized"] * 2
    assert estimates(again) == estimates(live)
    times = [
        [doc["time"] for name, doc in out if name == "event" and "qdsizer_size" in doc["data"]]
        for out in (live, again)
    ]
    assert times[0] == times[1]


def test_a_key_whose_values_the_archive_does_not_hold(both: Any, mythen: Any) -> None:
    documents = recorded(monitored(mythen, ("ts_mono", 0.5652), ("mono", 5.0)))
    live, again = both(documents, wavelength=WavelengthSource(data_key="ts_mono", unit="angstrom"))
    assert [one["status"] for one in estimates(live)] == ["sized"] * 2
    assert [one["reason"] for one in estimates(again)] == [
        "no wavelength: the archive holds the timestamps of 'mono' in place of the data key 'ts_mono': size "
        "such runs live, or rename the key"
    ] * 2
    assert account(again) == {"primary": {"announced": 2, "sized": 0, "rejected": {"bad_frame": 2}}}


def test_a_key_that_took_the_place_of_the_times_of_events(
    archive: Any, config: LiveConfig, sizer: Sizer, mythen: Any
) -> None:
    documents = recorded(monitored(mythen, ("time", 1.5)))
    writer = TiledWriter(archive, normalizer=None)
    for name, doc in documents:
        writer(name, dict(doc))
    again = estimates(list(replay(archive[documents[0][1]["uid"]], config, sizer)))
    assert [one["reason"] for one in again] == [
        "the archive holds the values of the data key 'time' where the time of the events should be: write "
        "the run again with the normalizer of TiledWriter, or rename the key"
    ] * 2


# Files that stream documents announce


DATASET = "entry/data/data"
WAVELENGTH_SETTING = {
    "mythen": {
        "data": {"mythen_wavelength": WAVELENGTH},
        "timestamps": {"mythen_wavelength": 0.0},
        "data_keys": {
            "mythen_wavelength": {"source": "x", "dtype": "number", "shape": [], "units": "angstrom"}
        },
    }
}

Part = tuple[int, int, int]
"""Number of the resource, first index and the one behind the last."""


def stored(path: Path, counts: Any, dataset: str = DATASET) -> Path:
    counts = np.asarray(counts, dtype=np.uint32)
    with h5py.File(path, "w") as file:
        file.create_dataset(dataset, data=counts, chunks=(1, *counts.shape[1:]))
    return path


def announced(
    places: Sequence[Path | str],
    parts: Sequence[Part],
    shape: Sequence[int],
    events: Sequence[int] = (),
    **parameters: Any,
) -> Documents:
    """Documents of a run whose frames are in files: resources, then a stream_datum for each part."""
    run = compose_run()
    image = {
        "source": "x",
        "dtype": "array",
        "shape": list(shape),
        "dtype_numpy": "<u4",
        "external": "STREAM:",
    }
    scalar = {"source": "x", "dtype": "number", "shape": []}
    keys = {"mythen_image": image, **({"scalar": scalar} if events else {})}
    stream = run.compose_descriptor("primary", keys, configuration=WAVELENGTH_SETTING)
    out: Documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    uids = [str(uuid.uuid4()) for _ in places]
    for uid, place in zip(uids, places, strict=True):
        resource = {
            "uid": uid,
            "run_start": run.start_doc["uid"],
            "data_key": "mythen_image",
            "mimetype": "application/x-hdf5",
            "uri": f"file://localhost{place}",
            "parameters": {"dataset": DATASET, **parameters},
        }
        out.append(("stream_resource", resource))
    seq_num = 1
    for number, first, last in parts:
        datum = {
            "uid": str(uuid.uuid4()),
            "stream_resource": uids[number],
            "descriptor": stream.descriptor_doc["uid"],
            "indices": {"start": first, "stop": last},
            "seq_nums": {"start": seq_num, "stop": seq_num + last - first},
        }
        out.append(("stream_datum", datum))
        seq_num += last - first
    for number in events:
        event = stream.compose_event({"scalar": 1.0}, {"scalar": 0.0}, seq_num=number)
        out.append(("event", event))
    stop = {**run.compose_stop(), "num_events": {"primary": len(events) or seq_num - 1}}
    return [*out, ("stop", stop)]


FEW = np.s_[:N_FRAMES]


@pytest.mark.parametrize("template", ["/t_{:03d}.h5", "/%s_%03d.h5", "/%s%s_%3.3d.h5"])
def test_a_file_for_each_frame(
    template: str, both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    folder = files / uuid.uuid4().hex
    folder.mkdir()
    for number, frame in enumerate(frames[FEW]):
        stored(folder / f"t_{number:03d}.h5", [frame])
    live, again = both(
        announced([folder], [(0, 0, 2), (0, 2, 3)], (1, frames[0].size), template=template, filename="t")
    )
    assert sizes(live) == expected[FEW]
    assert estimates(again) == estimates(live)


@pytest.mark.parametrize(
    ("parameters", "frames_per_file"),
    [
        ({}, 2),
        ({"multiplier": 2}, 1),
        ({"files_per_datum": 2}, 1),
        ({"chunk_shape": (1, 30720)}, 1),
        ({"chunk_shape": (2, 30720)}, 2),
        ({"join_method": "concat", "chunk_shape": (2, 30720)}, 2),
    ],
)
@pytest.mark.filterwarnings("ignore:Consolidator for application")
def test_several_frames_of_an_event_in_one_file_or_several(
    parameters: dict[str, Any],
    frames_per_file: int,
    both: Any,
    files: Path,
    frames: list[Any],
    expected: list[float],
) -> None:
    folder = files / uuid.uuid4().hex
    folder.mkdir()
    for number in range(4 // frames_per_file):
        some = frames[number * frames_per_file : (number + 1) * frames_per_file]
        stored(folder / f"{number}.h5", some)
    live, again = both(announced([folder], [(0, 0, 2)], (2, 30720), template="/%d.h5", **parameters))
    assert sizes(live) == expected[:4]
    assert [one["frame_seq_num"] for one in estimates(live)] == [1, 1, 2, 2]
    assert estimates(again) == estimates(live)


@pytest.mark.parametrize(
    ("text", "which"),
    [(":,0:1,:", 0), (":,1,:", 1), ("...,1,:", 1), (":,1:2", 1), ("[:,0]", 0), ("1:,1", 1)],
)
def test_a_selected_part_of_a_dataset(
    text: str, which: int, both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    pairs = np.stack([frames[:3], frames[3:]], axis=1)
    path = stored(files / f"{uuid.uuid4()}.h5", pairs)
    first = 1 if text.startswith("1") else 0
    live, again = both(announced([path], [(0, 0, 3 - first)], (1, 30720), slice=text.strip("[]")))
    assert sizes(live) == expected[3 * which + first : 3 * which + 3]
    assert estimates(again) == estimates(live)


def test_a_row_that_was_announced_twice(
    both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    """A transport that repeats a message: live it is known by its indices."""
    path = stored(files / f"{uuid.uuid4()}.h5", frames[FEW])
    live, again = both(announced([path], [(0, 0, 2), (0, 0, 2), (0, 2, 3)], (1, 30720)))
    assert sizes(live) == expected[FEW]
    reason = (
        "the archive announces 5 rows, and its files hold 3, in the shape (3, 30720): rows are missing, or"
    )
    assert all(one["reason"].startswith(reason) for one in estimates(again))
    assert account(again)["primary"] == {"announced": 5, "sized": 0, "rejected": {"bad_frame": 5}}


@pytest.mark.parametrize("declared", ["<u2", "<i4"])
def test_counts_that_an_archive_would_change_are_logged(
    declared: str, both: Any, mythen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The writer stores what the key declares: 65536 is 0 in 16 bits."""
    documents = recorded(count([mythen()], 2))
    documents[1][1]["data_keys"]["mythen_image"]["dtype_numpy"] = declared
    for name, doc in documents:
        if name == "event":
            doc["data"]["mythen_image"] = doc["data"]["mythen_image"].astype(np.uint32) + (1 << 16)
    both(documents)
    text = f"the key mythen_image of stream primary declares {declared}, and its counts are <u4"
    assert caplog.text.count(text) == (declared == "<u2")


IN_TURN = "the frames of this stream are not the rows of its files one after another"
NOT_KNOWN = "it does not hold which of them were announced; size such runs live"


@pytest.mark.parametrize("folder", ["plain", "sample#3"])
@pytest.mark.parametrize(
    ("parts", "which"),
    [
        ([(0, 2, 5)], [2, 3, 4]),  # not from 0 on
        ([(0, 0, 2), (0, 4, 5)], [0, 1, 4]),  # with a gap
    ],
)
def test_rows_that_were_not_announced_are_no_frames(
    folder: str,
    parts: list[Part],
    which: list[int],
    both: Any,
    files: Path,
    frames: list[Any],
    expected: list[float],
) -> None:
    """Live, the indices say which row is which; the archive does not keep them."""
    (files / folder).mkdir(exist_ok=True)
    path = stored(files / folder / f"{uuid.uuid4()}.h5", frames[:5])
    live, again = both(announced([path], parts, (1, 30720)))
    assert sizes(live) == [expected[one] for one in which]
    assert [one["status"] for one in estimates(again)] == ["bad_frame"] * 3
    assert all(IN_TURN in one["reason"] or NOT_KNOWN in one["reason"] for one in estimates(again))
    assert account(again) == {"primary": {"announced": 3, "sized": 0, "rejected": {"bad_frame": 3}}}


@pytest.mark.parametrize("folder", ["plain", "sample#4"])
def test_rows_behind_those_of_an_interrupted_run(
    folder: str, both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    """A plan that fails after a trigger leaves a frame without an event at the end of the file."""
    (files / folder).mkdir(exist_ok=True)
    path = stored(files / folder / f"{uuid.uuid4()}.h5", frames[:5])
    live, again = both(announced([path], [(0, 0, 2), (0, 2, 3)], (1, 30720), events=[1, 2, 3]))
    assert sizes(live) == expected[FEW]
    assert estimates(again) == estimates(live)


@pytest.mark.parametrize("first", [0, 2])
def test_rows_that_were_not_announced_in_a_run_that_was_not_sized_live(
    first: int, archive: Any, config: LiveConfig, sizer: Sizer, files: Path, frames: list[Any]
) -> None:
    """Nobody noted the indices: the number of rows tells."""
    path = stored(files / f"{uuid.uuid4()}.h5", frames[:5])
    documents = announced([path], [(0, first, first + 3)], (1, 30720))
    writer = TiledWriter(archive)
    for name, doc in documents:
        writer(name, dict(doc))
    again = estimates(list(replay(archive[documents[0][1]["uid"]], config, sizer)))
    assert [one["status"] for one in again] == ["bad_frame"] * 3
    assert all(NOT_KNOWN in one["reason"] for one in again)


def test_successive_files_of_one_key(
    both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    paths = [
        stored(files / f"{uuid.uuid4()}.h5", frames[first:last]) for first, last in ((0, 1), (1, 3), (3, 6))
    ]
    live, again = both(announced(paths, [(0, 0, 1), (1, 0, 2), (2, 0, 3)], (1, 30720)))
    assert sizes(live) == expected
    assert estimates(again) == estimates(live)


@pytest.mark.parametrize(("number", "name"), [(32999, "without a name"), (32022, "GRANULARBR")])
def test_a_filter_that_is_not_installed(
    number: int, name: str, both: Any, files: Path, frames: list[Any]
) -> None:
    path = files / f"{uuid.uuid4()}.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 30720))
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        shape = h5py.h5s.create_simple((2, 30720))
        group = file.require_group("entry/data").id
        dataset = h5py.h5d.create(group, b"data", h5py.h5t.NATIVE_UINT32, shape, properties)
        for row in range(2):
            dataset.write_direct_chunk((row, 0), np.asarray(frames[row], np.uint32).tobytes())
    live, again = both(announced([path], [(0, 0, 2)], (1, 30720)), file_timeout_s=0.1)
    for one in [*estimates(live), *estimates(again)]:
        assert one["status"] == "bad_frame"
        assert f"is compressed with HDF5 filter {number} ({name}), which is not installed" in one["reason"]


def test_a_type_that_the_server_refuses_is_read_from_the_file(
    both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    """The key says unsigned, the file is signed: live it makes no difference."""
    path = stored(files / f"{uuid.uuid4()}.h5", frames[FEW])
    documents = announced([path], [(0, 0, 3)], (1, 30720))
    documents[1][1]["data_keys"]["mythen_image"]["dtype_numpy"] = "<i4"
    live, again = both(documents)
    assert sizes(live) == expected[FEW]
    assert estimates(again) == estimates(live)


@pytest.mark.parametrize(
    ("n_events", "reason"), [(2, ""), (4, "the archive holds frames of 3 events for 4 ")]
)
def test_frames_and_events_of_another_number(
    n_events: int, reason: str, both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    """A run that was interrupted lacks the last event; one whose frame is lost lacks any."""
    path = stored(files / f"{uuid.uuid4()}.h5", frames[FEW])
    live, again = both(announced([path], [(0, 0, 3)], (1, 30720), events=range(1, n_events + 1)))
    assert [one["size"] for one in estimates(live)][:3] == expected[FEW]
    if reason:
        assert [one["reason"][: len(reason)] for one in estimates(again)] == [reason] * n_events
    else:
        assert estimates(again) == estimates(live)
    assert account(again)["primary"]["announced"] == max(n_events, 3)


def classic(path: Path, kwargs: Sequence[dict[str, Any]]) -> Documents:
    """Documents of a run whose events name their frames by datums."""
    run = compose_run()
    image = {
        "source": "x",
        "dtype": "array",
        "shape": [1, 30720],
        "dtype_numpy": "<u4",
        "external": "FILESTORE:",
    }
    stream = run.compose_descriptor("primary", {"mythen_image": image}, configuration=WAVELENGTH_SETTING)
    uid = str(uuid.uuid4())
    resource = {
        "uid": uid,
        "spec": "AD_HDF5",
        "root": str(path.parent),
        "resource_path": path.name,
        "resource_kwargs": {"frame_per_point": 1},
        "path_semantics": "posix",
        "run_start": run.start_doc["uid"],
    }
    out: Documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc), ("resource", resource)]
    for number, one in enumerate(kwargs):
        datum_id = f"{uid}/{number}"
        out.append(("datum", {"datum_id": datum_id, "resource": uid, "datum_kwargs": one}))
        values = {"mythen_image": datum_id}
        event = stream.compose_event(values, {"mythen_image": 0.0}, filled={"mythen_image": False})
        out.append(("event", event))
    return [*out, ("stop", run.compose_stop())]


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("point_number", [0, 1, 2]),
        ("frame", [0, 1, 2]),
        ("point_number", [2, 1, 0]),
        ("point_number", [0, 0, 1]),
        ("frame", [0, 2]),
    ],
)
def test_datums_that_name_rows_in_another_order_than_their_events(
    name: str, which: list[int], both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    """Tiled gives the first event the first row; a replay would size another frame, without an error."""
    path = stored(files / f"{uuid.uuid4()}.h5", frames[FEW])
    live, again = both(classic(path, [{name: row} for row in which]))
    assert sizes(live) == [expected[row] for row in which]
    (stop,) = [doc for name, doc in live if name == "stop"]
    if which == [0, 1, 2]:
        assert estimates(again) == estimates(live)
        assert stop["qdsizer"]["rows_not_in_order"] == []
    else:
        assert [one["status"] for one in estimates(again)] == ["bad_frame"] * len(which)
        assert stop["qdsizer"]["rows_not_in_order"] == ["primary"]


def test_files_that_take_turns(both: Any, files: Path, frames: list[Any], expected: list[float]) -> None:
    """Tiled stores the rows of one file, then those of the other."""
    paths = [stored(files / f"{uuid.uuid4()}.h5", some) for some in (frames[:2], frames[2:4])]
    parts = [(0, 0, 1), (1, 0, 1), (0, 1, 2), (1, 1, 2)]
    live, again = both(announced(paths, parts, (1, 30720), events=[1, 2, 3, 4]))
    assert sizes(live) == [expected[row] for row in (0, 2, 1, 3)]
    assert [one["reason"][: len(IN_TURN)] for one in estimates(again)] == [IN_TURN] * 4


def test_two_keys_that_fit_the_detector(both: Any, files: Path, frames: list[Any]) -> None:
    path = stored(files / f"{uuid.uuid4()}.h5", frames[:2])
    documents = announced([path], [(0, 0, 2)], (1, 30720))
    documents[1][1]["data_keys"]["other"] = documents[1][1]["data_keys"]["mythen_image"]
    live, again = both(documents)
    reason = (
        "2 data keys fit the detector, mythen_image, other: set data_key to the one that holds the frames"
    )
    assert [one["reason"] for one in estimates(live)] == [reason] * 2
    assert estimates(again) == estimates(live)
    live, again = both(announced([path], [(0, 0, 2)], (1, 30720)), data_key="mythen_image")
    assert [one["status"] for one in estimates(live)] == ["sized"] * 2
    assert estimates(again) == estimates(live)


def test_the_dataset_of_areadetector_is_the_default(
    both: Any, files: Path, frames: list[Any], expected: list[float]
) -> None:
    path = stored(files / f"{uuid.uuid4()}.h5", frames[:2])
    live, again = both(announced([path], [(0, 0, 2)], (1, 30720), dataset=""))
    assert sizes(live) == expected[:2]
    assert estimates(again) == estimates(live)


def test_one_of_several_files_is_missing(both: Any, files: Path, frames: list[Any]) -> None:
    folder = files / uuid.uuid4().hex
    folder.mkdir()
    for number in (0, 2):
        stored(folder / f"{number}.h5", [frames[number]])
    live, again = both(announced([folder], [(0, 0, 3)], (1, 30720), template="/%d.h5"), file_timeout_s=0.1)
    assert [one["status"] for one in estimates(live)] == ["sized", "bad_frame", "sized"]
    assert (
        "1.h5:entry/data/data did not appear within 0.1 s (there is no such file)"
        in estimates(live)[1]["reason"]
    )
    assert [one["status"] for one in estimates(again)] == ["bad_frame"] * 3
    assert all(
        "1.h5:entry/data/data cannot be read: there is no such file" in one["reason"]
        for one in estimates(again)
    )


@pytest.mark.parametrize("kwargs", [{}, {"index": 0}])
def test_datums_that_do_not_name_their_rows(
    kwargs: dict[str, Any], both: Any, files: Path, frames: list[Any]
) -> None:
    """Tiled takes the number of the event for that of the row; it is not guessed live, nor in a replay."""
    path = stored(files / f"{uuid.uuid4()}.h5", frames[FEW])
    live, again = both(classic(path, [kwargs] * N_FRAMES))
    assert all("do not state the rows of the frame" in one["reason"] for one in estimates(live))
    assert [one["reason"][: len(IN_TURN)] for one in estimates(again)] == [IN_TURN] * N_FRAMES
    assert account(again) == account(live)
