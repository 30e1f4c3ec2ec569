"""The command ``qdsizer-stream serve`` in a separate process, for benchmarks that time it from outside."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._detector import DETECTOR

START_TIMEOUT_S = 300.0


class ServiceProcess:
    """A running service and its counters."""

    def __init__(self, folder: Path, tables: str, port: int) -> None:
        modules = ", ".join(
            f"{{ centre_strip = {module.centre_strip}, offset_deg = {module.offset_deg}, "
            f"conversion_rad_per_strip = {module.conversion_rad_per_strip} }}"
            for module in DETECTOR.modules
        )
        settings = folder / "qdsizer.toml"
        settings.write_text(
            "[sizing.reduction]\narm_deg = 0.0\n"
            f"[sizing.reduction.detector]\nglobal_offset_deg = 0.0\nmodules = [{modules}]\n"
            '[wavelength]\nconfiguration_key = "mythen_wavelength"\n'
        )
        config = folder / f"serve{port}.toml"
        config.write_text(f"settings = {str(settings)!r}\n{tables}\n[health]\nport = {port}\n")
        self.log = config.with_suffix(".log")
        self._port = port
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("qdsizer-stream")), "serve", "--config", str(config)],
                stdout=log,
                stderr=log,
            )

    def wait_for(self, text: str) -> None:
        """Wait until the service has logged a text."""
        end = time.monotonic() + START_TIMEOUT_S
        while text not in self.log.read_text():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the service has not logged {text!r}:\n{self.log.read_text()}")
            time.sleep(0.1)

    def metric(self, name: str) -> float:
        """Read one counter; zero before it exists."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as page:
                lines = page.read().decode().splitlines()
        except urllib.error.URLError:
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def stop(self) -> None:
        """Ask the service to finish, and wait for its end."""
        self._process.terminate()
        self._process.wait(60)


@contextmanager
def services(folder: Path, tables: str, ports: list[int]) -> Iterator[list[ServiceProcess]]:
    """Run one service per port."""
    running = [ServiceProcess(folder, tables, port) for port in ports]
    try:
        yield running
    finally:
        for one in running:
            one.stop()
