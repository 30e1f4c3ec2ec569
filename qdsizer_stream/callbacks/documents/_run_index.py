"""Assignment of documents to runs."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["MAX_OPEN_RUNS", "RunIndex"]

MAX_OPEN_RUNS = 64
"""Runs that may be open at once; with more, the oldest is one whose stop was lost with its producer."""


class RunIndex:
    """Finds the run of each document; several runs may be open at once.

    event-model's `RunRouter` is not used: it repacks events and raises on documents that arrive without their
    start or out of order (decision 0109).
    """

    def __init__(self) -> None:
        self._open: dict[str, None] = {}  # a set that keeps order
        self._run_of: dict[str, str] = {}

    def runs_of(self, name: str, doc: Mapping[str, Any]) -> list[str]:
        """Find the open runs of a document, and keep its uid for later documents that refer to it.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.

        Returns
        -------
        Identifiers: one; all open runs for resources of the old kind, which do not hold it; those of all its
        events for `bulk_events`; none where the start never came.

        Raises
        ------
        KeyError
            The document lacks a required entry.
        """
        if name == "start":
            self._open[doc["uid"]] = None
            return [doc["uid"]]
        if name == "stop":
            run = doc["run_start"]
        elif name in ("descriptor", "resource", "stream_resource"):
            if not doc.get("run_start"):
                return list(self._open)
            run = self._run_of[doc["uid"]] = doc["run_start"]
        elif name == "bulk_events":
            descriptors = [event["descriptor"] for events in doc.values() for event in events]
            runs = dict.fromkeys(self._run_of.get(descriptor, "") for descriptor in descriptors)
            return [run for run in runs if run in self._open]
        elif name in ("datum", "datum_page", "bulk_datum"):
            if doc["resource"] not in self._run_of:
                return list(self._open)
            run = self._run_of[doc["resource"]]
        else:
            run = self._run_of.get(doc["descriptor"], "")
        return [run] if run in self._open else []

    def given_up(self) -> Iterator[tuple[str, str]]:
        """Forget the oldest of more than `MAX_OPEN_RUNS` open runs.

        Yields
        ------
        Identifier of each, and the reason.
        """
        while len(self._open) > MAX_OPEN_RUNS:
            run = next(iter(self._open))
            self.forget(run)
            yield run, f"it has no stop document, and {MAX_OPEN_RUNS} runs started after it"

    def forget(self, run: str) -> None:
        """Remove a run that has ended.

        Parameters
        ----------
        run
            Its identifier.
        """
        self._open.pop(run, None)
        self._run_of = {uid: owner for uid, owner in self._run_of.items() if owner != run}
