"""Data that tests share."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[1] / "../shared/data"


@pytest.fixture(scope="session")
def evaluation_only() -> Path:
    """Patterns of other programs and measured solvents, which may not be part of this repository."""
    folder = SHARED_DATA / "evaluation_only"
    if not folder.is_dir():
        pytest.skip("the patterns kept for evaluation alone are not on this machine")
    return folder.resolve()
