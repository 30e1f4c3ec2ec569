"""The benchmark of the paper: new photon counts of library patterns held out from training."""

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
    """Modification of the benchmark patterns in one row of a table."""

    q_low_inv_angstrom: float = 0.0
    """Minimum Q kept, Å⁻¹."""
    q_high_inv_angstrom: float = np.inf
    """Maximum Q kept, Å⁻¹."""
    every: int = 1
    """Every n-th point is kept."""
    padding: Padding = "mean"
    """Values beyond the ends of the kept range."""
    area_fractions: tuple[float, ...] | None = None
    """Area fractions of the dots; None for those of the training."""
    solvents: tuple[str, ...] | None = None
    """Names of the solvents; None for those of the training."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Counted patterns with their true sizes."""

    q_inv_angstrom: NDArray[np.float64]
    """Grid, Å⁻¹, shape (n_points,)."""
    counts: NDArray[np.float32]
    """Photons per point, shape (n, n_points)."""
    class_nm: NDArray[np.float64]
    """Nominal mean diameter, nm, shape (n,)."""
    number_mean_nm: NDArray[np.float64]
    """Realised number-weighted mean diameter, nm, shape (n,): up to 7 % from the class at 2 nm."""
    area_fraction: NDArray[np.float64]
    """Fraction of the pattern's area due to dots, shape (n,)."""
    kept: NDArray[np.int64]
    """Indices of the kept points, shape (n_kept,)."""
    padding: Padding
    """Values beyond the ends of the kept range."""


class Benchmark:
    """Draws samples of benchmark patterns.

    Parameters
    ----------
    library
        Noise-free patterns.
    augmentation
        Solvents, area fractions and counts of the training.
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
            Fraction of the pattern's area due to dots.

        Returns
        -------
        Patterns with mean 1, shape (n, n_points).
        """
        intensity = load_solvent(solvent).intensity(self.q_inv_angstrom, self._wavelength_angstrom)
        return mix_by_area(self._dots[parents].astype(np.float64), intensity, area_fraction)

    def kept(self, condition: Condition) -> NDArray[np.int64]:
        """Indices of the grid points that a condition keeps, shape (n_kept,)."""
        q = self.q_inv_angstrom
        inside = np.flatnonzero((q >= condition.q_low_inv_angstrom) & (q <= condition.q_high_inv_angstrom))
        return inside[:: condition.every]

    def sample(self, condition: Condition, parents: NDArray[np.int64], n: int, seed: int) -> Sample:
        """Draw patterns, the same number for every solvent, area fraction and number of counts.

        Parameters
        ----------
        condition
            Modification of the patterns.
        parents
            Rows of the library to draw from, shape (n_parents,).
        n
            Minimum number of patterns, rounded up to the same number for every combination.
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
        n_each = -(-n // (len(solvents) * len(fractions) * len(rates)))
        counts, parent_rows, fraction_of_rows = [], [], []
        for solvent in solvents:
            for fraction in fractions:
                for rate in rates:
                    # Use every parent once before using any of them again.
                    n_rounds = -(-n_each // parents.size)
                    rows = np.concatenate([rng.permutation(parents) for _ in range(n_rounds)])[:n_each]
                    counts.append(rng.poisson(self.expected(rows, solvent, fraction) * rate))
                    parent_rows.append(rows)
                    fraction_of_rows.append(np.full(n_each, fraction))
        rows = np.concatenate(parent_rows)
        return Sample(
            self.q_inv_angstrom,
            np.concatenate(counts).astype(np.float32),
            self.parent_class_nm[rows],
            self._number_mean_nm[rows],
            np.concatenate(fraction_of_rows),
            self.kept(condition),
            condition.padding,
        )


def patterns_of(sample: Sample) -> list[Pattern]:
    """Patterns of a sample as if they had been read from files.

    Parameters
    ----------
    sample
        Counted patterns.

    Returns
    -------
    One pattern per row with the kept points; with zero padding, all points beyond the kept range with zero
    intensity.
    """
    kept, q = sample.kept, sample.q_inv_angstrom
    if sample.padding == "mean":
        return [Pattern.from_arrays(q[kept], row[kept]) for row in sample.counts]
    included = (np.arange(q.size) < kept[0]) | (np.arange(q.size) > kept[-1])
    included[kept] = True
    padded = np.zeros_like(sample.counts)
    padded[:, kept] = sample.counts[:, kept]
    return [Pattern.from_arrays(q[included], row[included]) for row in padded]


def within_class(
    sizes_nm: NDArray[np.float64], truth_nm: NDArray[np.float64], classes_nm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the class nearest to a size is the true class.

    Parameters
    ----------
    sizes_nm
        Sizes, nm, shape (n,); NaN is never correct.
    truth_nm
        True classes, nm, shape (n,).
    classes_nm
        All classes, nm, shape (n_classes,).

    Returns
    -------
    True where the class is correct, shape (n,).
    """
    nearest = classes_nm[np.argmin(np.abs(sizes_nm[:, None] - classes_nm), axis=1)]
    return np.asarray((nearest == truth_nm) & np.isfinite(sizes_nm))
