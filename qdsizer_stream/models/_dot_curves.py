"""Patterns of dots as an instrument of a given width shows them on the bins of the physics check."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError
from ..patterns import FWHM_PER_SD, blur_matrix
from ._newest import Newest
from ._templates import Templates

__all__ = ["CROWDED_INV_ANGSTROM", "DotCurves", "InstrumentCurves"]

CROWDED_INV_ANGSTROM = 6.5
"""Beyond this Q, neighbouring peaks of a dot overlap too much to be scaled separately, and bins of twice the
width lose no information on the size."""

MAX_DISTANCE_ANGSTROM = 400.0
"""Longest pair distance in the templates, Å: the largest cluster of their simulation."""

MAX_INSTRUMENTS = 2
"""Instruments whose curves are kept: a live run has one, or one before and one after a change."""

MAX_READ = 8
"""Axes of frames at which other crystals are kept."""


@dataclass(frozen=True, eq=False)
class DotCurves:
    """Patterns of dots with mean 1, averaged over the check's bins."""

    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, Å⁻¹, shape (n_q,)."""
    dots: NDArray[np.float64]
    """One pattern per row, shape (n_dots, n_q)."""
    columns: NDArray[np.float64]
    """The same by Q, contiguous, shape (n_q, n_dots)."""
    slopes: NDArray[np.float64]
    """Their derivatives by Q, shape (n_dots, n_q)."""
    phases: NDArray[np.float64]
    """Other crystals, shape (n_phases, n_q)."""
    _read: Newest[NDArray[np.float64]] = field(default_factory=lambda: Newest(MAX_READ), repr=False)

    def phases_at(self, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Read the other crystals; those at the newest Q are kept.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹, shape (n,).

        Returns
        -------
        Their curves there, shape (n_phases, n); not to be changed.
        """

        def read() -> NDArray[np.float64]:
            return np.array([np.interp(q_inv_angstrom, self.q_inv_angstrom, one) for one in self.phases])

        return self._read.get(q_inv_angstrom.tobytes(), read)


class InstrumentCurves:
    """Curves of the dots for each instrument, each convolved once.

    Parameters
    ----------
    templates
        Curves of a perfect instrument.
    grid_q_inv_angstrom
        Bin centres at which the width of an instrument is given, Å⁻¹, shape (n_bins,).
    pooled_width_inv_angstrom
        Width of the check's bins, Å⁻¹.
    """

    def __init__(
        self,
        templates: Templates,
        grid_q_inv_angstrom: NDArray[np.float64],
        pooled_width_inv_angstrom: float,
    ) -> None:
        self._templates = templates
        self._grid_q = grid_q_inv_angstrom
        self._width = pooled_width_inv_angstrom
        # Files hold single precision, in which sums of squares would lose the differences between sizes.
        self._sharp = self._curves(templates.dots.astype(np.float64), templates.phases)
        self._convolved: Newest[DotCurves] = Newest(MAX_INSTRUMENTS)

    def curves(self, resolution_inv_angstrom: NDArray[np.float64] | None) -> DotCurves:
        """Curves as an instrument shows them.

        Parameters
        ----------
        resolution_inv_angstrom
            Full width at half maximum of the instrument's peaks at each bin centre, Å⁻¹, shape (n_bins,);
            None for a perfect instrument.

        Returns
        -------
        The curves, convolved with a Gaussian of that width.

        Raises
        ------
        ConfigurationError
            The widths do not fit the bins, or one is negative or not finite.
        """
        if resolution_inv_angstrom is None:
            return self._sharp
        fwhm = np.ascontiguousarray(resolution_inv_angstrom, np.float64)
        return self._convolved.get(fwhm.tobytes(), lambda: self._curves(*self._convolve(fwhm)))

    def _convolve(self, fwhm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Dots and phases as the instrument shows them."""
        if fwhm.shape != self._grid_q.shape:
            raise ConfigurationError(
                f"the resolution has shape {fwhm.shape}, the physics check has {self._grid_q.size} bins: "
                "give one FWHM for each bin centre"
            )
        if not (np.all(np.isfinite(fwhm)) and fwhm.min() >= 0):
            worst = fwhm[~(np.isfinite(fwhm) & (fwhm >= 0))][0]
            raise ConfigurationError(
                f"the resolution holds {worst:g} Å⁻¹: every FWHM must be finite and not negative"
            )
        q = self._templates.q_inv_angstrom
        sd = np.interp(q, self._grid_q, fwhm) / FWHM_PER_SD
        blur = blur_matrix(sd, float(q[1] - q[0]), MAX_DISTANCE_ANGSTROM, 0, 0)
        dots = np.asarray((blur @ self._templates.dots.T.astype(np.float64)).T)
        phases = self._templates.phases
        return dots, np.asarray((blur @ phases.T).T) if len(phases) else phases

    def _curves(self, dots: NDArray[np.float64], phases: NDArray[np.float64]) -> DotCurves:
        q = self._templates.q_inv_angstrom
        wider = np.ascontiguousarray(_wider_beyond(q, dots, self._width))
        step = float(q[1]) - float(q[0])
        return DotCurves(q, wider, np.ascontiguousarray(wider.T), np.gradient(wider, step, axis=1), phases)


def _wider_beyond(
    q: NDArray[np.float64], curves: NDArray[np.float64], width_inv_angstrom: float
) -> NDArray[np.float64]:
    """Average over bins of twice the width, where peaks are crowded, curves averaged over single bins."""
    half = round(width_inv_angstrom / 2 / (q[1] - q[0]))
    wider = curves.copy()
    wider[:, half:-half] = (curves[:, : -2 * half] + curves[:, 2 * half :]) / 2
    return np.where(q > CROWDED_INV_ANGSTROM, wider, curves)
