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
from bluesky import RunEngine
from bluesky.callbacks.zmq import Proxy, Publisher
from bluesky.plans import count

from benchmarks.live_path import WAVELENGTH_ANGSTROM, StoredMythen, frame
from benchmarks.service_process import DETECTOR, services
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.services import pack, unpack
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe

PORT = 9465

QUIET_S = 30.0
"""A listener that hears nothing for so long has heard all there will be."""

SKIPPED = 10
"""Estimates at the begin of a run that are not timed: the run is set up meanwhile."""


def documents(frames: int) -> list[tuple[str, Any]]:
    """A run as a RunEngine tells it."""
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
    scene = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), q_max)
    detector = StoredMythen(name="mythen")
    detector.image.put(frame(scene, 0))
    told: list[tuple[str, Any]] = []
    RunEngine({})(count([detector], frames), lambda name, doc: told.append((name, doc)))
    return told


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


def run(publisher: Publisher, listener: Listener, told: list[tuple[str, Any]], rate_hz: float) -> None:
    """Publish a run at a pace, or as fast as it goes, and print what came of it."""
    listener.arrived.clear()
    listener.stopped.clear()
    sent: dict[int, float] = {}
    begin = due = time.perf_counter()
    for name, doc in told:
        if name == "event":
            due += 1 / rate_hz if rate_hz else 0.0
            time.sleep(max(due - time.perf_counter(), 0.0))
            sent[doc["seq_num"]] = time.perf_counter()
        publisher(name, doc)
    taken = time.perf_counter() - begin
    heard = -1
    while not listener.stopped.wait(QUIET_S) and len(listener.arrived) > heard:
        heard = len(listener.arrived)
    if len(listener.arrived) <= SKIPPED:
        print(f"{len(listener.arrived)} of {len(sent)} estimates within {QUIET_S:g} s: is the machine busy?")
        return
    spent = max(listener.arrived.values()) - begin
    waits = [1000 * (listener.arrived[number] - sent[number]) for number in listener.arrived][SKIPPED:]
    pace = f"{rate_hz:.0f} Hz" if rate_hz else "burst"
    p50, p99 = np.percentile(waits, [50, 99])
    print(
        f"{pace:8s} published at {len(sent) / taken:6.0f} frames/s, {len(listener.arrived)} of {len(sent)} "
        f"estimates at {len(listener.arrived) / spent:6.0f} frames/s, "
        f"p50 {p50:7.2f} ms, p99 {p99:7.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200.0)
    arguments = parser.parse_args()
    told = documents(arguments.frames)
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
        print(f"{DETECTOR.n_strips} strips, load {os.getloadavg()[0]:.1f}")
        run(publisher, listener, told[:52], 20.0)  # warm-up: model, caches and connections
        run(publisher, listener, told, arguments.rate)
        run(publisher, listener, told, 0.0)
        print(
            f"service: {service.metric('qdsizer_frames_total'):.0f} frames, "
            f"{service.metric('qdsizer_marked_total'):.0f} marked, "
            f"{service.metric('qdsizer_contained_total'):.0f} errors"
        )


if __name__ == "__main__":
    main()
