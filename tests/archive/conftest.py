"""A real archive."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
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


class FrameRequests:
    """First frame of each request for frames to an archive, which may be gone from one of them on."""

    def __init__(self) -> None:
        self.first: list[int] = []
        self.gone_from: int | None = None

    def __call__(self, request: httpx.Request) -> None:
        if "/array/" in request.url.path:
            self.first.append(int(request.url.params.get("slice", "0").partition(":")[0]))
            if self.gone_from is not None and self.first[-1] >= self.gone_from:
                raise httpx.ConnectError("the archive is gone")


@pytest.fixture
def frame_requests(archive: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FrameRequests]:
    """Requests for frames that the client of the archive makes during a test, each made once."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    requests, hooks = FrameRequests(), archive.context.http_client.event_hooks["request"]
    hooks.append(requests)
    yield requests
    hooks.remove(requests)
