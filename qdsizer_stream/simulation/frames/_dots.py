"""Scattering of populations of dots at any momentum transfer and wavelength."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..crystal import Material
from ..scattering import (
    CorrelatedMotion,
    PairTable,
    compton_intensity,
    correlated_sums,
    form_factors,
    pattern_sums,
    structure_sums,
)
from ._mixing import core_molar_mass
from ._population import Moments, population_moments

__all__ = ["DotPopulation", "mixed_pairs"]


def mixed_pairs(table: PairTable, weights: NDArray[np.float64]) -> PairTable:
    """Average pairs over populations, so that sines are summed for populations instead of clusters.

    Parameters
    ----------
    table
        Pairs of the clusters.
    weights
        Number fractions, shape (n_clusters, n_populations).

    Returns
    -------
    The mean pairs of a dot of each population.
    """
    multiplicities = tuple(counts @ weights for counts in table.multiplicities)
    return PairTable(table.distances_angstrom, multiplicities, table.group, table.self_terms @ weights)


@dataclass(frozen=True, eq=False)
class DotPopulation:
    """Dots of one material and one size distribution.

    Parameters
    ----------
    material
        Crystal.
    pairs
        Mean pairs of a dot, one column (`mixed_pairs`).
    moments
        Realised moments, each of shape (1,).
    mean_surface_nm2
        Mean surface of a dot, nm², taken as that of a sphere.
    molar_mass_g
        Mass of a mole of dots without ligands, g.
    motion
        Correlated motion of the atoms; none where left out.
    """

    material: Material
    pairs: PairTable
    moments: Moments
    mean_surface_nm2: float
    molar_mass_g: float
    motion: CorrelatedMotion | None = None

    @classmethod
    def from_clusters(
        cls,
        material: Material,
        table: PairTable,
        diameters_nm: NDArray[np.float64],
        weights: NDArray[np.float64],
        motion: CorrelatedMotion | None = None,
    ) -> "DotPopulation":
        """Mix clusters.

        Parameters
        ----------
        material
            Crystal of the clusters.
        table
            Pairs of the clusters.
        diameters_nm
            Their diameters, nm, shape (n_clusters,).
        weights
            Number fractions of one population, shape (n_clusters, 1).
        motion
            Correlated motion of the atoms; none where left out.

        Returns
        -------
        The population.
        """
        return cls(
            material,
            mixed_pairs(table, weights),
            population_moments(diameters_nm, weights),
            float(np.pi * diameters_nm**2 @ weights[:, 0]),
            float(core_molar_mass(material, table.self_terms, weights)[0]),
            motion,
        )

    def intensity(
        self, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Coherent and Compton scattering as a photon-counting detector sees them.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers > 0, Å⁻¹, shape (n_q,).
        wavelength_angstrom
            Wavelength, Å.

        Returns
        -------
        Intensity per dot, electron units, shape (n_q,).

        Raises
        ------
        PhysicsError
            A Q is not positive or lies past the form-factor tables.
        """
        q, wavelength = q_inv_angstrom, wavelength_angstrom
        factors = form_factors(self.material, q, wavelength)
        if self.motion is None:
            sums = structure_sums(self.pairs, q)
        else:
            sums = correlated_sums(self.pairs, q, self.motion)
        coherent = pattern_sums(self.material, self.pairs, sums, q, factors)
        compton = compton_intensity(self.material, q, wavelength, list(self.pairs.self_terms))
        return np.asarray((coherent + compton)[:, 0])
