"""Profile of a line of a standard: the instrument's Voigt function over the crystallites' size broadening."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["line_profile"]

FWHM_PER_SD = math.sqrt(8 * math.log(2))
"""Full width at half maximum of a Gaussian over its standard deviation."""

N_DISTANCES = 512
"""Points of the Fourier integral. It makes the profile periodic in Q with a hundred widths or more from one
period to the next: ten widths from the centre, that adds 1 % to a Lorentzian and nothing to a Gaussian."""

NEGLIGIBLE = 16.0
"""Exponent below which the transform of the instrument's profile ends: 1e-7 of its value at zero."""

LORENTZ, SQUARED_LORENTZ = 0.5346, 0.2166
"""Width of a Voigt function, f = 0.5346 f_L + √(0.2166 f_L² + f_G²), to 0.02 % (Olivero and Longbothum,
J. Quant. Spectrosc. Radiat. Transf. 17, 233, 1977)."""

TAIL_WIDTHS = 12.0
"""Widths from the centre at which the profile ends."""

STEPS_PER_WIDTH = 12.0
"""Samples across the width, at least: a cubic spline is then exact to 10⁻⁵ of the height."""

SPHERE_FWHM = 6.95
"""Width of the line of a sphere times its diameter."""


def line_profile(
    fwhm_inv_angstrom: float, lorentzian: float, size_angstrom: float
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Profile of one line with unit area.

    The Debye equation gives spherical crystallites of diameter D a line whose Fourier transform is the
    fraction of pairs at distance r that lie within the sphere, 1 - 3x/2 + x³/2 with x = r/D. It is multiplied
    by the transform of the instrument's Voigt function.

    Parameters
    ----------
    fwhm_inv_angstrom
        Width of the instrument's Voigt function, FWHM, Å⁻¹.
    lorentzian
        Width of its Lorentzian part over the width of the whole, 0 to 1.
    size_angstrom
        Diameter of the crystallites, Å; infinite for none of their broadening.

    Returns
    -------
    Profile, Å, as a function of the distance from the centre, Å⁻¹, at least 0; zero beyond twelve widths.
    """
    half_lorentz = lorentzian * fwhm_inv_angstrom / 2
    gauss_squared = (1 - LORENTZ * lorentzian) ** 2 - SQUARED_LORENTZ * lorentzian**2
    sd = fwhm_inv_angstrom * math.sqrt(max(gauss_squared, 0.0)) / FWHM_PER_SD
    # The distance at which the transform of the instrument's profile is negligible: κ r + σ² r²/2 = 16.
    root = math.sqrt(half_lorentz**2 + 2 * NEGLIGIBLE * sd**2)
    longest = min(2 * NEGLIGIBLE / (half_lorentz + root), size_angstrom)
    r, step = np.linspace(0.0, longest, N_DISTANCES, retstep=True)
    x = r / size_angstrom
    transform = (1 - 1.5 * x + 0.5 * x**3) * np.exp(-half_lorentz * r - 0.5 * (sd * r) ** 2)
    transform[[0, -1]] /= 2  # trapezoidal rule
    whole = math.hypot(fwhm_inv_angstrom, SPHERE_FWHM / size_angstrom)
    n_points = 2 ** math.ceil(math.log2(2 * np.pi * STEPS_PER_WIDTH / (step * whole)))
    sampled = np.fft.rfft(transform, n_points).real * (step / np.pi)
    offsets = 2 * np.pi / (step * n_points) * np.arange(sampled.size)
    n_kept = min(int(np.searchsorted(offsets, TAIL_WIDTHS * whole)) + 1, sampled.size)
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(
        offsets[:n_kept], sampled[:n_kept], bc_type=((1, 0.0), "not-a-knot"), extrapolate=False
    )
    return lambda distance: np.nan_to_num(spline(distance), nan=0.0)
