"""Optional data keys: the absorption peak expected from a size, and the peak of the same event."""

from typing import Any

from pydantic import Field

from ...configuration import Config
from ...sizing import MOREELS_2009, OpticsAgreement, SizeEstimate, SizingCurve, compare_with_peak
from ._quantity import PeakSource

__all__ = ["OPTICS_KEYS", "OpticsConfig", "optics_data"]

TOLERANCE_NM = 0.3
"""How far the optical size may lie outside the interval: samples scatter about a sizing curve by a few tenths
of a nanometre."""


class OpticsConfig(Config):
    """Comparison of sizes with absorption."""

    peak: PeakSource | None = None
    """Source of the first excitonic peak of a UV-vis spectrum; None to record the expected peak alone."""
    curve: SizingCurve = MOREELS_2009
    """First excitonic peak against diameter."""
    tolerance_nm: float = Field(default=TOLERANCE_NM, ge=0)
    """How far the diameter that corresponds to the peak may lie outside the interval of the size, nm."""


def _energy() -> dict[str, Any]:
    return {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "units": "eV", "precision": 3}


OPTICS_KEYS: dict[str, dict[str, Any]] = {
    "qdsizer_exciton_energy": _energy(),
    "qdsizer_exciton_energy_low": _energy(),
    "qdsizer_exciton_energy_high": _energy(),
    "qdsizer_optical_size": {**_energy(), "units": "nm", "precision": 2},
    "qdsizer_optics": {
        "dtype": "string",
        "shape": [],
        "choices": [agreement.value for agreement in OpticsAgreement],
    },
}
"""Data keys of the comparison, without their source."""


def optics_data(config: OpticsConfig, estimate: SizeEstimate, peak_ev: float) -> dict[str, Any]:
    """Compare an estimate with the absorption peak of its frame.

    Parameters
    ----------
    config
        Settings of the comparison.
    estimate
        The estimate.
    peak_ev
        Energy of the peak, eV; NaN where there is none.

    Returns
    -------
    Numbers and the agreement, by data key.
    """
    check = compare_with_peak(estimate, peak_ev, config.curve, config.tolerance_nm)
    return {
        "qdsizer_exciton_energy": check.expected_ev,
        "qdsizer_exciton_energy_low": check.expected_low_ev,
        "qdsizer_exciton_energy_high": check.expected_high_ev,
        "qdsizer_optical_size": check.optical_size_nm,
        "qdsizer_optics": check.agreement.value,
    }
