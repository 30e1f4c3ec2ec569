"""Errors of HDF5 files whose groups and datasets are not those of their format."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import PatternFileError, QdsizerError

__all__ = ["structure_checked"]


@contextmanager
def structure_checked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of a damaged structure into one line that names the file.

    A dataset in place of a group, an attribute of another type, text in place of numbers or an empty array
    raise errors of h5py and NumPy, which do not name the file.

    Parameters
    ----------
    path
        HDF5 file that is being read.

    Raises
    ------
    PatternFileError
        In place of those errors.
    """
    try:
        yield
    except QdsizerError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise PatternFileError(
            f"{path} is damaged or not what its names say: a group, dataset or attribute is of another kind "
            f"than expected ({' '.join(f'{error}'.split()) or type(error).__name__}); export the file again"
        ) from error
