"""Parts of a dataset that a stream_resource selects by its parameter `slice`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from ...errors import ArchiveError

__all__ = ["Selection"]

PART = re.compile(r"(-?\d+)?(?::(-?\d+)?)?(?::(-?\d+)?)?")

FIRST_AXIS = re.compile(r"(\d+)?::?")
"""A first axis that can be followed while a file grows: all rows, or all from one on."""


@dataclass(frozen=True)
class Selection:
    """Rows from one on, and a part of each."""

    skipped_rows: int = 0
    """Rows before the first that is selected."""
    part: tuple[slice | int, ...] = ()
    """Index of the axes of a row; empty for all of it."""

    @classmethod
    def of(cls, text: Any, n_axes: int) -> Self:
        """Read a selection.

        Parameters
        ----------
        text
            In the form of NumPy, such as ``:,0,:``; None or empty for everything.
        n_axes
            Axes of the dataset.

        Returns
        -------
        The selection.

        Raises
        ------
        ArchiveError
            It is in another form, or selects rows that depend on how many there will be.
        """
        if not text:
            return cls()
        if not isinstance(text, str):
            raise ArchiveError(
                f"slice = {text!r} is not a text such as ':,0,:': write it in the form of NumPy"
            )
        first, *parts = (one.strip() for one in text.strip("[]() ").rstrip(",").split(","))
        if first == "...":
            first, parts = ":", ["...", *parts]
        if "..." in parts:
            at, n_given = parts.index("..."), len(parts) - 1
            parts[at : at + 1] = [":"] * (n_axes - 1 - n_given)
        if (rows := FIRST_AXIS.fullmatch(first)) is None:
            raise ArchiveError(
                f"slice = {text!r} selects rows by {first!r}: write ':', or from one on, such as '2:', "
                "on the first axis"
            )
        if len(parts) >= n_axes or not all(part and PART.fullmatch(part) for part in parts):
            raise ArchiveError(f"slice = {text!r} does not fit a dataset of {n_axes} axes: correct it")
        return cls(int(rows[1] or 0), tuple(_index(part) for part in parts))

    def shape(self, dataset: Sequence[int]) -> tuple[int, ...]:
        """Shape of what is selected of a dataset.

        Parameters
        ----------
        dataset
            Shape of the dataset.

        Returns
        -------
        Shape, with the rows so far.
        """
        lengths = [
            len(range(*one.indices(length)))
            for one, length in zip(self.part, dataset[1:], strict=False)
            if isinstance(one, slice)
        ]
        return (max(dataset[0] - self.skipped_rows, 0), *lengths, *dataset[1 + len(self.part) :])


def _index(part: str) -> slice | int:
    if ":" not in part:
        return int(part)
    return slice(*(int(number) if number else None for number in part.split(":")))
