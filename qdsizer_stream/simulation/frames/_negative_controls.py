"""Negative controls: frames not to be sized, or not with an interval that misses the truth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...patterns import Pattern, q_from_two_theta
from ..crystal import Crystal, CrystalSite, Material, load_material, material_from_crystal
from ..scattering import (
    Solvent,
    averaged_sphere_pairs,
    compton_intensity,
    form_factors,
    load_solvent,
    pattern_sums,
    solvent_names,
    structure_sums,
)
from ._look_alikes import compound
from ._mixing import mix_by_area
from ._population import lognormal_weights

__all__ = ["EMPTY_KINDS", "NEGATIVE_CONTROL_KINDS", "NegativeControl", "negative_controls"]

WAVELENGTH_ANGSTROM = 0.56
COPPER_ANGSTROM = 1.5418
TWO_THETA_DEG = np.arange(4.6, 84.0, 0.016)
"""About 5000 angles, Q from 0.9 to 15 Å⁻¹."""
LOWER_HALF = np.median(TWO_THETA_DEG) > TWO_THETA_DEG

SIZES_NM = (2.2, 3.2, 4.5, 6.0, 7.5, 9.5)
DISPERSION = 0.12
AREA_FRACTIONS = (0.15, 0.4, 1.0)
COUNTS = (20.0, 300.0, 1e4)
"""Mean photons per point. Six sizes, three area fractions and three exposures in all."""

SMALL_NM, LARGE_NM, BULK_NM = STRANGE_NM = (1.0, 15.0, 20.0)
"""Outside the range of sizes of the models, nm; the peaks of the last are as narrow as the bins, like those
of a bulk powder."""

BULK_DISPERSION = 0.04
MAX_OVER_MEAN = 1.2
"""Clusters reach 24 nm: five standard deviations of the bulk powder, and far past those of the others."""

FIRST_Q, LAST_Q, Q_STEP = 0.85, 15.2, 0.004
"""Where dots are computed, Å⁻¹: lines between are within 1 % of the peaks of the bulk powder."""

FOREIGN = (
    Crystal(
        name="Au",
        space_group="F m -3 m",
        lengths_angstrom=(4.0786, 4.0786, 4.0786),
        lattice_source="powder diffraction file 4-784",
        b_source="about that of the bulk at room temperature",
        sites=(CrystalSite(element="Au", position=(0.0, 0.0, 0.0), b_angstrom2=0.6),),
    ),
    Crystal(
        name="Si",
        space_group="F d -3 m",
        lengths_angstrom=(5.4309, 5.4309, 5.4309),
        lattice_source="NIST SRM 640",
        b_source="about that of the bulk at room temperature",
        sites=(CrystalSite(element="Si", position=(0.0, 0.0, 0.0), b_angstrom2=0.5),),
    ),
)

FOREIGN_NAMES = (*(crystal.name for crystal in FOREIGN), "CdSe-zincblende", "CdSe-wurtzite")


@dataclass(frozen=True, eq=False)
class NegativeControl:
    """A frame that lies outside what the models were made for."""

    kind: str
    """What is wrong, one of `NEGATIVE_CONTROL_KINDS`."""
    pattern: Pattern
    """The frame."""
    size_nm: float
    """Number-weighted mean diameter of the dots, nm; NaN where the frame has no dots of this material."""


Spoil = Callable[[NDArray[np.float64], np.random.Generator], Pattern]


def _counted(expected: NDArray[np.float64], rng: np.random.Generator, counts: float) -> NDArray[np.float64]:
    return np.asarray(rng.poisson(counts * expected / expected.mean()), np.float64)


def _seen(counts: NDArray[np.float64], shift_deg: float = 0.0, stretch: float = 1.0) -> Pattern:
    """Pattern of counts at angles and with a wavelength that are not those of the experiment."""
    return Pattern.from_two_theta(TWO_THETA_DEG + shift_deg, counts, WAVELENGTH_ANGSTROM * stretch)


def _below_zero(counts: NDArray[np.float64], rng: np.random.Generator) -> Pattern:
    """So much background subtracted that a quarter of the points is negative."""
    q = q_from_two_theta(TWO_THETA_DEG, WAVELENGTH_ANGSTROM)
    return Pattern.from_arrays(q, counts - np.quantile(counts, 0.25), np.sqrt(counts + 1))


def _spiked(counts: NDArray[np.float64], rng: np.random.Generator) -> Pattern:
    """One strip in fifty hot, up to thirtyfold."""
    hot = rng.random(counts.size) < 0.02
    return _seen(np.where(hot, counts * rng.uniform(3, 30, counts.size), counts))


def _half_missing(counts: NDArray[np.float64], rng: np.random.Generator) -> Pattern:
    return _seen(np.where((rng.random() < 0.5) == LOWER_HALF, np.nan, counts))


def _half_zero(counts: NDArray[np.float64], rng: np.random.Generator) -> Pattern:
    """Half of the modules dead and not masked."""
    return _seen(np.where(~LOWER_HALF, 0.0, counts))


SPOILT: dict[str, Spoil] = {
    "wavelength 1 % too long": lambda counts, rng: _seen(counts, stretch=1.01),
    "wavelength 1 % too short": lambda counts, rng: _seen(counts, stretch=0.99),
    "wavelength 2 % too long": lambda counts, rng: _seen(counts, stretch=1.02),
    "wavelength 2 % too short": lambda counts, rng: _seen(counts, stretch=0.98),
    "copper wavelength on synchrotron data": lambda counts, rng: _seen(
        counts, stretch=COPPER_ANGSTROM / WAVELENGTH_ANGSTROM
    ),
    "2θ zero +0.1°": lambda counts, rng: _seen(counts, shift_deg=0.1),
    "2θ zero -0.1°": lambda counts, rng: _seen(counts, shift_deg=-0.1),
    "negative counts": _below_zero,
    "spikes": _spiked,
    "half of the frame missing": _half_missing,
    "half of the frame zero": _half_zero,
}
"""What is done to good frames; their true sizes stay the same."""


@cache
def _material(name: str) -> Material:
    for crystal in FOREIGN:
        if crystal.name == name:
            return material_from_crystal(crystal)
    return load_material(name)


@cache
def _dots(material_name: str, strange: bool) -> dict[float, NDArray[np.float64]]:
    """Patterns of populations at the angles, by number mean, with or without those outside the range."""
    material = _material(material_name)
    means_nm = np.array((*SIZES_NM, *STRANGE_NM) if strange else SIZES_NM)
    unit = material.unit_diameter_angstrom
    diameters = np.arange(1.0, 10 * means_nm.max() * MAX_OVER_MEAN / unit, 0.5) * unit
    dispersions = np.where(means_nm == BULK_NM, BULK_DISPERSION, DISPERSION)
    weights = lognormal_weights(diameters / 10, means_nm, dispersions, min_fraction=0.0)
    table = averaged_sphere_pairs(material, diameters)
    q = np.arange(FIRST_Q, LAST_Q, Q_STEP)
    factors = form_factors(material, q, WAVELENGTH_ANGSTROM)
    coherent = pattern_sums(material, table, structure_sums(table, q), q, factors) @ weights
    compton = compton_intensity(material, q, WAVELENGTH_ANGSTROM, list(table.self_terms @ weights))
    at = q_from_two_theta(TWO_THETA_DEG, WAVELENGTH_ANGSTROM)
    return {
        float(mean_nm): np.interp(at, q, curve)
        for mean_nm, curve in zip(means_nm, (coherent + compton).T, strict=True)
    }


def _colloid(
    material_name: str, mean_nm: float, counts: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Counts of dots in one of the solvents."""
    q = q_from_two_theta(TWO_THETA_DEG, WAVELENGTH_ANGSTROM)
    solvent = load_solvent(str(rng.choice(solvent_names()))).intensity(q, WAVELENGTH_ANGSTROM)
    strange = mean_nm in STRANGE_NM or material_name not in FOREIGN_NAMES
    dots = _dots(material_name, strange)[mean_nm]
    mixture = mix_by_area(dots, solvent, float(rng.choice(AREA_FRACTIONS)))
    return _counted(mixture, rng, counts)


def _bump(q: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * ((q - centre) / width) ** 2))


def _emptiness() -> dict[str, NDArray[np.float64]]:
    """Curves without any dots."""
    q = q_from_two_theta(TWO_THETA_DEG, WAVELENGTH_ANGSTROM)
    return {
        "flat line": np.ones(q.size),
        **{f"pure {name}": load_solvent(name).intensity(q, WAVELENGTH_ANGSTROM) for name in solvent_names()},
        # First sharp diffraction peak, second and third peak of vitreous silica, on a falling tail.
        "empty capillary": np.exp(-q / 6)
        + 2.5 * _bump(q, 1.53, 0.22)
        + 0.3 * _bump(q, 2.9, 0.4)
        + 0.4 * _bump(q, 5.2, 0.6),
        # Main peak of water with its shoulder, molecules beyond.
        "water": np.exp(-q / 4) + 1.8 * _bump(q, 2.0, 0.3) + 0.8 * _bump(q, 2.9, 0.45),
    }


def _liquid_alone(solvent: Solvent, rng: np.random.Generator) -> Pattern:
    """A frame of a measured solvent, without the points past the ends of its curve."""
    q = q_from_two_theta(TWO_THETA_DEG, WAVELENGTH_ANGSTROM)
    known = (q >= solvent.q_inv_angstrom[0]) & (q <= solvent.q_inv_angstrom[-1])
    counts = np.full(q.size, np.nan)
    expected = solvent.intensity(q[known], WAVELENGTH_ANGSTROM)
    counts[known] = _counted(np.maximum(expected, 0.0), rng, float(rng.choice(COUNTS)))
    return _seen(counts)


EMPTY_KINDS = (
    "flat line",
    "white noise",
    *(f"pure {name}" for name in solvent_names()),
    "empty capillary",
    "water",
)
"""Frames without any crystal."""

NEGATIVE_CONTROL_KINDS = (
    *EMPTY_KINDS,
    "bulk powder",
    "1 nm dots",
    "15 nm dots",
    *FOREIGN_NAMES,
    "shuffled",
    *SPOILT,
)
"""Kinds of negative controls: what is wrong with the frame."""


def negative_controls(
    material_name: str, seed: int, per_kind: int, measured: Sequence[Solvent] = ()
) -> Iterator[NegativeControl]:
    """Simulate negative controls of every kind.

    Parameters
    ----------
    material_name
        Material of the model that the frames are given to.
    seed
        Seed of sizes, area fractions, exposures, solvents and photons.
    per_kind
        Frames of each kind.
    measured
        Measured solvent curves, each an additional kind; a frame holds the points that its curve covers.

    Yields
    ------
    The frames, kind by kind, measured solvents first. The same arguments give the same frames. Another
    crystal of the same compound, as wurtzite for zinc blende, has a true size: models may cover it.
    """
    for number, solvent in enumerate(measured, start=len(NEGATIVE_CONTROL_KINDS)):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        for _ in range(per_kind):
            yield NegativeControl(f"pure {solvent.name}, measured", _liquid_alone(solvent, rng), np.nan)
    empty = _emptiness()
    strange = dict(zip(("1 nm dots", "15 nm dots", "bulk powder"), STRANGE_NM, strict=True))
    for number, kind in enumerate(NEGATIVE_CONTROL_KINDS):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        for _ in range(per_kind):
            counts, size_nm = float(rng.choice(COUNTS)), float(rng.choice(SIZES_NM))
            truth = np.nan
            if kind in empty:
                pattern = _seen(_counted(empty[kind], rng, counts))
            elif kind == "white noise":
                pattern = _seen(rng.normal(counts, 0.2 * counts, TWO_THETA_DEG.size))
            elif kind in FOREIGN_NAMES:
                if compound(kind) == compound(material_name):
                    truth = size_nm
                pattern = _seen(_colloid(kind, size_nm, counts, rng))
            elif kind in strange:
                truth = strange[kind]
                pattern = _seen(_colloid(material_name, truth, counts, rng))
            elif kind == "shuffled":
                pattern = _seen(rng.permutation(_colloid(material_name, size_nm, counts, rng)))
            else:
                truth = size_nm
                pattern = SPOILT[kind](_colloid(material_name, truth, counts, rng), rng)
            yield NegativeControl(kind, pattern, truth)
