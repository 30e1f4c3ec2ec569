"""Tables over size classes: what is taken for what, and how wrong it is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._benchmark import within_class
from ._paper_rows import Seen
from ._report import Section

__all__ = ["by_size", "confusion_matrix", "confusion_table"]


def confusion_matrix(seen: Sequence[Seen], classes_nm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count what is taken for what.

    Parameters
    ----------
    seen
        Patterns with their sizes.
    classes_nm
        Classes, nm, shape (n_classes,).

    Returns
    -------
    Patterns of each class (rows) put into each class (columns), shape (n_classes, n_classes).
    """
    counts = np.zeros((classes_nm.size, classes_nm.size), np.int64)
    for some in seen:
        columns = np.argmin(np.abs(some.size_nm[:, None] - classes_nm), axis=1)
        np.add.at(counts, (np.searchsorted(classes_nm, some.class_nm), columns), 1)
    return counts


def confusion_table(counts: NDArray[np.int64], classes_nm: NDArray[np.float64]) -> Section:
    """Show a confusion matrix.

    Parameters
    ----------
    counts
        The matrix.
    classes_nm
        Classes, nm, shape (n_classes,).

    Returns
    -------
    The table.
    """
    return Section(
        "Confusion matrix",
        "Patterns of each true class (rows) put into each class (columns), nm; full range, all folds run.",
        ("true class (nm)", *(f"{nm:g}" for nm in classes_nm)),
        tuple((f"{nm:g}", *map(int, row)) for nm, row in zip(classes_nm, counts, strict=True)),
        detail=True,
    )


def by_size(seen: Sequence[Seen], classes_nm: NDArray[np.float64]) -> Section:
    """Tell accuracy and error for each class and dilution.

    Parameters
    ----------
    seen
        Patterns with their sizes.
    classes_nm
        Classes, nm, shape (n_classes,).

    Returns
    -------
    The table.
    """
    truth, size, error, fraction = (
        np.concatenate([getattr(some, name) for some in seen])
        for name in ("class_nm", "size_nm", "error_nm", "area_fraction")
    )
    fractions = sorted(set(fraction.tolist()), reverse=True)
    right = within_class(size, truth, classes_nm)
    rows = []
    for nm in classes_nm:
        of_class = [(truth == nm) & (fraction == x) for x in fractions]
        rows.append(
            (
                f"{nm:g}",
                *(_mean(right[rows_of]) for rows_of in of_class),
                *(_mean(error[rows_of]) for rows_of in of_class),
            )
        )
    return Section(
        "By size and concentration",
        "Full range, all folds that ran: share in the right class, and mean error, for each area fraction x.",
        (
            "true class (nm)",
            *(f"x {x:g}, %" for x in fractions),
            *(f"x {x:g}, error (nm)" for x in fractions),
        ),
        tuple(rows),
        detail=True,
    )


def _mean(values: NDArray[np.bool_] | NDArray[np.float64]) -> float | None:
    return float(np.mean(values)) if values.size else None
