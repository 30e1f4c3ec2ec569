"""Frames: size distributions, mixtures, instruments and counting noise; libraries and endless frames."""

from ._backgrounds import Background, FallingBackground, HumpBackground
from ._by_products import by_product_crystals, by_product_curve, by_product_lines
from ._crystal_patterns import crystal_patterns
from ._distributions import DistributionRanges, SizeDistribution, cumulative_fraction, drawn_weights
from ._dots import DotPopulation, mixed_pairs
from ._draws import PositiveRange, log_uniform
from ._frame import FrameRecipe, counted_frame, expected_frame
from ._instrument import (
    COPPER_K_ALPHA,
    Displacement,
    Gaps,
    Instrument,
    SpectralLine,
    cylinder_absorption,
    monochromator_polarised_fraction,
    polarisation_factor,
)
from ._library import Library, LibraryRecipe, build_library, load_recipe, read_library, simulate
from ._look_alike_frames import look_alike_frames, look_alike_names
from ._look_alikes import INDISTINGUISHABLE
from ._mixing import (
    area_fraction_from_weight_fraction,
    area_per_mass_ratio,
    core_molar_mass,
    mix_by_area,
    mix_by_weight,
    weight_fraction_from_area_fraction,
)
from ._negative_controls import EMPTY_KINDS, NEGATIVE_CONTROL_KINDS, NegativeControl, negative_controls
from ._photons import fast_poisson
from ._population import (
    Moments,
    Sampling,
    Weighting,
    histogram_weights,
    lognormal_weights,
    population_moments,
)
from ._progress import Progress, silent
from ._resolution import ResolutionRanges
from ._shells import core_shell, disordered_surface, surface_damping
from ._stream import FrameBatch, FrameStream
from ._stream_recipe import SolventFile, Source, StreamRecipe
from ._structures import StructureRanges, StructureTable, draw_structure
from ._synthesis import MEASURED_DOTS, GrowingDots, SynthesisRecipe

__all__ = [
    "COPPER_K_ALPHA",
    "EMPTY_KINDS",
    "INDISTINGUISHABLE",
    "MEASURED_DOTS",
    "NEGATIVE_CONTROL_KINDS",
    "Background",
    "Displacement",
    "DistributionRanges",
    "DotPopulation",
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
    "Moments",
    "NegativeControl",
    "PositiveRange",
    "Progress",
    "ResolutionRanges",
    "Sampling",
    "SizeDistribution",
    "SolventFile",
    "Source",
    "SpectralLine",
    "StreamRecipe",
    "StructureRanges",
    "StructureTable",
    "SynthesisRecipe",
    "Weighting",
    "area_fraction_from_weight_fraction",
    "area_per_mass_ratio",
    "build_library",
    "by_product_crystals",
    "by_product_curve",
    "by_product_lines",
    "core_molar_mass",
    "core_shell",
    "counted_frame",
    "crystal_patterns",
    "cumulative_fraction",
    "cylinder_absorption",
    "disordered_surface",
    "draw_structure",
    "drawn_weights",
    "expected_frame",
    "fast_poisson",
    "histogram_weights",
    "load_recipe",
    "log_uniform",
    "lognormal_weights",
    "look_alike_frames",
    "look_alike_names",
    "mix_by_area",
    "mix_by_weight",
    "mixed_pairs",
    "monochromator_polarised_fraction",
    "negative_controls",
    "polarisation_factor",
    "population_moments",
    "read_library",
    "silent",
    "simulate",
    "surface_damping",
    "weight_fraction_from_area_fraction",
]
