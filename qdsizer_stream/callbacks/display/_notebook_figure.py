"""A figure that shows itself in a notebook, also where pyplot was never imported."""

import io

from matplotlib.figure import Figure

__all__ = ["NotebookFigure"]

DPI = 80
"""Resolution of a picture in a notebook: a width of 1280 pixels for a run, and at most 300 kB."""


class NotebookFigure(Figure):
    """A figure that no window manager knows, and that a notebook shows as a picture."""

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.savefig(png, format="png", dpi=DPI)
        return png.getvalue()
