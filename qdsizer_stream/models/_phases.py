"""Other crystals beside the dots: by-products of a synthesis, oxides of a surface, ice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._linear_algebra import cholesky_with_ridge, solve_transposed
from ._nonnegative import RIDGE, nonnegative

__all__ = ["PhaseFraction", "found_phases"]

MIN_FALL = 20.0
"""Fall of χ² by a crystal from which it is reported: of six crystals of several sizes, noise alone gives 15
once in a thousand frames."""

MIN_RELATIVE_FALL = 0.15
"""The same over χ² without the crystal: the templates of the dots are not exact, and anything of any shape
explains some of their error."""

MIN_FRACTION = 0.01
"""Smallest fraction of the intensity that is reported."""

N_TRIED = 3
"""Curves that are fitted with amounts that are not negative, of those that lower χ² most beside the columns
that are present without them."""

PROMISING = 0.5
"""Fall of χ² of these over the one that is asked for: other columns may leave the fit for a crystal, which
lowers χ² further."""

MAX_PHASES = 2
"""Crystals that are looked for in one frame."""


@dataclass(frozen=True, kw_only=True)
class PhaseFraction:
    """Another crystal in a frame."""

    name: str
    """Its name."""
    fraction: float
    """Its fraction of the mean intensity."""

    def __str__(self) -> str:
        return f"{self.name} {self.fraction:.0%}"


def found_phases(
    names: tuple[str, ...],
    curves: NDArray[np.float64],
    columns: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    residuals: NDArray[np.float64],
    present: NDArray[np.bool_],
) -> tuple[PhaseFraction, ...]:
    """Look for crystals whose curves explain much of what dots, solvents and background leave.

    Parameters
    ----------
    names
        Name of the crystal of each curve.
    curves
        Curves of other crystals, several of each, shape (n_curves, n).
    columns
        Weighted, normalised columns of dots, solvents and background, shape (n_columns, n).
    target
        Weighted intensity, shape (n,).
    weight
        1/σ of the intensity, shape (n,).
    residuals
        Weighted intensity less the fit by these columns alone, shape (n,).
    present
        Columns whose amounts are above zero in that fit, shape (n_columns,).

    Returns
    -------
    The crystals, the one that explains most first; those with less than a hundredth of the intensity are left
    out.
    """
    phases = curves * weight
    length = np.sqrt(np.einsum("ij,ij->i", phases, phases))
    phases /= length[:, None]
    chi2 = float(residuals @ residuals)
    chosen: list[int] = []
    amounts = np.zeros(0)
    for _ in range(MAX_PHASES):
        least = max(MIN_FALL, MIN_RELATIVE_FALL * chi2)
        best, best_chi2, best_amounts, best_residuals = -1, chi2, amounts, residuals
        # A curve that does not resemble what is left cannot lower χ².
        others = (phases @ residuals > 0).nonzero()[0]
        if chosen:
            taken = {names[row] for row in chosen}
            others = np.array([row for row in others if names[row] not in taken], np.intp)
        if not others.size:
            break
        used = np.vstack([columns[present], phases[chosen]])
        for row in others[_promising(phases[others], used, target, PROMISING * least)]:
            found, left = _fit(np.vstack([columns, phases[[*chosen, row]]]), target)
            if (found_chi2 := float(left @ left)) < best_chi2:
                best, best_chi2 = int(row), found_chi2
                best_amounts, best_residuals = found[len(columns) :], left
        if chi2 - best_chi2 < least:
            break
        chosen.append(best)
        chi2, amounts, residuals = best_chi2, best_amounts, best_residuals
    if not chosen:
        return ()
    # One size of each: amounts of several take part of the background with them.
    areas = amounts / length[chosen] * curves[chosen].mean(axis=1) / np.mean(target / weight)
    return tuple(
        PhaseFraction(name=names[row], fraction=float(area))
        for row, area in zip(chosen, areas, strict=True)
        if area >= MIN_FRACTION
    )


def _promising(
    phases: NDArray[np.float64], columns: NDArray[np.float64], target: NDArray[np.float64], least: float
) -> NDArray[np.intp]:
    """The curves that lower χ² most, and by no less than that, beside the columns that are present."""
    upper, _ = cholesky_with_ridge(columns @ columns.T, RIDGE)
    parts = solve_transposed(upper, columns @ phases.T)
    whitened = solve_transposed(upper, columns @ target)
    gain = phases @ target - whitened @ parts
    left = np.maximum(1 - np.einsum("ij,ij->j", parts, parts), RIDGE)
    fall = np.maximum(gain, 0.0) ** 2 / left
    best = (-fall).argsort()[:N_TRIED]
    return np.asarray(best[fall[best] >= least])


def _fit(
    columns: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Amounts that are not negative, and what they leave."""
    amounts = nonnegative(columns @ columns.T, columns @ target)
    return amounts, target - amounts @ columns
