"""Tables by size class: confusion matrix, accuracy and error."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._benchmark import within_class
from ._paper_rows import SizedPatterns
from ._report import Section

__all__ = ["by_size", "confusion_matrix", "confusion_table"]


def confusion_matrix(sized: Sequence[SizedPatterns], classes_nm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count how often each true class is assigned to each class.

    Parameters
    ----------
    sized
        Patterns with their predicted sizes.
    classes_nm
        Classes, nm, shape (n_classes,).

    Returns
    -------
    Number of patterns of each true class (rows) assigned to each class (columns), shape (n_classes,
    n_classes).
    """
    counts = np.zeros((classes_nm.size, classes_nm.size), np.int64)
    for some in sized:
        columns = np.argmin(np.abs(some.size_nm[:, None] - classes_nm), axis=1)
        np.add.at(counts, (np.searchsorted(classes_nm, some.class_nm), columns), 1)
    return counts


def confusion_table(counts: NDArray[np.int64], classes_nm: NDArray[np.float64]) -> Section:
    """Format a confusion matrix as a table.

    Parameters
    ----------
    counts
        Confusion matrix, shape (n_classes, n_classes).
    classes_nm
        Classes, nm, shape (n_classes,).

    Returns
    -------
    The table.
    """
    return Section(
        "Confusion matrix",
        "Number of patterns of each true class (rows) assigned to each class (columns), nm; full Q range, "
        "all folds that were run.",
        ("true class (nm)", *(f"{nm:g}" for nm in classes_nm)),
        tuple((f"{nm:g}", *map(int, row)) for nm, row in zip(classes_nm, counts, strict=True)),
        detail=True,
    )


def by_size(sized: Sequence[SizedPatterns], classes_nm: NDArray[np.float64]) -> Section:
    """Tabulate accuracy and error for each class and area fraction.

    Parameters
    ----------
    sized
        Patterns with their predicted sizes.
    classes_nm
        Classes, nm, shape (n_classes,).

    Returns
    -------
    The table.
    """
    truth, size, error, fraction = (
        np.concatenate([getattr(some, name) for some in sized])
        for name in ("class_nm", "size_nm", "error_nm", "area_fraction")
    )
    fractions = sorted(set(fraction.tolist()), reverse=True)
    correct = within_class(size, truth, classes_nm)
    table = []
    for nm in classes_nm:
        rows_by_fraction = [(truth == nm) & (fraction == x) for x in fractions]
        table.append(
            (
                f"{nm:g}",
                *(_mean(correct[rows]) for rows in rows_by_fraction),
                *(_mean(error[rows]) for rows in rows_by_fraction),
            )
        )
    return Section(
        "By size and concentration",
        "Full Q range, all folds that were run: fraction in the correct class, and mean error, for each area "
        "fraction x.",
        (
            "true class (nm)",
            *(f"x {x:g}, %" for x in fractions),
            *(f"x {x:g}, error (nm)" for x in fractions),
        ),
        tuple(table),
        detail=True,
    )


def _mean(values: NDArray[np.bool_] | NDArray[np.float64]) -> float | None:
    return float(np.mean(values)) if values.size else None
