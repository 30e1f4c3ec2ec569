"""``qd.refine`` and ``qdsizer-stream refine``: files, cache, materials, tables, errors."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qdsizer_stream as qd
from qdsizer_stream.errors import ConfigurationError, PatternError, PhysicsError
from qdsizer_stream.fitting import phase_curves
from qdsizer_stream.patterns import FWHM_PER_SD, Axis, Pattern, two_theta_from_q
from qdsizer_stream.simulation import (
    averaged_sphere_pairs,
    form_factors,
    load_material,
    pattern_sums,
    structure_sums,
)

pytestmark = pytest.mark.slow

SHORT = {"energy": "22.14 keV", "q_range": (1.2, 4.8)}
"""A short range of Q, whose templates are made sooner."""

Steps = list[tuple[str, int, int]]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def cached(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Templates that all tests here share."""
    monkeypatch.setenv("QDSIZER_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def good(frame: Callable[..., tuple]) -> tuple:
    return frame(20, mean=4.0, dispersion=0.1, fraction=0.7, part=0.2, photons=1e4, strain=0.002)


@pytest.fixture
def saved(good: tuple, tmp_path: Path) -> Path:
    """The pattern as a file of angles."""
    pattern = good[0]
    path = tmp_path / "pattern.xye"
    angles = two_theta_from_q(pattern.q_inv_angstrom, 0.56)
    np.savetxt(path, np.column_stack([angles, pattern.intensity, pattern.sigma]))
    return path


def test_a_file_is_refined(cached: Path, good: tuple, saved: Path) -> None:
    truth = good[1]
    refined = qd.refine(saved, wavelength=0.56)
    fit = refined.fit
    assert fit.mass_mean_nm == pytest.approx(truth.mass_mean_nm, abs=3 * fit.mass_mean_sd_nm)
    assert fit.number_mean_nm == pytest.approx(truth.number_mean_nm, abs=3 * fit.number_mean_sd_nm)
    assert fit.lattice_parameter_angstrom == pytest.approx(5.934 * 1.002, abs=0.0015)
    assert fit.b_angstrom2["Pb"] == pytest.approx(1.3, abs=3 * fit.b_sd_angstrom2["Pb"])
    assert refined.literature.correlated_angstrom2 == 0
    assert refined.literature.chi2 > fit.chi2
    assert str(refined).startswith(f"mass-weighted mean {fit.mass_mean_nm:.3f} ± ")
    assert refined.notes == ()


@pytest.fixture
def beside_lead(good: tuple) -> tuple[Pattern, Any]:
    """The good frame with lead of 4 nm, clusters of one size, in 8 % of the mean intensity."""
    pattern, truth = good
    q, lead = pattern.q_inv_angstrom, load_material("Pb")
    table = averaged_sphere_pairs(lead, np.array([40.0]))
    curve = pattern_sums(lead, table, structure_sums(table, q), q, form_factors(lead, q, 0.56))[:, 0]
    mean = pattern.intensity.mean() * 0.08 / 0.92
    observed = pattern.intensity + np.random.default_rng(0).poisson(mean * curve / curve.mean())
    return Pattern(q, observed, np.sqrt(np.maximum(observed, 1)), pattern.mask), truth


def test_other_crystals_beside_the_dots(cached: Path, beside_lead: tuple[Pattern, Any]) -> None:
    pattern, truth = beside_lead
    without = qd.refine(pattern, wavelength=0.56).fit
    fit = qd.refine(pattern, wavelength=0.56, phases=("Pb", "ice")).fit
    assert fit.shares["Pb"] == pytest.approx(0.08, abs=0.012)
    assert fit.shares["Pb"] == pytest.approx(0.08, abs=4 * fit.share_sds["Pb"] + 0.004)
    assert fit.shares["ice"] < 0.02
    assert sum(fit.shares.values()) == pytest.approx(1)
    assert fit.chi2 < 0.2 * without.chi2
    assert fit.mass_mean_nm == pytest.approx(truth.mass_mean_nm, abs=4 * fit.mass_mean_sd_nm)
    assert abs(fit.mass_mean_nm - truth.mass_mean_nm) < abs(without.mass_mean_nm - truth.mass_mean_nm)
    assert list(fit.curves) == ["nanocrystals", "disordered", "solvent", "background", "Pb", "ice"]
    np.testing.assert_allclose(fit.curves["Pb"].mean() / fit.fitted.mean(), fit.shares["Pb"])


def test_other_crystals_are_as_wide_as_the_instrument_shows_them() -> None:
    q = np.arange(1.0, 8.0, 0.01)
    sharp, wide = (phase_curves(("Pb",), q, 0.56, 0.0, fwhm)["Pb"] for fwhm in (0.0, 0.4))
    assert sharp.shape == wide.shape == (5, q.size)
    np.testing.assert_allclose(sharp.mean(axis=1), 1)
    # The largest: brute-force convolution with a Gaussian of constant width in 2θ.
    sd = np.radians(0.4) * 2 * np.pi / 0.56 * np.sqrt(1 - (0.56 * q / (4 * np.pi)) ** 2) / FWHM_PER_SD
    kernel = np.exp(-0.5 * ((q[:, None] - q) / sd[:, None]) ** 2)
    inside = (q > 1.5) & (q < 7.5)
    blurred = kernel @ sharp[-1] / kernel.sum(axis=1)
    np.testing.assert_allclose(wide[-1][inside], blurred[inside], rtol=0.02)


def test_an_unknown_crystal_beside_the_dots(cached: Path, good: tuple) -> None:
    with pytest.raises(PhysicsError, match="material 'Pbx' is unknown: choose from"):
        qd.refine(good[0], wavelength=0.56, phases=("Pbx",))


def test_command_shows_other_crystals(
    run, cached: Path, beside_lead: tuple[Pattern, Any], tmp_path: Path
) -> None:
    pattern = beside_lead[0]
    file, picture = tmp_path / "pattern.xye", tmp_path / "fit.png"
    np.savetxt(file, np.column_stack([pattern.q_inv_angstrom, pattern.intensity, pattern.sigma]))
    code, out, _ = run(
        "refine", file, "--axis", "q", "--wavelength", 0.56, "--phase", "Pb", "--picture", picture
    )
    assert code == 0
    assert json.loads(out)["fit"]["shares"]["Pb"] == pytest.approx(0.08, abs=0.012)
    assert picture.stat().st_size > 20_000


def test_the_second_fit_simulates_nothing(cache: Path, saved: Path) -> None:
    steps: Steps = []
    first = qd.refine(saved, **SHORT, progress=lambda *step: steps.append(step))
    assert steps[0] == ("pair distances", 0, 5)
    assert len(list(cache.glob("templates-*.npz"))) == 2
    assert not list(cache.glob(".*"))
    steps.clear()
    again = qd.refine(saved, **SHORT, progress=lambda *step: steps.append(step))
    assert steps == []
    assert again.fit.number_mean_nm == first.fit.number_mean_nm
    # A file cut short, as by a full disk, is made again.
    for path in cache.glob("templates-*.npz"):
        path.write_bytes(path.read_bytes()[:1000])
    assert qd.refine(saved, **SHORT).fit.number_mean_nm == first.fit.number_mean_nm


def test_a_cache_that_cannot_be_written(good: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QDSIZER_CACHE", str(tmp_path / "file"))
    refined = qd.refine(good[0], wavelength=0.56, q_range=(1.2, 4.8))
    assert refined.fit.number_mean_nm == pytest.approx(4.0, abs=0.2)
    assert [note for note in refined.notes if "could not be stored in" in note]
    assert "name another folder in QDSIZER_CACHE" in refined.notes[-1]


def test_pattern_without_wavelength_and_range(cached: Path, good: tuple) -> None:
    refined = qd.refine(good[0], q_range=(1.5, 7.0))
    assert refined.notes == ("no wavelength is given: dispersion corrections are those at 0.56 Å",)
    assert refined.q_limits_inv_angstrom == pytest.approx((1.5, 7.0), abs=0.02)
    numbers = json.loads(json.dumps(refined.to_dict()))
    assert numbers["fit"]["number_mean_nm"] == refined.fit.number_mean_nm
    assert numbers["q_limits_inv_angstrom"] == list(refined.q_limits_inv_angstrom)
    assert "curves" not in numbers["literature"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"wavelength": 0.56, "energy": "22 keV"}, ConfigurationError, "are both given: give one of the two"),
        ({"material": "Pb0"}, PhysicsError, "material 'Pb0' is unknown"),
        ({"q_range": (7.0, 1.5)}, ConfigurationError, "range of Q 7 to 1.5 Å⁻¹: give two ascending values"),
        ({"q_range": (2.0, 2.3)}, PatternError, r"\d+ bins of 0.01 Å⁻¹ between 2 and 2.3 .* at least 60"),
        ({"fwhm_deg": 5.0}, ConfigurationError, r"instrument FWHM 5°: give 0 to 2 degrees"),
    ],
)
def test_errors(cached: Path, good: tuple, settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        qd.refine(good[0], **settings)


def test_a_pattern_without_points(cached: Path) -> None:
    q = np.linspace(1, 8, 500)
    empty = Pattern(q, np.full(500, np.nan), np.ones(500), np.ones(500, bool))
    with pytest.raises(PatternError, match="no usable point"):
        qd.refine(empty)


def test_a_short_solvent(cached: Path, good: tuple, tmp_path: Path) -> None:
    path = tmp_path / "solvent.txt"
    np.savetxt(path, np.column_stack([np.linspace(1, 5, 100), np.ones(100)]))
    with pytest.raises(PatternError, match=r"solvent .* covers 1 to 5 Å⁻¹, the fit needs 1 to 7.99 Å⁻¹"):
        qd.refine(good[0], solvent=path)


def test_command(run, cached: Path, saved: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "fit.png"
    code, out, err = run("refine", saved, "--wavelength", "0.56", "--picture", picture)
    assert code == 0, err
    fit = json.loads(out)["fit"]
    assert fit["number_mean_nm"] == pytest.approx(4.0, abs=0.1)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    code, _, err = run("refine", saved, "--wavelength", "0.56", "--q-min", "2")
    assert (code != 0, "give both or neither" in err) == (True, True)


def test_table_has_both_conventions(run, cached: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "100"}.items():  # as in a terminal
        monkeypatch.setenv(name, value)
    code, out, err = run("refine", saved, "--wavelength", "0.56")
    assert code == 0, err
    text = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert re.search(r"mass-weighted mean \(nm\)\s+│\s+\d\.\d+ ± 0\.\d+ │\s+\d\.\d+ ± 0\.\d+", text)
    assert re.search(r"all physics ┃ +literature", text)
    assert re.search(r"correlated motion A \(Å²\)\s+│\s+\d\.\d+ ± \d\.\d+ │\s+–", text)
    assert max(map(len, text.splitlines())) <= 80


def test_patterns_of_another_program(cached: Path, evaluation_only: Path) -> None:
    """23 patterns simulated from ideal spheres: the literature convention is theirs."""
    errors, whole = [], []
    files = sorted((evaluation_only / "debussy_patterns").glob("*.csv"))
    for path in files:
        truth = float(re.search(r"Avg([\d.]+)_", path.name)[1])
        refined = qd.refine(path, wavelength=0.56, axis=Axis.Q)
        errors.append(abs(refined.literature.number_mean_nm - truth))
        whole.append(abs(refined.fit.number_mean_nm - truth))
    assert len(errors) == 23
    assert np.mean(errors) <= 0.055
    assert max(errors) <= 0.25
    assert np.mean(whole) <= 0.08


def test_points_that_are_averages_are_compared_with_averages(cached: Path, good: tuple) -> None:
    # Averages over 0.12 Å⁻¹ widen the peaks as smaller dots do, unless they are known to be averages.
    pattern, width = good[0], 0.12
    q = pattern.q_inv_angstrom
    kernel = np.ones(max(round(width / float(np.median(np.diff(q)))), 1))
    smooth = np.convolve(pattern.intensity, kernel / kernel.size, "same")
    averaged = Pattern(q, smooth, pattern.sigma, pattern.mask)
    whole = qd.refine(pattern, **SHORT).fit.mass_mean_nm
    unknown = qd.refine(averaged, **SHORT).fit.mass_mean_nm
    known = qd.refine(averaged, **SHORT, averaged_inv_angstrom=width).fit.mass_mean_nm
    assert unknown < whole - 0.05
    assert abs(known - whole) < 0.4 * (whole - unknown)
