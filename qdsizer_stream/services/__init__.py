"""The live sizer as a service: frames arrive over 0MQ, Kafka or a Tiled subscription."""

from ._codec import pack, unpack
from ._config import (
    Forwarded,
    HealthConfig,
    KafkaInput,
    KafkaOutput,
    ServeConfig,
    TiledInput,
    TiledOutput,
    ZmqInput,
    ZmqOutput,
)
from ._service import Service

__all__ = [
    "Forwarded",
    "HealthConfig",
    "KafkaInput",
    "KafkaOutput",
    "ServeConfig",
    "Service",
    "TiledInput",
    "TiledOutput",
    "ZmqInput",
    "ZmqOutput",
    "pack",
    "unpack",
]
