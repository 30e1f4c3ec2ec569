"""Frames of a powder standard as a detector counts them."""

import numpy as np
from numpy.typing import NDArray

from qdsizer_stream.patterns import two_theta_from_q
from qdsizer_stream.reduction import StripDetector, StripSimulator


def is_line_of_diamond(square_sum: int) -> bool:
    """Legendre: odd indices give all of 8n + 3, even ones 8m where 2m is a sum of three squares."""
    if square_sum % 8 == 3:
        return True
    half = square_sum // 4
    while half and half % 4 == 0:
        half //= 4
    return square_sum % 8 == 0 and half > 0 and half % 8 != 7


# h² + k² + l² of the lines of silicon, and how strong they are, weaker at high angles.
SI_LINES = {n: max(100 * np.exp(-n / 25), 4.0) for n in range(1, 300) if is_line_of_diamond(n)}


def silicon_frame(
    detector: StripDetector, wavelength: float, arm_deg: float, peak_counts: float, seed: int
) -> NDArray[np.uint32]:
    def intensity(q: NDArray[np.float64]) -> NDArray[np.float64]:
        angles = two_theta_from_q(q, wavelength)
        curve = np.full(q.size, 0.002)
        for square_sum, strength in SI_LINES.items():
            sine = wavelength * np.sqrt(square_sum) / (2 * 5.431144)
            if sine < 1:
                centre = 2 * np.degrees(np.arcsin(sine))
                curve += strength / 100 * np.exp(-0.5 * ((angles - centre) / 0.015) ** 2)
        return peak_counts * curve

    simulator = StripSimulator(detector=detector)
    photons = simulator.photons(intensity, wavelength, arm_deg, exposure_s=1.0)
    return simulator.count(photons, 1.0, np.random.default_rng(seed))
