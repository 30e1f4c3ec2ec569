"""Fit of one frame: populations, strain, zero and thermal motion by variable projection."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...patterns import FWHM_PER_SD, blur_matrix
from .._smooth_background import background_curves
from ._templates import Damping, FitTemplates, Population, Sums, lognormal_population

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["FitOptions", "FitResult", "FrameFit", "Prior"]

DISORDERED_DISPERSION = 0.1
"""Dispersion of the disordered part's coherence length: any small one gives the same curve."""

AVERAGE = ((-math.sqrt(0.15), 5 / 18), (0.0, 8 / 18), (math.sqrt(0.15), 5 / 18))
"""Gauss-Legendre nodes and weights of the mean over an interval of length 1: the sine of a distance d is
damped as by the mean within (d ΔQ/2)⁶/15750."""

RIDGE = 1e-10
"""Added to normal matrices of columns of length 1: keeps them invertible where columns coincide."""

ERROR_ROUNDS = 3
"""Fits with a raised error of the templates: the third changes it by less than a tenth."""

SAME_ERROR = 0.1
"""Relative rise of that error that is not worth another fit."""

N_HALVINGS = 30
"""Halvings of the range of that error: more than its precision."""

MAX_ERROR: float = 0.3
"""Largest relative error of the templates: beyond it nothing is fitted."""

MAX_ITERATIONS = 40
"""Steps after which a fit ends; most end after ten."""

CONVERGED = 1e-3
"""Fall of χ² over χ² per point below which a fit ends: a hundredth of a standard deviation."""

STRAINS = np.linspace(-0.015, 0.015, 31)
"""Strains tried at the beginning: steps of 0.001 move the outermost peaks by less than their width."""

START_DISPERSION = 0.12
"""Dispersion of the sizes tried at the beginning."""

N_START_SIZES = 24
"""Sizes tried at the beginning: steps of 12 % over a factor of 15."""

N_FIRST_SIZES = 3
"""Of these, sizes whose strain is searched for before the size is known."""


class Prior(NamedTuple):
    """Normal distribution of a parameter before the frame is seen."""

    mean: float
    """Mean."""
    sd: float
    """Standard deviation; infinite for no prior."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What is refined, and what is known before."""

    correlated_motion: bool = True
    """Whether the amplitude of correlated motion is refined; otherwise atoms move independently."""
    disordered_part: bool = True
    """Whether a disordered part of the material is refined."""
    disordered_coherence_nm: float = 1.4
    """Its coherence length, nm."""
    zero: bool = True
    """Whether a zero of the 2θ scale is refined."""
    common_b: bool = False
    """Whether all elements' displacement parameters change by the same amount."""
    model_error: float = 0.0
    """Smallest relative error of the templates, added to the noise in quadrature."""
    error_rounds: int = ERROR_ROUNDS
    """How often that error is raised until χ² is 1 where the frame is fitted worse than its noise, so that
    the strongest peaks do not outweigh all others."""
    priors: dict[str, Prior] = field(default_factory=dict)
    """Priors by name of the parameter: "log_mean", "log_dispersion", "strain", "zero_rad", "correlated" (Å²)
    and "b" (each element's, Å², about the material's)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FitResult:
    """Refined parameters with standard deviations; curves are per point that was fitted."""

    number_mean_nm: float
    """Number-weighted mean diameter, nm."""
    number_mean_sd_nm: float
    """Its standard deviation."""
    mass_mean_nm: float
    """Mass-weighted mean diameter, nm."""
    mass_mean_sd_nm: float
    """Its standard deviation."""
    dispersion: float
    """Standard deviation of the number distribution over its mean."""
    dispersion_sd: float
    """Its standard deviation."""
    size_dispersion_correlation: float
    """Correlation of number mean and dispersion."""
    strain: float
    """Isotropic strain."""
    strain_sd: float
    """Its standard deviation."""
    lattice_parameter_angstrom: float
    """Lattice parameter, Å."""
    lattice_parameter_sd_angstrom: float
    """Its standard deviation."""
    b_angstrom2: dict[str, float]
    """Displacement parameters by element, Å²."""
    b_sd_angstrom2: dict[str, float]
    """Their standard deviations."""
    correlated_angstrom2: float
    """Amplitude of the correlated motion, Å²."""
    correlated_sd_angstrom2: float
    """Its standard deviation; 0 where it was not refined."""
    two_theta_zero_deg: float
    """Apparent minus true scattering angle, degrees."""
    two_theta_zero_sd_deg: float
    """Its standard deviation; 0 where it was not refined."""
    shares: dict[str, float]
    """Fractions of the area of the fit: "nanocrystals", "disordered", "solvent", "background", and other
    crystals by name."""
    share_sds: dict[str, float]
    """Their standard deviations."""
    disordered_nm: float
    """Atoms in the disordered part over those in the ordered one, times the number-weighted mean, nm."""
    chi2: float
    """χ² per degree of freedom, of the noise alone."""
    model_error: float
    """Relative error of the templates that the weights include."""
    n_points: int
    """Points that were fitted."""
    n_parameters: int
    """Parameters: non-linear ones, and amounts above zero."""
    converged: bool
    """Whether the fit ended before the largest number of steps."""
    log_mean_dispersion_covariance: NDArray[np.float64]
    """Covariance of ln number mean and ln dispersion, scaled as the standard deviations, shape (2, 2)."""
    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, Å⁻¹, shape (n,)."""
    intensity: NDArray[np.float64]
    """Measured intensity, shape (n,)."""
    sigma: NDArray[np.float64]
    """Standard deviation that the fit used, shape (n,)."""
    curves: dict[str, NDArray[np.float64]]
    """Fitted parts by name, each of shape (n,)."""

    @property
    def fitted(self) -> NDArray[np.float64]:
        """Fitted intensity, shape (n,)."""
        return np.asarray(np.sum(list(self.curves.values()), axis=0))


class _Part(NamedTuple):
    """Dots, or their disordered part, at a point of the fit."""

    sums: Sums
    """Sums over its pairs."""
    totals: NDArray[np.float64]
    """These with correlated motion."""
    around: list[NDArray[np.float64]]
    """Its intensity at the four points of the templates around each point, for each node of its width."""


@dataclass(eq=False)
class _State:
    """A point of the fit."""

    frame: "_Frame"
    """Frame that is fitted."""
    values: NDArray[np.float64]
    """Non-linear parameters."""
    population: Population
    """Population of the dots."""
    damping: Damping
    """Thermal motion and strain."""
    places: list["_Places"]
    """Where the points are on the templates, for each node of their width."""
    parts: list[_Part]
    """Dots and disordered part."""
    columns: NDArray[np.float64]
    """All columns, weighted, shape (n_columns, n)."""
    amounts: NDArray[np.float64]
    """Amounts of the columns."""
    residuals: NDArray[np.float64]
    """Weighted residuals, shape (n,)."""
    objective: float
    """χ² with the priors."""

    @cached_property
    def slopes(self) -> NDArray[np.float64]:
        """Derivatives of the fit by the non-linear parameters, weighted, shape (n_values, n)."""
        return self.frame.slopes(self)


class _Places:
    """Places of points on the templates, with the weights of a cubic interpolation (Lagrange).

    Parameters
    ----------
    position
        Positions in steps of the templates, shape (…).
    step
        Step, Å⁻¹.
    n_q
        Points of the templates.
    """

    def __init__(self, position: NDArray[np.float64], step: float, n_q: int) -> None:
        index = np.clip(position.astype(np.intp), 1, n_q - 3)
        t = self._t = position - index
        self._step = step
        self.points = np.stack([index - 1, index, index + 1, index + 2])
        """Points of the templates around each, shape (4, …)."""
        self.weights = np.stack(
            [
                t * (-1 / 3 + t * (1 / 2 - t / 6)),
                1 + t * (-1 / 2 + t * (-1 + t / 2)),
                t * (1 + t * (1 / 2 - t / 2)),
                t * (t * t - 1) / 6,
            ]
        )
        """Their weights, shape (4, …)."""

    @property
    def slopes(self) -> NDArray[np.float64]:
        """Derivatives of the weights by Q, Å, shape (4, …)."""
        t = self._t
        slopes = (
            -1 / 3 + t * (1 - t / 2),
            -1 / 2 + t * (-2 + 1.5 * t),
            1 + t * (1 - 1.5 * t),
            t * t / 2 - 1 / 6,
        )
        return np.stack(slopes) / self._step


class FrameFit:
    """Fits frames with dots, a disordered part, solvents and a smooth background.

    Parameters
    ----------
    templates
        Templates of the material.
    options
        What is refined.
    """

    def __init__(self, templates: FitTemplates, options: FitOptions | None = None) -> None:
        self.templates = templates
        self.options = FitOptions() if options is None else options
        n_b = 1 if self.options.common_b else len(templates.b_names)
        self._n_b = n_b
        self.names = ("log_mean", "log_dispersion", "strain", "zero_rad", "correlated", *["b"] * n_b)
        """Non-linear parameters in order."""
        low, high = templates.size_range_nm
        b_low = -float(templates.b_angstrom2.min()) if self.options.common_b else 0.0
        bounds = {
            "log_mean": (math.log(low), math.log(high)),
            "log_dispersion": (math.log(0.02), math.log(0.6)),
            "strain": (-0.03, 0.03),
            "zero_rad": (-0.01, 0.01),
            "correlated": (0.0, 6.0),
            "b": (b_low, 15.0),
        }
        self._low, self._high = np.array([bounds[name] for name in self.names]).T
        priors = {"b": Prior(0.0, math.inf), **self.options.priors}
        known = [priors.get(name, Prior(0.0, math.inf)) for name in self.names]
        self._prior_mean = np.array([prior.mean for prior in known])
        if not self.options.common_b:
            self._prior_mean[5:] += templates.b_angstrom2
        self._prior_weight = np.array([1 / prior.sd**2 for prior in known])
        free = np.ones(len(self.names), bool)
        free[3] = self.options.zero
        free[4] = self.options.correlated_motion
        self._free = np.flatnonzero(free)
        # The ends of the clusters cut populations off.
        self._start_sizes = np.geomspace(low * 1.3, high / 1.6, N_START_SIZES)

    @cached_property
    def _start_curves(self) -> NDArray[np.float64]:
        """Patterns of the sizes tried at the beginning, shape (n_sizes, n_q)."""
        templates = self.templates
        populations = [
            lognormal_population(templates.diameters_nm, templates.cells, float(size), START_DISPERSION)
            for size in self._start_sizes
        ]
        thermal = (templates.b_angstrom2, self._start_correlated, 0.0)
        return np.array([curves.intensity for curves in templates.curves_of(populations, *thermal)])

    @cached_property
    def _disordered(self) -> Sums:
        """Sums of the disordered part, the same in all frames."""
        templates = self.templates
        population = templates.population(self.options.disordered_coherence_nm, DISORDERED_DISPERSION)
        return templates.sums(population.clusters[None])[0]

    @property
    def _start_correlated(self) -> float:
        """Amplitude of the correlated motion to begin from, Å²."""
        if not self.options.correlated_motion:
            return 0.0
        prior = self.options.priors.get("correlated")
        return 0.8 * float(self.templates.b_angstrom2.min()) if prior is None else prior.mean

    def fit(
        self,
        q_inv_angstrom: NDArray[np.float64],
        intensity: NDArray[np.float64],
        sigma: NDArray[np.float64],
        *,
        solvent: NDArray[np.float64] | None = None,
        width_inv_angstrom: float = 0.0,
        fwhm_inv_angstrom: NDArray[np.float64] | None = None,
        phases: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> FitResult:
        """Fit one frame.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers within those of the templates, Å⁻¹, shape (n,).
        intensity, sigma
            Intensity and its standard deviation, shape (n,).
        solvent
            Measured curve of this experiment's solvent at these Q, shape (n,).
        width_inv_angstrom
            Range of Q that each point is the average of, Å⁻¹; 0 for samples.
        fwhm_inv_angstrom
            Full width at half maximum of the instrument at the Q of the templates, Å⁻¹, shape (n_q,); None
            for a perfect one.
        phases
            Curves of other crystals by name, as the instrument shows them at these Q, several sizes of each,
            shape (n_curves, n).

        Returns
        -------
        The fit. Standard deviations are scaled by √χ² where that exceeds 1.
        """
        frame = _Frame(self, q_inv_angstrom, intensity, sigma, solvent, width_inv_angstrom, phases or {})
        if fwhm_inv_angstrom is not None:
            frame.set_resolution(fwhm_inv_angstrom)
        state, converged = frame.refined(frame.start())
        for _ in range(self.options.error_rounds):
            error = frame.error_of(state)
            if error <= frame.model_error * (1 + SAME_ERROR):
                break
            frame.set_error(error)
            state, converged = frame.refined(state.values)
        return frame.result(state, converged)


class _Frame:
    """One frame with everything that the steps of its fit share."""

    def __init__(
        self,
        fit: FrameFit,
        q: NDArray[np.float64],
        intensity: NDArray[np.float64],
        sigma: NDArray[np.float64],
        solvent: NDArray[np.float64] | None,
        width: float,
        phases: Mapping[str, NDArray[np.float64]],
    ) -> None:
        self.nodes = AVERAGE if width > 0 else ((0.0, 1.0),)
        self.width, self.common_b = width, fit.options.common_b
        self.fit, self.templates, self.options = fit, fit.templates, fit.options
        self.q, self.intensity, self.noise = q, intensity, sigma
        self.blur: scipy.sparse.csr_array | None = None
        templates = self.templates
        solvents = [np.interp(q, templates.q_inv_angstrom, curve) for curve in templates.solvents]
        if solvent is not None:
            solvents.append(solvent / solvent.mean())
        halos, splines = background_curves(q)
        self.plain = np.vstack([*solvents, *halos, splines, *phases.values()])
        self.rows = {"solvent": len(solvents) + len(halos), "background": len(splines)}
        self.rows |= {name: len(curves) for name, curves in phases.items()}
        self.set_error(self.options.model_error)
        # A change of the angle by one radian moves Q by (2π/λ) cos θ.
        sine = templates.wavelength_angstrom * q / (4 * np.pi)
        self.q_by_angle = 2 * np.pi / templates.wavelength_angstrom * np.sqrt(np.clip(1 - sine**2, 0.0, 1.0))

    def set_error(self, model_error: float) -> None:
        """Weight the points by noise and a relative error of the templates."""
        self.model_error = model_error
        self.sigma = np.hypot(self.noise, model_error * self.intensity)
        self.weight: NDArray[np.float64] = 1 / self.sigma
        self.target = self.intensity * self.weight
        self.static = self.plain * self.weight
        # These columns are the same at all points of a fit.
        self.static_unit, self.static_norm = _unit(self.static)
        self.static_gram = self.static_unit @ self.static_unit.T
        self.static_product = self.static_unit @ self.target

    def set_resolution(self, fwhm_inv_angstrom: NDArray[np.float64]) -> None:
        """Blur the dots as the instrument does."""
        step, longest = self.templates.q_step_inv_angstrom, 10 * self.templates.size_range_nm[1]
        matrix = blur_matrix(fwhm_inv_angstrom / FWHM_PER_SD, step, longest, 0, 0)
        self.blur = matrix.astype(np.float64)  # once, not at every product

    def error_of(self, state: _State) -> float:
        """Relative error of the templates with which χ² of a fit is 1; that in use where it is below 1."""
        squared = (state.residuals * self.sigma) ** 2
        n = max(self.q.size - len(state.values) - int(np.count_nonzero(state.amounts)), 1)
        low, high = 0.0, MAX_ERROR
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            chi2 = float(np.sum(squared / (self.noise**2 + (middle * self.intensity) ** 2))) / n
            if chi2 > 1:
                low = middle
            else:
                high = middle
        return max(low, self.model_error)

    def slopes(self, state: _State) -> NDArray[np.float64]:
        """Derivatives at a point by the non-linear parameters, weighted, shape (n_values, n)."""
        damping, values = state.damping, state.values
        rows = [
            damping.damp(damping.totals(one))
            for one in self.templates.sums(np.array([state.population[1], state.population[2]]))
        ]
        for part in state.parts:
            by_b = damping.by_b(part.totals)
            rows += [damping.by_correlated(part.sums), *(by_b.sum(axis=0)[None] if self.common_b else by_b)]
        curves = self._blurred(np.array(rows))
        found = self._averaged([curves[:, one.points] for one in state.places], state.places)
        # A change of the angle by one radian moves Q by (2π/λ) cos θ.
        stretch, zero = 1 + values[2], values[3]
        true_q = self.q - zero * self.q_by_angle
        n_thermal = len(values) - 4
        total = np.zeros((len(values), self.q.size))
        total[:2] = state.amounts[0] * found[:2]
        for number, part in enumerate(state.parts):
            slope = self._averaged([around[None] for around in part.around], state.places, slopes=True)[0]
            first = 2 + number * n_thermal
            total[2] += state.amounts[number] * (slope * true_q)
            total[3] -= state.amounts[number] * (slope * stretch * self.q_by_angle)
            total[4:] += state.amounts[number] * found[first : first + n_thermal]
        return np.asarray(total * self.weight)

    def _blurred(self, curves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Curves as the instrument shows them."""
        return curves if self.blur is None else np.ascontiguousarray((self.blur @ curves.T).T)

    def _averaged(
        self, around: list[NDArray[np.float64]], places: list[_Places], slopes: bool = False
    ) -> NDArray[np.float64]:
        """Curves, or their derivatives by Q, averaged over the width of each point, shape (n_curves, …).

        The curves are given by their values at the points of the templates around each, for each node, shape
        (n_curves, 4, …).
        """
        total = np.zeros((len(around[0]), *places[0].weights.shape[1:]))
        for (_, weight), four, one in zip(self.nodes, around, places, strict=True):
            total += weight * np.einsum("ck...,k...->c...", four, one.slopes if slopes else one.weights)
        return total

    def _places(self, q: NDArray[np.float64]) -> list[_Places]:
        """Where Q are on the templates, for each node of the width of a point."""
        templates = self.templates
        step = templates.q_step_inv_angstrom
        return [
            _Places(
                (q + offset * self.width - templates.q_first_inv_angstrom) / step,
                step,
                templates.self_terms.size,
            )
            for offset, _ in self.nodes
        ]

    def start(self) -> NDArray[np.float64]:
        """Parameters from a search over sizes and strains with linear least squares."""
        from scipy.linalg import cholesky, solve_triangular

        templates, sizes = self.templates, self.fit._start_sizes
        values = np.zeros(len(self.fit.names))
        values[1] = math.log(START_DISPERSION)
        values[4] = self.fit._start_correlated
        if not self.options.common_b:
            values[5:] = templates.b_angstrom2
        norm = np.sqrt(np.einsum("ij,ij->i", self.static, self.static))
        columns = self.static / np.where(norm == 0, 1.0, norm)[:, None]
        factor = cholesky(columns @ columns.T + 1e-6 * np.eye(len(columns)))
        whitened = solve_triangular(factor, columns @ self.target, trans="T")

        def fall(candidates: NDArray[np.float64]) -> NDArray[np.float64]:
            """Fall of χ² by each candidate column, shape (n_candidates,)."""
            parts = solve_triangular(factor, columns @ candidates.T, trans="T")
            gain = candidates @ self.target - whitened @ parts
            length = np.einsum("ij,ij->i", candidates, candidates) - np.einsum("ij,ij->j", parts, parts)
            return np.asarray(np.maximum(gain, 0) ** 2 / np.maximum(length, 1e-12))

        tables = self._blurred(self.fit._start_curves)

        def falls(which: NDArray[np.intp], strains: NDArray[np.float64]) -> NDArray[np.float64]:
            """Falls of χ² by sizes at strains, shape (n_sizes, n_strains)."""
            places = self._places(self.q * (1 + strains)[:, None])
            columns = self._averaged([tables[which][:, one.points] for one in places], places) * self.weight
            return fall(columns.reshape(-1, self.q.size)).reshape(which.size, strains.size)

        first = np.linspace(2, N_START_SIZES - 3, N_FIRST_SIZES).astype(np.intp)
        strain = STRAINS[[np.argmax(falls(first, STRAINS).max(axis=0))]]
        best = np.array([np.argmax(falls(np.arange(N_START_SIZES), strain))])
        fine = falls(best, STRAINS)[0]
        size = float(sizes[best[0]])
        values[0], values[2] = math.log(size), float(STRAINS[np.argmax(fine)])
        return values

    def state(self, values: NDArray[np.float64]) -> _State:
        """Amounts and residuals at a point; derivatives are calculated when they are needed."""
        templates = self.templates
        population = templates.population(math.exp(values[0]), math.exp(values[1]))
        b = templates.b_angstrom2 + values[5] if self.common_b else values[5:]
        damping = templates.damping(b, float(values[4]), float(values[2]))
        sums = templates.sums(population.clusters[None])
        if self.options.disordered_part:
            sums.append(self.fit._disordered)
        totals = [damping.totals(one) for one in sums]
        intensity = self._blurred(np.array([damping.self_terms + damping.damp(one) for one in totals]))
        places = self._places((self.q - values[3] * self.q_by_angle) * (1 + values[2]))
        around = [intensity[:, one.points] for one in places]
        head = self._averaged(around, places) * self.weight
        columns = np.vstack([head, self.static])
        amounts = self._amounts(columns[: len(sums)])
        residuals = self.target - amounts @ columns
        away = values - self.fit._prior_mean
        objective = float(residuals @ residuals + self.fit._prior_weight @ away**2)
        parts = [
            _Part(one, total, [four[number] for four in around])
            for number, (one, total) in enumerate(zip(sums, totals, strict=True))
        ]
        return _State(
            self, values, population, damping, places, parts, columns, amounts, residuals, objective
        )

    def _amounts(self, head: NDArray[np.float64]) -> NDArray[np.float64]:
        """Non-negative least squares from the normal equations of columns of length 1."""
        from scipy.optimize import nnls

        unit, norm = _unit(head)
        n = len(head)
        gram = np.empty((n + len(self.static_unit),) * 2)
        gram[:n, :n] = unit @ unit.T
        gram[:n, n:] = unit @ self.static_unit.T
        gram[n:, :n] = gram[:n, n:].T
        gram[n:, n:] = self.static_gram
        gram[np.diag_indices(len(gram))] += RIDGE
        upper = _cholesky(gram)
        product = np.concatenate([unit @ self.target, self.static_product])
        solution, _ = nnls(upper, _transposed_solve(upper, product))
        return np.asarray(solution / np.concatenate([norm, self.static_norm]))

    def refined(self, values: NDArray[np.float64]) -> tuple[_State, bool]:
        """Levenberg-Marquardt steps, with the amounts solved for at each (variable projection)."""
        fit, free = self.fit, self.fit._free
        values = np.clip(values, fit._low, fit._high)
        state, damping = self.state(values), 1e-3
        n = self.q.size
        for _ in range(MAX_ITERATIONS):
            normal, gradient = self._normal(state)
            first = damping
            for _ in range(8):
                damped = normal + damping * np.diag(np.diag(normal))
                step = np.zeros(values.size)
                below, above = fit._low - state.values, fit._high - state.values
                step[free] = _bounded_step(damped, gradient, below[free], above[free])
                trial_values = np.clip(state.values + step, fit._low, fit._high)
                trial = self.state(trial_values)
                if trial.objective < state.objective:
                    break
                damping *= 5
            else:
                return state, True
            fall = state.objective - trial.objective
            # Where a longer step has just failed, it would fail again.
            state, damping = trial, damping if damping > first else max(damping / 10, 1e-7)
            if fall < CONVERGED * max(state.objective / n, 1.0):
                return state, True
        return state, False

    def _normal(self, state: _State) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Normal matrix and gradient of the free parameters, amounts above zero projected out."""
        free = self.fit._free
        used = state.columns[state.amounts > 0]
        norm = np.sqrt(np.einsum("ij,ij->i", used, used))
        used = used / norm[:, None]
        slopes = state.slopes[free]
        inner = _cholesky(used @ used.T + RIDGE * np.eye(len(used)))
        cross = _transposed_solve(inner, used @ slopes.T)
        weight = self.fit._prior_weight[free]
        normal = slopes @ slopes.T - cross.T @ cross + np.diag(weight)
        # The residuals are orthogonal to the used columns.
        gradient = slopes @ state.residuals - weight * (state.values - self.fit._prior_mean)[free]
        # A parameter without effect, such as the zero of a frame without peaks, must not be singular.
        normal += 1e-12 * np.diag(np.maximum(np.diag(slopes @ slopes.T), 1e-30))
        return normal, gradient

    def result(self, state: _State, converged: bool) -> FitResult:
        """Parameters and their standard deviations."""
        from scipy.linalg import cho_solve, cholesky

        fit, free, templates = self.fit, self.fit._free, self.templates
        used = np.flatnonzero(state.amounts > 0)
        columns = np.vstack([state.slopes[free], state.columns[used]])
        norm = np.sqrt(np.einsum("ij,ij->i", columns, columns))
        norm[norm == 0] = 1.0
        unit = columns / norm[:, None]
        prior = np.zeros(len(columns))
        prior[: free.size] = fit._prior_weight[free] / norm[: free.size] ** 2
        gram = unit @ unit.T + np.diag(prior) + RIDGE * np.eye(len(columns))
        n_parameters = free.size + used.size
        n_free = max(self.q.size - n_parameters, 1)
        chi2 = float(state.residuals @ state.residuals) / n_free
        factor = cholesky(gram)
        covariance = cho_solve((factor, False), np.eye(len(columns))) * max(chi2, 1.0) / np.outer(norm, norm)
        whole = np.zeros((len(fit.names), len(fit.names)))
        whole[np.ix_(free, free)] = covariance[: free.size, : free.size]
        values = state.values
        sd = np.sqrt(np.diag(whole))
        mean, dispersion = math.exp(values[0]), math.exp(values[1])
        by_dispersion = 6 * dispersion**2 / (1 + dispersion**2)
        mass_mean = mean * (1 + dispersion**2) ** 3
        gradient = np.array([1.0, by_dispersion])
        pair = whole[:2, :2]
        correlation = float(pair[0, 1] / (sd[0] * sd[1])) if sd[0] * sd[1] > 0 else 0.0
        b = templates.b_angstrom2 + values[5] if self.options.common_b else values[5:]
        b_sd = np.full(len(templates.b_names), sd[5]) if self.options.common_b else sd[5:]
        shares, share_sds, curves = self._shares(state, covariance[free.size :, free.size :], used)
        atoms = 0.0
        if self.options.disordered_part and state.amounts[0] > 0:
            atoms = float(state.amounts[1] / state.amounts[0]) * mean
        a = templates.lattice_parameter_angstrom
        return FitResult(
            number_mean_nm=mean,
            number_mean_sd_nm=mean * float(sd[0]),
            mass_mean_nm=mass_mean,
            mass_mean_sd_nm=mass_mean * math.sqrt(float(gradient @ pair @ gradient)),
            dispersion=dispersion,
            dispersion_sd=dispersion * float(sd[1]),
            size_dispersion_correlation=correlation,
            strain=float(values[2]),
            strain_sd=float(sd[2]),
            lattice_parameter_angstrom=a * (1 + float(values[2])),
            lattice_parameter_sd_angstrom=a * float(sd[2]),
            b_angstrom2=dict(zip(templates.b_names, map(float, b), strict=True)),
            b_sd_angstrom2=dict(zip(templates.b_names, map(float, b_sd), strict=True)),
            correlated_angstrom2=float(values[4]),
            correlated_sd_angstrom2=float(sd[4]),
            two_theta_zero_deg=math.degrees(values[3]),
            two_theta_zero_sd_deg=math.degrees(sd[3]),
            shares=shares,
            share_sds=share_sds,
            disordered_nm=atoms,
            chi2=float(np.sum((state.residuals * self.sigma / self.noise) ** 2))
            / max(self.q.size - n_parameters, 1),
            model_error=self.model_error,
            n_points=self.q.size,
            n_parameters=n_parameters,
            converged=converged,
            log_mean_dispersion_covariance=pair,
            q_inv_angstrom=self.q,
            intensity=self.intensity,
            sigma=self.sigma,
            curves=curves,
        )

    def _shares(
        self, state: _State, covariance: NDArray[np.float64], used: NDArray[np.intp]
    ) -> tuple[dict[str, float], dict[str, float], dict[str, NDArray[np.float64]]]:
        """Fractions of the area by part, their standard deviations, and the curves of the parts."""
        first = 2 if self.options.disordered_part else 1
        parts = {"nanocrystals": slice(0, 1), "disordered": slice(1, first)}
        for name, n_rows in self.rows.items():
            parts[name] = slice(first, first + n_rows)
            first += n_rows
        areas = (state.columns / self.weight).mean(axis=1)
        curves, shares, sds = {}, {}, {}
        total = float(areas @ state.amounts)
        for name, which in parts.items():
            curves[name] = state.amounts[which] @ state.columns[which] / self.weight
            inside = np.zeros(state.amounts.size)
            inside[which] = areas[which]
            share = float(inside @ state.amounts) / total if total > 0 else 0.0
            gradient = ((inside - share * areas) / total)[used] if total > 0 else np.zeros(used.size)
            shares[name] = share
            sds[name] = math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
        return shares, sds, curves


def _bounded_step(
    normal: NDArray[np.float64],
    gradient: NDArray[np.float64],
    below: NDArray[np.float64],
    above: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Step to the least χ² with each parameter within bounds.

    Parameters whose step would leave the bounds end there, and the others are solved for again: merely cut
    off, the step would lead up as often as down, and a fit at a bound would creep.
    """
    step, inside = np.zeros(gradient.size), np.ones(gradient.size, bool)
    for _ in range(gradient.size):
        right = gradient[inside] - normal[np.ix_(inside, ~inside)] @ step[~inside]
        step[inside] = np.linalg.solve(normal[np.ix_(inside, inside)], right)
        beyond = (step < below) | (step > above)
        if not beyond.any():
            break
        step = np.clip(step, below, above)
        inside &= ~beyond
    return step


def _unit(columns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns of length 1, and the lengths that they had; 1 for those of zeros."""
    norm = np.sqrt(np.einsum("ij,ij->i", columns, columns))
    norm[norm == 0] = 1.0
    return columns / norm[:, None], norm


def _cholesky(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangular factor; LAPACK without the checks of SciPy, which take longer than it."""
    from scipy.linalg.lapack import dpotrf

    factor, trouble = dpotrf(matrix, lower=False)
    if trouble or not np.isfinite(factor[-1, -1]):
        raise np.linalg.LinAlgError("normal equations are not positive definite")
    return np.asarray(factor)


def _transposed_solve(upper: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve with the transpose of an upper triangular matrix."""
    from scipy.linalg.lapack import dtrtrs

    solution, _ = dtrtrs(upper, right, trans=1)
    return np.asarray(solution)
