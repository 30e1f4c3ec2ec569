"""The picture of a synthesis in a browser, from the archive that holds its run. Loads Bokeh."""

from ._page import draw_page
from ._server import BrowserView

__all__ = ["BrowserView", "draw_page"]
