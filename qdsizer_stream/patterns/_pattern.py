"""Intensity against momentum transfer."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import PatternError
from ._axis import q_from_two_theta

__all__ = ["Pattern"]


@dataclass(frozen=True, eq=False, repr=False)
class Pattern:
    """Intensity against momentum transfer, with its standard deviation and mask.

    Parameters
    ----------
    q_inv_angstrom
        Momentum transfer, Å⁻¹, shape (n,), strictly ascending and finite.
    intensity
        Intensity in any unit, shape (n,).
    sigma
        Standard deviation of `intensity` in the same unit, shape (n,).
    mask
        True where a point must not be used, shape (n,).

    Raises
    ------
    PatternError
        Shapes differ, there are fewer than two points, Q is not ascending, or a usable point has no finite
        intensity and positive sigma.
    """

    q_inv_angstrom: NDArray[np.float64]
    intensity: NDArray[np.float64]
    sigma: NDArray[np.float64]
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        q, mask = self.q_inv_angstrom, self.mask
        if not q.shape == self.intensity.shape == self.sigma.shape == mask.shape or q.ndim != 1:
            shapes = {
                name: getattr(self, name).shape for name in ("q_inv_angstrom", "intensity", "sigma", "mask")
            }
            raise PatternError(f"a pattern needs four 1-D arrays of equal length, found {shapes}")
        if q.size < 2:
            raise PatternError(f"a pattern needs at least 2 points, found {q.size}")
        if not (q[1:] > q[:-1]).all():  # also catches NaN
            steps = np.diff(q)
            where = int(np.argmin(np.where(np.isnan(steps), -np.inf, steps)))
            raise PatternError(
                f"Q must ascend and be finite, found {q[where]:.6g} then {q[where + 1]:.6g} at point "
                f"{where}: sort the points by Q"
            )
        if not (np.isfinite(self.intensity) | mask).all():
            raise PatternError("intensity is NaN or infinite at usable points: mask them")
        if not ((self.sigma > 0) & (self.sigma < np.inf) | mask).all():
            raise PatternError("sigma must be finite and positive at usable points: mask the others")

    @classmethod
    def from_arrays(
        cls,
        q_inv_angstrom: ArrayLike,
        intensity: ArrayLike,
        sigma: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Self:
        """Create a pattern from arrays in any order, with unusable points masked.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfer, Å⁻¹, shape (n,), in any order; of equal values the first is kept.
        intensity
            Intensity, shape (n,); NaN and infinities are masked.
        sigma
            Standard deviation, shape (n,); NaN and values that are not positive are masked. If
            None, the intensities are taken as counts: σ = √(I + 1), which stays positive at zero
            counts (Mighell, Astrophys. J. 518, 380, 1999).
        mask
            True where a point must not be used, shape (n,).

        Returns
        -------
        The pattern, sorted by Q.

        Raises
        ------
        PatternError
            Shapes differ, or there are fewer than two points.
        """
        q = np.asarray(q_inv_angstrom, dtype=np.float64)
        y = np.asarray(intensity, dtype=np.float64)
        masked = np.zeros(q.shape, bool) if mask is None else np.array(mask, dtype=bool)
        error = np.sqrt(np.clip(y, 0, None) + 1) if sigma is None else np.asarray(sigma, dtype=np.float64)
        if q.ndim != 1 or not q.shape == y.shape == error.shape == masked.shape:
            raise PatternError(
                "a pattern needs 1-D arrays of equal length, found "
                f"Q {q.shape}, intensity {y.shape}, sigma {error.shape}, mask {masked.shape}"
            )
        finite_q = np.isfinite(q)
        if not np.all(finite_q):
            q, y, error, masked = q[finite_q], y[finite_q], error[finite_q], masked[finite_q]
        if not np.all(np.diff(q) > 0):
            q, order = np.unique(q, return_index=True)
            y, error, masked = y[order], error[order], masked[order]
        unusable = ~np.isfinite(y) | ~np.isfinite(error) | ~(error > 0)
        masked = masked | unusable
        return cls(q, np.where(unusable, np.nan, y), np.where(unusable, np.nan, error), masked)

    @classmethod
    def from_two_theta(
        cls,
        two_theta_deg: ArrayLike,
        intensity: ArrayLike,
        wavelength_angstrom: float,
        sigma: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Self:
        """Create a pattern from scattering angles.

        Parameters
        ----------
        two_theta_deg
            Scattering angles, degrees, shape (n,), any order.
        intensity, sigma, mask
            As in `from_arrays`.
        wavelength_angstrom
            Wavelength, Å.

        Returns
        -------
        The pattern, sorted by Q.

        Raises
        ------
        PatternError
            Shapes differ, there are fewer than two points, or the wavelength is not that of X-rays.
        """
        q = q_from_two_theta(np.asarray(two_theta_deg, dtype=np.float64), wavelength_angstrom)
        return cls.from_arrays(q, intensity, sigma, mask)

    def __repr__(self) -> str:
        masked = int(np.count_nonzero(self.mask))
        return (
            f"<Pattern: {len(self)} points, {masked} masked, "
            f"Q {self.q_inv_angstrom[0]:.4g} to {self.q_inv_angstrom[-1]:.4g} Å⁻¹>"
        )

    def __len__(self) -> int:
        return self.q_inv_angstrom.size

    @property
    def span(self) -> slice | None:
        """The usable points where these are neighbours; None where masked ones lie between, or all are."""
        mask = self.mask
        first, last = int(mask.argmin()), mask.size - int(mask[::-1].argmin())
        return None if mask[first:last].any() else slice(first, last)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Points that may be used, shape (n,): the inverse of the mask."""
        return ~self.mask
