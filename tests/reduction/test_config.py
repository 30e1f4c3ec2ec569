"""Which values the settings of a reduction may have."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from qdsizer_stream.reduction import (
    AngleGrid,
    FlatFieldFile,
    FlatLayout,
    Polarisation,
    ReductionConfig,
    nominal_detector,
)

GRID = AngleGrid(first_deg=1.0, n_bins=2)
FLAT = FlatFieldFile(path=Path("/flat.dat"), layout=next(iter(FlatLayout)), energy_ev=22_000.0)
REDUCTION = ReductionConfig(detector=nominal_detector(2, 0.0), arm_deg=0.0)


@pytest.mark.parametrize(
    ("valid", "field", "allowed", "refused"),
    [
        (FLAT, "energy_ev", [2000.5, 249_999.0], [2000.0, 250_000.0]),
        (GRID, "first_deg", [0.01, 0.5, 179.9], [0.0, 180.0]),
        (GRID, "step_deg", [1e-4, 0.5, 9.99], [0.0, 10.0]),
        (GRID.model_copy(update={"step_deg": 1e-3}), "n_bins", [2, 100_000], [1, 100_001]),
        (Polarisation(fraction=0.95, plane="vertical"), "fraction", [-1.0, 0.0, 1.0], [-1.001, 1.001]),
        (REDUCTION, "n_counters", [1, 2, 3], [0, 4]),
        (REDUCTION.model_copy(update={"n_counters": 3}), "counter", [0, 1, 2], [-1, 3]),
        (REDUCTION, "edge_strips", [0, 1, 639], [-1, 640]),
        (REDUCTION, "monitor_relative_sigma", [0.0, 0.5, 0.999], [-1e-9, 1.0]),
    ],
)
def test_what_each_setting_allows(
    check_limits: Callable[..., None], valid: Any, field: str, allowed: Sequence[Any], refused: Sequence[Any]
) -> None:
    check_limits(valid, field, allowed, refused)


def test_settings_that_are_left_out() -> None:
    assert GRID.step_deg == 0.0036  # the customary width, less than a strip
    assert (REDUCTION.n_counters, REDUCTION.counter, REDUCTION.bit_depth) == (1, 0, 24)
    assert (REDUCTION.edge_strips, REDUCTION.monitor_relative_sigma) == (0, 0)
    assert not REDUCTION.normalise_exposure
    assert not REDUCTION.normalise_monitor
