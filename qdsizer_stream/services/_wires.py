"""What the service needs of a source and of a sink of documents."""

from collections.abc import Callable
from threading import Event
from typing import Any, Protocol

__all__ = ["Settle", "Sink", "Source", "Take"]

Take = Callable[[str, dict[str, Any]], None]
"""Takes the kind of a document and the document; does not raise."""

Settle = Callable[[], bool]
"""Waits until everything taken so far has been sized and sent; says whether it has."""


class Sink(Protocol):
    """Where documents go to."""

    name: str
    """Name in the metrics."""

    @property
    def sent(self) -> int:
        """Documents that arrived."""

    @property
    def duplicates(self) -> int:
        """Documents that were there already and not sent again."""

    def __call__(self, name: str, doc: Any) -> None:
        """Send a document."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was sent has arrived; says whether it has."""

    def close(self) -> None:
        """Let go of the connection."""


class Source(Protocol):
    """Where documents come from."""

    malformed: int
    """Messages that were no documents."""

    def run(self, take: Take, settle: Settle, stopping: Event) -> None:
        """Hand documents over until told to stop."""
