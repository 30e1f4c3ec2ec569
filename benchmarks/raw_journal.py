"""Cost of writing raw documents to the journal before anything else, per event of 30 720 channels.

    python -m benchmarks.raw_journal [--events N] [--turns N] [--json FILE]

Events of a RunEngine are timed with and without the journal, in alternating turns, so that the load of the
machine affects both equally; and the call of the journal alone, beside a plain write of the same bytes. Times
are given by the clock and as CPU time, which other programs lengthen much less. The journal calls
`fsync` in a thread of its own. It takes some seconds and 125 kB of disk per event, which are deleted.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.plans import count
from ophyd import Component, Device, DeviceStatus

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.archive import RawJournal
from qdsizer_stream.devices import UnitSignal

N_CHANNELS = 30_720
MAX_ADDED_MS = 0.15
"""Required: less than a tenth of what the RunEngine itself takes per event."""

Documents = list[tuple[str, Any]]


class Stored(Device):
    """A detector that returns a stored frame."""

    image = Component(UnitSignal, value=np.arange(N_CHANNELS, dtype=np.uint32), unit="counts")

    def trigger(self) -> DeviceStatus:
        """Finish at once."""
        status = DeviceStatus(self)
        status.set_finished()
        return status


@dataclass(frozen=True)
class Spent:
    """Time of one event, ms."""

    wall_ms: float
    cpu_ms: float


def per_event(engine: Any, detector: Device, n_events: int) -> Spent:
    """Wall clock, and CPU time of all threads of this process: of the plan, of the journal, of its fsync."""
    start, cpu = time.perf_counter(), time.process_time()
    engine(count([detector], n_events))
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return Spent(1000 * wall_s / n_events, 1000 * cpu_s / n_events)


def documents_of(detector: Device, n_events: int) -> Documents:
    documents: Documents = []
    RunEngine({})(count([detector], n_events), lambda name, doc: documents.append((name, doc)))
    return documents


def calls(folder: Path, documents: Documents) -> list[Spent]:
    """Time of each call for an event, and CPU time of its thread."""
    journal = RawJournal(folder)
    spent = [timed(partial(journal, name, doc), name) for name, doc in documents]
    journal.close()
    return [one for one in spent if one is not None]


def writes(folder: Path, n_bytes: int, n_writes: int) -> list[Spent]:
    """Time of writes of as many bytes to a file."""
    content = bytes(n_bytes)
    with (folder / "plain").open("wb", buffering=0) as file:
        spent = [timed(partial(file.write, content), "event") for _ in range(n_writes)]
    return [one for one in spent if one is not None]


def timed(call: Callable[[], object], name: str) -> Spent | None:
    start, cpu = time.perf_counter(), time.thread_time()
    call()
    wall_s, cpu_s = time.perf_counter() - start, time.thread_time() - cpu
    return Spent(1000 * wall_s, 1000 * cpu_s) if name == "event" else None


def wall(spent: Sequence[Spent]) -> float:
    return statistics.median(one.wall_ms for one in spent)


def cpu(spent: Sequence[Spent]) -> float:
    return statistics.median(one.cpu_ms for one in spent)


def remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    report = BenchmarkReport("raw_journal", arguments.json)
    detector = Stored(name="det")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = RawJournal(folder)
        without, engine = RunEngine({}), RunEngine({})
        engine.subscribe(journal)
        base: list[Spent] = []
        added: list[Spent] = []
        for turn in range(arguments.turns + 1):
            plain = per_event(without, detector, arguments.events)
            each = per_event(engine, detector, arguments.events)
            remove(folder)
            if turn:  # the first turn is the warm-up
                base.append(plain)
                added.append(Spent(each.wall_ms - plain.wall_ms, each.cpu_ms - plain.cpu_ms))
        journal.close()
        remove(folder)
        report.add("event of 30 720 channels without the journal", wall(base), "ms")
        report.add("the same, CPU time", cpu(base), "ms")
        report.add("added by the journal", wall(added), "ms", at_most=MAX_ADDED_MS)
        report.add("the same, CPU time of all threads", cpu(added), "ms")
        alone = calls(folder, documents_of(detector, arguments.events))
        report.add("the call alone, median", wall(alone), "ms", at_most=MAX_ADDED_MS)
        report.add("the same, CPU time of the thread", cpu(alone), "ms", at_most=MAX_ADDED_MS)
        report.add(
            "the call alone, 99th percentile", float(np.quantile([one.wall_ms for one in alone], 0.99)), "ms"
        )
        plain_writes = writes(folder, 4 * N_CHANNELS, arguments.events)
        report.add("a plain write of the same bytes, median", wall(plain_writes), "ms")
        report.add("the same, CPU time of the thread", cpu(plain_writes), "ms")
    report.write()


if __name__ == "__main__":
    main()
