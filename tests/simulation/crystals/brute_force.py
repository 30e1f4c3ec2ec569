"""The Debye equation as it is written: a double sum over explicit atoms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdsizer_stream.simulation.crystal import Cluster, Material

TOO_CLOSE_ANGSTROM = 0.7
"""Atoms this near are one atom: itself, or alternatives of which only one is present."""


@dataclass
class Atoms:
    """Explicit atoms: positions (n, 3) in Å, site of each, probability that each is there."""

    positions: NDArray[np.float64]
    site: NDArray[np.intp]
    occupancy: NDArray[np.float64]

    def kept(self, keep: NDArray[np.bool_]) -> "Atoms":
        return Atoms(self.positions[keep], self.site[keep], self.occupancy[keep])


def atoms_of(material: Material, cluster: Cluster) -> Atoms:
    """List the atoms of a cluster one by one."""
    positions, sites, occupancies = [], [], []
    for s, occupancy in enumerate(cluster.occupancy):
        for node in np.argwhere(occupancy > 0):
            index = node - (np.array(occupancy.shape) - 1) // 2
            positions.append(index @ material.cell_angstrom + material.positions_angstrom[s])
            sites.append(s)
            occupancies.append(occupancy[tuple(node)])
    return Atoms(np.array(positions), np.array(sites), np.array(occupancies))


def debye(
    material: Material, atoms: Atoms, q: NDArray[np.float64], factors: list[NDArray[np.complex128]]
) -> NDArray[np.float64]:
    """Intensity of explicit atoms; atoms are there or not, each independent of the others."""
    separation = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=2)
    pair = separation > TOO_CLOSE_ANGSTROM
    distance = np.where(pair, separation, 1.0)
    b = np.array([site.b_angstrom2 for site in material.sites])[atoms.site]
    intensity = np.empty(q.size)
    for n, value in enumerate(q):
        f = np.array([factor[n] for factor in factors])[atoms.site]
        damped = f * np.exp(-b * (value / (4 * np.pi)) ** 2) * atoms.occupancy
        phase = np.where(pair, np.sin(value * distance) / (value * distance), 0.0)
        intensity[n] = np.real(np.conj(damped) @ phase @ damped) + np.sum(np.abs(f) ** 2 * atoms.occupancy)
    return intensity
