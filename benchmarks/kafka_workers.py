"""Throughput of one worker and of two that share a topic, on librdkafka's own cluster.

Run it on an idle machine: ``python -m benchmarks.kafka_workers [--runs N]``. One core is the cluster's and
the publisher's as well, so two workers cannot double the rate on two cores.
"""

import argparse
import os
import re
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks.live_path import told
from benchmarks.service_process import DETECTOR, services
from benchmarks.zmq_path import documents
from qdsizer_stream.services import pack

PORTS = [9466, 9467]

FRAMES = 30
"""Frames a run: the cluster keeps 5 MB a partition, of 123 kB each."""

PARTITIONS = 4
"""Of every topic of the cluster."""


def throughput(brokers: str, documents: list[tuple[str, Any]], runs: int, workers: int) -> float:
    """Frames a second that so many workers size, one run of every partition at a time."""
    raw, sized = f"raw-{uuid.uuid4()}", f"sized-{uuid.uuid4()}"
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0})
    for topic in (raw, sized):
        producer.list_topics(topic, 10)
    client = "client = { 'fetch.wait.max.ms' = 20, 'session.timeout.ms' = 6000 }"
    tables = (
        f'[input]\nkind = "kafka"\nbootstrap_servers = "{brokers}"\ntopic = "{raw}"\n'
        f'group = "{uuid.uuid4()}"\nbegin = "earliest"\n{client}\n'
        f'[[output]]\nkind = "kafka"\nbootstrap_servers = "{brokers}"\ntopic = "{sized}"\n'
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        services(Path(folder), tables, PORTS[:workers]) as running,
    ):
        while not all(re.search(r"reading \d", one.log.read_text()) for one in running):
            time.sleep(0.1)  # until each has partitions
        begin = time.perf_counter()
        done = 0
        for first in range(0, runs, PARTITIONS):
            batch = range(first, min(first + PARTITIONS, runs))
            for name, doc in documents:
                for number in batch:
                    producer.produce(raw, pack([name, renamed(doc, f"run-{number}")]), partition=number % 4)
                producer.poll(0)
            producer.flush()
            done += len(batch) * FRAMES
            while sum(one.metric("qdsizer_frames_total") for one in running) < done:
                time.sleep(0.02)
        spent = time.perf_counter() - begin
        shares = [one.metric("qdsizer_frames_total") for one in running]
    told(f"{workers} workers", f"{done / spent:.0f} frames/s")
    told("  frames each", ", ".join(f"{share:.0f}" for share in shares))
    return done / spent


def renamed(doc: dict[str, Any], run: str) -> dict[str, Any]:
    """The same document of another run."""
    return {
        key: f"{run}/{value}" if key in ("uid", "run_start", "descriptor") else value
        for key, value in doc.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=32)
    runs = parser.parse_args().runs
    cluster = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 0})
    found = cluster.list_topics(timeout=10).brokers.values()
    brokers = ",".join(f"{broker.host}:{broker.port}" for broker in found)
    measured = documents(FRAMES)
    print(f"{DETECTOR.n_strips} strips, {runs} runs of {FRAMES}, load {os.getloadavg()[0]:.1f}")
    one, two = (throughput(brokers, measured, runs, workers) for workers in (1, 2))
    told("two over one", f"{two / one:.2f}", "> 1", two > one)


if __name__ == "__main__":
    main()
