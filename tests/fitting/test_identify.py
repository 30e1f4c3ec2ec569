"""``qd.identify`` and ``qdsizer-stream identify``: probabilities, what they come to, cache, errors."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qdsizer_stream as qd
from qdsizer_stream.errors import ConfigurationError, PatternError, PhysicsError
from qdsizer_stream.fitting import crystal_curves, identify
from qdsizer_stream.models import load_crystal_curves
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import load_solvent
from qdsizer_stream.sizing import Identity, Sizer

CANDIDATES = ("PbS", "PbSe", "CdSe-zincblende", "ZnSe")


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crystals")


@pytest.fixture
def cached(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QDSIZER_CACHE", str(shared_cache))
    return shared_cache


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
def test_curves_are_simulated_once(cached: Path, frame: Callable[..., tuple]) -> None:
    """What the cache holds is neither made again nor written again."""
    pattern, _ = frame(1, photons=1e3)

    def kept() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in cached.rglob("*") if path.is_file()}

    steps: list[str] = []
    # The package contains the curves for 0.56 Å alone.
    before = identify(
        pattern, CANDIDATES, wavelength_angstrom=0.7, progress=lambda text, *_: steps.append(text)
    )
    assert steps == [*(f"comparing with {name}" for name in CANDIDATES), "done"]

    made = kept()
    assert len(made) >= len(CANDIDATES)
    assert identify(pattern, CANDIDATES, wavelength_angstrom=0.7) == before
    assert identify(pattern, CANDIDATES).material == before.material
    assert kept() == made
    identify(pattern, CANDIDATES, wavelength_angstrom=0.9)  # dispersion corrections differ
    assert len(kept()) > len(made)


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


@pytest.mark.slow
def test_curves_command(run, cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lead.toml").write_text(
        """name = "lead"
space_group = "F m -3 m"
lengths_angstrom = [4.95, 4.95, 4.95]
angles_deg = [90.0, 90.0, 90.0]
lattice_source = "test"
b_source = "test"
diameter_range_nm = [1.5, 20.0]

[[sites]]
element = "Pb"
position = [0.0, 0.0, 0.0]
b_angstrom2 = 2.2
"""
    )
    code, _, err = run("materials", "curves", "lead.toml")
    assert code == 0, err
    assert "lead.npz: curves of lead" in err
    (one,) = load_crystal_curves(["lead.npz"])
    assert one.name == "lead"
    np.testing.assert_allclose(one.curves, crystal_curves("lead.toml").curves, rtol=1e-6)
    assert Sizer(model="pbs", phases=["lead.npz"]).config.phases == ("lead.npz",)
    code, _, err = run("materials", "curves", "lead.toml", "Pb")
    assert code == 1
    assert "2 materials are given: give the file to write, --out" in " ".join(err.split())
