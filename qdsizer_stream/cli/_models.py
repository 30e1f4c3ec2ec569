"""``qdsizer-stream models``: what can size, what it says of itself, and where it refuses."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import ModelError
from ._app import app
from ._progress import progress_bar

if TYPE_CHECKING:
    from ..models import Card

__all__ = ["limit_model", "list_models", "show_model", "verify_model"]

models = typer.Typer(help="List, show, verify and limit models.", no_args_is_help=True)
app.add_typer(models, name="models")

ModelArgument = Annotated[str, typer.Argument(help="Model by name or path.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")]


@models.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models that can be named: those of this package, then those of other packages."""
    from ..models import load_model, model_names

    rows: list[dict[str, Any]] = []
    for name in model_names():
        try:
            card = load_model(name).card
        except ModelError as error:  # one bad file of another package must not hide the others
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
    for heading in ("model", "material", "sizes (nm)", "answers with"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what for")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], "", "", "", f"[red]cannot be used:[/] {escape(row['error'])}")
            continue
        sizes = "{:g} – {:g}".format(*row["size_range_nm"])
        table.add_row(row["name"], row["material"], sizes, row["answer"], row["description"])
    Console().print(table)


@models.command("show")
def show_model(name: ModelArgument, as_json: JsonOption = False) -> None:
    """Print what a model says of itself: a table on a terminal, the whole card as JSON elsewhere."""
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
        ("refuses past", card.guard.model_dump()),
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


@models.command("verify")
def verify_model(name: ModelArgument, as_json: JsonOption = False) -> None:
    """Check a model file: its parts are there, and it answers its own references."""
    import onnxruntime

    from ..models import REFERENCE_TOLERANCE, load_model

    model = load_model(name)  # whatever is wrong is an error that says so
    checks = {
        "file": f"{model.path}, {model.path.stat().st_size / 1e6:.1f} MB, sha256 {model.sha256}",
        "graph": f"runs in ONNX Runtime {onnxruntime.__version__}, operator set {model.card.opset}",
        "card": f"format {model.card.format_version}, complete, no unknown field",
        "templates": "curves of the physics check are there",
        "references": f"{model.n_references} inputs answered within {model.reference_error:.1g} "
        f"(allowed {REFERENCE_TOLERANCE:g})",
        "recipe": f"hash {model.card.recipe_sha256}",
    }
    if as_json:
        typer.echo(json.dumps({"name": model.name, "whole": True, "checks": checks}))
        return
    typer.echo(f"{model.name} is whole")
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check, found in checks.items():
        table.add_row(check, found)
    Console().print(table)


@models.command("limit")
def limit_model(
    path: Annotated[Path, typer.Argument(help="Model file, whose card is replaced.")],
    frames: Annotated[
        int, typer.Option(min=32, help="Good frames for the limits, and again for rates.")
    ] = 4096,
    as_json: JsonOption = False,
) -> None:
    """Set the limits of the refusals from stated rates of error, on physics kept out of the training.

    Each limit may refuse one good frame in a thousand. The rates at which all of them together err are
    measured on other frames and on hostile ones, and stand on the card.
    """
    from ..training import held_out_physics, set_limits

    good = held_out_physics(path)
    with progress_bar() as tell:
        card = set_limits(path, good, n_frames=frames, progress=tell).card
    if as_json:
        typer.echo(json.dumps({"guard": card.guard.model_dump(), "evaluation": card.evaluation}))
        return
    table = Table(title=escape(f"{card.name}: {path}"))
    table.add_column("limit or rate")
    table.add_column("value", justify="right")
    for name, value in {**card.guard.model_dump(), **card.evaluation}.items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)
