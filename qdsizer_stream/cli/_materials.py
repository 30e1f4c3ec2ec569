"""``qdsizer-stream materials``: list and show materials, and make one from a CIF file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import ConfigurationError, QdsizerError
from ._app import app, examples
from ._output_path import check_output
from ._picture import check_picture
from ._progress import progress_bar

if TYPE_CHECKING:
    from ..simulation import Crystal

__all__ = ["from_cif", "list_materials", "show_material", "write_curves"]

WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the dispersion corrections where none is given, Å: 22 keV, above the K edges of most
elements of quantum dots. Positions do not depend on it."""

N_LINES = 12
"""Reflections in a table: all that dots of a few nanometres resolve."""

PREVIEW_NM = (2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
"""Diameters in a picture, nm."""

PREVIEW_DISPERSION = 0.1
"""Dispersion of the populations in a picture: typical of a good synthesis."""

PREVIEW_Q_INV_ANGSTROM = (1.0, 10.0)
"""Range of a picture, Å⁻¹."""

materials = typer.Typer(
    help="List and show materials, and make one from a CIF file.",
    epilog=examples("materials show CdSe-zincblende", "materials from-cif Au.cif"),
    no_args_is_help=True,
)
app.add_typer(materials, name="materials")

MaterialArgument = Annotated[
    str, typer.Argument(help="Name of a material of the package, or path of a CIF or TOML file.")
]
WavelengthOption = Annotated[float, typer.Option(help="Wavelength for relative intensities, Å.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
PreviewOption = Annotated[
    Path | None, typer.Option(help="Draw patterns of nanocrystals of 2 to 10 nm into this PNG file.")
]


@materials.command("list", epilog=examples("materials list", "materials list --folder crystals --json"))
def list_materials(
    folder: Annotated[
        Path, typer.Option(help="Folder whose CIF and TOML files are listed as well.")
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """List the materials of the package, and the CIF and TOML files of a folder that describe a crystal."""
    from ..simulation import material_names, read_crystal

    if not folder.is_dir():
        raise ConfigurationError(f"folder {folder} does not exist: give an existing folder")
    own = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".cif" or _is_material(path))
    rows: list[dict[str, Any]] = []
    for source in [*material_names(), *map(str, own)]:
        try:
            rows.append({"name": source, **_summary(read_crystal(source))})
        except QdsizerError as error:  # one bad file does not hide the others
            rows.append({"name": source, "error": str(error)})
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table()
    table.add_column("material", overflow="fold")
    table.add_column("space group", no_wrap=True)
    table.add_column("a, b, c (Å)", no_wrap=True)
    table.add_column("sizes (nm)", no_wrap=True)
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], f"[red]not usable:[/] {escape(row['error'])}", "", "")
            continue
        lengths = dict.fromkeys(f"{length:g}" for length in row["lengths_angstrom"])
        sizes = "{:g} – {:g}".format(*row["diameter_range_nm"])
        table.add_row(row["name"], row["space_group"], ", ".join(lengths), sizes)
    Console().print(table)


def _is_material(path: Path) -> bool:
    """Whether a TOML file describes a crystal; folders hold TOML files of many kinds."""
    if path.suffix.lower() != ".toml":
        return False
    return "space_group" in path.read_text(encoding="utf-8", errors="replace")


@materials.command("show", epilog=examples("materials show PbS", "materials show Au.cif --preview Au.png"))
def show_material(
    name: MaterialArgument,
    wavelength: WavelengthOption = WAVELENGTH_ANGSTROM,
    preview: PreviewOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a material: cell, density, atoms, first distances and powder reflections."""
    from ..simulation import read_crystal

    if preview is not None:
        check_picture(preview)
    _show(name, read_crystal(name), wavelength, as_json)
    if preview is not None:
        _draw(name, wavelength, preview)
        typer.echo(f"{preview}: patterns of {name}", err=True)


@materials.command(
    "from-cif",
    epilog=examples("materials from-cif Au.cif", "materials from-cif Au.cif --b Au=0.6 --preview Au.png"),
)
def from_cif(
    file: Annotated[Path, typer.Argument(help="CIF file.")],
    out: Annotated[
        Path | None, typer.Option(help="TOML file to write; by default the name of the CIF file with .toml.")
    ] = None,
    block: Annotated[str | None, typer.Option(help="Data block, if several contain atoms.")] = None,
    b: Annotated[
        list[str] | None,
        typer.Option("--b", help="Displacement parameter B of an element, Å², such as Au=0.6; repeatable."),
    ] = None,
    wavelength: WavelengthOption = WAVELENGTH_ANGSTROM,
    preview: PreviewOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a material from a CIF file: a TOML file that can be read, corrected and used by its path.

    A CIF file can also be used directly; this command shows what is read from it and what is assumed.
    """
    from ..simulation import crystal_from_cif

    if preview is not None:
        check_picture(preview)
    crystal = crystal_from_cif(file, b_angstrom2=_by_element(b or []), block=block)
    path = file.with_suffix(".toml") if out is None else out
    _show(str(file), crystal, wavelength, as_json)
    try:
        path.write_text(_toml(crystal), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}; give --out") from error
    typer.echo(f"{path}: material {crystal.name}", err=True)
    if preview is not None:
        _draw(str(path), wavelength, preview)
        typer.echo(f"{preview}: patterns of {crystal.name}", err=True)


@materials.command(
    "curves", epilog=examples("materials curves oxide.cif", "materials curves Au.cif Ag.cif --out metals.npz")
)
def write_curves(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MATERIAL]...",
            help="Materials of the package, CIF or TOML files; all of the package where left out.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write, ending in .npz; by default the name of the only material with .npz."
        ),
    ] = None,
    wavelength: WavelengthOption = WAVELENGTH_ANGSTROM,
) -> None:
    """Simulate curves of nanocrystals for `phases` and `materials` in the settings of a beamline.

    Those of the package's materials are part of the package: only CIF and TOML files need this.
    """
    from ..fitting import crystal_curves, solvent_curves
    from ..models import CURVES_SUFFIX, write_crystal_curves
    from ..patterns import check_wavelength
    from ..simulation import material_names

    check_wavelength(wavelength)
    if out is None:
        if names is None or len(names) != 1:
            raise ConfigurationError(f"{len(names or [])} materials are given: give the file to write, --out")
        out = Path(Path(names[0]).stem + ".npz")
    check_output(out, [CURVES_SUFFIX], "file of curves")
    sources = names or material_names()
    curves = []
    with progress_bar() as show:
        for number, source in enumerate(sources):
            show(f"patterns of {source}", number, len(sources))
            curves.append(crystal_curves(source, wavelength))
        show("done", len(sources), len(sources))
    write_crystal_curves(out, curves, None if names else solvent_curves())
    typer.echo(f"{out}: curves of {', '.join(one.name for one in curves)}", err=True)


def _by_element(pairs: list[str]) -> dict[str, float]:
    given = {}
    for pair in pairs:
        element, _, value = pair.partition("=")
        try:
            given[element] = float(value)
        except ValueError:
            raise typer.BadParameter(
                f"{pair!r} is not ELEMENT=B: give for example --b Au=0.6", param_hint="--b"
            ) from None
    return given


def _summary(crystal: "Crystal") -> dict[str, Any]:
    return {
        "material": crystal.name,
        "space_group": crystal.space_group,
        "lengths_angstrom": crystal.lengths_angstrom,
        "angles_deg": crystal.angles_deg,
        "diameter_range_nm": crystal.diameter_range_nm,
        "notes": crystal.notes,
    }


def _show(source: str, crystal: "Crystal", wavelength_angstrom: float, as_json: bool) -> None:
    from ..patterns import check_wavelength
    from ..simulation import material_from_crystal, material_sha256, neighbours, reflections

    check_wavelength(wavelength_angstrom)
    material = material_from_crystal(crystal)
    lines = reflections(crystal, PREVIEW_Q_INV_ANGSTROM[1], wavelength_angstrom)
    shells = neighbours(material)
    sha256 = material_sha256(source)
    if as_json:
        report = {
            **_summary(crystal),
            "sha256": sha256,
            "lattice_source": crystal.lattice_source,
            "b_source": crystal.b_source,
            "density_g_per_cm3": material.density_g_per_cm3,
            "atoms_in_primitive_cell": len(material.sites),
            "unit_diameter_angstrom": material.unit_diameter_angstrom,
            "sites": [site.model_dump() for site in crystal.sites],
            "neighbours": [vars(shell) for shell in shells],
            "reflections": [vars(line) for line in lines],
        }
        typer.echo(json.dumps(report, indent=2))
        return
    console = Console()
    a, b, c = crystal.lengths_angstrom
    alpha, beta, gamma = crystal.angles_deg
    table = Table(title=escape(crystal.name), title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in (
        ("space group", crystal.space_group),
        ("cell", f"{a:g}, {b:g}, {c:g} Å; {alpha:g}, {beta:g}, {gamma:g}°"),
        ("density", f"{material.density_g_per_cm3:.3f} g/cm³"),
        ("primitive cell", f"{_atoms(len(material.sites))}, {material.cell_volume_angstrom3:.2f} Å³"),
        ("lattice from", crystal.lattice_source),
        ("B from", crystal.b_source),
        ("sha256", sha256),
        *(("note", note) for note in crystal.notes),
    ):
        table.add_row(key, escape(value))
    console.print(table)
    atoms = Table(title="atoms of the asymmetric unit", title_justify="left")
    for heading in ("element", "x", "y", "z", "occupancy", "B (Å²)"):
        atoms.add_column(heading, justify="left" if heading == "element" else "right")
    for site in crystal.sites:
        position = (f"{x:.4f}" for x in site.position)
        atoms.add_row(site.element, *position, f"{site.occupancy:g}", f"{site.b_angstrom2:.2f}")
    console.print(atoms)
    bonds = Table(title="first distances", title_justify="left")
    for heading in ("pair", "distance (Å)", "neighbours"):
        bonds.add_column(heading, justify="left" if heading == "pair" else "right")
    for shell in shells:
        bonds.add_row("–".join(shell.elements), f"{shell.distance_angstrom:.3f}", f"{shell.count:.3g}")
    console.print(bonds)
    powder = Table(title=f"first {N_LINES} powder reflections", title_justify="left")
    for heading in ("hkl", "Q (Å⁻¹)", "d (Å)", "multiplicity", "area"):
        powder.add_column(heading, justify="left" if heading == "hkl" else "right")
    for line in lines[:N_LINES]:
        powder.add_row(
            " ".join(map(str, line.hkl)),
            f"{line.q_inv_angstrom:.4f}",
            f"{line.spacing_angstrom:.4f}",
            str(line.multiplicity),
            f"{line.relative_intensity:.1%}",
        )
    console.print(powder)


def _atoms(n: int) -> str:
    return "1 atom" if n == 1 else f"{n} atoms"


def _toml(crystal: "Crystal") -> str:
    """A crystal as a material file."""

    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)  # the escapes of JSON are those of TOML

    lines = [f"# {note}" for note in crystal.notes]
    lines += [
        f"name = {text(crystal.name)}",
        f"space_group = {text(crystal.space_group)}",
        f"lengths_angstrom = {list(crystal.lengths_angstrom)}",
        f"angles_deg = {list(crystal.angles_deg)}",
        f"lattice_source = {text(crystal.lattice_source)}",
        f"b_source = {text(crystal.b_source)}",
        f"diameter_range_nm = {list(crystal.diameter_range_nm)}",
        f"notes = [{', '.join(map(text, crystal.notes))}]",
    ]
    for site in crystal.sites:
        lines += [
            "",
            "[[sites]]",
            f"element = {text(site.element)}",
            f"position = {list(site.position)}",
            f"b_angstrom2 = {site.b_angstrom2!r}",
            f"occupancy = {site.occupancy!r}",
        ]
    return "\n".join(lines) + "\n"


def _draw(source: str, wavelength_angstrom: float, path: Path) -> None:
    """Draw patterns of populations of the material, with its reflections below."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    from ..simulation import (
        averaged_sphere_pairs,
        form_factors,
        lognormal_weights,
        material_from_crystal,
        pattern_sums,
        read_crystal,
        reflections,
        structure_sums,
    )

    crystal = read_crystal(source)
    material = material_from_crystal(crystal)
    q = np.arange(*PREVIEW_Q_INV_ANGSTROM, 0.01)
    clusters_nm = np.arange(1.0, 1.5 * PREVIEW_NM[-1], 0.1)
    sizes = np.array(PREVIEW_NM)
    weights = lognormal_weights(clusters_nm, sizes, np.full(sizes.size, PREVIEW_DISPERSION), min_fraction=0.0)
    table = averaged_sphere_pairs(material, 10 * clusters_nm)
    factors = form_factors(material, q, wavelength_angstrom)
    patterns = pattern_sums(material, table, structure_sums(table, q), q, factors) @ weights
    patterns /= patterns.mean(axis=0)
    figure = Figure(figsize=(9, 6), dpi=150, layout="constrained")
    axes = figure.subplots()
    step = 0.8 * float(np.percentile(patterns, 99))
    for index, size in enumerate(PREVIEW_NM):
        colour = colormaps["viridis"](index / len(PREVIEW_NM))
        axes.plot(q, patterns[:, index] + step * index, color=colour, linewidth=1.2)
        axes.text(q[-1], patterns[-1, index] + step * index, f" {size:g} nm", color=colour, va="center")
    for line in reflections(crystal, PREVIEW_Q_INV_ANGSTROM[1], wavelength_angstrom):
        axes.plot([line.q_inv_angstrom] * 2, [-0.35 * step, -0.1 * step], color="0.4", linewidth=0.8)
    axes.set(xlabel="Q (Å⁻¹)", ylabel="intensity (arbitrary units, offset)", yticks=[])
    axes.set_title(
        f"{crystal.name}: spheres, dispersion {PREVIEW_DISPERSION:.0%}, {wavelength_angstrom:g} Å", loc="left"
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path)
