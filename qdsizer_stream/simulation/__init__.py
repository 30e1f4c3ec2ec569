"""Simulation: from a crystal structure to the frames that a detector would count."""

from ._cluster import Cluster, SphereCut, sphere
from ._debye import PairTable, averaged_sphere_pairs, pair_table, pattern_sums, structure_sums
from ._generator import FrameBatch, FrameGenerator, GeneratorRecipe
from ._interpolate import StrainedSums
from ._library import Library, LibraryRecipe, build_library, load_recipe, read_library, simulate
from ._material import Material, Site, load_material, material_names
from ._population import Moments, Weighting, lognormal_weights, population_moments
from ._scattering import compton_intensity, form_factors, recoil
from ._solvents import Solvent, load_solvent, mix_by_area, solvent_names
from ._synthesis import GrowingDots, SynthesisRecipe

__all__ = [
    "Cluster",
    "FrameBatch",
    "FrameGenerator",
    "GeneratorRecipe",
    "GrowingDots",
    "Library",
    "LibraryRecipe",
    "Material",
    "Moments",
    "PairTable",
    "Site",
    "Solvent",
    "SphereCut",
    "StrainedSums",
    "SynthesisRecipe",
    "Weighting",
    "averaged_sphere_pairs",
    "build_library",
    "compton_intensity",
    "form_factors",
    "load_material",
    "load_recipe",
    "load_solvent",
    "lognormal_weights",
    "material_names",
    "mix_by_area",
    "pair_table",
    "pattern_sums",
    "population_moments",
    "read_library",
    "recoil",
    "simulate",
    "solvent_names",
    "sphere",
    "structure_sums",
]
