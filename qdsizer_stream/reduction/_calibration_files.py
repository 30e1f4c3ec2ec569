"""Text files of a detector: angle calibrations, bad strips, flat fields."""

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..configuration import choice, validated
from ..errors import CalibrationError
from ._geometry import MODULE_STRIPS, PITCH_MM, StripDetector, StripModule

__all__ = [
    "AngleConvention",
    "FlatField",
    "FlatLayout",
    "read_angle_calibration",
    "read_bad_strips",
    "read_flat_field",
    "write_angle_calibration",
    "write_bad_strips",
    "write_flat_field",
]

GDA_CENTRE_DEG = 2.404350
"""Constant that openGDA adds to every angle at beamline I11, instead of (180/π) c|k| of each module."""

STRIP_LENGTH_MM = 8.0
"""Length of a strip across the scattering plane."""

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?)"
ERROR = rf"(?:\+-\s*{NUMBER})?"
ANGLE_LINE = re.compile(
    rf"\s*module\s+(\d+)\s+center\s+{NUMBER}\s*{ERROR}\s*conversion\s+{NUMBER}\s*{ERROR}\s*offset\s+{NUMBER}\s*{ERROR}\s*"
)


class AngleConvention(StrEnum):
    """Reference of the offsets of an angle calibration, which the file does not state."""

    PSI = "psi"
    """2θ = o + (180/π)[c|k| + atan((j - c)|k|)]: SLS, ALBA, the slsDetector software."""
    GDA = "gda"
    """2θ = 2.404350° + o + (180/π) atan((j - c)|k|): Diamond I11."""


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CalibrationError(f"cannot read {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{what} {path} is not a text file") from error


def _write(path: Path, text: str) -> None:
    """Write a file atomically: it appears complete or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def read_angle_calibration(
    path: str | os.PathLike[str], convention: AngleConvention | str
) -> tuple[StripModule, ...]:
    """Read an angle calibration (`.off`) with one line per module.

    Parameters
    ----------
    path
        File with lines ``module 0 center 643.32 +- 0 conversion 0.6576E-04 +- 0 offset 0.0 +- 0``, in
        any order. The errors are ignored, because the software that writes them writes zeros.
    convention
        Reference of the offsets: "psi" or "gda".

    Returns
    -------
    The modules in the order of their indices, with offsets in the PSI convention.

    Raises
    ------
    CalibrationError
        The file is missing, empty or in another layout; a module is missing or given twice.
    ConfigurationError
        A value is out of range, or the convention is not known.
    """
    path, convention = Path(path), choice(AngleConvention, convention, "convention")
    found: dict[int, StripModule] = {}
    for number, line in enumerate(_text(path, "angle calibration").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = ANGLE_LINE.fullmatch(line)
        if match is None:
            raise CalibrationError(
                f"{path}, line {number}: {line.strip()[:60]!r} is not a module of an angle calibration: "
                "the line must be 'module N center C +- E conversion K +- E offset O +- E'"
            )
        module = int(match[1])
        centre, conversion, offset = (float(match[group].upper().replace("D", "E")) for group in (2, 4, 6))
        if module in found:
            raise CalibrationError(f"{path}, line {number}: module {module} is given twice")
        if convention is AngleConvention.GDA:
            offset += GDA_CENTRE_DEG - math.degrees(centre * abs(conversion))
        found[module] = validated(
            StripModule,
            {"centre_strip": centre, "conversion_rad_per_strip": conversion, "offset_deg": offset},
            f"{path}, line {number}",
        )
    if not found:
        raise CalibrationError(f"{path} contains no module: it must have lines 'module N center …'")
    if missing := sorted(set(range(max(found) + 1)) - set(found)):
        raise CalibrationError(
            f"{path}: modules {missing} of 0 … {max(found)} are missing: give one line per module"
        )
    return tuple(found[module] for module in sorted(found))


def write_angle_calibration(
    path: str | os.PathLike[str], modules: Iterable[StripModule], convention: AngleConvention | str
) -> None:
    """Write an angle calibration with enough digits to read back the same numbers.

    Parameters
    ----------
    path
        File to write; it appears complete or not at all.
    modules
        Modules in the order of their strips.
    convention
        Reference of the written offsets: "psi" or "gda".

    Raises
    ------
    CalibrationError
        A module does not turn with the arm, which the format cannot express.
    ConfigurationError
        The convention is not known.
    """
    path, convention = Path(path), choice(AngleConvention, convention, "convention")
    lines = []
    for number, module in enumerate(modules):
        if module.arm_factor != 1:
            raise CalibrationError(
                f"module {number} has arm_factor {module.arm_factor}: an angle-calibration file can only "
                "hold modules that turn with the arm (1)"
            )
        offset = module.offset_deg
        if convention is AngleConvention.GDA:
            offset -= GDA_CENTRE_DEG - math.degrees(
                module.centre_strip * abs(module.conversion_rad_per_strip)
            )
        lines.append(
            f"module {number} center {module.centre_strip:.17g} +- 0.0000 "
            f"conversion {module.conversion_rad_per_strip:.17E} +- 0.0000 offset {offset:.17g} +- 0.0000\n"
        )
    _write(path, "".join(lines))


def read_bad_strips(path: str | os.PathLike[str], n_strips: int) -> NDArray[np.intp]:
    """Read a list of bad strips: one strip or one inclusive range ``20-42`` per line.

    Parameters
    ----------
    path
        Text file with ``#`` comments; it may be empty.
    n_strips
        Number of strips of the detector.

    Returns
    -------
    Strip numbers over all modules (1280 × module + strip), ascending, each once.

    Raises
    ------
    CalibrationError
        The file is missing, a line is neither a strip nor a range, or a strip is not on the detector.
    """
    path = Path(path)
    bad: set[int] = set()
    for number, line in enumerate(_text(path, "bad-strip list").splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", content)
        if match is None:
            raise CalibrationError(
                f"{path}, line {number}: {content[:40]!r} is neither a strip number nor a range such as 20-42"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < n_strips:
            raise CalibrationError(
                f"{path}, line {number}: strips {first} to {last} are not on a detector of {n_strips} "
                f"strips: give 0 … {n_strips - 1}, ranges ascending"
            )
        bad.update(range(first, last + 1))
    return np.array(sorted(bad), dtype=np.intp)


def write_bad_strips(path: str | os.PathLike[str], strips: Iterable[int]) -> None:
    """Write a list of bad strips, with adjacent strips as ranges.

    Parameters
    ----------
    path
        File to write; it appears complete or not at all.
    strips
        Strip numbers over all modules.
    """
    path = Path(path)
    runs: list[list[int]] = []
    for strip in sorted(set(strips)):
        if runs and strip == runs[-1][1] + 1:
            runs[-1][1] = strip
        else:
            runs.append([strip, strip])
    _write(path, "".join(f"{a}\n" if a == b else f"{a}-{b}\n" for a, b in runs))


class FlatLayout(StrEnum):
    """Columns of a flat-field file, which the file does not state."""

    COUNTS = "counts"
    """``strip counts``: counts of each strip while it was swept past one window (legacy, GDA)."""
    ANGCAL = "angcal"
    """``strip flat error solid-angle width``: response corrected for the solid angle, -1 if not covered."""


@dataclass(frozen=True, eq=False, repr=False)
class FlatField:
    """Response of the strips to the same intensity, relative to the mean of the good strips.

    Parameters
    ----------
    response
        Relative response, shape (n_strips,); NaN for a strip that was not covered or is dead.
    sigma
        Its standard deviation, shape (n_strips,).
    holds_width
        True if the response includes the angular width of the strips, which must then not be corrected
        again.

    Raises
    ------
    CalibrationError
        The arrays have different shapes or no whole number of modules, or no strip has a response.
    """

    response: NDArray[np.float64]
    sigma: NDArray[np.float64]
    holds_width: bool

    def __post_init__(self) -> None:
        if self.response.ndim != 1 or self.response.shape != self.sigma.shape:
            raise CalibrationError(
                f"a flat field needs two 1-D arrays of equal length, found {self.response.shape} "
                f"and {self.sigma.shape}"
            )
        if self.response.size == 0 or self.response.size % MODULE_STRIPS:
            raise CalibrationError(
                f"the flat field has {self.response.size} strips: it must have whole modules of "
                f"{MODULE_STRIPS}"
            )
        if not np.any(self.response > 0):
            raise CalibrationError("the flat field has no strip with a positive response")

    def __repr__(self) -> str:
        good = int(np.count_nonzero(self.response > 0))
        widths = "with" if self.holds_width else "without"
        return f"<FlatField: {good} of {self.response.size} strips, {widths} strip widths>"

    @classmethod
    def from_counts(cls, counts: NDArray[np.floating]) -> "FlatField":
        """Create a flat field from the counts of each strip in the same intensity.

        Parameters
        ----------
        counts
            Counts, shape (n_strips,); a strip without positive counts has no response.

        Returns
        -------
        The flat field, with the counting error of the counts.

        Raises
        ------
        CalibrationError
            As for the class.
        """
        good = counts > 0
        values = np.where(good, counts, np.nan).astype(np.float64)
        mean = float(np.nanmean(values)) if np.any(good) else math.nan
        return cls(values / mean, np.sqrt(values) / mean, holds_width=True)


def read_flat_field(path: str | os.PathLike[str], n_strips: int, layout: FlatLayout | str) -> FlatField:
    """Read a flat field.

    Parameters
    ----------
    path
        Text file; a line of column names and ``#`` comments may come before the numbers.
    n_strips
        Number of strips of the detector.
    layout
        Meaning of the columns: "counts" or "angcal".

    Returns
    -------
    The flat field, with a mean response of 1 of the good strips.

    Raises
    ------
    CalibrationError
        The file is missing or in another layout, or does not contain every strip once.
    ConfigurationError
        The layout is not known.
    """
    path, layout = Path(path), choice(FlatLayout, layout, "layout")
    n_columns = 2 if layout is FlatLayout.COUNTS else 5
    rows: list[list[float]] = []
    for number, line in enumerate(_text(path, "flat field").splitlines(), start=1):
        cells = line.partition("#")[0].replace(",", " ").split()
        if not cells:
            continue
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            if rows:
                raise CalibrationError(
                    f"{path}, line {number}: {line.strip()[:40]!r} is not a row of numbers"
                ) from None
            continue  # column names
        if len(values) != n_columns:
            raise CalibrationError(
                f"{path}, line {number}: {len(values)} columns, but layout {layout.value!r} has {n_columns}: "
                f"give the layout of this file, one of {', '.join(FlatLayout)}"
            )
        rows.append(values)
    table = np.array(rows).reshape(-1, n_columns)
    if table.shape[0] != n_strips or not np.array_equal(np.sort(table[:, 0]), np.arange(n_strips)):
        raise CalibrationError(
            f"flat field {path} has {table.shape[0]} rows, the detector strips 0 … {n_strips - 1}: "
            "every strip must appear exactly once"
        )
    table = table[np.argsort(table[:, 0])]
    if (endless := np.flatnonzero(np.isinf(table).any(axis=1))).size:
        raise CalibrationError(
            f"flat field {path}: strip {endless[0]} has an infinite value: give 0 for strips without counts"
        )
    if layout is FlatLayout.COUNTS:
        return FlatField.from_counts(table[:, 1])
    good = table[:, 1] > 0
    if not np.any(good):
        raise CalibrationError(f"flat field {path} covers no strip: all values are negative or zero")
    mean = float(table[good, 1].mean())
    return FlatField(
        np.where(good, table[:, 1] / mean, np.nan),
        np.where(good, table[:, 2] / mean, np.nan),
        holds_width=False,
    )


def write_flat_field(path: str | os.PathLike[str], flat: FlatField, detector: StripDetector) -> None:
    """Write a flat field in the layout that matches it.

    Parameters
    ----------
    path
        File to write; it appears complete or not at all.
    flat
        Flat field. If it includes the widths of the strips, the original counts are written (layout
        ``counts``); if not, five columns (layout ``angcal``).
    detector
        Calibration of the same detector, for the solid-angle and width columns.

    Raises
    ------
    CalibrationError
        The flat field and the detector have different numbers of strips.
    """
    path = Path(path)
    if flat.response.size != detector.n_strips:
        raise CalibrationError(
            f"the flat field has {flat.response.size} strips, the detector {detector.n_strips}: give the "
            "flat field of this detector"
        )
    good = np.isfinite(flat.response)
    if flat.holds_width:
        counts = np.where(good, np.rint((flat.response / flat.sigma) ** 2), 0.0)
        _write(path, "".join(f"{strip} {count:.0f}\n" for strip, count in enumerate(counts)))
        return
    width = detector.strip_width_deg()
    distance = np.repeat([module.distance_mm for module in detector.modules], MODULE_STRIPS)
    # Ω = p w cos³µ / R², and the width is (p/R) cos²µ.
    cosine = np.sqrt(np.radians(width) * distance / PITCH_MM)
    solid_angle = PITCH_MM * STRIP_LENGTH_MM * cosine**3 / distance**2
    rows = zip(
        np.where(good, flat.response, -1.0), np.where(good, flat.sigma, -1.0), solid_angle, width, strict=True
    )
    lines = [
        f"{strip} " + " ".join(f"{value:.10g}" for value in row) + "\n" for strip, row in enumerate(rows)
    ]
    _write(path, "channel flatfield error solid_angle width\n" + "".join(lines))
