"""Tables of sizes as files: CSV, Excel or Parquet, with units in the headings."""

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ._output_path import check_output

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["SUFFIXES", "check_table_path", "write_table"]

SUFFIXES = (".csv", ".xlsx", ".parquet")
"""Endings of files that can be written."""

HEADINGS = {
    "mass_mean_nm": "mass-weighted mean (nm)",
    "mass_mean_low_nm": "mass-weighted mean, low (nm)",
    "mass_mean_high_nm": "mass-weighted mean, high (nm)",
    "size_nm": "number-weighted mean (nm)",
    "size_low_nm": "number-weighted mean, low (nm)",
    "size_high_nm": "number-weighted mean, high (nm)",
    "lattice_parameter_angstrom": "lattice parameter (Å)",
    "class_nm": "class (nm)",
    "counts": "photons",
    "q_min": "Q min (Å⁻¹)",
    "q_max": "Q max (Å⁻¹)",
    "resolution_inv_angstrom": "declared width of the instrument (Å⁻¹)",
}
"""Headings of values whose name does not read as one."""

UNITS = {"_nm": "nm", "_angstrom": "Å", "_inv_angstrom": "Å⁻¹", "_deg": "°"}
"""Endings of names that state a unit, longest match first where several fit."""

FIRST = ("file", "frame", "status", *list(HEADINGS)[:6], "dispersion")
"""Columns that come first, in this order."""


def check_table_path(path: Path) -> None:
    """Check that a table can be written, before anything is sized.

    Parameters
    ----------
    path
        File to write.

    Raises
    ------
    ConfigurationError
        The ending is unknown, the folder does not exist, or a library is missing.
    """
    check_output(path, SUFFIXES, "table")
    needed = {".csv": ("pandas",), ".xlsx": ("pandas", "openpyxl"), ".parquet": ("pandas", "pyarrow")}
    for package in needed[path.suffix.lower()]:
        if find_spec(package) is None:
            raise ConfigurationError(
                f'a {path.suffix} file needs the package {package}: pip install "qdsizer-stream[tables]"'
            )


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write sizes as a table.

    Parameters
    ----------
    rows
        Values by name, one mapping for each pattern or frame.
    path
        File; an existing one is replaced.

    Raises
    ------
    ConfigurationError
        The file cannot be written.
    """
    check_table_path(path)
    table = _frame(rows)
    try:
        match path.suffix.lower():
            case ".csv":
                table.to_csv(path, index=False)
            case ".xlsx":
                table.to_excel(path, index=False, sheet_name="sizes", freeze_panes=(1, 1))
            case _:
                table.to_parquet(path, index=False)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror or error}") from error


def _frame(rows: Sequence[Mapping[str, Any]]) -> "DataFrame":
    """A table without columns that are empty in all rows."""
    import pandas

    names = dict.fromkeys(name for row in rows for name in row if name not in ("checks",))
    ordered = [name for name in FIRST if name in names] + [name for name in names if name not in FIRST]
    columns = {name: [_cell(row.get(name)) for row in rows] for name in ordered}
    filled = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return pandas.DataFrame({_heading(name): values for name, values in filled.items()})


def _cell(value: Any) -> Any:
    """A value as a cell: nothing for NaN and empty texts, lists as text."""
    match value:
        case float() if math.isnan(value):
            return None
        case list():
            return "; ".join(str(item) for item in value) or None
        case str():
            return value or None
    return value


def _heading(name: str) -> str:
    if name in HEADINGS:
        return HEADINGS[name]
    for ending in sorted(UNITS, key=len, reverse=True):
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({UNITS[ending]})"
    return name.replace("_", " ")
