"""Rows of the paper's table: a condition of the benchmark with a predictor and the information limit."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...simulation import Progress
from .._paper_fit import TOLERANCE_NM
from .._paper_set import split_by_parent
from .._recipe import PaperRecipe
from ._benchmark import Benchmark, Condition, patterns_of, within_class
from ._information_limit import most_probable_class_nm
from ._report import Cell
from ._variants import Predictor

__all__ = ["COLUMNS", "PaperRows", "SizedPatterns"]

COLUMNS = (
    "test",
    "published %",
    "this model %",
    "limit %",
    "within 0.25 nm %",
    "mean error (nm)",
    "covered %",
    "half-width (nm)",
    "patterns",
)

SEED = 1
"""Seed of the samples, which differs from those of all trainings."""


@dataclass(frozen=True, eq=False)
class SizedPatterns:
    """Patterns and their predicted sizes."""

    class_nm: NDArray[np.float64]
    """True class, nm, shape (n,)."""
    size_nm: NDArray[np.float64]
    """Predicted size, nm, shape (n,)."""
    error_nm: NDArray[np.float64]
    """Absolute error of the size, nm, shape (n,)."""
    area_fraction: NDArray[np.float64]
    """Fraction of the pattern's area due to dots, shape (n,)."""


@dataclass(eq=False)
class PaperRows:
    """Computes rows of the paper's table.

    Parameters
    ----------
    benchmark
        Benchmark from which patterns are drawn.
    recipe
        Recipe of the model, for its folds; None if the model was not trained on the library.
    realised
        Whether the true size is the realised number mean of a pattern instead of its nominal class.
    n_patterns
        Minimum number of patterns per row.
    n_rows
        Approximate number of rows, for the progress.
    progress
        Called for each row.
    """

    benchmark: Benchmark
    recipe: PaperRecipe | None
    realised: bool
    n_patterns: int
    n_rows: int
    progress: Progress
    done: int = field(default=0, init=False)
    sized: list[SizedPatterns] = field(default_factory=list, init=False)
    """Patterns of the rows that were computed with `keep`."""

    def row(
        self,
        name: str,
        published: str | None,
        condition: Condition,
        predictor: Predictor | None,
        fold: int = 0,
        keep: bool = False,
    ) -> tuple[Cell, ...]:
        """Compute one row.

        Parameters
        ----------
        name
            Name of the test.
        published
            Published value, %.
        condition
            Modification of the patterns.
        predictor
            Predictor of the sizes; None leaves all values of the row empty except the limit.
        fold
            Index of the fold whose parents the predictor was not trained on.
        keep
            Whether to append the patterns to `sized`.

        Returns
        -------
        The row, in the order of `COLUMNS`.
        """
        self.done += 1
        self.progress(name, self.done, self.n_rows)
        sample = self.benchmark.sample(condition, self._parents(fold), self.n_patterns, SEED)
        limit = float(np.mean(most_probable_class_nm(self.benchmark, condition, sample) == sample.class_nm))
        if predictor is None:
            return name, published, None, limit, None, None, None, None, None
        size, low, high = predictor(patterns_of(sample)).T
        truth = sample.number_mean_nm if self.realised else sample.class_nm
        error = np.abs(size - truth)
        if keep:
            self.sized.append(SizedPatterns(sample.class_nm, size, error, sample.area_fraction))
        correct = within_class(size, sample.class_nm, self.benchmark.classes_nm)
        has_interval = bool(np.isfinite(low).any())
        return (
            name,
            published,
            float(correct.mean()),
            limit,
            float(np.mean(error <= TOLERANCE_NM)),
            float(error.mean()),
            float(np.mean((low <= truth) & (truth <= high))) if has_interval else None,
            float(np.median((high - low) / 2)) if has_interval else None,
            size.size,
        )

    def _parents(self, fold: int) -> NDArray[np.int64]:
        """Held-out parents of a fold; all parents if the model was not trained on the library."""
        parents = np.arange(self.benchmark.parent_class_nm.size)
        if self.recipe is None:
            return parents
        return parents[split_by_parent(parents, fold, self.recipe.n_folds, self.recipe.seed).test]
