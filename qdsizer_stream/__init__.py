"""Live sizing of quantum dots from 1-D X-ray frames inside a Bluesky run."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("qdsizer-stream")
