"""0MQ end to end: from a published event of 30 720 strips to its estimate, through a proxy and the service.

    python -m benchmarks.zmq_path [--frames N] [--rate HZ] [--json FILE]

Run it on an idle machine. Publisher, listener and proxy run in this process, the service in a separate one.
"""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from bluesky.callbacks.zmq import Proxy, Publisher

from benchmarks._detector import DETECTOR, synthesis
from benchmarks._report import BenchmarkReport, argument_parser
from benchmarks.live_path import StoredMythen, frame, run_of
from benchmarks.service_process import services
from qdsizer_stream.services import pack, unpack

PORT = 9465

QUIET_S = 30.0
"""Time without a message after which no more messages are expected, s."""

SKIPPED_ESTIMATES = 10
"""Estimates at the beginning of a run that are not timed because the run is being set up."""

MIN_FRAMES_PER_S, MAX_P99_MS = 200.0, 20.0


def documents(frames: int) -> list[tuple[str, Any]]:
    """Documents of a run of a RunEngine."""
    detector = StoredMythen(name="mythen")
    detector.image.put(frame(synthesis(), 0))
    return run_of(detector, frames)


class Listener:
    """Records when each estimate arrives."""

    def __init__(self, address: str) -> None:
        self.arrived: dict[int, float] = {}
        self.stopped = threading.Event()
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.rcvhwm = 100_000
        self._socket.subscribe(b"qdsizer ")
        self._socket.connect(address)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            message = self._socket.recv()
            now = time.perf_counter()
            _, name, packed = message.split(b" ", 2)
            if name == b"event":
                self.arrived[unpack(packed)["data"]["qdsizer_frame_seq_num"]] = now
            elif name == b"stop":
                self.stopped.set()


def run(
    publisher: Publisher, listener: Listener, documents: list[tuple[str, Any]], rate_hz: float = 0.0
) -> tuple[float, float, float, int]:
    """Publish a run at a constant rate, or as fast as possible.

    Returns
    -------
    Estimates per second, median and 99 % quantile of the latency in ms, and number of missing estimates.
    """
    listener.arrived.clear()
    listener.stopped.clear()
    sent: dict[int, float] = {}
    start = due = time.perf_counter()
    for name, doc in documents:
        if name == "event":
            due += 1 / rate_hz if rate_hz else 0.0
            time.sleep(max(due - time.perf_counter(), 0.0))
            sent[doc["seq_num"]] = time.perf_counter()
        publisher(name, doc)
    n_arrived = -1
    while not listener.stopped.wait(QUIET_S) and len(listener.arrived) > n_arrived:
        n_arrived = len(listener.arrived)
    if len(listener.arrived) <= SKIPPED_ESTIMATES:
        raise RuntimeError(
            f"only {len(listener.arrived)} estimates arrived, none within the last {QUIET_S:g} s: "
            "run the benchmark on an idle machine"
        )
    seconds = max(listener.arrived.values()) - start
    latencies = [1000 * (listener.arrived[seq_num] - sent[seq_num]) for seq_num in listener.arrived][
        SKIPPED_ESTIMATES:
    ]
    p50, p99 = np.percentile(latencies, [50, 99])
    return len(listener.arrived) / seconds, float(p50), float(p99), len(sent) - len(listener.arrived)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200.0)
    arguments = parser.parse_args()
    report = BenchmarkReport("zmq_path", arguments.json)
    measured = documents(arguments.frames)
    proxy = Proxy("127.0.0.1", "127.0.0.1")
    threading.Thread(target=proxy.start, daemon=True).start()
    tables = (
        f'[input]\nkind = "zmq"\naddress = "{proxy.out_port}"\n'
        f'[[output]]\nkind = "zmq"\naddress = "{proxy.in_port}"\n'
    )
    with tempfile.TemporaryDirectory() as folder, services(Path(folder), tables, [PORT]) as (service,):
        service.wait_for("listening to the 0MQ proxy")
        listener = Listener(proxy.out_port)
        publisher = Publisher(proxy.in_port, serializer=pack)
        while not service.metric("qdsizer_malformed_total"):
            publisher("probe", {})  # messages sent before the connection is established are lost
            time.sleep(0.1)
        print(f"{DETECTOR.n_strips} strips, {arguments.frames} frames")
        run(publisher, listener, measured[:52], 20.0)  # warm-up: model, caches and connections
        _, p50, p99, missing = run(publisher, listener, measured, arguments.rate)
        paced = f"published at {arguments.rate:g} frames/s"
        report.add(f"{paced}: latency, median", p50, "ms")
        report.add(f"{paced}: latency, 99 % quantile", p99, "ms", at_most=MAX_P99_MS)
        report.add(f"{paced}: missing estimates", missing, "1", at_most=0)
        rate, _, _, missing = run(publisher, listener, measured)
        report.add("published at once: rate of estimates", rate, "frames/s", at_least=MIN_FRAMES_PER_S)
        report.add("published at once: missing estimates", missing, "1", at_most=0)
        for metric, name in (("marked", "frames marked as not sized"), ("contained", "errors")):
            n = service.metric(f"qdsizer_{metric}_total")
            report.add(f"{name} in the service", n, "1", at_most=0)
    report.write()


if __name__ == "__main__":
    main()
