"""What importing the live path loads."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_the_live_path_loads_neither_torch_nor_matplotlib_nor_tiled() -> None:
    code = (
        "import sys, qdsizer_stream.callbacks, qdsizer_stream.devices, qdsizer_stream.profiles\n"
        "print([m for m in ('torch', 'matplotlib', 'tiled', 'onnx', 'pandas') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_a_session_whose_frames_another_process_sizes_loads_no_solvers() -> None:
    """They take half of the time of the import, and the sizing process loads them meanwhile."""
    code = (
        "import sys, qdsizer_stream.profiles\n"
        "print([m for m in ('scipy', 'h5py', 'rich.console', 'numpy.random') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
