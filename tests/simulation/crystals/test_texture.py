"""Texture compared with direct quadrature over crystal directions, and rejected input."""

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation.crystal import Cluster, Material, load_material, sphere, unit_vector
from qdsizer_stream.simulation.scattering import (
    MarchDollase,
    even_spherical_bessel,
    pair_table,
    pattern_sums,
    structure_sums,
    textured_pairs,
    textured_sums,
)

from .brute_force import atoms_of

Q = np.array([1.1, 1.83, 2.12, 3.5])


def quadrature(
    material: Material, cluster: Cluster, texture: MarchDollase, q: NDArray[np.float64], tilt_deg: float
) -> NDArray[np.float64]:
    """Mean of density times |F|² over crystal directions along Q; the density from its definition.

    The fibre axis is tilted by ψ from Q, at any azimuth around it. A preferred axis at the angle β from the
    crystal direction along Q makes the angle γ with the fibre axis, cos γ = cos ψ cos β + sin ψ sin β cos φ,
    for all φ.
    """
    atoms = atoms_of(material, cluster)
    f = np.where(np.array(material.species)[atoms.site] == 0, 80.0, 16.0)
    cosines, weights = np.polynomial.legendre.leggauss(120)
    azimuths = np.arange(240) * 2 * np.pi / 240
    sines = np.sqrt(1 - cosines**2)
    directions = np.stack(
        np.broadcast_arrays(
            sines[:, None] * np.cos(azimuths), sines[:, None] * np.sin(azimuths), cosines[:, None]
        ),
        axis=-1,
    ).reshape(-1, 3)
    weights = np.repeat(weights / weights.sum() / azimuths.size, azimuths.size)
    psi = np.radians(tilt_deg)
    phi = (np.arange(64) + 0.5) * 2 * np.pi / 64
    density = np.zeros(len(directions))
    for axis in texture.axes:
        cosine = directions @ unit_vector(axis)
        sine = np.sqrt(np.maximum(1 - cosine**2, 0))
        gamma = np.cos(psi) * cosine[:, None] + np.sin(psi) * sine[:, None] * np.cos(phi)
        density += texture.density(gamma).mean(axis=1) / len(texture.axes)
    phases = directions @ atoms.positions.T
    return np.array([np.sum(weights * density * np.abs(np.exp(1j * value * phases) @ f) ** 2) for value in q])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "axes", "ratio", "tilt_deg"),
    [
        ("PbS", ((1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)), 0.6, 0.0),
        ("CdSe-wurtzite", ((0, 0, 1),), 1.8, 0.0),
        ("CdSe-wurtzite", ((0, 0, 1),), 0.7, 35.0),
        ("CdSe-wurtzite", ((1, 0, 0),), 0.7, 90.0),
    ],
)
def test_against_quadrature(
    name: str, axes: tuple[tuple[float, float, float], ...], ratio: float, tilt_deg: float
) -> None:
    material = load_material(name)
    material = material.with_b({site.element: 0.0 for site in material.sites})
    cluster = sphere(material, 13.0)
    texture = MarchDollase(axes=axes, ratio=ratio)
    pairs = textured_pairs(material, [cluster], texture, tolerance=1e-9)
    factors = [np.full(Q.size, 80.0 if species == 0 else 16.0) + 0j for species in material.species]
    sums = textured_sums(pairs, Q, tilt_deg)
    found = pattern_sums(material, pairs.table, sums, Q, factors)[:, 0]
    expected = quadrature(material, cluster, texture, Q, tilt_deg)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_no_texture_is_the_debye_equation() -> None:
    material = load_material("PbS")
    clusters = [sphere(material, diameter) for diameter in (11.0, 20.0)]
    pairs = textured_pairs(material, clusters, MarchDollase(axes=((1, 0, 0),), ratio=1.0))
    np.testing.assert_allclose(pairs.coefficients[0], 1, atol=1e-12)
    plain = structure_sums(pair_table(material, clusters), Q)
    for a, b in zip(textured_sums(pairs, Q), plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(b).max())


@pytest.mark.slow
def test_mean_over_tilts_is_no_texture() -> None:
    """The mean over all tilts is an untextured powder; Gauss-Legendre in cos ψ is exact here."""
    material = load_material("CdSe-wurtzite")
    pairs = textured_pairs(material, [sphere(material, 20.0)], MarchDollase(axes=((0, 0, 1),), ratio=0.5))
    cosines, weights = np.polynomial.legendre.leggauss(pairs.coefficients.size)
    tilts = np.degrees(np.arccos(cosines))
    seen = [textured_sums(pairs, Q, tilt)[1] for tilt in tilts]
    mean = np.tensordot(weights / 2, seen, axes=1)
    plain = structure_sums(pairs.table, Q)[1]
    np.testing.assert_allclose(mean, plain, rtol=0, atol=1e-11 * np.abs(plain).max())


def test_a_tilt_for_each_q() -> None:
    material = load_material("CdSe-wurtzite")
    pairs = textured_pairs(material, [sphere(material, 14.0)], MarchDollase(axes=((0, 0, 1),), ratio=0.7))
    tilts = np.array([0.0, 10.0, 45.0, 90.0])
    together = textured_sums(pairs, Q, tilts)[0]
    alone = [textured_sums(pairs, Q[n : n + 1], tilts[n])[0][0] for n in range(Q.size)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_bessel_functions() -> None:
    x = np.geomspace(1e-3, 2000, 400)[None, :]
    for row, values in enumerate(even_spherical_bessel(x, 60)):
        np.testing.assert_allclose(values, scipy.special.spherical_jn(2 * row, x), rtol=0, atol=2e-12)


def test_rejected_textures() -> None:
    with pytest.raises(
        PhysicsError, match=r"a March parameter of 0.3 needs orders beyond 120 for a tolerance"
    ):
        MarchDollase(axes=((1, 0, 0),), ratio=0.3).coefficients(1e-12)
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.3"):
        MarchDollase(axes=((1, 0, 0),), ratio=0.1)
