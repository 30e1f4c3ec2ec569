"""The paper's benchmark: fresh photon counts of library patterns that a network has not seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...patterns import Pattern
from ...simulation import Library, load_solvent, mix_by_area
from .._degrade import Padding
from .._paper_set import PaperAugmentation

__all__ = ["Benchmark", "Condition", "Sample", "patterns_of", "within_class"]


@dataclass(frozen=True)
class Condition:
    """What is done to the benchmark in one row of a table."""

    q_low_inv_angstrom: float = 0.0
    """First Q left, Å⁻¹."""
    q_high_inv_angstrom: float = np.inf
    """Last Q left, Å⁻¹."""
    every: int = 1
    """Every n-th point is left."""
    padding: Padding = "mean"
    """What stands beyond the ends."""
    area_fractions: tuple[float, ...] | None = None
    """Dilutions; those of the training where left out."""
    solvents: tuple[str, ...] | None = None
    """Solvents; those of the training where left out."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Counted patterns with their truth."""

    q_inv_angstrom: NDArray[np.float64]
    """Grid, Å⁻¹, shape (n_points,)."""
    counts: NDArray[np.float32]
    """Photons per point, shape (n, n_points)."""
    class_nm: NDArray[np.float64]
    """Nominal mean diameter, nm, shape (n,)."""
    number_mean_nm: NDArray[np.float64]
    """Realised number-weighted mean diameter, nm, shape (n,): up to 7 % from the class at 2 nm."""
    area_fraction: NDArray[np.float64]
    """Share of the dots in the area, shape (n,)."""
    kept: NDArray[np.int64]
    """Points that are left, shape (n_kept,)."""
    padding: Padding
    """What stands beyond the ends."""


class Benchmark:
    """Draws samples of the benchmark.

    Parameters
    ----------
    library
        Noise-free patterns.
    augmentation
        Solvents, dilutions and count rates.
    """

    def __init__(self, library: Library, augmentation: PaperAugmentation) -> None:
        self.augmentation = augmentation
        self.classes_nm = np.unique(library.nominal_mean_nm)
        """Size classes, nm, shape (n_classes,)."""
        self.parent_class_nm = library.nominal_mean_nm
        """Class of each library pattern, nm, shape (n_parents,)."""
        self.q_inv_angstrom = library.q_inv_angstrom
        """Grid, Å⁻¹, shape (n_points,)."""
        self._dots = library.intensity
        self._number_mean_nm = library.number_mean_nm
        self._wavelength_angstrom = library.recipe.wavelength_angstrom

    def expected(self, parents: NDArray[np.int64], solvent: str, area_fraction: float) -> NDArray[np.float64]:
        """Noise-free mixtures.

        Parameters
        ----------
        parents
            Rows of the library, shape (n,).
        solvent
            Solvent of the package.
        area_fraction
            Share of the dots.

        Returns
        -------
        Patterns with mean 1, shape (n, n_points).
        """
        liquid = load_solvent(solvent).intensity(self.q_inv_angstrom, self._wavelength_angstrom)
        return mix_by_area(self._dots[parents].astype(np.float64), liquid, area_fraction)

    def kept(self, condition: Condition) -> NDArray[np.int64]:
        """Points of the grid that a condition leaves, shape (n_kept,)."""
        q = self.q_inv_angstrom
        inside = np.flatnonzero((q >= condition.q_low_inv_angstrom) & (q <= condition.q_high_inv_angstrom))
        return inside[:: condition.every]

    def sample(self, condition: Condition, parents: NDArray[np.int64], n: int, seed: int) -> Sample:
        """Draw patterns, equally many of every solvent, dilution and count rate.

        Parameters
        ----------
        condition
            What is done to them.
        parents
            Rows of the library to draw from, shape (n_parents,).
        n
            Patterns, at least; rounded up to equal shares.
        seed
            Seed of the draw.

        Returns
        -------
        The sample.
        """
        rng = np.random.default_rng(seed)
        solvents = condition.solvents or self.augmentation.solvents
        fractions = condition.area_fractions or self.augmentation.area_fractions
        rates = self.augmentation.counts_per_point
        share = -(-n // (len(solvents) * len(fractions) * len(rates)))
        counts, drawn, shares = [], [], []
        for solvent in solvents:
            for fraction in fractions:
                for rate in rates:
                    # Every parent once before any comes twice.
                    rounds = -(-share // parents.size)
                    rows = np.concatenate([rng.permutation(parents) for _ in range(rounds)])[:share]
                    counts.append(rng.poisson(self.expected(rows, solvent, fraction) * rate))
                    drawn.append(rows)
                    shares.append(np.full(share, fraction))
        rows = np.concatenate(drawn)
        return Sample(
            self.q_inv_angstrom,
            np.concatenate(counts).astype(np.float32),
            self.parent_class_nm[rows],
            self._number_mean_nm[rows],
            np.concatenate(shares),
            self.kept(condition),
            condition.padding,
        )


def patterns_of(sample: Sample) -> list[Pattern]:
    """Patterns as a program that reads files would see them.

    Parameters
    ----------
    sample
        Counted patterns.

    Returns
    -------
    The points that are left; under zero padding all points, with zero intensity where none were left.
    """
    kept, q = sample.kept, sample.q_inv_angstrom
    if sample.padding == "mean":
        return [Pattern.from_arrays(q[kept], row[kept]) for row in sample.counts]
    outside = (np.arange(q.size) < kept[0]) | (np.arange(q.size) > kept[-1])
    outside[kept] = True
    padded = np.zeros_like(sample.counts)
    padded[:, kept] = sample.counts[:, kept]
    return [Pattern.from_arrays(q[outside], row[outside]) for row in padded]


def within_class(
    sizes_nm: NDArray[np.float64], truth_nm: NDArray[np.float64], classes_nm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the class nearest to a size is the true one.

    Parameters
    ----------
    sizes_nm
        Sizes, nm, shape (n,); NaN is never right.
    truth_nm
        True classes, nm, shape (n,).
    classes_nm
        All classes, nm, shape (n_classes,).

    Returns
    -------
    Right or wrong, shape (n,).
    """
    nearest = classes_nm[np.argmin(np.abs(sizes_nm[:, None] - classes_nm), axis=1)]
    return np.asarray((nearest == truth_nm) & np.isfinite(sizes_nm))
