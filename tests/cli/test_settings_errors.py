"""A key that does not exist: the message names its table, what is allowed and the nearest word."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.configuration import Config, load_toml, validated
from qdsizer_stream.errors import ConfigurationError, PatternFileError
from qdsizer_stream.patterns import InstrumentResolution, load_pattern
from qdsizer_stream.reduction import BackgroundConfig, load_reduction
from qdsizer_stream.services import ServeConfig
from qdsizer_stream.simulation import SynthesisRecipe
from qdsizer_stream.sizing import load_instrument


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"wavelenght": {"value": 0.5}},
            r"^qdsizer.toml: .*there is no key 'wavelenght': did you mean 'wavelength'\? "
            "allowed are accumulation, applied, arm_angle, ",
        ),
        (
            {"sizing": {"modell": "pbs"}},
            r"table \[sizing\] has no key 'modell': did you mean 'model'\? allowed are .*solvent",
        ),
        (
            {"sizing": {"reduction": {"arm_dge": 0.0}}},
            r"table \[sizing\.reduction\] has no key 'arm_dge': did you mean 'arm_deg'\? allowed are ",
        ),
        ({"sizing": {"zzz": 1}}, r"table \[sizing\] has no key 'zzz': allowed are "),
        (
            {"queue_policy": "newset"},
            r"queue_policy: Input should be 'wait', 'mark' or 'newest' \(found 'newset'\), "
            r"did you mean 'newest'\?",
        ),
        (
            {"sizing": {"reduction": {"detector": {"path": "a.off", "convention": "pis"}}}},
            r"convention: Input should be 'psi' or 'gda' \(found 'pis'\), did you mean 'psi'\?",
        ),
    ],
)
def test_unknown_keys(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as error:
        validated(LiveConfig, values, "qdsizer.toml")
    assert "Extra inputs" not in str(error.value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (WavelengthSource, lambda x: {"value": x}),
        (InstrumentResolution, lambda x: {"caglioti_deg2": (0.01, x, 0.01)}),
        (BackgroundConfig, lambda x: {"solvent_scale": x}),
        (LiveConfig, lambda x: {"optics": {"tolerance_nm": x}}),
        (SynthesisRecipe, lambda x: {"growth_time_s": x}),
    ],
)
def test_a_number_that_is_not_finite_is_no_setting(
    kind: type[Config], values: Callable[[float], dict[str, object]], number: float
) -> None:
    """No comparison with NaN ever fails, and an infinite limit is none: wherever the number stands."""
    with pytest.raises(ConfigurationError, match=r"(finite number|greater than|less than)"):
        validated(kind, values(number), "qdsizer.toml")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("model = pbs", r"in 'model = pbs', did you mean model = \"pbs\"\?"),
        ("report = yes", r"did you mean report = true\?"),
        (r'path = "C:\data\sample"', r"write / or '…' in a path"),
        ("file_timeout_s = 2,5", r"did you mean file_timeout_s = 2\.5\?"),
        ("workers = 1\nworkers = 2", "in 'workers = 2', which is there twice"),
        ("[wavelength", r"in '\[wavelength'"),
    ],
)
def test_mistakes_of_toml_show_the_line(line: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "qdsizer.toml"
    path.write_text(f"{line}\n")
    with pytest.raises(ConfigurationError, match=rf"qdsizer\.toml is not TOML: .*{hint}"):
        load_toml(LiveConfig, path)


def test_a_misspelt_table_is_not_ignored(tmp_path: Path) -> None:
    path = tmp_path / "beamline.toml"
    path.write_text("[reducton]\n[instrment]\nangstrom = 1\n")
    for read, name in ((load_reduction, "reduction"), (load_instrument, "instrument")):
        with pytest.raises(ConfigurationError, match=rf"did you mean \[{name}\]\?"):
            read(path)


def test_kinds_of_one_setting_are_named_by_their_word(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text('settings = "a.toml"\n[input]\nkind = "kafak"\n')
    with pytest.raises(ConfigurationError, match=r"\(found 'kafak'\), did you mean 'kafka'\?"):
        load_toml(ServeConfig, path)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("pattern_01.xy", r"; did you mean \S+/pattern_1\.xy\?"),
        ("Pattern_1.XY", r"; did you mean \S+/pattern_1\.xy\?"),
        ("sample", r"; did you mean '\S+/my sample\.xy'\? names with blanks need quotes"),
        ("sample.xy", r"; did you mean '\S+/my sample\.xy'\? names with blanks need quotes"),
        ("*.xy", "; 2 names fit this pattern: leave out the quotes"),
        ("*.xye", "; no name in its folder fits this pattern"),
        ("elsewhere/pattern_1.xy", r"; there is no folder \S+/elsewhere in \S+"),
        ("zzz", "$"),
    ],
)
def test_a_file_that_is_not_there(asked: str, hint: str, tmp_path: Path) -> None:
    for name in ("pattern_1.xy", "my sample.xy"):
        (tmp_path / name).write_text("1 2\n")
    with pytest.raises(PatternFileError, match=rf"cannot read this file: No such file or directory.*{hint}"):
        load_pattern(tmp_path / asked)
    with pytest.raises(ConfigurationError, match=r"cannot read configuration .*: No such file or directory"):
        load_toml(LiveConfig, tmp_path / asked)
