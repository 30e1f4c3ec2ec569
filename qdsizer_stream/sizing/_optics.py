"""Comparison of a size with the first excitonic peak of an absorption spectrum."""

import math
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from ..configuration import Config
from ..errors import ConfigurationError
from ._estimate import SizeEstimate

__all__ = ["MOREELS_2009", "OpticsAgreement", "OpticsCheck", "SizingCurve", "compare_with_peak"]


class SizingCurve(Config):
    """First excitonic peak against diameter d: gap + 1 / (a d² + b d), the form that lead salts follow."""

    name: str
    """Source of the curve, which is stored with the sizes."""
    gap_ev: float = Field(gt=0)
    """Band gap of the bulk, eV."""
    a_per_ev_nm2: float = Field(ge=0)
    """Coefficient a, 1/(eV nm²)."""
    b_per_ev_nm: float = Field(gt=0)
    """Coefficient b, 1/(eV nm)."""
    smallest_nm: float = Field(gt=0)
    """Smallest diameter that the curve holds for, nm."""
    largest_nm: float = Field(gt=0)
    """Largest diameter that the curve holds for, nm."""

    def energy_ev(self, diameter_nm: float) -> float:
        """Give the energy of the peak.

        Parameters
        ----------
        diameter_nm
            Number-weighted mean diameter, nm.

        Returns
        -------
        Energy, eV; NaN where the diameter is outside the curve.
        """
        if not self.smallest_nm <= diameter_nm <= self.largest_nm:
            return math.nan
        return self.gap_ev + 1 / (self.a_per_ev_nm2 * diameter_nm**2 + self.b_per_ev_nm * diameter_nm)

    def diameter_nm(self, energy_ev: float) -> float:
        """Give the diameter that corresponds to a peak.

        Parameters
        ----------
        energy_ev
            Energy of the peak, eV.

        Returns
        -------
        Diameter, nm; NaN where it is outside the curve.
        """
        confinement_ev = energy_ev - self.gap_ev
        if not confinement_ev > 0:
            return math.nan
        # The positive root of a d² + b d = 1 / confinement, in the form that holds for a = 0 too.
        discriminant = self.b_per_ev_nm**2 + 4 * self.a_per_ev_nm2 / confinement_ev
        diameter = 2 / (confinement_ev * (self.b_per_ev_nm + math.sqrt(discriminant)))
        return diameter if self.smallest_nm <= diameter <= self.largest_nm else math.nan


MOREELS_2009 = SizingCurve(
    name="PbS, Moreels et al., ACS Nano 3, 3023 (2009)",
    gap_ev=0.41,
    a_per_ev_nm2=0.0252,
    b_per_ev_nm=0.283,
    smallest_nm=2.5,
    largest_nm=8.0,
)
"""PbS: E = 0.41 + 1 / (0.0252 d² + 0.283 d), d from TEM; used from 2.5 to 8 nm."""


class OpticsAgreement(StrEnum):
    """Whether the size from X-rays and the absorption peak agree."""

    AGREE = "agree"
    """The optical size is within the interval of the size and the tolerance."""
    DISAGREE = "disagree"
    """It is not: one of the two is wrong, or they belong to different dots."""
    NO_PEAK = "no_peak"
    """No peak was measured."""
    NO_SIZE = "no_size"
    """The frame was not sized."""
    OUTSIDE = "outside"
    """The size is outside the range of the curve."""


@dataclass(frozen=True, kw_only=True)
class OpticsCheck:
    """A size next to an absorption peak."""

    agreement: OpticsAgreement
    """Whether they agree."""
    expected_ev: float = math.nan
    """Energy of the peak expected from the size, eV."""
    expected_low_ev: float = math.nan
    """Energy for the upper end of the interval of the size, eV."""
    expected_high_ev: float = math.nan
    """Energy for the lower end of the interval of the size, eV."""
    optical_size_nm: float = math.nan
    """Diameter that corresponds to the peak, nm; NaN without a peak or outside the curve."""


def compare_with_peak(
    estimate: SizeEstimate, peak_ev: float, curve: SizingCurve, tolerance_nm: float
) -> OpticsCheck:
    """Compare a size with an absorption peak of the same moment.

    Parameters
    ----------
    estimate
        The estimate.
    peak_ev
        First excitonic peak, eV; NaN where none was measured.
    curve
        Sizing curve of the material.
    tolerance_nm
        Distance by which the optical diameter may be outside the interval of the size, nm: the error of the
        curve.

    Returns
    -------
    The comparison. A peak at or below the gap, or one whose diameter is outside the curve, disagrees with
    every size inside it.

    Raises
    ------
    ConfigurationError
        The tolerance is negative or not finite.
    """
    if not 0 <= tolerance_nm < math.inf:
        raise ConfigurationError(f"optical tolerance is {tolerance_nm} nm: it must be 0 or more")
    if math.isnan(estimate.size_nm):
        return OpticsCheck(agreement=OpticsAgreement.NO_SIZE, optical_size_nm=curve.diameter_nm(peak_ev))
    expected = {
        "expected_ev": curve.energy_ev(estimate.size_nm),
        "expected_low_ev": curve.energy_ev(estimate.size_high_nm),
        "expected_high_ev": curve.energy_ev(estimate.size_low_nm),
    }
    optical_nm = curve.diameter_nm(peak_ev)
    if math.isnan(expected["expected_ev"]):
        agreement = OpticsAgreement.OUTSIDE
    elif math.isnan(peak_ev):
        agreement = OpticsAgreement.NO_PEAK
    elif estimate.size_low_nm - tolerance_nm <= optical_nm <= estimate.size_high_nm + tolerance_nm:
        agreement = OpticsAgreement.AGREE
    else:
        agreement = OpticsAgreement.DISAGREE
    return OpticsCheck(agreement=agreement, optical_size_nm=optical_nm, **expected)
