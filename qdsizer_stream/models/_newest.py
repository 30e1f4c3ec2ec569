"""The newest results of a computation, by what they depend on."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Newest"]

T = TypeVar("T")


class Newest(Generic[T]):
    """Keeps a bounded number of results: a run has the same bins and the same instrument in each frame.

    Parameters
    ----------
    n_kept
        Number of results; with one more, the one that was made first is dropped.
    """

    def __init__(self, n_kept: int) -> None:
        self._n_kept = n_kept
        self._results: dict[Hashable, T] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Give a result, made now if it is not kept.

        Parameters
        ----------
        key
            All that the result depends on.
        make
            Makes the result; where it raises, nothing is kept.

        Returns
        -------
        The result, the same object as long as it is kept.
        """
        try:
            return self._results[key]
        except KeyError:
            pass
        result = make()
        while len(self._results) >= self._n_kept:
            self._results.pop(next(iter(self._results)))
        self._results[key] = result
        return result
