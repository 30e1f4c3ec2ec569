"""Blur on a grid against the Gaussian's own transform, and the widths of instruments."""

import numpy as np
import pytest
from pydantic import ValidationError

from qdsizer_stream.patterns import blur_matrix, blur_reach_bins, two_theta_from_q
from qdsizer_stream.simulation import ResolutionRanges

WAVELENGTH = 0.56
Q = np.linspace(1, 15, 29)
ANGLES = two_theta_from_q(Q, WAVELENGTH)
HALF = np.radians(ANGLES) / 2
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("longest", [60.0, 210.0])
@pytest.mark.parametrize("step", [0.0028, 0.01])
@pytest.mark.parametrize("kind", ["constant", "growing", "none"])
def test_blur_is_the_gaussian(longest: float, step: float, kind: str) -> None:
    """Σ a sin(Qd) becomes Σ a sin(Qd) exp(-σ²d²/2), σ that of the bin, for distances of a sphere's pairs."""
    q = np.arange(1.0, 6.0, step)
    sd = {
        "constant": np.full(q.size, 0.0425),
        "growing": np.linspace(0.0, 0.05, q.size),
        "none": np.zeros(q.size),
    }[kind]
    before = after = blur_reach_bins(0.05, step, 0.0)
    wide = q[0] + step * np.arange(-before, q.size + after)
    d = np.linspace(2.5, longest, 400)
    x = d / longest
    amplitude = d * (1 - 1.5 * x + 0.5 * x**3) * np.random.default_rng(1).uniform(0, 1, d.size)
    amplitude /= np.sqrt(np.sum(amplitude**2) / 2)
    found = blur_matrix(sd, step, longest, before, after) @ (np.sin(np.outer(wide, d)) @ amplitude)
    expected = (np.sin(np.outer(q, d)) * np.exp(-0.5 * np.outer(sd, d) ** 2)) @ amplitude
    np.testing.assert_allclose(found, expected, atol=3e-3 if longest * step > 1 else 5e-4)
    if kind == "none":
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_blur_keeps_a_level_and_needs_few_weights() -> None:
    matrix = blur_matrix(np.full(5000, 0.0425), 0.0028, 210.0, 100, 100)
    np.testing.assert_allclose(matrix @ np.ones(5200), 1, rtol=1e-6)
    assert matrix.nnz / 5000 < 25  # a Gaussian of 15 bins would have more than 120


def test_constant_width() -> None:
    fwhm = ResolutionRanges(fwhm_inv_angstrom=(0.03, 0.03)).drawn_fwhm(RNG, ANGLES, WAVELENGTH)
    np.testing.assert_allclose(fwhm, 0.03)


def test_caglioti() -> None:
    """Finite differences of Q over the width in 2θ."""
    ranges = ResolutionRanges(
        caglioti_u_deg2=(0.04, 0.04), caglioti_w_deg2=(0.01, 0.01), caglioti_v_ratio=(-0.5, -0.5)
    )
    tangent = np.tan(HALF)
    width_deg = np.sqrt(0.04 * tangent**2 - 0.5 * 2 * 0.02 * tangent + 0.01)
    low, high = (4 * np.pi / WAVELENGTH * np.sin(HALF + s * np.radians(width_deg) / 4) for s in (-1, 1))
    np.testing.assert_allclose(ranges.drawn_fwhm(RNG, ANGLES, WAVELENGTH), high - low, rtol=1e-5)


def test_width_in_angle_and_bandwidth() -> None:
    in_angle = ResolutionRanges(fwhm_deg=(0.1, 0.1)).drawn_fwhm(RNG, ANGLES, WAVELENGTH)
    np.testing.assert_allclose(in_angle, np.radians(0.1) * 2 * np.pi / WAVELENGTH * np.cos(HALF))
    both = ResolutionRanges(fwhm_deg=(0.1, 0.1), bandwidth=(0.01, 0.01), banded=1.0)
    np.testing.assert_allclose(
        both.drawn_fwhm(RNG, ANGLES, WAVELENGTH), np.sqrt(in_angle**2 + (0.01 * Q) ** 2)
    )


def test_no_draw_is_wider_than_the_bound() -> None:
    ranges = ResolutionRanges(
        fwhm_inv_angstrom=(0.002, 0.1),
        fwhm_deg=(0.01, 0.3),
        caglioti_u_deg2=(1e-4, 0.1),
        caglioti_w_deg2=(1e-4, 0.04),
        bandwidth=(0.003, 0.02),
        banded=0.5,
    )
    drawn = np.array([ranges.drawn_fwhm(RNG, ANGLES, WAVELENGTH) for _ in range(400)])
    assert np.all(drawn <= ranges.widest_fwhm(ANGLES, WAVELENGTH))
    # All kinds occur: constant in Q, falling with Q, and growing with it.
    change = drawn[:, -1] / drawn[:, 0]
    assert np.mean(np.abs(change - 1) < 1e-9) > 0.1
    assert np.mean(change < 0.9) > 0.1
    assert np.mean(change > 1.1) > 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no width is given"),
        ({"caglioti_u_deg2": (0.1, 0.2)}, "needs both caglioti_u_deg2 and caglioti_w_deg2"),
        ({"fwhm_deg": (0.1, 0.2), "caglioti_v_ratio": (-1.0, 0.0)}, "V² has to stay below 4 U W"),
        ({"fwhm_deg": (0.1, 0.2), "banded": 0.5}, "0.5 of the frames have a bandwidth: give it"),
    ],
)
def test_widths_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ResolutionRanges.model_validate(settings)
