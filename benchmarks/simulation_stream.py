"""Speed of the frame stream on the paper's 5004 points with everything randomized, and cost of its parts.

    OMP_NUM_THREADS=1 python -m benchmarks.simulation_stream [--json FILE]

Frames per second of CPU time hardly depend on the load of the machine; frames per second of wall time do.
"""

import time

import numpy as np

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.simulation import (
    COPPER_K_ALPHA,
    FrameStream,
    Polyhedron,
    SizeDistribution,
    Source,
    SpectralLine,
    Sphere,
    SphereCut,
    StreamRecipe,
    StructureRanges,
    fast_poisson,
)

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
    n_structures=1,  # more structures take longer to tabulate, not longer per frame
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
REAL_DOTS = StreamRecipe.model_validate(
    {
        **dict(EVERYTHING),
        "structures": {
            **dict(EVERYTHING.structures),
            "min_coordination": (5,),
            "strain_axes": ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
            "sampled": 0.5,
        },
        "distributions": {"kinds": tuple(SizeDistribution)},
        "correlated_motion": (0.6, 1.1),
        "disordered_nm": (0.0, 0.45),
        "microstrain": (0.0, 0.004),
        "resolution_fwhm_deg": None,
        "resolution": {
            "fwhm_inv_angstrom": (0.002, 0.1),
            "fwhm_deg": (0.004, 0.5),
            "caglioti_u_deg2": (1e-4, 0.1),
            "caglioti_w_deg2": (1e-4, 0.04),
            "bandwidth": (0.003, 0.02),
            "banded": 0.2,
        },
        "module_gain_step": (0.0, 0.04),
        "coarse": 0.1,
        "coarse_averaged": 0.5,
    }
)
"""Everything above, and what ideal dots and instruments do not do."""
SHARP = {"resolution_fwhm_deg": None}
FEW_PHOTONS = {"counts_per_bin": (30.0, 60.0)}


def rates(stream: FrameStream) -> tuple[float, float]:
    """Frames per second of wall time and of CPU time, the best of a few runs."""
    stream.batch(64)
    wall, cpu = [], []
    for _ in range(REPEATS):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        stream.batch(N_FRAMES)
        wall.append(N_FRAMES / (time.perf_counter() - wall_start))
        cpu.append(N_FRAMES / (time.process_time() - cpu_start))
    return max(wall), max(cpu)


def measure_streams(report: BenchmarkReport) -> None:
    start = time.perf_counter()
    complete = FrameStream(EVERYTHING, seed=0)
    report.add("one structure up to 21 nm", time.perf_counter() - start, "s")
    wall, cpu = rates(complete)
    report.add("frames of 5004 points, one thread", wall, "frames/s")
    report.add("frames of 5004 points, one thread, CPU time", cpu, "frames/s")
    wall_two, cpu_two = rates(FrameStream(EVERYTHING, seed=0, n_threads=2))
    report.add("frames of 5004 points, two threads", wall_two, "frames/s")
    report.add("frames of 5004 points, two threads, CPU time", cpu_two, "frames/s")
    start = time.perf_counter()
    real = FrameStream(REAL_DOTS, seed=0)
    report.add("one structure of real dots up to 21 nm", time.perf_counter() - start, "s")
    _, cpu_real = rates(real)
    report.add("frames of real dots, one thread, CPU time", cpu_real, "frames/s")
    wall_real, cpu_real = rates(FrameStream(REAL_DOTS, seed=0, n_threads=2))
    report.add("frames of real dots, two threads", wall_real, "frames/s")
    report.add("frames of real dots, two threads, CPU time", cpu_real, "frames/s")
    for name, change in (("without resolution", SHARP), ("with 30 to 60 photons per bin", FEW_PHOTONS)):
        _, changed = rates(FrameStream(EVERYTHING.model_copy(update=change), seed=0))
        report.add(f"CPU time {name} / with everything", cpu / changed, "1")


def measure_photons(report: BenchmarkReport) -> None:
    """Time that the normal approximation of large Poisson means saves."""
    rng = np.random.default_rng(0)
    expected = rng.uniform(100, 1e5, (32, 5004)).astype(np.float32)
    seconds = {}
    for name, draw in (("NumPy", rng.poisson), ("package", lambda mean: fast_poisson(rng, mean))):
        start = time.process_time()
        for _ in range(5):
            draw(expected)
        seconds[name] = time.process_time() - start
    report.add("CPU time of NumPy's Poisson / fast_poisson", seconds["NumPy"] / seconds["package"], "1")


def main() -> None:
    report = BenchmarkReport("simulation_stream", argument_parser(__doc__).parse_args().json)
    measure_streams(report)
    measure_photons(report)
    report.write()


if __name__ == "__main__":
    main()
