"""Selection of runs in an archive."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from tiled.queries import Comparison, Eq

from ..errors import ArchiveError
from ._connect import plain_errors

__all__ = ["find_run", "in_tables", "parse_query", "plain_catalog", "plain_run", "select_runs"]


NEWEST = "newest"
"""Name of the run that was written last, like -1."""

COUNTED_BACK = re.compile(r"-[1-9]\d*")
"""Runs counted from the newest: -1 is the newest, -2 the one before."""

MIN_PART = 5
"""Characters of an identifier that are needed at least, as in Tiled and databroker."""

SEARCHED_FOR_MISTAKES = 100
"""Newest runs whose identifiers are compared with one that does not exist."""


def find_run(catalog: Any, uid: str) -> Any:
    """Find a run by its identifier.

    Parameters
    ----------
    catalog
        Client of a Tiled archive, or a databroker catalog or `Broker`.
    uid
        Unique identifier of the run or its first characters, five at least; "-1" or "newest" for the newest
        run, "-2" for the one before.

    Returns
    -------
    The run.

    Raises
    ------
    ArchiveError
        The archive does not hold it, or does not show it.
    """
    catalog = plain_catalog(catalog)
    with plain_errors(f"run {uid}"):
        try:
            if uid == NEWEST or COUNTED_BACK.fullmatch(uid):
                return catalog.values()[-1 if uid == NEWEST else int(uid)]
            return catalog[uid]
        except (KeyError, ValueError, IndexError) as error:
            # A catalog raises ValueError where a short identifier could be several, or is too short.
            several = isinstance(error, ValueError) and len(uid) >= MIN_PART
            raise ArchiveError(_no_run(catalog, uid, several)) from None


def _no_run(catalog: Any, uid: str, several: bool) -> str:
    """Why a run was not found, what is there, and what to give."""
    known = [str(key) for key in catalog.keys().tail(SEARCHED_FOR_MISTAKES)]
    if several:
        found = [key for key in known if key.startswith(uid)]
        several_runs = " or ".join(found[:3]) or "several runs"
        return f"{uid} could be {several_runs}: give more characters of the identifier"
    nearest = get_close_matches(uid, [key[: len(uid)] for key in known], 1)
    hint = f"did you mean {nearest[0]}? " if nearest and len(uid) >= MIN_PART else ""
    newest = ", ".join(known[-3:]) or "none"
    return (
        f"no run {uid} among the {len(catalog)} of this archive, newest: {newest}; {hint}"
        f"give the identifier, {MIN_PART} or more of its first characters, or -1 for the newest run"
    )


def select_runs(
    catalog: Any,
    *,
    scan_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    query: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Find the measured runs that match all conditions; derived runs are left out.

    Parameters
    ----------
    catalog
        As of `find_run`.
    scan_id
        Only the newest run with this scan_id.
    since, until
        Earliest and latest start; local time where no time zone is given.
    query
        Values in the start documents, by key; dots lead into nested tables. A tuple stands for any of its
        values.

    Returns
    -------
    Runs, oldest first; may be empty.

    Raises
    ------
    ArchiveError
        The archive cannot be searched.
    """
    searches = [plain_catalog(catalog)]
    wanted = {**(query or {}), **({} if scan_id is None else {"scan_id": scan_id})}
    with plain_errors("search"):
        for key, value in wanted.items():
            alternatives = value if isinstance(value, tuple) else (value,)
            searches = [one.search(Eq(f"start.{key}", each)) for one in searches for each in alternatives]
        if since is not None:
            searches = [one.search(Comparison("ge", "start.time", since.timestamp())) for one in searches]
        if until is not None:
            searches = [one.search(Comparison("le", "start.time", until.timestamp())) for one in searches]
        runs = {
            run.metadata["start"]["uid"]: run
            for found in searches
            for run in found.values()
            if "start" in run.metadata
        }
    measured = [run for run in runs.values() if "original_run_uid" not in run.metadata["start"]]
    measured.sort(key=lambda run: run.metadata["start"]["time"])
    return measured[-1:] if scan_id is not None else measured


def parse_query(text: str) -> tuple[str, Any]:
    """Parse a condition.

    Parameters
    ----------
    text
        `KEY=VALUE`, where the value is text or JSON.

    Returns
    -------
    Key and value; where the text is valid JSON, a tuple of its value and the text itself, since a sample 41
    may have been stored as a number or as text.

    Raises
    ------
    ArchiveError
        The text is not a valid condition.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ArchiveError(f"query {text!r}: give KEY=VALUE, such as sample=PbS or sample.name=PbS")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        return key, value
    return key, (parsed, value)


def plain_run(run: Any) -> Any:
    """Return the Tiled run behind a databroker `Header`.

    Parameters
    ----------
    run
        A run or a header.

    Returns
    -------
    The run.
    """
    return run.v2 if type(run).__module__.startswith("databroker.v1") else run


def in_tables(run: Any) -> bool:
    """Check whether a run is stored in tables and arrays of Tiled.

    Parameters
    ----------
    run
        A run.

    Returns
    -------
    Whether it is; otherwise its documents are in MongoDB.
    """
    return any(spec.name == "BlueskyRun" and f"{spec.version}".startswith("3") for spec in run.specs)


def plain_catalog(catalog: Any) -> Any:
    """Return the Tiled catalog behind a databroker `Broker`.

    Parameters
    ----------
    catalog
        A catalog or a broker.

    Returns
    -------
    The catalog.
    """
    return catalog.v2 if type(catalog).__module__.startswith("databroker.v1") else catalog
