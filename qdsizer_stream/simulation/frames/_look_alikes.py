"""Crystals that are not the material of a model, from published cells."""

from ..crystal import Crystal, CrystalSite

__all__ = ["INDISTINGUISHABLE", "LOOK_ALIKES", "PACKAGE_LOOK_ALIKES", "compound"]

B_ANGSTROM2 = 0.8
"""Displacement parameter of all sites, Å²: about that of inorganic crystals at room temperature."""

PACKAGE_LOOK_ALIKES = (
    "PbS",
    "PbSe",
    "PbTe",
    "CdS-zincblende",
    "CdS-wurtzite",
    "CdSe-zincblende",
    "CdSe-wurtzite",
    "CdTe",
    "ZnS-zincblende",
    "ZnS-wurtzite",
    "ZnSe",
    "InP",
    "InAs",
    "CsPbBr3-cubic",
    "CsPbBr3-orthorhombic",
)
"""Quantum dots of the package, each a look-alike of the others."""

INDISTINGUISHABLE: dict[str, tuple[str, ...]] = {
    "PbS": ("EuS",),
    "CdSe-zincblende": ("InAs", "ZnTe", "GaSb", "HgSe", "CuI"),
}
"""Crystals whose lattice and heights of the peaks are those of a material, within the limits for that
material: no pattern of dots distinguishes them."""

Atoms = tuple[tuple[float, float, float], ...]

ORIGIN: Atoms = ((0.0, 0.0, 0.0),)
HALF: Atoms = ((0.5, 0.5, 0.5),)
QUARTER: Atoms = ((0.25, 0.25, 0.25),)

ROCK_SALT = ("F m -3 m", (ORIGIN, HALF))
ZINC_BLENDE = ("F -4 3 m", (ORIGIN, QUARTER))
FLUORITE = ("F m -3 m", (ORIGIN, QUARTER))
CAESIUM_CHLORIDE = ("P m -3 m", (ORIGIN, HALF))
PEROVSKITE = ("P m -3 m", (ORIGIN, HALF, ((0.5, 0.5, 0.0),)))
FACE_CENTRED = ("F m -3 m", (ORIGIN,))
BODY_CENTRED = ("I m -3 m", (ORIGIN,))
DIAMOND = ("F d -3 m:1", (ORIGIN,))
CUPRITE = ("P n -3 m:1", (ORIGIN, QUARTER))

CELLS = "Wyckoff, Crystal Structures, 2nd edition (1963), volume 1"
"""Source of the cubic cells, rounded to 0.001 Å: negative controls need no more."""

Prototype = tuple[str, tuple[Atoms, ...]]


def _crystal(
    name: str,
    prototype: Prototype,
    elements: str,
    lengths: tuple[float, float, float],
    source: str = CELLS,
    angles: tuple[float, float, float] = (90.0, 90.0, 90.0),
) -> Crystal:
    group, orbits = prototype
    return Crystal(
        name=name,
        space_group=group,
        lengths_angstrom=lengths,
        angles_deg=angles,
        lattice_source=source,
        b_source="about that of the bulk at room temperature",
        sites=tuple(
            CrystalSite(element=element, position=position, b_angstrom2=B_ANGSTROM2)
            for element, orbit in zip(elements.split(), orbits, strict=True)
            for position in orbit
        ),
    )


def _cubic(prototype: Prototype, cells: dict[str, tuple[str, float]]) -> tuple[Crystal, ...]:
    return tuple(_crystal(name, prototype, elements, (a, a, a)) for name, (elements, a) in cells.items())


LOOK_ALIKES: tuple[Crystal, ...] = (
    *_cubic(
        ROCK_SALT,
        {
            "NaCl": ("Na Cl", 5.640),
            "KCl": ("K Cl", 6.293),
            "KBr": ("K Br", 6.600),
            "NaF": ("Na F", 4.620),
            "AgCl": ("Ag Cl", 5.549),
            "AgBr": ("Ag Br", 5.775),
            "MgO": ("Mg O", 4.211),
            "NiO": ("Ni O", 4.177),
            "CdO": ("Cd O", 4.695),
            "CaS": ("Ca S", 5.690),
            "SrS": ("Sr S", 6.020),
            "BaS": ("Ba S", 6.386),
            "MnS": ("Mn S", 5.224),
            "CaSe": ("Ca Se", 5.916),
            "EuS": ("Eu S", 5.968),
            "SnTe": ("Sn Te", 6.313),
            "TiN": ("Ti N", 4.235),
        },
    ),
    *_cubic(
        ZINC_BLENDE,
        {
            "GaAs": ("Ga As", 5.654),
            "ZnTe": ("Zn Te", 6.101),
            "CuCl": ("Cu Cl", 5.406),
            "CuI": ("Cu I", 6.043),
            "HgS": ("Hg S", 5.852),
            "HgSe": ("Hg Se", 6.084),
            "GaSb": ("Ga Sb", 6.096),
        },
    ),
    *_cubic(
        FLUORITE,
        {
            "CaF2": ("Ca F", 5.463),
            "SrF2": ("Sr F", 5.800),
            "BaF2": ("Ba F", 6.200),
            "PbF2": ("Pb F", 5.940),
            "CeO2": ("Ce O", 5.411),
            "ThO2": ("Th O", 5.597),
            "UO2": ("U O", 5.470),
            "Li2S": ("S Li", 5.708),
        },
    ),
    *_cubic(CAESIUM_CHLORIDE, {"CsCl": ("Cs Cl", 4.123)}),
    *_cubic(
        PEROVSKITE,
        {"SrTiO3": ("Sr Ti O", 3.905), "BaTiO3": ("Ba Ti O", 4.012), "CsPbCl3": ("Cs Pb Cl", 5.605)},
    ),
    *_cubic(
        FACE_CENTRED,
        {
            "Au": ("Au", 4.078),
            "Ag": ("Ag", 4.086),
            "Al": ("Al", 4.050),
            "Cu": ("Cu", 3.615),
            "Pb": ("Pb", 4.951),
            "Pt": ("Pt", 3.923),
        },
    ),
    *_cubic(BODY_CENTRED, {"Fe": ("Fe", 2.866), "W": ("W", 3.165)}),
    *_cubic(DIAMOND, {"Si": ("Si", 5.431), "Ge": ("Ge", 5.658)}),
    *_cubic(CUPRITE, {"Cu2O": ("O Cu", 4.270)}),
    _crystal(
        "ZnO",
        ("P 63 m c", (((1 / 3, 2 / 3, 0.0),), ((1 / 3, 2 / 3, 0.382),))),
        "Zn O",
        (3.250, 3.250, 5.207),
        angles=(90.0, 90.0, 120.0),
    ),
    _crystal(
        "TiO2-anatase",
        ("I 41/a m d:1", (((0.0, 0.0, 0.0),), ((0.0, 0.0, 0.208),))),
        "Ti O",
        (3.785, 3.785, 9.514),
    ),
    _crystal(
        "TiO2-rutile",
        ("P 42/m n m", (((0.0, 0.0, 0.0),), ((0.305, 0.305, 0.0),))),
        "Ti O",
        (4.594, 4.594, 2.959),
    ),
    _crystal(
        "PbO-litharge",
        ("P 4/n m m:1", (((0.0, 0.5, 0.2345),), ((0.0, 0.0, 0.0),))),
        "Pb O",
        (3.976, 3.976, 5.023),
    ),
)
"""Rock salts, zinc blendes, fluorites, caesium chloride, perovskites, metals and oxides."""


def compound(material_name: str) -> str:
    """Name of a material without its polytype: CdSe of CdSe-wurtzite."""
    return material_name.partition("-")[0]
