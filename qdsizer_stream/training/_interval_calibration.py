"""Calibration of the 95 % interval: its scale from fresh frames, its floors from held-out simulations."""

import numpy as np
from numpy.typing import NDArray

from ..models import TWO_SIDED_95, IntervalCalibration, log_size_sd, relative_floor

__all__ = ["interval_floors", "interval_scale", "log_size_sds"]

MIN_COVERAGE = 0.93
"""Smallest coverage of a quarter of the frames that counts as calibrated."""

GRID_STEPS = 20
"""Steps in which the parts of a floor are tried: 231 divisions."""

ROUNDING = 1e-12
"""Relative rounding of the frame that sets the quantile."""


def log_size_sds(
    network_sd: NDArray[np.float64],
    size_nm: NDArray[np.float64],
    dispersion: NDArray[np.float64],
    interval: IntervalCalibration,
) -> NDArray[np.float64]:
    """Standard deviation of ln size of many frames, by the formula of the live answer.

    Parameters
    ----------
    network_sd
        Standard deviation of ln size that the network predicts, shape (n,).
    size_nm
        Size that the network predicts, nm, shape (n,).
    dispersion
        Dispersion that the network predicts, shape (n,).
    interval
        Calibration.

    Returns
    -------
    Standard deviations, shape (n,).
    """
    return np.array(
        [
            log_size_sd(
                sd,
                nm,
                scale=interval.scale,
                floor=relative_floor(interval.floor, interval.floor_dispersion, broad),
                floor_nm=interval.floor_nm,
            )
            for sd, nm, broad in zip(network_sd, size_nm, dispersion, strict=True)
        ]
    )


def interval_scale(error: NDArray[np.float64], network_sd: NDArray[np.float64]) -> float:
    """Factor on predicted standard deviations with which 95 % intervals cover 95 % of frames.

    Parameters
    ----------
    error
        Error of ln size of each frame, shape (n,).
    network_sd
        Standard deviation of ln size that the network predicts, shape (n,).

    Returns
    -------
    The factor; 1 if the predicted ones are already large enough.
    """
    return max(1.0, float(np.quantile(np.abs(error / network_sd), 0.95)) / TWO_SIDED_95)


def interval_floors(
    error: NDArray[np.float64],
    network_sd: NDArray[np.float64],
    size_nm: NDArray[np.float64],
    dispersion: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Floors with which intervals cover 95 % of the frames, as narrow as possible for the most informative.

    Proportions of the three parts are tried on a grid; each is scaled to cover 95 % of all frames. Of those
    that cover at least `MIN_COVERAGE` of each quarter by size and by dispersion, the one is taken that leaves
    the smallest median width in the quarter of the frames with the smallest predicted standard deviation:
    floors matter little for the others.

    Parameters
    ----------
    error
        Error of ln size of each frame, shape (n,).
    network_sd
        Standard deviation of ln size that the network predicts, scaled, shape (n,).
    size_nm
        Size that the network predicts, nm, shape (n,).
    dispersion
        Dispersion that the network predicts, shape (n,).

    Returns
    -------
    Relative floor, floor in nm, and factor on the squared dispersion.
    """
    variance = network_sd**2
    needed = np.maximum((error / TWO_SIDED_95) ** 2 - variance, 0.0)
    informative = np.argsort(network_sd)[: max(1, network_sd.size // 4)]
    quarters = [q for by in (size_nm, dispersion) for q in np.array_split(np.argsort(by), 4) if q.size]
    parts = np.stack([np.ones(size_nm.size), size_nm**-2.0, dispersion**4.0], axis=1)
    parts /= _medians(size_nm, dispersion)
    best, found = (-np.inf, np.inf), np.zeros(3)
    for shares in _proportions(GRID_STEPS):
        granted = np.maximum(parts @ shares, np.finfo(float).tiny)
        factor = np.quantile(needed / granted, 0.95)
        covered = needed <= factor * granted * (1 + ROUNDING)
        coverage = min(float(covered[quarter].mean()) for quarter in quarters)
        width = float(np.median(np.sqrt((variance + factor * granted)[informative])))
        # Coverage counts up to what is asked for, and the width decides beyond.
        rank = min(coverage, MIN_COVERAGE), -width
        if rank > (best[0], -best[1]):
            best, found = (rank[0], width), factor * shares
    relative, length, broad = np.sqrt(found / _medians(size_nm, dispersion))
    return float(relative), float(length), float(broad)


def _medians(size_nm: NDArray[np.float64], dispersion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of what the three parts of the variance are proportional to, shape (3,)."""
    return np.array([1.0, np.median(size_nm**-2.0), np.median(dispersion**4.0)])


def _proportions(n_steps: int) -> list[NDArray[np.float64]]:
    """All divisions of 1 into three parts of whole steps."""
    pairs = [(i, j) for i in range(n_steps + 1) for j in range(n_steps + 1 - i)]
    return [np.array([i, j, n_steps - i - j]) / n_steps for i, j in pairs]
