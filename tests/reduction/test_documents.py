import re
import tomllib
from pathlib import Path

from qdsizer_stream.reduction import BackgroundConfig, ReductionConfig

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reduction.md"


def test_settings_in_the_documentation_are_valid() -> None:
    first, second = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    reduction = ReductionConfig.model_validate(tomllib.loads(first)["reduction"])
    assert reduction.polarisation is not None
    assert reduction.bins is not None
    background = BackgroundConfig.model_validate(tomllib.loads(second)["background"])
    assert background.capillary is not None
