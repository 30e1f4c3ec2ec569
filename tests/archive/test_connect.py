"""What a session that was killed left in the folder of an archive is not taken for a server."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from qdsizer_stream.archive import open_archive
from qdsizer_stream.errors import ArchiveError

KEY = "0123456789abcdef" * 4


def assert_not_served(folder: Path, left: str) -> None:
    (folder / "catalog.db").touch()
    (folder / "api_key").write_text(KEY)
    (folder / "url").write_text(left)
    with (
        pytest.raises(ArchiveError, match=r"is a folder that no process on .* serves"),
        open_archive(folder, serve=False),
    ):
        pass


@pytest.mark.parametrize("left", ["http://127.0.0.1:{}/api/v1", "http://127.0.0.1:port/", ""])
def test_nobody_listens_at_the_url(tmp_path: Path, left: str) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        assert_not_served(tmp_path, left.format(taken.getsockname()[1]))


@pytest.mark.parametrize(("status", "content"), [(200, b"<html>"), (200, b'"proof"'), (404, b"{}")])
def test_another_program_at_the_url_is_asked_for_a_proof_and_not_given_the_key(
    tmp_path: Path, status: int, content: bytes
) -> None:
    heard: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert_not_served(tmp_path, f"http://127.0.0.1:{server.server_port}/api/v1")
        finally:
            server.shutdown()
            thread.join()
    (question,) = heard
    assert question.startswith("/api/v1/qdsizer/proof?nonce=")
    assert KEY not in question
