"""Sizes of archived runs as a CSV file."""

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..callbacks import LiveConfig, estimates_alone
from ..errors import ConfigurationError
from ..models import SizingModel

__all__ = ["TableFile"]


class TableFile:
    """Writes sizes as comma-separated values; the file appears once it is complete.

    Parameters
    ----------
    path
        The file; an existing one is replaced at the end.

    Raises
    ------
    ConfigurationError
        The file cannot be written; raised on entering the context.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._part = self._path.with_name(self._path.name + ".part")

    def __enter__(self) -> Self:
        try:
            self._file = self._part.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {self._path}: {error.strerror}; give a folder that exists"
            ) from error
        self._lines = csv.writer(self._file)
        self._columns: list[str] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is None and self._columns:
            os.replace(self._part, self._path)
        self._part.unlink(missing_ok=True)

    def find(self, run: Any, config: LiveConfig, model: SizingModel) -> str | None:
        """Return None: the file is written every time.

        Parameters
        ----------
        run, config, model
            As of `LinkedRuns.find`.

        Returns
        -------
        None.
        """
        return None

    def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
        """Append the sizes of a run.

        Parameters
        ----------
        run
            The run.
        documents
            Those of the derived run.

        Returns
        -------
        Path of the file.
        """
        uid = run.metadata["start"]["uid"]
        for name, doc in estimates_alone(documents):
            if name != "event":
                continue
            if not self._columns:
                self._columns = list(doc["data"])
                names = (column.removeprefix("qdsizer_") for column in self._columns)
                self._lines.writerow(["run", "time", *names])
            values = (doc["data"][column] for column in self._columns)
            self._lines.writerow([uid, doc["time"], *("" if _is_nan(value) else value for value in values)])
        return str(self._path)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
