"""The physics check: a frame is fitted by dots near the answer's size, solvents and a smooth background."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..patterns import BinGrid, Pattern
from ._dot_curves import CROWDED_INV_ANGSTROM, DotCurves, InstrumentCurves
from ._fitted_curves import FittedCurves, FittedParts
from ._linear_algebra import cholesky_with_ridge, solve_transposed
from ._nonnegative import RIDGE, nonnegative
from ._peak_ratios import PeakRatios, RatioMisfit
from ._phases import PhaseFraction, found_phases
from ._reflections import NO_REFLECTIONS, Reflections, reflections
from ._smooth_background import background_curves
from ._templates import Templates, pooled_bins

__all__ = ["PhysicsCheck", "PhysicsFit"]

MODEL_ERROR = 0.02
"""Relative error granted to the templates, in quadrature with the noise: no template is a real cluster, and
a frame of 10⁷ photons must not be rejected for that."""

FACTOR_STEP_INV_ANGSTROM = 1.5
"""Distance of the nodes of the factor on the dots beyond `CROWDED_INV_ANGSTROM`: thermal displacement,
absorption and flat fields vary no faster with Q."""

PEAK_GAP_INV_ANGSTROM = 0.25
"""Peaks closer than this have a common factor: a texture scales them by nearly the same amount."""

STRAINS = np.linspace(-0.026, 0.026, 27)
"""Strains that are tried: far beyond those of any dot, to recognise a wrong wavelength, in steps that move a
peak by no more than its width, so that a parabola finds the best strain between them."""

STRETCHES = 1 + STRAINS
"""Factors on Q of these strains."""

NEGLIGIBLE = 4.0
"""Fall of χ² below which another size is not fitted: two standard deviations."""

CLEAR = (0.98, 1000.0)
"""Fraction and fall of χ² beyond which the dots are seen beyond doubt, so that the exact χ² without dots is
not computed."""

MIN_PHASE_RESIDUAL = 0.006
"""Residual from which other crystals are looked for: that of half of the frames without any."""

WORTHWHILE = 0.1
"""Relative fall of χ² for which another size inside the interval is fitted as well."""

MIN_SHIFT_INV_ANGSTROM = 0.002
"""Shift beyond two standard deviations from which the dots are fitted at shifted places, Å⁻¹."""

MAX_SHIFT_INV_ANGSTROM = 0.06
"""Largest shift that is fitted, three times that of a copper film that stands 0.3° off: beyond, peaks would
be taken for their neighbours."""

SHIFT_CONVERGED_INV_ANGSTROM = 2e-4
"""Last change of the shift, a hundredth of the width of a narrow peak."""

MAX_SHIFT_STEPS = 5
"""Steps of the fit of a shift; two suffice for most."""

SCALES = np.geomspace(0.5, 2.0, 401)
"""Factors on Q that are tried to name a wrong wavelength, in steps of 0.35 %."""

SCALE_SIZES_NM = (3.0, 6.0)
"""Dots with which they are tried: their peaks are as wide as those of most."""

SAME_SLOPE = 1e-3
"""Relative determinant below which a range of Q is too short to separate shift and strain: the shift is 0."""

LOOSE_RIDGE = 1e-6
"""The same ridge where amounts may be negative and large ones cancel."""


@dataclass(frozen=True, eq=False)
class PhysicsFit:
    """Fit of one binned frame by dots near the answer; curves are NaN where the frame is masked."""

    residual: float
    """Root mean square misfit beyond counting noise, over the mean intensity."""
    misfit: float
    """χ² per bin, allowing for the templates' own error: about 1 or less for a frame of dots and solvent."""
    significance: float
    """Fall of χ² when dots are added to solvents and background."""
    explained: float
    """That fall over the χ² beyond noise that solvents and background alone leave; 0 to 1."""
    delta_chi2_better_size: float
    """Further fall of χ² with dots of another size, divided by the best χ² per bin where that is above 1."""
    best_nm: float
    """Number-weighted mean diameter that fits best, among all that were tried, nm."""
    strain: float
    """Strain at which the dots fit best."""
    strain_sd: float
    """Its standard deviation."""
    ratio_misfit: RatioMisfit
    """Misfit of the heights of the peaks."""
    shift_inv_angstrom: float
    """Shift of all peaks beside the strain, as a wrong 2θ zero causes, Å⁻¹ at 2θ = 0; positive where they lie
    at larger Q."""
    shift_sd_inv_angstrom: float
    """Its standard deviation; infinite where shift and strain cannot be told apart."""
    misfit_background_only: float
    """χ² per bin of solvents and background without dots: far above 1 where something diffracts."""
    phases: tuple[PhaseFraction, ...]
    """Other crystals that explain much of what dots, solvents and background leave."""
    curves: FittedCurves
    """Parts of the fitted intensity, computed when they are asked for."""
    reflections: Reflections = NO_REFLECTIONS
    """Where the reflections of the dots lie in this frame."""

    @property
    def dots(self) -> NDArray[np.float64]:
        """Fitted dots, shape (n_bins,)."""
        return self.curves.parts.dots

    @property
    def solvent(self) -> NDArray[np.float64]:
        """Fitted solvents, shape (n_bins,)."""
        return self.curves.parts.solvent

    @property
    def background(self) -> NDArray[np.float64]:
        """Fitted smooth background, shape (n_bins,)."""
        return self.curves.parts.background

    @property
    def sure_shift_inv_angstrom(self) -> float:
        """Absolute shift less two standard deviations, at least 0, Å⁻¹."""
        return max(abs(self.shift_inv_angstrom) - 2 * self.shift_sd_inv_angstrom, 0.0)

    @property
    def total(self) -> NDArray[np.float64]:
        """Fitted intensity, shape (n_bins,)."""
        return self.dots + self.solvent + self.background


class _Place(NamedTuple):
    """Where the dots' peaks lie: a template is read at Q (1 + strain) + shift cos θ."""

    strain: float
    shift: float
    """Å⁻¹ at 2θ = 0."""


class _Shift(NamedTuple):
    """Change of place that improves a fit."""

    shift: float
    shift_sd: float
    strain: float
    strain_sd: float


class _Frame(NamedTuple):
    """Pooled bins with data, and the products that all fits of them use."""

    rows: NDArray[np.intp]
    """Indices of the bins, shape (n,)."""
    q: NDArray[np.float64]
    """Mean Q of the points in each, Å⁻¹."""
    cosine: NDArray[np.float64]
    """cos θ at each, by which a 2θ shift changes Q; 1 where the wavelength is not known."""
    intensity: NDArray[np.float64]
    """Mean intensity of each."""
    weight: NDArray[np.float64]
    """1/σ, including the templates' error."""
    smooth: NDArray[np.float64]
    """Liquids and background, normalised and weighted, shape (n_smooth, n)."""
    norm: NDArray[np.float64]
    """Norms of these, shape (n_smooth,)."""
    gram: NDArray[np.float64]
    """Products of these, shape (n_smooth, n_smooth)."""
    target: NDArray[np.float64]
    """Weighted intensity."""
    rhs: NDArray[np.float64]
    """Right-hand side of the normal equations: `smooth` times `target`, shape (n_smooth,)."""
    ridge_cholesky: NDArray[np.float64]
    """Cholesky factor of `gram` with `LOOSE_RIDGE` added, upper, shape (n_smooth, n_smooth)."""
    rhs_whitened: NDArray[np.float64]
    """`rhs` divided by that factor, shape (n_smooth,)."""
    chi2_background_only: float
    """Lower bound of χ² without dots: the amounts of solvents and background may be negative."""


class _Strained(NamedTuple):
    """Where templates are read at each of the strains."""

    q: NDArray[np.float64]
    """Q of the frame's bins, Å⁻¹, shape (n,)."""
    nearest: NDArray[np.intp]
    """Nearest point of the templates, shape (n, n_strains)."""


class _Profiled(NamedTuple):
    """All templates at the bins of a frame."""

    curves: DotCurves
    """The templates."""
    nearest: NDArray[np.intp]
    """Points at which they are read, shape (n,)."""
    columns: NDArray[np.float64]
    """Their values there, shape (n, n_dots)."""
    squares: NDArray[np.float64]
    """The squares of these."""


class _Mixture(NamedTuple):
    """Non-negative amounts of everything."""

    chi2: float
    smooth: NDArray[np.float64]
    """Amounts of solvents and background."""
    factor: NDArray[np.float64]
    """Factor on the dots at each bin."""
    residual: float
    """Root mean square misfit beyond counting noise, over the mean intensity."""
    residuals: NDArray[np.float64]
    """Weighted intensity less the fit, shape (n,)."""
    amounts: NDArray[np.float64]
    """Amounts of the normalised columns, those of the dots' nodes last."""
    node_norm: NDArray[np.float64]
    """Norms of the columns of the nodes, 0 for a peak outside the frame, shape (n_nodes,)."""
    gram: NDArray[np.float64]
    """Products of the normalised columns."""


class PhysicsCheck:
    """Fits binned frames with the parts that a colloid or a film can have.

    The dots have a factor that is free at each of their peaks and smooth between: it accounts for
    displacement parameters, absorption, flat fields and preferred orientation, none of which depends on
    the size. Sizes are therefore determined by the widths and shapes of the peaks.

    Parameters
    ----------
    templates
        Curves of dots and solvents.
    grid
        Bins of the frames.
    lattice_parameter_angstrom
        Lattice parameter of the dots, Å.
    solvent
        Measured curve of this experiment's solvent on the bins, shape (n_bins,), or None; bins
        where it is NaN are left out.
    """

    def __init__(
        self,
        templates: Templates,
        grid: BinGrid,
        lattice_parameter_angstrom: float,
        solvent: NDArray[np.float64] | None = None,
    ) -> None:
        self._templates = templates
        self._pool = pooled_bins(grid)
        width = self._pool * grid.q_step_inv_angstrom
        self._log_mean = np.log(templates.mean_nm)
        self._size_range_nm = float(templates.mean_nm.min()), float(templates.mean_nm.max())
        self._median_dispersion = float(np.median(templates.dispersion))
        self._half_step = 0.5 * float(np.max(np.diff(np.unique(self._log_mean))))
        self._grid_q = grid.centres
        self._instruments = InstrumentCurves(templates, self._grid_q, width)
        self.covered = np.ones(grid.n_bins, bool) if solvent is None else np.isfinite(solvent)
        """Bins that are fitted, shape (n_bins,)."""
        # The last pooled bin of either part may hold fewer bins than the others.
        crowded = int(np.searchsorted(self._grid_q, CROWDED_INV_ANGSTROM))
        self._starts = np.concatenate(
            [np.arange(0, crowded, self._pool), np.arange(crowded, grid.n_bins, 2 * self._pool)]
        )
        self._q = np.add.reduceat(self._grid_q, self._starts) / np.diff(np.append(self._starts, grid.n_bins))
        solvents = [np.interp(self._q, templates.q_inv_angstrom, curve) for curve in templates.solvents]
        if solvent is not None:
            measured = np.where(self.covered, solvent, 0.0) / np.nanmean(solvent)
            solvents.append(np.interp(self._q, self._grid_q, measured))
        halos, splines = background_curves(self._q)
        solvents.extend(halos)
        self._n_solvents = len(solvents)
        self._smooth = np.vstack([*solvents, splines])
        nodes = _nodes(self._q, templates.peaks_inv_angstrom)
        self._hats = np.array([np.interp(self._q, nodes, top) for top in np.eye(nodes.size)])
        self._ratios = PeakRatios(nodes, templates.peaks_inv_angstrom, lattice_parameter_angstrom)
        self._reflections = reflections(templates.peaks_inv_angstrom, lattice_parameter_angstrom)
        self._first = float(templates.q_inv_angstrom[0])
        self._step = float(templates.q_inv_angstrom[1]) - self._first
        # Of the frame before: frames of one detector have the same Q, and their strains differ little.
        self._strained = _Strained(np.empty(0), np.empty(0, np.intp))
        self._profiled: _Profiled | None = None

    def fit(
        self,
        binned: Pattern,
        size_low_nm: float,
        size_high_nm: float,
        dispersion: float = np.nan,
        resolution_inv_angstrom: NDArray[np.float64] | None = None,
        wavelength_angstrom: float | None = None,
    ) -> PhysicsFit:
        """Fit a frame with dots of the sizes in an interval, then test whether any other size fits better.

        Parameters
        ----------
        binned
            Frame on the bins; it has data in at least one bin that the solvent covers.
        size_low_nm, size_high_nm
            Ends of the interval of number-weighted mean diameters, nm. Where it lies outside the templates,
            the nearest of them are fitted.
        dispersion
            Dispersion to start from, NaN where unknown; all are tried.
        resolution_inv_angstrom
            Full width at half maximum of the instrument's peaks at each bin centre, Å⁻¹, shape (n_bins,);
            None for a perfect instrument. The curves of the newest instruments are kept.
        wavelength_angstrom
            Wavelength, Å; None where it is not known: a 2θ shift then moves all Q by the same amount.

        Returns
        -------
        The fit by the best population whose mean lies in the interval.

        Raises
        ------
        ConfigurationError
            The resolution does not fit the bins, or holds a width that is negative or not finite.
        """
        curves = self._instruments.curves(resolution_inv_angstrom)
        usable = binned.usable & self.covered
        frame = self._pooled(binned, usable, wavelength_angstrom)
        n = frame.q.size
        smallest_nm, largest_nm = self._size_range_nm
        log_low, log_high = (
            math.log(min(max(end_nm, smallest_nm), largest_nm)) for end_nm in (size_low_nm, size_high_nm)
        )
        middle = 0.5 * (log_low + log_high)
        # A template stands for the sizes half a step to either side.
        reach = 0.5 * (log_high - log_low) + self._half_step
        near = np.abs(self._log_mean - middle) < reach
        start = self._template(middle, dispersion)
        strain, strain_sd = self._best_strain(frame, curves, start)
        place = _Place(strain, 0.0)
        first = self._mixture(frame, curves, start, place)
        place, strain_sd, first, further = self._placed(frame, curves, start, place, strain_sd, first)
        profile = self._profile(frame, curves, place, first.factor)
        rival = int(np.argmin(profile))
        template, mixture = start, first
        if not near[rival] or profile[start] - profile[rival] > WORTHWHILE * profile[rival]:
            template = int(np.flatnonzero(near)[np.argmin(profile[near])])
            mixture = first if template == start else self._mixture(frame, curves, template, place)
        chi2_best_size, best = mixture.chi2, template
        if not near[rival] and profile[template] - profile[rival] > NEGLIGIBLE:
            other = self._mixture(frame, curves, rival, place)
            if other.chi2 < chi2_best_size:
                # That factor belonged to dots which fit worse: with the new one the best size may change.
                best = int(np.argmin(self._profile(frame, curves, place, other.factor)))
                chi2_best_size = min(other.chi2, self._mixture(frame, curves, best, place).chi2)
        chi2_background_only = frame.chi2_background_only
        if chi2_background_only - mixture.chi2 < CLEAR[0] * max(chi2_background_only - n, CLEAR[1]):
            chi2_background_only = self._chi2_background_only(frame)
        significance = chi2_background_only - mixture.chi2
        n_solvents = self._n_solvents
        if further is None or mixture is not first:
            further = self._shift(frame, curves, mixture, template, place)
        q, dots = binned.q_inv_angstrom, curves.dots[template]

        def fitted_parts() -> FittedParts:
            positions = q * (1 + place.strain) + place.shift * _cosine(q, wavelength_angstrom)
            peaks = np.interp(positions, self._templates.q_inv_angstrom, dots)

            def curve(part: NDArray[np.float64]) -> NDArray[np.float64]:
                return np.where(usable, np.interp(q, frame.q, part), np.nan)

            smooth = self._smooth[:, frame.rows]
            return FittedParts(
                dots=curve(mixture.factor) * peaks,
                solvent=curve(mixture.smooth[:n_solvents] @ smooth[:n_solvents]),
                background=curve(mixture.smooth[n_solvents:] @ smooth[n_solvents:]),
            )

        return PhysicsFit(
            residual=mixture.residual,
            misfit=mixture.chi2 / n,
            significance=significance,
            explained=significance / max(chi2_background_only - n, significance, 1.0),
            delta_chi2_better_size=(mixture.chi2 - chi2_best_size) / max(chi2_best_size / n, 1.0),
            best_nm=float(self._templates.mean_nm[best]),
            strain=place.strain,
            strain_sd=strain_sd,
            ratio_misfit=self._ratio_misfit(mixture),
            shift_inv_angstrom=-(place.shift + further.shift),
            shift_sd_inv_angstrom=further.shift_sd,
            misfit_background_only=chi2_background_only / n,
            phases=self._phases(frame, curves, mixture, template, place),
            curves=FittedCurves(fitted_parts),
            reflections=self._reflections.moved(place.strain, -(place.shift + further.shift)),
        )

    def scale_of(
        self, binned: Pattern, resolution_inv_angstrom: NDArray[np.float64] | None = None
    ) -> tuple[float, float]:
        """Find the factor on Q at which the peaks of a frame would be those of the dots.

        Parameters
        ----------
        binned, resolution_inv_angstrom
            As in `fit`.

        Returns
        -------
        The factor, 0.5 to 2, and the fraction of the χ² beyond noise that dots explain there.
        """
        curves = self._instruments.curves(resolution_inv_angstrom)
        frame = self._pooled(binned, binned.usable & self.covered, None)
        positions = np.outer(frame.q, SCALES)
        q = self._templates.q_inv_angstrom
        fall = np.zeros(SCALES.size)
        for size_nm in SCALE_SIZES_NM:
            dots = curves.dots[self._template(math.log(size_nm), math.nan)]
            chi2 = _chi2_with_each(frame, np.interp(positions, q, dots, left=0.0, right=0.0), frame.weight)
            fall = np.maximum(fall, frame.chi2_background_only - chi2)
        best = int(np.argmax(fall))
        # At least that of noise, which no scale explains.
        unexplained = max(frame.chi2_background_only, 2.0 * frame.q.size) - frame.q.size
        return float(SCALES[best]), float(fall[best]) / max(unexplained, float(fall[best]))

    def _pooled(
        self, binned: Pattern, usable: NDArray[np.bool_], wavelength_angstrom: float | None
    ) -> _Frame:
        kept = np.zeros((4, usable.size))
        kept[0] = usable
        np.copyto(kept[1], binned.q_inv_angstrom, where=usable)
        np.copyto(kept[2], binned.intensity, where=usable)
        np.square(binned.sigma, out=kept[3], where=usable)
        sums = np.add.reduceat(kept, self._starts, axis=1)
        rows = np.flatnonzero(sums[0])
        count = sums[0, rows]
        _, q, intensity, variance = sums[:, rows] / count
        weight = 1 / np.sqrt(variance / count + (MODEL_ERROR * intensity) ** 2)
        smooth = _columns(self._smooth, rows) * weight
        norm = np.sqrt(np.einsum("ij,ij->i", smooth, smooth))
        norm[norm == 0] = 1.0  # a background bump outside the frame
        smooth /= norm[:, None]
        gram = smooth @ smooth.T
        target = intensity * weight
        ridge_cholesky, _ = cholesky_with_ridge(gram, LOOSE_RIDGE)
        rhs = smooth @ target
        rhs_whitened = solve_transposed(ridge_cholesky, rhs)
        chi2_background_only = float(target @ target - rhs_whitened @ rhs_whitened)
        return _Frame(
            rows,
            q,
            _cosine(q, wavelength_angstrom),
            intensity,
            weight,
            smooth,
            norm,
            gram,
            target,
            rhs,
            ridge_cholesky,
            rhs_whitened,
            chi2_background_only,
        )

    def _template(self, log_mean: float, dispersion: float) -> int:
        """Index of the template nearest to a mean size and a dispersion; the median one where that is NaN."""
        known = self._templates.dispersion
        wanted = self._median_dispersion if math.isnan(dispersion) else dispersion
        return int(np.argmin(np.abs(self._log_mean - log_mean) + np.abs(known - wanted)))

    def _chi2_background_only(self, frame: _Frame) -> float:
        """χ² of solvents and background without dots."""
        residuals = frame.target - nonnegative(frame.gram, frame.rhs) @ frame.smooth
        return float(residuals @ residuals)

    def _mixture(self, frame: _Frame, curves: DotCurves, template: int, place: _Place) -> _Mixture:
        """Non-negative fit by one template, its factor, solvents and background."""
        dots = np.interp(_positions(frame, place), self._templates.q_inv_angstrom, curves.dots[template])
        hats = _columns(self._hats, frame.rows)
        columns = hats * (dots * frame.weight)
        node_norm = np.sqrt(np.einsum("ij,ij->i", columns, columns))
        norm = np.where(node_norm == 0, 1.0, node_norm)  # a peak outside the frame
        columns /= norm[:, None]
        n_smooth, n = frame.norm.size, frame.q.size
        gram = np.empty((n_smooth + norm.size,) * 2)
        gram[:n_smooth, :n_smooth] = frame.gram
        gram[n_smooth:, :n_smooth] = columns @ frame.smooth.T
        gram[:n_smooth, n_smooth:] = gram[n_smooth:, :n_smooth].T
        gram[n_smooth:, n_smooth:] = columns @ columns.T
        amounts = nonnegative(gram, np.concatenate([frame.rhs, columns @ frame.target]))
        factor = (amounts[n_smooth:] / norm) @ hats
        residuals = frame.target - amounts[:n_smooth] @ frame.smooth - amounts[n_smooth:] @ columns
        # The templates' own error, which the weights include, is not noise.
        noise = residuals * residuals
        noise -= 1
        variance = frame.weight * frame.weight
        excess = (
            float(np.sum(noise / variance)) + MODEL_ERROR**2 * float(frame.intensity @ frame.intensity)
        ) / n
        mean = float(np.sum(frame.intensity)) / n
        return _Mixture(
            float(residuals @ residuals),
            amounts[:n_smooth] / frame.norm,
            factor,
            math.sqrt(max(excess, 0.0)) / mean if mean > 0 else math.inf,
            residuals,
            amounts,
            node_norm,
            gram,
        )

    def _phases(
        self, frame: _Frame, curves: DotCurves, mixture: _Mixture, template: int, place: _Place
    ) -> tuple[PhaseFraction, ...]:
        """Other crystals of the templates in what the fit leaves."""
        if not len(curves.phases) or mixture.residual < MIN_PHASE_RESIDUAL:
            return ()
        q = self._templates.q_inv_angstrom
        dots = np.interp(_positions(frame, place), q, curves.dots[template])
        columns = _columns(self._hats, frame.rows) * (dots * frame.weight)
        columns /= np.where(mixture.node_norm == 0, 1.0, mixture.node_norm)[:, None]
        phases = np.array([np.interp(frame.q, q, curve) for curve in curves.phases])
        return found_phases(
            self._templates.phase_names,
            phases,
            np.vstack([frame.smooth, columns]),
            frame.target,
            frame.weight,
            mixture.chi2,
            mixture.amounts > 0,
        )

    def _ratio_misfit(self, mixture: _Mixture) -> RatioMisfit:
        """Misfit of the factors at the nodes, solvents and background that are present free to follow."""
        n_smooth = mixture.smooth.size
        present = np.flatnonzero(mixture.amounts[:n_smooth] > 0)
        gram, norm = mixture.gram, mixture.node_norm
        with_nodes = gram[present]
        upper, _ = cholesky_with_ridge(with_nodes[:, present], RIDGE)
        parts = solve_transposed(upper, with_nodes[:, n_smooth:])
        precision = (gram[n_smooth:, n_smooth:] - parts.T @ parts) * (norm[:, None] * norm)
        factors = mixture.amounts[n_smooth:] / np.where(norm == 0, 1.0, norm)
        return self._ratios.misfit(factors, precision)

    def _best_strain(self, frame: _Frame, curves: DotCurves, template: int) -> tuple[float, float]:
        """Vertex of the parabola through the best strain and its neighbours, and its standard deviation."""
        if not np.array_equal(frame.q, self._strained.q):
            self._strained = _Strained(frame.q, self._nearest_index(frame.q[:, None] * STRETCHES))
        columns = curves.dots[template].take(self._strained.nearest)
        chi2 = _chi2_with_each(frame, columns, frame.weight)
        best = min(max(int(np.argmin(chi2)), 1), STRAINS.size - 2)
        left, middle, right = chi2[best - 1 : best + 2].tolist()
        curvature = left - 2 * middle + right
        step = float(STRAINS[1] - STRAINS[0])
        if curvature <= 0:  # no dots, or the end of what is tried
            return float(STRAINS[best]), step
        offset = min(max((left - right) / (2 * curvature), -0.5), 0.5)
        return float(STRAINS[best]) + offset * step, step * math.sqrt(2 / curvature)

    def _placed(
        self,
        frame: _Frame,
        curves: DotCurves,
        template: int,
        place: _Place,
        strain_sd: float,
        mixture: _Mixture,
    ) -> tuple[_Place, float, _Mixture, _Shift | None]:
        """Shift the dots as well where that is significant: place, standard deviation of the strain, fit.

        Last the further shift that would improve it, None where that was not computed for this place.
        """
        for _ in range(MAX_SHIFT_STEPS):
            change = self._shift(frame, curves, mixture, template, place)
            total = place.shift + change.shift
            if (
                abs(total) - 2 * change.shift_sd < MIN_SHIFT_INV_ANGSTROM
                or abs(total) > MAX_SHIFT_INV_ANGSTROM
            ):
                break
            moved = _Place(place.strain + change.strain, total)
            if abs(moved.strain) > STRAINS[-1]:
                break
            better = self._mixture(frame, curves, template, moved)
            if better.chi2 >= mixture.chi2:
                break
            place, strain_sd, mixture = moved, change.strain_sd, better
            if abs(change.shift) < SHIFT_CONVERGED_INV_ANGSTROM:
                return place, strain_sd, mixture, None
        else:
            return place, strain_sd, mixture, None
        return place, strain_sd, mixture, change

    def _shift(
        self, frame: _Frame, curves: DotCurves, mixture: _Mixture, template: int, place: _Place
    ) -> _Shift:
        """Shift of the dots that improves the fit, together with a strain."""
        slope = np.interp(_positions(frame, place), self._templates.q_inv_angstrom, curves.slopes[template])
        scaled = slope * mixture.factor * frame.weight
        shifted, strained = scaled * frame.cosine, scaled * frame.q
        a, b, c = shifted @ shifted, shifted @ strained, strained @ strained
        determinant = a * c - b * b
        if determinant <= SAME_SLOPE * a * c:
            return _Shift(0.0, math.inf, 0.0, math.inf)
        along, across = shifted @ mixture.residuals, strained @ mixture.residuals
        # Where the fit is bad, what it leaves is not noise.
        excess = max(mixture.chi2 / frame.q.size, 1.0)
        return _Shift(
            float((c * along - b * across) / determinant),
            math.sqrt(excess * c / determinant),
            float((a * across - b * along) / determinant),
            math.sqrt(excess * a / determinant),
        )

    def _profile(
        self, frame: _Frame, curves: DotCurves, place: _Place, factor: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """χ² with each template in turn, the factor on the dots given; shape (n_dots,)."""
        index = self._nearest_index(_positions(frame, place))
        last = self._profiled
        if last is None or last.curves is not curves or not np.array_equal(last.nearest, index):
            columns = curves.columns[index]
            last = self._profiled = _Profiled(curves, index, columns, columns * columns)
        return _chi2_with_each(frame, last.columns, frame.weight * factor, last.squares)

    def _nearest_index(self, q: NDArray[np.float64]) -> NDArray[np.intp]:
        """Index of the nearest point of the templates."""
        position = q * (1 / self._step)
        position += 0.5 - self._first / self._step
        nearest = position.astype(np.intp)
        # Clipped only where one lies outside, as those of a shift may.
        last = self._templates.q_inv_angstrom.size - 1
        return nearest if position.min() >= 0 and nearest.max() <= last else np.clip(nearest, 0, last)


def _cosine(q: NDArray[np.float64], wavelength_angstrom: float | None) -> NDArray[np.float64]:
    """Cos θ, by which a shift of 2θ changes Q; 1 without a wavelength."""
    if wavelength_angstrom is None:
        return np.ones(q.size)
    return np.sqrt(np.maximum(1 - (q * wavelength_angstrom / (4 * np.pi)) ** 2, 0.0))


def _positions(frame: _Frame, place: _Place) -> NDArray[np.float64]:
    """Where the templates are read, Å⁻¹, shape (n,)."""
    return np.asarray(frame.q * (1 + place.strain) + place.shift * frame.cosine)


def _nodes(q: NDArray[np.float64], peaks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peaks with a factor of their own, and points beyond them, Å⁻¹, shape (n_nodes,)."""
    nodes = [float(peaks[0])]
    for peak in peaks[peaks < CROWDED_INV_ANGSTROM]:
        if peak - nodes[-1] >= PEAK_GAP_INV_ANGSTROM:
            nodes.append(float(peak))
    step = FACTOR_STEP_INV_ANGSTROM
    nodes.extend(np.arange(nodes[-1] + step, q[-1], step))
    return np.array(nodes)


def _chi2_with_each(
    frame: _Frame,
    columns: NDArray[np.float64],
    scale: NDArray[np.float64],
    squares: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """χ² of solvents and background with one more column, for each of many, by linear least squares.

    Amounts of solvents and background may be negative here, which does not matter for comparing sizes; the
    amount of the column may not.
    """
    # The transposed product is in LAPACK's order, which its solver then overwrites.
    products = columns.T @ (frame.smooth * scale).T
    parts = solve_transposed(frame.ridge_cholesky, products.T, overwrite=True)
    gain = (frame.target * scale) @ columns - frame.rhs_whitened @ parts
    squares = columns * columns if squares is None else squares
    length = (scale * scale) @ squares - np.einsum("ij,ij->j", parts, parts)
    fall = np.maximum(gain, 0.0) ** 2 / np.maximum(length, np.finfo(float).tiny)
    return np.asarray(frame.chi2_background_only - fall)


def _columns(curves: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Curves at the bins with data: all of them nearly always, which needs no copy."""
    return curves if rows.size == curves.shape[1] else curves.take(rows, axis=1)
