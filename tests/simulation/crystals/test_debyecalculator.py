"""Comparison with DebyeCalculator, an independent program, if it is installed."""

import warnings

import numpy as np
import pytest

from qdsizer_stream.simulation.crystal import load_material, sphere
from qdsizer_stream.simulation.scattering import pair_table, pattern_sums, structure_sums

from .brute_force import atoms_of


def test_a_three_nanometre_sphere() -> None:
    torch = pytest.importorskip("torch")
    calculator_type = pytest.importorskip(
        "debyecalculator", reason="DebyeCalculator is not installed"
    ).DebyeCalculator
    material = load_material("PbS").with_b({"Pb": 0.3, "S": 0.3})
    cluster = sphere(material, 6 * material.unit_diameter_angstrom)
    atoms = atoms_of(material, cluster)

    def calculated(elements: list[str], positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            calculator = calculator_type(
                qmin=1.0,
                qmax=15.0,
                qstep=0.05,
                biso=0.3,
                device="cpu",
                dtype=torch.float64,
                pair_sum="direct",
            )
            result = calculator.iq((elements, torch.tensor(positions)))
        # DebyeCalculator sums the pairs i < j and half of the self terms, which gives half of the intensity.
        return np.asarray(result.q, dtype=np.float64), 2 * np.asarray(result.i, dtype=np.float64)

    elements = [material.sites[site].element for site in atoms.site]
    q, expected = calculated(elements, atoms.positions)
    # Use the form factors of DebyeCalculator, from single atoms: its table has fewer digits.
    amplitudes = {element: np.sqrt(calculated([element], np.zeros((1, 3)))[1]) for element in ("Pb", "S")}
    table = pair_table(material, [cluster])
    factors = [amplitudes[site.element] + 0j for site in material.sites]
    found = pattern_sums(material, table, structure_sums(table, q), q, factors)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
