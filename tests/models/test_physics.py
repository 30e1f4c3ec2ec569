import numpy as np
import pytest

from qdsizer_stream.models import PhysicsCheck, load_model
from qdsizer_stream.models._physics import _nonnegative
from qdsizer_stream.patterns import BinGrid, Pattern

GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.02, n_bins=704)
TEMPLATES = load_model("pbs").templates


def counted(expected: np.ndarray, counts: float, seed: int = 0) -> Pattern:
    noisy = np.random.default_rng(seed).poisson(expected * counts)
    return Pattern.from_arrays(GRID.centres, noisy)


def on_grid(curve: np.ndarray, strain: float = 0.0) -> np.ndarray:
    return np.asarray(np.interp(GRID.centres * (1 + strain), TEMPLATES.q_inv_angstrom, curve))


def test_parts_of_a_mixture_are_told_apart() -> None:
    dots, liquid = on_grid(TEMPLATES.dots[6], strain=0.003), on_grid(TEMPLATES.liquids[1])
    fit = PhysicsCheck(TEMPLATES, GRID).fit(
        counted(0.4 * dots + 0.6 * liquid, 3000.0), np.linspace(-0.006, 0.006, 9)
    )
    assert fit.strain == pytest.approx(0.003, abs=0.0008)
    assert fit.dots_share == pytest.approx(0.4, abs=0.03)
    assert fit.residual < 0.01
    assert fit.explained > 0.95
    assert fit.significance > 1e4
    np.testing.assert_allclose(fit.total, 3000 * (0.4 * dots + 0.6 * liquid), rtol=0.1)


def test_a_liquid_alone_needs_no_dots() -> None:
    fit = PhysicsCheck(TEMPLATES, GRID).fit(counted(on_grid(TEMPLATES.liquids[4]), 300.0), np.zeros(1))
    assert fit.significance < 60
    assert fit.dots_share < 0.03


def test_foreign_peaks_stay_unexplained() -> None:
    q = GRID.centres
    peaks = sum(np.exp(-0.5 * ((q - 2 * np.pi * np.sqrt(n) / 4.08) / 0.04) ** 2) for n in (3, 4, 8, 11, 12))
    fit = PhysicsCheck(TEMPLATES, GRID).fit(counted(0.2 + 2 * peaks, 1000.0), np.linspace(-0.008, 0.008, 9))
    assert fit.residual > 0.3


def test_bins_without_data_are_left_alone() -> None:
    pattern = counted(on_grid(TEMPLATES.dots[5]), 1000.0)
    mask = (GRID.centres > 4) & (GRID.centres < 6)
    masked = Pattern.from_arrays(GRID.centres, pattern.intensity, mask=mask)
    fit = PhysicsCheck(TEMPLATES, GRID).fit(masked, np.zeros(1))
    assert np.all(np.isnan(fit.total[mask]))
    assert fit.residual < 0.02


def test_normal_equations_agree_with_plain_least_squares() -> None:
    from scipy.optimize import nnls

    rng = np.random.default_rng(3)
    columns, target = rng.random((8, 200)), rng.random(200)
    expected, _ = nnls(columns.T, target)
    np.testing.assert_allclose(_nonnegative(columns, target), expected, atol=1e-6)
