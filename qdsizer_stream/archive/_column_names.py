"""Data keys and the columns of the tables in which Tiled keeps their values."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

__all__ = ["ColumnNames"]

RESERVED = ("time", "seq_num")
"""Columns of every table; Tiled's writer appends an underscore to a data key of that name."""

TIMESTAMP = "ts_"
"""Before a data key: column of its timestamps."""


class ColumnNames:
    """Names of the columns of one stream.

    Parameters
    ----------
    stored
        Data keys of its descriptor in the archive.
    renamed
        Reserved names that the writer changed.
    """

    def __init__(self, stored: Iterable[str], renamed: Iterable[str] = ()) -> None:
        self._stored = frozenset(stored)
        self._original = {f"{name}_": name for name in renamed}

    @classmethod
    def of(
        cls, stream: str, descriptor: Mapping[str, Any], notes: Iterable[str], read: Iterable[str]
    ) -> Self:
        """Find out which names were changed.

        Parameters
        ----------
        stream
            Name of the stream.
        descriptor
            Its descriptor in the archive.
        notes
            What the writer noted about the run at its end.
        read
            Data keys that the settings name: a run in progress has no notes yet.

        Returns
        -------
        The names.
        """
        stored = descriptor["data_keys"]
        noted = set(notes)
        renamed = [
            name
            for name in RESERVED
            if f"{name}_" in stored
            and name not in stored
            and (f"Renamed data_key '{name}' to '{name}_' in stream {stream}" in noted or name in read)
        ]
        return cls(stored, renamed)

    @property
    def problem(self) -> str:
        """Why the events of the stream cannot be known; empty where they can."""
        taken = [name for name in RESERVED if name in self._stored]
        if not taken:
            return ""
        return (
            f"the archive holds the values of the data key {taken[0]!r} where the {taken[0]} of the events "
            "should be: write the run again with the normalizer of TiledWriter, or rename the key"
        )

    def original(self, column: str) -> str:
        """Data key of a column.

        Parameters
        ----------
        column
            Its name.

        Returns
        -------
        The data key as the devices named it.
        """
        return self._original.get(column, column)

    def column(self, data_key: str) -> str:
        """Column of a data key.

        Parameters
        ----------
        data_key
            The key as the devices named it.

        Returns
        -------
        Name of the column.
        """
        return f"{data_key}_" if f"{data_key}_" in self._original else data_key

    def restored(self, descriptor: Mapping[str, Any]) -> dict[str, Any]:
        """Give a descriptor the names that its devices gave.

        Parameters
        ----------
        descriptor
            Descriptor as the archive has it.

        Returns
        -------
        A copy.
        """
        keys = {self.original(key): about for key, about in descriptor["data_keys"].items()}
        return {**descriptor, "data_keys": keys}

    def is_data(self, column: str) -> bool:
        """Whether a column holds data of the events, not their number, time or timestamps.

        Parameters
        ----------
        column
            Its name.

        Returns
        -------
        True for data; also for a key `ts_x` beside `x`, of which the timestamps of `x` took the place.
        """
        if column in RESERVED:
            return False
        return column in self._stored or column.removeprefix(TIMESTAMP) not in self._stored - {column}

    def lost(self, column: str) -> str:
        """Why the values of a column are not in the archive.

        Parameters
        ----------
        column
            Its name.

        Returns
        -------
        One line with the remedy; empty where they are.
        """
        other = column.removeprefix(TIMESTAMP)
        if other == column or column not in self._stored or other not in self._stored:
            return ""
        return (
            f"the archive holds the timestamps of {other!r} in place of the data key {column!r}: "
            "size such runs live, or rename the key"
        )
