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


LOG_SHARE = 0.05
"""In a log file a line appears after every twentieth of the work."""


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on the error stream, which leaves the output to results; in a log file, a line now and then.

    Yields
    ------
    Function that takes what is being done, steps done and steps in all.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        told = -1

        def log(what: str, done: int, total: int) -> None:
            nonlocal told
            share = int(done / max(total, 1) / LOG_SHARE)
            if share != told:  # it falls back where the next piece of work begins
                told = share
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

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell
