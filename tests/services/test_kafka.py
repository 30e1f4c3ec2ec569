"""Workers that share a topic, against librdkafka's own cluster."""

import re
import signal
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import bluesky_kafka
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from confluent_kafka import Consumer, Producer, TopicPartition
from event_model import DocumentNames, schema_validators

from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ConfigurationError, ServiceError
from qdsizer_stream.services import KafkaInput, KafkaSource, _kafka, pack, unpack

from .conftest import Documents, Served, estimates, wait_for

# The cluster answers a request for what is not there yet after so long, and not as it comes; and it takes a
# worker for dead after so long.
IMPATIENT = (
    "client = { 'fetch.wait.max.ms' = 50, 'session.timeout.ms' = 6000, 'heartbeat.interval.ms' = 500 }"
)

# Each starts processes that import for seconds; on a busy machine for a minute.
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def topics(brokers: str) -> tuple[str, str]:
    """A topic for documents and one for estimates, both new."""
    names = f"raw-{uuid.uuid4()}", f"sized-{uuid.uuid4()}"
    client = Producer({"bootstrap.servers": brokers})
    for name in names:
        client.list_topics(name, 10)
    return names


@pytest.fixture
def tables(brokers: str, topics: tuple[str, str]) -> str:
    return (
        f'[input]\nkind = "kafka"\nbootstrap_servers = "{brokers}"\ntopic = "{topics[0]}"\n'
        f'begin = "earliest"\ngroup = "{uuid.uuid4()}"\n{IMPATIENT}\n'
        f'[[output]]\nkind = "kafka"\nbootstrap_servers = "{brokers}"\ntopic = "{topics[1]}"\n'
    )


def publish(brokers: str, topic: str, documents: Documents, run: str | None = None) -> None:
    """Publish as bluesky does; a run that is published again gets another identifier."""
    publisher = bluesky_kafka.Publisher(topic, brokers, key=run or documents[0][1]["uid"])
    for name, doc in documents:
        publisher(name, doc)
    publisher.flush()


def renamed(documents: Documents, run: str) -> Documents:
    """The same frames as another run."""
    old = documents[0][1]["uid"]
    descriptors = [doc["uid"] for name, doc in documents if name == "descriptor"]
    names = {old: run} | {uid: f"{run}-{number}" for number, uid in enumerate(descriptors)}
    return [
        (
            name,
            {
                key: names.get(value, value) if key in ("uid", "run_start", "descriptor") else value
                for key, value in doc.items()
            }
            | ({"uid": f"{run}-{name}-{doc.get('seq_num')}"} if name in ("event", "stop") else {}),
        )
        for name, doc in documents
    ]


def held(brokers: str, topic: str) -> Documents:
    """All that a topic holds, read with bluesky's own packing."""
    reader = Consumer({"bootstrap.servers": brokers, "group.id": str(uuid.uuid4()), "fetch.wait.max.ms": 50})
    documents: Documents = []
    for partition in range(4):
        place = TopicPartition(topic, partition, 0)
        _, end = reader.get_watermark_offsets(place, 10, cached=False)
        reader.assign([place])
        for _ in range(end):
            message = reader.poll(10)
            assert message is not None
            assert message.error() is None
            documents.append(tuple(unpack(message.value())))
    reader.close()
    return documents


def of_run(documents: Documents, run: str) -> Documents:
    descriptors = {doc["uid"] for name, doc in documents if name == "descriptor" and doc["run_start"] == run}
    return [
        (name, doc)
        for name, doc in documents
        if run in (doc["uid"], doc.get("run_start")) or doc.get("descriptor") in descriptors
    ]


def stops(brokers: str, topic: str) -> set[str]:
    return {doc["run_start"] for name, doc in held(brokers, topic) if name == "stop"}


def test_a_run_of_a_run_engine(
    serve: Callable[[str], Served],
    tables: str,
    brokers: str,
    topics: tuple[str, str],
    mythen: Callable[..., SimMythen],
    expected: Documents,
) -> None:
    service = serve(tables)
    wait_for(lambda: service.said("reading 0@0, 1@0, 2@0, 3@0"), "the assignment")
    heard: Documents = []
    listener = bluesky_kafka.RemoteDispatcher(
        [topics[1]], brokers, str(uuid.uuid4()), {"auto.offset.reset": "earliest"}, deserializer=unpack
    )
    listener.subscribe(lambda name, doc: heard.append((name, doc)))
    engine = RunEngine({})
    publisher = bluesky_kafka.Publisher(topics[0], brokers, key="the run", flush_on_stop_doc=True)
    engine.subscribe(publisher)
    (uid,) = engine(count([mythen()], 6))
    deadline = time.monotonic() + 60
    listener.start(
        continue_polling=lambda: time.monotonic() < deadline and "stop" not in {name for name, _ in heard}
    )
    assert [name for name, _ in heard] == ["start", "descriptor", *["event"] * 6, "stop"]
    for name, doc in heard:
        schema_validators[DocumentNames[name]].validate(doc)
    assert heard[0][1]["uid"] == uid
    np.testing.assert_equal(estimates(heard), estimates(expected))
    assert service.stop() == 0


def test_a_worker_that_dies_loses_nothing_and_doubles_nothing(
    serve: Callable[[str], Served], tables: str, brokers: str, topics: tuple[str, str], raw: Documents,
    expected: Documents,
) -> None:  # fmt: skip
    first = serve(tables)
    wait_for(lambda: first.said("reading"), "the assignment")
    whole, cut = "a-whole-run", "a-run-in-two-halves"
    publish(brokers, topics[0], renamed(raw, whole))
    wait_for(lambda: stops(brokers, topics[1]) == {whole}, "the first run")
    halves = renamed(raw, cut)
    publish(brokers, topics[0], halves[:5], cut)
    wait_for(lambda: len(estimates(of_run(held(brokers, topics[1]), cut))) == 3, "three estimates")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    publish(brokers, topics[0], halves[5:], cut)
    second = serve(tables)
    # The cluster waits for the dead worker's session to end before it gives its partitions away.
    wait_for(lambda: cut in stops(brokers, topics[1]), "the second run")
    assert second.metric("qdsizer_duplicates_total") == 1 + 1 + 3  # start, descriptor, three estimates
    assert second.metric("qdsizer_documents_total") == len(halves)  # the first run is not read again
    assert second.stop() == 0
    documents = held(brokers, topics[1])
    assert len({doc["uid"] for _, doc in documents}) == len(documents)
    for run in (whole, cut):
        mine = of_run(documents, run)
        assert [name for name, _ in mine] == ["start", "descriptor", *["event"] * 6, "stop"]
        np.testing.assert_equal(estimates(mine), estimates(expected))


def test_two_workers_share_a_topic(
    serve: Callable[[str], Served], tables: str, brokers: str, topics: tuple[str, str], raw: Documents,
    expected: Documents,
) -> None:  # fmt: skip
    workers = [serve(tables), serve(tables)]

    def shared() -> bool:
        # The later one has partitions once the earlier one has given some away.
        return all(
            worker.said("reading") and re.search(r"reading \d", worker.log.read_text()) for worker in workers
        )

    wait_for(shared, "the assignment to both")
    runs = [f"run-{number}" for number in range(8)]
    for number, run in enumerate(runs):
        # Runs are dealt out to the partitions, so that each worker has some.
        producer = Producer({"bootstrap.servers": brokers})
        for name, doc in renamed(raw, run):
            producer.produce(topics[0], pack([name, doc]), run, partition=number % 4)
        producer.flush()
    wait_for(lambda: stops(brokers, topics[1]) == set(runs), "all runs")
    sized = [worker.metric("qdsizer_sized_total") for worker in workers]
    assert all(sized)
    documents = held(brokers, topics[1])
    for run in runs:
        np.testing.assert_equal(estimates(of_run(documents, run)), estimates(expected))
    assert len({doc["uid"] for _, doc in documents}) == len(documents)
    assert [worker.stop() for worker in workers] == [0, 0]


def test_nonsense_in_the_topic_is_left_out(
    serve: Callable[[str], Served], tables: str, brokers: str, topics: tuple[str, str], raw: Documents
) -> None:
    service = serve(tables)
    wait_for(lambda: service.said("reading"), "the assignment")
    producer = Producer({"bootstrap.servers": brokers})
    for value in (b"nonsense", b"", None, pack({"uid": "1"}), pack(["start", 3])):
        producer.produce(topics[0], value, "run")
    producer.flush()
    publish(brokers, topics[0], renamed(raw, "after-nonsense"))
    wait_for(lambda: "after-nonsense" in stops(brokers, topics[1]), "the run")
    assert service.metric("qdsizer_malformed_total") == 5
    assert service.health()["status"] == "ok"


def test_what_could_not_be_sent_keeps_the_position(
    brokers: str, topics: tuple[str, str], raw: Documents
) -> None:
    producer = Producer({"bootstrap.servers": brokers})
    source = KafkaSource(
        KafkaInput(
            kind="kafka", bootstrap_servers=brokers, topic=topics[0], group="g", begin="earliest",
            client={"fetch.wait.max.ms": 50},
        )
    )  # fmt: skip
    for name, doc in raw:
        producer.produce(topics[0], pack([name, doc]), partition=0)
    producer.flush()
    taken: list[Any] = []
    with pytest.raises(
        ServiceError,
        match="could be sized and sent: the committed offset stays",
    ):
        source.run(lambda name, doc: taken.append(name), lambda: False, threading.Event())
    assert taken == [name for name, _ in raw]
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "g"})
    (place,) = reader.committed([TopicPartition(topics[0], 0)], 10)
    assert place.offset == 0
    reader.close()


def test_brokers_that_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kafka, "REQUEST_TIMEOUT_S", 0.5)
    with pytest.raises(ConfigurationError, match=r"no answer from the Kafka brokers 127\.0\.0\.1:9: "):
        KafkaSource(
            KafkaInput(kind="kafka", bootstrap_servers="127.0.0.1:9", topic="a", client={"log_level": 0})
        )
