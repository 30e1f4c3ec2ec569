"""Solvents: what the dots swim in."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from ..errors import PhysicsError
from ._scattering import recoil

__all__ = ["Solvent", "load_solvent", "mix_by_area", "solvent_names"]


@dataclass(frozen=True, eq=False)
class Solvent:
    """Scattering of a pure liquid, per molecule, in electron units."""

    name: str
    """Name of the liquid."""
    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, Å⁻¹, shape (n,)."""
    coherent: NDArray[np.float64]
    """Coherent intensity, shape (n,)."""
    compton: NDArray[np.float64]
    """Incoherent scattering function, before recoil, shape (n,)."""

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
    return Solvent(name, table[:, 0], table[:, 1], table[:, 2])


def mix_by_area(
    dots: NDArray[np.float64], solvent: NDArray[np.float64], area_fraction: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Mix patterns by area, as the paper does: both are first scaled to mean 1.

    The area fraction x is no weight fraction: 65, 37 and 15 % of the area are 14.9, 5.2 and 1.6 % by
    weight of PbS in toluene, and are called 44, 20 and 7 % in the paper.

    Parameters
    ----------
    dots, solvent
        Intensities on one equispaced grid, last axis Q.
    area_fraction
        Share of the dots in the total area, 0 to 1, broadcast against the leading axes.

    Returns
    -------
    Mixed intensities with mean 1.
    """
    x = np.asarray(area_fraction)[..., None]
    return np.asarray(
        x * dots / dots.mean(axis=-1, keepdims=True)
        + (1 - x) * solvent / solvent.mean(axis=-1, keepdims=True)
    )
