"""One frame on its way from documents to a size."""

from dataclasses import dataclass
from typing import Any

from ...reduction import NOTHING_APPLIED, AppliedCorrections

__all__ = ["Frame"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """Counts of one exposure with what sizing them needs, or the reason why they cannot be sized."""

    seq_num: int
    """Number of the raw event, or of the row in the stream where there are no events."""
    time: float
    """When the raw event was, s since the epoch."""
    counts: Any = None
    """Counts per strip as the document or file held them; not looked at where `reason` is set."""
    wavelength_angstrom: float = float("nan")
    """Wavelength, Å."""
    arm_deg: float | None = None
    """Angle of the detector arm, degrees; None for the arm of the settings."""
    exposure_s: float | None = None
    """Exposure, s; None where nobody says."""
    monitor: float | None = None
    """Reading of the monitor (I0); None where nobody says."""
    applied: AppliedCorrections = NOTHING_APPLIED
    """What the control system did to the counts already."""
    peak_ev: float = float("nan")
    """First excitonic peak of a UV-vis spectrum in the same event, eV; NaN where there is none."""
    reason: str = ""
    """Why the frame cannot be sized; empty where it can."""

    @property
    def readings(self) -> dict[str, Any]:
        """Counts and numbers by name, as `Reducer.pool` takes them."""
        return {
            "counts": self.counts,
            "wavelength_angstrom": self.wavelength_angstrom,
            "arm_deg": self.arm_deg,
            "exposure_s": self.exposure_s,
            "monitor": self.monitor,
            "applied": self.applied,
        }
