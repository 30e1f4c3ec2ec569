"""The command line: one module a command."""

from . import _models, _predict, _simulate, _train  # noqa: F401  (each registers its command)
from ._app import app, main

__all__ = ["app", "main"]
