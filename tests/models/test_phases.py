"""Other crystals beside the dots: found where they explain a misfit, with their fraction."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import nnls

from qdsizer_stream.models import PhaseFraction, found_phases

MIN_FALL, MIN_RELATIVE_FALL, MIN_FRACTION = 20.0, 0.15, 0.01

Q = np.linspace(1, 8, 350)


def comb(first: float, step: float, sd: float) -> NDArray[np.float64]:
    """Equidistant lines with mean 1."""
    lines = np.exp(-0.5 * ((Q[:, None] - np.arange(first, 9, step)) / sd) ** 2).sum(axis=1)
    return np.asarray(lines / lines.mean())


DOTS = comb(2.1, 0.9, 0.12)
SMOOTH = np.array([np.ones(Q.size), np.exp(-Q / 3), np.exp(-0.5 * ((Q - 1.4) / 0.3) ** 2)])
CURVES = np.array([comb(1.7, 1.3, 0.15), comb(1.7, 1.3, 0.06), comb(2.5, 0.7, 0.1), comb(1.3, 1.1, 0.05)])
NAMES = ("lead", "lead", "ice", "oxide")


def frame(photons: float, seed: int | None = None, **fractions: float) -> NDArray[np.float64]:
    """Counts at each point: 60 % dots, the rest background, and these fractions of CURVES, of the mean."""
    rows = {"lead": CURVES[0], "sharp_lead": CURVES[1], "ice": CURVES[2], "oxide": CURVES[3], "line": LINE}
    others = sum(fraction * rows[name] for name, fraction in fractions.items())
    own = 0.6 * DOTS + 0.4 * SMOOTH[1] / SMOOTH[1].mean()
    expected = photons * ((1 - sum(fractions.values())) * own + others)
    return expected if seed is None else np.random.default_rng(seed).poisson(expected).astype(float)


LINE = np.exp(-0.5 * ((Q - 4.123) / 0.01) ** 2)
LINE /= LINE.mean()


def found(counts: NDArray[np.float64]) -> tuple[PhaseFraction, ...]:
    weight = 1 / np.sqrt(np.maximum(counts, 1))
    columns = np.vstack([SMOOTH, DOTS]) * weight
    columns /= np.linalg.norm(columns, axis=1)[:, None]
    target = counts * weight
    amounts, _ = nnls(columns.T, target)
    return found_phases(NAMES, CURVES, columns, target, weight, target - amounts @ columns, amounts > 0)


def test_the_crystal_and_its_fraction() -> None:
    (phase,) = found(frame(1e4, lead=0.08))
    assert phase.name == "lead"
    assert phase.fraction == pytest.approx(0.08, rel=1e-3)
    assert str(phase) == "lead 8%"
    (phase,) = found(frame(1e4, sharp_lead=0.03))
    assert (phase.name, phase.fraction) == ("lead", pytest.approx(0.03, rel=1e-3))


def test_with_noise() -> None:
    fractions = []
    for seed in range(20):
        (phase,) = found(frame(3000, seed, ice=0.05))
        assert phase.name == "ice"
        fractions.append(phase.fraction)
    assert np.mean(fractions) == pytest.approx(0.05, rel=0.05)


def test_noise_alone_is_no_crystal() -> None:
    assert all(found(frame(1e4, seed)) == () for seed in range(200))


def test_two_crystals_and_no_more() -> None:
    phases = found(frame(1e4, lead=0.1, oxide=0.05))
    assert [phase.name for phase in phases] == ["lead", "oxide"]
    assert [phase.fraction for phase in phases] == pytest.approx([0.1, 0.05], rel=1e-3)
    # Of three, the two with most.
    assert len(found(frame(1e5, lead=0.1, oxide=0.05, ice=0.07))) == 2


def test_traces_are_not_reported() -> None:
    assert found(frame(1e7, lead=0.9 * MIN_FRACTION)) == ()
    assert [phase.name for phase in found(frame(1e7, lead=1.1 * MIN_FRACTION))] == ["lead"]


def fall_of(counts: NDArray[np.float64]) -> tuple[float, float]:
    """χ² without lead, and its fall by lead, from the columns themselves."""
    weight = 1 / np.sqrt(np.maximum(counts, 1))
    chi2 = []
    for curves in (np.vstack([SMOOTH, DOTS]), np.vstack([SMOOTH, DOTS, CURVES[0]])):
        chi2.append(nnls((curves * weight).T, counts * weight)[1] ** 2)
    return chi2[0], chi2[0] - chi2[1]


@pytest.mark.parametrize(("photons", "expected"), [(0.93, 0), (1.07, 1)])
def test_threshold_of_the_fall(photons: float, expected: int) -> None:
    """χ² of frames without noise is proportional to the photons."""
    _, fall = fall_of(frame(1000, lead=0.05))
    counts = frame(1000 * photons * MIN_FALL / fall, lead=0.05)
    assert fall_of(counts)[1] == pytest.approx(photons * MIN_FALL, rel=0.02)
    assert len(found(counts)) == expected


def test_a_crystal_that_explains_little_of_a_misfit_is_not_reported() -> None:
    """Lead beside a line of nothing known: reported while it explains 15 % of χ²."""
    seen = []
    for line in np.linspace(0.002, 0.05, 25):
        chi2, fall = fall_of(frame(1e5, lead=0.05, line=line))
        phases = found(frame(1e5, lead=0.05, line=line))
        assert (phases != ()) == (fall >= MIN_RELATIVE_FALL * chi2)
        seen.append(phases != ())
    assert 3 < sum(seen) < 22
