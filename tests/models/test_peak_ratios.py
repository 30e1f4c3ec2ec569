"""Heights of peaks against those that texture and displacement parameters allow."""

import itertools

import numpy as np
import pytest

from qdsizer_stream.models import PeakRatios, RatioMisfit

A_ANGSTROM = 5.934
SQUARES = np.array([3, 4, 8, 11, 12, 16, 19, 20, 24])
PEAKS = 2 * np.pi * np.sqrt(SQUARES) / A_ANGSTROM
NODES = PEAKS[[0, 1, 2, 3, 5, 6, 8]]  # 222 belongs to 311, 420 to 331
RATIOS = PeakRatios(NODES, PEAKS, A_ANGSTROM)
SURE = np.diag(np.full(NODES.size, 1e6))
"""Precision of factors of about 1, so high that only the tolerance is left."""


def march(hkl: tuple[int, int, int], axis: tuple[int, int, int], ratio: float) -> float:
    """March's density at a reflection, averaged over the directions of the axis by symmetry operations."""
    signs = [np.diag(s) for s in np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T]
    turns = [np.eye(3)[list(order)] for order in itertools.permutations(range(3))]
    unit = np.array(hkl) / np.linalg.norm(hkl)
    cosines = [unit @ (s @ t @ np.array(axis)) / np.linalg.norm(axis) for s in signs for t in turns]
    return float(np.mean([(ratio**2 * c**2 + (1 - c**2) / ratio) ** -1.5 for c in cosines]))


def misfit_of(ratios: PeakRatios, factor: np.ndarray, precision: np.ndarray) -> RatioMisfit:
    """That of one frame, in a block with others that must not matter."""
    block = np.array([np.ones_like(factor), factor, np.zeros_like(factor)])
    return ratios.misfits(block, np.array([SURE, precision, 0 * SURE]))[1]


HKL = [(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (4, 0, 0), (3, 3, 1), (4, 2, 2)]


def textured(axis: tuple[int, int, int], ratio: float) -> np.ndarray:
    factor = np.array([march(hkl, axis, ratio) for hkl in HKL])
    factor[3] = (factor[3] + march((2, 2, 2), axis, ratio)) / 2
    factor[5] = (factor[5] + march((4, 2, 0), axis, ratio)) / 2
    return factor


@pytest.mark.parametrize("b_angstrom2", [0.4, 2.4])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_displacement_parameters_are_no_misfit(b_angstrom2: float, scale: float) -> None:
    factor = scale * np.exp(-b_angstrom2 * NODES**2 / (8 * np.pi**2))
    misfit = misfit_of(RATIOS, factor, SURE / scale**2)
    assert misfit.untextured < 0.01
    assert misfit.textured <= misfit.untextured


@pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 0), (1, 1, 1)])
@pytest.mark.parametrize("ratio", [0.55, 1.5])
def test_a_texture_of_one_axis_is_a_misfit_only_without_texture(
    axis: tuple[int, int, int], ratio: float
) -> None:
    factor = textured(axis, ratio) * np.exp(-1.4 * NODES**2 / (8 * np.pi**2))
    misfit = misfit_of(RATIOS, factor, SURE)
    assert misfit.textured < 0.01
    assert misfit.untextured > 1.5


# Squared structure factors over those of PbS, f of Pb and S as 82 and 16: nodes 111, 200, 220, 311, 400.
PBS = {"odd": (82 - 16) ** 2, "even": (82 + 16) ** 2}


@pytest.mark.parametrize(
    ("odd", "twice_odd", "even"),
    [
        ((80**2 + 16**2), (80 - 16) ** 2 * 0.1, (80 + 16) ** 2),  # HgS, zinc blende: 200 and 222 nearly gone
        (82**2, (82 - 18) ** 2, (82 + 18) ** 2),  # PbF2, fluorite
        ((48 - 34) ** 2, (48 + 34) ** 2, (48 + 34) ** 2),  # CdSe as a rock salt: 111 and 311 nearly gone
    ],
    ids=["zinc blende", "fluorite", "rock salt of equals"],
)
def test_other_structures_are_a_misfit(odd: float, twice_odd: float, even: float) -> None:
    factor = np.array([odd, twice_odd, even, odd, even, odd, even], float)
    factor /= [PBS["odd" if node in (0, 3, 5) else "even"] for node in range(7)]
    misfit = misfit_of(RATIOS, factor, SURE)
    assert misfit.untextured > 20
    assert misfit.textured > 6
    assert misfit.textured <= misfit.untextured


@pytest.mark.parametrize("unseen", [[], [0, 3]], ids=["all peaks", "two without data"])
def test_misfit_is_chi2_of_the_nearest_factor_within_the_tolerance(unseen: list[int]) -> None:
    """Against the covariance written out: 10 % of each peak, 20 % smooth over 2.5 Å⁻¹, and the noise."""
    seen = np.delete(np.arange(5), unseen)  # of those below 4.4 Å⁻¹
    nodes = NODES[seen]
    rng = np.random.default_rng(3)
    factors, precision = rng.uniform(0.5, 1.5, 7), np.diag(rng.uniform(20, 200, 7))
    precision[unseen] = 0.0
    factor, h = factors[seen], precision[np.ix_(seen, seen)]
    typical = np.exp(-1.4 * nodes**2 / (8 * np.pi**2))
    scale = (typical @ h @ factor) / (typical @ h @ typical)
    smooth = np.exp(-0.5 * ((nodes[:, None] - nodes) / 2.5) ** 2)
    covariance = np.linalg.inv(h) + scale**2 * np.outer(typical, typical) * (
        0.1**2 * np.eye(seen.size) + 0.2**2 * smooth
    )
    inverse, chi2 = np.linalg.inv(covariance), []
    for b in (-0.6, 0.4, 1.4, 2.4, 3.9):
        shape = np.exp(-b * nodes**2 / (8 * np.pi**2))
        rest = factor - shape * (shape @ inverse @ factor) / (shape @ inverse @ shape)
        chi2.append(rest @ inverse @ rest)
    assert misfit_of(RATIOS, factors, precision).untextured == pytest.approx(min(chi2), rel=1e-6)


def test_factors_within_the_noise_are_no_misfit() -> None:
    factor = np.array([1.0, 0.1, 1.0, 2.0, 0.5, 1.0, 1.0])
    weak = np.diag(np.full(7, 0.5))
    assert misfit_of(RATIOS, factor, weak).untextured < 3 < 20 < misfit_of(RATIOS, factor, SURE).untextured


def test_peaks_without_data_are_left_out() -> None:
    factor = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    seen = np.diag([1e6, 1e6, 0, 0, 0, 0, 0.0])
    assert misfit_of(RATIOS, factor, seen).untextured < 0.2
    assert misfit_of(RATIOS, factor, np.diag([1e6, 0, 0, 0, 0, 0, 0.0])) == RatioMisfit(0.0, 0.0)


@pytest.mark.parametrize("b_angstrom2", [-0.6, 0.4, 1.4, 2.4, 3.9])
def test_displacement_parameters_are_no_misfit_where_peaks_have_no_data(b_angstrom2: float) -> None:
    seen = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    factor = seen * np.exp(-b_angstrom2 * NODES**2 / (8 * np.pi**2))
    assert misfit_of(RATIOS, factor, SURE * seen).untextured == pytest.approx(0.0, abs=1e-6)


def test_a_crystal_that_is_not_cubic_may_have_any_texture() -> None:
    ratios = PeakRatios(NODES, NODES, 4.1)
    factor = np.array([1.0, 0.1, 1.0, 2.0, 0.5, 1.0, 1.0])
    misfit = misfit_of(ratios, factor, SURE)
    assert misfit.textured == 0
    assert misfit.untextured > 20


@pytest.mark.parametrize(("stretch", "cubic"), [(1.009, True), (1.011, False)])
def test_peaks_two_percent_off_the_squares_of_a_cubic_lattice_are_of_another(
    stretch: float, cubic: bool
) -> None:
    peaks = PEAKS.copy()
    peaks[0] *= stretch
    factor = np.array([1.0, 0.1, 1.0, 2.0, 0.5, 1.0, 1.0])
    misfit = misfit_of(PeakRatios(peaks[[0, 1, 2, 3, 5, 6, 8]], peaks, A_ANGSTROM), factor, SURE)
    assert (misfit.textured > 0) is cubic
