"""Replay of an archived run from a Tiled server in a separate process, and write-back of its sizes.

    python -m benchmarks.replay [--frames N] [--workers N] [--profile] [--json FILE]

Run it on an idle machine. The process of the server simulates and stores the frames first, which is not
timed. Memory is the peak of the replaying process. Frames are prefetched while others are sized, and workers
size frames in advance; the stages include how long the replaying thread waited for them.
"""

import cProfile
import multiprocessing
import pstats
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np
import psutil
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run

from benchmarks._detector import LIVE, Q_INV_ANGSTROM, WAVELENGTH_ANGSTROM, synthesis
from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.archive import SizingWorkers, WriteBack, embedded_tiled, open_archive, replay_into
from qdsizer_stream.archive import _documents as reading
from qdsizer_stream.archive import _workers as working
from qdsizer_stream.archive._replay_journal import ReplayJournal
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.sizing import Sizer

PATTERNS = 100
"""Number of different simulated frames; the others are modified copies, which are as large in the archive and
take no time to simulate."""


def serve(folder: Path, frames: int, runs: int, uids: Any, done: Any) -> None:
    """Store runs and serve their archive until the event is set."""
    with embedded_tiled(folder) as client:
        (folder / "url").write_text(str(client.context.api_uri))  # where `open_archive` looks for it
        uids.send([store(client, frames) for _ in range(runs)])
        done.wait()


@contextmanager
def server(folder: Path, frames: int, runs: int = 1) -> Iterator[tuple[list[str], psutil.Process]]:
    """Run a server in a separate process that `open_archive(folder)` finds; yields runs and process."""
    spawn = multiprocessing.get_context("spawn")
    uids, answer = spawn.Pipe(duplex=False)
    done = spawn.Event()
    process = spawn.Process(target=serve, args=(folder, frames, runs, answer, done))
    process.start()
    try:
        yield uids.recv(), psutil.Process(process.pid)
    finally:
        done.set()
        process.join(30)


def store(catalog: Any, frames: int) -> str:
    """Write a run of frames, as from a detector."""
    q, dots = Q_INV_ANGSTROM, synthesis()
    random = np.random.default_rng(7)
    patterns = []
    for elapsed_s in np.linspace(60.0, 600.0, min(PATTERNS, frames)):
        expected = np.zeros(q.size)
        expected[q > 0] = 30 * dots(q[q > 0], float(elapsed_s))
        patterns.append(random.poisson(expected).astype(np.uint32))
    bundle = compose_run(metadata={"plan_name": "benchmark"})
    write = TiledWriter(catalog, batch_size=500)
    write("start", bundle.start_doc)
    wavelength = {"dtype": "number", "shape": [], "source": "x", "units": "angstrom"}
    image = {"dtype": "array", "dtype_numpy": "<u4", "shape": [q.size], "source": "x"}
    descriptor = bundle.compose_descriptor(
        name="primary",
        data_keys={"mythen_image": {**image, "object_name": "mythen"}},
        object_keys={"mythen": ["mythen_image"]},
        configuration={
            "mythen": {
                "data": {"mythen_wavelength": WAVELENGTH_ANGSTROM},
                "timestamps": {"mythen_wavelength": 0.0},
                "data_keys": {"mythen_wavelength": wavelength},
            }
        },
    )
    write("descriptor", descriptor.descriptor_doc)
    for i in range(frames):
        frame = patterns[i % len(patterns)].copy()
        frame[i % 7 :: 7] += 1
        event = descriptor.compose_event(data={"mythen_image": frame}, timestamps={"mythen_image": 0.0})
        write("event", event)
    write("stop", bundle.compose_stop())
    return str(bundle.start_doc["uid"])


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # the kernel reports kB


T = TypeVar("T")


class Stages:
    """Time that the replaying thread spends in each stage, s."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def timed(self, stage: str, call: Callable[..., T]) -> Callable[..., T]:
        """Wrap a function so that its time counts for a stage."""

        def timed(*arguments: Any, **named: Any) -> T:
            start = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self.seconds[stage] += time.perf_counter() - start

        return timed

    @contextmanager
    def of(self, sizer: Sizer) -> Iterator[None]:
        """Time the stages of the replays of a sizer."""
        ahead = reading.ahead

        def timed_ahead(chunks: Iterator[T]) -> Iterator[T]:
            read = ahead(chunks)
            next_chunk = self.timed("waiting for frames", lambda: next(read, None))
            while (chunk := next_chunk()) is not None:
                yield chunk

        with (
            patch.object(reading, "ahead", timed_ahead),
            patch.object(working, "_result", self.timed("waiting for workers", working._result)),
            patch.object(sizer.reducer, "pool", self.timed("reduction", sizer.reducer.pool)),
            patch.object(sizer, "_examined", self.timed("sizing", sizer._examined)),
            patch.object(ReplayJournal, "record", self.timed("journal", ReplayJournal.record)),
        ):
            yield

    def add_to(self, report: BenchmarkReport, total_s: float, frames: int) -> None:
        """Record the time per frame of each stage, of the remainder, and in total."""
        rest = {"documents and remainder": total_s - self.seconds.total(), "total": total_s}
        for stage, seconds in {**self.seconds, **rest}.items():
            report.add(f"replay, time per frame: {stage}", 1000 * seconds / frames, "ms")


def cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


class RejectingDestination:
    """A destination that rejects all documents, to time reading and sizing alone and keep the journal."""

    def find(self, *_: Any) -> None:
        """Find nothing."""

    def write(self, run: Any, documents: Any) -> str:
        """Reject the documents."""
        raise ArchiveError("this destination rejects all documents")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=0, help="number of sizing processes")
    parser.add_argument("--profile", action="store_true", help="print a profile of the replaying process")
    options = parser.parse_args()
    report = BenchmarkReport("replay", options.json)
    sizer = Sizer(LIVE.sizing)
    with tempfile.TemporaryDirectory() as name:
        folder, journals = Path(name) / "archive", Path(name) / "journals"
        folder.mkdir()
        with (
            server(folder, options.frames) as ([uid], serving),
            open_archive(folder) as catalog,
            SizingWorkers(sizer, options.workers) if options.workers else nullcontext() as workers,
        ):
            run = catalog[uid]
            stages = Stages()
            with stages.of(sizer), cProfile.Profile() if options.profile else nullcontext() as profile:
                start, cpu_start, server_start = time.perf_counter(), time.process_time(), cpu_s(serving)
                with suppress(ArchiveError):
                    replay_into(run, LIVE, RejectingDestination(), journals, sizer, workers=workers)
                seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
                server_cpu = cpu_s(serving) - server_start
            report.add("replay, frames", options.frames, "1")
            report.add("replay, rate", options.frames / seconds, "frames/s")
            report.add("replay, CPU time per frame", 1000 * cpu / options.frames, "ms")
            report.add("replay, CPU time per frame of the server", 1000 * server_cpu / options.frames, "ms")
            report.add("replay, peak memory", peak_gb(), "GB")
            stages.add_to(report, seconds, options.frames)
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            start = time.perf_counter()
            outcome = replay_into(run, LIVE, WriteBack(), journals, sizer)
            report.add("write-back, time", time.perf_counter() - start, "s")
            assert outcome.resumed == outcome.frames == options.frames
            assert run.refresh().metadata["stop"]["num_events"]["qd_size"] == options.frames
            report.add("write-back, peak memory", peak_gb(), "GB")
            print(f"statuses: {outcome.statuses}")
    report.write()


if __name__ == "__main__":
    main()
