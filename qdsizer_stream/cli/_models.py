"""``qdsizer-stream models``: list, show, verify and seal models, and set their acceptance thresholds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import ModelError
from ._app import app, examples
from ._progress import progress_bar

if TYPE_CHECKING:
    from ..models import Card

__all__ = ["list_models", "seal", "set_model_thresholds", "show_model", "verify_model"]

models = typer.Typer(
    help="List, show and verify models, and set their acceptance thresholds.",
    epilog=examples("models list", "models show pbs --json"),
    no_args_is_help=True,
)
app.add_typer(models, name="models")

ModelArgument = Annotated[str, typer.Argument(help="Name of a shipped model, or path of a model file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@models.command("list", epilog=examples("models list", "models list --json"))
def list_models(as_json: JsonOption = False) -> None:
    """List the models that are available by name: those of this package, then those of other packages."""
    from ..models import load_model, model_names

    rows: list[dict[str, Any]] = []
    for name in model_names():
        try:
            card = load_model(name).card
        except ModelError as error:  # a damaged model of another package must not hide the others
            rows.append({"name": name, "error": str(error)})
            continue
        rows.append(
            {
                "name": name,
                "material": card.material,
                "size_range_nm": card.size_range_nm,
                "answer": card.output.kind,
                "description": card.description,
            }
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table()
    for heading in ("model", "material", "sizes (nm)", "output"):
        table.add_column(heading, no_wrap=True)
    table.add_column("description")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], "", "", "", f"[red]not usable:[/] {escape(row['error'])}")
            continue
        sizes = "{:g} – {:g}".format(*row["size_range_nm"])
        table.add_row(row["name"], row["material"], sizes, row["answer"], row["description"])
    Console().print(table)


@models.command("show", epilog=examples("models show pbs", "models show my-material.onnx --json"))
def show_model(name: ModelArgument, as_json: JsonOption = False) -> None:
    """Print the model card: a summary table on a terminal, the whole card as JSON otherwise."""
    from ..models import load_model

    model = load_model(name)
    console = Console()
    if as_json or not console.is_terminal:
        typer.echo(json.dumps(model.to_dict(), indent=2))
        return
    card = model.card
    table = Table(title=escape(f"{model.name}: {card.description}"), title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for title, facts in (
        ("", {"file": str(model.path), "file hash": model.sha256, **_facts(card)}),
        ("thresholds", card.thresholds.model_dump()),
        ("training", card.training),
        ("evaluation", card.evaluation),
    ):
        if title:
            table.add_section()
            table.add_row(f"[bold]{title}[/]", "")
        for key, value in facts.items():
            table.add_row(str(key), f"{value:.4g}" if isinstance(value, float) else escape(str(value)))
    console.print(table)


def _facts(card: "Card") -> dict[str, str]:
    """The card without its recipe and tables."""
    grid = card.input.grid.model_dump()
    low, high = card.strain_range
    return {
        "material": f"{card.material}, lattice parameter {card.lattice_parameter_angstrom:g} Å",
        "sizes": "{:g} to {:g} nm".format(*card.size_range_nm),
        "strains": f"{low:+.2%} to {high:+.2%}",
        "input": f"{card.input.kind}: " + ", ".join(f"{key} {value:g}" for key, value in grid.items()),
        "output": card.output.kind,
        "made by": f"qdsizer-stream {card.package_version}, ONNX operator set {card.opset}",
        "recipe": f"{card.recipe.get('name', '?')}, hash {card.recipe_sha256}",
    }


@models.command(
    "build",
    epilog=examples(
        "models build --material CdSe-zincblende --out cdse-fit.npz",
        "models build --material Au.cif --sizes 1.5 6 --energy 60keV",
    ),
)
def build(
    material: Annotated[
        str, typer.Option(help="Material of the package (`materials list`), or a CIF or TOML file.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Model file to write, .npz; by default MATERIAL-fit.npz.")
    ] = None,
    sizes: Annotated[
        tuple[float, float] | None, typer.Option(help="Smallest and largest number-weighted mean, nm.")
    ] = None,
    energy: Annotated[
        str | None, typer.Option(help="Photon energy of the dispersion corrections, such as 22keV.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a model that fits templates of a material: no training, no network, seconds to minutes."""
    from ..fitting import DEFAULT_WAVELENGTH_ANGSTROM, build_fit_model
    from ..models import FIT_SUFFIX
    from ..patterns import wavelength_from_energy

    path = Path(f"{Path(material).stem}-fit{FIT_SUFFIX}") if out is None else out
    if path.suffix != FIT_SUFFIX:
        path = path.with_name(path.name + FIT_SUFFIX)
    wavelength = DEFAULT_WAVELENGTH_ANGSTROM if energy is None else wavelength_from_energy(energy)
    with progress_bar() as show:
        model = build_fit_model(
            material, path, size_range_nm=sizes, wavelength_angstrom=wavelength, progress=show
        )
    evaluation = model.card.evaluation
    if as_json:
        typer.echo(json.dumps({"file": str(path), "sha256": model.sha256, "evaluation": evaluation}))
        return
    typer.echo(f"{path}: {model.card.description}")
    for name, value in evaluation.items():
        typer.echo(f"  {name}: {value:g}")


@models.command("verify", epilog=examples("models verify pbs", "models verify my-material.onnx --json"))
def verify_model(name: ModelArgument, as_json: JsonOption = False) -> None:
    """Check a model file: all parts are present, and the network reproduces its reference outputs."""
    import onnxruntime

    from ..models import REFERENCE_TOLERANCE, FitModel, load_model

    model = load_model(name)  # raises an error that names the damage
    checks = {
        "file": f"{model.path}, {model.path.stat().st_size / 1e6:.1f} MB, sha256 {model.sha256}",
        "graph": "none: frames are fitted with templates"
        if isinstance(model, FitModel)
        else f"runs in ONNX Runtime {onnxruntime.__version__}, operator set {model.card.opset}",
        "card": f"format {model.card.format_version}, complete, no unknown fields",
        "templates": "curves of the physics check present",
        "seal": "checksums of all arrays agree"
        if isinstance(model, FitModel)
        else "the file is as it was written",
        "references": f"{model.n_references} inputs reproduced within {model.reference_error:.1g} "
        f"(allowed {REFERENCE_TOLERANCE:g})",
        "recipe": f"hash {model.card.recipe_sha256}",
    }
    if as_json:
        typer.echo(json.dumps({"name": model.name, "whole": True, "checks": checks}))
        return
    typer.echo(f"{model.name} is intact")
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check, found in checks.items():
        table.add_row(check, found)
    Console().print(table)


@models.command("seal", epilog=examples("models seal my-material.onnx", "models seal models/cdse.onnx"))
def seal(path: Annotated[Path, typer.Argument(help="Model file; it is updated in place.")]) -> None:
    """Seal a model file of an earlier version, if you trust it as it is.

    The seal is a hash over network, card, templates and references, and is checked at every load. Files
    written by this version have one.
    """
    from ..training import seal_model

    model = seal_model(path)
    typer.echo(f"{model.name} is sealed: {path}, sha256 {model.sha256[:12]}")


@models.command(
    "set-thresholds",
    epilog=examples(
        "models set-thresholds my-material.onnx", "models set-thresholds my-material.onnx --frames 512"
    ),
)
@models.command("limit", hidden=True)
def set_model_thresholds(
    path: Annotated[Path, typer.Argument(help="Model file; its card is updated in place.")],
    frames: Annotated[
        int,
        typer.Option(
            min=32, help="Simulated frames for the thresholds, and as many again for the error rates."
        ),
    ] = 4096,
    as_json: JsonOption = False,
) -> None:
    """Set the acceptance thresholds of a model from false-rejection rates on held-out simulations.

    Each threshold may reject one good frame in a thousand. The error rates of all thresholds together are
    measured on other simulated frames and on negative controls, and are stored on the card.
    """
    from ..training import held_out_simulations, set_thresholds

    good = held_out_simulations(path)
    with progress_bar() as show:
        card = set_thresholds(path, good, n_frames=frames, progress=show).card
    if as_json:
        typer.echo(json.dumps({"guard": card.thresholds.model_dump(), "evaluation": card.evaluation}))
        return
    table = Table(title=escape(f"{card.name}: {path}"))
    table.add_column("threshold or rate")
    table.add_column("value", justify="right")
    for name, value in {**card.thresholds.model_dump(), **card.evaluation}.items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)
