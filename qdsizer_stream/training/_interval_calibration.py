"""Calibration of the 95 % interval: its scale from fresh frames, its floors from held-out simulations."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ..models import TWO_SIDED_95, log_size_sd

__all__ = ["interval_floors", "interval_scale", "log_size_sds"]


def log_size_sds(
    network_sd: NDArray[np.float64],
    size_nm: NDArray[np.float64],
    *,
    scale: float,
    floor: float = 0.0,
    floor_nm: float = 0.0,
) -> NDArray[np.float64]:
    """Standard deviation of ln size of many frames, by the formula of the live answer.

    Parameters
    ----------
    network_sd
        Standard deviation of ln size that the network predicts, shape (n,).
    size_nm
        Size that the network predicts, nm, shape (n,).
    scale, floor, floor_nm
        As in `log_size_sd`.

    Returns
    -------
    Standard deviations, shape (n,).
    """
    settings = {"scale": scale, "floor": floor, "floor_nm": floor_nm}
    return np.array([log_size_sd(sd, nm, **settings) for sd, nm in zip(network_sd, size_nm, strict=True)])


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


def interval_floors(needed: NDArray[np.float64], size_nm: NDArray[np.float64]) -> tuple[float, float]:
    """Split the variance that intervals lack into a relative part and a length.

    Parameters
    ----------
    needed
        Variance of ln size that each frame needs on top of the network's, shape (n,).
    size_nm
        Size that the network predicts, nm, shape (n,).

    Returns
    -------
    Relative floor, and floor in nm: together they cover 95 % of the frames, and of each quarter by size as
    nearly as two numbers can.
    """
    quarters = np.array_split(np.argsort(size_nm), 4)
    wanted = np.array([np.quantile(needed[quarter], 0.95) for quarter in quarters])
    columns = np.array([[1.0, np.mean(size_nm[quarter] ** -2.0)] for quarter in quarters])
    (relative, length), _ = nnls(columns, wanted)
    granted = relative + length / size_nm**2
    if not np.all(granted > 0):
        return 0.0, 0.0
    factor = float(np.quantile(needed / granted, 0.95))
    return math.sqrt(factor * relative), math.sqrt(factor * length)
