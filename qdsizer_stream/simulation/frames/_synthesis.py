"""A synthesis: dots that grow in their solvent."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...configuration import Config
from ...errors import PhysicsError
from ..crystal import Material, MaterialSource, load_material, sphere
from ..scattering import (
    CorrelatedMotion,
    PairTable,
    averaged_sphere_pairs,
    compton_intensity,
    correlated_sums,
    debye_wavenumber,
    form_factors,
    load_solvent,
    pair_table,
    pattern_sums,
    structure_sums,
)
from ._disordered import atoms_per_core
from ._population import lognormal_weights, population_moments

__all__ = ["MEASURED_DOTS", "GrowingDots", "SynthesisRecipe"]

Q_STEP_INV_ANGSTROM = 0.005
"""Grid of the patterns: ten points over the peak of a 10 nm dot, so that strips can be interpolated."""

SUM_TOLERANCE = 1e-4
"""Error of the sums over pairs that move together: far below the noise of a million photons."""

EDGE_INV_ANGSTROM = 0.3
"""Lower end of the solvents' curves."""


MEASURED_DOTS = {"correlated_motion": 0.8, "disordered_nm": 0.25}
"""Settings of a recipe for dots as they are measured, in the middle of what `pbs` is trained for; without
them dots are ideal spheres whose atoms move independently."""


class SynthesisRecipe(Config):
    """A batch synthesis after hot injection."""

    material: MaterialSource = "PbS"
    """Material of the package, or a TOML or CIF file relative to the folder of the recipe."""
    solvent: str = "toluene"
    """Solvent of the package."""
    wavelength_angstrom: float = Field(ge=0.05, le=5)
    """Wavelength, Å."""
    first_size_nm: float = Field(default=2.4, gt=1)
    """Number-weighted mean diameter at nucleation, nm."""
    last_size_nm: float = Field(default=7.0, gt=1)
    """Number-weighted mean diameter that growth tends to, nm."""
    growth_time_s: float = Field(default=600.0, gt=0)
    """Time in which the distance to the last size falls to 1/e, s."""
    dispersion: float = Field(default=0.12, gt=0.01, lt=0.4)
    """Relative standard deviation, constant: neither size focusing nor ripening."""
    first_area_fraction: float = Field(default=0.25, gt=0, le=1)
    """Fraction of the dots in the pattern's area at nucleation."""
    last_area_fraction: float = Field(default=0.6, gt=0, le=1)
    """Fraction of the dots in the pattern's area at the end."""
    correlated_motion: float = Field(default=0.0, ge=0, le=1)
    """Thermal motion that neighbouring atoms share: A over the smallest B of the material; 0 for atoms that
    move independently, 0.6 to 1.1 in measured dots."""
    disordered_nm: float = Field(default=0.0, ge=0, lt=2)
    """Atoms in a disordered part over those in the ordered core, times the diameter of the core, nm; 0.2 to
    0.3 in measured dots."""
    disordered_coherence_nm: float = Field(default=1.4, gt=0.5, lt=5)
    """Coherence length of the disordered part, nm."""
    background: float = Field(default=0.05, ge=0)
    """Constant background (fluorescence, air) over the mean of the solvent."""


class GrowingDots:
    """Expected scattering of a synthesis at any time.

    Parameters
    ----------
    recipe
        The synthesis.
    q_max_inv_angstrom
        Largest Q of later calls, Å⁻¹.

    Raises
    ------
    PhysicsError
        The material or solvent is unknown, or `q_max_inv_angstrom` lies past the solvent's curve.
    """

    def __init__(self, recipe: SynthesisRecipe, q_max_inv_angstrom: float) -> None:
        self.recipe = recipe
        self._q = np.arange(
            EDGE_INV_ANGSTROM, q_max_inv_angstrom + 2 * Q_STEP_INV_ANGSTROM, Q_STEP_INV_ANGSTROM
        )
        material = load_material(recipe.material)
        unit = material.unit_diameter_angstrom
        largest = 10 * max(recipe.first_size_nm, recipe.last_size_nm) * (1 + 5 * recipe.dispersion)
        diameters = np.arange(2.0, largest / unit + 0.5, 0.5) * unit
        self._diameters_nm = diameters / 10
        table = pair_table(material, [sphere(material, float(d)) for d in diameters])
        amplitude = recipe.correlated_motion * min(site.b_angstrom2 for site in material.sites)
        motion = CorrelatedMotion(amplitude, debye_wavenumber(material)) if amplitude else None
        self._dots = self._patterns(material, table, motion)
        self._core_atoms = table.self_terms.sum(axis=0)
        self._disordered = np.zeros(self._q.size)
        """Pattern of the disordered part per atom."""
        if recipe.disordered_nm:
            part = averaged_sphere_pairs(material, np.array([10 * recipe.disordered_coherence_nm]))
            self._disordered = self._patterns(material, part, motion)[:, 0] / part.self_terms.sum()
        solvent = load_solvent(recipe.solvent).intensity(self._q, recipe.wavelength_angstrom)
        self._solvent = solvent / solvent.mean()

    def __call__(self, q_inv_angstrom: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
        """Expected intensity, in units of the mean of the pure solvent.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹, any shape; below 0.3 Å⁻¹, where the beam stop is, nothing arrives.
        elapsed_s
            Time since nucleation, s.

        Returns
        -------
        Intensity in the shape of `q_inv_angstrom`.

        Raises
        ------
        PhysicsError
            A Q lies past the one given to the constructor.
        """
        if q_inv_angstrom.max() > self._q[-1]:
            raise PhysicsError(
                f"Q = {q_inv_angstrom.max():.4g} Å⁻¹ is past the {self._q[-1]:.4g} Å⁻¹ of this synthesis: "
                "give a larger q_max_inv_angstrom"
            )
        weights = self._weights(elapsed_s)
        amount_nm = np.array([self.recipe.disordered_nm])
        disordered = atoms_per_core(amount_nm, self._diameters_nm, self._core_atoms, weights[:, None])
        dots = self._dots @ weights + self._disordered * disordered
        fraction = self._toward(self.recipe.first_area_fraction, self.recipe.last_area_fraction, elapsed_s)
        total = (1 - fraction) * self._solvent + fraction * dots / dots.mean() + self.recipe.background
        return np.asarray(np.interp(q_inv_angstrom, self._q, total, left=0.0))

    def number_mean_nm(self, elapsed_s: float) -> float:
        """Truth: the realised number-weighted mean diameter.

        Parameters
        ----------
        elapsed_s
            Time since nucleation, s.

        Returns
        -------
        Diameter, nm.
        """
        moments = population_moments(self._diameters_nm, self._weights(elapsed_s)[:, None])
        return float(moments.number_mean_nm[0])

    def _patterns(
        self, material: Material, table: PairTable, motion: CorrelatedMotion | None
    ) -> NDArray[np.float64]:
        """Coherent and Compton scattering of each cluster, shape (n_q, n_clusters)."""
        wavelength = self.recipe.wavelength_angstrom
        if motion is None:
            sums = structure_sums(table, self._q)
        else:
            sums = correlated_sums(table, self._q, motion, SUM_TOLERANCE)
        factors = form_factors(material, self._q, wavelength)
        coherent = pattern_sums(material, table, sums, self._q, factors)
        return np.asarray(coherent + compton_intensity(material, self._q, wavelength, list(table.self_terms)))

    def _weights(self, elapsed_s: float) -> NDArray[np.float64]:
        mean = self._toward(self.recipe.first_size_nm, self.recipe.last_size_nm, elapsed_s)
        return lognormal_weights(self._diameters_nm, np.array([mean]), np.array([self.recipe.dispersion]))[
            :, 0
        ]

    def _toward(self, first: float, last: float, elapsed_s: float) -> float:
        return last + (first - last) * float(np.exp(-max(elapsed_s, 0.0) / self.recipe.growth_time_s))
