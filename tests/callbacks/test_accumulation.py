"""Frames that are added up on the live path, and what events say of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from event_model import DocumentNames, schema_validators

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.reduction import AccumulationConfig
from qdsizer_stream.sizing import Sizer

Documents = list[tuple[str, Any]]
Through = Callable[..., Documents]

FRAME_S = 10.0
"""Time between events, s."""


@pytest.fixture(scope="module")
def faint(mythen: Callable[..., SimMythen]) -> Documents:
    """Eight frames of some 90 000 photons each, ten seconds apart."""
    documents: Documents = []
    device = mythen(counts_per_second=0.06, exposure_s=30.0)
    RunEngine({})(count([device], 8), lambda name, doc: documents.append((name, doc)))
    began = next(doc["time"] for name, doc in documents if name == "event")
    return [
        (name, {**doc, "time": began + FRAME_S * (doc["seq_num"] - 1)} if name == "event" else doc)
        for name, doc in documents
    ]


@pytest.fixture(scope="module")
def photons(faint: Documents, sizer: Sizer) -> list[float]:
    """Photons of each frame within the bins."""
    reducer = sizer.reducer
    assert reducer is not None
    frames = [doc["data"]["mythen_image"] for name, doc in faint if name == "event"]
    return [reducer.pool(frame, 0.5637).total_counts for frame in frames]


def events_of(documents: Documents) -> list[dict[str, Any]]:
    return [doc for name, doc in documents if name == "event" and "qdsizer_size" in doc["data"]]


def said(documents: Documents, key: str) -> list[Any]:
    return [event["data"][f"qdsizer_{key}"] for event in events_of(documents)]


@pytest.mark.slow
def test_sums_that_are_complete_make_events(
    faint: Documents, through: Through, photons: list[float], sizer: Sizer
) -> None:
    three = sum(photons[:3])
    config = AccumulationConfig(mode="reset", min_counts=0.95 * three, max_seconds=1e6)
    out = through(faint, accumulation=config)
    for name, doc in out:
        schema_validators[DocumentNames[name]].validate(doc)
    # Two whole sums, and what was left when the run ended.
    assert said(out, "n_frames") == [3, 3, 2]
    assert said(out, "frame_seq_num") == [3, 6, 8]
    assert said(out, "counts") == pytest.approx([sum(photons[:3]), sum(photons[3:6]), sum(photons[6:])])
    raw = [doc for name, doc in faint if name == "event"]
    assert [event["time"] for event in events_of(out)] == [raw[n]["time"] for n in (2, 5, 7)]
    assert out[-1][0] == "stop"
    assert out[-1][1]["num_events"]["qd_size"] == 3
    total = np.sum([doc["data"]["mythen_image"].astype(np.int64) for doc in raw[:3]], axis=0)
    # Bins of few strips hold what each frame leaves open about its rate, so that the network sees more
    # noise than in one long frame: a few thousandths of a nanometre at most.
    assert said(out, "size")[0] == pytest.approx(sizer.size_frame(total, 0.5637).size_nm, abs=5e-3)


@pytest.mark.slow
def test_a_sum_that_ran_out_of_time_ends_with_its_own_last_frame(faint: Documents, through: Through) -> None:
    # Frames 1 to 3 are within 25 s; the fourth comes too late for them.
    config = AccumulationConfig(mode="reset", min_counts=1e12, max_seconds=2.5 * FRAME_S)
    out = through(faint, accumulation=config)
    assert said(out, "n_frames") == [3, 3, 2]
    assert said(out, "frame_seq_num") == [3, 6, 8]


def test_rolling_sums_share_frames(faint: Documents, through: Through, photons: list[float]) -> None:
    config = AccumulationConfig(mode="rolling", min_counts=0.95 * sum(photons[:3]), max_seconds=1e6)
    out = through(faint, accumulation=config)
    assert said(out, "n_frames") == [3] * 6
    assert said(out, "frame_seq_num") == [3, 4, 5, 6, 7, 8]


def test_a_bad_frame_has_its_own_event_and_joins_no_sum(faint: Documents, through: Through) -> None:
    cut = [
        (name, {**doc, "data": {**doc["data"], "mythen_image": np.ones(30719)}})
        if name == "event" and doc["seq_num"] == 2
        else (name, doc)
        for name, doc in faint
    ]
    config = AccumulationConfig(mode="reset", min_counts=1e12, max_seconds=2.5 * FRAME_S)
    out = through(cut, accumulation=config)
    assert said(out, "frame_seq_num") == [2, 3, 6, 8]
    assert said(out, "n_frames") == [1, 2, 3, 2]
    assert said(out, "status")[0] == "bad_frame"
    assert "part of a module is missing" in said(out, "reason")[0]


def test_without_accumulation_every_event_is_one_frame(faint: Documents, through: Through) -> None:
    out = through(faint)
    assert said(out, "n_frames") == [1] * 8
    assert said(out, "warnings") == [""] * 8


def test_what_was_masked_stands_in_the_event(faint: Documents, live: Callable[..., LiveSizer]) -> None:
    name, event = faint[2]
    image = event["data"]["mythen_image"].astype(float)
    image[100:110] = np.nan
    one = live()
    documents = [*faint[:2], (name, {**event, "data": {**event["data"], "mythen_image": image}})]
    for kind, doc in documents:
        one(kind, doc)
    assert one.wait(60)
    assert one.newest is not None
    assert one.newest["qdsizer_warnings"] == "10 strips with a negative or missing count"
