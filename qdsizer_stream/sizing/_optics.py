"""What a size leads one to expect of the absorption spectrum."""

import math
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from ..configuration import Config
from ..errors import ConfigurationError
from ._estimate import SizeEstimate

__all__ = ["MOREELS_2009", "OpticsCheck", "OpticsVerdict", "SizingCurve", "compare_with_peak"]


class SizingCurve(Config):
    """First excitonic peak against diameter d: gap + 1 / (a d² + b d), the form that lead salts follow."""

    name: str
    """Where the curve is from, for whoever reads the archive."""
    gap_ev: float = Field(gt=0, allow_inf_nan=False)
    """Band gap of the bulk, eV."""
    a_per_ev_nm2: float = Field(ge=0, allow_inf_nan=False)
    """Coefficient a, 1/(eV nm²)."""
    b_per_ev_nm: float = Field(gt=0, allow_inf_nan=False)
    """Coefficient b, 1/(eV nm)."""
    smallest_nm: float = Field(gt=0, allow_inf_nan=False)
    """Smallest diameter that the curve holds for, nm."""
    largest_nm: float = Field(gt=0, allow_inf_nan=False)
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
        """Give the diameter that a peak stands for.

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
"""PbS: E = 0.41 + 1 / (0.0252 d² + 0.283 d), d from TEM; used no further than 2.5 to 8 nm."""


class OpticsVerdict(StrEnum):
    """Whether X-rays and absorption speak of the same dots."""

    AGREE = "agree"
    """The peak is where the size leads one to expect it."""
    DISAGREE = "disagree"
    """It is not: one of the two is wrong, or they look at different dots."""
    NO_PEAK = "no_peak"
    """There is no peak to compare with."""
    NO_SIZE = "no_size"
    """The frame was not sized."""
    OUTSIDE = "outside"
    """The size lies outside the curve."""


@dataclass(frozen=True, kw_only=True)
class OpticsCheck:
    """A size next to an absorption peak."""

    verdict: OpticsVerdict
    """Whether they agree."""
    expected_ev: float = math.nan
    """Energy that the size leads one to expect, eV."""
    expected_low_ev: float = math.nan
    """Energy for the upper end of the interval of the size, eV."""
    expected_high_ev: float = math.nan
    """Energy for the lower end of the interval of the size, eV."""
    optical_size_nm: float = math.nan
    """Diameter that the peak stands for, nm; NaN where there is none or it lies outside the curve."""


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
        How far the optical diameter may lie outside the interval of the size, nm: how well the curve holds.

    Returns
    -------
    The comparison. A peak at or below the gap, or one that stands for a diameter outside the curve, disagrees
    with every size inside it.

    Raises
    ------
    ConfigurationError
        The tolerance is negative or not finite.
    """
    if not 0 <= tolerance_nm < math.inf:
        raise ConfigurationError(f"optical tolerance is {tolerance_nm} nm: 0 or more is needed")
    if math.isnan(estimate.size_nm):
        return OpticsCheck(verdict=OpticsVerdict.NO_SIZE, optical_size_nm=curve.diameter_nm(peak_ev))
    expected = {
        "expected_ev": curve.energy_ev(estimate.size_nm),
        "expected_low_ev": curve.energy_ev(estimate.size_high_nm),
        "expected_high_ev": curve.energy_ev(estimate.size_low_nm),
    }
    optical_nm = curve.diameter_nm(peak_ev)
    if math.isnan(expected["expected_ev"]):
        verdict = OpticsVerdict.OUTSIDE
    elif math.isnan(peak_ev):
        verdict = OpticsVerdict.NO_PEAK
    elif estimate.size_low_nm - tolerance_nm <= optical_nm <= estimate.size_high_nm + tolerance_nm:
        verdict = OpticsVerdict.AGREE
    else:
        verdict = OpticsVerdict.DISAGREE
    return OpticsCheck(verdict=verdict, optical_size_nm=optical_nm, **expected)
