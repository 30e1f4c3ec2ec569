"""Each extra is enough for what it is named for: the libraries of all others are blocked."""

import subprocess
import sys

import pytest

from qdsizer_stream.errors import EXTRAS

pytestmark = pytest.mark.slow

NEEDED = {
    "profile": ({"tiled", "bluesky_tiled_plugins", "msgpack", "pandas", "xarray", "pyarrow"}, "archive"),
    "watch": (
        {"tiled", "bluesky_tiled_plugins", "msgpack", "pandas", "xarray", "pyarrow", "bokeh", "matplotlib"},
        "services.watch",
    ),
    "simulate": ({"gemmi", "xraydb", "xraylib"}, "simulation"),
    "plot": ({"matplotlib", "msgpack"}, "callbacks.display"),
    "core": ({"msgpack"}, "profiles"),  # which Bluesky itself needs
}
"""Libraries that an extra brings, its dependencies included, and the package that it is for."""

CODE = """
import importlib, sys
for name in {blocked!r}:
    sys.modules[name] = None
package = importlib.import_module("qdsizer_stream." + {package!r})
for name in package.__all__:
    getattr(package, name)
"""


@pytest.mark.parametrize("extra", NEEDED)
def test_an_extra_is_enough_for_what_it_is_named_for(extra: str) -> None:
    there, package = NEEDED[extra]
    blocked = sorted(set(EXTRAS) - there)
    assert "torch" in blocked
    if extra == "core":  # drawing is imported only where it is used
        assert "matplotlib" in blocked
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(blocked=blocked, package=package)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
