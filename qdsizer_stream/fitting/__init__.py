"""Fits: templates of any material, and the refinement of a pattern."""

from ._build import DEFAULT_WAVELENGTH_ANGSTROM, build_fit_model, cached_fit_model, held_out_recipe
from ._cache import CACHE_VARIABLE, cache_folder, cached_templates, replace_file
from ._identify import crystal_curves, identify, solvent_curves
from ._refine import Refinement, phase_curves, refine
from ._simulate import Spheres, TemplateRecipe, simulate_fit_templates

__all__ = [
    "CACHE_VARIABLE",
    "DEFAULT_WAVELENGTH_ANGSTROM",
    "Refinement",
    "Spheres",
    "TemplateRecipe",
    "build_fit_model",
    "cache_folder",
    "cached_fit_model",
    "cached_templates",
    "crystal_curves",
    "held_out_recipe",
    "identify",
    "phase_curves",
    "refine",
    "replace_file",
    "simulate_fit_templates",
    "solvent_curves",
]
