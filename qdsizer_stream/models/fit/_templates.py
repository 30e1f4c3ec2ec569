"""Templates of a fit: scattering of spheres of many diameters, whose weighted sum is any population."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curves", "Damping", "FitTemplates", "Population", "Sums", "lognormal_population"]

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

ABSENT = 1e-12
"""Fraction of the cells of the most frequent diameter below which a diameter is left out: the peaks of a cell
differ by a factor of 100 between small and large clusters, and single precision holds seven digits."""


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
    logarithms = np.log(diameters_nm)
    return _population(logarithms, np.gradient(logarithms), cells, mean_nm, dispersion)


def _population(
    logarithms: NDArray[np.float64],
    steps: NDArray[np.float64],
    cells: NDArray[np.float64],
    mean_nm: float,
    dispersion: float,
) -> Population:
    """Log-normal distribution over clusters of these logarithms of the diameter, and distances of these."""
    variance = np.log1p(dispersion**2)
    sd = np.sqrt(variance)
    away = (logarithms - np.log(mean_nm) + variance / 2) / sd
    weight = np.exp(-0.5 * away**2) * steps
    # μ = ln mean - s²/2, and ds/d ln r = r²/((1 + r²) s)
    by_centre = weight * away / sd
    sd_by_log = dispersion**2 / ((1 + dispersion**2) * sd)
    by_log_dispersion = (weight * away**2 / sd - sd * by_centre) * sd_by_log
    total = weight @ cells

    def per_cell(derivative: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(derivative / total - weight * (derivative @ cells) / total**2)

    return Population(weight / total, per_cell(by_centre), per_cell(by_log_dispersion))


class Sums(NamedTuple):
    """Sums over the pairs of one population or of a derivative of it, without thermal motion."""

    far: NDArray[np.float32]
    """Far pairs, shape (n_groups, n_nodes, n_q)."""
    near: NDArray[np.float64]
    """Near pairs, shape (n_groups, n_near)."""


@dataclass(frozen=True, eq=False)
class Damping:
    """Form factors, thermal motion and strain at one point of a fit, which all populations share."""

    u: NDArray[np.float64]
    """(Q/4π)², Å⁻², shape (n_q,)."""
    damped: NDArray[np.float64]
    """Form factors of the pairs with the damping of independent atoms, shape (n_groups, n_q)."""
    far_gain: NDArray[np.float64]
    """Gain of far pairs by correlated motion, shape (n_groups, n_nodes, n_q)."""
    far_correlation: NDArray[np.float64]
    """Correlation of each node, shape (n_groups, n_nodes)."""
    near_gain: NDArray[np.float64]
    """Curves of near pairs with their gain, shape (n_groups, n_near, n_q)."""
    near_correlation: NDArray[np.float64]
    """Correlation of each near pair, shape (n_groups, n_near)."""
    b_counts: NDArray[np.float64]
    """Atoms of each element in a pair of each group, shape (n_groups, n_b)."""
    self_terms: NDArray[np.float64]
    """Self terms per cell, shape (n_q,)."""

    def totals(self, sums: Sums) -> NDArray[np.float64]:
        """Sums over all pairs of each group with correlated motion, shape (n_groups, n_q)."""
        total = np.empty_like(self.damped)
        for group, gain in enumerate(self.far_gain):
            total[group] = np.einsum("kq,kq->q", gain, sums.far[group])
            total[group] += sums.near[group] @ self.near_gain[group]
        return total

    def damp(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scattering of totals of all groups, shape (n_q,)."""
        return np.asarray(np.einsum("gq,gq->q", self.damped, totals))

    def by_correlated(self, sums: Sums) -> NDArray[np.float64]:
        """Derivative by the amplitude of the correlated motion, shape (n_q,)."""
        by_amplitude = np.empty_like(self.damped)
        for group, gain in enumerate(self.far_gain):
            by_amplitude[group] = self.far_correlation[group] @ (gain * sums.far[group])
            by_amplitude[group] += (sums.near[group] * self.near_correlation[group]) @ self.near_gain[group]
        return 2 * self.u * self.damp(by_amplitude)

    def by_b(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives by the displacement parameters, shape (n_b, n_q)."""
        return np.asarray(-self.u * (self.b_counts.T @ (self.damped * totals)))


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
    def _logarithms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logarithms of the diameters, and their distances."""
        logarithms = np.log(self.diameters_nm)
        return logarithms, np.gradient(logarithms)

    @cached_property
    def _u(self) -> NDArray[np.float64]:
        """(Q/4π)² without strain, Å⁻², shape (n_q,)."""
        return np.asarray((self.q_inv_angstrom / (4 * np.pi)) ** 2)

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
        damping = self.damping(b_angstrom2, correlated_angstrom2, strain)
        found = []
        for population in populations:
            clusters, by_mean, by_dispersion = self.sums(np.array(population))
            totals = damping.totals(clusters)
            found.append(
                Curves(
                    damping.self_terms + damping.damp(totals),
                    damping.damp(damping.totals(by_mean)),
                    damping.damp(damping.totals(by_dispersion)),
                    damping.by_correlated(clusters),
                    damping.by_b(totals),
                )
            )
        return found

    def population(self, mean_nm: float, dispersion: float) -> Population:
        """Log-normal population of the clusters of the templates, as `lognormal_population`.

        Parameters
        ----------
        mean_nm
            Number-weighted mean, nm.
        dispersion
            Standard deviation over the mean.

        Returns
        -------
        Clusters per unit cell, with derivatives.
        """
        return _population(*self._logarithms, self.cells, mean_nm, dispersion)

    def sums(self, amounts: NDArray[np.float64]) -> list[Sums]:
        """Sum the pairs of all clusters.

        Parameters
        ----------
        amounts
            Clusters of each diameter, or derivatives of them, shape (n, n_clusters).

        Returns
        -------
        Sums of each of the n.
        """
        shape = self.far.shape[1:]
        # Most clusters are far from the mean of the population, and not there at all.
        cells = np.abs(amounts) * self.cells
        present = np.flatnonzero((cells > ABSENT * cells.max(axis=1, keepdims=True)).any(axis=0))
        some = slice(present[0], present[-1] + 1) if present.size else slice(None)
        far = amounts[:, some].astype(STRUCTURE_TYPE) @ self._flat[some]
        near = amounts @ self.near_counts.reshape(self.cells.size, -1)
        return [
            Sums(one.reshape(shape), few.reshape(shape[0], -1)) for one, few in zip(far, near, strict=True)
        ]

    def damping(
        self, b_angstrom2: NDArray[np.float64], correlated_angstrom2: float, strain: float
    ) -> Damping:
        """Form factors, thermal motion and strain at one point of a fit.

        Parameters
        ----------
        b_angstrom2, correlated_angstrom2, strain
            As in `curves`.

        Returns
        -------
        What all populations share.
        """
        u = self._u / (1 + strain) ** 2
        slopes, self_slope = self._slopes
        growth = 2 * correlated_angstrom2 * u
        return Damping(
            u=u,
            damped=self.factor * np.exp(-strain * slopes - np.outer(self.b_counts @ b_angstrom2, u)),
            far_gain=np.exp(self.far_correlation[:, :, None] * growth),
            far_correlation=self.far_correlation,
            near_gain=np.exp(self.near_correlation[:, :, None] * growth) * self.near_curves,
            near_correlation=self.near_correlation,
            b_counts=self.b_counts,
            self_terms=self.self_terms - strain * self_slope,
        )

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
