"""Documents over Kafka: the workers of a consumer group share a topic, and estimates are published once."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from ..callbacks import RunIndex
from ..errors import ConfigurationError, MessageError, ServiceError
from ._codec import pack, unpack_named
from ._config import KafkaInput, KafkaOutput
from ._transports import Flush, Handler

__all__ = ["KafkaSink", "KafkaSource"]

logger = logging.getLogger(__name__)

POLL_S = 0.2
"""Interval at which an idle source checks for the stop signal, s."""

REQUEST_TIMEOUT_S = 30.0
"""Timeout of a request to the brokers, s: a group that is rebalancing answers late."""

FORGOTTEN_AFTER_S = 86_400.0
"""Age at which a run without a stop document is considered ended, s: its RunEngine died, and the group must
not read the run again at every restart."""

REBALANCING = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._DESTROY,  # this worker is leaving while others join or leave
    }
)
"""Errors of a group during a rebalance: the committed offset stays, and what is read twice is sent once."""

Offsets = dict[int, int]
"""Offset by partition."""


class KafkaSink:
    """Publishes to a topic with the run as key, so that a run is in one partition and in order.

    Parameters
    ----------
    config
        Brokers and topic.

    Raises
    ------
    ConfigurationError
        The topic does not exist, or no broker answers.
    """

    def __init__(self, config: KafkaOutput) -> None:
        self._config = config
        self._client: dict[str, Any] = {"bootstrap.servers": config.bootstrap_servers, **config.client}
        # Idempotent: a message that is sent again because its acknowledgement was lost is stored once.
        self._producer = Producer({"enable.idempotence": True, **self._client})
        self._partitions = _partitions(self._producer, config.topic, config.bootstrap_servers)
        self._reader = Consumer(
            {**self._client, "group.id": "qdsizer-positions", "enable.partition.eof": True}
        )
        self._index = RunIndex()
        self._known: set[str] = set()
        self._lost = False
        self.name = f"kafka {config.topic}"
        """Name in the metrics."""
        self.sent = 0
        """Documents that the brokers acknowledged."""
        self.duplicates = 0
        """Documents that were already in the topic and were not published again."""

    def __call__(self, name: str, doc: Any) -> None:
        """Publish a document, unless `remember` found it in the topic.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.

        Raises
        ------
        MessageError
            The document cannot be serialized.
        """
        run = next(iter(self._index.runs_of(name, doc)), "")
        if name == "stop":
            self._index.forget(run)
        if _identity(doc) in self._known:
            self.duplicates += 1
            return
        message = pack([name, doc])
        while True:
            try:
                self._producer.produce(self._config.topic, message, run, on_delivery=self._delivered)
                break
            except BufferError:  # the brokers are slow: the sizer waits and nothing is dropped
                self._producer.poll(POLL_S)
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the brokers have acknowledged every document.

        Parameters
        ----------
        timeout_s
            How long to wait, s.

        Returns
        -------
        Whether they have; always False once a document could not be delivered.
        """
        return self._producer.flush(timeout_s) == 0 and not self._lost

    def close(self) -> None:
        """Close the connection to the brokers."""
        self._reader.close()

    def ends(self) -> Offsets:
        """Return the end of the topic.

        Returns
        -------
        By partition, the offset of the next document.
        """
        return {partition: self._watermarks(partition)[1] for partition in self._partitions}

    def remember(self, since: Offsets) -> None:
        """Read the documents in the topic, so that they are not published again.

        Parameters
        ----------
        since
            By partition, the offset to read from; a partition that is missing is read from its beginning.
        """
        for partition in self._partitions:
            low, end = self._watermarks(partition)
            first = max(since.get(partition, low), low)
            if first < end:
                self._known |= self._uids(partition, first, end)
        if self._known:
            logger.info(
                "topic %s already has %d documents of unfinished runs",
                self._config.topic,
                len(self._known),
            )

    def _uids(self, partition: int, first: int, end: int) -> set[str]:
        found: set[str] = set()
        self._reader.assign([TopicPartition(self._config.topic, partition, first)])
        while first < end:
            message = self._reader.poll(REQUEST_TIMEOUT_S)
            if message is None:
                raise ServiceError(
                    f"partition {partition} of {self._config.topic} returned nothing within "
                    f"{REQUEST_TIMEOUT_S:g} s at offset {first} of {end}: check that its brokers run"
                )
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                break  # the last offsets of a compacted topic may be empty
            if error is not None:
                raise ServiceError(f"topic {self._config.topic}: {error}")
            first = _offset(message) + 1
            with suppress(MessageError):  # a message of another program
                found.add(_identity(unpack_named(message.value() or b"")[1]))
        self._reader.unassign()
        return found

    def _watermarks(self, partition: int) -> tuple[int, int]:
        return _watermarks(self._reader, TopicPartition(self._config.topic, partition))

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.sent += 1
            return
        self._lost = True
        logger.error("topic %s did not accept a document: %s", self._config.topic, error)


@dataclass(frozen=True)
class _OpenRun:
    """Offset at which a run starts, from which another worker reads it again should this one die."""

    offset: TopicPartition
    published: str  # ends of the output topics when the run started
    began: float


class KafkaSource:
    """Reads the partitions of a topic that the group assigns to this worker.

    The committed offset stays at the start of the oldest run without a stop document. A worker that takes
    over reads such a run from its start, sizes it again, and publishes the estimates that are missing.

    Parameters
    ----------
    config
        Brokers, topic and group.
    sinks
        Topics that receive the estimates.

    Raises
    ------
    ConfigurationError
        The topic does not exist, or no broker answers.
    """

    def __init__(self, config: KafkaInput, sinks: tuple[KafkaSink, ...] = ()) -> None:
        self._config = config
        self._sinks = sinks
        self._consumer = Consumer(
            {
                # A worker that joins takes over some partitions without interrupting the others.
                "partition.assignment.strategy": "cooperative-sticky",
                **config.client,
                "bootstrap.servers": config.bootstrap_servers,
                "group.id": config.group,
                "enable.auto.commit": False,
            }
        )
        _partitions(self._consumer, config.topic, config.bootstrap_servers)
        self._open: dict[str, _OpenRun] = {}
        self._next: Offsets = {}
        self.malformed = 0
        """Messages that were not valid documents."""

    def run(self, handle: Handler, flush: Flush, stopping: Event) -> None:
        """Pass documents to `handle` until `stopping` is set.

        Parameters
        ----------
        handle
            Called with each document.
        flush
            Waits until every document is sized and sent; called before an offset is committed.
        stopping
            Set when the service is to stop.

        Raises
        ------
        ServiceError
            The brokers report an error, or a sink has lost a document: start the service again, and the group
            reads from the committed offset.
        """

        def assigned(consumer: Consumer, offsets: list[TopicPartition]) -> None:
            # A worker that is leaving reads no more, and the group no longer answers its requests.
            if not stopping.is_set():
                self._assigned(consumer, offsets)

        def revoked(_: Consumer, offsets: list[TopicPartition]) -> None:
            self._commit(flush)
            self._leave(offsets)

        def lost(_: Consumer, offsets: list[TopicPartition]) -> None:
            self._leave(offsets)

        self._consumer.subscribe([self._config.topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)
        try:
            while not stopping.is_set():
                message = self._consumer.poll(POLL_S)
                if message is None:
                    continue
                if message.error():
                    raise ServiceError(f"topic {self._config.topic}: {message.error()}")
                if self._message(message, handle):
                    self._commit(flush)
            self._commit(flush)
        except KafkaException as error:
            raise ServiceError(f"topic {self._config.topic}: {error.args[0]}") from error
        finally:
            self._consumer.close()

    def _message(self, message: Message, handle: Handler) -> bool:
        """Handle one message; returns whether it ends a run."""
        partition, offset = message.partition() or 0, _offset(message)
        self._next[partition] = offset + 1
        try:
            name, doc = unpack_named(message.value() or b"")
        except MessageError as error:
            self.malformed += 1
            logger.warning(
                "message %d of partition %d of %s was ignored: %s",
                offset, partition, self._config.topic, error,
            )  # fmt: skip
            return False
        if name == "start":
            begin = TopicPartition(self._config.topic, partition, offset)
            self._open[str(doc.get("uid"))] = _OpenRun(begin, self._published(), time.monotonic())
        handle(name, doc)
        return name == "stop" and self._open.pop(str(doc.get("run_start")), None) is not None

    def _published(self) -> str:
        """Ends of the output topics as JSON, which the group keeps as metadata of the committed offset."""
        return json.dumps([sink.ends() for sink in self._sinks])

    def _commit(self, flush: Flush) -> None:
        """Commit the offset of the oldest unfinished run of every partition."""
        if not self._next:
            return
        if not flush():
            self._next.clear()  # leaving the group must not commit either
            raise ServiceError(
                "not every document that was read could be sized and sent: the committed offset stays; "
                "start the service again"
            )
        too_old = time.monotonic() - FORGOTTEN_AFTER_S
        self._open = {uid: run for uid, run in self._open.items() if run.began > too_old}
        published = self._published()
        offsets = []
        for partition, offset in self._next.items():
            since = published
            for run in self._open.values():
                if run.offset.partition == partition and run.offset.offset < offset:
                    offset, since = run.offset.offset, run.published
            offsets.append(TopicPartition(self._config.topic, partition, offset, metadata=since))
        self._commit_offsets(offsets)

    def _commit_offsets(self, offsets: list[TopicPartition]) -> None:
        """Commit offsets; during a rebalance nothing is committed."""
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in REBALANCING:
                raise ServiceError(f"topic {self._config.topic}: {error.args[0]}") from error
            logger.info("topic %s: nothing committed during a rebalance", self._config.topic)

    def _assigned(self, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        """Begin at the committed offsets, knowing what the group has published since."""
        begin = []
        for committed in consumer.committed(offsets, REQUEST_TIMEOUT_S):
            low, end = _watermarks(consumer, committed)
            if committed.offset < 0:
                # The first time: an offset is committed now, so that a later worker begins at the same one.
                committed = TopicPartition(
                    committed.topic,
                    committed.partition,
                    end if self._config.begin == "latest" else low,
                    metadata=self._published(),
                )
                self._commit_offsets([committed])
            elif committed.offset < end:
                for sink, since in zip(self._sinks, json.loads(committed.metadata or "[]"), strict=False):
                    sink.remember({int(partition): offset for partition, offset in since.items()})
            begin.append(TopicPartition(committed.topic, committed.partition, committed.offset))
        consumer.incremental_assign(begin)
        logger.info(
            "topic %s: reading %s", self._config.topic, ", ".join(f"{p.partition}@{p.offset}" for p in begin)
        )

    def _leave(self, offsets: list[TopicPartition]) -> None:
        """Forget partitions that another worker now reads."""
        left = {one.partition for one in offsets}
        self._next = {partition: offset for partition, offset in self._next.items() if partition not in left}
        self._open = {uid: run for uid, run in self._open.items() if run.offset.partition not in left}
        logger.info("topic %s: left %s", self._config.topic, ", ".join(map(str, sorted(left))))


def _identity(doc: dict[str, Any]) -> str:
    """Unique identifier of a document; a datum has no uid."""
    return str(doc.get("uid") or doc.get("datum_id"))


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None  # a message from a broker has an offset
    return int(offset)


def _watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    marks = consumer.get_watermark_offsets(partition, REQUEST_TIMEOUT_S, cached=False)
    if marks is None:
        raise ServiceError(
            f"no broker returned the end of partition {partition.partition} of {partition.topic}"
        )
    return int(marks[0]), int(marks[1])


def _partitions(client: Any, topic: str, brokers: str) -> list[int]:
    """Partitions of a topic; the first request to the brokers."""
    list_topics: Callable[..., Any] = client.list_topics
    try:
        found = list_topics(topic, REQUEST_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise ConfigurationError(
            f"no answer from the Kafka brokers {brokers}: {error.args[0]}; "
            "give a running one as bootstrap_servers"
        ) from error
    if found.error is not None:
        raise ConfigurationError(
            f"topic {topic!r} at {brokers}: {found.error}; create it first, with one partition per worker"
        )
    return sorted(found.partitions)
