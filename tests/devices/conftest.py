"""Channel Access on the loopback: the package's own servers, in processes of their own."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "qdsizer-stream"


@dataclass(frozen=True)
class Served:
    """A server that clients can connect to."""

    prefix: str
    process: subprocess.Popen[str]


def _free_ports(number: int) -> list[int]:
    """Ports on which nobody listens, by TCP."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.fixture(scope="session")
def ca_ports() -> Iterator[Iterator[int]]:
    """Ports that the clients of this process look at; their library reads them once."""
    pytest.importorskip("caproto", reason="caproto is not installed")
    pytest.importorskip("epics", reason="pyepics is not installed")
    ports = _free_ports(12)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("EPICS_CA_ADDR_LIST", " ".join(f"127.0.0.1:{port}" for port in ports))
        environment.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        yield iter(ports)


@pytest.fixture(scope="session")
def serve(ca_ports: Iterator[int]) -> Iterator[Callable[..., Served]]:
    """Starts `qdsizer-stream ioc` with options, and ends it after the tests."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str) -> Served:
        prefix = f"T{len(running)}:"
        command = [
            str(PROGRAM), "ioc", "--prefix", prefix, "--port", str(next(ca_ports)), "--speed", "inf", *options
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"serving {prefix}cam1:")
        return Served(prefix, process)

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def slsdetector(serve: Callable[..., Served]) -> Served:
    """PSI's driver before 24 modules and a synthesis that takes some minutes."""
    return serve("--driver", "slsdetector", "--counts-per-second", "6", "--growth-time-s", "100")


@pytest.fixture(scope="session")
def admythen(serve: Callable[..., Served]) -> Served:
    """ADMythen before 24 modules and a synthesis that takes some minutes."""
    return serve("--driver", "admythen", "--counts-per-second", "6", "--growth-time-s", "100")
