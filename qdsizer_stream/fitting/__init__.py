"""Fits: templates of any material, and the refinement of a pattern."""

from ._build import DEFAULT_WAVELENGTH_ANGSTROM, build_fit_model, cached_fit_model, held_out_recipe
from ._cache import CACHE_VARIABLE, cache_folder, cached_templates
from ._identify import Identification, Identity, identify
from ._refine import Refinement, refine
from ._simulate import Spheres, TemplateRecipe, simulate_fit_templates

__all__ = [
    "CACHE_VARIABLE",
    "DEFAULT_WAVELENGTH_ANGSTROM",
    "Identification",
    "Identity",
    "Refinement",
    "Spheres",
    "TemplateRecipe",
    "build_fit_model",
    "cache_folder",
    "cached_fit_model",
    "cached_templates",
    "held_out_recipe",
    "identify",
    "refine",
    "simulate_fit_templates",
]
