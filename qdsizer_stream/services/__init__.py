"""The live sizer as a service: frames arrive over 0MQ, Kafka or a Tiled subscription."""

import importlib
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
    from ._health import health_server
    from ._kafka import KafkaSource
    from ._service import Service

from ._codec import unpack_named

__all__ = [
    "Forwarded",
    "HealthConfig",
    "KafkaInput",
    "KafkaOutput",
    "KafkaSource",
    "ServeConfig",
    "Service",
    "TiledInput",
    "TiledOutput",
    "ZmqInput",
    "ZmqOutput",
    "health_server",
    "pack",
    "unpack",
    "unpack_named",
]


_MODULES = {"KafkaSource": "_kafka", "Service": "_service", "health_server": "_health"}


def __getattr__(name: str) -> Any:
    """Import what needs a library of an extra only when it is used: the page of a run does without it."""
    if name in _MODULES:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
