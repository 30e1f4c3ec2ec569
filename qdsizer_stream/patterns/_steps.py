"""Text formats that give start, step and intensities: Rigaku .asc, Philips .udf, Jade .mdi and others."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import PatternFileError
from ._table import Table, number

__all__ = ["STEP_FORMATS", "StepFormat"]

StepFormat = tuple[Callable[[str], bool], Callable[[Path, str], Table]]
"""Whether a text is of a format, and how it is read."""

MDI = re.compile(
    r"^\s*(N)\s+(N)\s+(N)\s+([A-Za-z]+\d?)\s+(N)\s+(N)\s+(\d{1,9})\s*$".replace("N", r"\d+\.?\d*|\.\d+"),
    re.MULTILINE,
)
"""Second line of a Jade file: start, step, time, anode, wavelength, stop, number of points."""

CPI = re.compile(r"^SIETRONICS XRD SCAN\s*$", re.MULTILINE)

MAX_DEG = 360.0
"""No scan begins beyond a full turn, nor has such steps."""

END_OF_VALUES = re.compile(r"^\s*(\*|/\s*$)", re.MULTILINE)


def _step_table(
    path: Path,
    values: str,
    start: float,
    step: float,
    n_declared: int | None,
    wavelength_angstrom: float | None,
    header: str,
) -> Table:
    """Angles at equal steps, and the intensities of a text."""
    try:
        intensity = np.array([number(cell) for cell in re.split(r"[,;\s]+", values) if cell])
    except ValueError as error:
        raise PatternFileError(f"{path}: {error}: give the file as the instrument wrote it") from error
    if intensity.size < 2 or not (abs(start) < MAX_DEG and 0 < step < MAX_DEG):
        raise PatternFileError(
            f"{path} holds {intensity.size} intensities at steps of {step:g}°: is it complete?"
        )
    warnings: tuple[str, ...] = ()
    if n_declared is not None and n_declared != intensity.size:
        warnings = (
            f"the header declares {n_declared} points, the file has {intensity.size}: is it complete?",
        )
    angles = start + step * np.arange(intensity.size)
    return Table(
        np.column_stack([angles, intensity]),
        tuple(header.splitlines()),
        ("2theta", "intensity"),
        warnings,
        wavelength_angstrom,
    )


def _settings(text: str, pattern: str) -> dict[str, str]:
    return {key.upper(): value.strip() for key, value in re.findall(pattern, text, re.MULTILINE)}


def _float(path: Path, settings: dict[str, str], key: str) -> float:
    value = _optional(settings, key, zero=True)
    if value is None:
        raise PatternFileError(f"{path}: no number is given for {key}: export the scan again")
    return value


def _optional(settings: dict[str, str], key: str, zero: bool = False) -> float | None:
    """Number of a setting; None where it is missing, not finite or, for a wavelength, zero."""
    try:
        value = float(settings[key].split(",")[0])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) and (value or zero) else None


def _is_asc(text: str) -> bool:
    return all(re.search(rf"^\*{key}\s*=", text, re.MULTILINE) for key in ("START", "STEP", "COUNT"))


def _asc_table(path: Path, text: str) -> Table:
    """The first group of a Rigaku .asc file."""
    count = re.search(r"^\*COUNT\s*=.*$", text, re.MULTILINE)
    assert count is not None
    settings = _settings(text[: count.end()], r"^\*(\w+)\s*=\s*(.*)$")
    body = text[count.end() :]
    end = END_OF_VALUES.search(body)
    table = _step_table(
        path,
        body if end is None else body[: end.start()],
        _float(path, settings, "START"),
        _float(path, settings, "STEP"),
        int(_float(path, settings, "COUNT")),
        _optional(settings, "WAVE_LENGTH1"),
        "",
    )
    if len(re.findall(r"^\*COUNT\s*=", text, re.MULTILINE)) > 1:
        more = ("the file has several scans: the first is used",)
        return Table(table.values, (), table.names, table.warnings + more, table.wavelength_angstrom)
    return table


def _is_udf(text: str) -> bool:
    return re.search(r"^RawScan\s*$", text, re.MULTILINE) is not None and "DataAngleRange" in text


def _udf_table(path: Path, text: str) -> Table:
    head, _, body = text.partition("RawScan")
    settings = _settings(head, r"^(\w+),\s*(.*?),?/\s*$")
    return _step_table(
        path,
        body.partition("/")[0],
        _float(path, settings, "DATAANGLERANGE"),
        _float(path, settings, "SCANSTEPSIZE"),
        None,
        _optional(settings, "LABDAALPHA1"),
        "",
    )


def _is_mdi(text: str) -> bool:
    return any(MDI.match(line) for line in text.splitlines()[1:3])


def _mdi_table(path: Path, text: str) -> Table:
    found = MDI.search(text)
    assert found is not None
    start, step, _, _, wavelength, _, n_points = found.groups()
    return _step_table(
        path, text[found.end() :], float(start), float(step), int(n_points), float(wavelength), ""
    )


def _is_cpi(text: str) -> bool:
    return CPI.match(text.lstrip()) is not None and "SCANDATA" in text


def _cpi_table(path: Path, text: str) -> Table:
    head, _, body = text.partition("SCANDATA")
    lines = [line.strip() for line in head.strip().splitlines()]
    try:
        start, _, step, _, wavelength = lines[1:6]
        numbers = float(start), float(step), float(wavelength)
    except ValueError as error:
        raise PatternFileError(
            f"{path}: start, stop, step, anode and wavelength are not in its lines 2 to 6"
        ) from error
    light = numbers[2] if math.isfinite(numbers[2]) and numbers[2] else None
    return _step_table(path, body, numbers[0], numbers[1], None, light, "")


def _one_per_line(text: str) -> tuple[str, float, float, str] | None:
    """Head, start, step and intensities of a text with `start step stop`, then one intensity a line."""
    lines = text.splitlines()
    for index, line in enumerate(lines[:50]):
        cells = line.split()
        try:
            start, step, stop = map(number, cells)
        except ValueError:
            continue
        if not (step > 0 and stop > start and math.isfinite(stop - start) and math.isfinite(step)):
            return None
        n_points = round((stop - start) / step) + 1
        body = [one for one in lines[index + 1 :] if one.strip()]
        if n_points >= 4 and len(body) == n_points and all(len(one.split()) == 1 for one in body):
            return "\n".join(lines[:index]), start, step, "\n".join(body)
        return None
    return None


def _one_per_line_table(path: Path, text: str) -> Table:
    found = _one_per_line(text)
    assert found is not None
    head, start, step, body = found
    return _step_table(path, body, start, step, None, None, head)


STEP_FORMATS: tuple[StepFormat, ...] = (
    (_is_asc, _asc_table),
    (_is_udf, _udf_table),
    (_is_cpi, _cpi_table),
    (_is_mdi, _mdi_table),
    (lambda text: _one_per_line(text) is not None, _one_per_line_table),
)
"""Formats in the order in which they are tried."""
