"""Templates of a fit: scattering of spheres of many diameters, whose weighted sum is any population."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curves", "FitTemplates", "Population", "lognormal_population"]

SCALARS = (
    "q_first_inv_angstrom",
    "q_step_inv_angstrom",
    "lattice_parameter_angstrom",
    "wavelength_angstrom",
)
TEXTS = ("b_names", "solvent_names")
"""Fields that a file holds as arrays of one number, or of text."""

STRUCTURE_TYPE = np.float32
"""Precision of the stored sums: rounding is 1e-7 of a peak, and a fit reads all of them at every step."""


class Population(NamedTuple):
    """Clusters per unit cell of material, and their derivatives; each of shape (n_clusters,)."""

    clusters: NDArray[np.float64]
    """Number of clusters of each diameter per unit cell of all clusters."""
    by_log_mean: NDArray[np.float64]
    """Derivative by ln of the number-weighted mean."""
    by_log_dispersion: NDArray[np.float64]
    """Derivative by ln of the dispersion."""


class Curves(NamedTuple):
    """Pattern of a population on the Q of the templates, and its derivatives; each of shape (n_q,)."""

    intensity: NDArray[np.float64]
    """Intensity per unit cell, electron units."""
    by_log_mean: NDArray[np.float64]
    """Derivative by ln of the number-weighted mean."""
    by_log_dispersion: NDArray[np.float64]
    """Derivative by ln of the dispersion."""
    by_correlated: NDArray[np.float64]
    """Derivative by the amplitude of the correlated motion, Å⁻²."""
    by_b: NDArray[np.float64]
    """Derivatives by the displacement parameters, shape (n_b, n_q), Å⁻²."""


def lognormal_population(
    diameters_nm: NDArray[np.float64], cells: NDArray[np.float64], mean_nm: float, dispersion: float
) -> Population:
    """Log-normal number distribution over clusters of given diameters.

    A cluster stands for the diameters nearest to it on a logarithmic scale. Points of a normal density that
    are evenly spaced there integrate it to rounding where their distance is below its standard deviation.

    Parameters
    ----------
    diameters_nm
        Diameters, nm, shape (n_clusters,).
    cells
        Unit cells of each, shape (n_clusters,).
    mean_nm
        Number-weighted mean, nm.
    dispersion
        Standard deviation over the mean.

    Returns
    -------
    Clusters per unit cell, with derivatives.
    """
    variance = np.log1p(dispersion**2)
    sd = np.sqrt(variance)
    away = (np.log(diameters_nm) - np.log(mean_nm) + variance / 2) / sd
    weight = np.exp(-0.5 * away**2) * np.gradient(np.log(diameters_nm))
    # μ = ln mean - s²/2, and ds/d ln r = r²/((1 + r²) s)
    by_centre = weight * away / sd
    sd_by_log = dispersion**2 / ((1 + dispersion**2) * sd)
    by_log_dispersion = (weight * away**2 / sd - sd * by_centre) * sd_by_log
    total = weight @ cells

    def per_cell(derivative: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(derivative / total - weight * (derivative @ cells) / total**2)

    return Population(weight / total, per_cell(by_centre), per_cell(by_log_dispersion))


@dataclass(frozen=True, eq=False)
class FitTemplates:
    """Structure sums of spheres averaged over their centre, for one material and wavelength.

    Pairs are grouped by elements. The damping of a pair at distance r is exp(-Σ n B u + 2 A c(r) u), where
    u = (Q/4π)² and n counts the two atoms' elements; sums over all but the nearest pairs are stored for a few
    values of c, between which the exponential is interpolated.
    """

    q_first_inv_angstrom: float
    """First momentum transfer, Å⁻¹."""
    q_step_inv_angstrom: float
    """Step of the momentum transfers, Å⁻¹."""
    diameters_nm: NDArray[np.float64]
    """Diameters, ascending, nm, shape (n_clusters,)."""
    cells: NDArray[np.float64]
    """Primitive cells in each sphere, shape (n_clusters,)."""
    far: NDArray[np.float32]
    """Sums over far pairs, without form factors, shape (n_clusters, n_groups, n_nodes, n_q)."""
    far_correlation: NDArray[np.float64]
    """c of each node, shape (n_groups, n_nodes)."""
    near_counts: NDArray[np.float64]
    """Near pairs of each cluster, shape (n_clusters, n_groups, n_near)."""
    near_curves: NDArray[np.float32]
    """sin(Qd)/(Qd) of these, shape (n_groups, n_near, n_q)."""
    near_correlation: NDArray[np.float64]
    """Their c, shape (n_groups, n_near)."""
    factor: NDArray[np.float64]
    """Product of form factors of each group, electron units, shape (n_groups, n_q)."""
    self_terms: NDArray[np.float64]
    """Self terms per cell, electron units, shape (n_q,); Compton scattering is part of the background."""
    b_counts: NDArray[np.float64]
    """Atoms of each element in a pair of each group, shape (n_groups, n_b)."""
    b_names: tuple[str, ...]
    """Elements, in the order of their displacement parameters."""
    b_angstrom2: NDArray[np.float64]
    """Displacement parameters of the material, Å², shape (n_b,)."""
    lattice_parameter_angstrom: float
    """Lattice parameter without strain, Å."""
    wavelength_angstrom: float
    """Wavelength of the dispersion corrections and of the Compton recoil, Å."""
    solvent_names: tuple[str, ...]
    """Solvents."""
    solvents: NDArray[np.float64]
    """Curves of solvents, mean 1, shape (n_solvents, n_q)."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take templates from the arrays of a file.

        Parameters
        ----------
        arrays
            Arrays by name, as `to_arrays` gives them.

        Returns
        -------
        The templates.

        Raises
        ------
        KeyError, TypeError, ValueError
            An array is missing, superfluous or of the wrong kind.
        """
        values: dict[str, Any] = dict(arrays)
        for name in SCALARS:
            values[name] = float(values[name])
        for name in TEXTS:
            values[name] = tuple(str(text) for text in values[name])
        return cls(**values)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the templates as arrays of a file.

        Returns
        -------
        Arrays by name.
        """
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @cached_property
    def q_inv_angstrom(self) -> NDArray[np.float64]:
        """Momentum transfers, Å⁻¹, shape (n_q,)."""
        n_q = self.self_terms.size
        return self.q_first_inv_angstrom + self.q_step_inv_angstrom * np.arange(n_q, dtype=np.float64)

    @property
    def size_range_nm(self) -> tuple[float, float]:
        """Smallest and largest diameter, nm."""
        return float(self.diameters_nm[0]), float(self.diameters_nm[-1])

    @cached_property
    def _flat(self) -> NDArray[np.float32]:
        return self.far.reshape(self.diameters_nm.size, -1)

    @cached_property
    def _slopes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """D ln/d ln Q of the form factors of pairs, shape (n_groups, n_q), and dQ d/dQ of the self terms."""
        q = self.q_inv_angstrom
        by_q = np.gradient(self.factor, self.q_step_inv_angstrom, axis=1)
        return q * by_q / self.factor, q * np.gradient(self.self_terms, self.q_step_inv_angstrom)

    def curves(
        self,
        population: Population,
        b_angstrom2: NDArray[np.float64],
        correlated_angstrom2: float,
        strain: float,
    ) -> Curves:
        """Pattern of a population, with derivatives.

        The structure sums depend on Q(1 + strain) alone, on which the result is given; form factors and
        damping, which depend on Q, are corrected for it.

        Parameters
        ----------
        population
            Clusters.
        b_angstrom2
            Displacement parameters, Å², shape (n_b,).
        correlated_angstrom2
            Amplitude of the correlated motion, Å².
        strain
            Isotropic strain.

        Returns
        -------
        Curves at the Q(1 + strain) of the templates.
        """
        return self.curves_of((population,), b_angstrom2, correlated_angstrom2, strain)[0]

    def curves_of(
        self,
        populations: Sequence[Population],
        b_angstrom2: NDArray[np.float64],
        correlated_angstrom2: float,
        strain: float,
    ) -> list[Curves]:
        """Patterns of several populations with the same thermal motion and strain.

        Parameters
        ----------
        populations
            Clusters of each.
        b_angstrom2, correlated_angstrom2, strain
            As in `curves`.

        Returns
        -------
        Curves of each.
        """
        n_groups, n_nodes, n_q = self.far.shape[1:]
        amounts = np.concatenate([np.array(population) for population in populations])
        n = len(amounts)
        far = (amounts.astype(STRUCTURE_TYPE) @ self._flat).reshape(n, n_groups, n_nodes, n_q)
        near = np.einsum("pk,kgn->pgn", amounts, self.near_counts)
        u = (self.q_inv_angstrom / ((1 + strain) * 4 * np.pi)) ** 2
        slopes, self_slope = self._slopes
        damped = self.factor * np.exp(-strain * slopes - np.outer(self.b_counts @ b_angstrom2, u))
        total = np.zeros((n, n_groups, n_q))
        by_correlated = np.zeros((len(populations), n_groups, n_q))
        growth = 2 * correlated_angstrom2 * u
        for group in range(n_groups):
            for node, c in enumerate(self.far_correlation[group]):
                part = np.exp(growth * c) * far[:, group, node]
                total[:, group] += part
                by_correlated[:, group] += c * part[::3]
            gain = np.exp(np.outer(self.near_correlation[group], growth)) * self.near_curves[group]
            total[:, group] += near[:, group] @ gain
            by_correlated[:, group] += (near[::3, group] * self.near_correlation[group]) @ gain
        summed = np.einsum("gq,pgq->pq", damped, total)
        unstrained = self.self_terms - strain * self_slope
        return [
            Curves(
                unstrained + summed[3 * k],
                summed[3 * k + 1],
                summed[3 * k + 2],
                2 * u * np.einsum("gq,gq->q", damped, by_correlated[k]),
                -u * np.einsum("gb,gq->bq", self.b_counts, damped * total[3 * k]),
            )
            for k in range(len(populations))
        ]

    def collapsed(self) -> Self:
        """Sum the groups with the material's displacement parameters, which can then change only together.

        Returns
        -------
        Templates with one group, averaged over bins of three steps. Their displacement parameter is the
        smallest B of the material.
        """
        u = (self.q_inv_angstrom / (4 * np.pi)) ** 2
        smallest = float(self.b_angstrom2.min())
        damped = self.factor * np.exp(-np.outer(self.b_counts @ self.b_angstrom2 - 2 * smallest, u))

        def averaged(curves: NDArray[np.floating]) -> NDArray[np.floating]:
            """Mean over a bin by Simpson's 3/8 rule, which damps a sine as the mean does within x⁴/2000."""
            inner = curves[..., 1:-2] + curves[..., 2:-1]
            return np.asarray((curves[..., :-3] + 3 * inner + curves[..., 3:]) / 8)

        far = np.einsum("gq,kgnq->knq", damped.astype(STRUCTURE_TYPE), self.far)
        near = damped[:, None] * self.near_curves
        one = self.near_counts.shape[0], 1, -1
        return replace(
            self,
            q_first_inv_angstrom=self.q_first_inv_angstrom + 1.5 * self.q_step_inv_angstrom,
            far=averaged(far)[:, None].astype(STRUCTURE_TYPE),
            far_correlation=self.far_correlation[:1],
            near_counts=self.near_counts.reshape(one),
            near_curves=averaged(near).reshape(1, -1, averaged(u).size).astype(STRUCTURE_TYPE),
            near_correlation=self.near_correlation.reshape(1, -1),
            factor=np.ones((1, averaged(u).size)),
            self_terms=averaged(self.self_terms).astype(np.float64),
            b_counts=np.array([[2.0]]),
            b_names=("smallest",),
            b_angstrom2=np.array([smallest]),
            solvents=averaged(self.solvents).astype(np.float64),
        )
