"""Cost of writing raw documents to the journal before anything else, per event of 30 720 channels.

    python -m benchmarks.raw_journal [--events N] [--turns N] [--json FILE]

Events of a RunEngine are timed with and without the journal, in alternating turns, so that the load of the
machine affects both equally; and the call of the journal alone. The journal calls `fsync` in a thread of its
own. It takes some seconds and 125 kB of disk per event, which are deleted.
"""

import statistics
import tempfile
import time
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


def per_event_ms(engine: Any, detector: Device, n_events: int) -> float:
    start = time.perf_counter()
    engine(count([detector], n_events))
    return 1000 * (time.perf_counter() - start) / n_events


def documents_of(detector: Device, n_events: int) -> Documents:
    documents: Documents = []
    RunEngine({})(count([detector], n_events), lambda name, doc: documents.append((name, doc)))
    return documents


def call_ms(folder: Path, documents: Documents) -> list[float]:
    """Time of each call for an event."""
    journal = RawJournal(folder)
    spent = []
    for name, doc in documents:
        start = time.perf_counter()
        journal(name, doc)
        if name == "event":
            spent.append(1000 * (time.perf_counter() - start))
    journal.close()
    return spent


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
        base, added = [], []
        for turn in range(arguments.turns + 1):
            plain = per_event_ms(without, detector, arguments.events)
            each = per_event_ms(engine, detector, arguments.events)
            remove(folder)
            if turn:  # the first turn is the warm-up
                base.append(plain)
                added.append(each - plain)
        journal.close()
        remove(folder)
        report.add("event of 30 720 channels without the journal", statistics.median(base), "ms")
        report.add("added by the journal", statistics.median(added), "ms", at_most=MAX_ADDED_MS)
        spent = call_ms(folder, documents_of(detector, arguments.events))
        report.add("the call alone, median", statistics.median(spent), "ms", at_most=MAX_ADDED_MS)
        report.add("the call alone, 99th percentile", float(np.quantile(spent, 0.99)), "ms")
    report.write()


if __name__ == "__main__":
    main()
