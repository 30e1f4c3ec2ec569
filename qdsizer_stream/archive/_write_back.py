"""Write-back: the streams of sizes added to the archived run itself."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx

from ..callbacks import DERIVED_STREAMS, OBJECT_NAME, RUN_KEY, STREAM_NAME, LiveConfig
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

    The counts in the stop document are written last: streams that are not counted there were interrupted,
    and are written again.

    Parameters
    ----------
    replace
        Whether existing streams of other sizes are deleted; they cannot be restored.
    batch_events
        Rows per request.
    """

    def __init__(self, replace: bool = False, batch_events: int = BATCH_EVENTS) -> None:
        self._replace = replace
        self._batch_events = batch_events

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
            counts = _counts(run.refresh())
            if not counts.get(STREAM_NAME) or STREAM_NAME not in run.base:
                return None  # or interrupted, and to be written again
            expected = {name: counts[name] for name in DERIVED_STREAMS if name in counts}
            try:
                _check(run, expected)
            except RowCountError:
                return None  # `write` deletes the streams first
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
        """Append the streams.

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
            The run has no stop document, or the archive does not accept a stream or does not answer.
        """
        uid = str(run.metadata["start"]["uid"])
        with plain_errors(f"write-back to run {uid}"):
            if not run.refresh().metadata.get("stop"):
                raise ArchiveError(f"run {uid} has no stop document: sizes can be added once it has ended")
            self._delete(run)
            try:
                written = self._write(run, documents)
                _check(run.refresh().new_variation(), written)  # a new client: one remembers its streams
            except Exception:
                with suppress(httpx.HTTPError):  # the first error is the one to report
                    self._delete(run)
                raise
        return uid

    def _write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> dict[str, int]:
        """Write all streams, then their counts, which are returned."""
        streams: dict[str, _Stream] = {}
        stream_of: dict[str, _Stream] = {}  # by descriptor
        stop: Mapping[str, Any] = {}
        for name, doc in documents:
            if name == "descriptor":
                stream = streams.setdefault(doc["name"], _Stream(run, doc, self._batch_events))
                stream.descriptors.append(doc)
                stream_of[doc["uid"]] = stream
            elif name == "event":
                stream_of[doc["descriptor"]].add(doc)
            elif name == "stop":
                stop = doc
        for stream in streams.values():
            stream.finish()
        counts = {name: stream.n_events for name, stream in streams.items()}
        run.update_metadata({"stop": {"num_events": counts, RUN_KEY: stop[RUN_KEY]}})
        return counts

    @staticmethod
    def _delete(run: Any) -> None:
        """Delete the counts in the stop document, then the streams."""
        from tiled.client.metadata_update import DELETE_KEY

        counts = _counts(run.refresh())
        if counted := {name: DELETE_KEY for name in DERIVED_STREAMS if name in counts}:
            run.update_metadata({"stop": {"num_events": counted}})
        # `base`, because the client of the run remembers its streams.
        if there := [name for name in DERIVED_STREAMS if name in run.base]:
            run.base.delete_contents(there, recursive=True, external_only=False)


class _Stream:
    """One stream while it is written to Tiled; its rows are sent in batches."""

    def __init__(self, run: Any, first: Mapping[str, Any], batch_events: int) -> None:
        self._run = run
        self._batch_events = batch_events
        self._first = first
        self._rows: list[dict[str, Any]] = []
        self._container: Any = None
        self._table: Any = None
        self._schema: Any = None
        self.descriptors: list[Mapping[str, Any]] = []
        self.n_events = 0

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event."""
        self._rows.append(_row(event))
        if len(self._rows) == self._batch_events:
            self._send()

    def finish(self) -> None:
        """Send what is left, and the later descriptors."""
        if self._rows:
            self._send()
        # A later descriptor only changes the configuration; Tiled stores it with the first.
        if later := self.descriptors[1:]:
            changed = [{key: one[key] for key in ("uid", "time", "configuration")} for one in later]
            self._container.update_metadata({"_config_updates": changed}, drop_revision=True)

    def _send(self) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]

        batch = pa.Table.from_pylist(self._rows, schema=self._schema)
        if self._table is None:
            self._create(batch.schema)
        self._table.append_partition(0, batch)
        self.n_events += len(self._rows)
        self._rows.clear()

    def _create(self, schema: Any) -> None:
        from tiled.structures.core import Spec

        tags = self._run.item["attributes"].get("access_tags")
        self._schema = schema
        self._container = self._run.base.create_container(
            key=self._first["name"],
            metadata={
                key: value
                for key, value in self._first.items()
                if key not in ("name", "object_keys", "run_start")
            },
            specs=[Spec("BlueskyEventStream", version="3.0"), Spec("composite")],
            access_tags=tags,
        ).base
        self._table = self._container.create_appendable_table(
            schema=schema, key="internal", metadata=self._first["data_keys"], access_tags=tags
        )


def _check(run: Any, counts: Mapping[str, int]) -> None:
    check_rows(run, {name: StreamCount(number, number) for name, number in counts.items()})


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    """Row of the table, in the layout of Tiled's own writer."""
    return {
        "seq_num": event["seq_num"],
        "time": event["time"],
        **event["data"],
        **{f"ts_{key}": value for key, value in event["timestamps"].items()},
    }


def _counts(run: Any) -> Mapping[str, int]:
    """Events of each stream, as the stop document counts them."""
    counts: Mapping[str, int] = (run.metadata.get("stop") or {}).get("num_events", {})
    return counts
