"""Models: model files, their inference, their thresholds and the physics check."""

from ._answer import Answer, class_answer, gaussian_answer, size_answer, upper_widening
from ._card import (
    AcceptanceThresholds,
    BinnedInput,
    Card,
    ClassOutput,
    GaussianOutput,
    IntervalCalibration,
    PaperInput,
    SizeOutput,
)
from ._file import (
    CARD_KEY,
    REFERENCE_TOLERANCE,
    REFERENCES_KEY,
    TEMPLATES_KEY,
    SizingModel,
    load_model,
    model_names,
    pack_arrays,
)
from ._input import N_CHANNELS, WIDTH_LIMITS_INV_ANGSTROM, binned_vector, binned_vectors
from ._interval import TWO_SIDED_95, log_size_sd
from ._physics import PhysicsCheck, PhysicsFit
from ._templates import Templates, pooled_bins

__all__ = [
    "CARD_KEY",
    "N_CHANNELS",
    "REFERENCES_KEY",
    "REFERENCE_TOLERANCE",
    "TEMPLATES_KEY",
    "TWO_SIDED_95",
    "WIDTH_LIMITS_INV_ANGSTROM",
    "AcceptanceThresholds",
    "Answer",
    "BinnedInput",
    "Card",
    "ClassOutput",
    "GaussianOutput",
    "IntervalCalibration",
    "PaperInput",
    "PhysicsCheck",
    "PhysicsFit",
    "SizeOutput",
    "SizingModel",
    "Templates",
    "binned_vector",
    "binned_vectors",
    "class_answer",
    "gaussian_answer",
    "load_model",
    "log_size_sd",
    "model_names",
    "pack_arrays",
    "pooled_bins",
    "size_answer",
    "upper_widening",
]
