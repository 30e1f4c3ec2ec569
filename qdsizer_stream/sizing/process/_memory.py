"""Memory that two processes share, for the arrays of requests and results."""

import mmap
import os
import pickle
import struct
from tempfile import TemporaryFile
from typing import Any, Self

__all__ = ["SEVERAL", "SLOTS", "Content", "SharedMemory"]

Content = tuple[bytes, list[tuple[int, int]]]
"""A pickled value, and where in the memory its arrays begin and end."""

SLOTS = 8
"""Tasks that may be pending at once: enough that the sizing process never waits for the next, few enough
that all arrays stay in a processor's cache."""

SLOT_BYTES = 1 << 20
"""Room for the arrays of one task: 30 720 strips with four counters in double precision. Larger ones travel
with the message."""

SEVERAL = -1
"""Index of the running task where several are run at once."""

HEADER = struct.Struct("q")
"""Before the slots: index of the running task."""


class SharedMemory:
    """Slots for the arrays of tasks; task n has slot n modulo `SLOTS`.

    A message is then a kilobyte, which a pipe always has room for: neither process waits for the other to
    read.

    Parameters
    ----------
    file_descriptor
        Of a file without a name, which goes with the last process that has it open.
    """

    def __init__(self, file_descriptor: int) -> None:
        self._map = mmap.mmap(file_descriptor, HEADER.size + SLOTS * SLOT_BYTES)
        self._bytes = memoryview(self._map)

    @classmethod
    def new(cls) -> tuple[Self, int]:
        """Make one.

        Returns
        -------
        The memory and its file descriptor, to be handed on and closed.
        """
        file_descriptor = _unnamed_file()
        os.truncate(file_descriptor, HEADER.size + SLOTS * SLOT_BYTES)
        return cls(file_descriptor), file_descriptor

    @property
    def running(self) -> int:
        """Index of the task that the sizing process began last, or `SEVERAL`."""
        return int(HEADER.unpack_from(self._bytes)[0])

    @running.setter
    def running(self, index: int) -> None:
        HEADER.pack_into(self._bytes, 0, index)

    def write(self, index: int, value: Any) -> Content:
        """Pickle a value, its arrays into the slot of a task.

        Parameters
        ----------
        index
            Of the task.
        value
            The value.

        Returns
        -------
        Argument of `read` at the other end.

        Raises
        ------
        Exception
            The value cannot be pickled.
        """
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        arrays = [buffer.raw() for buffer in buffers]
        begin = end = HEADER.size + (index % SLOTS) * SLOT_BYTES
        spans = []
        for array in arrays:
            spans.append((end, end + array.nbytes))
            end += array.nbytes
        if end - begin > SLOT_BYTES:
            return pickle.dumps(value, protocol=5), []
        for array, (first, last) in zip(arrays, spans, strict=True):
            self._bytes[first:last] = array
        return pickled, spans

    def read(self, content: Content) -> Any:
        """Unpickle a value that `write` wrote; its arrays are copies.

        Parameters
        ----------
        content
            Return value of `write`.

        Returns
        -------
        The value.
        """
        pickled, spans = content
        # Copied: the slot is written again while the value is still in use.
        return pickle.loads(pickled, buffers=[bytearray(self._bytes[a:b]) for a, b in spans])


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("qdsizer")
    with TemporaryFile() as file:  # other systems than Linux
        return os.dup(file.fileno())
