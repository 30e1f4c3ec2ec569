"""Width of an instrument that was not declared."""

__all__ = ["plausible_width_inv_angstrom"]

TUBES = (
    ((1.538, 1.545), 0.02),
    ((0.7085, 0.7140), 0.045),
)
"""Wavelengths of copper and molybdenum tubes, Å, and the largest width (FWHM, Å⁻¹) of the lines of standards
on such diffractometers: they were 0.005 to 0.019 with copper, 0.034 to 0.045 with molybdenum."""

SHORT_WAVELENGTH_ANGSTROM, SHORT_WAVELENGTH_WIDTH = 0.25, 0.11
"""Below this wavelength patterns are measured on a large detector near the sample, for pair distribution
functions: 0.11 Å⁻¹."""

OTHER_WIDTH = 0.09
"""Largest width elsewhere: lines of standards on area detectors are 0.019 to 0.065 Å⁻¹ wide, and a bandwidth
of 2 % adds 0.054 at Q 2.7 Å⁻¹ in quadrature."""


def plausible_width_inv_angstrom(wavelength_angstrom: float | None) -> float:
    """Largest width that the lines of an instrument plausibly have.

    Parameters
    ----------
    wavelength_angstrom
        Wavelength, Å; None where it is not known.

    Returns
    -------
    FWHM, Å⁻¹.
    """
    if wavelength_angstrom is None:
        return OTHER_WIDTH
    for (shortest, longest), width in TUBES:
        if shortest <= wavelength_angstrom <= longest:
            return width
    return SHORT_WAVELENGTH_WIDTH if wavelength_angstrom < SHORT_WAVELENGTH_ANGSTROM else OTHER_WIDTH
