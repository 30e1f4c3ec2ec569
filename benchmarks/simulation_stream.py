"""Speed of the frame stream on the paper's 5004 points, everything randomized, and where the time goes.

    python benchmarks/simulation_stream.py [--json FILE]

Frames a second of processor time hardly depend on what else the machine does; frames by the clock do.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.simulation import (
    COPPER_K_ALPHA,
    FrameStream,
    Polyhedron,
    Source,
    SpectralLine,
    Sphere,
    SphereCut,
    StreamRecipe,
    StructureRanges,
)
from qdsizer_stream.simulation.frames._photons import fast_poisson

N_FRAMES = 256
REPEATS = 3

EVERYTHING = StreamRecipe(
    structures=StructureRanges(
        material="PbS",
        shapes=(Sphere(), Polyhedron(kind="cube"), Polyhedron(kind="truncated-octahedron")),
        cuts=tuple(SphereCut),
        centre_averaged=0.25,
        occupancy={"S": (0.9, 1.0)},
        poor_elements=("S",),
        strain_along=(0.0, 0.007),
        max_cluster_nm=21.0,
    ),
    n_structures=1,  # more take longer to begin with, not longer a frame
    grid=BinGrid(q_first_inv_angstrom=0.99, q_step_inv_angstrom=0.0028, n_bins=5004),
    sources=(
        Source(lines=(SpectralLine(wavelength_angstrom=0.56),)),
        Source(lines=(SpectralLine(wavelength_angstrom=0.7),)),
        Source(lines=COPPER_K_ALPHA, perpendicular_share=(0.5, 0.56)),
    ),
    mean_diameter_nm=(2.0, 11.0),
    dispersion=(0.05, 0.2),
    strain=(-0.005, 0.005),
    b_angstrom2=(0.7, 3.0),
    b_ratio=(0.63, 1.6),
    area_fraction=(0.1, 1.0),
    pure=0.25,
    no_dots=0.1,
    known_solvents=("toluene", "hexane"),
    solvent_stretch=0.05,
    solvent_distortion=0.1,
    ligands_per_nm2=(0.0, 4.0),
    fluorescence=0.2,
    background=0.5,
    absorption_mu_r=(0.0, 0.5),
    distortion=0.05,
    zero_shift_deg=(-0.02, 0.02),
    displacement_deg=(-0.02, 0.02),
    resolution_fwhm_deg=(0.01, 0.1),
    counts_per_bin=(30.0, 1e6),
    q_low_inv_angstrom=(0.99, 1.7),
    q_high_inv_angstrom=(4.0, 15.0),
    gaps=0.4,
)
SHARP = {"resolution_fwhm_deg": None}
FEW_PHOTONS = {"counts_per_bin": (30.0, 60.0)}


def rates(stream: FrameStream) -> tuple[float, float]:
    """Frames a second, by the clock and of processor time: the best of a few runs."""
    stream.batch(64)
    by_clock, by_processor = [], []
    for _ in range(REPEATS):
        clock, processor = time.perf_counter(), time.process_time()
        stream.batch(N_FRAMES)
        by_clock.append(N_FRAMES / (time.perf_counter() - clock))
        by_processor.append(N_FRAMES / (time.process_time() - processor))
    return max(by_clock), max(by_processor)


def streams() -> dict[str, float]:
    start = time.perf_counter()
    whole = FrameStream(EVERYTHING, seed=0)
    numbers = {"one structure up to 21 nm, s": time.perf_counter() - start}
    clock, processor = rates(whole)
    numbers["frames of 5004 points a second, one thread"] = clock
    numbers["frames a second of processor time, one thread"] = processor
    clock, two = rates(FrameStream(EVERYTHING, seed=0, n_threads=2))
    numbers["frames of 5004 points a second, two threads"] = clock
    numbers["frames a second of processor time, two threads"] = two
    for what, change in (("without resolution", SHARP), ("with 30 to 60 photons a bin", FEW_PHOTONS)):
        _, changed = rates(FrameStream(EVERYTHING.model_copy(update=change), seed=0))
        numbers[f"processor time {what} over that of everything"] = processor / changed
    return numbers


def photons() -> dict[str, float]:
    """What the normal numbers save."""
    rng = np.random.default_rng(0)
    expected = rng.uniform(100, 1e5, (32, 5004)).astype(np.float32)
    seconds = {}
    for name, draw in (("NumPy", rng.poisson), ("ours", lambda mean: fast_poisson(rng, mean))):
        start = time.process_time()
        for _ in range(5):
            draw(expected)
        seconds[name] = time.process_time() - start
    return {"NumPy's Poisson numbers over ours, processor time": seconds["NumPy"] / seconds["ours"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    numbers = {**streams(), **photons()}
    table = Table("what", "number", title="Frame stream")
    for what, number in numbers.items():
        table.add_row(what, f"{number:,.3g}" if number < 1000 else f"{number:,.0f}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
