"""Pattern files."""

import os
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..configuration import choice
from ..errors import PatternError, PatternFileError, PatternFileWarning
from ._axis import Axis, check_wavelength, q_from_two_theta
from ._columns import Columns, SigmaKind, find_columns, header_wavelength
from ._curves import background_removed, first_of_scans, gaps, not_a_pattern
from ._noise import ScatterNoise, scatter_noise
from ._pattern import Pattern
from ._scans import first_spec_scan, gsas_table, is_gsas, is_uxd, uxd_table
from ._sigma import not_sigma
from ._steps import STEP_FORMATS
from ._structured import is_powder_cif, is_xrdml, nexus_table, powder_cif_table, xrdml_table
from ._table import Table, table_of
from ._text import read_bytes, text_of

__all__ = ["LoadedPattern", "load_pattern", "read_curve", "read_pattern", "write_pattern"]

MAX_INTENSITY = 1e20
"""Larger values, and infinite ones, are not intensities: programs mark missing points so."""

NO_READING = (2.0**32 - 1, 2.0**31 - 1)
"""Values that detectors write for dead pixels and gaps."""

HDF5_MAGIC = b"\x89HDF"

RIGAKU_MARK = "*RAS_"

MAX_WAVELENGTH_DIFFERENCE = 5e-3
"""Largest relative difference between the wavelength in the file and a given one: lines of one X-ray tube
differ by less, and a size changes as much as the wavelength does."""

TUBE_LINES_ANGSTROM = (
    0.5594,
    0.5608,
    0.7093,
    0.7107,
    1.5406,
    1.5418,
    1.7890,
    1.7903,
    1.9360,
    1.9374,
    2.2897,
    2.2910,
)
"""Kα1 and mean Kα of silver, molybdenum, copper, cobalt, iron and chromium."""

SAME_LINE = 5e-4
"""Relative difference of what programs give for the same line."""

SAME_WAVELENGTH = 2e-4
"""Relative difference that is one of rounding."""

MAX_TWO_THETA_DEG = 180.0

MIN_CENTIDEGREES = 500.0
"""An axis in hundredths of a degree reaches farther than this, five degrees."""

MAX_RADIANS = 3.2
"""Angles that all lie below this are in radians: patterns in degrees reach farther."""

MAX_Q_INV_ANGSTROM = 40.0
"""No powder experiment reaches this; in nm⁻¹ it is the usual range."""

MIN_MONOTONIC_FRACTION = 0.9
"""Fraction of equal signs of the steps of a column that is an axis."""

COUNTS_SCALE = (0.4, 2.5)
"""Variance per intensity of whole numbers that are counts, as far as the scatter of few points shows it."""


@dataclass(frozen=True, kw_only=True)
class LoadedPattern:
    """A pattern with the information in its file."""

    pattern: Pattern
    """The pattern, sorted by Q; gaps are masked."""
    axis: Axis
    """Quantity in the first column of the file."""
    wavelength_angstrom: float | None
    """Wavelength, given or from the file, Å; None for a file of Q without one."""
    sigma_source: str
    """Where sigma is from: a column, or the scatter of neighbouring points."""
    photons_known: bool
    """Whether Σ (I/σ)² is a number of photons: with a column of sigma, or for counts. Otherwise the scatter
    of the points gives the precision of the pattern, but not the number of photons."""
    warnings: tuple[str, ...]
    """What is unusual, one line each, without the name of the file."""


def load_pattern(
    path: str | os.PathLike[str],
    wavelength_angstrom: float | None = None,
    axis: Axis | str | None = None,
    *,
    unnamed: Axis | str = Axis.TWO_THETA,
) -> LoadedPattern:
    """Read a pattern with the information in its file.

    Parameters
    ----------
    path
        Columns in text (.xy, .xye, .dat, .csv, .chi, .ras and others), GSAS, UXD, PSI or FullProf steps,
        .xrdml, powder CIF, NXdata or NXcanSAS; also compressed by gzip, bzip2 or xz. Rows in any order;
        those at Q ≤ 0 are not used.
    wavelength_angstrom
        Wavelength, Å; None for that of the file. Q needs none.
    axis
        Quantity in the first column, "two-theta" or "q"; None for the one that the file names, and 2θ if it
        names none.

    Returns
    -------
    The pattern. Without a column that is sigma, sigma is estimated from the scatter of neighbouring points.

    Raises
    ------
    PatternError
        The file cannot be read, names another quantity than `axis`, states another wavelength than the given
        one, has no wavelength for its angles, or has values that its axis cannot have.
    ConfigurationError
        The axis is not known.
    """
    path = Path(path)
    expected = None if axis is None else choice(Axis, axis, "axis")
    table = _table(path)
    columns = find_columns(path, table, expected)
    messages = list(table.warnings)
    if columns.alike:
        messages.append(
            f"the file has {len(columns.alike) + 1} columns of intensities: the first is used, not "
            f"{', '.join(columns.alike)}"
        )
    x = table.values[:, columns.abscissa] * columns.scale
    intensity = table.values[:, columns.intensity].copy()
    if columns.factor is not None:
        intensity *= table.values[:, columns.factor]
    intensity[np.abs(intensity) > MAX_INTENSITY] = np.nan  # not measured
    if np.count_nonzero(marks := np.isin(intensity, NO_READING)):
        messages.append(
            f"{np.count_nonzero(marks)} points at {intensity[marks].max():.0f}, the mark of a dead pixel: "
            "masked"
        )
        intensity[marks] = np.nan
    if (first := first_of_scans(x)) < x.size:
        messages.append("the file has several scans of the same range one below the other: the first is used")
        table = replace(table, values=table.values[:first])
        x, intensity = x[:first], intensity[:first]
    _check_not_swapped(path, x, intensity)
    _check_decimal_commas(path, table.values)
    if derived := not_a_pattern(intensity[np.argsort(x, kind="stable")]):
        raise PatternFileError(
            f"{path}: this looks like {derived}; sizes need the measured intensity against 2θ or Q"
        )
    wavelength = _wavelength(path, table, wavelength_angstrom, messages)
    otherwise = choice(Axis, unnamed, "unnamed")
    quantity = columns.axis or expected or _unnamed_axis(path, table, columns, x, wavelength, otherwise)
    q = _momentum_transfer(path, x, quantity, wavelength, columns)

    keep = (q > 0) & np.isfinite(q)
    if np.count_nonzero(keep) < 2:
        raise PatternFileError(f"{path}: {np.count_nonzero(keep)} points at Q > 0, there must be at least 2")
    order = np.flatnonzero(keep)[np.argsort(q[keep], kind="stable")]
    q, intensity = q[order], intensity[order]
    noise = scatter_noise(intensity)
    marked, message = gaps(intensity, noise.per_intensity)
    if message:
        messages.append(message)
        intensity = np.where(marked, np.nan, intensity)
        noise = _noise_beside_gaps(intensity)
    sigma, source = _sigma(table, columns, order, intensity, messages)
    photons_known = sigma is not None
    if sigma is None:
        sigma, photons_known = _estimated(intensity, noise)
    if removed := background_removed(intensity, noise):
        messages.append(removed)
    try:
        pattern = Pattern.from_arrays(q, intensity, sigma)
    except PatternError as error:  # fewer than two different points
        raise PatternFileError(f"{path}: {error}") from error
    return LoadedPattern(
        pattern=pattern,
        axis=quantity,
        wavelength_angstrom=wavelength,
        sigma_source=source,
        photons_known=photons_known,
        warnings=tuple(messages),
    )


def read_pattern(
    path: str | os.PathLike[str], wavelength_angstrom: float | None = None, axis: Axis | str | None = None
) -> Pattern:
    """Read a pattern; what is unusual in the file is issued as a `PatternFileWarning`.

    Parameters
    ----------
    path, wavelength_angstrom, axis
        As in `load_pattern`.

    Returns
    -------
    The pattern, sorted by Q.

    Raises
    ------
    PatternError, ConfigurationError
        As `load_pattern`.
    """
    loaded = load_pattern(path, wavelength_angstrom, axis)
    for message in loaded.warnings:
        warnings.warn(f"{path}: {message}", PatternFileWarning, stacklevel=2)
    return loaded.pattern


def read_curve(
    path: str | os.PathLike[str], axis: Axis | str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """Read the columns of a file as they are.

    Parameters
    ----------
    path
        File as in `load_pattern`.
    axis
        Quantity that the first column must have; a file that names another one is rejected. None for any.

    Returns
    -------
    Abscissa, ordinate and, where the file has such a column, sigma; each of shape (n,), in the
    order of the file, in degrees or Å⁻¹ where the file names the unit.

    Raises
    ------
    PatternFileError
        The file cannot be read, or has another first column.
    """
    path = Path(path)
    table = _table(path)
    columns = find_columns(path, table, None if axis is None else choice(Axis, axis, "axis"))
    sigma = None if columns.sigma is None else table.values[:, columns.sigma]
    return table.values[:, columns.abscissa] * columns.scale, table.values[:, columns.intensity], sigma


def _table(path: Path) -> Table:
    """Read the numbers of a file in any of the formats."""
    content = read_bytes(path)
    if content.startswith(HDF5_MAGIC):
        return nexus_table(path)
    text = text_of(path, content)
    for recognised, read in (
        (is_xrdml, xrdml_table),
        (is_powder_cif, powder_cif_table),
        (is_gsas, gsas_table),
        (is_uxd, uxd_table),
        *STEP_FORMATS,
    ):
        if recognised(text):
            return read(path, text)
    table = table_of(path, first_spec_scan(text))
    if text.count("\n#S ") > 1 - text.startswith("#S "):
        table = replace(table, warnings=(*table.warnings, "the file has several scans: the first is used"))
    if RIGAKU_MARK in text[:1000] and table.values.shape[1] == 3:
        return Table(table.values, table.header, ("2theta", "intensity", "attenuator"), table.warnings)
    return table


def _unnamed_axis(
    path: Path,
    table: Table,
    columns: Columns,
    x: NDArray[np.float64],
    wavelength: float | None,
    otherwise: Axis,
) -> Axis:
    """Return the given axis; ask where the header leaves it open and the range fits both quantities."""
    template = any("{" in line or "pyfai" in line.lower() for line in table.header)
    limit = MAX_Q_INV_ANGSTROM if wavelength is None else 4 * np.pi / wavelength
    inverse = re.search(r"1/|-1|⁻¹", columns.axis_name)
    if inverse or ((template or columns.axis_name) and np.nanmax(x) <= limit):
        what = "does not state the unit of the first column"
        if columns.axis_name and "{" not in columns.axis_name:
            what = f"names the first column {columns.axis_name!r}"
        raise PatternFileError(
            f"{path}: the header {what}, and {np.nanmin(x):.4g} to {np.nanmax(x):.4g} may be 2θ in "
            f"degrees or "
            "Q in Å⁻¹: give --axis two-theta or --axis q"
        )
    return otherwise


def _check_not_swapped(path: Path, x: NDArray[np.float64], intensity: NDArray[np.float64]) -> None:
    """Reject columns in the wrong order: the axis goes one way, the intensity up and down."""

    def one_way(values: NDArray[np.float64]) -> float:
        steps = np.diff(values[np.isfinite(values)])
        return float(max(np.mean(steps > 0), np.mean(steps < 0))) if steps.size else 0.0

    if (
        x.size > 24
        and one_way(x) < 0.75
        and one_way(intensity) == 1.0
        and np.ptp(np.diff(intensity)) < 1e-3 * np.ptp(intensity)
    ):
        raise PatternFileError(
            f"{path}: the second column rises in equal steps and the first does not: are the columns swapped?"
        )


def _check_decimal_commas(path: Path, values: NDArray[np.float64]) -> None:
    """Reject whole numbers that stay the same for many rows: what stands before a decimal comma."""
    x = values[:, 0]
    n_different = np.unique(x).size
    if x.size > 24 and np.all(x == np.rint(x)) and 1 < n_different < x.size / 4 and values.shape[1] > 2:
        raise PatternFileError(
            f"{path}: the first column has {n_different} different whole numbers in {x.size} rows: do commas "
            "separate both decimals and columns? Export with decimal points, or with semicolons between "
            "columns"
        )


def _wavelength(path: Path, table: Table, given: float | None, messages: list[str]) -> float | None:
    """Return the given wavelength or that of the file, which must agree."""
    stated = header_wavelength(table)
    if stated is not None:
        try:
            check_wavelength(stated)
        except PatternError as error:
            raise PatternFileError(f"{path}: {error}") from error
    # Some programs give nanometres without saying so (BGMN: lambda=0.154060).
    of_tube = stated is not None and any(
        abs(10 * stated / line - 1) < SAME_LINE for line in TUBE_LINES_ANGSTROM
    )
    if stated is not None and of_tube:
        if given is not None and abs(10 * stated / given - 1) <= MAX_WAVELENGTH_DIFFERENCE:
            stated *= 10
        elif given is None:
            raise PatternFileError(
                f"{path} states a wavelength of {stated:.6g} without a unit, which may be {stated:.6g} "
                f"Å, or the "
                f"line of an X-ray tube in nm, {10 * stated:.6g} Å: give --wavelength"
            )
    if given is None:
        return stated
    check_wavelength(given)
    if stated is not None:
        difference = abs(stated / given - 1)
        if difference > MAX_WAVELENGTH_DIFFERENCE:
            raise PatternFileError(
                f"{path} states a wavelength of {stated:.6g} Å, but {given:.6g} Å is given: leave the "
                "wavelength out to use that of the file, or correct its header"
            )
        if difference > SAME_WAVELENGTH:
            messages.append(f"the file states a wavelength of {stated:.6g} Å, {given:.6g} Å is used as given")
    return given


def _momentum_transfer(
    path: Path, x: NDArray[np.float64], axis: Axis, wavelength: float | None, columns: Columns
) -> NDArray[np.float64]:
    """Convert the axis to Q, with hints where its values cannot be of that quantity."""
    highest = float("nan") if np.all(np.isnan(x)) else float(np.nanmax(np.abs(x)))
    if axis is Axis.Q:
        limit = MAX_Q_INV_ANGSTROM if wavelength is None else 4 * np.pi / wavelength
        if highest > limit:
            reach = (
                f"cannot be measured at {wavelength:g} Å (the limit is 4π/λ = {limit:.4g} Å⁻¹)"
                if wavelength
                else f"is too large (at most {limit:g} Å⁻¹)"
            )
            hint = _q_hint(highest, limit)
            raise PatternFileError(f"{path}: Q = {highest:.4g} Å⁻¹ {reach}: {hint}")
        return x
    if highest > MAX_TWO_THETA_DEG:
        steps = np.diff(x[np.isfinite(x)])
        hint = (
            "is it the number of the row or channel?"
            if steps.size and np.all(steps == 1)
            else "is it in hundredths of a degree?"
            if highest > MIN_CENTIDEGREES
            else "is the first column 2θ in degrees?"
        )
        raise PatternFileError(f"{path}: angle {highest:.6g}° is past 180°: {hint}")
    if highest < MAX_RADIANS and columns.axis is None and x.size > 24:
        raise PatternFileError(
            f"{path}: all angles are below {highest:.3g}°: are they in radians? Convert them to degrees; or "
            "is the first column Q (--axis q)?"
        )
    if wavelength is None:
        raise PatternFileError(
            f"{path}: angles need a wavelength, and the file states none: give the wavelength "
            "(--wavelength, in Å) or the energy (--energy 22keV)"
        )
    return q_from_two_theta(x, wavelength)


def _q_hint(highest: float, limit: float) -> str:
    if highest < 1.5 * limit:
        return "check the wavelength"
    return "is the column in nm⁻¹ (divide it by 10), or 2θ in degrees (--axis two-theta)?"


def _sigma(
    table: Table,
    columns: Columns,
    order: NDArray[np.intp],
    intensity: NDArray[np.float64],
    messages: list[str],
) -> tuple[NDArray[np.float64] | None, str]:
    """Return the sigma of a file, and where it is from; None where it has none that behaves like one."""
    estimated = "scatter of neighbouring points"
    if columns.sigma is None:
        return None, estimated
    column = table.values[order, columns.sigma]
    if columns.sigma_kind is SigmaKind.RELATIVE:
        messages.append(
            "the sigma column is not used as sigma (its name does not say whether it is a fraction or in per "
            "cent): the noise is estimated from the scatter of points"
        )
        return None, estimated
    if columns.sigma_kind is SigmaKind.PER_CENT:
        column = np.abs(intensity) * column / 100
    elif columns.sigma_kind is SigmaKind.VARIANCE:
        column = np.sqrt(np.where(column > 0, column, np.nan))
    if columns.factor is not None and columns.sigma_kind is not SigmaKind.PER_CENT:
        column = column * table.values[order, columns.factor]
    named = columns.sigma_kind is not SigmaKind.UNNAMED
    if reason := not_sigma(column, intensity, named):
        what = "the sigma column" if named else "the third column"
        messages.append(
            f"{what} is not used as sigma ({reason}): the noise is estimated from the scatter of points"
        )
        return None, estimated
    return column, f"column {columns.sigma + 1}"


def _noise_beside_gaps(intensity: NDArray[np.float64]) -> ScatterNoise:
    """Noise of the points that are not in a gap, on all points."""
    present = np.isfinite(intensity)
    noise = scatter_noise(intensity[present])
    if noise.sigma is None:
        return noise
    sigma = np.full(intensity.size, np.nan)
    sigma[present] = noise.sigma
    return ScatterNoise(sigma, noise.constant, noise.per_intensity)


def _estimated(
    intensity: NDArray[np.float64], noise: ScatterNoise
) -> tuple[NDArray[np.float64] | None, bool]:
    """Return the noise from the scatter of points, and whether the intensities are counts."""
    finite = intensity[np.isfinite(intensity)]
    whole = bool(finite.size and np.all(finite == np.rint(finite)) and finite.min() >= 0)
    if noise.sigma is None:
        return None, whole
    counts = whole and noise.is_counting and COUNTS_SCALE[0] < noise.per_intensity < COUNTS_SCALE[1]
    return noise.sigma, counts


def write_pattern(path: str | os.PathLike[str], pattern: Pattern) -> None:
    """Write the usable points of a pattern as three columns: Q, intensity, sigma.

    Parameters
    ----------
    path
        File to write; it appears complete or not at all.
    pattern
        Pattern to write.
    """
    path = Path(path)
    rows = np.column_stack(
        [array[pattern.usable] for array in (pattern.q_inv_angstrom, pattern.intensity, pattern.sigma)]
    )
    part = path.with_name(path.name + ".part")
    np.savetxt(part, rows, fmt="%.10g", header="q_inv_angstrom intensity sigma", comments="# ")
    os.replace(part, path)
