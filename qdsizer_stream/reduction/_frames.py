"""Layouts of raw frames."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CalibrationError
from ._geometry import MODULE_STRIPS

__all__ = ["frame_layouts", "strip_counts"]


def frame_layouts(n_strips: int, n_counters: int = 1) -> list[tuple[int, ...]]:
    """Give the shapes in which a detector may deliver one frame.

    Parameters
    ----------
    n_strips
        Strips of the calibration.
    n_counters
        Counters that the detector writes for each strip.

    Returns
    -------
    Shapes, those with fewer axes first: strip by strip, the counters of a strip side by side or on an
    axis of their own, with an axis of modules or without.
    """
    n_modules = n_strips // MODULE_STRIPS
    return [
        (n_strips * n_counters,),
        (n_strips, n_counters),
        (n_modules, MODULE_STRIPS * n_counters),
        (n_modules, MODULE_STRIPS, n_counters),
    ]


def strip_counts(
    frame: ArrayLike, n_strips: int, n_counters: int = 1, counter: int = 0
) -> NDArray[np.float64]:
    """Take the counts of one counter out of a frame.

    Parameters
    ----------
    frame
        What the detector delivered: shape (n_strips,) or (modules, 1280) with one counter; with several
        (n_strips, n_counters), or flat with the counters of a strip side by side. Axes of length 1
        do not count.
    n_strips
        Strips of the calibration.
    n_counters
        Counters that the detector wrote for each strip: 1, of MYTHEN III up to 3.
    counter
        Which of them to take, from 0.

    Returns
    -------
    Counts, shape (n_strips,), a copy.

    Raises
    ------
    CalibrationError
        The frame holds no numbers, cuts a module, or is of another detector or another layout.
    """
    try:
        array = np.squeeze(np.asarray(frame))
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"the frame is not an array of numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise CalibrationError(
            f"the frame holds {array.dtype}, not numbers: give the counts of {n_strips} strips"
        )
    if array.size != n_strips * n_counters:
        counters = f" × {n_counters} counters" if n_counters > 1 else ""
        cut = (
            f", no multiple of {MODULE_STRIPS}: part of a module is missing"
            if array.size % MODULE_STRIPS
            else f" ({array.size // MODULE_STRIPS} modules' worth)"
        )
        raise CalibrationError(
            f"the frame has {array.size} values{cut}; the calibration is for {n_strips} strips"
            f"{counters} ({n_strips // MODULE_STRIPS} modules of {MODULE_STRIPS}): give the calibration "
            "and the counters of this detector"
        )
    layouts = frame_layouts(n_strips, n_counters)
    # With one counter or one module some axes have length 1, and squeezing took them away.
    if array.shape not in {tuple(n for n in shape if n > 1) for shape in layouts}:
        raise CalibrationError(
            f"the frame has shape {np.shape(frame)}: one frame of {n_strips} strips is needed, counters "
            f"last: {' or '.join(str(shape) for shape in layouts)}"
        )
    return array.reshape(n_strips, n_counters)[:, counter].astype(np.float64)
