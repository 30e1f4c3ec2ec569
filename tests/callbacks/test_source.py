"""Frames out of documents: every layout, from producers that write them for real."""

import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from event_model import DocumentNames, pack_event_page, schema_validators

from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.callbacks.documents import Frame, FrameSource
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.errors import CalibrationError
from qdsizer_stream.reduction import ReductionConfig, nominal_detector, strip_counts
from qdsizer_stream.sizing import SizingConfig
from qdsizer_stream.testing import FlyingMythen, ResourceDatumMythen, fly

DETECTOR = nominal_detector(2, -1.0)
N_STRIPS = 2560
WAVELENGTH = 0.5637
CONFIG = LiveConfig(
    sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
    wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
)
SETTINGS: dict[str, Any] = {
    "name": "mythen",
    "scene": lambda q, elapsed_s: (1 + elapsed_s) * (1 + q),
    "detector": DETECTOR,
    "wavelength_angstrom": WAVELENGTH,
    "counts_per_second": 20.0,
    "speed": np.inf,
    "seed": 3,
}
Documents = list[tuple[str, Any]]


def documents_of(plan: Any) -> Documents:
    documents: Documents = []
    RunEngine({})(plan, lambda name, doc: documents.append((name, doc)))
    for name, doc in documents:
        schema_validators[DocumentNames[name]].validate(doc)  # the producers themselves must be right
    return documents


def frames_of(documents: Documents, config: LiveConfig = CONFIG) -> list[Frame]:
    source = FrameSource(config, documents[0][1])
    frames = [frame for name, doc in documents for frame in source.frames(name, doc, 1.0e9)]
    source.close()
    return frames


@pytest.fixture
def inline() -> Documents:
    return documents_of(count([SimMythen(**SETTINGS)], 5))


@pytest.fixture
def expected(inline: Documents) -> list[np.ndarray]:
    return [doc["data"]["mythen_image"] for name, doc in inline if name == "event"]


def assert_equal(frames: list[Frame], expected: list[np.ndarray]) -> None:
    assert [frame.reason for frame in frames] == [""] * len(expected)
    assert {(frame.raw.wavelength_angstrom, frame.raw.arm_deg) for frame in frames} == {(WAVELENGTH, None)}
    for frame, counts in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.raw.counts, counts)


def test_inline(inline: Documents, expected: list[np.ndarray]) -> None:
    frames = frames_of(inline)
    assert_equal(frames, expected)
    events = [doc for name, doc in inline if name == "event"]
    assert [(f.seq_num, f.time) for f in frames] == [(e["seq_num"], e["time"]) for e in events]


@pytest.mark.parametrize(
    "form",
    [
        lambda counts: counts.tolist(),
        lambda counts: counts.astype(np.float64),
        lambda counts: counts[None, :],
        lambda counts: counts[None, None, :].astype(np.float32),
        lambda counts: [counts.tolist()],
    ],
    ids=["list", "float64", "(1, N)", "(1, 1, N) float32", "nested list"],
)
def test_inline_in_any_form(inline: Documents, expected: list[np.ndarray], form: Any) -> None:
    formed = [
        (name, {**doc, "data": {**doc["data"], "mythen_image": form(doc["data"]["mythen_image"])}})
        if name == "event"
        else (name, doc)
        for name, doc in inline
    ]
    assert_equal(frames_of(formed), expected)


def test_several_frames_and_several_counters_in_one_event(
    inline: Documents, expected: list[np.ndarray]
) -> None:
    first = next(doc for name, doc in inline if name == "event")
    stacked = {**first, "data": {"mythen_image": np.array(expected)[:, None, :]}}
    frames = frames_of([*inline[:2], ("event", stacked)])
    assert_equal(frames, expected)
    assert {frame.seq_num for frame in frames} == {1}


@pytest.mark.parametrize(
    "form",
    [
        lambda three: three,
        lambda three: three.reshape(-1),
        lambda three: three.reshape(1, 2, 3 * 1280),
        lambda three: np.stack([three, three]),
        lambda three: np.stack([three.reshape(-1)] * 2)[:, None],
    ],
    ids=["(N, 3)", "interleaved", "by module", "two frames", "two frames interleaved"],
)
def test_counters_of_a_strip_stay_with_their_frame(
    inline: Documents, expected: list[np.ndarray], form: Any
) -> None:
    first = next(doc for name, doc in inline if name == "event")
    three = np.array(expected[:3]).T
    counters = {**first, "data": {"mythen_image": form(three)}}
    reduction = ReductionConfig(detector=DETECTOR, n_counters=3, counter=2)
    config = CONFIG.model_copy(update={"sizing": SizingConfig(reduction=reduction)})
    frames = frames_of([*inline[:2], ("event", counters)], config)
    assert len(frames) == (2 if form(three).size > three.size else 1)
    for frame in frames:
        assert not frame.reason
        np.testing.assert_array_equal(strip_counts(frame.raw.counts, N_STRIPS, 3, 2), expected[2])


def test_a_layout_that_might_be_two_things_is_one_frame_to_refuse(
    inline: Documents, expected: list[np.ndarray]
) -> None:
    first = next(doc for name, doc in inline if name == "event")
    doubtful = {**first, "data": {"mythen_image": np.array(expected[:3])}}  # three frames or three counters
    reduction = ReductionConfig(detector=DETECTOR, n_counters=3)
    config = CONFIG.model_copy(update={"sizing": SizingConfig(reduction=reduction)})
    (frame,) = frames_of([*inline[:2], ("event", doubtful)], config)
    with pytest.raises(CalibrationError, match=r"the frame has shape \(3, 2560\)"):
        strip_counts(frame.raw.counts, N_STRIPS, 3, 2)


def test_event_page(inline: Documents, expected: list[np.ndarray]) -> None:
    page = pack_event_page(*(doc for name, doc in inline if name == "event"))
    frames = frames_of([*inline[:2], ("event_page", page)])
    assert_equal(frames, expected)
    assert [frame.seq_num for frame in frames] == [1, 2, 3, 4, 5]


def test_resource_and_datum(tmp_path: Path, expected: list[np.ndarray]) -> None:
    documents = documents_of(count([ResourceDatumMythen(directory=tmp_path, **SETTINGS)], 5))
    assert "datum" in {name for name, _ in documents}
    assert_equal(frames_of(documents), expected)


def test_several_frames_a_datum(tmp_path: Path, expected: list[np.ndarray]) -> None:
    device = ResourceDatumMythen(directory=tmp_path, frames_each=3, **SETTINGS)
    frames = frames_of(documents_of(count([device], 2)))
    assert_equal(frames, [expected[0]] * 3 + [expected[1]] * 3)
    assert [frame.seq_num for frame in frames] == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(("frames_each", "stated"), [(3, True), (1, False)])
def test_frames_a_datum_of_a_shape_that_is_not_that_of_its_file(
    tmp_path: Path, expected: list[np.ndarray], frames_each: int, stated: bool
) -> None:
    """Classic areaDetector devices describe width and height the other way round: the resource counts."""

    class Kind(ResourceDatumMythen):
        def describe(self) -> dict[str, Any]:
            description: dict[str, Any] = super().describe()
            description[self.image.name]["shape"] = [self.image.get().size, 2]
            return description

    device = Kind(directory=tmp_path, frames_each=frames_each, **SETTINGS)
    documents = documents_of(count([device], 2))
    for name, doc in documents:
        if name == "resource" and not stated:
            del doc["resource_kwargs"]["frame_per_point"]
    assert_equal(frames_of(documents), [expected[0]] * frames_each + [expected[1]] * frames_each)


def test_64_frames_of_another_stream_wait_for_primary(expected: list[np.ndarray]) -> None:
    """The plan names `primary` as its main stream. A 65th is more than memory is kept for: all are sized."""
    (start, descriptor, event, _) = (doc for _, doc in documents_of(count([SimMythen(**SETTINGS)], 1)))
    assert start["hints"]["dimensions"][0][1] == "primary"
    source = FrameSource(CONFIG, start)
    assert not list(source.frames("descriptor", {**descriptor, "name": "dark"}, 1.0e9))
    for number in range(1, 65):
        assert not list(source.frames("event", {**event, "uid": f"{number}", "seq_num": number}, 1.0e9))
    frames = list(source.frames("event", {**event, "uid": "65", "seq_num": 65}, 1.0e9))
    assert [frame.seq_num for frame in frames] == list(range(1, 66))
    assert {frame.stream for frame in frames} == {"dark"}
    assert_equal(frames[:1], expected[:1])


@pytest.mark.parametrize(
    ("kwargs", "which"),
    [
        ({"point_number": 1}, [1, 1]),
        ({"frame": 1}, [0]),
        ({"indices": {"start": 1, "stop": 3}}, [0, 1]),
        ({"indices": [1, 2, 3]}, [0, 1, 1]),
    ],
)
def test_a_datum_states_points_or_rows(
    tmp_path: Path, expected: list[np.ndarray], kwargs: dict[str, Any], which: list[int]
) -> None:
    """Of a file with two rows a point: a point is two rows, and an index one."""
    documents = documents_of(count([ResourceDatumMythen(directory=tmp_path, frames_each=2, **SETTINGS)], 2))
    first = next(number for number, (name, _) in enumerate(documents) if name == "event")
    (datum,) = [doc for name, doc in documents[:first] if name == "datum"]
    datum["datum_kwargs"] = kwargs
    source = FrameSource(CONFIG, documents[0][1])
    with_all_rows = [item for item in documents if item[0] != "event"]
    frames = [
        frame
        for name, doc in [*with_all_rows[:-1], documents[first]]
        for frame in source.frames(name, doc, 1.0e9)
    ]
    assert_equal(frames, [expected[point] for point in which])


def test_stream_datum_while_the_file_is_open(tmp_path: Path, expected: list[np.ndarray]) -> None:
    frames: list[Frame] = []
    sources: list[FrameSource] = []

    def live(name: str, doc: Any) -> None:
        if name == "start":
            sources.append(FrameSource(CONFIG, doc))
        # Read at once: the device still has the file open for writing.
        frames.extend(sources[0].frames(name, doc, 1.0e9))

    RunEngine({})(count([SimMythenHdf5(directory=tmp_path, **SETTINGS)], 5), live)
    assert_equal(frames, expected)
    assert [frame.seq_num for frame in frames] == [1, 2, 3, 4, 5]


def test_fly_scan_without_events(tmp_path: Path, expected: list[np.ndarray]) -> None:
    documents = documents_of(fly(FlyingMythen(directory=tmp_path, **SETTINGS)))
    assert [name for name, _ in documents] == [
        "start",
        "descriptor",
        "stream_resource",
        "stream_datum",
        "stop",
    ]
    frames = frames_of(documents)
    assert_equal(frames, expected)
    assert [(frame.seq_num, frame.time) for frame in frames] == [(n, 1.0e9) for n in (1, 2, 3, 4, 5)]


def test_a_file_that_appears_late(tmp_path: Path, expected: list[np.ndarray]) -> None:
    documents = documents_of(fly(FlyingMythen(directory=tmp_path, **SETTINGS)))
    (path,) = tmp_path.glob("*.h5")
    hidden = path.rename(tmp_path / "hidden")
    threading.Timer(0.3, lambda: hidden.rename(path)).start()
    assert_equal(frames_of(documents), expected)


@pytest.mark.parametrize("fault", ["missing", "truncated", "too short", "no dataset"])
def test_a_file_that_cannot_be_read_gives_a_reason(tmp_path: Path, fault: str) -> None:
    documents = documents_of(fly(FlyingMythen(directory=tmp_path, **SETTINGS)))
    (path,) = tmp_path.glob("*.h5")
    if fault == "missing":
        path.unlink()
    elif fault == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        with h5py.File(path, "r+") as file:
            if fault == "too short":
                file["/entry/data/data"].resize(2, axis=0)
            else:
                del file["/entry/data/data"]
    frames = frames_of(documents, CONFIG.model_copy(update={"file_timeout_s": 0.0}))
    good = 2 if fault == "too short" else 0
    assert [bool(frame.reason) for frame in frames] == [False] * good + [True] * (5 - good)
    assert f"rows 4 to 4 of {path}:/entry/data/data did not appear within 0 s" in frames[-1].reason
    assert "raise file_timeout_s" in frames[-1].reason


def test_a_lost_file_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = documents_of(fly(FlyingMythen(directory=tmp_path, **SETTINGS)))
    (path,) = tmp_path.glob("*.h5")
    path.unlink()
    looks = 0

    def look(_: float) -> None:
        nonlocal looks
        looks += 1

    clock = iter(range(1000))  # a second passes with each look at it
    monkeypatch.setattr(time, "sleep", look)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    frames = frames_of(documents, CONFIG.model_copy(update={"file_timeout_s": 5.0}))
    assert all("did not appear within 5 s" in frame.reason for frame in frames)
    assert looks == 4  # all of them for the first of five frames


def test_a_file_that_comes_back_is_read_and_waited_for_again(
    tmp_path: Path, expected: list[np.ndarray]
) -> None:
    documents = documents_of(fly(FlyingMythen(directory=tmp_path, **SETTINGS)))
    (path,) = tmp_path.glob("*.h5")
    hidden = path.rename(tmp_path / "hidden")
    source = FrameSource(CONFIG.model_copy(update={"file_timeout_s": 0.05}), documents[0][1])
    frames = []
    for name, doc in documents:
        for frame in source.frames(name, doc, 1.0e9):
            frames.append(frame)
            if len(frames) == 2:
                hidden.rename(path)
    source.close()
    assert [bool(frame.reason) for frame in frames] == [True, True, False, False, False]
    np.testing.assert_array_equal(frames[2].raw.counts, expected[2])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"uri": "s3://bucket/frames.h5"},
            "frames at s3://bucket/frames.h5 cannot be read: only file:// URIs can",
        ),
        ({"mimetype": "image/tiff"}, "frames of type image/tiff cannot be read: only application/x-hdf5 can"),
    ],
)
def test_foreign_stream_resources(tmp_path: Path, change: dict, reason: str) -> None:
    documents = documents_of(fly(FlyingMythen(directory=tmp_path, **SETTINGS)))
    foreign = [(name, {**doc, **change} if name == "stream_resource" else doc) for name, doc in documents]
    assert [frame.reason for frame in frames_of(foreign)] == [reason] * 5


def test_a_datum_that_was_never_announced(tmp_path: Path) -> None:
    documents = documents_of(count([ResourceDatumMythen(directory=tmp_path, **SETTINGS)], 1))
    frames = frames_of([(name, doc) for name, doc in documents if name != "datum"])
    assert "was never announced: the frame cannot be found" in frames[0].reason


def test_a_data_key_that_vanishes(inline: Documents) -> None:
    event = next(doc for name, doc in inline if name == "event")
    frames = frames_of([*inline[:2], ("event", {**event, "data": {"mythen_elapsed": 1.0}})])
    assert [frame.reason for frame in frames] == ["the event has no 'mythen_image': found mythen_elapsed"]


@pytest.mark.parametrize("value", [[[1], [1, 2]], {"a": 1}, "abc", object()])
def test_values_that_are_no_frame_raise_nothing(inline: Documents, value: Any) -> None:
    event = next(doc for name, doc in inline if name == "event")
    (frame,) = frames_of([*inline[:2], ("event", {**event, "data": {"mythen_image": value}})])
    assert frame.reason or np.asarray(frame.raw.counts).dtype.kind in "OU"  # the reduction refuses these


def test_two_arrays_that_fit_are_not_guessed_between(inline: Documents) -> None:
    descriptor = inline[1][1]
    keys = descriptor["data_keys"]
    twins = {**descriptor, "data_keys": {**keys, "other": dict(keys["mythen_image"])}}
    documents = [inline[0], ("descriptor", twins), *inline[2:]]
    reason = (
        "2 data keys fit the detector, mythen_image, other: set data_key to the one that holds the frames"
    )
    assert {frame.reason for frame in frames_of(documents)} == {reason}
    assert_equal(
        frames_of(documents, CONFIG.model_copy(update={"data_key": "mythen_image"}))[:1],
        [inline[2][1]["data"]["mythen_image"]],
    )


def test_a_run_without_frames_says_what_it_has(inline: Documents) -> None:
    source = FrameSource(CONFIG.model_copy(update={"data_key": "pilatus_image"}), inline[0][1])
    assert not [frame for name, doc in inline for frame in source.frames(name, doc, 0.0)]
    assert source.explain_no_frames() == (
        "no frames: looked for pilatus_image in stream (any), found "
        "primary: mythen_image (2560,), mythen_monitor (), mythen_elapsed (); set data_key and stream"
    )
