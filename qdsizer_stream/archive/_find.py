"""Finding a run in an archive."""

from typing import Any

from ..errors import ArchiveError

__all__ = ["find_run"]


def find_run(catalog: Any, uid: str) -> Any:
    """Find a run by its identifier.

    Parameters
    ----------
    catalog
        Client of a Tiled archive.
    uid
        Unique identifier of the run.

    Returns
    -------
    The run.

    Raises
    ------
    ArchiveError
        The archive does not hold it.
    """
    try:
        return catalog[uid]
    except KeyError:
        newest = ", ".join(catalog.keys().tail(3)) or "none"
        raise ArchiveError(
            f"no run {uid} among the {len(catalog)} of this archive, newest: {newest}; "
            "give the whole identifier"
        ) from None
