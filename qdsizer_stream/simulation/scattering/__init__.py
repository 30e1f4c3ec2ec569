"""Scattering: pair distances, the Debye scattering equation, and the patterns of solvents and ligands."""

from ._debye import pattern_sums, structure_sums
from ._edges import warn_near_edges
from ._interpolate import StrainedSums
from ._ligands import LigandShell
from ._motion import CorrelatedMotion, correlated_sums, debye_wavenumber
from ._pairs import PairTable, SpherePairs, averaged_sphere_pairs, bin_averaged, pair_table
from ._random_solvents import random_solvents
from ._reflections import Reflection, reflections
from ._scattering import compton_intensity, compton_per_atom, form_factors, recoil
from ._solvents import Solvent, load_solvent, read_solvent, solvent_names
from ._stacking import close_packed_layers, faulted_nanocrystal, faulted_pair_table
from ._texture import MarchDollase, TexturedPairs, even_spherical_bessel, textured_pairs, textured_sums

__all__ = [
    "CorrelatedMotion",
    "LigandShell",
    "MarchDollase",
    "PairTable",
    "Reflection",
    "Solvent",
    "SpherePairs",
    "StrainedSums",
    "TexturedPairs",
    "averaged_sphere_pairs",
    "bin_averaged",
    "close_packed_layers",
    "compton_intensity",
    "compton_per_atom",
    "correlated_sums",
    "debye_wavenumber",
    "even_spherical_bessel",
    "faulted_nanocrystal",
    "faulted_pair_table",
    "form_factors",
    "load_solvent",
    "pair_table",
    "pattern_sums",
    "random_solvents",
    "read_solvent",
    "recoil",
    "reflections",
    "solvent_names",
    "structure_sums",
    "textured_pairs",
    "textured_sums",
    "warn_near_edges",
]
