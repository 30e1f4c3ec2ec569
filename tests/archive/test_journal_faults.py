"""Faults of journals, disks, writers and processes: no document is lost, no gap goes unnoticed."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pyarrow
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import det

from qdsizer_stream.archive import (
    Damage,
    JournalWriter,
    RawJournal,
    SpooledWriter,
    inspect_journal,
    read_documents,
    read_journal,
    spooled_runs,
    upload,
)
from qdsizer_stream.errors import ArchiveError

Documents = list[tuple[str, Any]]
N_EVENTS = 20


@pytest.fixture
def documents() -> Documents:
    """A run of twenty events, with new identifiers."""
    out: Documents = []
    engine = RunEngine({})
    engine.subscribe(lambda name, doc: out.append((name, json.loads(json.dumps(doc)))))  # lists, no tuples
    engine(count([det], N_EVENTS))
    return out


def uid_of(documents: Documents) -> str:
    return str(documents[0][1]["uid"])


def written(documents: Documents, path: Path) -> Path:
    with path.open("wb", buffering=0) as file:
        journal = JournalWriter(file)
        for name, doc in documents:
            journal.append(name, doc)
    return path


def in_archive(archive: Any, uid: str) -> list[int]:
    return list(archive[uid]["primary"].base["internal"].read()["seq_num"])


def test_a_flipped_bit_costs_one_document_and_is_named(documents: Documents, tmp_path: Path) -> None:
    path = written(documents, tmp_path / f"{uid_of(documents)}.spool")
    whole = path.read_bytes()
    positions = random.Random(1).sample(range(len(whole)), 60)
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        found = list(read_journal(path))
        good = [item for item in found if not isinstance(item, Damage)]
        if position < 8:  # of the first bytes of the file, which no document needs
            assert good == documents
            continue
        assert len(good) == len(documents) - 1, position
        assert all(item in documents for item in good)
        assert inspect_journal(path).problems, position


@pytest.mark.parametrize("n_bytes", [1, 2, 2**20 - 2, 2**20 - 1, 2**20, 2**20 + 1])
def test_bytes_between_two_documents_cost_neither(n_bytes: int, documents: Documents, tmp_path: Path) -> None:
    """The search for the next document reads 1 MiB at a time: its mark may begin one, or lie across two."""
    path = written(documents[:4], tmp_path / f"{uid_of(documents)}.spool")
    content = path.read_bytes()
    second = [at for at in range(len(content)) if content.startswith(b"\xc1qdR", at)][1]
    path.write_bytes(content[:second] + bytes(n_bytes) + content[second:])
    found = list(read_journal(path))
    assert [item for item in found if not isinstance(item, Damage)] == documents[:4]
    (damage,) = (item for item in found if isinstance(item, Damage))
    assert (damage.offset, damage.what, damage.at_end) == (
        second,
        f"{n_bytes} bytes are not readable",
        False,
    )


@pytest.mark.parametrize("n_bytes", [1, 4, 23])
def test_a_journal_that_ends_within_a_header_lacks_that_document_alone(
    n_bytes: int, documents: Documents, tmp_path: Path
) -> None:
    path = written(documents[:4], tmp_path / f"{uid_of(documents)}.spool")
    content = path.read_bytes()
    last = [at for at in range(len(content)) if content.startswith(b"\xc1qdR", at)][-1]
    path.write_bytes(content[: last + n_bytes])
    *good, damage = read_journal(path)
    assert good == documents[:3]
    assert damage == Damage(last, f"{n_bytes} bytes are not readable", at_end=True)


@pytest.mark.parametrize("missing", [1, 3, 40, 60])
def test_a_journal_that_ends_within_a_document_lacks_that_one_alone(
    missing: int, documents: Documents, tmp_path: Path
) -> None:
    """Of a process that was killed: what the end lacks may still have been on its way."""
    path = written(documents[:4], tmp_path / f"{uid_of(documents)}.spool")
    path.write_bytes(path.read_bytes()[:-missing])
    *good, last = read_journal(path)
    assert good == documents[:3]
    assert isinstance(last, Damage)
    assert last.at_end
    assert "the last document is cut off" in last.what


@pytest.mark.parametrize("fails_at", ["", "event"])
def test_a_run_is_safe_once_it_is_written_or_lies_in_the_spool_whole(
    fails_at: str, documents: Documents, tmp_path: Path
) -> None:
    safe: list[str] = []

    def write(name: str, doc: Any) -> None:
        assert not safe
        if name == fails_at:
            raise OSError("the archive is gone")

    writer = SpooledWriter(write, tmp_path, on_safe=safe.append)
    for name, doc in documents:
        writer(name, doc)
    assert writer.close(10)
    assert safe == [uid_of(documents)]
    assert len(spooled_runs(tmp_path)) == bool(fails_at)


@pytest.mark.slow
def test_a_damaged_journal_is_uploaded_only_on_request(
    documents: Documents, tmp_path: Path, archive: Any
) -> None:
    uid = uid_of(documents)
    path = written(documents, tmp_path / f"{uid}.spool")
    content = bytearray(path.read_bytes())
    offsets = [at for at in range(len(content)) if content.startswith(b"\xc1qdR", at)]
    content[offsets[5] + 40] ^= 0x10  # in the fourth event
    path.write_bytes(content)
    with pytest.raises(
        ArchiveError,
        match=r"is incomplete: byte \d+: document 5 has a wrong checksum; 19 of 20 events in primary; "
        "upload what is left with --incomplete",
    ):
        upload(path, archive, TiledWriter(archive))
    assert path.exists()
    assert uid not in archive
    receipt = upload(path, archive, TiledWriter(archive), incomplete=True)
    assert f"{receipt}" == f"run {uid}: 19 of 19 in primary"
    assert in_archive(archive, uid) == [1, 2, 3, *range(5, 21)]
    missing = archive[uid].metadata["stop"]["qdsizer_incomplete"]
    assert missing[1] == "19 of 20 events in primary"
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("index", "left"), [(0, 20), (1, 0)])
def test_without_its_start_or_descriptor_the_rest_of_a_run_is_uploaded(
    index: int, left: int, documents: Documents, tmp_path: Path, archive: Any
) -> None:
    uid = uid_of(documents)
    path = written(documents, tmp_path / f"{uid}.spool")
    content = bytearray(path.read_bytes())
    offsets = [at for at in range(len(content)) if content.startswith(b"\xc1qdR", at)]
    content[offsets[index] + 40] ^= 1
    path.write_bytes(content)
    upload(path, archive, TiledWriter(archive), incomplete=True)
    run = archive[uid]
    assert run.metadata["stop"]["num_events"] == {"primary": 20}
    assert run.metadata["stop"]["qdsizer_incomplete"]
    assert (len(in_archive(archive, uid)) if left else 0) == left


@pytest.mark.slow
@pytest.mark.parametrize("old_format", [False, True])
def test_a_tail_of_zeros_is_skipped(
    old_format: bool, documents: Documents, tmp_path: Path, archive: Any
) -> None:
    uid = uid_of(documents)
    path = tmp_path / f"{uid}.spool"
    if old_format:
        path.write_bytes(b"".join(msgpack.packb([name, doc]) for name, doc in documents))
    else:
        written(documents, path)
    path.write_bytes(path.read_bytes() + bytes(4096))
    *good, damage = read_journal(path)
    assert [tuple(item) for item in good] == documents
    assert isinstance(damage, Damage)
    assert damage.what.startswith("4096 bytes are not ")
    with pytest.raises(ArchiveError, match="4096 bytes are not"):
        upload(path, archive, TiledWriter(archive))
    upload(path, archive, TiledWriter(archive), incomplete=True)
    assert in_archive(archive, uid) == list(range(1, 21))


@pytest.mark.slow
def test_journals_of_the_former_format_are_still_uploaded(
    documents: Documents, tmp_path: Path, archive: Any
) -> None:
    uid = uid_of(documents)
    path = tmp_path / f"{uid}.spool"
    path.write_bytes(b"".join(msgpack.packb([name, doc]) for name, doc in documents))
    assert f"{upload(path, archive, TiledWriter(archive))}" == f"run {uid}: 20 of 20 in primary"
    assert not path.exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b"not a journal\n" * 9, bytes(range(256)), b"\xc1qdJRN2\n"]
)
def test_files_that_are_not_journals_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.spool"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=rf"journal {path} names no run: it is empty, damaged or not"):
        upload(path, {}, print)
    assert path.read_bytes() == content


@pytest.mark.slow
def test_a_document_that_was_not_written_is_a_gap(documents: Documents, tmp_path: Path, archive: Any) -> None:
    def refuse(name: str, doc: Any) -> None:
        raise ConnectionError("the archive is away")

    writer = SpooledWriter(refuse, tmp_path)
    for index, (name, doc) in enumerate(documents):
        if index == 7:  # as on a disk that is full for a moment
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
            writer(name, doc)
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        else:
            writer(name, doc)
    assert writer.close(10)
    assert writer.unrecorded == 1
    (journal,) = spooled_runs(tmp_path)
    assert inspect_journal(journal).problems[0].endswith("1 documents were not written")
    with pytest.raises(ArchiveError, match="19 of 20 events in primary"):
        upload(journal, archive, TiledWriter(archive))


class Unknown:
    def __str__(self) -> str:
        return "no plain value"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (datetime(2026, 11, 28, 9, 0), "2026-11-28T09:00:00"),
        (Path("/data/run 1"), "/data/run 1"),
        (2**70, "1180591620717411303424"),
        (1 + 2j, "(1+2j)"),
        (Unknown(), "no plain value"),
        ("\ud800 cut", "\ud800 cut"),
        ({7: "seven"}, {7: "seven"}),
        (np.array([Unknown(), None]), ["no plain value", None]),
    ],
    ids=[
        "datetime",
        "path",
        "large integer",
        "complex",
        "object",
        "half a surrogate",
        "integer key",
        "objects",
    ],
)
def test_values_that_messagepack_cannot_hold_are_kept_readable(value: Any, kept: Any, tmp_path: Path) -> None:
    start = {"uid": "u", "time": 0.0, "value": value, "nested": [value]}
    path = written([("start", start)], tmp_path / "j")
    assert list(read_journal(path)) == [("start", {**start, "value": kept, "nested": [kept]})]


def test_a_document_that_contains_itself_is_kept_as_text(tmp_path: Path) -> None:
    doc: dict[str, Any] = {"uid": "u"}
    doc["me"] = doc
    (damage,) = read_journal(written([("start", doc)], tmp_path / "j"))
    assert "a start document could be kept only as text: {'uid': 'u', 'me': {...}}" in f"{damage}"


def test_two_writers_share_a_folder_without_truncating(documents: Documents, tmp_path: Path) -> None:
    def refuse(name: str, doc: Any) -> None:
        raise ConnectionError("the archive is away")

    one, other = SpooledWriter(refuse, tmp_path), SpooledWriter(refuse, tmp_path)
    for name, doc in documents:
        begin = time.monotonic()
        one(name, doc)
        other(name, doc)
        assert time.monotonic() - begin < 1
    assert one.close(10)
    assert other.close(10)
    journals = spooled_runs(tmp_path)
    assert {path.name for path in journals} == {f"{uid_of(documents)}.spool", f"{uid_of(documents)}~2.spool"}
    for path in journals:
        assert list(read_documents(path)) == documents


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_writer_that_exits_ends_neither_thread_nor_run(
    error: BaseException, documents: Documents, tmp_path: Path
) -> None:
    calls: list[str] = []

    def exiting(name: str, doc: Any) -> None:
        calls.append(name)
        if name == "descriptor" and calls.count("descriptor") == 1:
            raise error

    writer = SpooledWriter(exiting, tmp_path)
    for name, doc in documents:
        writer(name, doc)
    assert writer.wait(10)
    (journal,) = spooled_runs(tmp_path)
    assert list(read_documents(journal)) == documents
    for name, doc in documents:  # the next run of the same name goes through
        writer(name, doc)
    assert writer.close(10)
    assert calls.count("stop") == 1


@pytest.mark.slow
def test_runs_without_a_stop_do_not_use_up_the_handles(documents: Documents, tmp_path: Path) -> None:
    go = threading.Event()
    writer, raw = SpooledWriter(lambda name, doc: go.wait(60), tmp_path), RawJournal(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1100):
        for callback in (raw, writer):
            callback("start", {"uid": f"run {number}", "time": 0.0})
    assert len(os.listdir("/proc/self/fd")) - before <= 2 * 64 + 8  # and what the process opens itself
    go.set()
    assert writer.close(60)
    raw.close()
    names = {path.name.split(".")[0] for path in spooled_runs(tmp_path, unfinished=True)}
    assert names == {f"run {number}" for number in range(1100)}


@pytest.mark.slow
def test_the_queue_is_bounded_in_bytes(tmp_path: Path) -> None:
    go, passed_on = threading.Event(), []  # type: ignore[var-annotated]

    def waits(name: str, doc: Any) -> None:
        go.wait(60)
        passed_on.append((name, doc))

    writer = SpooledWriter(waits, tmp_path, queue_bytes=10_000_000)
    writer("start", {"uid": "large", "time": 0.0})
    writer("descriptor", {"uid": "d", "run_start": "large", "name": "primary"})
    frames = np.zeros(250_000, np.uint32)  # 1 MB
    for number in range(1, 40):
        writer("event", {"uid": f"{number}", "descriptor": "d", "seq_num": number, "data": {"image": frames}})
    assert writer.spooled == 1
    go.set()
    assert writer.close(30)
    kept = [doc["data"]["image"].nbytes for name, doc in passed_on if name == "event"]
    assert sum(kept) < 10_000_000
    assert len(list(read_documents(next(iter(spooled_runs(tmp_path, unfinished=True)))))) == 41


def test_a_forked_child_neither_writes_nor_waits(documents: Documents, tmp_path: Path) -> None:
    go, out = threading.Event(), []  # type: ignore[var-annotated]

    def slow(name: str, doc: Any) -> None:
        go.wait(60)
        out.append((name, doc))

    writer = SpooledWriter(slow, tmp_path)
    for name, doc in documents[:5]:
        writer(name, doc)
    child = os.fork()
    if child == 0:
        os._exit(0 if writer.close(0.1) else 1)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended == (child, 0)
    go.set()
    for name, doc in documents[5:]:
        writer(name, doc)
    assert writer.close(10)
    assert out == documents
    assert not list(tmp_path.iterdir())


KILLED = """
import signal, sys, time
from pathlib import Path
from bluesky import RunEngine
from bluesky.plans import count
from ophyd.sim import det
from qdsizer_stream.archive import RawJournal

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored
journal = RawJournal(Path(sys.argv[1]))
seen = open(sys.argv[2], "w", buffering=1)
engine = RunEngine({})
engine.subscribe(journal)
engine.subscribe(lambda name, doc: print(doc["uid"], file=seen, flush=True))
print("ready", flush=True)
engine(count([det], 100_000))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_every_raw_document_survives_a_kill(how: signal.Signals, tmp_path: Path) -> None:
    rng = random.Random(int(how))
    for moment in range(2):
        folder, seen = tmp_path / f"{moment}", tmp_path / f"seen{moment}"
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder), str(seen)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2 + rng.random())
        process.send_signal(how)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()
        (journal,) = spooled_runs(folder, unfinished=True)
        kept = [doc["uid"] for _, doc in read_documents(journal)]
        returned = seen.read_text().split("\n")[:-1]
        assert len(returned) > 3
        assert kept[: len(returned)] == returned
        assert len(kept) - len(returned) <= 1
        assert not inspect_journal(journal).problems


@pytest.mark.slow
def test_a_raw_journal_is_uploaded_where_the_spool_has_less(
    documents: Documents, tmp_path: Path, archive: Any
) -> None:
    """As after a kill: fifty raw documents ahead of a sizer that hung at the first."""
    uid = uid_of(documents)
    written(documents[:3], tmp_path / f"{uid}.spool.part")
    raw = written(documents[:15], tmp_path / f"{uid}.raw.part")
    assert spooled_runs(tmp_path) == []
    assert spooled_runs(tmp_path, unfinished=True) == [raw]
    receipt = upload(raw, archive, TiledWriter(archive))
    assert receipt.counts["primary"].rows == 13
    assert in_archive(archive, uid) == list(range(1, 14))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_raw_journal_is_released_once_the_run_is_in_the_archive(
    documents: Documents, tmp_path: Path, archive: Any
) -> None:
    raw = RawJournal(tmp_path)
    writer = SpooledWriter(TiledWriter(archive), tmp_path, on_safe=raw.release)
    for name, doc in documents:
        raw(name, doc)
        writer(name, doc)
    assert writer.close(60)
    raw.close()
    assert in_archive(archive, uid_of(documents)) == list(range(1, 21))
    assert not list(tmp_path.iterdir())


def test_a_raw_journal_never_raises(tmp_path: Path, documents: Documents) -> None:
    raw = RawJournal(tmp_path / "spool")
    raw("event", {})  # no descriptor
    (tmp_path / "spool").rmdir()
    for name, doc in documents:
        raw(name, doc)
    assert raw.unrecorded == len(documents) + 1
    raw.close()


@pytest.mark.slow
def test_a_row_that_the_archive_has_twice_is_found_and_repaired(
    documents: Documents, tmp_path: Path, archive: Any
) -> None:
    """As where an answer is lost and a proxy repeats the request that appends rows."""
    uid = uid_of(documents)
    doubling = _Doubling(archive)
    writer = SpooledWriter(doubling, tmp_path, catalog=archive)
    for name, doc in documents:
        writer(name, doc)
    assert writer.close(60)
    assert len(in_archive(archive, uid)) == 21
    assert writer.spooled == 1
    (journal,) = spooled_runs(tmp_path)
    with pytest.raises(
        ArchiveError, match=r"21 rows \(20 distinct\) of 20 events in primary.*upload it again"
    ):
        upload(journal, archive, _Doubling(archive))
    assert f"{upload(journal, archive, TiledWriter(archive))}" == f"run {uid}: 20 of 20 in primary"
    assert in_archive(archive, uid) == list(range(1, 21))


class _Doubling:
    """A real writer; the row of the last event is appended once more before the stop."""

    def __init__(self, archive: Any) -> None:
        self._archive, self._writer = archive, TiledWriter(archive, batch_size=1)
        self._uid = ""

    def __call__(self, name: str, doc: Any) -> None:
        self._uid = doc["uid"] if name == "start" else self._uid
        if name == "stop":
            table = self._archive[self._uid]["primary"].base["internal"]
            last = table.read().tail(1)
            table.append_partition(0, pyarrow.Table.from_pandas(last, preserve_index=False))
        self._writer(name, doc)
