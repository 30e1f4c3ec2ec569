"""How estimates and sizers show themselves."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.sizing import SizeEstimate, Sizer, SizingConfig, Status

SIZED = SizeEstimate(
    status=Status.SIZED,
    size_nm=4.8213,
    size_low_nm=4.7131,
    size_high_nm=4.9341,
    mass_mean_nm=5.01,
    mass_mean_low_nm=4.9,
    mass_mean_high_nm=5.12,
    dispersion=0.123,
    lattice_parameter_angstrom=5.9362,
    residual=0.021,
    counts=1.234e6,
    q_min=0.98,
    q_max=14.9,
    model="pbs",
)
REJECTED = SizeEstimate(status=Status.LOW_COUNTS, reason="too few photons: 12 (threshold <300)", counts=12.0)


def test_an_estimate_is_one_line() -> None:
    line = "mass-weighted mean 5.01 nm [4.90, 5.12], number-weighted mean 4.82 nm [4.71, 4.93], sized"
    assert str(SIZED) == line
    assert repr(SIZED) == f"<SizeEstimate: {line}, model pbs>"
    older = replace(SIZED, mass_mean_nm=math.nan)  # as of a model that does not give it
    assert str(older) == "number-weighted mean 4.82 nm [4.71, 4.93], sized"
    assert str(REJECTED) == "low_counts: too few photons: 12 (threshold <300)"
    assert str(SizeEstimate(status=Status.NO_CRYSTAL)) == "no_crystal"


def test_an_estimate_in_a_notebook_shows_what_is_known() -> None:
    html = SIZED._repr_html_()
    for text in (
        "<caption>sized, model pbs</caption>",
        "4.82 nm [4.71, 4.93]",
        "5.01 nm [4.90, 5.12]",
        "12.3%",
        "5.9362 Å",
        "2.1% of the mean intensity",
        "1.23e+06",
        "0.98 to 14.90 Å⁻¹",
    ):
        assert text in html
    assert "class" not in html
    html = REJECTED._repr_html_()
    assert "(threshold &lt;300)" in html
    assert "nm" not in html


def test_a_sizer_names_model_solvent_and_detector(tmp_path: Path) -> None:
    assert repr(Sizer(SizingConfig())) == (
        "<Sizer: model pbs (PbS, 1.8–11 nm); no measured solvent; patterns only, no detector>"
    )
    detector = nominal_detector(n_modules=24, global_offset_deg=1.0)
    sizer = Sizer(SizingConfig(model="pbs-paper", reduction=ReductionConfig(detector=detector, arm_deg=0.0)))
    assert repr(sizer).startswith("<Sizer: model pbs-paper (PbS, 2–10 nm); no measured solvent; <Reducer: ")
    assert "model pbs-paper (PbS, 2–10 nm)" in sizer._repr_html_()


def test_a_model_can_be_given_as_a_path() -> None:
    path = Sizer(SizingConfig()).model.path
    assert SizingConfig(model=path).model == str(path)
    assert Sizer(SizingConfig(model=path)).model.path == path
    with pytest.raises(ValueError, match="valid string"):
        SizingConfig(model=3)
