"""The engine compared with the double sum over explicit atoms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qdsizer_stream.errors import ConfigurationError, PhysicsError
from qdsizer_stream.simulation.crystal import (
    Cluster,
    Ellipsoid,
    Material,
    Platelet,
    Polyhedron,
    Rod,
    Shape,
    Sphere,
    SphereCut,
    Surface,
    axial_strain,
    load_material,
    nanocrystal,
    sphere,
)
from qdsizer_stream.simulation.scattering import (
    averaged_sphere_pairs,
    pair_table,
    pattern_sums,
    structure_sums,
)

from .brute_force import Atoms, atoms_of, debye

Q = np.array([0.3, 1.0, 1.83, 2.12, 3.5, 7.77, 15.0])
FACTORS = [80 - 2 * Q + 7j, 16 - 0.7 * Q + 0.1j, 34 - Q + 1j]

SHAPES: list[Shape] = [
    Sphere(),
    *(
        Polyhedron(kind=kind)
        for kind in ("cube", "octahedron", "truncated-octahedron", "cuboctahedron", "rhombic-dodecahedron")
    ),
    Ellipsoid(aspect=1.7, axis=(1, 1, 1)),
    Rod(aspect=2.5, axis=(0, 0, 1)),
    Platelet(aspect=0.3, axis=(0, 0, 1), edge=(1, 1, 0)),
]


def factors_of(material: Material) -> list[NDArray[np.complex128]]:
    elements = sorted({site.element for site in material.sites})
    return [FACTORS[elements.index(site.element)] for site in material.sites]


def intensity(material: Material, cluster: Cluster) -> NDArray[np.float64]:
    table = pair_table(material, [cluster])
    return pattern_sums(material, table, structure_sums(table, Q), Q, factors_of(material))[:, 0]


def check(material: Material, cluster: Cluster, atoms: Atoms | None = None) -> None:
    expected = debye(material, atoms or atoms_of(material, cluster), Q, factors_of(material))
    np.testing.assert_allclose(intensity(material, cluster), expected, rtol=1e-10)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
@pytest.mark.parametrize("cut", [SphereCut.NODE, SphereCut.ATOM])
def test_shapes(shape: Shape, cut: SphereCut) -> None:
    material = load_material("PbS")
    check(material, nanocrystal(material, shape, 16.0, cut))
    by_name = nanocrystal(material, shape, 16.0, cut.value)
    np.testing.assert_array_equal(by_name.n_atoms, nanocrystal(material, shape, 16.0, cut).n_atoms)


@pytest.mark.parametrize("name", ["CdSe-wurtzite", "CsPbBr3-cubic", "CsPbBr3-orthorhombic", "InP"])
@pytest.mark.parametrize("cut", [SphereCut.NODE, SphereCut.ATOM])
def test_structures(name: str, cut: SphereCut) -> None:
    material = load_material(name)
    check(material, sphere(material, 17.0, cut))


def test_corner_shared() -> None:
    material = load_material("PbS")
    check(material, sphere(material, 15.0, SphereCut.CORNER_SHARED))
    with pytest.raises(PhysicsError, match=r"CdTe cannot be cut corner-shared: .* use node or atom"):
        sphere(load_material("CdTe"), 15.0, SphereCut.CORNER_SHARED)


def test_vacancies() -> None:
    material = load_material("CdSe-wurtzite").with_occupancy({"Se": 0.75})
    cluster = sphere(material, 15.0)
    np.testing.assert_allclose(cluster.n_atoms[2:], 0.75 * cluster.n_atoms[:2])
    check(material, cluster)


@pytest.mark.slow
def test_vacancies_are_the_mean_of_random_removals() -> None:
    """Atoms removed one by one, without fractional occupancies: the self term is ∝ o, the pairs ∝ o²."""
    material = load_material("PbS")
    whole = atoms_of(material, sphere(material, 12.0))
    rng = np.random.default_rng(20)
    samples = np.array(
        [
            debye(
                material,
                whole.kept((whole.site == 0) | (rng.random(whole.site.size) < 0.6)),
                Q,
                factors_of(material),
            )
            for _ in range(1500)
        ]
    )
    diluted = material.with_occupancy({"S": 0.6})
    difference = intensity(diluted, sphere(diluted, 12.0)) - samples.mean(axis=0)
    z = difference / (samples.std(axis=0, ddof=1) / np.sqrt(len(samples)))
    assert np.abs(z).max() < 4


def test_metal_rich_surface() -> None:
    material = load_material("PbS")
    full = sphere(material, 16.0, SphereCut.ATOM)
    surface = Surface(elements=("S",), thickness_angstrom=2.5, occupancy=0.25)
    stripped = nanocrystal(material, Sphere(), 16.0, SphereCut.ATOM, surface=surface)
    atoms = atoms_of(material, full)
    radii = np.linalg.norm(atoms.positions, axis=1)
    atoms.occupancy[(atoms.site == 1) & (radii > 8.0 - 2.5)] = 0.25
    assert stripped.n_atoms[0] == full.n_atoms[0]
    assert stripped.n_atoms[1] == pytest.approx(atoms.occupancy[atoms.site == 1].sum())
    check(material, stripped, atoms)


def test_rhombohedral_strain_keeps_the_atoms() -> None:
    material = load_material("PbS")
    cluster = sphere(material, 18.0)
    atoms = atoms_of(material, cluster)
    along = np.full(3, 1 / np.sqrt(3))
    atoms.positions += 0.007 * np.outer(atoms.positions @ along, along)
    check(material.strained(axial_strain((1, 1, 1), 0.007)), cluster, atoms)


def test_isotropic_strain_is_a_change_of_scale() -> None:
    material = load_material("CdSe-wurtzite")
    cluster = sphere(material, 18.0)
    strained = pair_table(material.strained(0.004), [cluster])
    relaxed = pair_table(material, [cluster])
    for a, b in zip(structure_sums(strained, Q), structure_sums(relaxed, Q * 1.004), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(b).max())


def test_centre() -> None:
    material = load_material("PbS")
    cube = nanocrystal(material, Polyhedron(kind="cube"), 14.0, SphereCut.ATOM, centre=(0.5, 0.5, 0.5))
    atoms = atoms_of(material, cube)
    centre = np.full(3, material.lattice_parameter_angstrom / 2)
    half_edge = np.abs(atoms.positions - centre).max()
    assert 2 * half_edge <= 14.0 * (np.pi / 6) ** (1 / 3)
    np.testing.assert_allclose(
        np.sort(atoms.positions.min(axis=0)), np.sort(2 * centre - atoms.positions.max(axis=0))
    )
    check(material, cube, atoms)


def test_mixed_site_holds_one_atom() -> None:
    """An alloy: two elements are alternatives on one site."""
    zinc_blende = load_material("CdSe-zincblende")
    cation, anion = (dict(site) for site in zinc_blende.sites)
    sites = [cation, {**anion, "occupancy": 0.7}, {**anion, "element": "S", "occupancy": 0.3}]
    alloy = Material.model_validate({**dict(zinc_blende), "sites": sites})
    check(alloy, sphere(alloy, 15.0))


@pytest.mark.slow
def test_averaged_sphere_is_the_mean_over_centres() -> None:
    material = load_material("CdSe-wurtzite").with_occupancy({"Cd": 0.9})
    q = np.array([1.7, 2.5, 4.6])
    factors = [np.interp(q, Q, f.real) + 0j for f in factors_of(material)]
    table = averaged_sphere_pairs(material, np.array([14.0]))
    averaged = pattern_sums(material, table, structure_sums(table, q), q, factors)[:, 0]
    rng = np.random.default_rng(4)
    samples = []
    for centre in rng.random((600, 3)):
        cluster = nanocrystal(material, Sphere(), 14.0, SphereCut.ATOM, centre=tuple(centre))
        pairs = pair_table(material, [cluster])
        samples.append(pattern_sums(material, pairs, structure_sums(pairs, q), q, factors)[:, 0])
    z = (averaged - np.mean(samples, axis=0)) / (np.std(samples, axis=0, ddof=1) / np.sqrt(len(samples)))
    assert np.abs(z).max() < 4


vectors = st.tuples(*[st.floats(-0.35, 0.35)] * 3)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    skew=st.tuples(vectors, vectors, vectors),
    second=st.tuples(*[st.floats(0.35, 0.65)] * 3),
    seed=st.integers(0, 2**32 - 1),
    whole=st.booleans(),
    same_element=st.booleans(),
)
def test_random_clusters_of_random_lattices(
    skew: tuple[tuple[float, float, float], ...],
    second: tuple[float, float, float],
    seed: int,
    whole: bool,
    same_element: bool,
) -> None:
    """Any lattice, any occupancies, boxes of two sizes: no symmetry to exploit."""
    cell = np.eye(3) + np.array(skew)
    if np.linalg.det(cell) < 0.3:
        cell = np.eye(3)
    rng = np.random.default_rng(seed)
    material = Material.model_validate(
        {
            "name": "random",
            "lattice_parameter_angstrom": 4.5,
            "lattice_source": "made up",
            "b_source": "made up",
            "cell": cell.tolist(),
            "sites": [
                {"element": "Cd", "position": (0, 0, 0), "b_angstrom2": 0.5},
                {
                    "element": "Cd" if same_element else "S",
                    "position": tuple(second @ cell),
                    "b_angstrom2": 0.5,
                },
            ],
        }
    )
    clusters = []
    for shape in ((3, 2, 4), (1, 3, 2)):
        occupancy = rng.random((2, *shape))
        occupancy = np.rint(occupancy) if whole else occupancy * (occupancy > 0.4)
        occupancy[:, 0, 0, 0] = 1.0
        clusters.append(Cluster(tuple(occupancy), 1.0))
    table = pair_table(material, clusters)
    found = pattern_sums(material, table, structure_sums(table, Q), Q, factors_of(material))
    for column, cluster in enumerate(clusters):
        expected = debye(material, atoms_of(material, cluster), Q, factors_of(material))
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-10)


def test_population_in_one_table() -> None:
    material = load_material("PbS")
    clusters = [sphere(material, diameter) for diameter in (5.0, 11.0, 19.0)]
    together = structure_sums(pair_table(material, clusters), Q)
    for column, cluster in enumerate(clusters):
        for one, all_of_them in zip(
            structure_sums(pair_table(material, [cluster]), Q), together, strict=True
        ):
            np.testing.assert_allclose(all_of_them[:, column], one[:, 0], rtol=0, atol=1e-9)


def test_torch_has_the_same_numbers() -> None:
    torch = pytest.importorskip("torch")
    material = load_material("PbS")
    table = pair_table(material, [sphere(material, 30.0)])
    for ours, theirs in zip(structure_sums(table, Q), structure_sums(table, Q, xp=torch), strict=True):
        assert isinstance(theirs, np.ndarray)
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-13 * np.abs(ours).max())


def test_rejected_input() -> None:
    material = load_material("PbS")
    with pytest.raises(PhysicsError, match="no cluster given"):
        pair_table(material, [])
    with pytest.raises(PhysicsError, match=r"a cluster with 4 sites is not cut from PbS \(2 sites\)"):
        pair_table(material, [sphere(load_material("CdSe-wurtzite"), 15.0)])
    with pytest.raises(
        PhysicsError, match=r"sphere diameter -1 Å is out of range: give 0 < diameter ≤ 1000 Å"
    ):
        sphere(material, -1)
    with pytest.raises(
        ConfigurationError, match=r"cut is 'nodes': it must be one of node, corner-shared, atom"
    ):
        sphere(material, 15.0, "nodes")
    with pytest.raises(PhysicsError, match=r"no atom in a cube of 1.0 Å centred at \(0.5, 0.5, 0.5\)"):
        nanocrystal(material, Polyhedron(kind="cube"), 1.0, centre=(0.5, 0.5, 0.5))
    surface = Surface(elements=("Se",), thickness_angstrom=2.0, occupancy=0.5)
    with pytest.raises(
        PhysicsError,
        match=r"the surface depletes \['Se'\], which PbS does not contain: choose from \['Pb', 'S'\]",
    ):
        nanocrystal(material, Sphere(), 20.0, surface=surface)
    with pytest.raises(PhysicsError, match="finite numbers > 0"):
        structure_sums(pair_table(material, [sphere(material, 15.0)]), np.array([0.0, 1.0]))
    with pytest.raises(PhysicsError, match=r"diameters .* out of range"):
        averaged_sphere_pairs(material, np.array([10.0, -1.0]))
