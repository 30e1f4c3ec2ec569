"""Solvents: what the dots swim in."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError
from ...patterns import Axis, read_pattern
from ._scattering import recoil

__all__ = ["Solvent", "load_solvent", "read_solvent", "solvent_names"]

MOLAR_MASS_G = {"hexane": 86.18, "toluene": 92.14}
"""Molar masses of the solvents of the package, g (C6H14, C7H8)."""


@dataclass(frozen=True, eq=False)
class Solvent:
    """Scattering of a pure liquid, per molecule in electron units where it is known so well."""

    name: str
    """Name of the liquid."""
    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, Å⁻¹, shape (n,)."""
    coherent: NDArray[np.float64]
    """Coherent intensity, and of a measured solvent all that it scatters, shape (n,)."""
    compton: NDArray[np.float64]
    """Incoherent scattering function, before recoil, shape (n,)."""
    molar_mass_g: float | None = None
    """Molar mass, g; None where the curve is not per molecule."""

    @property
    def known_molar_mass_g(self) -> float:
        """Molar mass, g; a `PhysicsError` where it is unknown."""
        if self.molar_mass_g is None:
            raise PhysicsError(
                f"solvent {self.name} has no molar mass, so it cannot be mixed by weight: give an "
                "area_fraction, or its molar mass and a curve in electron units per molecule"
            )
        return self.molar_mass_g

    def intensity(
        self, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Coherent and Compton scattering as a photon-counting detector sees them.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹, shape (n_q,).
        wavelength_angstrom
            Wavelength, Å.

        Returns
        -------
        Intensity per molecule, electron units, shape (n_q,).

        Raises
        ------
        PhysicsError
            A Q lies outside the curve.
        """
        low, high = self.q_inv_angstrom[0], self.q_inv_angstrom[-1]
        if q_inv_angstrom.min() < low or q_inv_angstrom.max() > high:
            raise PhysicsError(
                f"Q from {q_inv_angstrom.min():.4g} to {q_inv_angstrom.max():.4g} Å⁻¹ leaves the curve of "
                f"{self.name} ({low:.4g} … {high:.4g} Å⁻¹)"
            )
        coherent = np.interp(q_inv_angstrom, self.q_inv_angstrom, self.coherent)
        compton = np.interp(q_inv_angstrom, self.q_inv_angstrom, self.compton)
        return np.asarray(coherent + compton * recoil(q_inv_angstrom, wavelength_angstrom))


def solvent_names() -> list[str]:
    """List the solvents of the package.

    Returns
    -------
    Names in alphabetical order.
    """
    folder = files(__package__) / "data"
    return sorted(
        entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.name.endswith(".csv")
    )


@cache
def load_solvent(name: str) -> Solvent:
    """Load a solvent of the package; `data/README.md` tells where the curves come from.

    Parameters
    ----------
    name
        Name as in `solvent_names`.

    Returns
    -------
    The solvent.

    Raises
    ------
    PhysicsError
        The package has no such solvent.
    """
    if name not in solvent_names():
        raise PhysicsError(f"solvent {name!r} is unknown: choose from {', '.join(solvent_names())}")
    with (files(__package__) / "data" / f"{name}.csv").open(encoding="utf-8") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    return Solvent(name, table[:, 0], table[:, 1], table[:, 2], MOLAR_MASS_G[name])


def read_solvent(
    path: Path, wavelength_angstrom: float, axis: Axis = Axis.TWO_THETA, molar_mass_g: float | None = None
) -> Solvent:
    """Read a measured solvent, corrected for all but what the solvent itself scatters.

    Parameters
    ----------
    path
        Text file of two or three columns (`read_pattern`); points without a number are left out.
    wavelength_angstrom
        Wavelength it was measured at, Å. Its Compton recoil is in the curve and stays as it was.
    axis
        What the first column holds.
    molar_mass_g
        Molar mass, g, where the curve is in electron units per molecule; without it, it can be mixed by
        area alone.

    Returns
    -------
    The solvent, by the name of the file.

    Raises
    ------
    PatternFileError
        The file cannot be read.
    PhysicsError
        The curve is negative on average.
    """
    pattern = read_pattern(path, wavelength_angstrom, axis)
    usable = pattern.usable
    intensity = pattern.intensity[usable]
    if not intensity.mean() > 0:
        raise PhysicsError(
            f"solvent {path} has a mean of {intensity.mean():.4g}: was more subtracted than the container?"
        )
    q = pattern.q_inv_angstrom[usable]
    return Solvent(path.stem, q, intensity, np.zeros_like(intensity), molar_mass_g)
