"""One worker thread behind one bounded queue."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ...sizing.process import SLOTS
from ..documents import Announced, Frame, QueuePolicy
from ._spill import Spill

__all__ = ["Delivery", "Item", "Work", "WorkQueue"]

logger = logging.getLogger(__name__)

FRAME_DOCUMENTS = frozenset({"event", "event_page", "bulk_events", "stream_datum"})
"""Documents that may hold frames; only these wait for room or are marked."""

MARKED_LIMIT = 10
"""Marked documents may fill the queue to this many times its size; more wait on disk, since memory is limited
and a raw document is never dropped."""

QUEUE_BYTES = 2**28
"""Arrays and lists in the documents that may wait, bytes: 2000 frames of 30 720 strips. One event page can
hold as much as thousands of events."""

MARKED_BYTES = 2**30
"""As `MARKED_LIMIT`, in bytes."""

AHEAD = SLOTS - 1
"""Items behind the current one that the handler may submit: with it, as many as the sizing process takes."""

CHECK_S = 0.5
"""How often a wait checks that the thread is alive and does not hang, s."""

WATCH_S = 5.0
"""How often that is checked where nothing waits, s."""


class Delivery:
    """Documents on their way to subscribers, which another thread can go on with where one hangs.

    Parameters
    ----------
    documents
        Kind and document, composed one after another.
    """

    def __init__(self, documents: Iterator[tuple[str, Any]]) -> None:
        self._documents = documents
        self._current: tuple[str, Any] | None = None
        self.reached: set[int] = set()
        """Tokens of the subscribers that have been called with the current document."""

    def current(self) -> tuple[str, Any] | None:
        """Compose the next document, unless the one before is still being passed on.

        Returns
        -------
        Kind and document; None after the last.
        """
        if self._current is None:
            self._current = next(self._documents, None)
            self.reached = set()
        return self._current

    def advance(self) -> None:
        """Leave the current document, which every subscriber has received."""
        self._current = None


@dataclass(eq=False)
class Item:
    """One document in the queue, and how far it has been handled."""

    name: str
    """Kind of the document."""
    doc: Mapping[str, Any]
    """The document, which nobody else changes."""
    original: Mapping[str, Any] | None = None
    """The document as it was received."""
    received: float = field(default_factory=time.time)
    """When it was received, s since the epoch."""
    since: float = field(default_factory=time.monotonic)
    """When it was received, s on a monotonic clock."""
    ahead: int = 0
    """Documents in the queue when it was received."""
    n_bytes: int = 0
    """Size of the arrays and lists in it, bytes."""
    spilled: tuple[int, int] | None = None
    """Position in the file of documents that wait on disk; the document is empty until its turn."""
    marked: bool = False
    """Whether its frames are recorded without being sized, because the queue was full."""
    forwarded: bool = False
    """Whether the raw document has gone downstream."""
    work: dict[str, "Work"] = field(default_factory=dict)
    """Frames that it completes, by run."""
    submitted: bool = False
    """Whether its inline frames have been submitted, ahead of its turn."""
    delivery: Delivery | None = None
    """The document and those derived from it, once handling has begun."""
    interrupted: bool = False
    """Whether the thread ended while handling it."""

    @property
    def frames_done(self) -> int:
        """Frames that it completed whose estimates have gone downstream, or into a sum."""
        return sum(work.done for work in self.work.values())


@dataclass(eq=False)
class Work:
    """Frames that a document completes in one run."""

    announced: list[Announced]
    """The frames, not read yet."""
    submitted: list[tuple[Frame, Future[Any] | None]] | None = None
    """The frames read, and their results, where they are sized while the document waits."""
    done: int = 0
    """How many have been handled."""


class WorkQueue:
    """Handles items one after another in its own thread.

    An item leaves the queue when it has been handled, not before: if the thread ends, another one continues
    with it.

    Parameters
    ----------
    handle
        Called with each item, in order, and with some of those that wait behind it.
    size
        Number of items with frames that may wait; others are few and always accepted.
    policy
        What happens to items with frames when the queue is full.
    idle
        Called in the thread whenever no item waits, and again after as many seconds as it returns if none
        comes.
    hangs
        Called now and then: whether the thread has to be given up.
    spill_folder
        Folder for documents that do not fit in memory; None for that of temporary files.
    max_bytes
        Bytes of arrays and lists in the documents that may wait.
    max_marked_bytes
        The same where documents are marked; more of them wait on disk.
    """

    def __init__(
        self,
        handle: Callable[[Item, Sequence[Item]], None],
        size: int,
        policy: QueuePolicy,
        idle: Callable[[], float | None] = lambda: None,
        hangs: Callable[[], bool] = lambda: False,
        spill_folder: str | os.PathLike[str] | None = None,
        max_bytes: int = QUEUE_BYTES,
        max_marked_bytes: int = MARKED_BYTES,
    ) -> None:
        self._handle = handle
        self._max_bytes, self._max_marked_bytes = max_bytes, max_marked_bytes
        self._idle = idle
        self._hangs = hangs
        self._spill = Spill(spill_folder)
        self._size = size
        self._policy = policy
        # With this policy, items that wait may never be sized.
        self._ahead = 0 if policy is QueuePolicy.NEWEST else AHEAD
        self._items: deque[Item] = deque()
        self._n_frames = 0  # items with frames among them
        self._n_bytes = 0
        self._lock = threading.Lock()
        # One for each that waits: a thread that wakes for nothing takes the interpreter from the plan.
        self._arrived = threading.Condition(self._lock)
        self._handled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._closing = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.restarts = 0
        """Times that the thread ended by itself and was started again."""
        self.marked = 0
        """Items that were marked."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def lag_s(self) -> float:
        """Age of the current item, s; zero where there is none."""
        with self._lock:
            return time.monotonic() - self._items[0].since if self._items else 0.0

    def put(self, item: Item) -> None:
        """Add an item, waiting for room or marking it where the policy says so.

        Parameters
        ----------
        item
            The item.

        Raises
        ------
        RuntimeError
            The queue is closed.
        """
        with self._lock:
            limit, limit_bytes = self._size, self._max_bytes
            if self._full(item, limit, limit_bytes) and self._policy is not QueuePolicy.WAIT:
                self._mark(item if self._policy is QueuePolicy.MARK else self._longest_waiting())
                limit, limit_bytes = limit * MARKED_LIMIT, self._max_marked_bytes
                if self._full(item, limit, limit_bytes):
                    self._revive()
                    self._spill_out(item)
            while self._full(item, limit, limit_bytes) and not self._closing:
                self._revive()
                self._handled.wait(CHECK_S)
            if self._closing:
                raise RuntimeError("the queue is closed")
            item.ahead = len(self._items)
            self._items.append(item)
            self._n_frames += _fills(item)
            self._n_bytes += item.n_bytes
            self._revive()
            self._arrived.notify()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until everything put so far, and meanwhile, is handled.

        Parameters
        ----------
        timeout_s
            How long to wait, s; None for as long as it takes.

        Returns
        -------
        Whether everything is handled.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            while self._items:
                self._revive()
                left = CHECK_S if deadline is None else min(CHECK_S, deadline - time.monotonic())
                if left <= 0:
                    return False
                self._emptied.wait(left)
            return True

    def close(self, timeout_s: float | None = None) -> bool:
        """Handle the waiting items, then end the thread; nothing can be added any more.

        Parameters
        ----------
        timeout_s
            How long to wait, s; None for as long as it takes.

        Returns
        -------
        Whether everything was handled.
        """
        done = self.wait(timeout_s)
        with self._lock:
            self._closing = True
            self._ended.set()
            self._arrived.notify_all()
            self._handled.notify_all()
        if done and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if done:
            self._spill.close()
        return done

    def _full(self, item: Item, limit: int, limit_bytes: int) -> bool:
        """Whether an item would exceed a limit; a single one never does, however large it is."""
        return _fills(item) and (
            self._n_frames >= limit or (self._n_frames > 0 and self._n_bytes + item.n_bytes > limit_bytes)
        )

    def _spill_out(self, item: Item) -> None:
        """Write the document of an item to disk and forget it; it stays in memory where that fails."""
        item.spilled = self._spill.write(item.doc)
        if item.spilled is not None:
            item.doc, item.original, item.n_bytes = {}, None, 0

    def _mark(self, item: Item | None) -> None:
        if item is not None:
            item.marked = True
            self.marked += 1

    def _longest_waiting(self) -> Item | None:
        """Item with frames that has waited longest without being marked; the first is already in work."""
        waiting = islice(self._items, 1, None)
        return next((item for item in waiting if item.name in FRAME_DOCUMENTS and not item.marked), None)

    def _revive(self) -> None:
        """Start the thread, the first time or after it ended or hung; the lock is held."""
        first = self._thread is None
        if self._thread is not None and self._thread.is_alive():
            if not self._hangs():
                return
        elif self._thread is not None:
            logger.error("the sizing thread ended by itself; starting another")
            if self._items:
                self._items[0].interrupted = True
                self._items[0].delivery = None  # it cannot go on where an error ended it
        self.restarts += not first
        # Daemon: a process may end while a downstream writer hangs.
        self._thread = threading.Thread(target=self._work, name="qdsizer", daemon=True)
        self._thread.start()
        if first:
            threading.Thread(target=self._watch, name="qdsizer-watch", daemon=True).start()

    def _watch(self) -> None:
        """Replace a thread that hangs also where no document arrives and nobody waits."""
        while not self._ended.wait(WATCH_S):
            with self._lock:
                if not self._closing:
                    self._revive()

    def _work(self) -> None:
        wait_s: float | None = 0.0
        while True:
            with self._lock:
                if not self._items and not self._closing:
                    self._arrived.wait(wait_s)
                if self._given_up() or (not self._items and self._closing):
                    return
                current = list(islice(self._items, 1 + self._ahead))
            if current:
                item, *behind = current
                try:
                    if item.spilled is not None and not item.doc:
                        item.doc = self._spill.read(item.spilled)
                    self._handle(item, behind)
                except Exception:
                    logger.exception("a %s document could not be handled", item.name)
                with self._lock:
                    if self._given_up():
                        return
                    self._items.popleft()
                    self._n_frames -= _fills(item)
                    if item.spilled is not None:
                        self._spill.drop()
                    self._n_bytes -= item.n_bytes
                    self._handled.notify_all()
                    if not self._items:
                        self._emptied.notify_all()
            if self._items:  # what they hold may be what is waited for
                continue
            try:
                wait_s = self._idle()
            except Exception:
                logger.exception("frames that waited for their event could not be sized")
                wait_s = None

    def _given_up(self) -> bool:
        """Whether another thread has replaced this one; the lock is held."""
        return self._thread is not threading.current_thread()


def _fills(item: Item) -> bool:
    """Whether an item takes room that is limited: one with frames in memory does."""
    return item.name in FRAME_DOCUMENTS and item.spilled is None
