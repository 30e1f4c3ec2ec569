import re
import tomllib
from pathlib import Path

from qdsizer_stream.reduction import ReductionConfig

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reduction.md"


def test_settings_in_the_documentation_are_valid() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    settings = ReductionConfig.model_validate(tomllib.loads(example)["reduction"])
    assert settings.polarisation is not None
    assert settings.bins is not None
