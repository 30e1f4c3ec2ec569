"""``qd.identify`` and ``qdsizer-stream identify``: probabilities, what they come to, cache, errors."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qdsizer_stream as qd
from qdsizer_stream.errors import ConfigurationError, PatternError, PhysicsError
from qdsizer_stream.fitting import Identity, _identify, conclude, identify
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import load_solvent

CANDIDATES = ("PbS", "PbSe", "CdSe-zincblende", "ZnSe")
N = 600
# As the page on identification gives them.
SURE, N_INDEPENDENT, MISFIT_FLOOR = 0.95, 12.0, 0.1
MIN_FALL, MIN_EXPLAINED, MAX_MISFIT = 60.0, 0.85, 6.0


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crystals")


@pytest.fixture
def cached(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QDSIZER_CACHE", str(shared_cache))
    return shared_cache


def test_probabilities_are_a_power_of_chi2() -> None:
    found = conclude({"A": 0.9 * N, "B": 1.9 * N, "C": 0.4 * N}, 50.0 * N, N)
    assert list(found.probabilities) == ["C", "A", "B"]
    assert sum(found.probabilities.values()) == pytest.approx(1)
    odds = ((0.9 + MISFIT_FLOOR) / (0.4 + MISFIT_FLOOR)) ** (-N_INDEPENDENT / 2)
    assert found.probabilities["A"] / found.probabilities["C"] == pytest.approx(odds)
    assert found.misfits == pytest.approx({"C": 0.4, "A": 0.9, "B": 1.9})
    assert found.explained == pytest.approx(1.0)
    assert str(found) == f"C ({found.probabilities['C']:.1%})"


def second_best(probability: float) -> float:
    """χ² of another material with which the best one, of χ² 0.5 per bin, has this probability."""
    return ((0.5 + MISFIT_FLOOR) * (1 / probability - 1) ** (-2 / N_INDEPENDENT) - MISFIT_FLOOR) * N


@pytest.mark.parametrize(
    ("fits", "background", "identity", "text"),
    [
        ({"A": 0.5 * N, "B": second_best(SURE + 0.002)}, 40 * N, Identity.IDENTIFIED, "A (95.2%)"),
        (
            {"A": 0.5 * N, "B": second_best(SURE - 0.002)},
            40 * N,
            Identity.CANNOT_TELL,
            "cannot tell: A 95%, B 5%",
        ),
        (
            {"A": (MAX_MISFIT - 0.1) * N, "B": 900 * N},
            2000 * N,
            Identity.IDENTIFIED,
            "A (100.0%)",
        ),
        (
            {"A": (MAX_MISFIT + 0.1) * N, "B": 900 * N},
            2000 * N,
            Identity.NONE_OF_THESE,
            "none of these materials: A fits best, with χ² 6.1 per bin",
        ),
        (
            {"A": 4.0 * N, "B": 90 * N},
            (1 + 3 / (1 - MIN_EXPLAINED) + 0.2) * N,
            Identity.IDENTIFIED,
            "A (100.0%)",
        ),
        (
            {"A": 4.0 * N, "B": 90 * N},
            (1 + 3 / (1 - MIN_EXPLAINED) - 0.2) * N,
            Identity.NONE_OF_THESE,
            "none of these materials: A fits best, with χ² 4.0 per bin",
        ),
        ({"A": 0.1 * N, "B": 90 * N}, 0.1 * N + MIN_FALL + 1, Identity.IDENTIFIED, "A (100.0%)"),
        (
            {"A": 0.1 * N, "B": 90 * N},
            0.1 * N + MIN_FALL - 1,
            Identity.NO_SIGNAL,
            "no significant signal of any of these materials",
        ),
    ],
)
def test_what_probabilities_come_to(
    fits: dict[str, float], background: float, identity: Identity, text: str
) -> None:
    found = conclude(fits, background, N)
    assert found.identity is identity
    assert str(found) == text
    assert found.material == ("A" if identity is Identity.IDENTIFIED else None)


@pytest.mark.slow
def test_the_material_of_a_frame(cached: Path, frame: Callable[..., tuple]) -> None:
    """Frames with correlated motion, a disordered part and solvent, which the curves do not have."""
    for number in range(4):
        pattern, _ = frame(number, photons=3e3)
        found = identify(pattern, CANDIDATES, wavelength_angstrom=0.56)
        assert found.material == "PbS"
        assert next(iter(found.probabilities)) == "PbS"
        assert found.explained > 0.95
    assert qd.identify(pattern, CANDIDATES, wavelength_angstrom=0.56) == found


@pytest.mark.slow
def test_a_frame_of_another_material(cached: Path, frame: Callable[..., tuple]) -> None:
    pattern, _ = frame(0, photons=3e3)
    assert identify(pattern, ("CdTe", "ZnSe")).identity is Identity.NONE_OF_THESE


@pytest.mark.slow
def test_strained_and_blurred(cached: Path, frame: Callable[..., tuple]) -> None:
    """A strain of half a per cent and a wide instrument do not look like another material."""
    pattern, _ = frame(3, strain=0.005, photons=1e4, blur_deg=0.25, mean=5.0)
    assert identify(pattern, CANDIDATES).material == "PbS"


@pytest.mark.slow
def test_solvent_alone(cached: Path) -> None:
    q = np.linspace(1.0, 8.0, 900)
    counts = np.random.default_rng(0).poisson(load_solvent("hexane").intensity(q, 0.56) * 10)
    found = identify(Pattern.from_arrays(q, counts), CANDIDATES)
    assert found.identity is Identity.NO_SIGNAL
    assert found.material is None


@pytest.mark.slow
def test_curves_are_simulated_once(
    cached: Path, frame: Callable[..., tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern, _ = frame(1, photons=1e3)
    steps: list[str] = []
    before = identify(pattern, CANDIDATES, progress=lambda text, *_: steps.append(text))
    assert steps == [*(f"comparing with {name}" for name in CANDIDATES), "done"]

    def no_simulation(*_: object) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(_identify, "crystal_patterns", no_simulation)
    assert identify(pattern, CANDIDATES) == before
    with pytest.raises(AssertionError, match="simulated again"):  # dispersion corrections differ
        identify(pattern, CANDIDATES, wavelength_angstrom=0.9)


def test_errors(cached: Path) -> None:
    q = np.linspace(1.0, 8.0, 900)
    pattern = Pattern.from_arrays(q, np.full(q.size, 100.0))
    with pytest.raises(ConfigurationError, match="1 materials to compare: give at least two"):
        identify(pattern, ["PbS", "PbS"])
    with pytest.raises(PhysicsError, match="material 'PbX' is unknown: choose from"):
        identify(pattern, ["PbX", "PbS"])
    short = Pattern.from_arrays(np.linspace(1.0, 2.0, 300), np.full(300, 100.0))
    with pytest.raises(
        PatternError, match=r"52 bins of 0.02 Å⁻¹ between 0.9 and 15.3 Å⁻¹ hold data: at least 60"
    ):
        identify(short)


@pytest.mark.slow
def test_command(run, cached: Path, frame: Callable[..., tuple], tmp_path: Path) -> None:
    pattern, _ = frame(2, photons=3e3)
    file = tmp_path / "pattern.xye"
    np.savetxt(file, np.column_stack([pattern.q_inv_angstrom, pattern.intensity, pattern.sigma]))
    options = [option for name in CANDIDATES for option in ("--material", name)]
    code, out, err = run("identify", file, tmp_path / "none.xye", "--axis", "q", *options)
    assert code == 1
    assert "none.xye" in err
    found = json.loads(out)
    assert (found["file"], found["identity"], found["material"]) == (str(file), "identified", "PbS")
    assert found["probabilities"]["PbS"] > 0.95


@pytest.mark.slow
def test_sizes_of_the_material_that_it_is(run, cached: Path, tmp_path: Path) -> None:
    """``predict --material auto`` does not guess where nothing diffracts."""
    q = np.linspace(1.0, 8.0, 900)
    counts = np.random.default_rng(0).poisson(load_solvent("hexane").intensity(q, 0.56) * 10)
    file = tmp_path / "solvent.xy"
    np.savetxt(file, np.column_stack([q, counts]))
    code, _, err = run("predict", file, "--axis", "q", "--material", "auto")
    assert code == 1
    assert "no significant signal of any of these materials. Give --material" in " ".join(err.split())
    code, _, err = run("predict", file, "--raw", "--config", "none.toml", "--material", "auto")
    assert code == 2
    assert "auto needs patterns" in err
