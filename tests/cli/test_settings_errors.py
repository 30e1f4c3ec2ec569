"""A key that does not exist: the message names its table, what is allowed and the nearest word."""

import pytest

from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.configuration import validated
from qdsizer_stream.errors import ConfigurationError


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
