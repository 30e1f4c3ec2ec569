"""Text files of patterns: .xy, .xye, .dat and .csv."""

import os
import re
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import PatternFileError
from ._axis import check_wavelength, q_from_two_theta, two_theta_from_q
from ._noise import counting_scale
from ._pattern import Pattern

__all__ = ["Axis", "read_curve", "read_pattern", "write_pattern"]

SEPARATOR = re.compile(r"[,;\s]+")

RELATIVE_FLOOR = 1e-3
"""Smallest relative sigma given to a point of a file without errors: no calibration is better than
one part in a thousand, and a curve without noise must not look infinitely precise."""

MOST_NAME_WORDS = 6
"""Names and units of three columns; a line of more words is a sentence."""


class Axis(StrEnum):
    """What the first column of a file holds."""

    TWO_THETA = "two-theta"
    """Scattering angle, degrees."""
    Q = "q"
    """Momentum transfer, Å⁻¹."""


NAMES = {
    Axis.TWO_THETA: re.compile(r"(2|two)[-_]?[tθ]|tth|angle", re.IGNORECASE),
    Axis.Q: re.compile(r"q(?![a-z-])", re.IGNORECASE),
}
"""How programs call these columns: 2th_deg, 2-Theta, tth, two_theta; q_A^-1, q_inv_angstrom, Q(1/A)."""


def read_curve(
    path: Path, axis: Axis | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """Read two or three columns of numbers.

    Columns are separated by blanks, commas or semicolons; text after ``#`` is a comment. Titles and column
    names may stand before the numbers. Columns past the third are not read.

    Parameters
    ----------
    path
        Text file.
    axis
        What the first column ought to hold: a file that calls it something else is refused. Names are not
        looked at where this is left out.

    Returns
    -------
    Abscissa, ordinate and, where the file has a third column, sigma; each of shape (n,), in the
    order of the file.

    Raises
    ------
    PatternFileError
        The file is missing, empty, not text, has one column, rows of unequal length, words among its
        numbers, or another first column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PatternFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PatternFileError(
            f"{path} is not a text file: give two or three columns of numbers (.xy, .xye, .dat, .csv)"
        ) from error
    rows: list[list[float]] = []
    title, narrow = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        content, _, comment = line.partition("#")
        if not content.strip():
            title = title if rows else comment.strip() or title
            continue
        cells = SEPARATOR.split(content.strip(",; \t\r"))
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            if rows:
                raise PatternFileError(
                    f"{path}, line {number}: {content.strip()[:40]!r} is not a row of numbers: "
                    "start comments with '#'"
                ) from None
            title = content.strip()
            continue
        if len(values) < 2 and not rows:  # FIT2D writes the number of points before them
            narrow = narrow or number
            continue
        if rows and len(values) != len(rows[0]):
            raise PatternFileError(
                f"{path}, line {number}: {len(values)} columns after rows of {len(rows[0])}: "
                "every row needs the same number"
            )
        rows.append(values)
    if not rows and narrow:
        raise PatternFileError(
            f"{path}, line {narrow}: 1 column, at least 2 are needed: angle (or Q), intensity and, "
            "where known, sigma"
        )
    if not rows:
        raise PatternFileError(f"{path} holds no numbers: two or three columns are needed")
    if axis is not None:
        _check_name(path, title, axis)
    table = np.array(rows)
    return table[:, 0], table[:, 1], table[:, 2] if table.shape[1] > 2 else None


def _check_name(path: Path, title: str, axis: Axis) -> None:
    """Refuse a first column whose name, in the last line before the numbers, says that it is another."""
    words = SEPARATOR.split(title.replace('"', " ").strip())
    if len(words) > MOST_NAME_WORDS:  # a sentence
        return
    for other, name in NAMES.items():
        if other is not axis and name.match(words[0]):
            raise PatternFileError(
                f"{path}: the first column is called {words[0]!r}, {axis.value} is expected: name its axis "
                f"(--axis {other.value}) or convert the file"
            )
    if axis is Axis.Q and NAMES[axis].match(words[0]) and "nm" in words[0]:
        raise PatternFileError(
            f"{path}: the first column is called {words[0]!r}, Å⁻¹ is needed: divide it by 10"
        )


def read_pattern(path: Path, wavelength_angstrom: float, axis: Axis = Axis.TWO_THETA) -> Pattern:
    """Read a pattern; without a third column, sigma comes from the scatter of the points.

    Parameters
    ----------
    path
        Text file as in `read_curve`, rows in any order; rows at Q ≤ 0 are left out.
    wavelength_angstrom
        Wavelength, Å; Q past 4π/λ is refused.
    axis
        What the first column holds.

    Returns
    -------
    The pattern, sorted by Q.

    Raises
    ------
    PatternError
        As `read_curve`; or the wavelength is not that of X-rays, an angle lies past 180°, a Q is out
        of reach, or fewer than two points are left.
    """
    abscissa, intensity, sigma = read_curve(path, axis)
    check_wavelength(wavelength_angstrom)
    if axis is Axis.TWO_THETA:
        if np.nanmax(abscissa) > 180:
            raise PatternFileError(
                f"{path}: angle {np.nanmax(abscissa):.6g}° is past 180°: is the first column 2θ in degrees?"
            )
        q = q_from_two_theta(abscissa, wavelength_angstrom)
    else:
        two_theta_from_q(abscissa[np.isfinite(abscissa)], wavelength_angstrom)
        q = abscissa
    keep = q > 0
    q, intensity = q[keep], intensity[keep]
    if q.size < 2:
        raise PatternFileError(f"{path}: {q.size} points at Q > 0, at least 2 are needed")
    order = np.argsort(q, kind="stable")
    q, intensity = q[order], intensity[order]
    if sigma is not None:
        return Pattern.from_arrays(q, intensity, sigma[keep][order])
    scale = counting_scale(intensity)
    if not np.isfinite(scale):
        return Pattern.from_arrays(q, intensity)
    variance = scale * np.maximum(intensity, scale)
    return Pattern.from_arrays(
        q, intensity, np.sqrt(np.maximum(variance, (RELATIVE_FLOOR * np.abs(intensity)) ** 2))
    )


def write_pattern(path: str | os.PathLike[str], pattern: Pattern) -> None:
    """Write the usable points of a pattern as three columns: Q, intensity, sigma.

    Parameters
    ----------
    path
        File to write; it appears whole or not at all.
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
