"""Documents in, frames out of them, derived documents."""

from .display import SizedFrame, SynthesisRecord
from .documents import (
    OBJECT_NAME,
    RUN_KEY,
    STREAM_NAME,
    AngleSource,
    Destination,
    ExposureSource,
    LiveConfig,
    NumberSource,
    QueuePolicy,
    RunIndex,
    WavelengthSource,
    config_of_run,
    estimate_data,
    frame_keys,
)
from .live import Counters, Item, LiveSizer, RunSizing

__all__ = [
    "OBJECT_NAME",
    "RUN_KEY",
    "STREAM_NAME",
    "AngleSource",
    "Counters",
    "Destination",
    "ExposureSource",
    "Item",
    "LiveConfig",
    "LiveSizer",
    "NumberSource",
    "QueuePolicy",
    "RunIndex",
    "RunSizing",
    "SizedFrame",
    "SynthesisRecord",
    "WavelengthSource",
    "config_of_run",
    "estimate_data",
    "frame_keys",
]
