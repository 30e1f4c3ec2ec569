"""Rows of a dataset that belong to one event."""

from collections.abc import Sequence
from typing import Any

from ...errors import ArchiveError

__all__ = ["described_shape", "rows_per_event"]


def described_shape(shape: Sequence[int | None], multiplier: Any = None) -> tuple[int | None, ...]:
    """Shape of the frames of one event.

    Parameters
    ----------
    shape
        Shape of the data key.
    multiplier
        Frames per event, from the parameters of a resource, whose data key then describes one frame or all
        of them; None where it has none.

    Returns
    -------
    The shape; of all frames, first axis first.
    """
    if not multiplier or (shape and shape[0] == multiplier):
        return tuple(shape)
    one = shape[1:] if shape and shape[0] == 1 else shape
    return (int(multiplier), *one)


def rows_per_event(
    dataset: Sequence[int], described: Sequence[int | None], join_method: str | None = None
) -> int:
    """Number of rows of a dataset, along its first axis, that hold the frames of one event.

    Axes of length one make no difference. A dataset is *stacked* where each of its rows has the described
    shape: one row per event. It is *concatenated* where its rows are those of the described shape: (k, …) is
    k rows per event. One rule for files as they are written and for arrays as an archive returns them.

    Parameters
    ----------
    dataset
        Shape of the dataset.
    described
        Shape of one event, from its data key; None for an axis of unknown length.
    join_method
        `stack` or `concat`, from the parameters of the resource; None where they do not hold it. Tiled shows
        rows of a concatenated dataset as stacked ones, so that `stack` fits both.

    Returns
    -------
    Rows per event.

    Raises
    ------
    ArchiveError
        The dataset is of another shape than described.

    Examples
    --------
    Three frames of 1280 strips per event, four events:

    >>> rows_per_event((4, 3, 1280), (3, 1280))
    1
    >>> rows_per_event((12, 1280), (3, 1280))
    3
    """
    whole, row = _squeezed(described), _squeezed(dataset[1:])
    if None in whole and len(row) == len(whole):
        whole = tuple(found if length is None else length for found, length in zip(row, whole, strict=True))
    if row == whole and (join_method != "concat" or len(described) < 2 or described[0] == 1):
        return 1
    if len(described) > 1 and row == _squeezed(described[1:]) and described[0] is not None:
        return int(described[0])
    joined = f" by {join_method}" if join_method else ""
    raise ArchiveError(
        f"a dataset of shape {tuple(dataset)} cannot hold events of shape {tuple(described)}{joined}: "
        "correct the shape of the data key or the join_method of its resource"
    )


def _squeezed(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    return tuple(length if length is None else int(length) for length in shape if length != 1)
