"""Replay of many runs on a Dask cluster of two workers, beside that by two sizing processes of one command.

    python -m benchmarks.cluster_replay [--runs N] [--frames N] [--rounds N] [--json FILE]

Both size the same runs of one archive, which a separate process serves, and write them there as linked runs,
in turns; the median of the ratios counts. The time to start workers and processes is not counted.
"""

import statistics
import tempfile
import time
from pathlib import Path

from distributed import LocalCluster

from benchmarks._detector import LIVE
from benchmarks._report import BenchmarkReport, argument_parser
from benchmarks.replay import server
from qdsizer_stream.archive import (
    LinkedRuns,
    ReplayOutcome,
    SizingWorkers,
    open_archive,
    replay_into,
    replay_on_cluster,
)
from qdsizer_stream.sizing import Sizer

N_PROCESSES = 2


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--frames", type=int, default=60, help="frames of a run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report = BenchmarkReport("cluster_replay", options.json)
    total = options.runs * options.frames
    sizer = Sizer(LIVE.sizing)
    rates: dict[str, list[float]] = {"cluster": [], "command": []}
    with tempfile.TemporaryDirectory() as name:
        folder, journals = Path(name) / "archive", Path(name) / "journals"
        folder.mkdir()
        with (
            server(folder, options.frames, options.runs) as (uids, _),
            open_archive(folder) as catalog,
            SizingWorkers(sizer, N_PROCESSES) as workers,
            LocalCluster(
                n_workers=N_PROCESSES, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
            ) as cluster,
        ):

            def by_command(some: list[str]) -> None:
                for uid in some:
                    replay_into(
                        catalog[uid], LIVE, LinkedRuns(catalog), journals, sizer, again=True, workers=workers
                    )

            def by_cluster(some: list[str]) -> None:
                settings = dict.fromkeys(some, LIVE)
                for uid, outcome in replay_on_cluster(
                    folder, settings, cluster.scheduler_address, journals, again=True
                ):
                    if not isinstance(outcome, ReplayOutcome):
                        raise RuntimeError(f"run {uid}") from outcome

            by_command(uids[:1])
            by_cluster(uids[:N_PROCESSES])  # each worker loads the model
            for _ in range(options.rounds):
                for kind, size in (("cluster", by_cluster), ("command", by_command)):
                    begin = time.perf_counter()
                    size(uids)
                    rates[kind].append(total / (time.perf_counter() - begin))
    report.add("cluster of two workers", statistics.median(rates["cluster"]), "frames/s")
    report.add("command with two sizing processes", statistics.median(rates["command"]), "frames/s")
    ratios = [one / other for one, other in zip(rates["cluster"], rates["command"], strict=True)]
    report.add("cluster over command", statistics.median(ratios), "1", at_least=0.9)
    report.write()


if __name__ == "__main__":
    main()
