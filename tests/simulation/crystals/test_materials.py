"""Materials: symmetry, measured reference values, modified materials and rejected input."""

import numpy as np
import pytest
import xraydb
from pydantic import ValidationError

from qdsizer_stream.configuration import validated
from qdsizer_stream.errors import ConfigurationError, PhysicsError
from qdsizer_stream.simulation.crystal import (
    Crystal,
    Material,
    axial_strain,
    load_material,
    material_from_crystal,
    material_names,
    read_crystal,
)
from qdsizer_stream.simulation.scattering import (
    averaged_sphere_pairs,
    form_factors,
    pattern_sums,
    structure_sums,
)

NAMES = material_names()
AVOGADRO_PER_1E24 = 0.602214076

SITES_OF_OTHERS = {
    "CsPbBr3-cubic": 5,
    "CsPbBr3-orthorhombic": 20,
    "Pb": 1,
    "PbO-litharge": 4,
    "PbSO4": 24,
    "ice": 20,
}


def test_names() -> None:
    assert NAMES == [
        "CdS-wurtzite",
        "CdS-zincblende",
        "CdSe-wurtzite",
        "CdSe-zincblende",
        "CdTe",
        "CsPbBr3-cubic",
        "CsPbBr3-orthorhombic",
        "InAs",
        "InP",
        "Pb",
        "PbO-litharge",
        "PbS",
        "PbSO4",
        "PbSe",
        "PbTe",
        "ZnS-wurtzite",
        "ZnS-zincblende",
        "ZnSe",
        "ice",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_density(name: str) -> None:
    """Symmetry, contents and cell together give the measured density."""
    material, reference = load_material(name), read_crystal(name).reference
    assert material.name == name
    assert reference is not None
    mass = sum(xraydb.atomic_mass(site.element) * site.occupancy for site in material.sites)
    density = mass / AVOGADRO_PER_1E24 / material.cell_volume_angstrom3
    assert density == pytest.approx(reference.density_g_per_cm3, rel=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_powder_lines(name: str) -> None:
    """Large dots show a peak, well above the incoherent level, at every strong powder line of the bulk."""
    material, reference = load_material(name), read_crystal(name).reference
    assert reference is not None
    diameter = np.array([120.0])
    table = averaged_sphere_pairs(material, diameter)
    for spacing in reference.spacings_angstrom:
        centre = 2 * np.pi / spacing
        q = centre * np.linspace(0.985, 1.015, 61)
        intensity = pattern_sums(
            material, table, structure_sums(table, q), q, form_factors(material, q, 0.56)
        )[:, 0]
        peak = q[np.argmax(intensity)]
        assert peak == pytest.approx(centre, rel=0.006), f"line at d = {spacing} Å"
        incoherent = sum(
            n * np.abs(f[30]) ** 2
            for n, f in zip(table.self_terms[:, 0], form_factors(material, q, 0.56), strict=True)
        )
        assert intensity.max() > 2 * incoherent


@pytest.mark.parametrize(
    ("name", "bond", "neighbours"),
    [
        ("PbS", 5.934 / 2, 6),
        ("CdTe", 6.482 * np.sqrt(3) / 4, 4),
        ("CdSe-wurtzite", 2.63, 4),
        ("ZnS-wurtzite", 2.343, 4),
    ],
)
def test_coordination(name: str, bond: float, neighbours: int) -> None:
    material = load_material(name)
    near = np.array(list(np.ndindex(5, 5, 5))) - 2
    anions = [s for s, site in enumerate(material.sites) if site.element != material.sites[0].element]
    distances = np.concatenate(
        [
            np.linalg.norm(
                near @ material.cell_angstrom
                + material.positions_angstrom[s]
                - material.positions_angstrom[0],
                axis=1,
            )
            for s in anions
        ]
    )
    assert np.sum(distances < 1.2 * bond) == neighbours
    assert np.sort(distances)[:neighbours].mean() == pytest.approx(bond, rel=0.003)


def test_octahedra_of_the_orthorhombic_perovskite() -> None:
    material = load_material("CsPbBr3-orthorhombic")
    elements = np.array([site.element for site in material.sites])
    assert {element: int(np.sum(elements == element)) for element in ("Cs", "Pb", "Br")} == {
        "Cs": 4,
        "Pb": 4,
        "Br": 12,
    }
    near = (np.array(list(np.ndindex(5, 5, 5))) - 2) @ material.cell_angstrom
    for lead in material.positions_angstrom[elements == "Pb"]:
        bonds = np.linalg.norm(
            (material.positions_angstrom[elements == "Br"][:, None] + near - lead), axis=2
        ).ravel()
        np.testing.assert_allclose(np.sort(bonds)[:6], 2.965, atol=0.01)
        assert np.sort(bonds)[6] > 4.0


def test_primitive_cells() -> None:
    counts = {name: len(load_material(name).sites) for name in NAMES}
    assert counts == {name: 4 if "wurtzite" in name else SITES_OF_OTHERS.get(name, 2) for name in NAMES}
    assert load_material("PbS").unit_diameter_angstrom == pytest.approx(4.637970736422045, abs=1e-12)


def test_with_b() -> None:
    material = load_material("PbS")
    changed = material.with_b({"S": 2.0})
    assert [site.b_angstrom2 for site in changed.sites] == [1.20, 2.0]
    assert changed.sites[1].position == material.sites[1].position
    with pytest.raises(PhysicsError, match=r"B given for \['Se'\], PbS contains \['Pb', 'S'\]"):
        material.with_b({"Se": 1.0})
    with pytest.raises(PhysicsError, match=r"B = -0.1 Å² given for Pb: give 0 ≤ B < 20 Å²"):
        material.with_b({"Pb": -0.1})
    with pytest.raises(PhysicsError, match=r"occupancy 1.2 given for S: give 0 < occupancy ≤ 1"):
        material.with_occupancy({"S": 1.2})


def test_strain() -> None:
    material = load_material("PbS")
    rhombohedral = material.strained(axial_strain((1, 1, 1), 0.007))
    diagonal = material.cell_angstrom.sum(axis=0)
    assert np.linalg.norm(rhombohedral.cell_angstrom.sum(axis=0)) == pytest.approx(
        1.007 * np.linalg.norm(diagonal)
    )
    across = material.cell_angstrom[0] - material.cell_angstrom[1]
    np.testing.assert_allclose(
        rhombohedral.cell_angstrom[0] - rhombohedral.cell_angstrom[1], across, atol=1e-12
    )
    assert material.strained(0.01).cell_volume_angstrom3 == pytest.approx(
        1.01**3 * material.cell_volume_angstrom3
    )
    for strain in (np.eye(2), np.triu(np.full((3, 3), 0.01)), 0.5, np.nan):
        with pytest.raises(PhysicsError, match=r"is not a scalar or a symmetric 3 × 3 matrix within ±0.2"):
            material.strained(strain)
    with pytest.raises(PhysicsError, match=r"axis \(0, 0, 0\) has no direction"):
        axial_strain((0, 0, 0), 0.01)


def test_unknown_material() -> None:
    with pytest.raises(PhysicsError, match=r"material 'PbO' is unknown: choose from CdS-wurtzite, .*PbS.*"):
        load_material("PbO")


def structure(**changes: object) -> dict[str, object]:
    """Rock salt with some settings changed."""
    site = {"element": "Pb", "position": (0, 0, 0), "b_angstrom2": 1.0}
    return {
        "name": "test",
        "space_group": "F m -3 m",
        "lengths_angstrom": (6.0, 6.0, 6.0),
        "lattice_source": "made up",
        "b_source": "made up",
        "sites": [site, {**site, "element": "S", "position": (0.5, 0.5, 0.5)}],
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space_group": "F m m"}, r"space group 'F m m' is unknown: give a Hermann-Mauguin symbol"),
        ({"lengths_angstrom": (6.0, 6.0, 7.0)}, r"does not have the symmetry of 'F m -3 m'"),
        (
            {"angles_deg": (10, 10, 170), "space_group": "P 1"},
            r"has no volume: correct its lengths or angles",
        ),
        ({"sites": []}, r"sites: Tuple should have at least 1 item"),
        (
            {"sites": [{"element": "Pq", "position": (0, 0, 0), "b_angstrom2": 1.0}]},
            r"sites.0.element: .*not a chemical element",
        ),
        (
            {"sites": [{"element": "Pb", "position": (0, 0, 0), "b_angstrom2": -1.0}]},
            r"sites.0.b_angstrom2: Input should be greater than or equal to 0 \(found -1.0\)",
        ),
    ],
)
def test_impossible_crystals(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        validated(Crystal, structure(**changes), "crystal")


def test_overlapping_atoms() -> None:
    site = {"element": "Pb", "position": (0, 0, 0), "b_angstrom2": 1.0}
    near = {"element": "S", "position": (0.0, 0.0, 0.06), "b_angstrom2": 1.0}
    crystal = Crystal.model_validate(structure(space_group="P 1", sites=[site, near]))
    with pytest.raises(
        ConfigurationError,
        match=r"sites 0 \(Pb\) and 1 \(S\) are 0.36 Å apart: separate them by at least 0.7 Å, or give",
    ):
        material_from_crystal(crystal)
    shared = Crystal.model_validate(
        structure(space_group="P 1", sites=[{**site, "occupancy": 0.4}, {**near, "occupancy": 0.6}])
    )
    assert len(material_from_crystal(shared).sites) == 2


def test_flat_cell() -> None:
    flat = {**dict(load_material("PbS")), "cell": ((1, 0, 0), (0, 1, 0), (1, 1, 0))}
    with pytest.raises(
        ValidationError, match=r"the primitive vectors span 0 Å³: give three vectors that are not coplanar"
    ):
        Material.model_validate(flat)


def test_special_position_to_three_digits() -> None:
    """A third written as 0.333 is still a special position with one atom, on the third itself."""
    rough = read_crystal("CdSe-wurtzite").model_dump()
    for site in rough["sites"]:
        site["position"] = (0.333, 0.667, site["position"][2])
    material, exact = material_from_crystal(Crystal.model_validate(rough)), load_material("CdSe-wurtzite")
    assert len(material.sites) == 4
    np.testing.assert_allclose(material.positions_angstrom, exact.positions_angstrom, atol=1e-12)
