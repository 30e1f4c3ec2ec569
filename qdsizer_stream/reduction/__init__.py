"""Reduction: from counts of a strip detector to patterns."""

from ._absorption import (
    AbsorptionFactors,
    Capillary,
    attenuation_from_transmission,
    attenuation_per_cm,
    paalman_pings,
    straight_transmission,
)
from ._accumulate import AccumulationConfig, FrameAccumulator
from ._applied import NOTHING_APPLIED, SWITCHES, AppliedCorrections
from ._background import (
    BackgroundConfig,
    BackgroundSubtractor,
    Compton,
    PatternFile,
    Subtracted,
    compton_electron_units,
    load_background,
)
from ._calibrate import CalibrationFit, ModuleResidual, Standard, refine_calibration
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
from ._frames import frame_layouts, strip_counts
from ._geometry import (
    MODULE_STRIPS,
    StripDetector,
    StripModule,
    StripOrigin,
    nominal_detector,
    strip_module_from_ee,
    two_theta,
)
from ._instrument_width import CRYSTALLITE_NM, InstrumentWidthFit, StandardLine, fit_instrument_width
from ._line_width import line_profile
from ._pooled import PooledCounts
from ._raw_files import RawFrame, read_raw_frames, write_nxmonopd, write_raw_text
from ._reduce import Reducer
from ._reduced_files import read_reduced, write_reduced, write_xye

__all__ = [
    "CRYSTALLITE_NM",
    "MODULE_STRIPS",
    "NOTHING_APPLIED",
    "SWITCHES",
    "AbsorptionFactors",
    "AccumulationConfig",
    "AngleConvention",
    "AngleGrid",
    "AppliedCorrections",
    "BackgroundConfig",
    "BackgroundSubtractor",
    "BadStripFile",
    "CalibrationFile",
    "CalibrationFit",
    "Capillary",
    "Compton",
    "DeadTime",
    "FlatField",
    "FlatFieldFile",
    "FlatLayout",
    "FrameAccumulator",
    "InstrumentWidthFit",
    "ModuleResidual",
    "PatternFile",
    "Polarisation",
    "PooledCounts",
    "RawFrame",
    "Reducer",
    "ReductionConfig",
    "Shaping",
    "Standard",
    "StandardLine",
    "StripDetector",
    "StripModule",
    "StripOrigin",
    "StripSimulator",
    "Subtracted",
    "attenuation_from_transmission",
    "attenuation_per_cm",
    "compton_electron_units",
    "fit_instrument_width",
    "frame_layouts",
    "line_profile",
    "load_background",
    "load_reduction",
    "nominal_detector",
    "observed_rate",
    "paalman_pings",
    "read_angle_calibration",
    "read_bad_strips",
    "read_flat_field",
    "read_raw_frames",
    "read_reduced",
    "refine_calibration",
    "straight_transmission",
    "strip_counts",
    "strip_module_from_ee",
    "true_rate",
    "two_theta",
    "write_angle_calibration",
    "write_bad_strips",
    "write_flat_field",
    "write_nxmonopd",
    "write_raw_text",
    "write_reduced",
    "write_xye",
]
