"""Reading ahead in a second thread."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")

CHECK_S = 0.5
"""How often a full queue looks whether anybody still reads, s."""


def ahead(items: Iterator[T], depth: int = 1) -> Iterator[T]:
    """Take items from an iterator in a thread, so that the next is there when it is asked for.

    Parameters
    ----------
    items
        Where they come from; used in the thread alone, until this iterator is closed.
    depth
        Items that may wait, besides the one in the making.

    Returns
    -------
    The same items in the same order; what making them raises is raised here in its place.
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
                del item  # else this thread keeps a chunk alive that the other is done with
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
