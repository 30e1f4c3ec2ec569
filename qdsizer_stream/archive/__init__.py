"""Runs from Tiled: an embedded server, replay, derived runs."""

from ._documents import run_documents
from ._find import find_run
from ._replay import archived_config, replay
from ._server import embedded_tiled

__all__ = ["archived_config", "embedded_tiled", "find_run", "replay", "run_documents"]
