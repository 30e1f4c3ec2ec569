"""Track: how well size, growth, changes and the time to a target of simulated syntheses are followed.

    python -m benchmarks.synthesis_track [--syntheses N] [--first-seed S] [--json FILE]

Sizes of frames are simulated, not frames: the truth, with a scatter and common errors as the shipped model
showed them on simulated detector frames (`SCATTER` and the constants beside it).
"""

import math
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.tracking import Measurement, Track, TrackPoint

Array = NDArray[np.float64]

KINDS = ("exponential", "linear", "ripening", "second nucleation", "temperature step")
"""Kinds of syntheses."""

SCATTER = 0.06
"""Relative scatter of the mass-weighted mean of 3.2 nm dots at one photon per strip; 40 frames each of `pbs`
at 3.2 and 5.5 nm, 1 to 1000 photons per strip, agree within a quarter."""

SCATTER_EXPONENT = -0.43
"""Power of the photons per strip with which it falls."""

NUMBER_SCATTER = 2.0
"""Scatter of the number-weighted mean over that of the mass-weighted one."""

COMMON = (0.005, 0.011)
"""Part of the standard deviation stated by the network that is common to all frames: mass- and
number-weighted."""

FLOOR, FLOOR_NM = 0.0108, 0.0385
"""Floors of the intervals of the shipped model."""


@dataclass(frozen=True, eq=False)
class Synthesis:
    """A simulated synthesis."""

    kind: str
    time_s: Array
    """Times of the frames, shape (n,)."""
    mass_nm: Array
    """True mass-weighted mean."""
    number_nm: Array
    """True number-weighted mean."""
    growth: Array
    """True growth of the mass-weighted mean, nm/min."""
    changed: int
    """Index of the first frame after a change of rate; 0 for none."""
    measurements: list[Measurement]
    common: float
    """Common relative error of the mass-weighted mean, at its mean size."""


def simulate(
    kind: str, seed: int, n_frames: int | None = None, photons: float | None = None, drift: float = 0.0
) -> Synthesis:
    """Simulate one synthesis; `drift` is the sd of a drifting error over the scatter of a frame."""
    rng = np.random.default_rng(seed)
    n = n_frames or int(rng.integers(60, 301))
    level = photons or float(np.exp(rng.uniform(math.log(30), math.log(3000))))
    period = float(np.exp(rng.uniform(math.log(5), math.log(60))))
    t = np.cumsum(period * rng.uniform(0.9, 1.1, n))
    x = (t - t[0]) / (t[-1] - t[0])
    first = rng.uniform(2.4, 3.5)
    grown = rng.uniform(1.5, 4.0)
    ratio = np.full(n, 1.04)
    changed = 0
    fine = np.linspace(0, 1, 20 * n)
    if kind == "exponential":
        c = rng.uniform(1.5, 4.0)
        size = first + grown * (1 - np.exp(-c * fine))
    elif kind == "linear":
        size = first + grown * fine
    elif kind == "ripening":
        size = (first**3 + ((first + grown) ** 3 - first**3) * fine) ** (1 / 3)
        ratio = 1.04 + 0.08 * np.sqrt(x)
    elif kind == "second nucleation":
        at = rng.uniform(0.4, 0.6)
        size = first + grown * np.where(fine < at, fine, at - (fine - at) * rng.uniform(0.3, 0.6))
        ratio = np.where(x < at, 1.04, 1.04 + 0.2 * (x - at))
        changed = int(np.searchsorted(x, at))
    else:
        at = rng.uniform(0.4, 0.6)
        slow, fast = 1.0, 3.0
        if rng.uniform() < 0.5:
            slow, fast = fast, slow
        size = first + grown / 2 * np.where(fine < at, slow * fine, slow * at + fast * (fine - at))
        changed = int(np.searchsorted(x, at))
    mass = np.interp(x, fine, size)
    growth = np.interp(x, fine, np.gradient(size, fine)) / (t[-1] - t[0]) * 60
    scatter = SCATTER * level**SCATTER_EXPONENT * 3.2 / mass
    common_z, slope_z, mass_z, number_z = rng.standard_normal(4)
    floor = np.hypot(FLOOR, FLOOR_NM / mass)
    common = floor * (common_z + slope_z * np.log(mass / mass.mean())) + COMMON[0] * mass_z
    wander = np.zeros(n)
    if drift:
        kept = math.exp(-1 / 20)
        for i in range(n):
            wander[i] = kept * wander[i - 1] + math.sqrt(1 - kept**2) * rng.standard_normal()
    noise, own = rng.standard_normal((2, n))
    noise = noise + drift * wander
    number_noise = NUMBER_SCATTER * (0.8 * noise + 0.6 * own)
    ln_mass = np.log(mass) + common + scatter * noise
    ln_number = (
        np.log(mass / ratio) + common - COMMON[0] * mass_z + COMMON[1] * number_z + scatter * number_noise
    )
    measurements = [
        Measurement(
            time_s=float(t[i]),
            mass_mean=float(ln_mass[i]),
            mass_mean_sd=math.hypot(1.1 * scatter[i], COMMON[0]),
            mass_mean_shared_sd=float(floor[i]),
            size=float(ln_number[i]),
            size_sd=math.hypot(1.1 * NUMBER_SCATTER * scatter[i], COMMON[1]),
            size_shared_sd=float(floor[i]),
        )
        for i in range(n)
    ]
    return Synthesis(kind, t, mass, mass / ratio, growth, changed, measurements, float(common.mean()))


WARM_UP_FRAMES = 5
"""Frames whose growth is not evaluated: the interval of three sizes is as wide as all growth."""

DETECTED_FRAMES = 5
"""Frames after a change of rate within which it is to be found."""


def column(points: list[TrackPoint], name: str) -> Array:
    return np.array([getattr(point, name) for point in points], float)


def scatter_about_truth(found: Array, truth: Array) -> float:
    """Root mean square error once the common error, an offset and a slope in ln size, is removed."""
    error, x = found - truth, np.log(truth) - np.log(truth).mean()
    basis = np.column_stack([np.ones_like(x), x])
    return float(np.std(error - basis @ np.linalg.lstsq(basis, error, rcond=None)[0]))


def inside(points: list[TrackPoint], name: str, truth: Array) -> Array:
    low, high = (column(points, name.format(end)) for end in ("_low", "_high"))
    return (low <= truth) & (truth <= high)


def follow(synthesis: Synthesis, target_nm: float = math.nan) -> tuple[Track, list[TrackPoint]]:
    track = Track(target_nm)
    return track, [track.update(one.time_s, one) for one in synthesis.measurements]


def forecast(synthesis: Synthesis) -> tuple[list[bool], float]:
    """Whether forecasts of three quarters of the growth hold, and their half-width at half way."""
    number = synthesis.number_nm
    target = number[0] + 0.75 * (number[-1] - number[0])
    reached = int(np.argmax(number >= target))
    _, points = follow(synthesis, target)
    held, half = [], math.nan
    for index in range(WARM_UP_FRAMES, reached):
        left = synthesis.time_s[reached] - synthesis.time_s[index]
        low, high = points[index].time_to_target_low_s, points[index].time_to_target_high_s
        if math.isnan(low):
            continue
        high = math.inf if math.isnan(high) else high
        held.append(low <= left <= high)
        if index == reached // 2:
            half = (high - low) / 2 / left
    return held, half


def overshoots(synthesis: Synthesis) -> tuple[float, float]:
    """Miss of a target where a plan acts on the track, and where on single frames, nm."""
    number = synthesis.number_nm
    target = number[0] + 0.5 * (number[-1] - number[0])
    common = math.exp(np.mean([one.size for one in synthesis.measurements]) - np.mean(np.log(number)))
    _, points = follow(synthesis)
    single = next(
        (i for i, one in enumerate(synthesis.measurements) if math.exp(one.size) >= common * target), -1
    )
    filtered = -1
    for index in range(1, len(points)):
        period = (synthesis.time_s[index] - synthesis.time_s[index - 1]) / 60
        certain = points[index].growth_low_nm_per_min > 0
        step = 0.5 * points[index].growth_nm_per_min * period if certain else 0.0
        if points[index].size_nm >= common * target - step:
            filtered = index
            break
    return float(number[filtered] - target), float(number[single] - target)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--syntheses", type=int, default=200)
    parser.add_argument(
        "--first-seed",
        type=int,
        default=5000,
        help="seed of the first; the track was tuned on 0 to 199 and 9000 to 9199",
    )
    arguments = parser.parse_args()
    report = BenchmarkReport("synthesis_track", arguments.json)
    found: defaultdict[str, list[float]] = defaultdict(list)
    cost_s, n_frames = 0.0, 0
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.syntheses):
        synthesis = simulate(KINDS[seed % len(KINDS)], seed)
        begin = time.process_time()
        track, points = follow(synthesis)
        cost_s += time.process_time() - begin
        n_frames += len(points)
        smoothed = track.smoothed()
        raw = np.exp([one.mass_mean for one in synthesis.measurements])
        single = scatter_about_truth(raw, synthesis.mass_nm)
        for name, one in (("live", points), ("smoothed", smoothed)):
            ratio = scatter_about_truth(column(one, "mass_mean_nm"), synthesis.mass_nm) / single
            found[f"size after removing the common error over single frames, {name}"].append(ratio)
        held = inside(points, "growth{}_nm_per_min", synthesis.growth)[WARM_UP_FRAMES:]
        found["growth intervals that hold"].append(float(held.mean()))
        found[f"growth intervals that hold, {synthesis.kind}"].append(float(held.mean()))
        changes = [index for index, point in enumerate(points) if point.change is not None]
        near = [index for index in changes if 0 <= index - synthesis.changed <= DETECTED_FRAMES]
        if synthesis.changed:
            found["changes of rate found within five frames"].append(bool(near))
        late = [index for index in changes if not 0 <= index - synthesis.changed <= 2 * DETECTED_FRAMES]
        found["false alarms per 300 frames"].append(
            300 * len(late if synthesis.changed else changes) / len(points)
        )
        if synthesis.kind in ("exponential", "linear", "ripening"):
            held_forecasts, half = forecast(synthesis)
            found["time-to-target intervals that hold"].append(float(np.mean(held_forecasts)))
            found["half-width of the time to target at half way, over the time left (median)"].append(half)
            quick = simulate("linear", seed, n_frames=60, photons=30.0)
            for name, missed in zip(("track", "frames"), overshoots(quick), strict=True):
                found[f"miss of {name}"].append(missed)
        drifting = simulate("linear", seed, drift=1.0)
        held = inside(follow(drifting)[1], "growth{}_nm_per_min", drifting.growth)[WARM_UP_FRAMES:]
        found["growth intervals that hold, drifting error"].append(float(held.mean()))
    limits = {
        "size after removing the common error over single frames, live": (None, 0.5),
        "size after removing the common error over single frames, smoothed": (None, 0.35),
        "growth intervals that hold": (0.93, 0.97),
        "growth intervals that hold, drifting error": (0.90, None),
        "time-to-target intervals that hold": (0.90, None),
        "half-width of the time to target at half way, over the time left (median)": (None, 0.2),
        "false alarms per 300 frames": (None, 1.0),
    }
    misses = {
        name: float(np.sqrt(np.mean(np.square(found.pop(f"miss of {name}"))))) for name in ("track", "frames")
    }
    for name, values in found.items():
        low, high = limits.get(name, (None, None))
        value = float(np.nanmedian(values) if "median" in name else np.mean(values))
        report.add(name, value, "1", at_least=low, at_most=high)
    report.add(
        "rms miss of a target, track over single frames", misses["track"] / misses["frames"], "1", at_most=0.5
    )
    report.add("processor time per frame", 1e3 * cost_s / n_frames, "ms", at_most=0.1)
    track, _ = follow(simulate("linear", 3, n_frames=10_000))
    begin = time.process_time()
    track.smoothed()
    report.add("smoothing 10 000 frames", time.process_time() - begin, "s", at_most=2.0)
    report.write()


if __name__ == "__main__":
    main()
