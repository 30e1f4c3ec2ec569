"""Documents that leave the service, with reproducible identifiers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from ..callbacks import RUN_KEY, STREAM_NAME
from ._config import Forwarded

__all__ = ["Outgoing"]

NAMESPACE = UUID("6f1f7b4e-7b0e-5f0a-9a52-5d3b5f0e3c11")
"""Namespace of the identifiers of derived documents; any constant would do."""


@dataclass
class _OutgoingRun:
    start: dict[str, Any]
    linked: bool
    sent: bool = False
    n_descriptors: int = 0

    @property
    def uid(self) -> str:
        return str(self.start["uid"])


class Outgoing:
    """Selects the documents to forward, and gives derived ones identifiers computed from those of their run.

    A worker that takes over a run from another worker sizes it again from its start. The same frame of the
    same run then has the same identifier, so a receiver can recognise an estimate that it already has.

    Parameters
    ----------
    sink
        Called with kind and document.
    forwarded
        Which documents are forwarded.
    """

    def __init__(self, sink: Callable[[str, Any], None], forwarded: Forwarded) -> None:
        self._sink = sink
        self._all = forwarded is Forwarded.ALL
        self._runs: dict[str, _OutgoingRun] = {}
        self._descriptors: dict[str, str] = {}  # of estimates: received uid to sent uid

    def __call__(self, name: str, doc: Any) -> None:
        """Handle a document from the live sizer.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document; not changed.
        """
        if name == "start":
            self._start(doc)
        elif name == "descriptor" and doc.get("name") == STREAM_NAME and doc["run_start"] in self._runs:
            self._descriptor(self._runs[doc["run_start"]], doc)
        elif name == "event" and doc["descriptor"] in self._descriptors:
            descriptor = self._descriptors[doc["descriptor"]]
            self._sink(name, {**doc, "uid": _uid(descriptor, doc["seq_num"]), "descriptor": descriptor})
        elif name == "stop":
            self._stop(doc)
        elif self._all:
            self._sink(name, doc)

    def _start(self, doc: dict[str, Any]) -> None:
        original = doc.get("original_run_uid")
        # A linked run of this sizer starts while its original is open; a linked run from an archive does not.
        linked = original in self._runs and doc.get("plan_name") == "qdsizer"
        uid = _uid(original, doc[RUN_KEY], doc["qdsizer_model_sha256"]) if linked else doc["uid"]
        run = self._runs[doc["uid"]] = _OutgoingRun({**doc, "uid": uid}, linked)
        if self._all:
            self._begin(run)

    def _begin(self, run: _OutgoingRun) -> None:
        """Send the start document, unless it has been sent; a run without estimates never sends it."""
        if not run.sent:
            self._sink("start", run.start)
            run.sent = True

    def _descriptor(self, run: _OutgoingRun, doc: dict[str, Any]) -> None:
        self._begin(run)
        uid = self._descriptors[doc["uid"]] = _uid(run.uid, STREAM_NAME, run.n_descriptors)
        run.n_descriptors += 1
        self._sink("descriptor", {**doc, "uid": uid, "run_start": run.uid})

    def _stop(self, doc: dict[str, Any]) -> None:
        run = self._runs.pop(doc["run_start"], None)
        if run is None:
            if self._all:
                self._sink("stop", doc)
            return
        mine = {_uid(run.uid, STREAM_NAME, number) for number in range(run.n_descriptors)}
        self._descriptors = {came: left for came, left in self._descriptors.items() if left not in mine}
        if run.sent:
            renamed = {"uid": _uid(run.uid, "stop"), "run_start": run.uid} if run.linked else {}
            self._sink("stop", {**doc, **renamed})


def _uid(*parts: Any) -> str:
    """Identifier that depends on the parts alone."""
    return str(uuid5(NAMESPACE, json.dumps(parts, sort_keys=True)))
