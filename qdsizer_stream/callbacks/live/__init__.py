"""The live callback: one queue and one sizing thread."""

from ._live import Counters, LiveSizer
from ._queue import Item, WorkQueue
from ._run import RunSizing

__all__ = [
    "Counters",
    "Item",
    "LiveSizer",
    "RunSizing",
    "WorkQueue",
]
