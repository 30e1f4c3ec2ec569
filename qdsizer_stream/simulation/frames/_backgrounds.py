"""Smooth backgrounds."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...configuration import Config

__all__ = ["Background", "FallingBackground", "HumpBackground"]


class FallingBackground(Config):
    """Background that falls with Q: air, the edge of the beam stop, small-angle scattering."""

    kind: Literal["falling"] = "falling"
    """Name in recipes."""
    level: float = Field(ge=0)
    """Mean of the background over that of dots and solvent."""
    decay_inv_angstrom: float = Field(gt=0.05, lt=50)
    """Distance over which it falls to 1/e, Å⁻¹."""

    def shape(self, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape of the background, shape (n_q,), of any scale."""
        return np.asarray(np.exp(-(q_inv_angstrom - q_inv_angstrom.min()) / self.decay_inv_angstrom))


class HumpBackground(Config):
    """Background with one broad hump: glass, Kapton."""

    kind: Literal["hump"] = "hump"
    """Name in recipes."""
    level: float = Field(ge=0)
    """Mean of the background over that of dots and solvent."""
    centre_inv_angstrom: float = Field(default=1.6, gt=0, lt=30)
    """Centre, Å⁻¹; 1.6 for glass."""
    width_inv_angstrom: float = Field(default=0.5, gt=0.05, lt=30)
    """Standard deviation, Å⁻¹."""

    def shape(self, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape of the background, shape (n_q,), of any scale."""
        return np.asarray(
            np.exp(-0.5 * ((q_inv_angstrom - self.centre_inv_angstrom) / self.width_inv_angstrom) ** 2)
        )


Background = Annotated[FallingBackground | HumpBackground, Field(discriminator="kind")]
