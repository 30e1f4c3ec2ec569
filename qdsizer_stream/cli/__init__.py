"""The command line, one module per command."""

from . import (  # noqa: F401  (each registers its command)
    _audit,
    _calibrate,
    _calibrate_width,
    _compare,
    _demo,
    _evaluate,
    _identify,
    _ioc,
    _materials,
    _models,
    _predict,
    _profile,
    _recipe,
    _reduce,
    _refine,
    _replay,
    _report,
    _serve,
    _simulate,
    _spool,
    _train,
    _watch,
)
from ._app import app, main
from ._refined_page import RefinedPages

__all__ = ["RefinedPages", "app", "main"]
