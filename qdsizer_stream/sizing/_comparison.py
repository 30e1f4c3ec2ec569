"""Which material is it? One pattern compared with nanocrystals of many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, PatternError
from ..models import CRYSTAL_Q_INV_ANGSTROM, CrystalCurves, shipped_solvents
from ..models.fit import background_curves
from ..patterns import BinGrid, Pattern, bin_pattern
from ._check import CheckResult
from ._estimate import Status

__all__ = ["Identification", "Identity", "MaterialComparison", "conclude", "other_material"]

Q_LIMITS_INV_ANGSTROM = (0.9, 15.3)
"""Range that is compared where the pattern covers it."""

BIN_INV_ANGSTROM = 0.02
"""Bins: a third of the width of a peak of a 10 nm dot."""

STRAINS = np.linspace(-0.012, 0.012, 25)
"""Strains that are tried: nanocrystals are strained by less, and lattices of other materials often differ by
more."""

STRAIN_SD = 0.004
"""Standard deviation of the strain before the frame is seen."""

DAMPING_ANGSTROM2 = (-0.6, 0.0, 0.8, 1.8, 3.0)
"""Additions to the displacement parameters of the bulk that are tried, Å²."""

MODEL_ERROR = 0.03
"""Relative error of the curves, in quadrature with the noise: shapes and surfaces are not modelled."""

N_INDEPENDENT = 12.0
"""Independent features of a misfit: what no material explains is smooth over many bins and of unknown size,
so the likelihood is a power of χ², not its exponential. With 20 in place of 12, six of 896 simulated frames
were given to another material, with 12 none."""

MISFIT_FLOOR = 0.1
"""Added to χ² per bin in that power: a smaller misfit is within the curves' own error."""

DOTS_ERROR = 0.09
"""Relative error of the curves of dots that this floor allows for besides: correlated motion, a disordered
part and ratios of the displacement parameters other than the bulk's change them by so much. Many photons of
dots without solvent are sometimes fitted better by a material of the same lattice than by their own.
Of 448 simulated frames of CdS, CdSe and InAs, 14 were given to such a one without this error."""

MIN_POINTS = 60
"""Fewest bins that are compared."""

MIN_FALL = 60.0
"""Fall of χ² by the best material below which there is no significant signal."""

MIN_EXPLAINED = 0.85
"""Fraction of the χ² beyond noise that the best material must explain."""

MAX_MISFIT = 6.0
"""χ² per bin beyond which the best material does not fit."""

SURE = 0.95
"""Probability from which a material is named."""

RIDGE = 1e-6
"""Added to normal matrices of columns of length 1."""


class Identity(StrEnum):
    """What a comparison came to."""

    IDENTIFIED = "identified"
    """One material, with a probability of 95 % or more."""
    CANNOT_TELL = "cannot_tell"
    """Several materials fit about as well."""
    NONE_OF_THESE = "none_of_these"
    """Something diffracts that none of the materials explains."""
    NO_SIGNAL = "no_signal"
    """No material explains anything significant: no crystal, or too few photons."""


@dataclass(frozen=True, kw_only=True)
class Identification:
    """Result of a comparison."""

    identity: Identity
    """What the comparison came to."""
    material: str | None
    """The material that was identified; None where none was."""
    probabilities: dict[str, float]
    """Probability of each material if it is one of them, largest first."""
    misfits: dict[str, float]
    """χ² per bin of each material."""
    explained: float
    """Fraction of the χ² beyond noise that the best of them explains."""

    def __str__(self) -> str:
        likely = [f"{name} {p:.0%}" for name, p in self.probabilities.items() if p >= 0.01]
        match self.identity:
            case Identity.IDENTIFIED:
                return f"{self.material} ({self.probabilities[self.material or '']:.1%})"
            case Identity.CANNOT_TELL:
                return f"cannot tell: {', '.join(likely)}"
            case Identity.NONE_OF_THESE:
                best, misfit = next(iter(self.misfits.items()))
                return f"none of these materials: {best} fits best, with χ² {misfit:.1f} per bin"
            case Identity.NO_SIGNAL:
                return "no significant signal of any of these materials"


class MaterialComparison:
    """Compares patterns with nanocrystals of several materials.

    Parameters
    ----------
    crystals
        Curves of the materials, at least two.

    Raises
    ------
    ConfigurationError
        Fewer than two materials are given.
    """

    def __init__(self, crystals: Sequence[CrystalCurves]) -> None:
        if len(crystals) < 2:
            raise ConfigurationError(f"{len(crystals)} materials to compare: give at least two")
        u = (CRYSTAL_Q_INV_ANGSTROM / (4 * np.pi)) ** 2
        self._damped = {
            one.name: [one.curves * np.exp(-2 * b * u) for b in DAMPING_ANGSTROM2] for one in crystals
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the materials."""
        return tuple(self._damped)

    def compare(self, pattern: Pattern) -> Identification:
        """Compare a pattern with all materials.

        Parameters
        ----------
        pattern
            Reduced pattern.

        Returns
        -------
        The probability of each material from the likelihood of its best fit, all materials equally likely
        before, and whether one of them can be named.

        Raises
        ------
        PatternError
            The pattern has fewer than 60 bins with data between 0.9 and 15.3 Å⁻¹.
        """
        frame = _Frame(pattern)
        fits = {name: frame.fit(damped) for name, damped in self._damped.items()}
        dots = min(fits.values()).dots
        return conclude(
            {name: fit.chi2 for name, fit in fits.items()}, frame.chi2_background_only, frame.q.size, dots
        )


def other_material(found: Identification, material: str) -> CheckResult:
    """Check that a frame is not certainly of another material.

    Parameters
    ----------
    found
        What the comparison came to.
    material
        Material that is expected.

    Returns
    -------
    The probability of the likeliest other one, 0 where something else or nothing diffracts, beside its
    threshold.
    """
    fits = found.identity in (Identity.IDENTIFIED, Identity.CANNOT_TELL)
    others = {name: p for name, p in found.probabilities.items() if name != material}
    likeliest = max(others, key=lambda name: others[name])
    result = CheckResult(
        name="probability of another material",
        value=others[likeliest] if fits else 0.0,
        maximum=SURE,
        status=Status.OUT_OF_DOMAIN,
    )
    if result.passed:
        return result
    message = f"the frame is of {likeliest} ({others[likeliest]:.1%}), not of {material}"
    return replace(result, message=message)


def conclude(
    fits: dict[str, float], chi2_background_only: float, n: int, dots: float = 0.0
) -> Identification:
    """Compute the probability of each material, and whether one of them can be named.

    Parameters
    ----------
    fits
        χ² of the best fit of each material.
    chi2_background_only
        χ² of solvents and background alone.
    n
        Number of points that were fitted.
    dots
        Mean square of the dots in the best fit, over that of the errors.

    Returns
    -------
    The result of the comparison.
    """
    ordered = sorted(fits, key=lambda name: fits[name])
    best = fits[ordered[0]]
    floor = MISFIT_FLOOR + DOTS_ERROR**2 * dots
    least = best / n + floor
    weights = {name: ((fits[name] / n + floor) / least) ** (-N_INDEPENDENT / 2) for name in ordered}
    total = sum(weights.values())
    probabilities = {name: weight / total for name, weight in weights.items()}
    fall = chi2_background_only - best
    explained = fall / max(chi2_background_only - n, fall, 1.0)
    identity = Identity.CANNOT_TELL
    if fall < MIN_FALL:
        identity = Identity.NO_SIGNAL
    elif explained < MIN_EXPLAINED or best / n > MAX_MISFIT:
        identity = Identity.NONE_OF_THESE
    elif probabilities[ordered[0]] >= SURE:
        identity = Identity.IDENTIFIED
    return Identification(
        identity=identity,
        material=ordered[0] if identity is Identity.IDENTIFIED else None,
        probabilities=probabilities,
        misfits={name: fits[name] / n for name in ordered},
        explained=explained,
    )


class _Fit(NamedTuple):
    """Best fit of a material."""

    chi2: float
    """χ², with the strain's distance from zero."""
    dots: float
    """Mean square of the dots, over that of the errors."""


class _Frame:
    """Binned pattern with the solvents and background that every material is fitted beside."""

    def __init__(self, pattern: Pattern) -> None:
        from scipy.linalg import cholesky, solve_triangular  # with the first frame, as in the physics check
        from scipy.optimize import nnls

        low, high = Q_LIMITS_INV_ANGSTROM
        grid = BinGrid(
            q_first_inv_angstrom=low + BIN_INV_ANGSTROM / 2,
            q_step_inv_angstrom=BIN_INV_ANGSTROM,
            n_bins=int((high - low) / BIN_INV_ANGSTROM),
        )
        binned = bin_pattern(pattern, grid)
        usable = binned.usable
        self.q = binned.q_inv_angstrom[usable]
        if self.q.size < MIN_POINTS:
            raise PatternError(
                f"{self.q.size} bins of {BIN_INV_ANGSTROM} Å⁻¹ between {low:g} and {high:g} Å⁻¹ hold data: "
                f"at least {MIN_POINTS} are needed to compare materials"
            )
        intensity = binned.intensity[usable]
        self._weight = 1 / np.hypot(binned.sigma[usable], MODEL_ERROR * intensity)
        self._target = intensity * self._weight
        halos, splines = background_curves(self.q)
        solvents = [np.interp(self.q, CRYSTAL_Q_INV_ANGSTROM, curve) for curve in shipped_solvents()]
        self._smooth = _unit(np.vstack([*solvents, halos, splines]) * self._weight)
        self._upper = cholesky(self._smooth @ self._smooth.T + RIDGE * np.eye(len(self._smooth)))
        self._rhs = solve_triangular(self._upper, self._smooth @ self._target, trans="T")
        self.chi2_background_only = nnls(self._smooth.T, self._target)[1] ** 2

    def fit(self, damped: Sequence[NDArray[np.float64]]) -> _Fit:
        """Best fit by a material, over displacement parameters."""
        return min(map(self._fit, damped))

    def _fit(self, curves: NDArray[np.float64]) -> _Fit:
        """The same with one displacement parameter: the best strain of any one size, then all sizes."""
        from scipy.linalg import solve_triangular
        from scipy.optimize import nnls

        moved = [
            np.array([np.interp(self.q * (1 + e), CRYSTAL_Q_INV_ANGSTROM, curve) for curve in curves])
            for e in STRAINS
        ]
        columns = np.concatenate(moved) * self._weight
        parts = solve_triangular(self._upper, self._smooth @ columns.T, trans="T")
        gain = columns @ self._target - self._rhs @ parts
        length = np.einsum("ij,ij->i", columns, columns) - np.einsum("ij,ij->j", parts, parts)
        fall = np.maximum(gain, 0.0) ** 2 / np.maximum(length, np.finfo(float).tiny)
        prior = (STRAINS / STRAIN_SD) ** 2
        by_strain = fall.reshape(STRAINS.size, -1).max(axis=1) - prior
        strain = int(np.argmax(by_strain))
        together = np.vstack([self._smooth, _unit(moved[strain] * self._weight)])
        amounts, misfit = nnls(together.T, self._target)
        n = len(self._smooth)
        dots = amounts[n:] @ together[n:]
        return _Fit(float(misfit**2 + prior[strain]), float(dots @ dots) / self.q.size)


def _unit(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of length 1; those of nothing stay nothing."""
    norm = np.linalg.norm(columns, axis=1)
    return np.asarray(columns / np.where(norm == 0, 1.0, norm)[:, None])
