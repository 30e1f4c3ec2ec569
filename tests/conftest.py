"""Data, detector, model and RunEngine that tests share; a folder may override them."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from hypothesis import settings
from pydantic import ValidationError

from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.configuration import Config
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

settings.register_profile("patient", deadline=None)  # a busy machine is no wrong answer
settings.register_profile("fuzz", deadline=None, max_examples=20_000)  # some minutes for each parser
settings.load_profile("patient")

Documents = list[tuple[str, Any]]

SHARE_A_SERVER = ("tests/devices/",)
"""Folders whose modules share a server of session scope: pytest-xdist runs each in one worker."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m "not (slow or ...)"`, a module that is marked as a whole is not even imported.

    The imports of such modules, servers and training among them, take half as long as all quick tests.
    """
    left_out = re.fullmatch(r"not \((\w+(?: or \w+)*)\)", config.option.markexpr)
    if not left_out or collection_path.suffix != ".py" or str(collection_path) in config.args:
        return None
    marked = re.search(r"^pytestmark = .*", collection_path.read_text(), re.MULTILINE)
    marks = re.findall(r"pytest\.mark\.(\w+)", marked.group()) if marked else []
    return True if {*marks} & {*left_out.group(1).split(" or ")} else None


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In parallel, a module stays in one worker, which makes its fixtures once; slow modules come first."""
    if not hasattr(config, "workerinput"):
        return
    groups = {
        item: next(
            (folder for folder in SHARE_A_SERVER if item.nodeid.startswith(folder)),
            item.nodeid.partition("::")[0],
        )
        for item in items
    }
    n_slow = Counter(groups[item] for item in items if item.get_closest_marker("slow"))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item]))
    items.sort(key=lambda item: -n_slow[groups[item]])


WAVELENGTH = 0.5637
DETECTOR = nominal_detector(24, 0.0)


@pytest.fixture(scope="session")
def config() -> LiveConfig:
    return LiveConfig(
        sizing=SizingConfig(model="pbs", reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
        workers=0,  # a process takes a second to start; tests that need one say so
    )


@pytest.fixture(scope="session")
def sizer(config: LiveConfig) -> Sizer:
    return Sizer(config.sizing)


@pytest.fixture(scope="session")
def dots() -> GrowingDots:
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH).max())
    return GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH, growth_time_s=100.0), q_max)


@pytest.fixture(scope="session")
def mythen(dots: GrowingDots) -> Callable[..., SimMythen]:
    def make(name: str = "mythen", kind: type[SimMythen] = SimMythen, **settings: Any) -> SimMythen:
        defaults: dict[str, Any] = {
            "scene": dots,
            "detector": DETECTOR,
            "wavelength_angstrom": WAVELENGTH,
            "counts_per_second": 1.0,
            "exposure_s": 30.0,
            "speed": np.inf,
            "seed": 5,
        }
        return kind(name=name, **{**defaults, **settings})

    return make


@pytest.fixture(scope="session")
def raw(mythen: Callable[..., SimMythen]) -> Documents:
    """Documents of a run of six frames; not to be changed."""
    documents: Documents = []
    RunEngine({})(count([mythen()], 6), lambda name, doc: documents.append((name, doc)))
    return documents


@pytest.fixture
def live(config: LiveConfig, sizer: Sizer) -> Iterator[Callable[..., LiveSizer]]:
    """Makes live sizers and closes them."""
    made: list[LiveSizer] = []

    def make(**settings: Any) -> LiveSizer:
        made.append(LiveSizer(config.model_copy(update=settings), sizer))
        return made[-1]

    yield make
    for one in made:
        one.close(10)


@pytest.fixture
def through(live: Callable[..., LiveSizer]) -> Callable[..., Documents]:
    """Sends documents through a live sizer and gives what comes out."""

    def send(documents: Documents, **settings: Any) -> Documents:
        out: Documents = []
        one = live(**settings)
        one.subscribe(lambda name, doc: out.append((name, doc)))
        for name, doc in documents:
            one(name, doc)
        assert one.close(60)
        return out

    return send


@pytest.fixture
def dask_scheduler() -> Iterator[str]:
    """Address of a Dask cluster of two workers: threads that speak TCP, since processes take ten seconds to
    come and go."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # any free port
    ) as cluster:
        yield cluster.scheduler_address


class Result(NamedTuple):
    """What a command left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line as a shell calls it."""
    from qdsizer_stream.cli import main  # a second, which other tests need not spend

    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["qdsizer-stream", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def check_limits() -> Callable[..., None]:
    """Checks which values a setting allows, the others of its class being valid."""

    def check(valid: Config, field: str, allowed: Sequence[Any], refused: Sequence[Any]) -> None:
        settings = valid.model_dump(by_alias=False)
        for value in allowed:
            assert getattr(type(valid)(**{**settings, field: value}), field) == value
        for value in refused:
            with pytest.raises(ValidationError) as error:
                type(valid)(**{**settings, field: value})
            assert [one["type"] for one in error.value.errors()] in (
                ["greater_than"], ["greater_than_equal"], ["less_than"], ["less_than_equal"]
            )  # fmt: skip

    return check


SHARED_DATA = Path(__file__).parents[1] / "../shared/data"


@pytest.fixture(scope="session")
def evaluation_only() -> Path:
    """Patterns of other programs and measured solvents, which may not be part of this repository."""
    folder = SHARED_DATA / "evaluation_only"
    if not folder.is_dir():
        pytest.skip("the patterns kept for evaluation alone are not on this machine")
    return folder.resolve()
