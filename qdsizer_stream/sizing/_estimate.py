"""The answer for one frame."""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["SizeEstimate", "Status"]


class Status(StrEnum):
    """What became of a frame."""

    SIZED = "sized"
    """A size that may be trusted within its interval."""
    LOW_COUNTS = "low_counts"
    """Too few photons to know."""
    NO_CRYSTAL = "no_crystal"
    """Solvent, empty beam or a flat line: nothing that diffracts like the material."""
    OUT_OF_RANGE = "out_of_range"
    """Smaller or larger than the model was trained for."""
    OUT_OF_DOMAIN = "out_of_domain"
    """Does not look like this material."""
    BAD_FRAME = "bad_frame"
    """Wrong length, all NaN, saturated, or without a wavelength."""


@dataclass(frozen=True, kw_only=True)
class SizeEstimate:
    """Size of the quantum dots in one frame; whatever was not sized has NaN sizes and a reason."""

    status: Status
    """What became of the frame."""
    reason: str = ""
    """Why the frame was not sized, one line; empty where it was."""
    size_nm: float = math.nan
    """Number-weighted mean diameter, nm."""
    size_low_nm: float = math.nan
    """Lower end of the 95 % interval of `size_nm`, nm."""
    size_high_nm: float = math.nan
    """Upper end of the 95 % interval of `size_nm`, nm."""
    mass_mean_nm: float = math.nan
    """Mass-weighted mean diameter, nm."""
    dispersion: float = math.nan
    """Standard deviation of the number distribution over its mean."""
    lattice_parameter_angstrom: float = math.nan
    """Lattice parameter, Å."""
    class_nm: float = math.nan
    """Most probable size class, nm, where the model has classes."""
    class_probability: float = math.nan
    """Softmax of that class: no confidence, see the paper's failures."""
    residual: float = math.nan
    """Root mean square of what dots, solvents and a smooth background leave unexplained, beyond
    counting noise, relative to the mean intensity."""
    counts: float = math.nan
    """Photons that the frame is worth, Σ (I/σ)²."""
    q_min: float = math.nan
    """First usable Q, Å⁻¹."""
    q_max: float = math.nan
    """Last usable Q, Å⁻¹."""
    model: str = ""
    """Name of the model."""

    def to_dict(self) -> dict[str, Any]:
        """Fields by name.

        Returns
        -------
        All fields in order; the status as a plain string.
        """
        return {**asdict(self), "status": self.status.value}
