"""Files of a stream_resource that names them by a template."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ArchiveError

__all__ = ["files_per_event", "template_uri"]

OLD_STYLE = re.compile(r"%([-+#0 ]*)(\d+)?(?:\.(\d+))?d")


def files_per_event(parameters: Mapping[str, Any], shape: Sequence[int | None]) -> int:
    """Number of files that hold the frames of one event, by the rule of bluesky-tiled-plugins.

    Parameters
    ----------
    parameters
        Parameters of the resource.
    shape
        Shape of one event.

    Returns
    -------
    `files_per_datum` where the resource gives it. Otherwise one file per frame where it gives its frames per
    event (`multiplier`), as many as `chunk_shape` demands where that has the axes of an event, or one.
    """
    n_frames = int(shape[0] or 1) if len(shape) > 1 else 1
    if stated := parameters.get("files_per_datum"):
        return int(stated)
    chunk = tuple(parameters.get("chunk_shape") or ())
    each = n_frames
    if parameters.get("join_method") == "concat":
        each = chunk[0] if chunk else 1
    elif parameters.get("multiplier") or parameters.get("frame_per_point"):
        each = 1
    elif len(chunk) == len(shape) and chunk[1:] == tuple(shape[1:]):
        each = chunk[0]
    return n_frames // each if each and n_frames % each == 0 else 1


def template_uri(resource: Mapping[str, Any], number: int) -> str:
    """URI of one file.

    Parameters
    ----------
    resource
        The stream_resource; its template is in the former or the present style of Python (``%s_%06d.h5`` or
        ``{:06d}.h5``), and continues its URI.
    number
        Number of the file.

    Returns
    -------
    The URI.

    Raises
    ------
    ArchiveError
        The template takes no number.
    """
    parameters = resource["parameters"]
    template, name = str(parameters["template"]), str(parameters.get("filename", ""))
    present = OLD_STYLE.sub(
        _present_style,
        template.replace("%s", "{:s}", 1).replace("%s", "").replace("{:s}", name, 1),
    )
    try:
        tail = present.format(number)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise ArchiveError(
            f"template = {template!r} does not take the number of a file ({error}): write it as '%06d.h5' or "
            "'{:06d}.h5'"
        ) from error
    if tail == present:
        raise ArchiveError(
            f"template = {template!r} gives every file the same name: write it as '%06d.h5' or '{{:06d}}.h5'"
        )
    uri = str(resource["uri"])
    return uri + (tail.lstrip("/") if uri.endswith("/") else tail)


def _present_style(found: re.Match[str]) -> str:
    flags, width, precision = found[1], int(found[2] or 0), int(found[3] or 0)
    zero = "0" if "0" in flags or precision else ""
    sign = "+" if "+" in flags else " " if " " in flags else ""
    align = "<" if "-" in flags else ""
    digits = max(width, precision)
    return f"{{:{align}{sign}{zero}{digits or ''}d}}"
