"""Which run a document belongs to."""

from collections.abc import Mapping
from typing import Any

__all__ = ["RunIndex"]


class RunIndex:
    """Follows documents to their runs, several of which may be open at once."""

    def __init__(self) -> None:
        self._open: dict[str, None] = {}  # a set that keeps order
        self._run_of: dict[str, str] = {}

    def runs_of(self, name: str, doc: Mapping[str, Any]) -> list[str]:
        """Find the open runs of a document, taking note of what later ones refer to.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.

        Returns
        -------
        Identifiers: one; several for resources of the old kind, which do not say; none where the
        start never came.

        Raises
        ------
        KeyError
            The document lacks what its kind must have.
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
        elif name in ("datum", "datum_page"):
            if doc["resource"] not in self._run_of:
                return list(self._open)
            run = self._run_of[doc["resource"]]
        else:
            run = self._run_of.get(doc["descriptor"], "")
        return [run] if run in self._open else []

    def forget(self, run: str) -> None:
        """Drop what is known of a run that has ended.

        Parameters
        ----------
        run
            Its identifier.
        """
        self._open.pop(run, None)
        self._run_of = {uid: owner for uid, owner in self._run_of.items() if owner != run}
