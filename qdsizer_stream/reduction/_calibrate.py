"""Global offset and wavelength from the lines of a standard."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from ..errors import CalibrationError
from ..patterns import check_wavelength
from ._frames import strip_counts
from ._geometry import MODULE_STRIPS, StripDetector

__all__ = ["CalibrationFit", "ModuleResidual", "Standard", "refine_calibration"]


class Standard(StrEnum):
    """Powder with a certified lattice parameter."""

    SI = "Si"
    """Silicon, NIST SRM 640f."""
    LAB6 = "LaB6"
    """Lanthanum hexaboride, NIST SRM 660c."""


LATTICE_ANGSTROM = {Standard.SI: 5.431144, Standard.LAB6: 4.156826}
"""Certified at 22.5 °C."""

WINDOW_DEG = 0.12
"""Half width of the stretch that a line is fitted in: eight times the width of a line at X04SA."""

SEARCH_DEG, SEARCH_STEP_DEG = 0.5, 0.01
"""How far the offset may be out, and the step of the search: finer than a line is wide."""

SIGNIFICANCE = 10.0
"""A line is used when its height is this many of its standard deviations."""

POSITION_FLOOR_DEG = 0.00063
"""Error of a line's position that a module's own calibration leaves (Bergamaschi et al., J. Synchrotron
Rad. 17, 653, 2010)."""

OFF_DEG = 3 * POSITION_FLOOR_DEG
"""Half a strip: a module farther out than this was moved since its calibration."""

MIN_LINES = 4
"""Offset and wavelength are two numbers; fewer lines than twice that cannot show that one is wrong."""

LEAST_SHARE = 0.25
"""Lines of another substance meet one expected line in six by chance."""

MOST_SCATTER = 6.0
"""Lines that lie this many times their errors off, in the median, are not those of the standard: it takes
modules that are out by a whole strip, most of them."""


@dataclass(frozen=True, kw_only=True)
class ModuleResidual:
    """Where a module sees the lines, relative to where they are."""

    module: int
    """Number of the module."""
    n_lines: int
    """Lines on it."""
    residual_deg: float
    """Median of measured minus expected angle, degrees."""
    sigma_deg: float
    """Standard deviation of `residual_deg`, degrees."""

    @property
    def is_off(self) -> bool:
        """Whether the module is farther out than its calibration can explain."""
        return abs(self.residual_deg) > max(OFF_DEG, 4 * self.sigma_deg)


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationFit:
    """Refined calibration, and what it leaves."""

    global_offset_deg: float
    """Angle of strip 0 of module 0 with the arm at zero, degrees."""
    global_offset_sigma_deg: float
    """Its standard deviation, degrees."""
    wavelength_angstrom: float
    """Wavelength, Å."""
    wavelength_sigma_angstrom: float
    """Its standard deviation, Å; 0 where it was held."""
    line_module: NDArray[np.intp]
    """Module of each line, shape (n_lines,)."""
    line_deg: NDArray[np.float64]
    """Expected angle of each line, degrees, shape (n_lines,)."""
    line_residual_deg: NDArray[np.float64]
    """Measured minus expected angle of each line, degrees, shape (n_lines,)."""
    line_sigma_deg: NDArray[np.float64]
    """Standard deviation of the measured angle, degrees, shape (n_lines,)."""
    modules: tuple[ModuleResidual, ...]
    """Modules that saw lines, in their order."""


def refine_calibration(
    detector: StripDetector,
    counts: ArrayLike,
    wavelength_angstrom: float,
    arm_deg: float,
    standard: Standard,
    *,
    lattice_parameter_angstrom: float | None = None,
    bad_strips: Collection[int] = (),
    hold_wavelength: bool = False,
) -> CalibrationFit:
    """Refine global offset and wavelength on one frame of a standard.

    Each line is fitted on the module that sees it; offset and wavelength are then fitted to all lines
    with a loss that a module out of place cannot pull (soft L1).

    Parameters
    ----------
    detector
        Calibration to start from, its offset right to 0.5°.
    counts
        Frame in a layout of `strip_counts`, one counter.
    wavelength_angstrom
        Wavelength to start from, Å.
    arm_deg
        Angle of the detector arm, degrees.
    standard
        What was in the beam.
    lattice_parameter_angstrom
        Its lattice parameter, Å; None for the certified one.
    bad_strips
        Strips not to be used.
    hold_wavelength
        Fit the offset alone.

    Returns
    -------
    Refined values and residuals.

    Raises
    ------
    CalibrationError
        The frame does not fit the detector, or does not show the lines of the standard.
    PatternError
        The wavelength is not that of X-rays.
    """
    check_wavelength(wavelength_angstrom)
    frame = strip_counts(counts, detector.n_strips)
    frame[list(bad_strips)] = np.nan
    frame[frame < 0] = np.nan
    angles = detector.two_theta(arm_deg)
    spacings = _spacings(
        standard, lattice_parameter_angstrom or LATTICE_ANGSTROM[standard], wavelength_angstrom
    )
    expected = _line_angles(spacings, wavelength_angstrom)
    # Lines closer than two windows to another would be fitted with part of it.
    gaps = np.diff(expected, prepend=-np.inf, append=np.inf)
    alone = np.minimum(gaps[:-1], gaps[1:]) > 2 * WINDOW_DEG
    spacings, expected = spacings[alone], expected[alone]
    shift = _search_shift(angles, frame, expected)

    lines, in_sight = _measure_lines(detector, angles, frame, spacings, expected + shift)
    advice = (
        f"check the standard, wavelength {wavelength_angstrom} Å, and that the offset is right to "
        f"{SEARCH_DEG}°"
    )
    if len(lines) < max(MIN_LINES, LEAST_SHARE * in_sight):
        raise CalibrationError(
            f"{len(lines)} of {in_sight} lines of {standard.value} found between {angles.min():.4g} and "
            f"{angles.max():.4g}°, at least {MIN_LINES} and a quarter are needed: {advice}"
        )
    module_of, spacing_of, measured, sigma = (np.array(column) for column in zip(*lines, strict=True))
    weight = 1 / np.hypot(sigma, POSITION_FLOOR_DEG)

    def residual(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        wavelength = wavelength_angstrom * (1 + (0.0 if hold_wavelength else parameters[1]))
        return np.asarray(measured - shift + parameters[0] - _line_angles(spacing_of, wavelength))

    # From exactly zero: the first step of the search is as long as the start is far from zero.
    start = np.zeros(1 if hold_wavelength else 2)
    fit = least_squares(
        lambda p: residual(p) * weight, start, loss="soft_l1", x_scale=[1e-3, 1e-4][: start.size]
    )
    left = residual(fit.x)
    # Scatter of the lines themselves, outliers aside: the median absolute deviation of a normal variable.
    scatter = float(np.median(np.abs(left * weight))) / 0.6745
    if scatter > MOST_SCATTER:
        raise CalibrationError(
            f"the lines of {standard.value} lie {np.median(np.abs(left)):.3g}° from where they should: "
            f"{advice}"
        )
    covariance = np.linalg.inv(fit.jac.T @ fit.jac) * max(scatter, 1.0) ** 2
    deviations = np.sqrt(np.diag(covariance))
    factor = 1.0 if hold_wavelength else 1 + float(fit.x[1])
    return CalibrationFit(
        global_offset_deg=detector.global_offset_deg - shift + float(fit.x[0]),
        global_offset_sigma_deg=float(deviations[0]),
        wavelength_angstrom=wavelength_angstrom * factor,
        wavelength_sigma_angstrom=0.0 if hold_wavelength else float(deviations[1]) * wavelength_angstrom,
        line_module=module_of.astype(np.intp),
        line_deg=_line_angles(spacing_of, wavelength_angstrom * factor),
        line_residual_deg=left,
        line_sigma_deg=sigma,
        modules=tuple(
            ModuleResidual(
                module=int(module),
                n_lines=int(np.count_nonzero(module_of == module)),
                residual_deg=float(np.median(left[module_of == module])),
                sigma_deg=float(1 / np.sqrt(np.sum(weight[module_of == module] ** 2))),
            )
            for module in np.unique(module_of)
        ),
    )


def _spacings(standard: Standard, lattice_angstrom: float, wavelength_angstrom: float) -> NDArray[np.float64]:
    """Lattice spacings that reflect at this wavelength, Å, from wide to narrow."""
    most = int(2 * lattice_angstrom / wavelength_angstrom) + 1
    sums = set()
    for h, k, l in product(range(most + 1), repeat=3):  # noqa: E741  (Miller's letters)
        odd = {h % 2, k % 2, l % 2}
        diamond = odd == {1} or (odd == {0} and (h + k + l) % 4 == 0)
        if standard is Standard.LAB6 or diamond:
            sums.add(h * h + k * k + l * l)
    spacings = lattice_angstrom / np.sqrt(np.array(sorted(sums - {0}), dtype=np.float64))
    return np.asarray(spacings[2 * spacings > wavelength_angstrom])


def _line_angles(spacing_angstrom: NDArray[np.float64], wavelength_angstrom: float) -> NDArray[np.float64]:
    """Bragg angles 2θ, degrees."""
    return np.asarray(
        2 * np.degrees(np.arcsin(np.minimum(wavelength_angstrom / (2 * spacing_angstrom), 1.0)))
    )


def _search_shift(
    angles: NDArray[np.float64], frame: NDArray[np.float64], expected: NDArray[np.float64]
) -> float:
    """Find the shift at which the expected lines meet the most counts."""
    good = np.isfinite(frame)
    order = np.argsort(angles[good])
    x, y = angles[good][order], frame[good][order]
    # Square root: one strong line must not outweigh all the others.
    height = np.sqrt(y)
    shifts = np.arange(-SEARCH_DEG, SEARCH_DEG + SEARCH_STEP_DEG / 2, SEARCH_STEP_DEG)
    seen = (expected > x.min() + SEARCH_DEG) & (expected < x.max() - SEARCH_DEG)
    sums = [np.interp(expected[seen] + shift, x, height).sum() for shift in shifts]
    return float(shifts[int(np.argmax(sums))])


def _measure_lines(
    detector: StripDetector,
    angles: NDArray[np.float64],
    frame: NDArray[np.float64],
    spacings: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> tuple[list[tuple[int, float, float, float]], int]:
    """Fit every line on every module that sees it.

    Gives module, spacing, measured angle and its sigma of each line found, and how many were in sight.
    """
    lines: list[tuple[int, float, float, float]] = []  # module, spacing, measured angle, its sigma
    in_sight = 0
    for module in range(len(detector.modules)):
        strips = slice(module * MODULE_STRIPS, (module + 1) * MODULE_STRIPS)
        x, y = angles[strips], frame[strips]
        for spacing, angle in zip(spacings, expected, strict=True):
            if x.min() + WINDOW_DEG < angle < x.max() - WINDOW_DEG:
                in_sight += 1
                near = (np.abs(x - angle) < WINDOW_DEG) & np.isfinite(y)
                if (line := _fit_line(x[near], y[near])) is not None:
                    lines.append((module, float(spacing), *line))
    return lines, in_sight


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float] | None:
    """Position of a Gaussian on a sloping ground and its standard deviation; None where there is no line."""
    if x.size < 20:  # of 64 strips in a window
        return None
    weight = 1 / np.sqrt(y + 1)
    ground, top = float(np.median(y)), int(np.argmax(y))

    def model(p: NDArray[np.float64]) -> NDArray[np.float64]:
        height, centre, width, level, slope = p
        bell = height * np.exp(-0.5 * ((x - centre) / width) ** 2)
        return np.asarray((bell + level + slope * (x - x[top]) - y) * weight)

    start = np.array([max(y[top] - ground, 1.0), x[top], 0.015, ground, 0.0])
    fit = least_squares(model, start, x_scale=[start[0], 0.01, 0.01, max(ground, 1.0), start[0] / WINDOW_DEG])
    height, centre, width = fit.x[:3]
    information = fit.jac.T @ fit.jac
    if not fit.success or np.linalg.matrix_rank(information) < start.size:
        return None
    height_sigma, centre_sigma = np.sqrt(np.diag(np.linalg.inv(information)))[:2]
    inside = abs(centre - (x[0] + x[-1]) / 2) < WINDOW_DEG / 2 and 0.001 < abs(width) < WINDOW_DEG / 2
    return (float(centre), float(centre_sigma)) if inside and height > SIGNIFICANCE * height_sigma else None
