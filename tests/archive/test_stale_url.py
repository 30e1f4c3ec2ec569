"""The API key of an archive goes to its own server alone."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qdsizer_stream.archive import open_archive

pytestmark = pytest.mark.slow

SERVE = """
import sys
from qdsizer_stream.archive import open_archive

with open_archive(sys.argv[1], create=True) as client:
    client.create_container("mark")
    print("served", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A program that listens on a port and keeps all that it is sent."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1/", heard
    server.shutdown()
    server.server_close()


def test_after_a_kill_the_key_is_not_sent_to_who_holds_the_port(
    stranger: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, heard = stranger
    with open_archive(tmp_path, create=True):
        pass
    (tmp_path / "url").write_text(url)
    with open_archive(tmp_path) as client:
        assert list(client) == []
    key = (tmp_path / "api_key").read_text()
    assert len(heard) == 1
    assert "/qdsizer/proof?nonce=" in heard[0]
    assert key not in heard[0]


def test_a_folder_that_another_process_serves_is_reached_through_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, os.fspath(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "served\n"
    try:
        with open_archive(tmp_path) as client:
            assert f"{client.context.api_uri}" == (tmp_path / "url").read_text()
            assert list(client) == ["mark"]
    finally:
        process.communicate("")
