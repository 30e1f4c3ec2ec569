"""Sizing an archived run again and writing the sizes to a destination."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..callbacks import STREAM_NAME, LiveConfig, with_smoothed
from ..models import SizingModel
from ..sizing import Sizer
from ._documents import PATIENCE_S, REQUEST_BYTES
from ._replay import sized_steps
from ._replay_journal import ReplayJournal, replay_identity
from ._select import plain_run
from ._tally import RowCountError
from ._workers import SizingWorkers

__all__ = ["ReplayDestination", "ReplayOutcome", "replay_into"]

logger = logging.getLogger(__name__)


class ReplayDestination(Protocol):
    """Receiver of the sizes of a replay."""

    def find(self, run: Any, config: LiveConfig, model: SizingModel) -> str | None:
        """Find equal sizes that already exist; raises where sizes cannot be written."""

    def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
        """Write a derived run, whole or not at all, and return the identifier of what holds it.

        Its documents have two streams, `qd_size` and, at the end, `qd_size_smoothed`.
        """


@dataclass
class ReplayOutcome:
    """Result for one run."""

    run: str
    """Identifier of the run."""
    written: str | None = None
    """Identifier of what holds the sizes; None where the run has no frame."""
    found: bool = False
    """Whether the sizes existed before."""
    resumed: int = 0
    """Frames sized by an earlier, interrupted replay."""
    frames: int = 0
    """Number of estimates."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Number of estimates by status."""


def replay_into(
    run: Any,
    config: LiveConfig,
    destination: ReplayDestination,
    journals: str | os.PathLike[str],
    sizer: Sizer | None = None,
    *,
    again: bool = False,
    patience_s: float = PATIENCE_S,
    request_bytes: int = REQUEST_BYTES,
    workers: SizingWorkers | None = None,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> ReplayOutcome:
    """Size an archived run again and write the sizes, unless they already exist.

    Estimates go to a journal first and, once the run has ended, from there to the destination: an
    interrupted replay continues where it stopped, and the destination holds all sizes or none. Where frames
    are summed, it continues after the last complete sum; where neighbouring sums share frames (modes
    `rolling` and `all`), it starts again from the beginning.

    Parameters
    ----------
    run, config, sizer
        As of `replay`.
    destination
        Receiver of the sizes.
    journals
        Folder of the journals; created if it does not exist.
    again
        Whether to size even where the destination holds equal sizes, and from the beginning.
    patience_s, request_bytes
        As of `run_documents`.
    workers
        Processes that size the frames, with the same results; None for this thread.
    report
        Called with a description, the steps done and the total number of steps.

    Returns
    -------
    Summary of what was written or found.

    Raises
    ------
    ArchiveError
        The run cannot be read or sized, or the destination does not accept it; estimates so far are kept
        for the next attempt.
    """
    run = plain_run(run)
    sizer = sizer or Sizer(config.sizing)
    uid = str(run.metadata["start"]["uid"])
    there = destination.find(run, config, sizer.model)
    if there is not None and not again:
        return ReplayOutcome(uid, there, found=True)
    identity = replay_identity(uid, config, sizer.model)
    with ReplayJournal(Path(journals) / f"{identity}.replay", resume=not again) as journal:
        outcome = ReplayOutcome(uid, resumed=journal.n_events)
        if not journal.ended:
            # For the progress bar only: a run that was never sized has about as many frames as events.
            counts = (run.metadata.get("stop") or {}).get("num_events", {})
            expected = counts.get(STREAM_NAME, sum(counts.values()))
            steps = sized_steps(
                run,
                config,
                sizer,
                journal.frames_done,
                patience_s,
                workers,
                list(journal.documents()),
                request_bytes,
            )
            for step in steps:
                journal.record(step)
                report("sizing", journal.n_events, max(expected, journal.n_events))
        statuses: Counter[str] = Counter()

        def documents() -> Iterator[tuple[str, Any]]:
            return with_smoothed(_counted(journal, statuses, report))

        if journal.n_events:
            try:
                outcome.written = destination.write(run, documents())
            except RowCountError as error:
                logger.warning("%s; written once more", error)
                statuses.clear()
                outcome.written = destination.write(run, documents())
        outcome.frames, outcome.statuses = statuses.total(), dict(statuses.most_common())
        journal.remove()
    return outcome


def _counted(
    journal: ReplayJournal, statuses: Counter[str], report: Callable[[str, int, int], None]
) -> Iterator[tuple[str, Any]]:
    for name, doc in journal.documents():
        if name == "event":
            statuses[doc["data"]["qdsizer_status"]] += 1
            report("writing", statuses.total(), journal.n_events)
        yield name, doc
