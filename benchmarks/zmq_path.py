"""0MQ end to end: from a published event of 30 720 strips to its estimate, through a proxy and the service.

Run it on an idle machine: ``python -m benchmarks.zmq_path [--frames N] [--rate HZ]``. Publisher and
listener are this process, the proxy is a thread of it, the service is a process of its own.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from bluesky.callbacks.zmq import Proxy, Publisher

from benchmarks.live_path import StoredMythen, frame, run_of, scene, told
from benchmarks.service_process import DETECTOR, services
from qdsizer_stream.services import pack, unpack

PORT = 9465

QUIET_S = 30.0
"""A listener that hears nothing for so long has heard all there will be."""

SKIPPED = 10
"""Estimates at the begin of a run that are not timed: the run is set up meanwhile."""


LEAST_FRAMES_PER_S, MOST_P99_MS = 200.0, 20.0


def documents(frames: int) -> list[tuple[str, Any]]:
    """A run as a RunEngine tells it."""
    detector = StoredMythen(name="mythen")
    detector.image.put(frame(scene(), 0))
    return run_of(detector, frames)


class Listener:
    """Notes when each estimate arrives."""

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
    """Publish a run at a pace, or as fast as it goes.

    Gives the estimates a second, median and 99th percentile of the wait for one, ms, and how many never came.
    """
    listener.arrived.clear()
    listener.stopped.clear()
    sent: dict[int, float] = {}
    begin = due = time.perf_counter()
    for name, doc in documents:
        if name == "event":
            due += 1 / rate_hz if rate_hz else 0.0
            time.sleep(max(due - time.perf_counter(), 0.0))
            sent[doc["seq_num"]] = time.perf_counter()
        publisher(name, doc)
    heard = -1
    while not listener.stopped.wait(QUIET_S) and len(listener.arrived) > heard:
        heard = len(listener.arrived)
    if len(listener.arrived) <= SKIPPED:
        raise RuntimeError(f"{len(listener.arrived)} estimates within {QUIET_S:g} s: is the machine busy?")
    spent = max(listener.arrived.values()) - begin
    waits = [1000 * (listener.arrived[number] - sent[number]) for number in listener.arrived][SKIPPED:]
    p50, p99 = np.percentile(waits, [50, 99])
    return len(listener.arrived) / spent, float(p50), float(p99), len(sent) - len(listener.arrived)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200.0)
    arguments = parser.parse_args()
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
            publisher("probe", {})  # a new connection loses what is sent before it stands
            time.sleep(0.1)
        print(f"{DETECTOR.n_strips} strips, {arguments.frames} frames, load {os.getloadavg()[0]:.1f}")
        run(publisher, listener, measured[:52], 20.0)  # warm-up: model, caches and connections
        _, p50, p99, missing = run(publisher, listener, measured, arguments.rate)
        told(f"published at {arguments.rate:g} frames/s, median", f"{p50:.2f} ms")
        told("  99 % within", f"{p99:.2f} ms", f"<= {MOST_P99_MS:g} ms", p99 <= MOST_P99_MS)
        told("  estimates that never came", f"{missing}", "0", missing == 0)
        rate, _, _, missing = run(publisher, listener, measured)
        told(
            "published at once, estimates", f"{rate:.0f} frames/s", f">= {LEAST_FRAMES_PER_S:g}",
            rate >= LEAST_FRAMES_PER_S,
        )  # fmt: skip
        told("  estimates that never came", f"{missing}", "0", missing == 0)
        for what in ("marked", "contained"):
            n = int(service.metric(f"qdsizer_{what}_total"))
            told(f"  {what} by the service", f"{n}", "0", n == 0)


if __name__ == "__main__":
    main()
