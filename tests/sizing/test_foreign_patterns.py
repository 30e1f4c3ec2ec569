"""Patterns that another program simulated and mixed with measured solvents."""

import re
from pathlib import Path

import pytest

from qdsizer_stream.patterns import Axis, read_pattern
from qdsizer_stream.sizing import SizeEstimate, Sizer, SizingConfig, Status

Sized = list[tuple[float, SizeEstimate]]


@pytest.fixture(scope="module")
def sized(evaluation_only: Path) -> Sized:
    """True number-weighted mean diameter, from the file name, and the estimate."""
    sizer = Sizer(SizingConfig())
    files = sorted((evaluation_only / "debussy_patterns").glob("*.csv"))
    assert len(files) == 23
    truths = [re.search(r"Avg([\d.]+)_", file.name) for file in files]
    return [
        (float(truth[1]), sizer.size(read_pattern(file, 0.56, Axis.Q)))
        for truth, file in zip(truths, files, strict=True)
        if truth is not None
    ]


def test_all_are_sized_and_no_interval_misses_the_truth(sized: Sized) -> None:
    for truth, estimate in sized:
        assert estimate.status is Status.SIZED, estimate.reason
        assert estimate.size_low_nm <= truth <= estimate.size_high_nm


def test_sizes_are_right_on_the_average_and_none_is_far_off(sized: Sized) -> None:
    errors_nm = [abs(estimate.size_nm - truth) for truth, estimate in sized]
    assert sum(errors_nm) / len(errors_nm) <= 0.05
    assert max(errors_nm) <= 0.20
