"""(111) twins and fused dots against explicit atoms."""

import numpy as np
import pytest
from pydantic import ValidationError

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import (
    FusedSpheres,
    SphereCut,
    Surface,
    coordinated,
    load_material,
    nanocrystal,
    pair_table,
    pattern_sums,
    sphere,
    structure_sums,
    twin_layers,
    twinned_sphere,
)
from qdsizer_stream.simulation.crystal import Cluster, Material

from .brute_force import Atoms, atoms_of, debye

Q = np.array([1.0, 1.83, 2.12, 3.5, 7.77])
FACTORS = {"Pb": 80 - 2 * Q + 7j, "S": 16 - 0.7 * Q + 0.1j, "In": 49 - Q + 1j, "P": 15 - 0.5 * Q + 0j}


def intensity(material: Material, cluster: Cluster) -> np.ndarray:
    table = pair_table(material, [cluster])
    factors = [FACTORS[site.element] for site in material.sites]
    return pattern_sums(material, table, structure_sums(table, Q), Q, factors)[:, 0]


def crystal_atoms(material: Material, radius: float) -> Atoms:
    """All atoms within a sphere about a cation, [111] along z."""
    nodes = np.array(list(np.ndindex(17, 17, 17))) - 8
    positions = np.concatenate([nodes @ material.cell_angstrom + x for x in material.positions_angstrom])
    positions -= material.positions_angstrom[0]
    site = np.repeat(np.arange(len(material.sites)), len(nodes))
    z = np.ones(3) / np.sqrt(3)
    x = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    positions = positions @ np.array([x, np.cross(z, x), z]).T
    inside = np.linalg.norm(positions, axis=1) <= radius * (1 + 1e-9)
    return Atoms(positions[inside], site[inside], np.ones(np.count_nonzero(inside)))


@pytest.mark.parametrize("name", ["PbS", "InP"])
def test_without_a_plane_it_is_the_crystal(name: str) -> None:
    material = load_material(name)
    atoms = crystal_atoms(material, 9.5)
    untwinned = twinned_sphere(twin_layers(material), 19.0, plane=-3.0)
    factors = [FACTORS[site.element] for site in material.sites]
    expected = debye(material, atoms, Q, factors)
    np.testing.assert_allclose(intensity(twin_layers(material), untwinned), expected, rtol=1e-10)


@pytest.mark.parametrize(("name", "plane"), [("PbS", 0.0), ("PbS", 0.5), ("InP", 0.4)])
def test_against_a_crystal_turned_about_its_body_diagonal(name: str, plane: float) -> None:
    """A (111) twin is the crystal above the plane turned by 180° about [111]: cations of the plane stay."""
    material, radius = load_material(name), 9.5
    height = material.lattice_parameter_angstrom / np.sqrt(3)
    at = round(plane * radius / height) * height
    whole = crystal_atoms(material, 2.5 * radius)
    on_plane = (whole.site == 0) & (np.abs(whole.positions[:, 2] - at) < 0.01)
    in_plane = whole.positions[on_plane][:, :2]
    axis = in_plane[np.argmin(np.linalg.norm(in_plane, axis=1))]
    # Rock salt mirrors its anions too; zinc blende keeps its polarity, as a turn does.
    above = whole.positions[:, 2] > at + 0.01
    turned = np.column_stack([2 * axis - whole.positions[:, :2], whole.positions[:, 2]])
    positions = np.where(above[:, None], turned, whole.positions)
    # Whichever half the centre is in, it is a cation.
    inside = np.linalg.norm(
        positions - positions[_nearest_cation(positions, whole.site)], axis=1
    ) <= radius * (1 + 1e-9)
    atoms = Atoms(positions[inside], whole.site[inside], np.ones(np.count_nonzero(inside)))
    factors = [FACTORS[site.element] for site in material.sites]
    expected = debye(material, atoms, Q, factors)
    layers = twin_layers(material)
    found = intensity(layers, twinned_sphere(layers, 2 * radius, plane))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    untwinned = debye(material, crystal_atoms(material, radius), Q, factors)
    assert np.abs(found / untwinned - 1).max() > 0.02


def _nearest_cation(positions: np.ndarray, site: np.ndarray) -> int:
    return int(np.argmin(np.where(site == 0, np.linalg.norm(positions, axis=1), np.inf)))


def test_twins_with_metal_rich_surfaces() -> None:
    """Every sulphur that stays has five lead neighbours at least, and no other was taken."""
    material = load_material("PbS")
    layers = twin_layers(material)
    whole = twinned_sphere(layers, 24.0, 0.2)
    atoms = atoms_of(layers, whole)
    sulphur = atoms.site >= 3
    distance = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=2)
    bonds = np.count_nonzero((distance < 3.1) & ~sulphur & (distance > 0), axis=1)
    stripped = coordinated(layers, whole, ["S"], 5, material.min_distance_angstrom(0, 1))
    assert stripped.n_atoms[3:].sum() == np.count_nonzero(sulphur & (bonds >= 5))
    assert 0 < stripped.n_atoms[3:].sum() < np.count_nonzero(sulphur)
    assert stripped.n_atoms[:3].sum() == np.count_nonzero(~sulphur)


def test_crystals_that_do_not_twin_so() -> None:
    with pytest.raises(PhysicsError, match="CdSe-wurtzite is neither rock salt nor zinc blende"):
        twin_layers(load_material("CdSe-wurtzite"))
    with pytest.raises(PhysicsError, match="diameter 0 Å is out of range"):
        twinned_sphere(twin_layers(load_material("PbS")), 0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("n_spheres", [2, 3])
@pytest.mark.parametrize("overlap", [0.0, 0.2])
def test_fused_spheres_hold_the_atoms_of_each(n_spheres: int, overlap: float) -> None:
    material = load_material("PbS")
    axis = np.array([1.0, 1.0, 0.0])
    shape = FusedSpheres(n_spheres=n_spheres, axis=tuple(axis), overlap=overlap)
    diameter = 20.0
    cluster = nanocrystal(material, shape, diameter, SphereCut.ATOM)
    # The volume of their union, a body of revolution, slice by slice.
    steps = (np.arange(n_spheres) - (n_spheres - 1) / 2) * 2 * (1 - overlap)
    along = np.linspace(steps[0] - 1, steps[-1] + 1, 200_001)
    slices = np.pi * np.maximum(1 - (along[:, None] - steps) ** 2, 0).max(axis=1)
    assert shape.equal_volume_radius**3 * 4 / 3 * np.pi == pytest.approx(
        np.trapezoid(slices, along), rel=1e-6
    )
    radius = diameter / 2 / shape.equal_volume_radius
    whole = atoms_of(material, sphere(material, 60.0, SphereCut.ATOM))
    unit = axis / np.linalg.norm(axis)
    inside = np.any(
        [np.linalg.norm(whole.positions - s * radius * unit, axis=1) <= radius * (1 + 1e-9) for s in steps],
        axis=0,
    )
    expected = debye(material, whole.kept(inside), Q, [FACTORS["Pb"], FACTORS["S"]])
    np.testing.assert_allclose(intensity(material, cluster), expected, rtol=1e-10)


def test_a_surface_layer_follows_the_neck() -> None:
    """Sulphur within 2 Å of the surface of either sphere, but not where the other one covers it."""
    material = load_material("PbS")
    shape = FusedSpheres(axis=(1, 0, 0), overlap=0.2)
    bare = nanocrystal(material, shape, 30.0, SphereCut.ATOM)
    surface = Surface(elements=("S",), thickness_angstrom=2.0, occupancy=0.5)
    layered = nanocrystal(material, shape, 30.0, SphereCut.ATOM, surface=surface)
    radius = 15.0 / shape.equal_volume_radius
    atoms = atoms_of(material, bare)
    centres = [s * radius * 0.8 for s in (-1, 1)]
    depth = (
        np.max([radius - np.linalg.norm(atoms.positions - [c, 0, 0], axis=1) for c in centres], axis=0)
        * shape.equal_volume_radius
    )  # measured on the sphere of equal volume
    expected = np.where(depth < 2.0, 0.5, 1.0)[atoms.site == 1].sum()
    assert layered.n_atoms[1] == pytest.approx(expected)
    assert layered.n_atoms[0] == bare.n_atoms[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_spheres": 4}, "Input should be 2 or 3"),
        ({"overlap": 0.6}, "less than or equal to 0.45"),
    ],
)
def test_rows_that_cannot_be(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FusedSpheres.model_validate(settings)
