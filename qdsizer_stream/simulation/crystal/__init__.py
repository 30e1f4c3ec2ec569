"""Crystals: materials from tables or CIF files, shapes, and nanocrystals cut from them."""

from ._cif import material_from_cif
from ._cluster import Cluster, SphereCut, Surface, nanocrystal, sphere
from ._coordination import coordinated
from ._crystal import Crystal, CrystalSite
from ._fused import FusedSpheres
from ._material import (
    OVERLAP_ANGSTROM,
    Material,
    Site,
    Vector,
    axial_strain,
    load_material,
    material_from_crystal,
    material_names,
    read_crystal,
    unit_vector,
)
from ._shapes import Ellipsoid, Platelet, Polyhedron, Rod, Shape, Sphere
from ._twins import twin_layers, twinned_sphere

__all__ = [
    "OVERLAP_ANGSTROM",
    "Cluster",
    "Crystal",
    "CrystalSite",
    "Ellipsoid",
    "FusedSpheres",
    "Material",
    "Platelet",
    "Polyhedron",
    "Rod",
    "Shape",
    "Site",
    "Sphere",
    "SphereCut",
    "Surface",
    "Vector",
    "axial_strain",
    "coordinated",
    "load_material",
    "material_from_cif",
    "material_from_crystal",
    "material_names",
    "nanocrystal",
    "read_crystal",
    "sphere",
    "twin_layers",
    "twinned_sphere",
    "unit_vector",
]
