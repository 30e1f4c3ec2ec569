"""A proxy on loopback in front of a real Tiled server, which injects faults into its answers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Fault = Callable[[str, str], str | int | None]
"""Method and path of a request to what happens to it: None for nothing, `repeat` for sent twice as by a proxy
that retries, `lose` for an answer that never arrives, `cut` for half an answer, `delay` for one that is late,
`stale` for the one that the same request had first, as from a cache, a number for a status."""

DELAY_S = 3.0
"""How late a delayed answer is, s."""

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}


class FaultyProxy:
    """Where it listens, and what it does."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.fault: Fault = lambda method, path: None
        self.injected: list[tuple[str, str]] = []
        self.client = httpx.Client(timeout=60)
        self.url = ""
        self.first: dict[tuple[str, str], tuple[int, list[tuple[str, str]], bytes]] = {}
        """First answer to each request for data, by path and wanted format."""

    def forward(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = [(key, value) for key, value in request.headers.items() if key.lower() not in HOP_BY_HOP]
        sent = self.client.build_request(
            request.command, self.upstream + request.path, headers=headers, content=body
        )
        answer = self.client.send(sent, stream=True)
        content = b"".join(answer.iter_raw())
        answer.close()
        kept = [
            (key, value)
            for key, value in answer.headers.items()
            if key.lower() not in HOP_BY_HOP | {"content-length", "date", "server"}
        ]
        return answer.status_code, kept, content


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = proxy.fault(self.command, self.path)
            asked = self.path, self.headers.get("accept", "")
            if fault == "stale" and asked not in proxy.first:
                fault = None
            if fault is not None:
                proxy.injected.append((self.command, self.path))
            if isinstance(fault, int):
                status, headers, content = fault, [], b'{"detail": "injected"}'
            elif fault == "stale":
                status, headers, content = proxy.first[asked]
            else:
                status, headers, content = proxy.forward(self, body)
                if self.command == "GET":
                    proxy.first.setdefault(asked, (status, headers, content))
            if fault == "repeat":
                status, headers, content = proxy.forward(self, body)
            if fault == "delay":
                time.sleep(DELAY_S)
            if fault == "lose":
                self.close_connection = True
                return
            self.send_response(status)
            for key, value in headers:
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
            self.close_connection |= fault == "cut"

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        proxy.client.close()


def appends(method: str, path: str) -> bool:
    """Whether a request appends rows to a table."""
    return method == "PATCH" and "/table/partition/" in path


def once(fault: str | int, chosen: Callable[[str, str], bool] = appends) -> Fault:
    """The fault of the first request that is chosen, and of no other."""
    done: list[str] = []

    def inject(method: str, path: str) -> str | int | None:
        if done or not chosen(method, path):
            return None
        done.append(path)
        return fault

    return inject
