"""Shell completion, and one line for a library that is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).with_name("qdsizer-stream"))


@pytest.mark.parametrize(
    ("words", "completed"),
    [("qdsizer-stream rep", {"replay", "report"}), ("qdsizer-stream report --o", {"--out"})],
)
def test_bash_completes_commands_and_options(words: str, completed: set[str]) -> None:
    wanted = {
        "_QDSIZER_STREAM_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run([PROGRAM], env={**os.environ, **wanted}, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == completed


BLOCKED = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
sys.argv = ["qdsizer-stream", *{arguments!r}]
from qdsizer_stream.cli import main
main()
"""


@pytest.mark.parametrize(
    ("blocked", "arguments", "extra"),
    [
        (["tiled", "bluesky_tiled_plugins"], ["watch", "nowhere"], "tiled"),
        (["bokeh"], ["watch", "nowhere"], "watch"),
        (["torch"], ["train"], "train"),
        (["xraydb"], ["materials", "show", "PbS"], "simulate"),
    ],
)
def test_a_missing_library_is_one_line_with_its_extra(
    blocked: list[str], arguments: list[str], extra: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(blocked=blocked, arguments=arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f'pip install "qdsizer-stream[{extra}]"' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
