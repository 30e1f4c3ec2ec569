"""One raw frame with the readings that sizing it needs."""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from ..reduction import NOTHING_APPLIED, AppliedCorrections

__all__ = ["RawFrame"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RawFrame:
    """Counts of one exposure and the readings that belong to it, as `Reducer.pool` uses them."""

    counts: ArrayLike
    """Counts per strip, integer or float, shape (n_strips,), (1, n_strips) or (n_strips, n_counters)."""
    wavelength_angstrom: float
    """Wavelength, Å."""
    arm_deg: float | None = None
    """Angle of the detector arm, degrees; None for the arm of the settings."""
    exposure_s: float | None = None
    """Exposure, s; required for the dead-time correction and where counts are divided by it."""
    monitor: float | None = None
    """Reading of the monitor (I0), any unit; required where counts are divided by it."""
    applied: AppliedCorrections = NOTHING_APPLIED
    """Corrections that the control system has already made to the counts."""
