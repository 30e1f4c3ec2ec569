"""Simulation: from a crystal structure to the frames that a detector would count."""

from ._cif import material_from_cif
from ._cluster import Cluster, SphereCut, Surface, nanocrystal, sphere
from ._crystal import Crystal, CrystalSite
from ._debye import pattern_sums, structure_sums
from ._edges import warn_near_edges
from ._generator import FrameBatch, FrameGenerator, GeneratorRecipe
from ._interpolate import StrainedSums
from ._library import Library, LibraryRecipe, build_library, load_recipe, read_library, simulate
from ._material import (
    Material,
    Site,
    axial_strain,
    load_material,
    material_from_crystal,
    material_names,
    read_crystal,
)
from ._pairs import PairTable, averaged_sphere_pairs, pair_table
from ._population import (
    Moments,
    Sampling,
    Weighting,
    histogram_weights,
    lognormal_weights,
    population_moments,
)
from ._scattering import compton_intensity, form_factors, recoil
from ._shapes import Ellipsoid, Platelet, Polyhedron, Rod, Shape, Sphere
from ._solvents import Solvent, load_solvent, mix_by_area, solvent_names
from ._stacking import close_packed_layers, faulted_nanocrystal, faulted_pair_table
from ._synthesis import GrowingDots, SynthesisRecipe
from ._texture import MarchDollase, TexturedPairs, textured_pairs, textured_sums

__all__ = [
    "Cluster",
    "Crystal",
    "CrystalSite",
    "Ellipsoid",
    "FrameBatch",
    "FrameGenerator",
    "GeneratorRecipe",
    "GrowingDots",
    "Library",
    "LibraryRecipe",
    "MarchDollase",
    "Material",
    "Moments",
    "PairTable",
    "Platelet",
    "Polyhedron",
    "Rod",
    "Sampling",
    "Shape",
    "Site",
    "Solvent",
    "Sphere",
    "SphereCut",
    "StrainedSums",
    "Surface",
    "SynthesisRecipe",
    "TexturedPairs",
    "Weighting",
    "averaged_sphere_pairs",
    "axial_strain",
    "build_library",
    "close_packed_layers",
    "compton_intensity",
    "faulted_nanocrystal",
    "faulted_pair_table",
    "form_factors",
    "histogram_weights",
    "load_material",
    "load_recipe",
    "load_solvent",
    "lognormal_weights",
    "material_from_cif",
    "material_from_crystal",
    "material_names",
    "mix_by_area",
    "nanocrystal",
    "pair_table",
    "pattern_sums",
    "population_moments",
    "read_crystal",
    "read_library",
    "recoil",
    "simulate",
    "solvent_names",
    "sphere",
    "structure_sums",
    "textured_pairs",
    "textured_sums",
    "warn_near_edges",
]
