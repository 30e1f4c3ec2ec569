"""Simulation: from a crystal structure to the frames that a detector would count."""

from ._backgrounds import Background, FallingBackground, HumpBackground
from ._blocks import Progress
from ._cif import material_from_cif
from ._cluster import Cluster, SphereCut, Surface, nanocrystal, sphere
from ._crystal import Crystal, CrystalSite
from ._debye import pattern_sums, structure_sums
from ._dots import DotPopulation, mixed_pairs
from ._draws import PositiveRange, log_uniform
from ._edges import warn_near_edges
from ._frame import FrameRecipe, counted_frame, expected_frame
from ._instrument import (
    COPPER_K_ALPHA,
    Displacement,
    Gaps,
    Instrument,
    SpectralLine,
    cylinder_absorption,
    monochromator_share,
    polarisation_factor,
)
from ._interpolate import StrainedSums
from ._library import Library, LibraryRecipe, build_library, load_recipe, read_library, simulate
from ._ligands import LigandShell
from ._liquids import random_liquids
from ._material import (
    Material,
    Site,
    axial_strain,
    load_material,
    material_from_crystal,
    material_names,
    read_crystal,
)
from ._mixing import (
    area_fraction_from_weight_fraction,
    area_per_mass_ratio,
    core_molar_mass,
    mix_by_area,
    mix_by_weight,
    weight_fraction_from_area_fraction,
)
from ._pairs import PairTable, averaged_sphere_pairs, pair_table
from ._photons import fast_poisson
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
from ._solvents import Solvent, load_solvent, read_solvent, solvent_names
from ._stacking import close_packed_layers, faulted_nanocrystal, faulted_pair_table
from ._stream import FrameBatch, FrameStream, SolventFile, Source, StreamRecipe
from ._structures import StructureRanges
from ._synthesis import GrowingDots, SynthesisRecipe
from ._texture import MarchDollase, TexturedPairs, textured_pairs, textured_sums

__all__ = [
    "COPPER_K_ALPHA",
    "Background",
    "Cluster",
    "Crystal",
    "CrystalSite",
    "Displacement",
    "DotPopulation",
    "Ellipsoid",
    "FallingBackground",
    "FrameBatch",
    "FrameRecipe",
    "FrameStream",
    "Gaps",
    "GrowingDots",
    "HumpBackground",
    "Instrument",
    "Library",
    "LibraryRecipe",
    "LigandShell",
    "MarchDollase",
    "Material",
    "Moments",
    "PairTable",
    "Platelet",
    "Polyhedron",
    "PositiveRange",
    "Progress",
    "Rod",
    "Sampling",
    "Shape",
    "Site",
    "Solvent",
    "SolventFile",
    "Source",
    "SpectralLine",
    "Sphere",
    "SphereCut",
    "StrainedSums",
    "StreamRecipe",
    "StructureRanges",
    "Surface",
    "SynthesisRecipe",
    "TexturedPairs",
    "Weighting",
    "area_fraction_from_weight_fraction",
    "area_per_mass_ratio",
    "averaged_sphere_pairs",
    "axial_strain",
    "build_library",
    "close_packed_layers",
    "compton_intensity",
    "core_molar_mass",
    "counted_frame",
    "cylinder_absorption",
    "expected_frame",
    "fast_poisson",
    "faulted_nanocrystal",
    "faulted_pair_table",
    "form_factors",
    "histogram_weights",
    "load_material",
    "load_recipe",
    "load_solvent",
    "log_uniform",
    "lognormal_weights",
    "material_from_cif",
    "material_from_crystal",
    "material_names",
    "mix_by_area",
    "mix_by_weight",
    "mixed_pairs",
    "monochromator_share",
    "nanocrystal",
    "pair_table",
    "pattern_sums",
    "polarisation_factor",
    "population_moments",
    "random_liquids",
    "read_crystal",
    "read_library",
    "read_solvent",
    "recoil",
    "simulate",
    "solvent_names",
    "sphere",
    "structure_sums",
    "textured_pairs",
    "textured_sums",
    "warn_near_edges",
    "weight_fraction_from_area_fraction",
]
