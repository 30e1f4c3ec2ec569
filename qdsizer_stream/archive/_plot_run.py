"""The picture of an archived run."""

from typing import TYPE_CHECKING, Any

from ..errors import missing_extra
from ._watched_run import WatchedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_run"]

FIGURE_INCHES = (16.0, 9.0)
"""Size of the picture, for which its fonts are chosen."""


def plot_run(run: Any, figure: "Figure | None" = None) -> "Figure":
    """Draw an archived run: sizes against time, newest fit and waterfall.

    Up to 100 frames are read and examined again for the waterfall, which takes some seconds.

    Parameters
    ----------
    run
        A run from Tiled that holds the stream `qd_size`, as of `find_run`.
    figure
        Figure to draw into; None for a new one.

    Returns
    -------
    The figure, which a notebook shows.

    Raises
    ------
    ArchiveError
        The run was never sized, or the archive does not answer.
    MissingExtraError
        Matplotlib is not installed.
    """
    try:
        from ..callbacks.display import NotebookFigure, draw_synthesis
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    watched = WatchedRun(run.parent, run.metadata["start"]["uid"])
    while watched.update():
        pass
    drawn = NotebookFigure(figsize=FIGURE_INCHES) if figure is None else figure
    draw_synthesis(watched.record, drawn)
    return drawn
