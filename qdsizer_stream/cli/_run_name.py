"""Runs as commands name them: identifiers, their first characters, and -1 for the newest."""

import re
from difflib import get_close_matches
from typing import Annotated, Any

import typer

__all__ = ["RUN_HELP", "RUN_SETTINGS", "OptionalRunName", "RunName", "RunNames"]

RUN_SETTINGS = {"ignore_unknown_options": True}
"""Context settings of a command with runs among its arguments: -1 is a run, not an option."""

NEWEST = "--newest"
"""Another way to write -1."""

COUNTED_BACK = re.compile(r"-[1-9]\d*")

RUN_HELP = (
    "Run: identifier (uid) or its first characters (5 or more); -1 or --newest for the newest, "
    "-2 for the one before."
)
"""Help of an argument that names a run."""


def _runs(ctx: typer.Context, value: Any) -> Any:
    """Take `--newest` as -1, and leave every other unknown option the error that it is."""
    if isinstance(value, list | tuple):
        return [_run(ctx, one) for one in value]
    return value if value is None else _run(ctx, value)


def _run(ctx: typer.Context, name: str) -> str:
    if name == NEWEST:
        return "-1"
    if name.startswith("-") and not COUNTED_BACK.fullmatch(name):
        options = [option for one in ctx.command.params for option in (*one.opts, *one.secondary_opts)]
        known = [option for option in (*options, NEWEST) if option.startswith("-")]
        nearest = get_close_matches(name, known, 1)
        raise typer.BadParameter(
            f"No such option: {name}" + (f" Did you mean {nearest[0]}?" if nearest else "")
        )
    return name


RunName = Annotated[str, typer.Argument(callback=_runs, help=RUN_HELP)]
RunNames = Annotated[list[str], typer.Argument(callback=_runs, help=RUN_HELP)]
OptionalRunName = Annotated[str | None, typer.Argument(callback=_runs, help=RUN_HELP)]
