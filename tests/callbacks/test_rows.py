"""Rows of a dataset that belong to one event: one rule for files and archives."""

import itertools

import numpy as np
import pytest

from qdsizer_stream.callbacks.documents import described_shape, rows_per_event
from qdsizer_stream.errors import ArchiveError


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("layout", [(5,), (1, 5), (5, 2), (2, 5)])
@pytest.mark.parametrize("n_events", [1, 2, 4])
def test_every_frame_belongs_to_its_event(k: int, layout: tuple[int, ...], n_events: int) -> None:
    """Brute force: write numbered frames stacked and concatenated, and read each event back."""
    size = int(np.prod(layout))
    frames = np.arange(n_events * k * size).reshape(n_events, k, size)
    shape = (k, *layout)
    datasets = {"stack": frames.reshape(n_events, *shape), "concat": frames.reshape(n_events * k, *layout)}
    for method, dataset in datasets.items():
        for stated in (None, method):
            each = rows_per_event(dataset.shape, shape, stated)
            for event in range(n_events):
                rows = dataset[event * each : (event + 1) * each]
                np.testing.assert_array_equal(rows.reshape(k, size), frames[event])
    # Tiled shows a concatenated dataset as a stacked one unless told otherwise.
    assert rows_per_event(datasets["concat"].shape, shape, "stack") == k


@pytest.mark.parametrize(
    ("shape", "multiplier", "expected"),
    [
        ((2, 8), None, (2, 8)),
        ((8,), 3, (3, 8)),
        ((1, 8), 3, (3, 8)),  # of one frame
        ((3, 8), 3, (3, 8)),  # of all frames
        ((2, 8), 3, (3, 2, 8)),
        ((), 3, (3,)),
    ],
)
def test_the_frames_of_a_resource_are_counted_into_the_shape(
    shape: tuple[int, ...], multiplier: int | None, expected: tuple[int, ...]
) -> None:
    assert described_shape(shape, multiplier) == expected


@pytest.mark.parametrize(
    ("dataset", "described", "method"),
    [((4, 3, 8), (2, 8), None), ((4, 8), (2, 9), None), ((4, 3, 8), (3, 8), "concat"), ((4,), (8,), None)],
)
def test_shapes_that_do_not_fit_are_refused(
    dataset: tuple[int, ...], described: tuple[int, ...], method: str | None
) -> None:
    with pytest.raises(ArchiveError) as error:
        rows_per_event(dataset, described, method)
    joined = " by concat" if method else ""
    assert str(error.value) == (
        f"a dataset of shape {dataset} cannot hold events of shape {described}{joined}: correct the shape of "
        "the data key or the join_method of its resource"
    )


def test_axes_of_length_one_make_no_difference() -> None:
    for dataset, described in itertools.product([(4, 8), (4, 1, 8)], [(8,), (1, 8), (1, 1, 8)]):
        assert rows_per_event(dataset, described) == 1
