"""Throughput of one and of two workers that share a Kafka topic, on the mock cluster of librdkafka.

    python -m benchmarks.kafka_workers [--runs N] [--json FILE]

Run it on an idle machine. Cluster and publisher also use one core, so two workers cannot double the rate
on two cores.
"""

import re
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks._detector import DETECTOR
from benchmarks._report import BenchmarkReport, argument_parser
from benchmarks.service_process import services
from benchmarks.zmq_path import documents
from qdsizer_stream.services import pack

PORTS = [9466, 9467]

FRAMES = 30
"""Frames per run: the mock cluster stores 5 MB per partition, and a frame has 123 kB."""

PARTITIONS = 4
"""Partitions of every topic of the mock cluster."""


def measure_throughput(
    report: BenchmarkReport, brokers: str, documents: list[tuple[str, Any]], runs: int, workers: int
) -> float:
    """Frames per second of a number of workers, with one run per partition at a time."""
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
            time.sleep(0.1)  # until each has been assigned partitions
        start = time.perf_counter()
        done = 0
        for first in range(0, runs, PARTITIONS):
            batch = range(first, min(first + PARTITIONS, runs))
            for name, doc in documents:
                for index in batch:
                    message = pack([name, renamed(doc, f"run-{index}")])
                    producer.produce(raw, message, partition=index % PARTITIONS)
                producer.poll(0)
            producer.flush()
            done += len(batch) * FRAMES
            while sum(one.metric("qdsizer_frames_total") for one in running) < done:
                time.sleep(0.02)
        seconds = time.perf_counter() - start
        frames = [one.metric("qdsizer_frames_total") for one in running]
    report.add(f"{workers} workers: rate", done / seconds, "frames/s")
    for index, n in enumerate(frames, start=1):
        report.add(f"{workers} workers: frames of worker {index}", n, "1")
    return done / seconds


def renamed(doc: dict[str, Any], run: str) -> dict[str, Any]:
    """The same document with the identifiers of another run."""
    return {
        key: f"{run}/{value}" if key in ("uid", "run_start", "descriptor") else value
        for key, value in doc.items()
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--runs", type=int, default=32)
    arguments = parser.parse_args()
    runs = arguments.runs
    report = BenchmarkReport("kafka_workers", arguments.json)
    cluster = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 0})
    found = cluster.list_topics(timeout=10).brokers.values()
    brokers = ",".join(f"{broker.host}:{broker.port}" for broker in found)
    measured = documents(FRAMES)
    print(f"{DETECTOR.n_strips} strips, {runs} runs of {FRAMES} frames")
    one, two = (measure_throughput(report, brokers, measured, runs, workers) for workers in (1, 2))
    report.add("rate of two workers / rate of one", two / one, "1", at_least=1)
    report.write()


if __name__ == "__main__":
    main()
