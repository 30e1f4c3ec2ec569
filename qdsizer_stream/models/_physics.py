"""The physics check: a frame must be made of dots, liquids and a smooth background."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from ..patterns import BinGrid, Pattern

__all__ = ["PhysicsCheck", "PhysicsFit", "Templates"]

KNOT_STEP_INV_ANGSTROM = 0.8
"""Knots of the smooth background: its bumps are wider than any peak of a dot above 1.5 nm."""

MODEL_ERROR = 0.02
"""Relative error granted to the templates, in quadrature with the noise: clusters are no spheres, B is no
single number, and a frame of 10⁷ photons must not be refused for that."""

RIDGE = 1e-9
"""Added to the normalised normal matrix, whose columns resemble each other."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Curves that the physics check is made of."""

    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, finer than the bins and past them on both sides, Å⁻¹, shape (n_q,)."""
    sizes_nm: NDArray[np.float64]
    """Number-weighted mean diameter of each pattern of dots, nm, shape (n_dots,)."""
    dots: NDArray[np.float64]
    """Patterns of unstrained dots with mean 1, shape (n_dots, n_q)."""
    liquids: NDArray[np.float64]
    """Curves of liquids with mean 1, shape (n_liquids, n_q)."""


@dataclass(frozen=True, eq=False)
class PhysicsFit:
    """Non-negative fit of one binned frame; curves are NaN where the frame is masked."""

    residual: float
    """Root mean square misfit beyond counting noise, over the mean intensity."""
    significance: float
    """Fall of χ² that the dots bring."""
    explained: float
    """That fall over what liquids and background alone leave beyond noise; 0 to 1."""
    dots_share: float
    """Share of the dots in the fitted intensity."""
    strain: float
    """Strain at which the dots fit best."""
    dots: NDArray[np.float64]
    """Fitted dots, shape (n_bins,)."""
    liquid: NDArray[np.float64]
    """Fitted liquids, shape (n_bins,)."""
    background: NDArray[np.float64]
    """Fitted smooth background, shape (n_bins,)."""

    @property
    def total(self) -> NDArray[np.float64]:
        """Fitted intensity, shape (n_bins,)."""
        return self.dots + self.liquid + self.background


class PhysicsCheck:
    """Fits binned frames with what a colloid can be made of.

    Parameters
    ----------
    templates
        Curves of dots and liquids.
    grid
        Bins of the frames.
    liquid
        Measured curve of this experiment's solvent on the bins, shape (n_bins,), or None; where it is
        NaN frames are not looked at.
    """

    def __init__(
        self, templates: Templates, grid: BinGrid, liquid: NDArray[np.float64] | None = None
    ) -> None:
        self._templates = templates
        self._q = grid.centres
        liquids = [np.interp(self._q, templates.q_inv_angstrom, curve) for curve in templates.liquids]
        self._covered = np.ones(grid.n_bins, bool)
        if liquid is not None:
            self._covered = np.isfinite(liquid)
            liquids.append(np.where(self._covered, liquid / np.nanmean(liquid), 0.0))
        self._n_liquids = len(liquids)
        span = self._q[-1] - self._q[0]
        knots = np.linspace(self._q[0], self._q[-1], int(np.ceil(span / KNOT_STEP_INV_ANGSTROM)) + 1)
        padded = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
        splines = BSpline.design_matrix(self._q, padded, 3).toarray().T
        self._smooth = np.vstack([*liquids, splines])

    def fit(self, binned: Pattern, strains: NDArray[np.float64]) -> PhysicsFit:
        """Fit a frame without dots and with dots at each strain.

        Parameters
        ----------
        binned
            Frame on the bins.
        strains
            Strains to try, shape (n_strains,).

        Returns
        -------
        The fit at the best strain.
        """
        usable = binned.usable & self._covered
        intensity, sigma = binned.intensity[usable], binned.sigma[usable]
        weight = 1 / np.hypot(sigma, MODEL_ERROR * np.abs(intensity))
        smooth = self._smooth[:, usable]
        alone = smooth.T @ _nonnegative(smooth * weight, intensity * weight)
        chi2_alone = float(np.sum(((intensity - alone) * weight) ** 2))
        best: tuple[float, float, NDArray[np.float64], NDArray[np.float64]] | None = None
        for strain in strains:
            stretched = self._q[usable] * (1 + strain)
            dots = np.array(
                [np.interp(stretched, self._templates.q_inv_angstrom, d) for d in self._templates.dots]
            )
            columns = np.vstack([smooth, dots])
            coefficients = _nonnegative(columns * weight, intensity * weight)
            chi2 = float(np.sum(((intensity - columns.T @ coefficients) * weight) ** 2))
            if best is None or chi2 < best[0]:
                best = chi2, float(strain), columns, coefficients
        assert best is not None, "at least one strain is tried"
        chi2, strain, columns, coefficients = best
        fitted = columns * coefficients[:, None]
        n_smooth = smooth.shape[0]
        parts = []
        for rows in (slice(n_smooth, None), slice(self._n_liquids), slice(self._n_liquids, n_smooth)):
            curve = np.full(usable.size, np.nan)
            curve[usable] = fitted[rows].sum(axis=0)
            parts.append(curve)
        dots_curve, liquid_curve, background_curve = parts
        total = fitted.sum(axis=0)
        misfit = float(np.mean((intensity - total) ** 2 - sigma**2))
        mean = float(np.mean(intensity))
        significance = chi2_alone - chi2
        return PhysicsFit(
            residual=np.sqrt(max(misfit, 0.0)) / mean if mean > 0 else float("inf"),
            significance=significance,
            explained=significance / max(chi2_alone - usable.sum(), significance, 1.0),
            dots_share=float(np.nansum(dots_curve) / max(total.sum(), np.finfo(float).tiny)),
            strain=strain,
            dots=dots_curve,
            liquid=liquid_curve,
            background=background_curve,
        )


def _nonnegative(columns: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative least squares through the normal equations: 700 rows become one a column."""
    norm = np.sqrt(np.sum(columns**2, axis=1))
    norm[norm == 0] = 1.0  # a background bump outside the frame
    scaled = columns / norm[:, None]
    gram = scaled @ scaled.T
    gram[np.diag_indices_from(gram)] += RIDGE
    upper = cholesky(gram)
    solution, _ = nnls(upper, solve_triangular(upper, scaled @ target, trans="T"))
    return np.asarray(solution / norm)
