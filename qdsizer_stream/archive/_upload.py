"""Runs in a spool, and their way into an archive."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

from ..errors import ArchiveError
from ._journal import Damage, read_documents, read_journal
from ._journal_file import UNFINISHED
from ._tally import EventTally, RowCountError, StreamCount, check_rows

__all__ = ["FINISHED", "RAW", "JournalReport", "Receipt", "inspect_journal", "spooled_runs", "upload"]

Writer = Callable[[str, Any], object]

FINISHED, RAW = ".spool", ".raw"
"""Suffixes of journals: of documents on their way to a writer, and of raw documents ahead of the sizer."""

SECOND_WRITER = "; is another writer subscribed too?"
"""Usual cause when an archive rejects a start document: it already has the run (Tiled: `409 Conflict`)."""

INCOMPLETE_KEY = "qdsizer_incomplete"
"""Key of the stop document of a run that was uploaded from a journal with gaps: what is missing."""

ATTEMPTS = 2
"""Times that a run is written when the archive then holds the wrong number of rows."""


@dataclass
class JournalReport:
    """Content of a journal, and what is wrong with it."""

    path: Path
    """The journal."""
    uid: str = ""
    """Identifier of the run; empty where no document names it."""
    has_start: bool = False
    """Whether the start document is there."""
    tally: EventTally = field(default_factory=EventTally)
    """Events by stream."""
    damage: tuple[Damage, ...] = ()
    """Parts that cannot be read."""

    @property
    def problems(self) -> list[str]:
        """Everything that is missing or damaged; empty for a complete journal.

        A journal whose run was interrupted may lack its end: a stop document, and the document that was
        being written.
        """
        interrupted = self.path.name.endswith(UNFINISHED)
        found = [f"{one}" for one in self.damage if not (interrupted and one.at_end)]
        missing = self.tally.missing()
        found += [f"{there} of {number} events in {stream}" for stream, (there, number) in missing.items()]
        if self.uid and not self.has_start:
            found.insert(0, "no start document")
        if self.tally.stop is None and not interrupted:
            found.append("no stop document")
        return found


@dataclass(frozen=True)
class Receipt:
    """A run in the archive, and what was counted there."""

    run: str
    """Identifier of the run."""
    counts: Mapping[str, StreamCount]
    """Events written, equal to the rows in the archive, by stream."""

    def __str__(self) -> str:
        """Rows by stream, such as `20 of 20 in primary`."""
        rows = ", ".join(f"{one.rows} of {one.rows} in {name}" for name, one in self.counts.items())
        return f"run {self.run}: {rows or 'no events'}"


def inspect_journal(journal: str | os.PathLike[str]) -> JournalReport:
    """Read a journal and check that nothing is missing.

    Parameters
    ----------
    journal
        One of `spooled_runs`.

    Returns
    -------
    What it holds and what is wrong with it.
    """
    path = Path(journal)
    report = JournalReport(path)
    damage = []
    for item in read_journal(path):
        if isinstance(item, Damage):
            damage.append(item)
            continue
        name, doc = item
        try:
            if name == "start" and not report.tally.documents:
                report.uid, report.has_start = str(doc["uid"]), True
            report.uid = report.uid or str(doc.get("run_start", ""))
            report.tally.add(name, doc)
        except (KeyError, TypeError, AttributeError) as error:
            damage.append(Damage(0, f"a {name} document is not valid: {error!r}"))
    report.damage = tuple(damage)
    return report


def spooled_runs(directory: str | os.PathLike[str], unfinished: bool = False) -> list[Path]:
    """List the journals in a spool, one per run.

    A run may have two: of raw documents ahead of the sizer, and of raw and derived documents ahead of the
    archive. The second is listed where it is complete, otherwise the first.

    Parameters
    ----------
    directory
        Folder of the spool.
    unfinished
        Whether to list runs without a stop document as well: still measured, or interrupted by a crash.

    Returns
    -------
    Journals, oldest first.

    Raises
    ------
    ArchiveError
        There is no such folder.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ArchiveError(f"there is no spool {folder}: give the folder that the writer spools to")
    endings = ("", UNFINISHED) if unfinished else ("",)
    found = {
        suffix: [path for ending in endings for path in folder.glob(f"*{suffix}{ending}")]
        for suffix in (FINISHED, RAW)
    }
    runs_with_raw = {_run_name(path): path for path in found[RAW]}
    chosen = []
    for path in found[FINISHED]:
        raw = runs_with_raw.get(_run_name(path))
        if raw is None or not (path.name.endswith(UNFINISHED) or inspect_journal(path).problems):
            chosen.append(path)
            runs_with_raw.pop(_run_name(path), None)
    return sorted([*chosen, *runs_with_raw.values()], key=lambda path: path.stat().st_mtime)


def upload(
    journal: str | os.PathLike[str], catalog: Any, writer: Writer, *, incomplete: bool = False
) -> Receipt:
    """Write a spooled run to an archive, once, and delete its journal.

    What a failed writer left of the run in the archive is removed first. The journal is deleted only after
    the rows in the archive have been counted.

    Parameters
    ----------
    journal
        One of `spooled_runs`.
    catalog
        Client of the archive.
    writer
        Writes to it.
    incomplete
        Whether to upload what is left of a run whose journal has gaps; its stop document then lists what is
        missing, under `qdsizer_incomplete`.

    Returns
    -------
    Identifier of the run, and the rows counted in the archive.

    Raises
    ------
    ArchiveError
        The journal does not begin with a start document, has gaps, or is in use by a writer or another
        upload; the archive holds the run as another writer wrote it, or does not accept it. The journal
        stays.
    """
    path = Path(journal)
    with path.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArchiveError(
                f"journal {path} is in use: its run is still measured or written, or another upload reads "
                "it; wait, or end the session that uses it"
            ) from None
        return _upload(path, catalog, writer, incomplete)


def _upload(path: Path, catalog: Any, writer: Writer, incomplete: bool) -> Receipt:
    report = inspect_journal(path)
    if not report.uid:
        raise ArchiveError(
            f"journal {path} names no run: it is empty, damaged or not a journal"
            + "".join(f"; {one}" for one in report.damage[:3])
        )
    problems = report.problems
    if problems and not incomplete:
        raise ArchiveError(
            f"journal {path} of run {report.uid} is incomplete: {'; '.join(problems)}; upload what is left "
            "with --incomplete"
        )
    receipt = Receipt(report.uid, report.tally.counts)
    if not _is_archived(report, catalog):
        for attempt in range(1, ATTEMPTS + 1):
            if report.uid in catalog:
                catalog.delete_contents([report.uid], recursive=True, external_only=False)
            _write(report, writer, problems)
            try:
                check_rows(catalog[report.uid], receipt.counts)
                break
            except RowCountError as error:
                if attempt == ATTEMPTS:
                    raise ArchiveError(f"{error}; its journal {path} stays, upload it again") from error
    path.unlink()
    _remove_siblings(report)
    return receipt


def _is_archived(report: JournalReport, catalog: Any) -> bool:
    """Whether the archive already holds the whole run, every row once."""
    uid = report.uid
    if uid not in catalog or not (there := catalog[uid].metadata.get("stop")):
        return False
    found, expected = there.get("num_events"), (report.tally.stop or {}).get("num_events")
    if found != expected:
        raise ArchiveError(
            f"run {uid} is in the archive with events {found}, its journal {report.path} has {expected}: "
            "another writer wrote it, and its sizes are in the journal alone; subscribe one writer "
            "only, and get the sizes into the archive with replay"
        )
    try:
        check_rows(catalog[uid], report.tally.counts)
    except RowCountError:
        if report.problems:
            raise  # what is in the archive may be more than what the journal has left
        return False
    return True


def _write(report: JournalReport, writer: Writer, problems: list[str]) -> None:
    name = "start"
    try:
        for name, doc in _valid_run(read_documents(report.path), report, problems):
            writer(name, doc)
    except Exception as error:
        raise ArchiveError(
            f"the archive did not accept the {name} document of run {report.uid}: {error}; its journal "
            f"{report.path} stays, upload it again" + (SECOND_WRITER if name == "start" else "")
        ) from error


def _valid_run(
    documents: Iterator[tuple[str, Any]], report: JournalReport, problems: list[str]
) -> Iterator[tuple[str, Any]]:
    """Documents as a valid run: with a start and a stop, and without events whose descriptor is damaged."""
    marks = {INCOMPLETE_KEY: problems} if problems else {}
    described: set[str] = set()
    name = "" if report.has_start else "start"
    if name:
        yield name, {"uid": report.uid, "time": time(), **marks}
    for name, doc in documents:
        if name in ("descriptor", "stream_resource"):
            described.add(doc["uid"])
        elif not {doc.get(key) for key in ("descriptor", "stream_resource")} <= described | {None}:
            continue
        yield name, {**doc, **marks} if name == "stop" else doc
    if name != "stop":
        reason = "the process that measured the run ended before it"
        stop = {
            "uid": str(uuid4()),
            "run_start": report.uid,
            "time": time(),
            "exit_status": "abort",
            "reason": reason,
        }
        yield "stop", {**stop, **marks}


def _remove_siblings(report: JournalReport) -> None:
    """Delete other journals of a run that hold nothing that was not uploaded."""
    uploaded = report.tally.counts
    for path in report.path.parent.glob(f"{report.uid}*"):
        if path == report.path or _run_name(path) != report.uid:
            continue
        with path.open("rb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            counts = inspect_journal(path).tally.counts
            raw = {stream: one for stream, one in counts.items() if stream in uploaded}
            if all(one.distinct <= uploaded[stream].distinct for stream, one in raw.items()):
                path.unlink()


def _run_name(path: Path) -> str:
    """Identifier of the run in the name of a journal: `UID`, or `UID~2` of a second one."""
    return path.name.split(".", 1)[0].split("~", 1)[0]
