"""Whether a population is called broad: frames of two modes and of one, sized as users size them."""

from typing import Any

import pytest

from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import FrameStream, StreamRecipe
from qdsizer_stream.sizing import SizeEstimate, Sizer, Status

pytestmark = pytest.mark.slow

SPHERES: dict[str, Any] = {
    "structures": {"material": "PbS", "centre_averaged": 1.0, "max_cluster_nm": 13.0},
    "n_structures": 1,
    "grid": {"q_first_inv_angstrom": 0.96, "q_step_inv_angstrom": 0.01, "n_bins": 1408},
    "sources": [{"lines": [{"wavelength_angstrom": 0.56}]}],
    "mean_diameter_nm": (3.0, 5.0),
    "dispersion": (0.06, 0.14),
    "b_angstrom2": (1.2, 1.6),
    "correlated_motion": (0.8, 1.0),
    "disordered_nm": (0.1, 0.3),
    "area_fraction": (0.6, 0.9),
    "known_solvents": ["toluene"],
    "counts_per_bin": (3e4, 1e5),
    "q_low_inv_angstrom": (1.0, 1.0),
    "q_high_inv_angstrom": (14.0, 14.0),
}
TWO_MODES = {"kinds": ["two-modes"], "mode_ratio": (2.0, 2.3), "mode_dispersion": (0.05, 0.1)}


def sized(**settings: Any) -> list[tuple[SizeEstimate, float]]:
    """Estimates of the frames that were sized, and their true dispersions."""
    recipe = StreamRecipe.model_validate({**SPHERES, **settings})
    batch, sizer = FrameStream(recipe, 5).batch(32), Sizer(model="pbs")
    frames = zip(batch.intensity, batch.sigma, batch.mask, batch.dispersion, strict=True)
    pairs = [
        (sizer.size(Pattern(recipe.grid.centres, *frame), resolution_inv_angstrom=0.0), dispersion)
        for *frame, dispersion in frames
    ]
    return [pair for pair in pairs if pair[0].status is Status.SIZED]


def test_two_modes_are_called_broad() -> None:
    estimates = sized(distributions=TWO_MODES)
    assert len(estimates) >= 8
    called = [dispersion for estimate, dispersion in estimates if estimate.population]
    assert len(called) >= len(estimates) / 3
    assert min(called) > 0.15
    assert {estimate.population for estimate, _ in estimates} <= {"", "broad or two modes"}
    for estimate, _ in estimates:
        assert (estimate.population != "") == (estimate.dispersion_low > 0.15)


def test_narrow_populations_are_not() -> None:
    estimates = sized()
    assert len(estimates) >= 28
    assert {estimate.population for estimate, _ in estimates} == {""}
