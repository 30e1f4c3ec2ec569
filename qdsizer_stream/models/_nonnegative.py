"""Non-negative least squares from normal equations."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dtrtrs
from scipy.optimize import nnls

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
    # LAPACK directly: the checks of SciPy's wrappers cost too much per frame.
    upper, _ = dpotrf(gram + RIDGE * np.eye(gram.shape[0]))
    rhs_whitened, _ = dtrtrs(upper, products, trans=1)
    solution, _ = nnls(upper, rhs_whitened)
    return np.asarray(solution)
