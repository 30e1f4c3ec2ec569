"""The information limit: what the best of all classifiers could know from the counted photons."""

import numpy as np
from numpy.typing import NDArray

from ._benchmark import Benchmark, Condition, Sample

__all__ = ["best_class_nm"]


def best_class_nm(benchmark: Benchmark, condition: Condition, sample: Sample) -> NDArray[np.float64]:
    """Most probable class of counted patterns under the posterior over all noise-free templates.

    Photons of known total fall into the points as a multinomial, so that a template p (sum 1 over the
    points left) has the log-likelihood Σ n ln p. Templates are every library pattern in every solvent at
    every dilution, those of the condition among them, all equally likely; probabilities of one class add up.
    No classifier that sees the same photons is right more often.

    Parameters
    ----------
    benchmark
        Where the templates come from.
    condition
        What was done to the patterns.
    sample
        Counted patterns.

    Returns
    -------
    Classes, nm, shape (n,).
    """
    augmentation = benchmark.augmentation
    solvents = dict.fromkeys([*augmentation.solvents, *(condition.solvents or ())])
    fractions = dict.fromkeys([*augmentation.area_fractions, *(condition.area_fractions or ())])
    counts = sample.counts[:, sample.kept].astype(np.float64)
    parents = np.arange(benchmark.parent_class_nm.size)
    members = [np.flatnonzero(benchmark.parent_class_nm == nm) for nm in benchmark.classes_nm]
    evidence = np.full((len(counts), len(members)), -np.inf)
    for solvent in solvents:
        for fraction in fractions:
            # Photons of 10⁷ a pattern: the sums need double precision.
            template = benchmark.expected(parents, solvent, fraction)[:, sample.kept]
            template /= template.sum(axis=1, keepdims=True)
            likelihood = counts @ np.log(template).T
            for column, rows in enumerate(members):
                of_class = np.logaddexp.reduce(likelihood[:, rows], axis=1)
                evidence[:, column] = np.logaddexp(evidence[:, column], of_class)
    return np.asarray(benchmark.classes_nm[np.argmax(evidence, axis=1)])
