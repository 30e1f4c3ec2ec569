"""Numbers that are mostly successive, kept as ranges."""

from collections import deque

__all__ = ["NumberRanges"]

MAX_RANGES = 10_000
"""Ranges that are kept, 2 MB: numbers of frames are successive but for what a transport loses."""


class NumberRanges:
    """A collection of whole numbers, in which a number may stand several times.

    A flown stream of 100 000 frames takes the memory of one range.
    """

    def __init__(self) -> None:
        self._ranges: deque[range] = deque(maxlen=MAX_RANGES)

    def __len__(self) -> int:
        return sum(map(len, self._ranges))

    @property
    def n_ranges(self) -> int:
        """Ranges that are kept."""
        return len(self._ranges)

    def add(self, number: int) -> None:
        """Add a number; the oldest range is forgotten where there are too many.

        Parameters
        ----------
        number
            The number.
        """
        if self._ranges and self._ranges[-1].stop == number:
            self._ranges[-1] = range(self._ranges[-1].start, number + 1)
        else:
            self._ranges.append(range(number, number + 1))

    def remove(self, number: int) -> bool:
        """Remove a number once.

        Parameters
        ----------
        number
            The number.

        Returns
        -------
        Whether it was there.
        """
        for index, one in enumerate(self._ranges):
            if number in one:
                rest = [range(one.start, number), range(number + 1, one.stop)]
                del self._ranges[index]
                for part in reversed([part for part in rest if part]):
                    if len(self._ranges) < MAX_RANGES:
                        self._ranges.insert(index, part)
                return True
        return False
