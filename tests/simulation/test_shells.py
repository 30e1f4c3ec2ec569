"""Core-shell dots and disordered surfaces against atoms placed one by one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import load_material, pair_table, structure_sums
from qdsizer_stream.simulation.frames import (
    StructureRanges,
    core_shell,
    disordered_surface,
    draw_structure,
    surface_damping,
)

Q = np.linspace(1.0, 9.0, 60)
PBS = load_material("PbS")
A = PBS.lattice_parameter_angstrom


def nodes(radius: float) -> NDArray[np.float64]:
    """Face-centred nodes within a radius of one of them."""
    n = int(radius / A * 2) + 2
    grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    lattice = grid[grid.sum(axis=1) % 2 == 0] * A / 2
    return np.asarray(lattice[np.linalg.norm(lattice, axis=1) <= radius * (1 + 1e-9)])


def pair_sum(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ sin(Qr)/(Qr) over all pairs of two sets of atoms, without an atom and itself."""
    r = np.linalg.norm(one[:, None] - other[None], axis=-1)
    r = r[r > 1e-6]
    return np.asarray(np.sinc(Q[:, None] * r / np.pi).sum(axis=1))


def test_shells_continue_the_anions_of_the_core() -> None:
    radius, thickness = 8.0, 4.0
    both, (cluster,) = core_shell(PBS, "Cd", thickness, np.array([2 * radius]))
    whole = nodes(radius + thickness)
    core = nodes(radius)
    shell = whole[np.linalg.norm(whole, axis=1) > radius * (1 + 1e-9)]
    lead = core
    sulphur = whole + np.array(PBS.sites[1].position) * A
    cadmium = shell + A / 4
    np.testing.assert_array_equal(cluster.n_atoms, [len(core), len(whole), len(shell)])
    table = pair_table(both, [cluster])
    sums = structure_sums(table, Q)
    atoms = [lead, sulphur, cadmium]
    for (s, t), number in table.group.items():
        np.testing.assert_allclose(sums[number][:, 0], pair_sum(atoms[s], atoms[t]), rtol=1e-6, atol=1e-6)
    # Cadmium is bonded as in CdS, √3/4 of a cell from sulphur, and nothing is closer to it.
    nearest = np.linalg.norm(cadmium[:, None] - np.concatenate([sulphur, lead])[None], axis=-1).min()
    assert nearest == pytest.approx(A * np.sqrt(3) / 4)


@pytest.mark.slow
def test_disordered_surfaces_are_displaced_at_random() -> None:
    """The mean over drawn displacements; the core stays where it is."""
    radius, depth, sd = 8.0, 2.5, 0.35
    both, (cluster,) = disordered_surface(PBS, depth, np.array([2 * radius]))
    lattice = nodes(radius)
    in_core = np.linalg.norm(lattice, axis=1) <= radius - depth
    np.testing.assert_array_equal(
        cluster.n_atoms, [in_core.sum(), in_core.sum(), (~in_core).sum(), (~in_core).sum()]
    )
    table = pair_table(both, [cluster])
    sums = structure_sums(table, Q)
    factors = surface_damping(both, list(table.group), sd, Q)
    rng = np.random.default_rng(0)
    offset = np.array(PBS.sites[1].position) * A
    ordered = [lattice[in_core], lattice[in_core] + offset, lattice[~in_core], lattice[~in_core] + offset]
    draws = []
    for _ in range(60):
        atoms = [a + (rng.normal(0, sd, a.shape) if k >= 2 else 0.0) for k, a in enumerate(ordered)]
        draws.append([pair_sum(atoms[s], atoms[t]) for s, t in table.group])
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / np.sqrt(len(draws))
    for k, number in enumerate(table.group.values()):
        found = sums[number][:, 0] * factors[k]
        assert np.all(np.abs(found - mean[k]) < 5 * error[k] + 1e-6)
        if list(table.group)[k] == (0, 2):  # a core and a surface: damped once, not twice
            assert np.any(np.abs(sums[number][:, 0] * factors[k] ** 2 - mean[k]) > 8 * error[k])


def test_sizes_are_those_of_the_core() -> None:
    plain = {"material": "PbS", "max_cluster_nm": 4.0}
    rng = np.random.default_rng
    bare = draw_structure(StructureRanges.model_validate(plain), rng(0), (1.0, 2.0), 0.02)
    shell = {"shell": {"element": "Cd", "thickness_nm": (0.6, 0.6)}}
    covered = draw_structure(StructureRanges.model_validate({**plain, **shell}), rng(0), (1.0, 2.0), 0.02)
    np.testing.assert_allclose(covered.sizes_nm, bare.sizes_nm)
    surface = {"disordered_surface": {"depth_nm": (0.4, 0.4), "sd_angstrom": (0.3, 0.3)}}
    loose = draw_structure(StructureRanges.model_validate({**plain, **surface}), rng(0), (1.0, 2.0), 0.02)
    large = loose.diameters_nm > 2
    # One shell of atoms more or less is a quarter of a nanometre; on average they are where the depth says.
    lost = loose.diameters_nm[large] - loose.sizes_nm[large]
    np.testing.assert_allclose(lost, 0.8, atol=0.2)
    assert lost.mean() == pytest.approx(0.8, abs=0.04)
    assert np.all(loose.sizes_nm > 0)


def test_other_crystals_have_no_such_shell() -> None:
    with pytest.raises(PhysicsError, match="CdSe-zincblende is not rock salt: only rock salt has"):
        core_shell(load_material("CdSe-zincblende"), "Zn", 5.0, np.array([20.0]))
