"""What a writer could not write is not lost, and comes into the archive once."""

import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qdsizer_stream.archive import JournalWriter, SpooledWriter, read_documents, spooled_runs, upload
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def documents(mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer) -> Documents:
    """Raw and derived documents of a run of five frames."""
    out: Documents = []
    live = LiveSizer(config, sizer)
    live.subscribe(lambda name, doc: out.append((name, doc)))
    engine = RunEngine({})
    engine.subscribe(live)
    engine(count([mythen()], 5))
    assert live.close(60)
    return out


def again(documents: Documents, run: str) -> Documents:
    """Make the same run under another name."""
    named = {"uid": "uid", "run_start": "run_start", "descriptor": "descriptor"}
    return [(name, {**doc, **{f: f"{run}-{doc[f]}" for f in named if f in doc}}) for name, doc in documents]


def uid_of(documents: Documents) -> str:
    return str(documents[0][1]["uid"])


def assert_equal(found: Documents, expected: Documents) -> None:
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_equal(one, other)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | hnp.arrays(
        st.one_of(hnp.integer_dtypes(), hnp.floating_dtypes(sizes=(32, 64)), hnp.boolean_dtypes()),
        hnp.array_shapes(min_dims=0, min_side=0),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # a slow disk is no wrong journal
@given(docs=st.lists(st.dictionaries(st.text(), plain, max_size=4), max_size=3))
def test_journals_give_back_what_they_were_given(
    docs: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    with path.open("wb", buffering=0) as file:
        journal = JournalWriter(file)
        for doc in docs:
            journal.append("event", doc)
    found = list(read_documents(path))
    np.testing.assert_equal([doc for _, doc in found], docs)


def test_a_journal_cut_short_gives_what_is_whole(tmp_path: Path, documents: Documents) -> None:
    path = tmp_path / "j"
    written(documents, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert_equal(list(read_documents(path)), documents[:-1])


def test_content_is_not_taken_for_an_array(tmp_path: Path) -> None:
    doc = {"__ndarray__": "<f8", "shape": [1], "bytes": b"12345678", "nested": {"__npscalar__": 1}}
    written([("start", doc)], tmp_path / "j")
    assert list(read_documents(tmp_path / "j")) == [("start", doc)]


def test_a_writer_that_works_leaves_no_journal(tmp_path: Path, documents: Documents) -> None:
    out: Documents = []
    writer = SpooledWriter(lambda name, doc: out.append((name, doc)), tmp_path)
    for name, doc in documents:
        writer(name, doc)
    assert writer.close(10)
    assert_equal(out, documents)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["start", "descriptor", "event", "stop"])
def test_a_run_whose_writer_fails_lies_in_the_spool_whole(
    tmp_path: Path, documents: Documents, kind: str
) -> None:
    offered: list[str] = []

    def failing(name: str, doc: Any) -> None:
        offered.append(name)
        if name == kind:
            raise ConnectionError("the archive is gone")

    writer = SpooledWriter(failing, tmp_path)
    for name, doc in documents:
        writer(name, doc)
    assert writer.close(10)
    assert offered.count(kind) == 1  # after the first failure the run is not offered any more
    assert writer.spooled == 1
    (journal,) = spooled_runs(tmp_path)
    assert_equal(list(read_documents(journal)), documents)


def test_a_writer_that_hangs_holds_nobody_up(tmp_path: Path, documents: Documents) -> None:
    go, hung = threading.Event(), threading.Event()
    offered: Documents = []

    def hanging(name: str, doc: Any) -> None:
        offered.append((name, doc))
        hung.set()
        assert go.wait(60)

    writer = SpooledWriter(hanging, tmp_path, queue_documents=3)
    other = again(documents, "other")
    writer(*documents[0])
    assert hung.wait(10)
    for run in (documents[1:], other):
        for name, doc in run:
            writer(name, doc)  # returns although the writer hangs
    assert not writer.wait(0.05)
    journals = {path.stem: list(read_documents(path)) for path in spooled_runs(tmp_path)}
    assert journals.keys() == {uid_of(documents), uid_of(other)}
    assert_equal(journals[uid_of(documents)], documents)
    assert_equal(journals[uid_of(other)], other)
    go.set()
    assert writer.wait(10)
    # It recovers with the next run, and the spooled ones stay where they are.
    third = again(documents, "third")
    writer_documents = len(offered)
    for name, doc in third[:3]:
        writer(name, doc)
    assert writer.wait(10)
    for name, doc in third[3:]:
        writer(name, doc)
        assert writer.wait(10)
    assert writer.close(10)
    assert_equal(offered[writer_documents:], third)
    assert len(spooled_runs(tmp_path)) == 2


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets files of this process grow no further, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_does_not_stop_the_writer(
    tmp_path: Path, documents: Documents, full_disk: Callable[[int], None]
) -> None:
    out: Documents = []
    writer = SpooledWriter(lambda name, doc: out.append((name, doc)), tmp_path)
    full_disk(300_000)  # two frames of 123 kB
    for name, doc in documents:
        writer(name, doc)
    assert writer.close(10)
    assert_equal(out, documents)
    assert 0 < writer.unrecorded < len(documents)


def test_a_full_disk_leaves_a_journal_that_can_be_read(
    tmp_path: Path, documents: Documents, full_disk: Callable[[int], None]
) -> None:
    path = tmp_path / "j"
    full_disk(300_000)
    kept = []
    with path.open("wb", buffering=0) as file:
        journal = JournalWriter(file)
        for name, doc in documents:
            try:
                journal.append(name, doc)
                kept.append((name, doc))
            except OSError:
                continue
    assert len(kept) < len(documents)
    assert kept[-1][0] == "stop"  # small ones still fit after a large one did not
    assert_equal(list(read_documents(path)), kept)


def test_what_was_written_after_all_is_not_written_twice(
    tmp_path: Path, archive: Any, documents: Documents
) -> None:
    run = again(documents, "twice")
    writer = TiledWriter(archive)
    for name, doc in run:
        writer(name, doc)
    path = written(run, tmp_path / f"{uid_of(run)}.spool")
    upload(path, archive, TiledWriter(archive))
    assert not path.exists()
    assert len(archive[uid_of(run)]["primary"].base["internal"].read()) == 5


def test_a_writer_too_many_is_explained_and_loses_nothing(
    tmp_path: Path, archive: Any, documents: Documents, caplog: pytest.LogCaptureFixture
) -> None:
    run = again(documents, "both")
    derived = {"qd_size", *(doc["uid"] for name, doc in run if "qdsizer_size" in doc.get("data", {}))}
    raw = [(name, doc) for name, doc in run if not derived & {doc.get("name"), doc["uid"]}]
    raw[-1] = ("stop", {**run[-1][1], "num_events": {"primary": 5}})
    other, spooled = TiledWriter(archive), SpooledWriter(TiledWriter(archive), tmp_path)
    for name, doc in raw:
        other(name, doc)
    for name, doc in run:
        spooled(name, doc)
    assert spooled.close(60)
    assert "is another writer subscribed too?" in caplog.text
    (journal,) = spooled_runs(tmp_path)
    with pytest.raises(ArchiveError, match="another writer wrote it, and its sizes are in the journal alone"):
        upload(journal, archive, TiledWriter(archive))
    assert_equal(list(read_documents(journal)), run)


def test_a_run_that_a_crash_cut_off_gets_an_end(tmp_path: Path, archive: Any, documents: Documents) -> None:
    run = again(documents, "cut")
    path = tmp_path / f"{uid_of(run)}.spool.part"
    written(run[:6], path)
    assert not spooled_runs(tmp_path)
    (found,) = spooled_runs(tmp_path, unfinished=True)
    upload(found, archive, TiledWriter(archive))
    stop = archive[uid_of(run)].metadata["stop"]
    assert (stop["exit_status"], stop["reason"]) == (
        "abort",
        "the process that measured the run ended before it",
    )


def written(run: Documents, path: Path) -> Path:
    with path.open("wb", buffering=0) as file:
        journal = JournalWriter(file)
        for name, doc in run:
            journal.append(name, doc)
    return path


def events_in(archive: Any, run: Documents) -> dict[str, int]:
    there = archive[uid_of(run)]
    return {stream: len(there[stream].base["internal"].read()) for stream in there}


@pytest.mark.parametrize("kind", ["start", "descriptor", "event", "stop"])
def test_an_upload_that_is_interrupted_may_be_made_again(
    kind: str, tmp_path: Path, archive: Any, documents: Documents
) -> None:
    run = again(documents, f"interrupted at {kind}")
    journal = written(run, tmp_path / f"{uid_of(run)}.spool")
    real = TiledWriter(archive, batch_size=1)

    def interrupted(name: str, doc: Any) -> None:
        if name == kind:
            raise ConnectionError("the cable was pulled")
        real(name, doc)

    with pytest.raises(
        ArchiveError, match=f"did not accept the {kind} document of run .*: the cable was pulled"
    ):
        upload(journal, archive, interrupted)
    assert_equal(list(read_documents(journal)), run)
    upload(journal, archive, TiledWriter(archive))
    assert events_in(archive, run) == {"primary": 5, "qd_size": 5}
    assert archive[uid_of(run)].metadata["stop"]["num_events"] == {"primary": 5, "qd_size": 5}
    assert not journal.exists()


def test_uploading_a_copy_once_more_doubles_nothing(
    tmp_path: Path, archive: Any, documents: Documents
) -> None:
    run = again(documents, "again")
    for name in ("one.spool", "two.spool"):
        upload(written(run, tmp_path / name), archive, TiledWriter(archive))
    assert events_in(archive, run) == {"primary": 5, "qd_size": 5}
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_still_measured_is_not_uploaded(
    tmp_path: Path, archive: Any, documents: Documents
) -> None:
    run = again(documents, "measured")
    writer = SpooledWriter(lambda name, doc: None, tmp_path)
    for name, doc in run[:5]:
        writer(name, doc)
    (journal,) = spooled_runs(tmp_path, unfinished=True)
    with pytest.raises(
        ArchiveError, match="its run is still measured or written, or another upload reads it"
    ):
        upload(journal, archive, TiledWriter(archive))
    for name, doc in run[5:]:
        writer(name, doc)
    assert writer.close(10)
    assert not list(tmp_path.iterdir())


def test_a_run_whose_request_hangs_is_not_uploaded_meanwhile(
    tmp_path: Path, archive: Any, documents: Documents
) -> None:
    """The request may yet be answered, and its event would then be in the archive twice."""
    go, hung = threading.Event(), threading.Event()

    def hanging(name: str, doc: Any) -> None:
        hung.set()
        assert go.wait(60)

    run = again(documents, "hanging")
    writer = SpooledWriter(hanging, tmp_path, queue_documents=3)
    writer(*run[0])
    assert hung.wait(10)
    for name, doc in run[1:]:
        writer(name, doc)
    (journal,) = spooled_runs(tmp_path)
    with pytest.raises(ArchiveError, match="is in use"):
        upload(journal, archive, TiledWriter(archive))
    go.set()
    assert writer.close(10)
    upload(journal, archive, TiledWriter(archive))
    assert events_in(archive, run) == {"primary": 5, "qd_size": 5}


def test_what_is_no_spool(tmp_path: Path, archive: Any) -> None:
    with pytest.raises(ArchiveError, match="there is no spool"):
        spooled_runs(tmp_path / "nowhere")
    (tmp_path / "x.spool").write_bytes(b"")
    with pytest.raises(ArchiveError, match="names no run: it is empty, damaged or not a journal"):
        upload(tmp_path / "x.spool", archive, print)
