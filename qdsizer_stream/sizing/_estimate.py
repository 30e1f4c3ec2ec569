"""The answer for one frame."""

import math
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from .._notebook import html_table

__all__ = ["SizeEstimate", "Status"]


class Status(StrEnum):
    """Result of a frame: sized, or why not."""

    SIZED = "sized"
    """All acceptance checks passed: the size holds within its interval."""
    LOW_COUNTS = "low_counts"
    """Too few photons to determine a size."""
    NO_CRYSTAL = "no_crystal"
    """Solvent, empty beam or a flat line: no signal of the material."""
    OUT_OF_RANGE = "out_of_range"
    """Size outside the range that the model was trained for."""
    OUT_OF_DOMAIN = "out_of_domain"
    """Pattern unlike the material and the simulations that the model was trained on."""
    BAD_FRAME = "bad_frame"
    """Frame that cannot be reduced: wrong length, all NaN, or without a wavelength."""


@dataclass(frozen=True, kw_only=True, repr=False)
class SizeEstimate:
    """Size of the quantum dots in one frame; a frame that is not sized has NaN sizes and a reason."""

    status: Status
    """Result of the frame."""
    reason: str = ""
    """Why the frame was not sized, one line; empty where it was sized."""
    size_nm: float = math.nan
    """Number-weighted mean diameter, nm."""
    size_low_nm: float = math.nan
    """Lower end of the 95 % interval of `size_nm`, nm."""
    size_high_nm: float = math.nan
    """Upper end of the 95 % interval of `size_nm`, nm."""
    size_frame_sd_nm: float = math.nan
    """Part of the standard deviation of `size_nm` that differs from frame to frame, nm."""
    size_shared_sd_nm: float = math.nan
    """Part that all frames of a sample share, nm: shape, surface and physics that the model does not know."""
    mass_mean_nm: float = math.nan
    """Mass-weighted mean diameter, nm."""
    mass_mean_low_nm: float = math.nan
    """Lower end of the 95 % interval of `mass_mean_nm`, nm."""
    mass_mean_high_nm: float = math.nan
    """Upper end of the 95 % interval of `mass_mean_nm`, nm."""
    mass_mean_frame_sd_nm: float = math.nan
    """Part of the standard deviation of `mass_mean_nm` that differs from frame to frame, nm."""
    mass_mean_shared_sd_nm: float = math.nan
    """Part that all frames of a sample share, nm."""
    dispersion: float = math.nan
    """Standard deviation of the number distribution over its mean."""
    dispersion_low: float = math.nan
    """Lower end of its 95 % interval; NaN for models that do not give it."""
    dispersion_high: float = math.nan
    """Upper end of its 95 % interval."""
    population: str = ""
    """``broad or two modes`` where the whole interval of the dispersion lies above 15 %; empty otherwise. A
    pattern cannot distinguish one broad population from two narrow ones."""
    lattice_parameter_angstrom: float = math.nan
    """Lattice parameter, Å; NaN where a shift of 2θ makes it unreliable."""
    two_theta_shift_deg: float = math.nan
    """Measured less true 2θ of all peaks, as a wrong zero or the height of the sample shifts them, degrees;
    NaN where the wavelength is not known."""
    class_nm: float = math.nan
    """Most probable size class, nm, where the model has classes."""
    class_probability: float = math.nan
    """Softmax of that class, which is not a calibrated probability."""
    residual: float = math.nan
    """Root mean square of the intensity that dots, solvents and a smooth background do not explain, beyond
    counting noise, relative to the mean intensity."""
    phases: str = ""
    """Other crystals that the frame shows beside the dots, of those that the model has curves of, with their
    fractions of the mean intensity, such as ``Pb 8 %, ice 2 %``; empty where none was found."""
    material: str = ""
    """Which of the materials in the settings the frame is of, with its probability, such as ``PbS (99.8%)``,
    or ``cannot tell: PbS 70%, PbSe 30%``; empty where none were given to compare."""
    counts: float = math.nan
    """Number of photons with the frame's relative error, Σ (I/σ)²."""
    q_min: float = math.nan
    """First usable Q, Å⁻¹."""
    q_max: float = math.nan
    """Last usable Q, Å⁻¹."""
    resolution_inv_angstrom: float = math.nan
    """Declared width of the instrument's lines that was used, FWHM averaged over the usable Q, Å⁻¹; NaN where
    none was declared."""
    model: str = ""
    """Name of the model."""

    def __str__(self) -> str:
        if self.status is not Status.SIZED:
            return f"{self.status}: {self.reason}" if self.reason else str(self.status)
        number = f"number-weighted mean {_interval(self)}, {self.status}"
        known = not math.isnan(self.mass_mean_nm)
        return f"mass-weighted mean {_mass_interval(self)}, {number}" if known else number

    def __repr__(self) -> str:
        return f"<SizeEstimate: {self}{f', model {self.model}' if self.model else ''}>"

    def _repr_html_(self) -> str:
        values = {
            "mass-weighted mean": (_mass_interval(self), self.mass_mean_nm),
            "number-weighted mean": (_interval(self), self.size_nm),
            "dispersion": (_dispersion_interval(self), self.dispersion),
            "lattice parameter": (
                f"{self.lattice_parameter_angstrom:.4f} Å",
                self.lattice_parameter_angstrom,
            ),
            "shift of 2θ": (f"{self.two_theta_shift_deg:+.3f}°", self.two_theta_shift_deg),
            "class": (f"{self.class_nm:g} nm (softmax {self.class_probability:.2f})", self.class_nm),
            "residual": (f"{self.residual:.1%} of the mean intensity", self.residual),
            "photons": (f"{self.counts:.3g}", self.counts),
            "range of Q": (f"{self.q_min:.2f} to {self.q_max:.2f} Å⁻¹", self.q_min),
            "declared width of the instrument": (
                f"{self.resolution_inv_angstrom:.4f} Å⁻¹",
                self.resolution_inv_angstrom,
            ),
        }
        known = {name: text for name, (text, value) in values.items() if not math.isnan(value)}
        if self.population:
            known["population"] = self.population
        if self.phases:
            known["other crystals"] = self.phases
        if self.material:
            known["material"] = self.material
        reason = {"reason": self.reason} if self.reason else {}
        title = f"{self.status}, model {self.model}" if self.model else str(self.status)
        return html_table(title, reason | known)

    def to_dict(self) -> dict[str, Any]:
        """Fields by name.

        Returns
        -------
        All fields in order; the status as a plain string.
        """
        return {name: getattr(self, name) for name in FIELDS} | {"status": self.status.value}


FIELDS = tuple(field.name for field in fields(SizeEstimate))
"""Names of its fields, in order; a subclass may hold more, which are not values of the estimate."""


def _interval(estimate: SizeEstimate) -> str:
    return f"{estimate.size_nm:.2f} nm [{estimate.size_low_nm:.2f}, {estimate.size_high_nm:.2f}]"


def _mass_interval(estimate: SizeEstimate) -> str:
    text = f"{estimate.mass_mean_nm:.2f} nm"
    if math.isnan(estimate.mass_mean_low_nm):
        return text
    return f"{text} [{estimate.mass_mean_low_nm:.2f}, {estimate.mass_mean_high_nm:.2f}]"


def _dispersion_interval(estimate: SizeEstimate) -> str:
    text = f"{estimate.dispersion:.1%}"
    if math.isnan(estimate.dispersion_low):
        return text
    return f"{text} [{estimate.dispersion_low:.1%}, {estimate.dispersion_high:.1%}]"
