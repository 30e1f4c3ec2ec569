"""Warnings near absorption edges; the energies are those of the X-ray data booklet."""

import warnings

import numpy as np
import pytest

from qdsizer_stream.errors import PatternError
from qdsizer_stream.simulation.crystal import load_material
from qdsizer_stream.simulation.scattering import form_factors, warn_near_edges


@pytest.mark.parametrize(
    ("name", "wavelength_angstrom", "edge"),
    [
        ("PbS", 12.398 / 13.035, "L3 edge of Pb"),
        ("PbS", 12.398 / 15.861, "L1 edge of Pb"),
        ("CdSe-wurtzite", 12.398 / 26.711, "K edge of Cd"),
        ("CdSe-wurtzite", 12.398 / 12.658, "K edge of Se"),
    ],
)
def test_at_an_edge(name: str, wavelength_angstrom: float, edge: str) -> None:
    for wavelength in (0.995 * wavelength_angstrom, wavelength_angstrom, 1.005 * wavelength_angstrom):
        with pytest.warns(UserWarning, match=f"is at the {edge} .* measure 1 % away"):
            warn_near_edges(load_material(name), wavelength)


@pytest.mark.parametrize("wavelength_angstrom", [0.56, 0.5637, 0.7093, 1.5406, 0.97 * 12.398 / 13.035])
def test_away_from_edges(wavelength_angstrom: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_near_edges(load_material("PbS"), wavelength_angstrom)


def test_no_wavelength() -> None:
    with pytest.raises(PatternError, match="is not an X-ray wavelength"):
        warn_near_edges(load_material("PbS"), -1.0)


def test_form_factors_at_an_edge_warn_their_caller() -> None:
    with pytest.warns(UserWarning, match="is at the L3 edge of Pb") as warned:
        form_factors(load_material("PbS"), np.array([1.0]), 12.398 / 13.035)
    assert warned[0].filename == __file__
