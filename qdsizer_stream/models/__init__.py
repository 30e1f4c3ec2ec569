"""Models: the file a sizing model lives in, its inference and its guard."""

from ._answer import Answer
from ._card import BinnedInput, Card, ClassOutput, GaussianOutput, GuardLimits, PaperInput, SizeOutput
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
from ._input import N_CHANNELS, binned_vector, binned_vectors
from ._physics import PhysicsCheck, PhysicsFit
from ._templates import Templates, pooled_bins

__all__ = [
    "CARD_KEY",
    "N_CHANNELS",
    "REFERENCES_KEY",
    "REFERENCE_TOLERANCE",
    "TEMPLATES_KEY",
    "Answer",
    "BinnedInput",
    "Card",
    "ClassOutput",
    "GaussianOutput",
    "GuardLimits",
    "PaperInput",
    "PhysicsCheck",
    "PhysicsFit",
    "SizeOutput",
    "SizingModel",
    "Templates",
    "binned_vector",
    "binned_vectors",
    "load_model",
    "model_names",
    "pack_arrays",
    "pooled_bins",
]
