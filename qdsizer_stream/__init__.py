"""Live sizing of quantum dots from 1-D X-ray frames inside a Bluesky run.

Everything here is imported when it is first used, so ``import qdsizer_stream as qd`` costs next to nothing.
What is offered, and its types, are in ``__init__.pyi``.
"""

from typing import Any

import lazy_loader

_import_lazily, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Look up a subpackage, one of the names of the front door, or the version."""
    if name == "__version__":
        from importlib.metadata import version  # costs 20 ms, which few need

        return version("qdsizer-stream")
    return _import_lazily(name)
