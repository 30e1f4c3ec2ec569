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
    """Which documents the service forwards."""

    DERIVED = "derived"
    """The estimates, with the start and stop of their run."""
    ALL = "all"
    """Raw documents and estimates, in order."""


class ZmqInput(Config):
    """Documents from a 0MQ proxy, to which a RunEngine publishes."""

    kind: Literal["zmq"]
    """Selects 0MQ."""
    address: str = "127.0.0.1:5568"
    """Address at which the proxy publishes, host:port."""
    prefix: str = Field(default="", pattern=r"^\S*$")
    """Receive only documents of publishers with this prefix; empty for all."""


class ZmqOutput(Config):
    """Documents to a 0MQ proxy."""

    kind: Literal["zmq"]
    """Selects 0MQ."""
    address: str
    """Address at which the proxy receives, host:port; it may be the proxy of the input."""
    prefix: str = Field(default="qdsizer", pattern=r"^\S+$")
    """Prefix of published documents, so that the service can ignore its own."""


class _Kafka(Config):
    kind: Literal["kafka"]
    """Selects Kafka."""
    bootstrap_servers: str = Field(min_length=1)
    """Brokers to connect to first, host:port, separated by commas."""
    topic: str = Field(min_length=1)
    """Topic of the documents; it must exist."""
    client: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further settings of librdkafka, such as `security.protocol`."""


class KafkaInput(_Kafka):
    """Documents from Kafka; the workers of a consumer group share the topic, each run goes to one worker."""

    group: str = Field(default="qdsizer", min_length=1)
    """Consumer group; its workers share the partitions of the topic."""
    begin: Literal["latest", "earliest"] = "latest"
    """Offset at which a group without a committed offset begins."""


class KafkaOutput(_Kafka):
    """Documents to Kafka, keyed by their run."""


class TiledInput(Config):
    """Runs from a Tiled server, as they are written."""

    kind: Literal["tiled"]
    """Selects Tiled."""
    uri: str = Field(pattern=r"^https?://")
    """URL of the server, or of the container in it that holds the runs; the API key is read from the
    environment variable `TILED_API_KEY`."""


class TiledOutput(Config):
    """Documents to a Tiled server."""

    kind: Literal["tiled"]
    """Selects Tiled."""
    uri: str = Field(pattern=r"^https?://")
    """URL of the server, or of the container in it that receives the runs; the API key is read from the
    environment variable `TILED_API_KEY`."""
    spool: SettingsPath
    """Folder for runs that the server did not accept; `qdsizer-stream spool upload` sends them later."""


InputConfig = Annotated[ZmqInput | KafkaInput | TiledInput, Field(discriminator="kind")]
OutputConfig = Annotated[ZmqOutput | KafkaOutput | TiledOutput, Field(discriminator="kind")]


class HealthConfig(Config):
    """Health page and Prometheus metrics of the service."""

    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine only."""
    port: int = Field(default=9464, ge=0, le=65535)
    """Port to listen on; 0 for a free port, which is logged."""
    max_lag_s: float = Field(default=30.0, gt=0)
    """Age of the current document above which `/health` reports 503, s."""


class ServeConfig(Config):
    """Settings of the service."""

    settings: SettingsPath
    """TOML file of the beamline, as for `qdsizer-stream profile`."""
    input: InputConfig
    """Source of documents."""
    output: tuple[OutputConfig, ...] = Field(min_length=1)
    """Receivers of documents."""
    documents: Forwarded = Forwarded.DERIVED
    """Which documents are forwarded."""
    health: HealthConfig = HealthConfig()
    """Health page and Prometheus metrics of the service."""
    stop_timeout_s: float = Field(default=30.0, gt=0, le=600)
    """Time allowed for sizing and sending the remaining documents after a stop signal, s."""

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
                    "writes; give the output another topic"
                )
        return self
