"""Positions and Miller indices of the reflections of the dots."""

import math

import numpy as np
import pytest

from qdsizer_stream.models import load_model, reflections

LATTICE = 5.936


def at(*squares: int) -> np.ndarray:
    """Peaks of a cubic lattice by h² + k² + l², from Bragg's law."""
    return 2 * math.pi * np.sqrt(squares) / LATTICE


def test_peaks_of_a_face_centred_cubic_crystal_are_labelled() -> None:
    found = reflections(at(3, 4, 8, 11, 12, 16, 24, 27, 44), LATTICE)
    assert found.labels == ("111", "200", "220", "311", "222", "400", "422", "511/333", "")


def test_the_shipped_model_names_the_peaks_of_lead_sulphide() -> None:
    model = load_model("pbs")
    labels = reflections(model.templates.peaks_inv_angstrom, model.card.lattice_parameter_angstrom).labels
    assert labels[:7] == ("111", "200", "220", "311", "222", "400", "420")


def test_a_crystal_that_is_not_cubic_has_positions_without_labels() -> None:
    found = reflections(at(3, 4, 8) * [1.0, 1.05, 1.1], LATTICE)
    assert found.labels == ("", "", "")
    assert found.q_inv_angstrom.size == 3


def test_overlapping_peaks_have_no_label() -> None:
    assert reflections(at(3, 4, 8, 11) + np.array([0, 0, 0, 0.05]), LATTICE).labels[3] == ""


def test_strain_and_shift_move_them_as_the_fit_does() -> None:
    moved = reflections(at(3, 4, 8), LATTICE).moved(0.01, 0.02)
    # A lattice that is 1 % larger has its peaks at Q/1.01.
    assert moved.q_inv_angstrom == pytest.approx(at(3, 4, 8) / 1.01 + 0.02)
    assert moved.labels == ("111", "200", "220")


def test_the_first_peak_of_a_primitive_cubic_crystal_is_100() -> None:
    assert reflections(at(1, 2, 3, 4), LATTICE).labels == ("100", "110", "111", "200")
