"""What is right with the settings of a beamline, and what is not."""

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..callbacks import LiveConfig
from ..configuration import load_toml
from ..errors import QdsizerError
from ..sizing import Sizer
from ._startup import installed_in

__all__ = ["Finding", "check"]

TIMED_FRAMES = 20
"""Frames that the speed of sizing is the median of."""

TRIAL_WAVELENGTH_ANGSTROM = 0.5637
"""Wavelength of the frames that are timed: 22 keV, for speed alone."""

TRIAL_COUNTS = 100
"""Photons a strip in the frames that are timed."""

SCARCE_BYTES = 2**30
"""Room in a folder below which it is told: an hour of frames of 30 720 strips at 3 Hz."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """What it is."""
    good: bool | None
    """Whether it is as it must be; None for what merely is so."""
    told: str
    """What was found and, where it is not good, what to do."""


def check(path: Path, archive: str | None = None, spool: Path | None = None) -> Iterator[Finding]:
    """Look at all that sizing at a beamline needs.

    Parameters
    ----------
    path
        TOML file of the beamline.
    archive, spool
        As of `install`.

    Yields
    ------
    Findings, as they come.
    """
    settings: LiveConfig | None = None
    sizer: Sizer | None = None
    try:
        settings = load_toml(LiveConfig, path)
        yield Finding("settings", True, f"{path}")
        begin = time.perf_counter()
        sizer = Sizer(settings.sizing)
        spent = time.perf_counter() - begin
        yield Finding(
            "model", True, f"{sizer.model.name} {sizer.model.sha256[:8]}, loaded and checked in {spent:.1f} s"
        )
    except QdsizerError as error:
        yield Finding("settings" if settings is None else "model and detector", False, f"{error}")
    if settings is not None:
        yield from _sources(settings)
    if settings is not None and sizer is not None:
        yield from _detector(settings, sizer)
    yield from _places(archive, spool)
    files = installed_in()
    yield Finding(
        "IPython profiles",
        None,
        ", ".join(f"{name} ({file.name})" for name, file in files.items())
        or "none has the start-up file; `qdsizer-stream profile install --profile NAME` writes it",
    )


def _sources(settings: LiveConfig) -> Iterator[Finding]:
    """Where numbers come from."""
    if settings.wavelength is None:
        told = "from nowhere: no frame will be sized; set [wavelength], there is no default"
    else:
        told = f"from {settings.wavelength.describe()}"
    yield Finding("wavelength", settings.wavelength is not None, told)
    reduction = settings.sizing.reduction
    assert reduction is not None  # LiveConfig refuses to be made without
    moves = settings.arm_angle is not None
    told = (
        f"from {settings.arm_angle.describe()}" if settings.arm_angle else f"stands at {reduction.arm_deg}°"
    )
    known = moves or reduction.arm_deg is not None
    yield Finding("detector arm", known, told if known else "unknown: set [arm_angle], or arm_deg")
    for name, needed, source in (
        ("exposure", reduction.normalise_exposure or reduction.dead_time is not None, settings.exposure),
        ("monitor", reduction.normalise_monitor, settings.monitor),
    ):
        if source is not None:
            yield Finding(name, True, f"from {source.describe()}")
        elif needed:
            yield Finding(name, False, f"is corrected for, but comes from nowhere: set [{name}]")
    yield Finding(
        "solvent",
        None,
        f"{settings.sizing.solvent}" if settings.sizing.solvent else "none measured: computed ones are used",
    )


def _detector(settings: LiveConfig, sizer: Sizer) -> Iterator[Finding]:
    """The detector, and how fast its frames are sized."""
    assert sizer.reducer is not None  # LiveConfig refuses to be made without
    n_strips = sizer.reducer.detector.n_strips
    arm_deg = sizer.reducer.config.arm_deg or 0.0
    angles = sizer.reducer.detector.two_theta(arm_deg)
    yield Finding(
        "detector", True, f"{n_strips} strips, {angles.min():.3f}° to {angles.max():.3f}° at arm {arm_deg:g}°"
    )
    random = np.random.default_rng(0)
    shape = (n_strips, settings.sizing.reduction.n_counters) if settings.sizing.reduction else (n_strips,)
    counts = random.poisson(TRIAL_COUNTS, shape).astype(np.uint32)
    counts = counts[:, 0] if counts.shape[-1] == 1 else counts
    spent = []
    for _ in range(TIMED_FRAMES):
        begin = time.perf_counter()
        sizer.size_frame(counts, TRIAL_WAVELENGTH_ANGSTROM, arm_deg, exposure_s=1.0, monitor=1.0)
        spent.append(1000 * (time.perf_counter() - begin))
    yield Finding("speed", None, f"{statistics.median(spent):.1f} ms a frame, median of {TIMED_FRAMES}")


def _places(archive: str | None, spool: Path | None) -> Iterator[Finding]:
    """Where documents go."""
    if archive is not None:
        yield from _attempt("archive", lambda: _archive(archive))
    if spool is not None:
        yield from _attempt("spool", lambda: _spool(spool))


def _attempt(what: str, look: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(what, True, look())
    except (QdsizerError, OSError, ImportError) as error:
        yield Finding(what, False, f"{error}")


def _archive(archive: str) -> str:
    if not archive.startswith(("http://", "https://")) and Path(archive).is_dir():
        # Serving it would take longer than this may; that it can be written is what goes wrong.
        free = shutil.disk_usage(archive).free
        if free < SCARCE_BYTES:
            raise OSError(f"{archive} has {free / 1e9:.1f} GB left: make room")
        return f"{archive}, {free / 1e9:.0f} GB left"
    from ..archive import open_archive

    with open_archive(archive) as catalog:
        return f"{archive}, {len(catalog)} runs"


def _spool(spool: Path) -> str:
    from ..archive import spooled_runs

    waiting = len(spooled_runs(spool, unfinished=False)) if spool.is_dir() else 0
    if waiting:
        raise OSError(f"{waiting} runs wait in {spool}: `qdsizer-stream spool upload {spool} ARCHIVE`")
    return f"{spool}, empty" if spool.is_dir() else f"{spool}, made when it is needed"
