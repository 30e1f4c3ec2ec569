"""Which material is it? Curves of nanocrystals of any material, and a pattern compared with them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..models import (
    CRYSTAL_DISPERSION,
    CRYSTAL_Q_INV_ANGSTROM,
    CRYSTAL_SIZES_NM,
    CrystalCurves,
    load_crystal_curves,
    shipped_crystals,
)
from ..patterns import Pattern
from ..simulation import Material, crystal_patterns, load_material, load_solvent, solvent_names
from ..sizing import Identification, MaterialComparison
from ._cache import cached_arrays
from ._simulate import Progress

__all__ = ["crystal_curves", "identify", "solvent_curves"]

WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the dispersion corrections where none is given, and of the curves of the package, Å."""


def identify(
    pattern: Pattern,
    materials: Sequence[str] | None = None,
    *,
    wavelength_angstrom: float | None = None,
    progress: Progress = lambda *_: None,
) -> Identification:
    """Compare a pattern with nanocrystals of many materials.

    Curves that the package does not contain are simulated at their first use and kept in the user's cache
    folder.

    Parameters
    ----------
    pattern
        Reduced pattern.
    materials
        Materials of the package, or paths of CIF or TOML files, at least two; None for all of the package.
    wavelength_angstrom
        Wavelength of the dispersion corrections, Å; 0.56 Å where it is not known.
    progress
        Called for each material.

    Returns
    -------
    The probability of each material from the likelihood of its best fit, all materials equally likely
    before, and whether one of them can be named.

    Raises
    ------
    PatternError
        The pattern has fewer than 60 bins with data between 0.9 and 15.3 Å⁻¹.
    PhysicsError
        A material is unknown or cannot be used.
    ConfigurationError
        Fewer than two materials are given.
    """
    names = list(shipped_crystals() if materials is None else dict.fromkeys(materials))
    wavelength = WAVELENGTH_ANGSTROM if wavelength_angstrom is None else round(wavelength_angstrom, 2)
    curves = []
    for number, name in enumerate(names):
        progress(f"comparing with {name}", number, len(names))
        curves.append(crystal_curves(name, wavelength))
    found = MaterialComparison(curves).compare(pattern)
    progress("done", len(names), len(names))
    return found


def crystal_curves(material: str, wavelength_angstrom: float = WAVELENGTH_ANGSTROM) -> CrystalCurves:
    """Load curves of nanocrystals of a material, or simulate them.

    Parameters
    ----------
    material
        Material of the package, or path of a CIF or TOML file.
    wavelength_angstrom
        Wavelength of the dispersion corrections, Å; the package contains the curves for 0.56 Å.

    Returns
    -------
    The curves, for the identification of materials and as other crystals beside dots.

    Raises
    ------
    PhysicsError
        The material is unknown or cannot be used.
    """
    if material in shipped_crystals() and wavelength_angstrom == WAVELENGTH_ANGSTROM:
        return load_crystal_curves([material])[0]
    crystal = load_material(material)
    return CrystalCurves(crystal.name, _curves(crystal, wavelength_angstrom))


def _curves(material: Material, wavelength_angstrom: float) -> NDArray[np.float64]:
    """Curves of nanocrystals with mean 1 on `CRYSTAL_Q_INV_ANGSTROM`, shape (n_sizes, n_q)."""
    described = {
        "material": material.model_dump(mode="json"),
        "wavelength_angstrom": wavelength_angstrom,
        "sizes_nm": CRYSTAL_SIZES_NM.tolist(),
        "dispersion": CRYSTAL_DISPERSION,
        "q_inv_angstrom": CRYSTAL_Q_INV_ANGSTROM[[0, -1]].tolist(),
    }

    def simulated() -> dict[str, NDArray[np.float64]]:
        curves = crystal_patterns(
            material, CRYSTAL_Q_INV_ANGSTROM, CRYSTAL_SIZES_NM, CRYSTAL_DISPERSION, wavelength_angstrom
        )
        return {"curves": curves / curves.mean(axis=1, keepdims=True)}

    arrays, _ = cached_arrays("crystal", described, simulated)
    return np.asarray(arrays["curves"])


def solvent_curves() -> NDArray[np.float64]:
    """Simulate the curves of the solvents of the package.

    Returns
    -------
    Curves with mean 1 on `CRYSTAL_Q_INV_ANGSTROM`, the last value beyond a solvent's own range, shape
    (n_solvents, n_q).
    """
    curves = np.array(
        [
            load_solvent(name).extended_intensity(CRYSTAL_Q_INV_ANGSTROM, WAVELENGTH_ANGSTROM)
            for name in solvent_names()
        ]
    )
    return np.asarray(curves / curves.mean(axis=1, keepdims=True))
