"""Runs from Tiled and databroker: servers, replay, derived runs, a spool for what could not be written."""

from ._comparison import Comparison, Differences
from ._connect import open_archive
from ._documents import run_documents
from ._job import Destination, Outcome, replay_into
from ._linked_run import LinkedRuns
from ._replay import archived_config, replay
from ._select import find_run, parse_query, select_runs
from ._server import embedded_tiled
from ._spool import SpooledWriter, spooled_runs, upload
from ._table_file import TableFile
from ._workers import SizingWorkers
from ._write_back import WriteBack

__all__ = [
    "Comparison",
    "Destination",
    "Differences",
    "LinkedRuns",
    "Outcome",
    "SizingWorkers",
    "SpooledWriter",
    "TableFile",
    "WriteBack",
    "archived_config",
    "embedded_tiled",
    "find_run",
    "open_archive",
    "parse_query",
    "replay",
    "replay_into",
    "run_documents",
    "select_runs",
    "spooled_runs",
    "upload",
]
