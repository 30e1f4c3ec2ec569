"""Comparison of frames with several materials: probabilities, and what a sizer does with them."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.errors import ConfigurationError, ModelError
from qdsizer_stream.models import CRYSTAL_Q_INV_ANGSTROM, CRYSTAL_SIZES_NM, load_crystal_curves
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import load_solvent
from qdsizer_stream.sizing import Identity, MaterialComparison, Sizer, Status, conclude, other_material

MATERIALS = ("PbS", "PbSe", "CdSe-zincblende")
N = 600
# As the record on named materials gives them.
SURE, N_INDEPENDENT, MISFIT_FLOOR = 0.95, 12.0, 0.1
MIN_FALL, MIN_EXPLAINED, MAX_MISFIT = 60.0, 0.85, 6.0
Q = np.arange(1.0, 12.0, 0.01)


def test_probabilities_are_a_power_of_chi2() -> None:
    found = conclude({"A": 0.9 * N, "B": 1.9 * N, "C": 0.4 * N}, 50.0 * N, N)
    assert list(found.probabilities) == ["C", "A", "B"]
    assert sum(found.probabilities.values()) == pytest.approx(1)
    odds = ((0.9 + MISFIT_FLOOR) / (0.4 + MISFIT_FLOOR)) ** (-N_INDEPENDENT / 2)
    assert found.probabilities["A"] / found.probabilities["C"] == pytest.approx(odds)
    assert found.misfits == pytest.approx({"C": 0.4, "A": 0.9, "B": 1.9})
    assert found.explained == pytest.approx(1.0)
    assert str(found) == f"C ({found.probabilities['C']:.1%})"


def test_errors_of_the_dots_are_allowed_for() -> None:
    """9 % of dots whose mean square is 400 times that of the errors are 3.24 of χ² per bin."""
    found = conclude({"A": 0.4 * N, "B": 2.5 * N}, 400.0 * N, N, dots=400.0)
    floor = MISFIT_FLOOR + 0.09**2 * 400
    odds = ((2.5 + floor) / (0.4 + floor)) ** (-N_INDEPENDENT / 2)
    assert found.probabilities["B"] / found.probabilities["A"] == pytest.approx(odds)
    assert found.identity is Identity.CANNOT_TELL
    assert conclude({"A": 0.4 * N, "B": 2.5 * N}, 400.0 * N, N).identity is Identity.IDENTIFIED


@pytest.mark.parametrize(("other", "identity"), [("InP", Identity.CANNOT_TELL), ("PbS", Identity.IDENTIFIED)])
def test_many_photons_do_not_tell_crystals_of_the_same_lattice_apart(other: str, identity: Identity) -> None:
    (crystal,) = load_crystal_curves(["CdS-zincblende"])
    dots = np.interp(Q, CRYSTAL_Q_INV_ANGSTROM, crystal.curves[6])
    pattern = Pattern.from_arrays(Q, np.random.default_rng(0).poisson(1e6 * dots).astype(float))
    found = MaterialComparison(load_crystal_curves(["CdS-zincblende", other])).compare(pattern)
    assert found.identity is identity


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


def counted(material: str, mean_nm: float, photons: float = 2e4) -> Pattern:
    """A frame of nanocrystals in toluene."""
    (crystal,) = load_crystal_curves([material])
    row = int(np.argmin(np.abs(CRYSTAL_SIZES_NM - mean_nm)))
    dots: NDArray[np.float64] = np.interp(Q, CRYSTAL_Q_INV_ANGSTROM, crystal.curves[row])
    toluene = load_solvent("toluene").intensity(Q, 0.56)
    expected = 0.6 * dots / dots.mean() + 0.4 * toluene / toluene.mean()
    return Pattern.from_arrays(Q, np.random.default_rng(0).poisson(photons * expected).astype(float))


@pytest.fixture(scope="module")
def sizer() -> Sizer:
    return Sizer(model="pbs", materials=MATERIALS, texture=False)


def test_the_material_of_a_curve() -> None:
    comparison = MaterialComparison(load_crystal_curves(MATERIALS))
    assert comparison.names == MATERIALS
    for material in MATERIALS:
        found = comparison.compare(counted(material, 4.5))
        assert (found.identity, found.material) == (Identity.IDENTIFIED, material)


def test_three_photons_per_point_show_crystals_and_a_solvent_shows_none() -> None:
    comparison = MaterialComparison(load_crystal_curves(MATERIALS))
    assert comparison.compare(counted("PbS", 4.5, photons=3.0)).identity is Identity.CANNOT_TELL
    toluene = load_solvent("toluene").intensity(Q, 0.56)
    photons = np.random.default_rng(0).poisson(100 * toluene / toluene.mean()).astype(float)
    assert comparison.compare(Pattern.from_arrays(Q, photons)).identity is Identity.NO_SIGNAL


def test_points_outside_the_range_are_not_compared() -> None:
    """Below 0.9 Å⁻¹ is small-angle scattering, and beyond 15.3 Å⁻¹ no file of curves reaches."""
    comparison = MaterialComparison(load_crystal_curves(MATERIALS[:2]))
    pattern = counted("PbS", 4.5)
    below, above = np.arange(0.5, 0.899, 0.01), np.arange(15.31, 18.0, 0.01)
    longer = Pattern.from_arrays(
        np.concatenate([below, pattern.q_inv_angstrom, above]),
        np.concatenate([np.full(below.size, 1e7), pattern.intensity, np.full(above.size, 1e6)]),
    )
    assert comparison.compare(longer) == comparison.compare(pattern)


def test_a_frame_of_the_model(sizer: Sizer) -> None:
    examined = sizer.examine(counted("PbS", 4.5), resolution_inv_angstrom=0.0)
    assert examined.estimate.status is Status.SIZED
    assert examined.identification is not None
    assert examined.estimate.material == str(examined.identification)
    assert examined.estimate.material.startswith("PbS (")
    assert examined.checks[-1].name == "probability of another material"
    others = [p for name, p in examined.identification.probabilities.items() if name != "PbS"]
    assert examined.checks[-1].value == max(others)
    assert "PbS (" in examined.estimate._repr_html_()


def test_a_frame_of_another_material_is_rejected_and_named(sizer: Sizer) -> None:
    examined = sizer.examine(counted("PbSe", 4.5), resolution_inv_angstrom=0.0)
    assert examined.estimate.status is Status.OUT_OF_DOMAIN
    assert "the frame is of PbSe (" in examined.estimate.reason
    assert examined.estimate.reason.endswith("%), not of PbS")
    assert examined.estimate.material.startswith("PbSe (")


def test_another_material_alone_rejects_a_frame() -> None:
    """The check itself, where all others pass: a threshold of 95 %."""
    other = conclude({"A": 0.5 * N, "B": second_best(SURE + 0.002)}, 40 * N, N)
    assert other_material(other, "A").passed
    failed = other_material(other, "B")
    assert failed.status is Status.OUT_OF_DOMAIN
    assert failed.message == "the frame is of A (95.2%), not of B"
    assert failed.threshold == "≤ 0.95"
    unsure = conclude({"A": 0.5 * N, "B": second_best(SURE - 0.002)}, 40 * N, N)
    assert other_material(unsure, "B").passed
    nothing = conclude({"A": 0.5 * N, "B": 90 * N}, 0.5 * N + 1, N)
    assert other_material(nothing, "B").value == 0


def test_without_materials_nothing_is_compared() -> None:
    examined = Sizer(model="pbs").examine(counted("PbS", 4.5), resolution_inv_angstrom=0.0)
    assert examined.identification is None
    assert examined.estimate.material == ""


def test_other_crystals_of_the_settings() -> None:
    dots, oxide = counted("PbS", 4.5), counted("ZnS-zincblende", 4.5)
    both = Pattern.from_arrays(Q, dots.intensity + np.round(0.1 * oxide.intensity))
    unknown = Sizer(model="pbs").size(both, resolution_inv_angstrom=0.0)
    assert "ZnS" not in unknown.phases
    known = Sizer(model="pbs", phases=["ZnS-zincblende", "Pb"]).size(both, resolution_inv_angstrom=0.0)
    assert known.phases.startswith("ZnS-zincblende ")


@pytest.mark.slow
def test_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"only PbS is given: give at least two materials"):
        Sizer(model="pbs", materials=["PbS"])
    with pytest.raises(
        ConfigurationError, match=r"materials to compare are PbSe, InP, but the model sizes PbS: add it"
    ):
        Sizer(model="pbs", materials=["PbSe", "InP"])
    with pytest.raises(ModelError, match=r"crystal 'PbX' is unknown: choose .*PbS.*, or give a file of"):
        Sizer(model="pbs", phases=["PbX"])
    with pytest.raises(
        ModelError, match=r"'oxide.cif' has no curves yet: simulate its curves once with: qdsizer-stream "
    ):
        Sizer(model="pbs", phases=["oxide.cif"])
    with pytest.raises(ModelError, match=r"cannot read crystal curves .*none.npz: No such file"):
        Sizer(model="pbs", phases=[str(tmp_path / "none.npz")])
    with pytest.raises(ModelError, match=r"crystal Pb is given twice"):
        Sizer(model="pbs", phases=["Pb", "Pb"])
