"""Replays into an archive, a run and a file: whole or not at all, never twice, resumed."""

import csv
import gc
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from event_model import DocumentNames, schema_validators
from ophyd.sim import det

from qdsizer_stream.archive import (
    Comparison,
    LinkedRuns,
    ReplayJournal,
    ReplayOutcome,
    ReplayStep,
    SizingWorkers,
    TableFile,
    WriteBack,
    archived_config,
    find_run,
    open_archive,
    parse_query,
    replay,
    replay_into,
    run_documents,
    select_runs,
    sized_run,
)
from qdsizer_stream.archive import sizes as table_of_sizes
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.errors import ArchiveError, ConfigurationError
from qdsizer_stream.reduction import AccumulationConfig
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.integration

FRAMES = 7
COUNTS = {"primary": FRAMES, "qd_size": FRAMES, "qd_size_smoothed": FRAMES}
ONE_FRAME = 4 * 30_720


@pytest.fixture(scope="module", autouse=True)
def _no_retries() -> Iterator[None]:
    """A server that refuses is asked once: the client's patience is not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
        yield


@pytest.fixture(scope="module")
def measure(archive: Any, config: LiveConfig, sizer: Sizer) -> Callable[..., Any]:
    """Makes a run in the archive, sized live or not."""

    def run(device: Any, frames: int = FRAMES, sized: bool = True, **settings: Any) -> Any:
        metadata = settings.pop("metadata", {})
        writer = TiledWriter(archive, **{"batch_size": 3, **settings})
        engine = RunEngine({})
        if sized:
            live = LiveSizer(config, sizer)
            live.subscribe(writer)
            engine.subscribe(live)
            (uid,) = engine(count([device], frames), **metadata)
            assert live.close(60)
        else:
            engine.subscribe(writer)
            (uid,) = engine(count([device], frames), **metadata)
        return archive[uid]

    return run


@pytest.fixture(scope="module")
def sized(measure: Callable[..., Any], mythen: Callable[..., SimMythen]) -> Any:
    return measure(mythen(), metadata={"sample": "PbS", "scan_id": 41})


@pytest.fixture
def into(config: LiveConfig, sizer: Sizer, tmp_path: Path) -> Callable[..., ReplayOutcome]:
    def size(run: Any, destination: Any, settings: LiveConfig = config, **options: Any) -> ReplayOutcome:
        return replay_into(run, settings, destination, tmp_path / "journals", sizer, **options)

    return size


def sizes(run: Any) -> Any:
    table = run["qd_size"].read().to_dataframe().reset_index(drop=True).drop(columns="qdsizer_latency")
    return table[sorted(table)]


def sizes_of_frames(run: Any) -> Any:
    """Sizes without the track, which depends on the times of the frames."""
    table = sizes(run)
    return table[[key for key in table if not key.startswith(("qdsizer_track", "qdsizer_growth"))]]


def n_runs_of(archive: Any) -> int:
    return len(list(archive))  # its own length is remembered for a while


def test_a_derived_run_is_found_and_not_doubled(
    archive: Any, sized: Any, into: Callable[..., ReplayOutcome], config: LiveConfig, tmp_path: Path
) -> None:
    first = into(sized, LinkedRuns(archive))
    assert (first.frames, first.statuses, first.found) == (FRAMES, {"sized": FRAMES}, False)
    n_runs = n_runs_of(archive)
    second = into(sized, LinkedRuns(archive))
    assert (second.written, second.found) == (first.written, True)
    assert n_runs_of(archive) == n_runs
    assert into(sized, LinkedRuns(archive), again=True).written != first.written
    assert not list((tmp_path / "journals").iterdir())  # nothing is left once it is written

    other = config.model_copy(update={"file_timeout_s": 7.0})
    assert not into(sized, LinkedRuns(archive), other).found


def test_live_and_derived_sizes_are_equal_in_time_and_number(
    archive: Any, sized: Any, into: Callable[..., ReplayOutcome]
) -> None:
    derived = archive[into(sized, LinkedRuns(archive)).written]
    assert sizes(derived).equals(sizes(sized))
    for key in ("time", "seq_num"):
        np.testing.assert_array_equal(derived["qd_size"][key].read(), sized["qd_size"][key].read())


def test_a_derived_run_holds_the_smoothed_track_and_its_readers_read_it(
    archive: Any, sized: Any, into: Callable[..., ReplayOutcome]
) -> None:
    derived = archive[into(sized, LinkedRuns(archive)).written]
    live, again = sized_run(sized), sized_run(derived)
    assert (len(live.stored_smoothed), len(again.stored_smoothed)) == (0, FRAMES)
    computed = live.smoothed
    assert list(map(repr, again.smoothed)) == list(map(repr, computed))
    for key in ("time", "seq_num"):
        np.testing.assert_array_equal(derived["qd_size_smoothed"][key].read(), derived["qd_size"][key].read())
    tables = [table_of_sizes(run).drop(columns="latency_s") for run in (sized, derived)]
    assert tables[0].equals(tables[1])
    assert list(tables[0]["smoothed_mass_mean_nm"]) == [point.mass_mean_nm for point in computed]
    assert tables[0].attrs["units"]["smoothed_growth_nm_per_minute"] == "nm/min"
    # What is stored is read, not computed again.
    other = [{**one, "qdsizer_smoothed_size": 1.25} for one in again.stored_smoothed]
    assert [point.size_nm for point in replace(again, stored_smoothed=tuple(other)).smoothed] == [
        1.25
    ] * FRAMES
    # A stream that is not whole is not read.
    short = replace(again, stored_smoothed=again.stored_smoothed[:-1])
    assert list(map(repr, short.smoothed)) == list(map(repr, computed))


def adding(config: LiveConfig, mode: str | None) -> LiveConfig:
    """Settings that add frames up: three of the simulated ones, of 0.6 million photons, make a sum."""
    if mode is None:
        return config
    sums = AccumulationConfig.model_validate({"mode": mode, "min_counts": 1.5e6, "max_seconds": 1e6})
    return config.model_copy(update={"accumulation": sums})


@pytest.mark.parametrize(
    ("mode", "at", "goes_on_at", "resumed", "frames"),
    [
        (None, 0, 0, 0, FRAMES),
        (None, 3, 3, 3, FRAMES),
        (None, FRAMES, FRAMES, FRAMES, FRAMES),
        ("reset", 5, 3, 1, 3),  # with the first frame of the second sum
        ("rolling", 5, 0, 0, FRAMES - 2),
        ("all", 5, 0, 0, FRAMES - 2),
    ],
)
def test_an_interrupted_replay_goes_on(
    archive: Any,
    sized: Any,
    into: Callable[..., ReplayOutcome],
    config: LiveConfig,
    frame_requests: Any,
    mode: str | None,
    at: int,
    goes_on_at: int,
    resumed: int,
    frames: int,
) -> None:
    settings = adding(config, mode)
    whole = into(sized, LinkedRuns(archive), settings, again=True)
    n_runs = n_runs_of(archive)
    frame_requests.gone_from = at

    def last(what: str, done: int, total: int) -> None:
        if (at, done) == (FRAMES, FRAMES):  # after the last frame, before the end
            raise ArchiveError("the archive is gone")

    with pytest.raises(ArchiveError, match="the archive is gone"):
        into(sized, LinkedRuns(archive), settings, again=True, request_bytes=ONE_FRAME, report=last)
    assert n_runs_of(archive) == n_runs  # nothing half-written
    frame_requests.gone_from = None
    frame_requests.first.clear()
    outcome = into(sized, _Unknown(archive), settings, request_bytes=ONE_FRAME)
    assert frame_requests.first == list(range(goes_on_at, FRAMES))
    assert (outcome.resumed, outcome.frames) == (resumed, frames)
    derived = archive[outcome.written]
    assert sizes(derived).equals(sizes(archive[whole.written]))
    assert len(derived["qd_size"].descriptors) == 1
    stop = derived.metadata["stop"]
    schema_validators[DocumentNames.stop].validate(dict(stop))
    assert (stop["exit_status"], dict(stop["num_events"])) == (
        "success",
        {"qd_size": frames, "qd_size_smoothed": frames},
    )
    assert dict(stop["qdsizer"]) == {"frames": frames, "sized": frames, "refused": {}, "marked": 0}
    assert list(derived["qd_size"]["seq_num"].read()) == list(range(1, frames + 1))


class _Unknown(LinkedRuns):
    """Finds nothing, so that a run may be derived again."""

    def find(self, *_: Any) -> None:
        return None


def test_a_destination_that_fails_gets_what_was_sized_later(
    archive: Any, sized: Any, into: Callable[..., ReplayOutcome], frame_requests: Any
) -> None:
    class Failing(_Unknown):
        def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
            return super().write(run, self._until_stop(documents))

        @staticmethod
        def _until_stop(documents: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
            for name, doc in documents:
                if name == "stop":
                    raise ArchiveError("the disk is full")
                yield name, doc

    n_runs = n_runs_of(archive)
    with pytest.raises(ArchiveError, match="the disk is full"):
        into(sized, Failing(archive))
    assert n_runs_of(archive) == n_runs
    frame_requests.first.clear()
    outcome = into(sized, _Unknown(archive))
    assert frame_requests.first == []  # the frames are not read again
    assert (outcome.resumed, outcome.frames) == (FRAMES, FRAMES)


@pytest.mark.parametrize("mode", [None, "reset"])
def test_workers_give_the_same_numbers_in_the_same_order(
    archive: Any,
    sized: Any,
    into: Callable[..., ReplayOutcome],
    config: LiveConfig,
    sizer: Sizer,
    mode: str | None,
) -> None:
    settings = adding(config, mode)
    alone = into(sized, LinkedRuns(archive), settings, again=True)
    with SizingWorkers(sizer, 2) as workers:
        together = into(sized, _Unknown(archive), settings, workers=workers)
        assert sizes(archive[together.written]).equals(sizes(archive[alone.written]))
        # One that dies costs time, never a frame: the others and this process size what it had in hand.
        os.kill(workers.pids[0], signal.SIGKILL)
        without = into(sized, _Unknown(archive), settings, workers=workers)
        assert sizes(archive[without.written]).equals(sizes(archive[alone.written]))


def test_write_back(
    archive: Any,
    measure: Callable[..., Any],
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
    sized: Any,
    config: LiveConfig,
) -> None:
    run = measure(mythen(), sized=False)
    outcome = into(run, WriteBack())
    run = archive[run.item["id"]]
    assert outcome.written == run.metadata["start"]["uid"]
    assert run.metadata["stop"]["num_events"] == COUNTS
    assert run.metadata["stop"]["qdsizer"]["sized"] == FRAMES
    assert sizes_of_frames(run).equals(sizes_of_frames(sized))  # the same device with the same seed
    assert archived_config(run) == config
    names = [name for name, _ in run.documents()]
    assert (names.count("descriptor"), names.count("event"), names[-1]) == (3, 3 * FRAMES, "stop")
    n_runs = n_runs_of(archive)
    assert into(run, WriteBack()).found
    assert n_runs_of(archive) == n_runs


def test_write_back_refuses_other_sizes_unless_told(
    archive: Any,
    measure: Callable[..., Any],
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
    config: LiveConfig,
) -> None:
    run = measure(mythen())
    other = config.model_copy(update={"file_timeout_s": 8.0})
    before = sizes(run)
    with pytest.raises(ArchiveError, match=r"already holds a stream qd_size, of model pbs .*: --replace"):
        into(run, WriteBack(), other)
    assert sizes(archive[run.item["id"]]).equals(before)
    assert not into(run, WriteBack(replace=True), other).found
    run = archive[run.item["id"]]
    assert archived_config(run) == other
    assert run.metadata["stop"]["num_events"] == COUNTS


@pytest.mark.parametrize("key", ["qdsizer_size", "qdsizer_smoothed_size"])
def test_write_back_that_is_cut_off_leaves_nothing(
    key: str,
    archive: Any,
    measure: Callable[..., Any],
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
) -> None:
    def cut(documents: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        for name, doc in documents:
            if key in doc.get("data", {}) and doc["seq_num"] == 5:
                raise ArchiveError("the archive is gone")
            yield name, doc

    class Cut(WriteBack):
        def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
            return super().write(run, cut(documents))

    run = measure(mythen(), sized=False)
    with pytest.raises(ArchiveError, match="the archive is gone"):
        into(run, Cut(batch_events=3))
    assert set(archive[run.item["id"]]) == {"primary"}
    into(run, WriteBack(batch_events=3))
    assert len(sizes(archive[run.item["id"]])) == FRAMES


def test_compare_with_an_earlier_sizing(
    archive: Any, sized: Any, into: Callable[..., ReplayOutcome], measure: Callable[..., Any]
) -> None:
    comparison = Comparison(sized)
    n_runs = n_runs_of(archive)
    into(sized, comparison)
    found = comparison.differences
    assert (found.frames, found.equal, found.sized_in_both, found.largest_nm) == (FRAMES, FRAMES, FRAMES, 0.0)
    assert (found.only_earlier, found.only_now, found.status_changes) == (0, 0, {})
    assert found.first_difference == ""
    assert n_runs_of(archive) == n_runs
    unsized = measure(det, 2, sized=False)
    with pytest.raises(
        ArchiveError, match=r"holds sizes of run .*, not of .*: give that run, or one derived"
    ):
        into(sized, Comparison(unsized))


@pytest.fixture(scope="module")
def again(sized: Any, config: LiveConfig, sizer: Sizer) -> list[tuple[str, Any]]:
    return list(replay(sized, config, sizer))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({3: {"qdsizer_size": 1.25}}, r"frame 3: qdsizer_size is \d\.\d{6,} earlier, 1\.25 now"),
        (
            {5: {"qdsizer_size": 1.0}, 4: {"qdsizer_mass_mean": 2.5, "qdsizer_warnings": "new"}},
            r"frame 4: qdsizer_mass_mean is \d\.\d{6,} earlier, 2\.5 now \(and 1 more\)",
        ),
        (
            {2: {"qdsizer_status": "bad_frame", "qdsizer_reason": "too dark"}},
            r"frame 2: sized earlier, bad_frame now \(too dark\)",
        ),
        ({6: None, 7: {"qdsizer_size": 1.0}}, "frame 6: in the earlier sizing only"),
        ({7: {"qdsizer_frame_seq_num": 8}}, "frame 7: in the earlier sizing only"),
        (
            {7: {"qdsizer_frame_seq_num": 1}},
            "frame 1, number 2 of its event: in this sizing only",
        ),
    ],
)
def test_the_first_frame_that_differs_is_named(
    changes: dict[int, Any], expected: str, sized: Any, again: list[tuple[str, Any]]
) -> None:
    def changed() -> Iterator[tuple[str, Any]]:
        for name, doc in again:
            if name != "event":
                yield name, doc
            elif (change := changes.get(doc["seq_num"], {})) is not None:
                yield name, {**doc, "data": {**doc["data"], **change}}

    comparison = Comparison(sized)
    comparison.write(sized, changed())
    assert re.fullmatch(expected, comparison.differences.first_difference)
    n_changed = sum(change is None or "qdsizer_frame_seq_num" not in change for change in changes.values())
    assert comparison.differences.equal == FRAMES - n_changed - any(
        change is not None and "qdsizer_frame_seq_num" in change for change in changes.values()
    )


def test_another_model_is_compared_on_purpose_only(sized: Any, config: LiveConfig, tmp_path: Path) -> None:
    paper = config.model_copy(update={"sizing": config.sizing.model_copy(update={"model": "pbs-paper"})})
    with pytest.raises(
        ArchiveError, match=r"was sized with model pbs .*, this is pbs-paper .*: give --model"
    ):
        replay_into(sized, paper, Comparison(sized), tmp_path)
    comparison = Comparison(sized, other_model=True)
    replay_into(sized, paper, comparison, tmp_path)
    assert comparison.differences.frames == FRAMES
    assert comparison.differences.equal == 0


def test_a_table_of_several_runs(sized: Any, into: Callable[..., ReplayOutcome], tmp_path: Path) -> None:
    path = tmp_path / "sizes.csv"
    with TableFile(path) as table:
        into(sized, table)
        into(sized, table)
        assert not path.exists()
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["size"]) for row in rows] == 2 * list(sized["qd_size"]["qdsizer_size"].read())
    assert {row["run"] for row in rows} == {sized.metadata["start"]["uid"]}
    assert {row["latency"] for row in rows} == {""}
    with pytest.raises(ArchiveError), TableFile(path) as table:  # the old one stays
        raise ArchiveError("gone")
    assert len(path.read_text().splitlines()) == 2 * FRAMES + 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["journals", "sizes.csv"]


def test_frames_in_a_column_of_the_table(
    measure: Callable[..., Any],
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
    archive: Any,
    sized: Any,
) -> None:
    run = measure(mythen(), sized=False, max_array_size=-1)
    assert set(run.base["primary"].base) == {"internal"}
    derived = archive[into(run, LinkedRuns(archive), request_bytes=2 * ONE_FRAME).written]
    assert sizes_of_frames(derived).equals(sizes_of_frames(sized))


def test_a_failed_run_gives_the_frames_it_has(
    archive: Any, mythen: Callable[..., SimMythen], into: Callable[..., ReplayOutcome]
) -> None:
    device = mythen()
    trigger, frames = device.trigger, iter(range(3))

    def failing() -> Any:
        if next(frames, None) is None:
            raise OSError("the detector is off")
        return trigger()

    device.trigger = failing
    engine = RunEngine({})
    engine.subscribe(TiledWriter(archive))
    with pytest.raises(OSError, match="the detector is off"):
        engine(count([device], 9))
    run = archive.values().last()
    assert run.metadata["stop"]["exit_status"] == "fail"
    assert into(run, LinkedRuns(archive)).frames == 3


def test_an_empty_run_gives_nothing_and_is_no_error(archive: Any, into: Callable[..., ReplayOutcome]) -> None:
    engine = RunEngine({})
    engine.subscribe(TiledWriter(archive))
    engine(count([], 0))
    n_runs = n_runs_of(archive)
    outcome = into(archive.values().last(), LinkedRuns(archive))
    assert (outcome.frames, outcome.written) == (0, None)
    assert n_runs_of(archive) == n_runs


def test_a_run_without_the_detector(
    measure: Callable[..., Any], into: Callable[..., ReplayOutcome], archive: Any
) -> None:
    run = measure(det, 2, sized=False)
    with pytest.raises(
        ArchiveError, match=r"no frames of this detector: its streams are primary; set data_key"
    ):
        into(run, LinkedRuns(archive))


def test_a_run_with_the_wavelength_elsewhere_says_what_to_set(
    archive: Any, sized: Any, into: Callable[..., ReplayOutcome], config: LiveConfig
) -> None:
    blind = config.model_copy(
        update={"wavelength": config.wavelength.model_copy(update={"configuration_key": "mono_energy"})}
    )
    outcome = into(sized, LinkedRuns(archive), blind)
    assert outcome.statuses == {"bad_frame": FRAMES}
    reasons = set(archive[outcome.written]["qd_size"]["qdsizer_reason"].read())
    (reason,) = reasons
    assert "no wavelength: configuration key mono_energy is missing, found mythen_arm_angle" in reason


def test_a_frame_file_that_was_cut(
    archive: Any,
    files: Path,
    measure: Callable[..., Any],
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
) -> None:
    run = measure(mythen(kind=SimMythenHdf5, directory=files), sized=False)
    newest = max(files.glob("*.h5"), key=lambda path: path.stat().st_mtime)
    with h5py.File(newest, "a") as file:
        names: list[str] = []
        file.visititems(lambda name, one: names.append(name) if isinstance(one, h5py.Dataset) else None)
        (name,) = names
        kept = file[name][:4]
        del file[name]
        file[name] = kept
    outcome = into(run, LinkedRuns(archive))
    assert outcome.statuses == {"bad_frame": FRAMES}  # nobody knows which four are left
    (reason,) = set(archive[outcome.written]["qd_size"]["qdsizer_reason"].read())
    assert re.search("the archive announces 7 rows.*, and its files hold 4", str(reason))


def test_a_run_in_progress_is_followed(
    archive: Any,
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
) -> None:
    documents: list[tuple[str, Any]] = []
    RunEngine({})(count([mythen()], 6), lambda name, doc: documents.append((name, doc)))
    writer = TiledWriter(archive, batch_size=2)
    writer(*documents[0])
    run = archive[documents[0][1]["uid"]]
    assert list(run) == []  # it has no stream yet when the replay begins
    more = threading.Event()

    def measure() -> None:
        for name, doc in documents[1:5]:  # descriptor, three of the six events
            writer(name, doc)
        assert more.wait(60)
        for name, doc in documents[5:]:
            writer(name, doc)

    rest = threading.Thread(target=measure)
    rest.start()
    outcome = into(run, LinkedRuns(archive), report=lambda what, done, total: more.set())
    rest.join()
    assert outcome.frames == 6
    assert archive[outcome.written].metadata["stop"]["exit_status"] == "success"


def test_a_run_that_never_ends_is_given_up(
    archive: Any,
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
) -> None:
    documents: list[tuple[str, Any]] = []
    RunEngine({})(count([mythen()], 3), lambda name, doc: documents.append((name, doc)))
    writer = TiledWriter(archive, batch_size=1)
    for name, doc in documents[:-1]:
        writer(name, doc)
    run = archive[documents[0][1]["uid"]]
    outcome = into(run, LinkedRuns(archive), patience_s=0.2)
    stop = archive[outcome.written].metadata["stop"]
    assert (outcome.frames, stop["exit_status"]) == (3, "abort")
    assert stop["reason"] == "the run has no stop, and nothing new for 0.2 s"
    assert not into(run, LinkedRuns(archive), patience_s=0.2).found
    with pytest.raises(OSError, match="the disk is full"):
        into(run, _Full(archive), patience_s=0.2)
    writer(*documents[-1])  # it went on after all: what was given up is looked at again
    outcome = into(run, LinkedRuns(archive))
    assert (outcome.resumed, outcome.frames) == (3, 3)
    assert archive[outcome.written].metadata["stop"]["exit_status"] == "success"


class _Full(LinkedRuns):
    """Takes nothing."""

    def write(self, *_: Any) -> str:
        raise OSError("the disk is full")


def test_a_run_without_an_end_is_not_added_to(
    archive: Any,
    mythen: Callable[..., SimMythen],
    into: Callable[..., ReplayOutcome],
) -> None:
    documents: list[tuple[str, Any]] = []
    RunEngine({})(count([mythen()], 2), lambda name, doc: documents.append((name, doc)))
    writer = TiledWriter(archive, batch_size=1)
    for name, doc in documents[:-1]:
        writer(name, doc)
    run = archive[documents[0][1]["uid"]]
    with pytest.raises(ArchiveError, match="has no stop document: sizes can be added once it has ended"):
        into(run, WriteBack(), patience_s=0.2)


def test_runs_are_chosen(archive: Any, sized: Any, into: Callable[..., ReplayOutcome]) -> None:
    into(sized, LinkedRuns(archive))  # derived runs are never chosen
    uid = sized.metadata["start"]["uid"]
    began = datetime.fromtimestamp(sized.metadata["start"]["time"])

    def uids(**how: Any) -> list[str]:
        return [run.metadata["start"]["uid"] for run in select_runs(archive, **how)]

    assert uids(scan_id=41) == [uid]
    assert uids(query={"sample": "PbS"}) == [uid]
    moment = timedelta(milliseconds=1)
    assert uids(since=began - moment, until=began + moment) == [uid]
    assert uids(query=dict([parse_query("scan_id=41")])) == [uid]
    # Stored as a number or as text: Tiled compares them as different.
    assert parse_query("sample=41") == ("sample", (41, "41"))
    assert uids(query={"sample": (41, "PbS")}) == uids(query={"sample": ("PbS", "PbS")}) == [uid]
    assert uids(scan_id=999_999) == []
    assert len(uids()) == len(set(uids())) > 1
    with pytest.raises(ArchiveError, match=r"query 'sample': give KEY=VALUE"):
        parse_query("sample")
    with pytest.raises(ArchiveError, match=r"no run 123 among the \d+ of this archive, newest: "):
        find_run(archive, "123")


# Tiled's client leaves its connection open where it is refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_permission(archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILED_API_KEY", "wrong")
    with (
        pytest.raises(ArchiveError, match=r"no permission.*; set TILED_API_KEY"),
        open_archive(str(archive.context.api_uri)),
    ):
        pass
    gc.collect()  # here, where it is expected


def test_the_bar_is_told(archive: Any, sized: Any, into: Callable[..., ReplayOutcome]) -> None:
    told: list[tuple[str, int, int]] = []
    into(sized, _Unknown(archive), again=True, report=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "sizing"][FRAMES - 1] == ("sizing", FRAMES, FRAMES)
    assert told[-1] == ("writing", FRAMES, FRAMES)


def test_memory_does_not_hold_the_run(sized: Any, config: LiveConfig, frame_requests: Any) -> None:
    """However long the run, no more requests are made ahead than may wait."""
    documents = run_documents(sized, config, request_bytes=ONE_FRAME)
    next(doc for name, doc in documents if name == "event")
    time.sleep(1.0)  # enough to ask for all the others
    assert frame_requests.first == [0, 1, 2]  # in use, waiting, on its way
    assert sum(name == "event" for name, _ in documents) == FRAMES - 1
    assert frame_requests.first == list(range(FRAMES))


def test_one_replay_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "one.replay"
    with ReplayJournal(path) as journal:
        journal.record(ReplayStep([("start", {"uid": "a"})]))
        with pytest.raises(ArchiveError, match="another process replays this run with these settings"):
            ReplayJournal(path)
    with ReplayJournal(path) as journal:
        assert journal.frames_done == 1


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        ArchiveError, match=r"cannot write .*: .*; choose a folder with free space with --work"
    ):
        ReplayJournal(tmp_path / "file" / "one.replay")
    with (
        pytest.raises(ConfigurationError, match=r"cannot write .*: .*; give a folder that exists"),
        TableFile(tmp_path / "none" / "sizes.csv"),
    ):
        pass


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_journal_that_was_cut_anywhere_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "one.replay"
    with ReplayJournal(path) as journal:
        for number in range(1, 4):
            journal.record(ReplayStep([("event", {"descriptor": "d", "number": number})]))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with ReplayJournal(path) as journal:
        done = journal.frames_done
        assert done == journal.n_events < 3
        for number in range(done + 1, 4):
            journal.record(ReplayStep([("event", {"descriptor": "d", "number": number})]))
    assert path.read_bytes() == whole
