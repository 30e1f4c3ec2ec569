"""Endless random frames on any grid: structure, sample and beamline varied within stated ranges."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...errors import ConfigurationError
from ...patterns import FWHM_PER_SD, blur_matrix, blur_reach_bins, q_from_two_theta, two_theta_from_q
from ..crystal import load_material
from ..scattering import load_solvent, read_solvent
from ._by_products import by_product_crystals, by_product_curve, by_product_lines
from ._detector import CoarseScans, averaged_over_steps, drawn_mask, drawn_modules
from ._disordered import atoms_per_core
from ._displacements import amplitude_angstrom2, displacements_angstrom2
from ._distributions import drawn_weights
from ._draws import Range, log_uniform
from ._instrument import cylinder_absorption, polarisation_factor
from ._light import MAX_ANGLE_DEG, Light, Margins, light_on_grid
from ._photons import fast_poisson
from ._population import Sampling, lognormal_weights, population_moments
from ._progress import Progress, silent
from ._stream_recipe import Source, StreamRecipe
from ._structures import StructureTable, draw_structure

__all__ = ["FrameBatch", "FrameStream"]

GROUP = 32
"""Frames that share structure, strain and instrument: one small matrix product for all of them."""

N_HALF_WAVES = 6
"""Half waves of a smooth distortion over the grid: what absorption and flat fields leave varies no faster."""

HERMITE_NODES = 6
"""Points over a resolution: exact for polynomials of degree 11."""

CRYSTALS = 0.5
"""Fraction of by-products that are nanocrystals, where the recipe names some; the others are random lines."""

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
    """Fraction of the dots in the area before background, shape (n,)."""
    resolution_inv_angstrom: NDArray[np.float32]
    """Full width at half maximum of the instrument at each bin, Å⁻¹, shape (n, n_bins); 0 for a perfect one.
    Microstrain and the width of the bins are not part of it."""


class FrameStream:
    """Generator of frames; recipe and seed determine the sequence, however it is divided into batches.

    Parameters
    ----------
    recipe
        Ranges.
    seed
        Seed of the sequence.
    n_threads
        Number of threads; the frames do not depend on it.
    progress
        Called for each structure that is tabulated.

    Attributes
    ----------
    recipe
        As given.
    structures
        Drawn structures with their tables, one of which each frame shows.

    Raises
    ------
    PhysicsError
        A structure is impossible, or Q leaves a solvent's curve or the form-factor tables.
    """

    def __init__(
        self, recipe: StreamRecipe, seed: int, n_threads: int = 1, progress: Progress = silent
    ) -> None:
        self.recipe = recipe
        self._seed = seed
        self._next_group = 0
        self._pool = ThreadPoolExecutor(n_threads)
        self._q = recipe.grid.centres
        position = (self._q - self._q[0]) / (self._q[-1] - self._q[0])
        angles = np.pi * np.outer(np.arange(1, N_HALF_WAVES + 1), position)
        self._half_waves = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        self._margins = self._blur_margins()
        limits, step = self._table_limits(), recipe.grid.q_step_inv_angstrom
        self._by_products = None
        if recipe.by_product_materials:
            self._by_products = by_product_crystals(
                recipe.by_product_materials, self._q, recipe.sources[0].lines[0].wavelength_angstrom
            )
        drawn = self._pool.map(
            lambda number: draw_structure(
                recipe.structures,
                self._rng("structure", number),
                limits,
                step,
                0.0 if self._is_ideal(number) else self._amplitude(self._rng("motion", number)),
                more=self._rng("more of a structure", number),
                disordered=_given(recipe.disordered_nm) and not self._is_ideal(number),
            ),
            range(recipe.n_structures),
        )
        self.structures: list[StructureTable] = []
        progress("tabulating structures", 0, recipe.n_structures)
        for structure in drawn:
            self.structures.append(structure)
            progress("tabulating structures", len(self.structures), recipe.n_structures)
        solvents = [load_solvent(name) for name in recipe.known_solvents]
        solvents += [read_solvent(s.path, s.wavelength_angstrom, s.axis) for s in recipe.measured_solvents]
        self._lights = [
            light_on_grid(
                source,
                recipe.grid,
                self._margins,
                self.structures[0].material,
                solvents,
                recipe.solvent_stretch,
                self._rng("light", number),
            )
            for number, source in enumerate(recipe.sources)
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
            raise ConfigurationError(
                f"{n} frames requested: frames come {GROUP} at a time, give a positive multiple of {GROUP}"
            )
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
        """A separate random generator for each item drawn, so that results do not depend on threads."""
        # What joined later comes last: the sequences of the others, and so older frames, stay as they were.
        kinds = (
            *("structure", "light", "group", "motion", "sizes", "more of a structure", "more of a group"),
            *("by-products", "ideal"),
        )
        kind = kinds.index(what)
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(kind, number)))

    def _is_ideal(self, number: int) -> bool:
        """Whether a structure has neither correlated motion nor a disordered part."""
        return bool(self.recipe.ideal) and self._rng("ideal", number).random() < (self.recipe.ideal or 0.0)

    def _amplitude(self, rng: np.random.Generator) -> float:
        """Amplitude of the correlated motion of a structure, Å²."""
        recipe = self.recipe
        if recipe.correlated_motion is None or not _given(recipe.correlated_motion):
            return 0.0
        n_elements = len({site.element for site in load_material(recipe.structures.material).sites})
        return amplitude_angstrom2(
            rng, recipe.b_angstrom2, recipe.b_ratio, recipe.correlated_motion, n_elements
        )

    def _blur_margins(self) -> Margins:
        """Bins outside the grid from which the widest resolution and microstrain bring intensity into it."""
        recipe = self.recipe
        if not self._blurred:
            return Margins()
        step, widest = recipe.grid.q_step_inv_angstrom, np.zeros(self._q.size)
        strained = (recipe.microstrain or (0.0, 0.0))[1] * self._q
        for source in recipe.sources:
            wavelength = source.lines[0].wavelength_angstrom
            reach = 4 * np.pi / wavelength * np.sin(np.radians(MAX_ANGLE_DEG / 2))
            angles = two_theta_from_q(np.minimum(self._q, reach), wavelength)
            fwhm = np.zeros(self._q.size)
            if recipe.resolution is not None:
                fwhm = recipe.resolution.widest_fwhm(angles, wavelength)
            elif recipe.resolution_fwhm_deg is not None:
                fwhm = _fwhm_from_deg(recipe.resolution_fwhm_deg[1], angles, wavelength)
            widest = np.maximum(widest, np.hypot(fwhm / FWHM_PER_SD, strained))
        before, after = (blur_reach_bins(float(sd), step, 0.0) for sd in (widest[0], widest[-1]))
        return Margins(min(before, int(self._q[0] / step) - 1), after)

    def _table_limits(self) -> Range:
        """Q of the tables: the grid, and wherever strain, shifts, lines and resolution may take it."""
        recipe = self.recipe
        widest_deg = 0.0 if recipe.resolution_fwhm_deg is None else recipe.resolution_fwhm_deg[1]
        blur = 0.0 if self._blurred else REACH_SD * widest_deg / np.sqrt(8 * np.log(2))
        moved = max(
            2 * np.pi / line.wavelength_angstrom * np.radians(self._largest_shift_deg(source) + blur)
            for source in recipe.sources
            for line in source.lines
        )
        spread = max(
            abs(line.wavelength_angstrom / source.lines[0].wavelength_angstrom - 1)
            for source in recipe.sources
            for line in source.lines
        )
        stretch = 1 + max(abs(e) for e in recipe.strain) + spread
        before, after = (
            n * recipe.grid.q_step_inv_angstrom for n in (self._margins.n_before, self._margins.n_after)
        )
        return (self._q[0] - before - moved) / stretch, (self._q[-1] + after + moved) * stretch

    def _largest_shift_deg(self, source: Source) -> float:
        """Largest difference of apparent and true angle with a source, degrees."""
        zero, displacement = self._shifts_deg(source)
        return max(abs(v) for v in zero) + max(abs(v) for v in displacement)

    def _shifts_deg(self, source: Source) -> tuple[Range, Range]:
        """Ranges of zero shift and displacement with a source, degrees."""
        zero = self.recipe.zero_shift_deg if source.zero_shift_deg is None else source.zero_shift_deg
        displaced = (
            self.recipe.displacement_deg if source.displacement_deg is None else source.displacement_deg
        )
        return zero, displaced

    @property
    def _blurred(self) -> bool:
        """Whether peaks are blurred on the grid; otherwise a narrow resolution is part of the axis."""
        return self.recipe.resolution is not None or _given(self.recipe.microstrain)

    def _group(self, number: int) -> tuple[NDArray[np.generic], ...]:
        recipe, n, rng = self.recipe, GROUP, self._rng("group", number)
        more = self._rng("more of a group", number)
        light = self._lights[rng.integers(len(self._lights))]
        structure = self.structures[rng.integers(len(self.structures))]
        strain = rng.uniform(*recipe.strain)
        zero_deg, displaced_deg = self._shifts_deg(light.source)
        sharp_deg = light.two_theta_deg - rng.uniform(*zero_deg)
        sharp_deg = sharp_deg - rng.uniform(*displaced_deg) * np.cos(np.radians(sharp_deg))
        true_deg = sharp_deg[light.inside]
        width = recipe.resolution_fwhm_deg
        fwhm_deg = 0.0 if width is None else float(log_uniform(rng, width, 1)[0])
        axis = self._axis(light, structure, sharp_deg, strain, 0.0 if self._blurred else fwhm_deg)
        fwhm = self._fwhm(more, light, fwhm_deg)

        mean_nm = rng.uniform(*recipe.mean_diameter_nm, n)
        relative_sd = rng.uniform(*recipe.dispersion, n)
        # Populations are cut at the ends of the clusters; the truth are the realised moments.
        if recipe.distributions is None:
            weights = lognormal_weights(
                structure.diameters_nm, mean_nm, relative_sd, sampling=Sampling.BINS, min_fraction=0.0
            )
        else:
            sizes = self._rng("sizes", number)
            weights = drawn_weights(sizes, recipe.distributions, structure.diameters_nm, mean_nm, relative_sd)
        moments = population_moments(structure.sizes_nm, weights)
        fraction = log_uniform(rng, recipe.area_fraction, n)
        fraction[rng.random(n) < recipe.pure] = 1.0
        present = rng.random(n) >= recipe.no_dots
        fraction[~present] = 0.0

        dots = self._cores(rng, more, light, structure, axis, sharp_deg, weights)
        if self._blurred:
            dots = self._blur(more, structure, fwhm) @ dots
        frames = np.ascontiguousarray(dots.T)
        if recipe.ligands_per_nm2[1] > 0:
            frames += self._ligands(rng, light, np.pi * structure.diameters_nm**2 @ weights)
        solvent = self._solvent(rng, light)
        scale = fraction / frames[:, : light.n_bins].mean(axis=1)
        frames = _times(scale, frames)
        frames += _times((1 - fraction) / solvent[:, : light.n_bins].mean(axis=1), solvent)
        if recipe.by_products is not None and _given(recipe.by_products):
            self._add_by_products(self._rng("by-products", number), frames, light.n_bins, fwhm)
        instrument = polarisation_factor(true_deg, rng.uniform(*light.source.perpendicular_share))
        absorption = cylinder_absorption(true_deg, rng.uniform(*recipe.absorption_mu_r))
        frames *= (instrument * absorption).astype(np.float32)
        frames += _column(rng.uniform(0, recipe.fluorescence, n)) * absorption.astype(np.float32)
        if recipe.background:
            frames += self._background(rng)
        if recipe.distortion:
            frames *= np.exp(np.float32(recipe.distortion) * self._smooth(rng))
        apparent_deg, modules = light.two_theta_deg[light.inside], None
        if _given(recipe.module_gain_step):
            modules = drawn_modules(more, recipe, n, float(apparent_deg.max()))
            frames *= modules.gains(apparent_deg)

        mask, scans = drawn_mask(rng, recipe, self._q, apparent_deg, light.n_bins, n, modules)
        if recipe.coarse_averaged:
            wide = more.random(scans.frames.size) < recipe.coarse_averaged
            averaged_over_steps(frames, CoarseScans(scans.frames[wide], scans.bins_per_step[wide]))
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
            np.broadcast_to(fwhm.astype(np.float32), (n, fwhm.size)),
        )

    def _fwhm(self, more: np.random.Generator, light: Light, fwhm_deg: float) -> NDArray[np.float64]:
        """Full width at half maximum of the instrument at each bin, Å⁻¹, shape (n_bins,)."""
        angles, wavelength = light.two_theta_deg[light.inside], light.source.lines[0].wavelength_angstrom
        if self.recipe.resolution is None:
            return _fwhm_from_deg(fwhm_deg, angles, wavelength)
        return self.recipe.resolution.drawn_fwhm(more, angles, wavelength)

    def _blur(
        self, more: np.random.Generator, structure: StructureTable, fwhm: NDArray[np.float64]
    ) -> scipy.sparse.csr_array:
        """Resolution and microstrain, from the bins and margins to the bins."""
        microstrain = 0.0 if self.recipe.microstrain is None else more.uniform(*self.recipe.microstrain)
        return blur_matrix(
            np.hypot(fwhm / FWHM_PER_SD, microstrain * self._q),
            self.recipe.grid.q_step_inv_angstrom,
            structure.max_distance_angstrom,
            self._margins.n_before,
            self._margins.n_after,
        )

    def _axis(
        self,
        light: Light,
        structure: StructureTable,
        true_deg: NDArray[np.float64],
        strain: float,
        fwhm_deg: float,
    ) -> scipy.sparse.csr_array:
        """From the table's Q to the bins: strain, shifts, lines and resolution in one sparse matrix.

        Each bin takes cubics through four points of the table, at the Gauss-Hermite points of the
        resolution, for each line.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(HERMITE_NODES if fwhm_deg > 0 else 1)
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
            weight = line.share * weights / weights.sum()
            columns += [first + k for k in (-1, 0, 1, 2)]
            values += [weight * c for c in cubic]
        column = np.concatenate(columns, axis=1)
        value = np.concatenate(values, axis=1).astype(np.float32)
        starts = np.arange(0, column.size + 1, column.shape[1], dtype=np.int32)
        return scipy.sparse.csr_array(
            (value.ravel(), column.ravel(), starts), shape=(column.shape[0], structure.sums[0].shape[0])
        )

    def _cores(
        self,
        rng: np.random.Generator,
        more: np.random.Generator,
        light: Light,
        structure: StructureTable,
        axis: scipy.sparse.csr_array,
        true_deg: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Dots without ligands, random B, shape (n_bins with margins, n)."""
        recipe, n = self.recipe, weights.shape[1]
        material = structure.material
        elements = list(dict.fromkeys(site.element for site in material.sites))
        if recipe.correlated_motion is None or structure.amplitude_angstrom2 == 0:
            first = log_uniform(rng, recipe.b_angstrom2, n)
            b = {e: first * (log_uniform(rng, recipe.b_ratio, n) if k else 1) for k, e in enumerate(elements)}
        else:
            b = displacements_angstrom2(
                more,
                recipe.b_angstrom2,
                recipe.b_ratio,
                recipe.correlated_motion,
                structure.amplitude_angstrom2,
                elements,
                n,
            )
        # Form factors and damping are so smooth that they are taken at the mean of the lines.
        true_q = np.asarray(
            sum(
                line.share * q_from_two_theta(true_deg, line.wavelength_angstrom)
                for line in light.source.lines
            )
        )
        minus_s_squared = (-((true_q / (4 * np.pi)) ** 2)).astype(np.float32)
        damping = {e: np.exp(np.outer(minus_s_squared, value.astype(np.float32))) for e, value in b.items()}
        columns, atoms_of_site = weights.astype(np.float32), structure.self_terms @ weights
        if structure.disordered_terms is not None and recipe.disordered_nm is not None:
            atoms = atoms_per_core(
                np.asarray(more.uniform(*recipe.disordered_nm, n)),
                structure.diameters_nm,
                structure.self_terms.sum(axis=0),
                weights,
            )
            pieces = atoms / structure.disordered_terms.sum()
            columns = np.vstack([columns, pieces.astype(np.float32)])
            atoms_of_site = atoms_of_site + np.outer(structure.disordered_terms, pieces)
        moved = [axis @ (table @ columns) for table in structure.sums]
        total = np.zeros((true_q.size, n), np.float32)
        for site, atoms in zip(material.sites, atoms_of_site, strict=True):
            alone = np.interp(true_q, light.smooth_q, light.self_scattering[site.element])
            total += np.outer(alone.astype(np.float32), atoms.astype(np.float32))
        for (s, t), table in structure.group.items():
            one, other = material.sites[s].element, material.sites[t].element
            together = np.interp(true_q, light.smooth_q, light.interference[one, other])
            total += _column((1 if s == t else 2) * together) * damping[one] * damping[other] * moved[table]
        return total

    def _ligands(
        self, rng: np.random.Generator, light: Light, surface_nm2: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Ligands on dots of these mean surfaces, with their halo, shape (n, n_bins)."""
        recipe, n = self.recipe, surface_nm2.size
        ligands = rng.uniform(*recipe.ligands_per_nm2, n) * surface_nm2
        centre = np.asarray(rng.uniform(*recipe.halo_inv_angstrom, n))
        height = rng.uniform(0, 4, n) * np.interp(centre, self._q, light.ligand)
        halo = _bump(self._q, centre, np.asarray(rng.uniform(0.1, 0.4, n)))
        return _times(ligands * height, halo) + np.outer(ligands, light.ligand).astype(np.float32)

    def _solvent(self, rng: np.random.Generator, light: Light) -> NDArray[np.float32]:
        recipe = self.recipe
        stretch = 1 + rng.uniform(-recipe.solvent_stretch, recipe.solvent_stretch, GROUP)
        rows = rng.integers(len(light.solvents), size=GROUP)
        solvent = np.array(
            [
                np.interp(self._q * e, light.solvent_q, light.solvents[row])
                for e, row in zip(stretch, rows, strict=True)
            ],
            np.float32,
        )
        if recipe.solvent_distortion:
            solvent *= np.exp(np.float32(recipe.solvent_distortion) * self._smooth(rng))
        return solvent

    def _add_by_products(
        self,
        rng: np.random.Generator,
        frames: NDArray[np.float32],
        n_bins: int,
        fwhm: NDArray[np.float64],
    ) -> None:
        """Add another crystal to some frames, in place."""
        if self.recipe.by_products is None:
            return
        level = np.asarray(rng.uniform(*self.recipe.by_products, frames.shape[0]))
        with_lines = rng.random(frames.shape[0]) < (self.recipe.with_by_products or 0.0)
        q, width = self._q[:n_bins], fwhm[:n_bins]
        for row in np.flatnonzero(with_lines):
            if self._by_products is not None and rng.random() < CRYSTALS:
                curve = by_product_curve(rng, self._by_products[:, :n_bins], q, width)
            else:
                curve = by_product_lines(rng, q, width)
            frames[row, :n_bins] += np.float32(level[row]) * curve

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
        fraction = rng.random(GROUP)
        decay = rng.uniform(0.3, 6.0, GROUP)
        fall = np.exp(((self._q[0] - self._q)[None, :] / decay[:, None]).astype(np.float32))
        centre, width = rng.uniform([[0.8], [0.5]], [[6.0], [3.0]], (2, GROUP))
        hump = _bump(self._q, centre, width)
        level = self.recipe.background * rng.beta(1.0, 3.0, GROUP) * (rng.random(GROUP) < 2 / 3)
        return _times(level * fraction / fall.mean(axis=1), fall) + _times(
            level * (1 - fraction) / hump.mean(axis=1), hump
        )


def _given(limits: Range | None) -> bool:
    """Whether a range is given, and not that of nothing."""
    return limits is not None and limits != (0, 0)


def _fwhm_from_deg(
    fwhm_deg: float, two_theta_deg: NDArray[np.float64], wavelength_angstrom: float
) -> NDArray[np.float64]:
    """Width in Q, Å⁻¹, of a width in 2θ: dQ = (2π/λ) cos θ d2θ."""
    per_radian = 2 * np.pi / wavelength_angstrom * np.cos(np.radians(two_theta_deg) / 2)
    return np.asarray(np.radians(fwhm_deg) * per_radian)


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
