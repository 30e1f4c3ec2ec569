"""Which values the card of a model file may hold."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from qdsizer_stream.models import (
    AcceptanceThresholds,
    Card,
    FitOutput,
    GaussianOutput,
    IntervalCalibration,
    SizeOutput,
    load_model,
)

CALIBRATION = IntervalCalibration(scale=1.2, floor=0.02)
GAUSSIAN = GaussianOutput(
    target_offset=(0.0, 0.0, 0.0, 0.0),
    target_scale=(1.0, 1.0, 1.0, 1.0),
    interval_scale=1.2,
    interval_floor=0.02,
    interval_floor_nm=0.05,
)
FIT = FitOutput(
    model_error=0.01, size_interval=CALIBRATION, mass_interval=CALIBRATION, dispersion_interval=CALIBRATION
)
THRESHOLDS = AcceptanceThresholds(
    min_counts=1000.0,
    min_bins=50,
    min_significance=40.0,
    min_explained=0.2,
    max_residual=0.5,
    min_presence=0.5,
    max_relative_interval=1.0,
)


@pytest.mark.parametrize(
    ("card", "field", "allowed", "refused"),
    [
        (SizeOutput(offset_nm=0.0, scale_nm=1.0, half_width_nm=0.2), "scale_nm", [1e-6, 0.5], [0.0]),
        (SizeOutput(offset_nm=0.0, scale_nm=1.0, half_width_nm=0.2), "half_width_nm", [1e-6, 0.5], [0.0]),
        (CALIBRATION, "scale", [1.0, 1.5], [0.999]),
        (CALIBRATION, "floor", [0.0, 0.5, 0.999], [-1e-9, 1.0]),
        (CALIBRATION, "floor_nm", [0.0, 0.5, 0.999], [-1e-9, 1.0]),
        (CALIBRATION, "floor_dispersion", [0.0, 0.5], [-1e-9]),
        (GAUSSIAN, "interval_scale", [1.0, 1.5], [0.999]),
        (GAUSSIAN, "interval_floor", [0.0, 0.5, 0.999], [-1e-9, 1.0]),
        (GAUSSIAN, "interval_floor_nm", [0.0, 0.5, 0.999], [-1e-9, 1.0]),
        (GAUSSIAN, "interval_floor_dispersion", [0.0, 0.5], [-1e-9]),
        (FIT, "model_error", [0.0, 0.3, 0.499], [-1e-9, 0.5]),
        (THRESHOLDS, "min_counts", [0.0, 0.5], [-1e-9]),
        (THRESHOLDS, "min_bins", [1, 2], [0]),
        (THRESHOLDS, "max_q_low_inv_angstrom", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "min_q_high_inv_angstrom", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "min_significance", [0.0, 0.5], [-1e-9]),
        (THRESHOLDS, "min_explained", [0.0, 0.5, 1.0], [-1e-9, 1.001]),
        (THRESHOLDS, "max_residual", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "max_misfit", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "max_ratio_misfit", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "max_ratio_misfit_textured", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "max_shift_inv_angstrom", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "max_two_theta_shift_deg", [1e-6, 0.5], [0.0]),
        (THRESHOLDS, "max_delta_chi2_better_size", [0.0, 0.5], [-1e-9]),
        (THRESHOLDS, "max_delta_chi2_fraction", [0.0, 0.5, 1.0], [-1e-9, 1.001]),
        (THRESHOLDS, "min_presence", [0.0, 0.5, 1.0], [-1e-9, 1.001]),
        (THRESHOLDS, "max_relative_interval", [1e-6, 0.5], [0.0]),
        (load_model("pbs").card, "lattice_parameter_angstrom", [1e-6, 0.5], [0.0]),
    ],
)
def test_what_each_entry_allows(
    check_limits: Callable[..., None], card: Any, field: str, allowed: Sequence[Any], refused: Sequence[Any]
) -> None:
    check_limits(card, field, allowed, refused)


def test_thresholds_that_earlier_files_leave_out() -> None:
    """Files of earlier versions must be checked with the same thresholds by every later version."""
    left_out = {
        "max_q_low_inv_angstrom": 2.0,
        "min_q_high_inv_angstrom": 2.5,
        "max_misfit": 8.0,
        "max_ratio_misfit": 11.0,
        "max_ratio_misfit_textured": 5.5,
        "max_shift_inv_angstrom": 0.006,
        "max_two_theta_shift_deg": 0.3,
        "max_lost": 10.8,
        "max_lost_share": 0.001,
    }
    assert THRESHOLDS.model_dump(exclude_unset=True).keys().isdisjoint(left_out)
    assert {key: THRESHOLDS.model_dump()[key] for key in left_out} == left_out
    assert (CALIBRATION.floor_nm, CALIBRATION.floor_dispersion, GAUSSIAN.interval_floor_dispersion) == (
        0,
        0,
        0,
    )


def test_a_card_without_a_version_is_of_the_first() -> None:
    card = load_model("pbs").card.model_dump(mode="json")
    del card["format_version"]
    assert Card.model_validate(card).format_version == 1
    with pytest.raises(ValidationError, match="format_version"):
        Card.model_validate({**card, "format_version": 2})
