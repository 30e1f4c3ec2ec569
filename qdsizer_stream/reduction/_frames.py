"""Array layouts of raw frames."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CalibrationError
from ._geometry import MODULE_STRIPS

__all__ = ["frame_layouts", "strip_counts"]


def frame_layouts(n_strips: int, n_counters: int = 1) -> list[tuple[int, ...]]:
    """List the shapes in which a detector may deliver one frame.

    Parameters
    ----------
    n_strips
        Number of strips of the calibration.
    n_counters
        Counters that the detector writes per strip.

    Returns
    -------
    Shapes, those with fewer axes first: strip by strip, with the counters of a strip side by side or on a
    separate axis, and with or without an axis of modules.
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
    """Extract the counts of one counter from a frame.

    Parameters
    ----------
    frame
        Frame of the detector: shape (n_strips,) or (modules, 1280) with one counter; with several
        (n_strips, n_counters), or flat with the counters of a strip side by side. Axes of length 1
        are ignored.
    n_strips
        Number of strips of the calibration.
    n_counters
        Counters that the detector wrote per strip: 1, or up to 3 with MYTHEN III.
    counter
        Index of the counter to extract, from 0.

    Returns
    -------
    Counts, shape (n_strips,), a copy.

    Raises
    ------
    CalibrationError
        The frame does not contain numbers, has an incomplete module, or belongs to another detector or
        layout.
    """
    try:
        array = np.squeeze(np.asarray(frame))
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"the frame is not an array of numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise CalibrationError(
            f"the frame contains {array.dtype}, not numbers: give the counts of {n_strips} strips"
        )
    if array.size != n_strips * n_counters:
        counters = f" × {n_counters} counters" if n_counters > 1 else ""
        cut = (
            f", not a multiple of {MODULE_STRIPS}: part of a module is missing"
            if array.size % MODULE_STRIPS
            else f" ({_modules(array.size // MODULE_STRIPS)})"
        )
        raise CalibrationError(
            f"the frame has {array.size} values{cut}; the calibration is for {n_strips} strips"
            f"{counters} ({_modules(n_strips // MODULE_STRIPS)} of {MODULE_STRIPS}): give the calibration "
            "and the counters of this detector"
        )
    layouts = frame_layouts(n_strips, n_counters)
    # With one counter or one module some axes have length 1, and squeezing removed them.
    if array.shape not in {tuple(n for n in shape if n > 1) for shape in layouts}:
        raise CalibrationError(
            f"the frame has shape {np.shape(frame)}: give one frame of {n_strips} strips, counters last: "
            f"{' or '.join(str(shape) for shape in layouts)}"
        )
    return array.reshape(n_strips, n_counters)[:, counter].astype(np.float64)


def _modules(n: int) -> str:
    return "1 module" if n == 1 else f"{n} modules"
