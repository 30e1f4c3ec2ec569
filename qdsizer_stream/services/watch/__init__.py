"""The picture of a synthesis in a browser, from the archive that holds its run. Loads Bokeh."""

from ._page import draw_page
from ._server import BrowserView
from ._shelf import ArchivedRuns, OneRun, RunEntry, Shelf

__all__ = ["ArchivedRuns", "BrowserView", "OneRun", "RunEntry", "Shelf", "draw_page"]
