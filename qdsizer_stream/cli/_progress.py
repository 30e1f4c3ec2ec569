"""Progress bars of long commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["progress_bar"]


LOG_FRACTION = 0.05
"""In a log file one line appears per twentieth of the work."""


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar on the error stream; in a log file, a line per twentieth of the work.

    Yields
    ------
    Function that is called with a description, the steps done and the total number of steps.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        shown = -1

        def log(what: str, done: int, total: int) -> None:
            nonlocal shown
            fraction = int(done / max(total, 1) / LOG_FRACTION)
            if fraction != shown:  # it returns to zero where the next task begins
                shown = fraction
                console.print(f"{what}: {done} of {total}", highlight=False)

        yield log
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show
