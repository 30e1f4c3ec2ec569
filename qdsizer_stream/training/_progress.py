"""How long work tells of its progress."""

from ..simulation import Progress

__all__ = ["Progress", "silent"]


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
