"""What a path that does not exist may mean."""

import os
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["not_found"]


def not_found(path: str | os.PathLike[str]) -> str:
    """Hint at what a path that does not exist may mean.

    Parameters
    ----------
    path
        The path.

    Returns
    -------
    A clause for the end of a message: the nearest name in its folder, what the shell does with blanks and
    patterns, or the part of the path that exists. Empty for a path that exists, or where nothing is near.
    """
    path = Path(path)
    try:
        if path.exists():
            return ""
        if not path.parent.is_dir():
            there = next((one for one in path.parents if one.is_dir()), None)
            return f"; there is no folder {path.parent}" + (f" in {there}" if there else "")
        names = sorted(one.name for one in path.parent.iterdir())
    except OSError:
        return ""
    if any(mark in path.name for mark in "*?["):
        fitting = [name for name in names if fnmatch(name, path.name)]
        if fitting:
            return f"; {len(fitting)} names fit this pattern: leave out the quotes, the shell then lists them"
        return "; no name in its folder fits this pattern"
    for name in names:
        if " " in name and path.name in [*name.split(" "), *Path(name).stem.split(" ")]:
            return f"; did you mean '{path.parent / name}'? names with blanks need quotes"
    lower = {name.lower(): name for name in names}
    nearest = get_close_matches(path.name.lower(), lower, 1)
    return f"; did you mean {path.parent / lower[nearest[0]]}?" if nearest else ""
