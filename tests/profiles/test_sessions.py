"""Real sessions: IPython in a terminal, an nslsii profile, the queue server with its manager."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qdsizer_stream.archive import open_archive
from qdsizer_stream.profiles import startup_text, write_startup

BEAMLINE = Path(__file__).with_name("beamline.py")

# Sessions import for seconds where the machine is quiet, and for minutes where it is not.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
PATIENCE_S = 600


@pytest.fixture
def startup(tmp_path: Path) -> Path:
    """A start-up folder with the beamline in it."""
    folder = tmp_path / "startup"
    folder.mkdir()
    shutil.copy(BEAMLINE, folder / "00-beamline.py")
    return folder


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def test_a_profile_of_ipython_in_a_terminal(settings_file: Path, startup: Path, tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect", reason="pexpect is not installed")
    pytest.importorskip("IPython", reason="IPython is not installed")
    archive = tmp_path / "archive"
    profile = tmp_path / "profile_collection"
    profile.mkdir()
    startup.rename(profile / "startup")
    file = write_startup(profile / "startup", startup_text(settings_file, archive=f"{archive}"))
    session = pexpect.spawn(
        sys.executable,
        [
            "-m",
            "IPython",
            "--profile-dir",
            f"{profile}",
            "--simple-prompt",
            "--no-banner",
            "--no-confirm-exit",
        ],
        env=environment(IPYTHONDIR=f"{tmp_path}", TERM="dumb"),
        timeout=PATIENCE_S,
        encoding="utf-8",
    )
    said = ""

    def ask(line: str) -> str:
        session.sendline(line)
        session.expect(r"In \[\d+\]: ")
        return str(session.before)

    try:
        session.expect(r"In \[\d+\]: ")
        said += ask("(uid,) = RE(take(2))")
        said += ask("first = sizer")
        said += ask(f"%run -i {file}")
        said += ask("print('the same:', sizer is first)")
        said += ask("(again,) = RE(take(1))")
        said += ask("print('uids:', uid, again)")
        said += ask("print('errors:', sizer.wait(60), sizer.counters.contained)")
        session.sendline("exit")
        session.expect(pexpect.EOF)
    finally:
        session.close(force=True)
    assert "the same: True" in said, said
    assert "errors: True 0" in said, said
    uid, again = said.split("uids: ")[1].split()[:2]
    # The session ended and with it the server: what it was given is on the disk.
    with open_archive(archive) as catalog:
        assert len(list(catalog)) == 2
        assert catalog[uid].metadata["stop"]["num_events"] == {"primary": 2, "qd_size": 2}
        assert catalog[again].metadata["stop"]["num_events"] == {"primary": 1, "qd_size": 1}


NSLSII = """
import sys
from pathlib import Path

import databroker
from nslsii import configure_base

db = databroker.temp()
namespace = {}
configure_base(
    namespace, db, bec=False, magics=False, mpl=False, pbar=False, configure_logging=False,
    ipython_logging=False, tb_minimize=False,
)
RE = namespace["RE"]
exec(Path(sys.argv[1]).read_text())
exec(Path(sys.argv[2]).read_text().replace("RE = RunEngine({})", ""))
(uid,) = RE(take(2))
from qdsizer_stream.profiles import uninstall
assert uninstall(RE)
(raw,) = RE(take(1))
print("sizes", len(db[uid].table("qd_size")), "runs", len(list(db())))
print("streams", *sorted(db[uid].stream_names), "|", *db[raw].stream_names)
"""


def test_a_profile_in_the_style_of_nslsii(settings_file: Path, startup: Path, tmp_path: Path) -> None:
    pytest.importorskip("nslsii", reason="nslsii is not installed")
    pytest.importorskip("databroker.v1", reason="the extra databroker is not installed")
    file = write_startup(startup, startup_text(settings_file))
    script = tmp_path / "session.py"
    script.write_text(NSLSII)
    done = subprocess.run(
        [sys.executable, script, file, startup / "00-beamline.py"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=tmp_path,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sizes 2 runs 2" in done.stdout
    assert "streams primary qd_size | primary" in done.stdout


def test_the_queue_server_lists_plans_and_devices(settings_file: Path, startup: Path, tmp_path: Path) -> None:
    command = _program("qserver-list-plans-devices")
    write_startup(startup, startup_text(settings_file))
    (startup / "99-assert.py").write_text(
        "from qdsizer_stream.profiles import installed\nassert installed(RE) is sizer\n"
    )
    done = subprocess.run(
        [command, "--startup-dir", startup, "--file-dir", tmp_path],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = (tmp_path / "existing_plans_and_devices.yaml").read_text()
    assert "mythen:" in listed
    assert "take:" in listed


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    """Port of a Redis server that ends with the test."""
    port = _free_port()
    server = subprocess.Popen(
        [
            _program("redis-server"),
            "--port",
            f"{port}",
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            tmp_path,
        ],
        stdout=subprocess.DEVNULL,
    )
    yield port
    server.terminate()
    server.wait(30)


PERMISSIONS = """
user_groups:
  root:
    allowed_plans: [null]
    forbidden_plans: [":^_"]
    allowed_devices: [null]
    forbidden_devices: [":^_:?.*"]
    allowed_functions: [null]
    forbidden_functions: [":^_"]
  primary:
    allowed_plans: [":.*"]
    forbidden_plans: [null]
    allowed_devices: [":?.*:depth=5"]
    forbidden_devices: [null]
    allowed_functions: []
    forbidden_functions: [null]
"""

REMEMBER = """
import json
import time
from pathlib import Path

from qdsizer_stream.profiles import install

def remember(name, doc):
    time.sleep(0.2)  # so that the worker has documents in hand when it is closed
    with Path({file!r}).open("a") as file:
        file.write(json.dumps([name, doc.get("num_events", {{}})]) + "\\n")

sizer = install(RE, {config!r}, remember)
"""


def test_a_worker_of_the_queue_server(settings_file: Path, startup: Path, tmp_path: Path, redis: int) -> None:
    comms = pytest.importorskip("bluesky_queueserver.manager.comms")
    control, info = f"tcp://127.0.0.1:{_free_port()}", f"tcp://127.0.0.1:{_free_port()}"
    seen = tmp_path / "documents"
    (startup / "95-qdsizer.py").write_text(REMEMBER.format(file=str(seen), config=str(settings_file)))
    (startup / "user_group_permissions.yaml").write_text(PERMISSIONS)
    manager = subprocess.Popen(
        [
            _program("start-re-manager"),
            *("--startup-dir", f"{startup}"),
            *("--redis-addr", f"127.0.0.1:{redis}"),
            *("--zmq-control-addr", control, "--zmq-info-addr", info),
        ],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    client = comms.ZMQCommSendThreads(zmq_server_address=control, timeout_recv=60_000)  # ms

    def ask(method: str, **params: Any) -> dict[str, Any]:
        answer = client.send_message(method=method, params=params or None)
        assert answer.get("success", True), answer
        return dict(answer)

    def wait(until: Callable[[dict[str, Any]], bool]) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not until(ask("status")):
            assert time.monotonic() < ends
            assert manager.poll() is None
            time.sleep(0.2)

    try:
        wait(lambda status: status["manager_state"] == "idle")
        ask("environment_open")
        wait(lambda status: status["worker_environment_exists"] and status["manager_state"] == "idle")
        user = {"user": "tester", "user_group": "primary"}
        item = {"item_type": "plan", "name": "take", "kwargs": {"frames": 3}}
        ask("queue_item_add", item=item, **user)
        ask("queue_start")
        wait(lambda status: status["items_in_history"] == 1 and status["manager_state"] == "idle")
        (done,) = ask("history_get")["items"]
        assert done["result"]["exit_status"] == "completed", done
        ask("environment_close")  # at once: the worker writes what it holds before it ends
        wait(lambda status: not status["worker_environment_exists"])
        # The environment is gone, the worker's process goes on; a manager that ends would kill it.
        wait(lambda _: '"stop"' in seen.read_text())
        ask("manager_stop")
        manager.wait(60)
    finally:
        client.close()
        client._ctx.term()  # which its own close leaves open
        manager.kill()
        manager.wait(60)
    documents = [json.loads(line) for line in seen.read_text().splitlines()]
    names = [name for name, _ in documents]
    assert (names.count("start"), names.count("descriptor"), names.count("event")) == (1, 2, 6)
    assert documents[-1] == ["stop", {"primary": 3, "qd_size": 3}]
