"""Rows of the paper's table: one condition of the benchmark, a predictor and the information limit."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .._paper_fit import WITHIN_NM
from .._paper_set import split_by_parent
from .._progress import Progress
from .._recipe import PaperRecipe
from ._benchmark import Benchmark, Condition, patterns_of, within_class
from ._limit import best_class_nm
from ._report import Cell
from ._variants import Predictor

__all__ = ["COLUMNS", "PaperRows", "Seen"]

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
"""Of the samples: not that of any training."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Patterns and what a model made of them."""

    class_nm: NDArray[np.float64]
    """True class, nm, shape (n,)."""
    size_nm: NDArray[np.float64]
    """Size given, nm, shape (n,)."""
    error_nm: NDArray[np.float64]
    """Size less truth, without sign, nm, shape (n,)."""
    area_fraction: NDArray[np.float64]
    """Share of the dots in the area, shape (n,)."""


@dataclass(eq=False)
class PaperRows:
    """Makes rows.

    Parameters
    ----------
    benchmark
        Where patterns come from.
    recipe
        Recipe of the model, for its folds; None where the model has seen none of the parents.
    realised
        Whether the truth is the realised number mean of a pattern instead of its class.
    n_patterns
        Patterns a row, at least.
    n_rows
        Rows that there will be, about.
    progress
        Told of each.
    """

    benchmark: Benchmark
    recipe: PaperRecipe | None
    realised: bool
    n_patterns: int
    n_rows: int
    progress: Progress
    done: int = field(default=0, init=False)
    seen: list[Seen] = field(default_factory=list, init=False)
    """What was kept."""

    def row(
        self,
        name: str,
        published: str | None,
        condition: Condition,
        predictor: Predictor | None,
        fold: int = 0,
        keep: bool = False,
    ) -> tuple[Cell, ...]:
        """Make one row.

        Parameters
        ----------
        name
            What is tested.
        published
            The paper's figure, %.
        condition
            What is done to the patterns.
        predictor
            Who sizes them; None leaves the row without figures but the limit.
        fold
            Fold whose parents the predictor has not seen.
        keep
            Whether what is found goes into `seen`.

        Returns
        -------
        The row, as `COLUMNS` say.
        """
        self.done += 1
        self.progress(name, self.done, self.n_rows)
        sample = self.benchmark.sample(condition, self._parents(fold), self.n_patterns, SEED)
        limit = float(np.mean(best_class_nm(self.benchmark, condition, sample) == sample.class_nm))
        if predictor is None:
            return name, published, None, limit, None, None, None, None, None
        size, low, high = predictor(patterns_of(sample)).T
        truth = sample.number_mean_nm if self.realised else sample.class_nm
        error = np.abs(size - truth)
        if keep:
            self.seen.append(Seen(sample.class_nm, size, error, sample.area_fraction))
        right = within_class(size, sample.class_nm, self.benchmark.classes_nm)
        has_interval = bool(np.isfinite(low).any())
        return (
            name,
            published,
            float(right.mean()),
            limit,
            float(np.mean(error <= WITHIN_NM)),
            float(error.mean()),
            float(np.mean((low <= truth) & (truth <= high))) if has_interval else None,
            float(np.median((high - low) / 2)) if has_interval else None,
            size.size,
        )

    def _parents(self, fold: int) -> NDArray[np.int64]:
        """Parents that a fold has not seen; all of them where the model has seen none."""
        every = np.arange(self.benchmark.parent_class_nm.size)
        if self.recipe is None:
            return every
        return every[split_by_parent(every, fold, self.recipe.n_folds, self.recipe.seed).test]
