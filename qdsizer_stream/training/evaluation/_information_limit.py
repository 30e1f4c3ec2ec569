"""The information limit: accuracy of the optimal classifier given the counted photons."""

import numpy as np
from numpy.typing import NDArray

from ._benchmark import Benchmark, Condition, Sample

__all__ = ["most_probable_class_nm"]


def most_probable_class_nm(benchmark: Benchmark, condition: Condition, sample: Sample) -> NDArray[np.float64]:
    """Most probable class of counted patterns, from the posterior over all noise-free templates.

    The photon counts at the points follow a multinomial distribution, so a template p (sum 1 over the kept
    points) has the log-likelihood Σ n ln p. Templates are all library patterns in all solvents and area
    fractions, including those of the condition, with equal prior probability; the probabilities of one class
    are summed. No classifier can be more accurate on the same photons.

    Parameters
    ----------
    benchmark
        Benchmark from which the templates are computed.
    condition
        Modification of the patterns.
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
    rows_of_class = [np.flatnonzero(benchmark.parent_class_nm == nm) for nm in benchmark.classes_nm]
    posterior = np.full((len(counts), len(rows_of_class)), -np.inf)
    for solvent in solvents:
        for fraction in fractions:
            # With 10⁷ photons per pattern, the sums need double precision.
            template = benchmark.expected(parents, solvent, fraction)[:, sample.kept]
            template /= template.sum(axis=1, keepdims=True)
            likelihood = counts @ np.log(template).T
            for column, rows in enumerate(rows_of_class):
                class_likelihood = np.logaddexp.reduce(likelihood[:, rows], axis=1)
                posterior[:, column] = np.logaddexp(posterior[:, column], class_likelihood)
    return np.asarray(benchmark.classes_nm[np.argmax(posterior, axis=1)])
