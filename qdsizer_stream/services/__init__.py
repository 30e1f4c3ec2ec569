"""The live sizer as a service: frames arrive over 0MQ, Kafka or a Tiled subscription."""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import the service only when it is used: its metrics need a library that the page does without."""
    if name == "Service":
        from ._service import Service

        return Service
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
