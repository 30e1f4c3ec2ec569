"""One run while it is sized."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from ...errors import CalibrationError, PatternError, QdsizerError
from ...reduction import FrameAccumulator, PooledCounts
from ...sizing import Examination, SizeEstimate, Sizer, SizingConfig, Status
from ...sizing.process import Executor, SynchronousExecutor
from ..documents import (
    RUN_KEY,
    STREAM_NAME,
    Destination,
    Frame,
    FrameSource,
    LinkedRun,
    LiveConfig,
    SizeStream,
    config_of_run,
)
from ._queue import Item

__all__ = ["RunSizing"]

logger = logging.getLogger(__name__)


class RunSizing:
    """Handles the documents of one run and composes those of its estimates.

    Parameters
    ----------
    start
        Start document of the run.
    config
        Settings of the beamline; the start document may override them.
    sizer_for
        Returns the sizer of a configuration; may raise.
    live
        Whether the documents come from a running experiment.
    destination
        Where the estimates go; None to follow the settings.
    executor
        Runs the tasks of the sizer, in this process or in another; None for the thread that asks.
    """

    def __init__(
        self,
        start: Mapping[str, Any],
        config: LiveConfig,
        sizer_for: Callable[[SizingConfig], Sizer],
        live: bool = True,
        destination: Destination | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._executor: Executor = executor or SynchronousExecutor()
        self._sizer: Sizer | None = None
        self._refusal = ""
        self._live = live
        try:
            of_run = config_of_run(config, start)
            self._sizer = sizer_for(of_run.sizing)
            config = of_run  # on an error, the settings of the beamline find the frames
        except Exception as error:
            # Every frame of the run will carry the reason; the run itself goes on.
            self._refusal = f"{error}"
            logger.exception("run %s cannot be sized", start.get("uid"))
        self._source = FrameSource(config, start)
        self._accumulator = None if config.accumulation is None else FrameAccumulator(config.accumulation)
        self._last: Frame | None = None  # of those in the accumulator
        linked = (destination or config.destination) is Destination.LINKED_RUN
        self._linked = LinkedRun(start, config, self._sizer) if linked else None
        self._started = not linked
        derived_start = self._linked.start if self._linked is not None else start
        self._size_stream = SizeStream(derived_start, config, self._sizer)
        self._statuses: Counter[str] = Counter()
        self._marked = 0
        self._longest_lag_s = 0.0
        self._longest_queue = 0
        self.uid = str(start["uid"])
        """Identifier of the run."""

    def submit(self, item: Item) -> None:
        """Submit the frames of an event before its turn, if they are inline in the event.

        Parameters
        ----------
        item
            The event, which keeps the futures; every document before it that is not an event has been
            handled.
        """
        if item.submitted is None and not item.marked and self._source.holds_frames(item.name, item.doc):
            frames = self._source.frames(item.name, item.doc, item.received)
            item.submitted = [(frame, self._submit(frame)) for frame in frames]

    def documents(self, item: Item) -> Iterator[tuple[str, Any, Examination | None]]:
        """Handle one raw document.

        Parameters
        ----------
        item
            The document, and how far it has been handled.

        Returns
        -------
        Name, document and, for an event, the values that its estimate is based on: of every frame, or sum
        of frames, that the document completes.
        The start of a linked run comes before its first.
        """
        for index, (frame, future) in enumerate(self._frames(item)):
            if index < item.frames_done:
                continue
            reason = frame.reason or self._refusal
            if item.marked:
                reason = "not sized: the queue was full; raise queue_frames, or set queue_policy to wait"
            elif item.interrupted and index == item.frames_done:
                reason = "the sizing thread ended while this frame was sized"
            for of, examination in self._examined(frame, reason, future):
                yield from self._derived(of, examination)
            item.frames_done = index + 1
            self._marked += item.marked
            self._longest_lag_s = max(self._longest_lag_s, time.monotonic() - item.since)
            self._longest_queue = max(self._longest_queue, item.ahead)

    def finish(self) -> Iterator[tuple[str, Any, Examination | None]]:
        """Size the frames of unfinished sums; call it before `stop`.

        Returns
        -------
        As of `documents`.
        """
        if self._accumulator is not None:
            for of, examination in self._sized(self._last, self._accumulator.flush()):
                yield from self._derived(of, examination)

    def stop(self, doc: Mapping[str, Any]) -> list[Any]:
        """Close the run.

        Parameters
        ----------
        doc
            Stop document.

        Returns
        -------
        Stop documents to pass on: the same one where there are no estimates, a copy that counts them,
        or the same one and that of the linked run. The copy holds the numbers of frames under `qdsizer`.
        """
        self.close()
        n_events = self._size_stream.n_events
        if not n_events:
            logger.warning("run %s: %s", self.uid, self._source.explain_no_frames())
            return [doc]
        tally = self._tally(n_events)
        logger.info("run %s: %s", self.uid, tally)
        if self._linked is not None:
            linked = self._linked.stop(n_events, doc["exit_status"], doc.get("reason", ""))
            return [doc, {**linked, RUN_KEY: tally}]
        num_events = {**doc.get("num_events", {}), STREAM_NAME: n_events}
        return [{**doc, "num_events": num_events, RUN_KEY: tally}]

    def close(self) -> None:
        """Close the files of the run."""
        self._source.close()

    def _tally(self, n_events: int) -> dict[str, Any]:
        """Numbers of frames, for the stop document and the log."""
        sized = self._statuses[Status.SIZED]
        refused = {status: n for status, n in self._statuses.items() if status != Status.SIZED}
        tally = {"frames": n_events, "sized": sized, "refused": refused, "marked": self._marked}
        if self._live:
            tally |= {"longest_lag_s": self._longest_lag_s, "longest_queue": self._longest_queue}
        return tally

    def _derived(
        self, frame: Frame, examination: Examination
    ) -> Iterator[tuple[str, Any, Examination | None]]:
        """Documents of one estimate."""
        self._statuses[examination.estimate.status.value] += 1
        if self._linked is not None and not self._started:
            yield "start", self._linked.start, None
            self._started = True
        for name, doc in self._size_stream.documents(
            frame, examination, self._source.stream or "", self._source.data_key or "", self._live
        ):
            yield name, doc, examination if name == "event" else None

    def _frames(self, item: Item) -> Iterable[tuple[Frame, Future[Any] | None]]:
        if item.submitted is not None:
            return item.submitted
        return ((frame, None) for frame in self._source.frames(item.name, item.doc, item.received))

    def _submit(self, frame: Frame) -> Future[Any] | None:
        """Submit the first task of a frame; None where it cannot be sized."""
        if frame.raw is None or self._sizer is None:
            return None
        task = Sizer.examine_frame if self._accumulator is None else Sizer.pool
        return self._executor.submit(task, self._sizer, frame.raw)

    def _examined(
        self, frame: Frame, reason: str, future: Future[Any] | None
    ) -> Iterator[tuple[Frame, Examination]]:
        """Estimates that a frame leads to, each with the frame that it ends with.

        Its own, or those of the sums that are complete with it. A frame that cannot be reduced joins no sum
        and has an estimate of its own, with the reason.
        """
        if future is None and not reason:
            future = self._submit(frame)
        if reason or future is None:
            yield frame, _bad(reason)
        elif self._accumulator is None:
            yield frame, self._examination(future, frame)
        else:
            yield from self._added(self._accumulator, frame, future)

    def _added(
        self, accumulator: FrameAccumulator, frame: Frame, pooled: Future[PooledCounts]
    ) -> Iterator[tuple[Frame, Examination]]:
        """Estimates of the sums that a frame ends or joins."""
        yield from self._sized(self._last, accumulator.expire(frame.time))
        try:
            sums = accumulator.add(pooled.result(), frame.time)
        except Exception as error:
            yield frame, self._failed(frame, error)
        else:
            self._last = frame
            yield from self._sized(frame, sums)

    def _sized(self, last: Frame | None, sums: Iterable[PooledCounts]) -> Iterator[tuple[Frame, Examination]]:
        """Estimates of sums that end with a frame."""
        for pooled in sums:
            assert last is not None  # a sum holds frames
            assert self._sizer is not None
            yield (
                last,
                self._examination(self._executor.submit(Sizer.examine_pooled, self._sizer, pooled), last),
            )

    def _examination(self, future: Future[Examination], frame: Frame) -> Examination:
        try:
            return future.result()
        except Exception as error:
            return self._failed(frame, error)

    def _failed(self, frame: Frame, error: Exception) -> Examination:
        """Make an error the reason of one frame."""
        if isinstance(error, CalibrationError | PatternError):
            return _bad(f"{error}")  # a fault of the frame
        logger.error("frame %s of run %s could not be sized", frame.seq_num, self.uid, exc_info=error)
        kind = "" if isinstance(error, QdsizerError) else f"{type(error).__name__}: "
        return _bad(f"sizing failed: {kind}{error}")


def _bad(reason: str) -> Examination:
    return Examination(SizeEstimate(status=Status.BAD_FRAME, reason=reason))
