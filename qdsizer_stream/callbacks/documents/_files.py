"""Frames in files, by the documents that announce them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ArchiveError
from ._hdf5 import Hdf5Rows, paths_from_uri
from ._rows import described_shape, rows_per_event
from ._template import files_per_event, template_uri

__all__ = ["HDF5_DATASET", "FrameFiles", "datum_span"]

HDF5_DATASET = "/entry/data/data"
"""Where areaDetector writes frames, unless the resource gives another dataset."""

HDF5_MIMETYPE = "application/x-hdf5"


class FrameFiles:
    """Reads frames that resources and their datums point to; keeps the files of a run open.

    Parameters
    ----------
    timeout_s
        How long a read waits for rows to appear, s.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._files: dict[tuple[str, str], Hdf5Rows] = {}

    def stream_rows(
        self, resource: Mapping[str, Any], index: int, shape: Sequence[int | None], began: int = 0
    ) -> Any:
        """Read the frames of one index of a `stream_datum`.

        Parameters
        ----------
        resource
            The `stream_resource`.
        index
            Index of the event in the resource.
        shape
            Shape of one event, from the descriptor.
        began
            First index that was announced of the resource.

        Returns
        -------
        Rows of the dataset.

        Raises
        ------
        ArchiveError
            They cannot be read, or the dataset does not have the shape described.
        """
        resource = _of_today(resource)
        if resource["mimetype"] != HDF5_MIMETYPE:
            raise ArchiveError(
                f"frames of type {resource['mimetype']} cannot be read: only {HDF5_MIMETYPE} can"
            )
        parameters = resource["parameters"]
        dataset = parameters.get("dataset") or parameters.get("path") or HDF5_DATASET
        method = parameters.get("join_method")
        shape = described_shape(shape, parameters.get("multiplier") or parameters.get("frame_per_point"))
        if parameters.get("template"):
            return self._of_template(resource, dataset, index, shape, began)
        file = self._file(resource["uri"], dataset, lambda: paths_from_uri(resource["uri"]))
        try:
            return file.read(
                index,
                index + 1,
                lambda found: rows_per_event(found, shape, method),
                parameters.get("slice"),
            )
        except ArchiveError as error:
            if not began:
                raise
            raise ArchiveError(
                f"{error}; the indices of this resource begin at {began}: they should count the rows of "
                f"its own "
                "file, from 0"
            ) from error

    def _of_template(
        self,
        resource: Mapping[str, Any],
        dataset: str,
        index: int,
        shape: Sequence[int | None],
        began: int,
    ) -> Any:
        """Read the files of one event, which hold nothing else."""
        n_files = files_per_event(resource["parameters"], shape)
        n_frames = int(shape[0] or 1) if len(shape) > 1 else 1
        one = (max(n_frames // n_files, 1), *(shape[1:] if len(shape) > 1 else shape))
        method = resource["parameters"].get("join_method")

        def whole(found: tuple[int, ...]) -> int:
            rows = rows_per_event(found, one, method)
            if found[0] != rows:
                raise ArchiveError(
                    f"each file of template = {resource['parameters']['template']!r} should hold {rows} "
                    f"rows, "
                    f"and one holds {found[0]}: correct the chunk_shape of its resource"
                )
            return rows

        parts = []
        for number in range(index * n_files, (index + 1) * n_files):
            # Numbers of files begin anew with a resource; some producers do not let the indices do so.
            numbers = sorted({number, number - began * n_files})
            names = [paths_from_uri(template_uri(resource, one)) for one in numbers]
            found = [paths for paths in names if any(path.exists() for path in paths)]
            if len(found) > 1:
                raise ArchiveError(
                    f"index {index} may be in {found[0][0]} or {found[1][0]}, as the indices of its resource "
                    f"begin at {began}: let them begin at 0, and the files with 0"
                )
            file = Hdf5Rows((found or names)[0], dataset, self._timeout_s)
            with file:
                parts.append(file.read(0, 1, whole, resource["parameters"].get("slice")))
        return np.concatenate(parts)

    def datum_rows(
        self, resource: Mapping[str, Any], datum: Mapping[str, Any], shape: Sequence[int | None]
    ) -> Any:
        """Read the frames of a `datum`.

        Parameters
        ----------
        resource
            Its `resource`.
        datum
            The datum.
        shape
            Shape of one event, from the descriptor.

        Returns
        -------
        Rows of the dataset.

        Raises
        ------
        ArchiveError
            They cannot be read, or the documents do not state which rows they are.
        """
        if "HDF5" not in resource["spec"].upper():
            raise ArchiveError(f"frames of spec {resource['spec']} cannot be read: only HDF5 ones can")
        first, last, in_rows = datum_span(datum["datum_kwargs"])
        kwargs = resource.get("resource_kwargs", {})
        dataset = kwargs.get("dataset") or kwargs.get("path") or kwargs.get("key") or HDF5_DATASET
        # Documents write the path below the root with a leading slash or without.
        below = resource["resource_path"]
        path = Path(resource["root"]) / below.lstrip("/") if resource.get("root") else Path(below)
        file = self._file(str(path), dataset, lambda: [path])
        per_point = kwargs.get("frame_per_point")
        return file.read(
            first, last, lambda found: 1 if in_rows else _rows_per_point(found, shape, per_point)
        )

    def close(self) -> None:
        """Close the files."""
        for rows in self._files.values():
            rows.close()
        self._files.clear()

    def _file(self, name: str, dataset: str, paths: Callable[[], list[Path]]) -> Hdf5Rows:
        if (name, dataset) not in self._files:
            self._files[name, dataset] = Hdf5Rows(paths(), dataset, self._timeout_s)
        return self._files[name, dataset]


def _of_today(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """A `stream_resource` of event-model before 1.21, which has spec, root and path, in the present form."""
    if "mimetype" in resource:
        return resource
    spec = resource.get("spec", "")
    if "HDF5" not in spec.upper():
        raise ArchiveError(f"frames of spec {spec or '(none)'} cannot be read: only HDF5 ones can")
    path = Path(resource.get("root") or "/") / resource["resource_path"].lstrip("/")
    return {
        **resource,
        "mimetype": HDF5_MIMETYPE,
        "uri": path.as_uri(),
        "parameters": resource.get("resource_kwargs", {}),
    }


def datum_span(kwargs: Mapping[str, Any]) -> tuple[int, int, bool]:
    """Read which frames of its resource a datum names.

    Parameters
    ----------
    kwargs
        Its `datum_kwargs`.

    Returns
    -------
    First and last plus one of its points, or of its rows, and whether they are rows.

    Raises
    ------
    ArchiveError
        They do not state it.
    """
    match dict(kwargs):
        case {"point_number": int(point), **rest} if not rest:
            return point, point + 1, False
        case {"frame": int(frame), **rest} if not rest:
            return frame, frame + 1, True
        case {"indices": {"start": int(start), "stop": int(stop), **step}, **rest} if (
            not rest and start < stop and step in ({}, {"step": 1}, {"step": None})
        ):
            return start, stop, True
        case {"indices": [int(start), *more], **rest} if not rest and list(more) == list(
            range(start + 1, start + 1 + len(more))
        ):
            return start, start + 1 + len(more), True
    raise ArchiveError(
        f"datum_kwargs {dict(kwargs)} do not state the rows of the frame: allowed is one of point_number, "
        "frame and indices (start and stop, or successive rows), whole numbers"
    )


def _rows_per_point(found: tuple[int, ...], shape: Sequence[int | None], per_point: Any) -> int:
    """Rows per point: what the resource gives, which must not contradict the shape of the data key."""
    try:
        described = rows_per_event(found, shape)
    except ArchiveError:
        # Classic areaDetector devices describe shapes that are not those of their files.
        return 1 if per_point is None else int(per_point)
    if per_point is not None and int(per_point) != described:
        raise ArchiveError(
            f"frame_per_point is {per_point}, but in a dataset of shape {found} an event of shape "
            f"{tuple(shape)} has {described} rows: correct one of them"
        )
    return described
