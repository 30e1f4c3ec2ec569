"""Other crystals beside the dots: found, reported, and allowed for in the intervals."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import crystal_patterns, load_material, load_solvent
from qdsizer_stream.sizing import Sizer, Status

Q = np.arange(1.0, 12.0, 0.01)
WAVELENGTH = 0.56


def curve(material: str, mean_nm: float) -> NDArray[np.float64]:
    pattern = crystal_patterns(load_material(material), Q, np.array([mean_nm]), 0.1, WAVELENGTH)[0]
    return np.asarray(pattern / pattern.mean())


@pytest.fixture(scope="module")
def expected() -> NDArray[np.float64]:
    """Dots of 4.5 nm in toluene."""
    toluene = load_solvent("toluene").intensity(Q, WAVELENGTH)
    return 0.6 * curve("PbS", 4.5) + 0.4 * toluene / toluene.mean()


@pytest.fixture(scope="module")
def sizer() -> Sizer:
    return Sizer(model="pbs", texture=False)


def counted(expected: NDArray[np.float64], seed: int = 0) -> Pattern:
    counts = np.random.default_rng(seed).poisson(2e4 * expected).astype(float)
    return Pattern.from_arrays(Q, counts)


def test_the_model_has_by_products(sizer: Sizer) -> None:
    templates = sizer.model.templates
    assert dict.fromkeys(templates.phase_names) == dict.fromkeys(
        ("Pb", "PbO-litharge", "PbSO4", "CdS-zincblende", "CdS-wurtzite", "PbSe", "ice")
    )
    lead = templates.phases[templates.phase_names.index("Pb")]
    # (111) of lead, of the smallest crystals.
    near = (templates.q_inv_angstrom > 1.8) & (templates.q_inv_angstrom < 2.7)
    peak = templates.q_inv_angstrom[near][np.argmax(lead[near])]
    assert peak == pytest.approx(2 * np.pi / 2.858, abs=0.05)
    np.testing.assert_allclose(templates.phases.mean(axis=1), 1, rtol=0.02)


@pytest.mark.slow
def test_dots_alone(sizer: Sizer, expected: NDArray[np.float64]) -> None:
    examined = sizer.examine(counted(expected), resolution_inv_angstrom=0.0)
    assert examined.estimate.status is Status.SIZED
    assert examined.estimate.phases == ""
    assert examined.warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize(("material", "fraction"), [("Pb", 0.03), ("PbSO4", 0.05), ("ice", 0.04)])
def test_a_by_product(sizer: Sizer, expected: NDArray[np.float64], material: str, fraction: float) -> None:
    frame = counted((1 - fraction) * expected + fraction * curve(material, 4.0))
    examined = sizer.examine(frame, resolution_inv_angstrom=0.0)
    estimate, fit = examined.estimate, examined.fit
    assert fit is not None
    assert [phase.name for phase in fit.phases] == [material]
    # The diffuse part of a crystal looks like background: within a factor of two.
    assert fraction / 2 < fit.phases[0].fraction < 2 * fraction
    assert estimate.status is Status.SIZED
    assert estimate.phases == f"{material} {fit.phases[0].fraction:.0%}"
    assert f"beside the nanocrystals: {estimate.phases} of the mean intensity" in examined.warnings
    assert estimate.size_low_nm < 4.5 < estimate.size_high_nm
    alone = sizer.size(counted(expected), resolution_inv_angstrom=0.0)
    wider = (estimate.mass_mean_high_nm - estimate.mass_mean_low_nm) / estimate.mass_mean_nm
    assert wider > 1.2 * (alone.mass_mean_high_nm - alone.mass_mean_low_nm) / alone.mass_mean_nm
    assert estimate.mass_mean_shared_sd_nm > alone.mass_mean_shared_sd_nm


def test_a_frame_that_is_rejected_for_a_by_product_names_it(
    sizer: Sizer, expected: NDArray[np.float64]
) -> None:
    estimate = sizer.size(counted(0.6 * expected + 0.4 * curve("Pb", 6.0)), resolution_inv_angstrom=0.0)
    assert estimate.status is Status.OUT_OF_DOMAIN
    assert estimate.phases.startswith("Pb ")
    assert estimate.reason.endswith(f"; beside the nanocrystals: {estimate.phases} of the mean intensity")


def test_the_same_with_the_width_of_the_instrument(sizer: Sizer, expected: NDArray[np.float64]) -> None:
    """Curves of other crystals are blurred as the instrument blurs them."""
    sd = 0.08 / np.sqrt(8 * np.log(2))
    kernel = np.exp(-0.5 * (np.arange(-20, 21) * 0.01 / sd) ** 2)
    mixture = 0.95 * expected + 0.05 * curve("Pb", 10.0)
    blurred = np.convolve(np.pad(mixture, 20, mode="edge"), kernel / kernel.sum(), mode="valid")
    examined = sizer.examine(counted(blurred), resolution_inv_angstrom=0.08)
    assert examined.fit is not None
    assert [phase.name for phase in examined.fit.phases] == ["Pb"]
    told_sharp = sizer.examine(counted(blurred), resolution_inv_angstrom=0.0)
    assert told_sharp.fit is not None
    assert examined.fit.misfit < told_sharp.fit.misfit


@pytest.mark.slow
def test_a_model_without_curves_of_other_crystals_looks_for_none(expected: NDArray[np.float64]) -> None:
    bare = Sizer(model="pbs-paper")
    assert bare.model.templates.phase_names == ()
    mixture = counted(0.9 * expected + 0.1 * curve("Pb", 4.0))
    assert bare.size(replace(mixture)).phases == ""
