"""``qdsizer-stream models``: what can size, and what it says of itself."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ._app import app

__all__ = ["list_models", "show_model", "verify_model"]

models = typer.Typer(help="List, show and verify models.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("list")
def list_models() -> None:
    """List the models that can be named."""
    from ..models import load_model, model_names

    table = Table()
    for heading in ("model", "material", "sizes (nm)", "what for"):
        table.add_column(heading)
    for name in model_names():
        card = load_model(name).card
        table.add_row(name, card.material, "{:g} – {:g}".format(*card.size_range_nm), card.description)
    Console().print(table)


@models.command("show")
def show_model(name: Annotated[str, typer.Argument(help="Model by name or path.")]) -> None:
    """Print the card of a model as JSON."""
    from ..models import load_model

    typer.echo(json.dumps(load_model(name).to_dict(), indent=2))


@models.command("verify")
def verify_model(name: Annotated[str, typer.Argument(help="Model by name or path.")]) -> None:
    """Check a model file: its parts are there and it answers its own references."""
    from ..models import load_model

    model = load_model(name)
    typer.echo(f"{model.path}: {model.name} is whole, sha256 {model.sha256}")
