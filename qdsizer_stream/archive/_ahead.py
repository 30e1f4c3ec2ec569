"""Reading ahead in a second thread."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")

CHECK_S = 0.5
"""Interval at which a full queue checks whether its reader has closed it, s."""


def ahead(items: Iterator[T], depth: int = 1) -> Iterator[T]:
    """Read an iterator ahead in a second thread.

    Parameters
    ----------
    items
        Iterator to read; used only in the thread until the returned iterator is closed.
    depth
        Items that may wait, besides the one being read.

    Returns
    -------
    The same items in the same order; an exception of `items` is raised in its place.
    """
    waiting: queue.Queue[tuple[list[T], BaseException | None]] = queue.Queue(depth)
    closed = threading.Event()

    def put(entry: tuple[list[T], BaseException | None]) -> None:
        while not closed.is_set():
            try:
                waiting.put(entry, timeout=CHECK_S)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            for item in items:
                put(([item], None))
                if closed.is_set():
                    return
                del item  # otherwise this thread keeps a chunk alive that the reader has finished with
        except BaseException as error:
            put(([], error))
        else:
            put(([], None))

    thread = threading.Thread(target=read, name="qdsizer-ahead", daemon=True)
    thread.start()
    try:
        while True:
            entry, error = waiting.get()
            if error is not None:
                raise error
            if not entry:
                return
            yield entry.pop()
    finally:
        closed.set()
        thread.join()
