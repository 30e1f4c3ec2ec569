"""Counts of one frame to a pattern."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CalibrationError
from ..patterns import Pattern, q_from_two_theta
from ._geometry import MODULE_STRIPS, StripDetector

__all__ = ["Reducer"]


class Reducer:
    """Reduces the frames of one detector; the axis is computed once for each arm angle and wavelength.

    Parameters
    ----------
    detector
        Calibration of the detector.
    """

    def __init__(self, detector: StripDetector) -> None:
        self.detector = detector
        self._axis_of: tuple[float, float] | None = None
        self._order: NDArray[np.intp] = np.empty(0, np.intp)
        self._q: NDArray[np.float64] = np.empty(0)

    def reduce(self, counts: ArrayLike, wavelength_angstrom: float, arm_deg: float = 0.0) -> Pattern:
        """Turn the counts of one frame into a pattern.

        Parameters
        ----------
        counts
            Counts per strip, integer or float; length-1 axes are dropped.
        wavelength_angstrom
            Wavelength, Å.
        arm_deg
            Angle of the detector arm, degrees.

        Returns
        -------
        Counts against Q with their Poisson sigma; strips without a finite, non-negative count are
        masked, strips at 2θ ≤ 0 left out, gaps between modules stay empty.

        Raises
        ------
        CalibrationError
            The frame is not one row of numbers, or not of as many strips as the calibration.
        """
        try:
            frame = np.squeeze(np.asarray(counts, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise CalibrationError(f"the frame is not an array of numbers: {error}") from error
        if frame.ndim != 1:
            raise CalibrationError(
                f"the frame has shape {np.shape(counts)}: one row of {self.detector.n_strips} strips is needed"
            )
        if frame.size != self.detector.n_strips:
            raise CalibrationError(
                f"the frame has {frame.size} strips, the calibration {self.detector.n_strips} "
                f"({len(self.detector.modules)} modules of {MODULE_STRIPS}): give the calibration of this detector"
            )
        if self._axis_of != (arm_deg, wavelength_angstrom):
            q = q_from_two_theta(self.detector.two_theta(arm_deg), wavelength_angstrom)
            order = np.argsort(q, kind="stable")
            forward = q[order] > 0
            order = order[forward]
            # Overlapping modules may give one Q twice; the first strip keeps it.
            self._q, first = np.unique(q[order], return_index=True)
            self._order = order[first]
            self._axis_of = (arm_deg, wavelength_angstrom)
        values = frame[self._order]
        unusable = ~(values >= 0) | np.isinf(values)  # ~(>=) also catches NaN
        # An empty strip keeps the variance of one count: zero would claim certainty.
        sigma = np.sqrt(np.maximum(np.where(unusable, 1.0, values), 1.0))
        return Pattern(self._q, np.where(unusable, np.nan, values), sigma, unusable)
