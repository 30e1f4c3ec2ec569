"""Recipe of a size model for any crystal, from a recipe of the package and the crystal itself."""

import os
import re
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import gemmi

from ..errors import ConfigurationError, PhysicsError
from ..simulation import (
    Crystal,
    Material,
    SphereCut,
    close_packed_layers,
    coordinated,
    material_from_crystal,
    material_names,
    read_crystal,
    reflections,
    sphere,
    twin_layers,
)
from ._recipe import SizeRecipe, recipe_from_text
from ._toml_text import toml_text

__all__ = ["new_recipe", "new_recipe_text"]

ANIONS = ("F", "O", "N", "Cl", "Br", "S", "C", "Se", "I", "P", "As", "Te", "B", "Ge", "Sb", "Si")
"""Elements of which metal-rich surfaces are poor, by falling electronegativity (Allen, J. Am. Chem. Soc. 111,
9003, 1989; Mann, Meek and Allen, ibid. 122, 2780, 2000)."""

SIZE_RANGE_NM = (1.8, 11.0)
"""Smallest and largest mean diameter of models of the package, nm: smaller dots have no lattice to speak of,
larger ones differ by less than instruments resolve."""

SIZE_MARGIN_NM = (0.4, 0.8)
"""Training goes beyond the sizes that the model answers for by so much at either end, nm."""

SMALLEST_UNITS = 2.9
"""Smallest mean diameter of training over the diameter of the sphere of one primitive cell: clusters begin at
2.5, and a population needs some below its mean."""

CLUSTER_OVER_MEAN = 1.9
"""Largest cluster over the largest mean diameter: that of wide populations."""

B_FACTORS = (0.45, 2.7)
"""B of dots over that of the bulk: tabulated values are uncertain by 30 %, and atoms near a surface move
more. The recipes of the package have ranges from 0.44 to 2.7 times the B of their first element."""

B_RATIO_FACTORS = (0.65, 1.75)
"""The same for the ratio of two elements, of which the recipes of the package have 0.65 to 1.87."""

MAX_B_ANGSTROM2 = 20.0
"""A crystal with a larger B is none, Å²."""

CORRELATED = 0.85
"""Amplitude of the motion that neighbours share over the smallest B: the middle of what is measured
for PbS."""

WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the intensities of reflections, Å: they hardly depend on it."""

REFLECTIONS_TO_INV_ANGSTROM = 8.0
"""Reflections that are looked at, Å⁻¹."""

FIRST_STRONG = 0.3
"""Area of the first reflection that a frame must hold, over that of the strongest."""

SECOND_STRONG = 0.4
"""The same of the second: above those of wurtzite that vanish with stacking faults."""

LOW_MARGIN_INV_ANGSTROM = 0.15
"""A frame begins at least so far below its first strong reflection: half the width of a peak of 2 nm."""

HIGH_MARGIN_INV_ANGSTROM = 0.3
"""A frame ends at least so far above its second strong reflection: the width of a peak of 2 nm."""

SEPARATE_INV_ANGSTROM = 0.25
"""Reflections nearer than this are one peak of small dots."""


def new_recipe_text(material: str, folder: str | os.PathLike[str] = ".") -> str:
    """Write a training recipe for a crystal.

    It starts from a recipe of the package: the one with stacking faults for zinc blende and wurtzite, else
    the one of rock salt. What depends on the crystal comes from the crystal, each value with a comment that
    says how.

    Parameters
    ----------
    material
        Material of the package, or path of a CIF or TOML file.
    folder
        Folder of the recipe, to which the path of the crystal is relative in it.

    Returns
    -------
    The recipe, TOML.

    Raises
    ------
    PhysicsError
        There is no such material, its file cannot be used, or it has too few reflections.
    ConfigurationError
        A value in its file is missing or out of range, or its quantum dots have no size for which a model
        could be trained.
    """
    folder = Path(folder)
    values, comments = _fill(read_crystal(material), _relative(material, folder))
    text = toml_text(values, comments)
    recipe_from_text(text, f"recipe for {material}", folder)
    return text


def new_recipe(material: str) -> SizeRecipe:
    """Make a training recipe for a crystal: that of `new_recipe_text`, without a file.

    Parameters
    ----------
    material
        Material of the package, or path of a CIF or TOML file.

    Returns
    -------
    The recipe.

    Raises
    ------
    PhysicsError
        As for `new_recipe_text`.
    ConfigurationError
        As for `new_recipe_text`.
    """
    recipe = recipe_from_text(new_recipe_text(material), f"recipe for {material}", Path())
    assert isinstance(recipe, SizeRecipe)
    return recipe


def _relative(material: str, folder: Path) -> str:
    return material if material in material_names() else Path(os.path.relpath(material, folder)).as_posix()


def _fill(crystal: Crystal, source: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings and their comments, by path."""
    material = material_from_crystal(crystal)
    layered, twins = _accepts(close_packed_layers, material), _accepts(twin_layers, material)
    base = "cdse" if layered else "pbs"
    values = _recipe_of_package(base)
    origin = material_from_crystal(read_crystal(values["model"]["generator"]["structures"]["material"]))
    comments = {
        "model": f"Recipe for {crystal.name}, made from the recipe `{base}` of the package. A comment stands "
        f"above what "
        "comes from the crystal or is left out for it; everything else is as in that recipe. Ranges should "
        "be wider "
        "than what you expect at the beamline.",
        "model.guard": "Guesses; `qdsizer-stream models set-thresholds` sets most of them once the model is "
        "trained.",
        "model.held_out": "Kept out of training: the widths of the intervals come from these frames.",
    }
    _sizes(values["model"], crystal, material, comments)
    _reflected(values["model"], crystal, comments)
    _moving(values["model"], material, comments)
    _others(values["model"], comments)
    for part in ("generator", "held_out"):
        structures = values["model"][part]["structures"]
        at = f"model.{part}.structures"
        structures["material"] = source
        _stacked(structures, at, material, layered=layered, twins=twins, comments=comments)
        _surface(structures, at, material, origin, comments)
        _directions(structures, at, crystal, comments)
    if layered and not twins:
        templates = values["model"]["templates"]
        templates["reversal_probabilities"] = _mirrored(templates["reversal_probabilities"])
        comments["model.templates.reversal_probabilities"] = (
            "Of wurtzite: 0 is zinc blende, ½ random stacking, 1 the perfect crystal, which is always there."
        )
    name = re.sub(r"[^a-z0-9_.-]+", "-", crystal.name.lower()).strip("-._") or "own"
    taken = (files(__package__) / "recipes" / f"{name}.toml").is_file()
    model = values["model"]
    model["name"] = f"{name}-own" if taken else name
    comments["model.name"] = (
        "Names of models of the package cannot be used again."
        if taken
        else "Name of the crystal, in small letters."
    )
    generator = model["generator"]
    low, high = model["size_range_nm"]
    (q_low, q_low_last), (q_high_first, q_high) = (
        generator["q_low_inv_angstrom"],
        generator["q_high_inv_angstrom"],
    )
    model["description"] = (
        f"{crystal.name} nanocrystals of {low:g} to {high:g} nm with the disorder, size distributions and "
        f"instruments of real measurements, Q from {q_low:.2g}-{q_low_last:g} up to "
        f"{q_high_first:g}-{q_high:.0f} Å⁻¹"
    )
    return values, comments


def _recipe_of_package(name: str) -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "recipes" / f"{name}.toml").read_text(encoding="utf-8"))


def _accepts(layers: Callable[[Material], Material], material: Material) -> bool:
    try:
        layers(material)
    except PhysicsError:
        return False
    return True


def _sizes(model: dict[str, Any], crystal: Crystal, material: Material, comments: dict[str, str]) -> None:
    smallest, largest = crystal.diameter_range_nm
    unit_nm = material.unit_diameter_angstrom / 10
    clusters_from = SMALLEST_UNITS * unit_nm + SIZE_MARGIN_NM[0]
    low = round(max(smallest, SIZE_RANGE_NM[0], clusters_from), 1)
    high = round(min(largest, SIZE_RANGE_NM[1]), 1)
    if not low < high:
        raise ConfigurationError(
            f"{crystal.name}: diameter_range_nm is {smallest:g} to {largest:g}, but a model can be trained "
            f"for "
            f"{max(SIZE_RANGE_NM[0], clusters_from):.1f} to {SIZE_RANGE_NM[1]:g} nm: give a range that "
            f"reaches into it in "
            "the TOML file of the crystal (`qdsizer-stream materials from-cif` makes one of a CIF file)"
        )
    model["size_range_nm"] = [low, high]
    comments["model.size_range_nm"] = (
        f"Dots of this crystal are expected from {smallest:g} to {largest:g} nm (its diameter_range_nm); of "
        f"these, sizes "
        f"within {SIZE_RANGE_NM[0]:g} to {SIZE_RANGE_NM[1]:g} nm, and of at least {clusters_from:.2f} nm, "
        f"below which its "
        f"primitive cell of {unit_nm:.2f} nm leaves no populations to train on."
    )
    beyond = [round(low - SIZE_MARGIN_NM[0], 1), round(high + SIZE_MARGIN_NM[1], 1)]
    largest_nm = float(round(CLUSTER_OVER_MEAN * high))
    for part, limits in (("generator", beyond), ("held_out", [low, high])):
        model[part]["mean_diameter_nm"] = limits
        model[part]["structures"]["max_cluster_nm"] = largest_nm
        comments[f"model.{part}.structures.max_cluster_nm"] = (
            f"{CLUSTER_OVER_MEAN:g} times the largest mean diameter: wide populations hold such dots."
        )
    comments["model.generator.mean_diameter_nm"] = (
        f"Beyond size_range_nm by {SIZE_MARGIN_NM[0]:g} and {SIZE_MARGIN_NM[1]:g} nm: the network must know "
        f"what "
        "is out of range."
    )
    comments["model.held_out.mean_diameter_nm"] = "The sizes that the model answers for."


def _reflected(model: dict[str, Any], crystal: Crystal, comments: dict[str, str]) -> None:
    lines = reflections(crystal, REFLECTIONS_TO_INV_ANGSTROM, WAVELENGTH_ANGSTROM)
    begins = model["generator"]["q_low_inv_angstrom"][0]
    reach = begins + LOW_MARGIN_INV_ANGSTROM
    strong = [
        line
        for line in lines
        if line.relative_intensity >= FIRST_STRONG and line.q_inv_angstrom > reach + 0.1
    ]
    further = [
        line
        for line in lines
        if strong and line.q_inv_angstrom > strong[0].q_inv_angstrom + SEPARATE_INV_ANGSTROM
    ]
    if not further:
        raise PhysicsError(
            f"{crystal.name} has no two strong reflections between {reach:.2f} and "
            f"{REFLECTIONS_TO_INV_ANGSTROM:g} Å⁻¹, by "
            "which dots could be sized: correct its structure (`qdsizer-stream materials show` lists its "
            "reflections)"
        )
    first = strong[0]
    second = next(
        (line for line in further if line.relative_intensity >= SECOND_STRONG),
        max(further, key=lambda line: line.relative_intensity),
    )
    q_low = int(20 * (first.q_inv_angstrom - LOW_MARGIN_INV_ANGSTROM)) / 20
    above = round(second.q_inv_angstrom + HIGH_MARGIN_INV_ANGSTROM, 1)
    for part, end in (("generator", q_low), ("held_out", round(q_low - 0.05, 2))):
        ranges = model[part]
        ranges["q_low_inv_angstrom"] = [begins, end]
        q_high_first, q_high = ranges["q_high_inv_angstrom"]
        ranges["q_high_inv_angstrom"] = [max(q_high_first, above), q_high]
    model["guard"]["max_q_low_inv_angstrom"] = q_low
    model["guard"]["min_q_high_inv_angstrom"] = model["generator"]["q_high_inv_angstrom"][0]
    first_name, second_name = (
        f"{' '.join(map(str, line.hkl))} at {line.q_inv_angstrom:.2f} Å⁻¹" for line in (first, second)
    )
    comments["model.generator.q_low_inv_angstrom"] = (
        f"All frames hold the strong reflection {first_name}: they begin below it by at least "
        f"{LOW_MARGIN_INV_ANGSTROM:g} Å⁻¹, half the width of a peak of small dots."
    )
    comments["model.generator.q_high_inv_angstrom"] = (
        f"Frames end above the next strong reflection ({second_name}) by at least "
        f"{HIGH_MARGIN_INV_ANGSTROM:g} Å⁻¹, and "
        "no earlier than in the recipe of the package."
    )
    comments["model.guard.max_q_low_inv_angstrom"] = "Training has no frames that begin later."
    comments["model.guard.min_q_high_inv_angstrom"] = "Training has no frames that end earlier."


def _moving(model: dict[str, Any], material: Material, comments: dict[str, str]) -> None:
    by_element: dict[str, list[float]] = {}
    for site in material.sites:
        by_element.setdefault(site.element, []).append(site.b_angstrom2)
    means = {element: sum(b) / len(b) for element, b in by_element.items()}
    (element, first), *rest = means.items()
    if not min(means.values()) > 0:
        raise PhysicsError(
            f"{material.name}: B = {min(means.values()):g} Å² of an element is no range to train on: give B "
            f"> 0 in its "
            "file (`qdsizer-stream materials from-cif --b` for a CIF file)"
        )
    ratios = [b / first for _, b in rest]
    ratio = (
        [round(B_RATIO_FACTORS[0] * min(ratios), 2), round(B_RATIO_FACTORS[1] * max(ratios), 2)]
        if rest
        else None
    )
    largest = 0.99 * MAX_B_ANGSTROM2 / max(1.0, ratio[1] if ratio else 1.0)
    limits = [round(B_FACTORS[0] * first, 2), round(min(B_FACTORS[1] * first, largest), 2)]
    known = ", ".join(f"{b:.2f} Å² of {one}" for one, b in means.items())
    for part in ("generator", "held_out"):
        model[part]["b_angstrom2"] = limits
        model[part].pop("b_ratio")
        if ratio is not None:
            model[part] = _after(model[part], "b_angstrom2", "b_ratio", ratio)
    comments["model.generator.b_angstrom2"] = (
        f"{B_FACTORS[0]:g} to {B_FACTORS[1]:g} times the B of {element} in the bulk (B is {known}): it is "
        f"hardly known "
        "better, and surfaces move more."
    )
    if ratio is not None:
        comments["model.generator.b_ratio"] = (
            f"{B_RATIO_FACTORS[0]:g} to {B_RATIO_FACTORS[1]:g} times the B of "
            f"{' and '.join(one for one, _ in rest)} over "
            f"that of {element} in the bulk."
        )
    model["templates"]["correlated_angstrom2"] = round(min(CORRELATED * min(means.values()), 4.9), 2)
    comments["model.templates.correlated_angstrom2"] = (
        f"{CORRELATED:g} times the smallest B of the bulk: neighbours move together."
    )


def _after(table: dict[str, Any], key: str, new: str, value: Any) -> dict[str, Any]:
    """The table with one more entry behind a key."""
    items = list(table.items())
    at = next(i for i, (one, _) in enumerate(items) if one == key) + 1
    return dict([*items[:at], (new, value), *items[at:]])


def _others(model: dict[str, Any], comments: dict[str, str]) -> None:
    """Of other crystals, keep those without a metal: they come with cold samples, whatever the dots."""
    for table, key in ((model["templates"], "phases"), (model["generator"], "by_product_materials")):
        table[key] = [name for name in table[key] if not _with_metal(read_crystal(name))]
    comments["model.templates.phases"] = (
        "Crystals that may be beside the dots, which the check looks for. Add those that your synthesis may "
        "leave: names of the package, or CIF files beside this recipe."
    )
    comments["model.generator.by_product_materials"] = (
        "Half of the by-products are these, the others random lines. Add those that your synthesis may leave."
    )


def _with_metal(crystal: Crystal) -> bool:
    return any(gemmi.Element(site.element).is_metal for site in crystal.sites)


def _stacked(
    structures: dict[str, Any],
    at: str,
    material: Material,
    *,
    layered: bool,
    twins: bool,
    comments: dict[str, str],
) -> None:
    rock_salt = twins and not layered
    if not rock_salt:
        structures["cuts"] = [cut for cut in structures["cuts"] if cut != SphereCut.CORNER_SHARED]
    comments[f"{at}.cuts"] = (
        "Rock salt: anions may be shared between the corners of its cells."
        if rock_salt
        else "Without corner-shared, which is for rock salt."
    )
    if layered:
        if not twins:
            structures["reversal_probability"] = _mirrored(structures["reversal_probability"])
        comments[f"{at}.faulted"] = "Zinc blende and wurtzite are stacks of close-packed layers, with faults."
        comments[f"{at}.reversal_probability"] = "0 is zinc blende, ½ random stacking, 1 wurtzite."
    if not twins:
        for key in ("twinned", "twin_plane"):
            structures.pop(key, None)
        comments[f"{at}.sampled"] = "Without twins: only rock salt and zinc blende have twins on (111)."


def _mirrored(probabilities: list[float]) -> list[float]:
    """Reversal probabilities of wurtzite, as far from wurtzite as these are from zinc blende."""
    return sorted(round(1 - one, 6) for one in probabilities)


def _surface(
    structures: dict[str, Any],
    at: str,
    material: Material,
    origin: Material,
    comments: dict[str, str],
) -> None:
    poor, reason = _poor_element(material)
    (limits,) = structures.pop("occupancy").values()
    structures.pop("poor_elements")
    minima = structures.pop("min_coordination")
    if poor is None:
        comments[f"{at}.material"] = reason
        return
    origin_poor, _ = _poor_element(origin)
    assert origin_poor is not None  # the recipes of the package are of compounds
    n, n_origin = _coordination(material, poor), _coordination(origin, origin_poor)
    fewest = [minimum + n - n_origin if minimum else 0 for minimum in minima]
    structures["occupancy"] = {poor: limits}
    structures["poor_elements"] = [poor]
    structures["min_coordination"] = [
        minimum for minimum, old in zip(fewest, minima, strict=True) if minimum > 0 or not old
    ]
    comments[f"{at}.occupancy"] = f"{poor} is the most electronegative element: it has the vacancies."
    comments[f"{at}.poor_elements"] = f"Surfaces rich in metal lack {poor}."
    comments[f"{at}.min_coordination"] = (
        f"{poor} has {n} neighbours of other elements in the crystal, and leaves the surface where it has "
        f"fewer "
        "than this; 0 for a layer that lacks some."
    )


def _poor_element(material: Material) -> tuple[str | None, str]:
    """Element that metal-rich surfaces lack, and why there is none."""
    elements = list(dict.fromkeys(site.element for site in material.sites))
    poor = next((one for one in ANIONS if one in elements), None)
    if len(elements) == 1 or poor is None:
        return None, "Complete surfaces without vacancies: this crystal has no metal and anion."
    if poor == elements[0]:
        return None, (
            f"Complete surfaces without vacancies: sizes are counted in atoms of the first element, here "
            f"{poor}, which "
            "a metal-rich surface would lack. List a metal first in the file of the crystal to train on "
            "metal-rich surfaces."
        )
    return poor, ""


def _coordination(material: Material, element: str) -> int:
    """Neighbours of the other elements that every atom of an element has."""
    probe = sphere(material, material.unit_diameter_angstrom)
    number = 0
    while True:
        try:
            coordinated(material, probe, [element], number + 1)
        except PhysicsError:
            return number
        number += 1


def _directions(structures: dict[str, Any], at: str, crystal: Crystal, comments: dict[str, str]) -> None:
    group = gemmi.find_spacegroup_by_name(crystal.space_group, *crystal.angles_deg[::2])
    if group is not None and group.crystal_system_str() == "cubic":
        comments[f"{at}.strain_axes"] = comments[f"{at}.texture_axes"] = "Axes of cubic crystals."
        return
    for key in ("strain_axes", "strain_along", "strained_along", "textured", "march_ratio", "texture_axes"):
        structures.pop(key)
    comments[f"{at}.shapes"] = (
        "Without preferred directions and strain along an axis: those of the package are for cubic crystals."
    )
