"""Runs in Tiled and databroker: servers, replay, derived runs, and a spool for runs not yet written."""

from ._audit import AuditFinding, audit
from ._cluster import replay_on_cluster
from ._comparison import Comparison, Differences
from ._connect import open_archive
from ._documents import run_documents
from ._frame_file import FrameFile, undecoded_uris
from ._job import ReplayDestination, ReplayOutcome, replay_into
from ._journal import Damage, JournalWriter, read_documents, read_journal
from ._linked_run import LinkedRuns
from ._plot_run import plot_run
from ._raw_journal import RawJournal
from ._replay import ReplayStep, archived_config, replay
from ._replay_journal import ReplayJournal
from ._select import find_run, parse_query, select_runs
from ._server import embedded_tiled
from ._sized_run import SizedRun, sized_run
from ._sizes import sizes, sizes_dataset
from ._spool import SpooledWriter
from ._table_file import TableFile
from ._upload import JournalReport, Receipt, inspect_journal, spooled_runs, upload
from ._watched_run import WatchedRun
from ._workers import SizingWorkers
from ._write_back import WriteBack

__all__ = [
    "AuditFinding",
    "Comparison",
    "Damage",
    "Differences",
    "FrameFile",
    "JournalReport",
    "JournalWriter",
    "LinkedRuns",
    "RawJournal",
    "Receipt",
    "ReplayDestination",
    "ReplayJournal",
    "ReplayOutcome",
    "ReplayStep",
    "SizedRun",
    "SizingWorkers",
    "SpooledWriter",
    "TableFile",
    "WatchedRun",
    "WriteBack",
    "archived_config",
    "audit",
    "embedded_tiled",
    "find_run",
    "inspect_journal",
    "open_archive",
    "parse_query",
    "plot_run",
    "read_documents",
    "read_journal",
    "replay",
    "replay_into",
    "replay_on_cluster",
    "run_documents",
    "select_runs",
    "sized_run",
    "sizes",
    "sizes_dataset",
    "spooled_runs",
    "undecoded_uris",
    "upload",
]
