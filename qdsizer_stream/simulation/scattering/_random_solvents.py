"""Random solvents: simulated organic liquids of random molecules with a random halo."""

import numpy as np
import xraydb
from numpy.typing import NDArray

from ._scattering import compton_per_atom, recoil

__all__ = ["random_solvents"]

BOND_ANGSTROM = {"chain": 1.53, "ring": 1.39}
"""Carbon-carbon bond lengths of alkanes (chain) and of benzene (ring)."""

CHAIN_TURN_RAD = np.radians(180 - 112.7)
"""Change of direction of an alkane chain at each carbon; 112.7° is the C-C-C angle."""

THERMAL_B_ANGSTROM2 = 0.3
"""Displacement parameter B within a molecule: u ≈ 0.06 Å, typical of bond vibrations."""


def random_solvents(
    rng: np.random.Generator, n: int, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
) -> NDArray[np.float64]:
    """Draw scattering curves of random organic solvents.

    The molecule is exact: a Debye sum over a random chain or ring of carbon with some oxygen, nitrogen
    or chlorine, each hydrogen added to its neighbour, plus Compton scattering. The order between molecules
    is a simple model that covers the variety of liquids: it removes the molecular intensity below a random
    Q and adds a halo at a random Q from 1 to 2 Å⁻¹, in half of the solvents with a shoulder.

    Parameters
    ----------
    rng
        Random generator.
    n
        Number of solvents.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    wavelength_angstrom
        Wavelength for the Compton recoil, Å.

    Returns
    -------
    Intensities with mean 1, shape (n, n_q).
    """
    s = q_inv_angstrom / (4 * np.pi)
    f = {element: xraydb.f0(element, s) for element in ("H", "C", "N", "O", "Cl")}
    compton = {element: compton_per_atom(element, q_inv_angstrom) for element in f}
    factor = recoil(q_inv_angstrom, wavelength_angstrom)
    curves = np.empty((n, q_inv_angstrom.size))
    for row in range(n):
        xyz, elements, hydrogens = _molecule(rng)
        amplitude = np.array([f[e] + h * f["H"] for e, h in zip(elements, hydrogens, strict=True)])
        distance = np.linalg.norm(xyz[:, None] - xyz[None, :], axis=-1)
        first, second = np.triu_indices(len(elements), 1)
        phase = q_inv_angstrom * distance[first, second][:, None]
        pairs = 2 * amplitude[first] * amplitude[second] * np.sin(phase) / phase
        molecular = (amplitude**2).sum(axis=0) + np.exp(-2 * THERMAL_B_ANGSTROM2 * s**2) * pairs.sum(axis=0)
        excluded = 1 - np.exp(-((q_inv_angstrom / rng.uniform(1.1, 2.0)) ** rng.uniform(3, 6)))
        curve = molecular * excluded
        level = np.interp(2.5, q_inv_angstrom, molecular)
        halo = rng.uniform(1.0, 2.0)
        curve += level * rng.uniform(0.3, 4.0) * _gaussian(q_inv_angstrom, halo, rng.uniform(0.12, 0.45))
        if rng.random() < 0.5:
            shoulder = halo + rng.uniform(0.3, 1.6)
            curve += (
                level * rng.uniform(0.1, 1.0) * _gaussian(q_inv_angstrom, shoulder, rng.uniform(0.2, 0.6))
            )
        incoherent = sum(compton[e] + h * compton["H"] for e, h in zip(elements, hydrogens, strict=True))
        curve += factor * incoherent
        curves[row] = curve / curve.mean()
    return curves


def _gaussian(q: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * ((q - centre) / width) ** 2))


def _molecule(
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], list[str], list[int]]:
    """Positions (Å), elements and number of attached hydrogens of the heavy atoms of a random molecule."""
    if rng.random() < 0.35:  # ring with a short tail, such as toluene
        angle = np.arange(6) * np.pi / 3
        xyz = BOND_ANGSTROM["ring"] * np.column_stack([np.cos(angle), np.sin(angle), np.zeros(6)])
        tail = int(rng.integers(0, 3))
        outward = np.array([1.0, 0.0, 0.0])
        xyz = np.vstack([xyz, *[xyz[0] + outward * BOND_ANGSTROM["chain"] * (i + 1) for i in range(tail)]])
        elements, hydrogens = ["C"] * (6 + tail), [1] * 6 + [2] * tail
    else:  # chain of 1 to 18 heavy atoms, from small alcohols to octadecene
        length = int(rng.integers(1, 19))
        xyz = np.zeros((length, 3))
        direction = np.array([1.0, 0.0, 0.0])
        normal = np.array([0.0, 0.0, 1.0])
        for i in range(1, length):
            xyz[i] = xyz[i - 1] + BOND_ANGSTROM["chain"] * direction
            # dihedral angles: two thirds trans, one third gauche, as in liquid alkanes
            twist = rng.choice([np.pi, np.pi / 3, -np.pi / 3], p=[0.66, 0.17, 0.17])
            normal = _rotate(normal, direction, twist)
            direction = _rotate(direction, normal, CHAIN_TURN_RAD)
        elements, hydrogens = ["C"] * length, [2] * length
    for i in range(len(elements)):
        if rng.random() < 0.08:
            elements[i] = str(rng.choice(["O", "N", "Cl"], p=[0.6, 0.25, 0.15]))
            hydrogens[i] = int(rng.integers(0, 3)) if elements[i] != "Cl" else 0
    return xyz, elements, hydrogens


def _rotate(vector: NDArray[np.float64], axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rotate a vector about a unit axis by an angle in radians (Rodrigues' formula)."""
    return np.asarray(
        vector * np.cos(angle)
        + np.cross(axis, vector) * np.sin(angle)
        + axis * (axis @ vector) * (1 - np.cos(angle))
    )
