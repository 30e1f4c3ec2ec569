"""A run in an archive as the record of a picture."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import WatchedRun, _watched_run, archived_config, embedded_tiled, replay
from qdsizer_stream.callbacks import LiveSizer, SynthesisRecord
from qdsizer_stream.callbacks.display import SIMULATION_KEY, headline
from qdsizer_stream.errors import ArchiveError

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with embedded_tiled(tmp_path_factory.mktemp("archive")) as client:
        yield client


def named(documents: Documents, run: str) -> Documents:
    """The shared run under another identifier, one frame spoiled."""
    renamed = []
    for name, doc in documents:
        new = {key: f"{run}-{value}" if key in ("descriptor",) else value for key, value in doc.items()}
        if name == "start":
            new |= {"uid": run, SIMULATION_KEY: {"elapsed_key": "mythen_elapsed"}}
        elif name in ("descriptor", "stop"):
            new |= {"run_start": run, "uid": f"{run}-{doc['uid']}"}
        elif doc["seq_num"] == 3:
            new["data"] = {**doc["data"], "mythen_image": np.zeros_like(doc["data"]["mythen_image"])}
        renamed.append((name, new))
    return renamed


@pytest.fixture
def written(archive: Any, live: Callable[..., LiveSizer]) -> Callable[..., Iterator[SynthesisRecord]]:
    """Sizes and archives documents one after another, and gives the live record after each."""

    def write(documents: Documents) -> Iterator[SynthesisRecord]:
        sizer = live()
        record = SynthesisRecord(sizer)
        writer = TiledWriter(archive, batch_size=1)
        sizer.subscribe(writer)
        sizer.subscribe(record)
        for name, doc in documents:
            sizer(name, doc)
            assert sizer.wait(60)
            assert sizer.counters.contained == 0
            yield record

    return write


def assert_same(watched: SynthesisRecord, live: SynthesisRecord) -> None:
    """The picture from the archive is the live one, to the last bit."""
    assert (watched.run, watched.n_frames, watched.n_sized) == (live.run, live.n_frames, live.n_sized)
    assert watched.n_rejected == live.n_rejected
    assert headline(watched) == headline(live)
    for mine, theirs in zip(watched.frames, live.frames, strict=True):
        # NaN is equal to NaN only where numbers are compared one by one.
        np.testing.assert_equal(
            {name: vars(value) if name == "growth" else value for name, value in vars(mine).items()},
            {name: vars(value) if name == "growth" else value for name, value in vars(theirs).items()},
        )
    assert watched.newest is not None
    assert live.newest is not None
    np.testing.assert_equal(vars(watched.newest.binned), vars(live.newest.binned))
    fits = watched.newest.fit, live.newest.fit
    np.testing.assert_equal(
        *({name: value for name, value in vars(fit).items() if name != "curves"} for fit in fits)
    )
    for part in ("dots", "solvent", "background"):
        np.testing.assert_equal(*(getattr(fit, part) for fit in fits))
    np.testing.assert_equal(watched.configuration, live.configuration)


def test_a_run_is_followed_while_it_is_written(
    archive: Any, raw: Documents, written: Callable[..., Iterator[SynthesisRecord]]
) -> None:
    watched = WatchedRun(archive)
    assert not watched.update()  # an empty archive
    for (name, _), live in zip(named(raw, "followed"), written(named(raw, "followed")), strict=True):
        assert watched.update() == (name in ("event", "stop"))
        assert watched.record.n_frames == live.n_frames
    assert_same(watched.record, live)
    assert watched.record.n_rejected.total() == 1
    # The clock of the synthesis, 30 s a frame, not that of the wall: growth is that of the live picture.
    np.testing.assert_allclose([one.minutes for one in live.frames], [0.25, 0.75, 1.25, 1.75, 2.25, 2.75])
    assert not watched.update()
    # The same run, once it has ended, by its name.
    again = WatchedRun(archive, "followed")
    assert again.update()
    assert_same(again.record, live)
    # The next run is turned to when it has sizes; a run that was asked for stays.
    for _ in written(named(raw[:2], "next")):
        assert not watched.update()
    assert list(written(named(raw, "after")))
    assert watched.update()
    assert watched.record.run == "after"
    again.update()
    assert again.record.run == "followed"
    # A linked run shows the frames of its original.
    writer = TiledWriter(archive)
    run = archive["followed"]
    uid = ""
    for name, doc in replay(run, archived_config(run)):
        uid = doc["uid"] if name == "start" else uid
        writer(name, doc)
    linked = WatchedRun(archive, uid)
    assert linked.update()
    assert math.isnan(linked.record.latency_s)
    for mine, theirs in zip(linked.record.frames, live.frames, strict=True):
        np.testing.assert_equal(mine.signal_sd, theirs.signal_sd)
        assert mine.minutes == theirs.minutes


def test_of_a_long_run_only_some_frames_are_looked_at(
    archive: Any,
    raw: Documents,
    written: Callable[..., Iterator[SynthesisRecord]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_watched_run, "MAX_PATTERNS", 3)
    *_, live = written(named(raw, "long"))
    watched = WatchedRun(archive, "long")
    watched.update()
    assert watched.record.n_frames == 6
    assert [frame.signal_sd.size > 0 for frame in watched.record.frames] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    np.testing.assert_equal(watched.record.frames[-1].signal_sd, live.frames[-1].signal_sd)


def test_of_an_ended_run_sizes_come_first_then_the_newest_fit_then_the_waterfall(
    archive: Any,
    raw: Documents,
    written: Callable[..., Iterator[SynthesisRecord]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_watched_run, "PATTERNS_PER_UPDATE", 1)
    *_, live = written(named(raw, "opened"))
    watched = WatchedRun(archive, "opened")
    seen = []
    while watched.update():
        state = watched.record.snapshot()
        assert state.n_frames == 6  # never a frame of the middle as the newest
        assert headline(state) == headline(live)
        assert state.newest is not None
        assert live.newest is not None
        np.testing.assert_equal(vars(state.newest.binned), vars(live.newest.binned))
        seen.append((state.loading, [frame.signal_sd.size > 0 for frame in state.frames].index(True)))
    assert seen == [((1, 6), 5), ((2, 6), 0), ((3, 6), 0), ((4, 6), 0), ((5, 6), 0), (None, 0)]
    assert_same(watched.record, live)


def test_a_sized_run_is_found_behind_many_without_sizes(
    archive: Any, raw: Documents, written: Callable[..., Iterator[SynthesisRecord]]
) -> None:
    assert list(written(named(raw, "before")))
    writer = TiledWriter(archive)
    for index in range(25):
        for name, doc in named([raw[0], raw[-1]], f"alignment-{index}"):
            writer(name, doc)
    watched = WatchedRun(archive)
    assert watched.update()
    assert watched.record.run == "before"


def test_an_old_run_that_is_sized_again_does_not_hide_the_one_being_measured(
    archive: Any, raw: Documents, written: Callable[..., Iterator[SynthesisRecord]]
) -> None:
    assert list(written(named(raw, "old")))
    documents = written(named(raw, "measured"))
    for _ in named(raw, "measured")[:-1]:
        next(documents)
    watched = WatchedRun(archive)
    watched.update()
    assert watched.record.run == "measured"
    assert watched.record.exit_status == ""
    writer = TiledWriter(archive)
    for name, doc in replay(archive["old"], archived_config(archive["old"])):
        writer(name, doc)
    while watched.update():
        pass
    assert watched.record.run == "measured"
    assert list(documents)  # its stop
    while watched.update():
        pass
    assert watched.record.exit_status == "success"


def test_a_repeated_step_shows_its_own_frame(
    archive: Any, raw: Documents, written: Callable[..., Iterator[SynthesisRecord]]
) -> None:
    """After a pause Bluesky repeats a step: two events have one sequence number."""
    documents = named(raw, "paused")
    events = [index for index, (name, _) in enumerate(documents) if name == "event"]
    fourth = documents[events[3]][1]
    documents[events[3]] = ("event", {**fourth, "seq_num": 3})  # what was the fourth frame is the third again
    *_, live = written(documents)
    assert [frame.seq_num for frame in live.frames] == [1, 2, 3, 3, 5, 6]
    watched = WatchedRun(archive, "paused")
    while watched.update():
        pass
    for mine, theirs in zip(watched.record.frames, live.frames, strict=True):
        np.testing.assert_equal(mine.signal_sd, theirs.signal_sd)


def test_runs_that_cannot_be_watched_say_why(archive: Any, raw: Documents) -> None:
    with pytest.raises(ArchiveError, match=r"no run nowhere among the .* or -1 for the newest run"):
        WatchedRun(archive, "nowhere")
    writer = TiledWriter(archive)
    for name, doc in named(raw, "unsized"):
        writer(name, doc)
    with pytest.raises(
        ArchiveError, match=r"run unsized ended without a stream qd_size: .* size it with replay"
    ):
        WatchedRun(archive, "unsized")
