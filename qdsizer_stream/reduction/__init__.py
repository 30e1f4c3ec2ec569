"""Reduction: strip detector counts to patterns."""

from ._calibration_files import (
    AngleConvention,
    FlatField,
    FlatLayout,
    read_angle_calibration,
    read_bad_strips,
    read_flat_field,
    write_angle_calibration,
    write_bad_strips,
    write_flat_field,
)
from ._geometry import (
    MODULE_STRIPS,
    StripDetector,
    StripModule,
    StripOrigin,
    nominal_detector,
    strip_module_from_ee,
    two_theta,
)
from ._reduce import Reducer

__all__ = [
    "MODULE_STRIPS",
    "AngleConvention",
    "FlatField",
    "FlatLayout",
    "Reducer",
    "StripDetector",
    "StripModule",
    "StripOrigin",
    "nominal_detector",
    "read_angle_calibration",
    "read_bad_strips",
    "read_flat_field",
    "strip_module_from_ee",
    "two_theta",
    "write_angle_calibration",
    "write_bad_strips",
    "write_flat_field",
]
