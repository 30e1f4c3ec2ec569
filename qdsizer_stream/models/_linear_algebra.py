"""Factors of small matrices by LAPACK itself: the checks of SciPy's wrappers cost too much per frame.

SciPy is imported with the first frame: a session whose frames another process sizes never needs it.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["cholesky_with_ridge", "prepare", "solve_transposed", "whiten"]


def prepare() -> None:
    """Import what the first frame would otherwise wait for."""
    import scipy.linalg.lapack
    import scipy.optimize
    import scipy.sparse  # noqa: F401


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
    from scipy.linalg.lapack import dpotrf

    copied = gram.T.copy(order="F")
    copied.reshape(-1, order="F")[:: gram.shape[0] + 1] += ridge
    upper, failed = dpotrf(copied, overwrite_a=True)
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
    from scipy.linalg.lapack import dtrtrs

    solution, _ = dtrtrs(upper, right, trans=1, overwrite_b=overwrite)
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
    from scipy.linalg.blas import dtrsm

    # Transposed, in the order of Fortran: Xᵀ U⁻¹, which overwrites it.
    dtrsm(1.0, upper, rows.T, side=1, overwrite_b=True)
