"""Settings of the service."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..configuration import Config, SettingsPath

__all__ = [
    "Forwarded",
    "HealthConfig",
    "InputConfig",
    "KafkaInput",
    "KafkaOutput",
    "OutputConfig",
    "ServeConfig",
    "TiledInput",
    "TiledOutput",
    "ZmqInput",
    "ZmqOutput",
]


class Forwarded(StrEnum):
    """Which documents the service sends on."""

    DERIVED = "derived"
    """The estimates, between the start and the stop of their run."""
    ALL = "all"
    """The raw documents too, in order."""


class ZmqInput(Config):
    """Documents from a 0MQ proxy, to which a RunEngine publishes."""

    kind: Literal["zmq"]
    """Says that this is 0MQ."""
    address: str = "127.0.0.1:5568"
    """Where the proxy hands documents out, host:port."""
    prefix: str = Field(default="", pattern=r"^\S*$")
    """Take only documents of publishers with this prefix; empty for all."""


class ZmqOutput(Config):
    """Documents to a 0MQ proxy."""

    kind: Literal["zmq"]
    """Says that this is 0MQ."""
    address: str
    """Where the proxy takes documents in, host:port; it may be the proxy of the input."""
    prefix: str = Field(default="qdsizer", pattern=r"^\S+$")
    """Prefix of what is published, by which the service tells its own documents from those of others."""


class _Kafka(Config):
    kind: Literal["kafka"]
    """Says that this is Kafka."""
    bootstrap_servers: str = Field(min_length=1)
    """Brokers to begin with, host:port, separated by commas."""
    topic: str = Field(min_length=1)
    """Topic of the documents, which has to exist."""
    client: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further settings of the client library, such as `security.protocol`."""


class KafkaInput(_Kafka):
    """Documents from Kafka; workers of one group share the topic, each run goes to one of them."""

    group: str = Field(default="qdsizer", min_length=1)
    """Consumer group: workers of one group share the topic."""
    begin: Literal["latest", "earliest"] = "latest"
    """Where a group that has never read the topic begins."""


class KafkaOutput(_Kafka):
    """Documents to Kafka, keyed by their run."""


class TiledInput(Config):
    """Runs from a Tiled server, as they are written."""

    kind: Literal["tiled"]
    """Says that this is Tiled."""
    uri: str = Field(pattern=r"^https?://")
    """Address of the server, or of the container in it that holds the runs; the key is taken from
    `TILED_API_KEY`."""


class TiledOutput(Config):
    """Documents to a Tiled server."""

    kind: Literal["tiled"]
    """Says that this is Tiled."""
    uri: str = Field(pattern=r"^https?://")
    """Address of the server, or of the container in it that is to hold the runs; the key is taken from
    `TILED_API_KEY`."""
    spool: SettingsPath
    """Folder of the runs that the server did not take, for `qdsizer-stream spool`."""


InputConfig = Annotated[ZmqInput | KafkaInput | TiledInput, Field(discriminator="kind")]
OutputConfig = Annotated[ZmqOutput | KafkaOutput | TiledOutput, Field(discriminator="kind")]


class HealthConfig(Config):
    """Where the service says how it is."""

    host: str = "127.0.0.1"
    """Address to listen on; the default is seen from this machine alone."""
    port: int = Field(default=9464, ge=0, le=65535)
    """Port to listen on; 0 for a free one, which is logged."""
    max_lag_s: float = Field(default=30.0, gt=0)
    """Older than this, the document in hand makes the service unwell, s."""


class ServeConfig(Config):
    """What the service needs to know."""

    settings: SettingsPath
    """TOML file of the beamline, as for `qdsizer-stream profile`."""
    input: InputConfig
    """Where documents come from."""
    output: tuple[OutputConfig, ...] = Field(min_length=1)
    """Where documents go to."""
    documents: Forwarded = Forwarded.DERIVED
    """Which documents are sent on."""
    health: HealthConfig = HealthConfig()
    """Where the service says how it is."""
    stop_timeout_s: float = Field(default=30.0, gt=0, le=600)
    """How long a service that was told to stop may take to size and send what it holds, s."""

    @model_validator(mode="after")
    def _no_loop(self) -> Self:
        for output in self.output:
            if (
                isinstance(self.input, KafkaInput)
                and isinstance(output, KafkaOutput)
                and (output.topic, output.bootstrap_servers)
                == (self.input.topic, self.input.bootstrap_servers)
            ):
                raise ValueError(
                    f"output topic {output.topic!r} is the input topic: the service would read what it "
                    "writes; give it a topic of its own"
                )
        return self
