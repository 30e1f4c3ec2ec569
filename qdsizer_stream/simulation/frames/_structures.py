"""Random structures of dots, tabulated over size and momentum transfer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.interpolate import make_interp_spline
from scipy.ndimage import uniform_filter1d

from ...configuration import Config
from ..crystal import (
    Material,
    MaterialSource,
    Shape,
    Sphere,
    SphereCut,
    Surface,
    Vector,
    axial_strain,
    coordinated,
    load_material,
    nanocrystal,
    twin_layers,
    twinned_sphere,
)
from ..scattering import (
    CorrelatedMotion,
    MarchDollase,
    PairTable,
    averaged_sphere_pairs,
    bin_averaged,
    close_packed_layers,
    correlated_sums,
    debye_wavenumber,
    faulted_nanocrystal,
    faulted_pair_table,
    pair_table,
    textured_pairs,
    textured_sums,
)
from ._disordered import disordered_part
from ._draws import PositiveRange, Range, log_uniform
from ._shells import core_shell, disordered_surface, surface_damping

__all__ = ["StructureRanges", "StructureTable", "draw_structure"]

COHERENCE_NM = (1.2, 1.6)
"""Coherence length of the disordered part of PbS dots, from fits of measured patterns."""

TWIN_PLANE = (0.0, 0.7)
"""Distance of twin planes from the centre over the radius: farther out, the smaller part has less than a
fifteenth of the volume."""

MIN_UNITS = 2.5
"""Diameter of the smallest cluster over that of the sphere of one primitive cell: 19 nodes in rock salt."""

UNIT_STEP = 0.5
"""Half a unit from cluster to cluster: with a whole one, a 5 % population at 2 nm would be one cluster."""

PHASE_STEP = 0.6
"""Steps of the tables in Q times the longest distance: a cubic through four points is then within 3e-3 of the
longest distances and 1e-5 of the mean one."""

DIAMETER_STEP = 0.03
"""Relative step from cluster to cluster where that is more than half a unit: finer than any population."""

TEXTURE_TOLERANCE = 1e-3
"""Sum of the Legendre coefficients left out of a texture: no film follows the March function so closely."""

TEXTURE_MERGED_ANGSTROM = 0.04
"""Distances of textured clusters that are merged: damps by 0.5 % at 15 Å⁻¹, like B = 0.01 Å²."""

TEXTURE_PHASE_STEP = 1.5
"""Steps in Q times the longest distance at which textured sums are evaluated, before splines of degree 7
fill in the rest: they follow the longest distances within 3e-3, the mean one within 1e-5."""


class ShellRanges(Config):
    """Zinc-blende shell on the anions of a rock-salt core, as of CdS on PbS; sizes are those of the core."""

    element: str = Field(pattern=r"^[A-Z][a-z]?$")
    """Metal of the shell."""
    thickness_nm: PositiveRange
    """Thickness, log-uniform, nm."""


class DisorderedSurfaceRanges(Config):
    """Outermost atoms displaced at random; sizes are those of the ordered core."""

    depth_nm: PositiveRange
    """Depth, log-uniform, nm."""
    sd_angstrom: PositiveRange
    """Standard deviation of the displacements along each axis, log-uniform, Å."""


class StructureRanges(Config):
    """Ranges that structures of dots are drawn from."""

    material: MaterialSource
    """Material of the package, or a TOML or CIF file relative to the folder of the recipe."""
    shapes: tuple[Shape, ...] = (Sphere(),)
    """Shapes."""
    cuts: tuple[SphereCut, ...] = Field(default=(SphereCut.NODE,), min_length=1)
    """Which atoms belong to a shape."""
    centre_averaged: float = Field(default=0.0, ge=0, le=1)
    """Fraction of structures that are spheres averaged over their centre instead."""
    faulted: float = Field(default=0.0, ge=0, le=1)
    """Fraction of structures with stacking faults instead (zinc blende, wurtzite)."""
    reversal_probability: Range = (0.0, 1.0)
    """Probability that the stacking sense reverses at a layer of these, uniform."""
    twinned: float | None = Field(default=None, ge=0, le=1)
    """Fraction of structures that are spheres with one (111) twin plane instead (rock salt, zinc blende)."""
    twin_plane: Range | None = None
    """Distance of that plane from the centre over the radius, uniform; 0 to 0.7 where left out."""
    sampled: float | None = Field(default=None, ge=0, le=1)
    """Fraction of structures whose frames hold samples of the pattern; the others hold averages over their
    bins."""
    disordered_coherence_nm: Range | None = None
    """Coherence length of the disordered part (`StreamRecipe.disordered_nm`), uniform, nm; 1.2 to 1.6 where
    left out."""
    shell: ShellRanges | None = None
    """Shell of another crystal on all structures, which are then spheres (rock salt); None for bare dots."""
    disordered_surface: DisorderedSurfaceRanges | None = None
    """Disordered surface of structures, which are then spheres without a disordered part; None for ordered
    ones."""
    with_disordered_surface: float | None = Field(default=None, ge=0, le=1)
    """Fraction of structures with this surface; all where left out."""
    occupancy: dict[str, Range] = Field(default={})
    """Fraction of the sites that are occupied, by element, uniform."""
    poor_elements: tuple[str, ...] = ()
    """Elements that a metal-rich surface lacks; none for complete surfaces."""
    surface_thickness_angstrom: Range = (1.0, 3.0)
    """Depth of that layer, uniform, Å."""
    surface_occupancy: Range = (0.3, 1.0)
    """Fraction of these atoms that remains in it, uniform."""
    min_coordination: tuple[int, ...] | None = None
    """Fewest neighbours of the other elements with which atoms of `poor_elements` stay, each value equally
    likely; 0 for a layer that lacks some of them, as where this is left out."""
    strain_axis: Vector = (1.0, 1.0, 1.0)
    """Axis of a strain along one direction: (1, 1, 1) makes a cubic crystal rhombohedral, (1, 0, 0)
    tetragonal."""
    strain_axes: tuple[Vector, ...] | None = None
    """Axes of which one is drawn, in place of `strain_axis`."""
    strain_along: Range = (0.0, 0.0)
    """Strain along it, uniform."""
    strained_along: float = Field(default=1.0, ge=0, le=1)
    """Fraction of structures with this strain; the lattice of the others keeps its symmetry."""
    textured: float = Field(default=0.0, ge=0, le=1)
    """Fraction of structures with a preferred direction, along Q."""
    texture_axes: tuple[tuple[Vector, ...], ...] = (((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),)
    """Families of preferred directions, all equivalents of each; a structure has one family."""
    march_ratio: Range = (0.6, 1.4)
    """March parameter of these, uniform."""
    max_cluster_nm: float = Field(gt=0, le=30)
    """Largest cluster of any population, nm."""


@dataclass(frozen=True, eq=False)
class StructureTable:
    """Structure sums of one structure, by momentum transfer and size.

    Parameters
    ----------
    material
        Crystal, for elements and species.
    diameters_nm
        Nominal diameters of the clusters, nm, ascending, shape (n_clusters,).
    sizes_nm
        Diameters of spheres of the whole crystal with as many atoms of its first element, nm, shape
        (n_clusters,): the outline of a small cluster, or of one with a
        metal-rich surface, does not determine how many atoms it has. Of a twin, the atoms of the larger
        domain count: diffraction sees the size of one coherent lattice.
    mean_strain
        Isotropic part of the strain along an axis.
    group
        Which table the species pair (s, t), s ≤ t, is in.
    self_terms
        Atoms of each site in each cluster, shape (n_sites, n_clusters).
    q_first_inv_angstrom, q_step_inv_angstrom
        Grid of the tables, Å⁻¹.
    sums
        Structure sums, averaged over bins, shape (n_q, n_clusters) each.
    amplitude_angstrom2
        Amplitude of the correlated motion that is in the sums, Å².
    max_distance_angstrom
        Longest distance of a pair, Å.
    disordered_terms
        Atoms of each site in the disordered part, shape (n_sites,), whose structure sums are then one more
        column of `sums`; None for dots without one.
    """

    material: Material
    diameters_nm: NDArray[np.float64]
    sizes_nm: NDArray[np.float64]
    mean_strain: float
    group: dict[tuple[int, int], int]
    self_terms: NDArray[np.float64]
    q_first_inv_angstrom: float
    q_step_inv_angstrom: float
    sums: tuple[NDArray[np.float32], ...]
    amplitude_angstrom2: float
    max_distance_angstrom: float
    disordered_terms: NDArray[np.float64] | None


def draw_structure(
    ranges: StructureRanges,
    rng: np.random.Generator,
    q_limits: Range,
    q_step_inv_angstrom: float,
    amplitude_angstrom2: float = 0.0,
    *,
    more: np.random.Generator | None = None,
    disordered: bool = False,
) -> StructureTable:
    """Draw one structure and tabulate it.

    Parameters
    ----------
    ranges
        Ranges.
    rng
        Source of randomness.
    q_limits
        Range that the tables must cover, Å⁻¹.
    q_step_inv_angstrom
        Width of the bins that frames will have, Å⁻¹.
    amplitude_angstrom2
        Amplitude of the correlated motion, Å²; 0 for atoms that move independently.
    more
        Source of randomness for what joined the ranges later, so that structures drawn without it stay as
        they were; one with a fixed seed where left out.
    disordered
        Whether to tabulate a disordered part.

    Returns
    -------
    The tables.

    Raises
    ------
    PhysicsError
        A range is impossible with this material.
    """
    more = np.random.default_rng(0) if more is None else more
    material = load_material(ranges.material)
    unit_nm = material.unit_diameter_angstrom / 10
    diameters_nm = _diameters(unit_nm, ranges.max_cluster_nm)
    diameters = diameters_nm * 10
    motion = CorrelatedMotion(amplitude_angstrom2, debye_wavenumber(material))
    material = material.with_occupancy({e: rng.uniform(*limits) for e, limits in ranges.occupancy.items()})
    along = rng.uniform(*ranges.strain_along) if rng.random() < ranges.strained_along else 0.0
    strain_axis = ranges.strain_axis
    if ranges.strain_axes:
        strain_axis = ranges.strain_axes[more.integers(len(ranges.strain_axes))]
    strain = axial_strain(strain_axis, along)
    kind = rng.random()
    preferred = rng.random() < ranges.textured
    ratio = rng.uniform(*ranges.march_ratio)
    axes = ranges.texture_axes[rng.integers(len(ranges.texture_axes))]
    shape = ranges.shapes[rng.integers(len(ranges.shapes))]
    cut = ranges.cuts[rng.integers(len(ranges.cuts))]
    surface, minimum = None, 0
    if ranges.min_coordination is not None:
        minimum = ranges.min_coordination[more.integers(len(ranges.min_coordination))]
    if ranges.poor_elements and not minimum:
        surface = Surface(
            elements=ranges.poor_elements,
            thickness_angstrom=rng.uniform(*ranges.surface_thickness_angstrom),
            occupancy=rng.uniform(*ranges.surface_occupancy),
        )
    surface_ranges = ranges.disordered_surface
    if ranges.with_disordered_surface is not None and more.random() >= ranges.with_disordered_surface:
        surface_ranges = None
    bin_width = 0.0 if ranges.sampled and more.random() < ranges.sampled else q_step_inv_angstrom
    twinned = surface_ranges is None and bool(ranges.twinned) and more.random() < (ranges.twinned or 0.0)
    coherent = 1.0
    if twinned:
        strain = np.zeros((3, 3))
    whole, textured, sd_angstrom = material, None, 0.0
    crystal = material.strained(strain)
    if ranges.shell is not None:
        thickness = 10 * log_uniform(more, ranges.shell.thickness_nm, 1)[0]
        material, clusters = core_shell(crystal, ranges.shell.element, thickness, diameters)
        table = pair_table(material, clusters)
    elif surface_ranges is not None:
        depth = 10 * log_uniform(more, surface_ranges.depth_nm, 1)[0]
        sd_angstrom = log_uniform(more, surface_ranges.sd_angstrom, 1)[0]
        material, clusters = disordered_surface(crystal, depth, diameters)
        table = pair_table(material, clusters)
    elif kind < ranges.centre_averaged and not twinned:
        material = crystal
        table = averaged_sphere_pairs(material, diameters)
    elif twinned:
        layers = twin_layers(material)
        plane = more.uniform(*(ranges.twin_plane or TWIN_PLANE))
        coherent = _larger_domain(plane)
        clusters = [twinned_sphere(layers, float(d), plane) for d in diameters]
        if minimum:
            bond = material.min_distance_angstrom(0, 1)
            clusters = [coordinated(layers, c, ranges.poor_elements, minimum, bond) for c in clusters]
        material = layers
        table = pair_table(layers, clusters)
    elif kind < ranges.centre_averaged + ranges.faulted:
        crystal, strain = material, np.zeros((3, 3))
        material = close_packed_layers(material)
        clusters = [faulted_nanocrystal(material, shape, float(d), cut) for d in diameters]
        table = faulted_pair_table(material, clusters, rng.uniform(*ranges.reversal_probability))
    else:
        clusters = [nanocrystal(material, shape, float(d), cut, surface=surface) for d in diameters]
        if minimum:
            clusters = [coordinated(material, c, ranges.poor_elements, minimum) for c in clusters]
        material = crystal
        if preferred:
            texture = MarchDollase(axes=axes, ratio=ratio)
            textured = textured_pairs(material, clusters, texture, TEXTURE_TOLERANCE, TEXTURE_MERGED_ANGSTROM)
            table = textured.table
        else:
            table = pair_table(material, clusters)
    q, per_bin = _grid(table, q_limits, q_step_inv_angstrom)
    if textured is not None:
        n_coarse = int((q[-1] - q[0]) * table.max_distance_angstrom / TEXTURE_PHASE_STEP) + 2
        coarse = np.linspace(q[0], q[-1], n_coarse)
        fine = (make_interp_spline(coarse, s, k=7)(q) for s in textured_sums(textured, coarse, motion=motion))
        sums = [uniform_filter1d(s, per_bin, axis=0) if bin_width else s for s in fine]
    else:
        sums = correlated_sums(bin_averaged(table, bin_width), q, motion)
    counted = coherent * table.self_terms
    if sd_angstrom:
        damping = surface_damping(material, list(table.group), sd_angstrom, q)
        for factor, number in zip(damping, table.group.values(), strict=True):
            sums[number] = sums[number] * factor[:, None]
        counted[len(whole.sites) :] = 0.0
    disordered_terms = None
    if disordered and not sd_angstrom:
        coherence = 10 * more.uniform(*(ranges.disordered_coherence_nm or COHERENCE_NM))
        part = disordered_part(material, crystal, table.group, coherence, q, motion, bin_width)
        sums = [np.column_stack(columns) for columns in zip(sums, part.sums, strict=True)]
        disordered_terms = part.self_terms
    return StructureTable(
        material,
        diameters_nm,
        _sizes_nm(whole, material, counted),
        float(np.trace(strain)) / 3,
        table.group,
        table.self_terms,
        float(q[0]),
        float(q[1] - q[0]),
        tuple(s.astype(np.float32) for s in sums),
        amplitude_angstrom2,
        table.max_distance_angstrom,
        disordered_terms,
    )


def _larger_domain(plane: float) -> float:
    """Fraction of a sphere on the larger side of a plane at this distance from its centre over its radius."""
    return (2 - abs(plane)) * (1 + abs(plane)) ** 2 / 4


def _sizes_nm(whole: Material, tabulated: Material, atoms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Diameters of spheres of the whole crystal with as many atoms of its first element, shape (n_clusters,).

    The atoms are those of the sites of the tabulated crystal, which may be the layers of the whole one.
    """
    element = whole.sites[0].element
    per_cell = sum(site.occupancy for site in whole.sites if site.element == element)
    found = atoms[[site.element == element for site in tabulated.sites]].sum(axis=0)
    return np.asarray(whole.unit_diameter_angstrom / 10 * np.cbrt(found / per_cell))


def _diameters(unit_nm: float, largest_nm: float) -> NDArray[np.float64]:
    """Diameters of clusters, nm: even steps, then even ratios."""
    last_even = UNIT_STEP / DIAMETER_STEP
    even = np.arange(MIN_UNITS, min(last_even, largest_nm / unit_nm), UNIT_STEP)
    n_ratios = max(int(np.log(largest_nm / unit_nm / even[-1]) / np.log1p(DIAMETER_STEP)), 0)
    ratios = even[-1] * (1 + DIAMETER_STEP) ** np.arange(1, n_ratios + 1)
    return np.asarray(unit_nm * np.concatenate([even, ratios]))


def _grid(table: PairTable, q_limits: Range, q_step_inv_angstrom: float) -> tuple[NDArray[np.float64], int]:
    """Even grid that is fine enough for a cubic, and the odd number of its points in a bin."""
    per_bin = 2 * (int(q_step_inv_angstrom * table.max_distance_angstrom / PHASE_STEP + 1) // 2) + 1
    step = q_step_inv_angstrom / per_bin
    # A cubic takes two points past either end.
    low = max(q_limits[0] - 2 * step, step)
    n_points = int(np.ceil((q_limits[1] - low) / step)) + 3
    return np.asarray(low + step * np.arange(n_points)), per_bin
