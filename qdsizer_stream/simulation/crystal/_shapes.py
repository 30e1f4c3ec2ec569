"""Shapes of nanocrystals: convex bodies defined by their gauge function, independent of size.

Scale the body until the point lies on its surface: the gauge of the point is the radius of the sphere
of the same volume. A point is inside a body of equivalent diameter D if its gauge is at most D/2, so the
size of every shape is one number. The gauge of a sphere is the distance from its centre.
"""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...configuration import Config
from ._fused import FusedSpheres
from ._material import Vector, unit_vector

__all__ = ["Ellipsoid", "Platelet", "Polyhedron", "Rod", "Shape", "Sphere"]

Points = list[NDArray[np.float64]]
"""x, y and z of points relative to the centre, Å: three arrays that broadcast against each other."""


def _equal_volume(volume: float) -> float:
    """Factor on a gauge whose unit body has this volume, which makes it the volume of the unit sphere."""
    return math.cbrt(volume / (4 / 3 * math.pi))


class Sphere(Config):
    """A sphere."""

    kind: Literal["sphere"] = "sphere"
    """Name of the shape in recipes."""

    @property
    def reach(self) -> float:
        """Largest distance from the centre to the surface of the body of gauge 1."""
        return 1.0

    def gauge(self, points: Points) -> NDArray[np.float64]:
        """Radius of the equal-volume sphere of the body whose surface contains the point, Å."""
        x, y, z = points
        return np.asarray(np.sqrt(x**2 + y**2 + z**2))


class Polyhedron(Config):
    """A regular polyhedron with the facets of a cubic crystal."""

    kind: Literal["cube", "octahedron", "truncated-octahedron", "cuboctahedron", "rhombic-dodecahedron"]
    """Facets, in this order: {100}; {111}; {111} and {100} with equal edges; {111} and {100} truncated to
    the middle of the edges; {110}."""

    @property
    def _unit(self) -> tuple[float, float]:
        """Volume and circumradius of the body of raw gauge 1."""
        return {
            "cube": (8.0, math.sqrt(3)),
            "octahedron": (4 / 3, 1.0),
            "truncated-octahedron": (4.0, math.sqrt(5 / 4)),
            "cuboctahedron": (20 / 3, math.sqrt(2)),
            "rhombic-dodecahedron": (2.0, 1.0),
        }[self.kind]

    @property
    def reach(self) -> float:
        """Largest distance from the centre to the surface of the body of gauge 1."""
        volume, circumradius = self._unit
        return circumradius / _equal_volume(volume)

    def gauge(self, points: Points) -> NDArray[np.float64]:
        """Radius of the equal-volume sphere of the body whose surface contains the point, Å."""
        x, y, z = (np.abs(component) for component in points)
        if self.kind == "cube":
            raw = np.maximum(np.maximum(x, y), z)
        elif self.kind == "octahedron":
            raw = x + y + z
        elif self.kind == "truncated-octahedron":
            raw = np.maximum(np.maximum(np.maximum(x, y), z), (x + y + z) / 1.5)
        elif self.kind == "cuboctahedron":
            raw = np.maximum(np.maximum(np.maximum(x, y), z), (x + y + z) / 2)
        else:
            raw = np.maximum(np.maximum(x + y, y + z), z + x)
        return np.asarray(raw * _equal_volume(self._unit[0]))


class _Uniaxial(Config):
    """A body with one distinct axis."""

    axis: Vector = (0.0, 0.0, 1.0)
    """Direction of the axis in the Cartesian axes of the crystal; z is the c axis of a hexagonal crystal."""
    aspect: float = Field(gt=0.02, lt=50)
    """Extent along the axis divided by the extent across it."""

    @model_validator(mode="after")
    def _check_axis(self) -> "_Uniaxial":
        unit_vector(self.axis)
        return self

    def _along_and_across(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distance from the mid-plane divided by the aspect, and distance from the axis."""
        x, y, z = points
        unit = unit_vector(self.axis)
        along = unit[0] * x + unit[1] * y + unit[2] * z
        # Rounding can give a point on the axis a squared distance of -1e-16.
        across = np.sqrt(np.maximum(x**2 + y**2 + z**2 - along**2, 0.0))
        return np.abs(along) / self.aspect, across


class Ellipsoid(_Uniaxial):
    """An ellipsoid of revolution."""

    kind: Literal["ellipsoid"] = "ellipsoid"
    """Name of the shape in recipes."""

    @property
    def reach(self) -> float:
        """Largest distance from the centre to the surface of the body of gauge 1."""
        return max(1.0, self.aspect) / _equal_volume(4 / 3 * math.pi * self.aspect)

    def gauge(self, points: Points) -> NDArray[np.float64]:
        """Radius of the equal-volume sphere of the body whose surface contains the point, Å."""
        along, across = self._along_and_across(points)
        return np.asarray(np.hypot(along, across) * _equal_volume(4 / 3 * math.pi * self.aspect))


class Rod(_Uniaxial):
    """A circular cylinder with flat ends."""

    kind: Literal["rod"] = "rod"
    """Name of the shape in recipes."""

    @property
    def reach(self) -> float:
        """Largest distance from the centre to the surface of the body of gauge 1."""
        return math.hypot(1.0, self.aspect) / _equal_volume(2 * math.pi * self.aspect)

    def gauge(self, points: Points) -> NDArray[np.float64]:
        """Radius of the equal-volume sphere of the body whose surface contains the point, Å."""
        along, across = self._along_and_across(points)
        return np.asarray(np.maximum(along, across) * _equal_volume(2 * math.pi * self.aspect))


class Platelet(_Uniaxial):
    """A square prism."""

    kind: Literal["platelet"] = "platelet"
    """Name of the shape in recipes."""
    edge: Vector = (1.0, 0.0, 0.0)
    """Direction of one edge of the square; must be normal to the axis."""

    @model_validator(mode="after")
    def _check_edge(self) -> "Platelet":
        cosine = float(unit_vector(self.axis) @ unit_vector(self.edge))
        if abs(cosine) > 1e-6:
            raise ValueError(f"edge {self.edge} is not normal to axis {self.axis} (cosine {cosine:.3g})")
        return self

    @property
    def reach(self) -> float:
        """Largest distance from the centre to the surface of the body of gauge 1."""
        return math.sqrt(2 + self.aspect**2) / _equal_volume(8 * self.aspect)

    def gauge(self, points: Points) -> NDArray[np.float64]:
        """Radius of the equal-volume sphere of the body whose surface contains the point, Å."""
        x, y, z = points
        axis, edge = unit_vector(self.axis), unit_vector(self.edge)
        u, v, w = (
            np.abs(n[0] * x + n[1] * y + n[2] * z) for n in (edge, np.cross(axis, edge), axis / self.aspect)
        )
        return np.asarray(np.maximum(np.maximum(u, v), w) * _equal_volume(8 * self.aspect))


Shape = Annotated[
    Sphere | Polyhedron | Ellipsoid | Rod | Platelet | FusedSpheres, Field(discriminator="kind")
]
"""Any of the shapes; recipes select one by its `kind`."""
