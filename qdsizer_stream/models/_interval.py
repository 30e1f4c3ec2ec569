"""The 95 % interval of a size: one formula for the live answer, its calibration and its evaluation."""

import math

__all__ = ["TWO_SIDED_95", "log_size_sd", "relative_floor"]

TWO_SIDED_95 = 1.959964
"""Standard deviations from the centre to either end of a 95 % interval of a normal distribution."""


def log_size_sd(
    network_sd: float, size_nm: float, *, scale: float, floor: float = 0.0, floor_nm: float = 0.0
) -> float:
    """Standard deviation of ln size: that of the network, scaled, and two floors in quadrature.

    Parameters
    ----------
    network_sd
        Standard deviation of ln size that the network predicts.
    size_nm
        Size that the network predicts, nm.
    scale
        Factor on `network_sd`.
    floor
        Relative standard deviation added in quadrature.
    floor_nm
        Standard deviation of the size added in quadrature, nm.

    Returns
    -------
    √((scale · network_sd)² + floor² + (floor_nm / size_nm)²).
    """
    return math.hypot(scale * network_sd, floor, floor_nm / size_nm)


def relative_floor(floor: float, floor_dispersion: float, dispersion: float) -> float:
    """Relative floor of a population.

    A pattern fixes combinations such as D (1 + r²)³ of mean D and dispersion r, not each alone: shapes and
    size distributions that a training does not contain move a mean by a multiple of r².

    Parameters
    ----------
    floor
        Part of the floor that all populations have.
    floor_dispersion
        Factor on the squared dispersion.
    dispersion
        Dispersion that the network predicts.

    Returns
    -------
    Both parts in quadrature.
    """
    return math.hypot(floor, floor_dispersion * dispersion**2)
