"""Speed of the Debye engine: seconds, and ratios within this one run.

    python benchmarks/debye_engine.py [--json FILE]

Compares with an explicit double sum (a few momentum transfers, scaled), with torch and with
DebyeCalculator where they are installed. Seconds depend on the machine and its load, ratios less so.
"""

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from qdsizer_stream.simulation.crystal._cluster import Cluster, SphereCut, sphere
from qdsizer_stream.simulation.crystal._material import Material, load_material
from qdsizer_stream.simulation.crystal._shapes import Sphere
from qdsizer_stream.simulation.frames._library import load_recipe, simulate
from qdsizer_stream.simulation.frames._population import Weighting, lognormal_weights
from qdsizer_stream.simulation.scattering._debye import pattern_sums, structure_sums
from qdsizer_stream.simulation.scattering._pairs import pair_table
from qdsizer_stream.simulation.scattering._scattering import form_factors
from qdsizer_stream.simulation.scattering._stacking import (
    close_packed_layers,
    faulted_nanocrystal,
    faulted_pair_table,
)
from qdsizer_stream.simulation.scattering._texture import MarchDollase, textured_pairs, textured_sums

Q = np.linspace(1, 15, 5004)
WAVELENGTH_ANGSTROM = 0.56
REPEATS = 3


def best(work: Callable[[], Any]) -> float:
    """Shortest of a few runs, s: the others were disturbed."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pattern(material: Material, clusters: list[Cluster]) -> NDArray[np.float64]:
    table = pair_table(material, clusters)
    return pattern_sums(
        material, table, structure_sums(table, Q), Q, form_factors(material, Q, WAVELENGTH_ANGSTROM)
    )


def paper_library() -> dict[str, float]:
    """The 1292 patterns of the paper's recipe from nothing, once, before anything else fills memory."""
    start = time.perf_counter()
    library = simulate(load_recipe("paper"))
    seconds = time.perf_counter() - start
    return {
        f"library of {len(library.intensity)} x {library.q_inv_angstrom.size}, s": seconds,
    }


def spheres() -> dict[str, float]:
    """The 45 PbS spheres of the paper, and the larger part of the time in each step."""
    material = load_material("PbS")
    diameters = material.unit_diameter_angstrom * np.arange(1, 46)
    clusters = [sphere(material, diameter) for diameter in diameters]
    table = pair_table(material, clusters)
    result = {
        "45 PbS spheres: pairs, s": best(lambda: pair_table(material, clusters)),
        "45 PbS spheres: sums, s": best(lambda: structure_sums(table, Q)),
    }
    try:
        import torch
    except ModuleNotFoundError:
        return result
    torch.set_num_threads(1)
    result["45 PbS spheres: sums by torch on one core, s"] = best(lambda: structure_sums(table, Q, xp=torch))
    return result


def coordinates(material: Material, cluster: Cluster) -> tuple[NDArray[np.float64], list[str]]:
    positions, elements = [], []
    for site, occupancy, offset in zip(
        material.sites, cluster.occupancy, material.positions_angstrom, strict=True
    ):
        nodes = np.argwhere(occupancy > 0) - (np.array(occupancy.shape) - 1) // 2
        positions.append(nodes @ material.cell_angstrom + offset)
        elements += [site.element] * len(nodes)
    return np.vstack(positions), elements


def double_sum(material: Material, cluster: Cluster, n_q: int) -> float:
    """Seconds of the double sum over explicit atoms, scaled to all Q."""
    positions, elements = coordinates(material, cluster)
    by_element = {site.element: number for number, site in enumerate(material.sites)}
    factors = form_factors(material, Q, WAVELENGTH_ANGSTROM)
    picked = np.linspace(0, Q.size - 1, n_q).astype(int)
    f = np.array([factors[by_element[element]][picked] for element in elements])
    total = np.zeros(n_q)
    start = time.perf_counter()
    for first in range(0, len(positions), 100):
        block = slice(first, first + 100)
        distance = np.linalg.norm(positions[block, None] - positions, axis=2)
        distance[distance == 0] = 1e-9  # an atom with itself: sin(x)/x = 1
        for n, q in enumerate(Q[picked]):
            total[n] += np.real(np.conj(f[block, n]) @ (np.sin(q * distance) / (q * distance)) @ f[:, n])
    return (time.perf_counter() - start) * Q.size / n_q


def one_cluster() -> dict[str, float]:
    """One PbS sphere of 7.88 nm, 9842 atoms, against other ways to the same numbers."""
    material = load_material("PbS").with_b({"Pb": 0.3, "S": 0.3})
    cluster = sphere(material, 17 * material.unit_diameter_angstrom)
    ours = best(lambda: pattern(material, [cluster]))
    result = {
        "one 7.88 nm PbS sphere, s": ours,
        "explicit double sum in NumPy over ours (scaled from 4 Q)": double_sum(material, cluster, 4) / ours,
    }
    try:
        import torch
        from debyecalculator import DebyeCalculator
    except ImportError:
        return result
    positions, elements = coordinates(material, cluster)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = DebyeCalculator(
            qmin=Q[0],
            qmax=Q[-1] + 1e-4,
            qstep=Q[1] - Q[0],
            biso=0.3,
            device="cpu",
            dtype=torch.float64,
            pair_sum="grid",
        )
        theirs = best(lambda: calculator.iq((elements, torch.tensor(positions))))
    return {**result, "DebyeCalculator float64 (grid) over ours": theirs / ours}


def faulted_library() -> dict[str, float]:
    """CdSe of 2 to 10 nm: 10 fault probabilities x 20 means x 5 dispersions = 1000 patterns."""
    start = time.perf_counter()
    layers = close_packed_layers(load_material("CdSe-wurtzite"))
    diameters_nm = np.arange(1.0, 13.01, 0.25)
    clusters = [faulted_nanocrystal(layers, Sphere(), 10 * diameter) for diameter in diameters_nm]
    means, dispersions = np.meshgrid(np.linspace(2, 10, 20), np.linspace(0.05, 0.15, 5))
    weights = lognormal_weights(diameters_nm, means.ravel(), dispersions.ravel(), Weighting.NUMBER)
    factors = form_factors(layers, Q, WAVELENGTH_ANGSTROM)
    patterns = []
    for reversal in np.linspace(0, 1, 10):
        table = faulted_pair_table(layers, clusters, reversal)
        patterns.append(pattern_sums(layers, table, structure_sums(table, Q), Q, factors) @ weights)
    n_patterns = np.hstack(patterns).shape[1]
    return {f"{n_patterns} patterns of faulted wurtzite CdSe, 2 to 10 nm, s": time.perf_counter() - start}


def harder_crystals() -> dict[str, float]:
    """Crystals with many atoms a cell, and texture."""
    wurtzite, perovskite = load_material("CdSe-wurtzite"), load_material("CsPbBr3-orthorhombic")
    lead = load_material("PbS")
    texture = MarchDollase(axes=((1, 0, 0), (0, 1, 0), (0, 0, 1)), ratio=0.7)
    grown = sphere(lead, 17 * lead.unit_diameter_angstrom)
    by_nodes = sphere(wurtzite, 100.0)
    by_atoms = sphere(perovskite, 100.0, SphereCut.ATOM)
    return {
        "one 10 nm wurtzite CdSe sphere, s": best(lambda: pattern(wurtzite, [by_nodes])),
        "one 10 nm orthorhombic CsPbBr3 sphere cut by atoms, s": best(
            lambda: pattern(perovskite, [by_atoms])
        ),
        "texture (r = 0.7, 2e-5) of a 7.88 nm PbS sphere, s": best(
            lambda: textured_sums(textured_pairs(lead, [grown], texture, tolerance=2e-5), Q)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    numbers: dict[str, float] = {}
    table = Table("what", "number", title="Debye engine")
    for part in (paper_library, spheres, one_cluster, faulted_library, harder_crystals):
        numbers |= part()
        numbers[f"peak memory after {part.__name__}, MB"] = memory_mb()
    for what, number in numbers.items():
        table.add_row(what, f"{number:,.3g}" if number < 1000 else f"{number:,.0f}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
