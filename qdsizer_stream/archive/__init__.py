"""Runs from Tiled: an embedded server, replay, derived runs, a spool for what could not be written."""

from ._documents import run_documents
from ._find import find_run
from ._replay import archived_config, replay
from ._server import embedded_tiled
from ._spool import SpooledWriter, spooled_runs, upload

__all__ = [
    "SpooledWriter",
    "archived_config",
    "embedded_tiled",
    "find_run",
    "replay",
    "run_documents",
    "spooled_runs",
    "upload",
]
