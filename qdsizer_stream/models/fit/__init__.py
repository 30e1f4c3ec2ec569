"""Fit of frames with simulated templates, without a network."""

from .._smooth_background import background_curves
from ._frame_fit import FitOptions, FitResult, FrameFit, Prior
from ._templates import FitTemplates, Population, lognormal_population

__all__ = [
    "FitOptions",
    "FitResult",
    "FitTemplates",
    "FrameFit",
    "Population",
    "Prior",
    "background_curves",
    "lognormal_population",
]
