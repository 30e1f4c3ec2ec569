"""Callbacks that receive documents, without being able to end or to hold the thread that sizes."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count as numbers
from math import inf
from typing import Any

from event_model import DocumentNames

from ..documents import RunIndex

__all__ = ["SUBSCRIBER_TIMEOUT_S", "Subscribers"]

logger = logging.getLogger(__name__)

SUBSCRIBER_TIMEOUT_S = 120.0
"""Time after which a call to a subscriber counts as hanging, s. The client of Tiled repeats a request for
45 s before it gives up; frames at 20 Hz fill a quarter of ten default queues meanwhile."""

Callback = Callable[[str, Any], object]


class _Subscriber:
    """One callback."""

    def __init__(self, name: str, callback: Callback, kind: str | None, timeout_s: float) -> None:
        self.name = name
        self.callback = callback
        self.kind = kind
        self.timeout_s = timeout_s
        self.off = False
        """Whether it is taken off: a call has not returned."""
        self.back_at_s = -inf
        """When that call returned, s on the monotonic clock."""
        self._since_return: RunIndex | None = None
        """Runs that began after that; None where it was never taken off."""

    def put_back(self) -> None:
        self.off, self.back_at_s = False, time.monotonic()
        # One that receives a single kind of document does not follow runs.
        self._since_return = RunIndex() if self.kind is None else None

    def takes(self, name: str, doc: Mapping[str, Any]) -> bool:
        """Whether it may have a document: none while it hangs, and then those of whole runs."""
        if self.off:
            return False
        if self._since_return is None:
            return True
        runs: list[str] = []
        with suppress(KeyError):  # not a valid document
            runs = self._since_return.runs_of(name, doc)
            if name == "stop":
                self._since_return.forget(doc["run_start"])
        return bool(runs)


class _Call:
    """A call to a subscriber that has not returned."""

    def __init__(self, subscriber: _Subscriber, kind: str) -> None:
        self.subscriber = subscriber
        self.kind = kind
        self.since = time.monotonic()


class Subscribers:
    """Callbacks, called one after another in the order of subscription.

    Their errors are logged and counted. One that does not return within its time is taken off: the thread
    that called it is given up, and another one goes on with the next callback.

    Parameters
    ----------
    count
        Called with "contained" for every error, and "undelivered" for every document that a callback did
        not receive because it was taken off.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._all: dict[int, _Subscriber] = {}
        self._tokens = numbers()
        self._call: _Call | None = None
        self._lock = threading.Lock()

    def subscribe(self, callback: Callback, kind: str, timeout_s: float | None) -> int:
        """Add a callback.

        Parameters
        ----------
        callback
            Called with name and document.
        kind
            Kind of document that it receives, or "all".
        timeout_s
            Time after which a call counts as hanging, s; None for never.

        Returns
        -------
        Token for `unsubscribe`.

        Raises
        ------
        KeyError
            There is no such kind of document.
        """
        wanted = None if kind == "all" else DocumentNames[kind].name
        token = next(self._tokens)
        contained = self.contained(callback)
        self._all[token] = _Subscriber(_name(callback), contained, wanted, timeout_s or inf)
        return token

    def unsubscribe(self, token: int) -> None:
        """Remove a callback; one that is not subscribed is ignored.

        Parameters
        ----------
        token
            Return value of `subscribe`.
        """
        self._all.pop(token, None)

    def contained(self, callback: Callback) -> Callback:
        """Wrap a callback so that its errors are logged and counted.

        Parameters
        ----------
        callback
            The callback.

        Returns
        -------
        The same without its errors; of a series of them only the first is logged.
        """
        failing = False

        def called(name: str, doc: Any) -> None:
            nonlocal failing
            try:
                callback(name, doc)
                failing = False
            except BaseException:  # SystemExit or CancelledError would end the sizing thread again and again
                self._count("contained")
                if not failing:  # a dead writer must not fill the log
                    logger.exception(
                        "%r failed on a %s document; sizing goes on%s", callback, name, _hint(name, doc)
                    )
                failing = True

        return called

    def deliver(self, name: str, doc: Any, reached: set[int]) -> bool:
        """Call every callback that has not been called with a document yet.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        reached
            Tokens of those that have been called; extended before each call.

        Returns
        -------
        False where a call took too long, so that another thread has gone on meanwhile.
        """
        for token, subscriber in list(self._all.items()):
            if token in reached or subscriber.kind not in (None, name):
                continue
            reached.add(token)
            if not subscriber.takes(name, doc):
                self._count("undelivered")
                continue
            call = _Call(subscriber, name)
            with self._lock:
                self._call = call
            subscriber.callback(name, doc)
            with self._lock:
                if self._call is not call:
                    subscriber.put_back()
                    logger.warning(
                        "%s has returned after %.0f s: it receives documents again, from the next run",
                        subscriber.name, time.monotonic() - call.since,
                    )  # fmt: skip
                    return False
                self._call = None
        return True

    def take_off_hanging(self) -> bool:
        """Take off the callback whose call takes longer than its time.

        Returns
        -------
        Whether there is one: the thread that called it is to be given up.
        """
        call = self._call
        if call is None or time.monotonic() - call.since <= call.subscriber.timeout_s:
            return False
        with self._lock:
            if self._call is not call:  # it has returned just now
                return False
            self._call = None
            call.subscriber.off = True
        self._count("contained")
        logger.error(
            "%s is taken off: its call with a %s document has not returned for %.0f s. It receives no more "
            "documents until it does; raw documents are in the journal of `install`, for "
            "`qdsizer-stream spool upload`",
            call.subscriber.name, call.kind, call.subscriber.timeout_s,
        )  # fmt: skip
        return True

    def missing_since(self, moment_s: float) -> list[str]:
        """Names of the callbacks that have not received every document since a moment.

        Parameters
        ----------
        moment_s
            The moment, s on the monotonic clock.

        Returns
        -------
        Names of those that are taken off, or were at some time since then, in the order of subscription.
        """
        return [one.name for one in self._all.values() if one.off or one.back_at_s >= moment_s]


def _hint(name: str, doc: Any) -> str:
    """Frequent reasons why an archive does not take a document."""
    if name == "start":  # it holds the run already: Tiled answers `409 Conflict`
        return "; if it writes an archive, is another writer subscribed too?"
    keys = doc.get("data_keys", {}) if name == "descriptor" else {}
    structured = [key for key, one in keys.items() if isinstance(one.get("dtype_numpy"), list | tuple)]
    if structured:
        return (
            f"; {', '.join(structured)}: a structured type, which bluesky-tiled-plugins does not store; "
            "leave it out of the readings, or the archive will lack this stream"
        )
    return ""


def _name(callback: Callback) -> str:
    return str(getattr(callback, "__qualname__", None) or type(callback).__qualname__)
