"""The paper's 41 344 patterns, split so that no parent stands on both sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config
from ..simulation import Library, fast_poisson, load_solvent, mix_by_area
from ._degrade import Degradation

__all__ = ["PaperAugmentation", "PaperSet", "Split", "augment", "split_by_parent"]


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
    fresh_photons: bool | None = None
    """Whether the training counts the photons of a pattern anew each time it is seen; once and for all where
    left out, as in the paper."""


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
    expected: NDArray[np.float32]
    """Noise-free patterns with mean 1, shape (n_solvents, n_area_fractions, n_parents, n_points)."""
    counts_per_point: NDArray[np.float64]
    """Mean photons a point of each version of these."""

    def recounted(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """Patterns with other photons.

        Parameters
        ----------
        rows
            Which, shape (n,).
        rng
            Source of randomness.

        Returns
        -------
        Noisy patterns with mean 1, shape (n, n_points).
        """
        # Rows run over parents, then counts, then area fractions, then solvents.
        n_parents, n_points = self.expected.shape[2:]
        mixture, rate = np.divmod(rows // n_parents, self.counts_per_point.size)
        expected = self.expected.reshape(-1, n_parents, n_points)[mixture, rows % n_parents]
        noisy = fast_poisson(rng, expected * self.counts_per_point[rate, None].astype(np.float32))
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
    expected = np.empty(
        (len(augmentation.solvents), len(augmentation.area_fractions), n_parents, n_points), np.float32
    )
    row = 0
    for s, name in enumerate(augmentation.solvents):
        solvent = load_solvent(name).intensity(library.q_inv_angstrom, library.recipe.wavelength_angstrom)
        for x, fraction in enumerate(augmentation.area_fractions):
            mixed = mix_by_area(dots, solvent, fraction)
            expected[s, x] = mixed
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
        expected=expected,
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
