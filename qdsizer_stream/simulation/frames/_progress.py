"""Progress callbacks of long computations."""

from collections.abc import Callable

__all__ = ["Progress", "silent"]

Progress = Callable[[str, int, int], None]
"""Called with a description of the step, the number of finished steps and their total."""


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
