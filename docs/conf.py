"""Sphinx settings of this site; `sphinx-build -W docs docs/_build` builds it without a network."""

import sys
from pathlib import Path

# autodoc writes into the annotations of pydantic's base class: models that are made later, as those of
# ophyd-async, would fail.
import qdsizer_stream.devices.async_mythen  # noqa: F401
from qdsizer_stream import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "qdsizer_stream"
author = "the qdsizer_stream developers"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_nb",
    "decisions",
    "numpy_sections",
    "settings",
    "sphinx.ext.autodoc",
    "sphinxcontrib.typer",
]
exclude_patterns = ["_build"]

# Notebooks show the outputs that `docs/redraw.py` has stored, and tests run them.
nb_execution_mode = "off"

html_theme = "furo"
html_title = "qdsizer_stream"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings are plain text with `code` in single backticks.
default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "description"  # types stand in annotations alone; documented parameters get them here
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
