"""Frames of crystals that are not the material of a model, in any instrument."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...patterns import FWHM_PER_SD, Pattern
from ..crystal import Material, load_material, material_from_crystal
from ..scattering import form_factors, load_solvent, solvent_names
from ._crystal_patterns import crystal_patterns
from ._look_alikes import LOOK_ALIKES, PACKAGE_LOOK_ALIKES, compound
from ._mixing import mix_by_area
from ._negative_controls import NegativeControl

__all__ = ["look_alike_frames", "look_alike_names"]

WAVELENGTH_ANGSTROM = 0.56
"""For f', f'' and the Compton recoil, which matter little here."""

SIZES_NM = (1.5, 2.0, 2.7, 3.6, 5.0, 7.0, 9.0, 11.0)
"""Number-weighted mean diameters, nm; bulk powders come beside them."""

DISPERSION = 0.12

MAX_Q_INV_ANGSTROM = 16.0
Q = np.arange(0.4, MAX_Q_INV_ANGSTROM, 0.005)
"""Where patterns are computed: lines between are within 2 % of the peaks of an 11 nm dot."""

BULK_FWHM_INV_ANGSTROM = (0.008, 0.06)
"""Widths of bulk lines: those of a good and of a poor instrument."""

WAVELENGTH_FACTORS = (0.55, 1.7)
"""Wrong wavelength over the right one, log-uniform: copper for silver and more."""

RIGHT_WAVELENGTH = 0.5
"""Fraction of the frames with the right wavelength."""

CELL_SCATTER = 0.003
"""Relative scatter of the lattice parameter: temperature, composition, size."""

FIRST_Q_INV_ANGSTROM = (0.9, 1.6)
LAST_Q_INV_ANGSTROM = (2.5, 15.0)
"""Limits of the frames, the second log-uniform."""

STEP_INV_ANGSTROM = (0.004, 0.03)
COUNTS = (20.0, 1e5)
"""Photons per point, log-uniform."""

AREA_FRACTIONS = (0.1, 1.0)
"""Crystal in the mean intensity of crystal and solvent, uniform."""

BACKGROUND = (0.01, 1.0)
"""Smooth background over the mean of crystal and solvent, log-uniform."""


def look_alike_names(material_name: str) -> tuple[str, ...]:
    """Names of all crystals but those of one compound, whose polytypes its models may cover.

    Parameters
    ----------
    material_name
        Material of the model.

    Returns
    -------
    Materials of the package and further crystals from published cells.
    """
    others = (name for name in PACKAGE_LOOK_ALIKES if compound(name) != compound(material_name))
    return *others, *(crystal.name for crystal in LOOK_ALIKES)


def look_alike_frames(
    material_name: str, seed: int, per_crystal: int, names: Sequence[str] | None = None
) -> Iterator[NegativeControl]:
    """Simulate frames of other crystals: nanocrystals and bulk, with the right wavelength and a wrong one.

    Parameters
    ----------
    material_name
        Material of the model that the frames are given to; it is left out.
    seed
        Seed of everything that is drawn.
    per_crystal
        Frames of each crystal.
    names
        Crystals, some of `look_alike_names`; None for all of them.

    Yields
    ------
    The frames, crystal by crystal, of the kind of its name, without a true size. The same arguments give
    the same frames.
    """
    known = look_alike_names(material_name)
    for name in known if names is None else names:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(known.index(name),)))
        for number in range(per_crystal):
            yield NegativeControl(name, _frame(name, number, rng), np.nan)


def _frame(name: str, number: int, rng: np.random.Generator) -> Pattern:
    material, dots = _nanocrystals(name)
    size = number % (len(SIZES_NM) + 1)
    curve = dots[size] if size < len(SIZES_NM) else _bulk(material, rng)
    solvent = load_solvent(str(rng.choice(solvent_names())))
    halo = solvent.extended_intensity(Q, WAVELENGTH_ANGSTROM)
    mixture = mix_by_area(curve, halo, float(rng.uniform(*AREA_FRACTIONS)))
    wrong = rng.random() >= RIGHT_WAVELENGTH
    factor = float(np.exp(rng.uniform(*np.log(WAVELENGTH_FACTORS)))) if wrong else 1.0
    # A wavelength that is too long by a factor makes Q too small by that factor.
    stretch = factor * (1 + rng.normal(0.0, CELL_SCATTER))
    first = float(rng.uniform(*FIRST_Q_INV_ANGSTROM))
    last = min(float(np.exp(rng.uniform(*np.log(LAST_Q_INV_ANGSTROM)))), 0.99 * MAX_Q_INV_ANGSTROM / stretch)
    at = np.arange(first, max(last, LAST_Q_INV_ANGSTROM[0]), rng.uniform(*STEP_INV_ANGSTROM))
    seen = np.interp(at * stretch, Q, mixture)
    seen = seen / seen.mean() + np.exp(rng.uniform(*np.log(BACKGROUND))) * _background(at, rng)
    counts = float(np.exp(rng.uniform(*np.log(COUNTS))))
    return Pattern.from_arrays(at, rng.poisson(counts * seen / seen.mean()))


def _background(q: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Level, decay and slow undulation, mean 1."""
    decay = rng.uniform(0, 3) * np.exp(-q / rng.uniform(0.5, 4.0))
    wave = 0.3 * rng.random() * np.sin(q * rng.uniform(0.2, 0.8) + rng.uniform(0, 2 * np.pi))
    curve = 1 + decay + wave
    return np.asarray(curve / curve.mean())


@lru_cache(maxsize=2)  # frames come crystal by crystal
def _nanocrystals(name: str) -> tuple[Material, NDArray[np.float64]]:
    """Crystal and its patterns on `Q`, shape (n_sizes, n_q)."""
    crystals = {crystal.name: crystal for crystal in LOOK_ALIKES}
    material = material_from_crystal(crystals[name]) if name in crystals else load_material(name)
    return material, crystal_patterns(material, Q, np.array(SIZES_NM), DISPERSION, WAVELENGTH_ANGSTROM)


def _bulk(material: Material, rng: np.random.Generator) -> NDArray[np.float64]:
    """Powder lines as wide as the instrument draws them, on the thermal diffuse scattering; on `Q`."""
    cell = material.cell_angstrom
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    reach = np.floor(MAX_Q_INV_ANGSTROM * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    indices = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1)
    nodes = indices.reshape(-1, 3) @ reciprocal
    lengths = np.linalg.norm(nodes, axis=1)
    inside = (lengths > Q[0]) & (lengths < MAX_Q_INV_ANGSTROM)
    nodes, lengths = nodes[inside], lengths[inside]
    factors = form_factors(material, Q, WAVELENGTH_ANGSTROM)
    structure = np.zeros(lengths.size, np.complex128)
    diffuse = np.zeros(Q.size)
    for site, factor in zip(material.sites, factors, strict=True):
        position = np.array(site.position) * material.lattice_parameter_angstrom
        damping = np.exp(-site.b_angstrom2 * (lengths / (4 * np.pi)) ** 2)
        at_node = np.interp(lengths, Q, factor.real) + 1j * np.interp(lengths, Q, factor.imag)
        structure += site.occupancy * at_node * damping * np.exp(1j * nodes @ position)
        diffuse += np.abs(factor) ** 2 * (1 - np.exp(-2 * site.b_angstrom2 * (Q / (4 * np.pi)) ** 2))
    sd = float(np.exp(rng.uniform(*np.log(BULK_FWHM_INV_ANGSTROM)))) / FWHM_PER_SD
    # 2π²/V of the squared structure factor over Q² is the intensity per cell of a line, integrated over Q.
    area = 2 * np.pi**2 / material.cell_volume_angstrom3 * np.abs(structure) ** 2 / lengths**2
    step = Q[1] - Q[0]
    lines = np.bincount(np.rint((lengths - Q[0]) / step).astype(int), area, Q.size)[: Q.size] / step
    kernel = np.arange(-np.ceil(4 * sd / step), np.ceil(4 * sd / step) + 1) * step
    gaussian = np.exp(-0.5 * (kernel / sd) ** 2)
    return np.asarray(np.convolve(lines, gaussian / gaussian.sum(), mode="same") + diffuse)
