"""Factors of small matrices by LAPACK itself: the checks of SciPy's wrappers cost too much per frame.

SciPy is imported with the first frame: a session whose frames another process sizes never needs it.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["cholesky_with_ridge", "prepare", "solve_transposed", "whiten"]


def prepare() -> None:
    """Import what the first frame would otherwise wait for."""
    import scipy.optimize
    import scipy.sparse  # noqa: F401

    _lapack()
    _blas()


@cache
def _lapack() -> Any:
    """LAPACK; an import statement would be looked up six times for each frame."""
    import scipy.linalg.lapack

    return scipy.linalg.lapack


@cache
def _blas() -> Any:
    import scipy.linalg.blas

    return scipy.linalg.blas


def cholesky_with_ridge(gram: NDArray[np.float64], ridge: float) -> tuple[NDArray[np.float64], bool]:
    """Factor a symmetric matrix with a ridge on its diagonal.

    Parameters
    ----------
    gram
        The matrix, shape (n, n); not changed.
    ridge
        Added to its diagonal.

    Returns
    -------
    Upper triangular factor, shape (n, n), and whether the matrix is positive definite; where it is not, the
    factor is not valid.
    """
    # The transpose of a copy in NumPy's order is in LAPACK's, which overwrites it.
    copied = np.array(gram, order="C")
    copied.reshape(-1)[:: gram.shape[0] + 1] += ridge
    upper, failed = _lapack().dpotrf(copied.T, overwrite_a=True)
    return upper, not failed


def solve_transposed(
    upper: NDArray[np.float64], right: NDArray[np.float64], overwrite: bool = False
) -> NDArray[np.float64]:
    """Solve Uᵀ x = b.

    Parameters
    ----------
    upper
        Upper triangular matrix U, shape (n, n).
    right
        Right-hand sides b, shape (n,) or (n, m).
    overwrite
        Whether they may be overwritten, which saves a copy where their columns are contiguous.

    Returns
    -------
    x, in the shape of b.
    """
    solution, _ = _lapack().dtrtrs(upper, right, trans=1, overwrite_b=overwrite)
    return np.asarray(solution)


def whiten(upper: NDArray[np.float64], rows: NDArray[np.float64]) -> None:
    """Replace rows X by U⁻ᵀ X, in place.

    Parameters
    ----------
    upper
        Upper triangular matrix U, shape (n, n).
    rows
        X, shape (n, m), contiguous.
    """
    # Transposed, in the order of Fortran: Xᵀ U⁻¹, which overwrites it.
    _blas().dtrsm(1.0, upper, rows.T, side=1, overwrite_b=True)
