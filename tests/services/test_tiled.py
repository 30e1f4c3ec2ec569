"""The service between runs that are written to a Tiled server and the estimates it writes beside them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import embedded_tiled
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.services import ServeConfig, Service

from .conftest import Documents, estimates, wait_for

# Each starts processes that import for seconds; on a busy machine for a minute.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with embedded_tiled(tmp_path_factory.mktemp("archive")) as client:
        yield client


@pytest.fixture
def uri(archive: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TILED_API_KEY", archive.context.api_key)
    return str(archive.context.api_uri)


def test_a_run_is_sized_while_it_is_written(
    archive: Any,
    uri: str,
    settings: Path,
    tmp_path: Path,
    mythen: Callable[..., SimMythen],
    expected: Documents,
) -> None:
    linked = tmp_path / "qdsizer.toml"
    linked.write_text('destination = "linked-run"\n' + settings.read_text())
    service = Service(
        ServeConfig.model_validate(
            {
                "settings": linked,
                "input": {"kind": "tiled", "uri": uri},
                "output": [{"kind": "tiled", "uri": uri, "spool": tmp_path / "spool"}],
                "health": {"port": 0},
            }
        )
    )
    outcome: list[bool] = []
    thread = threading.Thread(target=lambda: outcome.append(service.run()))
    thread.start()
    try:
        wait_for(lambda: service.port, "the start of the service")
        engine = RunEngine({})
        engine.subscribe(TiledWriter(archive, batch_size=1))
        (uid,) = engine(count([mythen()], 6))

        def sized() -> Any:
            others = [archive[other] for other in archive if other != uid]
            return next((run for run in others if run.metadata.get("stop")), None)

        run = wait_for(sized, "the linked run")
    finally:
        service.stop()
        thread.join(60)
    assert outcome == [True]
    assert run.metadata["start"]["original_run_uid"] == uid
    documents: Documents = list(run.documents())
    # The archive hands documents back in order of their times, and a frame is older than what was made of it.
    assert Counter(name for name, _ in documents) == {"start": 1, "descriptor": 1, "event": 6, "stop": 1}
    np.testing.assert_equal(estimates(documents), estimates(expected))
    assert len(archive) == 2  # the estimates were not taken for another run of frames
    assert not list((tmp_path / "spool").iterdir())


def test_estimates_into_the_run_of_the_frames_would_clash(uri: str, settings: Path, tmp_path: Path) -> None:
    config = ServeConfig.model_validate(
        {
            "settings": settings,
            "input": {"kind": "tiled", "uri": uri},
            "output": [{"kind": "tiled", "uri": uri, "spool": tmp_path / "spool"}],
        }
    )
    with pytest.raises(ConfigurationError, match='set destination = "linked-run" in'):
        Service(config)
