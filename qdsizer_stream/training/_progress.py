"""Progress callbacks of long computations."""

from ..simulation import Progress

__all__ = ["Progress", "silent"]


def silent(what: str, done: int, total: int) -> None:
    """Ignore progress.

    Parameters
    ----------
    what
        Name of the current step.
    done
        Number of steps done.
    total
        Total number of steps.
    """
