"""Reduction of the counts of one frame to a pattern."""

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CalibrationError
from ..patterns import MIN_PLATEAU, Pattern, energy_ev_from_wavelength, plateau_points, q_from_two_theta
from ._applied import NOTHING_APPLIED, AppliedCorrections
from ._calibration_files import FlatField
from ._config import AngleGrid, BadStripFile, CalibrationFile, FlatFieldFile, ReductionConfig
from ._counting import possible_loss, true_over_observed
from ._frames import strip_counts
from ._geometry import MODULE_STRIPS, StripDetector
from ._pooled import PooledCounts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Reducer"]

FULL_SCALE = 0.99
"""A counter within 1 % of its maximum may have stopped or wrapped around."""

MIN_RESPONSE = 0.1
"""Strips with less than a tenth of the mean response count as dead, as in the PSI anglecalibration code."""

FLAT_ENERGY_TOLERANCE = 0.01
"""The response depends on the energy relative to the threshold; 1 % is far more than the drift of a
monochromator and far less than a deliberate change."""

SILENT_MODULE_COUNTS = 1000.0
"""A module without counts while the others have this many on average is off: even if the scattering curve
fell a hundredfold between modules, it would count ten photons."""

MIN_EXPOSURE_S = 1e-7
"""The clock of MYTHEN counts in units of 100 ns."""

MAX_EXPOSURE_S = 1e9
"""Thirty years: a longer exposure is a number of something else."""

MIN_RATE_CPS = 100_000.0
"""Counts per second of the strongest strip up to which an undeclared dead time is ignored: it hides less than
2 %, and a size changes by half of that."""

MAX_STRIP_SIGMAS = 4.0
"""Standard deviations by which the largest of thousands of strips exceeds its expected count."""

MONITOR_RANGE = (1e-30, 1e30)
"""Readings of a monitor, from currents in ampere to photons of a day: products do not overflow."""

MAX_AXES = 16
"""Number of axes kept in the cache: a scan returns to the same few arm positions."""


@dataclass(frozen=True, eq=False)
class StripAxis:
    """Assignment of strips to Q points at one arm angle and wavelength."""

    q_inv_angstrom: NDArray[np.float64]
    """Q points of the pattern, Å⁻¹, shape (n,)."""
    pool: "csr_array"
    """1 where a good strip belongs to a point, shape (n, n_strips)."""
    strip_exposure: NDArray[np.float64]
    """ε Δ2θ P of every strip, relative to a mean strip, shape (n_strips,)."""
    strip_exposure_variance: NDArray[np.float64]
    """Its variance from the flat field, shape (n_strips,)."""
    exposure: NDArray[np.float64]
    """`strip_exposure` pooled, shape (n,)."""
    n_strips: NDArray[np.float64]
    """Number of good strips in each point, shape (n,)."""
    flat_sigma: NDArray[np.float64]
    """Root of the pooled `strip_exposure_variance`, shape (n,)."""


class Reducer:
    """Reduces the frames of one detector.

    The axis of each arm angle and wavelength is computed once and cached. A reducer must not be shared
    between threads.

    Parameters
    ----------
    config
        Settings; or a detector alone, for an arm fixed at 0° and counts without corrections.

    Raises
    ------
    CalibrationError
        A calibration file cannot be used, or no good strip is left.
    ConfigurationError
        A bad strip is not on the detector.
    """

    def __init__(self, config: ReductionConfig | StripDetector) -> None:
        if isinstance(config, StripDetector):
            config = ReductionConfig(detector=config, arm_deg=0.0)
        self.config = config
        self.detector = config.load_detector()
        n_strips = self.detector.n_strips
        flat = config.flat_field.load(n_strips) if config.flat_field is not None else None
        self._width = self.detector.strip_width_deg()
        self._width /= self._width.mean()
        self._response = np.ones(n_strips) if flat is None else flat.response
        self._exposure, self._exposure_variance = _strip_exposure(self._width, flat)
        strips = np.arange(n_strips)
        strip_in_module = strips % MODULE_STRIPS
        self._good = (
            (self._response > MIN_RESPONSE)  # also false for NaN
            & (strip_in_module >= config.edge_strips)
            & (strip_in_module < MODULE_STRIPS - config.edge_strips)
        )
        self._good[config.load_bad_strips(n_strips)] = False
        if not np.any(self._good):
            raise CalibrationError(
                f"none of the {n_strips} strips is usable: check bad_strips, edge_strips and the flat field"
            )
        self._never_used = np.flatnonzero(~self._good)
        self._installed = self._good.reshape(-1, MODULE_STRIPS).any(axis=1)
        self._axes: OrderedDict[tuple[float, float, bool], StripAxis] = OrderedDict()
        # Hashed now, not on demand: the files may change while frames are still reduced with their old
        # contents.
        parts = (config.detector, config.flat_field, config.bad_strips)
        files = [p.path for p in parts if isinstance(p, CalibrationFile | FlatFieldFile | BadStripFile)]
        self._sha256 = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def __repr__(self) -> str:
        config, detector = self.config, self.detector
        arm = "from each frame" if config.arm_deg is None else f"fixed at {config.arm_deg:g}°"
        made = {
            "dead time": config.dead_time,
            "flat field": config.flat_field,
            "polarisation": config.polarisation,
            "exposure": config.normalise_exposure,
            "monitor": config.normalise_monitor,
        }
        corrections = ", ".join(name for name, setting in made.items() if setting) or "none"
        points = "one per strip" if config.bins is None else f"{config.bins.n_bins} bins"
        return (
            f"<Reducer: {len(detector.modules)} modules, {np.count_nonzero(self._good)} of "
            f"{detector.n_strips} strips used, arm {arm}, corrections: {corrections}, points: {points}>"
        )

    def reduce(
        self,
        counts: ArrayLike,
        wavelength_angstrom: float,
        arm_deg: float | None = None,
        *,
        exposure_s: float | None = None,
        monitor: float | None = None,
        applied: AppliedCorrections = NOTHING_APPLIED,
    ) -> Pattern:
        """Reduce the counts of one frame to a pattern.

        Parameters
        ----------
        counts, wavelength_angstrom, arm_deg, exposure_s, monitor, applied
            As in `pool`.

        Returns
        -------
        Intensity against Q with its statistical sigma. Points without a usable strip are masked, strips at
        2θ ≤ 0 are not used, and there are no points in gaps between modules.

        Raises
        ------
        CalibrationError
            As in `pool`.
        PatternError
            The wavelength is not that of X-rays.
        """
        return self.pool(
            counts, wavelength_angstrom, arm_deg, exposure_s=exposure_s, monitor=monitor, applied=applied
        ).pattern()

    def pool(
        self,
        counts: ArrayLike,
        wavelength_angstrom: float,
        arm_deg: float | None = None,
        *,
        exposure_s: float | None = None,
        monitor: float | None = None,
        applied: AppliedCorrections = NOTHING_APPLIED,
    ) -> PooledCounts:
        """Correct the counts of one frame and add them up in bins.

        Parameters
        ----------
        counts
            Counts per strip, integer or float, in a layout of `strip_counts`.
        wavelength_angstrom
            Wavelength, Å.
        arm_deg
            Angle of the detector arm, degrees; None for that of the settings.
        exposure_s
            Exposure, s; required for the dead-time correction and for normalisation by it.
        monitor
            Reading of the monitor (I0); required for normalisation by it.
        applied
            Corrections that the control system has already made.

        Returns
        -------
        Photons and exposure in bins, with warnings about masked strips.

        Raises
        ------
        CalibrationError
            The frame does not fit the calibration, has no usable strip, or has no arm angle, exposure or
            monitor although the settings require it; or the flat field was measured at another energy.
        PatternError
            The wavelength is not that of X-rays.
        """
        config = self.config
        if arm_deg is None:
            arm_deg = config.arm_deg
        if arm_deg is None:
            raise CalibrationError(
                "the frame has no arm angle: map it to a data key of the event, or set arm_deg in "
                "[reduction] for an arm that never moves"
            )
        values = strip_counts(counts, self.detector.n_strips, config.n_counters, config.counter)
        seconds, scale = self._scale(exposure_s, monitor)
        if applied.bad_strip_interpolation and config.bad_strips is None:
            raise CalibrationError(
                "the control system replaced the counts of bad strips by interpolation, and the settings do "
                "not list these strips: give bad_strips in [reduction], or switch the interpolation off"
            )
        axis = self._axis(wavelength_angstrom, arm_deg, applied.flat_field)
        warnings: list[str] = []
        values[self._never_used] = 0.0  # strips that are never used cause no warning
        bad = self._unusable(values, warnings)
        if np.any(bad):
            values[bad] = 0.0
        self._mask_silent_modules(values, bad, warnings)
        lost = self._possible_loss(values, seconds, applied, warnings)
        corrected, variance = self._counts_and_variance(values, seconds, applied, bad, warnings)

        exposure, n_strips, flat_sigma = axis.exposure, axis.n_strips, axis.flat_sigma
        if np.any(bad):
            if not np.any(self._good & ~bad):
                raise CalibrationError(f"no usable strip in the frame: {'; '.join(warnings)}")
            usable = (~bad).astype(np.float64)
            exposure = axis.pool @ (axis.strip_exposure * usable)
            n_strips = axis.pool @ usable
            flat_sigma = np.sqrt(axis.pool @ (axis.strip_exposure_variance * usable))
        counts_in_bins = axis.pool @ corrected
        return PooledCounts(
            q_inv_angstrom=axis.q_inv_angstrom,
            counts=counts_in_bins,
            variance=counts_in_bins.copy() if variance is corrected else axis.pool @ variance,
            exposure=exposure * scale,
            n_strips=n_strips,
            flat_exposure_sigma={arm_deg: flat_sigma * scale},
            monitor_relative_sigma=config.monitor_relative_sigma if config.normalise_monitor else 0.0,
            wavelength_angstrom=wavelength_angstrom,
            n_frames=1,
            exposure_s=seconds,
            warnings=tuple(warnings),
            possible_loss=lost,
        )

    def provenance(self) -> dict[str, Any]:
        """Describe how the patterns of this reducer are made.

        Returns
        -------
        Settings as JSON values, and the SHA-256 of every file in them.
        """
        return {"settings": self.config.model_dump(mode="json"), "sha256": dict(self._sha256)}

    def _scale(self, exposure_s: float | None, monitor: float | None) -> tuple[float, float]:
        """Return the exposure in seconds (NaN if unknown) and the factor for normalisation."""
        config = self.config
        seconds = math.nan if exposure_s is None else float(exposure_s)
        if (
            config.normalise_exposure or config.dead_time is not None
        ) and not MIN_EXPOSURE_S <= seconds <= MAX_EXPOSURE_S:
            purpose = "normalisation" if config.normalise_exposure else "the dead-time correction"
            raise CalibrationError(
                f"exposure {exposure_s} of the frame is not a valid time in seconds: [reduction] needs it "
                f"for {purpose}"
            )
        scale = seconds if config.normalise_exposure else 1.0
        if config.normalise_monitor:
            if monitor is None or not MONITOR_RANGE[0] <= monitor <= MONITOR_RANGE[1]:
                raise CalibrationError(
                    f"monitor (I0) reading {monitor} is not usable for normalisation: check the shutter and "
                    "the beam, or set normalise_monitor = false in [reduction]"
                )
            scale *= float(monitor)
        return seconds, scale

    def _unusable(self, values: NDArray[np.float64], warnings: list[str]) -> NDArray[np.bool_]:
        """Find the strips whose count is not valid in this frame."""
        full = FULL_SCALE * (2**self.config.bit_depth - 1)
        top = float(values.max())
        if values.min() >= 0 and top < full:  # NaN is neither; nearly always so, without a look at each
            bad = np.zeros(values.shape, bool)
            if np.count_nonzero(values >= top - 1e-9 * top) < MIN_PLATEAU:
                return bad
        else:
            bad = ~((values >= 0) & (values < full))
            saturated = int(np.count_nonzero(values[bad] >= full))
            if saturated:
                warnings.append(f"{_strips(saturated)} saturated ({self.config.bit_depth}-bit counter)")
            if other := int(np.count_nonzero(bad)) - saturated:
                warnings.append(f"{_strips(other)} with a negative or missing count")
        good = values[~bad & (values > 0)]
        if clipped := plateau_points(good, np.sqrt(good)):
            raise CalibrationError(
                f"{_strips(clipped)} have the same largest count, {good.max():.0f}: the counter is full or "
                f"clipped there (bit_depth is {self.config.bit_depth}); expose for a shorter time"
            )
        return np.asarray(bad)

    def _mask_silent_modules(
        self, values: NDArray[np.float64], bad: NDArray[np.bool_], warnings: list[str]
    ) -> None:
        """Mask modules that are off, because their zeros look like absence of scattering."""
        totals = values.reshape(-1, MODULE_STRIPS).sum(axis=1)
        silent = (totals == 0) & self._installed
        counting = np.count_nonzero(totals)
        if np.any(silent) and counting and totals.sum() / counting >= SILENT_MODULE_COUNTS:
            bad.reshape(-1, MODULE_STRIPS)[silent] = True
            warnings.append(f"modules {np.flatnonzero(silent).tolist()} have no counts")

    def _possible_loss(
        self, values: NDArray[np.float64], seconds: float, applied: AppliedCorrections, warnings: list[str]
    ) -> float:
        """Largest fraction of its photons that a strip may have lost, where no dead time is declared."""
        if self.config.dead_time is not None or applied.rate or not seconds >= MIN_EXPOSURE_S:
            return 0.0
        top = float(values.max())
        rate_cps = max(top - MAX_STRIP_SIGMAS * math.sqrt(top), 0.0) / seconds
        if rate_cps < MIN_RATE_CPS:
            return 0.0
        loss = possible_loss(rate_cps)
        warnings.append(
            f"{rate_cps:.2g} counts per second in a strip, of which an undeclared dead time may hide "
            f"{100 * loss:.0f}%: the intervals allow for it; give [reduction.dead_time]"
        )
        return loss

    def _counts_and_variance(
        self,
        values: NDArray[np.float64],
        seconds: float,
        applied: AppliedCorrections,
        bad: NDArray[np.bool_],
        warnings: list[str],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Correct for dead time and give the variance; strips beyond correction become bad.

        The counts of a paralysable counter scatter less than Poisson's, Var(m) = m (1 - 2mτ), and the
        correction increases the scatter by dn/dm = (n/m)/(1 - nτ).
        """
        # Dividing by a flat field scales the variance by the square of the factor, the counts by the factor.
        flat_factor = (
            np.divide(1.0, self._response, where=self._good, out=np.ones_like(values))
            if applied.flat_field
            else 1.0
        )
        dead_time = self.config.dead_time
        if dead_time is None:
            return values, values * flat_factor if applied.flat_field else values
        per_count = dead_time.tau_s / seconds
        if applied.rate:
            # Above nτ = 1 the true rate cannot be recovered: that correction was wrong.
            true_tau = np.minimum(values * per_count, 1.0)
            factor = np.exp(true_tau)
            observed_tau = true_tau / factor
            beyond = true_tau >= 1
            corrected = values
        else:
            observed_tau = values * per_count
            factor = true_over_observed(observed_tau)
            true_tau = observed_tau * factor
            beyond = ~(true_tau < 1)
            corrected = values * factor
        above = np.count_nonzero(observed_tau > dead_time.reported_above_cps * dead_time.tau_s)
        if above:
            warnings.append(
                f"{_strips(int(above))} above {dead_time.reported_above_cps:g} counts per second, the limit "
                "of the dead-time correction"
            )
        if np.any(beyond):
            warnings.append(f"{_strips(int(np.count_nonzero(beyond)))} above the maximum rate of the counter")
            bad |= beyond
            corrected, factor = np.where(beyond, 0.0, corrected), np.where(beyond, 1.0, factor)
            observed_tau, true_tau = np.where(beyond, 0.0, observed_tau), np.where(beyond, 0.0, true_tau)
        variance = corrected * factor * (1 - 2 * observed_tau) / (1 - true_tau) ** 2 * flat_factor
        return corrected, variance

    def _axis(self, wavelength_angstrom: float, arm_deg: float, flat_applied: bool) -> StripAxis:
        """Return the axis of a frame from the cache, or compute it."""
        key = (wavelength_angstrom, arm_deg, flat_applied)
        if key not in self._axes:
            self._check_energy(wavelength_angstrom)
            self._axes[key] = self._new_axis(wavelength_angstrom, arm_deg, flat_applied)
            if len(self._axes) > MAX_AXES:
                self._axes.popitem(last=False)
        self._axes.move_to_end(key)
        return self._axes[key]

    def _check_energy(self, wavelength_angstrom: float) -> None:
        energy = energy_ev_from_wavelength(wavelength_angstrom)
        flat = self.config.flat_field
        if flat is not None and abs(energy / flat.energy_ev - 1) > FLAT_ENERGY_TOLERANCE:
            raise CalibrationError(
                f"flat field {flat.path} was measured at {flat.energy_ev:.6g} eV, the frame at "
                f"{energy:.6g} eV ({wavelength_angstrom} Å): give the flat field of this energy, within 1 %"
            )

    def _new_axis(self, wavelength_angstrom: float, arm_deg: float, flat_applied: bool) -> StripAxis:
        from scipy.sparse import csr_array

        angles = self.detector.two_theta(arm_deg)
        q_strips = q_from_two_theta(angles, wavelength_angstrom)
        bins = self.config.bins
        if bins is None:
            # Overlapping modules may have strips at the same Q: these share a point.
            q, point = np.unique(q_strips, return_inverse=True)
            forward = int(np.searchsorted(q, 0.0, side="right"))
            q, point = q[forward:], point - forward
            inside = point >= 0
        else:
            in_angle = isinstance(bins, AngleGrid)
            q = q_from_two_theta(bins.centres, wavelength_angstrom) if in_angle else bins.centres
            point = np.searchsorted(bins.edges, angles if in_angle else q_strips, side="right") - 1
            inside = (point >= 0) & (point < bins.n_bins)
        strips = np.flatnonzero(inside & self._good)
        if strips.size == 0:
            raise CalibrationError(
                f"no strip is in the range of the bins: the detector covers 2θ from {angles.min():.4g} to "
                f"{angles.max():.4g}° with the arm at {arm_deg:.6g}°"
            )
        pool = csr_array((np.ones(strips.size), (point[strips], strips)), shape=(q.size, angles.size))
        # A control system uses a flat field of counts, which also corrects the widths of the strips.
        exposure = np.ones_like(self._exposure) if flat_applied else self._exposure
        if self.config.polarisation is not None:
            exposure = exposure * self.config.polarisation.factor(angles)
        exposure = np.where(self._good, exposure, 0.0)
        relative = np.zeros_like(exposure) if flat_applied else self._exposure_variance
        exposure_variance = np.where(self._good, relative * exposure**2, 0.0)
        return StripAxis(
            q_inv_angstrom=q,
            pool=pool,
            strip_exposure=exposure,
            strip_exposure_variance=exposure_variance,
            exposure=pool @ exposure,
            n_strips=pool @ np.ones(angles.size),
            flat_sigma=np.sqrt(pool @ exposure_variance),
        )


def _strips(n: int) -> str:
    return "1 strip" if n == 1 else f"{n} strips"


def _strip_exposure(
    width: NDArray[np.float64], flat: FlatField | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ε Δ2θ of every strip, relative to a mean strip, and its relative variance."""
    if flat is None:
        return width, np.zeros_like(width)
    exposure = flat.response if flat.holds_width else flat.response * width
    return exposure, (flat.sigma / flat.response) ** 2
