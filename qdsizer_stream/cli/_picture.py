"""Pictures that commands write."""

from importlib.util import find_spec
from pathlib import Path

from ..errors import ConfigurationError
from ._output_path import check_output

__all__ = ["check_picture"]

SUFFIXES = (".png", ".svg", ".pdf")
"""Endings of pictures that can be written."""


def check_picture(path: Path) -> None:
    """Check that a picture can be written, before the work that it shows.

    Parameters
    ----------
    path
        File to write.

    Raises
    ------
    ConfigurationError
        The ending is unknown, the folder does not exist, or Matplotlib is missing.
    """
    check_output(path, SUFFIXES, "picture")
    if find_spec("matplotlib") is None:
        raise ConfigurationError('pictures need the package matplotlib: pip install "qdsizer-stream[plot]"')
