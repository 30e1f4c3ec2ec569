"""Documents in, frames out of them, derived documents."""

from ._config import RUN_KEY, Destination, LiveConfig, QueuePolicy, config_of_run
from ._derived import OBJECT_NAME, STREAM_NAME, estimate_data
from ._live import Counters, LiveSizer
from ._place import NumberSource
from ._quantity import AngleSource, ExposureSource, WavelengthSource
from ._queue import Item
from ._record import SizedFrame, SynthesisRecord
from ._run import RunSizing
from ._run_index import RunIndex
from ._source import frame_keys

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
