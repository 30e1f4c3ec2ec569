"""Recognition of curves that are not a diffraction pattern, and of damage to one, by their shape."""

import numpy as np
from numpy.typing import NDArray

from ._noise import ScatterNoise, variance_by_intensity

__all__ = ["background_removed", "first_of_scans", "gaps", "not_a_pattern"]

MIN_POINTS = 60
"""Fewer points do not show a shape."""

MIN_SCAN_POINTS = 24
"""Fewer points in a row are no scan."""

MAX_SCANS = 1000
"""More turns than scans that anybody writes into one file: an abscissa that is not sorted."""

MIN_OVERLAP = 0.5
"""Part of the range of the first scan that every other one shares; less is a range of its own."""

MIN_NEGATIVE_FRACTION = 0.2
"""F(Q) and G(r) oscillate about zero; a background that was oversubtracted leaves far fewer negative
points."""

UNITY_TOLERANCE = 0.05
"""How closely S(Q) approaches one at high Q, on average over an eighth of the pattern."""

MAX_LOG = 16.0
"""No detector counts more than 10^16 photons per point, the largest decadic logarithm."""

MIN_GAP_POINTS = 3
"""A value repeated exactly this often marks points without data."""

MIN_LEVEL = 30.0
"""Typical counts at which a zero cannot be chance: its probability is exp(-30)."""


def first_of_scans(x: NDArray[np.float64]) -> int:
    """Number of points of the first of several scans that stand one below the other.

    Parameters
    ----------
    x
        Abscissa in the order of the file, shape (n,).

    Returns
    -------
    Points until the abscissa begins anew; all of them for one scan, and for scans of different ranges.
    """
    if x.size < 2 * MIN_SCAN_POINTS or not np.all(np.isfinite(x)):
        return x.size
    steps = np.diff(x)
    direction = 1.0 if np.median(steps) > 0 else -1.0
    back = np.flatnonzero(direction * steps < 0)
    if not 0 < back.size <= MAX_SCANS:
        return x.size
    ends = np.append(back + 1, x.size)
    scans = np.split(x, ends[:-1])
    if min(map(len, scans)) < MIN_SCAN_POINTS:
        return x.size
    low, high = scans[0].min(), scans[0].max()
    shared = [min(high, scan.max()) - max(low, scan.min()) for scan in scans[1:]]
    alike = all(overlap > MIN_OVERLAP * (high - low) for overlap in shared)
    return int(ends[0]) if alike else x.size


def not_a_pattern(intensity: NDArray[np.float64]) -> str:
    """Recognise a curve that is derived from a pattern.

    Parameters
    ----------
    intensity
        Ordinates in the order of the abscissa, shape (n,).

    Returns
    -------
    What the curve looks like; empty for a pattern of intensities.
    """
    y = intensity[np.isfinite(intensity)]
    if y.size < MIN_POINTS:
        return ""
    negative = y[y < 0]
    gap_value = negative.size and np.all(negative == negative[0])
    if not gap_value and negative.size > MIN_NEGATIVE_FRACTION * y.size and abs(y.mean()) < 0.5 * y.std():
        fraction = negative.size / y.size
        return f"F(Q) or G(r): {fraction:.0%} of the points are negative, and the mean is near zero"
    if _tends_to_one(y):
        return "S(Q): it oscillates about 1 and tends to it"
    if _is_logarithm(y):
        return "the logarithm of the intensity: its scatter falls where it rises"
    return ""


def _tends_to_one(y: NDArray[np.float64]) -> bool:
    """Whether the last half of a curve oscillates about one, on both sides, with decreasing amplitude."""
    if np.all(y == np.rint(y)):
        return False
    eighths = np.array_split(y, 8)
    late = np.array([part.mean() for part in eighths[5:]])
    if np.any(np.abs(late - 1) > UNITY_TOLERANCE):
        return False
    early_swing = np.ptp(np.concatenate(eighths[:4]))
    late_swing = np.ptp(eighths[-1])
    return bool(
        np.mean(y[y.size // 2 :] > 1) > 0.2
        and np.mean(y[y.size // 2 :] < 1) > 0.2
        and early_swing > 2 * late_swing
    )


def _is_logarithm(y: NDArray[np.float64]) -> bool:
    """Whether the variance falls with the ordinate as that of a logarithm of counts does.

    ln N has the variance 1/N: its logarithm falls by 1 per unit of ln N, and by 2.303 per unit of log10 N.
    """
    if y.min() < -MAX_LOG or y.max() > 2.303 * MAX_LOG:
        return False
    levels, variances = variance_by_intensity(y)
    if levels.size < 3 or np.any(variances <= 0) or levels[-1] - levels[0] < 0.2:
        return False
    slope = float(np.polyfit(levels, np.log(variances), 1)[0])
    return (
        any(0.6 * expected < -slope < 1.6 * expected for expected in (1.0, 2.303))
        and variances[0] > 1.5 * variances[-1]
    )


def gaps(intensity: NDArray[np.float64], scale: float) -> tuple[NDArray[np.bool_], str]:
    """Find points without data that are written as -1 or 0.

    Parameters
    ----------
    intensity
        Intensities in the order of the abscissa, shape (n,).
    scale
        Variance per intensity; 1 for counts, NaN where unknown.

    Returns
    -------
    True at such points, shape (n,), and a message; the message is empty if there are none.
    """
    marked = np.zeros(intensity.size, bool)
    negative = intensity < 0
    if np.count_nonzero(negative) >= MIN_GAP_POINTS:
        values = np.unique(intensity[negative])
        if values.size == 1 and values[0] in (-1.0, -2.0, -99.0, -999.0, -9999.0):
            marked |= negative
    zero = intensity == 0
    positive = intensity[intensity > 0]
    level = (
        np.median(positive) / (scale if np.isfinite(scale) and scale > 0 else 1.0) if positive.size else 0.0
    )
    if np.count_nonzero(zero) >= MIN_GAP_POINTS and level > MIN_LEVEL and _in_runs(zero):
        marked |= zero
    if not np.any(marked):
        return marked, ""
    found = ", ".join(f"{v:g}" for v in np.unique(intensity[marked]))
    return marked, f"{np.count_nonzero(marked)} points at {found}: taken as a gap and masked"


def _in_runs(zero: NDArray[np.bool_]) -> bool:
    """Whether most zeros have a zero beside them; those of a subtracted minimum are alone."""
    beside = np.zeros(zero.size, bool)
    beside[1:] |= zero[:-1]
    beside[:-1] |= zero[1:]
    return bool(np.mean(beside[zero]) > 0.8)


def background_removed(intensity: NDArray[np.float64], noise: ScatterNoise) -> str:
    """Recognise a pattern from which a background was subtracted.

    Parameters
    ----------
    intensity
        Intensities without gaps, shape (n,).
    noise
        Their noise.

    Returns
    -------
    A message; empty if nothing shows a subtraction.
    """
    if noise.is_counting:
        return ""
    y = intensity[np.isfinite(intensity)]
    sigma = np.sqrt(noise.constant)
    if y.size and y.min() > -sigma and np.count_nonzero(y <= 0.02 * sigma) >= MIN_GAP_POINTS:
        return (
            "a background was taken off so that the curve touches zero and is never negative: give the file "
            "without that subtraction"
        )
    if y.size and y.min() < 3 * sigma:
        return "a background was subtracted: the scatter does not vanish with the intensity"
    return ""
