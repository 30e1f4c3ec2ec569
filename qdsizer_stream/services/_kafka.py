"""Documents over Kafka: workers of a group share a topic, nothing is lost, nothing is published twice."""

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
from ..errors import ConfigurationError, ServiceError, WireError
from ._codec import pack, unpack_named
from ._config import KafkaInput, KafkaOutput
from ._wires import Settle, Take

__all__ = ["KafkaSink", "KafkaSource"]

logger = logging.getLogger(__name__)

POLL_S = 0.2
"""How soon a source that hears nothing notices that it is to stop, s."""

REQUEST_TIMEOUT_S = 30.0
"""How long a question to the brokers may take, s: a group that deals its partitions anew answers late."""

FORGOTTEN_AFTER_S = 86_400.0
"""A run without an end is taken to have ended after a day: its RunEngine died, and the group must not
read it again for ever, s."""

DEALING = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._DESTROY,  # this worker is leaving, while others join or leave
    }
)
"""Errors of a group whose workers come or go: its position stays, and what is read twice is sent once."""

Offsets = dict[int, int]
"""Offset by partition."""


class KafkaSink:
    """Publishes to a topic, keyed by run, so that a run is in one partition and in order.

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
        # Idempotent: a message that is sent again, because its receipt was lost, does not double.
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
        """Documents that the brokers have."""
        self.duplicates = 0
        """Documents that the topic held already and that were not published again."""

    def __call__(self, name: str, doc: Any) -> None:
        """Publish a document, unless `remember` found it.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.

        Raises
        ------
        WireError
            The document cannot be packed.
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
            except BufferError:  # the brokers are slow: the sizer waits, nothing is dropped
                self._producer.poll(POLL_S)
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the brokers have everything.

        Parameters
        ----------
        timeout_s
            How long to wait, s.

        Returns
        -------
        Whether they have; never again once a document could not be delivered.
        """
        return self._producer.flush(timeout_s) == 0 and not self._lost

    def close(self) -> None:
        """Let go of the brokers."""
        self._reader.close()

    def ends(self) -> Offsets:
        """Say where the topic ends now.

        Returns
        -------
        By partition, the offset that the next document will have.
        """
        return {partition: self._watermarks(partition)[1] for partition in self._partitions}

    def remember(self, since: Offsets) -> None:
        """Read what the topic holds, so as not to publish it again.

        Parameters
        ----------
        since
            By partition, the offset to read from; partitions that are missing are read from their beginning.
        """
        for partition in self._partitions:
            low, end = self._watermarks(partition)
            first = max(since.get(partition, low), low)
            if first < end:
                self._known |= self._uids(partition, first, end)
        if self._known:
            logger.info("topic %s holds %d documents of open runs", self._config.topic, len(self._known))

    def _uids(self, partition: int, first: int, end: int) -> set[str]:
        found: set[str] = set()
        self._reader.assign([TopicPartition(self._config.topic, partition, first)])
        while first < end:
            message = self._reader.poll(REQUEST_TIMEOUT_S)
            if message is None:
                raise ServiceError(
                    f"partition {partition} of {self._config.topic} gave nothing within "
                    f"{REQUEST_TIMEOUT_S:g} s at offset {first} of {end}: are its brokers up?"
                )
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                break  # the last offsets of a compacted topic may be empty
            if error is not None:
                raise ServiceError(f"topic {self._config.topic}: {error}")
            first = _offset(message) + 1
            with suppress(WireError):  # somebody else's
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
        logger.error("topic %s did not take a document: %s", self._config.topic, error)


@dataclass(frozen=True)
class _OpenRun:
    """Where a run began, to be read from there again should this worker die."""

    place: TopicPartition
    published: str  # where the outputs ended when it began
    began: float


class KafkaSource:
    """Reads the partitions of a topic that the group gives to this worker.

    The group's position stays at the start of the oldest run without a stop. A worker that takes over
    reads such a run from its start, sizes it again, and publishes what was not published.

    Parameters
    ----------
    config
        Brokers, topic and group.
    sinks
        Topics that the estimates go to.

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
                # A worker that joins takes some partitions and leaves the others running.
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
        """Messages that were no documents."""

    def run(self, take: Take, settle: Settle, stopping: Event) -> None:
        """Hand documents over until told to stop.

        Parameters
        ----------
        take
            Takes each.
        settle
            Waits until all is sized and sent; called before the group's position moves.
        stopping
            Set when it is time to stop.

        Raises
        ------
        ServiceError
            The brokers refuse, or a sink has lost a document: start again, the group reads it again.
        """

        def assigned(consumer: Consumer, places: list[TopicPartition]) -> None:
            # A worker that is leaving reads no more, and the group no longer answers its questions.
            if not stopping.is_set():
                self._assigned(consumer, places)

        def revoked(_: Consumer, places: list[TopicPartition]) -> None:
            self._commit(settle)
            self._leave(places)

        def lost(_: Consumer, places: list[TopicPartition]) -> None:
            self._leave(places)

        self._consumer.subscribe([self._config.topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)
        try:
            while not stopping.is_set():
                message = self._consumer.poll(POLL_S)
                if message is None:
                    continue
                if message.error():
                    raise ServiceError(f"topic {self._config.topic}: {message.error()}")
                if self._message(message, take):
                    self._commit(settle)
            self._commit(settle)
        except KafkaException as error:
            raise ServiceError(f"topic {self._config.topic}: {error.args[0]}") from error
        finally:
            self._consumer.close()

    def _message(self, message: Message, take: Take) -> bool:
        """Hand one message over; says whether a run has ended with it."""
        partition, offset = message.partition() or 0, _offset(message)
        self._next[partition] = offset + 1
        try:
            name, doc = unpack_named(message.value() or b"")
        except WireError as error:
            self.malformed += 1
            logger.warning(
                "message %d of partition %d of %s was left out: %s",
                offset, partition, self._config.topic, error,
            )  # fmt: skip
            return False
        if name == "start":
            place = TopicPartition(self._config.topic, partition, offset)
            self._open[str(doc.get("uid"))] = _OpenRun(place, self._published(), time.monotonic())
        take(name, doc)
        return name == "stop" and self._open.pop(str(doc.get("run_start")), None) is not None

    def _published(self) -> str:
        """Where the outputs end, as the group keeps it beside its position."""
        return json.dumps([sink.ends() for sink in self._sinks])

    def _commit(self, settle: Settle) -> None:
        """Move the group's position up to the oldest run that is open."""
        if not self._next:
            return
        if not settle():
            self._next.clear()  # leaving the group must not move its position either
            raise ServiceError(
                "what was read could not all be sized and sent: the group's position stays, start again"
            )
        too_old = time.monotonic() - FORGOTTEN_AFTER_S
        self._open = {uid: run for uid, run in self._open.items() if run.began > too_old}
        published = self._published()
        places = []
        for partition, offset in self._next.items():
            since = published
            for run in self._open.values():
                if run.place.partition == partition and run.place.offset < offset:
                    offset, since = run.place.offset, run.published
            places.append(TopicPartition(self._config.topic, partition, offset, metadata=since))
        self._move(places)

    def _move(self, places: list[TopicPartition]) -> None:
        """Move the group's position; while it deals partitions anew, it stays for whoever gets them."""
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in DEALING:
                raise ServiceError(f"topic {self._config.topic}: {error.args[0]}") from error
            logger.info("topic %s: the group's position stays while it deals anew", self._config.topic)

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Begin where the group stands, knowing what it has published since."""
        begin = []
        for place in consumer.committed(places, REQUEST_TIMEOUT_S):
            low, end = _watermarks(consumer, place)
            if place.offset < 0:
                # The first time: the group's position is fixed now, so that no later worker has to guess.
                place = TopicPartition(
                    place.topic,
                    place.partition,
                    end if self._config.begin == "latest" else low,
                    metadata=self._published(),
                )
                self._move([place])
            elif place.offset < end:
                for sink, since in zip(self._sinks, json.loads(place.metadata or "[]"), strict=False):
                    sink.remember({int(partition): offset for partition, offset in since.items()})
            begin.append(TopicPartition(place.topic, place.partition, place.offset))
        consumer.incremental_assign(begin)
        logger.info(
            "topic %s: reading %s", self._config.topic, ", ".join(f"{p.partition}@{p.offset}" for p in begin)
        )

    def _leave(self, places: list[TopicPartition]) -> None:
        """Forget partitions that another worker reads now."""
        left = {place.partition for place in places}
        self._next = {partition: offset for partition, offset in self._next.items() if partition not in left}
        self._open = {uid: run for uid, run in self._open.items() if run.place.partition not in left}
        logger.info("topic %s: left %s", self._config.topic, ", ".join(map(str, sorted(left))))


def _identity(doc: dict[str, Any]) -> str:
    """What tells a document from all others; a datum has no uid."""
    return str(doc.get("uid") or doc.get("datum_id"))


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None  # a message that came from a broker has one
    return int(offset)


def _watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    marks = consumer.get_watermark_offsets(place, REQUEST_TIMEOUT_S, cached=False)
    if marks is None:
        raise ServiceError(f"no broker says where partition {place.partition} of {place.topic} ends")
    return int(marks[0]), int(marks[1])


def _partitions(client: Any, topic: str, brokers: str) -> list[int]:
    """Partitions of a topic, which is the first question that the brokers have to answer."""
    list_topics: Callable[..., Any] = client.list_topics
    try:
        found = list_topics(topic, REQUEST_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise ConfigurationError(
            f"no answer from the Kafka brokers {brokers}: {error.args[0]}; "
            "give one that runs as bootstrap_servers"
        ) from error
    if found.error is not None:
        raise ConfigurationError(
            f"topic {topic!r} at {brokers}: {found.error}; make it first, with a partition for every worker"
        )
    return sorted(found.partitions)
