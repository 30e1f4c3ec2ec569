"""The physics check: a frame must be made of dots, liquids and a smooth background, and of no other dots."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg.lapack import dpotrf, dtrtrs
from scipy.optimize import nnls

from ..patterns import BinGrid, Pattern
from ._templates import Templates, pooled_bins

__all__ = ["PhysicsCheck", "PhysicsFit"]

MODEL_ERROR = 0.02
"""Relative error granted to the templates, in quadrature with the noise: no template is a real cluster, and
a frame of 10⁷ photons must not be refused for that."""

KNOT_STEPS_INV_ANGSTROM = (0.8, 1.6)
"""Knots of the smooth background below and above `CROWDED`: its bumps are wider than any peak of a dot above
1.5 nm."""

CROWDED_INV_ANGSTROM = 6.5
"""Beyond, neighbouring peaks of a dot overlap too much to have heights of their own, and bins of twice the
width lose nothing that tells sizes apart."""

FACTOR_STEP_INV_ANGSTROM = 1.5
"""Nodes of the factor on the dots beyond that: displacement, absorption and flat fields are no wigglier."""

PEAK_GAP_INV_ANGSTROM = 0.25
"""Peaks closer than this share a factor: no texture tells their crystal directions apart by more."""

HALOS_INV_ANGSTROM = (
    *((centre, 0.18) for centre in np.arange(0.9, 2.6, 0.15)),
    *((centre, 0.35) for centre in (2.7, 3.0, 3.3)),
)
"""Centres and standard deviations of halos of liquids that nobody computed. The nearest neighbours of organic
molecules are 2.5 to 7 Å apart, and hexane's halo, one of the narrowest, is as narrow; water and glass have
a second, wider one."""

STRAINS = np.linspace(-0.026, 0.026, 27)
"""Strains that are tried: far past those of any dot, to tell a wrong wavelength, in steps that move a peak by
no more than its width, so that a parabola finds the best between them."""

NEGLIGIBLE = 4.0
"""Fall of χ² that no other size need be asked about: two standard deviations."""

CLEAR = (0.98, 1000.0)
"""Share and fall of χ² beyond which what dots bring is beyond doubt, and not worth a fit of its own."""

WORTHWHILE = 0.1
"""Relative fall of χ² for which another size inside the interval is worth a fit of its own."""

RIDGE = 1e-9
"""Added to the normalised normal matrices, whose columns resemble each other."""

SAME_SLOPE = 1e-3
"""Frames so short that a shift and a strain are one: neither can be told."""

LOOSE_RIDGE = 1e-6
"""The same where amounts may be negative and large ones cancel."""


@dataclass(frozen=True, eq=False)
class PhysicsFit:
    """Fit of one binned frame by dots near the answer; curves are NaN where the frame is masked."""

    residual: float
    """Root mean square misfit beyond counting noise, over the mean intensity."""
    misfit: float
    """χ² a bin, with the templates' own error granted: about 1 or less for what the fit can be made of."""
    significance: float
    """Fall of χ² that the dots bring."""
    explained: float
    """That fall over what liquids and background alone leave beyond noise; 0 to 1."""
    lost: float
    """Further fall of χ² with dots of any other size, over `misfit` where that is above 1."""
    best_nm: float
    """Number-weighted mean diameter that fits best, among all that were tried, nm."""
    strain: float
    """Strain at which the dots fit best."""
    strain_sd: float
    """Its standard deviation."""
    shift_inv_angstrom: float
    """Shift of all peaks on top of it, as a wrong 2θ zero makes, less two standard deviations, Å⁻¹."""
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


class _Frame(NamedTuple):
    """Pooled bins with data, and what is common to all fits of them."""

    rows: NDArray[np.intp]
    """Numbers of the bins."""
    q: NDArray[np.float64]
    """Mean Q of what fell into each."""
    intensity: NDArray[np.float64]
    weight: NDArray[np.float64]
    """1/σ, with the templates' error in it."""
    smooth: NDArray[np.float64]
    """Liquids and background, normalised and weighted, shape (n_smooth, n)."""
    norm: NDArray[np.float64]
    """Norms of these, shape (n_smooth,)."""
    gram: NDArray[np.float64]
    """Products of these, shape (n_smooth, n_smooth)."""
    target: NDArray[np.float64]
    """The intensity, weighted."""
    onto: NDArray[np.float64]
    """Products of `smooth` with it, shape (n_smooth,)."""
    loose: NDArray[np.float64]
    """Cholesky factor of `gram` with the loose ridge, upper, shape (n_smooth, n_smooth)."""
    rotated: NDArray[np.float64]
    """`onto` in its coordinates, shape (n_smooth,)."""
    alone: float
    """Lower bound of the χ² of liquids and background without dots: their amounts may be negative."""


class _Mixture(NamedTuple):
    """Non-negative amounts of everything."""

    chi2: float
    smooth: NDArray[np.float64]
    """Amounts of liquids and background."""
    factor: NDArray[np.float64]
    """Factor on the dots at each bin."""
    residual: float
    """Root mean square misfit beyond counting noise, over the mean intensity."""
    missed: NDArray[np.float64]
    """What is left, weighted."""


class PhysicsCheck:
    """Fits binned frames with what a colloid or a film can be made of.

    The dots have a factor that is free at each of their peaks and smooth between: it stands for
    displacement parameters, absorption, flat fields and preferred orientation, none of which says
    anything about sizes. What is left to the sizes are the widths and shapes of the peaks.

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
        self._pool = pooled_bins(grid)
        width = self._pool * grid.q_step_inv_angstrom
        # Files hold single precision, in which sums of squares would lose what sizes differ by.
        self._dots = _wider_beyond(templates.q_inv_angstrom, templates.dots.astype(np.float64), width)
        self._columns = np.ascontiguousarray(self._dots.T)
        self._log_mean = np.log(templates.mean_nm)
        self._half_step = 0.5 * float(np.max(np.diff(np.unique(self._log_mean))))
        self._grid_q = grid.centres
        self.covered = np.ones(grid.n_bins, bool) if liquid is None else np.isfinite(liquid)
        """Bins that are looked at, shape (n_bins,)."""
        # The last bins of either part may be too few to be taken together.
        crowded = int(np.searchsorted(self._grid_q, CROWDED_INV_ANGSTROM))
        self._starts = np.concatenate(
            [np.arange(0, crowded, self._pool), np.arange(crowded, grid.n_bins, 2 * self._pool)]
        )
        self._q = np.add.reduceat(self._grid_q, self._starts) / np.diff(np.append(self._starts, grid.n_bins))
        liquids = [np.interp(self._q, templates.q_inv_angstrom, curve) for curve in templates.liquids]
        if liquid is not None:
            measured = np.where(self.covered, liquid, 0.0) / np.nanmean(liquid)
            liquids.append(np.interp(self._q, self._grid_q, measured))
        liquids.extend(
            np.exp(-0.5 * ((self._q - centre) / width) ** 2) for centre, width in HALOS_INV_ANGSTROM
        )
        self._n_liquids = len(liquids)
        self._smooth = np.vstack([*liquids, _splines(self._q)])
        self._hats = _hats(self._q, templates.peaks_inv_angstrom)
        self._first = float(templates.q_inv_angstrom[0])
        self._step = float(templates.q_inv_angstrom[1]) - self._first
        self._slopes = np.gradient(self._dots, self._step, axis=1)

    def fit(
        self, binned: Pattern, size_low_nm: float, size_high_nm: float, dispersion: float = np.nan
    ) -> PhysicsFit:
        """Fit a frame with dots of the sizes between two, then ask whether any others fit better.

        Parameters
        ----------
        binned
            Frame on the bins; it has data in at least one bin that the liquid covers.
        size_low_nm, size_high_nm
            Number-weighted mean diameters of the answer's interval, nm.
        dispersion
            Dispersion to begin with; all are tried.

        Returns
        -------
        The fit by the best population whose mean lies in the interval.
        """
        usable = binned.usable & self.covered
        frame = self._pooled(binned, usable)
        n = frame.q.size
        middle = 0.5 * (np.log(size_low_nm) + np.log(size_high_nm))
        # A template stands for the sizes half a step to either side.
        reach = 0.5 * (np.log(size_high_nm) - np.log(size_low_nm)) + self._half_step
        near = np.abs(self._log_mean - middle) < reach
        start = self._template(middle, dispersion)
        strain, strain_sd = self._best_strain(frame, start)
        first = self._mixture(frame, start, strain)
        profile = self._profile(frame, strain, first.factor)
        rival = int(np.argmin(profile))
        template, mixture = start, first
        if not near[rival] or profile[start] - profile[rival] > WORTHWHILE * profile[rival]:
            template = int(np.flatnonzero(near)[np.argmin(profile[near])])
            mixture = first if template == start else self._mixture(frame, template, strain)
        least, best = mixture.chi2, template
        if not near[rival] and profile[template] - profile[rival] > NEGLIGIBLE:
            other = self._mixture(frame, rival, strain)
            if other.chi2 < least:
                # The factor was that of dots which fit worse: with this one the best size may move.
                best = int(np.argmin(self._profile(frame, strain, other.factor)))
                least = min(other.chi2, self._mixture(frame, best, strain).chi2)
        alone = frame.alone
        if alone - mixture.chi2 < CLEAR[0] * max(alone - n, CLEAR[1]):
            alone = self._alone(frame)
        significance = alone - mixture.chi2
        n_liquids = self._n_liquids
        template_q = self._templates.q_inv_angstrom
        q = binned.q_inv_angstrom
        peaks = np.interp(q * (1 + strain), template_q, self._dots[template])

        def curve(part: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(usable, np.interp(q, frame.q, part), np.nan)

        return PhysicsFit(
            residual=mixture.residual,
            misfit=mixture.chi2 / n,
            significance=significance,
            explained=significance / max(alone - n, significance, 1.0),
            lost=(mixture.chi2 - least) / max(least / n, 1.0),
            best_nm=float(self._templates.mean_nm[best]),
            strain=strain,
            strain_sd=strain_sd,
            shift_inv_angstrom=self._shift(frame, mixture, template, strain),
            dots=curve(mixture.factor) * peaks,
            liquid=curve(mixture.smooth[:n_liquids] @ self._smooth[:n_liquids, frame.rows]),
            background=curve(mixture.smooth[n_liquids:] @ self._smooth[n_liquids:, frame.rows]),
        )

    def _pooled(self, binned: Pattern, usable: NDArray[np.bool_]) -> _Frame:
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
        smooth = self._smooth[:, rows] * weight
        norm = np.sqrt(np.einsum("ij,ij->i", smooth, smooth))
        norm[norm == 0] = 1.0  # a background bump outside the frame
        smooth /= norm[:, None]
        gram = smooth @ smooth.T
        target = intensity * weight
        loose, _ = dpotrf(gram + LOOSE_RIDGE * np.eye(norm.size))
        onto = smooth @ target
        rotated, _ = dtrtrs(loose, onto, trans=1)
        alone = float(target @ target - rotated @ rotated)
        return _Frame(rows, q, intensity, weight, smooth, norm, gram, target, onto, loose, rotated, alone)

    def _template(self, log_mean: float, dispersion: float) -> int:
        """The template nearest to a mean size and a dispersion; the middle one where that is unknown."""
        known = self._templates.dispersion
        wanted = np.median(known) if np.isnan(dispersion) else dispersion
        return int(np.argmin(np.abs(self._log_mean - log_mean) + np.abs(known - wanted)))

    def _alone(self, frame: _Frame) -> float:
        """χ² of liquids and background without dots."""
        missed = frame.target - _nonnegative(frame.gram, frame.onto) @ frame.smooth
        return float(missed @ missed)

    def _mixture(self, frame: _Frame, template: int, strain: float) -> _Mixture:
        """Non-negative fit by one template, its factor, liquids and background."""
        stretched = frame.q * (1 + strain)
        dots = np.interp(stretched, self._templates.q_inv_angstrom, self._dots[template])
        hats = self._hats[:, frame.rows]
        columns = hats * (dots * frame.weight)
        norm = np.sqrt(np.einsum("ij,ij->i", columns, columns))
        norm[norm == 0] = 1.0  # a peak outside the frame
        columns /= norm[:, None]
        n_smooth = frame.norm.size
        gram = np.empty((n_smooth + norm.size,) * 2)
        gram[:n_smooth, :n_smooth] = frame.gram
        gram[n_smooth:, :n_smooth] = columns @ frame.smooth.T
        gram[:n_smooth, n_smooth:] = gram[n_smooth:, :n_smooth].T
        gram[n_smooth:, n_smooth:] = columns @ columns.T
        amounts = _nonnegative(gram, np.concatenate([frame.onto, columns @ frame.target]))
        factor = (amounts[n_smooth:] / norm) @ hats
        missed = frame.target - amounts[:n_smooth] @ frame.smooth - amounts[n_smooth:] @ columns
        # Of the weights, the templates' own share is no noise.
        excess = np.mean((missed**2 - 1) / frame.weight**2 + (MODEL_ERROR * frame.intensity) ** 2)
        mean = float(np.mean(frame.intensity))
        return _Mixture(
            float(missed @ missed),
            amounts[:n_smooth] / frame.norm,
            factor,
            math.sqrt(max(float(excess), 0.0)) / mean if mean > 0 else math.inf,
            missed,
        )

    def _best_strain(self, frame: _Frame, template: int) -> tuple[float, float]:
        """Vertex of the parabola through the best of the strains and its neighbours, and its width."""
        columns = self._dots[template].take(self._places(np.outer(frame.q, 1 + STRAINS)))
        chi2 = _chi2_with_each(frame, columns, frame.weight)
        best = int(np.clip(np.argmin(chi2), 1, STRAINS.size - 2))
        left, middle, right = chi2[best - 1 : best + 2]
        curvature = left - 2 * middle + right
        step = float(STRAINS[1] - STRAINS[0])
        if curvature <= 0:  # no dots, or the end of what is tried
            return float(STRAINS[best]), step
        offset = float(np.clip((left - right) / (2 * curvature), -0.5, 0.5))
        return float(STRAINS[best]) + offset * step, step * math.sqrt(2 / curvature)

    def _shift(self, frame: _Frame, mixture: _Mixture, template: int, strain: float) -> float:
        """Shift of the dots that mends the fit, strain mended along with it, less two standard deviations."""
        stretched = frame.q * (1 + strain)
        slope = np.interp(stretched, self._templates.q_inv_angstrom, self._slopes[template])
        shifted = slope * mixture.factor * frame.weight
        strained = shifted * frame.q
        a, b, c = shifted @ shifted, shifted @ strained, strained @ strained
        determinant = a * c - b * b
        if determinant <= SAME_SLOPE * a * c:
            return 0.0
        shift = (c * (shifted @ mixture.missed) - b * (strained @ mixture.missed)) / determinant
        sure = max(float(abs(shift)) - 2 * math.sqrt(c / determinant), 0.0)
        return math.copysign(sure, float(shift))

    def _profile(self, frame: _Frame, strain: float, factor: NDArray[np.float64]) -> NDArray[np.float64]:
        """χ² with each template in turn, the factor on the dots given; shape (n_dots,)."""
        columns = self._columns[self._places(frame.q * (1 + strain))]
        return _chi2_with_each(frame, columns, frame.weight * factor)

    def _places(self, q: NDArray[np.float64]) -> NDArray[np.intp]:
        """Nearest points of the templates."""
        return np.asarray((q - self._first) / self._step + 0.5, np.intp)


def _wider_beyond(
    q: NDArray[np.float64], curves: NDArray[np.float64], width_inv_angstrom: float
) -> NDArray[np.float64]:
    """Average over bins of twice the width where peaks are crowded, curves that are averaged over one."""
    half = round(width_inv_angstrom / 2 / (q[1] - q[0]))
    wider = curves.copy()
    wider[:, half:-half] = (curves[:, : -2 * half] + curves[:, 2 * half :]) / 2
    return np.where(q > CROWDED_INV_ANGSTROM, wider, curves)


def _splines(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic splines of the smooth background, shape (n_splines, n_q)."""
    fine, coarse = KNOT_STEPS_INV_ANGSTROM
    knots = np.append(np.arange(q[0], min(CROWDED_INV_ANGSTROM, q[-1]), fine), q[-1])
    if q[-1] > CROWDED_INV_ANGSTROM:
        n_coarse = int(np.ceil((q[-1] - knots[-2]) / coarse)) + 1
        knots = np.concatenate([knots[:-2], np.linspace(knots[-2], q[-1], n_coarse)])
    padded = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
    return np.asarray(BSpline.design_matrix(q, padded, 3).toarray().T)


def _hats(q: NDArray[np.float64], peaks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangles that add up to 1, with their tops at the peaks, shape (n_nodes, n_q)."""
    nodes = [float(peaks[0])]
    for peak in peaks[peaks < CROWDED_INV_ANGSTROM]:
        if peak - nodes[-1] >= PEAK_GAP_INV_ANGSTROM:
            nodes.append(float(peak))
    step = FACTOR_STEP_INV_ANGSTROM
    nodes.extend(np.arange(nodes[-1] + step, q[-1], step))
    return np.array([np.interp(q, nodes, top) for top in np.eye(len(nodes))])


def _chi2_with_each(
    frame: _Frame, columns: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """χ² of liquids and background with one column more, for each of many, by linear least squares.

    Amounts of liquids and background may be negative here, which costs nothing to tell sizes apart; that
    of the column may not.
    """
    parts, _ = dtrtrs(frame.loose, (frame.smooth * scale) @ columns, trans=1)
    gain = (frame.target * scale) @ columns - frame.rotated @ parts
    length = (scale**2) @ columns**2 - np.einsum("ij,ij->j", parts, parts)
    return np.asarray(frame.alone - np.maximum(gain, 0.0) ** 2 / np.maximum(length, np.finfo(float).tiny))


def _nonnegative(gram: NDArray[np.float64], products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative least squares from the normal equations: hundreds of rows become one a column."""
    # LAPACK itself: a frame has no time for the checks around it.
    upper, _ = dpotrf(gram + RIDGE * np.eye(gram.shape[0]))
    rotated, _ = dtrtrs(upper, products, trans=1)
    solution, _ = nnls(upper, rotated)
    return np.asarray(solution)
