"""Which reflections of a frame are marked, and which of them have room for a label."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...sizing import Examination, Status

__all__ = ["ReflectionMarks", "reflection_marks"]

NOTHING_DIFFRACTS = frozenset({Status.NO_CRYSTAL, Status.LOW_COUNTS, Status.BAD_FRAME})
"""Statuses of frames whose fitted lattice means nothing."""


class ReflectionMarks(NamedTuple):
    """Reflections of the dots to mark in a picture of a frame."""

    q_inv_angstrom: NDArray[np.float64]
    """Positions within the frame, Å⁻¹, shape (n,)."""
    labels: list[tuple[float, str]]
    """Position (Å⁻¹) and Miller indices of those that have room for them."""


def reflection_marks(examination: Examination | None, min_distance: float) -> ReflectionMarks:
    """Choose the reflections to mark.

    Parameters
    ----------
    examination
        The frame with its fit.
    min_distance
        Smallest distance of two labels, as a fraction of the range of Q.

    Returns
    -------
    The marks; none where nothing of the material was found.
    """
    nothing = ReflectionMarks(np.empty(0), [])
    if examination is None or examination.binned is None or examination.fit is None:
        return nothing
    if examination.estimate.status in NOTHING_DIFFRACTS:
        return nothing
    q, found = examination.binned.q_inv_angstrom, examination.fit.reflections
    low, high = float(q[0]), float(q[-1])
    inside = (found.q_inv_angstrom >= low) & (found.q_inv_angstrom <= high)
    labels: list[tuple[float, str]] = []
    for at, label, shown in zip(found.q_inv_angstrom, found.labels, inside, strict=True):
        if label and shown and (not labels or at - labels[-1][0] > min_distance * (high - low)):
            labels.append((float(at), label))
    return ReflectionMarks(found.q_inv_angstrom[inside], labels)
