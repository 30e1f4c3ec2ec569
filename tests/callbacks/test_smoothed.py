"""The smoothed track of a derived run, in its documents."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from event_model import DocumentNames, compose_run, schema_validators
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qdsizer_stream.callbacks.documents import (
    estimates_alone,
    measurement_of,
    smoothed_data,
    smoothed_point,
    smoothed_track,
    with_smoothed,
)
from qdsizer_stream.tracking import Change, Measurement, Track, TrackPoint

Documents = list[tuple[str, Any]]

NUMBERS = ("mass_mean", "mass_mean_sd", "mass_mean_shared_sd", "size", "size_sd", "size_shared_sd")


def frame(time_s: float, size_nm: float, sd_nm: float = 0.03) -> dict[str, float]:
    """What an event of `qd_size` holds for the track; NaN where the frame contributes nothing."""
    values = (size_nm, sd_nm, 0.05, size_nm / 1.04, 2 * sd_nm, 0.06)
    return {
        "qdsizer_track_time": time_s,
        "qdsizer_evidence_age": 0.0 if size_nm > 0 else math.nan,
        **{f"qdsizer_evidence_{name}": value for name, value in zip(NUMBERS, values, strict=True)},
    }


def synthesis(n: int = 40) -> list[dict[str, float]]:
    """Growth that triples in the middle, every seventh frame rejected."""
    scatter = np.random.default_rng(5).normal(0, 0.03, n)
    sizes = 3.0 + 0.03 * np.arange(n) + 0.06 * np.maximum(np.arange(n) - n // 2, 0)
    sizes[3::7] = np.nan
    return [frame(20.0 * i, float(size)) for i, size in enumerate(sizes + scatter)]


def derived(streams: dict[str, Sequence[dict[str, float]]]) -> Documents:
    """Documents of a derived run; frames of several streams in turns."""
    run = compose_run()
    configuration = dict.fromkeys(("qdsizer_model_sha256", "qdsizer_material", "qdsizer_version"), "")
    bundles, documents = {}, [("start", run.start_doc)]
    for stream, frames in streams.items():
        keys = {key: {"dtype": "number", "shape": [], "source": "test"} for key in frames[0]}
        keys["qdsizer_frame_seq_num"] = {"dtype": "integer", "shape": [], "source": "test"}
        data = {**configuration, "qdsizer_model": "pbs", "qdsizer_frame_stream": stream}
        bundles[stream] = run.compose_descriptor(
            name="qd_size",
            data_keys=keys,
            configuration={
                "qdsizer": {
                    "data": data,
                    "timestamps": dict.fromkeys(data, 0.0),
                    "data_keys": {key: {"dtype": "string", "shape": [], "source": "test"} for key in data},
                }
            },
        )
        documents.append(("descriptor", bundles[stream].descriptor_doc))
    for number in range(max(map(len, streams.values()))):
        for stream, frames in streams.items():
            data = {**frames[number], "qdsizer_frame_seq_num": number + 1}
            event = bundles[stream].compose_event(
                data=data, timestamps=dict.fromkeys(data, 0.0), time=1e9 + number
            )
            documents.append(("event", event))
    documents.append(("stop", run.compose_stop()))
    return documents


def smoothed_of(documents: Documents) -> list[Any]:
    return [doc for name, doc in documents if name == "event" and "qdsizer_smoothed_size" in doc["data"]]


def test_the_stream_is_the_smoother_called_directly_to_the_last_bit() -> None:
    frames = synthesis()
    track = Track()
    for data in frames:
        track.update(data["qdsizer_track_time"], measurement_of(data))
    points = track.smoothed()
    assert {point.change for point in points} == {None, Change.RATE}
    events = smoothed_of(list(with_smoothed(derived({"primary": frames}))))
    for event, point in zip(events, points, strict=True):
        data = event["data"]
        assert data["qdsizer_smoothed_time"] == point.time_s
        assert data["qdsizer_smoothed_change"] == ("" if point.change is None else "rate")
        for name in ("mass_mean", "size"):
            for end in ("", "_low", "_high", "_sd"):
                assert data[f"qdsizer_smoothed_{name}{end}"] == getattr(point, f"{name}{end}_nm")
        for end in ("", "_low", "_high"):
            assert data[f"qdsizer_smoothed_growth{end}"] == getattr(point, f"growth{end}_nm_per_min")
    # The filter knows less about the first frames than the smoother.
    first = Track().update(0.0, measurement_of(frames[0]))
    assert points[0].mass_mean_sd_nm < 0.7 * first.mass_mean_sd_nm


def test_the_documents_before_it_are_unchanged_and_the_stop_counts_it() -> None:
    before = derived({"primary": synthesis(8)})
    after = list(with_smoothed(before))
    assert all(one[1] is other[1] for one, other in zip(before[:-1], after, strict=False))
    descriptor, events, stop = after[len(before) - 1][1], smoothed_of(after), after[-1][1]
    assert descriptor["name"] == "qd_size_smoothed"
    assert descriptor["hints"] == {
        "qdsizer_smoothed": {"fields": ["qdsizer_smoothed_mass_mean", "qdsizer_smoothed_size"]}
    }
    about = descriptor["configuration"]["qdsizer_smoothed"]["data"]
    assert (about["qdsizer_smoothed_stream"], about["qdsizer_model"]) == ("qd_size", "pbs")
    assert "later ones too" in about["qdsizer_smoothed_method"]
    sized = [doc for name, doc in before if name == "event"]
    for event, of in zip(events, sized, strict=True):
        assert (event["seq_num"], event["time"]) == (of["seq_num"], of["time"])
        assert event["data"]["qdsizer_frame_seq_num"] == of["data"]["qdsizer_frame_seq_num"]
        assert set(event["data"]) == set(descriptor["data_keys"]) == set(event["timestamps"])
        assert min(event["timestamps"].values()) >= event["time"]
        assert event["descriptor"] == descriptor["uid"]
    assert stop["num_events"] == {"qd_size": 8, "qd_size_smoothed": 8}
    assert before[-1][1]["num_events"] == {"qd_size": 8}  # a copy
    for name, doc in after[-10:]:
        schema_validators[DocumentNames[name]].validate(doc)
    assert [doc for _, doc in estimates_alone(after)][:-1] == [doc for _, doc in before][:-1]


def test_streams_of_frames_are_smoothed_separately() -> None:
    one, other = synthesis(), [frame(20.0 * i, 5.0 + 0.01 * (i % 3)) for i in range(40)]
    events = smoothed_of(list(with_smoothed(derived({"primary": one, "other": other}))))
    for found, frames in ((events[::2], one), (events[1::2], other)):
        sizes = [event["data"]["qdsizer_smoothed_size"] for event in found]
        assert sizes == [point.size_nm for point in smoothed_track(frames)]


def test_a_run_without_estimates_has_no_such_stream() -> None:
    documents: Documents = [("start", {"uid": "0"}), ("stop", {"run_start": "0", "num_events": {}})]
    assert list(with_smoothed(documents)) == documents


def test_a_point_is_read_back_from_its_data() -> None:
    for point in smoothed_track(synthesis()):
        assert repr(smoothed_point(smoothed_data(point))) == repr(point)


bad_frames = st.lists(
    st.builds(
        frame,
        # Clocks that stand still, step back, jump by years, or are not known.
        st.one_of(st.floats(-1e9, 1e9), st.floats(0, 100), st.just(math.nan)),
        st.one_of(st.floats(0.5, 20.0), st.just(math.nan), st.just(0.0)),
        st.one_of(st.floats(1e-6, 3.0), st.just(math.nan), st.just(0.0)),
    ),
    min_size=1,
    max_size=25,
)


# Steps of less than the smallest normal number, and years between frames whose errors are not known.
STEPS_OF_NOTHING = [
    frame(-1.3e-11, 11.2, 0.9),
    frame(946085642.0, 0.0, 2.3),
    frame(5e-324, 11.2, 0.9),
    frame(2.2e-313, 7.6, 0.0),
]
PERIOD_OF_NOTHING = [frame(0.0, 3.0, 1.0), frame(2.3e-311, 1.0, 0.25), frame(math.nan, 3.0, 1.0)]
STEPS_OF_YEARS = [
    frame(math.nan, 1.9, 0.7493865926737152),
    frame(math.nan, 9.031739455021803, 2.6434942737105547),
    frame(17.087486381698838, math.nan, math.nan),
    frame(789586753.0100253, 1.372733292604909, math.nan),
    frame(-252363792.78601134, math.nan, 0.0),
    frame(31.451563439591485, 10.177135520772033, math.nan),
    frame(147345727.80037856, 0.0, 0.0),
    frame(34.81365369494374, 8.087279601713533, math.nan),
    frame(91.020289125645, 0.5500286865218288, math.nan),
    frame(-2.00001, 0.0, math.nan),
    frame(78.80308322874889, math.nan, 0.0),
]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(bad_frames)
@example(STEPS_OF_NOTHING)
@example(PERIOD_OF_NOTHING)
@example(STEPS_OF_YEARS)
def test_bad_input_gives_one_event_for_each_frame_and_intervals_around_their_sizes(
    frames: list[dict[str, float]],
) -> None:
    events = smoothed_of(list(with_smoothed(derived({"primary": frames}))))
    assert len(events) == len(frames)
    informed = False
    for event, data in zip(events, frames, strict=True):
        informed = informed or _informs(measurement_of(data))
        point = smoothed_point(event["data"])
        assert math.isfinite(point.mass_mean_nm) == informed
        for low, middle, high in (
            (point.mass_mean_low_nm, point.mass_mean_nm, point.mass_mean_high_nm),
            (point.size_low_nm, point.size_nm, point.size_high_nm),
            (point.growth_low_nm_per_min, point.growth_nm_per_min, point.growth_high_nm_per_min),
        ):
            assert low <= middle <= high or (math.isnan(middle) and math.isnan(low) and math.isnan(high))


def _informs(measurement: Measurement | None) -> bool:
    """Whether a frame holds a size that the track can use."""
    if measurement is None:
        return False
    pairs = ((measurement.mass_mean, measurement.mass_mean_sd), (measurement.size, measurement.size_sd))
    return any(math.isfinite(value) and math.isfinite(sd) and sd > 0 for value, sd in pairs)


def test_rejected_frames_alone_have_no_size() -> None:
    points = smoothed_track([frame(20.0 * i, math.nan) for i in range(5)])
    assert all(repr(point) == repr(TrackPoint(time_s=20.0 * i)) for i, point in enumerate(points))


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_frames_have_a_size_and_no_growth(n: int) -> None:
    frames = [frame(20.0 * i, 4.0) for i in range(n)]
    events = smoothed_of(list(with_smoothed(derived({"primary": frames}))))
    assert len(events) == n
    for event in events:
        assert event["data"]["qdsizer_smoothed_mass_mean"] == pytest.approx(4.0, rel=0.01)
        assert math.isnan(event["data"]["qdsizer_smoothed_growth"])
