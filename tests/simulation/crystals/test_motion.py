"""Correlated motion against the double sum over explicit atoms."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from qdsizer_stream.simulation import (
    CorrelatedMotion,
    MarchDollase,
    axial_strain,
    correlated_sums,
    debye_wavenumber,
    load_material,
    pair_table,
    pattern_sums,
    sphere,
    structure_sums,
    textured_pairs,
    textured_sums,
)
from qdsizer_stream.simulation.crystal import Cluster, Material

from .brute_force import atoms_of

Q = np.array([0.3, 1.0, 1.83, 2.12, 3.5, 5.0, 7.77, 15.0])
F = {"Pb": 80 - 2 * Q + 7j, "S": 16 - 0.7 * Q + 0.1j, "Cd": 48 - Q + 2j, "Se": 34 - Q + 1j}
A = 1.1


def correlation(distance: float, material: Material) -> float:
    """The sine integral as it is written."""
    n = len(material.sites) / material.cell_volume_angstrom3
    x = (6 * np.pi**2 * n) ** (1 / 3) * distance
    return float(quad(lambda t: np.sinc(t / np.pi), 0, x, limit=400)[0] / x)


def double_sum(material: Material, cluster: Cluster, amplitude: float) -> NDArray[np.float64]:
    atoms = atoms_of(material, cluster)
    elements = [material.sites[s].element for s in atoms.site]
    b = np.array([material.sites[s].b_angstrom2 for s in atoms.site])
    f = np.array([F[element] for element in elements])  # one atom a row
    u = (Q / (4 * np.pi)) ** 2
    total = np.sum(np.abs(f) ** 2, axis=0)
    known: dict[float, float] = {}
    for i, here in enumerate(atoms.positions):
        others = np.arange(len(b)) != i
        r = np.linalg.norm(atoms.positions[others] - here, axis=1)[:, None]
        for one in r[:, 0]:
            if round(one, 6) not in known:
                known[round(one, 6)] = correlation(one, material)
        c = np.array([[known[round(one, 6)]] for one in r[:, 0]])
        t = np.exp(-(b[i] + b[others])[:, None] * u + 2 * amplitude * c * u)
        total += np.sum(np.real(f[i] * np.conj(f[others])) * t * np.sin(Q * r) / (Q * r), axis=0)
    return total


def pattern(material: Material, cluster: Cluster, tolerance: float) -> NDArray[np.float64]:
    table = pair_table(material, [cluster])
    motion = CorrelatedMotion(A, debye_wavenumber(material))
    sums = correlated_sums(table, Q, motion, tolerance)
    return pattern_sums(material, table, sums, Q, [F[s.element] for s in material.sites])[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["PbS", "CdSe-wurtzite"])
def test_against_the_double_sum(name: str) -> None:
    material = load_material(name)
    cluster = sphere(material, 16.0)
    assert cluster.n_atoms.sum() > 50
    expected = double_sum(material, cluster, A)
    np.testing.assert_allclose(pattern(material, cluster, 1e-13), expected, rtol=1e-10)
    np.testing.assert_allclose(pattern(material, cluster, 1e-6), expected, rtol=1e-5)
    # A wrong sign or a factor of two in A would show.
    assert np.abs(double_sum(material, cluster, 0.0) / expected - 1).max() > 0.005


def test_strained_crystal_with_many_distances() -> None:
    """So many distances that sines are summed on a grid, and pairs past 4 nm."""
    material = load_material("PbS")
    cluster = sphere(material, 44.0)
    strained = material.strained(axial_strain((1.0, 2.0, 3.0), 0.02))
    table = pair_table(strained, [cluster])
    motion = CorrelatedMotion(A, debye_wavenumber(strained))
    q = np.linspace(1, 15, 700)
    found = correlated_sums(table, q, motion, 1e-9)
    for sums, distances, counts in zip(found, table.distances_angstrom, table.multiplicities, strict=True):
        for row in (0, 200, 699):
            u = (q[row] / (4 * np.pi)) ** 2
            each = np.exp(2 * A * u * motion.correlation(distances)) * np.sinc(q[row] * distances / np.pi)
            assert sums[row, 0] == pytest.approx(float(each @ counts[:, 0]), abs=1e-8 * counts.sum())


def test_correlation_of_lead_sulphide() -> None:
    """Published values of c at the first four distances, 10 and 40 Å."""
    material = load_material("PbS")
    assert debye_wavenumber(material) == pytest.approx(1.314, abs=1e-3)
    half = material.lattice_parameter_angstrom / 2
    distances = np.array([half, half * np.sqrt(2), half * np.sqrt(3), 2 * half, 10.0, 40.0])
    found = CorrelatedMotion(1.0, debye_wavenumber(material)).correlation(distances)
    np.testing.assert_allclose(found, [0.456, 0.266, 0.212, 0.199, 0.115, 0.030], atol=1e-3)


def test_no_amplitude_is_the_plain_sum_to_the_last_bit() -> None:
    material = load_material("PbS")
    table = pair_table(material, [sphere(material, 20.0)])
    motion = CorrelatedMotion(0.0, debye_wavenumber(material))
    for found, plain in zip(correlated_sums(table, Q, motion), structure_sums(table, Q), strict=True):
        np.testing.assert_array_equal(found, plain)


def test_textured_pairs_move_together_too() -> None:
    """Without a preferred direction, texture's sums are the plain ones; its terms share one gain."""
    material = load_material("PbS")
    cluster = sphere(material, 16.0)
    axes = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    motion = CorrelatedMotion(A, debye_wavenumber(material))
    even = textured_pairs(material, [cluster], MarchDollase(axes=axes, ratio=1.0))
    table = pair_table(material, [cluster])
    for found, expected in zip(
        textured_sums(even, Q, motion=motion), correlated_sums(table, Q, motion, 1e-13), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    # A single bond has one gain, whatever the texture.
    sharp = textured_pairs(material, [sphere(material, 6.0)], MarchDollase(axes=axes, ratio=0.7))
    bond = sharp.table.group[0, 1]
    [length] = sharp.table.distances_angstrom[bond]
    ratio = textured_sums(sharp, Q, motion=motion)[bond] / textured_sums(sharp, Q)[bond]
    np.testing.assert_allclose(ratio[:, 0], motion.gain(Q, motion.correlation(length)))
