"""A real archive."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qdsizer_stream.archive import embedded_tiled


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of frame files that the archive may read."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Any]:
    with embedded_tiled(tmp_path_factory.mktemp("archive"), readable=[files]) as client:
        yield client
