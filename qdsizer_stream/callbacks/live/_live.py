"""The callback that sizes frames while they are measured."""

import atexit
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bluesky.run_engine import Dispatcher
from event_model import DocumentNames

from ...sizing import Examination, SizeEstimate, Sizer, SizingConfig, Status
from ...sizing.process import SizingProcess, SynchronousExecutor
from ..documents import LiveConfig, RunIndex, array_bytes, owned, unchanged
from ._newest import NewestWins
from ._queue import Item, WorkQueue
from ._run import RunSizing

__all__ = ["Counters", "LiveSizer"]

logger = logging.getLogger(__name__)

EXIT_TIMEOUT_S = 60.0
"""How long the process waits at its end for frames that are not yet sized and written, s."""

OPEN_RUNS = 64
"""Runs that may be open at once; with more, the oldest is one whose stop was lost with its producer."""


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

    Raises
    ------
    ModelError
        The model is unknown or damaged.
    """

    def __init__(self, config: LiveConfig, sizer: Sizer | None = None) -> None:
        self.config = config
        self._sizer = sizer if sizer is not None else Sizer(config.sizing)
        dispatcher: Callable[[], Any] = Dispatcher  # bluesky states no types
        self._dispatcher = dispatcher()
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
        self._queue = WorkQueue(self._handle, config.queue_frames, config.queue_policy, self._release)
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
        self, callback: Callable[[str, Any], object], name: str = "all", newest: bool = False
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

        Returns
        -------
        Token for `unsubscribe`.
        """
        failing = False

        def contained(kind: str, doc: Any) -> None:
            nonlocal failing
            try:
                callback(kind, doc)
                failing = False
            except BaseException:  # SystemExit or CancelledError would end the sizing thread again and again
                self._count("contained")
                if not failing:  # log the first of a series: a dead writer must not fill the log
                    # An archive rejects a run that it already holds: Tiled answers `409 Conflict`.
                    hint = "; if it writes an archive, is another writer subscribed too?" * (kind == "start")
                    logger.exception("%r failed on a %s document; sizing goes on%s", callback, kind, hint)
                failing = True

        target = NewestWins(contained) if newest else contained
        token = int(self._dispatcher.subscribe(target, name))
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
        self._dispatcher.unsubscribe(token)
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
        with self._lock:
            return Counters(
                **self._tally,
                refused=dict(self._refused),
                repeated=self._repeated + sum(run.repeated for run in list(self._runs.values())),
                marked=self._queue.marked,
                restarts=self._queue.restarts + (self._process.restarts if self._process is not None else 0),
                skipped=sum(display.skipped for display in list(self._displays.values())),
                queued=len(self._queue),
                lag_s=self._queue.lag_s,
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
        runs: list[RunSizing] = []
        with self._contained(item):
            runs = self._runs_of(item.name, item.doc)
        if item.name == "stop":
            self._stop(item, runs)
            return
        # Taken before it is passed on: subscribers may change it.
        for run in runs:
            with self._contained(item):
                run.take(item)
        start = owned(item.doc) if item.name == "start" else None
        if not item.forwarded:
            self._forward(item.name, _untouched(item))
            item.forwarded = True
        if start is not None:
            with self._contained(item):
                self._begin(start)
        for run in runs:
            with self._contained(item):
                self._derive(run.documents(item))

    def _submit_frames(self, items: Iterable[Item]) -> None:
        """Take the current event and the events directly behind it, and submit their inline frames.

        The sizing process then works while documents are passed on.
        """
        for item in items:
            if item.name != "event":  # what comes after it may depend on it
                return
            with suppress(Exception):  # reported when its turn comes
                for run in self._index.runs_of(item.name, item.doc):
                    self._runs[run].submit(item)

    def _release(self) -> float | None:
        """Size frames that have waited long enough for another document; runs in the sizing thread.

        Returns
        -------
        Time until the next are due, s; None where none wait for a time.
        """
        due: list[float] = []
        for run in list(self._runs.values()):
            if run.due is None:
                continue
            if run.due <= time.monotonic():
                self._derive(run.release())
            if run.due is not None:
                due.append(run.due)
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _begin(self, start: Mapping[str, Any]) -> None:
        if start["uid"] in self._runs:
            self._repeated += 1
            return
        while len(self._runs) >= OPEN_RUNS:
            lost = self._runs.pop(next(iter(self._runs)))
            lost.close()
            self._repeated += lost.repeated
            self._index.forget(lost.uid)
            logger.warning(
                "run %s is given up: it has no stop, and %d runs started after it", lost.uid, OPEN_RUNS
            )
        self._runs[start["uid"]] = RunSizing(
            start, self.config, self._sizer_for, executor=self._process or SynchronousExecutor()
        )

    def _derive(self, documents: Iterable[tuple[str, Any, Examination | None]]) -> None:
        """Pass on derived documents."""
        for name, derived, examination in documents:
            if examination is not None:
                self._newest = derived["data"]
                self._examination = examination
                self._count_frame(examination.estimate)
            self._forward(name, derived)

    def _runs_of(self, name: str, doc: Mapping[str, Any]) -> list[RunSizing]:
        owners = self._index.runs_of(name, doc)
        if not owners:
            self._count("orphans")
        return [self._runs[owner] for owner in owners if owner in self._runs and name != "start"]

    def _stop(self, item: Item, runs: list[RunSizing]) -> None:
        """Pass a stop on with the number of estimates, then remove the run."""
        stops: list[Any] = [_untouched(item)]
        for run in runs:
            with self._contained(item):
                self._derive(run.finish())
            with self._contained(item):
                stops = run.stop(_untouched(item))
        for stop in stops:
            self._forward("stop", stop)
        for run in runs:
            self._repeated += run.repeated
            del self._runs[run.uid]
            self._index.forget(run.uid)

    def _sizer_for(self, config: SizingConfig) -> Sizer:
        """Use the loaded sizer where it fits: loading a model takes longer than sizing a frame."""
        if config != self._sizer.config:
            self._sizer = Sizer(config)
        return self._sizer

    def _forward(self, name: str, doc: Any) -> None:
        self._dispatcher.process(DocumentNames[name], doc)

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
