"""Non-negative least squares from normal equations."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._linear_algebra import cholesky_with_ridge, solve_transposed

__all__ = ["RIDGE", "nonnegative"]

RIDGE = 1e-9
"""Added to the normalised normal matrices, whose columns resemble each other."""


def nonnegative(gram: NDArray[np.float64], products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative amounts of columns from the normal equations: one row per column in place of hundreds.

    Parameters
    ----------
    gram
        Products of the columns, which have length 1, shape (n_columns, n_columns).
    products
        Products of the columns and what they are fitted to, shape (n_columns,).

    Returns
    -------
    Amounts, shape (n_columns,).
    """
    upper, _ = cholesky_with_ridge(gram, RIDGE)
    solution, _ = _solver()(upper, solve_transposed(upper, products))
    return np.asarray(solution)


@cache
def _solver() -> Callable[..., Any]:
    """SciPy's solver, imported with the first frame, as in `_linear_algebra`."""
    from scipy.optimize import nnls

    return nnls  # type: ignore[no-any-return]
