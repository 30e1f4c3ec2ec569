"""The live sizer in a session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count

from qdsizer_stream.callbacks import LiveConfig, QueuePolicy
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.profiles import install, installed, uninstall


def test_a_start_up_file_may_run_twice(config: LiveConfig, mythen: Callable[..., SimMythen]) -> None:
    engine = RunEngine({})
    out: list[str] = []

    def writer(name: str, doc: Any) -> None:
        out.append(name if "qdsizer_size" not in doc.get("data", {}) else "size")

    sizer = install(engine, config, writer)
    assert install(engine, config, writer) is sizer is installed(engine)
    engine(count([mythen()], 2))
    assert uninstall(engine)
    assert (out.count("event"), out.count("size")) == (2, 2)
    assert installed(engine) is None
    engine(count([mythen()], 1))
    assert sizer.counters.documents == 5
    assert uninstall(engine)


def test_other_settings_are_refused(config: LiveConfig) -> None:
    engine = RunEngine({})
    install(engine, config)
    with pytest.raises(ConfigurationError, match=r"call uninstall\(RE\) before install\(RE, …\)"):
        install(engine, config.model_copy(update={"queue_policy": QueuePolicy.WAIT}))
    assert uninstall(engine)


def test_a_spool_without_an_archive_is_refused(config: LiveConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="spool and readable have no effect without archive"):
        install(RunEngine({}), config, spool=tmp_path)


def test_two_engines_have_two_sizers(config: LiveConfig) -> None:
    engines = [RunEngine({}), RunEngine({})]
    sizers = [install(engine, config) for engine in engines]
    assert sizers[0] is not sizers[1]
    assert all(uninstall(engine) for engine in engines)


TOML = """
queue_policy = "wait"

[sizing]
model = "pbs"

[sizing.reduction]
arm_deg = 0.0

[sizing.reduction.detector]
global_offset_deg = 0.0
modules = [{ centre_strip = 639.5, conversion_rad_per_strip = 6.579e-5, offset_deg = 0.0 }]

[wavelength]
configuration_key = "mono_energy"
unit = "keV"
"""


def test_settings_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "qdsizer.toml"
    path.write_text(TOML)
    engine = RunEngine({})
    sizer = install(engine, path)
    assert sizer.config.queue_policy is QueuePolicy.WAIT
    assert sizer.config.wavelength is not None
    assert sizer.config.wavelength.describe() == "configuration key mono_energy"
    assert uninstall(engine)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (TOML.replace("keV", "MeV"), "wavelength.unit: Input should be 'angstrom', 'nm', 'keV' or 'eV'"),
        (
            TOML.replace("queue_policy", "queue_polizy"),
            "there is no key 'queue_polizy': did you mean 'queue_policy'?",
        ),
        ("[sizing]\nmodel = 'pbs'", "sizing.reduction is missing: live frames are raw counts"),
        ("[sizing", "is not TOML"),
    ],
)
def test_wrong_settings_say_what_and_where(tmp_path: Path, wrong: str, message: str) -> None:
    path = tmp_path / "qdsizer.toml"
    path.write_text(wrong)
    with pytest.raises(ConfigurationError) as error:
        install(RunEngine({}), path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
