"""Diffractometers: from cross-sections to intensities at angles."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.interpolate import make_interp_spline

from ...configuration import Config
from ...errors import PhysicsError
from ...patterns import q_from_two_theta

__all__ = [
    "COPPER_K_ALPHA",
    "Displacement",
    "Gaps",
    "Instrument",
    "SpectralLine",
    "cylinder_absorption",
    "monochromator_polarised_fraction",
    "polarisation_factor",
    "resolved",
]

HEWAT = (1.7133, -0.0368, -0.0927, -0.3750)
"""Coefficients of the absorption of a cylinder (Hewat, Acta Cryst. A35, 248, 1979)."""

MAX_MU_R = 1.0
"""Absorption up to which Hewat's formula is within 1.2 % of the integral over the cross-section."""

STEPS_PER_FWHM = 10
"""Points per width: a Gaussian sampled this finely is integrated to rounding."""

MAX_STEP_DEG = 0.01
"""Largest step at which patterns are sampled before they are blurred, for any resolution."""

TAILS = 5
"""Standard deviations after which a Gaussian ends: 6e-7 of it is left out."""


class SpectralLine(Config):
    """One line of the source."""

    wavelength_angstrom: float = Field(ge=0.05, le=5)
    """Wavelength, Å."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the photons."""


COPPER_K_ALPHA = (
    SpectralLine(wavelength_angstrom=1.540593, share=2 / 3),
    SpectralLine(wavelength_angstrom=1.544427, share=1 / 3),
)
"""Copper Kα1 and Kα2 of a laboratory tube (Hölzer et al., Phys. Rev. A 56, 4554, 1997: 2 to 1 within 1 %)."""


class Displacement(Config):
    """A sample that is not in the centre of the diffractometer."""

    geometry: Literal["capillary", "reflection"]
    """Capillary in transmission, or flat plate at half the scattering angle."""
    distance_mm: float = Field(gt=-10, lt=10)
    """Distance from the centre, mm: of a capillary along the normal to the beam, towards the detector; of a
    plate along its normal, outwards."""
    radius_mm: float = Field(gt=10)
    """Distance of the detector from the centre, mm."""

    def shift_deg(self, two_theta_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apparent minus true scattering angle.

        Parameters
        ----------
        two_theta_deg
            Scattering angles, degrees, any shape.

        Returns
        -------
        Shift, degrees: s cos 2θ/R of a capillary, 2s cos θ/R of a plate, to first order in s/R.
        """
        angle = np.radians(two_theta_deg)
        lever = np.cos(angle) if self.geometry == "capillary" else 2 * np.cos(angle / 2)
        return np.asarray(np.degrees(self.distance_mm / self.radius_mm * lever))


class Gaps(Config):
    """Gaps between equal modules of a detector."""

    pitch_deg: float = Field(gt=0, lt=180)
    """From the beginning of one module to that of the next, degrees; 5 for MYTHEN at 760 mm."""
    gap_deg: float = Field(gt=0)
    """Width of the gap at the end of each, degrees; 0.17 for MYTHEN at 760 mm."""
    first_deg: float = 0.0
    """Beginning of any module, degrees."""

    @model_validator(mode="after")
    def _check_width(self) -> "Gaps":
        if self.gap_deg >= self.pitch_deg:
            raise ValueError(
                f"a gap of {self.gap_deg}° fills the pitch of {self.pitch_deg}°: give a smaller one"
            )
        return self

    def mask(self, two_theta_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Mask the angles that fall into gaps.

        Parameters
        ----------
        two_theta_deg
            Scattering angles, degrees, any shape.

        Returns
        -------
        True in a gap, in the same shape.
        """
        within = (two_theta_deg - self.first_deg) % self.pitch_deg
        return np.asarray(within >= self.pitch_deg - self.gap_deg)


class Instrument(Config):
    """A diffractometer."""

    lines: tuple[SpectralLine, ...] = Field(min_length=1)
    """Lines of the source, fractions adding up to 1. The first one converts angles to Q."""
    perpendicular_share: float = Field(default=1.0, ge=0, le=1)
    """Fraction of the intensity that is polarised normal to the scattering plane: 1 for a detector arm that
    moves vertically at a synchrotron, ½ for a tube (`monochromator_polarised_fraction` behind a crystal)."""
    zero_shift_deg: float = Field(default=0.0, gt=-5, lt=5)
    """Apparent minus true scattering angle, degrees."""
    displacement: Displacement | None = None
    """Sample out of the centre."""
    resolution_fwhm_deg: float = Field(default=0.0, ge=0, le=2)
    """Full width at half maximum of the Gaussian resolution in 2θ, degrees; 0 for none."""
    gaps: Gaps | None = None
    """Gaps between the modules of the detector."""

    @model_validator(mode="after")
    def _check_shares(self) -> "Instrument":
        total = sum(line.share for line in self.lines)
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"the fractions of the lines (share) add up to {total:.6g}: they must add up to 1"
            )
        return self

    def observed(
        self,
        intensity: Callable[[NDArray[np.float64], float], NDArray[np.float64]],
        two_theta_deg: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Scattering at apparent angles: lines, polarisation, shifts and resolution.

        Parameters
        ----------
        intensity
            Cross-section as a function of Q in Å⁻¹ and wavelength in Å.
        two_theta_deg
            Apparent scattering angles, degrees, ascending, shape (n,).

        Returns
        -------
        Intensity in the units of the cross-section, shape (n,). There is no Lorentz factor:
        Debye sums are per solid angle already.

        Raises
        ------
        PhysicsError
            The angles, minus shifts and with the tails of the resolution, leave 0 … 180°.
        """

        def at(apparent_deg: NDArray[np.float64]) -> NDArray[np.float64]:
            true_deg = apparent_deg - self.zero_shift_deg
            if self.displacement is not None:
                true_deg = true_deg - self.displacement.shift_deg(true_deg)
            if true_deg.min() <= 0 or true_deg.max() >= 180:
                raise PhysicsError(
                    f"true angles from {true_deg.min():.4g} to {true_deg.max():.4g}° (with shifts and "
                    "the tails of the resolution) leave 0 … 180°: give a smaller range of angles"
                )
            total = sum(
                line.share
                * intensity(q_from_two_theta(true_deg, line.wavelength_angstrom), line.wavelength_angstrom)
                for line in self.lines
            )
            return np.asarray(total * polarisation_factor(true_deg, self.perpendicular_share))

        if self.resolution_fwhm_deg == 0:
            return at(two_theta_deg)
        return resolved(at, two_theta_deg, self.resolution_fwhm_deg)


def polarisation_factor(
    two_theta_deg: NDArray[np.float64], perpendicular_share: float
) -> NDArray[np.float64]:
    """Polarisation factor K + (1 - K) cos² 2θ.

    Parameters
    ----------
    two_theta_deg
        Scattering angles, degrees, any shape.
    perpendicular_share
        Fraction K of the intensity that is polarised normal to the scattering plane.

    Returns
    -------
    Factor in the same shape, 1 at 0°.
    """
    cosine_squared = np.cos(np.radians(two_theta_deg)) ** 2
    return np.asarray(perpendicular_share + (1 - perpendicular_share) * cosine_squared)


def monochromator_polarised_fraction(monochromator_two_theta_deg: float) -> float:
    """Fraction of a tube's light that is polarised normal to the plane behind a crystal monochromator.

    Parameters
    ----------
    monochromator_two_theta_deg
        Scattering angle of the crystal, degrees, in the scattering plane.

    Returns
    -------
    K = 1/(1 + cos² 2θ_m), for `polarisation_factor`.
    """
    return float(1 / (1 + np.cos(np.radians(monochromator_two_theta_deg)) ** 2))


def cylinder_absorption(two_theta_deg: NDArray[np.float64], mu_r: float) -> NDArray[np.float64]:
    """Absorption factor of a capillary without its wall.

    exp(-(k0 + k1 sin² θ) μR - (k2 + k3 sin² θ) (μR)²), Hewat 1979; dilute colloids in capillaries have
    μR = 0.1.

    Parameters
    ----------
    two_theta_deg
        Scattering angles, degrees, any shape.
    mu_r
        Linear attenuation coefficient times inner radius, 0 to 1.

    Returns
    -------
    Factor in the same shape, within 0.4 % of the integral to μR = 0.8 and 1.2 % to 1.

    Raises
    ------
    PhysicsError
        μR lies outside 0 … 1, where the formula does not hold.
    """
    if not 0 <= mu_r <= MAX_MU_R:
        raise PhysicsError(
            f"absorption μR = {mu_r} is out of the formula's range: stay within 0 … {MAX_MU_R:g}, with a "
            "thinner capillary or a more dilute sample"
        )
    k0, k1, k2, k3 = HEWAT
    sine_squared = np.sin(np.radians(two_theta_deg) / 2) ** 2
    return np.asarray(np.exp(-(k0 + k1 * sine_squared) * mu_r - (k2 + k3 * sine_squared) * mu_r**2))


def resolved(
    intensity: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    two_theta_deg: NDArray[np.float64],
    fwhm_deg: float,
) -> NDArray[np.float64]:
    """Blur a pattern with a Gaussian of one width in 2θ.

    Parameters
    ----------
    intensity
        Sharp pattern as a function of 2θ in degrees; called once with an even grid that reaches five
        standard deviations past both ends.
    two_theta_deg
        Scattering angles, degrees, shape (n,).
    fwhm_deg
        Full width at half maximum, degrees.

    Returns
    -------
    Blurred pattern, shape (n,).
    """
    sd = fwhm_deg / np.sqrt(8 * np.log(2))
    step = min(fwhm_deg / STEPS_PER_FWHM, MAX_STEP_DEG)
    reach = int(np.ceil(TAILS * sd / step))
    n_points = int(np.ceil((two_theta_deg.max() - two_theta_deg.min()) / step)) + 4
    # Two points past either end keep the spline's ends outside the range.
    grid = two_theta_deg.min() + step * np.arange(-reach - 2, n_points + reach)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / sd) ** 2)
    blurred = np.convolve(intensity(grid), kernel / kernel.sum(), mode="valid")
    return np.asarray(make_interp_spline(grid[reach : grid.size - reach], blurred, k=5)(two_theta_deg))
