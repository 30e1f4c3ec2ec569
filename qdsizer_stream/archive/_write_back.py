"""Write-back: the stream `qd_size` added to the archived run itself."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import httpx

from ..callbacks import OBJECT_NAME, RUN_KEY, STREAM_NAME, LiveConfig
from ..errors import ArchiveError
from ..models import SizingModel
from ._connect import plain_errors
from ._select import in_tables
from ._tally import RowCountError, StreamCount, check_rows

__all__ = ["WriteBack"]

BATCH_EVENTS = 10_000
"""Rows per request: 3 MB, far below the limits of servers, and constant memory."""


class WriteBack:
    """Writes sizes into the run of their frames, whole or not at all.

    The count in the stop document is written last: a stream that is not counted there was interrupted, and
    is written again.

    Parameters
    ----------
    replace
        Whether an existing stream of other sizes is deleted; it cannot be restored.
    """

    def __init__(self, replace: bool = False) -> None:
        self._replace = replace

    def find(self, run: Any, config: LiveConfig, model: SizingModel) -> str | None:
        """Check whether the run already holds these sizes.

        Parameters
        ----------
        run, config, model
            As of `LinkedRuns.find`.

        Returns
        -------
        Identifier of the run; None where it does not.

        Raises
        ------
        ArchiveError
            It holds other sizes that may not be replaced, or no stream can be added to it.
        """
        uid = str(run.metadata["start"]["uid"])
        if not in_tables(run):
            raise ArchiveError(
                f"run {uid} is in MongoDB, where a finished run cannot be extended: leave out --write-back"
            )
        with plain_errors(f"run {uid}"):
            if not _counted(run):
                return None  # or interrupted, and to be written again
            counted = run.metadata["stop"]["num_events"][STREAM_NAME]
            try:
                check_rows(run, {STREAM_NAME: StreamCount(counted, counted)})
            except RowCountError:
                return None  # `write` deletes the stream first
            described = run[STREAM_NAME].descriptors[0]["configuration"][OBJECT_NAME]["data"]
        settings = json.dumps(config.model_dump(mode="json"), sort_keys=True)
        if described["qdsizer_model_sha256"] == model.sha256 and described["qdsizer_config"] == settings:
            return uid
        if not self._replace:
            raise ArchiveError(
                f"run {uid} already holds a stream {STREAM_NAME}, of model {described['qdsizer_model']} "
                f"{described['qdsizer_model_sha256'][:8]}: --replace deletes it; without --write-back the "
                "sizes are written to a linked run"
            )
        return None

    def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
        """Append the stream.

        Parameters
        ----------
        run
            The run.
        documents
            Those of the derived run, from start to stop.

        Returns
        -------
        Identifier of the run.

        Raises
        ------
        ArchiveError
            The run has no stop document, or the archive does not accept the stream or does not answer.
        """
        uid = str(run.metadata["start"]["uid"])
        with plain_errors(f"write-back to run {uid}"):
            if not run.refresh().metadata.get("stop"):
                raise ArchiveError(f"run {uid} has no stop document: sizes can be added once it has ended")
            if STREAM_NAME in run.base:  # the run client caches its streams
                self._delete(run)
            try:
                n_events = self._write(run, documents)
                check_rows(run.refresh(), {STREAM_NAME: StreamCount(n_events, n_events)})
            except Exception:
                with suppress(httpx.HTTPError):  # the first error is the one to report
                    self._delete(run)
                raise
        return uid

    @staticmethod
    def _write(run: Any, documents: Iterator[tuple[str, Any]]) -> int:
        import pyarrow as pa  # type: ignore[import-untyped]
        from tiled.structures.core import Spec

        tags = run.item["attributes"].get("access_tags")
        stream: Any = None
        table: Any = None
        others: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        n_events = 0
        schema: Any = None
        events = _rows(documents, others)
        while rows := list(islice(events, BATCH_EVENTS)):
            batch = pa.Table.from_pylist(rows, schema=schema)
            if table is None:
                schema = batch.schema
                first = others["descriptor"][0]
                stream = run.base.create_container(
                    key=STREAM_NAME,
                    metadata={
                        key: value
                        for key, value in first.items()
                        if key not in ("name", "object_keys", "run_start")
                    },
                    specs=[Spec("BlueskyEventStream", version="3.0"), Spec("composite")],
                    access_tags=tags,
                ).base
                table = stream.create_appendable_table(
                    schema=schema, key="internal", metadata=first["data_keys"], access_tags=tags
                )
            table.append_partition(0, batch)
            n_events += len(rows)
        # A later descriptor only changes the configuration; Tiled stores it with the first.
        if later := others["descriptor"][1:]:
            changed = [{key: one[key] for key in ("uid", "time", "configuration")} for one in later]
            stream.update_metadata({"_config_updates": changed}, drop_revision=True)
        (stop,) = others["stop"]
        run.update_metadata({"stop": {"num_events": {STREAM_NAME: n_events}, RUN_KEY: stop[RUN_KEY]}})
        return n_events

    @staticmethod
    def _delete(run: Any) -> None:
        """Delete the count in the stop document, then the stream."""
        from tiled.client.metadata_update import DELETE_KEY

        if _counted(run):
            run.update_metadata({"stop": {"num_events": {STREAM_NAME: DELETE_KEY}}})
        run.base.delete_contents([STREAM_NAME], recursive=True, external_only=False)


def _counted(run: Any) -> bool:
    """Whether the run holds sizes that are counted in its stop document."""
    counts: Mapping[str, Any] = (run.refresh().metadata.get("stop") or {}).get("num_events", {})
    return bool(counts.get(STREAM_NAME)) and STREAM_NAME in run.base


def _rows(
    documents: Iterator[tuple[str, Any]], others: Mapping[str, list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """Rows of the table, in the layout of Tiled's own writer; other documents are collected by kind."""
    for name, doc in documents:
        if name != "event":
            others[name].append(doc)
            continue
        yield {
            "seq_num": doc["seq_num"],
            "time": doc["time"],
            **doc["data"],
            **{f"ts_{key}": value for key, value in doc["timestamps"].items()},
        }
