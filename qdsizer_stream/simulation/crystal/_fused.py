"""Fused dots: spheres that have grown together in a row, with one crystal throughout."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...configuration import Config
from ._material import Vector, unit_vector

__all__ = ["FusedSpheres", "SizedFusedSpheres"]


class FusedSpheres(Config):
    """Two or three equal spheres in a row that overlap, as after oriented attachment."""

    kind: Literal["fused-spheres"] = "fused-spheres"
    """Name in recipes."""
    n_spheres: Literal[2, 3] = 2
    """Number of spheres."""
    axis: Vector = (1.0, 0.0, 0.0)
    """Direction of the row in the Cartesian axes of the crystal; PbS attaches along <100>."""
    overlap: float = Field(default=0.1, ge=0, le=0.45)
    """Depth by which neighbours overlap over their diameter: 0 for spheres that touch."""

    @model_validator(mode="after")
    def _check_axis(self) -> "FusedSpheres":
        unit_vector(self.axis)
        return self

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centres of the spheres in units of their radius, shape (n_spheres, 3)."""
        steps = np.arange(self.n_spheres) - (self.n_spheres - 1) / 2
        return np.outer(2 * (1 - self.overlap) * steps, unit_vector(self.axis))

    @property
    def equal_volume_radius(self) -> float:
        """Radius of the sphere of equal volume, in units of the radius of the spheres.

        Two unit spheres at distance s share π(4 + s)(2 - s)²/12; spheres that are not neighbours share
        nothing.
        """
        distance = 2 * (1 - self.overlap)
        shared = math.pi * (4 + distance) * (2 - distance) ** 2 / 12
        volume = self.n_spheres * 4 / 3 * math.pi - (self.n_spheres - 1) * shared
        return math.cbrt(volume / (4 / 3 * math.pi))

    @property
    def reach(self) -> float:
        """Farthest point of the body from its centre, over the radius of the sphere of equal volume."""
        return float(1 + np.linalg.norm(self.centres, axis=1).max()) / self.equal_volume_radius

    def sized(self, radius_angstrom: float) -> "SizedFusedSpheres":
        """Give the body a size.

        Parameters
        ----------
        radius_angstrom
            Radius of the sphere of equal volume, Å.

        Returns
        -------
        The body of that size. A gauge that is free of size exists for bodies without necks only.
        """
        return SizedFusedSpheres(self, radius_angstrom)


class SizedFusedSpheres:
    """Fused spheres of one size.

    Parameters
    ----------
    shape
        The shape.
    radius_angstrom
        Radius of the sphere of equal volume, Å.
    """

    def __init__(self, shape: FusedSpheres, radius_angstrom: float) -> None:
        self._scale = shape.equal_volume_radius
        self._centres = shape.centres * radius_angstrom / self._scale

    def gauge(self, points: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Distance from the nearest centre, scaled to the radius of equal volume at the surface, Å."""
        nearest = np.array(np.inf)
        for centre in self._centres:
            squared = sum((component - c) ** 2 for component, c in zip(points, centre, strict=True))
            nearest = np.minimum(nearest, squared)
        return np.asarray(np.sqrt(nearest) * self._scale)
