"""Refinement of global offset and wavelength on the lines of a standard."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..configuration import choice
from ..errors import CalibrationError
from ..patterns import check_wavelength
from ._frames import strip_counts
from ._geometry import MODULE_STRIPS, StripDetector

__all__ = [
    "LATTICE_ANGSTROM",
    "CalibrationFit",
    "ModuleResidual",
    "Standard",
    "line_spacings",
    "refine_calibration",
]


class Standard(StrEnum):
    """Powder with a certified lattice parameter."""

    SI = "Si"
    """Silicon, NIST SRM 640f."""
    LAB6 = "LaB6"
    """Lanthanum hexaboride, NIST SRM 660c."""
    CEO2 = "CeO2"
    """Cerium dioxide, NIST SRM 674b."""
    NI = "Ni"
    """Nickel powder, which is not certified: for the width of lines, not for angles to 10⁻⁴."""


LATTICE_ANGSTROM = {
    Standard.SI: 5.431144,
    Standard.LAB6: 4.156826,
    Standard.CEO2: 5.41165,
    Standard.NI: 3.5238,
}
"""Certified at 22.5 °C; nickel from ICDD 4-850, at 26 °C."""

WINDOW_DEG = 0.12
"""Half width of the range in which a line is fitted: eight times the width of a line at X04SA."""

SEARCH_DEG, SEARCH_STEP_DEG = 0.5, 0.01
"""Largest error of the starting offset, and step of the search, which is less than the width of a line."""

SIGNIFICANCE = 10.0
"""A line is used if its height is at least this many of its standard deviations."""

POSITION_FLOOR_DEG = 0.00063
"""Error of a line position that remains from the calibration of a module (Bergamaschi et al., J. Synchrotron
Rad. 17, 653, 2010)."""

OFF_DEG = 3 * POSITION_FLOOR_DEG
"""Half a strip: a module with a larger residual has moved since its calibration."""

MIN_LINES = 4
"""Twice the number of parameters (offset and wavelength): fewer lines cannot reveal a wrong one."""

MIN_FRACTION_FOUND = 0.25
"""Lines of another substance match about one expected line in six by chance."""

MAX_SCATTER = 6.0
"""Lines with a median residual of this many times their errors are not those of the standard: to reach it,
most modules would have to be wrong by a whole strip."""


@dataclass(frozen=True, kw_only=True)
class ModuleResidual:
    """Measured minus expected line positions of one module."""

    module: int
    """Index of the module."""
    n_lines: int
    """Number of lines on it."""
    residual_deg: float
    """Median of measured minus expected angle, degrees."""
    sigma_deg: float
    """Standard deviation of `residual_deg`, degrees."""

    @property
    def is_off(self) -> bool:
        """Whether the residual is larger than the calibration of the module can explain."""
        return abs(self.residual_deg) > max(OFF_DEG, 4 * self.sigma_deg)


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationFit:
    """Refined calibration and its residuals."""

    global_offset_deg: float
    """Angle of strip 0 of module 0 with the arm at zero, degrees."""
    global_offset_sigma_deg: float
    """Its standard deviation, degrees."""
    wavelength_angstrom: float
    """Wavelength, Å."""
    wavelength_sigma_angstrom: float
    """Its standard deviation, Å; 0 if the wavelength was held fixed."""
    line_module: NDArray[np.intp]
    """Module of each line, shape (n_lines,)."""
    line_deg: NDArray[np.float64]
    """Expected angle of each line, degrees, shape (n_lines,)."""
    line_residual_deg: NDArray[np.float64]
    """Measured minus expected angle of each line, degrees, shape (n_lines,)."""
    line_sigma_deg: NDArray[np.float64]
    """Standard deviation of the measured angle, degrees, shape (n_lines,)."""
    modules: tuple[ModuleResidual, ...]
    """Modules with lines, in their order."""


def refine_calibration(
    detector: StripDetector,
    counts: ArrayLike,
    wavelength_angstrom: float,
    arm_deg: float,
    standard: Standard | str,
    *,
    lattice_parameter_angstrom: float | None = None,
    bad_strips: Collection[int] = (),
    hold_wavelength: bool = False,
) -> CalibrationFit:
    """Refine global offset and wavelength on one frame of a standard.

    Each line is fitted on the module that measured it; offset and wavelength are then fitted to all lines
    with a robust loss (soft L1), so that a displaced module hardly changes the result.

    Parameters
    ----------
    detector
        Starting calibration, with an offset correct to 0.5°.
    counts
        Frame in a layout of `strip_counts`, one counter.
    wavelength_angstrom
        Starting wavelength, Å.
    arm_deg
        Angle of the detector arm, degrees.
    standard
        Powder in the beam: "Si", "LaB6", "CeO2" or "Ni".
    lattice_parameter_angstrom
        Its lattice parameter, Å; None for the certified one.
    bad_strips
        Strips that are not used.
    hold_wavelength
        Fit the offset only.

    Returns
    -------
    Refined values and residuals.

    Raises
    ------
    CalibrationError
        The frame does not fit the detector, or does not show the lines of the standard.
    ConfigurationError
        The standard is not known.
    PatternError
        The wavelength is not that of X-rays.
    """
    standard = choice(Standard, standard, "standard")
    check_wavelength(wavelength_angstrom)
    frame = strip_counts(counts, detector.n_strips)
    frame[list(bad_strips)] = np.nan
    frame[frame < 0] = np.nan
    angles = detector.two_theta(arm_deg)
    spacings = line_spacings(
        standard, lattice_parameter_angstrom or LATTICE_ANGSTROM[standard], wavelength_angstrom
    )
    expected = _line_angles(spacings, wavelength_angstrom)
    # The window of a line must not contain part of another line.
    gaps = np.diff(expected, prepend=-np.inf, append=np.inf)
    isolated = np.minimum(gaps[:-1], gaps[1:]) > 2 * WINDOW_DEG
    spacings, expected = spacings[isolated], expected[isolated]
    shift = _search_shift(angles, frame, expected)

    lines, n_in_range = _measure_lines(detector, angles, frame, spacings, expected + shift)
    advice = (
        f"check the standard, the wavelength ({wavelength_angstrom} Å), and that the offset is correct to "
        f"{SEARCH_DEG}°"
    )
    if len(lines) < max(MIN_LINES, MIN_FRACTION_FOUND * n_in_range):
        raise CalibrationError(
            f"{len(lines)} of {n_in_range} lines of {standard.value} found between {angles.min():.4g} and "
            f"{angles.max():.4g}°, there must be at least {MIN_LINES} and a quarter of them: {advice}"
        )
    module_of, spacing_of, measured, sigma = (np.array(column) for column in zip(*lines, strict=True))
    weight = 1 / np.hypot(sigma, POSITION_FLOOR_DEG)

    def residual(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        wavelength = wavelength_angstrom * (1 + (0.0 if hold_wavelength else parameters[1]))
        return np.asarray(measured - shift + parameters[0] - _line_angles(spacing_of, wavelength))

    from scipy.optimize import least_squares

    # Start at exactly zero: the first step of the optimiser scales with the starting values.
    start = np.zeros(1 if hold_wavelength else 2)
    fit = least_squares(
        lambda p: residual(p) * weight, start, loss="soft_l1", x_scale=[1e-3, 1e-4][: start.size]
    )
    left = residual(fit.x)
    # Robust scatter of the lines: 0.6745 is the median absolute deviation of a standard normal variable.
    scatter = float(np.median(np.abs(left * weight))) / 0.6745
    if scatter > MAX_SCATTER:
        raise CalibrationError(
            f"the lines of {standard.value} are {np.median(np.abs(left)):.3g}° from their expected angles "
            f"(median): {advice}"
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


def line_spacings(
    standard: Standard, lattice_angstrom: float, wavelength_angstrom: float
) -> NDArray[np.float64]:
    """Lattice spacings that diffract at a wavelength.

    Parameters
    ----------
    standard
        Powder.
    lattice_angstrom
        Its lattice parameter, Å.
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Spacings, Å, in descending order.
    """
    max_index = int(2 * lattice_angstrom / wavelength_angstrom) + 1
    sums = set()
    for h, k, l in product(range(max_index + 1), repeat=3):  # noqa: E741  (Miller indices)
        odd = {h % 2, k % 2, l % 2}
        diffracts = {
            Standard.LAB6: True,  # primitive
            Standard.SI: odd == {1} or (odd == {0} and (h + k + l) % 4 == 0),  # diamond
            Standard.CEO2: len(odd) == 1,  # face-centred
            Standard.NI: len(odd) == 1,
        }
        if diffracts[standard]:
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
    """Find the shift at which the expected lines have the most counts."""
    good = np.isfinite(frame)
    order = np.argsort(angles[good])
    x, y = angles[good][order], frame[good][order]
    # Square root, so that one strong line does not outweigh all others.
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
    """Fit every line on every module that covers it.

    Returns module, spacing, measured angle and its sigma of each line found, and the number of lines covered.
    """
    lines: list[tuple[int, float, float, float]] = []  # module, spacing, measured angle, its sigma
    n_in_range = 0
    for module in range(len(detector.modules)):
        strips = slice(module * MODULE_STRIPS, (module + 1) * MODULE_STRIPS)
        x, y = angles[strips], frame[strips]
        for spacing, angle in zip(spacings, expected, strict=True):
            if x.min() + WINDOW_DEG < angle < x.max() - WINDOW_DEG:
                n_in_range += 1
                near = (np.abs(x - angle) < WINDOW_DEG) & np.isfinite(y)
                if (line := _fit_line(x[near], y[near])) is not None:
                    lines.append((module, float(spacing), *line))
    return lines, n_in_range


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float] | None:
    """Position of a Gaussian on a sloping background and its standard deviation; None if there is no line."""
    if x.size < 20:  # of 64 strips in a window
        return None
    from scipy.optimize import least_squares

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
