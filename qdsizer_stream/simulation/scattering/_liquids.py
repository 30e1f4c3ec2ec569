"""Liquids that nobody measured: random molecules with a random halo."""

import numpy as np
import xraydb
from numpy.typing import NDArray

from ._scattering import compton_per_atom, recoil

__all__ = ["random_liquids"]

BOND_ANGSTROM = {"chain": 1.53, "ring": 1.39}
"""Carbon-carbon bonds of alkanes and of benzene."""

CHAIN_TURN_RAD = np.radians(180 - 112.7)
"""Turn of an alkane chain at each carbon."""

THERMAL_B_ANGSTROM2 = 0.3
"""Displacement within a molecule, u ≈ 0.06 Å: what bond vibrations give."""


def random_liquids(
    rng: np.random.Generator, n: int, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
) -> NDArray[np.float64]:
    """Draw scattering curves of organic liquids.

    The molecule is exact: a Debye sum over a random chain or ring of carbon with some oxygen, nitrogen
    or chlorine, hydrogen riding on its neighbour, plus Compton scattering. The liquid is a caricature
    with the right freedoms: order between molecules removes the molecular intensity below a random Q
    and puts a halo near 2π over a random distance, sometimes with a shoulder.

    Parameters
    ----------
    rng
        Source of randomness.
    n
        Number of liquids.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    wavelength_angstrom
        Wavelength, Å, for the Compton recoil.

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
        hole = 1 - np.exp(-((q_inv_angstrom / rng.uniform(1.1, 2.0)) ** rng.uniform(3, 6)))
        curve = molecular * hole
        level = np.interp(2.5, q_inv_angstrom, molecular)
        halo = rng.uniform(1.0, 2.0)
        curve += level * rng.uniform(0.3, 4.0) * _bump(q_inv_angstrom, halo, rng.uniform(0.12, 0.45))
        if rng.random() < 0.5:
            shoulder = halo + rng.uniform(0.3, 1.6)
            curve += level * rng.uniform(0.1, 1.0) * _bump(q_inv_angstrom, shoulder, rng.uniform(0.2, 0.6))
        incoherent = sum(compton[e] + h * compton["H"] for e, h in zip(elements, hydrogens, strict=True))
        curve += factor * incoherent
        curves[row] = curve / curve.mean()
    return curves


def _bump(q: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * ((q - centre) / width) ** 2))


def _molecule(
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], list[str], list[int]]:
    """Positions (Å), elements and attached hydrogens of the heavy atoms of a random molecule."""
    if rng.random() < 0.35:  # ring with a short tail: toluene, xylene, dichlorobenzene…
        angle = np.arange(6) * np.pi / 3
        xyz = BOND_ANGSTROM["ring"] * np.column_stack([np.cos(angle), np.sin(angle), np.zeros(6)])
        tail = int(rng.integers(0, 3))
        outward = np.array([1.0, 0.0, 0.0])
        xyz = np.vstack([xyz, *[xyz[0] + outward * BOND_ANGSTROM["chain"] * (i + 1) for i in range(tail)]])
        elements, hydrogens = ["C"] * (6 + tail), [1] * 6 + [2] * tail
    else:  # chain: hexane to octadecene, or the water and alcohol end of the scale
        length = int(rng.integers(1, 19))
        xyz = np.zeros((length, 3))
        direction = np.array([1.0, 0.0, 0.0])
        normal = np.array([0.0, 0.0, 1.0])
        for i in range(1, length):
            xyz[i] = xyz[i - 1] + BOND_ANGSTROM["chain"] * direction
            # trans (0) mostly, gauche (±120° about the bond) in the liquid's third
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
    """Rotate about a unit axis (Rodrigues)."""
    return np.asarray(
        vector * np.cos(angle)
        + np.cross(axis, vector) * np.sin(angle)
        + axis * (axis @ vector) * (1 - np.cos(angle))
    )
