"""Frames: from cross-sections to counted photons."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.integrate import trapezoid

from ...configuration import Config
from ...patterns import Pattern, q_from_two_theta
from ..scattering import LigandShell, Solvent
from ._backgrounds import Background
from ._dots import DotPopulation
from ._instrument import Instrument, cylinder_absorption
from ._mixing import mix_by_weight

__all__ = ["FrameRecipe", "counted_frame", "expected_frame"]


class FrameRecipe(Config):
    """Everything between the cross-sections of dots and solvent and one frame."""

    instrument: Instrument
    """Diffractometer."""
    area_fraction: float | None = Field(default=None, ge=0, le=1)
    """Fraction of the dots, with ligands, in the area of dots and solvent over Q, as the paper mixes."""
    weight_fraction: float | None = Field(default=None, ge=0, le=1)
    """Grams of dots, without ligands, in a gram of dots and solvent: w/w; instead of the area fraction."""
    ligands: LigandShell | None = None
    """Ligands on the dots."""
    backgrounds: tuple[Background, ...] = ()
    """Smooth backgrounds that the sample does not absorb."""
    fluorescence: float = Field(default=0.0, ge=0)
    """Level of the fluorescence, equal at all angles, over the mean of dots and solvent."""
    absorption_mu_r: float = Field(default=0.0, ge=0, le=1)
    """Linear attenuation coefficient of the sample times radius of the capillary."""
    counts_per_point: float = Field(gt=0, lt=1e9)
    """Mean number of photons per point outside the gaps."""

    @model_validator(mode="after")
    def _check_mixture(self) -> "FrameRecipe":
        if (self.area_fraction is None) == (self.weight_fraction is None):
            raise ValueError(
                f"area_fraction is {self.area_fraction} and weight_fraction is {self.weight_fraction}: "
                "give exactly one of them, they are different fractions"
            )
        return self


def expected_frame(
    recipe: FrameRecipe, dots: DotPopulation, solvent: Solvent, two_theta_deg: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the mean number of photons at each angle.

    Parameters
    ----------
    recipe
        Instrument, mixture and counts.
    dots
        Dots.
    solvent
        Solvent; mixing by weight needs its molar mass.
    two_theta_deg
        Apparent scattering angles, degrees, ascending, shape (n,).

    Returns
    -------
    Expected photons, shape (n,), in the gaps too.

    Raises
    ------
    PhysicsError
        The angles leave the range of the solvent's curve, of the form factors or of the geometry, or the
        solvent has no molar mass.
    """
    instrument = recipe.instrument

    def particle(q: NDArray[np.float64], wavelength: float) -> NDArray[np.float64]:
        core = dots.intensity(q, wavelength)
        if recipe.ligands is None:
            return core
        n_ligands = recipe.ligands.per_nm2 * dots.mean_surface_nm2
        return core + n_ligands * recipe.ligands.intensity(q, wavelength)

    q = q_from_two_theta(two_theta_deg, instrument.lines[0].wavelength_angstrom)
    seen = instrument.observed(particle, two_theta_deg)
    around = instrument.observed(solvent.intensity, two_theta_deg)
    if recipe.weight_fraction is not None:
        mixture = mix_by_weight(
            seen, dots.molar_mass_g, around, solvent.known_molar_mass_g, recipe.weight_fraction
        )
    else:
        fraction = np.float64(recipe.area_fraction)
        mixture = fraction * seen / trapezoid(seen, q) + (1 - fraction) * around / trapezoid(around, q)
    sample = mixture / mixture.mean() + recipe.fluorescence
    frame = sample * cylinder_absorption(two_theta_deg, recipe.absorption_mu_r)
    for background in recipe.backgrounds:
        shape = background.shape(q)
        frame = frame + background.level * shape / shape.mean()
    usable = ~_gaps(instrument, two_theta_deg)
    return np.asarray(recipe.counts_per_point * frame / frame[usable].mean())


def counted_frame(
    recipe: FrameRecipe,
    dots: DotPopulation,
    solvent: Solvent,
    two_theta_deg: NDArray[np.float64],
    rng: np.random.Generator,
) -> Pattern:
    """Count photons.

    Parameters
    ----------
    recipe, dots, solvent, two_theta_deg
        As of `expected_frame`.
    rng
        Source of randomness.

    Returns
    -------
    Counts with σ = √max(counts, 1), at Q of the first line, the gaps masked.

    Raises
    ------
    PhysicsError
        As `expected_frame`.
    """
    counts = rng.poisson(expected_frame(recipe, dots, solvent, two_theta_deg)).astype(np.float64)
    q = q_from_two_theta(two_theta_deg, recipe.instrument.lines[0].wavelength_angstrom)
    return Pattern(q, counts, np.sqrt(np.maximum(counts, 1.0)), _gaps(recipe.instrument, two_theta_deg))


def _gaps(instrument: Instrument, two_theta_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
    if instrument.gaps is None:
        return np.zeros(two_theta_deg.shape, bool)
    return instrument.gaps.mask(two_theta_deg)
