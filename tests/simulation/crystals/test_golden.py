"""PbS spheres and a textured powder against explicit double sums in float64."""

from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.simulation.crystal import Material, SphereCut, load_material, sphere
from qdsizer_stream.simulation.scattering import (
    MarchDollase,
    form_factors,
    pair_table,
    pattern_sums,
    structure_sums,
    textured_pairs,
    textured_sums,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "dse_golden"


def dressed100(material: Material) -> Material:
    """The same crystal, with the sulphur at (½, 0, 0) going with the lead of the origin."""
    lead, sulphur = material.sites
    moved = sulphur.model_copy(update={"position": (0.5, 0.0, 0.0)})
    return material.model_copy(update={"sites": (lead, moved)})


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("pbs_sphere_*.npz")), ids=lambda path: path.stem)
def test_pbs_sphere(path: Path) -> None:
    golden = np.load(path)
    material = load_material("PbS")
    if "dressed100" in path.stem:
        material = dressed100(material)
    cut = SphereCut.ATOM if "atomcut" in path.stem else SphereCut.NODE
    cluster = sphere(material, float(golden["D"]), cut)
    np.testing.assert_array_equal(cluster.n_atoms, [golden["N_Pb"], golden["N_S"]])
    table = pair_table(material, [cluster])
    q = golden["Q"]
    sums = structure_sums(table, q)
    for (s, t), name in {(0, 0): "S_PbPb", (1, 1): "S_SS", (0, 1): "S_PbS"}.items():
        scale = np.abs(golden[name]).max(initial=1.0)
        np.testing.assert_allclose(sums[table.group[s, t]][:, 0], golden[name], rtol=0, atol=1e-12 * scale)
    factors = [
        golden["f0_Pb"] + golden["f1_Pb"] + 1j * golden["f2_Pb"],
        golden["f0_S"] + golden["f1_S"] + 1j * golden["f2_S"],
    ]
    intensity = pattern_sums(material, table, sums, q, factors)[:, 0]
    np.testing.assert_allclose(intensity, golden["I"], rtol=1e-10)
    ours = form_factors(material, q, float(golden["wavelength"]))
    np.testing.assert_allclose(ours, factors, rtol=1e-9)


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("pbs_sphere_dressed111*.npz")), ids=lambda path: path.stem
)
def test_integer_counts(path: Path) -> None:
    golden = np.load(path)
    material = load_material("PbS")
    table = pair_table(material, [sphere(material, float(golden["D"]))])
    for species, name in {(0, 0): "n_PbPb", (1, 1): "n_SS", (0, 1): "n_PbS"}.items():
        group = table.group[species]
        # The golden counts are by (d / (a/2))², which is an integer in rock salt, and count n = 0 as well.
        square = np.rint((table.distances_angstrom[group] / (material.lattice_parameter_angstrom / 2)) ** 2)
        expected = golden[name].copy()
        if species != (0, 1):
            expected[0] = 0
        found = np.zeros(expected.size)
        found[square.astype(int)] = table.multiplicities[group][:, 0]
        np.testing.assert_array_equal(found, expected)


def test_textured_powder() -> None:
    golden = np.load(GOLDEN / "texture_k04_dressed111_MD100_r0.7.npz")
    material = load_material("PbS").with_b({"Pb": 0.0, "S": 0.0})
    cluster = sphere(material, 4 * material.unit_diameter_angstrom)
    texture = MarchDollase(axes=((1, 0, 0), (0, 1, 0), (0, 0, 1)), ratio=0.7)
    pairs = textured_pairs(material, [cluster], texture, tolerance=1e-10)
    q = golden["Q"]
    factors = [np.full(q.size, complex(golden["fPb"])), np.full(q.size, complex(golden["fS"]))]
    intensity = pattern_sums(material, pairs.table, textured_sums(pairs, q), q, factors)[:, 0]
    np.testing.assert_allclose(intensity, golden["I"], rtol=1e-10)
