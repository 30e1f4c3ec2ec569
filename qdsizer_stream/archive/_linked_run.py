"""Sizes of an archived run written as a linked run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
from tiled.queries import Eq

from ..callbacks import RUN_KEY, LiveConfig
from ..models import SizingModel
from ._connect import plain_errors
from ._select import in_tables, plain_catalog
from ._tally import EventTally, RowCountError, StreamCount, check_rows

__all__ = ["LinkedRuns"]

logger = logging.getLogger(__name__)


class LinkedRuns:
    """Writes derived runs to an archive, each whole or not at all.

    Parameters
    ----------
    catalog
        Client of the archive, or a catalog or `Broker` of databroker.
    """

    def __init__(self, catalog: Any) -> None:
        self._catalog = plain_catalog(catalog)
        self._damaged: list[str] = []

    def find(self, run: Any, config: LiveConfig, model: SizingModel) -> str | None:
        """Find the derived run written by an equal replay.

        Parameters
        ----------
        run
            The run.
        config
            Settings of the replay.
        model
            The model.

        Returns
        -------
        Its identifier; None where there is none.

        Raises
        ------
        ArchiveError
            The archive cannot be searched.
        """
        settings = config.model_dump(mode="json")
        with plain_errors("search for earlier sizes"):
            derived = self._catalog.search(Eq("start.original_run_uid", run.metadata["start"]["uid"]))
            for one in derived.search(Eq("start.qdsizer_model_sha256", model.sha256)).values():
                start, stop = one.metadata["start"], one.metadata.get("stop") or {}
                if stop.get("exit_status") == "success" and start.get(RUN_KEY) == settings:
                    try:
                        counts = stop.get("num_events", {}).items()
                        check_rows(one, {name: StreamCount(number, number) for name, number in counts})
                    except RowCountError as error:
                        logger.warning("%s; the sizes are written again", error)
                        self._damaged.append(str(start["uid"]))
                        continue
                    return str(start["uid"])
        return None

    def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
        """Write a derived run.

        Parameters
        ----------
        run
            The run that it is derived from.
        documents
            Its documents, from start to stop.

        Returns
        -------
        Its identifier.

        Raises
        ------
        RowCountError
            A row was stored twice or not at all; the run is deleted.
        ArchiveError
            The archive does not accept the run, or does not answer; an incomplete run is deleted, now or by
            the next attempt.
        """
        in_mongo = not in_tables(run)  # MongoDB stores documents one by one and keeps them
        name, start = next(documents)
        uid = str(start["uid"])
        with plain_errors(f"derived run {uid}"):
            if not in_mongo and list(self._catalog.search(Eq("start.uid", uid))):
                self._delete(uid)  # left by an earlier attempt
            write = self._catalog.post_document if in_mongo else self._writer()
            try:
                write(name, start)
                tally = EventTally()
                for kind, doc in documents:
                    write(kind, doc)
                    tally.add(kind, doc)
                if not in_mongo:
                    check_rows(self._catalog[uid], tally.counts)
            except Exception:
                if not in_mongo:
                    with suppress(httpx.HTTPError):  # the first error is the one to report
                        self._delete(uid)
                raise
            for damaged in self._damaged:
                self._delete(damaged)
            self._damaged.clear()
        return uid

    def _writer(self) -> Callable[[str, Any], object]:
        from bluesky_tiled_plugins import TiledWriter

        write: Callable[[str, Any], object] = TiledWriter(self._catalog)
        return write

    def _delete(self, uid: str) -> None:
        self._catalog.delete_contents([uid], recursive=True, external_only=False)
