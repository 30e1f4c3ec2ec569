"""A key that does not exist: the message names its table, what is allowed and the nearest word."""

import math
from collections.abc import Callable

import pytest

from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.configuration import Config, validated
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.patterns import InstrumentResolution
from qdsizer_stream.reduction import BackgroundConfig
from qdsizer_stream.simulation import SynthesisRecipe


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
