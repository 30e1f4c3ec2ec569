"""How well the track of a synthesis follows its size and growth: ``python benchmarks/track.py``.

Sizes of frames are simulated, not frames: truth, plus a scatter and common errors as the shipped model
showed them on simulated detector frames (`SCATTER` and the constants beside it).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdsizer_stream.tracking import Measurement

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
