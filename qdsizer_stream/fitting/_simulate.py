"""Simulation of the templates of a fit."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config
from ..models.fit import FitTemplates
from ..simulation import (
    CorrelatedMotion,
    Material,
    PairTable,
    SphereCut,
    SpherePairs,
    debye_wavenumber,
    form_factors,
    load_solvent,
    pair_table,
    solvent_names,
    sphere,
    structure_sums,
)

__all__ = ["TemplateRecipe", "simulate_fit_templates"]

Progress = Callable[[str, int, int], None]
"""Called with a description, the steps done and the number of steps."""

NEAR_CORRELATION = 0.125
"""Pairs more correlated than this are kept one by one: in PbS those within 9 Å."""

MAX_NEAR = 24
"""Largest number of near distances in a group: crystals of low symmetry have hundreds within 9 Å."""

N_NODES = 4
"""Chebyshev nodes of the correlation of far pairs: the damping of a pair is then within 1e-4 up to
A = 3 Å² at 15 Å⁻¹, where B damps it by more than A strengthens it."""

STRETCHES = (0.96, 1.0, 1.04)
"""Factors on the Q axis of the solvents: other temperatures and other alkanes."""


BLOCK_DISTANCES = 1 << 16
"""Distances that are summed at once: 50 MB for eighty clusters."""


class Spheres(StrEnum):
    """Which atoms the spheres of the templates contain."""

    AVERAGED = "averaged"
    """The mean over all positions of the centre, of any diameter."""
    NODE = "node"
    """Cells within half a diameter of a lattice node; the diameter grows in steps of one cell's, as in the
    libraries of Debye fits."""


class TemplateRecipe(Config):
    """Ranges of the templates."""

    spheres: Spheres = Spheres.AVERAGED
    """Atoms of the spheres."""

    q_first_inv_angstrom: float = Field(default=0.9, gt=0.2, lt=10)
    """First momentum transfer, Å⁻¹."""
    q_last_inv_angstrom: float = Field(default=15.3, gt=1, le=25)
    """Last momentum transfer, Å⁻¹."""
    q_step_inv_angstrom: float = Field(default=0.005, gt=0, le=0.02)
    """Step; cubic interpolation between points is within 1e-4 of a peak of a 20 nm cluster."""
    first_nm: float = Field(default=0.8, gt=0.3)
    """Smallest cluster, nm."""
    last_nm: float = Field(default=18.0, le=40)
    """Largest cluster, nm."""
    ratio: float = Field(default=1.04, gt=1, le=1.1)
    """Diameter of a cluster over that of the next smaller one: populations down to 4 % are exact."""
    wavelength_angstrom: float = Field(ge=0.05, le=5)
    """Wavelength, Å."""


class _Pairs(NamedTuple):
    """Pairs of the spheres of templates."""

    distances_angstrom: tuple[NDArray[np.float64], ...]
    """Distances of each group, ascending, Å."""
    counts: Callable[[int, slice], NDArray[np.float64]]
    """Number of pairs of a group at some of its distances, shape (n_distances, n_clusters)."""
    group: dict[tuple[int, int], int]
    """Index of the group of each species pair."""
    self_terms: NDArray[np.float64]
    """Atoms of each site, shape (n_sites, n_clusters)."""


def _spheres(material: Material, recipe: TemplateRecipe) -> tuple[NDArray[np.float64], _Pairs]:
    """Diameters, nm, and pairs of the spheres."""
    if recipe.spheres is Spheres.AVERAGED:
        n = int(np.ceil(np.log(recipe.last_nm / recipe.first_nm) / np.log(recipe.ratio))) + 1
        diameters_nm = recipe.first_nm * recipe.ratio ** np.arange(n, dtype=np.float64)
        diameters = 10 * diameters_nm
        pairs = SpherePairs(material, float(diameters.max()))

        def counts(group: int, rows: slice) -> NDArray[np.float64]:
            return pairs.counts(group, diameters, rows)

        return diameters_nm, _Pairs(
            pairs.distances_angstrom, counts, pairs.group, pairs.self_terms(diameters)
        )
    unit_nm = material.unit_diameter_angstrom / 10
    steps = np.arange(max(np.ceil(recipe.first_nm / unit_nm), 2), np.ceil(recipe.last_nm / unit_nm) + 1)
    clusters = [sphere(material, 10 * unit_nm * float(k), SphereCut.NODE) for k in steps]
    table = pair_table(material, clusters)

    def counted(group: int, rows: slice) -> NDArray[np.float64]:
        return table.multiplicities[group][rows]

    return np.asarray(unit_nm * steps), _Pairs(
        table.distances_angstrom, counted, table.group, table.self_terms
    )


def simulate_fit_templates(
    material: Material, recipe: TemplateRecipe, progress: Progress = lambda *_: None
) -> FitTemplates:
    """Simulate the templates of a material.

    Parameters
    ----------
    material
        Crystal.
    recipe
        Ranges.
    progress
        Called at each step.

    Returns
    -------
    The templates.

    Raises
    ------
    PhysicsError
        Q leaves the tables of form factors, or an element has none.
    """
    q = np.arange(recipe.q_first_inv_angstrom, recipe.q_last_inv_angstrom, recipe.q_step_inv_angstrom)
    progress("pair distances", 0, N_NODES + 1)
    diameters_nm, table = _spheres(material, recipe)
    n = diameters_nm.size
    progress("structure sums", 1, N_NODES + 1)
    motion = CorrelatedMotion(1.0, debye_wavenumber(material))
    n_groups = len(table.distances_angstrom)
    correlations = [motion.correlation(d) for d in table.distances_angstrom]
    near = []
    for d, c in zip(table.distances_angstrom, correlations, strict=True):
        inside = c > NEAR_CORRELATION
        inside &= np.arange(d.size) < MAX_NEAR
        near.append(inside)
    n_near = max(int(inside.sum()) for inside in near)
    near_distance = np.ones((n_groups, n_near))
    near_correlation = np.zeros((n_groups, n_near))
    near_counts = np.zeros((n, n_groups, n_near))
    # The same nodes for all groups, so that they can be summed.
    far = np.concatenate([c[~inside] for c, inside in zip(correlations, near, strict=True)])
    angles = (np.arange(N_NODES) + 0.5) * np.pi / N_NODES
    middle, reach = (far.min() + far.max()) / 2, (far.max() - far.min()) / 2
    nodes = np.tile(middle + reach * np.cos(angles), (n_groups, 1))
    for g, inside in enumerate(near):
        count = int(inside.sum())
        near_distance[g, :count] = table.distances_angstrom[g][inside]
        near_correlation[g, :count] = correlations[g][inside]
        nearest = slice(0, MAX_NEAR)
        near_counts[:, g, :count] = table.counts(g, nearest)[inside[nearest]].T
    sums = np.empty((n, n_groups, N_NODES, q.size), np.float32)
    n_done, n_blocks = 0, sum(-(-d.size // BLOCK_DISTANCES) for d in table.distances_angstrom)
    for g, inside in enumerate(near):
        total = np.zeros((N_NODES, q.size, n))
        # In blocks: crystals of low symmetry have a million distances.
        for start in range(0, inside.size, BLOCK_DISTANCES):
            rows = slice(start, start + BLOCK_DISTANCES)
            d, counts = table.distances_angstrom[g][rows], table.counts(g, rows)
            for k in range(N_NODES):
                others = np.delete(nodes[g], k)
                basis = np.prod((correlations[g][rows, None] - others) / (nodes[g, k] - others), axis=1)
                weighted = counts * np.where(inside[rows], 0.0, basis)[:, None]
                total[k] += structure_sums(PairTable((d,), (weighted,), table.group, table.self_terms), q)[0]
            n_done += 1
            progress("structure sums", 1 + N_NODES * n_done // n_blocks, N_NODES + 1)
        sums[:, g] = np.moveaxis(total, 2, 0)
    factors = form_factors(material, q, recipe.wavelength_angstrom)
    elements = sorted(
        {site.element for site in material.sites}, key=lambda e: [s.element for s in material.sites].index(e)
    )
    # One group of the fit for each pair of elements: several site pairs may share a table of sums.
    cells = table.self_terms[0] / material.sites[0].occupancy
    pairs: dict[tuple[str, str, int], NDArray[np.float64]] = {}
    for (s, t), g in table.group.items():
        e1, e2 = sorted((material.sites[s].element, material.sites[t].element), key=elements.index)
        value = (1 if s == t else 2) * np.real(factors[s] * np.conj(factors[t]))
        key = (e1, e2, g)
        pairs[key] = pairs[key] + value if key in pairs else value
    groups = [g for _, _, g in pairs]
    per_cell = table.self_terms[:, -1] / cells[-1]
    self_terms = np.sum([np.abs(f) ** 2 * one for f, one in zip(factors, per_cell, strict=True)], axis=0)
    b = [np.mean([site.b_angstrom2 for site in material.sites if site.element == e]) for e in elements]
    solvents = [load_solvent(name) for name in solvent_names()]
    stretched = np.array(
        [
            solvent.extended_intensity(q * stretch, recipe.wavelength_angstrom)
            for solvent in solvents
            for stretch in STRETCHES
        ]
    )
    return FitTemplates(
        q_first_inv_angstrom=float(q[0]),
        q_step_inv_angstrom=recipe.q_step_inv_angstrom,
        diameters_nm=diameters_nm,
        cells=cells,
        far=sums[:, groups],
        far_correlation=nodes[groups],
        near_counts=near_counts[:, groups],
        near_curves=np.sinc(near_distance[groups][:, :, None] * q / np.pi).astype(np.float32),
        near_correlation=near_correlation[groups],
        factor=np.array(list(pairs.values())),
        self_terms=self_terms,
        b_counts=np.array(
            [[(e1 == e) + (e2 == e) for e in elements] for e1, e2, _ in pairs], dtype=np.float64
        ),
        b_names=tuple(elements),
        b_angstrom2=np.array(b),
        lattice_parameter_angstrom=material.lattice_parameter_angstrom,
        wavelength_angstrom=recipe.wavelength_angstrom,
        solvent_names=tuple(f"{s.name} ×{x:g}" for s in solvents for x in STRETCHES),
        solvents=stretched / stretched.mean(axis=1, keepdims=True),
    )
