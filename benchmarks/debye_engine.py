"""Speed of the Debye engine: times, and ratios to other methods in the same run.

    python -m benchmarks.debye_engine [--json FILE]

Compares with an explicit double sum (at a few momentum transfers, scaled), with torch and with
DebyeCalculator if they are installed. Times depend on the machine and its load, ratios less so.
"""

import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.simulation import (
    Cluster,
    MarchDollase,
    Material,
    Sphere,
    SphereCut,
    Weighting,
    close_packed_layers,
    faulted_nanocrystal,
    faulted_pair_table,
    form_factors,
    load_material,
    load_recipe,
    lognormal_weights,
    pair_table,
    pattern_sums,
    simulate,
    sphere,
    structure_sums,
    textured_pairs,
    textured_sums,
)

Q = np.linspace(1, 15, 5004)
WAVELENGTH_ANGSTROM = 0.56
REPEATS = 3

Results = dict[str, tuple[float, str]]
"""Value and unit of each measurement, by name."""


def best(work: Callable[[], Any]) -> float:
    """Shortest of a few runs, s; other processes disturb the longer ones."""
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


def paper_library() -> Results:
    """The 1292 patterns of the paper recipe, simulated once, before other measurements use memory."""
    start = time.perf_counter()
    library = simulate(load_recipe("paper"))
    seconds = time.perf_counter() - start
    return {f"library of {len(library.intensity)} x {library.q_inv_angstrom.size}": (seconds, "s")}


def spheres() -> Results:
    """The 45 PbS spheres of the paper, with the time of the two main steps."""
    material = load_material("PbS")
    diameters = material.unit_diameter_angstrom * np.arange(1, 46)
    clusters = [sphere(material, diameter) for diameter in diameters]
    table = pair_table(material, clusters)
    result = {
        "45 PbS spheres: pairs": (best(lambda: pair_table(material, clusters)), "s"),
        "45 PbS spheres: sums": (best(lambda: structure_sums(table, Q)), "s"),
    }
    try:
        import torch
    except ModuleNotFoundError:
        return result
    torch.set_num_threads(1)
    by_torch = best(lambda: structure_sums(table, Q, xp=torch))
    return {**result, "45 PbS spheres: sums by torch on one core": (by_torch, "s")}


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
    """Time of the double sum over explicit atoms, scaled to all Q, s."""
    positions, elements = coordinates(material, cluster)
    site_of = {site.element: s for s, site in enumerate(material.sites)}
    factors = form_factors(material, Q, WAVELENGTH_ANGSTROM)
    selected = np.linspace(0, Q.size - 1, n_q).astype(int)
    f = np.array([factors[site_of[element]][selected] for element in elements])
    total = np.zeros(n_q)
    start = time.perf_counter()
    for first in range(0, len(positions), 100):
        block = slice(first, first + 100)
        distance = np.linalg.norm(positions[block, None] - positions, axis=2)
        distance[distance == 0] = 1e-9  # an atom with itself: sin(x)/x = 1
        for n, q in enumerate(Q[selected]):
            total[n] += np.real(np.conj(f[block, n]) @ (np.sin(q * distance) / (q * distance)) @ f[:, n])
    return (time.perf_counter() - start) * Q.size / n_q


def one_cluster() -> Results:
    """One PbS sphere of 7.88 nm, 9842 atoms, compared with other methods for the same result."""
    material = load_material("PbS").with_b({"Pb": 0.3, "S": 0.3})
    cluster = sphere(material, 17 * material.unit_diameter_angstrom)
    ours = best(lambda: pattern(material, [cluster]))
    result = {
        "one 7.88 nm PbS sphere": (ours, "s"),
        "explicit double sum in NumPy (scaled from 4 Q) / this engine": (
            double_sum(material, cluster, 4) / ours,
            "1",
        ),
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
    return {**result, "DebyeCalculator float64 (grid) / this engine": (theirs / ours, "1")}


def faulted_library() -> Results:
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
    seconds = time.perf_counter() - start
    return {f"{n_patterns} patterns of faulted wurtzite CdSe, 2 to 10 nm": (seconds, "s")}


def large_cells_and_texture() -> Results:
    """Crystals with many atoms per cell, and texture."""
    wurtzite, perovskite = load_material("CdSe-wurtzite"), load_material("CsPbBr3-orthorhombic")
    lead_sulphide = load_material("PbS")
    texture = MarchDollase(axes=((1, 0, 0), (0, 1, 0), (0, 0, 1)), ratio=0.7)
    large = sphere(lead_sulphide, 17 * lead_sulphide.unit_diameter_angstrom)
    by_nodes = sphere(wurtzite, 100.0)
    by_atoms = sphere(perovskite, 100.0, SphereCut.ATOM)
    seconds = {
        "one 10 nm wurtzite CdSe sphere": best(lambda: pattern(wurtzite, [by_nodes])),
        "one 10 nm orthorhombic CsPbBr3 sphere cut by atoms": best(lambda: pattern(perovskite, [by_atoms])),
        "texture (r = 0.7, 2e-5) of a 7.88 nm PbS sphere": best(
            lambda: textured_sums(textured_pairs(lead_sulphide, [large], texture, tolerance=2e-5), Q)
        ),
    }
    return {name: (value, "s") for name, value in seconds.items()}


def main() -> None:
    report = BenchmarkReport("debye_engine", argument_parser(__doc__).parse_args().json)
    for part in (paper_library, spheres, one_cluster, faulted_library, large_cells_and_texture):
        for name, (value, unit) in part().items():
            report.add(name, value, unit)
        report.add(f"peak memory after {part.__name__}", memory_mb(), "MB")
    report.write()


if __name__ == "__main__":
    main()
