"""Solvents: their scattering curves, shipped or measured."""

import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...configuration import choice
from ...errors import PhysicsError
from ...patterns import Axis, read_pattern
from ._scattering import recoil

__all__ = ["Solvent", "load_solvent", "read_solvent", "solvent_names"]

MOLAR_MASS_G = {"hexane": 86.18, "toluene": 92.14}
"""Molar masses of the solvents of the package, g (C6H14, C7H8)."""


@dataclass(frozen=True, eq=False)
class Solvent:
    """Scattering of a pure solvent, in electron units per molecule if the absolute scale is known."""

    name: str
    """Name of the solvent."""
    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, Å⁻¹, shape (n,)."""
    coherent: NDArray[np.float64]
    """Coherent intensity, or the total intensity of a measured solvent, shape (n,)."""
    compton: NDArray[np.float64]
    """Incoherent scattering function, before recoil, shape (n,)."""
    molar_mass_g: float | None = None
    """Molar mass, g; None if the curve is not per molecule."""

    @property
    def known_molar_mass_g(self) -> float:
        """Molar mass, g; raises `PhysicsError` if it is unknown."""
        if self.molar_mass_g is None:
            raise PhysicsError(
                f"solvent {self.name} has no molar mass, so it cannot be mixed by weight: give an "
                "area_fraction, or its molar mass and a curve in electron units per molecule"
            )
        return self.molar_mass_g

    def intensity(
        self, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Coherent and Compton scattering recorded by a photon-counting detector.

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
                f"Q from {q_inv_angstrom.min():.4g} to "
                f"{q_inv_angstrom.max():.4g} Å⁻¹ is outside the curve of "
                f"{self.name}: give Q from {low:.4g} to {high:.4g} Å⁻¹"
            )
        coherent = np.interp(q_inv_angstrom, self.q_inv_angstrom, self.coherent)
        compton = np.interp(q_inv_angstrom, self.q_inv_angstrom, self.compton)
        return np.asarray(coherent + compton * recoil(q_inv_angstrom, wavelength_angstrom))

    def extended_intensity(
        self, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """The same at any Q: beyond either end of the curve, the value at that end.

        A curve that is stretched, or compared over a wider range, needs few points there.

        Parameters
        ----------
        q_inv_angstrom, wavelength_angstrom
            As in `intensity`.

        Returns
        -------
        As of `intensity`.
        """
        return self.intensity(np.clip(q_inv_angstrom, *self.q_inv_angstrom[[0, -1]]), wavelength_angstrom)


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
    """Load a solvent of the package; `data/README.md` lists the references of the curves.

    Parameters
    ----------
    name
        One of `solvent_names`.

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
    path: str | os.PathLike[str],
    wavelength_angstrom: float,
    axis: Axis | str = Axis.TWO_THETA,
    molar_mass_g: float | None = None,
) -> Solvent:
    """Read a measured solvent pattern, corrected so that only scattering of the solvent remains.

    Parameters
    ----------
    path
        Text file of two or three columns (see `read_pattern`); points without a value are omitted.
    wavelength_angstrom
        Wavelength of the measurement, Å. The curve includes its Compton recoil, which is not changed.
    axis
        Quantity in the first column, an `Axis` or its string such as "q".
    molar_mass_g
        Molar mass, g, if the curve is in electron units per molecule; without it, the solvent can be mixed
        by area only.

    Returns
    -------
    The solvent, named after the file.

    Raises
    ------
    PatternFileError
        The file cannot be read.
    ConfigurationError
        The axis is unknown.
    PhysicsError
        The curve is negative on average.
    """
    path = Path(path)
    pattern = read_pattern(path, wavelength_angstrom, choice(Axis, axis, "axis"))
    usable = pattern.usable
    intensity = pattern.intensity[usable]
    if not intensity.mean() > 0:
        raise PhysicsError(
            f"solvent {path} has a mean intensity of {intensity.mean():.4g}, which must be above 0: "
            "subtract only the scattering of the container"
        )
    q = pattern.q_inv_angstrom[usable]
    return Solvent(path.stem, q, intensity, np.zeros_like(intensity), molar_mass_g)
