"""Counts of one frame to a pattern."""

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from ..errors import CalibrationError
from ..patterns import Pattern, energy_ev_from_wavelength, q_from_two_theta
from ._applied import NOTHING_APPLIED, AppliedCorrections
from ._calibration_files import FlatField
from ._config import AngleGrid, BadStripFile, CalibrationFile, FlatFieldFile, ReductionConfig
from ._counting import true_over_observed
from ._frames import strip_counts
from ._geometry import MODULE_STRIPS, StripDetector
from ._pooled import PooledCounts

__all__ = ["Reducer"]

FULL_SCALE = 0.99
"""A counter within 1 % of its end may have stuck or wrapped."""

LOWEST_RESPONSE = 0.1
"""The PSI anglecalibration code takes strips with less than a tenth of the mean response as dead."""

FLAT_ENERGY_TOLERANCE = 0.01
"""The response changes with the energy over the threshold; 1 % is far above what a monochromator drifts
and far below what anyone changes on purpose."""

SILENT_MODULE_COUNTS = 1000.0
"""A module that counts nothing while the others count this many on average is off: a scattering curve
that falls a hundredfold between modules would still leave it with ten photons."""

SHORTEST_S = 1e-7
"""The clock of MYTHEN counts in units of 100 ns."""

AXES_KEPT = 16
"""Arm angles and wavelengths whose axes are kept: a scan of a few arm positions comes back to them."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Where the strips fall at one arm angle and wavelength."""

    q_inv_angstrom: NDArray[np.float64]
    """Points of the pattern, Å⁻¹, shape (n,)."""
    pool: csr_array
    """1 where a good strip falls into a point, shape (n, n_strips)."""
    strip_exposure: NDArray[np.float64]
    """ε Δ2θ P of every strip, shape (n_strips,)."""
    strip_exposure_variance: NDArray[np.float64]
    """Its variance from the flat field, shape (n_strips,)."""
    exposure: NDArray[np.float64]
    """`strip_exposure` pooled, shape (n,)."""
    n_strips: NDArray[np.float64]
    """Good strips in each point, shape (n,)."""
    flat_sigma: NDArray[np.float64]
    """Root of the pooled `strip_exposure_variance`, shape (n,)."""


class Reducer:
    """Reduces the frames of one detector; axes are computed once for each arm angle and wavelength.

    One reducer serves one thread: axes are kept between frames.

    Parameters
    ----------
    config
        Settings; a bare detector stands for one whose arm rests at 0° and whose counts need nothing.

    Raises
    ------
    CalibrationError
        A calibration file cannot be used, or it leaves no strip.
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
        place = strips % MODULE_STRIPS
        self._good = (
            (self._response > LOWEST_RESPONSE)  # also false for NaN
            & (place >= config.edge_strips)
            & (place < MODULE_STRIPS - config.edge_strips)
        )
        self._good[config.load_bad_strips(n_strips)] = False
        if not np.any(self._good):
            raise CalibrationError(
                f"all {n_strips} strips are bad: check bad_strips, edge_strips and the flat field"
            )
        self._never = np.flatnonzero(~self._good)
        self._installed = self._good.reshape(-1, MODULE_STRIPS).any(axis=1)
        self._axes: OrderedDict[tuple[float, float, bool], Axis] = OrderedDict()
        # Now, not when it is asked for: the files may change while the frames are still reduced with these.
        parts = (config.detector, config.flat_field, config.bad_strips)
        files = [p.path for p in parts if isinstance(p, CalibrationFile | FlatFieldFile | BadStripFile)]
        self._sha256 = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

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
        """Turn the counts of one frame into a pattern.

        Parameters
        ----------
        counts, wavelength_angstrom, arm_deg, exposure_s, monitor, applied
            As in `pool`.

        Returns
        -------
        Intensity against Q with its statistical sigma. Points without a usable strip are masked, strips at
        2θ ≤ 0 left out, gaps between modules stay empty.

        Raises
        ------
        CalibrationError
            As `pool`.
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
        """Correct the counts of one frame and pool them in bins.

        Parameters
        ----------
        counts
            Counts per strip, integer or float, in a layout of `strip_counts`.
        wavelength_angstrom
            Wavelength, Å.
        arm_deg
            Angle of the detector arm, degrees; None for the arm of the settings.
        exposure_s
            Exposure, s; needed for dead time and where it is divided by.
        monitor
            Reading of the monitor (I0); needed where it is divided by.
        applied
            What the control system did to the counts already.

        Returns
        -------
        Photons and exposure in bins, with warnings of what was masked.

        Raises
        ------
        CalibrationError
            The frame does not fit the calibration, has no usable strip, or lacks an arm angle, exposure or
            monitor that the settings need; or the flat field is of another energy.
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
                "the control system filled in bad strips from their neighbours, and nobody knows which: give "
                "bad_strips in [reduction], or switch the interpolation off"
            )
        axis = self._axis(wavelength_angstrom, arm_deg, applied.flat_field)
        warnings: list[str] = []
        values[self._never] = 0.0  # strips that are always bad are no news, whatever they count
        bad = self._unusable(values, warnings)
        values[bad] = 0.0
        self._mask_silent_modules(values, bad, warnings)
        corrected, variance = self._counts_and_variance(values, seconds, applied, bad, warnings)

        exposure, n_strips, flat_sigma = axis.exposure, axis.n_strips, axis.flat_sigma
        if np.any(bad):
            if not np.any(self._good & ~bad):
                raise CalibrationError(f"no usable strip in the frame: {'; '.join(warnings)}")
            kept = (~bad).astype(np.float64)
            exposure = axis.pool @ (axis.strip_exposure * kept)
            n_strips = axis.pool @ kept
            flat_sigma = np.sqrt(axis.pool @ (axis.strip_exposure_variance * kept))
        return PooledCounts(
            q_inv_angstrom=axis.q_inv_angstrom,
            counts=axis.pool @ corrected,
            variance=axis.pool @ variance,
            exposure=exposure * scale,
            n_strips=n_strips,
            flat_exposure_sigma={arm_deg: flat_sigma * scale},
            monitor_relative_sigma=config.monitor_relative_sigma if config.normalise_monitor else 0.0,
            n_frames=1,
            exposure_s=seconds,
            warnings=tuple(warnings),
        )

    def provenance(self) -> dict[str, Any]:
        """Say what the patterns of this reducer were made with.

        Returns
        -------
        Settings as JSON values, and the SHA-256 of every file that they name.
        """
        return {"settings": self.config.model_dump(mode="json"), "sha256": dict(self._sha256)}

    def _scale(self, exposure_s: float | None, monitor: float | None) -> tuple[float, float]:
        """Give the exposure in seconds (NaN where unknown), and the factor of the strips' exposure."""
        config = self.config
        seconds = math.nan if exposure_s is None else float(exposure_s)
        if (
            config.normalise_exposure or config.dead_time is not None
        ) and not SHORTEST_S <= seconds < math.inf:
            purpose = "to divide by" if config.normalise_exposure else "for the dead time"
            raise CalibrationError(
                f"exposure {exposure_s} of the frame is no time: [reduction] needs it {purpose}, in seconds"
            )
        scale = seconds if config.normalise_exposure else 1.0
        if config.normalise_monitor:
            if monitor is None or not 0 < monitor < math.inf:
                raise CalibrationError(
                    f"monitor {monitor} of the frame cannot be divided by: is the shutter closed or the beam "
                    "lost? Set normalise_monitor = false in [reduction] to do without"
                )
            scale *= float(monitor)
        return seconds, scale

    def _unusable(self, values: NDArray[np.float64], warnings: list[str]) -> NDArray[np.bool_]:
        """Find the strips whose count means nothing in this frame."""
        full = FULL_SCALE * (2**self.config.bit_depth - 1)
        bad = ~((values >= 0) & (values < full))  # NaN is neither
        if np.any(bad):
            saturated = int(np.count_nonzero(values[bad] >= full))
            if saturated:
                warnings.append(f"{saturated} strips at the end of their {self.config.bit_depth}-bit counter")
            if other := int(np.count_nonzero(bad)) - saturated:
                warnings.append(f"{other} strips with a negative count or none")
        return np.asarray(bad)

    def _mask_silent_modules(
        self, values: NDArray[np.float64], bad: NDArray[np.bool_], warnings: list[str]
    ) -> None:
        """Mask modules that are off: their zeros would pass for an absence of scattering."""
        totals = values.reshape(-1, MODULE_STRIPS).sum(axis=1)
        silent = (totals == 0) & self._installed
        counting = np.count_nonzero(totals)
        if np.any(silent) and counting and totals.sum() / counting >= SILENT_MODULE_COUNTS:
            bad.reshape(-1, MODULE_STRIPS)[silent] = True
            warnings.append(f"modules {np.flatnonzero(silent).tolist()} count nothing")

    def _counts_and_variance(
        self,
        values: NDArray[np.float64],
        seconds: float,
        applied: AppliedCorrections,
        bad: NDArray[np.bool_],
        warnings: list[str],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Correct for dead time and give the variance; strips beyond correction become bad.

        The counts of a paralysable counter scatter less than Poisson's, Var(m) = m (1 - 2mτ), and their
        correction stretches them by dn/dm = (n/m)/(1 - nτ).
        """
        # Dividing by a flat field scales the variance of a count by the same once more.
        spread = (
            np.divide(1.0, self._response, where=self._good, out=np.ones_like(values))
            if applied.flat_field
            else 1.0
        )
        dead_time = self.config.dead_time
        if dead_time is None:
            return values, values * spread
        per_count = dead_time.tau_s / seconds
        if applied.rate:
            # Past nτ = 1 no counter gives n back: who corrected it guessed.
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
            warnings.append(f"{above} strips count faster than {dead_time.reported_above_cps:g} per second")
        if np.any(beyond):
            warnings.append(f"{np.count_nonzero(beyond)} strips past the highest rate a counter can show")
            bad |= beyond
            corrected, factor = np.where(beyond, 0.0, corrected), np.where(beyond, 1.0, factor)
            observed_tau, true_tau = np.where(beyond, 0.0, observed_tau), np.where(beyond, 0.0, true_tau)
        variance = corrected * factor * (1 - 2 * observed_tau) / (1 - true_tau) ** 2 * spread
        return corrected, variance

    def _axis(self, wavelength_angstrom: float, arm_deg: float, flat_applied: bool) -> Axis:
        """Look the axis of a frame up, or compute it."""
        key = (wavelength_angstrom, arm_deg, flat_applied)
        if key not in self._axes:
            self._check_energy(wavelength_angstrom)
            self._axes[key] = self._new_axis(wavelength_angstrom, arm_deg, flat_applied)
            if len(self._axes) > AXES_KEPT:
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

    def _new_axis(self, wavelength_angstrom: float, arm_deg: float, flat_applied: bool) -> Axis:
        angles = self.detector.two_theta(arm_deg)
        q_strips = q_from_two_theta(angles, wavelength_angstrom)
        bins = self.config.bins
        if bins is None:
            # Overlapping modules may give one Q twice: such strips share a point.
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
                f"no strip falls on the pattern's points: the strips see 2θ from {angles.min():.4g} to "
                f"{angles.max():.4g}° with the arm at {arm_deg:.6g}°"
            )
        pool = csr_array((np.ones(strips.size), (point[strips], strips)), shape=(q.size, angles.size))
        # A control system's flat field is one of counts, which takes the widths out with the rest.
        exposure = np.ones_like(self._exposure) if flat_applied else self._exposure
        if self.config.polarisation is not None:
            exposure = exposure * self.config.polarisation.factor(angles)
        exposure = np.where(self._good, exposure, 0.0)
        relative = np.zeros_like(exposure) if flat_applied else self._exposure_variance
        exposure_variance = np.where(self._good, relative * exposure**2, 0.0)
        return Axis(
            q_inv_angstrom=q,
            pool=pool,
            strip_exposure=exposure,
            strip_exposure_variance=exposure_variance,
            exposure=pool @ exposure,
            n_strips=pool @ np.ones(angles.size),
            flat_sigma=np.sqrt(pool @ exposure_variance),
        )


def _strip_exposure(
    width: NDArray[np.float64], flat: FlatField | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ε Δ2θ of every strip, relative to a mean one, and its relative variance."""
    if flat is None:
        return width, np.zeros_like(width)
    exposure = flat.response if flat.holds_width else flat.response * width
    return exposure, (flat.sigma / flat.response) ** 2
