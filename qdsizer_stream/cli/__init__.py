"""The command line: one module a command."""

from ._app import app, main

__all__ = ["app", "main"]
