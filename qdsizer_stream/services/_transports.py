"""Sources and sinks of documents, as the service uses them."""

from collections.abc import Callable
from threading import Event
from typing import Any, Protocol

__all__ = ["DocumentSink", "DocumentSource", "Flush", "Handler"]

Handler = Callable[[str, dict[str, Any]], None]
"""Called with the kind of a document and the document; does not raise."""

Flush = Callable[[], bool]
"""Waits until every document handled so far has been sized and sent; returns whether it has."""


class DocumentSink(Protocol):
    """Sends documents."""

    name: str
    """Name in the metrics."""

    @property
    def sent(self) -> int:
        """Documents that arrived."""

    @property
    def duplicates(self) -> int:
        """Documents that the receiver already had and that were not sent again."""

    def __call__(self, name: str, doc: Any) -> None:
        """Send a document."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was sent has arrived; returns whether it has."""

    def close(self) -> None:
        """Close the connection."""


class DocumentSource(Protocol):
    """Receives documents."""

    malformed: int
    """Messages that were not valid documents."""

    def run(self, handle: Handler, flush: Flush, stopping: Event) -> None:
        """Pass documents to `handle` until `stopping` is set."""
