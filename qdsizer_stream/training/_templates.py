"""Template curves of the physics check, which are simulated once and stored in the model file."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from ..configuration import Config
from ..models import Templates, pooled_bins
from ..patterns import BinGrid
from ..simulation import (
    CorrelatedMotion,
    Material,
    MaterialSource,
    PairTable,
    Sphere,
    SphereCut,
    averaged_sphere_pairs,
    close_packed_layers,
    compton_intensity,
    correlated_sums,
    crystal_patterns,
    debye_wavenumber,
    faulted_nanocrystal,
    faulted_pair_table,
    form_factors,
    load_material,
    load_solvent,
    lognormal_weights,
    pattern_sums,
    solvent_names,
)

__all__ = ["TemplatePhysics", "simulate_phases", "simulate_templates"]

SIZES_NM = np.geomspace(1.0, 24.0, 40)
"""Mean diameters of the templates, nm: steps of 8.5 %, half the width of the narrowest intervals of
models. The range is much wider than that of models, so that the check can detect sizes outside it."""

DISPERSIONS = (0.06, 0.14, 0.24)
"""Dispersions of the templates: narrow, typical and broad populations."""

MAX_CLUSTER_NM = 40.0
"""Largest cluster, nm; it truncates the broad population of 24 nm, which is far outside the range of
models."""

STACKED_SIZES_NM = (1.2, 9.5)
"""Mean diameters of templates with stacking faults, nm: the range of models and somewhat more."""

STACKED_DISPERSION = 0.14
"""Their dispersion, the typical one: faults change a pattern by more than the dispersion does."""

STACKED_MAX_CLUSTER_NM = 15.0
"""Largest cluster with faults, nm: four standard deviations above the largest mean."""

STORED_BITS = 14
"""Significant bits of templates with stacking faults and of those beside them, so that compression keeps the
model file small; the fit grants the templates an error a few hundred times larger."""

B_ANGSTROM2 = 0.6
"""Displacement parameter of all sites, Å²: smaller than in any sample, because the check can only damp the
templates further."""

STRETCHES = (0.96, 1.0, 1.04)
"""Factors on the Q axis of the solvents, which represent other temperatures and other alkanes."""

POINTS_PER_BIN = 9
"""Template points per bin of the check; odd, so that averages are centred. Linear interpolation between
them is within 1 % of the peaks of a 12 nm dot."""

MARGIN = 0.04
"""Relative margin beyond the bins on either side, for the strains that the check fits."""

PEAK_SIZE_NM = 6.0
"""Mean diameter of the population whose maxima define the peaks, nm: large enough to resolve neighbouring
peaks, small enough to merge those that dots never resolve."""

PHASE_SIZES_NM = np.array([1.8, 3.2, 6.0, 12.0])
"""Mean diameters of other crystals, nm: an amount of two neighbours gives the width of those between."""

PHASE_DISPERSION = 0.15
"""Their dispersion."""

PEAK_PROMINENCE = 0.03
"""Minimum prominence of a peak, relative to the median intensity."""


class TemplatePhysics(Config):
    """Deviations of the templates from ideal dots."""

    correlated_angstrom2: float = Field(default=0.0, ge=0, lt=5)
    """Amplitude of the correlated motion of neighbours, Å²; 1 for PbS at room temperature."""
    disordered_nm: float = Field(default=0.0, ge=0, lt=2)
    """Atoms in a disordered part divided by those in the ordered core, times the diameter of the core, nm."""
    disordered_coherence_nm: float = Field(default=1.4, gt=0.5, lt=5)
    """Coherence length of the disordered part, nm."""
    reversal_probabilities: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    """Probabilities that the stacking sense reverses at a layer, each a family of templates of its own beside
    the perfect crystals (zinc blende, wurtzite): 1 is wurtzite for a zinc blende, ½ random stacking. None
    where left out."""
    phases: tuple[MaterialSource, ...] | None = None
    """Other crystals that may be beside the dots, which the check looks for where dots, solvents and
    background leave a misfit: materials of the package, or TOML or CIF files beside the recipe. None where
    left out."""


def simulate_phases(
    materials: Sequence[str], q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Simulate nanocrystals of other crystals that may be beside the dots.

    Parameters
    ----------
    materials
        Materials of the package, or paths of TOML or CIF files.
    q_inv_angstrom
        Momentum transfers of the templates, equispaced, Å⁻¹, shape (n_q,).
    wavelength_angstrom
        Wavelength of f', f'' and the Compton recoil, Å.

    Returns
    -------
    Curves of several sizes of each, averaged over the bins of the check, with mean 1, shape (n_curves, n_q),
    and the name of the crystal of each.

    Raises
    ------
    PhysicsError
        A material is unknown, or its structure is damaged.
    """
    curves, names = [], []
    for material in (load_material(source) for source in materials):
        found = crystal_patterns(
            material, q_inv_angstrom, PHASE_SIZES_NM, PHASE_DISPERSION, wavelength_angstrom
        )
        curves.append(uniform_filter1d(found, POINTS_PER_BIN, axis=1))
        names += [material.name] * len(found)
    if not curves:
        return np.empty((0, 0)), ()
    together = np.concatenate(curves)
    return together / together.mean(axis=1, keepdims=True), tuple(names)


def simulate_templates(
    material_name: str, grid: BinGrid, wavelength_angstrom: float, physics: TemplatePhysics | None = None
) -> Templates:
    """Simulate the template curves with which the physics check fits frames.

    Parameters
    ----------
    material_name
        Material of the package.
    grid
        Bins of the frames.
    wavelength_angstrom
        Wavelength of f', f'' and the Compton recoil, Å; its effect is much smaller than the template errors
        that the check allows.
    physics
        Correlated motion, a disordered part and other crystals; None for ideal dots alone.

    Returns
    -------
    Patterns of dots of forty sizes and three dispersions, of the solvents of the package with three
    stretches of Q, and of other crystals.
    """
    physics = TemplatePhysics() if physics is None else physics
    material = load_material(material_name)
    low, high = grid.edges[0] * (1 - MARGIN), grid.edges[-1] * (1 + MARGIN)
    q = np.arange(low, high, grid.q_step_inv_angstrom * pooled_bins(grid) / POINTS_PER_BIN)
    unit = material.unit_diameter_angstrom
    diameters = np.arange(1.0, 10 * MAX_CLUSTER_NM / unit, 0.5) * unit
    mean_nm, dispersion = (v.ravel() for v in np.meshgrid(SIZES_NM, DISPERSIONS, indexing="ij"))
    weights = lognormal_weights(diameters / 10, mean_nm, dispersion, min_fraction=0.0)
    if physics.disordered_nm > 0:
        # One more sphere, with the number of atoms of the disordered part.
        pieces = physics.disordered_nm * (diameters**3 / (diameters / 10)) @ weights
        diameters = np.append(diameters, 10 * physics.disordered_coherence_nm)
        weights = np.vstack([weights, pieces / diameters[-1] ** 3])
    motion = CorrelatedMotion(physics.correlated_angstrom2, debye_wavenumber(material))
    table = averaged_sphere_pairs(material, diameters)
    dots = (_cold_patterns(material, table, q, motion, wavelength_angstrom) @ weights).T
    solvents = [load_solvent(name) for name in solvent_names()]
    stretched = np.array(
        [
            solvent.extended_intensity(q * stretch, wavelength_angstrom)
            for solvent in solvents
            for stretch in STRETCHES
        ]
    )
    dots /= dots.mean(axis=1, keepdims=True)
    peaks = _peaks(q, dots[np.argmin(np.abs(np.log(mean_nm / PEAK_SIZE_NM)) + dispersion)])
    if physics.reversal_probabilities:
        means, stacked = _stacked(material, physics, q, motion, wavelength_angstrom)
        mean_nm = np.append(mean_nm, means)
        dispersion = np.append(dispersion, np.full(means.size, STACKED_DISPERSION))
        dots = _rounded(np.vstack([dots, stacked / stacked.mean(axis=1, keepdims=True)]))
    phases, phase_names = simulate_phases(physics.phases or (), q, wavelength_angstrom)
    return Templates(
        q_inv_angstrom=q,
        mean_nm=mean_nm,
        dispersion=dispersion,
        dots=dots,
        solvents=stretched / stretched.mean(axis=1, keepdims=True),
        peaks_inv_angstrom=peaks,
        phases=phases,
        phase_names=phase_names,
    )


def _cold_patterns(
    material: Material,
    table: PairTable,
    q: NDArray[np.float64],
    motion: CorrelatedMotion,
    wavelength_angstrom: float,
) -> NDArray[np.float64]:
    """Intensity of each cluster of a table, averaged over the bins of the check, shape (n_q, n_clusters)."""
    sums = [uniform_filter1d(s, POINTS_PER_BIN, axis=0) for s in correlated_sums(table, q, motion)]
    cold = material.with_b({site.element: B_ANGSTROM2 for site in material.sites})
    coherent = pattern_sums(cold, table, sums, q, form_factors(material, q, wavelength_angstrom))
    return coherent + compton_intensity(material, q, wavelength_angstrom, list(table.self_terms))


def _stacked(
    material: Material,
    physics: TemplatePhysics,
    q: NDArray[np.float64],
    motion: CorrelatedMotion,
    wavelength_angstrom: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean diameters of populations with stacking faults, nm, and their curves, one per row."""
    low_nm, high_nm = STACKED_SIZES_NM
    means_nm = SIZES_NM[(low_nm <= SIZES_NM) & (high_nm >= SIZES_NM)]
    unit = material.unit_diameter_angstrom
    diameters = np.arange(2.0, 10 * STACKED_MAX_CLUSTER_NM / unit, 0.5) * unit
    weights = lognormal_weights(
        diameters / 10, means_nm, np.full(means_nm.size, STACKED_DISPERSION), min_fraction=0.0
    )
    disordered: NDArray[np.float64] | float = 0.0
    if physics.disordered_nm > 0:
        coherence = 10 * physics.disordered_coherence_nm
        piece = averaged_sphere_pairs(material, np.array([coherence]))
        pieces = physics.disordered_nm * (diameters**3 / (diameters / 10)) @ weights / coherence**3
        disordered = _cold_patterns(material, piece, q, motion, wavelength_angstrom) * pieces
    layers = close_packed_layers(material)
    clusters = [faulted_nanocrystal(layers, Sphere(), float(d), SphereCut.ATOM) for d in diameters]
    probabilities = physics.reversal_probabilities or ()
    curves = []
    for probability in probabilities:
        table = faulted_pair_table(layers, clusters, probability)
        patterns = _cold_patterns(layers, table, q, motion, wavelength_angstrom)
        curves.append((patterns @ weights + disordered).T)
    return np.tile(means_nm, len(probabilities)), np.vstack(curves)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(np.ldexp(mantissa, STORED_BITS)), exponent - STORED_BITS))


def _peaks(q: NDArray[np.float64], pattern: NDArray[np.float64]) -> NDArray[np.float64]:
    found, _ = find_peaks(pattern, prominence=PEAK_PROMINENCE * np.median(pattern))
    return np.asarray(q[found])
