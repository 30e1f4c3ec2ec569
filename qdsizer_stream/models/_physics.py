"""The physics check: a frame is fitted by dots near the answer's size, solvents and a smooth background."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..patterns import BinGrid, Pattern
from ._dot_curves import CROWDED_INV_ANGSTROM, DotCurves, InstrumentCurves
from ._fitted_curves import FittedCurves, FittedParts
from ._linear_algebra import cholesky_with_ridge, solve_transposed, whiten
from ._newest import Newest
from ._nonnegative import RIDGE, nonnegative
from ._peak_ratios import PeakRatios, RatioMisfit
from ._phases import PhaseFraction, found_phases
from ._reflections import NO_REFLECTIONS, Reflections, reflections
from ._smooth_background import background_curves
from ._templates import Templates, pooled_bins

__all__ = ["FrameToFit", "PhysicsCheck", "PhysicsFit"]

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

MAX_AXES = 8
"""Axes of frames that are kept, a quarter of a megabyte each: some frames of a run may have masked strips."""

TINY = float(np.finfo(float).tiny)
"""Smallest length of a column that is divided by; one that lies within the others explains nothing."""

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


class FrameToFit(NamedTuple):
    """A frame and the sizes with which it is fitted first."""

    binned: Pattern
    """Frame on the bins; it has data in at least one bin that the solvent covers."""
    size_low_nm: float
    """Lower end of the interval of number-weighted mean diameters, nm. Where the interval lies outside the
    templates, the nearest of them are fitted."""
    size_high_nm: float
    """Upper end, nm."""
    dispersion: float = math.nan
    """Dispersion to start from, NaN where unknown; all are tried."""


class _Places(NamedTuple):
    """Where the dots' peaks lie: a template is read at Q (1 + strain) + shift cos θ; shapes (n_frames,)."""

    strain: NDArray[np.float64]
    shift: NDArray[np.float64]
    """Å⁻¹ at 2θ = 0."""


class _Shifts(NamedTuple):
    """Changes of place that improve fits; each of shape (n_frames,)."""

    shift: NDArray[np.float64]
    shift_sd: NDArray[np.float64]
    strain: NDArray[np.float64]
    strain_sd: NDArray[np.float64]


class _Axis(NamedTuple):
    """What the fits of all frames with the same bins have in common."""

    usable: NDArray[np.bool_]
    """Bins of the frame with data, shape (n_bins,)."""
    rows: NDArray[np.intp]
    """Indices of the pooled bins with data, shape (n,)."""
    n_pooled: NDArray[np.float64]
    """Number of bins in each."""
    q: NDArray[np.float64]
    """Mean Q of the points in each, Å⁻¹."""
    cosine: NDArray[np.float64]
    """cos θ at each, by which a 2θ shift changes Q; 1 where the wavelength is not known."""
    smooth: NDArray[np.float64]
    """Solvents and background, shape (n_smooth, n)."""
    hats: NDArray[np.float64]
    """Parts of the factor on the dots, shape (n_nodes, n)."""
    strained: NDArray[np.intp]
    """Nearest point of the templates at each of the strains, shape (n, n_strains)."""


class _Frames(NamedTuple):
    """Pooled bins of frames with the same axis, and the products that all fits of them use."""

    axis: _Axis
    intensity: NDArray[np.float64]
    """Mean intensity of each bin, shape (n_frames, n)."""
    weight: NDArray[np.float64]
    """1/σ, including the templates' error, shape (n_frames, n)."""
    smooth: NDArray[np.float64]
    """Solvents and background, normalised and weighted, shape (n_frames, n_smooth, n)."""
    norm: NDArray[np.float64]
    """Norms of these, shape (n_frames, n_smooth)."""
    gram: NDArray[np.float64]
    """Products of these, shape (n_frames, n_smooth, n_smooth)."""
    target: NDArray[np.float64]
    """Weighted intensity, shape (n_frames, n)."""
    rhs: NDArray[np.float64]
    """Right-hand side of the normal equations: `smooth` times `target`, shape (n_frames, n_smooth)."""
    whitened: NDArray[np.float64]
    """`smooth` divided by the Cholesky factor of `gram` with `LOOSE_RIDGE`: orthonormal, shape
    (n_frames, n_smooth, n)."""
    left: NDArray[np.float64]
    """`target` less its part along these, shape (n_frames, n)."""
    chi2_background_only: NDArray[np.float64]
    """Lower bound of χ² without dots: the amounts of solvents and background may be negative; shape
    (n_frames,)."""

    def some(self, which: NDArray[np.intp]) -> "_Frames":
        """Frames with these indices."""
        if which.size == len(self.norm):
            return self
        return _Frames(self.axis, *(values[which] for values in self[1:]))


class _Mixtures(NamedTuple):
    """Non-negative amounts of everything."""

    chi2: NDArray[np.float64]
    """Shape (n_frames,)."""
    smooth: NDArray[np.float64]
    """Amounts of solvents and background, shape (n_frames, n_smooth)."""
    factor: NDArray[np.float64]
    """Factor on the dots at each bin, shape (n_frames, n)."""
    residual: NDArray[np.float64]
    """Root mean square misfit beyond counting noise, over the mean intensity, shape (n_frames,)."""
    residuals: NDArray[np.float64]
    """Weighted intensity less the fit, shape (n_frames, n)."""
    amounts: NDArray[np.float64]
    """Amounts of the normalised columns, those of the dots' nodes last, shape (n_frames, n_columns)."""
    dots: NDArray[np.float64]
    """Normalised columns of the nodes, shape (n_frames, n_nodes, n)."""
    node_norm: NDArray[np.float64]
    """Norms of these columns, 0 for a peak outside the frame, shape (n_frames, n_nodes)."""
    gram: NDArray[np.float64]
    """Products of the normalised columns, shape (n_frames, n_columns, n_columns)."""

    def some(self, which: NDArray[np.intp]) -> "_Mixtures":
        """Mixtures of the frames with these indices."""
        return self if which.size == self.chi2.size else _Mixtures(*(values[which] for values in self))

    def put(self, which: NDArray[np.intp], others: "_Mixtures") -> "_Mixtures":
        """These mixtures with those of some frames replaced."""
        if which.size == self.chi2.size:
            return others
        changed = _Mixtures(*(values.copy() for values in self))
        for values, new in zip(changed, others, strict=True):
            values[which] = new
        return changed


class _Near(NamedTuple):
    """Templates near the answer."""

    inside: NDArray[np.bool_]
    """Whether each one stands for a size in the interval, shape (n_dots,)."""
    start: int
    """Index of the one in its middle."""


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
        self._axes: Newest[_Axis] = Newest(MAX_AXES)

    def fit(
        self,
        binned: Pattern,
        size_low_nm: float,
        size_high_nm: float,
        dispersion: float = np.nan,
        resolution_inv_angstrom: NDArray[np.float64] | None = None,
        wavelength_angstrom: float | None = None,
    ) -> PhysicsFit:
        """Fit one frame, as `fit_block` does.

        Parameters
        ----------
        binned, size_low_nm, size_high_nm, dispersion
            As in `FrameToFit`.
        resolution_inv_angstrom, wavelength_angstrom
            As in `fit_block`.

        Returns
        -------
        The fit by the best population whose mean lies in the interval.

        Raises
        ------
        ConfigurationError
            As `fit_block`.
        """
        frame = FrameToFit(binned, size_low_nm, size_high_nm, dispersion)
        return self.fit_block([frame], resolution_inv_angstrom, wavelength_angstrom)[0]

    def fit_block(
        self,
        frames: Sequence[FrameToFit],
        resolution_inv_angstrom: NDArray[np.float64] | None = None,
        wavelength_angstrom: float | None = None,
    ) -> list[PhysicsFit]:
        """Fit frames with dots of the sizes in an interval, then test whether any other size fits better.

        The fit of a frame does not depend on the others, to the last bit: what is computed for all at once
        is a sum or a product of its own for each.

        Parameters
        ----------
        frames
            The frames; those with data in the same bins at the same Q are fitted together.
        resolution_inv_angstrom
            Full width at half maximum of the instrument's peaks at each bin centre, Å⁻¹, shape (n_bins,);
            None for a perfect instrument. The curves of the newest instruments are kept.
        wavelength_angstrom
            Wavelength, Å; None where it is not known: a 2θ shift then moves all Q by the same amount.

        Returns
        -------
        For each frame the fit by the best population whose mean lies in its interval.

        Raises
        ------
        ConfigurationError
            The resolution does not fit the bins, or holds a width that is negative or not finite.
        """
        curves = self._instruments.curves(resolution_inv_angstrom)
        groups: dict[int, tuple[_Axis, list[int]]] = {}
        for index, frame in enumerate(frames):
            axis = self._axis(frame.binned, wavelength_angstrom)
            groups.setdefault(id(axis), (axis, []))[1].append(index)
        fits: dict[int, PhysicsFit] = {}
        for axis, members in groups.values():
            together = [frames[index] for index in members]
            fits.update(
                zip(members, self._fit_together(together, axis, curves, wavelength_angstrom), strict=True)
            )
        return [fits[index] for index in range(len(frames))]

    def _fit_together(
        self,
        requests: list[FrameToFit],
        axis: _Axis,
        curves: DotCurves,
        wavelength_angstrom: float | None,
    ) -> list[PhysicsFit]:
        """Fit frames with the same axis."""
        frames = self._pooled([request.binned for request in requests], axis)
        n = axis.q.size
        nears = [self._near(request) for request in requests]
        start = np.array([near.start for near in nears])
        strain, strain_sd = self._best_strains(frames, curves, start)
        places = _Places(strain, np.zeros(strain.size))
        first = self._mixtures(frames, curves, start, places)
        places, strain_sd, first, further, to_shift = self._placed(
            frames, curves, start, places, strain_sd, first
        )
        profiles = self._profiles(frames, curves, places, first.factor)
        rivals = profiles.argmin(axis=1)
        template = start.copy()
        for i, near in enumerate(nears):
            profile, rival = profiles[i], int(rivals[i])
            if not near.inside[rival] or profile[start[i]] - profile[rival] > WORTHWHILE * profile[rival]:
                template[i] = int(np.argmin(np.where(near.inside, profile, np.inf)))
        mixtures = first
        changed = (template != start).nonzero()[0]
        if changed.size:
            some = self._mixtures(frames.some(changed), curves, template[changed], _some(places, changed))
            mixtures = first.put(changed, some)
        chi2_best_size, best = mixtures.chi2.copy(), template.copy()
        tried = np.array(
            [
                i
                for i, near in enumerate(nears)
                if not near.inside[rivals[i]]
                and profiles[i, template[i]] - profiles[i, rivals[i]] > NEGLIGIBLE
            ],
            np.intp,
        )
        if tried.size:
            others = self._mixtures(frames.some(tried), curves, rivals[tried], _some(places, tried))
            lower = others.chi2 < chi2_best_size[tried]
            tried, others = tried[lower], others.some(lower.nonzero()[0])
        if tried.size:
            # That factor belonged to dots which fit worse: with the new one the best size may change.
            some_frames, some_places = frames.some(tried), _some(places, tried)
            best[tried] = self._profiles(some_frames, curves, some_places, others.factor).argmin(axis=1)
            again = self._mixtures(some_frames, curves, best[tried], some_places)
            chi2_best_size[tried] = np.minimum(others.chi2, again.chi2)
        chi2_background_only = frames.chi2_background_only.copy()
        clear = chi2_background_only - mixtures.chi2 >= CLEAR[0] * np.maximum(
            chi2_background_only - n, CLEAR[1]
        )
        for unclear in (~clear).nonzero()[0]:
            chi2_background_only[unclear] = self._chi2_background_only(frames, int(unclear))
        to_shift[changed] = True
        which = to_shift.nonzero()[0]
        if which.size:
            shifts = self._shifts(
                frames.some(which), curves, mixtures.some(which), template[which], _some(places, which)
            )
            for values, new in zip(further, shifts, strict=True):
                values[which] = new
        misfits = self._ratio_misfits(mixtures)
        significance = chi2_background_only - mixtures.chi2
        fits = []
        for i, request in enumerate(requests):
            chi2, without = float(mixtures.chi2[i]), float(chi2_background_only[i])
            fall, strain_i = float(significance[i]), float(places.strain[i])
            shift = -float(places.shift[i] + further.shift[i])
            fits.append(
                PhysicsFit(
                    residual=float(mixtures.residual[i]),
                    misfit=chi2 / n,
                    significance=fall,
                    explained=fall / max(without - n, fall, 1.0),
                    delta_chi2_better_size=(chi2 - float(chi2_best_size[i]))
                    / max(float(chi2_best_size[i]) / n, 1.0),
                    best_nm=float(self._templates.mean_nm[best[i]]),
                    strain=strain_i,
                    strain_sd=float(strain_sd[i]),
                    ratio_misfit=misfits[i],
                    shift_inv_angstrom=shift,
                    shift_sd_inv_angstrom=float(further.shift_sd[i]),
                    misfit_background_only=without / n,
                    phases=self._phases(frames, curves, mixtures, i),
                    curves=FittedCurves(
                        partial(
                            self._fitted_parts,
                            request.binned.q_inv_angstrom,
                            axis,
                            curves.dots[template[i]],
                            (strain_i, float(places.shift[i])),
                            mixtures.factor[i],
                            mixtures.smooth[i],
                            wavelength_angstrom,
                        )
                    ),
                    reflections=self._reflections.moved(strain_i, shift),
                )
            )
        return fits

    def _fitted_parts(
        self,
        q: NDArray[np.float64],
        axis: _Axis,
        dots: NDArray[np.float64],
        place: tuple[float, float],
        factor: NDArray[np.float64],
        smooth: NDArray[np.float64],
        wavelength_angstrom: float | None,
    ) -> FittedParts:
        """Parts of a fit on the bins of its frame, from the factor and the amounts."""
        strain, shift = place
        positions = q * (1 + strain) + shift * _cosine(q, wavelength_angstrom)
        peaks = np.interp(positions, self._templates.q_inv_angstrom, dots)

        def curve(part: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(axis.usable, np.interp(q, axis.q, part), np.nan)

        n_solvents = self._n_solvents
        return FittedParts(
            dots=curve(factor) * peaks,
            solvent=curve(smooth[:n_solvents] @ axis.smooth[:n_solvents]),
            background=curve(smooth[n_solvents:] @ axis.smooth[n_solvents:]),
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
        axis = self._axis(binned, None)
        frames = self._pooled([binned], axis)
        chi2_background_only = float(frames.chi2_background_only[0])
        positions = np.outer(axis.q, SCALES)
        q = self._templates.q_inv_angstrom
        fall = np.zeros(SCALES.size)
        for size_nm in SCALE_SIZES_NM:
            dots = curves.dots[self._template(math.log(size_nm), math.nan)]
            columns = np.interp(positions, q, dots, left=0.0, right=0.0)
            chi2 = _chi2_with_each(frames, 0, columns, frames.weight[0])
            fall = np.maximum(fall, chi2_background_only - chi2)
        best = int(np.argmax(fall))
        # At least that of noise, which no scale explains.
        unexplained = max(chi2_background_only, 2.0 * axis.q.size) - axis.q.size
        return float(SCALES[best]), float(fall[best]) / max(unexplained, float(fall[best]))

    def _axis(self, binned: Pattern, wavelength_angstrom: float | None) -> _Axis:
        """Axis of a frame; the newest ones are kept, since a run has the same one in each frame."""
        usable = binned.usable & self.covered
        q = np.where(usable, binned.q_inv_angstrom, 0.0)
        key = usable.tobytes(), q.tobytes(), wavelength_angstrom
        return self._axes.get(key, lambda: self._new_axis(usable, q, wavelength_angstrom))

    def _new_axis(
        self, usable: NDArray[np.bool_], q: NDArray[np.float64], wavelength_angstrom: float | None
    ) -> _Axis:
        count, total = np.add.reduceat(np.stack([usable, q]), self._starts, axis=1)
        rows = count.nonzero()[0]
        mean = total[rows] / count[rows]
        return _Axis(
            usable,
            rows,
            count[rows],
            mean,
            _cosine(mean, wavelength_angstrom),
            np.ascontiguousarray(self._smooth[:, rows]),
            np.ascontiguousarray(self._hats[:, rows]),
            self._nearest_index(mean[:, None] * STRETCHES),
        )

    def _pooled(self, binned: list[Pattern], axis: _Axis) -> _Frames:
        """Pool the bins of frames with this axis."""
        kept = np.zeros((len(binned), 2, axis.usable.size))
        for (intensity, variance), one in zip(kept, binned, strict=True):
            np.copyto(intensity, one.intensity, where=axis.usable)
            np.square(one.sigma, out=variance, where=axis.usable)
        sums = np.add.reduceat(kept, self._starts, axis=2)
        if axis.rows.size != self._starts.size:
            sums = sums.take(axis.rows, axis=2)  # contiguous, unlike by an index: sums keep their order
        sums /= axis.n_pooled
        intensity, variance = sums[:, 0], sums[:, 1]
        weight = 1 / np.sqrt(variance / axis.n_pooled + (MODEL_ERROR * intensity) ** 2)
        smooth = axis.smooth * weight[:, None]
        norm = np.sqrt(np.vecdot(smooth, smooth))
        norm[norm == 0] = 1.0  # a background bump outside the frame
        smooth /= norm[:, :, None]
        gram = smooth @ smooth.transpose(0, 2, 1)
        target = intensity * weight
        rhs = _times(smooth, target)
        whitened = smooth.copy()
        for one, factored in zip(whitened, gram, strict=True):
            upper, _ = cholesky_with_ridge(factored, LOOSE_RIDGE)
            whiten(upper, one)
        along = _times(whitened, target)
        left = target - (along[:, None] @ whitened)[:, 0]
        chi2_background_only = np.vecdot(target, target) - np.vecdot(along, along)
        return _Frames(
            axis, intensity, weight, smooth, norm, gram, target, rhs, whitened, left, chi2_background_only
        )

    def _near(self, request: FrameToFit) -> _Near:
        """Templates of the sizes in the interval of a frame."""
        smallest_nm, largest_nm = self._size_range_nm
        log_low, log_high = (
            math.log(min(max(end_nm, smallest_nm), largest_nm))
            for end_nm in (request.size_low_nm, request.size_high_nm)
        )
        middle = 0.5 * (log_low + log_high)
        # A template stands for the sizes half a step to either side.
        reach = 0.5 * (log_high - log_low) + self._half_step
        inside = np.abs(self._log_mean - middle) < reach
        return _Near(inside, self._template(middle, request.dispersion))

    def _template(self, log_mean: float, dispersion: float) -> int:
        """Index of the template nearest to a mean size and a dispersion; the median one where that is NaN."""
        known = self._templates.dispersion
        wanted = self._median_dispersion if math.isnan(dispersion) else dispersion
        return int((np.abs(self._log_mean - log_mean) + np.abs(known - wanted)).argmin())

    def _chi2_background_only(self, frames: _Frames, index: int) -> float:
        """χ² of solvents and background of a frame without dots."""
        amounts = nonnegative(frames.gram[index], frames.rhs[index])
        residuals = frames.target[index] - amounts @ frames.smooth[index]
        return float(residuals @ residuals)

    def _mixtures(
        self, frames: _Frames, curves: DotCurves, template: NDArray[np.intp], places: _Places
    ) -> _Mixtures:
        """Non-negative fit of each frame by one template, its factor, solvents and background."""
        axis = frames.axis
        dots = self._read(curves.dots, template, _positions(axis, places))
        columns = axis.hats * (dots * frames.weight)[:, None]
        node_norm = np.sqrt(np.vecdot(columns, columns))
        norm = np.where(node_norm == 0, 1.0, node_norm)  # a peak outside the frame
        columns /= norm[:, :, None]
        n_smooth, n = frames.norm.shape[1], axis.q.size
        n_columns = n_smooth + norm.shape[1]
        gram = np.empty((len(norm), n_columns, n_columns))
        gram[:, :n_smooth, :n_smooth] = frames.gram
        gram[:, n_smooth:, :n_smooth] = columns @ frames.smooth.transpose(0, 2, 1)
        gram[:, :n_smooth, n_smooth:] = gram[:, n_smooth:, :n_smooth].transpose(0, 2, 1)
        gram[:, n_smooth:, n_smooth:] = columns @ columns.transpose(0, 2, 1)
        rhs = np.concatenate([frames.rhs, _times(columns, frames.target)], axis=1)
        amounts = np.array([nonnegative(one, right) for one, right in zip(gram, rhs, strict=True)])
        factor = ((amounts[:, n_smooth:] / norm)[:, None] @ axis.hats)[:, 0]
        residuals = frames.target - (amounts[:, None, :n_smooth] @ frames.smooth)[:, 0]
        residuals -= (amounts[:, None, n_smooth:] @ columns)[:, 0]
        # The templates' own error, which the weights include, is not noise.
        noise = residuals * residuals
        chi2 = noise.sum(axis=1)
        noise -= 1
        noise /= frames.weight * frames.weight
        intensity = frames.intensity
        excess = (noise.sum(axis=1) + MODEL_ERROR**2 * np.vecdot(intensity, intensity)) / n
        mean = intensity.sum(axis=1) / n
        beyond = np.sqrt(np.maximum(excess, 0.0))
        residual = np.divide(beyond, mean, out=np.full(mean.size, np.inf), where=mean > 0)
        return _Mixtures(
            chi2,
            amounts[:, :n_smooth] / frames.norm,
            factor,
            residual,
            residuals,
            amounts,
            columns,
            node_norm,
            gram,
        )

    def _phases(
        self, frames: _Frames, curves: DotCurves, mixtures: _Mixtures, index: int
    ) -> tuple[PhaseFraction, ...]:
        """Other crystals of the templates in what the fit of a frame leaves."""
        if not len(curves.phases) or mixtures.residual[index] < MIN_PHASE_RESIDUAL:
            return ()
        return found_phases(
            self._templates.phase_names,
            curves.phases_at(frames.axis.q),
            np.vstack([frames.smooth[index], mixtures.dots[index]]),
            frames.target[index],
            frames.weight[index],
            mixtures.residuals[index],
            mixtures.amounts[index] > 0,
        )

    def _ratio_misfits(self, mixtures: _Mixtures) -> list[RatioMisfit]:
        """Misfit of the factors at the nodes, solvents and background that are present free to follow."""
        n_smooth = mixtures.smooth.shape[1]
        absent = mixtures.amounts[:, :n_smooth] <= 0
        gram, norm = mixtures.gram, mixtures.node_norm
        # The rows and columns of what is absent become those of a unit matrix.
        present = gram[:, :n_smooth, :n_smooth].copy()
        present[absent] = 0.0
        present.transpose(0, 2, 1)[absent] = 0.0
        present.reshape(len(present), -1)[:, :: n_smooth + 1][absent] = 1.0
        # In LAPACK's order: the solver overwrites them.
        parts = gram[:, n_smooth:, :n_smooth].copy()
        parts.transpose(0, 2, 1)[absent] = 0.0
        for one, factored in zip(parts, present, strict=True):
            upper, _ = cholesky_with_ridge(factored, RIDGE)
            one.T[...] = solve_transposed(upper, one.T, overwrite=True)
        precision = gram[:, n_smooth:, n_smooth:] - parts @ parts.transpose(0, 2, 1)
        precision *= norm[:, :, None] * norm[:, None]
        factors = mixtures.amounts[:, n_smooth:] / np.where(norm == 0, 1.0, norm)
        return self._ratios.misfits(factors, precision)

    def _best_strains(
        self, frames: _Frames, curves: DotCurves, template: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Vertex of the parabola through the best strain and its neighbours, and its standard deviation."""
        found = []
        step = float(STRAINS[1] - STRAINS[0])
        for index, one in enumerate(template):
            columns = curves.dots[one].take(frames.axis.strained)
            chi2 = _chi2_with_each(frames, index, columns, frames.weight[index])
            best = min(max(int(chi2.argmin()), 1), STRAINS.size - 2)
            left, middle, right = chi2[best - 1 : best + 2].tolist()
            curvature = left - 2 * middle + right
            if curvature <= 0:  # no dots, or the end of what is tried
                found.append((float(STRAINS[best]), step))
                continue
            offset = min(max((left - right) / (2 * curvature), -0.5), 0.5)
            found.append((float(STRAINS[best]) + offset * step, step * math.sqrt(2 / curvature)))
        strain, strain_sd = np.array(found).T.copy()
        return strain, strain_sd

    def _placed(
        self,
        frames: _Frames,
        curves: DotCurves,
        template: NDArray[np.intp],
        places: _Places,
        strain_sd: NDArray[np.float64],
        mixtures: _Mixtures,
    ) -> tuple[_Places, NDArray[np.float64], _Mixtures, _Shifts, NDArray[np.bool_]]:
        """Shift the dots as well where that is significant: places, standard deviations of the strain, fits.

        Last the further shifts that would improve them, and where these were not computed for this place.
        """
        further = self._shifts(frames, curves, mixtures, template, places)
        missing = np.zeros(template.size, bool)
        strain, shift, strain_sd = places.strain.copy(), places.shift.copy(), strain_sd.copy()
        here, some, change, moving = places, frames, further, np.arange(template.size)
        for step in range(MAX_SHIFT_STEPS):
            if step:
                here = _Places(strain[moving], shift[moving])
                some = frames.some(moving)
                change = self._shifts(some, curves, mixtures.some(moving), template[moving], here)
                for values, new in zip(further, change, strict=True):
                    values[moving] = new
                missing[moving] = False
            total, strained = here.shift + change.shift, here.strain + change.strain
            distance = np.abs(total)
            wanted = (
                ~(distance - 2 * change.shift_sd < MIN_SHIFT_INV_ANGSTROM)
                & (distance <= MAX_SHIFT_INV_ANGSTROM)
                & (np.abs(strained) <= STRAINS[-1])
            ).nonzero()[0]
            if not wanted.size:
                break
            moved = _Places(strained[wanted], total[wanted])
            better = self._mixtures(some.some(wanted), curves, template[moving[wanted]], moved)
            falls = (better.chi2 < mixtures.chi2[moving[wanted]]).nonzero()[0]
            if not falls.size:
                break
            taken, which = wanted[falls], moving[wanted[falls]]
            strain[which], shift[which] = moved.strain[falls], moved.shift[falls]
            strain_sd[which] = change.strain_sd[taken]
            mixtures = mixtures.put(which, better.some(falls))
            missing[which] = True
            moving = which[np.abs(change.shift[taken]) >= SHIFT_CONVERGED_INV_ANGSTROM]
            if not moving.size:
                break
        return _Places(strain, shift), strain_sd, mixtures, further, missing

    def _shifts(
        self,
        frames: _Frames,
        curves: DotCurves,
        mixtures: _Mixtures,
        template: NDArray[np.intp],
        places: _Places,
    ) -> _Shifts:
        """Shift of the dots of each frame that improves the fit, together with a strain."""
        axis = frames.axis
        scaled = self._read(curves.slopes, template, _positions(axis, places))
        scaled *= mixtures.factor
        scaled *= frames.weight
        shifted, strained = scaled * axis.cosine, scaled * axis.q
        products = (
            np.vecdot(shifted, shifted),
            np.vecdot(shifted, strained),
            np.vecdot(strained, strained),
            np.vecdot(shifted, mixtures.residuals),
            np.vecdot(strained, mixtures.residuals),
            mixtures.chi2 / axis.q.size,
        )
        found = []
        # A few numbers for each frame, which arrays would not make faster.
        for a, b, c, along, across, misfit in zip(*(one.tolist() for one in products), strict=True):
            determinant = a * c - b * b
            if not determinant > SAME_SLOPE * a * c:
                found.append((0.0, math.inf, 0.0, math.inf))
                continue
            excess = max(misfit, 1.0)  # where the fit is bad, what it leaves is not noise
            found.append(
                (
                    (c * along - b * across) / determinant,
                    math.sqrt(excess * c / determinant),
                    (a * across - b * along) / determinant,
                    math.sqrt(excess * a / determinant),
                )
            )
        return _Shifts(*np.array(found).T.copy())

    def _profiles(
        self, frames: _Frames, curves: DotCurves, places: _Places, factor: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """χ² with each template in turn, the factor on the dots given; shape (n_frames, n_dots)."""
        nearest = self._nearest_index(_positions(frames.axis, places))
        scale = frames.weight * factor
        return np.array(
            [
                _chi2_with_each(frames, index, curves.columns[points], scale[index])
                for index, points in enumerate(nearest)
            ]
        )

    def _nearest_index(self, q: NDArray[np.float64]) -> NDArray[np.intp]:
        """Index of the nearest point of the templates."""
        position = q * (1 / self._step)
        position += 0.5 - self._first / self._step
        nearest = position.astype(np.intp)
        # Clipped only where one lies outside, as those of a shift may.
        last = self._templates.q_inv_angstrom.size - 1
        return nearest if position.min() >= 0 and nearest.max() <= last else np.clip(nearest, 0, last)

    def _read(
        self, curves: NDArray[np.float64], row: NDArray[np.intp], q: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Curve of each frame, shape (n_curves, n_q) and (n_frames,), at its Q, shape (n_frames, n).

        From straight lines between the points of the templates, and the last of them beyond.
        """
        n_q = curves.shape[1]
        position = (q - self._first) / self._step
        np.maximum(position, 0.0, out=position)
        np.minimum(position, n_q - 1.0, out=position)
        below = np.minimum(position.astype(np.intp), n_q - 2)
        position -= below
        below += n_q * row[:, None]
        flat = curves.reshape(-1)
        values = flat.take(below)
        below += 1
        rise = flat.take(below)
        rise -= values
        rise *= position
        values += rise
        return np.asarray(values)


def _cosine(q: NDArray[np.float64], wavelength_angstrom: float | None) -> NDArray[np.float64]:
    """Cos θ, by which a shift of 2θ changes Q; 1 without a wavelength."""
    if wavelength_angstrom is None:
        return np.ones(q.size)
    return np.sqrt(np.maximum(1 - (q * wavelength_angstrom / (4 * np.pi)) ** 2, 0.0))


def _positions(axis: _Axis, places: _Places) -> NDArray[np.float64]:
    """Where the templates are read, Å⁻¹, shape (n_frames, n)."""
    return np.asarray(axis.q * (1 + places.strain[:, None]) + places.shift[:, None] * axis.cosine)


def _some(places: _Places, which: NDArray[np.intp]) -> _Places:
    """Places of the frames with these indices."""
    return _Places(places.strain[which], places.shift[which])


def _times(matrices: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product of each matrix, shape (n_frames, m, n), with its vector, shape (n_frames, n)."""
    return np.asarray((matrices @ vectors[:, :, None])[:, :, 0])


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
    frames: _Frames, index: int, columns: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """χ² of a frame's solvents and background with one more column, for each of many.

    By linear least squares: amounts of solvents and background may be negative here, which does not matter
    for comparing sizes; the amount of the column may not. The columns, shape (n, n_columns), are multiplied
    with `scale`, shape (n,), in place.
    """
    scaled = np.multiply(columns, scale[:, None], out=columns)
    parts = frames.whitened[index] @ scaled
    gain = frames.left[index] @ scaled
    length = np.einsum("ij,ij->j", scaled, scaled) - np.einsum("ij,ij->j", parts, parts)
    fall = np.maximum(gain, 0.0) ** 2 / np.maximum(length, TINY)
    return np.asarray(frames.chi2_background_only[index] - fall, np.float64)
