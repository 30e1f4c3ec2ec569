"""Documents for a callback that may skip some: only the newest waiting event is passed on."""

import threading
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["NewestWins"]

OVERTAKEN_BY = {"event": "descriptor", "event_page": "descriptor", "stream_datum": "stream_resource"}
"""Documents of which only the newest is shown, and the entry that they share with those they replace."""

WAITING_LIMIT = 1000
"""Other documents that may wait, those of some hundred runs: a display that hangs must not collect them
without limit."""


class NewestWins:
    """Passes documents on in its own thread; a newer event replaces one that still waits.

    Starts, descriptors and stops all arrive, in order, so that the callback can follow the runs.

    Parameters
    ----------
    callback
        A display, which may be slow; must not raise.
    """

    def __init__(self, callback: Callable[[str, Any], object]) -> None:
        self._callback = callback
        self._waiting: dict[Hashable, tuple[str, Any]] = {}  # in order of arrival
        self._changed = threading.Condition()
        self._closed = False
        self.skipped = 0
        """Documents that were never passed on."""
        # Daemon: a process may end while a display hangs.
        self._thread = threading.Thread(target=self._work, name="qdsizer-display", daemon=True)
        self._thread.start()

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document; returns at once.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        shared = OVERTAKEN_BY.get(name)
        with self._changed:
            key: Hashable = object() if shared is None else (name, doc.get(shared))
            if self._waiting.pop(key, None) is not None:
                self.skipped += 1
            if len(self._waiting) >= WAITING_LIMIT:
                self.skipped += 1
                return
            self._waiting[key] = name, doc
            self._changed.notify()

    def close(self) -> None:
        """Pass on what waits, then end the thread; does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                document = self._waiting.pop(next(iter(self._waiting)))
            self._callback(*document)
