"""Text of a pattern file to a table of numbers."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import PatternFileError

__all__ = ["Table", "number", "table_of"]

COMMENT_MARKS = "#!'*;&%/_\""
"""A row that begins with one of these is not data."""

END_WORDS = {"EOF", "END", "EOD", "STOP"}

SAMPLE_ROWS = 50
"""Rows that decide on separator and decimal mark; files use the same ones throughout."""

NUMBER = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?\d?\.\d+[+-]\d{1,3}|[+-]?(nan|inf)", re.IGNORECASE
)

WITHOUT_E = re.compile(r"([+-]?\d?\.\d+)([+-]\d{1,3})")
"""Fortran leaves the letter out where the exponent takes its place: 1.0+03, 1.234-103."""

MISSING = re.compile(r"n/?a|null|none|-{1,3}|\?|\.", re.IGNORECASE)
"""How programs write that there is no value."""

NO_NUMBER = re.compile(
    r"#(N/?A|NV|DIV/0!|VALUE!|WERT!|NUM!|ZAHL!|REF!|BEZUG!|NAME\?)(?![A-Za-z])"  # spreadsheets
    r"|[+-]?1\.#(QNAN|SNAN|IND|INF)\d*|[+-]?nan\(\w*\)"  # C on Windows
    r"|(?<!\S)\*{2,}(?!\S)",  # Fortran, where a number does not fit its columns
    re.IGNORECASE,
)
"""What stands in place of a number; some have the mark of a comment in them."""

BLANKS_IN_NUMBER = re.compile(r"\d{1,3}(?: \d{3})+(?:[.,]\d+)?")
"""12 345 between tabs."""

HARD_BLANK_IN_NUMBER = re.compile(r"\d[\u00a0\u2009\u202f]\d{3}(?!\d)")

SPACED_THOUSANDS = re.compile(r"(?:^|;)\s*\d{1,3}(?:[ \u00a0\u202f]\d{3})+[.,]\d+\s*(?=;|$)")
"""12 345,6 between semicolons."""

MAX_ROWS_ABOVE_NAMES = 3
"""Rows of settings that may stand above the names of the columns."""

NAMES = re.compile(r"\W*(2|two|q\b|q[_ (]|tth|angle)\W*[a-zθ(\[_-]", re.IGNORECASE)
"""How a line with the names of columns begins."""

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eEdD][+-]?\d+)?")


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers of a file with the text around them."""

    values: NDArray[np.float64]
    """Rows and columns, shape (n, n_columns); NaN for empty cells and words."""
    header: tuple[str, ...]
    """Lines before the numbers, without comment marks."""
    names: tuple[str, ...] = ()
    """Names of the columns where the format defines them; empty to find them in the header."""
    warnings: tuple[str, ...] = ()
    """Messages about what is unusual in the file."""
    wavelength_angstrom: float | None = None
    """Wavelength where the format defines it; None to find it in the header."""


def number(cell: str) -> float:
    """Convert a cell to a number.

    Parameters
    ----------
    cell
        Text such as 12.5, "12.5", 1.2D+04, 1.2+04; surrounding quotes are ignored.

    Returns
    -------
    The number; NaN for an empty cell.

    Raises
    ------
    ValueError
        The cell is not a number.
    """
    bare = cell.strip().strip('"').strip()
    if not bare or MISSING.fullmatch(bare):
        return float("nan")
    if not NUMBER.fullmatch(bare):
        raise ValueError(f"{cell!r} is not a number")
    if exponent := WITHOUT_E.fullmatch(bare):
        bare = f"{exponent[1]}e{exponent[2]}"
    return float(bare.replace("D", "e").replace("d", "e"))


def table_of(path: Path, text: str) -> Table:
    """Find the columns of numbers in a text.

    Parameters
    ----------
    path
        File, for error messages.
    text
        Lines with columns separated by blanks, tabs, commas or semicolons, with decimal points or commas.
        Titles, comments and column names may come before the numbers, comments and end marks between and
        after them. Two or more columns of numbers; a column of words is allowed.

    Returns
    -------
    The table.

    Raises
    ------
    PatternFileError
        There are no numbers, one column, rows of unequal length, or words among the numbers.
    """
    lines = [
        line if line.lstrip().startswith("#") else NO_NUMBER.sub("nan", line) for line in text.splitlines()
    ]
    _check_thousands(path, lines)
    split = _splitter(lines)
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    narrow: list[tuple[int, float]] = []
    for index, line in enumerate(lines, start=1):
        content, _, comment = line.partition("#")
        if not content.strip(",; \t\r\x1a"):
            if not rows and comment.strip():
                header.append(comment.strip())
            continue
        cells = split(content)
        if _is_row(cells):
            rows.append((index, cells))
        elif rows and len(rows) <= MAX_ROWS_ABOVE_NAMES and NAMES.match(content.strip()):
            # FullProf writes settings in numbers above the names of the columns.
            header += [" ".join(row) for _, row in rows]
            header.append(content.strip())
            rows, narrow = [], []
        elif rows:
            _check_text_row(path, index, content, cells, rows, lines)
        elif len(cells) == 1 and _numeric(cells[0]):  # FIT2D writes the number of points before them
            narrow.append((index, number(cells[0])))
        else:
            header.append(content.strip().lstrip(COMMENT_MARKS.replace('"', "")).strip())
    if not rows and narrow:
        raise PatternFileError(
            f"{path}, line {narrow[0][0]}: 1 column, there must be at least 2: angle (or Q), intensity and, "
            "where known, sigma"
        )
    if not rows:
        raise PatternFileError(f"{path} contains no numbers: it must have two or three columns of them")
    values = _aligned(path, rows)
    return Table(values, tuple(header), warnings=_missing_rows(narrow, len(values)))


def _check_thousands(path: Path, lines: list[str]) -> None:
    """Raise an error where numbers have separators of thousands, which would split them in two."""
    for index, line in enumerate(lines, start=1):
        content = line.partition("#")[0].strip()
        if not content[:1].strip('"').isdigit() and not content.startswith('"'):
            continue
        cells = [cell for cell in re.split(r"[;\s]+", content) if cell]
        quoted = re.findall(r'"\d[\d,.]*"', content)
        in_quotes = (
            any(re.fullmatch(r'"\d{1,3}(,\d{3})+(\.\d*)?"', cell) for cell in quoted) and "." in content
        )
        between = (
            len(cells) > 1
            and any(re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d*)?", cell) for cell in cells)
            and any(re.fullmatch(r"\d*\.\d+", cell) for cell in cells)
        )
        swiss = any(re.fullmatch(r"\"?\d{1,3}(['’]\d{3})+(\.\d*)?\"?", cell) for cell in cells)
        tabbed = "\t" in content and any(
            BLANKS_IN_NUMBER.fullmatch(cell.strip()) for cell in content.split("\t")
        )
        blank = tabbed or HARD_BLANK_IN_NUMBER.search(content)
        if in_quotes or between or swiss or blank or (";" in content and SPACED_THOUSANDS.search(content)):
            raise PatternFileError(
                f"{path}, line {index}: {content[:40]!r} has separators of thousands: export the numbers "
                "without them"
            )


def _splitter(lines: list[str]) -> Callable[[str], list[str]]:
    """Choose how the lines of a file are split into cells, from its first rows of numbers."""
    decimal_commas = plain = 0
    for line in lines:
        content = line.partition("#")[0].strip().strip(";")
        cells = [cell for cell in re.split(r"[;\s]+", content) if cell]
        if len(cells) >= 2 and all(
            _numeric(cell) or DECIMAL_COMMA.fullmatch(cell.strip('"')) for cell in cells
        ):
            if any(DECIMAL_COMMA.fullmatch(cell.strip('"')) for cell in cells) and not any(
                "." in cell for cell in cells
            ):
                decimal_commas += 1
            else:
                plain += 1
        elif _is_row(_cells(content)):
            plain += 1
        if decimal_commas + plain >= SAMPLE_ROWS:
            break
    if decimal_commas > plain:
        return lambda content: _cells(content.replace(",", "."))
    return _cells


def _cells(content: str) -> list[str]:
    """Split a line; empty cells between two separators are kept, trailing ones are not."""
    cells = [cell.strip() for cell in re.split(r"[,;]", content.strip(" \t\r\x1a"))]
    if any(re.search(r"\s", cell) for cell in cells):  # blanks separate too, as in "1 2" and "1 2, 3"
        cells = [part for cell in cells for part in (cell.split() or [""])]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _numeric(cell: str) -> bool:
    bare = cell.strip().strip('"').strip()
    return bool(NUMBER.fullmatch(bare) or MISSING.fullmatch(bare))


def _is_row(cells: list[str]) -> bool:
    """Whether cells are a row of data: a number first, and one more."""
    return len(cells) > 1 and bool(NUMBER.fullmatch(cells[0].strip('" '))) and sum(map(_numeric, cells)) > 1


def _check_text_row(
    path: Path,
    index: int,
    content: str,
    cells: list[str],
    rows: list[tuple[int, list[str]]],
    lines: list[str],
) -> None:
    """Raise an error for a text row among the numbers unless it is a comment or an end mark."""
    bare = content.strip()
    if bare[0] in COMMENT_MARKS or bare.split()[0].upper() in END_WORDS:
        return
    if len(cells) == 1 and _numeric(cells[0]):
        before = rows[-1][1]
        decimals = max(len(row[0].partition(".")[2]) for _, row in rows[-SAMPLE_ROWS:])
        if len(cells[0].partition(".")[2]) > decimals > 0:
            raise PatternFileError(
                f"{path}, line {index}: {bare!r} is one number after rows of {len(before)}: the columns have "
                "a fixed width, and angle and counts touch; export the file with a separator"
            )
        raise PatternFileError(
            f"{path}, line {index}: 1 column after rows of {len(before)}: every row must have the same number"
        )
    if not any(_is_row(_cells(line.partition("#")[0])) for line in lines[index:]) and not _numeric(cells[0]):
        return  # a footer
    raise PatternFileError(
        f"{path}, line {index}: {bare[:40]!r} is not a row of numbers: start comments with '#'"
    )


def _aligned(path: Path, rows: list[tuple[int, list[str]]]) -> NDArray[np.float64]:
    """Convert rows of cells of equal length; a column with words in every row becomes NaN."""
    step_file = _step_file(rows)
    if step_file is not None:
        return step_file
    has_gaps = any(not cell for _, row in rows for cell in row)
    # Trailing empty cells were removed: where there are empty cells, rows may end early.
    n_columns = max(len(row) for _, row in rows) if has_gaps else len(rows[0][1])
    words = {
        column
        for column in range(1, n_columns)
        if all(len(row) > column and row[column] and not _numeric(row[column]) for _, row in rows)
    }
    values = np.full((len(rows), n_columns), np.nan)
    for position, (index, row) in enumerate(rows):
        if len(row) != n_columns and not has_gaps:
            raise PatternFileError(
                f"{path}, line {index}: {len(row)} columns after rows of {n_columns}: every row must have "
                "the same number"
            )
        for column, cell in enumerate(row):
            if column in words:
                continue
            try:
                values[position, column] = number(cell)
            except ValueError:
                raise PatternFileError(
                    f"{path}, line {index}: {' '.join(row)[:40]!r} is not a row of numbers: start comments "
                    "with '#'"
                ) from None
    return values[:, [column for column in range(n_columns) if column not in words]]


def _step_file(rows: list[tuple[int, list[str]]]) -> NDArray[np.float64] | None:
    """Angles and intensities of a file with start, step, stop and then intensities only (PSI, FullProf).

    A second block of as many values is their sigma. None for a file of columns.
    """
    first = rows[0][1]
    if not (3 <= len(first) <= 5 and len(rows) > 1 and all(map(_numeric, first[:3]))):
        return None
    start, step, stop = map(number, first[:3])
    if not (step > 0 and stop > start):
        return None
    n_steps = (stop - start) / step
    if not math.isfinite(n_steps):
        return None
    n_points = round(n_steps) + 1
    n_values = sum(len(row) for _, row in rows[1:])
    if n_points < 4 or n_values not in (n_points, 2 * n_points) or len(rows[1][1]) < 2:
        return None
    if not all(_numeric(cell) for _, row in rows[1:] for cell in row):
        return None
    values = np.array([number(cell) for _, row in rows[1:] for cell in row])
    angles = start + step * np.arange(n_points)
    return np.column_stack([angles, *values.reshape(-1, n_points)])


def _missing_rows(narrow: list[tuple[int, float]], n_rows: int) -> tuple[str, ...]:
    """Compare the number of points that the header declares with the rows."""
    if len(narrow) == 1 and narrow[0][1] > 1 and narrow[0][1] == int(narrow[0][1]) != n_rows:
        return (f"the header declares {narrow[0][1]:.0f} points, the file has {n_rows}: is it complete?",)
    return ()
