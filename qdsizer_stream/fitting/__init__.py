"""Fits: templates of any material, and the refinement of a pattern."""

from ._cache import CACHE_VARIABLE, cache_folder, cached_templates
from ._refine import Refinement, refine
from ._simulate import Spheres, TemplateRecipe, simulate_fit_templates

__all__ = [
    "CACHE_VARIABLE",
    "Refinement",
    "Spheres",
    "TemplateRecipe",
    "cache_folder",
    "cached_templates",
    "refine",
    "simulate_fit_templates",
]
