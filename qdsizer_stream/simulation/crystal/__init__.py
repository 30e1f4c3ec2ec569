"""Crystals: materials from tables or CIF files, shapes, and nanocrystals cut from them."""

from ._cif import crystal_from_cif, material_from_cif
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
    material_from_crystal,
    unit_vector,
)
from ._neighbours import Neighbours, neighbours
from ._shapes import Ellipsoid, Platelet, Polyhedron, Rod, Shape, Sphere
from ._sources import MaterialSource, load_material, material_names, material_sha256, read_crystal
from ._twins import twin_layers, twinned_sphere

__all__ = [
    "OVERLAP_ANGSTROM",
    "Cluster",
    "Crystal",
    "CrystalSite",
    "Ellipsoid",
    "FusedSpheres",
    "Material",
    "MaterialSource",
    "Neighbours",
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
    "crystal_from_cif",
    "load_material",
    "material_from_cif",
    "material_from_crystal",
    "material_names",
    "material_sha256",
    "nanocrystal",
    "neighbours",
    "read_crystal",
    "sphere",
    "twin_layers",
    "twinned_sphere",
    "unit_vector",
]
