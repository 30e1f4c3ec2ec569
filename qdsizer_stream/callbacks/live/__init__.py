"""The live callback: one queue, one sizing thread, one run after another."""

from ._live import Counters, LiveSizer
from ._queue import Item
from ._run import RunSizing

__all__ = [
    "Counters",
    "Item",
    "LiveSizer",
    "RunSizing",
]
