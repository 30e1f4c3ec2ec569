import pytest

from qdsizer_stream.errors import PatternError
from qdsizer_stream.patterns import wavelength_from_energy


@pytest.mark.parametrize("energy", ["22 keV", "22keV", " 22.0 KEV ", "22000 eV", "2.2e4eV"])
def test_an_energy_with_its_unit_is_a_wavelength(energy: str) -> None:
    # CODATA: h c = 12.398 419 84 keV Å
    assert wavelength_from_energy(energy) == pytest.approx(12.39841984 / 22, rel=1e-9)


@pytest.mark.parametrize("energy", ["22", "", "keV", "22 MeV", "-22 keV", "0 keV", "1.2.3 keV", "twenty keV"])
def test_an_energy_without_a_unit_or_a_number_is_rejected(energy: str) -> None:
    with pytest.raises(PatternError, match="give a number and its unit, such as '22 keV'"):
        wavelength_from_energy(energy)


@pytest.mark.parametrize(("energy", "kev"), [("22 eV", "0.022"), ("22000 keV", "22000")])
def test_an_energy_that_is_not_an_x_ray_s_is_rejected(energy: str, kev: str) -> None:
    with pytest.raises(PatternError, match=f"is {kev} keV: it must be between 2.5 and 250 keV"):
        wavelength_from_energy(energy)


def test_a_wavelength_in_place_of_an_energy_is_named() -> None:
    with pytest.raises(PatternError, match=r"\(0\.5637 looks like Å: give it as the wavelength\)"):
        wavelength_from_energy("0.5637")
