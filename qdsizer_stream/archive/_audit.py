"""Audit of an archive: runs whose rows are doubled or missing, and derived runs without their original."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ArchiveError
from ._connect import plain_errors
from ._select import in_tables, plain_catalog
from ._tally import StreamCount, check_rows, stored_rows

__all__ = ["AuditFinding", "audit"]


@dataclass(frozen=True)
class AuditFinding:
    """One fault of one run."""

    run: str
    """Identifier of the run."""
    derived: bool
    """Whether it is a run of sizes, which replay can make again."""
    fault: str
    """`doubled`, `short`, `unfinished`, `orphaned` or `unreadable`."""
    what: str
    """What was found, with numbers."""
    mended: str = ""
    """What was done about it; empty where nothing was."""


def audit(catalog: Any, mend: bool = False, backup: str | os.PathLike[str] = ".") -> Iterator[AuditFinding]:
    """Compare the rows of every run in an archive with its stop document.

    Parameters
    ----------
    catalog
        Client of a Tiled archive; runs in MongoDB are left out.
    mend
        Whether to remove doubled rows, and to delete derived runs that are short or unfinished: replay makes
        them again. Measured runs that lack events are only reported.
    backup
        Folder for a copy of each table while its doubled rows are removed.

    Yields
    ------
    Faults; none for a run in order. A run that is measured at the moment is `unfinished`.

    Raises
    ------
    ArchiveError
        The archive cannot be listed.
    """
    catalog = plain_catalog(catalog)
    with plain_errors("list of runs"):
        uids = list(catalog)
    known = set(uids)
    for uid in uids:
        try:
            with plain_errors(f"run {uid}"):
                run = catalog[uid]
                if "start" not in run.metadata or not in_tables(run):
                    continue
                yield from _audited(catalog, run, known, mend, Path(backup))
        except Exception as error:  # one run that cannot be read must not hide the others
            yield AuditFinding(uid, False, "unreadable", f"{error}")


def _audited(catalog: Any, run: Any, known: set[str], mend: bool, backup: Path) -> Iterator[AuditFinding]:
    start, stop = run.metadata["start"], run.metadata.get("stop")
    uid, original = str(start["uid"]), start.get("original_run_uid")
    derived = original is not None
    if derived and original not in known:
        yield AuditFinding(uid, True, "orphaned", f"its original run {original} is not in this archive")
    announced = (stop or {}).get("num_events") or {}
    stored = stored_rows(run)
    incomplete: list[tuple[str, str]] = [] if stop else [("unfinished", "it has no stop document")]
    for stream, count in stored.items():
        repeated = _repeated_rows(run[stream])
        if repeated:
            what = f"{repeated} of {count.rows} rows in {stream} are there twice"
            done = _without_repeated(run, stream, backup) if mend else ""
            yield AuditFinding(uid, derived, "doubled", what, done)
        if count.distinct < announced.get(stream, 0):
            incomplete.append(("short", f"{count.distinct} of {announced[stream]} events in {stream}"))
    incomplete += [
        ("short", f"0 of {number} events in {stream}")
        for stream, number in announced.items()
        if number and stream not in set(run)
    ]
    for fault, what in incomplete:
        yield AuditFinding(uid, derived, fault, what, "deleted" if mend and derived else "")
    if incomplete and mend and derived:
        catalog.delete_contents([uid], recursive=True, external_only=False)


def _tables(stream: Any) -> dict[str, Any]:
    parts = dict(getattr(stream, "base", stream).items())
    return {
        key: part
        for key, part in parts.items()
        if (key == "internal" or key.startswith("internal_")) and "seq_num" in getattr(part, "columns", ())
    }


def _repeated_rows(stream: Any) -> int:
    """Rows that equal another in sequence number and time; a pause repeats an event at another time."""
    return max(
        (int(table.read(["seq_num", "time"]).duplicated().sum()) for table in _tables(stream).values()),
        default=0,
    )


def _without_repeated(run: Any, name: str, backup: Path) -> str:
    """Write the tables of a stream again without repeated rows; a copy lies in a file meanwhile."""
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import feather

    stream = run[name].base
    for key, table in _tables(run[name]).items():
        rows = table.read().drop_duplicates(["seq_num", "time"])
        item = table.item["attributes"]
        schema = table.structure().arrow_schema_decoded
        content = pa.Table.from_pandas(rows, preserve_index=False, schema=schema)
        copy = backup / f"{run.metadata['start']['uid']}-{name}-{key}.arrow"
        backup.mkdir(parents=True, exist_ok=True)
        feather.write_feather(content, copy)
        try:
            stream.delete_contents([key], recursive=True, external_only=False)
            made = stream.create_appendable_table(
                schema=schema, key=key, metadata=item["metadata"], access_tags=item.get("access_tags")
            )
            made.append_partition(0, content)
            check_rows(run.refresh(), {name: StreamCount(len(rows), int(rows["seq_num"].nunique()))})
        except Exception as error:
            raise ArchiveError(
                f"{name} could not be written again: {error}; its rows are in {copy}"
            ) from error
        copy.unlink()
    return "repeated rows removed"
