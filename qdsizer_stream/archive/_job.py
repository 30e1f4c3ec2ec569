"""One archived run sized again, into a destination."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..callbacks import STREAM_NAME, LiveConfig
from ..models import SizingModel
from ..sizing import Sizer
from ._documents import PATIENCE_S
from ._replay import sized_steps
from ._replay_journal import ReplayJournal, replay_identity
from ._select import plain_run
from ._workers import SizingWorkers

__all__ = ["Destination", "Outcome", "replay_into"]


class Destination(Protocol):
    """Where sizes go."""

    def find(self, run: Any, config: LiveConfig, model: SizingModel) -> str | None:
        """Find equal sizes that are there already; raises where none could be written."""

    def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
        """Write a derived run, whole or not at all, and name what holds it."""


@dataclass
class Outcome:
    """What became of one run."""

    run: str
    """Identifier of the run."""
    written: str | None = None
    """What holds the sizes; None where there was no frame."""
    found: bool = False
    """Whether it held them before."""
    resumed: int = 0
    """Frames that an earlier, interrupted replay had sized."""
    frames: int = 0
    """Estimates."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Estimates by status."""


def replay_into(
    run: Any,
    config: LiveConfig,
    destination: Destination,
    journals: Path,
    sizer: Sizer | None = None,
    *,
    again: bool = False,
    patience_s: float = PATIENCE_S,
    workers: SizingWorkers | None = None,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Outcome:
    """Size an archived run again and write the sizes, unless they are there.

    What is sized goes to a journal first, and from there, once the run has ended, to the destination: an
    interrupted replay goes on where it stopped, and the destination holds the whole or nothing. Where frames
    are added up, it goes on after the last whole sum; where neighbouring sums share frames (modes `rolling`
    and `all`), there is no such place, and it begins anew.

    Parameters
    ----------
    run, config, sizer
        As of `replay`.
    destination
        Where the sizes go.
    journals
        Folder of the journals; made where it does not exist.
    again
        Whether to size even what the destination holds already, and from the beginning.
    patience_s
        As of `run_documents`.
    workers
        Size the frames, in the same order and to the same numbers; None for this thread.
    tell
        Takes what is being done, steps done and steps in all.

    Returns
    -------
    What was written, or found.

    Raises
    ------
    ArchiveError
        The run cannot be read or sized, or the destination refuses; what was sized is kept for the next
        attempt.
    """
    run = plain_run(run)
    sizer = sizer or Sizer(config.sizing)
    uid = str(run.metadata["start"]["uid"])
    there = destination.find(run, config, sizer.model)
    if there is not None and not again:
        return Outcome(uid, there, found=True)
    identity = replay_identity(uid, config, sizer.model)
    with ReplayJournal(journals / f"{identity}.replay", resume=not again) as journal:
        outcome = Outcome(uid, resumed=journal.n_events)
        if not journal.ended:
            # Only for the bar: a run that was never sized has about as many frames as events.
            counts = (run.metadata.get("stop") or {}).get("num_events", {})
            expected = counts.get(STREAM_NAME, sum(counts.values()))
            for step in sized_steps(run, config, sizer, journal.frames_done, patience_s, workers):
                journal.record(step)
                tell("sizing", journal.n_events, max(expected, journal.n_events))
        statuses: Counter[str] = Counter()
        if journal.n_events:
            outcome.written = destination.write(run, _counted(journal, statuses, tell))
        outcome.frames, outcome.statuses = statuses.total(), dict(statuses.most_common())
        journal.remove()
    return outcome


def _counted(
    journal: ReplayJournal, statuses: Counter[str], tell: Callable[[str, int, int], None]
) -> Iterator[tuple[str, Any]]:
    for name, doc in journal.documents():
        if name == "event":
            statuses[doc["data"]["qdsizer_status"]] += 1
            tell("writing", statuses.total(), journal.n_events)
        yield name, doc
