"""Patterns: intensity against momentum transfer, their files and their standard forms."""

from ._axis import Axis, check_wavelength, energy_ev_from_wavelength, q_from_two_theta, two_theta_from_q
from ._blur import FWHM_PER_SD, blur_matrix, blur_reach_bins
from ._damaged_hdf5 import structure_checked
from ._energy import given_wavelength, wavelength_from_energy
from ._files import LoadedPattern, load_pattern, read_curve, read_pattern, write_pattern
from ._grid import BinGrid, bin_pattern
from ._linearity import MIN_PLATEAU, IntensityScale, intensity_scale, plateau_points
from ._noise import counting_scale
from ._paper import PAPER_GRID, PaperGrid, paper_vector
from ._pattern import Pattern
from ._resolution import InstrumentResolution, WidthFile

__all__ = [
    "FWHM_PER_SD",
    "MIN_PLATEAU",
    "PAPER_GRID",
    "Axis",
    "BinGrid",
    "InstrumentResolution",
    "IntensityScale",
    "LoadedPattern",
    "PaperGrid",
    "Pattern",
    "WidthFile",
    "bin_pattern",
    "blur_matrix",
    "blur_reach_bins",
    "check_wavelength",
    "counting_scale",
    "energy_ev_from_wavelength",
    "given_wavelength",
    "intensity_scale",
    "load_pattern",
    "paper_vector",
    "plateau_points",
    "q_from_two_theta",
    "read_curve",
    "read_pattern",
    "structure_checked",
    "two_theta_from_q",
    "wavelength_from_energy",
    "write_pattern",
]
