"""How long work tells of its progress."""

from collections.abc import Callable

__all__ = ["Progress", "silent"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all."""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody.

    Parameters
    ----------
    what
        What is being done.
    done
        Steps done.
    total
        Steps in all.
    """
