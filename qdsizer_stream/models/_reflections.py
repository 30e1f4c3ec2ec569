"""Where the reflections of the dots lie in a frame, and their Miller indices."""

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_REFLECTIONS", "Reflections", "reflections"]

MAX_LABELLED_SQUARE = 40
"""Largest h² + k² + l² that gets a label, 6.7 Å⁻¹ for PbS: beyond it peaks of dots overlap."""

MAX_OFFSET = 0.1
"""Largest distance of (Q a/2π)² from a whole number for a label: a peak that others overlap is shifted."""


class Reflections(NamedTuple):
    """Reflections of the dots' crystal."""

    q_inv_angstrom: NDArray[np.float64]
    """Positions, ascending, Å⁻¹, shape (n,)."""
    labels: tuple[str, ...]
    """Miller indices such as "220" or "511/333"; empty where the crystal is not cubic or peaks overlap."""

    def moved(self, strain: float, shift_inv_angstrom: float) -> "Reflections":
        """Move the reflections to where a fit found them.

        Parameters
        ----------
        strain
            Strain of the dots.
        shift_inv_angstrom
            Shift of all peaks, Å⁻¹, as of `PhysicsFit.shift_inv_angstrom`.

        Returns
        -------
        The reflections of that frame.
        """
        return self._replace(q_inv_angstrom=self.q_inv_angstrom / (1 + strain) + shift_inv_angstrom)


NO_REFLECTIONS = Reflections(np.empty(0), ())


def reflections(peaks_inv_angstrom: NDArray[np.float64], lattice_parameter_angstrom: float) -> Reflections:
    """Label the peaks of a crystal.

    Parameters
    ----------
    peaks_inv_angstrom
        Peaks of the dots, ascending, Å⁻¹, shape (n,).
    lattice_parameter_angstrom
        Lattice parameter, Å.

    Returns
    -------
    Reflections without strain or shift, labelled where the first peaks are those of a cubic lattice.
    """
    squares = (peaks_inv_angstrom * lattice_parameter_angstrom / (2 * math.pi)) ** 2
    near = np.rint(squares).astype(int)
    sure = (np.abs(squares - near) < MAX_OFFSET) & (near > 0) & (near <= MAX_LABELLED_SQUARE)
    # Any number may happen to be near a whole one: a cubic crystal has all of its first peaks there.
    cubic = sure[:3].all()
    labels = (_indices(int(n)) if cubic and ok else "" for n, ok in zip(near, sure, strict=True))
    return Reflections(peaks_inv_angstrom, tuple(labels))


def _indices(square: int) -> str:
    """Miller indices with this h² + k² + l², without signs and permutations."""
    reach = range(math.isqrt(square), -1, -1)
    found = [
        f"{h}{k}{l}"
        for h, k, l in itertools.product(reach, repeat=3)  # noqa: E741  (the field's own letters)
        if h >= k >= l and h * h + k * k + l * l == square
    ]
    return "/".join(found)
