"""Models: model files, their inference, their thresholds and the physics check."""

from ._answer import (
    WIDTH_Q_INV_ANGSTROM,
    Answer,
    allowing_for_phases,
    class_answer,
    corrected_for_width,
    gaussian_answer,
    interpreted,
    raised_for_width,
    size_answer,
    size_with_interval,
    upper_widening,
    with_widening,
)
from ._card import (
    AcceptanceThresholds,
    BinnedInput,
    Card,
    ClassOutput,
    FitOutput,
    GaussianOutput,
    IntervalCalibration,
    PaperInput,
    SizeOutput,
)
from ._file import (
    CARD_KEY,
    FIT_SUFFIX,
    REFERENCE_TOLERANCE,
    REFERENCES_KEY,
    TEMPLATES_KEY,
    SizingModel,
    load_model,
    model_names,
    pack_arrays,
    unpack_arrays,
)
from ._fit_model import FitModel, write_fit_model
from ._fitted_curves import FittedCurves, FittedParts
from ._input import N_CHANNELS, WIDTH_LIMITS_INV_ANGSTROM, binned_vector, binned_vectors
from ._interval import TWO_SIDED_95, log_size_sd, relative_floor
from ._linear_algebra import prepare
from ._peak_ratios import PeakRatios, RatioMisfit
from ._phases import PhaseFraction, found_phases
from ._physics import PhysicsCheck, PhysicsFit
from ._reflections import Reflections, reflections
from ._seal import BLANK_SEAL, SEAL_KEY, seal_of_arrays, sealed
from ._smooth_background import background_splines
from ._templates import Templates, pooled_bins

__all__ = [
    "BLANK_SEAL",
    "CARD_KEY",
    "FIT_SUFFIX",
    "N_CHANNELS",
    "REFERENCES_KEY",
    "REFERENCE_TOLERANCE",
    "SEAL_KEY",
    "TEMPLATES_KEY",
    "TWO_SIDED_95",
    "WIDTH_LIMITS_INV_ANGSTROM",
    "WIDTH_Q_INV_ANGSTROM",
    "AcceptanceThresholds",
    "Answer",
    "BinnedInput",
    "Card",
    "ClassOutput",
    "FitModel",
    "FitOutput",
    "FittedCurves",
    "FittedParts",
    "GaussianOutput",
    "IntervalCalibration",
    "PaperInput",
    "PeakRatios",
    "PhaseFraction",
    "PhysicsCheck",
    "PhysicsFit",
    "RatioMisfit",
    "Reflections",
    "SizeOutput",
    "SizingModel",
    "Templates",
    "allowing_for_phases",
    "background_splines",
    "binned_vector",
    "binned_vectors",
    "class_answer",
    "corrected_for_width",
    "found_phases",
    "gaussian_answer",
    "interpreted",
    "load_model",
    "log_size_sd",
    "model_names",
    "pack_arrays",
    "pooled_bins",
    "prepare",
    "raised_for_width",
    "reflections",
    "relative_floor",
    "seal_of_arrays",
    "sealed",
    "size_answer",
    "size_with_interval",
    "unpack_arrays",
    "upper_widening",
    "with_widening",
    "write_fit_model",
]
