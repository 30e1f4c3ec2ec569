"""Meaning of the columns of a pattern file, and its wavelength, from names and units."""

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ..errors import PatternFileError
from ._axis import HC_EV_ANGSTROM, Axis
from ._table import Table

__all__ = ["Columns", "SigmaKind", "find_columns", "header_wavelength"]

MAX_NAME_WORDS = 6
"""Names and units of three columns; a line of more words is a sentence, unless each word is one column."""


class SigmaKind(StrEnum):
    """How a column gives the standard deviation of the intensity."""

    NONE = "none"
    """There is no such column."""
    NAMED = "named"
    """A column with a name for the standard deviation."""
    PER_CENT = "per cent"
    """The standard deviation in per cent of the intensity."""
    RELATIVE = "relative"
    """Relative to the intensity, without a word on whether it is a fraction or in per cent."""
    VARIANCE = "variance"
    """The square of the standard deviation."""
    UNNAMED = "unnamed"
    """The third column of a file without names."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column holds what."""

    abscissa: int = 0
    """Angle or Q."""
    intensity: int = 1
    """Intensity."""
    sigma: int | None = None
    """Standard deviation; None for none."""
    sigma_kind: SigmaKind = SigmaKind.NONE
    """How it is given."""
    factor: int | None = None
    """Attenuation that multiplies the intensity (Rigaku); None for none."""
    alike: tuple[str, ...] = ()
    """Names of other columns of intensities."""
    axis: Axis | None = None
    """Quantity in the abscissa, if the file names it."""
    axis_name: str = ""
    """Name of the abscissa in the file; where `axis` is None, one that is of neither quantity, such as X."""
    scale: float = 1.0
    """Factor to degrees or Å⁻¹."""


MAX_LINES_BELOW_NAMES = 2
"""Lines of units and comments between the names of columns and their numbers."""

MAX_WORDS_PER_NAME = 3
"""As in "2-Theta Angle"; more words are part of a sentence."""

TWO_THETA = re.compile(
    r"(2|two)[-_ ]?(t(?![a-z])|th|theta|θ|ϑ)|tth|angle|ang\b|pos\.?\s*[\[(]?\s*°?\s*2|position"
    r"|°|deg(\.|rees?)?(?![a-z])|winkel|grad(?![a-z])",
    re.IGNORECASE,
)
Q = re.compile(
    r"\|?(q|s_?q)\|?(?![a-z-])|q-?(nm|r|abs|mag|tot|vec(tor)?)(?![a-z])|\w+_q$|momentum|scattering.vector",
    re.IGNORECASE,
)
"""How programs name these columns: 2th_deg, 2-Theta, tth, two_theta; q_A^-1, q_inv_angstrom, Q(1/A)."""

NANOMETRES = re.compile(r"nm|nano", re.IGNORECASE)
METRES = re.compile(r"(?<![a-z])(c?)m(?:\^?\{?\(?-1|⁻¹)|1/(c?)m\b|/(c?)m(?:\^-1|⁻¹)?$", re.IGNORECASE)
RADIANS = re.compile(r"(?<![a-z])(m)?rad", re.IGNORECASE)
CENTIDEGREES = re.compile(r"centi|cdeg", re.IGNORECASE)

INTENSITY = re.compile(
    r"i$|i[\s(_\[]|int(?!erv)|y$|y_?(obs|exp|meas)|i_?(obs|exp|meas|sum)|counts?|cts|cps|signal|det(ector)?$",
    re.IGNORECASE,
)
SIGMA = re.compile(
    r"σ|sig|err|e\.?s\.?d|std|stdev|dev$|idev|d_?i$|d_?y$|[de]_?i[\s(_\[]|y_?err|unc|poisson|sem$|s$|e$",
    re.IGNORECASE,
)
PER_CENT = re.compile(r"%|percent|per_cent", re.IGNORECASE)
RELATIVE = re.compile(r"(?<![a-z])rel", re.IGNORECASE)
OF_ABSCISSA = re.compile(
    r"(sig(ma)?|std|err(or)?|unc|esd)[\s_(]*(of )?q|q[\s_]*(err|unc|std|sig|dev|esd)", re.IGNORECASE
)
"""Error of Q, not of the intensity."""
VARIANCE = re.compile(
    r"var(iance)?|(σ|sig(ma)?|err(or)?|e\.?s\.?d\.?|std|unc|d_?i)[\s_]*(²|(\^|\*\*)\s*2|sq)|sigma2",
    re.IGNORECASE,
)
NOT_MEASURED = re.compile(r"calc|bkg|back|diff|resid|weight|fit|mon|time", re.IGNORECASE)
NOT_DIFFRACTION = {
    re.compile(r"sqrt[\s(_]*i|√|root", re.IGNORECASE): "the square root of the intensity",
    re.compile(r"q\^?[24]?\s*[*·×]\s*i|i\s*[*·×]\s*q|kratky", re.IGNORECASE): "an intensity times Q",
    re.compile(r"log(10)?[\s(_]*i|ln[\s(_]*i|i?_?log$", re.IGNORECASE): "the logarithm of the intensity",
    re.compile(r"s\(q\)", re.IGNORECASE): "S(Q)",
    re.compile(r"f\(q\)", re.IGNORECASE): "F(Q)",
    re.compile(r"g\s*\(|gr?$|r\s*[(\[]", re.IGNORECASE): "G(r)",
}

OTHER_AXIS = {
    re.compile(r"(bragg[\s_-]*(angle|theta)|theta|th|θ|omega|ω)(?![a-z])", re.IGNORECASE): (
        "half the scattering angle",
        "give 2θ, which is twice as large",
    ),
    re.compile(r"wave.?(vector|number)|k(?=\s*[(\[/])", re.IGNORECASE): (
        "a wave vector, which may be Q or 1/d",
        "name the column Q, with its unit, if it is 4π sin θ/λ",
    ),
    re.compile(r"1/d(?![a-z])", re.IGNORECASE): ("1/d", "give Q, which is 2π/d"),
    re.compile(
        r"d([\s_-]*(spacing|hkl|value|a(?![a-z])|ang|nm)|(?=\s*[(\[/]))|d$|lattice.spac", re.IGNORECASE
    ): (
        "a lattice spacing",
        "give Q = 2π/d",
    ),
    re.compile(r"sin[\s_(]*(th|θ)|s(?=\s*[(\[/]\s*(1/)?(Å|A|nm))", re.IGNORECASE): (
        "1/d or sin θ/λ",
        "give Q, which is 2π/d or 4π sin θ/λ",
    ),
    re.compile(r"tof\b|time.of.flight|microseconds", re.IGNORECASE): ("a time of flight", "convert it to Q"),
    re.compile(r"channel|pixel|strip|bin(?![a-z])|radius", re.IGNORECASE): (
        "a place on the detector",
        "integrate with a calibration, to 2θ or Q",
    ),
    re.compile(r"energy|e\s*[(\[]\s*k?ev", re.IGNORECASE): ("an energy", "give 2θ or Q"),
}
"""Axes that are neither 2θ nor Q: what they are, and what to do."""

ATTENUATOR = "attenuator"


def find_columns(path: Path, table: Table, axis: Axis | None) -> Columns:
    """Find the columns of a table by their names, or by their position where they have none.

    Parameters
    ----------
    path
        File, for error messages.
    table
        Its numbers and header.
    axis
        Quantity that is expected in the first column; None to accept what the file names.

    Returns
    -------
    The columns.

    Raises
    ------
    PatternFileError
        The abscissa has the name of another quantity than expected, or the intensity is none of diffraction.
    """
    n_columns = table.values.shape[1]
    names = _defined(path, table.names) if table.names else _names(table.header, n_columns)
    if names:
        columns = _by_name(path, names)
    else:
        columns = Columns(
            axis_name=_other_name(path, table.header, n_columns),
            sigma=2 if n_columns > 2 else None,
            sigma_kind=SigmaKind.UNNAMED if n_columns > 2 else SigmaKind.NONE,
        )
    if columns.axis is None:
        columns = _with_label(columns, table.header)
    if columns.axis is None:
        columns = _with_setting(path, columns, table.header)
    if axis is not None and columns.axis is not None and columns.axis is not axis:
        raise PatternFileError(
            f"{path}: the first column is named {columns.axis_name!r}, but {axis.value} is expected: give "
            f"its axis (--axis {columns.axis.value}) or convert the file"
        )
    return columns


def _names(header: tuple[str, ...], n_columns: int) -> tuple[str, ...]:
    """Column names: the last header line that has one name per column, one of them known.

    Units, a rule or a mark may stand in the lines between the names and the numbers.
    """
    for back, line in enumerate(header[: -2 - MAX_LINES_BELOW_NAMES : -1]):
        for names in _splits(line):
            if len(names) == n_columns and _are_names(names):
                return _with_units(names, header[len(header) - back :])
        if any(p.match(word) for word in re.split(r"[,;\s]+", line) for p in (TWO_THETA, Q)):
            break  # a remark about an axis, which what stands above it may contradict
    return ()


def _defined(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Name the abscissa of a format by its unit where its own name is of no axis (NeXus)."""
    name = names[0]
    if TWO_THETA.match(name) or Q.match(name):
        return names
    _reject_other_axis(path, "axis", name)
    unit = name.partition(" (")[2].rstrip(")")
    if re.match(r"1/|.*(-1|⁻¹)$", unit):
        return (f"q ({unit})", *names[1:])
    if re.match(r"(m?rad|c?deg|°)", unit, re.IGNORECASE):
        return (f"2theta ({unit})", *names[1:])
    if unit:
        raise PatternFileError(f"{path}: the axis {name!r} has a unit that is neither of 2θ nor of Q")
    return names


def _with_units(names: tuple[str, ...], below: tuple[str, ...]) -> tuple[str, ...]:
    """Append the unit of the abscissa that stands in the line below the names."""
    for line in below[:1]:
        for units in _splits(line):
            if len(units) == len(names):
                return tuple(
                    f"{name} ({unit})" if unit and (Q.match(name) or TWO_THETA.match(name)) else name
                    for name, unit in zip(names, units, strict=True)
                )
    return names


def _other_name(path: Path, header: tuple[str, ...], n_columns: int) -> str:
    """Name of the first column, which is neither that of 2θ nor of Q; empty where there is none.

    An error is raised where the name is that of another quantity.
    """
    for line in header[: -2 - MAX_LINES_BELOW_NAMES : -1]:
        for names in _splits(line):
            if len(names) != n_columns or not any(INTENSITY.match(name) for name in names[1:]):
                continue
            _reject_other_axis(path, "first column", names[0])
            if names[0] and not names[0][0].isdigit() and len(names[0].split()) <= MAX_WORDS_PER_NAME:
                return names[0]
    return ""


def _reject_other_axis(path: Path, where: str, name: str) -> None:
    """Raise an error where a name is that of an axis which is neither 2θ nor Q."""
    for pattern, (what, fix) in OTHER_AXIS.items():
        if pattern.match(name):
            raise PatternFileError(f"{path}: the {where} is named {name!r}: {what}; {fix}")


def _are_names(names: tuple[str, ...]) -> bool:
    """Whether words are names of columns: one of an axis, and none as long as a sentence."""
    short = all(len(re.sub(r"[(\[].*?[)\]]", "", name).split()) <= MAX_WORDS_PER_NAME for name in names)
    balanced = all(name.count("(") == name.count(")") for name in names)
    return (
        short and balanced and any(p.match(name) for name in names for p in (TWO_THETA, Q, *NOT_DIFFRACTION))
    )


def _splits(line: str) -> list[tuple[str, ...]]:
    """Split a line of names in the ways in which programs separate them."""
    bare = re.sub(r"^L\s", "", line.replace("#", " ").strip())  # SPEC writes #L before the names
    ways = []
    for separator in (r"[;\t]", r",", r"\s{2,}", r"[,;\s]+(?![(\[])"):
        names = tuple(name.strip().strip('"').strip() for name in re.split(separator, bare.strip(",;\t ")))
        ways.append(names)
        if bare.startswith((",", ";")):  # pandas leaves the column of row numbers without a name
            ways.append(("", *names))
    return ways


def _by_name(path: Path, names: tuple[str, ...]) -> Columns:
    """Assign the columns by their names."""
    for name in names:
        for pattern, what in NOT_DIFFRACTION.items():
            if pattern.match(name):
                raise PatternFileError(
                    f"{path}: a column is named {name!r}: {what} cannot be sized, give the measured intensity"
                )
    # Q is preferred: it needs no wavelength.
    abscissa, axis = next(
        (
            (i, kind)
            for kind, p in ((Axis.Q, Q), (Axis.TWO_THETA, TWO_THETA))
            for i, n in enumerate(names)
            if p.match(n)
        ),
        (0, None),
    )
    if axis is Axis.Q and TWO_THETA.match(names[0]) and not NANOMETRES.search(names[abscissa]):
        axis, abscissa = Axis.TWO_THETA, 0
    others = [
        i for i in range(len(names)) if i != abscissa and not (TWO_THETA.match(names[i]) or Q.match(names[i]))
    ]
    measured = [i for i in others if not NOT_MEASURED.search(names[i])]
    intensity = next((i for i in measured if INTENSITY.match(names[i]) and not _is_error(names[i])), None)
    if intensity is None:
        intensity = next((i for i in measured if not _is_error(names[i])), others[0] if others else 1)
    sigma = next(
        (i for i in others if i != intensity and _is_error(names[i]) and not OF_ABSCISSA.match(names[i])),
        None,
    )
    kind = SigmaKind.NONE
    if sigma is not None:
        kind = SigmaKind.NAMED
        if PER_CENT.search(names[sigma]):
            kind = SigmaKind.PER_CENT
        elif RELATIVE.search(names[sigma]):
            kind = SigmaKind.RELATIVE
        elif VARIANCE.match(names[sigma]):
            kind = SigmaKind.VARIANCE
    alike = tuple(
        names[i]
        for i in measured
        if i != intensity
        and not _is_error(names[i])
        and (INTENSITY.match(names[i]) or _numbered(names[i]) == _numbered(names[intensity]))
    )
    factor = names.index(ATTENUATOR) if ATTENUATOR in names else None
    name = names[abscissa]
    return Columns(
        abscissa=abscissa,
        intensity=intensity,
        sigma=sigma,
        sigma_kind=kind,
        factor=factor,
        alike=alike,
        axis=axis,
        axis_name=name,
        scale=_scale(axis, name),
    )


def _numbered(name: str) -> str:
    """A name without the number that tells it from others."""
    return re.sub(r"[\d.]+", "#", name)


def _is_error(name: str) -> bool:
    return bool(
        SIGMA.match(name) or VARIANCE.match(name) or re.search(r"err|esd|sigma|std|unc", name, re.IGNORECASE)
    )


def _with_label(columns: Columns, header: tuple[str, ...]) -> Columns:
    """Take the axis from a title line such as ``2-Theta Angle (Degrees)`` or ``Q (Inverse Nanometres)``."""
    labels = [
        (axis, line.strip().strip('"'))
        for line in header
        for axis, p in ((Axis.TWO_THETA, TWO_THETA), (Axis.Q, Q))
        if p.match(line.strip().strip('"')) and len(re.split(r"[,;\s]+", line.strip())) <= MAX_NAME_WORDS
    ]
    last = header[-1].strip() if header else ""
    labels = [(a, label) for a, label in labels if re.search(r"[(\[]", label) or label == last]
    if len({axis for axis, _ in labels}) != 1:
        return columns
    axis, label = labels[-1]
    return replace(columns, axis=axis, axis_name=re.split(r"[,;\s]+", label)[0], scale=_scale(axis, label))


SPACE = re.compile(
    r"(?:integrationspace|dataformat|(?:radial|x)?[\s_-]*units?)\s*[=:]\s*(q|two?_?th|2th|tth)(\w*)",
    re.IGNORECASE,
)
"""Axis in the settings that xPDFsuite and SrXgui write above their columns: qspace, QA, Qnm, twotheta."""


X_AXIS_UNIT = re.compile(r"(?:the )?x[- ]?axis (?:unit|label)(?: is)?\s*[:=]\s*(.+)", re.IGNORECASE)
"""Unit that Mantid writes above its columns: Degrees, MomentumTransfer, d-Spacing, Time-of-flight."""


def _with_setting(path: Path, columns: Columns, header: tuple[str, ...]) -> Columns:
    """Take the axis from a setting in the header."""
    for line in header:
        if found := X_AXIS_UNIT.match(line.strip()):
            name = found[1].strip()
            _reject_other_axis(path, "axis", name)
            degrees = re.match(r"(m?rad|c?deg|°)", name, re.IGNORECASE)
            if degrees or TWO_THETA.match(name) or Q.match(name):
                axis = Axis.TWO_THETA if degrees or TWO_THETA.match(name) else Axis.Q
                return replace(columns, axis=axis, axis_name=name, scale=_scale(axis, name))
        if found := SPACE.match(line.strip()):
            axis = Axis.Q if found[1].lower() == "q" else Axis.TWO_THETA
            name = found[1] + found[2]
            return replace(columns, axis=axis, axis_name=name, scale=_scale(axis, name))
    return columns


def _scale(axis: Axis | None, name: str) -> float:
    """Factor from the unit in a name to degrees or Å⁻¹."""
    if axis is Axis.Q:
        if NANOMETRES.search(name):
            return 0.1
        if metres := METRES.search(name):
            return 1e-8 if any(metres.groups()) else 1e-10
        return 1.0
    if axis is Axis.TWO_THETA:
        if radians := RADIANS.search(name):
            return math.degrees(1e-3 if radians[1] else 1.0)
        if CENTIDEGREES.search(name):
            return 0.01
    return 1.0


WAVELENGTH = re.compile(
    r"(?:wave_?-?\s?length(?:_alpha1)?|lambda|λ)([^\d\n]{0,30}?)(\d*\.?\d+(?:[eE][+-]?\d+)?)\s*\"?\s*(m\b|nm|pm|Å|A)?",
    re.IGNORECASE,
)
UNIT_BEFORE = re.compile(r"[(\[]\s*(nm|pm|m)\s*[)\]]|_(nm|pm|m)\b")
"""Unit of a wavelength before its value, as in ``wavelength (nm): 0.0564``."""
ENERGY = re.compile(
    r"(?:(?<![a-z])energy|(?<![\w.])E(?=\s*[=:]))(?:[^\d\n]{0,20}?(\d*\.?\d+)\s*\"?\s*(keV|eV)|[\s_(\[]+(keV|eV)[^\d\n]{0,10}(\d*\.?\d+))",
    re.IGNORECASE,
)


def header_wavelength(table: Table) -> float | None:
    """Find the wavelength that a file states.

    Parameters
    ----------
    table
        Its header.

    Returns
    -------
    Wavelength, Å; None if the file states none, or none of X-rays.
    """
    if table.wavelength_angstrom is not None:
        return table.wavelength_angstrom
    for line in table.header:
        value = None
        if found := WAVELENGTH.search(line):
            value = float(found[2])
            before = UNIT_BEFORE.search(found[1])
            unit = found[3] or (before[1] or before[2] if before else "")
            if value < 1e-8:  # pyFAI gives metres
                value *= 1e10
            elif unit == "nm":
                value *= 10
            elif unit == "pm":
                value /= 100
        elif found := ENERGY.search(line):
            ev = float(found[1] or found[4]) * (1000 if (found[2] or found[3]).lower() == "kev" else 1)
            value = HC_EV_ANGSTROM / ev if ev > 0 else None
        if value is not None and 0.05 <= value <= 5:
            return value
    return None
