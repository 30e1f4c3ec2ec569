"""Endless random frames for training: everything that a beamline may vary, varied."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config
from ..patterns import BinGrid
from ._cluster import SphereCut, sphere
from ._draws import Range, log_uniform
from ._interpolate import StrainedSums
from ._liquids import random_liquids
from ._material import Material, load_material
from ._pairs import PairTable, averaged_sphere_pairs, bin_averaged, pair_table
from ._population import lognormal_weights, population_moments
from ._scattering import compton_intensity, form_factors
from ._solvents import load_solvent

__all__ = ["FrameBatch", "FrameGenerator", "GeneratorRecipe"]

POOL_SIZE = 512
"""Liquids kept at a time; each is mixed and distorted anew for every frame."""

GROUP = 32
"""Frames that share cut, strain and wavelength: one small matrix product each."""


MIN_BINS = 10
"""Bins with data that every frame keeps: nobody sizes fewer."""

N_HALF_WAVES = 6
"""Half waves of a smooth distortion over the grid: absorption and flat fields are no wigglier."""


class GeneratorRecipe(Config):
    """Ranges that frames are drawn from."""

    material: str
    """Material of the package."""
    grid: BinGrid
    """Bins of the frames."""
    cuts: tuple[SphereCut, ...]
    """Definitions of the spheres, besides the centre-averaged one."""
    centre_averaged: bool
    """Whether spheres averaged over their centre are drawn too."""
    wavelengths_angstrom: tuple[float, ...] = Field(min_length=1)
    """Wavelengths of f', f'', Compton recoil and the reach in Q, Å."""
    mean_diameter_nm: Range
    """Number-weighted mean diameter, uniform, nm."""
    dispersion: Range
    """Relative standard deviation, uniform."""
    max_cluster_nm: float = Field(gt=0)
    """Largest cluster of any population, nm."""
    strain: Range
    """Isotropic strain, uniform on `n_strains` values."""
    n_strains: int = Field(ge=1)
    """Number of strains tabulated."""
    b_angstrom2: Range
    """Displacement parameter of the heavy site, log-uniform, Å²; the others within a factor 1.6 of it."""
    area_fraction: Range
    """Share of the dots in the area, log-uniform; a quarter of the frames are pure dots."""
    no_dots: float = Field(ge=0, lt=1)
    """Share of frames without any dots: liquids and backgrounds alone."""
    measured_like_solvents: tuple[str, ...]
    """Solvents of the package that enter the pool of liquids beside the random ones."""
    solvent_stretch: float = Field(ge=0, lt=0.2)
    """Largest relative stretch of a solvent's Q axis: temperature, and what the computed curves miss."""
    solvent_distortion: float = Field(ge=0, lt=1)
    """Amplitude (sd) of the smooth relative distortion of a solvent."""
    distortion: float = Field(ge=0, lt=1)
    """Amplitude (sd) of the smooth relative distortion of the whole frame: absorption, polarisation, flat."""
    background: float = Field(ge=0)
    """Largest smooth background over the mean of the frame."""
    counts_per_bin: Range
    """Mean photons per bin, log-uniform."""
    q_low_inv_angstrom: Range
    """First usable Q, uniform for half of the frames, Å⁻¹; the others begin at the lower limit."""
    q_high_inv_angstrom: Range
    """Last usable Q, uniform for half of the frames, Å⁻¹; the others run to the upper limit."""
    zero_shift_inv_angstrom: float = Field(ge=0)
    """Largest shift of the axis (2θ zero), Å⁻¹; at most a third of a bin."""


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Simulated frames and their truth."""

    intensity: NDArray[np.float64]
    """Mean counts per bin, shape (n, n_bins)."""
    sigma: NDArray[np.float64]
    """Standard deviation of `intensity`, shape (n, n_bins)."""
    mask: NDArray[np.bool_]
    """True for bins without data, shape (n, n_bins)."""
    present: NDArray[np.bool_]
    """Whether there are dots, shape (n,)."""
    number_mean_nm: NDArray[np.float64]
    """Realised number-weighted mean diameter, nm, shape (n,)."""
    mass_mean_nm: NDArray[np.float64]
    """Realised mass-weighted mean diameter, nm, shape (n,)."""
    dispersion: NDArray[np.float64]
    """Realised dispersion, shape (n,)."""
    strain: NDArray[np.float64]
    """Strain, shape (n,)."""
    area_fraction: NDArray[np.float64]
    """Share of the dots in the area before background, shape (n,)."""


class FrameGenerator:
    """Draws frames; one recipe and one seed give one sequence.

    Parameters
    ----------
    recipe
        What to draw from.
    seed
        Seed of the sequence.
    """

    def __init__(self, recipe: GeneratorRecipe, seed: int) -> None:
        self.recipe = recipe
        self._rng = np.random.default_rng(seed)
        self._material = load_material(recipe.material)
        self._q = recipe.grid.centres
        self._strains = np.linspace(*recipe.strain, recipe.n_strains)
        unit_nm = self._material.unit_diameter_angstrom / 10
        # Half a unit step: the paper's whole step leaves a 5 % population at 2 nm with one cluster.
        self._diameters_nm = unit_nm * np.arange(2.5, recipe.max_cluster_nm / unit_nm, 0.5)
        tables = [self._cut_table(cut) for cut in recipe.cuts]
        if recipe.centre_averaged:
            tables.append(averaged_sphere_pairs(self._material, self._diameters_nm * 10))
        self._tables = [bin_averaged(table, recipe.grid.q_step_inv_angstrom) for table in tables]
        self._sums = [self._strained(table) for table in self._tables]
        self._factors = [form_factors(self._material, self._q, w) for w in recipe.wavelengths_angstrom]
        self._compton = [
            [
                compton_intensity(self._material, self._q, w, list(table.self_terms)).astype(np.float32)
                for table in self._tables
            ]
            for w in recipe.wavelengths_angstrom
        ]
        position = (self._q - self._q[0]) / (self._q[-1] - self._q[0])
        angles = np.pi * np.outer(np.arange(1, N_HALF_WAVES + 1), position)
        self._half_waves = np.cos(angles), np.sin(angles)
        self._pool = self._liquids()

    @property
    def material(self) -> Material:
        """Material of the dots."""
        return self._material

    def batch(self, n: int) -> FrameBatch:
        """Draw frames.

        Parameters
        ----------
        n
            Number of frames, a multiple of 32.

        Returns
        -------
        The frames, freshly drawn.
        """
        groups = [self._group() for _ in range(n // GROUP)]
        return FrameBatch(*(np.concatenate(parts) for parts in zip(*groups, strict=True)))

    def _cut_table(self, cut: SphereCut) -> PairTable:
        clusters = [sphere(self._material, float(d) * 10, cut) for d in self._diameters_nm]
        return pair_table(self._material, clusters)

    def _strained(self, table: PairTable) -> list[list[NDArray[np.float32]]]:
        sums = StrainedSums(table, self._q, self.recipe.strain)
        return [[s.astype(np.float32) for s in sums(float(strain))] for strain in self._strains]

    def _liquids(self) -> NDArray[np.float64]:
        """A fresh pool: half computed solvents, half random liquids, each stretched."""
        recipe, rng, q = self.recipe, self._rng, self._q
        wavelength = float(rng.choice(recipe.wavelengths_angstrom))
        # Stretching reaches past the grid's ends.
        wide = np.linspace(q[0] * 0.85, q[-1] * 1.15, 2 * q.size)
        pool = random_liquids(rng, POOL_SIZE, wide, wavelength)
        known = [load_solvent(name).intensity(wide, wavelength) for name in recipe.measured_like_solvents]
        for row in range(POOL_SIZE):
            if known and row % 2:
                pool[row] = rng.dirichlet(np.ones(len(known))) @ [k / k.mean() for k in known]
        stretch = 1 + rng.uniform(-recipe.solvent_stretch, recipe.solvent_stretch, POOL_SIZE)
        return np.array([np.interp(q * e, wide, curve) for e, curve in zip(stretch, pool, strict=True)])

    def _smooth(self, n: int) -> NDArray[np.float64]:
        """Smooth random curves of unit standard deviation, shape (n, n_bins)."""
        rng = self._rng
        order = np.arange(1, N_HALF_WAVES + 1)
        phase = rng.uniform(0, 2 * np.pi, (n, N_HALF_WAVES))
        amplitude = rng.standard_normal((n, N_HALF_WAVES)) / order / np.sqrt(0.5 * np.sum(1 / order**2))
        cosine, sine = self._half_waves
        return np.asarray((amplitude * np.cos(phase)) @ cosine - (amplitude * np.sin(phase)) @ sine)

    def _group(self) -> tuple[NDArray[np.generic], ...]:
        recipe, rng, n = self.recipe, self._rng, GROUP
        if rng.random() < GROUP / 20_000:  # a new pool every 20 000 frames
            self._pool = self._liquids()
        wave = int(rng.integers(len(recipe.wavelengths_angstrom)))
        strain_index = int(rng.integers(recipe.n_strains))
        mean_nm = rng.uniform(*recipe.mean_diameter_nm, n)
        relative_sd = rng.uniform(*recipe.dispersion, n)
        # The ends of the range are cut on purpose: the truth is what the frames realise.
        weights = lognormal_weights(self._diameters_nm, mean_nm, relative_sd, least_share=0.0)
        moments = population_moments(self._diameters_nm, weights)
        dots = self._dots(wave, strain_index, weights)

        fraction = log_uniform(rng, recipe.area_fraction, n)
        fraction[rng.random(n) < 0.25] = 1.0
        present = rng.random(n) >= recipe.no_dots
        fraction[~present] = 0.0
        liquid = self._pool[rng.integers(POOL_SIZE, size=n)]
        liquid = liquid * np.exp(recipe.solvent_distortion * self._smooth(n))
        frames = fraction[:, None] * dots / dots.mean(axis=1, keepdims=True)
        frames += (1 - fraction[:, None]) * liquid / liquid.mean(axis=1, keepdims=True)
        frames = (frames + self._background(n)) * np.exp(recipe.distortion * self._smooth(n))
        frames = self._shifted(frames)

        mask = self._mask(n, recipe.wavelengths_angstrom[wave])
        counts = log_uniform(rng, recipe.counts_per_bin, n)[:, None]
        expected = (
            counts
            * frames
            / np.where(mask, 0, frames).sum(axis=1, keepdims=True)
            * (~mask).sum(axis=1)[:, None]
        )
        noisy = rng.poisson(expected).astype(np.float64)
        return (
            noisy,
            np.sqrt(np.maximum(noisy, 1.0)),
            mask,
            present,
            moments.number_mean_nm,
            moments.mass_mean_nm,
            moments.dispersion,
            np.full(n, self._strains[strain_index]),
            fraction,
        )

    def _dots(self, wave: int, strain_index: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Dots in the powder average, a random cut, random B, shape (n, n_bins)."""
        rng = self._rng
        n = weights.shape[1]
        which = int(rng.integers(len(self._tables)))
        table, sums = self._tables[which], self._sums[which][strain_index]
        factors = self._factors[wave]
        heavy = log_uniform(rng, self.recipe.b_angstrom2, n)
        b = [heavy * (1 if s == 0 else np.exp(rng.uniform(-0.47, 0.47, n))) for s in range(len(factors))]
        s_squared = (self._q / (4 * np.pi)) ** 2
        damping = [np.exp(-np.outer(s_squared, value)) for value in b]
        small = weights.astype(np.float32)
        total = (self._compton[wave][which] @ small).astype(np.float64)
        for s, f in enumerate(factors):
            total += np.abs(f)[:, None] ** 2 * (table.self_terms[s] @ weights)
        mixed = [group @ small for group in sums]
        for (s, t), number in table.group.items():
            factor = (1 if s == t else 2) * np.real(factors[s] * np.conj(factors[t]))
            total += factor[:, None] * damping[s] * damping[t] * mixed[number]
        return np.ascontiguousarray(total.T)

    def _background(self, n: int) -> NDArray[np.float64]:
        """Constant, falling and humped backgrounds, none for a third of the frames, shape (n, n_bins)."""
        rng, q = self._rng, self._q
        shares = rng.dirichlet((1.0, 1.0, 1.0), n)
        fall = np.exp(-(q - q[0]) / rng.uniform(0.3, 6.0, (n, 1)))
        centre, width = rng.uniform(0.8, 6.0, (n, 1)), rng.uniform(0.5, 3.0, (n, 1))
        hump = np.exp(-0.5 * ((q - centre) / width) ** 2)
        curves = shares[:, :1] + shares[:, 1:2] * fall / fall.mean(axis=1, keepdims=True)
        curves = curves + shares[:, 2:] * hump / hump.mean(axis=1, keepdims=True)
        level = self.recipe.background * rng.beta(1.0, 3.0, (n, 1)) * (rng.random((n, 1)) < 0.67)
        return np.asarray(level * curves)

    def _shifted(self, frames: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move the axis by a fraction of a bin."""
        bins = self.recipe.zero_shift_inv_angstrom / self.recipe.grid.q_step_inv_angstrom
        shift = self._rng.uniform(-bins, bins, (frames.shape[0], 1))
        slope = np.gradient(frames, axis=1)
        curvature = np.gradient(slope, axis=1)
        return np.asarray(np.maximum(frames + shift * slope + 0.5 * shift**2 * curvature, 1e-6))

    def _mask(self, n: int, wavelength_angstrom: float) -> NDArray[np.bool_]:
        """Short ranges, module gaps, coarse steps and missing stretches, shape (n, n_bins)."""
        recipe, rng, q = self.recipe, self._rng, self._q
        low = np.where(
            rng.random(n) < 0.5, rng.uniform(*recipe.q_low_inv_angstrom, n), recipe.q_low_inv_angstrom[0]
        )
        reach = min(recipe.q_high_inv_angstrom[1], 4 * np.pi / wavelength_angstrom * np.sin(np.radians(70)))
        high = np.where(rng.random(n) < 0.5, rng.uniform(recipe.q_high_inv_angstrom[0], reach, n), reach)
        outside = (q < low[:, None]) | (q > high[:, None])
        mask = outside.copy()
        number = np.arange(q.size)
        step = recipe.grid.q_step_inv_angstrom
        for row in range(n):
            kind = rng.random()
            if kind < 0.35:  # modules of 5° less 0.19°, whatever the wavelength makes of that in Q
                pitch = max(
                    int(rng.uniform(0.5, 1.2) * np.radians(5) * 2 * np.pi / wavelength_angstrom / step), 8
                )
                width = int(rng.integers(1, 4))
                mask[row] |= (number + rng.integers(pitch)) % pitch < width
            elif kind < 0.45:  # a coarse scan fills every second or third bin
                every = int(rng.integers(2, 4))
                mask[row] |= (number + rng.integers(every)) % every != 0
            elif kind < 0.55:  # a module is missing
                start = int(rng.integers(q.size))
                mask[row, start : start + int(rng.integers(5, 60))] = True
        # A missing module may be all that a short range had: such a frame keeps its range whole.
        empty = np.count_nonzero(~mask, axis=1) < MIN_BINS
        mask[empty] = outside[empty]
        return np.asarray(mask)
