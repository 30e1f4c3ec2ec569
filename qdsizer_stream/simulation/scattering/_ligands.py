"""Scattering of the ligands on the surface of dots."""

import numpy as np
import xraydb
from numpy.typing import NDArray
from pydantic import Field

from ...configuration import Config
from ...errors import PhysicsError
from ._scattering import MAX_F0_Q_INV_ANGSTROM, compton_per_atom, recoil

__all__ = ["LigandShell"]


class LigandShell(Config):
    """A shell of organic molecules, modelled like a liquid: free atoms plus one halo.

    The halo represents all order within and between the molecules. Interference with the core is neglected:
    it is smooth, and beyond 1.5 Å⁻¹ only a few per cent of the scattering of the shell.
    """

    atoms: dict[str, int] = Field(default={"C": 18, "H": 33, "O": 2}, min_length=1)
    """Number of atoms of each element in one ligand; the default is oleate."""
    per_nm2: float = Field(gt=0, lt=10)
    """Ligands per surface area of the core, nm⁻²: 2 to 4 for oleate on lead chalcogenides."""
    halo_inv_angstrom: float = Field(default=1.4, gt=0.5, lt=4)
    """Centre of the halo, Å⁻¹; the default corresponds to chains 4.5 Å apart."""
    halo_width_inv_angstrom: float = Field(default=0.2, gt=0.02, lt=1)
    """Standard deviation of the halo, Å⁻¹."""
    halo_height: float = Field(default=2.0, ge=0, lt=20)
    """Height of the halo relative to the scattering of the free atoms at its centre."""

    def intensity(
        self, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Scattering of one ligand.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹, shape (n_q,).
        wavelength_angstrom
            Wavelength, Å.

        Returns
        -------
        Intensity per ligand, electron units, shape (n_q,).

        Raises
        ------
        PhysicsError
            An element is unknown, or a Q lies beyond the form-factor tables.
        """
        q = q_inv_angstrom
        if q.max() > MAX_F0_Q_INV_ANGSTROM:
            raise PhysicsError(
                f"Q = {q.max():.4g} Å⁻¹ is beyond the form-factor tables: "
                f"give Q of at most {MAX_F0_Q_INV_ANGSTROM:.1f} Å⁻¹"
            )
        centre = np.array([self.halo_inv_angstrom])
        halo = np.exp(-0.5 * ((q - self.halo_inv_angstrom) / self.halo_width_inv_angstrom) ** 2)
        coherent = self._free_atoms(q) + self.halo_height * self._free_atoms(centre) * halo
        compton = sum(n * compton_per_atom(element, q) for element, n in self.atoms.items())
        return np.asarray(coherent + compton * recoil(q, wavelength_angstrom))

    def _free_atoms(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            squares = [n * xraydb.f0(element, q / (4 * np.pi)) ** 2 for element, n in self.atoms.items()]
        except ValueError as error:
            raise PhysicsError(
                f"ligand {self.atoms} contains an unknown element: give chemical symbols such as C"
            ) from error
        return np.asarray(sum(squares))
