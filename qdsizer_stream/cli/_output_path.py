"""Files that commands write."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import ConfigurationError

__all__ = ["check_output"]


def check_output(path: Path, suffixes: Sequence[str], what: str) -> None:
    """Check that a file can be written, before the work that it holds.

    Parameters
    ----------
    path
        File to write.
    suffixes
        Endings that can be written.
    what
        What the file holds, for the message.

    Raises
    ------
    ConfigurationError
        The ending is not one of these, or the folder does not exist.
    """
    if path.suffix.lower() not in suffixes:
        raise ConfigurationError(
            f"cannot write a {what} to {path}: its name must end in {', '.join(suffixes)}"
        )
    if not path.parent.is_dir():
        raise ConfigurationError(f"cannot write {path}: the folder {path.parent} does not exist, create it")
