"""Patterns that another program simulated and mixed with measured solvents."""

import re
from pathlib import Path

import pytest

from qdsizer_stream.patterns import Axis, read_pattern
from qdsizer_stream.sizing import Sizer, SizingConfig, Status


def test_the_default_model_sizes_them(evaluation_only: Path) -> None:
    sizer = Sizer(SizingConfig())
    files = sorted((evaluation_only / "debussy_patterns").glob("*.csv"))
    assert len(files) == 23
    right = 0
    for file in files:
        truth = re.search(r"Avg([\d.]+)_", file.name)
        assert truth is not None
        estimate = sizer.size(read_pattern(file, 0.56, Axis.Q))
        assert estimate.status is Status.SIZED or estimate.reason
        right += estimate.size_nm == pytest.approx(float(truth[1]), abs=0.25)
    assert right >= 22
