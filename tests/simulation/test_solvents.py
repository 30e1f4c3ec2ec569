from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import load_solvent, read_solvent, solvent_names

Q = np.linspace(0.99, 14.9984, 5004)


@pytest.mark.parametrize(("name", "peak"), [("toluene", 1.26), ("hexane", 1.42)])
def test_the_halo_is_where_it_was_measured(name: str, peak: float) -> None:
    intensity = load_solvent(name).intensity(Q, 0.56)
    assert Q[np.argmax(intensity)] == pytest.approx(peak, abs=0.03)


def test_compton_recoil_lowers_the_tail() -> None:
    solvent = load_solvent("toluene")
    bare = np.interp(Q, solvent.q_inv_angstrom, solvent.coherent + solvent.compton)
    seen = solvent.intensity(Q, 0.56)
    # Breit–Dirac factor at 15 Å⁻¹ and 0.56 Å is 0.9268, and Compton is nearly all there is
    assert seen[-1] / bare[-1] == pytest.approx(0.93, abs=0.01)
    assert seen[0] / bare[0] == pytest.approx(1, abs=1e-4)


def test_curve_ends_are_respected() -> None:
    with pytest.raises(PhysicsError, match=r"is outside the curve of hexane: give Q from 0\.3 to 20 Å⁻¹"):
        load_solvent("hexane").intensity(np.array([0.1]), 0.56)


def test_unknown_solvent() -> None:
    assert solvent_names() == ["hexane", "toluene"]
    with pytest.raises(PhysicsError, match="solvent 'water' is unknown: choose from hexane, toluene"):
        load_solvent("water")


def test_molar_masses() -> None:
    """IUPAC: C 12.011, H 1.008."""
    assert load_solvent("toluene").known_molar_mass_g == pytest.approx(7 * 12.011 + 8 * 1.008, abs=0.01)
    assert load_solvent("hexane").known_molar_mass_g == pytest.approx(6 * 12.011 + 14 * 1.008, abs=0.01)


def test_a_measured_solvent(tmp_path: Path) -> None:
    path = tmp_path / "octane.xye"
    path.write_text("# two_theta counts sigma\n10 4 1\n5 2 1\n20 8 1\n")
    solvent = read_solvent(path, 1.0)
    q = 4 * np.pi * np.sin(np.radians([5.0, 7.5]))
    # 4 counts at 10°, and half-way to 20° in Q a little more than at 15°
    assert solvent.intensity(q, 1.0)[0] == pytest.approx(4)
    fraction = (np.sin(np.radians(7.5)) - np.sin(np.radians(5))) / (
        np.sin(np.radians(10)) - np.sin(np.radians(5))
    )
    assert solvent.intensity(q, 0.5)[1] == pytest.approx(4 + 4 * fraction)
    assert solvent.name == "octane"
    with pytest.raises(PhysicsError, match="octane has no molar mass, so it cannot be mixed by weight"):
        _ = solvent.known_molar_mass_g


def test_a_solvent_that_was_subtracted(tmp_path: Path) -> None:
    (tmp_path / "nothing.xy").write_text("1 -4\n2 2\n3 1\n")
    with pytest.raises(
        PhysicsError,
        match=r"nothing.xy has a mean intensity of -0\.3333, which must be above 0: subtract only",
    ):
        read_solvent(str(tmp_path / "nothing.xy"), 1.0, "q")
