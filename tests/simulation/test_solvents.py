import numpy as np
import pytest

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import load_solvent, mix_by_area, solvent_names

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
    with pytest.raises(PhysicsError, match=r"leaves the curve of hexane \(0\.3 … 20 Å⁻¹\)"):
        load_solvent("hexane").intensity(np.array([0.1]), 0.56)


def test_unknown_solvent() -> None:
    assert solvent_names() == ["hexane", "toluene"]
    with pytest.raises(PhysicsError, match="solvent 'water' is unknown: choose from hexane, toluene"):
        load_solvent("water")


def test_area_fractions_are_areas() -> None:
    dots, solvent = np.array([[4.0, 0.0], [0.0, 8.0]]), np.array([1.0, 1.0])
    mixed = mix_by_area(dots, solvent, 0.25)
    np.testing.assert_allclose(mixed, [[1.25, 0.75], [0.75, 1.25]])
    np.testing.assert_allclose(mixed.mean(axis=1), 1)
