"""The paper's 41 344 patterns, split so that no parent stands on both sides."""

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

N_LIQUIDS = 1024
"""Random liquids of a training: as many as the patterns of four batches, and 40 MB."""


class PaperAugmentation(Config):
    """Solvents, dilutions and count rates that every parent pattern is seen at."""

    solvents: tuple[str, ...] = Field(min_length=1)
    """Solvents of the package."""
    area_fractions: tuple[float, ...] = Field(min_length=1)
    """Shares of the dots in the area of the pattern; 1, 0.65, 0.37, 0.15 are the paper's 100, 44, 20, 7 %."""
    counts_per_point: tuple[float, ...] = Field(min_length=1)
    """Mean photons per grid point."""
    degradation: Degradation | None = None
    """What the training takes away from them; nothing where left out, as in the paper."""
    fresh_area_fraction: PositiveRange | None = None
    """Range that the training draws the share of the dots from, log-uniform, each time it sees a pattern, and
    counts its photons anew; where left out it sees the same patterns over and over, as in the paper."""
    random_liquid_share: float | None = Field(default=None, gt=0, le=1)
    """Share of the patterns drawn anew whose solvent is a random liquid; none where left out."""

    @model_validator(mode="after")
    def _liquids_are_drawn_anew(self) -> Self:
        if self.random_liquid_share is not None and self.fresh_area_fraction is None:
            raise ValueError(
                f"random_liquid_share = {self.random_liquid_share:g} is of patterns drawn anew: give "
                "fresh_area_fraction, the range of their dilutions, too"
            )
        return self


@dataclass(frozen=True, eq=False)
class PaperSet:
    """Augmented patterns."""

    q_inv_angstrom: NDArray[np.float64]
    """Grid of the patterns, Å⁻¹, shape (n_points,)."""
    vectors: NDArray[np.float32]
    """Noisy patterns with mean 1, shape (n, n_points)."""
    class_index: NDArray[np.int64]
    """Index of the nominal mean diameter, shape (n,)."""
    parent: NDArray[np.int64]
    """Row of the library that the pattern comes from, shape (n,)."""
    classes_nm: NDArray[np.float64]
    """Nominal mean diameters, nm, shape (n_classes,)."""
    dots: NDArray[np.float32]
    """Patterns of the dots alone, shape (n_parents, n_points)."""
    solvents: NDArray[np.float64]
    """Patterns of the solvents, shape (n_solvents, n_points)."""
    liquids: NDArray[np.float64]
    """Patterns of random liquids, shape (n_liquids, n_points)."""
    counts_per_point: NDArray[np.float64]
    """Mean photons a point of each version, shape (n_counts,)."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Numbers of solvents, area fractions, count rates and parents; rows run over parents first."""
        n_solvents, n_counts, n_parents = len(self.solvents), self.counts_per_point.size, len(self.dots)
        return n_solvents, len(self.vectors) // (n_solvents * n_counts * n_parents), n_counts, n_parents

    def drawn_anew(
        self,
        rows: NDArray[np.int64],
        area_fraction: tuple[float, float],
        rng: np.random.Generator,
        random_liquid_share: float = 0.0,
    ) -> NDArray[np.float32]:
        """Patterns with other shares of the same dots and solvents, and other photons.

        Parameters
        ----------
        rows
            Which, shape (n,).
        area_fraction
            Range of the shares, log-uniform.
        rng
            Source of randomness.
        random_liquid_share
            Share of the patterns whose solvent is one of `liquids`.

        Returns
        -------
        Noisy patterns with mean 1, shape (n, n_points).
        """
        solvent, _, rate, parent = np.unravel_index(rows, self.shape)
        shares = log_uniform(rng, area_fraction, rows.size)
        poured = self.solvents[solvent]
        if random_liquid_share:
            other = np.flatnonzero(rng.random(rows.size) < random_liquid_share)
            poured[other] = self.liquids[rng.integers(len(self.liquids), size=other.size)]
        expected = mix_by_area(self.dots[parent].astype(np.float64), poured, shares)
        expected *= self.counts_per_point[rate, None]
        noisy = fast_poisson(rng, expected.astype(np.float32))
        return np.asarray(noisy / noisy.mean(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a set for fitting, for stopping and for reporting; no parent in two of them."""

    train: NDArray[np.int64]
    """Rows to fit."""
    validation: NDArray[np.int64]
    """Rows that decide when to stop."""
    test: NDArray[np.int64]
    """Rows to report."""


def augment(library: Library, augmentation: PaperAugmentation, seed: int) -> PaperSet:
    """Mix every pattern with every solvent at every dilution, and count it at every rate.

    Parameters
    ----------
    library
        Parent patterns.
    augmentation
        What to make of each.
    seed
        Seed of the photon noise.

    Returns
    -------
    The set, 32 patterns a parent in the paper.
    """
    rng = np.random.default_rng(seed)
    dots = library.intensity.astype(np.float64)
    versions = (
        len(augmentation.solvents) * len(augmentation.area_fractions) * len(augmentation.counts_per_point)
    )
    n_parents, n_points = dots.shape
    vectors = np.empty((versions, n_parents, n_points), np.float32)
    solvents = np.array(
        [
            load_solvent(name).intensity(library.q_inv_angstrom, library.recipe.wavelength_angstrom)
            for name in augmentation.solvents
        ]
    )
    liquids = np.empty((0, n_points))
    if augmentation.random_liquid_share is not None:
        wavelength = library.recipe.wavelength_angstrom
        liquids = random_solvents(
            np.random.default_rng((seed, 1)), N_LIQUIDS, library.q_inv_angstrom, wavelength
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
        class_index=np.tile(class_index, versions),
        parent=np.tile(np.arange(n_parents), versions),
        classes_nm=classes,
        dots=library.intensity,
        solvents=solvents,
        liquids=liquids,
        counts_per_point=np.array(augmentation.counts_per_point),
    )


def split_by_parent(parent: NDArray[np.int64], fold: int, n_folds: int, seed: int) -> Split:
    """Split rows by their parent: one fold to test, a tenth of the rest to validate.

    Parameters
    ----------
    parent
        Parent of each row, shape (n,).
    fold
        Which of the folds to test on.
    n_folds
        Number of folds.
    seed
        Seed of the shuffle; one seed gives disjoint folds.

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
