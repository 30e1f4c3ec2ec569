"""An archive whose catalog and tables lie in PostgreSQL: a server of Debian's, made for the test."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import LinkedRuns, WriteBack, embedded_tiled, replay_into, select_runs
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.service


def _binary(name: str) -> str:
    """Where Debian keeps a program of PostgreSQL, which is on nobody's path."""
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not on this machine: apt-get install postgresql")
    return found


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A database that ends with the test; PostgreSQL refuses to run as root."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    as_user: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="qdsizer-postgres-"))
    try:
        if os.geteuid() == 0:
            name = next((one for one in ("postgres", "nobody") if _exists(one)), None)
            if name is None:
                pytest.skip("there is no user without privileges to run PostgreSQL as")
            shutil.chown(folder, name)
            as_user = {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "tiled", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["-p", f"{port}", "-h", "127.0.0.1", "-k", str(folder), "-F"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [postgres, "-D", data, *options], stdout=log, stderr=log, cwd=folder, **as_user
            )
        try:
            ready = [_binary("pg_isready"), "-h", "127.0.0.1", "-p", f"{port}", "-t", "60"]
            for _ in range(600):
                if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                    break
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield f"postgresql://tiled@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(60)
    finally:
        shutil.rmtree(folder)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def test_replay_and_write_back(
    database: str, tmp_path: Path, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> None:
    with embedded_tiled(tmp_path / "archive", database=database) as archive:
        engine = RunEngine({})
        engine.subscribe(TiledWriter(archive, batch_size=2))
        (uid,) = engine(count([mythen()], 3), sample="PbS")
        derived = replay_into(archive[uid], config, LinkedRuns(archive), tmp_path, sizer)
        assert replay_into(archive[uid], config, LinkedRuns(archive), tmp_path, sizer).found
        replay_into(archive[uid], config, WriteBack(), tmp_path, sizer)
        own, linked = (archive[one]["qd_size"].read() for one in (uid, derived.written))
        for key in ("qdsizer_size", "qdsizer_status", "qdsizer_frame_seq_num"):
            assert list(own[key].values) == list(linked[key].values)
        assert len(own["qdsizer_size"]) == 3
        (found,) = select_runs(archive, query={"sample": "PbS"})
        assert found.metadata["stop"]["num_events"] == {"primary": 3, "qd_size": 3, "qd_size_smoothed": 3}
    assert not (tmp_path / "archive" / "catalog.db").exists()
