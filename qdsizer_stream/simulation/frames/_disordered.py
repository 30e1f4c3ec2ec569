"""The disordered part of dots: same material, coherent over little more than a nanometre."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..crystal import Material
from ..scattering import CorrelatedMotion, averaged_sphere_pairs, bin_averaged, correlated_sums

__all__ = ["DisorderedPart", "atoms_per_core", "disordered_part"]


@dataclass(frozen=True, eq=False)
class DisorderedPart:
    """Structure sums of a small sphere of the crystal, in the order of a structure's own tables."""

    sums: tuple[NDArray[np.float64], ...]
    """Structure sums of each group of pairs, each of shape (n_q,)."""
    self_terms: NDArray[np.float64]
    """Atoms of each site, shape (n_sites,)."""


def disordered_part(
    ordered: Material,
    crystal: Material,
    group: Mapping[tuple[int, int], int],
    coherence_angstrom: float,
    q_inv_angstrom: NDArray[np.float64],
    motion: CorrelatedMotion,
    q_step_inv_angstrom: float,
) -> DisorderedPart:
    """Tabulate the disordered part of a structure.

    Parameters
    ----------
    ordered
        Crystal of the ordered core, or the layers that it is stacked from.
    crystal
        Crystal of the disordered part, of the same elements and B.
    group
        Which table of the core the species pair (s, t) is in.
    coherence_angstrom
        Diameter of the sphere, averaged over its centre, Å.
    q_inv_angstrom
        Momentum transfers of the tables, Å⁻¹, shape (n_q,).
    motion
        Correlated motion of the atoms.
    q_step_inv_angstrom
        Width of the bins that sums are averaged over, Å⁻¹; 0 for samples.

    Returns
    -------
    The tables, and the atoms at the first site of each species of the core.
    """
    pairs = averaged_sphere_pairs(crystal, np.array([coherence_angstrom]))
    sums = correlated_sums(bin_averaged(pairs, q_step_inv_angstrom), q_inv_angstrom, motion)
    kinds = [(site.element, site.b_angstrom2) for site in crystal.sites]
    species = {
        s: kinds.index((ordered.sites[s].element, ordered.sites[s].b_angstrom2)) for s in ordered.species
    }
    of_group = {
        number: sums[pairs.group[min(species[s], species[t]), max(species[s], species[t])]][:, 0]
        for (s, t), number in group.items()
    }
    atoms = np.zeros(len(ordered.sites))
    for s, one in species.items():
        atoms[s] = sum(
            n for n, kind in zip(pairs.self_terms[:, 0], crystal.species, strict=True) if kind == one
        )
    return DisorderedPart(tuple(of_group[number] for number in sorted(of_group)), atoms)


def atoms_per_core(
    amount_nm: NDArray[np.float64],
    diameters_nm: NDArray[np.float64],
    core_atoms: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Atoms in the disordered part of the mean dot of each population.

    Parameters
    ----------
    amount_nm
        Atoms in the disordered part over those in the core, times the diameter, nm, shape (n,): a layer at
        the surface.
    diameters_nm
        Diameters of the cores, nm, shape (n_clusters,).
    core_atoms
        Atoms of each core, shape (n_clusters,).
    weights
        Number fractions, shape (n_clusters, n).

    Returns
    -------
    Atoms, shape (n,).
    """
    return np.asarray(amount_nm * ((core_atoms / diameters_nm) @ weights))
