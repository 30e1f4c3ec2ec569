import socket
from pathlib import Path

import pytest

from qdsizer_stream.archive._connect import URL_FILE, _served_elsewhere


@pytest.mark.parametrize("kind", ["nobody listens", "no address"])
def test_what_a_killed_session_left_behind_is_no_server(tmp_path: Path, kind: str) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        left = f"http://127.0.0.1:{taken.getsockname()[1]}/api/v1" if kind == "nobody listens" else "http://["
        (tmp_path / URL_FILE).write_text(left)
        assert _served_elsewhere(tmp_path) is None
