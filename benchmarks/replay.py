"""Replay of an archived run from a Tiled server in a process of its own, and write-back of its sizes.

Run it on an idle machine: ``python -m benchmarks.replay [--frames N] [--workers N] [--profile]``. The frames
are made and stored beforehand by the server's process, which is not timed. Memory is the most that the
replaying process ever held. Frames are read ahead while others are sized, and sized ahead by workers: the
table says how long the replaying thread waited for either.
"""

import argparse
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

from qdsizer_stream.archive import SizingWorkers, WriteBack, embedded_tiled, open_archive, replay_into
from qdsizer_stream.archive import _documents as reading
from qdsizer_stream.archive import _workers as working
from qdsizer_stream.archive._replay_journal import ReplayJournal
from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

WAVELENGTH_ANGSTROM = 0.5637
DETECTOR = nominal_detector(24, 0.0)

PATTERNS = 100
"""Frames that differ in their dots; the others are these with the strips' photons moved on, which costs the
archive as much and the making of them nothing."""


def serve(folder: Path, frames: int, uid: Any, done: Any) -> None:
    """Store a run and serve its archive until told to end."""
    with embedded_tiled(folder) as client:
        (folder / "url").write_text(str(client.context.api_uri))  # as `open_archive` leaves it
        uid.send(store(client, frames))
        done.wait()


@contextmanager
def server(folder: Path, frames: int) -> Iterator[tuple[str, psutil.Process]]:
    """A server in a process of its own, that `open_archive(folder)` finds; gives the run and the process."""
    spawn = multiprocessing.get_context("spawn")
    uid, answer = spawn.Pipe(duplex=False)
    done = spawn.Event()
    process = spawn.Process(target=serve, args=(folder, frames, answer, done))
    process.start()
    try:
        yield uid.recv(), psutil.Process(process.pid)
    finally:
        done.set()
        process.join(30)


def store(catalog: Any, frames: int) -> str:
    """Write a run of frames as a detector would."""
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    dots = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), float(q.max()))
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
    described = bundle.compose_descriptor(
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
    write("descriptor", described.descriptor_doc)
    for number in range(frames):
        frame = patterns[number % len(patterns)].copy()
        frame[number % 7 :: 7] += 1
        event = described.compose_event(data={"mythen_image": frame}, timestamps={"mythen_image": 0.0})
        write("event", event)
    write("stop", bundle.compose_stop())
    return str(bundle.start_doc["uid"])


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # the kernel counts in kB


T = TypeVar("T")


class Stages:
    """Time that the replaying thread spends in each of its stages, s."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()

    def timed(self, stage: str, call: Callable[..., T]) -> Callable[..., T]:
        """Let the time that a call takes count for a stage."""

        def timed(*arguments: Any, **named: Any) -> T:
            begin = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self.spent[stage] += time.perf_counter() - begin

        return timed

    @contextmanager
    def of(self, sizer: Sizer) -> Iterator[None]:
        """Watch the replays of a sizer."""
        ahead = reading.ahead

        def timed_ahead(chunks: Iterator[T]) -> Iterator[T]:
            read = ahead(chunks)
            following = self.timed("waiting for frames", lambda: next(read, None))
            while (chunk := following()) is not None:
                yield chunk

        with (
            patch.object(reading, "ahead", timed_ahead),
            patch.object(working, "_result", self.timed("waiting for workers", working._result)),
            patch.object(sizer.reducer, "pool", self.timed("reduction", sizer.reducer.pool)),
            patch.object(sizer, "examine_pooled", self.timed("sizing", sizer.examine_pooled)),
            patch.object(ReplayJournal, "record", self.timed("journal", ReplayJournal.record)),
        ):
            yield

    def table(self, whole_s: float, frames: int) -> str:
        """Milliseconds a frame of each stage, and of what lies between them."""
        rest = {"documents, and all else": whole_s - self.spent.total(), "together": whole_s}
        return "\n".join(
            f"  {stage:<24} {1000 * spent / frames:6.3f} ms a frame"
            for stage, spent in {**self.spent, **rest}.items()
        )


def processor_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


class Refusing:
    """A destination that refuses: reading and sizing alone are timed, and the journal stays."""

    def find(self, *_: Any) -> None:
        """Find nothing."""

    def write(self, run: Any, documents: Any) -> str:
        """Refuse."""
        raise ArchiveError("as agreed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=0, help="processes that size")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    options = parser.parse_args()
    config = LiveConfig(
        sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
    )
    sizer = Sizer(config.sizing)
    with tempfile.TemporaryDirectory() as name:
        folder, journals = Path(name) / "archive", Path(name) / "journals"
        folder.mkdir()
        with (
            server(folder, options.frames) as (uid, serving),
            open_archive(folder) as catalog,
            SizingWorkers(sizer, options.workers) if options.workers else nullcontext() as workers,
        ):
            run = catalog[uid]
            stages = Stages()
            with stages.of(sizer), cProfile.Profile() if options.profile else nullcontext() as profile:
                begin, used, served = time.perf_counter(), time.process_time(), processor_s(serving)
                with suppress(ArchiveError):
                    replay_into(run, config, Refusing(), journals, sizer, workers=workers)
                spent, used = time.perf_counter() - begin, time.process_time() - used
                served = processor_s(serving) - served
            print(
                f"replay: {options.frames} frames, {options.frames / spent:.0f} a second; processor a frame: "
                f"{1000 * used / options.frames:.2f} ms here, {1000 * served / options.frames:.2f} ms in the "
                f"server; peak memory {peak_gb():.2f} GB"
            )
            print(stages.table(spent, options.frames))
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            begin = time.perf_counter()
            outcome = replay_into(run, config, WriteBack(), journals, sizer)
            print(f"write-back: {outcome.frames} sizes in {time.perf_counter() - begin:.2f} s")
            assert outcome.resumed == outcome.frames == options.frames
            assert run.refresh().metadata["stop"]["num_events"]["qd_size"] == options.frames
            print(f"statuses: {outcome.statuses}; peak memory {peak_gb():.2f} GB")
    print(f"load: {' '.join(Path('/proc/loadavg').read_text().split()[:3])}")


if __name__ == "__main__":
    main()
