"""The callback that sizes frames while they are measured."""

import atexit
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ...sizing import Examination, SizeEstimate, Sizer, SizingConfig, Status
from ...sizing.process import SizingProcess, SynchronousExecutor
from ..documents import LiveConfig, RunIndex, array_bytes, owned, unchanged
from ._newest import NewestWins
from ._queue import Delivery, Item, WorkQueue
from ._run import RunSizing
from ._subscribers import SUBSCRIBER_TIMEOUT_S, Subscribers

__all__ = ["Counters", "LiveSizer"]

logger = logging.getLogger(__name__)

EXIT_TIMEOUT_S = 60.0
"""How long the process waits at its end for frames that are not yet sized and written, s."""


@dataclass(frozen=True)
class Counters:
    """Numbers of documents and frames since the sizer was made."""

    documents: int = 0
    """Raw documents received."""
    frames: int = 0
    """Events in `qd_size`: one per frame, or one per sum where frames are summed."""
    sized: int = 0
    """Of these, with a size."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Of these, without a size, by status."""
    marked: int = 0
    """Documents whose frames were not sized because the queue was full; in `refused` as well."""
    repeated: int = 0
    """Events, frames and start documents that were delivered again, and not sized twice."""
    orphans: int = 0
    """Documents of runs whose start never came, passed on unsized."""
    contained: int = 0
    """Errors that were caught and logged instead of reaching the plan."""
    restarts: int = 0
    """Times that the sizing thread or process was started again."""
    skipped: int = 0
    """Documents that displays were too slow to receive."""
    undelivered: int = 0
    """Documents that subscribers did not receive because they were taken off: a call did not return."""
    queued: int = 0
    """Documents in the queue now."""
    lag_s: float = 0.0
    """Age of the current document, s."""


class LiveSizer:
    """Sizes every frame of every run and adds the stream `qd_size` to it.

    Subscribe it to the RunEngine, and callbacks that use the raw and the derived documents to it:
    `RE.subscribe(sizer); sizer.subscribe(writer)`. It never raises into the plan; documents reach
    downstream in order, from its own thread, the raw ones unchanged.

    Parameters
    ----------
    config
        Settings of the beamline.
    sizer
        The sizer of `config.sizing`, where it exists already.
    spill_folder
        Folder on a disk for documents that do not fit in memory; None for that of temporary files.

    Raises
    ------
    ModelError
        The model is unknown or damaged.
    """

    def __init__(
        self,
        config: LiveConfig,
        sizer: Sizer | None = None,
        spill_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.config = config
        self._sizer = sizer if sizer is not None else Sizer(config.sizing)
        self._subscribers = Subscribers(self._count)
        self._released: Delivery | None = None
        self._runs: dict[str, RunSizing] = {}
        self._index = RunIndex()
        self._lock = threading.Lock()
        self._tally: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._repeated = 0  # of runs that have ended
        self._newest: dict[str, Any] | None = None
        self._examination: Examination | None = None
        self._displays: dict[int, NewestWins] = {}
        self._process = SizingProcess(self._sizer) if config.workers else None
        if self._process is None:
            self._sizer.prepare()
        self._queue = WorkQueue(
            self._handle,
            config.queue_frames,
            config.queue_policy,
            self._release,
            self._subscribers.take_off_hanging,
            spill_folder,
        )
        atexit.register(self.close, EXIT_TIMEOUT_S)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Receive a document; returns at once.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document; copied where it may be changed, never changed here.
        """
        try:
            own = owned(doc)
            self._queue.put(Item(name, own, doc, n_bytes=array_bytes(own)))
            self._count("documents")
        except Exception:
            self._count("contained")
            logger.exception("a %s document could not be queued", name)

    def subscribe(
        self,
        callback: Callable[[str, Any], object],
        name: str = "all",
        newest: bool = False,
        timeout_s: float | None = SUBSCRIBER_TIMEOUT_S,
    ) -> int:
        """Send documents, raw and derived, to a callback.

        Parameters
        ----------
        callback
            Called with name and document in the sizing thread; its errors are logged and counted.
        name
            Kind of document to send.
        newest
            Whether it is a display: called in a separate thread, so that sizing does not wait for it, and
            only with the newest of the events that arrived in the meantime.
        timeout_s
            Time after which a call counts as hanging, s: the callback is then taken off, so that it holds
            neither the plan nor the other callbacks, and receives whole runs again once it has returned.
            None to wait for it for ever.

        Returns
        -------
        Token for `unsubscribe`.
        """
        target = NewestWins(self._subscribers.contained(callback)) if newest else callback
        token = self._subscribers.subscribe(target, name, timeout_s)
        if isinstance(target, NewestWins):
            self._displays[token] = target
        return token

    def unsubscribe(self, token: int) -> None:
        """Send no more documents to a callback.

        Parameters
        ----------
        token
            Return value of `subscribe`.
        """
        self._subscribers.unsubscribe(token)
        if token in self._displays:
            self._displays.pop(token).close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every document so far has been handled and passed on.

        Parameters
        ----------
        timeout_s
            How long to wait, s; None for as long as it takes.

        Returns
        -------
        Whether that is the case.
        """
        return self._queue.wait(timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Finish the waiting documents and end the thread; later documents are rejected and logged.

        Parameters
        ----------
        timeout_s
            How long to wait, s; None for as long as it takes.

        Returns
        -------
        Whether every document was sized and passed on.
        """
        atexit.unregister(self.close)
        done = self._queue.close(timeout_s)
        for display in self._displays.values():
            display.close()
        if not done:
            logger.error("closed with %d documents not passed on", len(self._queue))
        elif self._process is not None:
            self._process.close()
        return done

    @property
    def newest(self) -> dict[str, Any] | None:
        """Data of the newest event in `qd_size`, by data key; None before the first."""
        return self._newest

    @property
    def examination(self) -> Examination | None:
        """Values behind the newest estimate, for displays; in a subscriber, those of the current event."""
        return self._examination

    @property
    def counters(self) -> Counters:
        """Numbers of documents and frames so far."""
        lag_s = self._queue.lag_s  # not below: the queue counts too, with its own lock
        with self._lock:
            return Counters(
                **self._tally,
                refused=dict(self._refused),
                repeated=self._repeated + sum(run.repeated for run in list(self._runs.values())),
                marked=self._queue.marked,
                restarts=self._queue.restarts + (self._process.restarts if self._process is not None else 0),
                skipped=sum(display.skipped for display in list(self._displays.values())),
                queued=len(self._queue),
                lag_s=lag_s,
            )

    @property
    def worker_pid(self) -> int:
        """Identifier (PID) of the sizing process, for monitoring.

        Raises
        ------
        LookupError
            There is no process.
        """
        if self._process is None:
            raise LookupError("workers is 0: a thread of this process sizes, set workers = 1 for a process")
        return self._process.pid

    def _handle(self, item: Item, behind: Sequence[Item]) -> None:
        """Pass a document on, then its derived documents; runs in the sizing thread."""
        self._submit_frames([item, *behind])
        if self._released is not None and not self._deliver(self._released):
            return
        if item.delivery is None:
            item.delivery = Delivery(self._documents(item))
        self._deliver(item.delivery)

    def _deliver(self, delivery: Delivery) -> bool:
        """Pass documents on; False where a subscriber hung, and another thread has gone on with them."""
        while (document := delivery.current()) is not None:
            if not self._subscribers.deliver(*document, delivery.reached):
                return False
            delivery.advance()
        return True

    def _documents(self, item: Item) -> Iterator[tuple[str, Any]]:
        """A document and its derived ones, each composed when the one before has been passed on."""
        runs: list[RunSizing] = []
        with self._contained(item):
            runs = self._runs_of(item.name, item.doc)
        if item.name == "stop":
            yield from self._stop(item, runs)
            return
        if any(run.replaces(item.name, item.doc) for run in runs):
            return
        # Taken before it is passed on: subscribers may change it.
        for run in runs:
            with self._contained(item):
                run.take(item)
        start = owned(item.doc) if item.name == "start" else None
        if not item.forwarded:
            yield item.name, _untouched(item)
            item.forwarded = True
        if start is not None:
            with self._contained(item):
                self._begin(start)
        for run in runs:
            with self._contained(item):
                yield from self._derived(run.documents(item))

    def _submit_frames(self, items: Iterable[Item]) -> None:
        """Take the current event and the events directly behind it, and submit their inline frames.

        The sizing process then works while documents are passed on.
        """
        for item in items:
            if item.name != "event":  # what comes after it may depend on it
                return
            if item.submitted:
                continue
            item.submitted = True
            with suppress(Exception):  # reported when its turn comes
                for run in self._index.runs_of(item.name, item.doc):
                    self._runs[run].submit(item)

    def _release(self) -> float | None:
        """Size frames that have waited long enough for another document; runs in the sizing thread.

        Returns
        -------
        Time until the next are due, s; None where none wait for a time.
        """
        if self._released is not None and not self._deliver(self._released):
            return None
        due: list[float] = []
        for run in list(self._runs.values()):
            if run.due is None:
                continue
            if run.due <= time.monotonic():
                self._released = Delivery(self._derived(run.release()))
                if not self._deliver(self._released):
                    return None
            if run.due is not None:
                due.append(run.due)
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _begin(self, start: Mapping[str, Any]) -> None:
        if start["uid"] in self._runs:
            self._repeated += 1
            return
        for uid, reason in self._index.given_up():
            if (lost := self._runs.pop(uid, None)) is not None:
                lost.close()
                self._repeated += lost.repeated
            logger.warning("run %s is given up: %s", uid, reason)
        self._runs[start["uid"]] = RunSizing(
            start, self.config, self._sizer_for, executor=self._process or SynchronousExecutor()
        )

    def _derived(self, documents: Iterable[tuple[str, Any, Examination | None]]) -> Iterator[tuple[str, Any]]:
        """Derived documents to pass on."""
        for name, derived, examination in documents:
            if examination is not None:
                self._newest = derived["data"]
                self._examination = examination
                self._count_frame(examination.estimate)
            yield name, derived

    def _runs_of(self, name: str, doc: Mapping[str, Any]) -> list[RunSizing]:
        owners = self._index.runs_of(name, doc)
        if not owners:
            self._count("orphans")
        return [self._runs[owner] for owner in owners if owner in self._runs and name != "start"]

    def _stop(self, item: Item, runs: list[RunSizing]) -> Iterator[tuple[str, Any]]:
        """A stop with the number of estimates; then the run is removed."""
        stops: list[Any] = [_untouched(item)]
        for run in runs:
            with self._contained(item):
                yield from self._derived(run.finish())
            with self._contained(item):
                stops = run.stop(_untouched(item), self._subscribers.missing_since(run.since_s))
        for stop in stops:
            yield "stop", stop
        for run in runs:
            self._repeated += run.repeated
            del self._runs[run.uid]
            self._index.forget(run.uid)

    def _sizer_for(self, config: SizingConfig) -> Sizer:
        """Use the loaded sizer where it fits: loading a model takes longer than sizing a frame."""
        if config != self._sizer.config:
            self._sizer = Sizer(config)
        return self._sizer

    @contextmanager
    def _contained(self, item: Item) -> Iterator[None]:
        """Limit an error to the current document."""
        try:
            yield
        except Exception:
            self._count("contained")
            logger.exception("a %s document could not be sized", item.name)

    def _count(self, what: str) -> None:
        with self._lock:
            self._tally[what] += 1

    def _count_frame(self, estimate: SizeEstimate) -> None:
        with self._lock:
            self._tally["frames"] += 1
            if estimate.status is Status.SIZED:
                self._tally["sized"] += 1
            else:
                self._refused[estimate.status.value] += 1


def _untouched(item: Item) -> Any:
    """A document as it was when it was received: the same object, unless it has been or can be changed."""
    return item.original if unchanged(item.original, item.doc) else item.doc
