"""One run while it is sized."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from ...errors import CalibrationError, PatternError, QdsizerError
from ...models import Answer
from ...reduction import FrameAccumulator, PooledCounts
from ...sizing import Examination, SizeEstimate, Sizer, SizingConfig, Status
from ...sizing.process import Executor, SynchronousExecutor
from ..documents import (
    DERIVED_STREAMS,
    ROWS_KEY,
    RUN_KEY,
    STREAM_NAME,
    Announced,
    Destination,
    Frame,
    FrameSource,
    LinkedRun,
    LiveConfig,
    SizeStream,
    config_of_run,
)
from ._ledger import FrameLedger
from ._queue import Item, Work

__all__ = ["RunSizing"]

logger = logging.getLogger(__name__)

MAX_FAINT_FRAMES = 100
"""Faint frames in succession after which a sum of them is given up: with that few photons it would mix
sizes."""

Estimate = tuple[Frame, Examination] | tuple[Frame, Examination, bool]
"""A frame, its estimate, and whether that is of a sum of frames, of which it is the last."""


@dataclass(frozen=True, eq=False)
class _FaintSum:
    """Successive frames with too few photons for a size."""

    pooled: PooledCounts
    first_s: float
    last_s: float

    def plus(self, pooled: PooledCounts, clock_s: float) -> "_FaintSum":
        """With one more; only that one where the clock was set back."""
        if clock_s < self.last_s:
            return _FaintSum(pooled, clock_s, clock_s)
        return _FaintSum(self.pooled + pooled, self.first_s, clock_s)


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
    watched
        Whether the examinations are to hold the binned frame, its fit and the checks, for displays.
    """

    def __init__(
        self,
        start: Mapping[str, Any],
        config: LiveConfig,
        sizer_for: Callable[[SizingConfig], Sizer],
        live: bool = True,
        destination: Destination | None = None,
        executor: Executor | None = None,
        watched: bool = True,
    ) -> None:
        self._executor: Executor = executor or SynchronousExecutor()
        self._sizer: Sizer | None = None
        self._refusal = ""
        self._live = live
        self._size_frame = Sizer.examine_frame if watched else Sizer.estimate_frame
        try:
            of_run = config_of_run(config, start)
            self._sizer = sizer_for(of_run.sizing)
            config = of_run  # on an error, the settings of the beamline find the frames
        except Exception as error:
            # Every frame of the run will carry the reason; the run itself goes on.
            self._refusal = f"{error}"
            logger.exception("run %s cannot be sized", start.get("uid"))
        self._source = FrameSource(config, start)
        self._accumulation = config.accumulation
        self._accumulators: dict[str, FrameAccumulator] = {}  # by stream
        self._last: dict[str, Frame] = {}  # newest frame in each
        self._faint: dict[str, _FaintSum] = {}  # by stream
        self._ledger = FrameLedger()
        linked = (destination or config.destination) is Destination.LINKED_RUN
        self._linked = LinkedRun(start, config, self._sizer) if linked else None
        self._started = not linked
        derived_start = self._linked.start if self._linked is not None else start
        self._size_stream = SizeStream(derived_start, config, self._sizer)
        self._replaced: set[str] = set()  # descriptors of another sizer
        self._statuses: Counter[str] = Counter()
        self._marked = 0
        self._longest_lag_s = 0.0
        self._longest_queue = 0
        self.uid = str(start["uid"])
        """Identifier of the run."""
        self.since_s = time.monotonic()
        """When it began here, s on the monotonic clock."""

    @property
    def due(self) -> float | None:
        """When `release` has estimates to give, s on the monotonic clock; None where no frame waits."""
        return self._source.due

    @property
    def holding(self) -> bool:
        """Whether frames that documents have announced wait for other documents, or faint ones for a sum."""
        return self._source.holding or bool(self._faint)

    @property
    def repeated(self) -> int:
        """Events and frames that were delivered again, and not sized twice."""
        return self._source.repeated

    def continue_track(self, data: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Take the sizes of an earlier session into the track.

        Parameters
        ----------
        data
            Stream of the frame and data of the event, of all events so far, in order.
        """
        for stream, one in data:
            self._size_stream.continue_track(stream, one)

    def replaces(self, name: str, doc: Mapping[str, Any]) -> bool:
        """Whether a document is of another sizer's `qd_size`, which that of this one replaces.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            A document of this run.

        Returns
        -------
        True for such a document, which is not passed on: a run has one stream of a name.
        """
        if self._linked is not None:
            return False
        if name == "descriptor" and doc.get("name") in DERIVED_STREAMS:
            if not self._replaced:
                logger.warning(
                    "run %s has a stream %s of another sizer, which that of this one replaces downstream: "
                    'subscribe writers to one sizer, or set destination = "linked-run" to keep both',
                    self.uid, STREAM_NAME,
                )  # fmt: skip
            self._replaced.add(doc["uid"])
        return doc.get("uid" if name == "descriptor" else "descriptor") in self._replaced

    def take(self, item: Item) -> None:
        """Take one raw document, before it is passed on; reads no file.

        Parameters
        ----------
        item
            The document, which keeps the frames that it completes.
        """
        if self.uid not in item.work:
            item.work[self.uid] = Work([])  # a document that cannot be taken is not tried again
            item.work[self.uid] = self._work(self._source.take(item.name, item.doc, item.received))

    def submit(self, item: Item) -> None:
        """Take an event before its turn and submit its frames, if all are inline.

        Parameters
        ----------
        item
            The event, which keeps the futures; every document before it has been taken.
        """
        self.take(item)
        work = item.work[self.uid]
        if work.submitted is None and not item.marked and all(one.inline for one in work.announced):
            frames = [frame for one in work.announced for frame in self._read(one)]
            work.submitted = [(frame, self._submit(frame)) for frame in frames]

    def documents(self, item: Item) -> Iterator[tuple[str, Any, Examination | None]]:
        """Size the frames that a raw document completes.

        Parameters
        ----------
        item
            The document, and how far it has been handled.

        Returns
        -------
        Name, document and, for an event, the values that its estimate is based on: of every frame, or sum
        of frames, that the document completes. The start of a linked run comes before its first.
        """
        self.take(item)
        work = item.work[self.uid]
        for index, (frame, future) in enumerate(self._frames(work)):
            if index < work.done:
                continue
            reason = frame.reason or self._refusal
            if item.marked:
                reason = "not sized: the queue was full; raise queue_frames, or set queue_policy to wait"
            elif item.interrupted and index == work.done:
                reason = "the sizing thread ended while this frame was sized"
            for estimate in self._examined(frame, reason, future):
                yield from self._derived(*estimate)
            work.done = index + 1
            self._marked += item.marked
            self._longest_lag_s = max(self._longest_lag_s, time.monotonic() - item.since)
            self._longest_queue = max(self._longest_queue, item.ahead)

    def release(self) -> Iterator[tuple[str, Any, Examination | None]]:
        """Size frames that have waited long enough for another document.

        Returns
        -------
        As of `documents`.
        """
        item = Item("release", {})
        item.work[self.uid] = self._work(self._source.release())
        yield from self.documents(item)

    def finish(self) -> Iterator[tuple[str, Any, Examination | None]]:
        """Size the frames that still wait for another document, and unfinished sums; call it before `stop`.

        Returns
        -------
        As of `documents`.
        """
        yield from self.documents(Item("stop", {}))
        for stream, accumulator in self._accumulators.items():
            for estimate in self._sized(stream, accumulator.flush()):
                yield from self._derived(*estimate)
        self._ledger.end()
        for stream, n_frames in self._source.left_out.items():
            self._ledger.announce(stream, n_frames)
            self._ledger.outcome(stream, "other_stream", n_frames)

    def stop(self, doc: Mapping[str, Any], taken_off: Sequence[str] = ()) -> list[Any]:
        """Close the run.

        Parameters
        ----------
        doc
            Stop document.
        taken_off
            Names of subscribers that did not receive all its documents because a call did not return.

        Returns
        -------
        Stop documents to pass on: the same one where there are no estimates, a copy that counts them,
        or the same one and that of the linked run. The copy holds the numbers of frames under `qdsizer`.
        """
        self.close()
        n_events = self._size_stream.n_events
        streams = self._ledger.by_stream()
        if not streams:
            logger.warning("run %s: %s", self.uid, self._source.explain_no_frames())
            return [doc]
        tally = {**self._tally(n_events), "streams": streams}
        if self.repeated:
            tally["repeated"] = self.repeated
        if self._source.has_files:
            tally[ROWS_KEY] = sorted(self._source.rows_not_in_order)
        if taken_off:
            tally["subscribers_taken_off"] = list(taken_off)
        logger.info("run %s: %s", self.uid, tally)
        if unaccounted := self._ledger.unaccounted:
            logger.error("run %s: frames without an outcome, by stream: %s", self.uid, unaccounted)
        if not n_events:
            return [doc] if self._linked is not None else [{**doc, RUN_KEY: tally}]
        if self._linked is not None:
            linked = self._linked.stop(n_events, doc["exit_status"], doc.get("reason", ""))
            return [doc, {**linked, RUN_KEY: tally}]
        counts = doc.get("num_events", {}).items()
        num_events = {name: number for name, number in counts if name not in DERIVED_STREAMS}
        num_events[STREAM_NAME] = n_events
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
        self, frame: Frame, examination: Examination, of_sum: bool = False
    ) -> Iterator[tuple[str, Any, Examination | None]]:
        """Documents of one estimate, which is the outcome of its frames once they are composed."""
        self._statuses[examination.estimate.status.value] += 1
        if self._linked is not None and not self._started:
            yield "start", self._linked.start, None
            self._started = True
        evidence = self._faint_evidence(frame, examination)
        # The sum has been sized or was not needed: a display has no use for the counts.
        examination = replace(examination, pooled=None)
        for name, doc in self._size_stream.documents(frame, examination, self._live, evidence):
            yield name, doc, examination if name == "event" else None
        status = examination.estimate.status.value
        if of_sum:
            self._ledger.end_sum(frame.stream, status)
        else:
            self._ledger.outcome(frame.stream, status, frame.n_frames)

    def _faint_evidence(self, frame: Frame, examination: Examination) -> tuple[Answer, float] | None:
        """Answer for the sum of faint frames, once it is complete, and the mean time of its frames."""
        if self._accumulation is not None or self._sizer is None:
            return None  # the settings specify how frames are summed
        if examination.evidence is not None:  # it holds more information than the faint frames before it
            self._faint.pop(frame.stream, None)
        if examination.pooled is None:
            return None
        clock_s = frame.time if frame.clock_s is None else frame.clock_s
        before = self._faint.pop(frame.stream, None)
        try:
            faint = (
                _FaintSum(examination.pooled, clock_s, clock_s)
                if before is None
                else before.plus(examination.pooled, clock_s)
            )
            if faint.pooled.n_frames >= MAX_FAINT_FRAMES:
                return None
            if faint.pooled.total_counts < self._sizer.min_evidence_counts:
                self._faint[frame.stream] = faint
                return None
            together = self._executor.submit(Sizer.examine_pooled, self._sizer, faint.pooled).result()
        except Exception:
            logger.exception("faint frames of run %s could not be sized together", self.uid)
            return None
        if together.evidence is None:
            return None
        return together.evidence, (faint.first_s + clock_s) / 2

    def _frames(self, work: Work) -> Iterable[tuple[Frame, Future[Any] | None]]:
        if work.submitted is not None:
            return work.submitted
        return ((frame, None) for one in work.announced for frame in self._read(one))

    def _work(self, announced: list[Announced]) -> Work:
        for one in announced:
            self._ledger.announce(one.stream, one.n_frames)
        return Work(announced)

    def _read(self, announced: Announced) -> list[Frame]:
        """Frames of one event; the ledger is corrected where the key describes another number of them."""
        frames = list(self._source.read(announced))
        n_frames = sum(frame.n_frames for frame in frames)
        self._ledger.announce(announced.stream, n_frames - announced.n_frames)
        announced.n_frames = n_frames
        return frames

    def _submit(self, frame: Frame) -> Future[Any] | None:
        """Submit the first task of a frame; None where it cannot be sized."""
        if frame.raw is None or self._sizer is None:
            return None
        task = self._size_frame if self._accumulation is None else Sizer.pool
        return self._executor.submit(task, self._sizer, frame.raw)

    def _examined(self, frame: Frame, reason: str, future: Future[Any] | None) -> Iterator[Estimate]:
        """Estimates that a frame leads to, each with the frame that it ends with.

        Its own, or those of the sums that are complete with it. A frame that cannot be reduced joins no sum
        and has an estimate of its own, with the reason.
        """
        if future is None and not reason:
            future = self._submit(frame)
        if reason or future is None:
            yield frame, replace(_bad(reason), n_frames=frame.n_frames)
        elif self._accumulation is None:
            yield frame, self._examination(future, frame)
        else:
            if frame.stream not in self._accumulators:
                self._accumulators[frame.stream] = FrameAccumulator(self._accumulation)
            yield from self._added(self._accumulators[frame.stream], frame, future)

    def _added(
        self, accumulator: FrameAccumulator, frame: Frame, pooled: Future[PooledCounts]
    ) -> Iterator[Estimate]:
        """Estimates of the sums that a frame ends or joins."""
        yield from self._sized(frame.stream, accumulator.expire(frame.time))
        try:
            sums = accumulator.add(pooled.result(), frame.time)
        except Exception as error:
            yield frame, self._failed(frame, error)
        else:
            self._last[frame.stream] = frame
            self._ledger.join_sum(frame.stream)
            yield from self._sized(frame.stream, sums)

    def _sized(self, stream: str, sums: Iterable[PooledCounts]) -> Iterator[Estimate]:
        """Estimates of sums, each with its last frame."""
        for pooled in sums:
            assert self._sizer is not None
            last = self._last[stream]
            future = self._executor.submit(Sizer.examine_pooled, self._sizer, pooled)
            yield last, self._examination(future, last), True

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
