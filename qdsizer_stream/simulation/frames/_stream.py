"""Endless random frames on any grid: structure, sample and beamline varied within stated ranges."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...errors import ConfigurationError
from ...patterns import q_from_two_theta, two_theta_from_q
from ..crystal import load_material
from ..scattering import (
    LigandShell,
    compton_per_atom,
    form_factors,
    load_solvent,
    random_solvents,
    read_solvent,
    recoil,
)
from ._displacements import amplitude_angstrom2, displacements_angstrom2
from ._distributions import drawn_weights
from ._draws import Range, log_uniform
from ._instrument import cylinder_absorption, polarisation_factor
from ._photons import fast_poisson
from ._population import Sampling, lognormal_weights, population_moments
from ._stream_recipe import Source, StreamRecipe
from ._structures import StructureTable, draw_structure

__all__ = ["FrameBatch", "FrameStream"]

GROUP = 32
"""Frames that share structure, strain and instrument: one small matrix product each."""

LIQUIDS = 128
"""Liquids kept for each source; each is mixed, stretched and distorted anew for every frame."""

LIQUID_POINTS = 1000
"""Points of their curves: halos are 0.1 Å⁻¹ wide and wider."""

N_HALF_WAVES = 6
"""Half waves of a smooth distortion over the grid: what absorption and flat fields leave is no wigglier."""

SMOOTH_POINTS = 4000
"""Points at which form factors are tabulated: lines between them are within 1e-5."""

SMOOTH_MARGIN = 0.2
"""How far past the grid they are, Å⁻¹: a shift of 1° at 0.5 Å."""

LARGEST_ANGLE_DEG = 140.0
"""No detector arm goes further."""

MIN_BINS = 30
"""Bins with data that every frame has; no model answers for fewer."""

HERMITE_NODES = 6
"""Points over a resolution: exact for polynomials of degree 11."""

REACH_SD = 3.4
"""The outermost of these points, in standard deviations."""


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
    """Realised number-weighted mean of `StructureTable.sizes_nm`, nm, shape (n,)."""
    mass_mean_nm: NDArray[np.float64]
    """Realised mass-weighted mean diameter, nm, shape (n,)."""
    dispersion: NDArray[np.float64]
    """Realised dispersion, shape (n,)."""
    strain: NDArray[np.float64]
    """Strain, averaged over directions, shape (n,)."""
    area_fraction: NDArray[np.float64]
    """Share of the dots in the area before background, shape (n,)."""


@dataclass(frozen=True, eq=False)
class _Light:
    """What a source makes of the grid."""

    source: Source
    two_theta_deg: NDArray[np.float64]
    """Apparent angles of the bins; those out of reach have the largest angle."""
    n_bins: int
    """Bins within reach."""
    alone: dict[str, NDArray[np.float64]]
    """|f|² and Compton scattering of each element."""
    together: dict[tuple[str, str], NDArray[np.float64]]
    """Re(f f*) of each pair of elements, in either order."""
    ligand: NDArray[np.float32]
    liquids: NDArray[np.float64]


class FrameStream:
    """Draws frames; one recipe and one seed give one sequence, however it is cut into batches.

    Parameters
    ----------
    recipe
        What to draw from.
    seed
        Seed of the sequence.
    n_threads
        Threads that work at it; the frames do not depend on their number.

    Raises
    ------
    PhysicsError
        A structure cannot be had, or Q leaves a solvent's curve or the form-factor tables.
    """

    def __init__(self, recipe: StreamRecipe, seed: int, n_threads: int = 1) -> None:
        self.recipe = recipe
        self._seed = seed
        self._next_group = 0
        self._pool = ThreadPoolExecutor(n_threads)
        self._q = recipe.grid.centres
        position = (self._q - self._q[0]) / (self._q[-1] - self._q[0])
        angles = np.pi * np.outer(np.arange(1, N_HALF_WAVES + 1), position)
        self._half_waves = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        limits = self._table_limits()
        step = recipe.grid.q_step_inv_angstrom
        self._structures = list(
            self._pool.map(
                lambda number: draw_structure(
                    recipe.structures,
                    self._rng("structure", number),
                    limits,
                    step,
                    self._amplitude(self._rng("motion", number)),
                ),
                range(recipe.n_structures),
            )
        )
        self._smooth_q = np.linspace(
            max(self._q[0] - SMOOTH_MARGIN, SMOOTH_MARGIN / 10), self._q[-1] + SMOOTH_MARGIN, SMOOTH_POINTS
        )
        self._wide = np.linspace(
            self._q[0] * (1 - recipe.solvent_stretch),
            self._q[-1] * (1 + recipe.solvent_stretch),
            LIQUID_POINTS,
        )
        self._lights = [
            self._light(source, self._rng("light", number)) for number, source in enumerate(recipe.sources)
        ]

    def batch(self, n: int) -> FrameBatch:
        """Draw the next frames.

        Parameters
        ----------
        n
            Number of frames, a multiple of 32.

        Returns
        -------
        The frames.

        Raises
        ------
        ConfigurationError
            `n` is not a positive multiple of 32.
        """
        if n <= 0 or n % GROUP:
            raise ConfigurationError(f"{n} frames asked for: frames come {GROUP} at a time, give a multiple")
        numbers = range(self._next_group, self._next_group + n // GROUP)
        self._next_group = numbers.stop
        groups = list(self._pool.map(self._group, numbers))
        return FrameBatch(*(np.concatenate(parts) for parts in zip(*groups, strict=True)))

    def skip(self, n: int) -> None:
        """Pass over the next frames without drawing them.

        Parameters
        ----------
        n
            Number of frames, a multiple of 32.
        """
        self._next_group += n // GROUP

    def _rng(self, what: str, number: int) -> np.random.Generator:
        """Source of randomness of its own for everything that is drawn: threads cannot disturb it."""
        # What joined later comes last: the sequences of the others, and so older frames, stay as they were.
        kind = ("structure", "light", "group", "motion", "sizes").index(what)
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(kind, number)))

    @property
    def _correlated(self) -> Range | None:
        """Range of the correlated motion over B; None for atoms that move independently."""
        limits = self.recipe.correlated_motion
        return None if limits == (0, 0) else limits

    def _amplitude(self, rng: np.random.Generator) -> float:
        """Amplitude of the correlated motion of a structure, Å²."""
        if self._correlated is None:
            return 0.0
        n_elements = len({site.element for site in load_material(self.recipe.structures.material).sites})
        return amplitude_angstrom2(
            rng, self.recipe.b_angstrom2, self.recipe.b_ratio, self._correlated, n_elements
        )

    def _table_limits(self) -> Range:
        """Q of the tables: the grid, and wherever strain, shifts, lines and resolution may take it."""
        recipe = self.recipe
        shift = max(abs(v) for v in recipe.zero_shift_deg) + max(abs(v) for v in recipe.displacement_deg)
        widest_deg = 0.0 if recipe.resolution_fwhm_deg is None else recipe.resolution_fwhm_deg[1]
        blur = REACH_SD * widest_deg / np.sqrt(8 * np.log(2))
        shortest = min(line.wavelength_angstrom for source in recipe.sources for line in source.lines)
        moved = 2 * np.pi / shortest * np.radians(shift + blur)
        spread = max(
            abs(line.wavelength_angstrom / source.lines[0].wavelength_angstrom - 1)
            for source in recipe.sources
            for line in source.lines
        )
        stretch = 1 + max(abs(e) for e in recipe.strain) + spread
        return (self._q[0] - moved) / stretch, (self._q[-1] + moved) * stretch

    def _light(self, source: Source, rng: np.random.Generator) -> _Light:
        wavelength = source.lines[0].wavelength_angstrom
        material = self._structures[0].material
        reach = 4 * np.pi / wavelength * np.sin(np.radians(LARGEST_ANGLE_DEG / 2))
        by_line = [form_factors(material, self._smooth_q, line.wavelength_angstrom) for line in source.lines]
        factors = {
            site.element: np.asarray(
                sum(line.share * f[s] for line, f in zip(source.lines, by_line, strict=True))
            )
            for s, site in enumerate(material.sites)
        }
        factor = recoil(self._smooth_q, wavelength)
        alone = {e: np.abs(f) ** 2 + factor * compton_per_atom(e, self._smooth_q) for e, f in factors.items()}
        together = {
            (one, other): np.real(f * np.conj(g))
            for one, f in factors.items()
            for other, g in factors.items()
        }
        liquids = random_solvents(rng, LIQUIDS, self._wide, wavelength)
        solvents = [load_solvent(name) for name in self.recipe.known_solvents]
        solvents += [
            read_solvent(s.path, s.wavelength_angstrom, s.axis) for s in self.recipe.measured_solvents
        ]
        known = [solvent.intensity(self._wide, wavelength) for solvent in solvents]
        for row in range(1, LIQUIDS, 2) if known else ():
            liquids[row] = rng.dirichlet(np.ones(len(known))) @ [k / k.mean() for k in known]
        return _Light(
            source,
            two_theta_from_q(np.minimum(self._q, reach), wavelength),
            int(np.count_nonzero(self._q <= reach)),
            alone,
            together,
            LigandShell(per_nm2=1.0, halo_height=0.0).intensity(self._q, wavelength).astype(np.float32),
            liquids,
        )

    def _group(self, number: int) -> tuple[NDArray[np.generic], ...]:
        recipe, n, rng = self.recipe, GROUP, self._rng("group", number)
        light = self._lights[rng.integers(len(self._lights))]
        structure = self._structures[rng.integers(len(self._structures))]
        strain = rng.uniform(*recipe.strain)
        true_deg = light.two_theta_deg - rng.uniform(*recipe.zero_shift_deg)
        true_deg = true_deg - rng.uniform(*recipe.displacement_deg) * np.cos(np.radians(true_deg))
        width = recipe.resolution_fwhm_deg
        fwhm_deg = 0.0 if width is None else float(log_uniform(rng, width, 1)[0])
        axis = self._axis(light, structure, true_deg, strain, fwhm_deg)

        mean_nm = rng.uniform(*recipe.mean_diameter_nm, n)
        relative_sd = rng.uniform(*recipe.dispersion, n)
        # The ends of the range are cut on purpose: the truth is what the frames realise.
        if recipe.distributions is None:
            weights = lognormal_weights(
                structure.diameters_nm, mean_nm, relative_sd, sampling=Sampling.BINS, least_share=0.0
            )
        else:
            sizes = self._rng("sizes", number)
            weights = drawn_weights(sizes, recipe.distributions, structure.diameters_nm, mean_nm, relative_sd)
        moments = population_moments(structure.sizes_nm, weights)
        fraction = log_uniform(rng, recipe.area_fraction, n)
        fraction[rng.random(n) < recipe.pure] = 1.0
        present = rng.random(n) >= recipe.no_dots
        fraction[~present] = 0.0

        # Form factors and damping are so smooth that they are taken at the mean of the lines.
        true_q = np.asarray(
            sum(
                line.share * q_from_two_theta(true_deg, line.wavelength_angstrom)
                for line in light.source.lines
            )
        )
        dots = self._dots(rng, light, structure, axis, true_q, weights)
        liquid = self._liquid(rng, light)
        frames = _times(fraction / dots[:, : light.n_bins].mean(axis=1), dots)
        frames += _times((1 - fraction) / liquid[:, : light.n_bins].mean(axis=1), liquid)
        instrument = polarisation_factor(true_deg, rng.uniform(*light.source.perpendicular_share))
        absorption = cylinder_absorption(true_deg, rng.uniform(*recipe.absorption_mu_r))
        frames *= (instrument * absorption).astype(np.float32)
        frames += _column(rng.uniform(0, recipe.fluorescence, n)) * absorption.astype(np.float32)
        if recipe.background:
            frames += self._background(rng)
        if recipe.distortion:
            frames *= np.exp(np.float32(recipe.distortion) * self._smooth(rng))

        mask = self._mask(rng, light)
        usable = np.where(mask, np.float32(0), frames).sum(axis=1, dtype=np.float64) / (~mask).sum(axis=1)
        counts = fast_poisson(rng, _times(log_uniform(rng, recipe.counts_per_bin, n) / usable, frames))
        return (
            counts.astype(np.float64),
            np.sqrt(np.maximum(counts, 1), dtype=np.float64),
            mask,
            present,
            moments.number_mean_nm,
            moments.mass_mean_nm,
            moments.dispersion,
            np.full(n, (1 + strain) * (1 + structure.mean_strain) - 1),
            fraction,
        )

    def _axis(
        self,
        light: _Light,
        structure: StructureTable,
        true_deg: NDArray[np.float64],
        strain: float,
        fwhm_deg: float,
    ) -> scipy.sparse.csr_array:
        """From the table's Q to the bins: strain, shifts, lines and resolution in one sparse matrix.

        Each bin takes cubics through four points of the table, at the Gauss-Hermite points of the
        resolution, for each line.
        """
        nodes, shares = np.polynomial.hermite_e.hermegauss(HERMITE_NODES if fwhm_deg > 0 else 1)
        offsets_deg = nodes * fwhm_deg / np.sqrt(8 * np.log(2))
        columns, values = [], []
        for line in light.source.lines:
            q = q_from_two_theta(true_deg[:, None] + offsets_deg, line.wavelength_angstrom)
            x = (q * (1 + strain) - structure.q_first_inv_angstrom) / structure.q_step_inv_angstrom
            first = np.clip(x.astype(np.int32), 1, structure.sums[0].shape[0] - 3)
            u = x - first
            cubic = (
                -u * (u - 1) * (u - 2) / 6,
                (u + 1) * (u - 1) * (u - 2) / 2,
                -(u + 1) * u * (u - 2) / 2,
                (u + 1) * u * (u - 1) / 6,
            )
            weight = line.share * shares / shares.sum()
            columns += [first + k for k in (-1, 0, 1, 2)]
            values += [weight * c for c in cubic]
        column = np.concatenate(columns, axis=1)
        value = np.concatenate(values, axis=1).astype(np.float32)
        starts = np.arange(0, column.size + 1, column.shape[1], dtype=np.int32)
        return scipy.sparse.csr_array(
            (value.ravel(), column.ravel(), starts), shape=(column.shape[0], structure.sums[0].shape[0])
        )

    def _dots(
        self,
        rng: np.random.Generator,
        light: _Light,
        structure: StructureTable,
        axis: scipy.sparse.csr_array,
        true_q: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Dots with their ligands, random B, shape (n, n_bins)."""
        recipe, n = self.recipe, weights.shape[1]
        material = structure.material
        elements = list(dict.fromkeys(site.element for site in material.sites))
        if self._correlated is None:
            first = log_uniform(rng, recipe.b_angstrom2, n)
            b = {e: first * (log_uniform(rng, recipe.b_ratio, n) if k else 1) for k, e in enumerate(elements)}
        else:
            b = displacements_angstrom2(
                rng,
                recipe.b_angstrom2,
                recipe.b_ratio,
                self._correlated,
                structure.amplitude_angstrom2,
                elements,
                n,
            )
        minus_s_squared = (-((true_q / (4 * np.pi)) ** 2)).astype(np.float32)
        damping = {e: np.exp(np.outer(minus_s_squared, value.astype(np.float32))) for e, value in b.items()}
        small = weights.astype(np.float32)
        moved = [axis @ (table @ small) for table in structure.sums]
        total = np.zeros((self._q.size, n), np.float32)
        for site, atoms in zip(material.sites, structure.self_terms @ weights, strict=True):
            alone = np.interp(true_q, self._smooth_q, light.alone[site.element])
            total += np.outer(alone.astype(np.float32), atoms.astype(np.float32))
        for (s, t), number in structure.group.items():
            one, other = material.sites[s].element, material.sites[t].element
            factor = (1 if s == t else 2) * np.interp(true_q, self._smooth_q, light.together[one, other])
            total += _column(factor) * damping[one] * damping[other] * moved[number]
        frames = np.ascontiguousarray(total.T)
        if recipe.ligands_per_nm2[1] > 0:
            surface = np.pi * structure.diameters_nm**2 @ weights
            number_of = rng.uniform(*recipe.ligands_per_nm2, n) * surface
            centre = np.asarray(rng.uniform(*recipe.halo_inv_angstrom, n))
            height = rng.uniform(0, 4, n) * np.interp(centre, self._q, light.ligand)
            halo = _bump(self._q, centre, np.asarray(rng.uniform(0.1, 0.4, n)))
            frames += _times(number_of * height, halo) + np.outer(number_of, light.ligand).astype(np.float32)
        return frames

    def _liquid(self, rng: np.random.Generator, light: _Light) -> NDArray[np.float32]:
        recipe = self.recipe
        stretch = 1 + rng.uniform(-recipe.solvent_stretch, recipe.solvent_stretch, GROUP)
        rows = rng.integers(LIQUIDS, size=GROUP)
        liquid = np.array(
            [
                np.interp(self._q * e, self._wide, light.liquids[row])
                for e, row in zip(stretch, rows, strict=True)
            ],
            np.float32,
        )
        if recipe.solvent_distortion:
            liquid *= np.exp(np.float32(recipe.solvent_distortion) * self._smooth(rng))
        return liquid

    def _smooth(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Smooth random curves of unit standard deviation, shape (n, n_bins)."""
        order = np.arange(1, N_HALF_WAVES + 1)
        phase = rng.uniform(0, 2 * np.pi, (GROUP, N_HALF_WAVES))
        amplitude = rng.standard_normal((GROUP, N_HALF_WAVES)) / order / np.sqrt(0.5 * np.sum(1 / order**2))
        cosine, sine = self._half_waves
        even, odd = (
            (amplitude * np.cos(phase)).astype(np.float32),
            (amplitude * np.sin(phase)).astype(np.float32),
        )
        return np.asarray(even @ cosine - odd @ sine)

    def _background(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """A falling and a humped background in any proportion, shape (n, n_bins)."""
        share = rng.random(GROUP)
        decay = rng.uniform(0.3, 6.0, GROUP)
        fall = np.exp(((self._q[0] - self._q)[None, :] / decay[:, None]).astype(np.float32))
        centre, width = rng.uniform([[0.8], [0.5]], [[6.0], [3.0]], (2, GROUP))
        hump = _bump(self._q, centre, width)
        level = self.recipe.background * rng.beta(1.0, 3.0, GROUP) * (rng.random(GROUP) < 2 / 3)
        return _times(level * share / fall.mean(axis=1), fall) + _times(
            level * (1 - share) / hump.mean(axis=1), hump
        )

    def _mask(self, rng: np.random.Generator, light: _Light) -> NDArray[np.bool_]:
        """Short ranges, module gaps, coarse steps and dead stretches, shape (n, n_bins)."""
        recipe, n = self.recipe, GROUP
        reach = self._q[light.n_bins - 1]
        lowest, highest = recipe.q_low_inv_angstrom[0], min(recipe.q_high_inv_angstrom[1], reach)
        low = np.where(rng.random(n) < 0.5, rng.uniform(*recipe.q_low_inv_angstrom, n), lowest)
        first_end = min(recipe.q_high_inv_angstrom[0], highest)
        high = np.where(rng.random(n) < 0.5, rng.uniform(first_end, highest, n), highest)
        mask = (self._q < low[:, None]) | (self._q > high[:, None])
        gapped = np.flatnonzero(rng.random(n) < recipe.gaps)
        pitch = rng.uniform(*recipe.gap_pitch_deg, (gapped.size, 1)).astype(np.float32)
        width = rng.uniform(*recipe.gap_width_deg, (gapped.size, 1)).astype(np.float32)
        begin = rng.uniform(0, 1, (gapped.size, 1)).astype(np.float32)
        modules = light.two_theta_deg.astype(np.float32) / pitch + begin
        mask[gapped] |= modules - np.floor(modules) >= 1 - width / pitch
        outside = mask.copy()
        coarse = np.flatnonzero(rng.random(n) < recipe.coarse)
        bins_a_step = (
            rng.uniform(*recipe.coarse_step_inv_angstrom, coarse.size) / recipe.grid.q_step_inv_angstrom
        )
        phase = rng.random(coarse.size)
        number = np.arange(-1, self._q.size)
        for row, stride, first in zip(coarse, bins_a_step, phase, strict=True):
            mask[row] |= np.diff(np.floor(number / stride + first)) == 0
        for row in np.flatnonzero(rng.random(n) < recipe.missing):
            width_inv_angstrom = rng.uniform(*recipe.missing_inv_angstrom)
            start = rng.uniform(self._q[0] - width_inv_angstrom, self._q[-1])
            mask[row] |= (self._q >= start) & (self._q < start + width_inv_angstrom)
        # A dead stretch may be all that a short range had: such a frame keeps its range whole.
        empty = np.count_nonzero(~mask, axis=1) < MIN_BINS
        mask[empty] = outside[empty]
        return np.asarray(mask)


def _column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, None]


def _times(scale: NDArray[np.float64], frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each frame, in single precision."""
    return np.asarray(_column(scale) * frames)


def _bump(
    q: NDArray[np.float64], centre: NDArray[np.float64], width: NDArray[np.float64]
) -> NDArray[np.float32]:
    offset = (q.astype(np.float32) - _column(centre)) / _column(width)
    return np.asarray(np.exp(np.float32(-0.5) * offset * offset))
