"""Text formats that give intensities at equal steps, or angles in hundredths of a degree: GSAS and UXD."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import PatternFileError
from ._table import Table, number

__all__ = ["first_spec_scan", "gsas_table", "is_gsas", "is_uxd", "uxd_table"]

SPEC_SCAN = re.compile(r"^#S \d+", re.MULTILINE)


def first_spec_scan(text: str) -> str:
    """Take the first scan with numbers of a SPEC file.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    What stands before the scans, and the scan; the whole text where it has fewer than two.
    """
    begins = [found.start() for found in SPEC_SCAN.finditer(text)]
    if len(begins) < 2:
        return text
    parts = [text[begin:end] for begin, end in zip(begins, [*begins[1:], len(text)], strict=True)]
    with_rows = [part for part in parts if re.search(r"^[+-]?\d", part, re.MULTILINE)]
    return text[: begins[0]] + (with_rows or parts)[0]


BANK = re.compile(r"^BANK\s+(\d+)\s+(\d+)\s+(\d+)\s+(\w+)\s+(.*)$", re.MULTILINE)

CENTIDEGREES = 100.0
"""GSAS gives angles of constant-wavelength data in hundredths of a degree."""


def is_gsas(text: str) -> bool:
    """Whether a text is a GSAS raw-data file (.gsas, .gsa, .fxye, .raw).

    Parameters
    ----------
    text
        Content of the file.

    Returns
    -------
    True if it has a BANK record.
    """
    return BANK.search(text) is not None


def gsas_table(path: Path, text: str) -> Table:
    """Read the first bank of a GSAS raw-data file of constant wavelength.

    Parameters
    ----------
    path
        File, for error messages.
    text
        Its content; layouts FXYE and FXY (angle, intensity and sigma per row), ESD (pairs of intensity and
        sigma) and STD (intensities), with equal steps.

    Returns
    -------
    Angles in degrees, intensity and sigma.

    Raises
    ------
    PatternFileError
        The bank is one of time of flight, or of another layout, or is not complete.
    """
    bank = BANK.search(text)
    assert bank is not None
    n_declared, words = int(bank[2]), bank[5].split()
    layout = next((word for word in reversed(words) if word in ("FXYE", "FXY", "ESD", "STD", "ALT")), "STD")
    binning = bank[4]
    if binning not in ("CONS", "CONST", "CONQ") or layout == "ALT":
        raise PatternFileError(
            f"{path}: GSAS bank of type {binning} {layout}: only constant-wavelength banks (CONS) with FXYE, "
            "FXY, ESD or STD can be read"
        )
    rest = text[bank.end() :]
    following = BANK.search(rest)
    body = (rest if following is None else rest[: following.start()]).splitlines()
    warnings: tuple[str, ...] = (
        () if following is None else ("the file has several banks: the first is used",)
    )
    header = tuple(text[: bank.start()].splitlines())
    if layout in ("FXYE", "FXY"):
        values = np.array([row for row in _number_rows(path, body) if row])[:, : 3 if layout == "FXYE" else 2]
        values[:, 0] /= CENTIDEGREES
    else:
        start, step = (number(word) / CENTIDEGREES for word in words[:2])
        pairs = layout == "ESD"
        flat = np.array([value for line in body for value in _fixed_width(line, pairs)])
        columns = flat.reshape(-1, 2) if pairs else flat[:, None]
        angles = start + step * np.arange(len(columns))
        values = np.column_stack([angles, columns])[:n_declared]
    if len(values) != n_declared:
        warnings += (f"the header declares {n_declared} points, the file has {len(values)}: is it complete?",)
    names = ("2theta", "intensity", "sigma")[: values.shape[1]]
    return Table(values, header, names, warnings)


def _number_rows(path: Path, lines: list[str]) -> Iterator[list[float]]:
    for line in lines:
        try:
            yield [number(cell) for cell in line.split()]
        except ValueError:
            raise PatternFileError(f"{path}: {line.strip()[:40]!r} is not a row of a GSAS bank") from None


def _fixed_width(line: str, pairs: bool) -> Iterator[float]:
    """Cells of eight characters; in STD the first two count detectors and the rest are counts."""
    for start in range(0, len(line.rstrip()), 8):
        cell = line[start : start + 8]
        if cell.strip():
            yield float(cell if pairs else cell[2:])


UXD_DATA = re.compile(r"^_(2THETA)?(COUNTS|CPS)\s*$", re.MULTILINE)


def is_uxd(text: str) -> bool:
    """Whether a text is a Bruker UXD file.

    Parameters
    ----------
    text
        Content of the file.

    Returns
    -------
    True if it has a data record of counts.
    """
    return UXD_DATA.search(text) is not None


def uxd_table(path: Path, text: str) -> Table:
    """Read the first range of a Bruker UXD file.

    Parameters
    ----------
    path
        File, for error messages.
    text
        Its content: `_COUNTS` with `_START` and `_STEPSIZE`, or `_2THETACOUNTS` with both columns.

    Returns
    -------
    Angles in degrees and intensity.

    Raises
    ------
    PatternFileError
        Start or step is missing, or a value is not a number.
    """
    found = list(UXD_DATA.finditer(text))
    head = text[: found[0].start()]
    body = text[found[0].end() : found[1].start() if len(found) > 1 else len(text)]
    warnings = ("the file has several ranges: the first is used",) if len(found) > 1 else ()
    settings = dict(re.findall(r"^_(\w+)\s*=\s*(\S+)", head, re.MULTILINE))
    flat: list[float] = []
    for line in body.splitlines():
        if line.strip() and line.lstrip()[0] not in ";_":
            flat.extend(_uxd_cells(path, line))
    if found[0][1]:
        values = np.array(flat).reshape(-1, 2)
    else:
        values = np.column_stack([_uxd_angles(path, settings, len(flat)), flat])
    wavelength = float(settings["WL1"]) if "WL1" in settings else None
    return Table(values, (), ("2theta", "intensity"), warnings, wavelength)


def _uxd_cells(path: Path, line: str) -> list[float]:
    try:
        return [number(cell) for cell in line.split()]
    except ValueError:
        raise PatternFileError(f"{path}: {line.strip()[:40]!r} is not a row of a UXD file") from None


def _uxd_angles(path: Path, settings: dict[str, str], n_points: int) -> NDArray[np.float64]:
    start = settings.get("START", settings.get("2THETA"))
    if start is None or "STEPSIZE" not in settings:
        raise PatternFileError(f"{path}: _START or _STEPSIZE is missing: export the range with both")
    return np.asarray(float(start) + float(settings["STEPSIZE"]) * np.arange(n_points))
