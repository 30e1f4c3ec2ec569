"""Whether a column of a file is the standard deviation of its intensities."""

import numpy as np
from numpy.typing import NDArray

from ._noise import counting_scale

__all__ = ["not_sigma"]

MIN_POINTS = 24
"""Fewer points cannot be tested."""

N_GROUPS = 12
"""Groups of equal numbers of points by intensity, through which the power is fitted."""

MIN_INTENSITY_RATIO = 2.0
"""Ratio of the intensities of the highest and lowest group below which no power can be fitted."""

MIN_POWER, MAX_POWER = 0.04, 0.93
"""Errors of counts rise as the square root of the intensity, more slowly above a subtracted background, and
in proportion only where a relative error dominates everywhere. Weights fall; a second or calculated intensity
and a variance rise in proportion."""

MIN_VARIANCE_RATIO = 0.5
"""Ratio to the intensity from which a column in proportion to it is no standard deviation."""

MIN_SCALE = 3.0
"""A factor between counts and intensities that can be distinguished from noise in the estimate."""

SAME_SCALE = 1.35
"""Agreement of two estimates of that factor: each is known to some 10 %."""


def not_sigma(sigma: NDArray[np.float64], intensity: NDArray[np.float64], named: bool) -> str:
    """Test a column that may be the standard deviation.

    Parameters
    ----------
    sigma, intensity
        The column and the intensities of neighbouring points, shape (n,).
    named
        Whether the file names the column as such; a column without a name is tested more strictly.

    Returns
    -------
    Why the column is not the standard deviation of the intensities; empty if it may be.
    """
    good = np.isfinite(sigma) & np.isfinite(intensity)
    s, y = sigma[good], intensity[good]
    if s.size and np.all(s == 0):
        return "it is zero everywhere"
    if s.size and np.all(s <= 0):
        return "it is negative or zero everywhere"
    if s.size < MIN_POINTS:
        return ""
    if np.ptp(s) == 0 and (s[0] == 1 or not named):
        return f"it is {s[0]:g} everywhere"
    if np.any(s < 0):
        return f"{np.count_nonzero(s < 0)} of its values are negative"
    use = (s > 0) & (y > 0)
    if np.count_nonzero(use) < MIN_POINTS:
        return ""
    s, y = s[use], y[use]
    if not named and np.mean(s >= y) > 0.99 and np.median(y) > 1:
        return "it is above the intensity everywhere"
    power = _power(s, y)
    if power is not None and not named and power > MAX_POWER:
        return f"it rises in proportion to the intensity (power {power:.2f}), as another intensity does"
    if power is not None and power < (0 if named else MIN_POWER) - (0.1 if named else 0):
        return f"it does not rise with the intensity (power {power:.2f})"
    if named and power is not None and power > MAX_POWER and np.median(s / y) > MIN_VARIANCE_RATIO:
        return "it is as large as the intensity, as a variance of counts is"
    return _other_scale(s, y, intensity) or ("" if named else _not_of_counts(s, y, intensity))


def _power(sigma: NDArray[np.float64], intensity: NDArray[np.float64]) -> float | None:
    """Power of the intensity with which a column rises; None where the intensities hardly differ."""
    order = np.argsort(intensity)
    groups = np.array_split(order, N_GROUPS)
    x = np.log([np.median(intensity[group]) for group in groups])
    y = np.log([np.median(sigma[group]) for group in groups])
    if x[-1] - x[0] < np.log(MIN_INTENSITY_RATIO):
        return None
    return float(np.polyfit(x, y, 1)[0])


def _not_of_counts(
    sigma: NDArray[np.float64], positive: NDArray[np.float64], intensity: NDArray[np.float64]
) -> str:
    """Reject a column that is far from the error of intensities that are counts, such as a background."""
    finite = intensity[np.isfinite(intensity)]
    scatter = counting_scale(intensity)
    if not (np.all(finite == np.rint(finite)) and 1 / SAME_SCALE < scatter < SAME_SCALE):
        return ""
    ratio = float(np.median(sigma / np.sqrt(positive)))
    if 1 / MIN_SCALE < ratio < MIN_SCALE:
        return ""
    return f"it is {ratio:.2g} times the error of the counts"


def _other_scale(
    sigma: NDArray[np.float64], positive: NDArray[np.float64], intensity: NDArray[np.float64]
) -> str:
    """Recognise errors of counts beside intensities that are counts divided by a factor, such as a time.

    Then σ²/I is the factor, and the scatter of the intensities is its inverse.
    """
    factor = float(np.median(sigma**2 / positive))
    scatter = counting_scale(intensity)
    if not (np.isfinite(scatter) and scatter > 0) or 1 / MIN_SCALE < factor < MIN_SCALE:
        return ""
    if 1 / SAME_SCALE < factor * scatter < SAME_SCALE:
        return f"it is the error of counts, and the intensities are counts divided by {factor:.3g}"
    return ""
