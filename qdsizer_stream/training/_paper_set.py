"""The 41 344 augmented patterns of the paper, split by parent pattern."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..configuration import Config
from ..simulation import (
    Library,
    PositiveRange,
    fast_poisson,
    load_solvent,
    log_uniform,
    mix_by_area,
    random_solvents,
)
from ._degrade import Degradation

__all__ = ["PaperAugmentation", "PaperSet", "Split", "augment", "split_by_parent"]

N_RANDOM_SOLVENTS = 1024
"""Number of random solvents of a training: as many as patterns in four batches, 40 MB."""


class PaperAugmentation(Config):
    """Solvents, dilutions and counts that are combined with every parent pattern."""

    solvents: tuple[str, ...] = Field(min_length=1)
    """Names of solvents of the package."""
    area_fractions: tuple[float, ...] = Field(min_length=1)
    """Fractions of the pattern's area due to dots; 1, 0.65, 0.37, 0.15 are the paper's 100, 44, 20, 7 %."""
    counts_per_point: tuple[float, ...] = Field(min_length=1)
    """Mean photons per grid point."""
    degradation: Degradation | None = None
    """Random degradation during training; None for none, as in the paper."""
    fresh_area_fraction: PositiveRange | None = None
    """Range of the area fraction of the dots, drawn log-uniformly with new photon noise each time a
    pattern is
    used in training; None reuses the same noisy patterns, as in the paper."""
    random_liquid_share: float | None = Field(default=None, gt=0, le=1)
    """Fraction of the redrawn patterns whose solvent is a random one; None for none."""

    @model_validator(mode="after")
    def _check_random_solvents(self) -> Self:
        if self.random_liquid_share is not None and self.fresh_area_fraction is None:
            raise ValueError(
                f"random_liquid_share = {self.random_liquid_share:g} applies to redrawn patterns: also give "
                "fresh_area_fraction, the range of their area fractions"
            )
        return self


@dataclass(frozen=True, eq=False)
class PaperSet:
    """Augmented patterns and the parts from which they can be redrawn."""

    q_inv_angstrom: NDArray[np.float64]
    """Grid of the patterns, Å⁻¹, shape (n_points,)."""
    vectors: NDArray[np.float32]
    """Noisy patterns with mean 1, shape (n, n_points)."""
    class_index: NDArray[np.int64]
    """Index of the nominal mean diameter, shape (n,)."""
    parent: NDArray[np.int64]
    """Row of the parent pattern in the library, shape (n,)."""
    classes_nm: NDArray[np.float64]
    """Nominal mean diameters, nm, shape (n_classes,)."""
    dots: NDArray[np.float32]
    """Patterns of the dots without solvent, shape (n_parents, n_points)."""
    solvents: NDArray[np.float64]
    """Patterns of the solvents, shape (n_solvents, n_points)."""
    random_solvents: NDArray[np.float64]
    """Patterns of random solvents, shape (n_random_solvents, n_points)."""
    counts_per_point: NDArray[np.float64]
    """Mean photons per point of each version, shape (n_counts,)."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of solvents, area fractions, counts and parents; along the rows, the parent varies first."""
        n_solvents, n_counts, n_parents = len(self.solvents), self.counts_per_point.size, len(self.dots)
        return n_solvents, len(self.vectors) // (n_solvents * n_counts * n_parents), n_counts, n_parents

    def redraw(
        self,
        rows: NDArray[np.int64],
        area_fraction: tuple[float, float],
        rng: np.random.Generator,
        random_solvent_fraction: float = 0.0,
    ) -> NDArray[np.float32]:
        """Draw new area fractions and photon noise for the dots and solvents of some patterns.

        Parameters
        ----------
        rows
            Rows of the patterns, shape (n,).
        area_fraction
            Range of the area fractions, drawn log-uniformly.
        rng
            Random generator.
        random_solvent_fraction
            Fraction of the patterns whose solvent is one of `random_solvents`.

        Returns
        -------
        Noisy patterns with mean 1, shape (n, n_points).
        """
        solvent, _, rate, parent = np.unravel_index(rows, self.shape)
        fractions = log_uniform(rng, area_fraction, rows.size)
        solvents = self.solvents[solvent]
        if random_solvent_fraction:
            replaced = np.flatnonzero(rng.random(rows.size) < random_solvent_fraction)
            n_random = len(self.random_solvents)
            solvents[replaced] = self.random_solvents[rng.integers(n_random, size=replaced.size)]
        expected = mix_by_area(self.dots[parent].astype(np.float64), solvents, fractions)
        expected *= self.counts_per_point[rate, None]
        noisy = fast_poisson(rng, expected.astype(np.float32))
        return np.asarray(noisy / noisy.mean(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test rows of a set; each parent is in only one of them."""

    train: NDArray[np.int64]
    """Rows to train on."""
    validation: NDArray[np.int64]
    """Rows that decide when training stops."""
    test: NDArray[np.int64]
    """Rows on which the accuracy is reported."""


def augment(library: Library, augmentation: PaperAugmentation, seed: int) -> PaperSet:
    """Combine every parent pattern with every solvent, area fraction and number of counts.

    Parameters
    ----------
    library
        Parent patterns.
    augmentation
        Solvents, area fractions and counts.
    seed
        Seed of the photon noise.

    Returns
    -------
    The augmented set; 32 patterns per parent in the paper.
    """
    rng = np.random.default_rng(seed)
    dots = library.intensity.astype(np.float64)
    n_versions = (
        len(augmentation.solvents) * len(augmentation.area_fractions) * len(augmentation.counts_per_point)
    )
    n_parents, n_points = dots.shape
    vectors = np.empty((n_versions, n_parents, n_points), np.float32)
    solvents = np.array(
        [
            load_solvent(name).intensity(library.q_inv_angstrom, library.recipe.wavelength_angstrom)
            for name in augmentation.solvents
        ]
    )
    made_up = np.empty((0, n_points))
    if augmentation.random_liquid_share is not None:
        wavelength = library.recipe.wavelength_angstrom
        made_up = random_solvents(
            np.random.default_rng((seed, 1)), N_RANDOM_SOLVENTS, library.q_inv_angstrom, wavelength
        )
    row = 0
    for solvent in solvents:
        for fraction in augmentation.area_fractions:
            mixed = mix_by_area(dots, solvent, fraction)
            for counts in augmentation.counts_per_point:
                noisy = rng.poisson(mixed * counts).astype(np.float32)
                vectors[row] = noisy / noisy.mean(axis=1, keepdims=True)
                row += 1
    classes, class_index = np.unique(library.nominal_mean_nm, return_inverse=True)
    return PaperSet(
        q_inv_angstrom=library.q_inv_angstrom,
        vectors=vectors.reshape(-1, n_points),
        class_index=np.tile(class_index, n_versions),
        parent=np.tile(np.arange(n_parents), n_versions),
        classes_nm=classes,
        dots=library.intensity,
        solvents=solvents,
        random_solvents=made_up,
        counts_per_point=np.array(augmentation.counts_per_point),
    )


def split_by_parent(parent: NDArray[np.int64], fold: int, n_folds: int, seed: int) -> Split:
    """Split rows by parent: one fold for testing, a tenth of the rest for validation.

    Parameters
    ----------
    parent
        Parent of each row, shape (n,).
    fold
        Index of the fold to test on.
    n_folds
        Number of folds.
    seed
        Seed of the shuffle; the folds of one seed are disjoint.

    Returns
    -------
    The split.
    """
    parents = np.random.default_rng(seed).permutation(np.unique(parent))
    test = parents[fold::n_folds]
    rest = np.setdiff1d(parents, test, assume_unique=True)
    rest = np.random.default_rng((seed, fold)).permutation(rest)
    validation, train = np.split(rest, [len(rest) // 10])
    return Split(*(np.flatnonzero(np.isin(parent, group)) for group in (train, validation, test)))
