"""Reduction: strip detector counts to patterns."""

from ._accumulate import AccumulationConfig, FrameAccumulator
from ._applied import NOTHING_APPLIED, AppliedCorrections
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
from ._config import (
    AngleGrid,
    BadStripFile,
    CalibrationFile,
    FlatFieldFile,
    Polarisation,
    ReductionConfig,
    load_reduction,
)
from ._counting import DeadTime, Shaping, observed_rate, true_rate
from ._forward import StripSimulator
from ._frames import strip_counts
from ._geometry import (
    MODULE_STRIPS,
    StripDetector,
    StripModule,
    StripOrigin,
    nominal_detector,
    strip_module_from_ee,
    two_theta,
)
from ._pooled import PooledCounts
from ._reduce import Reducer

__all__ = [
    "MODULE_STRIPS",
    "NOTHING_APPLIED",
    "AccumulationConfig",
    "AngleConvention",
    "AngleGrid",
    "AppliedCorrections",
    "BadStripFile",
    "CalibrationFile",
    "DeadTime",
    "FlatField",
    "FlatFieldFile",
    "FlatLayout",
    "FrameAccumulator",
    "Polarisation",
    "PooledCounts",
    "Reducer",
    "ReductionConfig",
    "Shaping",
    "StripDetector",
    "StripModule",
    "StripOrigin",
    "StripSimulator",
    "load_reduction",
    "nominal_detector",
    "observed_rate",
    "read_angle_calibration",
    "read_bad_strips",
    "read_flat_field",
    "strip_counts",
    "strip_module_from_ee",
    "true_rate",
    "two_theta",
    "write_angle_calibration",
    "write_bad_strips",
    "write_flat_field",
]
