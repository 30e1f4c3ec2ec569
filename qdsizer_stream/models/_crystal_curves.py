"""Patterns of nanocrystals of other crystals, which are simulated once and kept in a file of their own."""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..patterns import BinGrid
from ._seal import SEAL_KEY, seal_of_arrays
from ._templates import Templates, pooled_bins

__all__ = [
    "CRYSTAL_DISPERSION",
    "CRYSTAL_Q_INV_ANGSTROM",
    "CRYSTAL_SIZES_NM",
    "CURVES_SUFFIX",
    "CrystalCurves",
    "load_crystal_curves",
    "shipped_crystals",
    "shipped_solvents",
    "with_phases",
    "write_crystal_curves",
]

CRYSTAL_Q_INV_ANGSTROM = np.arange(0.9 * 0.98, 15.3 * 1.02, 0.01)
"""Momentum transfers of the curves: the range that models use with a margin for strains of 2 %, in steps of
a sixth of the width of a peak of a 10 nm dot, Å⁻¹."""

CRYSTAL_SIZES_NM = np.geomspace(1.4, 12.0, 12)
"""Number-weighted mean diameters, nm: steps of 22 %, with amounts of neighbours for those between and for
broad populations."""

CRYSTAL_DISPERSION = 0.12
"""Dispersion of each population."""

CURVES_SUFFIX = ".npz"
"""Ending of the files."""

PHASE_SIZES = (1, 4, 7, 11)
"""Those of `CRYSTAL_SIZES_NM` that are looked for beside dots, 1.7, 3.1, 5.5 and 12 nm: an amount of two
neighbours gives the width of those between."""

SOLVENTS = "solvents"
"""Array of solvents' curves in the file of the package."""


@dataclass(frozen=True, eq=False)
class CrystalCurves:
    """Patterns of nanocrystals of one crystal."""

    name: str
    """Name of the crystal."""
    curves: NDArray[np.float64]
    """Curves with mean 1 on `CRYSTAL_Q_INV_ANGSTROM` for each of `CRYSTAL_SIZES_NM`, shape (12, n_q)."""


def shipped_crystals() -> tuple[str, ...]:
    """List the crystals of the package whose curves it contains.

    Returns
    -------
    Names.
    """
    return tuple(_shipped()[0])


def shipped_solvents() -> NDArray[np.float64]:
    """Curves of the solvents of the package.

    Returns
    -------
    Curves on `CRYSTAL_Q_INV_ANGSTROM` with mean 1, shape (n_solvents, n_q).
    """
    return _shipped()[1]


@cache
def _shipped() -> tuple[dict[str, CrystalCurves], NDArray[np.float64]]:
    arrays = _read(Path(str(files(__package__) / "shipped")) / f"crystals{CURVES_SUFFIX}")
    return {one.name: one for one in _crystals(arrays)}, arrays[SOLVENTS].astype(np.float64)


def load_crystal_curves(sources: Sequence[str | os.PathLike[str]]) -> tuple[CrystalCurves, ...]:
    """Load curves of crystals.

    Parameters
    ----------
    sources
        Names of crystals of the package, or files that ``qdsizer-stream materials curves`` has written.

    Returns
    -------
    The crystals, those of a file in its order.

    Raises
    ------
    ModelError
        A name is unknown, a file cannot be read or is damaged, or two crystals have one name.
    """
    found: dict[str, CrystalCurves] = {}
    for source in sources:
        for one in _of_source(source):
            if one.name in found:
                raise ModelError(f"crystal {one.name} is given twice: remove one of them")
            found[one.name] = one
    return tuple(found.values())


def _of_source(source: str | os.PathLike[str]) -> tuple[CrystalCurves, ...]:
    known = _shipped()[0]
    if str(source) in known:
        return (known[str(source)],)
    path = Path(source)
    if path.suffix != CURVES_SUFFIX:
        described = path.suffix.lower() in (".cif", ".toml")
        remedy = (
            f"simulate its curves once with: qdsizer-stream materials curves {source}, and give the file "
            "that this writes"
            if described
            else f"choose {', '.join(known)}, or give a file of 'qdsizer-stream materials curves'"
        )
        raise ModelError(
            f"crystal {str(source)!r} {'has no curves yet' if described else 'is unknown'}: {remedy}"
        )
    return _crystals(_read(path))


def _crystals(arrays: dict[str, NDArray[Any]]) -> tuple[CrystalCurves, ...]:
    return tuple(
        CrystalCurves(str(name), curves.astype(np.float64))
        for name, curves in zip(arrays["names"], arrays["curves"], strict=True)
    )


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a file, whose seal and shapes are right."""
    again = "write it again with: qdsizer-stream materials curves"
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise ModelError(f"cannot read crystal curves {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"crystal curves {path} are damaged ({error}): {again}") from error
    seal = arrays.pop(SEAL_KEY, None)
    if seal is None or str(seal) != seal_of_arrays(arrays):
        raise ModelError(f"crystal curves {path} have changed since they were written: {again}")
    shape = CRYSTAL_SIZES_NM.size, CRYSTAL_Q_INV_ANGSTROM.size
    if arrays["curves"].shape != (arrays["names"].size, *shape):
        raise ModelError(f"crystal curves {path} are of another version of the package: {again}")
    return arrays


def with_phases(templates: Templates, crystals: Sequence[CrystalCurves], grid: BinGrid) -> Templates:
    """Add crystals to those that the physics check looks for beside the dots.

    Parameters
    ----------
    templates
        Templates of the check.
    crystals
        Crystals; those that the templates contain already are left out.
    grid
        Bins of the frames.

    Returns
    -------
    The templates with four sizes of each crystal.
    """
    from scipy.ndimage import uniform_filter1d  # with the first frame, as in `_linear_algebra`

    new = [one for one in crystals if one.name not in templates.phase_names]
    if not new:
        return templates
    q = templates.q_inv_angstrom
    # Averaged over the bins of the check, as the other curves are; an odd number of points keeps the middle.
    points = round(pooled_bins(grid) * grid.q_step_inv_angstrom / (q[1] - q[0])) // 2 * 2 + 1
    added = np.array(
        [np.interp(q, CRYSTAL_Q_INV_ANGSTROM, one.curves[size]) for one in new for size in PHASE_SIZES]
    )
    added = uniform_filter1d(added, points, axis=1)
    added /= added.mean(axis=1, keepdims=True)
    names = tuple(one.name for one in new for _ in PHASE_SIZES)
    kept = templates.phases if templates.phase_names else np.empty((0, q.size))
    return replace(
        templates, phases=np.concatenate([kept, added]), phase_names=(*templates.phase_names, *names)
    )


def write_crystal_curves(
    path: str | os.PathLike[str],
    crystals: Sequence[CrystalCurves],
    solvents: NDArray[np.float64] | None = None,
) -> None:
    """Write curves of crystals.

    Parameters
    ----------
    path
        File to write, ending in .npz.
    crystals
        Crystals.
    solvents
        Curves of solvents, shape (n_solvents, n_q); None for none.

    Raises
    ------
    ModelError
        The file cannot be written, or its name has another ending.
    """
    path = Path(path)
    if path.suffix != CURVES_SUFFIX:
        raise ModelError(f"crystal curves {path}: give a name that ends in {CURVES_SUFFIX}")
    arrays: dict[str, NDArray[Any]] = {
        "names": np.array([one.name for one in crystals]),
        # Their own errors are of the order of per cents.
        "curves": np.array([one.curves for one in crystals], np.float32),
    }
    if solvents is not None:
        arrays[SOLVENTS] = solvents.astype(np.float32)
    try:
        np.savez_compressed(
            path, allow_pickle=False, **arrays, **{SEAL_KEY: np.array(seal_of_arrays(arrays))}
        )
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}") from error
