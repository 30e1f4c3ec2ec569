"""Shapes: volumes, extents and facets."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from qdsizer_stream.simulation.crystal import (
    Ellipsoid,
    Platelet,
    Polyhedron,
    Rod,
    Shape,
    Sphere,
    SphereCut,
    load_material,
    nanocrystal,
)

SHAPES: list[Shape] = [
    Sphere(),
    *(
        Polyhedron(kind=kind)
        for kind in ("cube", "octahedron", "truncated-octahedron", "cuboctahedron", "rhombic-dodecahedron")
    ),
    Ellipsoid(aspect=0.4, axis=(1, 2, 3)),
    Rod(aspect=3.0, axis=(1, 1, 1)),
    Platelet(aspect=0.2, axis=(0, 1, 1), edge=(1, 0, 0)),
]


def points(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [values[..., component] for component in range(3)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
def test_volume_is_that_of_the_sphere(shape: Shape) -> None:
    """A body of gauge ≤ 1 has volume 4π/3: the mean of 1/gauge³ over all directions is 1."""
    rng = np.random.default_rng(7)
    directions = rng.standard_normal((200_000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    volumes = shape.gauge(points(directions)) ** -3.0
    error = volumes.std() / math.sqrt(len(volumes))
    assert abs(volumes.mean() - 1) < 4 * error + 1e-12
    assert 1 / shape.gauge(points(directions)).min() <= shape.reach * (1 + 1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
def test_reach_is_attained(shape: Shape) -> None:
    """A search for the farthest point of the surface ends at the distance `reach`."""
    rng = np.random.default_rng(3)
    direction = rng.standard_normal((2000, 3))
    step = 0.3
    for _ in range(60):
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        tried = direction + step * rng.standard_normal(direction.shape)
        tried /= np.linalg.norm(tried, axis=1)[:, None]
        better = shape.gauge(points(tried)) < shape.gauge(points(direction))
        direction[better] = tried[better]
        step *= 0.85
    assert 1 / shape.gauge(points(direction)).min() == pytest.approx(shape.reach, rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "facets"),
    [
        ("cube", [(1, 0, 0)]),
        ("octahedron", [(1, 1, 1)]),
        ("truncated-octahedron", [(1, 1, 1), (1, 0, 0)]),
        ("cuboctahedron", [(1, 1, 1), (1, 0, 0)]),
        ("rhombic-dodecahedron", [(1, 1, 0)]),
    ],
)
def test_facets(kind: str, facets: list[tuple[int, int, int]]) -> None:
    """Around the middle of a facet, moving within its plane does not change the gauge."""
    shape = TypeAdapter(Shape).validate_python({"kind": kind})
    rng = np.random.default_rng(5)
    for facet in facets:
        normal = np.array(facet) / np.linalg.norm(facet)
        within = rng.standard_normal((50, 3)) * 0.05
        within -= np.outer(within @ normal, normal)
        np.testing.assert_allclose(
            shape.gauge(points(normal + within)), shape.gauge(points(normal)), rtol=1e-12
        )


def test_edges_of_the_archimedean_solids_are_equal() -> None:
    """Corners of the truncated octahedron (0, 1, 2) and the cuboctahedron (0, 1, 1) lie on the surface."""
    for kind, corners in (
        ("truncated-octahedron", [(0, 1, 2), (2, 0, -1), (-1, 2, 0)]),
        ("cuboctahedron", [(0, 1, 1), (1, 0, -1), (-1, 1, 0)]),
    ):
        shape = TypeAdapter(Shape).validate_python({"kind": kind})
        gauges = shape.gauge(points(np.array(corners, dtype=float)))
        np.testing.assert_allclose(gauges, np.linalg.norm(corners[0]) / shape.reach, rtol=1e-12)


def test_aspects() -> None:
    rod = Rod(aspect=4.0, axis=(0, 0, 2))
    end, side = rod.gauge(points(np.array([[0.0, 0.0, 4.0], [1.0, 0.0, 0.0]])))
    assert end == pytest.approx(side)
    platelet = Platelet(aspect=0.1, axis=(0, 0, 1), edge=(1, 1, 0))
    top, edge, corner = platelet.gauge(
        points(np.array([[0, 0, 0.1], [math.sqrt(0.5), math.sqrt(0.5), 0], [math.sqrt(2), 0, 0]]))
    )
    assert top == pytest.approx(edge)
    assert corner == pytest.approx(edge)


def test_rejected_shapes() -> None:
    with pytest.raises(ValidationError, match=r"edge .* is not normal to axis"):
        Platelet(aspect=0.1, axis=(0, 0, 1), edge=(0, 1, 1))
    with pytest.raises(ValidationError, match=r"axis \(0.0, 0.0, 0.0\) has no direction"):
        Rod(aspect=2.0, axis=(0, 0, 0))
    with pytest.raises(ValidationError, match=r"greater than 0.02"):
        Ellipsoid(aspect=0.0)


def inside(kind: str, xyz: NDArray[np.float64], volume: float) -> NDArray[np.bool_]:
    """Independent elementary geometry of each body of this volume."""
    x, y, z = np.abs(xyz).T
    rounding = 1e-9
    if kind == "sphere":
        return np.asarray(x**2 + y**2 + z**2 <= (3 * volume / (4 * math.pi)) ** (2 / 3) + rounding)
    if kind == "cube":
        return np.asarray(np.maximum(np.maximum(x, y), z) <= volume ** (1 / 3) / 2 + rounding)
    if kind == "octahedron":  # edge e: V = √2/3 e³, corners at e/√2
        return np.asarray(x + y + z <= (3 * volume / math.sqrt(2)) ** (1 / 3) / math.sqrt(2) + rounding)
    if kind == "truncated-octahedron":  # edge e: V = 8√2 e³, corners (0, 1, 2) e/√2
        unit = (volume / (8 * math.sqrt(2))) ** (1 / 3) / math.sqrt(2)
        return np.asarray(
            (np.maximum(np.maximum(x, y), z) <= 2 * unit + rounding) & (x + y + z <= 3 * unit + rounding)
        )
    if kind == "cuboctahedron":  # edge e: V = 5√2/3 e³, corners (0, 1, 1) e/√2
        unit = (3 * volume / (5 * math.sqrt(2))) ** (1 / 3) / math.sqrt(2)
        return np.asarray(
            (np.maximum(np.maximum(x, y), z) <= unit + rounding) & (x + y + z <= 2 * unit + rounding)
        )
    # rhombic dodecahedron, edge e: V = 16√3/9 e³, inradius e √(2/3)
    inradius = (9 * volume / (16 * math.sqrt(3))) ** (1 / 3) * math.sqrt(2 / 3)
    return np.asarray(np.maximum(np.maximum(x + y, y + z), z + x) <= math.sqrt(2) * inradius + rounding)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES[:6], ids=lambda shape: shape.kind)
@pytest.mark.parametrize("diameter", [13.0, 22.6, 31.7])
def test_cut_holds_the_atoms_inside(shape: Shape, diameter: float) -> None:
    """Every atom of a block of rock salt, one by one."""
    material = load_material("PbS")
    half_cells = np.array(list(np.ndindex(31, 31, 31))) - 15
    lead = half_cells.sum(axis=1) % 2 == 0
    within = inside(
        shape.kind, half_cells * material.lattice_parameter_angstrom / 2, math.pi / 6 * diameter**3
    )
    by_atoms = nanocrystal(material, shape, diameter, SphereCut.ATOM)
    np.testing.assert_array_equal(by_atoms.n_atoms, [np.sum(within & lead), np.sum(within & ~lead)])
    by_nodes = nanocrystal(material, shape, diameter, SphereCut.NODE)
    np.testing.assert_array_equal(by_nodes.n_atoms, [np.sum(within & lead)] * 2)
