"""``qdsizer-stream recipe``: write a training recipe for a material."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ConfigurationError
from ._app import app, examples
from ._output_path import check_output

__all__ = ["new"]

recipe = typer.Typer(
    help="Write a training recipe for a material.",
    epilog=examples("recipe new PbSe", "recipe new Au.cif --out gold.toml"),
    no_args_is_help=True,
)
app.add_typer(recipe, name="recipe")


@recipe.callback()
def _recipe() -> None:
    """Keep the group a group, though it has one command."""


@recipe.command("new", epilog=examples("recipe new InP --out my-InP.toml", "recipe new Au.cif"))
def new(
    material: Annotated[
        str, typer.Argument(help="Name of a material of the package, or path of a CIF or TOML file.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="TOML file to write; by default the name of the material with -recipe.toml."),
    ] = None,
) -> None:
    """Write a training recipe whose ranges come from the crystal, each with the reason.

    Read it, change what you know better, and train with `train --recipe`; `train --material` trains at once.
    """
    from ..training import new_recipe_text

    path = Path(f"{Path(material).stem}-recipe.toml") if out is None else out
    check_output(path, [".toml"], "recipe")
    if path.exists():
        raise ConfigurationError(f"{path} exists: give another name with --out, or move that file first")
    text = new_recipe_text(material, path.parent)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}; give --out") from error
    Console(stderr=True, soft_wrap=True).print(
        f"{path}: recipe for {material}; read its comments, then: qdsizer-stream train --recipe {path}",
        highlight=False,
        markup=False,
    )
