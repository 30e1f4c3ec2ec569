"""Which material is it? One pattern compared with nanocrystals of many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from ..errors import ConfigurationError, PatternError
from ..models.fit import background_curves
from ..patterns import BinGrid, Pattern, bin_pattern
from ..simulation import (
    Material,
    crystal_patterns,
    load_material,
    load_solvent,
    material_names,
    solvent_names,
)
from ._cache import cached_arrays
from ._simulate import Progress

__all__ = ["Identification", "Identity", "conclude", "identify"]

Q_LIMITS_INV_ANGSTROM = (0.9, 15.3)
"""Range that is compared where the pattern covers it."""

BIN_INV_ANGSTROM = 0.02
"""Bins: a third of the width of a peak of a 10 nm dot."""

CURVE_STEP_INV_ANGSTROM = 0.01
"""Step of the curves of nanocrystals, between which they are interpolated."""

MARGIN = 0.02
"""Relative range of Q beyond the limits, for the strains that are tried."""

SIZES_NM = np.geomspace(1.4, 12.0, 12)
"""Mean diameters of these, nm: steps of 22 %, with amounts of neighbours for those between and for broad
populations."""

DISPERSION = 0.12
"""Dispersion of each."""

WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the dispersion corrections where none is given, Å."""

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
    """Result of `identify`."""

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


def identify(
    pattern: Pattern,
    materials: Sequence[str] | None = None,
    *,
    wavelength_angstrom: float | None = None,
    progress: Progress = lambda *_: None,
) -> Identification:
    """Compare a pattern with nanocrystals of many materials.

    The curves of a material are simulated at its first use and kept in the user's cache folder.

    Parameters
    ----------
    pattern
        Reduced pattern.
    materials
        Materials of the package, or paths of CIF or TOML files, at least two; None for all of the package.
    wavelength_angstrom
        Wavelength of the dispersion corrections, Å; 0.56 Å where it is not known.
    progress
        Called for each material.

    Returns
    -------
    The probability of each material from the likelihood of its best fit, all materials equally likely
    before, and whether one of them can be named.

    Raises
    ------
    PatternError
        The pattern has fewer than 60 bins with data between 0.9 and 15.3 Å⁻¹.
    PhysicsError
        A material is unknown or cannot be used.
    ConfigurationError
        Fewer than two materials are given.
    """
    names = list(material_names() if materials is None else dict.fromkeys(materials))
    if len(names) < 2:
        raise ConfigurationError(f"{len(names)} materials to compare: give at least two")
    frame = _Frame(pattern)
    wavelength = WAVELENGTH_ANGSTROM if wavelength_angstrom is None else round(wavelength_angstrom, 2)
    fits: dict[str, float] = {}
    for number, name in enumerate(names):
        progress(f"comparing with {name}", number, len(names))
        material = load_material(name)
        fits[material.name] = frame.chi2(_curves(material, wavelength))
    progress("done", len(names), len(names))
    return conclude(fits, frame.chi2_background_only, frame.q.size)


def conclude(fits: dict[str, float], chi2_background_only: float, n: int) -> Identification:
    """Probabilities of the candidates, and whether one of them is identified.

    Parameters
    ----------
    fits
        χ² of the best fit of each candidate.
    chi2_background_only
        χ² of solvent and background without nanocrystals.
    n
        Number of points fitted.
    """
    ordered = sorted(fits, key=lambda name: fits[name])
    best = fits[ordered[0]]
    least = best / n + MISFIT_FLOOR
    weights = {name: ((fits[name] / n + MISFIT_FLOOR) / least) ** (-N_INDEPENDENT / 2) for name in ordered}
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


def _grid() -> NDArray[np.float64]:
    """Momentum transfers of the curves of nanocrystals, Å⁻¹."""
    low, high = Q_LIMITS_INV_ANGSTROM
    return np.arange(low * (1 - MARGIN), high * (1 + MARGIN), CURVE_STEP_INV_ANGSTROM)


def _curves(material: Material, wavelength_angstrom: float) -> NDArray[np.float64]:
    """Curves of nanocrystals with mean 1 on `_grid`, shape (n_sizes, n_q)."""
    described = {
        "material": material.model_dump(mode="json"),
        "wavelength_angstrom": wavelength_angstrom,
        "sizes_nm": SIZES_NM.tolist(),
        "dispersion": DISPERSION,
        "q_step_inv_angstrom": CURVE_STEP_INV_ANGSTROM,
    }

    def simulated() -> dict[str, NDArray[np.float64]]:
        curves = crystal_patterns(material, _grid(), SIZES_NM, DISPERSION, wavelength_angstrom)
        return {"curves": curves / curves.mean(axis=1, keepdims=True)}

    arrays, _ = cached_arrays("crystal", described, simulated)
    return np.asarray(arrays["curves"])


class _Frame:
    """Binned pattern with the solvents and background that every material is fitted beside."""

    def __init__(self, pattern: Pattern) -> None:
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
        solvents = [
            solvent.intensity(np.clip(self.q, *solvent.q_inv_angstrom[[0, -1]]), WAVELENGTH_ANGSTROM)
            for solvent in map(load_solvent, solvent_names())
        ]
        self._smooth = _unit(np.vstack([*solvents, halos, splines]) * self._weight)
        self._upper = cholesky(self._smooth @ self._smooth.T + RIDGE * np.eye(len(self._smooth)))
        self._rhs = solve_triangular(self._upper, self._smooth @ self._target, trans="T")
        self.chi2_background_only = nnls(self._smooth.T, self._target)[1] ** 2

    def chi2(self, curves: NDArray[np.float64]) -> float:
        """χ² of the best fit by a material, with the strain's distance from zero."""
        grid = _grid()
        best = math.inf
        for damping in self._dampings(grid, curves):
            best = min(best, self._chi2(grid, damping))
        return best

    def _dampings(self, grid: NDArray[np.float64], curves: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        u = (grid / (4 * np.pi)) ** 2
        return [curves * np.exp(-2 * b * u) for b in DAMPING_ANGSTROM2]

    def _chi2(self, grid: NDArray[np.float64], curves: NDArray[np.float64]) -> float:
        """The same with one displacement parameter: the best strain of any one size, then all sizes."""
        moved = [np.array([np.interp(self.q * (1 + e), grid, curve) for curve in curves]) for e in STRAINS]
        columns = np.concatenate(moved) * self._weight
        parts = solve_triangular(self._upper, self._smooth @ columns.T, trans="T")
        gain = columns @ self._target - self._rhs @ parts
        length = np.einsum("ij,ij->i", columns, columns) - np.einsum("ij,ij->j", parts, parts)
        fall = np.maximum(gain, 0.0) ** 2 / np.maximum(length, np.finfo(float).tiny)
        prior = (STRAINS / STRAIN_SD) ** 2
        by_strain = fall.reshape(STRAINS.size, -1).max(axis=1) - prior
        strain = int(np.argmax(by_strain))
        together = np.vstack([self._smooth, _unit(moved[strain] * self._weight)])
        return float(nnls(together.T, self._target)[1] ** 2 + prior[strain])


def _unit(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of length 1; those of nothing stay nothing."""
    norm = np.linalg.norm(columns, axis=1)
    return np.asarray(columns / np.where(norm == 0, 1.0, norm)[:, None])
