"""Detector, wavelength and settings of the live sizer that benchmarks share."""

from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import SizingConfig

WAVELENGTH_ANGSTROM = 0.5637
"""22 keV."""
DETECTOR = nominal_detector(24, 0.0)
"""30 720 strips, the largest MYTHEN ring."""
Q_INV_ANGSTROM = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
"""Q of the strips, Å⁻¹."""
LIVE = LiveConfig(
    sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
    wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
)
"""Settings of a live sizer for frames of this detector."""


def synthesis(**settings: float) -> GrowingDots:
    """Patterns of a synthesis within the range of the detector."""
    recipe = SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM, **settings)
    return GrowingDots(recipe, float(Q_INV_ANGSTROM.max()))
